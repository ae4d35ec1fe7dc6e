"""What a field engineer sees: a flashed disk with a room's configuration beside its boot loader, power on, and the
gateway works. The image is a release image: nothing leads in but the ports of a gateway."""

from __future__ import annotations

import re
import ssl
import subprocess

import pytest

import box as boxes
import images
from conftest import DISK_SIZE, with_room
from dicom import PATIENT, PATIENT_ID, Run, curl
from raw import RawDisk


# A boot takes minutes without KVM; `tests/appliance` boots the same units at each run.
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def session(machine_there, release, tmp_path_factory):
    """The first boot, frames in and out, power off, and what the disk holds then."""
    folder = tmp_path_factory.mktemp("first")
    disk = boxes.overlay(folder / "box.qcow2", with_room(images.disk(release), folder), DISK_SIZE)
    box = boxes.Box(folder, disk).start()
    seen: dict = {"box": box}
    try:
        seen["ready"] = box.wait_answer()
        print(f"\npower on to the first answer over TLS: {seen['ready']:.0f} s")
        seen["certificate"] = ssl.get_server_certificate(("127.0.0.1", box.ports[443]))
        ours = folder / "presented.pem"
        ours.write_text(seen["certificate"])
        text = subprocess.run(["openssl", "x509", "-in", ours, "-noout", "-subject", "-ext", "subjectAltName"],
                              capture_output=True, text=True, check=True).stdout  # fmt: skip
        found = re.search(r"framegate-[0-9a-f]{6}", text)
        assert found, text
        seen["name"] = found[0]

        run = Run(folder / "run")
        run.send(box.ports[104], "FG" + seen["name"][-6:].upper(), 20)
        seen["run"] = run
        name, port = seen["name"], box.ports[443]
        seen["search"] = curl(ours, name, port, f"/series?SeriesInstanceUID={run.series}", "application/dicom+json")
        uid = next(reversed(run.sent))
        seen["frame"] = curl(
            ours, name, port, f"/studies/{run.study}/series/{run.series}/instances/{uid}/frames/1",
            'multipart/related; type="application/octet-stream"',
        )  # fmt: skip
        seen["frame uid"] = uid
        box.wait_console(r"health\s+(active|failed)")
        seen["console"] = box.console()
    finally:
        box.cut_power()
    seen["disk"] = RawDisk(disk, folder)
    yield seen
    seen["disk"].path.unlink()


def test_it_answers_with_its_own_certificate(session):
    kept = session["disk"].data_file("/framegate/etc/identity/server.pem").decode()
    assert kept.strip() == session["certificate"].strip()
    device = session["disk"].data_file("/framegate/etc/identity/device-id").decode()
    assert re.fullmatch(r"[0-9a-f]{12}\n", device)
    assert session["name"] == f"framegate-{device.strip()[-6:]}"


def test_frames_go_in_by_c_store_and_come_out_over_tls(session):
    assert session["search"].returncode == 0, session["search"].stderr + session["search"].stdout
    assert session["run"].series.encode() in session["search"].stdout
    assert session["frame"].returncode == 0, session["frame"].stderr
    assert session["run"].sent[session["frame uid"]] in session["frame"].stdout


def test_the_console_shows_how_it_is_and_lets_nobody_in(session):
    console = session["console"]
    assert session["name"] in console
    assert re.search(r"slot\s+A", console)
    assert re.search(r"data\s+NOT encrypted: this box has no TPM", console)
    assert "DEVELOPMENT image" in console
    assert not re.search(r"login:|password:|emergency|[#$] $", console, re.IGNORECASE)


def test_it_finds_itself_healthy(session):
    assert re.search(r"health\s+active", session["console"])


def test_neither_patients_nor_private_keys_are_on_the_disk(session):
    # The search finds what is there:
    device = session["name"].removeprefix("framegate-")
    forbidden = (PATIENT, PATIENT.upper(), PATIENT.split("^")[0], PATIENT_ID, session["run"].study,
                 "-----BEGIN PRIVATE KEY", "-----BEGIN EC PRIVATE KEY")  # fmt: skip
    found = session["disk"].count(device, *forbidden)
    assert found.pop(device) > 0
    assert found == dict.fromkeys(forbidden, 0)
    assert session["disk"].data_file("/framegate/etc/identity/server.key.cred")
