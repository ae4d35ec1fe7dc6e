"""An upstream peer that is broken or wicked harms nobody but its own association: the gateway stays
small, the modality is set free, and the next association works."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import pytest

import negotiation
import outcomes
from association import VERIFICATION, Aborted, Association, Rejected
from dialogue import Side
from gateway import wait_for
from negotiation import Pdu
from objects import EXPLICIT_LE, IMPLICIT_LE, XA, Recipe, build
from upstream import Upstream

TOO_MUCH = 256 << 20
# What a gateway may grow by while it is told to keep too much.
ROOM = 96 << 20


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def gateway(own_gateway, listener):
    """Relays to the listener; and to an honest peer, which must not notice."""
    honest = Upstream(VERIFICATION, syntaxes=[IMPLICIT_LE], title="HONEST")
    with contextlib.closing(honest):
        running = own_gateway(
            hub={"budget_bytes": 64 << 20},
            relay__pacs={"called_ae_title": "PACS", "address": "%s:%d" % listener.getsockname()},
            relay__honest={"called_ae_title": "HONEST", "address": honest.target},
        )
        yield running
        works(running)


def works(gateway) -> None:
    association = Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="HONEST")
    assert association.echo() == 0x0000
    association.release()


def memory(gateway) -> int:
    """Resident bytes."""
    with open(f"/proc/{gateway.child.pid}/status") as status:
        [line] = [one for one in status if one.startswith("VmRSS")]
    return int(line.split()[1]) << 10


def raw(pdu: Pdu) -> bytes:
    return struct.pack(">BxI", pdu[0], len(pdu[1])) + pdu[1]


def opened(gateway, listener) -> tuple[Side, Side]:
    """Both ends of an association that is being asked for: the request has reached the upstream peer."""
    modality = Side(socket.create_connection(gateway.dimse, 20))
    modality.socket.sendall(raw(outcomes.REQUEST))
    upstream = Side(listener.accept()[0])
    assert upstream.hear()
    return modality, upstream


ACCEPT = raw(outcomes.ACCEPT)
ANSWERS = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "zeros": bytes(4096),
    "noise": bytes(range(256)) * 16,
    "an unknown PDU": b"\x08\0\0\0\0\x04abcd",
    "an answer of 4 GiB": b"\2\0\xff\xff\xff\xff",
    "an answer that is cut off": ACCEPT[: len(ACCEPT) // 2],
    "an item that is longer than the answer": raw((2, outcomes.ACCEPT[1][:68] + b"\x10\0\xff\xff1.2")),
    "an answer of nothing": b"\2\0\0\0\0\0",
    "a request": raw(outcomes.REQUEST),
    "data before the answer": raw(negotiation.p_data(negotiation.pdv(1, b"abc"))),
    "two answers": ACCEPT + ACCEPT,
    "an answer and a rejection": ACCEPT + raw(negotiation.reject(1, 1, 1)),
    "a PDV that is longer than its PDU": ACCEPT + raw((4, b"\0\0\xff\xff\1\3abc")),
    "a PDV of nothing": ACCEPT + raw((4, b"\0\0\0\0")),
    "data of 4 GiB": ACCEPT + b"\4\0\xff\xff\xff\xff",
    "a data set that nobody asked for": ACCEPT + raw(negotiation.p_data(negotiation.pdv(1, b"abc"))),
    "a command whose lengths lie": ACCEPT
    + raw(negotiation.p_data(negotiation.pdv(1, b"\0\0\0\1\xff\xff\xff\xff" * 9, command=True))),
    "a context that was never proposed": ACCEPT + raw(negotiation.p_data(negotiation.pdv(255, b"", command=True))),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_none(gateway, listener, answer):
    """Whether it is passed on or ends in an abort is the gateway's choice; the modality is not left alone:
    once the upstream peer is gone it hears the end."""
    modality, upstream = opened(gateway, listener)
    upstream.socket.sendall(ANSWERS[answer])
    works(gateway)
    upstream.socket.close()
    modality.hear_the_end()
    modality.socket.close()


GARBAGE = {name: data.removeprefix(ACCEPT) for name, data in ANSWERS.items() if data != ACCEPT}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_modality_that_talks_nonsense(gateway, listener, garbage):
    """It is the upstream peer's to judge; when the modality is gone, that hears the end."""
    modality, upstream = opened(gateway, listener)
    upstream.socket.sendall(ACCEPT)
    assert modality.hear()
    modality.socket.sendall(GARBAGE[garbage])
    works(gateway)
    modality.socket.close()
    upstream.hear_the_end()
    upstream.socket.close()


