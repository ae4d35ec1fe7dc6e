"""What tests in the guest ask of any video device, by v4l2-ctl.

A device is named by its node, such as /dev/video0. Nothing here knows what kind of device it is.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CLASS = Path("/sys/class/video4linux")
FRAME = re.compile(r"cap dqbuf: *\d+ seq: *(\d+) bytesused: *([\d/]+)(?: offset: *([\d/]+))? ts: *([\d.]+)(.*)")


class Refused(Exception):
    """v4l2-ctl failed; the text is what it said."""


@dataclass(frozen=True)
class Frame:
    """One dequeued buffer."""

    sequence: int
    """v4l2_buffer.sequence: a step of more than one is a loss."""
    seconds: float
    """v4l2_buffer.timestamp, on the monotonic clock."""
    flagged: bool
    """V4L2_BUF_FLAG_ERROR."""
    data: bytes
    """All planes, one after the other. Empty if flagged: v4l2-ctl neither counts such a frame nor writes it."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10):
    """The first true value of `condition`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value


def control(node: str, *arguments: str) -> str:
    """Runs v4l2-ctl on a node and returns what it prints. Its exit status alone tells too little."""
    done = subprocess.run(["v4l2-ctl", "-d", node, *arguments], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode != 0 or "failed:" in text or "Cannot open device" in text:
        raise Refused(f"v4l2-ctl {' '.join(arguments)}: {text.strip()}")
    return text


def nodes(name: str) -> list[str]:
    """The nodes whose name begins so, in the order of their numbers."""
    found = [entry for entry in CLASS.glob("video*") if _name(entry).startswith(name)]
    return [f"/dev/{entry.name}" for entry in sorted(found, key=lambda entry: int(entry.name[5:]))]


def _name(entry: Path) -> str:
    try:
        return (entry / "name").read_text()
    except OSError:
        # It was going away just now.
        return ""


def set_format(node: str, width: int, height: int, fourcc: str) -> None:
    """Sets what a capture node delivers, and makes sure that the driver did not choose otherwise."""
    said = control(node, "-v", f"width={width},height={height},pixelformat={fourcc}", "-V")
    assert f"{width}/{height}" in said and f"'{fourcc}'" in said, said


def streaming(node: str, count: int, to: Path | None = None) -> list[str]:
    """The command line that captures so many frames (0: without end) through four mapped buffers. It
    waits by select(2): a request that blocks ends with EINVAL, not ENODEV, when the device is gone."""
    line = ["v4l2-ctl", "-d", node, "--stream-mmap=4", "--stream-poll", f"--stream-count={count}", "--verbose"]
    return line if to is None else [*line, f"--stream-to={to}"]


def capture(node: str, count: int, seconds: float = 20) -> list[Frame]:
    """Captures so many frames, with their bytes; flagged ones come on top."""
    raw = Path("/dev/shm/capture.raw")
    try:
        line = streaming(node, count, raw)
        done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False)
        frames = []
        with raw.open("rb") as file:
            for found in FRAME.finditer(done.stdout + done.stderr):
                flagged = "error" in found[5].rpartition("(")[2]
                # What lies before the picture in a plane is counted, but not written.
                counted, before = (sum(map(int, (sizes or "0").split("/"))) for sizes in (found[2], found[3]))
                data = b"" if flagged else file.read(counted - before)
                frames.append(Frame(int(found[1]), float(found[4]), flagged, data))
    finally:
        raw.unlink(missing_ok=True)
    if (got := sum(not frame.flagged for frame in frames)) != count:
        raise Refused(f"{got} of {count} frames: {done.stdout}{done.stderr}")
    return frames
