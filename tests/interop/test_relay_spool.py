"""A relay with a spool: what is accepted while the upstream peer is away reaches it later, whole, in
order and encrypted meanwhile; a spool that is full says so and loses nothing that was acknowledged."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from association import Association
from gateway import Gateway, free_port, wait_for
from objects import EXPLICIT_LE, XA, Recipe, build
from persistent import Modality, many
from scu import store
from test_relay import RECIPES
from test_relay_crash import KILLS, OBJECTS, kill_at_random
from upstream import Upstream


class Spooling:
    """A gateway with a spool whose upstream peer comes and goes."""

    def __init__(self, own_gateway, folder: Path, directory: Path | None = None, **spool) -> None:
        self.port = free_port()
        self.directory = directory or folder / "spool"
        self.directory.mkdir(mode=0o700, exist_ok=True)
        key = folder / "spool.key"
        key.touch(mode=0o600)
        key.write_bytes(random.randbytes(32))
        relay = {"called_ae_title": "PACS", "address": f"127.0.0.1:{self.port}", "when_unreachable": "spool"}
        settings = {"directory": str(self.directory), "key_file": str(key), "free_bytes": 0, **spool}
        self.gateway: Gateway = own_gateway(relay__pacs=relay, spool=settings)

    def come_back(self, *sop_classes: str, **options) -> Upstream:
        return Upstream(*(sop_classes or [XA]), **{"syntaxes": [EXPLICIT_LE], "port": self.port, **options})

    def store(self, objects: dict[str, bytes]) -> dict[str, int]:
        """The statuses of C-STOREs over one association."""
        association = Association(self.gateway.dimse, XA, [EXPLICIT_LE], "PACS", "XA1")
        out = {}
        for uid, data in objects.items():
            association.begin_store(XA, uid)
            association.data(data, last=True)
            out[uid] = association.status()
        association.release()
        return out


def arrive(pacs: Upstream, objects: dict[str, bytes], seconds: float = 60) -> None:
    """Waits until the upstream peer has all of these, and checks that every copy is whole."""
    wait_for(lambda: pacs.kept.keys() >= objects.keys(), f"{len(objects)} objects upstream", seconds)
    torn = [uid for uid, copies in pacs.kept.items() if any(copy != objects[uid] for copy in copies)]
    assert torn == []


def test_what_is_accepted_while_upstream_is_away_arrives_in_order(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(40, tmp_path)
    assert set(spooling.store(objects).values()) == {0x0000}
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, objects)
        assert list(pacs.kept) == list(objects)
        assert all(len(copies) == 1 for copies in pacs.kept.values())


def test_objects_of_every_kind_arrive_as_they_came(own_gateway, tmp_path):
    """Whatever the SOP class, the transfer syntax and the size; to a peer that takes small PDUs."""
    spooling = Spooling(own_gateway, tmp_path)
    recipes = [*RECIPES, Recipe("xa", "mono16", EXPLICIT_LE, 40, True, rows=512, columns=512)]
    sources = [build(recipe, tmp_path) for recipe in recipes]
    assert store(spooling.gateway.dimse, *(source.path for source in sources), called="PACS") == [0] * len(sources)
    classes = {source.dataset.SOPClassUID for source in sources}
    syntaxes = sorted({recipe.syntax for recipe in recipes})
    with contextlib.closing(spooling.come_back(*classes, syntaxes=syntaxes, max_pdu=4096)) as pacs:
        arrive(pacs, {source.dataset.SOPInstanceUID: source.dataset_bytes() for source in sources})


def test_nothing_of_an_object_can_be_read_from_the_disk(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(3, tmp_path)
    spooling.store(objects)
    files = [path for path in spooling.directory.rglob("*") if path.is_file()]
    on_disk = b"".join(path.read_bytes() for path in files)
    assert len(on_disk) > sum(map(len, objects.values()))
    for secret in (b"TEST-0001", b"Referring", XA.encode(), b"XA1", b"PACS", *(uid.encode() for uid in objects)):
        assert secret not in on_disk
        assert not any(secret.decode() in str(path.relative_to(spooling.directory)) for path in files)
    assert not any(path.stat().st_mode & 0o077 for path in files)


def test_what_has_arrived_is_gone_from_the_disk(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(10, tmp_path)
    spooling.store(objects)

    def size() -> int:
        return sum(path.stat().st_size for path in spooling.directory.rglob("*") if path.is_file())

    assert size() > sum(map(len, objects.values()))
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, objects)
        wait_for(lambda: size() < 4096, "the spool is empty")


def test_while_upstream_is_there_its_status_is_passed_on(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(2, tmp_path)
    with contextlib.closing(spooling.come_back(status=0xB007)) as pacs:
        assert set(spooling.store(objects).values()) == {0xB007}
        assert pacs.kept == {uid: [data] for uid, data in objects.items()}


def test_a_full_spool_says_so_and_keeps_what_it_has(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path, max_bytes=1 << 20)
    objects = many(100, tmp_path)
    statuses = spooling.store(objects)
    accepted = {uid: data for uid, data in objects.items() if statuses[uid] == 0x0000}
    assert 10 < len(accepted) < 70
    assert set(statuses.values()) == {0x0000, 0xA700}
    spooling.gateway.kill_and_restart()
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, accepted)
        assert pacs.kept.keys() == accepted.keys()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_says_so_and_keeps_what_it_has(own_gateway, tmp_path, small_disk):
    spooling = Spooling(own_gateway, tmp_path, small_disk)
    objects = many(200, tmp_path)
    statuses = spooling.store(objects)
    accepted = {uid: data for uid, data in objects.items() if statuses[uid] == 0x0000}
    assert 10 < len(accepted) < 140
    assert set(statuses.values()) == {0x0000, 0xA700}
    spooling.gateway.kill_and_restart()
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, accepted)


def test_a_modality_that_breaks_off_leaves_nothing_half(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(2, tmp_path)
    first, second = objects
    association = Association(spooling.gateway.dimse, XA, [EXPLICIT_LE], "PACS", "XA1")
    association.begin_store(XA, first)
    association.data(objects[first][:8000])
    association.abort()
    spooling.store({second: objects[second]})
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, {second: objects[second]})
        assert list(pacs.kept) == [second]


def test_an_object_that_upstream_refuses_does_not_hold_up_the_next(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(5, tmp_path)
    spooling.store(objects)
    # Cannot understand: for good.
    with contextlib.closing(spooling.come_back(status=0xC000)) as pacs:
        arrive(pacs, objects)


def test_a_damaged_file_holds_up_nothing(own_gateway, tmp_path):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(4, tmp_path)
    spooling.store(objects)
    files = sorted(path for path in spooling.directory.rglob("*") if path.is_file() and path.stat().st_size > 16000)
    damaged = bytearray(files[1].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    files[1].write_bytes(damaged)
    whole = [uid for number, uid in enumerate(objects) if number != 1]
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, {uid: objects[uid] for uid in whole})
        assert list(pacs.kept) == whole


@pytest.fixture
def runtime(monkeypatch):
    """The service's runtime directory, which must be in memory."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no file system in memory here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield Path(folder)


