"""A box with a TPM 2.0 (swtpm): its data partition is encrypted, and opens by itself at the next boot, in this box only."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

import box as boxes
import images
from conftest import DISK_SIZE, with_room
from raw import RawDisk

pytestmark = pytest.mark.full


class Chip:
    """A TPM whose memory is a folder."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def __enter__(self):
        self.socket = self.folder / "socket"
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", "--ctrl", f"type=unixio,path={self.socket}",
             "--terminate"])  # fmt: skip
        end = time.monotonic() + 10
        while not self.socket.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return self.socket

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_data_is_encrypted_where_there_is_a_tpm(machine_there, bench, tmp_path):
    if shutil.which("swtpm") is None:
        pytest.skip("no swtpm")
    disk = boxes.overlay(tmp_path / "box.qcow2", with_room(images.disk(bench), tmp_path), DISK_SIZE)
    chip = tmp_path / "chip"
    with Chip(chip) as tpm:
        box = boxes.Box(tmp_path, disk, tpm=tpm).start()
        try:
            box.wait_healthy()
            device = box.check("cat /etc/framegate/identity/device-id")
            assert "crypto_LUKS" in box.check("lsblk -no FSTYPE /dev/disk/by-partlabel/data")
            assert "encrypted, key sealed" in box.check("cat /run/framegate-box/data")
            box.run("systemctl --no-block poweroff")
            box.process.wait(120)
        finally:
            box.cut_power()
    raw = RawDisk(disk, tmp_path)
    assert raw.count(device) == {device: 0}
    raw.path.unlink()
    with Chip(chip) as tpm:
        box = boxes.Box(tmp_path, disk, tpm=tpm).start()
        try:
            box.wait_healthy()
            assert box.check("cat /etc/framegate/identity/device-id") == device
        finally:
            box.cut_power()
