"""MPPS and storage commitment without and with the relay: the services whose messages go both ways, on
associations that either side opens."""

from __future__ import annotations

import contextlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

import orthanc
from gateway import wait_for
from inline import ROUTES
from objects import EXPLICIT_LE, Recipe, build
from ris import Commitment, Ris, ended, in_progress, modality, requested
from scu import store


def test_mpps(inline):
    """N-CREATE, twice; N-SET; N-SET of a step that has ended, and of none; N-GET."""
    uid, other = generate_uid(), generate_uid()
    begin, end, late = in_progress("P1"), ended(), ended("DISCONTINUED")
    seen, got = {}, {}
    for name in ROUTES:
        ris = Ris()
        with contextlib.closing(ris), inline.route(name, ris.address) as route:
            with modality(route.address, ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve) as scu:
                seen[name] = [
                    scu.send_n_create(begin, ModalityPerformedProcedureStep, uid),
                    scu.send_n_create(begin, ModalityPerformedProcedureStep, uid),
                    scu.send_n_set(end, ModalityPerformedProcedureStep, uid),
                    scu.send_n_set(late, ModalityPerformedProcedureStep, uid),
                    scu.send_n_set(late, ModalityPerformedProcedureStep, other),
                    scu.send_n_get([0x00400252, 0x00100020], ModalityPerformedProcedureStepRetrieve, uid),
                ]
            route.same_bytes()
        got[name] = ris.got
    assert [status.Status for status, _ in seen["direct"]] == [0x0000, 0x0111, 0x0000, 0x0110, 0x0112, 0x0000]
    assert seen["direct"][3][0].ErrorComment == "no longer in progress"
    assert seen["relay"] == seen["direct"]
    assert got["relay"] == got["direct"]


@pytest.fixture
def committing(tmp_path):
    """Starts an Orthanc that knows the modality at an address."""
    started = []

    def start(at: tuple[str, int]) -> orthanc.Orthanc:
        modalities = {"xa1": {"AET": "XA1", "Host": at[0], "Port": at[1], "AllowStorageCommitment": True}}
        folder = tmp_path / f"orthanc-{len(started)}"
        one = orthanc.start(folder, DicomModalities=modalities, DicomAet="PACS", DicomCheckCalledAet=True)
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()


def test_storage_commitment_by_orthanc(inline, committing, objects_folder):
    """Orthanc tells on an association of its own, to the AE title that asked."""
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    instance, missing = source.dataset.SOPInstanceUID, generate_uid()
    request = requested(instance, missing)
    seen = {}
    for name in ROUTES:
        asking = Commitment()
        with contextlib.closing(asking), inline.back(name, asking.address) as back:
            archive = committing(back.address)
            with inline.route(name, archive.dimse) as route:
                stored = store(route.address, source.path, called="PACS")
                with asking.ask(route.address, request) as status:
                    pass
                wait_for(lambda asking=asking: asking.told, "N-EVENT-REPORT")
                route.same_bytes()
            assert len(back.same_bytes()) == 1
        [(event_type, told)] = asking.told
        assert told.TransactionUID == request.TransactionUID
        seen[name] = stored, status, event_type, told
    stored, status, event_type, told = seen["direct"]
    assert (stored, status, event_type) == ([0x0000], 0x0000, 2)
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [instance]
    assert [item.ReferencedSOPInstanceUID for item in told.FailedSOPSequence] == [missing]
    assert seen["relay"] == seen["direct"]


class Archive:
    """An SCP that commits to everything, and tells so while the modality's association is still open:
    on that one, or on one that it opens itself."""

    def __init__(self, reverse: tuple[str, int] | None) -> None:
        self._reverse = reverse
        self.got: list[Dataset] = []
        self.answered: list[int] = []
        ae = AE(ae_title="PACS")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_N_ACTION, self._action), (evt.EVT_ASYNC_OPS, lambda event: (1, 1))]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.address = self._server.server_address[:2]

    def _action(self, event):
        self.got.append(event.action_information)
        return 0x0000, None

    def tell(self) -> None:
        """N-EVENT-REPORT of what was last asked for."""
        if self._reverse is None:
            [association] = self._server.active_associations
            self._report(association)
        else:
            role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
            ae = AE(ae_title="PACS")
            ae.add_requested_context(StorageCommitmentPushModel)
            association = ae.associate(*self._reverse, ae_title="XA1", ext_neg=[role])
            assert association.is_established
            self._report(association)
            association.release()

    def _report(self, association) -> None:
        status, _ = association.send_n_event_report(
            self.got[-1], 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        self.answered.append(status.Status)

    def close(self) -> None:
        self._server.shutdown()


@pytest.mark.parametrize("on", ["same-association", "reverse-association"])
def test_storage_commitment_is_told_while_the_association_is_open(inline, on):
    request = requested(generate_uid(), generate_uid())
    seen = {}
    for name in ROUTES:
        asking = Commitment()
        with contextlib.closing(asking), inline.back(name, asking.address) as back:
            archive = Archive(back.address if on == "reverse-association" else None)
            with contextlib.closing(archive), inline.route(name, archive.address) as route:
                with asking.ask(route.address, request) as status:
                    archive.tell()
                route.same_bytes()
            back.same_bytes()
        assert archive.got == [request]
        seen[name] = status, archive.answered, asking.told
    assert seen["direct"] == (0x0000, [0x0000], [(1, request)])
    assert seen["relay"] == seen["direct"]
