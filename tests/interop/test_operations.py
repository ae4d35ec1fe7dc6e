"""Captures are operated over the wire: looked at, started, stopped and told of their patient, by whom
it is granted, and by nobody else; and no patient is to be read back or found in the log."""

from __future__ import annotations

import json

import pydicom
import pytest
import requests

from gateway import wait_for

DICOM_JSON = "application/dicom+json"
CAPTURES = "/operations/captures"
SHOWN = {
    "name", "state", "advice", "device", "profile", "format", "study", "series", "running", "context", "warnings"
}


def said(**values: str) -> str:
    """A patient as an application that knows DICOM would write one."""
    dataset = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset.to_json()


@pytest.fixture
def room(own_gateway):
    """A gateway with a capture; its device need not be there."""
    return own_gateway(
        access={"anonymous": ["search", "operate"]},
        capture__room={"device": "/dev/video0"},
    )


def refused(answer: requests.Response, status: int, kind: str) -> str:
    """The detail of the problem that a refusal tells."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:framegate:problem:{kind}"
    return answer.json()["detail"]


def patient(http, room, content, **headers) -> requests.Response:
    headers = {"Content-Type": DICOM_JSON} | headers
    return http.put(f"{room.base}{CAPTURES}/room/patient", data=content, headers=headers)


def test_captures_are_listed_and_looked_at(room, http):
    listed = http.get(room.base + CAPTURES)
    assert listed.status_code == 200 and listed.headers["content-type"] == "application/json"
    assert listed.headers["cache-control"] == "no-store"
    (one,) = listed.json()
    assert one.keys() == SHOWN and one["name"] == "room" and one["running"] is None

    def state():
        return http.get(f"{room.base}{CAPTURES}/room").json()["state"]

    wait_for(state, "the capture has looked for its device")
    assert http.head(f"{room.base}{CAPTURES}/room").status_code == 200


def test_a_capture_is_started_and_stopped(room, http):
    for action, running in [("stop", False), ("stop", False), ("start", True), ("start", True), ("stop", False)]:
        answer = http.post(f"{room.base}{CAPTURES}/room/{action}")
        assert answer.status_code == 200 and answer.json().keys() == SHOWN
        assert answer.json()["running"] is running
        assert http.get(f"{room.base}{CAPTURES}/room").json()["running"] is running
    changes = [line for line in room.output.splitlines() if "a capture is operated" in line]
    assert len(changes) == 3, changes
    assert all("room" in line and "anonymous" in line for line in changes)


def test_who_is_imaged_is_said_and_taken_back_and_never_shown(room, http):
    secret = {"PatientName": "Geheim^Gretel", "PatientID": "SECRET-4711", "AccessionNumber": "SECRET-A1"}
    whole = said(
        **secret,
        PatientBirthDate="19700101",
        PatientSex="F",
        StudyInstanceUID="1.2.840.99999.1",
        StudyID="S1",
        ReferringPhysicianName="Überweiser^Ulf",
        StudyDescription="Herzkatheter",
    )
    for _ in range(2):
        answer = patient(http, room, whole)
        assert answer.status_code == 204 and answer.content == b""
    shown = http.get(room.base + CAPTURES).text
    (one,) = json.loads(shown)
    assert one["context"]["PatientID"] == "operator" and "StudyDescription" in one["context"]
    assert one["warnings"] == []
    refusal = refused(patient(http, room, said(PatientID="SECRET\\4711")), 400, "bad-order")
    assert "PatientID (0010,0020)" in refusal
    for _ in range(2):
        assert http.delete(f"{room.base}{CAPTURES}/room/patient").status_code == 204
    actions = [line for line in room.output.splitlines() if "a capture is operated" in line]
    assert ["withdraw" in line for line in actions] == [False, True], actions
    for text in (shown, refusal, room.output):
        assert "SECRET" not in text and "Geheim" not in text


def test_what_is_no_patient_is_refused(room, http):
    good = said(PatientID="4711")
    for content, kind, names in [
        ("{", "bad-body", "DICOM JSON"),
        (f"[{good}]", "bad-body", "DICOM JSON"),
        ("\xff\xfe".encode("latin-1"), "bad-body", "DICOM JSON"),
        ("{}", "bad-order", "no attribute"),
        (said(PatientID="4711", Modality="XA"), "bad-order", "Modality (0008,0060)"),
        (said(PatientID="4711", PatientBirthDate="20230229"), "bad-order", "PatientBirthDate (0010,0030)"),
        (json.dumps({"00100020": {"vr": "LO", "Value": {}}}), "bad-body", "(0010,0020)"),
    ]:
        assert names in refused(patient(http, room, content), 400, kind)
    for media in ("application/json", "text/plain"):
        refused(patient(http, room, good, **{"Content-Type": media}), 415, "unsupported-media-type")
    refused(patient(http, room, good, **{"Content-Encoding": "gzip"}), 415, "unsupported-media-type")
    refused(patient(http, room, good + " " * (64 << 10)), 413, "content-too-large")
    refused(patient(http, room, iter([b" " * (64 << 10), good.encode()])), 413, "content-too-large")
    assert patient(http, room, good + " " * 1024).status_code == 204
    asked = http.put(f"{room.base}{CAPTURES}/room/patient?PatientID=1", data=good, headers={"Content-Type": DICOM_JSON})
    refused(asked, 400, "unexpected-parameter")


def test_an_emergency_is_somebody_new_until_it_is_taken_back(room, http):
    for _ in range(2):
        answer = http.post(f"{room.base}{CAPTURES}/room/emergency")
        assert answer.status_code == 200 and answer.json().keys() == SHOWN
        assert answer.json()["context"]["PatientID"] == "operator"
    assert http.delete(f"{room.base}{CAPTURES}/room/patient").status_code == 204
    assert http.get(f"{room.base}{CAPTURES}/room").json()["context"] == {}
    actions = [line for line in room.output.splitlines() if "a capture is operated" in line]
    assert ["emergency" in line for line in actions] == [True, True, False], actions
    assert "FG-E-" not in room.output


def test_a_step_that_nobody_scheduled_is_not_invented(room, http):
    listed = http.get(f"{room.base}/operations/worklist")
    assert listed.status_code == 200 and listed.json() == []
    assert listed.headers["content-type"] == DICOM_JSON and listed.headers["cache-control"] == "no-store"
    step = f"{room.base}{CAPTURES}/room/step"
    for media, content, status, kind in [
        (DICOM_JSON, said(AccessionNumber="SECRET"), 404, "no-entry"),
        ("text/plain; charset=utf-8", "SECRET\r\n", 404, "no-entry"),
        ("text/plain", "\r\n", 400, "bad-keys"),
        (DICOM_JSON, said(Modality="SECRET"), 400, "bad-keys"),
        ("application/json", "{}", 415, "unsupported-media-type"),
    ]:
        refusal = refused(http.put(step, data=content, headers={"Content-Type": media}), status, kind)
        assert "SECRET" not in refusal
    assert http.get(f"{room.base}{CAPTURES}/room").json()["context"] == {}
    assert "SECRET" not in room.output


def test_other_names_and_methods(room, http):
    base = room.base + CAPTURES
    for answer in [
        http.get(f"{base}/theatre"),
        http.post(f"{base}/theatre/start"),
        http.post(f"{base}/theatre/stop"),
        http.put(f"{base}/theatre/patient", data=said(PatientID="1"), headers={"Content-Type": DICOM_JSON}),
        http.delete(f"{base}/theatre/patient"),
        http.put(f"{base}/theatre/step", data="1", headers={"Content-Type": "text/plain"}),
        http.post(f"{base}/theatre/emergency"),
    ]:
        refused(answer, 404, "no-capture")
    for path, allow in [
        ("", "GET, HEAD, OPTIONS"),
        ("/room", "GET, HEAD, OPTIONS"),
        ("/room/start", "POST, OPTIONS"),
        ("/room/stop", "POST, OPTIONS"),
        ("/room/patient", "PUT, DELETE, OPTIONS"),
        ("/room/step", "PUT, OPTIONS"),
        ("/room/emergency", "POST, OPTIONS"),
    ]:
        answer = http.patch(base + path)
        refused(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allow
    # Nobody reads back who is imaged.
    refused(http.get(f"{base}/room/patient"), 405, "method-not-allowed")


def test_capabilities_have_the_operations(room, http):
    told = http.options(room.base + "/", headers={"Accept": "application/vnd.sun.wadl+xml"})
    assert "PUT" in told.headers["allow"].split(", ")
    for method in (
        "ListCaptures", "LookAtCapture", "StartCapture", "StopCapture", "SetPatientOfCapture", "DeletePatientOfCapture",
        "SetStepOfCapture", "EmergencyAtCapture", "ListWorklist",
    ):
        assert f'id="{method}"' in told.text


def test_nobody_operates_who_was_not_granted_it(own_gateway, http):
    gateway = own_gateway(
        access={"anonymous": ["search", "retrieve", "send", "subscribe"]},
        capture__room={"device": "/dev/video0"},
    )
    base = gateway.base + CAPTURES
    headers = {"Content-Type": DICOM_JSON}
    for answer in [
        http.get(base),
        http.get(f"{base}/room"),
        http.get(f"{base}/theatre"),
        http.post(f"{base}/room/start"),
        http.post(f"{base}/room/stop"),
        http.put(f"{base}/room/patient", data=said(PatientID="SECRET"), headers=headers),
        http.delete(f"{base}/room/patient"),
    ]:
        refused(answer, 401, "unauthenticated")
    assert "a capture is operated" not in gateway.output
