"""What the gateway in a box holds, taken again and again over a soak, and whether it stays the same."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import ClassVar

from box import Box

# Of all of a run: until then pools, rings and the allocator's arenas fill.
WARM_UP = 0.2
# At quiet moments: a connection of a scrape or of the self-test that is just open, threads for files that wait for
# more.
MORE_DESCRIPTORS, MORE_THREADS = 4, 4
# What a disturbance may leave for ever. The least thing that one could leave, a connection or a series, has buffers of
# 4 KiB and more; half of that in each would be 60 MB in a day of one each three seconds.
BYTES_EACH = 2048
# By which resident memory moves without growing: arenas, and instances whose size changes with the mode.
MOVES_BYTES = 8 << 20

# What the self-test says of a machine that is too slow for it. This one has a processor whose system calls are
# emulated, beside whatever else its host does: so much of all looks may find that. Seen: 1 of 405.
LATE, LATE_SHARE = "no answer within", 0.05

SAMPLE = """
pid=$(systemctl show -P MainPID framegate.service)
echo restarts $(systemctl show -P NRestarts framegate.service)
echo pid $pid
echo descriptors $(ls /proc/$pid/fd | wc -l)
sed -n 's/^Threads:[^0-9]*/threads /p;s/^VmRSS:[^0-9]*\\([0-9]*\\) kB/resident \\1/p' /proc/$pid/status
echo cgroup $(cat /sys/fs/cgroup/system.slice/framegate.service/memory.current)
if said=$(framegate health 2>&1); then echo unhealthy 0; else echo unhealthy 1; echo why $said; fi
chroot /host curl -s -m 20 http://127.0.0.1:9100/metrics | grep -E '^framegate_(self_test_ok|capture_instances)'
true
"""


@dataclass
class Sample:
    """One look. Bytes, seconds since the first."""

    at: float
    quiet: bool
    pid: int = 0
    restarts: int = 0
    descriptors: int = 0
    threads: int = 0
    resident: int = 0
    cgroup: int = 0
    unhealthy: str = ""
    self_test_ok: bool = True
    instances: float = 0


@dataclass
class Footprint:
    """All looks at a box."""

    HEAD: ClassVar[str] = (
        "| s | descriptors | threads | resident MB | cgroup MB | restarts | health |\n|---|---|---|---|---|---|---|"
    )
    box: Box
    samples: list[Sample] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def look(self, quiet: bool = False) -> Sample:
        sample = Sample(round(time.monotonic() - self.began, 1), quiet)
        for line in self.box.shell(SAMPLE, seconds=120).splitlines():
            name, _, value = line.strip().partition(" ")
            if name == "why":
                sample.unhealthy = value
            elif name.startswith("framegate_self_test_ok"):
                sample.self_test_ok &= float(line.split()[-1]) == 1
            elif name.startswith("framegate_capture_instances"):
                sample.instances += float(line.split()[-1])
            elif name in ("pid", "restarts", "descriptors", "threads", "cgroup"):
                setattr(sample, name, int(value))
            elif name == "resident":
                sample.resident = int(value) << 10
        self.samples.append(sample)
        return sample

    def quiet(self, looks: int) -> str:
        """Looks until everything that ends by itself has, and keeps the least of each. A row of the table."""
        seen = [self.look() for _ in range(looks)]
        least = self.look(quiet=True)
        for name in ("descriptors", "threads"):
            setattr(least, name, min(getattr(each, name) for each in (*seen, least)))
        return (
            f"| {least.at:.0f} | {least.descriptors} | {least.threads} | {least.resident / 1e6:.1f} | "
            f"{least.cgroup / 1e6:.1f} | {least.restarts} | {least.unhealthy or 'good'} |"
        )

    def _settled(self) -> list[Sample]:
        end = self.samples[-1].at
        return [each for each in self.samples if each.at >= WARM_UP * end]

    def growth(self) -> tuple[float, float]:
        """Slope of resident memory by least squares (bytes a second), and seconds that it is of."""
        points = [(each.at, each.resident) for each in self._settled()]
        middle = sum(x for x, _ in points) / len(points)
        level = sum(y for _, y in points) / len(points)
        spread = sum((x - middle) ** 2 for x, _ in points) or 1
        return sum((x - middle) * (y - level) for x, y in points) / spread, points[-1][0] - points[0][0]

    def problems(self, disturbances: int) -> list[str]:
        """What does not stay the same, or is not well."""
        found = []
        quiet = [each for each in self._settled() if each.quiet]
        if len(quiet) < 2:
            return ["there were too few quiet moments to compare"]
        quarter = max(len(quiet) // 4, 1)
        for name, more in (("descriptors", MORE_DESCRIPTORS), ("threads", MORE_THREADS)):
            before = max(getattr(each, name) for each in quiet[quarter : 2 * quarter] or quiet[:1])
            after = max(getattr(each, name) for each in quiet[-quarter:])
            if after > before + more:
                found.append(f"{name} have grown from {before} to {after}")
        slope, seconds = self.growth()
        allowed = max(MOVES_BYTES, BYTES_EACH * disturbances)
        if slope * seconds > allowed:
            grown = slope * seconds
            found.append(f"resident memory has grown by {grown / 1e6:.1f} MB; {allowed / 1e6:.1f} are allowed")
        first, last = self.samples[0], self.samples[-1]
        if last.restarts != first.restarts or len({each.pid for each in self.samples}) != 1:
            found.append(f"{last.restarts - first.restarts} restarts")
        unhealthy = [each for each in self.samples if each.unhealthy]
        found += [f"unhealthy at {each.at} s: {each.unhealthy}" for each in unhealthy if LATE not in each.unhealthy]
        if self.late() > LATE_SHARE * len(self.samples):
            found.append(f"the self-test was late in {self.late()} of {len(self.samples)} looks")
        if last.unhealthy:
            found.append("unhealthy at the end")
        return found

    def late(self) -> int:
        return sum(LATE in each.unhealthy for each in self.samples)

    def summary(self) -> dict:
        """For one line of JSON: least and most at quiet moments after the warm-up."""
        quiet = [each for each in self._settled() if each.quiet]
        bounds = lambda name: [f((getattr(each, name) for each in quiet), default=0) for f in (min, max)]  # noqa: E731
        slope, _ = self.growth()
        return {
            "samples": len(self.samples),
            "quiet": len(quiet),
            "descriptors": bounds("descriptors"),
            "threads": bounds("threads"),
            "resident": bounds("resident"),
            "cgroup": bounds("cgroup"),
            "resident_bytes_per_second": round(slope),
            "restarts": self.samples[-1].restarts - self.samples[0].restarts,
            "unhealthy": sum(bool(each.unhealthy) for each in self.samples),
            "late": self.late(),
            "self_test_not_ok": sum(not each.self_test_ok for each in self.samples),
        }


def said(summary: dict) -> str:
    return json.dumps(summary, sort_keys=True)
