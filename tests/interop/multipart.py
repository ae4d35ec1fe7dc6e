"""Reads multipart/related as it arrives (RFC 2046 §5.1, PS3.18 §8.6): a part is handed out as soon
as its last byte is there, which is what the tests of live streams are about."""

from __future__ import annotations

import dataclasses
import email.message
import re


@dataclasses.dataclass
class Part:
    headers: dict[str, str]
    body: bytes


def boundary_of(content_type: str) -> str:
    """The boundary parameter; fails unless the type is multipart/related with `type`."""
    message = email.message.Message()
    message["Content-Type"] = content_type
    assert message.get_content_type() == "multipart/related", content_type
    assert message.get_param("type"), content_type
    boundary = message.get_param("boundary")
    assert isinstance(boundary, str) and re.fullmatch(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}", boundary), content_type
    return boundary


class Reader:
    """Takes bytes with `feed`, gives whole parts; `closed` once the closing boundary has come."""

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode()
        # The first delimiter may stand at the very start.
        self._buffer = bytearray(b"\r\n")
        self._headers: dict[str, str] | None = None
        self._between = True
        # Only before the first delimiter may there be a preamble.
        self._first = True
        self.closed = False

    def feed(self, data: bytes) -> list[Part]:
        self._buffer += data
        parts = []
        while not self.closed and (progress := self._step()):
            if isinstance(progress, Part):
                parts.append(progress)
        return parts

    def _step(self) -> Part | bool:
        """One step on: a whole part, True for progress, False when more bytes are needed."""
        if self._between:
            return self._delimit()
        if self._headers is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            lines = bytes(self._buffer[:end]).decode().split("\r\n")
            pairs = (line.split(":", 1) for line in lines if line)
            self._headers = {name.strip().lower(): value.strip() for name, value in pairs}
            del self._buffer[: end + 4]
        length = self._headers.get("content-length")
        end = int(length) if length is not None else self._buffer.find(self._delimiter)
        if end < 0 or len(self._buffer) < end:
            return False
        part = Part(self._headers, bytes(self._buffer[:end]))
        del self._buffer[:end]
        self._headers, self._between = None, True
        return part

    def _delimit(self) -> bool:
        size = len(self._delimiter)
        at = self._buffer.find(self._delimiter)
        if at < 0 or len(self._buffer) < at + size + 2:
            return False
        assert at == 0 or self._first, "bytes between a part and the next boundary"
        self._first = False
        tail = bytes(self._buffer[at + size : at + size + 2])
        assert tail in (b"--", b"\r\n"), f"boundary followed by {tail!r}"
        self.closed = tail == b"--"
        del self._buffer[: at + size + 2]
        self._between = False
        return True
