"""Known patches through every format: what is pulled from outside the machine is the reference conversion of
what was sent, within one code value, and exactly that where there is no colour."""

from __future__ import annotations

import json
import os
import sys

import numpy
import pytest

import patches
from dciodvfy import errors
from gateway import wait_for
from live import LiveRead
from patches import FORMATS, Meaning
from scene import HDMI, path_now, profile, send

HERE = os.path.dirname(os.path.abspath(__file__))
CARDS = len(FORMATS)
PLANES = ",".join("2" if fourcc.startswith("NM") else "1" for fourcc in FORMATS)
MACHINE = f"vivid.n_devs={CARDS} vivid.multiplanar={PLANES} vivid.node_types={','.join(['0x101'] * CARDS)}"
# Bars of 100 %, from the left, as vivid draws them.
BARS = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)]
# Numbers in the menus of its controls.
BARS_OF_100_PERCENT, SRGB, ENCODINGS, RANGES = 1, 2, {"bt601": 1, "bt709": 2}, {"full": 1, "limited": 2}


@pytest.fixture(scope="module")
def looped(machines):
    """A machine with a card for each format, that shows the patches."""
    guest = machines(MACHINE)
    loops = []
    for at, fourcc in enumerate(FORMATS):
        raw = guest.folder / f"{fourcc.strip()}.raw"
        raw.write_bytes(patches.raw(fourcc))
        loops.append(f"{at}:{fourcc}:{raw}")
        guest.profile(name(fourcc), profile(fourcc, name=name(fourcc)))
    log = guest.folder / "loops.log"
    sending = guest.start(log, sys.executable, f"{HERE}/loops.py", patches.WIDTH, patches.HEIGHT, *loops)
    wait_for(lambda: "all is shown" in log.read_text() or guest.ended(sending), "the patches are shown", 120)
    assert not guest.ended(sending), log.read_text()
    yield guest
    guest.ask({"pid": sending, "say": "end"})


@pytest.fixture
def patched(looped, machine):
    """The same; a gateway that a failed test has left is stopped."""
    return machine(MACHINE)


def name(fourcc: str) -> str:
    """Of the capture of this format, and of its profile."""
    return fourcc.strip().lower()


def card(guest, fourcc: str) -> dict:
    """The settings that capture the card of this format, at a rate that one processor has for all of them."""
    return {"device": nodes(guest)[FORMATS.index(fourcc)], "profile": name(fourcc), "rate": 2.0}


def nodes(guest) -> list[str]:
    """The capture nodes, by instance."""
    listed = json.loads(guest.run(guest.program, "devices", "--json"))["devices"]
    return [device["path"] for device in listed]


def pulled(guest, capture: str):
    """An instance of a capture."""
    return LiveRead(guest, path_now(guest, capture)).next_instance()


def difference(guest, fourcc: str, meaning: Meaning, pixels: str) -> tuple[int, int]:
    """How far off the pixels of a format are, and those without colour."""
    got = pulled(guest, name(fourcc)).pixel_array.astype(int)
    coloured = pixels == "color" and got.ndim == 3
    wanted = patches.colour(fourcc, meaning) if coloured else patches.grey(fourcc, meaning)
    off = numpy.abs(got - wanted)
    return int(off.max()), int(off[patches.is_grey(fourcc)].max())


@pytest.mark.parametrize(
    ("pixels", "matrix", "range_"),
    [
        ("color", "bt601", "limited"),
        ("color", "bt601", "full"),
        ("color", "bt709", "limited"),
        ("color", "bt709", "full"),
        ("grey", "bt601", "limited"),
        ("grey", "bt709", "full"),
    ],
)
def test_patches_are_the_reference_conversion_of_what_was_sent(patched, pixels, matrix, range_):
    settings = {"pixels": pixels, "matrix": matrix, "range": range_}
    patched.gateway(**{name(fourcc): card(patched, fourcc) | settings for fourcc in FORMATS})
    found = {}
    for fourcc in FORMATS:
        off, grey = difference(patched, fourcc, Meaning(matrix, range_ == "limited"), pixels)
        if off > 1 or grey > 0:
            found[fourcc] = (off, grey)
    assert not found, f"off by so much at most, and where there is no colour: {found}"
    patched.stop()


