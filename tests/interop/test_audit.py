"""The audit trail, as rsyslog gets it over TLS: who was let in, what went where, what was asked; and what becomes of it while
rsyslog is away."""

from __future__ import annotations

import base64

import pytest

from destination import Origin
from gateway import wait_for
from objects import EXPLICIT_LE, Recipe, build
from pki import Authority
from repository import Repository
from scu import store_all

FRAMES = 3
RECIPE = Recipe("xa", "mono8", EXPLICIT_LE, FRAMES, True)
SOURCE, DESTINATION = "Source Role ID", "Destination Role ID"
STUDY, PATIENT = "Study Instance UID", "Patient Number"


@pytest.fixture
def repository(authority, tmp_path):
    one = Repository(authority, tmp_path / "repository")
    yield one
    one.stop()


def instances(message) -> int:
    return sum(int(one.get("NumberOfInstances")) for one in message.root.iter("SOPClass"))


def test_what_is_sent_fetched_pushed_and_asked_is_told_with_whose_it_is(
    own_gateway, authority, repository, http, objects_folder
):
    repository.start()
    peer = Origin(authority, "2")
    gateway = own_gateway(
        audit=repository.settings(),
        destination__ai={"url": peer.url, "mode": "send", "ca": str(authority.ca)},
        subscription__ai={"search": "/series", "filter": "Modality=XA", "subscriber": "AI", "destination": "ai"},
        dicomweb__tls={"client_ca": str(authority.ca), "client_certificate_optional": True},
        principal__reader={"certificates": ["CN=reader"], "may": ["search", "retrieve"]},
    )
    gateway.wait_for_line("the application has started")
    source = build(RECIPE, objects_folder)
    store_all(gateway.dimse, source.path)
    for _ in range(FRAMES):
        peer.next_part()
    reader = authority.leaf("reader", server=False)
    http.cert = (str(reader.certificate), str(reader.key))
    found = http.get(f"{gateway.base}/studies", params={"PatientName": "Synth*"})
    assert found.status_code == 200, found.text
    series = f"{gateway.base}/studies/{source.study}/series/{source.series}"
    assert http.get(series, headers={"Accept": 'multipart/related; type="application/dicom"'}).status_code == 200
    assert http.get(f"{series}/metadata").status_code == 200
    assert gateway.stop() == 0, gateway.output
    peer.stop()

    (start,) = repository.wait_for(1, "Application Activity", "Application Start")
    (stop,) = repository.wait_for(1, "Application Activity", "Application Stop")
    us = start.participant("Application")
    assert us.get("AlternativeUserID") == "AETITLES=FRAMEGATE" and us.get("UserName").startswith("framegate ")
    assert us.get("UserID") == stop.participant("Application").get("UserID") == str(gateway.child.pid)

    begun = repository.wait_for(3, "Begin Transferring DICOM Instances")
    ended = repository.wait_for(3, "DICOM Instances Transferred")
    whom = {"PYNETDICOM": "sent", "reader": "fetched", "ai": "pushed"}

    def which(message) -> str:
        parties = " ".join(str(one.attrib) for one in message.root.findall("ActiveParticipant"))
        return next(word for name, word in whom.items() if name in parties)

    assert sorted(map(which, begun)) == sorted(map(which, ended)) == ["fetched", "pushed", "sent"]
    for message in begun + ended:
        assert message.header.split()[:4] == ["85", "1", "framegate", "DICOM+RFC3881"], message.header
        assert message.outcome == "0"
        assert message.object(STUDY).get("ParticipantObjectID") == source.study
        patient = message.object(PATIENT)
        assert patient.get("ParticipantObjectID") == "TEST-0001"
        assert patient.find("ParticipantObjectName").text == "Synthétique^Jörg=山田^太郎"
        here = message.participant(DESTINATION if which(message) == "sent" else SOURCE)
        assert here.get("UserID") == str(gateway.child.pid), message.document
        (requestor,) = (one for one in message.root.findall("ActiveParticipant") if one.get("UserIsRequestor") == "true")
        assert requestor is not here or which(message) == "pushed"
    assert [instances(message) for message in ended] == [FRAMES] * 3
    actions = {which(one): one.root.find("EventIdentification").get("EventActionCode") for one in ended}
    assert actions == {"sent": "C", "fetched": "R", "pushed": "R"}

    (login,) = repository.wait_for(1, "User Authentication")
    assert (login.kind, login.outcome) == ("Login", "0")
    person = login.root.find("ActiveParticipant")
    assert (person.get("UserID"), person.get("NetworkAccessPointID")) == ("reader", "127.0.0.1")
    (query,) = repository.wait_for(1, "Query")
    asked = query.object("URI")
    assert asked.get("ParticipantObjectID") == "/dicomweb/studies"
    text = base64.b64decode(asked.find("ParticipantObjectQuery").text).decode()
    assert text == "PatientName=Synth%2A"
    (read,) = repository.wait_for(1, "DICOM Instances Accessed")
    assert read.object(STUDY).get("ParticipantObjectID") == source.study
    assert repository.valid() >= 10

    # The journal has the same, without the patient.
    lines = [line for line in gateway.output.splitlines() if "framegate::audit" in line]
    assert sum("a transfer has ended" in line for line in lines) == 3, lines
    assert sum("a transfer begins" in line for line in lines) == 3, lines
    for secret in ("TEST-0001", "Synth", "Jörg", "山田"):
        assert secret not in gateway.output


