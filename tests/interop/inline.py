"""Runs the same thing twice, without and with the gateway between two peers, and gives both what they
need for a comparison."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from gateway import Gateway
from wire import PIECE, Wire

# Of the patients of the tests' objects, worklists and performed steps.
SECRETS = ("TEST-0001", "Synth", "Patient^", "Referring^", "Coronary", "passcode", "2.25.4711")


def outline(stream: bytes) -> list[tuple[int, int]]:
    """Types and lengths of the PDUs in a stream."""
    out, at = [], 0
    while len(stream) - at >= 6:
        kind, length = struct.unpack_from(">BxI", stream, at)
        out.append((kind, length))
        at += 6 + length
    return out


class Route:
    """A way from a modality to an upstream peer: `address` is what the modality calls."""

    def __init__(self, name: str, near: Wire, far: Wire) -> None:
        self.name, self._near, self._far = name, near, far

    @property
    def address(self) -> tuple[str, int]:
        return self._near.address

    @property
    def host_and_port(self) -> list[str]:
        return [self.address[0], str(self.address[1])]

    def passed(self) -> int:
        """How many bytes the upstream peer has been given so far."""
        return sum(len(one.sent) for one in self._far.connections)

    def same_bytes(self) -> list[tuple[bytes, bytes]]:
        """What went over the wire, both ways; asserts that no byte differs before and behind the gateway."""
        near = self._near.take()
        if self._far is not self._near:
            far = self._far.take()
            # First what a reader can make something of.
            assert [tuple(map(outline, one)) for one in near] == [tuple(map(outline, one)) for one in far]
            assert near == far, "the gateway changed bytes"
        return near


class Inline:
    """A gateway whose relays lead to wires, which lead wherever the test at hand wants.

    `[relay.pacs]`, called AE title PACS, is for what the modality opens; `[relay.modality]`, called AE
    title XA1, for what the upstream peer opens to the modality."""

    CALLED, CALLING = "PACS", "XA1"

    def __init__(self, start) -> None:
        self._far, self._back = Wire(), Wire()
        relays = {
            "relay.pacs": {"called_ae_title": self.CALLED, "address": "%s:%d" % self._far.address},
            "relay.modality": {"called_ae_title": self.CALLING, "address": "%s:%d" % self._back.address},
        }
        self.gateway: Gateway = start(**relays)

    @contextlib.contextmanager
    def _route(self, name: str, target: tuple[str, int], far: Wire, keep: bool, piece: int) -> Iterator[Route]:
        if name == "direct":
            near = far = Wire(target, keep, piece)
        else:
            far.target, far.keep, far.piece = target, keep, piece
            near = Wire(self.gateway.dimse, keep, piece)
        far.connections = []
        try:
            yield Route(name, near, far)
        finally:
            near.close()
            far.target = None

    def route(self, name: str, target: tuple[str, int], keep: bool = True, piece: int = PIECE):
        """`direct` or `relay`, from a modality to an upstream peer at `target`."""
        return self._route(name, target, self._far, keep, piece)

    def back(self, name: str, target: tuple[str, int], keep: bool = True, piece: int = PIECE):
        """The same from an upstream peer to the modality at `target`."""
        return self._route(name, target, self._back, keep, piece)

    def close(self) -> None:
        assert self.gateway.stop() == 0, self.gateway.output
        # Whatever has passed, nothing of whom it was about is told.
        for secret in SECRETS:
            assert secret not in self.gateway.output
        self._far.close()
        self._back.close()


ROUTES = ("direct", "relay")
