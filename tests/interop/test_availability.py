"""Instance Availability Notification (PS3.4 Annex R): framegate as its SCU, pynetdicom as the SCP."""

from __future__ import annotations

import queue
import ssl

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import InstanceAvailabilityNotification

from gateway import wait_for
from objects import EXPLICIT_LE, Recipe, build
from pki import Authority
from scu import store_all

# Every attribute of Table R.3.2-1 that we use, with the level it stands at. Others are forbidden.
TOP = {"ReferencedPerformedProcedureStepSequence", "ReferencedSeriesSequence", "StudyInstanceUID"}
SERIES = {"ReferencedSOPSequence", "SeriesInstanceUID"}
INSTANCE = {
    "InstanceAvailability",
    "ReferencedSOPClassUID",
    "ReferencedSOPInstanceUID",
    "RetrieveAETitle",
    "RetrieveURL",
}


class Peer:
    """An SCP that keeps what it is told and answers with the statuses that it is given, then success."""

    def __init__(self, *statuses: int, context: ssl.SSLContext | None = None) -> None:
        self.told: queue.Queue = queue.Queue()
        self._statuses = list(statuses)
        ae = AE(ae_title="RIS")
        ae.require_called_aet = True
        ae.add_supported_context(InstanceAvailabilityNotification)
        handlers = [(evt.EVT_N_CREATE, self._create)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
        self.address = "127.0.0.1:%d" % self._server.server_address[1]

    def _create(self, event):
        request = event.request
        assert request.AffectedSOPClassUID == InstanceAvailabilityNotification
        self.told.put((request.AffectedSOPInstanceUID, event.attribute_list, event.assoc.requestor.ae_title))
        return (self._statuses.pop(0) if self._statuses else 0x0000), None

    def next(self):
        return self.told.get(timeout=20)

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def peer():
    one = Peer()
    yield one
    one.close()


def settings(peer: Peer, **more: str) -> dict:
    return {
        "address": peer.address,
        "ae_title": "RIS",
        "calling_ae_title": "GATE",
        "retrieve_url": "https://gate.example:8443/dicomweb",
        **more,
    }


def keywords(dataset) -> set[str]:
    return {element.keyword for element in dataset}


def test_a_series_that_has_ended_is_announced(own_gateway, peer, tmp_path):
    gateway = own_gateway(availability__ris=settings(peer))
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    store_all(gateway.dimse, source.path)
    _, told, calling = peer.next()
    assert calling.strip() == "GATE"
    assert keywords(told) == TOP
    assert len(told.ReferencedPerformedProcedureStepSequence) == 0
    [series] = told.ReferencedSeriesSequence
    assert keywords(series) == SERIES
    assert len(series.ReferencedSOPSequence) == 3
    base = f"https://gate.example:8443/dicomweb/studies/{told.StudyInstanceUID}/series/{series.SeriesInstanceUID}"
    for item in series.ReferencedSOPSequence:
        assert keywords(item) == INSTANCE
        assert (item.InstanceAvailability, item.RetrieveAETitle) == ("ONLINE", "GATE")
        assert item.RetrieveURL == f"{base}/instances/{item.ReferencedSOPInstanceUID}"
    # Counted once the association is released, which is after the peer has its data set.
    sent = 'framegate_availability_notifications_total{peer="ris",outcome="sent"}'
    assert wait_for(lambda: gateway.metrics().get(sent), "the notification is counted") == 1


def test_a_failure_that_may_pass_is_tried_again_under_the_same_uid(own_gateway, tmp_path):
    peer = Peer(0x0110)
    try:
        gateway = own_gateway(availability__ris=settings(peer))
        source = build(Recipe("xa", "mono8", EXPLICIT_LE, 1, False), tmp_path)
        store_all(gateway.dimse, source.path)
        first, _, _ = peer.next()
        second, _, _ = peer.next()
        assert first == second
    finally:
        peer.close()


def test_over_tls_with_a_certificate_of_ours(own_gateway, authority, tmp_path):
    server = Authority.leaf(authority, "ris", server=True)
    client = Authority.leaf(authority, "gate", server=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    peer = Peer(context=context)
    try:
        files = {"ca": str(authority.ca), "certificate": str(client.certificate), "key": str(client.key)}
        gateway = own_gateway(availability__ris=settings(peer, **files))
        source = build(Recipe("xa", "mono8", EXPLICIT_LE, 1, False), tmp_path)
        store_all(gateway.dimse, source.path)
        _, told, _ = peer.next()
        assert keywords(told) == TOP
    finally:
        peer.close()


def test_a_peer_that_is_not_there_holds_up_nothing(own_gateway, peer, tmp_path):
    gone = Peer()
    gone.close()
    gateway = own_gateway(availability__gone=settings(gone), availability__ris=settings(peer))
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 1, False), tmp_path)
    store_all(gateway.dimse, source.path)
    peer.next()
    assert gateway.stop() == 0, gateway.output