def test_who_is_kept_out_is_told(own_gateway, authority, repository, http, objects_folder, tmp_path):
    repository.start()
    gateway = own_gateway(
        audit=repository.settings(),
        dicomweb__tls={"client_ca": str(authority.ca), "client_certificate_optional": True},
        principal__reader={"certificates": ["CN=reader"], "may": ["search"]},
        dimse={"calling_ae_titles": ["XA1"]},
    )
    with pytest.raises(AssertionError, match="association refused"):
        store_all(gateway.dimse, build(RECIPE, objects_folder).path)
    stranger = authority.leaf("stranger", server=False)
    http.cert = (str(stranger.certificate), str(stranger.key))
    for _ in range(3):
        assert http.get(f"{gateway.base}/studies").status_code == 401
    forged = Authority(tmp_path / "forged").leaf("reader", server=False)
    http.cert = (str(forged.certificate), str(forged.key))
    with pytest.raises(OSError):
        http.get(f"{gateway.base}/studies")
    alerts = repository.wait_for(2, "Security Alert")
    assert {(one.kind, one.outcome) for one in alerts} == {("Node Authentication", "4")}
    said = sorted(one.detail("Alert Description") for one in alerts)
    assert said[0] == "DIMSE: its AE title is not in dimse.calling_ae_titles"
    assert said[1].startswith("HTTPS: its TLS handshake failed: invalid peer certificate"), said
    (login,) = repository.wait_for(1, "User Authentication")
    assert (login.outcome, login.root.find("ActiveParticipant").get("UserID")) == ("4", "CN=stranger")
    assert gateway.stop() == 0, gateway.output
    assert len(repository.wait_for(1, "User Authentication")) == 1, "once for each connection"
    repository.valid()


def test_messages_wait_for_a_receiver_that_is_away_and_what_finds_no_room_is_told(own_gateway, repository, http):
    gateway = own_gateway(audit=repository.settings(queue=4))
    gateway.wait_for_line("the application has started")
    for number in range(6):
        http.get(f"{gateway.base}/studies", params={"StudyID": str(number)})
    assert gateway.metric("audit_messages_waiting") == 4 and gateway.metric("audit_messages_lost_total") == 3
    gateway.wait_for_line("audit messages cannot be sent and wait: no connection")
    repository.start()
    (alert,) = repository.wait_for(1, "Security Alert", "Audit Recording Stopped")
    assert alert.detail("Alert Description").startswith("3 audit messages were lost") and alert.outcome == "8"
    assert alert.header.startswith("84 ")
    asked = [base64.b64decode(next(one.root.iter("ParticipantObjectQuery")).text) for one in repository.wait_for(3, "Query")]
    assert asked == [b"StudyID=0", b"StudyID=1", b"StudyID=2"], "the oldest stay"

    repository.stop()
    wait_for(lambda: gateway.metric("audit_connected") == 0, "the end of the connection is noticed")
    http.get(f"{gateway.base}/studies", params={"StudyID": "again"})
    repository.start()
    assert len(repository.wait_for(4, "Query")) == 4
    assert gateway.metric("audit_connected") == 1
    assert gateway.stop() == 0, gateway.output
    repository.wait_for(1, "Application Activity", "Application Stop")
    repository.valid()


def test_the_receiver_wants_to_know_who_it_is(own_gateway, repository):
    settings = repository.settings()
    repository.start()
    gateway = own_gateway(audit={"receiver": settings["receiver"], "ca": settings["ca"]})
    gateway.wait_for_line("audit messages cannot be sent and wait")
    assert gateway.stop() == 0, gateway.output
    assert repository.messages() == []
