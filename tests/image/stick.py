"""A service stick: made and read back with mtools, and plugged into a box that is on by qemu's monitor."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path

LABEL = "FRAMEGATE"
USB = ("-device", "qemu-xhci,id=usb")
START = 1 << 20
"""Where the partition begins."""


def run(*line) -> str:
    return subprocess.run([str(word) for word in line], check=True, capture_output=True, text=True).stdout


class Stick:
    """One partition with FAT, as sticks are sold."""

    def __init__(self, path: Path, label: str = LABEL, mebibytes: int = 64):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(mebibytes << 20)
        subprocess.run(["sfdisk", "--quiet", path], input=f"start={START // 512}, type=c\n", text=True, check=True)
        run("mkfs.vfat", "-n", label, f"--offset={START // 512}", path, (mebibytes << 10) - (START >> 10))
        self.image = f"{path}@@{START}"

    def put(self, name: str, content: str | bytes = b"") -> "Stick":
        file = self.path.with_suffix(".put")
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.copy(name, file)

    def copy(self, name: str, file: Path) -> "Stick":
        run("mcopy", "-o", "-i", self.image, file, f"::{name}")
        return self

    def folder(self, name: str) -> "Stick":
        run("mmd", "-i", self.image, f"::{name}")
        return self

    def remove(self, name: str) -> "Stick":
        run("mdeltree", "-i", self.image, f"::{name}")
        return self

    def read(self, name: str) -> str:
        return run("mtype", "-i", self.image, f"::{name}")

    def names(self) -> set[str]:
        """Of files, with their folders."""
        said = run("mdir", "-b", "-/", "-i", self.image, "::")
        return {line.removeprefix("::/") for line in said.splitlines() if line and not line.endswith("/")}


class Ports:
    """The USB ports of a box, through the monitor that listens at `path`."""

    def __init__(self, path: Path):
        self.path, self.socket, self.events = path, None, []

    @staticmethod
    def options(path: Path) -> tuple[str, ...]:
        return (*USB, "-qmp", f"unix:{path},server=on,wait=off")

    def ask(self, command: str, **arguments):
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(60)
            self.socket.connect(str(self.path))
            self.lines = self.socket.makefile("r")
            assert "QMP" in self.lines.readline()
            self.ask("qmp_capabilities")
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            said = json.loads(self.lines.readline())
            if "event" in said:
                self.events.append(said)
                continue
            assert "return" in said, said
            return said["return"]

    def plug(self, stick: Stick, read_only: bool = False) -> str:
        name = re.sub(r"\W", "-", stick.path.stem)
        self.ask("blockdev-add", **{
            "driver": "raw", "node-name": name, "read-only": read_only,
            "file": {"driver": "file", "filename": str(stick.path), "locking": "off"},
        })  # fmt: skip
        self.ask("device_add", driver="usb-storage", bus="usb.0", drive=name, id=f"usb-{name}", removable=True)
        return name

    def pull(self, name: str) -> None:
        """Out, as fast as by hand; what the box has not written is lost."""
        self.ask("device_del", id=f"usb-{name}")
        end = time.monotonic() + 60
        while not any(event["event"] == "DEVICE_DELETED" and event["data"].get("device") == f"usb-{name}"
                      for event in self.events):  # fmt: skip
            assert time.monotonic() < end
            self.ask("query-status")
            time.sleep(0.1)
        self.events.clear()
        self.ask("blockdev-del", **{"node-name": name})
