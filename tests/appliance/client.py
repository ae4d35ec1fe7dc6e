"""What a hospital does with a box, from outside: searches and reads over HTTPS, and asks for an echo by DIMSE."""

from __future__ import annotations

import http.client
import json
import ssl

from box import Box
from pynetdicom import AE
from pynetdicom.sop_class import Verification

SECONDS = 8


class Client:
    """A client that believes the certificates in `trusted` (PEM), whatever name they bear: a box has no address yet
    that its own certificate could name. Has what live.LiveRead asks of a gateway."""

    def __init__(self, box: Box, trusted: str) -> None:
        self._trusted = trusted
        self.web = (box.address, 443)
        self.base = f"https://{box.address}:443/dicomweb"
        self.authority = self

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self._trusted)
        context.check_hostname = False
        return context

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET, on a connection of its own."""
        status, _, body = self.ask("GET", f"/dicomweb{path}")
        return status, body

    def ask(self, method: str, target: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, fields and body of a request without a body, on a connection of its own."""
        connection = http.client.HTTPSConnection(*self.web, context=self.client_context(), timeout=SECONDS)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def series(self) -> list[str]:
        """The UIDs of study and series of the live series, as paths."""
        status, body = self.get("/series")
        assert status in (200, 204), (status, body)
        found = json.loads(body) if body else []
        uid = lambda each, tag: each[tag]["Value"][0]  # noqa: E731
        return [f"/studies/{uid(each, '0020000D')}/series/{uid(each, '0020000E')}" for each in found]


def echo(box: Box, title: str) -> int:
    """The status of a C-ECHO to port 104."""
    entity = AE(ae_title="BED")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = SECONDS
    entity.add_requested_context(Verification)
    association = entity.associate(box.address, 104, ae_title=title)
    assert association.is_established, "association refused"
    try:
        return association.send_c_echo().Status
    finally:
        association.release()
