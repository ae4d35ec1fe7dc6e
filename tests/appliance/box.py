"""A box: the appliance's root tree, booted by a User-Mode Linux kernel with the real systemd as process 1, its data
partition a file. It is an ordinary process here, on a tap device of this network namespace, and a test talks to its
ports as a hospital would and to an agent in it as nobody else can."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import Future
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What a boot may take on a machine that is busy with other things.
BOOT_SECONDS = 180
# As the boot loader remembers it: the key of credentials is bound to it.
MACHINE = "4d0f0e9a6bb14ad7b6ac9f2a6f5c1e77"
_numbers = itertools.count(1)


# The first process: puts the root together and gives way to systemd. The tree is below the bed's own files (agent,
# stand-ins), and both are only read, as on the real box.
INIT = """#!/bin/bash
export PATH=/usr/sbin:/usr/bin
mount -t tmpfs tmpfs /mnt
mkdir /mnt/tree /mnt/layer /mnt/root
mount -t hostfs -o {tree} hostfs /mnt/tree
mount -t hostfs -o {layer} hostfs /mnt/layer
mount -t overlay overlay /mnt/root -o lowerdir=/mnt/layer:/mnt/tree
mount -o ro -t hostfs -o / hostfs /mnt/root/host
mount -t devtmpfs devtmpfs /mnt/root/host/dev
mount -t proc proc /mnt/root/host/proc
mount -t hostfs -o {share} hostfs /mnt/root/bed
mount -t devtmpfs devtmpfs /mnt/root/dev
mount -t proc proc /mnt/root/proc
mount -t sysfs sysfs /mnt/root/sys
mount -t tmpfs -o mode=755 tmpfs /mnt/root/run
mkdir -p /mnt/root/run/systemd/network
cp {share}/network /mnt/root/run/systemd/network/10-bed.network
chmod 644 /mnt/root/run/systemd/network/10-bed.network
{early}
cd /mnt/root
mount --move . /
exec chroot . /lib/systemd/systemd
"""


class Box:
    """A running box. `folder` is its own, and /bed in it."""

    def __init__(
        self, folder: Path, kernel: Path, tree: Path, layer: Path, disk: Path, *, options: str = "", early: str = "",
        memory: int = 512,
    ) -> None:  # fmt: skip
        """Boots; `options` are the kernel's, `early` is shell that runs before systemd, with the new root at
        /mnt/root. Returns at once: see `up`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.disk = folder, disk
        number = next(_numbers)
        self.address, self.gateway = f"10.0.{number}.15", f"10.0.{number}.2"
        self.tap = f"tap{number}"
        for words in (
            ("ip", "tuntap", "add", self.tap, "mode", "tap"),
            ("ip", "address", "add", f"{self.gateway}/24", "dev", self.tap),
            ("ip", "link", "set", self.tap, "up"),
        ):
            subprocess.run(words, check=True)
        init = folder / "init"
        init.write_text(INIT.format(tree=tree, layer=layer, share=folder, early=early))
        init.chmod(0o755)
        network = "[Match]\nName=vec0\n[Network]\nAddress={}/24\nGateway={}\nLinkLocalAddressing=no\n"
        (folder / "network").write_text(network.format(self.address, self.gateway))
        ours, theirs = socket.socketpair()
        self._messages = folder / "messages"
        self._control = Path(f"/tmp/framegate-box.{os.getpid()}.{number}")
        self._control.mkdir()
        with self._messages.open("wb") as messages:
            self._machine = subprocess.Popen(
                [
                    kernel, f"mem={memory}M", f"uml_dir={self._control}/", "umid=box", "rootfstype=hostfs",
                    "rootflags=/", "ro", f"init={init}", "console=tty2", "con=null", "con2=null,fd:2",
                    f"con3=fd:{theirs.fileno()}", f"ubd0={disk}",
                    f"vec0:transport=tap,ifname={self.tap},depth=128,gro=1", "panic=-1", "noreboot", "loglevel=4",
                    "systemd.volatile=state", f"systemd.machine_id={MACHINE}",
                    # On a busy machine process 1 waits for longer than a watchdog would.
                    "systemd.watchdog_sec=0", *options.split(),
                ],
                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, pass_fds=[theirs.fileno()],
                start_new_session=True, env=os.environ | {"TMPDIR": "/dev/shm"},
            )  # fmt: skip
        theirs.close()
        self._wire, self._wishes = ours, itertools.count(1)
        self._awaited: dict[int, Future] = {0: Future()}
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError), self._wire.makefile("r", errors="replace") as wire:
            for line in wire:
                with contextlib.suppress(json.JSONDecodeError):
                    told = json.loads(line)
                    self._awaited.pop(told["number"]).set_result(told)
        for waiting in list(self._awaited.values()):
            waiting.set_exception(EOFError("the machine has ended"))

    def up(self) -> Box:
        """Waits until the agent answers."""
        self._await(self._awaited[0], BOOT_SECONDS)
        return self

    def active(self) -> Box:
        """Waits until the gateway is ready, and the box has its address."""
        status, said = self.up().attempt("systemctl", "start", "framegate.service", seconds=BOOT_SECONDS)
        assert status == 0, said + self.journal("framegate*")
        wait_for(lambda: self.attempt("ip", "route", "get", self.gateway)[0] == 0, "the box has its address")
        return self

    def journal(self, unit: str) -> str:
        """What a unit, or all that the pattern matches, said since this boot."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit)

    def _await(self, answer: Future, seconds: float) -> dict:
        try:
            return answer.result(seconds)
        except (TimeoutError, EOFError) as why:
            messages = self._messages.read_text(errors="replace")
            raise AssertionError(f"the machine does not answer ({why!r}); it said:\n{messages[-3000:]}") from None

    def ask(self, wish: dict) -> dict:
        """What the agent answers to a wish; see agent.py."""
        number = next(self._wishes)
        answer = self._awaited[number] = Future()
        with self._sending:
            self._wire.sendall((json.dumps(wish | {"number": number}) + "\n").encode())
        told = self._await(answer, wish.get("seconds", 60) + 10)
        assert "error" not in told, (wish, told)
        return told

    def attempt(self, *command: object, given: str = "", seconds: float = 60) -> tuple[int, str]:
        """Runs a command in the box; its exit status and its output, standard error included."""
        told = self.ask({"run": [str(word) for word in command], "input": given, "seconds": seconds})
        return told["status"], told["output"]

    def run(self, *command: object, given: str = "", seconds: float = 60) -> str:
        """Runs a command that must succeed; its output."""
        status, output = self.attempt(*command, given=given, seconds=seconds)
        assert status == 0, (command, status, output)
        return output

    def shell(self, script: str, seconds: float = 60) -> str:
        return self.run("sh", "-ec", script, seconds=seconds)

    def python(self, script: Path, *arguments: object) -> str:
        """Runs a script of the bed in the box; its output."""
        told = self.ask({"python": [str(script), *(str(each) for each in arguments)]})
        assert told["status"] == 0, told
        return told["output"].strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        self.ask({"write": path, "text": text, "mode": mode})

    def ended(self, seconds: float = BOOT_SECONDS) -> None:
        """Waits until the machine has switched itself off."""
        self._machine.wait(seconds)
        self._forget()

    def cut(self) -> None:
        """Pulls the plug: what its kernel has not written is lost."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._machine.pid, signal.SIGKILL)
        self._machine.wait(20)
        self._forget()

    def off(self) -> None:
        """Shuts down as its button would."""
        with contextlib.suppress(AssertionError, OSError):
            self.ask({"run": ["systemctl", "poweroff", "--no-block"], "seconds": 10})
        try:
            self._machine.wait(30)
        finally:
            self.cut()

    def _forget(self) -> None:
        self._wire.close()
        subprocess.run(["ip", "link", "del", self.tap], stderr=subprocess.DEVNULL)
        shutil.rmtree(self._control, ignore_errors=True)


def wait_for(condition, what: str, seconds: float = 30):
    """Polls until `condition()` gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value
