"""What captures perform is told to a RIS by MPPS: pynetdicom as the SCP, which holds each message against PS3.4
Table F.7.2-1. The steps survive a RIS that is away, refuses, or loses answers."""

from __future__ import annotations

import ssl

import pydicom
import pytest

import clips
import scheduling
from gateway import Gateway, wait_for
from pki import Authority

OPERATE = {"anonymous": ["search", "retrieve", "operate"]}
DICOM_JSON = {"Content-Type": "application/dicom+json"}


@pytest.fixture
def clip(tmp_path):
    return clips.grey(tmp_path)


@pytest.fixture
def peer():
    one = scheduling.Mpps()
    yield one
    one.close()
    assert not one.wrong, one.wrong


def room(clip, peer: scheduling.Mpps, **more) -> dict:
    """Sections of a capture that waits for its operator, and of the peer that is told."""
    return {
        "access": OPERATE,
        "capture__room": {"device": clip.device, "pixels": "grey", "modality": "XA", "mpps": "ris", "series": "operator"},
        "mpps__ris": {"address": peer.address, "ae_title": "RIS", "calling_ae_title": "GATE", **more},
    }


def operate(gateway: Gateway, http, action: str) -> None:
    assert http.post(f"{gateway.base}/operations/captures/room/{action}").status_code == 200


def image(gateway: Gateway, http, **values: str) -> None:
    """Says who is imaged."""
    said = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(said, keyword, value)
    url = f"{gateway.base}/operations/captures/room/patient"
    assert http.put(url, data=said.to_json(), headers=DICOM_JSON).status_code == 204


def series(gateway: Gateway, http) -> dict:
    """The capture, once it has a series open."""
    url = f"{gateway.base}/operations/captures/room"

    def open_series():
        shown = http.get(url).json()
        return shown if shown["series"] else None

    return wait_for(open_series, "the capture has a series")


def instances(gateway: Gateway, http, shown: dict) -> list[pydicom.Dataset]:
    url = f"{gateway.base}/studies/{shown['study']}/series/{shown['series']}/metadata"
    answer = http.get(url)
    return [pydicom.Dataset.from_json(one) for one in answer.json()] if answer.status_code == 200 else []


def test_a_step_begins_and_ends_with_its_instances(own_gateway, clip, peer, http):
    gateway = own_gateway(**room(clip, peer))
    image(gateway, http, PatientName="Müller^Jürgen", PatientID="P1", AccessionNumber="A1", StudyInstanceUID="1.2.3.4")
    operate(gateway, http, "start")
    kind, uid, created = peer.next()
    assert kind == "create"
    assert (created.PatientName, created.PatientID) == ("Müller^Jürgen", "P1")
    assert created.PerformedStationAETitle == "GATE" and created.Modality == "XA"
    [scheduled] = created.ScheduledStepAttributesSequence
    assert (scheduled.StudyInstanceUID, scheduled.AccessionNumber) == ("1.2.3.4", "A1")
    shown = series(gateway, http)
    assert shown["study"] == "1.2.3.4"
    [one, *_] = wait_for(lambda: instances(gateway, http, shown), "instances")
    [reference] = one.ReferencedPerformedProcedureStepSequence
    assert reference.ReferencedSOPInstanceUID == uid
    assert one.PerformedProcedureStepID == created.PerformedProcedureStepID

    # The study is over when the operator takes the patient back.
    operate(gateway, http, "stop")
    assert http.delete(f"{gateway.base}/operations/captures/room/patient").status_code == 204
    kind, same, ended = peer.next()
    assert (kind, same) == ("set", uid)
    assert ended.PerformedProcedureStepStatus == "COMPLETED"
    [performed] = ended.PerformedSeriesSequence
    assert performed.SeriesInstanceUID == shown["series"]
    told = {item.ReferencedSOPInstanceUID for item in performed.ReferencedImageSequence}
    assert told == {one.SOPInstanceUID for one in instances(gateway, http, shown)}
    sent = 'framegate_mpps_messages_total{peer="ris",message="set",outcome="sent"}'
    wait_for(lambda: gateway.metrics().get(sent) == 1, "the N-SET is counted")
    for text in ("Müller", "P1", "1.2.3.4"):
        assert text not in gateway.output, text