@pytest.mark.parametrize(
    ("fourcc", "encoding", "range_"),
    [
        ("YUYV", "bt601", "limited"),
        ("UYVY", "bt709", "full"),
        ("NV12", "bt709", "limited"),
        ("NV16", "bt601", "full"),
        ("RGB3", "bt709", "limited"),
        ("BX24", "bt709", "full"),
    ],
)
def test_what_the_driver_says_of_colours_is_believed(machine, fourcc, encoding, range_):
    guest = machine(HDMI)
    send(guest, "1280x720p30")
    guest.vivid(test_pattern=BARS_OF_100_PERCENT, horizontal_movement=3, colorspace=SRGB)
    guest.vivid(y_cbcr_encoding=ENCODINGS[encoding], quantization=RANGES[range_])
    guest.profile("tried", profile(fourcc))
    guest.gateway(xa={"device": "/dev/video0", "profile": "tried", "pixels": "color"})
    picture = pulled(guest, "xa").pixel_array.astype(int)
    # The last of eight bars is black. vivid itself is off by some; other equations, by ten times that.
    seen = [picture[600, (2 * bar + 1) * 1280 // 16] for bar in range(8)]
    assert numpy.abs(numpy.array(seen) - [*BARS, (0, 0, 0)]).max() <= 5, seen
    guest.stop()


@pytest.mark.parametrize("pixels", ["grey", "color"])
def test_what_is_cut_off_or_masked_is_not_there(patched, pixels):
    formats = ("YUYV", "NM12", "BGR3", "Y12 ")
    # One mask lies across the edge of the crop, one has odd sides.
    settings = {
        "pixels": pixels,
        "matrix": "bt709",
        "range": "full",
        "crop": "101,51,400,301",
        "masks": ["90,40,60,60", "301,203,77,33"],
        "masks_cover_identity": True,
        "picture_size": f"{patches.WIDTH}x{patches.HEIGHT}",
    }
    patched.gateway(**{name(fourcc): card(patched, fourcc) | settings for fourcc in formats})
    for fourcc in formats:
        instance = pulled(patched, name(fourcc))
        got = instance.pixel_array.astype(int)
        meaning = Meaning("bt709", False)
        wanted = patches.colour(fourcc, meaning) if got.ndim == 3 else patches.grey(fourcc, meaning)
        wanted[40:100, 90:150] = 0
        wanted[203:236, 301:378] = 0
        wanted = wanted[51:352, 101:501]
        assert got.shape == wanted.shape
        assert numpy.abs(got - wanted).max() <= 1, fourcc
        assert (got[wanted.reshape(got.shape) == 0] <= 1).all()
        assert not got[:49, :49].any() and not got[152:185, 200:277].any()
        assert instance.BurnedInAnnotation == "NO"
    patched.stop()


def test_every_sop_class_is_what_the_standard_wants(patched, tmp_path):
    kinds = {
        "sc-grey": ("GREY", {"pixels": "grey"}),
        "sc-deep": ("Y12 ", {"pixels": "grey"}),
        "sc-color": ("YUYV", {"pixels": "color", "pixel_spacing": "0.2,0.2"}),
        "photo": ("RGB3", {"sop_class": "vl-photographic", "modality": "XC"}),
        "endo": ("NV12", {"sop_class": "vl-endoscopic", "modality": "ES"}),
        "us-grey": ("UYVY", {"sop_class": "ultrasound", "modality": "US", "pixels": "grey"}),
        "us-color": ("BGR3", {"sop_class": "ultrasound", "modality": "US", "body_part": "HEART"}),
    }
    patched.gateway(**{kind: card(patched, fourcc) | settings for kind, (fourcc, settings) in kinds.items()})
    found = {}
    for kind in kinds:
        path = tmp_path / f"{kind}.dcm"
        pulled(patched, kind).save_as(path)
        found[kind] = errors(path, tmp_path)
    assert not any(found.values()), found
    patched.stop()
