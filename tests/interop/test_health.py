"""The service tries itself, and `framegate health` tells: of one that lets nobody in, one that hangs, one that has
run out of descriptors. Nobody else notices the trials."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess

import pytest

from channel import Channel, subscribe
from gateway import wait_for
from objects import EXPLICIT_LE, Recipe, build
from test_notifications import Sender

NOWHERE = ["192.0.2.0/24"]


@pytest.fixture
def health(program, runtime):
    """`framegate health` with more arguments: exit status, standard output, standard error."""

    def ask(*arguments: str) -> tuple[int, str, str]:
        command = [program, "health", "--runtime-directory", runtime, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    return ask


def tried(gateway) -> float:
    """How often the service has been answered by itself."""
    counts = gateway.metrics().items()
    return sum(value for name, value in counts if 'dicomweb_requests_total{transaction="self_test"' in name)


def first_free(process: int) -> int:
    """The descriptor that a process would get next."""
    used = {int(name) for name in os.listdir(f"/proc/{process}/fd")}
    return min(set(range(len(used) + 1)) - used)


def failure(health) -> str | None:
    """What the last self-test has found wrong."""
    said = json.loads(health("--json")[1])
    return said.get("failed")


def test_a_service_that_lets_nobody_in_works(own_gateway, authority, runtime, health):
    gateway = own_gateway(
        dimse={"allow": NOWHERE, "calling_ae_titles": ["XA1"]},
        dimse__limits={"associations": 1, "associations_per_peer": 1},
        dicomweb={"allow": NOWHERE},
        dicomweb__tls={"client_ca": str(authority.ca)},
        dicomweb__limits={"connections": 1, "connections_per_peer": 1, "requests_per_second": 1},
        access={"anonymous": []},
    )
    status, said, _ = health("--wait", "20", "--json")
    assert status == 0, said
    found = json.loads(said)
    assert (found["healthy"], found["ok"], found["failed"]) == (True, True, None)
    assert [check["name"] for check in found["checks"]] == ["dicomweb", "dimse", "dimse_tls"]
    assert ["note" in check for check in found["checks"]] == [True, False, True]
    assert found["age_seconds"] < 60
    file = runtime / "health.json"
    assert file.stat().st_mode & 0o777 == 0o644
    assert gateway.metric("framegate_self_test_ok") == 1
    assert 0 < gateway.metric("framegate_self_test_duration_seconds") < 5
    # Not one of its connections is somebody's.
    assert gateway.metric("framegate_dimse_associations_total") == 0
    status, said, _ = health()
    assert status == 0 and said.startswith("the service works") and said.count("\n") == 1
    assert gateway.stop() == 0
    assert "association accepted" not in gateway.output and gateway.output.count("self-test") == 1
    assert not file.exists()
    status, _, why = health()
    assert status == 1 and "holds no result" in why


def test_a_service_that_hangs_is_told_from_one_that_works(own_gateway, runtime, health):
    gateway = own_gateway(service={"self_test_seconds": 1})
    assert health("--wait", "20", "--steady", "2")[0] == 0
    gateway.signal(signal.SIGSTOP)
    wait_for(lambda: health()[0] == 1, "its result to be too old", 30)
    assert "another was due" in health()[2]
    gateway.signal(signal.SIGCONT)
    status, _, why = health("--wait", "20")
    assert status == 0, why
    # What a process has left says nothing of the next one.
    text = (runtime / "health.json").read_text()
    gateway.kill_and_restart()
    assert health("--wait", "20")[0] == 0
    after = json.loads((runtime / "health.json").read_text())
    assert after["started_microseconds"] > json.loads(text)["started_microseconds"]


def test_a_service_without_descriptors_says_so_and_heals(own_gateway, runtime, health):
    gateway = own_gateway(service={"self_test_seconds": 1})
    assert health("--wait", "20")[0] == 0
    before = resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE)
    results, free = set(), 1 << 10
    # Over whole self-tests, and without a connection of ours to the service, which would hold one.
    while len(results) < 4:
        results.add((runtime / "health.json").stat().st_mtime_ns)
        free = min(free, first_free(gateway.child.pid))
    # One descriptor: enough to connect and to write the result, not to accept.
    resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE, (free + 1, before[1]))
    failed = wait_for(lambda: failure(health), "the self-test to fail", 30)
    assert failed.startswith("dicomweb: ")
    status, _, why = health()
    assert status == 1 and why.strip()
    gateway.wait_for_line("ERROR.*the self-test fails: dicomweb")
    assert gateway.child.poll() is None, "it stays in service"
    resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE, before)
    assert health("--wait", "20")[0] == 0
    assert gateway.metric("framegate_self_test_ok") == 1


def test_nobody_notices_the_self_tests(own_gateway, http, tmp_path):
    gateway = own_gateway(service={"self_test_seconds": 1})
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 2, True), tmp_path)
    _, url = subscribe(gateway, http, "/instances/subscribers/WATCHER")
    with Channel(gateway, url) as listener:
        begun = tried(gateway)

        def nothing_to_see() -> bool:
            for level in ("studies", "series", "instances"):
                answer = http.get(f"{gateway.base}/{level}")
                assert answer.status_code == 204, answer.text
            return tried(gateway) >= begun + 3

        wait_for(nothing_to_see, "three self-tests")
        sender = Sender(gateway, source)
        sender.send_head()
        sender.finish()
        # The first that is heard of is what was sent.
        event = listener.event()
        while event.kind in (1, 2):
            assert event.of in (source.study, source.series)
            event = listener.event()
        assert event.json["0020000D"]["Value"] == [source.study]
    assert gateway.metric("framegate_hub_series") == 1