def test_each_study_is_a_step_of_its_own(own_gateway, clip, peer, http):
    gateway = own_gateway(**room(clip, peer))
    image(gateway, http, PatientName="One^Patient", PatientID="P1")
    operate(gateway, http, "start")
    _, first, _ = peer.next()
    series(gateway, http)
    image(gateway, http, PatientName="Other^Patient", PatientID="P2")
    told = [peer.next(), peer.next()]
    assert [(kind, uid == first) for kind, uid, _ in told] in (
        [("set", True), ("create", False)],
        [("create", False), ("set", True)],
    )
    [second] = [dataset for kind, _, dataset in told if kind == "create"]
    assert second.PatientID == "P2"
    assert gateway.stop() == 0, gateway.output


def test_a_ris_that_is_away_is_told_later_under_the_same_uids(own_gateway, clip, peer, http):
    peer.close()
    gateway = own_gateway(**room(clip, peer))
    operate(gateway, http, "start")
    shown = series(gateway, http)
    wait_for(lambda: instances(gateway, http, shown), "instances")
    operate(gateway, http, "stop")
    image(gateway, http, PatientName="Next^Patient", PatientID="P2")
    gateway.wait_for_line(r"performed procedure steps cannot be told.*\[mpps\.ris\]")
    peer.restart()
    (begun, uid, created), (ended, same, change) = peer.next(), peer.next()
    assert (begun, ended, uid) == ("create", "set", same)
    # Who is imaged was generated, and is told as it stands in the instances.
    [one, *_] = instances(gateway, http, shown)
    assert (created.PatientID, created.PatientName) == (one.PatientID, one.PatientName)
    assert len(change.PerformedSeriesSequence[0].ReferencedImageSequence) > 0
    assert len(peer.steps) == 1


def test_what_may_pass_is_tried_again_and_a_duplicate_counts(own_gateway, clip, http):
    # The first try is answered with a failure though it had arrived: the second one is a duplicate.
    peer = scheduling.Mpps(0x0110, 0x0111)
    try:
        gateway = own_gateway(**room(clip, peer))
        operate(gateway, http, "start")
        (_, first, _), (_, second, _) = peer.next(), peer.next()
        assert first == second
        sent = 'framegate_mpps_messages_total{peer="ris",message="create",outcome="sent"}'
        wait_for(lambda: gateway.metrics().get(sent) == 1, "the duplicate counts as told")
    finally:
        peer.close()


def test_a_step_that_is_refused_is_said_and_the_next_one_told(own_gateway, clip, http):
    peer = scheduling.Mpps(0x0106)
    try:
        gateway = own_gateway(**room(clip, peer))
        operate(gateway, http, "start")
        peer.next()
        gateway.wait_for_line("refused, and is not told again: it answers the N-CREATE with status 0106H")
        image(gateway, http, PatientName="Other^Patient", PatientID="P2")
        kind, _, created = peer.next()
        assert (kind, created.PatientID) == ("create", "P2")
    finally:
        peer.close()


def test_when_the_service_stops_the_ris_knows(own_gateway, clip, peer, http):
    gateway = own_gateway(**room(clip, peer))
    operate(gateway, http, "start")
    _, uid, _ = peer.next()
    series(gateway, http)
    assert gateway.stop() == 0, gateway.output
    kind, same, ended = peer.next()
    assert (kind, same) == ("set", uid)
    assert ended.PerformedProcedureStepStatus in ("COMPLETED", "DISCONTINUED")


def test_over_tls_with_a_certificate_of_ours(own_gateway, clip, authority, http):
    server = Authority.leaf(authority, "ris", server=True)
    client = Authority.leaf(authority, "gate", server=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    peer = scheduling.Mpps(context=context)
    try:
        files = {"ca": str(authority.ca), "certificate": str(client.certificate), "key": str(client.key)}
        gateway = own_gateway(**room(clip, peer, **files))
        operate(gateway, http, "start")
        assert peer.next()[0] == "create"
    finally:
        peer.close()
