"""Tests' end of the software USB camera in camera/: starts it, commands it, and reads its pictures."""

from __future__ import annotations

import os
import subprocess

import v4l2

BLOCK = 16
"""Pixels of one side of the blocks that the number of a frame is drawn with."""
PROGRAM = os.environ.get("FRAMEGATE_CAMERA", "framegate-camera")


class Camera:
    """A camera that is plugged in. Leaving the context pulls it out and ends it."""

    def __init__(self, *options: str, name: str = "Framegate Test Camera"):
        self.name = name
        line = [PROGRAM, "--name", name, *options]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("plugged into port")

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()
        v4l2.wait_until(lambda: not self.nodes(), "the camera's nodes are gone")

    def expect(self, beginning: str) -> str:
        """Reads what the camera says until a line begins so."""
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line.strip()
        raise AssertionError(f"the camera ended without saying {beginning!r}")

    def command(self, line: str) -> None:
        """Gives a command, and waits until it holds: plug, unplug, stall, splash, frozen, resume,
        `error N`, `truncate N`."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.expect("plugged" if line == "plug" else line)

    def nodes(self) -> list[str]:
        """Its nodes: that for pictures first, then that for metadata."""
        return v4l2.nodes(self.name)

    def node(self) -> str:
        """The node of its pictures, as soon as the kernel has made both."""
        return v4l2.wait_until(lambda: len(self.nodes()) == 2 and self.nodes(), "the camera's nodes")[0]


def number(yuyv: bytes, width: int) -> int:
    """The number in a frame of packed 4:2:2: one block for each bit, the most significant first."""
    row = yuyv[BLOCK // 2 * width * 2 :]
    return sum((row[bit * BLOCK * 2 + BLOCK] > 128) << (31 - bit) for bit in range(32))
