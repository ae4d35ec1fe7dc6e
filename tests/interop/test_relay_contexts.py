"""MPPS that passes a relay says whom the modality images, and so whose the frames of its video are: a
step that begins opens a series with its patient and order, one that ends completes it, and a frame
never carries another patient than the one who was imaged when it was captured."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time

import pydicom
import pytest
from pydicom.uid import generate_uid
from pynetdicom.sop_class import ModalityPerformedProcedureStep as MPPS

import channel
import clips
from channel import Channel, subscribe
from gateway import Gateway, wait_for
from live import LiveRead, part10
from objects import picture
from ris import Ris, ended, in_progress, modality
from test_capture import captured_at, grey_clip

RIGHTS = {"anonymous": ["search", "retrieve", "operate", "subscribe"]}


@pytest.fixture
def room(own_gateway, tmp_path):
    """A capture of the modality XA1, and a relay to a RIS that its MPPS passes."""
    ris = Ris()
    device = grey_clip(tmp_path, "room", picture("mono8", 4, clips.ROWS, clips.COLUMNS), 100.0)
    with contextlib.closing(ris):
        yield own_gateway(
            access=RIGHTS,
            relay__pacs={"called_ae_title": "PACS", "address": "%s:%d" % ris.address},
            capture__room={"device": device, "pixels": "grey", "modality_ae_titles": ["XA1"]},
        )


class Follower:
    """Reads every series from its first instance to its end."""

    def __init__(self, gateway: Gateway, http) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self.instances: list[pydicom.FileDataset] = []
        self.completed: list[str] = []
        self._readers: list[threading.Thread] = []
        self._stopped = False
        _, url = subscribe(gateway, http, "/series/subscribers/FOLLOWER")
        self._channel = Channel(gateway, url)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with contextlib.suppress(Exception):
            while True:
                event = self._channel.event()
                if event.kind == channel.SERIES_BECOMING_AVAILABLE:
                    reader = threading.Thread(target=self._read, args=(event.retrieve,), daemon=True)
                    self._readers.append(reader)
                    reader.start()
                elif event.kind == channel.SERIES_COMPLETED:
                    with self._lock:
                        self.completed.append(event.of)

    def _read(self, url: str) -> None:
        read = LiveRead(self._gateway, url.removeprefix(self._gateway.base))
        while (part := read.next_part()) is not None:
            with self._lock:
                self.instances.append(part10(part))
            if self._stopped:
                read.hang_up()
                return

    def of(self, patient: str) -> list[pydicom.FileDataset]:
        with self._lock:
            return [one for one in self.instances if one.PatientID == patient]

    def stop(self) -> list[pydicom.FileDataset]:
        """Everything that has been read."""
        self._stopped = True
        self._channel.cut()
        for reader in self._readers:
            reader.join(20)
        return self.instances


@pytest.fixture
def follower(room, http):
    return Follower(room, http)


@dataclasses.dataclass
class Step:
    """A performed step, and when it certainly lasted: from the answer to N-CREATE to the N-SET."""

    patient: str
    uid: str = dataclasses.field(default_factory=generate_uid)
    study: str = dataclasses.field(default_factory=generate_uid)
    # Before N-CREATE was sent and after it was answered; the same of N-SET.
    asked: float = 0.0
    began: float = 0.0
    ending: float = 0.0
    over: float = 0.0

    @property
    def accession(self) -> str:
        return f"A-{self.patient}"

    def begin(self, scu) -> None:
        data = in_progress(self.patient, accession=self.accession, study=self.study)
        self.asked = time.time()
        status, _ = scu.send_n_create(data, MPPS, self.uid)
        self.began = time.time()
        assert status.Status == 0x0000

    def end(self, scu, status: str = "COMPLETED") -> None:
        data = ended(status)
        self.ending = time.time()
        answer, _ = scu.send_n_set(data, MPPS, self.uid)
        self.over = time.time()
        assert answer.Status == 0x0000


def test_a_step_that_begins_opens_a_series_with_its_context(room, follower):
    step = Step("P1")
    with modality(room.dimse, MPPS) as scu:
        step.begin(scu)
        instance = wait_for(lambda: follower.of("P1"), "a frame of P1")[0]
        step.end(scu)
    follower.stop()
    assert instance.PatientName == "Patient^P1=患者^P1"
    assert (instance.PatientBirthDate, instance.PatientSex) == ("19700101", "O")
    assert (instance.StudyInstanceUID, instance.AccessionNumber) == (step.study, step.accession)
    [request] = instance.RequestAttributesSequence
    assert request.RequestedProcedureID == f"RP-{step.accession}"
    assert request.ScheduledProcedureStepID == f"SPS-{step.accession}"
    [performed] = instance.ReferencedPerformedProcedureStepSequence
    assert (performed.ReferencedSOPClassUID, performed.ReferencedSOPInstanceUID) == (MPPS, step.uid)
    assert instance.PerformedProcedureStepID == f"PPS-{step.accession}"
    for secret in ("P1", step.accession, step.study):
        assert secret not in room.output


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_a_step_that_ends_completes_the_series(room, follower, status):
    step = Step("P1")
    with modality(room.dimse, MPPS) as scu:
        step.begin(scu)
        series = wait_for(lambda: follower.of("P1"), "a frame of P1")[0].SeriesInstanceUID
        step.end(scu, status)
        wait_for(lambda: series in follower.completed, "Series Completed")
    instances = follower.stop()
    assert {one.PatientID for one in instances if one.SeriesInstanceUID == series} == {"P1"}


def test_mpps_of_another_modality_says_nothing_of_this_room(room, follower):
    other, own = Step("OTHER"), Step("P1")
    with modality(room.dimse, MPPS, calling="XA2") as stranger, modality(room.dimse, MPPS) as scu:
        other.begin(stranger)
        own.begin(scu)
        wait_for(lambda: follower.of("P1"), "a frame of P1")
    assert not any(one.PatientID == "OTHER" for one in follower.stop())


def test_a_step_that_the_ris_refused_says_nothing(room, follower):
    """A duplicate (0111H) with another patient in it changes nothing."""
    step, forged = Step("P1"), Step("P2")
    forged.uid = step.uid
    with modality(room.dimse, MPPS) as scu:
        step.begin(scu)
        wait_for(lambda: follower.of("P1"), "a frame of P1")
        status, _ = scu.send_n_create(in_progress("P2", study=forged.study), MPPS, forged.uid)
        assert status.Status == 0x0111
        seen = len(follower.of("P1"))
        wait_for(lambda: len(follower.of("P1")) > seen + 20, "more frames of P1")
    assert not any(one.PatientID == "P2" for one in follower.stop())


def mixed(instances: list[pydicom.FileDataset], steps: list[Step]) -> list[str]:
    """What is wrong: instances whose patient was not imaged when they were captured, or whose
    attributes are of two patients."""
    by_patient = {step.patient: step for step in steps}
    wrong = []
    for one in instances:
        at, step = captured_at(one), by_patient.get(one.PatientID)
        if step is not None:
            if not step.asked <= at <= step.over:
                wrong.append(f"{step.patient} at {at - step.asked:+.4f} s of a step of {step.over - step.asked:.4f} s")
            if (one.StudyInstanceUID, one.AccessionNumber) != (step.study, step.accession):
                wrong.append(f"{step.patient} with the study of somebody else")
        certain = [other.patient for other in steps if other.began < at < other.ending]
        if certain and certain != [one.PatientID]:
            wrong.append(f"{one.PatientID} while {certain} was imaged")
        others = [other for other in steps if other is not step]
        if any(one.StudyInstanceUID == other.study or one.AccessionNumber == other.accession for other in others):
            wrong.append(f"{one.PatientID} with the order of somebody else")
    return wrong


def test_patients_in_turn_are_never_mixed(room, follower):
    """Twenty patients, each step beginning within a millisecond of the end of the one before."""
    steps = [Step(f"P{number}") for number in range(20)]
    with modality(room.dimse, MPPS) as scu, modality(room.dimse, MPPS) as second:
        for number, step in enumerate(steps):
            # On one association, and on two in turn.
            step.begin((scu, second)[number % 2])
            wait_for(lambda step=step: len(follower.of(step.patient)) >= 5, f"frames of {step.patient}")
            step.end(scu)
    instances = follower.stop()
    assert mixed(instances, steps) == []
    for series in {one.SeriesInstanceUID for one in instances}:
        assert len({one.PatientID for one in instances if one.SeriesInstanceUID == series}) == 1


def test_a_step_without_a_frame_leaves_none(room, follower):
    """Steps shorter than the time between two frames, one after the other."""
    steps = [Step(f"P{number}") for number in range(30)]
    with modality(room.dimse, MPPS) as scu:
        for step in steps:
            step.begin(scu)
            step.end(scu)
        last = Step("LAST")
        last.begin(scu)
        wait_for(lambda: follower.of("LAST"), "a frame of the last")
        last.end(scu)
    assert mixed(follower.stop(), [*steps, last]) == []
