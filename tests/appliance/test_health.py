"""A slot is said to be good when the application in it works, and not before: framegate-health.service, with a stand-in
for the updater that says what it was told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from box import Box

# On the path before the real one, and into the journal since the unit may write nowhere.
RAUC = '#!/bin/sh\necho "told: rauc $*"\n'
GOOD = "told: rauc status mark-good"
# A certificate that is not of this box's key.
BROKEN = """[dicomweb.tls]
certificate = "/etc/framegate/other.pem"
"""


@pytest.fixture(scope="module")
def box(boxes, fresh, tmp_path_factory) -> Box:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "rauc").write_text(RAUC)
    (folder / "rauc").chmod(0o755)
    return boxes(fresh, early=f"mount --bind {folder} /mnt/root/usr/local/bin").active()


def judged(box: Box, wait: int) -> tuple[str, str]:
    """What becomes of framegate-health.service and its log. No more is changed of the unit than how long it waits and
    watches: so many seconds instead of minutes."""
    shipped = box.run("cat", "/usr/lib/systemd/system/framegate-health.service")
    (line,) = re.findall(r"^ExecStart=(/usr/bin/framegate health .*)$", shipped, re.M)
    hurried = re.sub(r"--wait \d+", f"--wait {wait}", re.sub(r"--steady \d+", "--steady 2", line))
    assert hurried != line
    good = re.findall(r"^ExecStart=(/usr/lib/framegate/mark-good)$", shipped, re.M)
    box.write(
        "/run/systemd/system/framegate-health.service.d/hurry.conf",
        "\n".join(["[Service]", "ExecStart=", *(f"ExecStart={each}" for each in [hurried, *good]), ""]),
    )
    box.run("systemctl", "daemon-reload")
    box.attempt("systemctl", "restart", "framegate-health.service", seconds=wait + 30)
    state = box.attempt("systemctl", "is-active", "framegate-health.service")[1].strip()
    said = box.run("journalctl", "--no-pager", "-o", "cat", f"_SYSTEMD_INVOCATION_ID={invocation(box)}")
    return state, said


def invocation(box: Box) -> str:
    return box.run("systemctl", "show", "-P", "InvocationID", "framegate-health.service").strip()


def test_a_slot_that_works_is_good(box):
    state, log = judged(box, 20)
    assert (state, GOOD in log) == ("active", True), log


def test_a_slot_that_does_not_work_is_not(box, authority):
    other = authority.leaf("other", server=True)
    box.write("/etc/framegate/other.pem", Path(other.certificate).read_text())
    box.write("/etc/framegate/framegate.d/60-broken.toml", BROKEN)
    box.shell("chgrp framegate /etc/framegate/other.pem /etc/framegate/framegate.d/60-broken.toml")
    box.attempt("systemctl", "restart", "framegate.service")
    state, log = judged(box, 4)
    assert (state, GOOD in log) == ("failed", False), log
    # And when it is mended, so is the judgement.
    box.shell("rm /etc/framegate/framegate.d/60-broken.toml; systemctl restart framegate.service")
    state, log = judged(box, 20)
    assert (state, GOOD in log) == ("active", True), log
