"""Fixtures of the tests of the appliance: a disk, what the bed lays over the root tree, and boxes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

from box import HERE, Box  # noqa: E402
from gateway import toml  # noqa: E402
from pki import Authority  # noqa: E402

NETWORKS = ["10.0.0.0/16", "127.0.0.0/8"]
ROOM = {
    "dimse": {"allow": NETWORKS},
    "dicomweb": {"allow": NETWORKS},
    "metrics": {"listen": "127.0.0.1:9100"},
    "access": {"anonymous": ["search", "retrieve", "subscribe", "operate"]},
    "capture.xa": {"device": "card:vivid", "pixels": "grey"},
}

# /host is the host's root, read-only.
AGENT = """[Unit]
Description=Agent of the test bed
DefaultDependencies=no
After=systemd-remount-fs.service

[Service]
ExecStart=chroot /host {python} {agent} /dev/tty3
StandardError=file:/bed/agent.log
KillMode=process
"""


def place() -> Path:
    """Where `run` has put what it made."""
    named = os.environ.get("FRAMEGATE_APPLIANCE")
    if named is None:
        pytest.skip("started by tests/appliance/run only")
    return Path(named)


@pytest.fixture(scope="session")
def layer(tmp_path_factory) -> Path:
    """What lies over the root tree: the agent as a unit, and mount points."""
    layer = tmp_path_factory.mktemp("layer")
    # It becomes the root folder.
    layer.chmod(0o755)
    units = layer / "etc/systemd/system"
    for folder in (layer / "host", layer / "bed", units / "sysinit.target.wants"):
        folder.mkdir(parents=True)
    (units / "bed-agent.service").write_text(AGENT.format(python=sys.executable, agent=HERE / "agent.py"))
    (units / "sysinit.target.wants/bed-agent.service").symlink_to("../bed-agent.service")
    return layer


@pytest.fixture(scope="session")
def blank(tmp_path_factory) -> Path:
    """A disk as it is when a box has been flashed, but for the slots: the root is the tree here. What a field engineer
    would lay beside the boot loader, the networks of this room, is there. A sparse file of 320 MB."""
    folder = tmp_path_factory.mktemp("disk")
    disk, provisioned = folder / "blank", folder / "50-room.toml"
    with disk.open("wb") as file:
        file.truncate(320 << 20)
    for words, given in (
        (["sfdisk", "--quiet", disk], 'label: gpt\nsize=8MiB, name="esp"\n'),
        # In sectors and in KiB: the partition begins at 1 MiB.
        (["mkfs.vfat", "--offset", "2048", disk, "8192"], None),
        (["mmd", "-i", f"{disk}@@1M", "framegate"], None),
        (["mcopy", "-i", f"{disk}@@1M", provisioned, "::framegate/"], None),
    ):
        provisioned.write_text(toml(ROOM))
        subprocess.run(words, input=given, text=True, check=True, stdout=subprocess.DEVNULL)
    return disk


@pytest.fixture(scope="session")
def boxes(layer, tmp_path_factory):
    """Boots a box of this disk: `boxes(disk)`, or with what Box takes. They are switched off at the end, hard."""
    running: list[Box] = []

    def start(disk: Path, **more) -> Box:
        kernel = Path(os.environ["FRAMEGATE_VM_KERNEL"])
        running.append(Box(tmp_path_factory.mktemp("box"), kernel, place() / "tree", layer, disk, **more))
        return running[-1]

    yield start
    for box in running:
        box.cut()


@pytest.fixture(scope="session")
def copied(tmp_path_factory):
    """Copies a disk for a box of its own."""

    def copy(disk: Path) -> Path:
        copy = tmp_path_factory.mktemp("disk") / "disk"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", disk, copy], check=True)
        return copy

    return copy


@pytest.fixture(scope="module")
def fresh(blank, copied) -> Path:
    """A disk that has just been flashed, for the boxes of one module."""
    return copied(blank)


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """The hospital's certificate authority."""
    return Authority(tmp_path_factory.mktemp("pki"))


def pytest_terminal_summary(terminalreporter) -> None:
    """Prints the table that test_forbidden.py has filled."""
    written = place() / "forbidden.md"
    if any("test_forbidden" in str(each.nodeid) for each in terminalreporter.stats.get("passed", [])):
        terminalreporter.write_line(written.read_text())
