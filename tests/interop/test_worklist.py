"""Worklists, asked by C-FIND of DCMTK and pynetdicom and over the web: what is scheduled for the station and
the day is there to choose from, stays while the peer is away, and is bounded; and no patient gets into the
log."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset

import scheduling
from gateway import Gateway, free_port, wait_for
from objects import EXPLICIT_LE
from pki import Authority

OPERATE = {"anonymous": ["search", "operate"]}


def entries(gateway: Gateway, http) -> list[pydicom.Dataset]:
    answer = http.get(f"{gateway.base}/operations/worklist")
    assert answer.status_code == 200, answer.text
    return [pydicom.Dataset.from_json(entry) for entry in answer.json()]


def patients(gateway: Gateway, http) -> set[str]:
    return {entry.PatientID for entry in entries(gateway, http)}


def settings(peer: scheduling.Worklist, **more) -> dict:
    return {"address": peer.address, "ae_title": "RIS", "calling_ae_title": "GATE", "refresh_seconds": 1, **more}


def answered(gateway: Gateway, count: int) -> None:
    """Waits until a worklist has answered so often."""
    name = 'framegate_worklist_requests_total{worklist="ris",outcome="answered"}'
    wait_for(lambda: gateway.metrics().get(name, 0) >= count, f"{count} answers")


@pytest.fixture
def worklist():
    """An SCP with entries of two stations, two modalities and three days."""
    peer = scheduling.Worklist(
        [
            scheduling.scheduled("P1", "Müller^Jürgen"),
            scheduling.scheduled("P2", "Yamada^Tarou=山田^太郎"),
            scheduling.scheduled("P3", "Other^Station", station="XA9"),
            scheduling.scheduled("P4", "Other^Modality", modality="US"),
            scheduling.scheduled("P5", "Next^Week", date=scheduling.today(7)),
            scheduling.scheduled("P6", "Other^Room", station="XA2"),
        ]
    )
    yield peer
    peer.close()


def test_what_is_scheduled_for_the_stations_today_is_there(own_gateway, worklist, http):
    asked = {"station_ae_titles": ["XA1", "XA2"], "modality": "XA"}
    gateway = own_gateway(access=OPERATE, worklist__ris=settings(worklist, **asked))
    wait_for(lambda: entries(gateway, http), "entries")
    assert patients(gateway, http) == {"P1", "P2", "P6"}
    one = next(entry for entry in entries(gateway, http) if entry.PatientID == "P1")
    assert (one.PatientName, one.IssuerOfPatientID, one.PatientSex) == ("Müller^Jürgen", "HOSPITAL", "F")
    assert (one.AccessionNumber, one.AdmissionID) == ("ACC-P1", "ADM-P1")
    assert one.StudyInstanceUID == worklist.entries[0].StudyInstanceUID
    assert one.RequestedProcedureID == "RP-P1"
    assert one.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "SPS-P1"
    two = next(entry for entry in entries(gateway, http) if entry.PatientID == "P2")
    assert two.PatientName == "Yamada^Tarou=山田^太郎"
    identifier = worklist.asked[0]
    assert identifier.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate == scheduling.today()
    for text in ("Müller", "Yamada", "P1", "ACC-"):
        assert text not in gateway.output, text

    # What is no longer scheduled is gone with the next answer, what is new is there.
    worklist.entries[:] = [scheduling.scheduled("P7", "New^Patient")]
    wait_for(lambda: patients(gateway, http) == {"P7"}, "the next answer")
    assert gateway.stop() == 0, gateway.output


def test_days_around_today_are_asked_for(own_gateway, worklist, http):
    gateway = own_gateway(access=OPERATE, worklist__ris=settings(worklist, days_before=1, days_after=7))
    wait_for(lambda: "P5" in patients(gateway, http), "next week's entry")
    keys = worklist.asked[0].ScheduledProcedureStepSequence[0]
    assert keys.ScheduledProcedureStepStartDate == f"{scheduling.today(-1)}-{scheduling.today(7)}"
    assert not keys.ScheduledStationAETitle and not keys.Modality


def test_a_worklist_that_goes_away_keeps_its_entries_and_comes_back(own_gateway, worklist, http):
    gateway = own_gateway(access=OPERATE, worklist__ris=settings(worklist, station_ae_titles=["XA1"]))
    wait_for(lambda: entries(gateway, http), "entries")
    kept = patients(gateway, http)
    worklist.close()
    failed = 'framegate_worklist_requests_total{worklist="ris",outcome="failed"}'
    wait_for(lambda: gateway.metrics().get(failed, 0) >= 2, "two failures")
    assert patients(gateway, http) == kept
    said = [line for line in gateway.output.splitlines() if "the worklist gives no answer" in line]
    assert len(said) == 1 and "[worklist.ris]" in said[0] and worklist.address in said[0], said
    worklist.entries[:] = [scheduling.scheduled("P8", "Back^Again")]
    worklist.restart()
    wait_for(lambda: patients(gateway, http) == {"P8"}, "the worklist to be back")


def test_a_worklist_that_cannot_now_keeps_its_entries(own_gateway, worklist, http):
    gateway = own_gateway(access=OPERATE, worklist__ris=settings(worklist))
    wait_for(lambda: entries(gateway, http), "entries")
    kept = patients(gateway, http)
    worklist.status = 0xA700
    gateway.wait_for_line("C-FIND with status A700H")
    assert patients(gateway, http) == kept


def test_more_entries_than_are_kept_are_cancelled(own_gateway, http):
    peer = scheduling.Worklist([scheduling.scheduled(f"P{n}", "Many^Entries") for n in range(500)])
    try:
        gateway = own_gateway(access=OPERATE, worklist__ris=settings(peer, entries=5))
        answered(gateway, 1)
        assert len(entries(gateway, http)) == 5
        gateway.wait_for_line("more entries than are kept")
        assert peer.cancelled.wait(10), "C-CANCEL has come"
    finally:
        peer.close()


def test_over_tls_with_a_certificate_of_ours(own_gateway, authority, http):
    server = Authority.leaf(authority, "ris", server=True)
    client = Authority.leaf(authority, "gate", server=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    peer = scheduling.Worklist([scheduling.scheduled("P1", "Safe^Way")], context)
    try:
        files = {"ca": str(authority.ca), "certificate": str(client.certificate), "key": str(client.key)}
        gateway = own_gateway(access=OPERATE, worklist__ris=settings(peer, **files))
        wait_for(lambda: patients(gateway, http) == {"P1"}, "entries over TLS")
    finally:
        peer.close()


def test_over_the_web(own_gateway, authority, http, tmp_path):
    token = tmp_path / "token"
    token.write_text("open.sesame-1\n")
    listed = [
        scheduling.scheduled("W1", "Müller^Jürgen"),
        scheduling.scheduled("W2", "Other^Station", station="XA9"),
        scheduling.scheduled("W3", "Next^Week", date=scheduling.today(7)),
        scheduling.scheduled("W4", "Other^Room", station="XA2"),
    ]
    peer = scheduling.WebWorklist(authority, listed, token="open.sesame-1")
    try:
        web = {
            "url": peer.url,
            "ca": str(authority.ca),
            "token": str(token),
            "station_ae_titles": ["XA1", "XA2"],
            "modality": "XA",
            "refresh_seconds": 1,
        }
        gateway = own_gateway(access=OPERATE, worklist__ris=web)
        wait_for(lambda: patients(gateway, http) == {"W1", "W4"}, "entries over the web")
        one = next(entry for entry in entries(gateway, http) if entry.PatientID == "W1")
        assert (one.PatientName, one.AccessionNumber) == ("Müller^Jürgen", "ACC-W1")
        assert {asked["00400100.00400001"] for asked in peer.asked} == {"XA1", "XA2"}
        assert peer.asked[0]["00400100.00400002"] == scheduling.today()
        # Nothing is scheduled: 204.
        peer.entries[:] = []
        wait_for(lambda: not patients(gateway, http), "no entries")
        # A token that is not taken any more leaves the last answer, and is said.
        token.write_text("wrong")
        gateway.wait_for_line("the worklist gives no answer: it answers 401")
        assert "sesame" not in gateway.output and "wrong" not in gateway.output
    finally:
        peer.close()


@pytest.fixture
def wlmscpfs(tmp_path):
    """DCMTK's worklist, of files in a folder named as it is called."""
    if shutil.which("wlmscpfs") is None:
        pytest.skip("wlmscpfs is not installed")
    folder = tmp_path / "wl" / "RIS"
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    for patient_id, name, station in [("D1", "Müller^Jürgen", "XA1"), ("D2", "Other^Station", "XA9")]:
        entry = scheduling.scheduled(patient_id, name, station=station)
        entry.file_meta = FileMetaDataset()
        entry.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        entry.file_meta.MediaStorageSOPInstanceUID = entry.StudyInstanceUID
        entry.file_meta.TransferSyntaxUID = EXPLICIT_LE
        entry.save_as(folder / f"{patient_id}.wl", enforce_file_format=True)
    port = free_port()
    arguments = ["wlmscpfs", "--data-files-path", str(folder.parent), "--keep-char-set", "-dfr", str(port)]
    with open(tmp_path / "wlmscpfs.log", "w", encoding="utf-8") as log:
        child = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    yield f"127.0.0.1:{port}"
    child.kill()
    child.wait()


def test_dcmtk_answers(own_gateway, wlmscpfs, http):
    asked = {"address": wlmscpfs, "ae_title": "RIS", "station_ae_titles": ["XA1"], "modality": "XA", "refresh_seconds": 1}
    gateway = own_gateway(access=OPERATE, worklist__ris=asked)
    wait_for(lambda: entries(gateway, http), "entries of wlmscpfs")
    [one] = entries(gateway, http)
    assert (one.PatientID, one.PatientName) == ("D1", "Müller^Jürgen")
    assert one.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "SPS-D1"


def test_who_is_called_by_another_name_refuses_and_is_said(own_gateway, worklist):
    gateway = own_gateway(access=OPERATE, worklist__ris=settings(worklist, ae_title="WRONG"))
    gateway.wait_for_line("the worklist gives no answer: it rejects the association")
