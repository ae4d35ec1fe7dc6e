"""A store that keeps what it gets as it came, and answers what it is told to."""

from __future__ import annotations

import ssl
import threading

from pynetdicom import AE, evt

Address = tuple[str, int]


class Upstream:
    """An SCP of the given SOP classes, any transfer syntax: `kept` has the bytes of every data set, by
    SOP Instance UID, in the order in which they came."""

    def __init__(
        self,
        *sop_classes: str,
        syntaxes: list[str],
        status: int = 0x0000,
        port: int = 0,
        title: str = "PACS",
        max_pdu: int = 16382,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.kept: dict[str, list[bytes]] = {}
        # Who called, and whom.
        self.titles: list[tuple[str, str]] = []
        self.status = status
        self._lock = threading.Lock()
        ae = AE(ae_title=title)
        ae.maximum_associations = 64
        ae.maximum_pdu_size = max_pdu
        for sop_class in sop_classes:
            ae.add_supported_context(sop_class, syntaxes)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self._server = ae.start_server(("127.0.0.1", port), block=False, ssl_context=context, evt_handlers=handlers)
        self.address: Address = self._server.server_address[:2]

    def _requested(self, event) -> None:
        primitive = event.assoc.requestor.primitive
        self.titles.append((primitive.calling_ae_title.strip(), primitive.called_ae_title.strip()))

    def _store(self, event) -> int:
        with self._lock:
            self.kept.setdefault(event.request.AffectedSOPInstanceUID, []).append(event.request.DataSet.getvalue())
        return self.status

    @property
    def target(self) -> str:
        """As `relay.NAME.address` wants it."""
        return "%s:%d" % self.address

    def close(self) -> None:
        self._server.shutdown()
