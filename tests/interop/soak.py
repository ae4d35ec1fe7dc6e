"""One series, four subscribers, three of them bad: one never reads, one reads at a tenth of the rate,
one resets its connection every second. The fourth must see every frame, as fast as alone, and the
gateway's memory must stand still.

    tests/soak [--seconds 600] [--way pull|push] [--fps 30] [--megabytes 1]

Prints one JSON object, and exits with 1 where something does not hold. Latency is reported, alone
and beside the others, and decides nothing. Each subscriber is a process of its own, and so is the
modality; all their times are of the system's one monotonic clock."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import http.client
import json
import multiprocessing
import select
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

from association import Association
from gateway import Gateway, binary, wait_for
from multipart import Reader, boundary_of
from pki import Authority

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.12.1"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
STUDY, SERIES = "2.25.7001", "2.25.7002"
# The last nine digits are the frame's number.
INSTANCE = "2.25.70031%09d"
RING_BYTES = 64 << 20
# What resident memory may grow by between the beginning and the end of a run.
GROWTH_BYTES = 24 << 20
CONTEXT = multiprocessing.get_context("fork")
JSON_TYPE = "application/dicom+json"


def element(group: int, number: int, vr: str, value: bytes) -> bytes:
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr.encode(), len(value)) + value


def head(number: int, rows: int, columns: int) -> bytes:
    """A small XA image up to the value of Pixel Data."""
    short = lambda e, value: element(0x0028, e, "US", struct.pack("<H", value))  # noqa: E731
    return b"".join(
        [
            element(0x0008, 0x0016, "UI", SOP_CLASS.encode()),
            element(0x0008, 0x0018, "UI", (INSTANCE % number).encode()),
            element(0x0008, 0x0060, "CS", b"XA"),
            element(0x0010, 0x0010, "PN", b"Soak^Test"),
            element(0x0010, 0x0020, "LO", b"SOAK"),
            element(0x0020, 0x000D, "UI", STUDY.encode()),
            element(0x0020, 0x000E, "UI", SERIES.encode()),
            element(0x0020, 0x0013, "IS", b"%d" % number),
            short(0x0002, 1),
            element(0x0028, 0x0004, "CS", b"MONOCHROME2"),
            short(0x0010, rows),
            short(0x0011, columns),
            short(0x0100, 8),
            short(0x0101, 8),
            short(0x0102, 7),
            short(0x0103, 0),
            struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, rows * columns),
        ]
    )


class Frames:
    """When each frame was sent, and when the good subscriber had it (seconds, 0 for not yet)."""

    def __init__(self, count: int) -> None:
        self.sent = CONTEXT.RawArray(ctypes.c_double, count)
        self.arrived = CONTEXT.RawArray(ctypes.c_double, count)
        self.done = CONTEXT.Event()

    def note(self, body: bytes) -> int:
        """Notes the arrival of the frame in a part, and returns its number."""
        at = body.index(b"2.25.70031", 300)
        number = int(body[at + 10 : at + 19])
        self.arrived[number] = time.monotonic()
        return number


def send(address: tuple[str, int], frames: Frames, fps: float, rows: int) -> None:
    """The modality."""
    association = Association(address, SOP_CLASS, [EXPLICIT_VR_LITTLE_ENDIAN], calling="SOAK")
    pixels = bytes(range(256)) * (rows * 1024 // 256)
    start = time.monotonic()
    for number in range(len(frames.sent)):
        time.sleep(max(0.0, start + number / fps - time.monotonic()))
        association.begin_store(SOP_CLASS, INSTANCE % number)
        association.data(head(number, rows, 1024))
        association.data(pixels, last=True, pdu=association.max_pdu - 6)
        frames.sent[number] = time.monotonic()
        assert association.status() == 0
    frames.done.set()
    association.release()


def chunks(gateway: Gateway, query: str = ""):
    """The body of the open-ended response, and its connection's socket."""
    context = gateway.authority.client_context()
    connection = http.client.HTTPSConnection(*gateway.web, context=context, timeout=60)
    path = f"/dicomweb/studies/{STUDY}/series/{SERIES}{query}"
    connection.request("GET", path, headers={"Accept": 'multipart/related; type="application/dicom"'})
    plug = connection.sock
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    return answer, plug


def reset(plug: socket.socket) -> None:
    """Closes so that the peer gets a reset."""
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plug.close()


def pull_well(gateway: Gateway, frames: Frames) -> None:
    answer, _ = chunks(gateway)
    reader = Reader(boundary_of(answer.getheader("Content-Type")))
    while data := answer.read1(1 << 18):
        for part in reader.feed(data):
            frames.note(part.body)


