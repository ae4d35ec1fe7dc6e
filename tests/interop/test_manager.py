"""What systemd is told (sd_notify(3)), by a socket that stands in for it."""

from __future__ import annotations

import signal
import socket

import pytest


class Manager:
    """Hears what the service says, one datagram at a time."""

    def __init__(self, path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def hear(self, word: str) -> list[str]:
        """Waits for a line that begins so; everything heard until then."""
        heard: list[str] = []
        while not any(line.startswith(word) for line in heard):
            heard += self._socket.recv(4096).decode().splitlines()
        return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path, monkeypatch):
    one = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(one.path))
    yield one
    one.close()


def test_the_watchdog_is_fed_from_ready_to_stopping(own_gateway, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "900000")
    gateway = own_gateway()
    manager.hear("READY=1")
    for _ in range(3):
        manager.hear("WATCHDOG=1")
    gateway.signal(signal.SIGHUP)
    manager.hear("RELOADING=1")
    manager.hear("READY=1")
    assert gateway.stop() == 0, gateway.output
    manager.hear("STOPPING=1")


def test_the_line_for_people_says_what_is_done_and_what_is_wrong(own_gateway, manager):
    gateway = own_gateway(pattern={"enabled": True}, capture__xa={"device": "/dev/video63"})
    manager.hear("STATUS=streaming 1 series to 0 readers; capture xa: absent")
    assert gateway.stop() == 0, gateway.output
    assert any(said.startswith("STATUS=stopping") for said in manager.hear("STOPPING=1"))


def test_a_service_that_is_not_asked_for_it_feeds_no_watchdog(own_gateway, manager):
    gateway = own_gateway()
    assert gateway.stop() == 0, gateway.output
    assert "WATCHDOG=1" not in manager.hear("STOPPING=1")
