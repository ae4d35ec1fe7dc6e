"""A box: the image in a virtual machine, without KVM (qemu's TCG), under UEFI firmware.

Nothing leads in but what leads into a real one, the ports of DICOM and DICOMweb, unless the image is a bench image: then
`Box.run` has a script run in it by the agent of image/bench. The serial port shows the console; cutting the power is
killing qemu. A machine that is on can be kept (`Box.keep`), and others begin from there (`Box.start`): a boot takes
minutes, that takes seconds."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
QEMU = "qemu-system-x86_64"
PORTS = (443, 104)
BOOT_SECONDS = 600
"""How long a boot is waited for. It takes a minute on a quiet machine with two processors, and seven on a busy one."""


def missing() -> str | None:
    """Why no box can be started here, if none can."""
    if shutil.which(QEMU) is None or shutil.which("qemu-img") is None:
        return "no qemu"
    return None if Path(FIRMWARE).exists() else "no UEFI firmware (package ovmf)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def overlay(disk: Path, base: Path, size: str = "") -> Path:
    """A disk that shows `base` and keeps what is written for itself."""
    kind = "qcow2" if base.suffix == ".qcow2" else "raw"
    line = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base.resolve()), "-F", kind, str(disk)]
    subprocess.run(line + ([size] if size else []), check=True)
    return disk


class Box:
    """`durable`: what a program in the box has synced is on the disk when qemu is killed, and what it has not may not
    be: as with a real disk, and slower. `more`: of qemu's command line."""

    def __init__(
        self, folder: Path, disk: Path, durable: bool = False, tpm: Path | None = None, more: tuple[str, ...] = ()
    ):
        self.more = more
        self.folder, self.disk, self.tpm = folder, disk, tpm
        self.cache = "writeback" if durable else "unsafe"
        # There to be fed. Without KVM on a busy machine, process 1 may stand still for longer than the 30 s that it has,
        # as it would only do on a real box that hangs.
        self.watchdog = "none"
        self.process: subprocess.Popen | None = None
        self.agent: socket.socket | None = None
        self.console_file = folder / f"{disk.stem}.console"
        self.ports = {port: free_port() for port in PORTS}
        self.started = 0.0
        self.asked = 0

    def start(self, kept: Path | None = None) -> "Box":
        """Power on; or on it goes as the machine was that `keep` wrote to `kept`, on an overlay of its disk."""
        self.console_file.write_bytes(b"")
        self.agent_path = self.folder / f"{self.disk.stem}.agent"
        self.agent_path.unlink(missing_ok=True)
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{out}-:{port}" for port, out in self.ports.items())
        line = [
            QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-smp", "2", "-m", "1024",
            "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off", "-bios", FIRMWARE,
            "-drive", f"file={self.disk},if=virtio,cache={self.cache},discard=unmap",
            "-netdev", f"user,id=n0{forwards}", "-device", "virtio-net-pci,netdev=n0,romfile=",
            "-device", "virtio-rng-pci", "-device", "i6300esb", "-action", f"watchdog={self.watchdog}",
            "-serial", f"file:{self.console_file}",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self.agent_path},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=framegate.test",
        ]  # fmt: skip
        if self.tpm:
            line += ["-chardev", f"socket,id=tpm,path={self.tpm}", "-tpmdev", "emulator,id=tpm,chardev=tpm"]
            line += ["-device", "tpm-crb,tpmdev=tpm"]
        line += self.more
        self.monitor_path = self.folder / f"{self.disk.stem}.monitor"
        line += ["-qmp", f"unix:{self.monitor_path},server=on,wait=off"]
        if kept:
            line += ["-incoming", f"file:{kept}"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not self.agent_path.exists():
            self.alive()
            time.sleep(0.05)
        return self

    def keep(self, state: Path) -> None:
        """Writes what this machine is doing to `state`, and ends it, as a power cut would. What it has written is on its
        disk."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(300)
            monitor.connect(str(self.monitor_path))
            with monitor.makefile("rw") as lines:

                def ask(command: str, **arguments):
                    print(json.dumps({"execute": command, "arguments": arguments}), file=lines, flush=True)
                    while True:
                        said = json.loads(lines.readline())
                        assert "error" not in said, said
                        if "return" in said:
                            return said["return"]

                lines.readline()
                ask("qmp_capabilities")
                ask("migrate", uri=f"file:{state}")
                while (migration := ask("query-migrate"))["status"] != "completed":
                    assert migration["status"] not in ("failed", "cancelled"), migration
                    time.sleep(0.2)
                ask("quit")
        self.process.wait(60)
        self.cut_power()

    def alive(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"qemu ended: {self.process.stderr.read().decode(errors='replace')}")

    def cut_power(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self.agent is not None:
            self.agent.close()
            self.agent = None

    def console(self) -> str:
        return self.console_file.read_text(errors="replace")

    def wait_console(self, pattern: str, seconds: float = BOOT_SECONDS, after: int = 0) -> re.Match:
        """Waits until the console shows `pattern`, behind so many characters of it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.compile(pattern).search(self.console(), after)
            if found:
                return found
            self.alive()
            time.sleep(0.2)
        raise AssertionError(f"no {pattern!r} on the console within {seconds:.0f} s; its end:\n{self.console()[-3000:]}")

    def wait_answer(self, seconds: float = BOOT_SECONDS) -> float:
        """Waits until the gateway does TLS, and returns how long after power-on that was."""
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.alive()
            try:
                with socket.create_connection(("127.0.0.1", self.ports[443]), 5) as plain:
                    with context.wrap_socket(plain):
                        return time.monotonic() - self.started
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"no answer over TLS within {seconds:.0f} s; the console's end:\n{self.console()[-3000:]}")

    def run(self, script: str, seconds: float = 60) -> tuple[int, str]:
        """Has the agent of a bench image run a script: exit status and output. Waits for the agent, too."""
        end = time.monotonic() + seconds
        if self.agent is None:
            agent = socket.socket(socket.AF_UNIX)
            agent.connect(str(self.agent_path))
            self.agent = agent
        self.agent.settimeout(1)
        self.asked += 1
        self.agent.sendall(f"{self.asked} {base64.b64encode(script.encode()).decode()}\n".encode())
        answer = b""
        while True:
            self.alive()
            if time.monotonic() > end:
                raise AssertionError(f"no answer from the agent in {seconds:.0f} s; console:\n{self.console()[-3000:]}")
            try:
                answer += self.agent.recv(65536)
            except TimeoutError:
                continue
            # What an agent had still to say before its machine restarted comes first.
            *lines, answer = answer.split(b"\n")
            for line in lines:
                words = line.decode(errors="replace").split(" ")
                if len(words) == 3 and words[0] == str(self.asked):
                    return int(words[1]), base64.b64decode(words[2]).decode(errors="replace")

    def check(self, script: str, seconds: float = 60) -> str:
        status, output = self.run(script, seconds)
        assert status == 0, f"{script}\nended with {status}:\n{output}"
        return output.strip()

    def slot(self) -> str:
        return self.check("tr ' ' '\\n' < /proc/cmdline | sed -n 's/^rauc.slot=//p'", BOOT_SECONDS)

    def wait_healthy(self, seconds: float = 2 * BOOT_SECONDS) -> None:
        self.check("for i in $(seq 600); do systemctl -q is-active framegate-health.service && exit 0; sleep 1; done; "
                   "systemctl status framegate-health.service framegate.service; exit 1", seconds)

    def boots(self) -> list[str]:
        """The slots that the boot loader took since power-on."""
        return re.findall(r"framegate: slot ([AB])(?! cannot)", self.console())

    def wait_boots(self, count: int, seconds: float = 2 * BOOT_SECONDS) -> None:
        """Waits until the boot loader has taken a slot so many times since power-on."""
        end = time.monotonic() + seconds
        while len(self.boots()) < count:
            self.alive()
            if time.monotonic() > end:
                raise AssertionError(f"boots: {self.boots()}, not {count}; the console's end:\n{self.console()[-3000:]}")
            time.sleep(0.2)
        # What was said to the agent before is forgotten.
        if self.agent is not None:
            self.agent.close()
            self.agent = None