def pull_nothing(gateway: Gateway, frames: Frames) -> None:
    while not frames.done.is_set():
        _, plug = chunks(gateway)
        ended = select.poll()
        ended.register(plug, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        while not ended.poll(500) and not frames.done.is_set():
            pass
        plug.close()


def pull_slowly(gateway: Gateway, frames: Frames, rate: float, missed) -> None:
    """Reads `rate` bytes a second, and counts the frames that it can tell it did not get."""
    last = None
    answer, _ = chunks(gateway)
    reader = Reader(boundary_of(answer.getheader("Content-Type")))
    start, taken = time.monotonic(), 0
    while not frames.done.is_set() and (data := answer.read1(1 << 16)):
        taken += len(data)
        time.sleep(max(0.0, start + taken / rate - time.monotonic()))
        for part in reader.feed(data):
            at = part.body.index(b"2.25.70031", 300)
            number = int(part.body[at + 10 : at + 19])
            missed.value += number - last - 1 if last is not None else 0
            last = number


def pull_and_reset(gateway: Gateway, frames: Frames) -> None:
    while not frames.done.is_set():
        answer, plug = chunks(gateway, "?from=latest")
        until = time.monotonic() + 1
        while time.monotonic() < until and answer.read1(1 << 18):
            pass
        reset(plug)


class Sink:
    """A destination that listens on a port of its own; what it does with a connection is `serve`."""

    def __init__(self, serve) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self._serve = serve

    def run(self, frames: Frames) -> None:
        self.listener.settimeout(0.2)
        while not frames.done.is_set():
            with contextlib.suppress(TimeoutError):
                plug, _ = self.listener.accept()
                with contextlib.suppress(OSError, EOFError):
                    self._serve(plug, frames)
                plug.close()


def take_well(plug: socket.socket, frames: Frames) -> None:
    answer_sends(plug, frames.note)


def answer_sends(plug: socket.socket, note, rate: float = float("inf")) -> None:
    """Answers Send requests, one after another, and reads at most `rate` bytes a second."""
    stream = plug.makefile("rb", buffering=1 << 16)
    start, taken = time.monotonic(), 0
    while stream.readline():
        fields = http.client.parse_headers(stream)
        reader = Reader(boundary_of(fields["Content-Type"]))
        while size := int(stream.readline(), 16):
            left = size
            while left:
                data = stream.read1(min(left, 1 << 16))
                if not data:
                    raise EOFError
                left -= len(data)
                taken += len(data)
                time.sleep(max(0.0, start + taken / rate - time.monotonic()))
                for part in reader.feed(data):
                    note(part.body)
            stream.readline()
        stream.readline()
        body = b'{"00081190":{"vr":"UR"}}'
        plug.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
                     % (JSON_TYPE.encode(), len(body), body))