@pytest.mark.parametrize("who", ["modality", "upstream"])
def test_a_pdu_that_never_ends_is_not_kept(gateway, listener, who):
    """4 GiB are announced, and a good part of it comes; whoever wants it may have it, we keep none."""
    modality, upstream = opened(gateway, listener)
    upstream.socket.sendall(ACCEPT)
    assert modality.hear()
    before = memory(gateway)
    speaker, other = (modality, upstream) if who == "modality" else (upstream, modality)
    largest = before

    def swallow() -> None:
        with contextlib.suppress(OSError):
            while other.socket.recv(1 << 20):
                pass

    reader = threading.Thread(target=swallow)
    reader.start()
    with contextlib.suppress(OSError):
        speaker.socket.sendall(b"\4\0\xff\xff\xff\xff" + b"\xff\xff\xff\xf0\1\0")
        for _ in range(TOO_MUCH >> 20):
            speaker.socket.sendall(bytes(1 << 20))
            largest = max(largest, memory(gateway))
    speaker.socket.close()
    reader.join(20)
    assert not reader.is_alive(), "the other side hears the end"
    other.socket.close()
    assert largest - before < ROOM


def test_an_answer_before_the_question(own_gateway, gateway):
    """A peer that talks as soon as it is called."""
    with socket.create_server(("127.0.0.1", 0)) as hasty:

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = hasty.accept()
                    sock.sendall(ACCEPT)
                    # Until the gateway has had enough.
                    while sock.recv(4096):
                        pass
                    sock.close()

        threading.Thread(target=talk, daemon=True).start()
        other = own_gateway(relay__pacs={"called_ae_title": "PACS", "address": "%s:%d" % hasty.getsockname()})
        modality = Side(socket.create_connection(other.dimse, 20))
        modality.socket.sendall(raw(outcomes.REQUEST))
        modality.hear()
        modality.socket.close()
        second = Side(socket.create_connection(other.dimse, 20))
        second.socket.sendall(raw(outcomes.REQUEST))
        assert second.hear()
        second.socket.close()
        hasty.shutdown(socket.SHUT_RDWR)


def test_a_peer_that_does_not_read_stops_the_modality_and_nothing_else(gateway, listener, tmp_path):
    """Back-pressure comes from the upstream peer, and what waits is held in the sockets, not in the gateway."""
    source = build(Recipe("xa", "mono16", EXPLICIT_LE, 8, True, rows=512, columns=512), tmp_path)
    modality, upstream = opened(gateway, listener)
    upstream.socket.sendall(ACCEPT)
    assert modality.hear()
    before = memory(gateway)
    object_bytes = b"".join(
        raw(pdu) for pdu in [
            outcomes.STORED.pdus[0],
            *(negotiation.p_data(negotiation.pdv(1, source.dataset_bytes()[at : at + 16000], last=False))
              for at in range(0, len(source.dataset_bytes()), 16000)),
        ]
    )  # fmt: skip
    modality.socket.settimeout(1)
    taken = 0
    with pytest.raises(TimeoutError):
        while taken < TOO_MUCH:
            taken += modality.socket.send(memoryview(object_bytes)[taken % len(object_bytes) :][: 1 << 20])
    works(gateway)
    assert memory(gateway) - before < ROOM
    received = bytearray()
    upstream.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            received += upstream.socket.recv(1 << 20)
    # What has been taken arrives.
    assert len(received) == taken
    endless = object_bytes * (taken // len(object_bytes) + 1)
    assert received == endless[:taken]
    modality.socket.close()
    upstream.hear_the_end()


def test_a_peer_that_never_answers_is_left_when_the_modality_leaves(gateway, listener):
    """At once: the upstream peer is not kept busy with an association that nobody wants any more."""
    modality, upstream = opened(gateway, listener)
    assert modality.quiet()
    works(gateway)
    modality.socket.close()
    # Less than any limit on a handshake.
    upstream.socket.settimeout(5)
    upstream.hear_the_end()


def test_silence_on_both_sides_ends(own_gateway, listener):
    """An association that nobody uses is not kept for ever: both sides are told."""
    relay = {"called_ae_title": "PACS", "address": "%s:%d" % listener.getsockname(), "idle_seconds": 1}
    gateway = own_gateway(relay__pacs=relay)
    modality, upstream = opened(gateway, listener)
    upstream.socket.sendall(ACCEPT)
    assert modality.hear()
    modality.hear_the_end()
    upstream.hear_the_end()
    assert wait_for(lambda: gateway.metric("associations_open") == 0, "no association is left")


def test_as_many_associations_as_are_allowed(own_gateway, tmp_path):
    """The bound on associations holds for relayed ones too, and one that ends makes room."""
    pacs = Upstream(VERIFICATION, syntaxes=[IMPLICIT_LE])
    with contextlib.closing(pacs):
        gateway = own_gateway(
            dimse__limits={"associations": 4, "associations_per_peer": 4},
            relay__pacs={"called_ae_title": "PACS", "address": pacs.target},
        )

        def try_one() -> Association | None:
            with contextlib.suppress(Rejected, Aborted, OSError):
                return Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="PACS")
            return None

        held = [wait_for(try_one, "an association") for _ in range(4)]
        assert try_one() is None
        held.pop().release()
        held.append(wait_for(try_one, "room for one"))
        for association in held:
            assert association.echo() == 0x0000
            association.release()
