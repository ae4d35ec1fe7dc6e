"""What is on a box's disk, read from outside: partitions by their names, files of the data partition, and every byte."""

from __future__ import annotations

import errno
import json
import os
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

    def count(self, *texts: str) -> dict[str, int]:
        """How often the bytes of each text, in UTF-8 or UTF-16, are anywhere on the disk. Holes are not read."""
        patterns = [(text, text.encode(code).rstrip(b"\0")) for text in texts for code in ("utf-8", "utf-16-le")]
        found = dict.fromkeys(texts, 0)
        overlap = max(len(pattern) for _, pattern in patterns) - 1
        with open(self.path, "rb", buffering=0) as file:
            end = 0
            while (start := _data_from(file, end)) is not None:
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
                tail = b""
                file.seek(start)
                while piece := file.read(min(1 << 24, end - file.tell())):
                    for text, pattern in patterns:
                        # What was in the tail already has been counted.
                        found[text] += (tail[max(0, len(tail) - len(pattern) + 1) :] + piece).count(pattern)
                    tail = (tail + piece)[-overlap:]
        return found


def _data_from(file, at: int) -> int | None:
    """Where the next bytes are that are not a hole."""
    try:
        return os.lseek(file.fileno(), at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
