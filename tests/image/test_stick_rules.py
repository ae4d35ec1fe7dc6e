"""The rules of systemd/box/usr/lib/framegate/stick, without a box and without a stick: what is taken, what is refused and
with which words. A folder is the stick, and rauc is played."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

import images

SCRIPTS = images.PROJECT / "systemd/box/usr/lib/framegate"
NAME = "framegate-0e4506"


class Box:
    def __init__(self, folder):
        self.folder, self.stick = folder, folder / "runtime/stick"
        for part in ("bin", "box", "identity", "runtime/stick"):
            (folder / part).mkdir(parents=True)
        self.program("mount", 'case "$*" in *nosuid,nodev,noexec*) ;; *) exit 32 ;; esac')
        self.program("umount", "")
        self.program("systemctl", 'case $* in *reboot*) echo reboot >> "$CALLS" ;; esac')
        self.program("framegate", "case $* in 'identity import'*/chain.pem) cat \"$3\"; grep -q good \"$3\" ;; esac")
        self.program("slot", '[ ! -e "$TRIAL" ]')
        self.program("report", "echo how the box is")
        self.program("rauc", "case $1 in info) sed -n \"s/^version=\\(.*\\)/RAUC_MF_VERSION='\\1'/p\" \"$3\" ;;\n"
                     "install) [ -e \"$2\" ] || exit 9; echo installing; if grep -q unsigned \"$2\"; then "
                     "echo 'LastError: signature verification failed'; echo \"Installing \\`$2' failed\"; exit 1; fi; "
                     "echo \"install ${2##*/}\" >> \"$CALLS\"; if grep -q slow \"$2\"; then sleep 60; fi ;; esac")  # fmt: skip
        (folder / "identity/hostname").write_text(NAME + "\n")
        for name in ("server.csr", "server.pem"):
            (folder / "identity" / name).write_text(name)
        (folder / "os-release").write_text("IMAGE_VERSION=2.0.0\n")
        text = (SCRIPTS / "stick").read_text()
        for place, ours in {
            "/etc/framegate/identity": "identity", "/run/framegate-box": "box", "/usr/lib/os-release": "os-release",
            "/usr/lib/framegate/": "bin/",
        }.items():  # fmt: skip
            assert place in text
            text = text.replace(place, f"{folder}/{ours}")
        (folder / "script").write_text(text)

    def program(self, name: str, does: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def start(self) -> subprocess.Popen:
        (self.folder / "calls").unlink(missing_ok=True)
        return subprocess.Popen(
            ["sh", self.folder / "script", "sdz1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env={
                **os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "CALLS": str(self.folder / "calls"),
                "RUNTIME_DIRECTORY": str(self.folder / "runtime"), "TRIAL": str(self.folder / "trial"),
            })  # fmt: skip

    def plug(self) -> str:
        """What the report says of the stick."""
        self.start().wait(60)
        return (self.stick / NAME / "report.txt").read_text().split("This stick\n", 1)[1].split("\n\n", 1)[0]

    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def line(self) -> str:
        return (self.folder / "box/stick").read_text().strip()

    def put(self, name: str, content: str = "") -> None:
        (self.stick / name).write_text(content)


@pytest.fixture
def box(tmp_path) -> Box:
    return Box(tmp_path)


def test_an_empty_stick_gets_the_report_and_the_request(box):
    assert box.plug() == "nothing was asked for"
    assert {path.name for path in (box.stick / NAME).iterdir()} == {"report.txt", "server.csr", "server.pem"}
    assert "how the box is" in (box.stick / NAME / "report.txt").read_text()
    assert box.line() == "done: pull it out, and read report.txt"
    assert box.calls() == []


def test_a_chain_is_taken_or_refused_with_the_reason(box):
    box.put("chain.pem", "good: issued by somebody")
    assert box.plug() == "chain.pem: good: issued by somebody"
    box.put("chain.pem", "it is for another key")
    assert box.plug() == "REFUSED chain.pem: it is for another key"
    assert "1 refused" in box.line()


def test_an_update_waits_for_the_next_start(box):
    box.put("one.raucb", "version=3.0.0")
    assert "version 3.0.0 is installed, and takes effect at the next start" in box.plug()
    assert box.calls() == ["install one.raucb"]


def test_an_update_restarts_the_box_where_that_is_asked_for_and_once(box):
    box.put("one.raucb", "version=3.0.0")
    box.put("restart")
    assert "the box starts anew now" in box.plug()
    assert box.calls() == ["install one.raucb", "reboot"]
    # It has gone back to the version before, and the stick is still there.
    assert "installed from this stick before" in box.plug()
    assert box.calls() == []


def test_without_a_bundle_nothing_restarts(box):
    box.put("restart")
    assert box.plug() == "nothing was asked for" and box.calls() == []


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a.raucb": "version=3.0.0", "B.RAUCB": "version=4.0.0"}, "2 bundles: leave one on the stick"),
        ({"a.raucb": "version=2.0.0"}, "a.raucb: version 2.0.0 is what runs already"),
        ({"a.raucb": "unsigned"}, "a.raucb: signature verification failed"),
        ({"room.toml": "[dimse]"}, "room.toml: no configuration is taken from a stick"),
    ],
)
def test_what_is_refused(box, files, why):
    for name, content in files.items():
        box.put(name, content)
    box.put("restart")
    assert box.plug() == f"REFUSED {why}" and box.calls() == []


def test_a_trial_is_not_disturbed(box):
    (box.folder / "trial").touch()
    box.put("a.raucb", "version=3.0.0")
    assert "on trial" in box.plug() and box.calls() == []


def test_odd_names_are_only_names(box):
    (box.stick / "-x $(reboot)`;'.raucb").mkdir()
    assert box.plug() == "REFUSED -x $(reboot)`;'.raucb: not a file"
    (box.stick / "-x $(reboot)`;'.raucb").rmdir()
    box.put("a\x1b[2J\nREADY.raucb", "version=3.0.0")
    said = box.plug()
    assert "\x1b" not in said and box.calls()[0].startswith("install a\x1b[2J")


def test_nothing_is_done_where_it_cannot_be_told(box):
    (box.stick / NAME).write_text("a file where the folder should be")
    box.put("a.raucb", "version=3.0.0")
    box.put("chain.pem", "good")
    assert box.start().wait(60) == 1
    assert box.calls() == [] and box.line() == "not done: it is full, write-protected or broken"
    box.program("mount", "exit 32")
    assert box.start().wait(60) == 1
    assert box.line().startswith("not done: it cannot be read")


def test_pulled_out_too_early(box):
    box.put("a.raucb", "version=3.0.0\nslow")
    box.put("restart")
    process = box.start()
    end = time.monotonic() + 30
    while not box.calls():
        assert time.monotonic() < end
        time.sleep(0.05)
    # As systemd does when the device is gone: to each process.
    subprocess.run(["pkill", "-TERM", "--session", str(process.pid)], check=True)
    assert process.wait(30) == 1
    assert box.line().startswith("not done: pulled out too early")
    assert "reboot" not in box.calls()
