"""Fixtures of the tests with video devices: the binary under test, certificates, and machines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import gateway as gateways  # noqa: E402
from guest import Guest, Skipped  # noqa: E402
from pki import Authority  # noqa: E402


@pytest.fixture(scope="session")
def program() -> Path:
    """The binary under test."""
    path = gateways.binary()
    if path is None:
        pytest.skip("no framegate binary: run `cargo build --release` first")
    return path


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def machines(program, authority, tmp_path_factory):
    running: dict[str, Guest] = {}

    def start(options: str) -> Guest:
        if options not in running:
            try:
                running[options] = Guest(tmp_path_factory.mktemp("vm"), program, authority, options)
            except Skipped as why:
                pytest.skip(str(why))
        return running[options]

    yield start
    for guest in running.values():
        guest.end()


@pytest.fixture
def machine(machines):
    """A machine with these kernel options, which tests share: `machine("vivid.n_devs=1")`. What gateway
    runs in it is stopped after the test."""
    used: list[Guest] = []

    def get(options: str) -> Guest:
        used.append(machines(options))
        return used[-1]

    yield get
    for guest in used:
        guest.kill()
