"""What scenarios with a gateway in a machine share: devices, what is asked of them, and what must hold of
frames that were pulled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy

import osd
from gateway import wait_for
from live import LiveRead

SMALL_BUDGET = 16 << 20
"""Bytes for frames that are soon used up, so that what is used beyond shows."""
# Options of the kernel: one card with an HDMI input, one with an analog one, one with planes of their own.
HDMI = "vivid.n_devs=1 vivid.input_types=0x3 vivid.num_inputs=1"
ANALOG = "vivid.n_devs=1 vivid.input_types=0x2 vivid.num_inputs=1"
PLANES = HDMI + " vivid.multiplanar=2"
# What vivid's control dv_timings_signal_mode takes.
NO_SIGNAL, NO_LOCK, OUT_OF_RANGE, SELECTED = 1, 2, 3, 4
# Numbers in the menu of its control dv_timings.
TIMINGS = {"1280x720p30": 7, "1280x720p60": 9, "1920x1080p30": 12, "1920x1080p60": 16}


def profile(
    *formats: str,
    name: str = "tried",
    driver: str = "vivid",
    timings: str = "events",
    no_signal: str = "event",
    more: str = "",
) -> str:
    """A hardware profile that asks for these formats alone."""
    listed = ", ".join(f'"{fourcc}"' for fourcc in formats)
    return f"""kind = "capture"
name = "{name}"
summary = "a device with what a test wants of it"
formats = [{listed}]
timings = "{timings}"
no_signal = "{no_signal}"
{more}
[match]
driver = ["{driver}"]
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


def path_of(series: dict) -> str:
    """Where a series that a search found is retrieved."""
    return f"/studies/{series['0020000D']['Value'][0]}/series/{series['0020000E']['Value'][0]}"


def series_of(guest, count: int = 1) -> list[dict]:
    """So many series, in the order of their numbers, once they are there."""
    found = wait_for(lambda: len(guest.series()) >= count and guest.series(), f"{count} series are there", 20)
    return sorted(found, key=lambda series: series["00200011"]["Value"][0])


def path_now(guest, capture: str = "xa") -> str:
    """Where the series is retrieved that a capture makes now, once it makes one."""

    def report() -> dict | None:
        told = guest.report(capture)
        return told if told["series"] else None

    told = wait_for(report, f"{capture} makes a series", 30)
    return f"/studies/{told['study']}/series/{told['series']}"


def read(guest) -> LiveRead:
    """Reads the first series, from its beginning on."""
    return LiveRead(guest, path_of(series_of(guest)[0]))


def brightness(instance) -> numpy.ndarray:
    """Rows and columns of one sample per pixel."""
    pixels = instance.pixel_array
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)


def number(instance) -> int:
    """Its Instance Number."""
    return int(instance.InstanceNumber)


def check_order(instances: Iterable, sequences: Iterable[int]) -> None:
    """Frames came once and in order, and are numbered as the driver numbered them."""
    numbers = [number(instance) for instance in instances]
    assert numbers == sorted(set(numbers)), numbers
    pairs = list(zip(sequences, numbers, strict=True))
    assert len({sequence - counted for sequence, counted in pairs}) == 1, pairs


def check_frames(instances: list) -> None:
    """Every frame of vivid is whole, and numbered as the driver numbered it."""
    check_order(instances, [osd.sequence(brightness(instance)) for instance in instances])
    times = [instance.AcquisitionDateTime for instance in instances]
    assert times == sorted(set(times)), times
    for instance in instances:
        # Upright bars that move from frame to frame, and from field to field: two in one would show.
        for field in (0, 1):
            below = brightness(instance)[260 + field :: 2]
            assert (below == below[0]).all(), f"frame {instance.InstanceNumber} is torn"


def gaps(instances: list) -> int:
    """Frames that are missing between those that came."""
    numbers = [number(instance) for instance in instances]
    return numbers[-1] - numbers[0] + 1 - len(numbers)


def goes_on(guest, seconds: float = 10) -> None:
    """Waits until a frame has come since now."""
    before = guest.count("instances")
    wait_for(lambda: guest.count("instances") > before, "frames come again", seconds)


def rises(guest, metric: str, act: Callable[[], object], by: int = 1, **labels: str) -> None:
    """Does something, and waits until a metric has risen by so much at least."""
    before = guest.count(metric, **labels)
    act()
    wait_for(lambda: guest.count(metric, **labels) >= before + by, f"{metric} {labels} rises by {by}", 10)
