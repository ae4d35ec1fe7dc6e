"""Reads WADO-RS answers while they are being made: every part is noted when its last byte arrives,
so that a test can tell what was there before what."""

from __future__ import annotations

import contextlib
import http.client
import io
import queue
import socket
import threading

import httpx
import pydicom

from gateway import Gateway, wait_for
from multipart import Part, Reader, boundary_of

ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
# Far longer than anything takes; only a hung test gets there.
PATIENCE = 30.0


class Status(Exception):
    """An answer other than 200."""


def part10(part: Part) -> pydicom.FileDataset:
    """The instance in a part."""
    assert part.headers["content-type"].split(";")[0].strip() == "application/dicom", part.headers
    return pydicom.dcmread(io.BytesIO(part.body))


class LiveRead:
    """An open GET. A thread reads it; `next_part` waits for the next part."""

    def __init__(
        self,
        gateway: Gateway,
        path: str,
        *,
        accept: str = ANY_SYNTAX,
        http2: bool = False,
    ) -> None:
        self._events: queue.Queue = queue.Queue()
        self.content_type = ""
        self.closed = False
        opener = self._open_http2 if http2 else self._open_http1
        chunks = opener(gateway, gateway.base.split(":", 2)[2].split("/", 1)[1], path, accept)
        self._parser = Reader(boundary_of(self.content_type))
        threading.Thread(target=self._read, args=(chunks,), daemon=True).start()

    def _open_http1(self, gateway: Gateway, root: str, path: str, accept: str):
        host, port = gateway.web
        context = gateway.authority.client_context()
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=PATIENCE)
        connection.request("GET", f"/{root}{path}", headers={"Accept": accept})
        plug = connection.sock

        def hang_up() -> None:
            # Closing does nothing as long as the thread reads, which it would for as long as the series lives; and
            # what it closed might be another's by the time that TLS has written its last record.
            with contextlib.suppress(OSError):
                # Past TLS, whose own would let the reading thread take ciphertext for content.
                socket.socket.shutdown(plug, socket.SHUT_RDWR)

        def chunks():
            with contextlib.closing(connection), contextlib.closing(answer):
                yield from iter(lambda: answer.read1(1 << 16), b"")

        answer = connection.getresponse()
        if answer.status != 200:
            connection.close()
            raise Status(answer.status)
        self.content_type = answer.getheader("Content-Type")
        self.hang_up = hang_up
        return chunks()

    def _open_http2(self, gateway: Gateway, root: str, path: str, accept: str):
        client = httpx.Client(
            verify=gateway.authority.client_context(),
            http1=False,
            http2=True,
            timeout=PATIENCE,
            trust_env=False,
        )
        request = client.build_request("GET", gateway.base + path, headers={"Accept": accept})
        answer = client.send(request, stream=True)
        if answer.status_code != 200:
            client.close()
            raise Status(answer.status_code)
        assert answer.http_version == "HTTP/2"
        self.content_type = answer.headers["content-type"]
        self.hang_up = client.close
        return answer.iter_raw()

    def _read(self, chunks) -> None:
        try:
            for chunk in chunks:
                for part in self._parser.feed(chunk):
                    self._events.put(part)
            self.closed = self._parser.closed
            self._events.put(None)
        except Exception as error:  # handed to whoever waits
            self._events.put(error)
        finally:
            # A hundred idle connections from one address are too many for the gateway.
            self.hang_up()

    def next_part(self) -> Part | None:
        """The next part, or None when the body has ended."""
        event = self._events.get(timeout=PATIENCE)
        if isinstance(event, Exception):
            raise event
        return event

    def next_instance(self) -> pydicom.FileDataset:
        part = self.next_part()
        assert part is not None, "the stream ended early"
        return part10(part)

    def rest(self) -> list[Part]:
        """All parts until the end, which must be the closing boundary."""
        parts = []
        while (part := self.next_part()) is not None:
            parts.append(part)
        assert self.closed, "the body ended without the closing boundary"
        return parts

    def arrived(self) -> bool:
        """Whether something (a part or the end) is there to be taken."""
        return not self._events.empty()


def open_when_there(gateway: Gateway, path: str, **options) -> LiveRead:
    """Opens the GET as soon as the resource exists."""

    def attempt() -> LiveRead | None:
        try:
            return LiveRead(gateway, path, **options)
        except Status as status:
            if status.args[0] != 404:
                raise
            return None

    return wait_for(attempt, f"GET {path} answers 200", PATIENCE)
