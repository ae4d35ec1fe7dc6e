"""Peers that framegate pushes to: an origin server of our own behind hypercorn, which notes every part when
its last byte arrives, and Orthanc with its DICOMweb plugin."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import queue
import shutil
import subprocess
import threading
from pathlib import Path

import hypercorn.asyncio
import pytest
import requests
from hypercorn.config import Config

from gateway import free_port, wait_for
from multipart import Part, Reader, boundary_of
from pki import Authority

# Far longer than anything takes; only a hung test gets there.
PATIENCE = 30.0
ORTHANC = "/usr/sbin/Orthanc"
ORTHANC_DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


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


class Orthanc:
    """Debian's Orthanc on a free loopback port, with a storage folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which(ORTHANC) is None or not Path(ORTHANC_DICOMWEB).is_file():
            pytest.skip("orthanc and orthanc-dicomweb are not installed")
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.url = f"{self.base}/dicom-web"
        storage = folder / "orthanc"
        storage.mkdir(parents=True)
        config = {
            "HttpPort": port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "StorageDirectory": str(storage),
            "IndexDirectory": str(storage),
            "Plugins": [ORTHANC_DICOMWEB],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        file = folder / "orthanc.json"
        file.write_text(json.dumps(config))
        self._http = requests.Session()
        self._http.trust_env = False
        with (folder / "orthanc.log").open("wb") as log:
            self._child = subprocess.Popen([ORTHANC, str(file)], stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._answers, "Orthanc answers", PATIENCE)

    def _answers(self) -> bool:
        assert self._child.poll() is None, "Orthanc ended at its start"
        try:
            return self._http.get(f"{self.base}/system", timeout=5).ok
        except requests.ConnectionError:
            return False

    def files(self, count: int) -> list[bytes]:
        """All files that it has, once there are so many."""

        def stored() -> list[str]:
            identifiers = self._http.get(f"{self.base}/instances", timeout=10).json()
            return identifiers if len(identifiers) >= count else []

        identifiers = wait_for(stored, f"{count} instances in Orthanc", PATIENCE)
        return [self._http.get(f"{self.base}/instances/{one}/file", timeout=10).content for one in identifiers]

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait(PATIENCE)
