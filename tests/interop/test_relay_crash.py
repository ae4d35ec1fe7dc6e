"""The gateway ends while it relays, by `kill -9`: with a modality that tries again, the upstream peer has
every object in the end, none of them torn; and what the modality was told Success for was there by then.
And by SIGTERM: what has begun is passed on to its end."""

from __future__ import annotations

import contextlib
import random
import signal
import time

import pytest

from association import Aborted, Association
from gateway import Gateway, wait_for
from objects import EXPLICIT_LE, XA
from persistent import Modality, many
from upstream import Upstream

OBJECTS, KILLS = 500, 50


def kill_at_random(gateway: Gateway, modality: Modality, seed: int) -> None:
    """Kills the gateway while the modality sends, each time at a moment of the time that ten objects take."""
    chance = random.Random(seed)
    each = OBJECTS // KILLS
    pace = 0.01
    for number in range(KILLS):
        # So that there is something left for every kill to meet.
        modality.allow((number + 2) * each)
        began, before = time.monotonic(), modality.done
        wait_for(lambda n=number: modality.done >= n * each or modality.error, "the modality gets on", 60)
        if modality.done > before:
            pace = (time.monotonic() - began) / (modality.done - before)
        # Not a wait for something: the moment is what is random.
        time.sleep(chance.uniform(0, min(pace, 0.01) * each))
        gateway.kill_and_restart()
    modality.allow(OBJECTS)


@pytest.mark.timeout(300)
def test_every_object_arrives_whole(own_gateway, tmp_path):
    pacs = Upstream(XA, syntaxes=[EXPLICIT_LE])
    objects = many(OBJECTS, tmp_path)
    with contextlib.closing(pacs):
        gateway = own_gateway(relay__pacs={"called_ae_title": "PACS", "address": pacs.target})
        early = []

        def told(uid: str) -> None:
            if uid not in pacs.kept:
                early.append(uid)

        modality = Modality(gateway.dimse, objects, told)
        modality.start()
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        kill_at_random(gateway, modality, seed)
        modality.finish(120)
    # Otherwise the kills have met nobody.
    assert modality.broken >= KILLS * 3 // 4
    assert early == [], "Success before the upstream peer had it"
    assert pacs.kept.keys() == objects.keys()
    torn = [uid for uid, copies in pacs.kept.items() if any(copy != objects[uid] for copy in copies)]
    assert torn == []


def test_a_stop_lets_the_message_end(own_gateway, tmp_path):
    """SIGTERM in the middle of a data set: it is passed on to its end, and so is its status; then both sides
    are told that it is over."""
    pacs = Upstream(XA, syntaxes=[EXPLICIT_LE], status=0xB007)
    [(uid, data)] = many(1, tmp_path).items()
    with contextlib.closing(pacs):
        gateway = own_gateway(relay__pacs={"called_ae_title": "PACS", "address": pacs.target})
        association = Association(gateway.dimse, XA, [EXPLICIT_LE], "PACS", "XA1")
        association.begin_store(XA, uid)
        association.data(data[:8000])
        gateway.signal(signal.SIGTERM)
        gateway.wait_for_line("(?i)shut|drain|stop")
        association.data(data[8000:], last=True)
        assert association.status() == 0xB007
        with pytest.raises(Aborted):
            association.status()
        assert gateway.wait() == 0
    assert pacs.kept == {uid: [data]}
