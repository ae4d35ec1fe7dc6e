"""A RIS and an archive by pynetdicom, as far as MPPS and storage commitment go, and the modality that
talks to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from objects import XA

Address = tuple[str, int]


def in_progress(patient: str, *, accession: str = "A1", study: str | None = None, station: str = "XA1") -> Dataset:
    """What N-CREATE carries (PS3.4 Table F.7.2-1): types 1 and 2 are all there."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study or generate_uid()
    scheduled.ReferencedStudySequence = []
    scheduled.AccessionNumber = accession
    scheduled.RequestedProcedureID = f"RP-{accession}"
    scheduled.RequestedProcedureDescription = "Coronary angiography"
    scheduled.ScheduledProcedureStepID = f"SPS-{accession}"
    scheduled.ScheduledProcedureStepDescription = "Angiography"
    scheduled.ScheduledProtocolCodeSequence = []
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ScheduledStepAttributesSequence = [scheduled]
    ds.PatientName = f"Patient^{patient}=患者^{patient}"
    ds.PatientID = patient
    ds.PatientBirthDate, ds.PatientSex = "19700101", "O"
    ds.ReferencedPatientSequence = []
    ds.PerformedProcedureStepID = f"PPS-{accession}"
    ds.PerformedStationAETitle = station
    ds.PerformedStationName = ds.PerformedLocation = ""
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20260102", "101112"
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.PerformedProcedureStepDescription = ds.PerformedProcedureTypeDescription = ""
    ds.ProcedureCodeSequence = []
    ds.PerformedProcedureStepEndDate = ds.PerformedProcedureStepEndTime = ""
    ds.Modality = "XA"
    ds.StudyID = ""
    ds.PerformedProtocolCodeSequence = []
    ds.PerformedSeriesSequence = []
    return ds


def ended(status: str = "COMPLETED") -> Dataset:
    """What N-SET carries at the end of a step."""
    series = Dataset()
    series.PerformingPhysicianName = series.OperatorsName = ""
    series.ProtocolName = "Angiography"
    series.SeriesInstanceUID = generate_uid()
    series.SeriesDescription = series.RetrieveAETitle = ""
    series.ReferencedImageSequence = []
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    ds = Dataset()
    ds.PerformedProcedureStepStatus = status
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = "20260102", "102112"
    ds.PerformedSeriesSequence = [series]
    return ds


def bytes_of(stream) -> bytes | None:
    """A data set as it came."""
    return stream.getvalue() if stream is not None else None


class Ris:
    """An SCP of MPPS: keeps steps, and the bytes of every data set that it got."""

    def __init__(self) -> None:
        self.got: list[tuple] = []
        self.steps: dict[str, Dataset] = {}
        ae = AE(ae_title="PACS")
        ae.add_supported_context(ModalityPerformedProcedureStep)
        ae.add_supported_context(ModalityPerformedProcedureStepRetrieve)
        handlers = [(evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set), (evt.EVT_N_GET, self._get)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.address: Address = self._server.server_address[:2]

    def _create(self, event):
        uid = event.request.AffectedSOPInstanceUID
        self.got.append(("N-CREATE", uid, bytes_of(event.request.AttributeList)))
        if uid in self.steps:
            return 0x0111, None
        self.steps[uid] = event.attribute_list
        return 0x0000, event.attribute_list

    def _set(self, event):
        uid = event.request.RequestedSOPInstanceUID
        self.got.append(("N-SET", uid, bytes_of(event.request.ModificationList)))
        if uid not in self.steps:
            return 0x0112, None
        if self.steps[uid].PerformedProcedureStepStatus != "IN PROGRESS":
            # May no longer be updated (PS3.4 Table F.7.2-2).
            answer = Dataset()
            answer.Status, answer.ErrorID, answer.ErrorComment = 0x0110, 0xA710, "no longer in progress"
            return answer, None
        self.steps[uid].update(event.modification_list)
        return 0x0000, event.modification_list

    def _get(self, event):
        uid = event.request.RequestedSOPInstanceUID
        self.got.append(("N-GET", uid, tuple(event.request.AttributeIdentifierList or ())))
        return (0x0000, self.steps[uid]) if uid in self.steps else (0x0112, None)

    def close(self) -> None:
        self._server.shutdown()


@contextlib.contextmanager
def modality(address: Address, *contexts: UID, called: str = "PACS", calling: str = "XA1", **more) -> Iterator:
    """An association of the modality, released at the end."""
    ae = AE(ae_title=calling)
    for context in contexts:
        ae.add_requested_context(context)
    association = ae.associate(*address, ae_title=called, **more)
    assert association.is_established, "association refused"
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def requested(*instances: str) -> Dataset:
    """What N-ACTION asks to commit to (PS3.4 Table J.3-1): XA images."""
    ds = Dataset()
    ds.TransactionUID = generate_uid()
    ds.ReferencedSOPSequence = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = XA, instance
        ds.ReferencedSOPSequence.append(item)
    return ds


class Commitment:
    """The modality's side of storage commitment: asks, and is told, on the association that it has
    opened or, as an SCP, on one that the archive opens."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Dataset]] = []
        ae = AE(ae_title="XA1")
        # The archive is the SCP on the association that it opens (PS3.4 J.3.3).
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self._handlers = [(evt.EVT_N_EVENT_REPORT, self._report)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=self._handlers)
        self.address: Address = self._server.server_address[:2]

    def _report(self, event):
        self.told.append((event.request.EventTypeID, event.event_information))
        return 0x0000, None

    @contextlib.contextmanager
    def ask(self, address: Address, request: Dataset) -> Iterator[int]:
        """N-ACTION; yields its status while the association stays open."""
        role = build_role(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        options = {"ext_neg": [role], "evt_handlers": self._handlers}
        with modality(address, StorageCommitmentPushModel, **options) as association:
            status, _ = association.send_n_action(
                request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            yield status.Status

    def close(self) -> None:
        self._server.shutdown()
