"""A box that is not there: serves the console's assets from the tree, and its API with made-up values that move, over plain
HTTP on loopback. For working on the page without building anything, and for states that are hard to bring about.

    python3 tests/console/mock.py [PORT]        then open http://127.0.0.1:8000/ and log in with 12345678

Standard library only. What it says has the form of `src/status/` and of the console's API; the tests against the real
binary are what holds the page to those.
"""

from __future__ import annotations

import copy
import datetime
import itertools
import json
import math
import socket
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "src" / "console" / "assets"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CODE = "12345678"
STUDY, XA, US, SENT = "2.25.104729", "2.25.104729000000000001", "2.25.104729000000000002", "2.25.104729000000000003"
PATIENT = {"patient_name": "Beispiel^Berta=例^花子", "patient_id": "MOCK-0001", "accession_number": "MOCK-ACC-1"}
CONTEXT = PATIENT | {"study_description": "Coronary angiography", "scheduled_procedure_step_id": "SPS-1"}
LATENCY = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]


def stamp(ago: float = 0.0) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def png(moment: float, width: int) -> bytes:
    """A grey picture in which something goes round."""
    x, y = (width * (0.5 + 0.3 * turn(moment)) for turn in (math.cos, math.sin))
    rows = []
    for row in range(width):
        line = (max(20, 220 - int(900 * math.hypot(column - x, row - y) / width)) for column in range(width))
        rows.append(b"\0" + bytes(line))

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(rows), 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


