"""What the terminal shows: `framegate status` of a running service, as its state changes; `framegate doctor`, against
peers that are dead and alive; `framegate support-bundle`, in which no patient is found."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

import dcmtk
import scheduling
from gateway import free_port, wait_for
from objects import EXPLICIT_LE, Recipe, build
from pki import Authority
from test_notifications import Sender

# Names and identifiers that must be nowhere.
SECRETS = ["Geheim", "G4711", "Stumm^Sabine"]


@pytest.fixture
def ask(program, runtime, tmp_path):
    """A command that asks the service: exit status, standard output, standard error."""

    def run(command: str, *arguments: object) -> tuple[int, str, str]:
        line = [program, command, *map(str, arguments), "--runtime-directory", runtime]
        # No setting of the caller's may leak in.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("FRAMEGATE_", "RUST_LOG"))}
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=environment
        )
        return done.returncode, done.stdout, done.stderr

    return run


def status(ask) -> dict:
    return json.loads(ask("status", "--json")[1])


def findings(ask) -> dict[str, dict]:
    return {finding["place"]: finding for finding in status(ask)["findings"]}


def up(own_gateway, ask, **sections):
    """A gateway that answers at its socket."""
    gateway = own_gateway(**sections)
    wait_for(lambda: ask("status", "--json")[0] in (0, 1), "the control socket")
    return gateway


def pushing(name: str, url: str, authority) -> dict:
    """A destination and a standing search for it."""
    destination = {"url": url, "ca": str(authority.ca), "retry_ms": 100, "retry_max_seconds": 1}
    search = {"search": "/series", "subscriber": name.upper(), "destination": name}
    return {f"destination__{name}": destination, f"subscription__{name}": search}


def dead() -> str:
    return f"127.0.0.1:{free_port()}"


def test_without_a_service_there_is_no_status(ask):
    code, said, why = ask("status")
    assert (code, said) == (3, "") and "no service answers" in why


def test_a_service_is_shown_for_people_and_for_programs(own_gateway, ask, runtime):
    gateway = up(own_gateway, ask, pattern={"enabled": True})
    wait_for(lambda: status(ask)["service"]["ready"], "the self-test")
    assert (runtime / "control.sock").stat().st_mode & 0o777 == 0o660
    shown = wait_for(lambda: next((s for s in status(ask)["series"] if s["instances_per_second"] > 1), None), "a rate")
    assert (shown["source"], shown["state"], shown["size"], shown["modality"]) == ("pattern", "live", [512, 512], "XA")
    seen = status(ask)
    listeners = {one["name"]: (one["address"], one["tls"]) for one in seen["network"]["listeners"]}
    assert listeners["dicomweb.listen"] == ("%s:%d" % gateway.web, True)
    assert listeners["dimse.listen"] == ("%s:%d" % gateway.dimse, False)
    assert seen["service"]["self_test"]["ok"] and seen["service"]["descriptors"] > 5
    code, text, _ = ask("status")
    assert code == 0 and "\x1b" not in text and shown["series"] in text
    assert max(map(len, text.splitlines())) <= 80
    assert gateway.stop() == 0
    assert not (runtime / "control.sock").exists()
    assert ask("status")[0] == 3


def test_a_destination_that_is_down_is_said_within_two_seconds_and_no_more_when_it_is_back(own_gateway, ask, authority):
    address = dead()
    gateway = up(own_gateway, ask, **pushing("pacs", f"http://{address}/web", authority))
    begun = time.monotonic()
    finding = wait_for(lambda: findings(ask).get("destination pacs"), "the destination", 2)
    assert time.monotonic() - begun < 2
    assert finding["severity"] == "error" and address in finding["what"] and finding["mend"]
    code, text, _ = ask("status")
    assert code == 1 and "error  destination pacs" in text
    [destination] = status(ask)["destinations"]
    assert (destination["state"], destination["subscriptions"]) == ("retrying", 1)
    host, port = address.split(":")
    with socket.create_server((host, int(port))):
        wait_for(lambda: "destination pacs" not in findings(ask), "the destination to be back")
        assert status(ask)["destinations"][0]["state"] == "idle"
    assert gateway.child.poll() is None


def test_a_certificate_that_expires_soon_is_said(own_gateway, ask, monkeypatch):
    leaf = Authority.leaf
    monkeypatch.setattr(Authority, "leaf", lambda self, name, *, server: leaf(self, name, server=server, days=3))
    up(own_gateway, ask)
    finding = wait_for(lambda: findings(ask).get("certificate dicomweb.tls.certificate"), "the certificate", 10)
    assert finding["severity"] == "error" and "it expires in 2 days" in finding["what"]
    assert ask("status")[0] == 1


def test_a_reader_is_shown_with_how_far_it_is_behind(own_gateway, ask, http):
    gateway = up(own_gateway, ask, pattern={"enabled": True, "fps": 60, "rows": 1024, "columns": 1024})
    [series] = http.get(f"{gateway.base}/series").json()
    study, series = (series[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    headers = {"accept": 'multipart/related; type="application/dicom"'}
    with http.get(f"{gateway.base}/studies/{study}/series/{series}", headers=headers, stream=True, timeout=60) as answer:
        assert answer.status_code == 200

        def behind() -> dict | None:
            readers = [one for shown in status(ask)["series"] for one in shown["readers"]]
            return next((one for one in readers if one["behind"] > 0), None)

        reader = wait_for(behind, "a reader that reads nothing to be behind")
        assert reader["kind"] == "retrieve" and reader["peer"].startswith("127.0.0.1:")
    wait_for(lambda: not any(shown["readers"] for shown in status(ask)["series"]), "the reader to be gone")


def test_a_worklist_that_is_silent_is_said_and_no_patient_of_one_that_answers(own_gateway, ask):
    peer = scheduling.Worklist([scheduling.scheduled("G4711", "Geheim^Gerda")])
    settings = {"address": peer.address, "ae_title": "RIS", "calling_ae_title": "GATE", "refresh_seconds": 1}
    up(own_gateway, ask, worklist__ris=settings)
    entries = lambda: next(iter(status(ask)["worklists"]), {}).get("entries")
    wait_for(lambda: entries() == 1, "the entry")
    assert "worklist ris" not in findings(ask)
    peer.close()
    finding = wait_for(lambda: findings(ask).get("worklist ris"), "its silence")
    assert "1 entries of" in finding["what"]
    assert not any(secret in ask("status", "--json")[1] for secret in SECRETS)


def doctor(ask, gateway) -> tuple[int, dict[str, dict]]:
    code, said, why = ask("doctor", "--json", "--config", gateway.config_file)
    assert said, why
    return code, {check["what"]: check for check in json.loads(said)["checks"]}


def test_the_doctor_finds_who_is_dead_and_who_is_alive(own_gateway, ask, authority, tmp_path):
    if shutil.which("storescp") is None:
        pytest.skip("storescp is not installed")
    with dcmtk.storescp(tmp_path / "store") as alive:
        relay = {"called_ae_title": "LIVE", "address": "%s:%d" % alive}
        gateway = up(
            own_gateway,
            ask,
            relay__live=relay,
            relay__dead={"called_ae_title": "DEAD", "address": dead()},
            **pushing("viewer", f"https://{dead()}/web", authority),
        )
        wait_for(lambda: status(ask)["service"]["ready"], "the self-test")
        code, checks = doctor(ask, gateway)
    outcome = {what: check["outcome"] for what, check in checks.items()}
    echoes = {what.split(",")[0]: check for what, check in checks.items() if what.startswith("C-ECHO")}
    assert echoes["C-ECHO to relay live"]["outcome"] == "ok", echoes
    assert echoes["C-ECHO to relay dead"]["outcome"] == "error" and echoes["C-ECHO to relay dead"]["mend"]
    [viewer] = [check for what, check in checks.items() if what.startswith("destination viewer (")]
    assert viewer["outcome"] == "error" and "tcp" in viewer["said"] and "nothing listens" in viewer["mend"]
    assert code == 1
    assert outcome["running"] == "ok" and outcome[str(gateway.config_file)] == "ok"
    assert outcome["dicomweb.listen %s:%d" % gateway.web] == "ok"
    assert "the service listens" in checks["dicomweb.listen %s:%d" % gateway.web]["said"]
    assert outcome["dicomweb.tls"] in ("ok", "warning") and outcome["memory"] == "ok"
    assert all(check["mend"] for check in checks.values() if check["outcome"] in ("warning", "error"))


def test_the_doctor_needs_no_service(ask, tmp_path, authority):
    leaf = authority.leaf("server", server=True)
    other = authority.leaf("other", server=True)
    file = tmp_path / "framegate.toml"
    text = f'[dicomweb]\nlisten = "127.0.0.1:{free_port()}"\n[dicomweb.tls]\ncertificate = "{leaf.certificate}"\n'
    dimse = f'[dimse]\nlisten = "127.0.0.1:{free_port()}"\n'
    file.write_text(f'{text}key = "{leaf.key}"\n{dimse}')
    code, said, _ = ask("doctor", "--config", file)
    assert code == 0 and "it is free" in said and "no service answers" in said, said
    file.write_text(f'{text}key = "{other.key}"\n{dimse}')
    code, said, _ = ask("doctor", "--config", file)
    assert code == 1 and "error   dicomweb.tls" in said, said
    file.write_text("a = 1\n")
    code, said, _ = ask("doctor", "--config", file)
    assert code == 1 and "error   " in said, said


def test_a_support_bundle_lists_what_it_holds_and_holds_no_patient(own_gateway, ask, tmp_path, authority):
    peer = scheduling.Worklist([scheduling.scheduled("G4711", "Geheim^Gerda")])
    sections = pushing("viewer", f"http://{dead()}/web", authority)
    sections["subscription__viewer"]["filter"] = "PatientName=Geheim*"
    gateway = up(
        own_gateway,
        ask,
        worklist__ris={"address": peer.address, "ae_title": "RIS", "calling_ae_title": "GATE", "refresh_seconds": 1},
        access={"anonymous_filter": "PatientID=G4711", "anonymous": ["search"]},
        capture__room={"device": "/dev/no-such-video", "patient_name": "Stumm^Sabine"},
        **sections,
    )
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 2, True), tmp_path)
    sender = Sender(gateway, source)
    sender.send_head()
    sender.send_frames(1)
    wait_for(lambda: status(ask)["series"], "the series")
    file = tmp_path / "bundle.tar.gz"
    code, said, why = ask("support-bundle", file, "--config", gateway.config_file)
    assert code == 0, why
    assert file.stat().st_mode & 0o777 == 0o600
    sender.finish()
    peer.close()
    held = {}
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes()), mode="r:gz") as archive:
        for member in archive:
            held[Path(member.name).name] = archive.extractfile(member).read()
    expected = {"MANIFEST", "configuration.toml", "doctor.txt", "journal.jsonl", "proc.txt", "service-proc.txt"}
    assert expected | {"status.json", "version.txt"} <= set(held)
    manifest = held["MANIFEST"].decode()
    for name in set(held) - {"MANIFEST"}:
        assert name in manifest and name in said
    assert held["version.txt"].startswith(b"framegate ") and json.loads(held["status.json"])["series"]
    assert any(json.loads(line)["text"] for line in held["journal.jsonl"].splitlines())
    patient = [str(source.dataset.PatientName), str(source.dataset.PatientID)]
    for name, content in held.items():
        for secret in [*SECRETS, *filter(None, patient)]:
            assert secret.encode() not in content, f"{secret} in {name}"
    # Without a service there is still what can be had.
    assert gateway.stop() == 0
    code, said, why = ask("support-bundle", file, "--config", gateway.config_file)
    assert code == 0 and "configuration.toml" in said and "status.json" not in said, why
