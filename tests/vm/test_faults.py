"""Everything that happens to a cable and a card, as vivid can have it happen: each fault has its state and
its metric, heals by itself within two seconds, and costs neither memory nor descriptors."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable

from gateway import wait_for
from scene import HDMI, NO_LOCK, NO_SIGNAL, OUT_OF_RANGE, SELECTED, TIMINGS, goes_on, profile, rises, send

# Rounds of the walk through all faults.
ROUNDS = int(os.environ.get("FRAMEGATE_VM_ROUNDS", "20"))
# What is promised, held for every second recovery; the machine may have to wait for its turn, so any one of
# them may take longer.
PROMISED, MOST = 2.0, 20.0


class Walk:
    """Makes faults, mends them, and remembers how long it took until frames came again."""

    def __init__(self, guest) -> None:
        self.guest = guest
        self.took: dict[str, list[float]] = defaultdict(list)

    def signal(self, name: str, mode: int) -> None:
        """A signal that is lost, until it is there again. What comes in between is noise."""
        self.guest.vivid(dv_timings_signal_mode=mode)
        self.guest.is_in(name)
        came = self.guest.count("instances")
        assert self.guest.count("frames") == came + self.guest.count("dropped"), self.guest.metrics()
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

    def timed(self, name: str):
        return Timed(self.took[name])

    def check(self) -> None:
        """Says and holds how long it took."""
        for name, took in self.took.items():
            typical = sorted(took)[len(took) // 2]
            print(f"{name}: {len(took)} times, frames again after {typical:.2f} s, {max(took):.2f} s at most")
            assert typical <= PROMISED, (name, took)


class Timed:
    """Adds the seconds that something took to a list."""

    def __init__(self, took: list[float]) -> None:
        self.took = took

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.took.append(time.monotonic() - self.began)


def test_every_fault_is_told_and_healed(machine, capsys):
    guest = machine(HDMI)
    guest.profile("tried", profile("YUYV"))
    send(guest, "1280x720p30")
    guest.gateway(xa={"device": "card:vivid", "profile": "tried", "pixels": "grey"})
    guest.is_in("streaming")
    walk, footprints = Walk(guest), []
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
        rises(guest, "dropped", lambda: guest.vivid(inject_v4l2_buf_flag_error=1), reason="corrupt")
        rises(guest, "lost", lambda: guest.vivid(percentage_of_dropped_buffers=50), by=5)
        guest.vivid(percentage_of_dropped_buffers=0)
        # vivid is back as soon as nobody has it open any more.
        walk.counted("device gone", "gone", lambda: guest.vivid(disconnect=1))
        footprints.append(guest.footprint())
    with capsys.disabled():
        print()
        walk.check()
        print("resident memory (KiB) and descriptors after each round:", footprints)
    # Pools and rings have filled after some rounds; nothing grows from then on.
    (settled, least), (memory, descriptors) = footprints[len(footprints) // 4], footprints[-1]
    assert descriptors <= least + 1, footprints
    assert memory <= settled * 1.1 + 8 * 1024, footprints
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
