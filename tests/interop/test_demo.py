"""`framegate demo` shows a newcomer lines to paste; the test pastes them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import requests

from conftest import tool
from gateway import Process, free_port, wait_for
from live import part10
from multipart import Reader
from objects import EXPLICIT_LE, Recipe, build

# What a browser sends when somebody types an address.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def demo(program, tmp_path_factory):
    ports = [part for name in ("dimse", "https", "console") for part in (f"--{name}-port", str(free_port()))]
    running = Process([str(program), "demo", *ports], tmp_path_factory.mktemp("demo"))
    running.wait_for_line("Ctrl-C")
    yield running
    assert running.stop() == 0, running.output


def pasted(demo: Process, command: str) -> list[str]:
    """The lines to paste that begin with the command."""
    lines = [line for line in demo.output.splitlines() if line.startswith(f"{command} ")]
    assert lines, demo.output
    return lines


def plain_environment() -> dict[str, str]:
    """Ours without proxies and authorities, which requests and curl would prefer to what a line says."""
    foreign = ("_proxy", "_ca_bundle", "ssl_cert_file", "ssl_cert_dir")
    return {name: value for name, value in os.environ.items() if not name.lower().endswith(foreign)}


def run(line: str, cwd) -> str:
    done = subprocess.run(
        line, shell=True, cwd=cwd, env=plain_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", timeout=60, check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def test_curl_line_that_streams(demo, tmp_path):
    """Frame after frame lands in the file while the demo runs."""
    [line] = [line for line in pasted(demo, "curl") if " > " in line]
    file = tmp_path / line.rsplit(" > ", 1)[1]
    shell = subprocess.Popen(
        line, shell=True, cwd=tmp_path, env=plain_environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: file.exists() and file.read_bytes().count(b"DICM") >= 5, "five frames")
        assert shell.poll() is None, "the stream goes on"
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()
    reader = Reader(file.read_bytes()[2:].split(b"\r\n", 1)[0].decode())
    frames = [part10(part) for part in reader.feed(file.read_bytes())]
    assert len(frames) >= 4
    first = frames[0].InstanceNumber
    assert [one.InstanceNumber for one in frames] == list(range(first, first + len(frames)))


def test_curl_line_that_searches(demo, tmp_path):
    [line] = [line for line in pasted(demo, "curl") if " > " not in line]
    studies = json.loads(run(line, tmp_path))
    assert studies and all("0020000D" in study for study in studies)


def test_storescu_line(demo, tmp_path):
    tool("storescu", "--version")
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    [line] = pasted(demo, "storescu")
    run(line.replace("FILE.dcm", shlex.quote(str(source.path))), tmp_path)


def test_python_line(demo, tmp_path):
    [line] = pasted(demo, "python3")
    printed = run(line.replace("python3", shlex.quote(sys.executable), 1), tmp_path)
    assert "0020000E" in printed


def test_browser_line(demo, tmp_path):
    line = demo.wait_for_line(r"In a browser .*(https://\S+)").group(1)
    session = requests.Session()
    session.trust_env = False
    answer = session.get(line, headers={"Accept": BROWSER}, verify=False, stream=True, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(("image/", "multipart/"))
    assert answer.raw.read(16)
    answer.close()
