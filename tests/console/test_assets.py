"""The files that the page is made of: small, whole, and nobody else's but as noted."""

from __future__ import annotations

import hashlib
import re

from mock import ASSETS

MOST_BYTES = 86_000
OURS = [path for path in ASSETS.iterdir() if path.is_file()]
VENDOR = ASSETS / "vendor"


def test_what_others_wrote_is_as_they_published_it():
    noted = dict(re.findall(r"^\| `([\w.-]+)` .*`([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text(), re.M))
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert there == noted
    hooks = (VENDOR / "hooks.js").read_text().replace('from"./preact.js"', 'from"preact"')
    assert hashlib.sha256(hooks.encode()).hexdigest() in (VENDOR / "README.md").read_text()


def test_the_page_is_small():
    size = sum(path.stat().st_size for path in OURS)
    assert size <= MOST_BYTES, f"{size} bytes"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere():
    page = (ASSETS / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for path in OURS:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|localStorage|sessionStorage|document\.cookie", text), path.name


def test_every_file_is_named_once_and_every_name_is_a_file():
    names = {path.name for path in ASSETS.rglob("*.*")}
    assert len(names) == len(list(ASSETS.rglob("*.*")))
    named = set()
    for path in OURS:
        for name in re.findall(r"""["'](\./[\w./-]+)["']""", path.read_text()):
            assert (ASSETS / name).is_file(), f"{path.name} names {name}"
            named.add((ASSETS / name).resolve())
    unnamed = {path for path in OURS if path.suffix != ".md"} - named - {ASSETS / "index.html"}
    assert not unnamed, unnamed
