"""First boots and later ones: who a box is, that it stays who it is, and that no power cut leaves it without."""

from __future__ import annotations

import base64
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from box import Box

IDENTITY = "/etc/framegate/identity"
# Before the system that it boots was made; process 1 will not have it, so it is set again once it runs.
LONG_AGO = "1970-01-02 00:00:00"
# The steps of the first boot's script after, or in which, the power fails: the program and the how-manieth call of it.
CUTS = ["framegate 1 after", "systemd-creds 1 before", "systemd-creds 1 after", "mv 1 before", "sync 2 before"]


@pytest.fixture(scope="module")
def first(boxes, fresh) -> Box:
    return boxes(fresh).active()


def identity(box: Box) -> dict[str, str]:
    names = ("device-id", "hostname", "server.pem", "server.csr")
    return {name: box.run("cat", f"{IDENTITY}/{name}") for name in names}


def test_the_first_boot_makes_an_identity(first):
    who = identity(first)
    assert re.fullmatch(r"[0-9a-f]{12}\n", who["device-id"])
    suffix = who["device-id"].strip()[6:]
    assert who["hostname"] == f"framegate-{suffix}\n"
    assert first.run("cat", "/proc/sys/kernel/hostname") == who["hostname"]
    assert f'ae_title = "FG{suffix.upper()}"' in first.run("cat", "/etc/framegate/framegate.d/00-identity.toml")
    assert "BEGIN CERTIFICATE REQUEST" in who["server.csr"]
    listed = first.run("find", IDENTITY, "-printf", "%M %u %g %f\n").split("\n")
    assert sorted(filter(None, listed)) == sorted(
        ["drwxr-x--- root framegate identity"]
        + [f"-rw-r----- root framegate {name}" for name in who]
        + ["-rw-r----- root root server.key.cred"]
    )


def test_nothing_fails_at_the_first_boot(first):
    assert first.run("systemctl", "--failed", "--plain", "--no-legend") == ""


def test_the_box_serves_its_own_certificate(first):
    served = ssl.get_server_certificate((first.address, 443), timeout=10)
    assert served.split() == identity(first)["server.pem"].split()


def test_the_key_is_nowhere_on_the_disk(first):
    key = first.run("systemd-creds", "decrypt", "--name=server.key", f"{IDENTITY}/server.key.cred", "-")
    lines = [line for line in key.split("\n") if line and "-----" not in line]
    assert len(lines) >= 2
    # The secret itself: 32 bytes behind the tag of an OCTET STRING, in an ECPrivateKey of version 1.
    secret = re.search(rb"\x02\x01\x01\x04\x20(.{32})", base64.b64decode("".join(lines)), re.S)[1]
    certificate = identity(first)["server.pem"].split("\n")[2]
    first.run("sync")
    disk = first.disk.read_bytes()
    assert certificate.encode() in disk, "what is on the disk cannot be found there"
    for spelling in [secret, secret.hex().encode(), *(line.encode() for line in lines)]:
        assert spelling not in disk
    assert first.attempt("ls", "/run/framegate-firstboot")[0] != 0, "the key's folder has outlived the first boot"


@pytest.fixture(scope="module")
def again(first, boxes, tmp_path_factory) -> tuple[dict[str, str], Box]:
    """The identity before, and the box after another boot, for which its clock had stopped."""
    before = identity(first)
    first.off()
    return before, boxes(first.disk, early=f"date -s '{LONG_AGO}'").active()


def test_a_second_boot_keeps_the_identity(again):
    before, box = again
    assert identity(box) == before
    assert box.run("systemctl", "show", "-P", "ConditionResult", "framegate-firstboot.service") == "no\n"


def test_a_clock_that_is_wrong_locks_nobody_out(again):
    _, box = again
    box.run("systemctl", "stop", "chrony.service")
    for wrong in (LONG_AGO, "2020-02-29 12:00:00"):
        box.shell(f"date -s '{wrong}'; systemctl restart framegate.service")
        served = ssl.get_server_certificate((box.address, 443), timeout=10)
        assert "BEGIN CERTIFICATE" in served


WRAPPER = """#!/bin/sh
# Stands before a program: the power fails at one of its calls, at once and with nothing written.
mkdir -p /run/bed
echo >> /run/bed/$(basename "$0")
cut() { [ "$(wc -l < /run/bed/$(basename "$0"))" != {count} ] || [ "{when}" != $1 ] || echo o > /proc/sysrq-trigger; }
cut before
/usr/bin/$(basename "$0") "$@"
status=$?
cut after
exit $status
"""


def survives(boxes, disk: Path, cut: str, folder: Path) -> None:
    program, count, when = cut.split()
    folder.mkdir()
    wrapper = folder / program
    wrapper.write_text(WRAPPER.replace("{count}", count).replace("{when}", when))
    wrapper.chmod(0o755)
    # Under a name that comes first in the path of units; the disk must not know.
    boxes(disk, early=f"mount --bind {folder} /mnt/root/usr/local/bin").ended()
    box = boxes(disk).active()
    key = box.run("systemd-creds", "decrypt", "--name=server.key", f"{IDENTITY}/server.key.cred", "-")
    assert "PRIVATE KEY" in key
    served = ssl.get_server_certificate((box.address, 443), timeout=10)
    assert served.split() == identity(box)["server.pem"].split()
    box.cut()


@pytest.mark.timeout(600)
def test_a_power_cut_at_the_first_boot_is_survived(boxes, blank, copied, tmp_path):
    with ThreadPoolExecutor(2) as threads:
        outcomes = {
            cut: threads.submit(survives, boxes, copied(blank), cut, tmp_path / f"wrappers{number}")
            for number, cut in enumerate(CUTS)
        }
        failed = {cut: str(outcome.exception()) for cut, outcome in outcomes.items() if outcome.exception()}
    assert not failed, "\n".join(f"{cut}: {why}" for cut, why in failed.items())
