"""Everything that happens to a box in a day, at once and again and again: descriptors, threads and memory stay what
they were, nothing restarts, health stays good, and frames flow at the end. Short here; half an hour by `soak`."""

from __future__ import annotations

import json
import os
import re
import socket
import time

import pytest
from gateway import toml
from live import LiveRead

from box import Box, wait_for
from churn import Churn
from client import Client
from conftest import ROOM
from footprint import Footprint, said

SECONDS = float(os.environ.get("FRAMEGATE_SOAK_SECONDS", "1800"))
pytestmark = pytest.mark.timeout(SECONDS * 2 + 500)
# Between looks, and between quiet moments.
LOOK_SECONDS, QUIET_SECONDS = 5, min(max(SECONDS / 20, 10), 60)
# How the log speaks of what is done to the gateway here.
EXPECTED = [r"the self-test fails: .*no answer within"]
EVERY_LEVEL = re.compile(r"\b(ERROR|panicked|PANIC)\b|<[0-3]>")


@pytest.fixture(scope="module")
def box(boxes, fresh) -> Box:
    # More of the kernel's, such as systemd.watchdog_sec=0 where the machine is so busy that process 1 has to wait.
    more = os.environ.get("FRAMEGATE_SOAK_OPTIONS", "")
    options = f"vivid.n_devs=1 vivid.input_types=0x3 vivid.num_inputs=1 {more}"
    first = boxes(fresh, options=options)
    try:
        return first.active()
    except AssertionError:
        # First boots have their own tests; what is looked at here is the hours after.
        first.off()
        return boxes(fresh, options=options).active()


def configure(box: Box, port: int) -> None:
    """A small ring, so that it is soon full; a self-test that comes often; somebody to push to."""
    rights = [*ROOM["access"]["anonymous"], "push-to"]
    sections = {
        "hub": {"budget_bytes": 16 << 20},
        "dimse.limits": {"frame_bytes": 4 << 20},
        "send.limits": {"frame_bytes": 4 << 20},
        "service": {"self_test_seconds": 10},
        "access": {"anonymous": rights, "anonymous_destinations": ["*"]},
        "destination.flaps": {
            "url": f"http://{box.gateway}:{port}", "mode": "send", "allow_plain": True, "send_timeout_ms": 3000,
            "retry_max_seconds": 2,
        },
        "subscription.flaps": {
            "search": "/series", "subscriber": "FLAPS", "destination": "flaps", "rate": 5.0, "from": "latest",
        },
    }  # fmt: skip
    file = "/etc/framegate/framegate.d/60-soak.toml"
    box.write(file, toml(sections), 0o640)
    box.shell(f"chgrp framegate {file}; systemctl stop chrony.service || true")
    # So that the walls follow, and for the self-test, whose period is that of a start.
    box.run("/usr/lib/framegate/prepare", "--walls")
    box.run("systemctl", "restart", "framegate.service", seconds=120)
    box.run("framegate", "health", "--wait", "60", seconds=90)


def still_works(box: Box, client: Client, churn: Churn) -> list[str]:
    """What does not, at the end: frames to a reader and to the destination, health."""
    before = churn.received
    path = wait_for(churn.live, "the card's series is made", 60)
    stream = LiveRead(client, path + "?from=latest")
    numbers = [stream.next_instance().InstanceNumber for _ in range(5)]
    stream.hang_up()
    wait_for(lambda: churn.received > before, "the destination is pushed to again", 60)
    # A test of itself may just have been late.
    box.attempt("framegate", "health", "--wait", "60", seconds=90)
    return [] if numbers == sorted(set(numbers)) else [f"frames at the end are numbered {numbers}"]


def test_what_it_holds_stays_the_same(box):
    listener = socket.create_server((box.gateway, 0))
    configure(box, listener.getsockname()[1])
    client = Client(box, box.run("cat", "/etc/framegate/identity/server.pem"))
    title = "FG" + box.run("cat", "/etc/framegate/identity/device-id").strip()[6:].upper()
    churn = Churn(box, client, title, listener, hurry=0.3 if SECONDS < 300 else 1)
    footprint = Footprint(box)
    log: list[str] = []

    def read_log() -> None:
        entries = box.run(
            "journalctl", "--no-pager", "-q", "-o", "json",
            "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER",
            "-u", "framegate.service", "--cursor-file=/run/soak.cursor",
        )  # fmt: skip
        for entry in map(json.loads, entries.splitlines()):
            # As the kernel writes levels. What systemd says of the unit is no error of the gateway's.
            level = f"<{entry['PRIORITY']}> " if entry.get("SYSLOG_IDENTIFIER") == "framegate" else ""
            log.append(f"{level}{entry['MESSAGE']}")

    problems: list[str] = []
    footprint.look()
    churn.start()
    print("\n" + footprint.HEAD, flush=True)
    try:
        while (now := time.monotonic()) < footprint.began + SECONDS:
            while time.monotonic() < min(now + QUIET_SECONDS, footprint.began + SECONDS):
                footprint.look()
                time.sleep(LOOK_SECONDS)
            with churn.calm():
                print(footprint.quiet(4), flush=True)
            read_log()
        with churn.calm():
            problems += still_works(box, client, churn)
            print(footprint.quiet(2), flush=True)
    except (AssertionError, OSError) as error:
        problems.append(f"the soak came to an end before its time: {error!r}"[:1000])
    finally:
        churn.stop()
        read_log()
    failures = {what: n for what, n in churn.counts.items() if "failed" in what}
    disturbances = sum(churn.counts.values())
    problems += footprint.problems(disturbances)
    wrong = [line for line in log if EVERY_LEVEL.search(line) and not any(re.search(e, line) for e in EXPECTED)]
    problems += [f"the log says: {line[:300]}" for line in wrong[:20]]
    # Seen: 4 of 10,000.
    if sum(failures.values()) > disturbances * 0.01:
        problems.append(f"{sum(failures.values())} of {disturbances} came to no good end")
    print(
        said(
            {"seconds": SECONDS, "disturbances": dict(sorted(churn.counts.items())), "parts_read": churn.parts,
             "parts_pushed": churn.received, "log_lines": len(log), "problems": problems, **footprint.summary()}
        )
    )  # fmt: skip
    if os.environ.get("FRAMEGATE_SOAK_LOG"):
        open(os.environ["FRAMEGATE_SOAK_LOG"], "w").write("\n".join(log))
    assert not problems, "\n".join(problems)
