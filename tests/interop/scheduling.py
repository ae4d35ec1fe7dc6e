"""What a RIS has for us: scheduled procedure steps, a Modality Worklist SCP and an MPPS SCP of pynetdicom
that hold what they get against PS3.4, and a worklist over the web."""

from __future__ import annotations

import asyncio
import datetime
import json
import queue
import ssl
import threading
import urllib.parse

import hypercorn.asyncio
import pydicom
from hypercorn.config import Config
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep, ModalityWorklistInformationFind

from destination import answer
from gateway import free_port
from pki import Authority

PATIENCE = 30.0


def today(days: int = 0) -> str:
    return (datetime.date.today() + datetime.timedelta(days=days)).strftime("%Y%m%d")


def scheduled(patient_id: str, name: str, *, station: str = "XA1", modality: str = "XA", date: str | None = None):
    """One entry, in UTF-8."""
    entry = pydicom.Dataset()
    entry.SpecificCharacterSet = "ISO_IR 192"
    entry.PatientName, entry.PatientID, entry.IssuerOfPatientID = name, patient_id, "HOSPITAL"
    entry.PatientBirthDate, entry.PatientSex = "19700102", "F"
    entry.AccessionNumber, entry.ReferringPhysicianName = f"ACC-{patient_id}", "Referrer^Rita"
    entry.RequestingPhysician, entry.AdmissionID = "Asker^Anna", f"ADM-{patient_id}"
    entry.StudyInstanceUID = generate_uid(entropy_srcs=[patient_id])
    entry.RequestedProcedureID, entry.RequestedProcedureDescription = f"RP-{patient_id}", "Coronary angiography"
    step = pydicom.Dataset()
    step.ScheduledStationAETitle, step.ScheduledStationName = station, "CATH1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = date or today(), "080000"
    step.Modality, step.ScheduledPerformingPhysicianName = modality, "Performer^Paul"
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "Left heart", f"SPS-{patient_id}"
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "CA", "99FG", "Coronary angiography"
    step.ScheduledProtocolCodeSequence = Sequence([code])
    entry.ScheduledProcedureStepSequence = Sequence([step])
    return entry


class Scp:
    """An SCP of pynetdicom on a free port, over TLS with a `context`."""

    def __init__(self, sop_class: str, handlers: list, context: ssl.SSLContext | None = None) -> None:
        ae = AE(ae_title="RIS")
        ae.require_called_aet = True
        ae.add_supported_context(sop_class)
        self._ae, self._handlers, self._context = ae, handlers, context
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.restart()

    def restart(self) -> None:
        """Listens (again), at the same address."""
        self._server = self._ae.start_server(
            ("127.0.0.1", self._port), block=False, ssl_context=self._context, evt_handlers=self._handlers
        )

    def close(self) -> None:
        self._server.shutdown()


class Worklist(Scp):
    """A Modality Worklist SCP with these entries, which matches as Table K.6-1 asks."""

    def __init__(self, entries: list, context: ssl.SSLContext | None = None) -> None:
        self.entries = entries
        self.asked: list[pydicom.Dataset] = []
        self.cancelled = threading.Event()
        self.status: int | None = None
        super().__init__(ModalityWorklistInformationFind, [(evt.EVT_C_FIND, self._find)], context)

    def _find(self, event):
        identifier = event.identifier
        self.asked.append(identifier)
        if self.status is not None:
            yield self.status, None
            return
        for entry in list(self.entries):
            if event.is_cancelled:
                self.cancelled.set()
                yield 0xFE00, None
                return
            if matches(identifier.ScheduledProcedureStepSequence[0], entry):
                yield 0xFF00, entry


def matches(keys, entry) -> bool:
    """Whether an entry matches station, modality and day."""
    step = entry.ScheduledProcedureStepSequence[0]
    first, _, last = keys.get("ScheduledProcedureStepStartDate", "").partition("-")
    return (
        (not keys.get("ScheduledStationAETitle") or keys.ScheduledStationAETitle == step.ScheduledStationAETitle)
        and (not keys.get("Modality") or keys.Modality == step.Modality)
        and (not first or first <= step.ScheduledProcedureStepStartDate <= (last or first))
    )


