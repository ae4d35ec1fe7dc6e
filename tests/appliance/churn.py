"""What disturbs a box in the soak, each thing in a thread of its own: modalities that come and go, readers, a
subscriber, a cable, a clock, a destination, reloads. All of them pause together, so that what the gateway still holds
then can be counted."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import websockets.exceptions
import websockets.sync.client
from association import VERIFICATION, Aborted, Association, Rejected
from live import LiveRead, Status
from soak import EXPLICIT_VR_LITTLE_ENDIAN, INSTANCE, SERIES, SOP_CLASS, answer_sends, head, reset

from box import Box
from client import Client

# Of 1024 columns and 8 bits: 16 KiB.
ROWS = 16
# Menu of vivid's control dv_timings: 640x480p59, 720x480p59, 720x576p50. Small, since the box has one processor.
SMALL_MODES = (0, 2, 4)
NO_SIGNAL, NO_LOCK, OUT_OF_RANGE, SELECTED = 1, 2, 3, 4
STEPS = ["+7 minutes", "-11 minutes", "+3 days", "-2 days", "-40 minutes", "+1 day", "-2 days", "+36 minutes"]
# What comes of cutting off, of being cut off, and of a series that has just ended.
HAPPENS = (OSError, EOFError, Aborted, Rejected, Status, AssertionError, ValueError)


class Churn:
    """All who disturb. `counts` has how often each did what, and what failed of it."""

    def __init__(self, box: Box, client: Client, title: str, listener: socket.socket, hurry: float) -> None:
        """`listener` is the destination's; `hurry` shortens the pauses between things that are rare."""
        self.box, self.client, self.title = box, client, title
        self.counts: Counter[str] = Counter()
        self.parts = 0
        self.received = 0
        self._listener, self._hurry = listener, hurry
        self._over, self._calm = threading.Event(), threading.Event()
        self._busy, self._changed = 0, threading.Condition()
        self._serial = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._random = random.Random(6)

    def start(self) -> None:
        self._control(dv_timings_signal_mode=SELECTED, dv_timings=SMALL_MODES[0])
        for act, pause in (
            (self._associate, 0.4),
            (self._associate, 0.7),
            (self._read, 0.5),
            (self._subscribe, 2),
            (self._cable, 4),
            (self._clock, 20 * self._hurry),
            (self._reload, 30 * self._hurry),
        ):
            self._thread(lambda act=act, pause=pause: self._repeat(act, pause))
        for whole in (self._stay, self._destination):
            self._thread(whole)

    def _thread(self, target: Callable[[], object]) -> None:
        self._threads.append(threading.Thread(target=target, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        self._over.set()
        self._calm.clear()
        for each in self._threads:
            each.join(60)

    @contextlib.contextmanager
    def calm(self):
        """Nobody disturbs within, but who reads and who is pushed to stay."""
        self._calm.set()
        with self._changed:
            assert self._changed.wait_for(lambda: self._busy == 0, 120), "somebody does not come to an end"
        try:
            self._control(dv_timings_signal_mode=SELECTED)
            yield
        finally:
            self._calm.clear()

    def _repeat(self, act: Callable[[], str], pause: float) -> None:
        """Does it again and again; what it was is counted."""
        while not self._over.wait(pause * self._random.uniform(0.7, 1.3)):
            with self._changed:
                if self._calm.is_set():
                    continue
                self._busy += 1
            try:
                self.counts[act()] += 1
            except HAPPENS as error:
                self.counts[f"{act.__name__[1:]} failed: {type(error).__name__} {error}"[:120]] += 1
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    # Modalities.

    def _open(self, sop_class: str) -> Association:
        return Association(
            (self.box.address, 104), sop_class, [EXPLICIT_VR_LITTLE_ENDIAN], called=self.title, calling="SOAK"
        )

    def _associate(self) -> str:
        kind = self._random.choice(["echo", "store", "store", "abort", "cut", "silent"])
        if kind == "silent":
            with socket.create_connection((self.box.address, 104), timeout=20) as plug:
                plug.sendall(b"\x01\x00")
                reset(plug)
            return kind
        if kind == "echo":
            association = self._open(VERIFICATION)
            assert association.echo() == 0, "C-ECHO"
            association.release()
            return kind
        association = self._open(SOP_CLASS)
        # As long as the one that it takes the place of.
        series = b"2.25.%04d" % (next(self._serial) % 1000 + 8000)
        for number in range(self._random.randint(1, 4)):
            association.begin_store(SOP_CLASS, INSTANCE % number)
            association.data(head(number, ROWS, 1024).replace(SERIES.encode(), series))
            if kind == "cut" and number:
                break
            association.data(bytes(ROWS * 1024), last=True)
            assert association.status() == 0, "C-STORE"
        if kind == "store":
            association.release()
        elif kind == "abort":
            association.abort()
        else:
            association.data(bytes(1000))
            reset(association.socket)
        return kind

    # Applications.

    def live(self) -> str | None:
        """Where the capture's series is retrieved."""
        status, body = self.client.get("/operations/captures/xa")
        assert status == 200, f"status {status}"
        told = json.loads(body)
        return f"/studies/{told['study']}/series/{told['series']}" if told["series"] else None

    def _read(self) -> str:
        path = self.live()
        if path is None:
            return "nothing to read"
        stream = LiveRead(self.client, path + "?from=latest")
        try:
            for _ in range(self._random.randint(1, 20)):
                if stream.next_part() is None:
                    return "read to its end"
        finally:
            stream.hang_up()
        return "read and left"

    def _stay(self) -> None:
        """One reader who stays: series after series."""
        while not self._over.wait(0.3):
            with contextlib.suppress(*HAPPENS, Exception):
                if path := self.live():
                    stream = LiveRead(self.client, path + "?from=latest&rate=10")
                    while stream.next_part() is not None and not self._over.is_set():
                        self.parts += 1
                    stream.hang_up()

    def _subscribe(self) -> str:
        """Registers, listens for some events, and goes, now and then without a word."""
        resource = f"/dicomweb/series/subscribers/SOAK{next(self._serial)}"
        status, fields, _ = self.client.ask("POST", resource)
        assert status == 201, f"status {status}"
        plug = socket.create_connection(self.client.web, timeout=20)
        try:
            with websockets.sync.client.connect(
                fields["Location"], sock=plug, ssl=self.client.client_context(), compression=None, proxy=None
            ) as channel:
                with contextlib.suppress(TimeoutError):
                    for _ in range(4):
                        channel.recv(timeout=1)
        except websockets.exceptions.WebSocketException as error:
            raise OSError(str(error)) from None
        finally:
            plug.close()
        self.client.ask("DELETE", resource)
        return "subscribed"

    # The cable and the card.

    def _control(self, **controls: int) -> None:
        words = [word for name, value in controls.items() for word in ("-c", f"{name}={value}")]
        node = self.box.shell("grep -l vid-cap /sys/class/video4linux/*/name").split("/")[4]
        self.box.attempt("chroot", "/host", "v4l2-ctl", "-d", f"/dev/{node}", *words)

    def _cable(self) -> str:
        kinds = ["no signal", "no lock", "out of range", "mode", "mode", "stream", "corrupt", "gone"]
        what = self._random.choice(kinds)
        signals = {"no signal": NO_SIGNAL, "no lock": NO_LOCK, "out of range": OUT_OF_RANGE}
        if what in signals:
            self._control(dv_timings_signal_mode=signals[what])
            self._over.wait(self._random.uniform(0.5, 2))
            self._control(dv_timings_signal_mode=SELECTED)
        elif what == "mode":
            self._control(dv_timings_signal_mode=SELECTED, dv_timings=self._random.choice(SMALL_MODES))
        elif what == "stream":
            self._control(inject_fatal_streaming_error=1)
        elif what == "corrupt":
            self._control(inject_v4l2_buf_flag_error=1)
        else:
            # It is back as soon as nobody has it open any more.
            self._control(disconnect=1)
        return what

    # The box.

    def _clock(self) -> str:
        step = STEPS[self.counts.total() % len(STEPS)]
        self.box.run("date", "-s", step)
        return "clock " + ("on" if step[0] == "+" else "back")

    def _reload(self) -> str:
        if self.counts["reload"] > self.counts["SIGHUP"]:
            self.box.run("systemctl", "kill", "--signal=SIGHUP", "--kill-whom=main", "framegate.service")
            return "SIGHUP"
        status, said = self.box.attempt("systemctl", "reload", "framegate.service", seconds=120)
        assert status == 0, said
        return "reload"

    # The destination.

    def _destination(self) -> None:
        """Takes what is pushed, hangs, resets, answers rubbish, is away, and comes back."""
        moods = itertools.cycle(["well", "hang", "well", "reset", "well", "rubbish", "well", "away"])
        address = self._listener.getsockname()
        while not self._over.is_set():
            mood = "well" if self._calm.is_set() else next(moods)
            self.counts["destination " + mood] += 1
            until = time.monotonic() + self._random.uniform(3, 8)
            if mood == "away":
                self._listener.close()
                self._over.wait(until - time.monotonic())
                self._listener = socket.create_server(address)
                continue
            self._listener.settimeout(0.5)
            while time.monotonic() < until and not self._over.is_set():
                with contextlib.suppress(TimeoutError):
                    plug, _ = self._listener.accept()
                    self._serve(plug, mood, until)

    def _serve(self, plug: socket.socket, mood: str, until: float) -> None:
        def taken(_: bytes) -> None:
            self.received += 1
            # In a calm it is not for us to end it.
            if time.monotonic() > until and not self._calm.is_set():
                raise EOFError

        plug.settimeout(8)
        with contextlib.suppress(OSError, EOFError, KeyError, ValueError):
            if mood == "well":
                answer_sends(plug, taken)
            elif mood == "hang":
                self._over.wait(until - time.monotonic())
            elif mood == "rubbish":
                plug.recv(1 << 16)
                plug.sendall(b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n")
            else:
                plug.recv(1 << 16)
                reset(plug)
        plug.close()
