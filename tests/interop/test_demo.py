"""`framegate demo` shows a newcomer lines to paste; the test pastes them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from conftest import tool
from gateway import Process
from objects import EXPLICIT_LE, Recipe, build


@pytest.fixture(scope="module")
def demo(program, tmp_path_factory):
    running = Process([str(program), "demo"], tmp_path_factory.mktemp("demo"))
    # storescu comes last among the lines to paste, or close to it: wait for all three.
    for what in (r"\bcurl\b", r"\bstorescu\b", r"dicomweb_client|DICOMwebClient"):
        running.wait_for_line(what)
    running.wait_for_line(r"https://[^ ]+/dicomweb")
    yield running
    assert running.stop() == 0, running.output


def pasted(demo: Process, pattern: str) -> list[str]:
    """The lines to paste that hold the pattern, as they were printed, indented or after a prompt."""
    with_it = [line for line in demo.output.splitlines() if re.search(pattern, line)]
    return [re.sub(r"^\s*(\$ )?", "", line) for line in with_it]


def shell(line: str, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["timeout", "--signal=INT", "10", "bash", "-o", "pipefail", "-c", line],
        cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )


def test_curl_lines(demo, tmp_path):
    lines = pasted(demo, r"^\s*(\$ )?curl\b")
    assert lines
    for line in lines:
        done = shell(line, tmp_path)
        # A stream without end is ended by us: timeout's 124.
        assert done.returncode in (0, 124), f"{line}\n{done.stderr.decode(errors='replace')}"
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        assert done.stdout or written, f"{line} showed nothing"


def test_storescu_line(demo, tmp_path):
    if not tool("storescu", "--version").stdout:
        pytest.skip("storescu is not installed")
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    [line] = pasted(demo, r"^\s*(\$ )?storescu\b")[:1]
    # The only thing that a newcomer puts in is a file of their own.
    line = re.sub(r"\S+\.dcm\b|<[^>]*>|\bFILE\b", str(source.path), line)
    done = shell(line, tmp_path)
    assert done.returncode == 0, f"{line}\n{done.stderr.decode(errors='replace')}"


def test_dicomweb_client_lines(demo, tmp_path):
    [line] = pasted(demo, r"DICOMwebClient|dicomweb_client")[:1]
    if line.startswith("python"):
        line = re.sub(r"^python3?\b", sys.executable, line)
    elif line.startswith("dicomweb_client"):
        line = f"{sys.executable} -m dicomweb_client {line.split(' ', 1)[1]}"
    else:
        script = "\n".join(pasted(demo, r"^\s*(import |from \S+ import |client\b|session\b|print\()"))
        (tmp_path / "pasted.py").write_text(script)
        line = f"{sys.executable} pasted.py"
    done = shell(line, tmp_path)
    assert done.returncode == 0, f"{line}\n{done.stderr.decode(errors='replace')}"
    assert done.stdout
