"""Video that vivid makes, through V4L2 and the built gateway, pulled over TLS from outside the machine.

Frames are held against what vivid draws into them: no frame is torn, comes twice or out of order, and a gap
in Instance Number is a gap in the driver's numbers. Frame rates are not tested: the machine may be slow."""

from __future__ import annotations

import os

import numpy
import pytest

import osd
from gateway import wait_for
from live import LiveRead

# Numbers in the menu of vivid's control dv_timings.
TIMINGS = {"1280x720p60": 9, "1920x1080p30": 12, "1920x1080p60": 16}
NO_SIGNAL, NO_LOCK, OUT_OF_RANGE, SELECTED = 1, 2, 3, 4
# Rounds of the walk through all faults; $FRAMEGATE_VM_ROUNDS for more.
ROUNDS = int(os.environ.get("FRAMEGATE_VM_ROUNDS", "2"))
SINGLE = "vivid.n_devs=1 vivid.input_types=0x3 vivid.num_inputs=1"
ANALOG = "vivid.n_devs=1 vivid.input_types=0x2 vivid.num_inputs=1"
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
    guest.vivid(horizontal_movement=5)
    if mode in TIMINGS:
        guest.vivid(dv_timings_signal_mode=SELECTED)
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
        # Upright bars that move from frame to frame, and from field to field: two in one would show.
        for field in (0, 1):
            below = brightness(instance)[260 + field :: 2]
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
        (ANALOG, "720x576i50", "YUYV", {"pixels": "grey"}, (576, 720, 1, 8)),
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
    instances = [stream.next_instance() for _ in range(15 if capture["pixels"] == "color" else 30)]
    check_frames(instances)
    first = instances[0]
    assert (first.Rows, first.Columns, first.SamplesPerPixel, first.BitsStored) == shape
    assert guest.state() == "streaming"
    guest.stop()
    # What is left is the end of a series that is complete.
    stream.rest()


def lost_and_found(guest, fault, state: str, mend, fault_counted: str = "") -> None:
    """Makes a fault, sees it told, mends it, and sees frames again."""
    before = guest.count("faults", reason=fault_counted)
    fault()
    if state:
        wait_for(lambda: guest.state() == state, f"the state is {state}", 10)
    mend()
    if fault_counted:
        wait_for(lambda: guest.count("faults", reason=fault_counted) > before, "the fault is counted", 10)
    wait_for(lambda: guest.state() == "streaming", "it streams again", 10)
    frames = guest.count("instances")
    wait_for(lambda: guest.count("instances") > frames, "frames come again", 10)


def test_every_fault_is_told_and_healed(machine):
    guest = machine(SINGLE)
    guest.profile("tried", profile("YUYV"))
    send(guest, "1280x720p60")
    guest.gateway(xa={"device": "/dev/video0", "profile": "tried", "pixels": "grey"})
    wait_for(lambda: guest.state() == "streaming", "it streams", 20)
    signal = lambda mode: lambda: guest.vivid(dv_timings_signal_mode=mode)  # noqa: E731
    change = lambda mode: lambda: guest.vivid(dv_timings=TIMINGS[mode])  # noqa: E731
    inject = lambda what: lambda: guest.vivid(**{f"inject_{what}": 1})  # noqa: E731
    nothing = lambda: None  # noqa: E731
    footprints = []
    for round_number in range(ROUNDS):
        lost_and_found(guest, signal(NO_SIGNAL), "no-signal", signal(SELECTED))
        lost_and_found(guest, signal(NO_LOCK), "no-lock", signal(SELECTED))
        lost_and_found(guest, signal(OUT_OF_RANGE), "out-of-range", signal(SELECTED))
        lost_and_found(guest, inject("fatal_streaming_error"), "", nothing, "stream")
        lost_and_found(guest, inject("vidioc_qbuf_error"), "", nothing, "stream")
        # This one meets the buffers' being given back, and does no harm.
        lost_and_found(guest, inject("vidioc_reqbufs_error"), "", change("1920x1080p30"))
        inject("vidioc_streamon_error")()
        lost_and_found(guest, change("1280x720p60"), "", nothing, "stream")
        corrupt = guest.count("dropped", reason="corrupt")
        guest.vivid(inject_v4l2_buf_flag_error=1)
        wait_for(lambda: guest.count("dropped", reason="corrupt") > corrupt, "a corrupt frame is dropped", 10)
        lost = guest.count("lost")
        guest.vivid(percentage_of_dropped_buffers=50)
        wait_for(lambda: guest.count("lost") > lost + 5, "lost frames are counted", 10)
        guest.vivid(percentage_of_dropped_buffers=0)
        footprints.append(guest.footprint())
    (first_memory, first_descriptors), (memory, descriptors) = footprints[0], footprints[-1]
    assert descriptors <= first_descriptors + 1, footprints
    assert memory <= first_memory * 1.2 + 16 * 1024, footprints
    assert "panicked" not in guest.log()
    guest.stop()


def test_a_change_of_mode_is_the_next_series(machine):
    guest = machine(SINGLE)
    guest.profile("tried", profile("YUYV"))
    send(guest, "1280x720p60")
    guest.gateway(xa={"device": "/dev/video0", "profile": "tried", "pixels": "grey"})
    first = LiveRead(guest, one_series(guest))
    check_frames([first.next_instance() for _ in range(5)])
    guest.vivid(dv_timings=TIMINGS["1920x1080p30"])
    found = wait_for(lambda: len(guest.series()) == 2 and guest.series(), "another series", 20)
    studies = {series["0020000D"]["Value"][0] for series in found}
    assert len(studies) == 1
    # The first one is complete.
    assert first.rest() is not None
    newest = max(found, key=lambda series: series["00200011"]["Value"][0])
    path = f"/studies/{newest['0020000D']['Value'][0]}/series/{newest['0020000E']['Value'][0]}"
    second = [LiveRead(guest, path).next_instance() for _ in range(1)]
    assert (second[0].Rows, second[0].Columns) == (1080, 1920)
    guest.stop()


def test_a_device_that_vanishes_is_found_again(machine):
    guest = machine(SINGLE)
    send(guest, "1280x720p60")
    guest.gateway(xa={"device": "card:vivid", "pixels": "grey"})
    wait_for(lambda: guest.state() == "streaming", "it streams", 20)
    # vivid is back as soon as nobody has it open any more.
    lost_and_found(guest, lambda: guest.vivid(disconnect=1), "", lambda: None, "gone")
    assert "absent" in guest.log()
    guest.stop()