def take_nothing(plug: socket.socket, frames: Frames) -> None:
    ended = select.poll()
    ended.register(plug, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    while not ended.poll(500) and not frames.done.is_set():
        pass


def take_slowly(rate: float):
    return lambda plug, _: answer_sends(plug, lambda body: None, rate)


def take_and_reset(plug: socket.socket, _: Frames) -> None:
    until = time.monotonic() + 1
    while time.monotonic() < until and plug.recv(1 << 18):
        pass
    reset(plug)


def resident(pid: int) -> int:
    """VmRSS (bytes)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS:"))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def quantile(values: list[float], share: float) -> float:
    values = sorted(values)
    return round(values[min(int(len(values) * share), len(values) - 1)] * 1e3, 3)


def run(program: Path, folder: Path, way: str, seconds: float, fps: float, megabytes: float) -> dict:
    """Runs it and says what was seen; `problems` is empty where everything holds."""
    frames = Frames(int(seconds * fps))
    rows = int(megabytes * 1024)
    slow = fps * rows * 1024 / 10
    # A quarter of the time the good one is alone.
    alone = seconds / 4
    sections: dict = {"hub": {"budget_bytes": RING_BYTES, "quiet_seconds": 30}}
    sinks = {}
    if way == "push":
        rights = ["search", "retrieve", "subscribe", "push-to"]
        sections["access"] = {"anonymous": rights, "anonymous_destinations": ["*"]}
        kinds = {"good": take_well, "never": take_nothing, "slow": take_slowly(slow), "reset": take_and_reset}
        for name, serve in kinds.items():
            sinks[name] = Sink(serve)
            sections[f"destination.{name}"] = {"url": sinks[name].url, "mode": "send", "send_timeout_ms": 3000}
        sections["subscription.good"] = {
            "search": "/series", "subscriber": "GOOD", "destination": "good",
        }
    sections["dicomweb.limits"] = {"send_timeout_ms": 3000}
    gateway = Gateway(program, folder, Authority(folder / "pki"), **sections)
    workers = []

    def start(target, *arguments) -> None:
        worker = CONTEXT.Process(target=target, args=arguments, daemon=True)
        worker.start()
        workers.append(worker)

    missed = CONTEXT.Value(ctypes.c_long, 0)
    problems: list[str] = []
    memory: list[int] = []
    try:
        for sink in sinks.values():
            start(sink.run, frames)
        modality = CONTEXT.Process(target=send, args=(gateway.dimse, frames, fps, rows), daemon=True)
        modality.start()
        began = time.monotonic()
        wait_for(lambda: frames.sent[0], "the first frame is sent")
        if way == "pull":
            start(pull_well, gateway, frames)
        time.sleep(max(0.0, began + alone - time.monotonic()))
        if way == "pull":
            start(pull_nothing, gateway, frames)
            start(pull_slowly, gateway, frames, slow, missed)
            start(pull_and_reset, gateway, frames)
        else:
            for name in ("never", "slow", "reset"):
                register(gateway, name)
        crowded = time.monotonic()
        while modality.is_alive():
            modality.join(1)
            memory.append(resident(gateway.child.pid))
        assert modality.exitcode == 0, "the modality was refused"
        wait_for(lambda: frames.arrived[len(frames.sent) - 1], "the good subscriber has the last frame", 30)
        time.sleep(0.5)
        metrics = {name: value for name, value in gateway.metrics().items() if value}
        lost = [n for n in range(len(frames.sent)) if not frames.arrived[n]]
        if lost:
            problems.append(f"the good subscriber lacks {len(lost)} frames, the first is {lost[0]}")
        quarter = max(len(memory) // 4, 1)
        grown = max(memory[-quarter:]) - max(memory[: quarter * 2])
        if grown > GROWTH_BYTES:
            problems.append(f"resident memory has grown by {grown} bytes")
        told = metrics.get("framegate_dicomweb_instances_missed_total", 0)
        if way == "pull" and not 0 < missed.value <= told <= missed.value + RING_BYTES / (rows * 1024) + 2 * fps * seconds:
            problems.append(f"the slow reader lacks {missed.value} frames, the counter says {told}")
        if way == "push":
            problems += untrue(metrics, len(frames.sent))
        if "panic" in gateway.output:
            problems.append("something panicked")
        late = [(sent, at - sent) for sent, at in zip(frames.sent, frames.arrived) if at]
        settled = frames.sent[min(int(fps), len(frames.sent) - 1)]
        before = [latency for sent, latency in late if settled < sent < crowded]
        beside = [latency for sent, latency in late if sent > crowded]
        return {
            "way": way,
            "seconds": seconds,
            "frames": len(frames.sent),
            "lost": len(lost),
            "latency_ms": {
                "alone": {"p50": quantile(before, 0.5), "p99": quantile(before, 0.99)},
                "beside": {"p50": quantile(beside, 0.5), "p99": quantile(beside, 0.99)},
            },
            "resident_mb": [round(value / 1e6) for value in memory[:: max(len(memory) // 12, 1)]],
            "descriptors": descriptors(gateway.child.pid),
            "slow_reader_missed": missed.value,
            "counters": {n: v for n, v in metrics.items() if "missed" in n or "dropped" in n or "push" in n},
            "problems": problems,
        }
    finally:
        frames.done.set()
        for worker in workers:
            worker.kill()
            worker.join()
        status = gateway.stop()
        if status:
            problems.append(f"the gateway ended with {status}")


def untrue(metrics: dict[str, float], frames: int) -> list[str]:
    """What the counters of the pushes should say and do not."""

    def of(name: str, destination: str) -> float:
        return metrics.get(f'framegate_push_instances_{name}_total{{destination="{destination}"}}', 0)

    missed = {name: of("missed", name) for name in ("good", "never", "slow", "reset")}
    claims = {
        "the good destination was sent every frame once": of("sent", "good") - of("repeated", "good") == frames,
        "the good destination missed nothing": missed["good"] == 0,
        "the slow one was told of gaps": missed["slow"] > 0,
        "what was missed was told": metrics.get("framegate_notify_events_missed_total", 0) == sum(missed.values()),
    }
    return [f"by the counters it is not so that {claim}" for claim, holds in claims.items() if not holds]


def register(gateway: Gateway, destination: str) -> None:
    """Has the series pushed to a bad destination."""
    context = gateway.authority.client_context()
    connection = http.client.HTTPSConnection(*gateway.web, context=context, timeout=60)
    path = f"/dicomweb/series/subscribers/{destination.upper()}?destination={destination}&from=latest"
    connection.request("POST", path, headers={"Content-Length": "0"})
    answer = connection.getresponse()
    assert answer.status == 201, (answer.status, answer.read())
    connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--way", choices=["pull", "push"], default="pull")
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--megabytes", type=float, default=1)
    options = parser.parse_args()
    program = binary()
    if program is None:
        print("no framegate binary: run `cargo build --release` first")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        seen = run(program, Path(folder) / "soak", options.way, options.seconds, options.fps, options.megabytes)
    print(json.dumps(seen, indent=2))
    return 1 if seen["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
