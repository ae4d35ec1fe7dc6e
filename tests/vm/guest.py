"""A virtual machine with video devices in which the built gateway runs, seen from outside: its DICOMweb
port leads to this side, and an agent in there does what the test asks."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

from gateway import free_port, toml, wait_for  # noqa: E402
from pki import Authority  # noqa: E402

AGENT, WEB, METRICS = 9000, 8443, 9100
PROFILES = "/etc/framegate/hw-profiles"


class Skipped(Exception):
    """The machine cannot run here; says why."""


class Guest:
    """A running machine. `folder` is seen by both sides under the same path."""

    def __init__(self, folder: Path, program: Path, authority: Authority, options: str, seconds: int = 900) -> None:
        self.folder, self.program, self.authority = folder, program, authority
        self._server = Authority.leaf(authority, "server-guest", server=True)
        self._port, port = free_port(), free_port()
        # Open for as long as the machine runs: tests ask hundreds of things.
        self._agent = http.client.HTTPConnection("127.0.0.1", self._port, timeout=70)
        self.web = ("127.0.0.1", port)
        self.base = f"https://127.0.0.1:{port}/dicomweb"
        self._answered = False
        self._gateway: int | None = None
        self._log = folder / "gateway.log"
        self._machine = subprocess.Popen(
            [
                HERE / "run", "-s", folder, "-k", options, "-t", str(seconds),
                "-p", f"{self._port}:{AGENT}", "-p", f"{port}:{WEB}",
                "--", sys.executable, HERE / "agent.py", str(AGENT),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        wait_for(self._answers, "the agent in the machine answers", 60)

    def _answers(self) -> bool:
        status = self._machine.poll()
        if status is not None:
            said = self._machine.stdout.read()
            if status == 77:
                raise Skipped(said.strip().removeprefix("skipped: "))
            raise AssertionError(f"the machine ended with {status}:\n{said}")
        try:
            return self.ask({"run": ["true"]})["status"] == 0
        except (OSError, http.client.HTTPException):
            # Nobody listens yet.
            return False

    def ask(self, wish: dict | str) -> dict:
        """What the agent answers to a wish; see agent.py."""
        try:
            self._agent.request("POST", "/", json.dumps(wish))
            told = json.load(self._agent.getresponse())
        except (OSError, http.client.HTTPException):
            self._agent.close()
            if self._answered:
                self._broken()
            raise
        self._answered = True
        assert "error" not in told, (wish, told)
        return told

    def _broken(self) -> None:
        """Tells why a machine that has answered before does so no more, if it has ended."""
        try:
            status = self._machine.wait(5)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"the machine ended with {status}:\n{self._machine.stdout.read()}")

    def run(self, *command: object) -> str:
        """Runs a command in the machine; its output, standard error included."""
        done = self.ask({"run": [str(word) for word in command]})
        assert done["status"] == 0, (command, done)
        return done["output"]

    def start(self, log: Path, *command: object) -> int:
        """Starts a command in the machine, its output in a file that both sides see; its process number."""
        return self.ask({"start": [str(word) for word in command], "log": str(log)})["pid"]

    def vivid(self, *, device: str = "/dev/video0", **controls: int) -> None:
        """Sets controls of vivid."""
        listed = ",".join(f"{name}={value}" for name, value in controls.items())
        self.run("v4l2-ctl", "-d", device, "-c", listed)

    def profile(self, name: str, text: str) -> None:
        """Writes a hardware profile of the operator's."""
        self.run("mkdir", "-p", PROFILES)
        self.run("sh", "-c", f"cat > {PROFILES}/{name}.toml <<'END'\n{text}\nEND")

    def gateway(self, budget: int = 128 << 20, **captures: dict) -> None:
        """Starts the gateway with these `[capture.NAME]` sections and so many bytes for frames, and waits until
        it is ready."""
        sections = {
            "dicomweb": {"listen": f"0.0.0.0:{WEB}", "allow": ["10.0.2.0/24"]},
            "dicomweb.tls": {"certificate": str(self._server.certificate), "key": str(self._server.key)},
            "access": {"anonymous": ["search", "retrieve", "subscribe", "operate"]},
            "hub": {"budget_bytes": budget, "quiet_seconds": 20},
            # The largest frame that may come must fit.
            "dimse.limits": {"frame_bytes": budget},
            "send.limits": {"frame_bytes": budget},
            "metrics": {"listen": f"127.0.0.1:{METRICS}"},
        } | {f"capture.{name}": keys for name, keys in captures.items()}
        configuration = self.folder / "framegate.toml"
        configuration.write_text(toml(sections))
        self._gateway = self.start(self._log, self.program, "run", "--config", configuration)
        wait_for(lambda: "ready" in self.log() or self._dead(), "the gateway is ready", 20)
        assert not self._dead(), self.log()

    def _dead(self) -> bool:
        return self.ended(self._gateway)

    def ended(self, pid: int) -> bool:
        """Whether a command that was started has ended."""
        return self.ask({"pid": pid})["status"] is not None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Stops the gateway as systemd would; it must end by itself and well."""
        pid, self._gateway = self._gateway, None
        self.ask({"pid": pid, "signal": signal.SIGTERM})
        assert self.ask({"pid": pid, "wait": 20})["status"] == 0, self.log()

    def kill(self) -> None:
        """Ends a gateway that a failed test has left."""
        if self._gateway is not None and not self._dead():
            self.ask({"pid": self._gateway, "signal": signal.SIGKILL})
            self.ask({"pid": self._gateway, "wait": 10})
        self._gateway = None

    def metrics(self) -> dict[str, float]:
        """Name and labels → value, of what concerns captures."""
        text = self.ask({"get": f"http://127.0.0.1:{METRICS}/metrics"})["output"]
        found = re.findall(r"^framegate_capture_(\w+?)(?:_total)?(\{[^}]*\})? (\S+)$", text, re.M)
        return {name + labels: float(value) for name, labels, value in found}

    def count(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels but these."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        values = self.metrics().items()
        return sum(v for key, v in values if key.split("{")[0] == name and all(w in key for w in wanted))

    def state(self) -> str:
        """The state that the (only) capture is in."""
        states = [key for key, value in self.metrics().items() if key.startswith("state{") and value == 1]
        return re.search(r'state="([a-z-]+)"', states[0])[1] if states else ""

    def is_in(self, state: str, seconds: float = 20) -> None:
        """Waits until the (only) capture is in this state."""
        wait_for(lambda: self.state() == state, f"the state is {state}, not {self.state()}", seconds)

    def footprint(self) -> tuple[int, int]:
        """Resident memory (KiB) and descriptors of the gateway."""
        status = self.run("cat", f"/proc/{self._gateway}/status")
        descriptors = self.run("ls", f"/proc/{self._gateway}/fd").split()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]), len(descriptors)

    def maps(self) -> str:
        """What the gateway has mapped into its memory."""
        return self.run("cat", f"/proc/{self._gateway}/maps")

    def request(self, method: str, path: str, content: bytes | None = None, kind: str = "") -> bytes:
        """What the gateway answers to a request by HTTPS, from out here."""
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(self.base + path, content, headers, method=method)
        with urllib.request.urlopen(request, context=self.authority.client_context(), timeout=20) as answer:
            return answer.read()

    def series(self) -> list[dict]:
        """The live series, as a search finds them."""
        body = self.request("GET", "/series")
        return json.loads(body) if body else []

    def report(self, name: str = "xa") -> dict:
        """How a capture is, as an operator sees it."""
        return json.loads(self.request("GET", f"/operations/captures/{name}"))

    def end(self) -> None:
        try:
            self.ask("end")
            self._machine.wait(20)
        finally:
            self._machine.kill()
            self._machine.wait()
