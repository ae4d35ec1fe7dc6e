"""Fixtures of the image's tests: images, the boxes that run them, and a web server that has bundles."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import box as boxes
import images
from served import Served

FULL = bool(os.environ.get("FRAMEGATE_IMAGE_FULL"))
DISK_SIZE = "3G"
"""The image is smaller: what is behind it becomes the data partition."""
ROOM = """\
# A room as a test has it: the machine around the box may do all but administrate.
[dimse]
allow = ["10.0.2.0/24"]
[dicomweb]
allow = ["10.0.2.0/24"]
[access]
anonymous = ["search", "retrieve", "send"]
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="only with --full"))


@pytest.fixture(scope="session")
def machine_there():
    why = boxes.missing()
    if why:
        pytest.skip(why)


@pytest.fixture(scope="session")
def release() -> Path:
    """The folder of a release image: signed, but for the key, as one that leaves the house."""
    if not images.BINARY.exists():
        pytest.skip("no framegate binary: run `cargo build --release` first")
    images.forget_old()
    return images.build("1.0.0")


@pytest.fixture(scope="session")
def bench() -> Path:
    """Version 2 as a bench image."""
    if not images.BINARY.exists():
        pytest.skip("no framegate binary: run `cargo build --release` first")
    return images.build("2.0.0", bench=True)


def with_room(image: Path, folder: Path, room: str = ROOM) -> Path:
    """A copy of a disk's image, with a configuration laid beside the boot loader, as an engineer would."""
    disk = folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", image, disk], check=True)
    (folder / "50-room.toml").write_text(room)
    # The EFI system partition begins at 1 MiB.
    subprocess.run(["mcopy", "-i", f"{disk}@@1M", folder / "50-room.toml", "::framegate/"], check=True)
    return disk


@pytest.fixture(scope="session")
def factory(machine_there, bench, tmp_path_factory) -> Path:
    """A disk after its first boot in a room, healthy, slot A: the base of overlays. Beside it, at `kept(factory)`, is the
    machine that was on with it."""
    folder = tmp_path_factory.mktemp("factory")
    disk = boxes.overlay(folder / "factory.qcow2", with_room(images.disk(bench), folder), DISK_SIZE)
    box = boxes.Box(folder, disk).start()
    try:
        box.wait_healthy()
        print(f"\nfirst boot to healthy: {time.monotonic() - box.started:.0f} s")
        box.check("sync")
        box.keep(kept(disk))
    finally:
        box.cut_power()
    return disk


def kept(factory: Path) -> Path:
    return factory.with_suffix(".kept")


@pytest.fixture
def box(factory, tmp_path):
    """A healthy box that is on: version 2 in slot A, nothing in slot B."""
    it = boxes.Box(tmp_path, boxes.overlay(tmp_path / "box.qcow2", factory)).start(kept(factory))
    try:
        it.wait_healthy()
        yield it
    finally:
        it.cut_power()


@pytest.fixture(scope="session")
def update() -> Path:
    """The bundle of version 3, which is good."""
    return images.bundle(images.build("3.0.0", bench=True))


@pytest.fixture(scope="session")
def spoiled(update, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoiled")
    yield images.Spoiled(update, folder)
    shutil.rmtree(folder)


@pytest.fixture
def served(tmp_path):
    """A folder that boxes can read by HTTP: `served.url(file)`."""
    with Served(tmp_path / "served") as server:
        yield server
