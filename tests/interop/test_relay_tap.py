"""What passes a relay is streamed while it passes; and whatever becomes of the stream, the relay does
not notice: what the gateway must refuse to stream still reaches the upstream peer, whose status is the
one that the modality gets."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom.uid import generate_uid

from association import Association
from gateway import wait_for
from live import open_when_there, part10
from objects import EXPLICIT_LE, JPEG_LOSSLESS_SV1, RLE, XA, Recipe, Source, build
from scu import store
from test_cut_through import FRAMES, pieces
from upstream import Upstream

# Stored by archives, streamed by nobody.
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SYNTAXES = [EXPLICIT_LE, JPEG_LOSSLESS_SV1, RLE]


@pytest.fixture
def pacs():
    """An upstream store with a status of its own."""
    one = Upstream(XA, PDF, syntaxes=SYNTAXES, status=0xB007)
    with contextlib.closing(one):
        yield one


@pytest.fixture
def tapped(own_gateway, pacs):
    """Starts a gateway with a relay to that store, and settings of the test's own."""
    return lambda **sections: own_gateway(relay__pacs={"called_ae_title": "PACS", "address": pacs.target}, **sections)


def listed(http, gateway, study: str) -> int:
    """How many instances of a study a DICOMweb search finds."""
    answer = http.get(f"{gateway.base}/studies/{study}/instances", headers={"Accept": "application/dicom+json"})
    return len(answer.json()) if answer.status_code == 200 else 0


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("xa", "mono12", EXPLICIT_LE, FRAMES, True, rows=200, columns=256),
        Recipe("xa", "mono8", JPEG_LOSSLESS_SV1, FRAMES, True, "empty-bot"),
        Recipe("xa", "mono8", RLE, FRAMES, True),
    ],
    ids=lambda recipe: recipe.name,
)
def test_a_frame_is_at_both_ends_before_the_next_but_one_is_in(tapped, pacs, recipe, tmp_path):
    """Upstream is fed byte by byte as well: the reader is not ahead of it, nor behind."""
    gateway = tapped()
    source = build(recipe, tmp_path)
    head, *frames = pieces(source)
    sender = Association(gateway.dimse, XA, [recipe.syntax], called="PACS")
    sender.begin_store(XA, source.dataset.SOPInstanceUID)
    sender.data(head + frames[0] + frames[1])
    reader = open_when_there(gateway, f"/studies/{source.study}/series/{source.series}")
    received = []
    for frame in frames[2:]:
        received.append(reader.next_instance())
        sender.data(frame, last=frame is frames[-1])
    received += [reader.next_instance(), reader.next_instance()]
    assert [one.InstanceNumber for one in received] == list(range(1, FRAMES + 1))
    assert sender.status() == 0xB007
    sender.release()
    assert reader.rest() == []
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()]}


def test_upstream_has_the_first_half_before_the_second_is_sent(inline, tmp_path):
    """Not a byte is held back until the data set is whole."""
    pacs = Upstream(XA, syntaxes=SYNTAXES)
    source = build(Recipe("xa", "mono16", EXPLICIT_LE, FRAMES, True, rows=200, columns=256), tmp_path)
    data = source.dataset_bytes()
    half = len(data) // 2
    with contextlib.closing(pacs), inline.route("relay", pacs.address) as route:
        sender = Association(route.address, XA, [EXPLICIT_LE], called="PACS")
        sender.begin_store(XA, source.dataset.SOPInstanceUID)
        sender.data(data[:half])
        wait_for(lambda: route.passed() > half, "the first half is at the upstream peer")
        sender.data(data[half:], last=True)
        assert sender.status() == 0x0000
        sender.release()
        route.same_bytes()


def test_stream_off_keeps_the_hub_empty(own_gateway, pacs, http, tmp_path):
    relay = {"called_ae_title": "PACS", "address": pacs.target, "stream": False}
    gateway = own_gateway(relay__pacs=relay)
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    assert store(gateway.dimse, source.path, called="PACS") == [0xB007]
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()]}
    assert listed(http, gateway, source.study) == 0


def test_what_the_upstream_peer_refuses_has_been_streamed_all_the_same(tapped, pacs, http, tmp_path):
    pacs.status = 0xA700
    gateway = tapped()
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    assert store(gateway.dimse, source.path, called="PACS") == [0xA700]
    assert listed(http, gateway, source.study) == 3


# What the gateway cannot stream


def send(gateway, sop_class: str, instance: str, data: bytes) -> int:
    """The status of a C-STORE of these bytes."""
    sender = Association(gateway.dimse, sop_class, [EXPLICIT_LE], called="PACS")
    sender.begin_store(sop_class, instance)
    sender.data(data, last=True)
    status = sender.status()
    sender.release()
    return status


def spoilt(source: Source) -> dict[str, bytes]:
    """Data sets that no parser takes for whole."""
    data = source.dataset_bytes()
    pixels = data.index(source.dataset.PixelData)
    rows = data.index(b"\x28\x00\x10\x00US")
    sequence = b"\x21\x00\x11\x00SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return {
        "nothing": b"",
        "one byte": b"\x08",
        "noise": bytes(range(256)) * 40,
        "half of the pixels": data[: (pixels + len(data)) // 2],
        "no pixels": data[: pixels - 12],
        "a length beyond the end": data[: pixels - 4] + b"\xf0\xff\xff\x7f" + data[pixels:],
        "a group that goes back": data[:pixels] + data[pixels:] + data[:20],
        "rows that contradict the pixels": data[: rows + 8] + b"\xff\x7f" + data[rows + 10 :],
        "an unknown VR": data[: rows + 4] + b"ZZ" + data[rows + 6 :],
        "no study": data.replace(source.study.encode(), b"not a UID".ljust(len(source.study.encode()))),
        "too many elements": data[:rows] + b"\x21\x00\x10\x00LO\x00\x00" * 200_000 + data[rows:],
        "nested without an end": data[:rows] + sequence * 5000,
    }  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Source:
    return build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path_factory.mktemp("good"))


