"""The power goes at random moments of an update. Whatever the moment, the box boots, and what it boots works."""

from __future__ import annotations

import os
import random
import time

import pytest

import box as boxes
from conftest import kept
from test_update import INSTALL, identity, version

pytestmark = pytest.mark.full
CUTS = int(os.environ.get("FRAMEGATE_IMAGE_CUTS", "20"))


@pytest.fixture(scope="module")
def installing(factory, update, tmp_path_factory) -> dict:
    """How long each stage of an update takes (s): what the moments are drawn from."""
    from served import Served

    folder = tmp_path_factory.mktemp("length")
    box = boxes.Box(folder, boxes.overlay(folder / "box.qcow2", factory), durable=True).start(kept(factory))
    with Served(folder / "served") as server:
        try:
            box.wait_healthy()
            before = identity(box)
            began = time.monotonic()
            box.check(INSTALL.format(server.url(update)), 900)
            installed = time.monotonic() - began
            boots = len(box.boots())
            box.run("systemctl --no-block reboot")
            box.wait_boots(boots + 1)
            stopped = time.monotonic() - began
            box.wait_healthy()
            healthy = time.monotonic() - began
            return {
                "writing": installed, "stopping": stopped - installed, "trying": healthy - stopped,
                "identity": before,
            }  # fmt: skip
        finally:
            box.cut_power()


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_power_cut(factory, update, served, tmp_path, installing, cut):
    seed = os.environ.get("FRAMEGATE_IMAGE_SEED", str(random.randrange(1 << 30)))
    # Each third while the other slot is written, while this one stops, and in the first boot of the other.
    stage = ("writing", "stopping", "trying")[cut % 3]
    moment = random.Random(f"{seed} {cut}").uniform(0, installing[stage])
    disk = boxes.overlay(tmp_path / "box.qcow2", factory)
    box = boxes.Box(tmp_path, disk, durable=True).start(kept(factory))
    try:
        box.wait_healthy()
        url = served.url(update)
        boots = len(box.boots())
        if stage == "writing":
            # Not waited for: the agent answers at once.
            box.run(f"(rauc install {url} && systemctl --no-block reboot) > /dev/null 2>&1 &")
        else:
            box.check(INSTALL.format(url), 900)
            box.run("systemctl --no-block reboot")
        if stage == "trying":
            box.wait_boots(boots + 1)
        time.sleep(moment)
        tried = len(box.boots()) > boots
        box.cut_power()
        box.start()
        box.wait_healthy()
        slot, its = box.slot(), version(box)
        print(f"\nseed {seed}, cut {cut}: power went {moment:.1f} s into {stage}, which takes {installing[stage]:.0f} s; "
              f"back with slot {slot}, version {its}")  # fmt: skip
        assert (slot, its) in {("A", "2.0.0-development"), ("B", "3.0.0-development")}
        # What was written, and not tried yet, is tried now.
        assert slot == "B" or stage != "stopping" or tried
        assert identity(box) == installing["identity"]
        # And an update still goes in.
        if slot == "A":
            box.check(INSTALL.format(url), 900)
    finally:
        box.cut_power()