def test_the_transient_key_survives_a_kill_and_not_a_reboot(own_gateway, tmp_path, runtime):
    spooling = Spooling(own_gateway, tmp_path, key_file="")
    before = many(3, tmp_path)
    spooling.store(before)
    spooling.gateway.kill_and_restart()
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, before)
    # Now what a reboot does, which empties the directory.
    lost = many(3, tmp_path)
    spooling.store(lost)
    spooling.gateway.signal(signal.SIGKILL)
    spooling.gateway.wait()
    for path in runtime.iterdir():
        path.unlink()
    spooling.gateway.start()
    after = many(3, tmp_path)
    spooling.store(after)
    with contextlib.closing(spooling.come_back()) as pacs:
        arrive(pacs, after)
        assert list(pacs.kept) == list(after)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("upstream", ["away", "comes back in the middle"])
def test_kills_at_random_lose_nothing(own_gateway, tmp_path, upstream):
    spooling = Spooling(own_gateway, tmp_path)
    objects = many(OBJECTS, tmp_path)
    with contextlib.ExitStack() as stack:
        pacs: list[Upstream] = []

        def told(uid: str) -> None:
            if upstream != "away" and not pacs and uid == list(objects)[OBJECTS // 2]:
                pacs.append(stack.enter_context(contextlib.closing(spooling.come_back())))

        modality = Modality(spooling.gateway.dimse, objects, told)
        modality.start()
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        kill_at_random(spooling.gateway, modality, seed)
        modality.finish(120)
        assert modality.broken >= KILLS * 3 // 4
        assert modality.failures == []
        if not pacs:
            pacs.append(stack.enter_context(contextlib.closing(spooling.come_back())))
        arrive(pacs[0], objects, 120)
