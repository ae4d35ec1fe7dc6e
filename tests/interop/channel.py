"""A notification connection as a client sees it (docs/live-profile.md, section 5)."""

from __future__ import annotations

import dataclasses
import json
import socket
from urllib.parse import urlsplit

import requests
import websockets.exceptions
import websockets.sync.client

from gateway import Gateway

# Far longer than anything takes; only a hung test gets there.
PATIENCE = 30.0

STUDY_BECOMING_AVAILABLE, SERIES_BECOMING_AVAILABLE, INSTANCE_AVAILABLE = 1, 2, 3
SERIES_COMPLETED, SERIES_ABORTED, INSTANCES_MISSED, SERVER_STATUS_CHANGE = 4, 5, 6, 7


@dataclasses.dataclass
class Event:
    """One text frame."""

    json: dict

    def value(self, tag: str):
        return self.json[tag]["Value"][0]

    @property
    def kind(self) -> int:
        return self.value("00001002")

    @property
    def of(self) -> str:
        """Affected SOP Instance UID."""
        return self.value("00001000")

    @property
    def number(self) -> int:
        return self.value("00211002")

    @property
    def missed(self) -> int | None:
        return self.value("00211003") if "00211003" in self.json else None

    @property
    def retrieve(self) -> str:
        """Retrieve URL."""
        return self.value("00081190")


def subscribe(gateway: Gateway, http: requests.Session, path: str) -> tuple[dict, str]:
    """Registers a search: the subscription, and the URL of its channel."""
    answer = http.post(gateway.base + path)
    assert answer.status_code == 201, answer.text
    return answer.json(), answer.headers["Location"]


class Channel:
    """An open connection."""

    def __init__(self, gateway: Gateway, url: str, *, slow: bool = False, **more) -> None:
        parts = urlsplit(url)
        assert (parts.scheme, parts.hostname, parts.port) == ("wss", *gateway.web), url
        sock = socket.socket()
        if slow:
            # Before the connection is made, so that the window is never larger.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(gateway.web)
        # Nothing is read ahead by a slow client that is not asked.
        queue = {"max_queue": 1} if slow else {}
        context = gateway.authority.client_context()
        options = {"proxy": None, "compression": None, "max_size": 1 << 20, **queue, **more}
        self._connect = websockets.sync.client.connect(url, sock=sock, ssl=context, **options)
        self.socket = self._connect.__enter__()

    def event(self) -> Event:
        text = self.socket.recv(timeout=PATIENCE)
        assert isinstance(text, str), "an event is a text frame"
        return Event(json.loads(text))

    def close_code(self) -> int:
        """Reads to the end."""
        try:
            while True:
                self.socket.recv(timeout=PATIENCE)
        except websockets.exceptions.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def cut(self) -> None:
        """Ends the TCP connection without a word."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self._connect.__exit__(None, None, None)

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_) -> None:
        self.close()