class Box:
    """The state of the box, which actions change and `status` shows."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.changed = threading.Condition()
        self.running = {"xa": None, "us": None}
        self.context = {"PatientName": "worklist", "PatientID": "worklist", "StudyInstanceUID": "worklist"}
        self.paused: set[str] = set()
        self.signal = True
        self.well = False
        self.journal: list[dict] = []
        for text in ("started", "listening at 198.51.100.10:8443", "the capture has a signal"):
            self.say("info", text)
        self.say("warn", "the destination gives no answer: is it running, and does the network let us through?")

    def say(self, level: str, text: str) -> None:
        with self.changed:
            entry = {"sequence": len(self.journal) + 1, "at": stamp(), "level": level, "event": "Mocked"}
            self.journal.append(entry | {"target": "framegate::mock", "text": text})
            self.changed.notify_all()

    def alive(self, capture: str) -> bool:
        return self.running[capture] is not False and (self.signal or capture == "us")

    def capture(self, name: str, series: str, seconds: float) -> dict:
        alive = self.alive(name)
        state, advice = "streaming", ""
        if not self.signal and name == "xa":
            state, advice = "no-signal", "no signal: is the cable plugged in at both ends, and the output on?"
        counts = (0, 211, 4820, 9100, 1312, 96, 7, 2, 0)
        return {
            "name": name, "state": state, "advice": advice, "device": "/dev/video0" if name == "xa" else "/dev/video2",
            "profile": "magewell-pro-capture" if name == "xa" else "uvc", "format": "1280 × 1024, 30 Hz, GREY" if name == "xa" else "1024 × 768, 25 Hz, MJPG",
            "study": STUDY if alive else "", "series": series if alive else "", "running": self.running[name],
            "hears_operators": name == "xa", "context": self.context if name == "xa" else {}, "warnings": [],
            "frames": int(seconds * 30) + 15551, "published": int(seconds * 15) + 15548, "lost": 3,
            "dropped": {"stale": 2, "no_signal": 41, "pool": 0}, "frames_per_second": 29.97 if alive else 0.0,
            "latency": [[bound, n] for bound, n in zip([*LATENCY, None], counts, strict=True)],
        }

    def series(self, uid: str, source: str, modality: str, size: list[int], seconds: float) -> dict:
        readers = [
            {"kind": "push", "peer": "navigation", "behind": 0, "missed": 0},
            {"kind": "retrieve", "peer": "198.51.100.23:51422", "behind": 12, "missed": 118},
        ]
        return {
            "study": STUDY, "series": uid, "modality": modality, "source": source, "state": "live", "instances": 412,
            "bytes": 412 * 1310720, "evicted": int(seconds * 15) + 15136, "instances_per_second": 15.0, "idle_ms": 31,
            "size": size, "readers": readers if source == "capture" else readers[:1],
        }

    def status(self) -> dict:
        seconds = time.monotonic() - self.began
        series = [self.series(XA, "capture", "XA", [1024, 1280], seconds)] if self.alive("xa") else []
        series += [self.series(US, "capture", "US", [768, 1024], seconds)] if self.alive("us") else []
        series.append(self.series(SENT, "dimse", "XA", [512, 512], seconds))
        findings = [
            finding("error", "destination ai", "connection refused", "Is the peer running at 203.0.113.9:8443, and does the network let us through?"),
            finding("warning", "certificate dicomweb.tls", "expires in 12 days", "Have a new one issued: framegate identity csr, then framegate identity import."),
            finding("note", "system", "no hardware profile fits this box", "Nothing to do, unless captures are slow."),
        ]
        if not self.signal:
            findings.insert(0, finding("error", "capture xa", "no signal", "Is the cable plugged in at both ends, and the output on?"))
        return {
            "at": stamp(), "findings": [] if self.well else findings,
            "service": {
                "version": "0.3.0", "started": stamp(93784 + seconds), "uptime_seconds": int(93784 + seconds), "ready": True,
                "memory_bytes": 918_000_000, "descriptors": 84, "descriptor_limit": 65536,
                "self_test": {"ok": True, "at": stamp(seconds % 60), "microseconds": 14210, "failed": None},
            },
            "captures": [self.capture("us", US, seconds), self.capture("xa", XA, seconds)][::-1],
            "dimse": {"ae_title": "FRAMEGATE", "associations": 1, "stored": {"0000": 1834, "A700": 2}, "refused": {"called_ae_title": 3}},
            "hub": {"bytes": 1_620_049_920, "budget_bytes": 2 << 30, "instances": 1236, "series": len(series)},
            "series": series,
            "subscriptions": [self.subscription("s1", "NAVIGATION", "navigation", "sending"), self.subscription("s2", "AI", "ai", "retrying"), self.subscription("s3", "REVIEW", None, "connected")],
            "destinations": [self.destination("ai", "203.0.113.9:8443", seconds), self.destination("navigation", "navigation.cathlab.example:443", seconds)],
            "relays": [
                {
                    "name": "pacs", "address": "192.0.2.40:104", "when_unreachable": "spool", "open": 1,
                    "associations": {"relayed": 212, "spooled": 4}, "bytes": {"to_upstream": 73_200_000_000, "from_upstream": 18_400_000},
                    "stored": {"relayed": 1702, "spooled": 132, "refused": 0}, "unstreamed": {"not_an_image": 9}, "last_error": None,
                    "spool": {"objects": 12, "bytes": 6_291_456, "oldest_seconds": 184, "set_aside": 1, "budget_bytes": 8 << 30, "lost": 0},
                },
                {"name": "ris", "address": "192.0.2.41:104", "when_unreachable": "refuse", "open": 0, "associations": {"relayed": 61}, "bytes": {"to_upstream": 91_000, "from_upstream": 412_000}, "stored": {}, "unstreamed": {}, "last_error": None, "spool": None},
            ],
            "worklists": [{"name": "ris", "address": "192.0.2.41:104", "entries": 3, "age_seconds": int(seconds) % 60, "last_error": None}],
            "mpps": [{"name": "ris", "address": "192.0.2.41:104", "told": 14, "failed": 0, "last_error": None}],
            "network": {
                "host_name": "framegate-7f3a", "addresses": ["192.0.2.10", "198.51.100.10"],
                "listeners": [
                    {"name": "dicomweb.listen", "address": "198.51.100.10:8443", "tls": True},
                    {"name": "dimse.listen", "address": "192.0.2.10:11112", "tls": False},
                    {"name": "console.listen", "address": "198.51.100.10:9443", "tls": True},
                ],
                "certificates": [
                    {"name": "dicomweb.tls", "not_after": stamp(-12 * 86400), "days_left": 12, "not_yet_valid": False},
                    {"name": "console.tls", "not_after": stamp(-402 * 86400), "days_left": 402, "not_yet_valid": False},
                    {"name": "destination.ai.tls.ca", "not_after": stamp(3 * 86400), "days_left": -3, "not_yet_valid": False},
                ],
                "clock": {"synchronized": True, "source": "chrony", "error_microseconds": 412},
            },
            "system": {
                "device_id": "fg-7f3a91c2", "image_version": "0.3.0", "slot": "A", "profile": "n100-quad-hdmi", "uptime_seconds": 93900, "load": 0.31,
                "memory_available_bytes": 12_400_000_000, "memory_bytes": 16_600_000_000,
                "temperatures": [{"name": "Package id 0", "celsius": 51.0 + 3 * math.sin(seconds / 9), "critical_celsius": 105.0}, {"name": "nvme Composite", "celsius": 43.9, "critical_celsius": 84.8}, {"name": "acpitz", "celsius": 27.8, "critical_celsius": None}],
                "disks": [{"name": "runtime", "free_bytes": 3_290_000_000, "bytes": 3_320_000_000}, {"name": "spool", "free_bytes": 41_000_000_000, "bytes": 64_000_000_000}],
            },
        }

    def subscription(self, one: str, name: str, destination: str | None, state: str) -> dict:
        return {
            "id": one, "subscriber": name, "principal": None if destination else "review-station", "level": "instances" if destination else "series",
            "destination": destination, "standing": destination is not None, "state": state, "paused": one in self.paused,
            "rate": 7.5 if name == "AI" else None, "sent": 8712, "failed": 0, "missed": 31 if name == "AI" else 0,
            "lease_seconds": None if destination else 3124,
        }

    def destination(self, name: str, address: str, seconds: float) -> dict:
        broken = name == "ai"
        return {
            "name": name, "address": address, "tls": True, "state": "retrying" if broken else "sending", "subscriptions": 1,
            "sent": 0 if broken else int(8712 + seconds * 15), "bytes": 0 if broken else int((8712 + seconds * 15) * 1310720),
            "instances_per_second": 0.0 if broken else 15.0, "failed": 0, "missed": 31 if broken else 0,
            "last_error": "connection refused" if broken else None,
            "advice": "Is the peer running at 203.0.113.9:8443, and does the network let us through?" if broken else None,
        }


def finding(severity: str, place: str, what: str, mend: str) -> dict:
    return {"severity": severity, "place": place, "what": what, "mend": mend}


class Mock(ThreadingHTTPServer):
    """The server; one session at a time, for any number of tabs."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.box = Box()
        self.session: dict | None = None
        self.ends = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def start(self) -> None:
        """Serves, beside whoever calls."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends all responses, and serves no more."""
        self.ends.set()
        with self.box.changed:
            self.box.changed.notify_all()
        self.shutdown()

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Mock
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-security-policy", POLICY)
        self.send_header("cache-control", "no-store")
        if status != 204:
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def say(self, value, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), "application/json" if status < 400 else "application/problem+json")

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if not path.startswith("/api/"):
            name = "index.html" if path == "/" else path.lstrip("/")
            file = (ASSETS / name).resolve()
            if not file.is_relative_to(ASSETS) or not file.is_file():
                return self.say({"title": "There is nothing here"}, 404)
            return self.answer(200, file.read_bytes(), TYPES.get(file.suffix, "text/plain"))
        session = self.server.session
        if session is None:
            return self.say({"title": "Log in first", "certificate": False}, 401)
        box, masked = self.server.box, not session["phi"]
        match path.split("/")[2:]:
            case ["session"]:
                self.say(session)
            case ["status"]:
                self.say(box.status())
            case ["events"]:
                self.events()
            case ["captures" | "series", *_, "context"]:
                self.say({"masked": masked} | ({key: None for key in CONTEXT} if masked else CONTEXT))
            case ["worklist"]:
                self.say({"masked": masked, "entries": [entry(n, masked) for n in range(3)]})
            case ["series", _, _, "live"]:
                self.pictures(48 if masked else 256)
            case ["journal"]:
                after = int(self.path.partition("after=")[2] or 0)
                self.say({"entries": [one for one in box.journal if one["sequence"] > after], "next": len(box.journal)})
            case ["support-bundle"]:
                self.answer(200, b"", "application/gzip")
            case _:
                self.say({"title": "There is nothing here"}, 404)

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        server, box = self.server, self.server.box
        if self.path == "/api/login":
            if said.get("code") != CODE:
                return self.say({"title": "This code is not valid"}, 401)
            server.session = {
                "name": "console-code", "how": "code", "rights": ["operate", "phi"], "phi": False, "csrf": "mock",
                "expires_seconds": 1800, "certificate": False,
            }
            return self.answer(204)
        if server.session is None or self.headers.get("x-csrf-token") != server.session["csrf"]:
            return self.say({"title": "Log in first", "certificate": False}, 401)
        match self.path.split("/")[2:]:
            case ["logout"]:
                server.session = None
            case ["unlock" | "lock" as what]:
                server.session["phi"] = what == "unlock"
            case ["captures", name, "start" | "stop" as what]:
                box.running[name] = what == "start"
            case ["captures", _, "step"]:
                box.context = dict.fromkeys(box.context, "operator")
                box.say("info", "an operator has chosen a step of the worklist for capture xa")
            case ["captures", _, "emergency"]:
                box.context = {"PatientName": "operator"}
            case ["subscriptions", one, "suspend"]:
                box.paused.add(one)
            case ["subscriptions", one, "resume"]:
                box.paused.discard(one)
            case ["destinations", name, "test"]:
                return self.say(tried(name))
            case _:
                return self.say({"title": "There is nothing here"}, 404)
        with box.changed:
            box.changed.notify_all()
        self.answer(204)

    def do_DELETE(self) -> None:
        self.server.box.context = {}
        self.answer(204)

    def begin(self, kind: str) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("cache-control", "no-store")
        self.send_header("connection", "close")
        self.end_headers()

    def events(self) -> None:
        self.begin("text/event-stream")
        box, told = self.server.box, len(self.server.box.journal)
        while self.server.session is not None and not self.server.ends.is_set():
            self.wfile.write(f"event: status\ndata: {json.dumps(box.status())}\n\n".encode())
            if more := box.journal[told:]:
                told += len(more)
                self.wfile.write(f"event: journal\ndata: {json.dumps(more)}\n\n".encode())
            self.wfile.flush()
            with box.changed:
                box.changed.wait(1)

    def pictures(self, width: int) -> None:
        self.begin("multipart/x-mixed-replace; boundary=picture")
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in itertools.count():
            if self.server.ends.wait(0.2):
                return
            part = png(number / 5, width)
            self.wfile.write(b"--picture\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(part) + part + b"\r\n")


def entry(number: int, masked: bool) -> dict:
    one = {
        "id": f"e{number}", "start": f"2026-11-26T{8 + number:02}:30", "modality": "XA", "station": "XA1",
        "description": ("Left heart", "Coronary angiography", "Electrophysiology study")[number],
        "patient_name": f"Beispiel^{('Berta', 'Anton', 'Cäsar')[number]}", "patient_id": f"MOCK-000{number + 1}", "accession_number": f"MOCK-ACC-{number + 1}",
    }
    return one | dict.fromkeys(("patient_name", "patient_id", "accession_number")) if masked else one


def tried(name: str) -> dict:
    steps = [{"name": "dns", "ok": True, "milliseconds": 3, "said": "203.0.113.9"}]
    if name == "ai":
        steps.append({"name": "tcp", "ok": False, "milliseconds": 41, "said": "connection refused"})
        return {"ok": False, "steps": steps, "mend": "Is the peer running at 203.0.113.9:8443, and does the network let us through?"}
    for step, said in (("tcp", "connected"), ("tls", "TLS 1.3, certificate good for 211 days"), ("http", "200")):
        steps.append({"name": step, "ok": True, "milliseconds": 12, "said": said})
    return {"ok": True, "steps": copy.copy(steps), "mend": None}


if __name__ == "__main__":
    with Mock(int(sys.argv[1]) if sys.argv[1:] else 8000) as running:
        print(running.url, flush=True)
        running.serve_forever()
