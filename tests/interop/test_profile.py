"""The examples of docs/live-profile.md, run as they stand there, and its tables held against what
the gateway says and sends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import websockets.sync.client

from gateway import ROOT

PROFILE = (ROOT / "docs" / "live-profile.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PROFILE, re.MULTILINE | re.DOTALL)
    return [block for block in found if not block.startswith("BASE=")]


@pytest.fixture(scope="module")
def live(program, authority, tmp_path_factory):
    """A gateway with a live series, as the demo has it."""
    from gateway import Gateway

    pattern = {"enabled": True, "rows": 64, "columns": 64, "fps": 15}
    rights = ["search", "retrieve", "send", "subscribe", "operate"]
    running = Gateway(
        program,
        tmp_path_factory.mktemp("profile"),
        authority,
        pattern=pattern,
        access={"anonymous": rights},
        capture__room={"device": "/dev/video0"},
    )
    yield running
    assert running.stop() == 0, running.output


def environment(live, folder) -> dict[str, str]:
    # Proxies and authorities of the machine's would come before the example's.
    ours = ("_PROXY", "_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    variables = {k: v for k, v in os.environ.items() if not k.upper().endswith(ours)}
    return variables | {"BASE": live.base, "CA": str(live.authority.ca), "TMPDIR": str(folder)}


def run(arguments: list[str], live, folder) -> str:
    done = subprocess.run(
        arguments,
        env=environment(live, folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_there_are_examples():
    assert len(blocks("sh")) >= 2 and len(blocks("python")) >= 2 and len(blocks("json")) >= 1


@pytest.mark.parametrize("number", range(len(blocks("sh"))))
def test_shell_example(live, tmp_path, number):
    # A status that says no must fail the example.
    script = 'set -euo pipefail\ncurl() { command curl -sS --fail-with-body --max-time 30 "$@"; }\n'
    run(["bash", "-c", script + blocks("sh")[number]], live, tmp_path)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_example(live, tmp_path, number):
    run([sys.executable, "-c", blocks("python")[number]], live, tmp_path)


def test_a_subscription_is_described_as_the_profile_says(live, http):
    asked = "/series/subscribers/DESCRIBED?Modality=XA&PatientName=*"
    answer = http.post(live.base + asked)
    assert answer.status_code == 201, answer.text
    described = json.loads(blocks("json")[0])
    assert answer.json().keys() == described.keys()
    kinds = {key: type(value) for key, value in answer.json().items()}
    assert kinds == {key: type(value) for key, value in described.items()}


def test_a_capture_is_described_as_the_profile_says(live, http):
    (capture,) = http.get(live.base + "/operations/captures").json()
    described = json.loads(blocks("json")[1])
    assert capture.keys() == described.keys()
    assert capture["name"] == described["name"]
    for key in capture.keys() - {"running"}:
        assert isinstance(capture[key], type(described[key])), key


def table(after: str) -> list[list[str]]:
    section = PROFILE.split(after, 1)[1]
    rows = section[section.index("\n|---") + 1 :].split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_an_event_has_every_attribute_of_the_profile(live, http, authority):
    answer = http.post(live.base + "/series/subscribers/TABLED?Modality=*")
    assert answer.status_code == 201, answer.text
    context = authority.client_context()
    with websockets.sync.client.connect(answer.headers["Location"], ssl=context, proxy=None) as channel:
        event = json.loads(channel.recv(timeout=30))
    rows = table("Every event has") + [["(0008,3002)", "CS"], ["(0020,1206)", "IS"]]
    for row in rows:
        tag = row[0].strip("()").replace(",", "")
        if tag in ("00211003", "00211005"):  # of events 6 and 8 only
            assert tag not in event
            continue
        assert tag in event, f"{row[0]} is missing"
        if len(row) > 2:
            assert event[tag]["vr"] == row[1], row
    for keyword in ("00100010", "0020000D", "0020000E", "00080060", "00280010", "00280011"):
        assert keyword in event
    assert "7FE00010" not in event


def test_the_bounds_that_the_profile_names_are_those_of_the_program():
    listed = re.search(r"At most (\d+) items each are listed", PROFILE)
    settings = (ROOT / "src" / "config" / "settings" / "live.rs").read_text()
    assert listed and f"listed: {listed[1]}," in settings
