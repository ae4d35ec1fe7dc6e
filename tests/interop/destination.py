"""A peer that framegate pushes to: an origin server of our own behind hypercorn, which notes every part when
its last byte arrives."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import queue
import threading

import hypercorn.asyncio
from hypercorn.config import Config

from gateway import free_port
from multipart import Part, Reader, boundary_of
from pki import Authority

# Far longer than anything takes; only a hung test gets there.
PATIENCE = 30.0


@dataclasses.dataclass
class Request:
    path: str
    http_version: str
    headers: dict[str, str]
    parts: list[Part] = dataclasses.field(default_factory=list)
    # Whether the closing boundary has come.
    closed: bool = False


class Origin:
    """An origin server for Send, Store or both. `http` is "plain", "1.1" or "2", the latter two over TLS."""

    def __init__(self, authority: Authority, http: str, knows: tuple[str, ...] = ("send", "store")) -> None:
        self.requests: list[Request] = []
        self._parts: queue.Queue[Part] = queue.Queue()
        self._paths = {f"/web/{'instances' if word == 'send' else 'studies'}" for word in knows}
        self._port = free_port()
        self.url = f"{'http' if http == 'plain' else 'https'}://127.0.0.1:{self._port}/web"
        config = Config()
        config.bind = [f"127.0.0.1:{self._port}"]
        config.errorlog = None
        if http != "plain":
            leaf = authority.leaf("destination", server=True)
            config.certfile, config.keyfile = str(leaf.certificate), str(leaf.key)
            config.alpn_protocols = ["h2"] if http == "2" else ["http/1.1"]
        self._config = config
        self.restart()

    def restart(self) -> None:
        """Listens (again), at the same address."""
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        serve = hypercorn.asyncio.serve(self._app, self._config, shutdown_trigger=self._stop.wait)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(serve,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def next_part(self) -> Part:
        """The next part of any request."""
        return self._parts.get(timeout=PATIENCE)

    async def _app(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Request(scope["path"], scope["http_version"], headers)
        self.requests.append(request)
        if request.path not in self._paths:
            await answer(send, 404, b"")
            return
        reader = Reader(boundary_of(headers["content-type"]))
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            for part in reader.feed(event.get("body", b"")):
                request.parts.append(part)
                self._parts.put(part)
            more = event.get("more_body", False)
        request.closed = reader.closed
        items = [{"00081150": {"vr": "UI"}} for _ in request.parts]
        await answer(send, 200, json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode())


async def answer(send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/dicom+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
