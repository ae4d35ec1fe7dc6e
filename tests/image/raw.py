"""What is on a box's disk, read from outside: partitions by their names, files of the data partition, and every byte."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path


class RawDisk:
    def __init__(self, disk: Path, folder: Path):
        """A copy of what a box's disk holds now."""
        self.path = folder / "raw.img"
        subprocess.run(["qemu-img", "convert", "-O", "raw", disk, self.path], check=True)
        table = subprocess.run(["sfdisk", "--json", self.path], check=True, capture_output=True, text=True)
        self.partitions = {
            part["name"]: (part["start"] * 512, part["size"] * 512)
            for part in json.loads(table.stdout)["partitiontable"]["partitions"]
        }

    def extract(self, name: str) -> Path:
        start, size = self.partitions[name]
        path = self.path.with_name(f"{name}.part")
        subprocess.run(
            ["dd", f"if={self.path}", f"of={path}", "bs=1M", f"skip={start}", f"count={size}", "conv=sparse",
             "iflag=skip_bytes,count_bytes", "status=none"],
            check=True,
        )  # fmt: skip
        return path

    def data_file(self, name: str) -> bytes:
        """A file of the data partition. The journal of its file system is replayed first, as a mount would."""
        part = self.path.with_name("data.part")
        if not part.exists():
            subprocess.run(["e2fsck", "-fy", self.extract("data")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return subprocess.run(["debugfs", "-R", f"cat {name}", part], check=True, capture_output=True).stdout

    def count(self, text: str) -> int:
        """How often the bytes of `text`, in UTF-8 or UTF-16, are anywhere on the disk."""
        found = 0
        for pattern in (text.encode(), text.encode("utf-16-le")):
            overlap = len(pattern) - 1
            tail = b""
            with open(self.path, "rb") as file:
                while piece := file.read(1 << 24):
                    if piece.count(0) == len(piece):
                        tail = b""
                        continue
                    found += (tail + piece).count(pattern)
                    tail = piece[-overlap:]
        return found
