"""What the gateway must not be able to do, tried by a program in its place, in the unit as it is shipped: probe.c is
mounted over /usr/bin/framegate and the unit started. Root does the same outside of the unit, so that a refusal is seen
to be the unit's and not for want of something in this machine. The table is printed at the end."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from box import HERE, Box
from conftest import place

GROUPS = re.split(r'fprintf\(out, "# ([a-z ]+)\\n"\);', (HERE / "probe.c").read_text())[1:]
ROWS = {group: re.findall(r'ROW\("([^"]+)"', text) for group, text in zip(GROUPS[::2], GROUPS[1::2])}
ALLOWED = ROWS.pop("allowed")
FORBIDDEN = [(group, row) for group, rows in ROWS.items() for row in rows]
# Refusals; any other error says that there is nothing to be refused, unless root gets a different answer.
REFUSED = {"EPERM", "EACCES", "EROFS"}
OTHER = "10.99.0.9"


def rows(text: str) -> dict[str, str]:
    return dict(line.split("\t") for line in text.split("\n") if "\t" in line)


@pytest.fixture(scope="module")
def box(boxes, fresh) -> Box:
    return boxes(fresh, options="vivid.n_devs=1").active()


# Before the table: it puts another program in the gateway's place.
@pytest.mark.parametrize(("path", "outcome"), [("/etc/passwd", "done"), ("/var", "EACCES"), ("/opt", "EACCES")])
def test_the_gateway_has_built_its_own_wall(box, path, outcome):
    """The unit lets all three be read."""
    pid = box.run("systemctl", "show", "-P", "MainPID", "framegate.service").strip()
    assert box.python(HERE / "takeover.py", pid, "open", path, os.O_RDONLY) == outcome


@pytest.fixture(scope="module")
def table(box) -> dict[str, tuple[str, str]]:
    """Row → what the unit let happen, what happens without it."""
    subprocess.run(["ip", "address", "add", f"{OTHER}/32", "dev", box.tap], check=True)
    peers = [socket.create_server((address, 4242)) for address in (box.gateway, OTHER)]
    for peer in peers:
        threading.Thread(target=accept, args=(peer,), daemon=True).start()
    shutil.copy(place() / "probe", box.folder / "probe")
    box.write("/run/framegate-probe", f"{box.gateway} {OTHER}\n")
    # Devices whose owner and mode would let the gateway in: what refuses is the unit's list.
    box.shell("chmod a+rw /dev/kmsg /dev/mem /dev/ubda /dev/watchdog0 /dev/console /dev/tty5")
    box.shell("systemctl stop framegate.service; mount --bind /bed/probe /usr/bin/framegate")
    box.run("systemctl", "start", "framegate.service", seconds=90)
    unit = rows(box.run("cat", "/run/framegate/probe"))
    box.shell("systemctl stop framegate.service; umount /usr/bin/framegate; /bed/probe --control", seconds=60)
    control = rows(box.run("cat", "/run/framegate/control"))
    for peer in peers:
        peer.close()
    found = {row: (unit.get(row, "no word"), control.get(row, "no word")) for row in unit | control}
    lines = ["| | in the unit | root, outside |", "|---|---|---|"]
    for group, listed in (ROWS | {"allowed": ALLOWED}).items():
        lines.append(f"| **{group}** | | |")
        lines += [f"| {row} | {found[row][0]} | {found[row][1]} |" for row in listed]
    (place() / "forbidden.md").write_text("\n".join(lines) + "\n")
    return found


def accept(peer: socket.socket) -> None:
    try:
        while True:
            peer.accept()[0].close()
    except OSError:
        pass


@pytest.mark.parametrize(("group", "row"), FORBIDDEN, ids=[row for _, row in FORBIDDEN])
def test_forbidden(table, group, row):
    unit, control = table[row]
    assert unit != "done", "it is allowed"
    if unit == control and unit not in REFUSED:
        pytest.skip(f"this machine has nothing to refuse: {unit} with and without the unit")


@pytest.mark.parametrize("row", ALLOWED)
def test_allowed(table, row):
    assert table[row][0] == "done"
