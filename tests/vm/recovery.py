"""How long recoveries take, and what they cost: said in the tests' output, and held to what is promised."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

PROMISED = 2.0
"""Seconds until frames come again. It is held for every second recovery: the machine may have to wait for
its turn, so any one of them may take longer, up to `MOST`."""
MOST = 20.0


class Recoveries:
    """Remembers recoveries, by what was recovered from, and what the gateway held after each round."""

    def __init__(self, guest) -> None:
        self.guest = guest
        self._took: dict[str, list[float]] = defaultdict(list)
        self._footprints: list[tuple[int, int]] = []

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Takes the time of what is done within."""
        began = time.monotonic()
        yield
        self._took[name].append(time.monotonic() - began)

    def round_ends(self) -> None:
        """Looks at memory and descriptors."""
        self._footprints.append(self.guest.footprint())

    def check(self) -> None:
        """Says and holds all of it. Once pools and rings have filled, nothing grows."""
        print()
        for name, took in self._took.items():
            typical = sorted(took)[len(took) // 2]
            print(f"{name}: {len(took)} times, frames again after {typical:.2f} s, {max(took):.2f} s at most")
        print("resident memory (KiB) and descriptors after each round:", *self._footprints)
        for name, took in self._took.items():
            assert sorted(took)[len(took) // 2] <= PROMISED, (name, took)
        (settled, least), (memory, descriptors) = self._footprints[len(self._footprints) // 4], self._footprints[-1]
        assert descriptors <= least + 1, self._footprints
        assert memory <= settled * 1.1 + 8 * 1024, self._footprints
