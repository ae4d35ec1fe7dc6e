"""vivid, the kernel's virtual capture card: its HDMI input, every fault that it can have, and the loop
from its HDMI output (Documentation/admin-guide/media/vivid.rst in the kernel's source).

As a program, for scripts in the guest:

    python3 tests/vm/vivid.py FAULT [VALUE]        such as no_signal, select 1280x720p60, drop 50, restore
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import v4l2

DRIVER = Path("/sys/bus/platform/drivers/vivid")
HDMI = 3
"""Number of the HDMI input, with the usual vivid.input_types."""

# Timings that both ends of the loop understand alike: pixel clock, then front porch, sync and back porch
# of both directions (CTA-861).
# The small one takes its time, so that many cards can have theirs.
TIMINGS = {
    (640, 480): "cvt,width=640,height=480,fps=36",
    (1280, 720): "width=1280,height=720,interlaced=0,pixelclock=74250000,hfp=110,hs=40,hbp=220,vfp=5,vs=5,vbp=20,polarities=3",
    (1920, 1080): "width=1920,height=1080,interlaced=0,pixelclock=148500000,hfp=88,hs=44,hbp=148,vfp=4,vs=5,vbp=36,polarities=3",
}


class Vivid:
    """One instance of the driver, the first unless said otherwise."""

    def __init__(self, instance: int = 0):
        self.instance = f"{instance:03}"

    @property
    def node(self) -> str:
        """The capture node."""
        return v4l2.nodes(f"vivid-{self.instance}-vid-cap")[0]

    @property
    def output(self) -> str:
        """The output node."""
        return v4l2.nodes(f"vivid-{self.instance}-vid-out")[0]

    def set(self, **controls: int) -> None:
        """Sets controls by the names that v4l2-ctl has for them; a button takes 1."""
        for name, value in controls.items():
            v4l2.control(self.node, "-c", f"{name}={value}")

    # The signal. Each of these raises V4L2_EVENT_SOURCE_CHANGE, but frames go on: of noise, or of the old
    # size until the new timings are set.

    def no_signal(self) -> None:
        """VIDIOC_QUERY_DV_TIMINGS fails with ENOLINK."""
        self.set(dv_timings_signal_mode=1)

    def no_lock(self) -> None:
        """VIDIOC_QUERY_DV_TIMINGS fails with ENOLCK."""
        self.set(dv_timings_signal_mode=2)

    def out_of_range(self) -> None:
        """VIDIOC_QUERY_DV_TIMINGS fails with ERANGE."""
        self.set(dv_timings_signal_mode=3)

    def select(self, timings: str) -> None:
        """The signal is there, with timings such as 1280x720p60."""
        self.set(dv_timings_signal_mode=4)
        menu = v4l2.control(self.node, "--list-ctrls-menus").partition(" dv_timings 0x")[2]
        found = re.search(rf"^\s+(\d+): {re.escape(timings)}$", menu, re.MULTILINE)
        assert found, f"vivid has no timings {timings}"
        self.set(dv_timings=int(found[1]))

    # What goes wrong while streaming.

    def corrupt(self) -> None:
        """The next buffer has V4L2_BUF_FLAG_ERROR."""
        self.set(inject_v4l2_buf_flag_error=1)

    def drop(self, percent: int) -> None:
        """So many buffers are never delivered: gaps in their sequence."""
        self.set(percentage_of_dropped_buffers=percent)

    def break_stream(self) -> None:
        """VIDIOC_DQBUF fails with EIO, once and for all of this stream."""
        self.set(inject_fatal_streaming_error=1)

    def fail(self, request: str) -> None:
        """The next `reqbufs`, `qbuf` or `streamon` fails with EINVAL."""
        self.set(**{f"inject_vidioc_{request}_error": 1})

    def disconnect(self) -> None:
        """The device is gone: ENODEV for all who have it open or open it, until the last of them has
        closed it. Nothing happens if nobody has. The nodes stay."""
        self.set(disconnect=1)

    def remove(self) -> None:
        """All instances are gone, and their nodes with them."""
        (DRIVER / "unbind").write_text("vivid.0")

    def insert(self) -> None:
        """They are back, with everything as it was at first."""
        (DRIVER / "bind").write_text("vivid.0")
        v4l2.wait_until(lambda: v4l2.nodes(f"vivid-{self.instance}-vid-cap"), "vivid is back")

    def restore(self) -> None:
        """Undoes what lasts."""
        self.set(dv_timings_signal_mode=0, percentage_of_dropped_buffers=0, osd_text_mode=0)
        self._connect(0)

    # Setting up.

    def hdmi(self, timings: str = "1920x1080p30", fourcc: str = "YUYV") -> None:
        """Chooses the HDMI input, gives it a signal, locks to it and sets the format."""
        v4l2.control(self.node, "-i", str(HDMI))
        self.select(timings)
        self.lock()
        v4l2.control(self.node, "-v", f"pixelformat={fourcc}")

    def lock(self) -> None:
        """Sets the timings that the input sees."""
        v4l2.control(self.node, "--set-dv-bt-timings", "query")

    @contextmanager
    def looped(self, raw: Path, width: int, height: int, fourcc: str = "YUYV") -> Iterator[subprocess.Popen]:
        """Sends the frames of a file out over and over, and connects the HDMI input to that. What is
        captured then are those frames, byte for byte; which one comes first is chance. Yields the sender;
        while it is stopped, its last frame stays."""
        timings = TIMINGS[width, height]
        v4l2.control(self.output, "-o", "1")
        v4l2.control(self.output, "--set-dv-bt-timings", timings)
        v4l2.control(self.output, "-x", f"width={width},height={height},pixelformat={fourcc}")
        v4l2.control(self.node, "-i", str(HDMI))
        # No text over the picture.
        self.set(dv_timings_signal_mode=0, osd_text_mode=2)
        # The outputs of all instances follow each other.
        self._connect(2 + int(self.instance))
        # The input does not learn the output's timings: it sees what it was last set to.
        v4l2.control(self.node, "--set-dv-bt-timings", timings)
        v4l2.set_format(self.node, width, height, fourcc)
        line = ["v4l2-ctl", "-d", self.output, "--stream-out-mmap=4", f"--stream-from={raw}", "--stream-loop"]
        sending = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            # One for each frame, as soon as they flow.
            said = b""
            while not said.endswith(b">"):
                said += (more := sending.stderr.read(1))
                assert more, f"v4l2-ctl sends nothing: {said.decode()}"
            # For some frames yet, the input sees noise.
            sent = raw.read_bytes()
            luma = width * height
            v4l2.wait_until(lambda: v4l2.capture(self.node, 1)[0].data[:luma] in sent, "the first frame sent")
            yield sending
        finally:
            sending.kill()
            sending.wait()
            sending.stderr.close()
            self.restore()

    def _connect(self, choice: int) -> None:
        """What the HDMI input is connected to: 0 the pattern generator, from 2 on the HDMI outputs."""
        self.set(**{f"hdmi_{self.instance}_0_is_connected_to": choice})


def main() -> None:
    """Does one thing to the first instance."""
    what, *values = sys.argv[1:]
    getattr(Vivid(), what)(*(int(value) if value.isdigit() else value for value in values))


if __name__ == "__main__":
    main()
