"""Runs in the guest: connects the HDMI output of some of vivid's instances to their inputs, each with the
frame of a file, and says so when all of them show it. Goes on until it is given a line.

    python3 tests/vm/loops.py WIDTH HEIGHT INSTANCE:FOURCC:FILE…
"""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from vivid import Vivid


def main() -> None:
    """Loops what the command line lists."""
    width, height, *loops = sys.argv[1:]
    with ExitStack() as stack:
        for loop in loops:
            instance, fourcc, file = loop.split(":")
            frame = Vivid(int(instance)).looped(Path(file), int(width), int(height), fourcc)
            # Sending it again and again would take all of the processor.
            stack.enter_context(frame).send_signal(signal.SIGSTOP)
        print("all is shown", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
