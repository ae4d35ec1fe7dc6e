"""What framegate pushes, as real HTTP servers get it: an ASGI server over HTTP/1.1 and HTTP/2, and Orthanc."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
import requests

import orthanc
from destination import PATIENCE, Origin
from gateway import wait_for
from objects import EXPLICIT_LE, JPEG_BASELINE, JPEG_LOSSLESS_SV1, Recipe, build
from scu import store_all

FRAMES = 5
NATIVE = Recipe("xa", "mono12", EXPLICIT_LE, FRAMES, True)
LOSSLESS = Recipe("xa", "mono16", JPEG_LOSSLESS_SV1, FRAMES, True)


def search(destination: str) -> dict:
    return {"search": "/series", "filter": "Modality=XA", "subscriber": "PUSH", "destination": destination}


def settings(url: str, authority, mode: str, **more) -> dict:
    return {"url": url, "mode": mode, "ca": str(authority.ca), **more}


@pytest.fixture
def origin(authority):
    """Starts origin servers: `origin("2")`."""
    started: list[Origin] = []

    def start(http: str, **options) -> Origin:
        started.append(Origin(authority, http, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def instances(parts) -> list[pydicom.FileDataset]:
    assert all(part.headers["content-type"] == "application/dicom" for part in parts)
    return [pydicom.dcmread(io.BytesIO(part.body)) for part in parts]


def same_pixels(datasets, source) -> None:
    """Each frame of the source, once, bit for bit."""
    frames = pydicom.dcmread(source.path).pixel_array
    pushed = sorted(datasets, key=lambda dataset: int(dataset.InstanceNumber))
    assert len(pushed) == len(frames)
    for dataset, frame in zip(pushed, frames, strict=True):
        assert dataset.StudyInstanceUID == source.study
        assert np.array_equal(dataset.pixel_array, frame)


@pytest.mark.parametrize("http", ["plain", "1.1", "2"])
@pytest.mark.parametrize("mode", ["send", "store"])
def test_every_frame_arrives_as_it_is_retrieved(
    own_gateway, authority, origin, objects_folder, http, mode
):
    peer = origin(http)
    version = {"plain": "auto", "1.1": "1.1", "2": "auto"}[http]
    gateway = own_gateway(
        destination__ai=settings(peer.url, authority, mode, http=version), subscription__ai=search("ai")
    )
    source = build(NATIVE, objects_folder)
    store_all(gateway.dimse, source.path)
    parts = [peer.next_part() for _ in range(FRAMES)]
    same_pixels(instances(parts), source)
    assert gateway.stop() == 0, gateway.output
    assert sum(len(request.parts) for request in peer.requests) == FRAMES, "none twice"
    assert all(request.closed for request in peer.requests)
    path, count = ("/web/instances", 1) if mode == "send" else ("/web/studies", FRAMES)
    assert [request.path for request in peer.requests] == [path] * count
    for request in peer.requests:
        assert request.http_version == ("2" if http == "2" else "1.1")
        assert request.headers["accept"] == "application/dicom+json"
        assert ("content-length" in request.headers) == (mode == "store")


def test_what_does_not_match_is_not_pushed(own_gateway, authority, origin, objects_folder):
    peer = origin("plain")
    gateway = own_gateway(
        destination__ai=settings(peer.url, authority, "send"), subscription__ai=search("ai")
    )
    ultrasound = build(Recipe("us", "rgb", JPEG_BASELINE), objects_folder)
    angiogram = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    store_all(gateway.dimse, ultrasound.path, angiogram.path)
    (dataset,) = instances([peer.next_part()])
    assert dataset.StudyInstanceUID == angiogram.study
    assert gateway.stop() == 0, gateway.output
    assert sum(len(request.parts) for request in peer.requests) == 1


def test_encapsulated_frames_go_as_they_are_or_decoded(own_gateway, authority, origin, objects_folder):
    native = {**search("native"), "transfer_syntax": EXPLICIT_LE}
    as_is, decoded = origin("plain"), origin("plain")
    gateway = own_gateway(
        destination__as_is=settings(as_is.url, authority, "send"),
        destination__native=settings(decoded.url, authority, "store"),
        subscription__a=search("as_is"),
        subscription__b=native,
    )
    source = build(LOSSLESS, objects_folder)
    store_all(gateway.dimse, source.path)
    for peer, syntax in ((as_is, JPEG_LOSSLESS_SV1), (decoded, EXPLICIT_LE)):
        datasets = instances([peer.next_part() for _ in range(FRAMES)])
        assert {dataset.file_meta.TransferSyntaxUID for dataset in datasets} == {syntax}
        same_pixels(datasets, source)


def test_pictures_say_what_they_are_of(own_gateway, authority, origin, objects_folder):
    peer = origin("2")
    gateway = own_gateway(
        destination__wall=settings(peer.url, authority, "send"),
        subscription__wall={**search("wall"), "representation": "rendered"},
    )
    source = build(NATIVE, objects_folder)
    store_all(gateway.dimse, source.path)
    parts = [peer.next_part() for _ in range(FRAMES)]
    assert 'type="image/jpeg"' in peer.requests[0].headers["content-type"]
    for part in parts:
        assert part.headers["content-type"] == "image/jpeg"
        assert part.body.startswith(b"\xff\xd8") and part.body.endswith(b"\xff\xd9")
    series = f"/studies/{source.study}/series/{source.series}/instances/"
    locations = {part.headers["content-location"] for part in parts}
    assert len(locations) == FRAMES
    assert all(series in location and location.endswith("/rendered") for location in locations), locations


def test_a_peer_that_knows_only_store_gets_the_same_frames_so(
    own_gateway, authority, origin, objects_folder
):
    peer = origin("2", knows=("store",))
    gateway = own_gateway(
        destination__pacs=settings(peer.url, authority, "send-then-store"), subscription__pacs=search("pacs")
    )
    source = build(NATIVE, objects_folder)
    store_all(gateway.dimse, source.path)
    same_pixels(instances([peer.next_part() for _ in range(FRAMES)]), source)
    assert [request.path for request in peer.requests[:2]] == ["/web/instances", "/web/studies"]


@pytest.mark.parametrize("mode", ["store", "send-then-store"])
def test_orthanc_stores_every_frame(own_gateway, authority, tmp_path, objects_folder, mode):
    peer = orthanc.start(tmp_path / "orthanc", DicomServerEnabled=False)
    try:
        gateway = own_gateway(
            destination__pacs=settings(peer.base, authority, mode, batch=3), subscription__pacs=search("pacs")
        )
        source = build(NATIVE, objects_folder)
        store_all(gateway.dimse, source.path)

        def get(path: str) -> requests.Response:
            return peer.session.get(peer.rest + path, timeout=10)

        def arrived() -> bool:
            name = 'framegate_push_instances_%s_total{destination="pacs"}'
            sent, repeated = (gateway.metrics().get(name % word, 0) for word in ("sent", "repeated"))
            return len(get("/instances").json()) == FRAMES and sent - repeated == FRAMES

        wait_for(arrived, "all stored, and each counted once", PATIENCE)
        stored = [get(f"/instances/{one}/file").content for one in get("/instances").json()]
        same_pixels([pydicom.dcmread(io.BytesIO(file)) for file in stored], source)
        assert not [name for name in gateway.metrics() if "push_instances_failed" in name]
    finally:
        peer.stop()


def test_frames_that_a_destination_gets_late_are_not_lost(own_gateway, authority, origin, objects_folder):
    """Nobody listens when the frames come; the destination is there a moment later."""
    peer = origin("plain")
    url = peer.url
    peer.stop()
    gateway = own_gateway(
        destination__ai={"url": url, "mode": "send", "retry_ms": 50, "retry_max_seconds": 1},
        subscription__ai=search("ai"),
    )
    source = build(NATIVE, objects_folder)
    store_all(gateway.dimse, source.path)
    failed = 'framegate_push_connections_failed_total{destination="ai"}'
    wait_for(lambda: gateway.metrics().get(failed, 0) > 0, "a connection has failed")
    peer.restart()
    same_pixels(instances([peer.next_part() for _ in range(FRAMES)]), source)
