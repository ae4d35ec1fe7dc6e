"""Runs the built `framegate` for a test: writes its configuration, starts it, waits until it is
ready, reads its metrics, and stops it as systemd would."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

import phi
from pki import Authority, Leaf

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 20.0
STOP_SECONDS = 20.0


def binary() -> Path | None:
    """$FRAMEGATE_BIN, or what cargo built last: release before debug."""
    named = os.environ.get("FRAMEGATE_BIN")
    if named:
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    for profile in ("release", "debug"):
        path = target / profile / "framegate"
        if path.is_file():
            return path
    return None


def check_binary() -> None:
    """A binary that was named has to be there: none of the tests is to run another, or be skipped."""
    named = os.environ.get("FRAMEGATE_BIN")
    if named and not Path(named).is_file():
        raise pytest.UsageError(f"FRAMEGATE_BIN={named} is not there")


@pytest.fixture(scope="session")
def program() -> Path:
    """The binary under test."""
    path = binary()
    if path is None:
        pytest.skip("no framegate binary: run `cargo build --release` first")
    return path.resolve()


def _ports():
    """In a parallel run each process has thousands of its own, below those that the kernel gives to connections."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return itertools.repeat(0)
    first = 12000 + 3000 * (int(worker.removeprefix("gw")) % 6)
    return itertools.cycle(range(first, first + 3000))


_PORTS = _ports()


def free_port() -> int:
    """A port that nobody listens on now."""
    for port in _PORTS:
        with socket.socket() as probe:
            # As a listener does, over connections of an earlier one that fade away.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise AssertionError("ports do not end")


def wait_for(condition, what: str, seconds: float = READY_SECONDS):
    """Polls until `condition()` gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def toml(sections: dict[str, dict]) -> str:
    """Sections of scalars and lists as TOML: JSON writes those the same."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


class Process:
    """A framegate process whose standard output and error are kept, line by line."""

    def __init__(self, arguments: list[str], cwd: Path) -> None:
        self.lines: list[str] = []
        self._grown = threading.Condition()
        # No setting of the caller's may leak in.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("FRAMEGATE_", "RUST_LOG"))}
        self.child = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # For the search at the end of the run.
        self._kept = phi.output(f"{arguments[1]}-{cwd.name}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with open(self._kept or os.devnull, "w", buffering=1, encoding="utf-8") as kept:
            for line in self.child.stdout:
                kept.write(line)
                with self._grown:
                    self.lines.append(line.rstrip("\n"))
                    self._grown.notify_all()

    @property
    def output(self) -> str:
        with self._grown:
            return "\n".join(self.lines)

    def wait_for_line(self, pattern: str, seconds: float = READY_SECONDS) -> re.Match:
        """The first line, past or to come, that the pattern is found in."""
        found: list[re.Match] = []

        def seen() -> bool:
            found.extend(m for line in self.lines if (m := re.search(pattern, line)))
            return bool(found) or not self._reader.is_alive()

        with self._grown:
            self._grown.wait_for(seen, timeout=seconds)
        assert found, f"no line with {pattern!r} within {seconds} s:\n{self.output}"
        return found[0]

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit status; a process that does not end is killed and fails the test."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError(f"still running after {seconds} s:\n{self.output}") from None
        finally:
            self._reader.join(5)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()


class Gateway(Process):
    """`framegate run` with both DICOM listeners, DICOMweb and metrics on free loopback ports."""

    def __init__(self, program: Path, folder: Path, authority: Authority, **sections: dict) -> None:
        self.authority = authority
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.server: Leaf = Authority.leaf(authority, f"server-{folder.name}", server=True)
        self.client: Leaf = Authority.leaf(authority, "client", server=False)
        self.dimse = ("127.0.0.1", free_port())
        self.dimse_tls = ("127.0.0.1", free_port())
        self.web = ("127.0.0.1", free_port())
        self.monitoring = ("127.0.0.1", free_port())
        files = {"certificate": str(self.server.certificate), "key": str(self.server.key)}
        self.config = {
            "hub": {"linger_ms": 100},
            "dimse": {"listen": "%s:%d" % self.dimse},
            "dimse.tls": {
                "listen": "%s:%d" % self.dimse_tls,
                "client_ca": str(authority.ca),
                **files,
            },
            "dimse.limits": {},
            "dicomweb": {"listen": "%s:%d" % self.web},
            "dicomweb.tls": dict(files),
            # The limit on requests has its own tests; here it would only be in the way.
            "dicomweb.limits": {"requests_per_second": 100000, "request_burst": 100000},
            # Rights have their own tests too.
            "access": {"anonymous": ["search", "retrieve", "send", "subscribe"]},
            "metrics": {"listen": "%s:%d" % self.monitoring},
        }
        for section, values in sections.items():
            self.config.setdefault(section.replace("__", "."), {}).update(values)
        self.config_file = folder / "framegate.toml"
        self.config_file.write_text(toml(self.config))
        self._arguments = [str(program), "run", "--config", str(self.config_file)]
        self.start()

    def start(self) -> None:
        """Runs it, or runs it again once it has ended, at the same ports."""
        super().__init__(self._arguments, self.folder)
        wait_for(self._listening, "all listeners open")

    def kill_and_restart(self) -> None:
        """SIGKILL, and again."""
        self.signal(signal.SIGKILL)
        self.wait()
        self.start()

    def _listening(self) -> bool:
        assert self.child.poll() is None, f"framegate ended at its start:\n{self.output}"
        for address in (self.dimse, self.dimse_tls, self.web, self.monitoring):
            try:
                socket.create_connection(address, timeout=5).close()
            except OSError:
                return False
        return True

    @property
    def base(self) -> str:
        """The DICOMweb service's base URI."""
        return "https://%s:%d/dicomweb" % self.web

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics: name with labels, value."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open("http://%s:%d/metrics" % self.monitoring, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def metric(self, pattern: str) -> float:
        """The sum of the samples whose name and labels match."""
        samples = self.metrics()
        matching = [value for name, value in samples.items() if re.search(pattern, name)]
        assert matching, f"no metric matches {pattern!r} among {sorted(samples)}"
        return sum(matching)
