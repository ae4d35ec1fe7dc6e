"""The rules of systemd/box/usr/lib/framegate/slot, without a box: whose slot is kept, and whose is left."""

from __future__ import annotations

import os
import subprocess

import pytest

import images

SCRIPT = images.PROJECT / "systemd/box/usr/lib/framegate/slot"


class Machine:
    """Where the script finds a boot loader's environment, and programs that note that they were called."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        for name in ("rauc", "systemctl"):
            program = folder / "bin" / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n')
            program.chmod(0o755)
        text = SCRIPT.read_text()
        for place, ours in {"/efi/EFI/BOOT": "", "/proc/cmdline": "/cmdline", "/etc/machine-id": "/machine-id"}.items():
            assert place in text
            text = text.replace(place, f"{folder}{ours}")
        self.script = folder / "slot"
        self.script.write_text(text)
        self.env, self.spare = folder / "grubenv", folder / "grubenv.spare"
        subprocess.run(["grub-editenv", self.env, "create"], check=True)
        (folder / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")

    def boot(self, slot: str, build: str, **settings: str) -> None:
        (self.folder / "cmdline").write_text(f"quiet rauc.slot={slot} framegate.build={build} ro\n")
        words = [f"{name}={value}" for name, value in settings.items()]
        subprocess.run(["grub-editenv", self.env, "set", *words], check=True)

    def run(self, word: str) -> list[str]:
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        path = f"{self.folder}/bin:{os.environ['PATH']}:/usr/sbin"
        subprocess.run(["sh", self.script, word], check=True, env={**os.environ, "PATH": path})
        return calls.read_text().splitlines() if calls.exists() else []

    def settings(self) -> dict[str, str]:
        said = subprocess.run(["grub-editenv", self.env, "list"], check=True, capture_output=True, text=True).stdout
        return dict(line.split("=", 1) for line in said.splitlines())


@pytest.fixture
def machine(tmp_path) -> Machine:
    it = Machine(tmp_path)
    it.boot("A", "one", ORDER="A B", A_OK="1", A_TRY="1", B_OK="0", B_TRY="0")
    return it


def test_a_new_box_stays_where_it_is(machine):
    assert machine.run("failed") == []


def test_what_is_on_trial_and_fails_makes_room_for_what_has_worked(machine):
    machine.run("proven")
    machine.boot("B", "two", B_OK="1", B_TRY="1", ORDER="B A")
    assert machine.run("failed") == ["rauc status mark-bad", "systemctl --no-block reboot"]


def test_what_has_worked_before_is_not_left_for_an_older_version(machine):
    machine.run("proven")
    machine.boot("B", "two", B_OK="1", B_TRY="1", ORDER="B A")
    machine.run("proven")
    assert machine.run("failed") == ["rauc status mark-good"]


def test_another_build_in_a_slot_that_has_worked_is_on_trial(machine):
    machine.run("proven")
    machine.boot("B", "two", B_OK="1")
    machine.run("proven")
    machine.boot("A", "three", A_TRY="1")
    assert machine.run("failed") == ["rauc status mark-bad", "systemctl --no-block reboot"]


@pytest.mark.parametrize("damage", [b"", bytes(1024), b"# GRUB Environment Block\n"])
def test_a_damaged_environment_is_mended_from_the_spare(machine, damage):
    machine.run("check")
    machine.run("proven")
    before = machine.settings()
    assert before["MACHINE_ID"] == "0123456789abcdef0123456789abcdef" and before["A_PROVEN"] == "one"
    machine.env.write_bytes(damage)
    machine.run("check")
    assert machine.settings() == before


def test_the_machine_id_is_the_first_one(machine):
    machine.run("check")
    (machine.folder / "machine-id").write_text("f" * 32 + "\n")
    machine.run("check")
    assert machine.settings()["MACHINE_ID"] == "0123456789abcdef0123456789abcdef"


def test_the_other_slot_is_free_but_while_a_trial_may_need_it(machine):
    def free() -> bool:
        try:
            machine.run("free")
        except subprocess.CalledProcessError:
            return False
        return True

    assert free(), "there is no other one"
    machine.run("proven")
    assert free()
    machine.boot("B", "two", B_OK="1", B_TRY="1", ORDER="B A")
    assert not free()
    machine.run("proven")
    assert free()
