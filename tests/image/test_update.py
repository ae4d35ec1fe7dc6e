"""An update while frames are streamed, and bundles that are refused. A box is told to install by the agent of a bench
image; what it does then is what it does wherever the order comes from."""

from __future__ import annotations

import pytest

import images
from dicom import Streaming

pytestmark = pytest.mark.full
INSTALL = "rauc install {} 2>&1"


def identity(box) -> str:
    return box.check("cat /etc/framegate/identity/device-id /etc/framegate/identity/server.pem; cat /etc/machine-id; "
                     "cat /etc/framegate/framegate.d/*.toml")  # fmt: skip


def version(box) -> str:
    return box.check("sed -n 's/^IMAGE_VERSION=//p' /usr/lib/os-release")


def test_an_update_while_streaming(box, update, served, tmp_path):
    before = identity(box)
    assert (box.slot(), version(box)) == ("A", "2.0.0-development")
    called = "FG" + box.check("hostname")[-6:].upper()
    with Streaming(tmp_path / "run", box.ports[104], called) as streaming:
        # The installation disturbs nobody: frames go in before, during and after.
        box.check(INSTALL.format(served.url(update)), 900)
        assert streaming.bad == 0 and len(streaming.good) > 3
        boots = len(box.boots())
        box.run("systemctl --no-block reboot")
        box.wait_boots(boots + 1)
        box.wait_healthy()
        at_reboot = len(streaming.good)
        box.check("sleep 15")
    assert len(streaming.good) > at_reboot, "frames go in again after the update"
    assert (box.slot(), version(box)) == ("B", "3.0.0-development")
    assert identity(box) == before
    state = box.check("grub-editenv /efi/EFI/BOOT/grubenv list")
    assert "ORDER=B A" in state and "B_OK=1" in state and "B_TRY=0" in state and "B_PROVEN=" in state


def refused(box, url: str) -> str:
    """What rauc says when it refuses; and nothing has changed."""
    before = box.check("grub-editenv /efi/EFI/BOOT/grubenv list; head -c 65536 /dev/disk/by-partlabel/root-b | sha256sum")
    status, said = box.run(INSTALL.format(url), 300)
    assert status != 0, said
    assert box.check(
        "grub-editenv /efi/EFI/BOOT/grubenv list; head -c 65536 /dev/disk/by-partlabel/root-b | sha256sum"
    ) == before
    return said


def test_bundles_that_are_refused(box, update, spoiled, served, tmp_path):
    foreign = spoiled.make("foreign", pki=images.stranger(tmp_path / "stranger"))
    assert "signature" in refused(box, served.url(foreign)).lower()

    other = spoiled.make("other", compatible="framegate-raspberry-pi-cm5")
    assert "ompatible" in refused(box, served.url(other))

    older = spoiled.make("older", version="1.9.9")
    said = refused(box, served.url(older))
    assert "version" in said.lower() and "1.9.9" in said

    cut = tmp_path / "cut.raucb"
    content = update.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert refused(box, served.url(cut))

    flipped = tmp_path / "flipped.raucb"
    middle = len(content) // 2
    flipped.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    # Only seen when the block is read, when the other slot is half written already: it stays out of use.
    status, said = box.run(INSTALL.format(served.url(flipped)), 600)
    assert status != 0, said
    assert "B_OK=0" in box.check("grub-editenv /efi/EFI/BOOT/grubenv list")
    assert box.slot() == "A"
    # A good one goes in after all that.
    box.check(INSTALL.format(served.url(update)), 900)
