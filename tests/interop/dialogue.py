"""Plays a dialogue between a modality and an upstream peer, one step after the other: what one side
says, the other hears before anybody says more. No clock is needed, and both sides' view is kept."""

from __future__ import annotations

import dataclasses
import select
import socket
import struct
import threading

from association import A_ABORT
from inline import Route
from negotiation import Pdu
from wire import reset

PATIENCE = 20.0
# How long is long enough for something to arrive that must not.
QUIET = 0.3


@dataclasses.dataclass(frozen=True)
class Say:
    """`who` (modality or upstream) sends PDUs; the other side hears each of them."""

    who: str
    pdus: tuple[Pdu, ...]


@dataclasses.dataclass(frozen=True)
class Part:
    """`who` sends bytes that are no whole PDU; the other side may hear of them or not."""

    who: str
    data: bytes


@dataclasses.dataclass(frozen=True)
class Leave:
    """`who` ends the TCP connection: closes it, or resets it."""

    who: str
    how: str = "close"


@dataclasses.dataclass(frozen=True)
class Silence:
    """Nobody hears anything."""


Step = Say | Part | Leave | Silence


def modality(*pdus: Pdu) -> Say:
    return Say("modality", pdus)


def upstream(*pdus: Pdu) -> Say:
    return Say("upstream", pdus)


class Side:
    """One end of the connection, and what it has heard: PDUs, and how it ended."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.heard: list[Pdu | str] = []
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _exactly(self, count: int) -> bytes | None:
        out = bytearray()
        while len(out) < count:
            try:
                piece = self.socket.recv(count - len(out))
            except ConnectionError:
                return None
            if not piece:
                return None
            out += piece
        return bytes(out)

    def hear(self) -> bool:
        """Takes one PDU; False when the connection has ended instead."""
        head = self._exactly(6)
        body = None if head is None else self._exactly(struct.unpack(">BxI", head)[1])
        if body is None:
            self.heard.append("closed")
            return False
        self.heard.append((head[0], body))
        return True

    def hear_the_end(self) -> None:
        while not (self.heard and self.heard[-1] == "closed"):
            self.hear()

    def quiet(self) -> bool:
        return not select.select([self.socket], [], [], QUIET)[0]


def _said(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        pass  # the other side has had enough, which it shows


def play(route: Route, listener: socket.socket, steps: list[Step]) -> dict[str, list]:
    """What the modality and the upstream peer heard. The first step is the modality's."""
    sides = {"modality": Side(socket.create_connection(route.address, PATIENCE))}
    try:
        for step in steps:
            if isinstance(step, Silence):
                assert all(side.quiet() for side in sides.values()), "somebody heard something"
                continue
            speaker = sides[step.who]
            if isinstance(step, Leave):
                other = sides["upstream" if step.who == "modality" else "modality"]
                reset(speaker.socket) if step.how == "reset" else speaker.socket.close()
                other.hear_the_end()
                break
            if isinstance(step, Part):
                _said(speaker.socket, step.data)
                continue
            data = b"".join(struct.pack(">BxI", kind, len(body)) + body for kind, body in step.pdus)
            # More than the sockets hold may have to pass.
            talker = threading.Thread(target=_said, args=(speaker.socket, data))
            talker.start()
            if "upstream" not in sides:
                sides["upstream"] = Side(listener.accept()[0])
            other = sides["upstream" if step.who == "modality" else "modality"]
            for _ in step.pdus:
                other.hear()
            talker.join(PATIENCE)
        return {who: side.heard for who, side in sides.items()}
    finally:
        for side in sides.values():
            side.socket.close()


def indicated(heard: list) -> list:
    """As the service says it (PS3.8 §7.4): a connection that closes and an A-ABORT of the provider are
    both an A-P-ABORT indication, and what comes behind an A-ABORT is nothing."""
    out = []
    for one in heard:
        if one == "closed" or (one[0] == A_ABORT and one[1][2] == 2):
            return [*out, "A-P-ABORT"]
        out.append(one)
        if one[0] == A_ABORT:
            break
    return out
