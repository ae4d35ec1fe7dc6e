"""Video that vivid makes, through V4L2 and the built gateway, pulled over TLS from outside the machine.

Frames are held against what vivid draws into them: no frame is torn, comes twice or out of order, and a gap
in Instance Number is a gap in the driver's numbers. Frame rates are not tested: the machine may be slow."""

from __future__ import annotations

import numpy
import pytest

import osd
from gateway import wait_for
from live import LiveRead

# Numbers in the menu of vivid's control dv_timings.
TIMINGS = {"720x576i50": 3, "1280x720p60": 9, "1920x1080p30": 12, "1920x1080p60": 16}
NO_SIGNAL, NO_LOCK, OUT_OF_RANGE, SELECTED = 1, 2, 3, 4
SINGLE = "vivid.n_devs=1 vivid.input_types=0x3 vivid.num_inputs=1"
MULTI = SINGLE + " vivid.multiplanar=2"


def profile(*formats: str, more: str = "") -> str:
    """A hardware profile that asks vivid for these formats alone."""
    listed = ", ".join(f'"{fourcc}"' for fourcc in formats)
    return f"""kind = "capture"
name = "tried"
summary = "vivid with one format"
formats = [{listed}]
timings = "events"
no_signal = "event"
{more}
[match]
driver = ["vivid"]
[facts]
documents = []
seen_on_device = []
"""


def send(guest, mode: str) -> None:
    """Has vivid send a signal of this mode, moving bars in it."""
    guest.vivid(dv_timings_signal_mode=SELECTED, horizontal_movement=5)
    guest.vivid(dv_timings=TIMINGS[mode])


def brightness(instance) -> numpy.ndarray:
    """Rows and columns of one sample per pixel."""
    pixels = instance.pixel_array
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)


def one_series(guest) -> str:
    """The path of the only series, once it is there."""
    found = wait_for(guest.series, "a series is live", 20)
    study, series = found[0]["0020000D"]["Value"][0], found[0]["0020000E"]["Value"][0]
    return f"/studies/{study}/series/{series}"


def check_frames(instances) -> None:
    """Every frame is whole, and numbered as the driver numbered it."""
    numbers = [int(instance.InstanceNumber) for instance in instances]
    told = [osd.sequence(brightness(instance)) for instance in instances]
    assert numbers == sorted(set(numbers)), numbers
    assert len({sequence - number for sequence, number in zip(told, numbers)}) == 1, list(zip(told, numbers))
    times = [instance.AcquisitionDateTime for instance in instances]
    assert times == sorted(set(times)), times
    for instance in instances:
        # Upright bars that move from frame to frame: two frames in one would show.
        below = brightness(instance)[260:]
        assert (below == below[0]).all(), f"frame {instance.InstanceNumber} is torn"


@pytest.mark.parametrize(
    ("options", "mode", "fourcc", "capture", "shape"),
    [
        (SINGLE, "1280x720p60", "YUYV", {"pixels": "grey"}, (720, 1280, 1, 8)),
        (SINGLE, "1280x720p60", "UYVY", {"pixels": "color"}, (720, 1280, 3, 8)),
        (SINGLE, "1280x720p60", "RGB3", {"pixels": "color"}, (720, 1280, 3, 8)),
        (SINGLE, "1280x720p60", "GREY", {"pixels": "grey"}, (720, 1280, 1, 8)),
        (SINGLE, "1280x720p60", "Y10 ", {"pixels": "grey"}, (720, 1280, 1, 10)),
        (SINGLE, "1280x720p60", "Y12 ", {"pixels": "grey"}, (720, 1280, 1, 12)),
        (SINGLE, "1280x720p60", "Y16 ", {"pixels": "grey"}, (720, 1280, 1, 16)),
        (SINGLE, "1280x720p60", "NV12", {"pixels": "grey"}, (720, 1280, 1, 8)),
        (MULTI, "1280x720p60", "NM12", {"pixels": "color"}, (720, 1280, 3, 8)),
        (MULTI, "1280x720p60", "NM16", {"pixels": "grey"}, (720, 1280, 1, 8)),
        (SINGLE, "720x576i50", "YUYV", {"pixels": "grey"}, (576, 720, 1, 8)),
        (SINGLE, "1920x1080p60", "YUYV", {"pixels": "grey"}, (1080, 1920, 1, 8)),
        (SINGLE, "1920x1080p60", "BGR3", {"pixels": "color"}, (1080, 1920, 3, 8)),
    ],
)
def test_every_format_arrives_whole_and_numbered_as_the_driver_did(machine, options, mode, fourcc, capture, shape):
    guest = machine(options)
    guest.profile("tried", profile(fourcc))
    send(guest, mode)
    guest.gateway(xa={"device": "/dev/video0", "profile": "tried", "modality": "XA"} | capture)
    stream = LiveRead(guest, one_series(guest))
    instances = [stream.next_instance() for _ in range(40)]
    check_frames(instances)
    first = instances[0]
    assert (first.Rows, first.Columns, first.SamplesPerPixel, first.BitsStored) == shape
    assert guest.state() == "streaming"
    guest.stop()
    # What is left is the end of a series that is complete.
    stream.rest()
