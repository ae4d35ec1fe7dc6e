"""DCMTK's servers as upstream peers: a store, an archive that is queried, and a worklist."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import tool
from gateway import free_port, wait_for
from phi import secret

Address = tuple[str, int]


@contextlib.contextmanager
def _serving(program: str, *arguments: object, address: Address) -> Iterator[Address]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    child = subprocess.Popen(
        [program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listening() -> bool:
        assert child.poll() is None, f"{program} ended at its start"
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError:
            return False
        return True

    try:
        wait_for(listening, f"{program} listens")
        yield address
    finally:
        child.terminate()
        child.wait(10)


def storescp(folder: Path, *options: object):
    """Stores what it gets in `folder`, data sets byte by byte as they came (`+B`)."""
    folder.mkdir(parents=True, exist_ok=True)
    address = ("127.0.0.1", free_port())
    return _serving("storescp", "+B", "+xa", "-od", folder, *options, address[1], address=address)


def dcmqrscp(folder: Path, destinations: dict[str, Address]):
    """An archive under the AE title PACS, which moves to these AE titles."""
    database = folder / "database"
    database.mkdir(parents=True)
    address = ("127.0.0.1", free_port())
    hosts = "\n".join(f"h{n} = ({title}, localhost, {at[1]})" for n, (title, at) in enumerate(destinations.items()))
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {address[1]}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPACS {database} RW (100, 1024mb) ANY\nAETable END\n"
    )
    return _serving("dcmqrscp", "-c", config, address=address)


_ITEM = """
(0008,0005) CS [ISO_IR 192]
(0008,0050) SH [A{n}]
(0010,0010) PN [Patient^{n}=患者^{n}]
(0010,0020) LO [P{n}]
(0010,0030) DA [19700101]
(0010,0040) CS [O]
(0020,000d) UI [2.25.4711{n}]
(0032,1060) LO [Coronary angiography]
(0040,1001) SH [RP{n}]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [XA]
(0040,0001) AE [XA1]
(0040,0002) DA [20260102]
(0040,0003) TM [101112]
(0040,0006) PN [Doctor^{n}]
(0040,0007) LO [Angiography]
(0040,0009) SH [SPS{n}]
(fffe,e00d) -
(fffe,e0dd) -
"""


def wlmscpfs(folder: Path, entries: int):
    """A worklist of the AE title PACS with so many entries, patients P0, P1, …"""
    titled = folder / "PACS"
    titled.mkdir(parents=True)
    (titled / "lockfile").touch()
    for n in range(entries):
        text = folder / f"{n}.dump"
        for value in (f"Patient^{n}=患者^{n}", f"Doctor^{n}", f"P{n}"):
            secret(value)
        text.write_text(_ITEM.format(n=n), encoding="utf-8")
        tool("dump2dcm", "+te", text, titled / f"{n}.wl")
    address = ("127.0.0.1", free_port())
    return _serving("wlmscpfs", "-dfr", "-dfp", folder, address[1], address=address)


def stored(folder: Path) -> dict[str, bytes]:
    """The data sets of the files in a folder, by name: what storescp got."""
    return {path.name: dataset_of(path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()}


def dataset_of(part10: bytes) -> bytes:
    """What stands behind the file meta information."""
    # (0002,0000) is always first, an explicit UL whose value counts the bytes behind it.
    return part10[144 + int.from_bytes(part10[140:144], "little") :]
