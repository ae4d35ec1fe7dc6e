"""The software camera in a machine, commanded from out here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy

from gateway import wait_for

BLOCK = 16
ID = "1d6b:0102"


class Plugged:
    """A camera that is plugged into a machine."""

    def __init__(self, guest, *options: str) -> None:
        self.guest = guest
        self._log = guest.folder / "camera.log"
        self._heard = 0
        self._process = guest.start(self._log, os.environ["FRAMEGATE_CAMERA"], "--id", ID, *options)
        self._expect("plugged into port")

    def _expect(self, beginning: str) -> None:
        """Waits until the camera says a line that begins so, after what it has said before."""

        def said() -> bool:
            lines = self._log.read_text().splitlines()
            for at in range(self._heard, len(lines)):
                if lines[at].startswith(beginning):
                    self._heard = at + 1
                    return True
            return False

        wait_for(said, f"the camera says {beginning!r}", 10)

    def command(self, line: str) -> None:
        """Gives a command, and waits until it holds; see README.md."""
        self.guest.ask({"pid": self._process, "say": line})
        self._expect("plugged into port" if line == "plug" else line)

    def end(self) -> None:
        """Pulls it out for good."""
        self.guest.ask({"pid": self._process, "say": "quit"})
        self.guest.ask({"pid": self._process, "wait": 10})


@contextmanager
def camera(guest, *options: str) -> Iterator[Plugged]:
    """A camera for as long as a test takes."""
    plugged = Plugged(guest, *options)
    try:
        yield plugged
    finally:
        plugged.end()


def drawn(picture: numpy.ndarray) -> int:
    """The number in a picture of brightness: one block for each bit, the most significant first."""
    row = picture[BLOCK // 2, BLOCK // 2 :: BLOCK][:32]
    return sum(int(bit) << (31 - at) for at, bit in enumerate(row > 128))
