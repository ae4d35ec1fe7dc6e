"""The tests' own reader and sender, tried on peers that are known to be right."""

from __future__ import annotations

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from association import VERIFICATION, Association, Rejected
from gateway import free_port
from multipart import Reader, boundary_of
from objects import EXPLICIT_LE, IMPLICIT_LE, JPEG_LOSSLESS_SV1, XA, Recipe, build
from phi import leaks, words
from test_cut_through import pieces

BODY = b"--b\r\nContent-Type: a/b\r\n\r\none\r\n--b\r\nContent-Length: 8\r\n\r\n\r\n--b--x\r\n--b--\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(BODY)])
def test_reader_takes_parts_in_pieces_of_any_size(size):
    reader = Reader("b")
    parts = []
    for start in range(0, len(BODY), size):
        parts += reader.feed(BODY[start : start + size])
    assert [part.body for part in parts] == [b"one", b"\r\n--b--x"]
    assert reader.closed


def test_reader_gives_a_part_with_its_last_byte():
    reader = Reader("b")
    end = BODY.index(b"--x") + 3
    assert len(reader.feed(BODY[: end - 1])) == 1
    assert len(reader.feed(BODY[end - 1 : end])) == 1
    assert not reader.closed


def test_search_finds_a_patient_however_written():
    values = ["Synthétique^Jörg=山田^太郎", "P1", "D2", "4711", "7", "One^Patient"]
    assert words(values).keys() == {
        "Synthétique^Jörg", "Synthétique", "Jörg", "山田^太郎", "山田", "太郎", "4711", "One^Patient"
    }  # fmt: skip
    bad = ["for Jörg.", 'id="4711"', "is 山田 here", "?PatientName=Synth%C3%A9tique", "A_4711", "id 4711."]
    good = ["One Patient, 7", "P1 04:D2:13", "47110", "127.0.0.1:4711", "2.25.4711", "4711.5 ms", "Jörgen", ""]
    assert [line for line, _, _ in leaks(good + bad, values)] == list(range(len(good) + 1, len(good + bad) + 1))


@pytest.mark.parametrize("wrong", ["text/plain", "multipart/related; boundary=b", "multipart/related; type=x"])
def test_boundary_needs_a_proper_content_type(wrong):
    with pytest.raises(AssertionError):
        boundary_of(wrong)


@pytest.fixture
def scp():
    """A pynetdicom SCP that keeps what it is sent."""
    received: list[tuple[str, bytes]] = []
    ae = AE("FRAMEGATE")
    ae.require_called_aet = True
    ae.add_supported_context(Verification)
    ae.add_supported_context(XA, [EXPLICIT_LE, JPEG_LOSSLESS_SV1])

    def keep(event):
        received.append((event.context.transfer_syntax, event.request.DataSet.getvalue()))
        return 0x0000

    address = ("127.0.0.1", free_port())
    server = ae.start_server(address, block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    yield address, received
    server.shutdown()


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, JPEG_LOSSLESS_SV1])
def test_sender_sends_the_bytes_it_was_given(scp, tmp_path, syntax):
    address, received = scp
    source = build(Recipe("xa", "mono8", syntax, 3, True), tmp_path)
    association = Association(address, XA, [syntax])
    association.begin_store(XA, source.dataset.SOPInstanceUID)
    parts = pieces(source)
    assert len(parts) == 4
    for part in parts:
        association.data(part, last=part is parts[-1], pdu=1000)
    assert association.status() == 0x0000
    association.release()
    assert received == [(syntax, source.dataset_bytes())]


def test_sender_sees_echo_and_rejection(scp):
    address, _ = scp
    association = Association(address, VERIFICATION, [IMPLICIT_LE])
    assert association.echo() == 0x0000
    association.release()
    with pytest.raises(Rejected):
        Association(address, VERIFICATION, [IMPLICIT_LE], called="SOMEBODY")