def test_what_cannot_be_parsed_passes(tapped, pacs, good):
    gateway = tapped()
    sent = {generate_uid(): data for data in spoilt(good).values()}
    for status in (0xB007, 0xC123):
        pacs.status = status
        for instance, data in sent.items():
            assert send(gateway, XA, instance, data) == status
    assert pacs.kept == {instance: [data, data] for instance, data in sent.items()}


def test_one_association_streams_what_it_can(tapped, pacs, good, http):
    """After an object that cannot be streamed the next one can, on the same association."""
    gateway = tapped()
    sender = Association(gateway.dimse, XA, [EXPLICIT_LE], called="PACS")
    for data in (*spoilt(good).values(), good.dataset_bytes()):
        sender.begin_store(XA, good.dataset.SOPInstanceUID)
        sender.data(data, last=True)
        assert sender.status() == 0xB007
    sender.release()
    assert listed(http, gateway, good.study) >= 3


def test_a_head_over_the_bound_passes(tapped, pacs, tmp_path):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    data = source.dataset_bytes()
    rows = data.index(b"\x28\x00\x10\x00US")
    # Ten private elements of 30 kB before the pixels.
    private = b"\x21\x00\x10\x00LO\x06\x00TESTS " + b"".join(
        bytes([0x21, 0, k, 0x10]) + b"UN\0\0" + (30_000).to_bytes(4, "little") + bytes(30_000) for k in range(10)
    )
    data = data[:rows] + private + data[rows:]
    gateway = tapped(dimse__limits={"head_bytes": 65536})
    assert send(gateway, XA, source.dataset.SOPInstanceUID, data) == 0xB007
    assert pacs.kept == {source.dataset.SOPInstanceUID: [data]}


def test_a_sop_class_that_is_not_streamed_passes(tapped, pacs):
    gateway = tapped()
    instance, data = generate_uid(), b"\x08\x00\x05\x00CS\x00\x00" * 100
    assert send(gateway, PDF, instance, data) == 0xB007
    assert pacs.kept == {instance: [data]}


def test_a_full_hub_passes_everything(tapped, pacs, tmp_path):
    """The hub has room for one series and a fraction of what passes: two frames of forty-eight."""
    bound = {"frame_bytes": 1 << 20}
    gateway = tapped(hub={"budget_bytes": 1 << 20, "max_series": 1}, dimse__limits=bound, send__limits=bound)
    sources = []
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        sources.append(build(Recipe("xa", "mono16", EXPLICIT_LE, 4, True, rows=512, columns=512), folder))
    statuses = store(gateway.dimse, *(source.path for source in sources), called="PACS")
    assert statuses == [0xB007] * len(sources)
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()] for source in sources}


def test_an_object_that_is_sent_twice_at_once_passes_twice(tapped, pacs, tmp_path):
    """The hub has one place for an instance; the second one is the upstream peer's to judge."""
    gateway = tapped()
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)
    data = source.dataset_bytes()
    both = [Association(gateway.dimse, XA, [EXPLICIT_LE], called="PACS", calling=f"XA{n}") for n in range(2)]
    for sender in both:
        sender.begin_store(XA, source.dataset.SOPInstanceUID)
        sender.data(data[: len(data) // 2])
    for sender in both:
        sender.data(data[len(data) // 2 :], last=True)
        assert sender.status() == 0xB007
        sender.release()
    assert pacs.kept == {source.dataset.SOPInstanceUID: [data, data]}


def test_a_sender_that_breaks_off_leaves_no_frame_that_is_not_whole(tapped, tmp_path):
    gateway = tapped()
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, FRAMES, True), tmp_path)
    head, *frames = pieces(source)
    sender = Association(gateway.dimse, XA, [EXPLICIT_LE], called="PACS")
    sender.begin_store(XA, source.dataset.SOPInstanceUID)
    sender.data(head + frames[0] + frames[1] + frames[2][:-1])
    reader = open_when_there(gateway, f"/studies/{source.study}/series/{source.series}")
    assert [reader.next_instance().InstanceNumber, reader.next_instance().InstanceNumber] == [1, 2]
    sender.abort()
    assert [part10(part).InstanceNumber for part in reader.rest()] == []


def test_many_modalities_at_once(inline, tmp_path):
    """Sixteen associations through one relay, each with its own object."""
    pacs = Upstream(XA, syntaxes=SYNTAXES)
    sources = []
    for number in range(16):
        folder = tmp_path / str(number)
        folder.mkdir()
        sources.append(build(Recipe("xa", "mono12", EXPLICIT_LE, 10, True, rows=128, columns=128), folder))
    with contextlib.closing(pacs), inline.route("relay", pacs.address) as route, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda source: store(route.address, source.path, called="PACS"), sources))
    assert statuses == [[0x0000]] * len(sources)
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()] for source in sources}
