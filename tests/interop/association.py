"""A minimal association requestor (PS3.8) that sends exactly the bytes it is told to, when it is
told to: the tests of cut-through and of broken peers need a sender that can stop between two PDUs,
which no toolkit offers."""

from __future__ import annotations

import socket
import struct

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS = "2.25.199437526174208423480142839748902437001"
VERIFICATION = "1.2.840.10008.1.1"

A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ = 1, 2, 3
P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = 4, 5, 6, 7


class Rejected(Exception):
    """A-ASSOCIATE-RJ: result, source, reason (PS3.8 Table 9-21)."""


class Aborted(Exception):
    """A-ABORT, or the connection closed: source and reason."""


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _uid(text: str) -> bytes:
    raw = text.encode()
    return raw + b"\0" * (len(raw) % 2)


def _command(elements: list[tuple[int, bytes]]) -> bytes:
    """A command set: Implicit VR Little Endian, group length first (PS3.7 §6.3.1)."""
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


class Association:
    """One association with one presentation context (ID 1)."""

    def __init__(
        self,
        address: tuple[str, int],
        abstract_syntax: str,
        transfer_syntaxes: list[str],
        called: str = "FRAMEGATE",
        calling: str = "SLOWSCU",
        timeout: float = 30.0,
    ) -> None:
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = bytes([1, 0, 0, 0]) + _item(0x30, abstract_syntax.encode())
        context += b"".join(_item(0x40, syntax.encode()) for syntax in transfer_syntaxes)
        user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, IMPLEMENTATION_CLASS.encode())
        body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
        body += _item(0x10, APPLICATION_CONTEXT.encode()) + _item(0x20, context) + _item(0x50, user)
        self._send(A_ASSOCIATE_RQ, body)
        kind, answer = self._receive()
        if kind == A_ASSOCIATE_RJ:
            raise Rejected(tuple(answer[1:4]))
        if kind != A_ASSOCIATE_AC:
            raise Aborted(f"PDU type {kind} instead of A-ASSOCIATE-AC")
        self.transfer_syntax: str | None = None
        self.max_pdu = 0
        # Called and calling AE title, as the answer repeats them.
        self.titles = (answer[4:20].decode().strip(), answer[20:36].decode().strip())
        self._negotiated(answer[68:])
        self._message = 0

    def _negotiated(self, items: bytes) -> None:
        while items:
            kind, length = struct.unpack(">BxH", items[:4])
            body, items = items[4 : 4 + length], items[4 + length :]
            if kind == 0x21 and body[2] == 0:
                size = struct.unpack(">H", body[6:8])[0]
                self.transfer_syntax = body[8 : 8 + size].rstrip(b"\0").decode()
            elif kind == 0x50:
                items = body + items
            elif kind == 0x51:
                self.max_pdu = struct.unpack(">I", body)[0]

    def _send(self, kind: int, body: bytes) -> None:
        self.socket.sendall(struct.pack(">BxI", kind, len(body)) + body)

    def _exactly(self, count: int) -> bytes:
        out = bytearray()
        while len(out) < count:
            piece = self.socket.recv(count - len(out))
            if not piece:
                raise Aborted("connection closed")
            out += piece
        return bytes(out)

    def _receive(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        body = self._exactly(length)
        if kind == A_ABORT:
            raise Aborted(tuple(body[2:4]))
        return kind, body

    def _pdv(self, data: bytes, *, command: bool, last: bool) -> None:
        flags = (1 if command else 0) | (2 if last else 0)
        self._send(P_DATA_TF, struct.pack(">IBB", len(data) + 2, 1, flags) + data)

    def _request(self, field: int, sop_class: str, more: list[tuple[int, bytes]], dataset: bool) -> None:
        self._message += 1
        elements = [(0x0002, _uid(sop_class)), (0x0100, _us(field)), (0x0110, _us(self._message))]
        elements += [(0x0800, _us(1 if dataset else 0x0101)), *more]
        self._pdv(_command(sorted(elements)), command=True, last=True)

    def status(self) -> int:
        """Waits for the response of the request that was sent, and returns its Status."""
        command = b""
        while True:
            kind, body = self._receive()
            if kind != P_DATA_TF:
                raise Aborted(f"PDU type {kind} instead of a response")
            while body:
                length, _, flags = struct.unpack(">IBB", body[:6])
                command += body[6 : 4 + length]
                body = body[4 + length :]
                if flags & 2:
                    return _status(command)

    def echo(self) -> int:
        self._request(0x0030, VERIFICATION, [], dataset=False)
        return self.status()

    def begin_store(self, sop_class: str, sop_instance: str) -> None:
        """Sends the C-STORE-RQ; its dataset follows with `data`."""
        more = [(0x0700, _us(0)), (0x1000, _uid(sop_instance))]
        self._request(0x0001, sop_class, more, dataset=True)

    def data(self, piece: bytes, *, last: bool = False, pdu: int = 8192) -> None:
        """Sends a piece of the dataset, in PDUs of at most `pdu` bytes of data."""
        starts = range(0, max(len(piece), 1), pdu)
        for start in starts:
            end = start + pdu >= len(piece)
            self._pdv(piece[start : start + pdu], command=False, last=last and end)

    def raw(self, data: bytes) -> None:
        """Sends bytes that need not be a PDU."""
        self.socket.sendall(data)

    def release(self) -> None:
        self._send(A_RELEASE_RQ, b"\0" * 4)
        kind, _ = self._receive()
        if kind != A_RELEASE_RP:
            raise Aborted(f"PDU type {kind} instead of A-RELEASE-RP")
        self.socket.close()

    def abort(self) -> None:
        self._send(A_ABORT, b"\0" * 4)
        self.socket.close()


def _status(command: bytes) -> int:
    while command:
        _, element, length = struct.unpack("<HHI", command[:8])
        if element == 0x0900:
            return struct.unpack("<H", command[8:10])[0]
        command = command[8 + length :]
    raise ValueError("a response without Status")
