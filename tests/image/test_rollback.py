"""Updates that are signed and do not work: each box comes back to the slot that it had, by itself, as it was."""

from __future__ import annotations

import pytest

import images
from test_update import INSTALL, identity, version

pytestmark = pytest.mark.full

SERVICE = "usr/lib/systemd/system/framegate.service.d/zz-bad.conf"
HEALTH = "usr/lib/systemd/system/framegate-health.service.d/zz-bad.conf"


def kernel_panics(spoiled):
    return spoiled.make("panics", change=lambda content: images.slot_config(
        content, lambda text: text.replace('OPTIONS="', 'OPTIONS="rdinit=/nothing init=/nothing ')))  # fmt: skip


def root_is_corrupt(spoiled):
    return spoiled.make("corrupt", change=lambda content: images.destroy(content, 0))


def kernel_is_missing(spoiled):
    def empty(content):
        with open(content / "boot.img", "r+b") as image:
            image.write(bytes(1 << 20))

    return spoiled.make("empty", change=empty)


def service_dies(_):
    files = {SERVICE: "[Service]\nExecStartPre=/bin/false\n"}
    return images.bundle(images.build("3.0.1", bench=True, files=files))


def health_fails(_):
    files = {HEALTH: "[Service]\nExecStart=\nExecStart=/bin/false\n"}
    return images.bundle(images.build("3.0.2", bench=True, files=files))


@pytest.mark.parametrize("fault", [kernel_panics, root_is_corrupt, kernel_is_missing, service_dies, health_fails])
def test_it_comes_back(box, spoiled, served, fault):
    before = identity(box)
    box.check(INSTALL.format(served.url(fault(spoiled))), 900)
    boots = len(box.boots())
    box.run("systemctl --no-block reboot")
    # One boot of the new slot, one of the old.
    box.wait_boots(boots + 2, 1500)
    assert box.boots()[-2:] == ["B", "A"]
    box.wait_healthy()
    assert (box.slot(), version(box)) == ("A", "2.0.0-development")
    assert identity(box) == before


def test_a_flipped_block_is_noticed(factory, tmp_path):
    """One bit of the root in use, changed behind the box's back: it is not read as if nothing was."""
    import box as boxes
    from raw import RawDisk

    raw = RawDisk(factory, tmp_path)
    start, _ = raw.partitions["root-a"]
    with open(raw.path, "r+b") as disk:
        # Where the file system's inodes and directories are, which every boot reads: behind the files.
        disk.seek(start)
        used = int.from_bytes(disk.read(48)[40:48], "little")
        at = start + used - 4096
        disk.seek(at)
        byte = disk.read(1)[0]
        disk.seek(at)
        disk.write(bytes([byte ^ 1]))
    it = boxes.Box(tmp_path, boxes.overlay(tmp_path / "flipped.qcow2", raw.path)).start()
    try:
        # Noticed: the slot restarts, again and again, rather than running on what it cannot trust. There is no other.
        it.wait_boots(3, 900)
        assert "gateway" not in it.console()
    finally:
        it.cut_power()
