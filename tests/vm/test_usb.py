"""A USB grabber, whose driver tells neither timings nor changes of the signal: what a software camera does on
the real uvcvideo, from pulling the plug to a picture that stands still."""

from __future__ import annotations

import hashlib

import pytest

from gateway import wait_for
from live import LiveRead, part10
from recovery import Recoveries
from scene import (
    SMALL_BUDGET,
    brightness,
    check_order,
    gaps,
    goes_on,
    path_of,
    profile,
    read,
    rises,
    series_of,
)
from usb import ID, camera, drawn

PLUGS = 50
MACHINE = "vivid.n_devs=1"
SMALL = ("--size", "640x480")
SPLASH = bytes([60, 180, 60, 110]) * (640 * 240)
"""What the camera shows as its splash: Y, Cb, Y, Cr."""


def uvc(*formats: str, no_signal: str = "stall", more: str = "") -> str:
    """A profile of a USB grabber."""
    return profile(
        *formats, driver="uvcvideo", timings="none", no_signal=no_signal, more=f"stall_ms = 1000\n{more}"
    )


def capture(guest, text: str, **settings) -> None:
    """Starts a gateway that captures the camera by its USB identifiers, and waits until frames come."""
    guest.profile("tried", text)
    guest.gateway(SMALL_BUDGET, xa={"device": f"usb:{ID}", "profile": "tried", "pixels": "grey"} | settings)
    guest.is_in("streaming")


def check_numbers(instances: list) -> None:
    """The numbers that the camera drew, and ours, have the same gaps."""
    check_order(instances, [drawn(brightness(instance)) for instance in instances])


def test_it_is_pulled_out_and_plugged_in_again_and_again(machine, capsys):
    guest = machine(MACHINE)
    with camera(guest, *SMALL) as plugged:
        capture(guest, uvc("YUYV"))
        series = guest.report()["series"]
        plugs = Recoveries(guest)
        for _ in range(PLUGS):
            rises(guest, "faults", lambda: plugged.command("unplug"), reason="gone")
            guest.is_in("absent")
            with plugs.timed("unplugged"):
                plugged.command("plug")
                goes_on(guest)
            plugs.round_ends()
        assert guest.state() == "streaming"
        # A node that is about to go can still be opened, which is one more.
        assert PLUGS <= guest.count("faults", reason="gone") <= PLUGS * 1.2
        # It is one series all along.
        assert guest.report()["series"] == series
        guest.stop()
    with capsys.disabled():
        plugs.check()


def test_a_stall_is_the_loss_of_a_signal(machine):
    guest = machine(MACHINE)
    with camera(guest, *SMALL) as plugged:
        capture(guest, uvc("YUYV"), series="signal")
        first = read(guest)
        first.next_instance()
        rises(guest, "faults", lambda: plugged.command("stall"), reason="stalled")
        guest.is_in("stalled")
        first.rest()
        plugged.command("resume")
        _, other = series_of(guest, 2)
        second = LiveRead(guest, path_of(other))
        check_numbers([second.next_instance() for _ in range(5)])
        guest.stop()


@pytest.mark.parametrize("fault", ["error", "truncate"])
def test_a_frame_that_the_driver_throws_away_is_a_gap(machine, fault):
    guest = machine(MACHINE)
    with camera(guest, *SMALL) as plugged:
        capture(guest, uvc("YUYV"))
        stream = read(guest)
        instances = [stream.next_instance()]
        plugged.command(f"{fault} 4")
        while gaps(instances) < 5:
            instances.append(stream.next_instance())
        plugged.command(f"{fault} 0")

        def all_told() -> bool:
            instances.append(stream.next_instance())
            return gaps(instances) == guest.count("frames_lost") + guest.count("frames_dropped")

        wait_for(all_told, "the gaps in the numbers are the frames that are counted as lost")
        check_numbers(instances)
        guest.stop()


def test_a_jpeg_that_is_cut_off_is_a_gap(machine):
    guest = machine(MACHINE)
    with camera(guest, *SMALL, "--format", "mjpeg") as plugged:
        capture(guest, uvc("MJPG"), pixels="color", compression="as-captured")
        stream = read(guest)
        instances = [stream.next_instance()]
        # This one the driver delivers.
        plugged.command("truncate 4")
        while gaps(instances) < 5:
            instances.append(stream.next_instance())
        plugged.command("truncate 0")

        def all_told() -> bool:
            instances.append(stream.next_instance())
            return gaps(instances) == guest.count("frames_lost") + guest.count("frames_dropped", reason="truncated")

        wait_for(all_told, "the gaps in the numbers are the frames that are counted")
        assert guest.count("frames_dropped", reason="truncated") == guest.count("frames_dropped") >= 5
        check_numbers(instances)
        guest.stop()


@pytest.mark.parametrize(("shown", "kind"), [("splash", "yuyv"), ("frozen", "yuyv"), ("frozen", "mjpeg")])
def test_a_picture_that_means_no_signal_is_not_published(machine, shown, kind):
    guest = machine(MACHINE)
    more = ""
    if shown == "splash":
        more = f'splash = [{{ sha256 = "{hashlib.sha256(SPLASH).hexdigest()}", seen = "the software camera" }}]'
    with camera(guest, *SMALL, "--format", kind) as plugged:
        fourcc = "YUYV" if kind == "yuyv" else "MJPG"
        pixels = {"pixels": "grey"} if kind == "yuyv" else {"pixels": "color", "compression": "as-captured"}
        capture(guest, uvc(fourcc, no_signal=shown, more=more), series="signal", **pixels)
        first = read(guest)
        before = [first.next_instance()]
        plugged.command(shown)
        guest.is_in("no-signal", 5)
        came = guest.count("instances")
        before += [part10(part) for part in first.rest()]
        assert len(before) == came
        # What stands still is told from what is slow only after a while; a splash at once.
        if shown == "splash":
            check_numbers(before)
        frames = guest.count("frames")
        wait_for(lambda: guest.count("frames") > frames + 10, "the camera goes on")
        assert guest.count("instances") == came
        plugged.command("resume")
        guest.is_in("streaming", 5)
        _, other = series_of(guest, 2)
        second = LiveRead(guest, path_of(other))
        check_numbers([second.next_instance() for _ in range(5)])
        guest.stop()
