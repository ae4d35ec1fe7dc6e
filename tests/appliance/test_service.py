"""The gateway behind its walls does its work: it captures, is reached at the ports that take a privilege, loses no
connection over a restart, takes a changed configuration, and is started again when it hangs."""

from __future__ import annotations

import signal
import threading

import pytest
from live import LiveRead

from box import Box, wait_for
from client import Client, echo

CERTIFICATE = "/etc/framegate/identity/server.pem"


@pytest.fixture(scope="module")
def box(boxes, fresh) -> Box:
    return boxes(fresh, options="vivid.n_devs=1").active()


@pytest.fixture(scope="module")
def client(box) -> Client:
    return Client(box, box.run("cat", CERTIFICATE))


def shown(box: Box, *properties: str) -> list[str]:
    """Properties of the gateway's unit."""
    listed = dict(
        line.split("=", 1)
        for line in box.run("systemctl", "show", "framegate.service", "-p", ",".join(properties)).split("\n")
        if line
    )
    return [listed[each] for each in properties]


def title(box: Box) -> str:
    return "FG" + box.run("cat", "/etc/framegate/identity/device-id").strip()[6:].upper()


def test_a_capture_card_is_streamed(box, client):
    series = wait_for(client.series, "the card's series is found")
    stream = LiveRead(client, series[0])
    first, second = stream.next_instance(), stream.next_instance()
    stream.hang_up()
    assert second.InstanceNumber > first.InstanceNumber
    assert len(first.PixelData) >= first.Rows * first.Columns


def test_port_104_answers(box):
    assert echo(box, title(box)) == 0x0000


def test_the_ports_are_systemds(box):
    listening = box.run("systemctl", "list-sockets", "--no-legend", "--plain")
    assert "framegate-dimse.socket" in listening and "framegate-dicomweb.socket" in listening
    assert "CapEff:\t0000000000000000" in box.run("cat", f"/proc/{shown(box, 'MainPID')[0]}/status")


def test_the_key_is_a_credential(box):
    (pid,) = shown(box, "MainPID")
    assert box.attempt("test", "-e", f"/proc/{pid}/root/run/credentials/framegate.service/server.key")[0] == 0
    kind = box.run("stat", "-f", "-c", "%T", f"/proc/{pid}/root/run/credentials/framegate.service").strip()
    assert kind in ("tmpfs", "ramfs")


def test_nobody_is_refused_while_it_is_stopped(box, client):
    box.run("systemctl", "stop", "framegate.service")
    # The connection itself starts it again.
    assert client.get("/series")[0] in (200, 204)
    assert echo(box, title(box)) == 0x0000


def test_restarts_lose_no_connection(box, client):
    over, outcomes = threading.Event(), []

    def connect() -> None:
        while not over.is_set():
            try:
                outcomes.append(client.get("/series")[0])
            except OSError as error:
                outcomes.append(error)

    asking = threading.Thread(target=connect)
    asking.start()
    for _ in range(3):
        box.run("systemctl", "restart", "framegate.service")
    over.set()
    asking.join()
    # One that was being answered may be cut off by the end of the process; none may find the port closed.
    assert not [each for each in outcomes if isinstance(each, ConnectionRefusedError)], outcomes
    assert sum(each in (200, 204) for each in outcomes) >= 3, outcomes


def test_other_listeners_wait_in_the_store(box):
    """The port of the metrics is none of systemd's own."""
    (stored,) = shown(box, "NFileDescriptorStore")
    assert int(stored) >= 1
    box.run("systemctl", "kill", "--signal=SIGKILL", "framegate.service")
    wait_for(lambda: shown(box, "SubState", "NRestarts")[0] == "running", "it runs again")
    log = box.run("journalctl", "-u", "framegate.service", "-o", "cat", "-n", "200", "--no-pager")
    assert "stored-127.0.0.1_9100" in log, log


def answers(client: Client) -> bool:
    try:
        return client.get("/series")[0] in (200, 204)
    except OSError:
        return False


def test_a_reload_changes_who_may_connect(box, client):
    (before,) = shown(box, "MainPID")
    box.write("/etc/framegate/framegate.d/60-closed.toml", '[dicomweb]\nallow = ["127.0.0.1/32"]\n')
    box.shell("chgrp framegate /etc/framegate/framegate.d/60-closed.toml; systemctl reload framegate.service")
    assert not answers(client)
    box.shell("rm /etc/framegate/framegate.d/60-closed.toml; systemctl reload framegate.service")
    wait_for(lambda: answers(client), "the room may connect again")
    assert shown(box, "MainPID") == [before], "a reload restarted the service"


def test_a_service_that_hangs_is_started_again(box, client):
    pid, restarts = shown(box, "MainPID", "NRestarts")
    box.run("kill", f"-{signal.SIGSTOP.value}", pid)
    wait_for(lambda: int(shown(box, "NRestarts")[0]) > int(restarts), "the watchdog has ended it", 90)
    wait_for(lambda: shown(box, "SubState") == ["running"], "it runs again")
    assert shown(box, "MainPID") != [pid]
    assert client.get("/series")[0] in (200, 204)