class WebWorklist:
    """The search of PS3.18 section 14.4 over HTTPS."""

    def __init__(self, authority: Authority, entries: list, token: str | None = None) -> None:
        self.entries, self._token = entries, token
        self.asked: list[dict[str, str]] = []
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}/ris"
        leaf = authority.leaf("worklist", server=True)
        config = Config()
        config.bind = [f"127.0.0.1:{self._port}"]
        config.errorlog = None
        config.certfile, config.keyfile = str(leaf.certificate), str(leaf.key)
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        serve = hypercorn.asyncio.serve(self._app, config, shutdown_trigger=self._stop.wait)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(serve,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    async def _app(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"] != "/ris/modality-scheduled-procedure-steps":
            await answer(send, 404, b"")
        elif self._token and headers.get("authorization") != f"Bearer {self._token}":
            await answer(send, 401, b"")
        elif headers.get("accept") != "application/dicom+json":
            await answer(send, 406, b"")
        else:
            query = dict(urllib.parse.parse_qsl(scope["query_string"].decode()))
            self.asked.append(query)
            keys = pydicom.Dataset()
            for key, value in query.items():
                sequence, _, attribute = key.partition(".")
                if sequence == "00400100":
                    keyword = pydicom.datadict.keyword_for_tag(int(attribute, 16))
                    setattr(keys, keyword, value)
            found = [entry.to_json_dict() for entry in self.entries if matches(keys, entry)]
            if found:
                await answer(send, 200, json.dumps(found[: int(query["limit"])]).encode())
            else:
                await answer(send, 204, b"")


# Table F.7.2-1 for the SCU, N-CREATE: attributes of type 1, of type 2, and of the items of Scheduled Step
# Attributes Sequence.
CREATE_1 = {
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
}
CREATE_2 = {
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "StudyID",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
}
STEP_1 = {"StudyInstanceUID"}
STEP_2 = {
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
}
SERIES_1 = {"ProtocolName", "SeriesInstanceUID"}
SERIES_2 = {
    "PerformingPhysicianName",
    "OperatorsName",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
}
# What an N-SET of ours may change.
SET = {
    "SpecificCharacterSet",
    "PerformedProcedureStepStatus",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "PerformedSeriesSequence",
}


def require(dataset, with_value: set[str], present: set[str]) -> None:
    """Type 1 attributes have a value, type 2 attributes are there."""
    for keyword in with_value:
        assert dataset.get(keyword), keyword
    for keyword in present:
        assert keyword in dataset, keyword


class Mpps(Scp):
    """An MPPS SCP that keeps its steps, and what is wrong with a message; answers with the statuses that it is
    given, then as PS3.4 asks."""

    def __init__(self, *statuses: int, context: ssl.SSLContext | None = None) -> None:
        self.steps: dict[str, pydicom.Dataset] = {}
        self.told: queue.Queue = queue.Queue()
        self.wrong: list[str] = []
        self._statuses = list(statuses)
        handlers = [(evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]
        super().__init__(ModalityPerformedProcedureStep, handlers, context)

    def next(self):
        """The kind, UID and data set of the next message."""
        return self.told.get(timeout=PATIENCE)

    def _create(self, event):
        uid, new = event.request.AffectedSOPInstanceUID, event.attribute_list
        self.told.put(("create", uid, new))
        if self._statuses and (status := self._statuses.pop(0)):
            return status, None
        if uid in self.steps:
            return 0x0111, None
        try:
            require(new, CREATE_1, CREATE_2)
            for item in new.ScheduledStepAttributesSequence:
                require(item, STEP_1, STEP_2)
            assert new.PerformedProcedureStepStatus == "IN PROGRESS"
            assert len(new.PerformedSeriesSequence) == 0
        except AssertionError as error:
            self.wrong.append(f"N-CREATE: {error}")
            return 0x0106, None
        self.steps[uid] = new
        return 0x0000, new

    def _set(self, event):
        uid, change = event.request.RequestedSOPInstanceUID, event.modification_list
        self.told.put(("set", uid, change))
        if self._statuses and (status := self._statuses.pop(0)):
            return status, None
        if uid not in self.steps:
            self.wrong.append("N-SET before N-CREATE")
            return 0x0112, None
        try:
            assert {element.keyword for element in change} <= SET
            assert change.PerformedProcedureStepStatus in ("COMPLETED", "DISCONTINUED")
            require(change, {"PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"}, set())
            assert len(change.PerformedSeriesSequence) > 0, "no series"
            for item in change.PerformedSeriesSequence:
                require(item, SERIES_1, SERIES_2)
                for image in item.ReferencedImageSequence:
                    require(image, {"ReferencedSOPClassUID", "ReferencedSOPInstanceUID"}, set())
        except AssertionError as error:
            self.wrong.append(f"N-SET: {error}")
            return 0x0106, None
        self.steps[uid].update(change)
        return 0x0000, self.steps[uid]
