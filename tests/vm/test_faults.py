"""Everything that happens to a cable and a card, as vivid can have it happen: each fault has its state and
its metric, heals by itself within two seconds, and costs neither memory nor descriptors."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway import wait_for
from recovery import MOST, Recoveries
from scene import (
    HDMI,
    NO_LOCK,
    NO_SIGNAL,
    OUT_OF_RANGE,
    SELECTED,
    SMALL_BUDGET,
    TIMINGS,
    goes_on,
    profile,
    rises,
    send,
)

# Rounds of the walk through all faults.
ROUNDS = int(os.environ.get("FRAMEGATE_VM_ROUNDS", "20"))


class Walk(Recoveries):
    """Makes faults and mends them."""

    def signal(self, name: str, mode: int) -> None:
        """A signal that is lost, until it is there again. What comes in between is noise."""
        self.guest.vivid(dv_timings_signal_mode=mode)
        self.guest.is_in(name)
        came = self.guest.count("instances")
        assert self.guest.count("frames") == came + self.guest.count("frames_dropped"), self.guest.metrics()
        with self.timed(name):
            self.guest.vivid(dv_timings_signal_mode=SELECTED)
            wait_for(lambda: self.guest.count("instances") > came, f"frames after {name}", MOST)
        assert self.guest.state() == "streaming"

    def broken(self, name: str, **controls: int) -> None:
        """A stream that has to be begun again."""
        self.counted(name, "stream", lambda: self.guest.vivid(**controls))

    def counted(self, name: str, reason: str, act: Callable[[], object]) -> None:
        """A fault that mends itself and is counted."""
        with self.timed(name):
            rises(self.guest, "faults", act, reason=reason)
            goes_on(self.guest, MOST)

    def change(self, name: str, mode: str) -> None:
        """A signal that becomes another one: the next series."""
        before = self.guest.report()["series"]
        with self.timed(name):
            self.guest.vivid(dv_timings=TIMINGS[mode])
            wait_for(lambda: self.guest.report()["series"] not in ("", before), f"series after {name}", MOST)


def test_every_fault_is_told_and_healed(machine, capsys):
    guest = machine(HDMI)
    guest.profile("tried", profile("YUYV"))
    send(guest, "1280x720p30")
    guest.gateway(SMALL_BUDGET, xa={"device": "card:vivid", "profile": "tried", "pixels": "grey"})
    guest.is_in("streaming")
    walk = Walk(guest)
    for _ in range(ROUNDS):
        walk.signal("no-signal", NO_SIGNAL)
        walk.signal("no-lock", NO_LOCK)
        walk.signal("out-of-range", OUT_OF_RANGE)
        walk.broken("fatal streaming error", inject_fatal_streaming_error=1)
        walk.broken("VIDIOC_QBUF error", inject_vidioc_qbuf_error=1)
        # This one meets the buffers' being given back, and does no harm.
        guest.vivid(inject_vidioc_reqbufs_error=1)
        walk.change("change of mode", "1920x1080p30")
        guest.vivid(inject_vidioc_streamon_error=1)
        walk.broken("VIDIOC_STREAMON error", dv_timings=TIMINGS["1280x720p30"])
        rises(guest, "frames_dropped", lambda: guest.vivid(inject_v4l2_buf_flag_error=1), reason="corrupt")
        rises(guest, "frames_lost", lambda: guest.vivid(percentage_of_dropped_buffers=50), by=5)
        guest.vivid(percentage_of_dropped_buffers=0)
        # vivid is back as soon as nobody has it open any more.
        walk.counted("device gone", "gone", lambda: guest.vivid(disconnect=1))
        walk.round_ends()
    # One for each, and none that nobody made.
    assert guest.count("frames_dropped", reason="corrupt") == guest.count("faults", reason="gone") == ROUNDS
    with capsys.disabled():
        walk.check()
    assert "panicked" not in guest.log()
    guest.stop()


def test_a_card_that_is_pulled_out_is_found_again(machine):
    guest = machine(HDMI)
    send(guest, "1280x720p30")
    guest.gateway(xa={"device": "card:vivid", "pixels": "grey"})
    guest.is_in("streaming")
    driver = "/sys/bus/platform/drivers/vivid"
    rises(guest, "faults", lambda: guest.run("sh", "-c", f"echo vivid.0 > {driver}/unbind"), reason="gone")
    guest.is_in("absent")
    guest.run("sh", "-c", f"echo vivid.0 > {driver}/bind")
    # Everything is as it was at first.
    send(guest, "1280x720p30")
    goes_on(guest)
    guest.stop()
