"""Instances that are posted: Store as standard clients do it, Send as a stream. What went in by
POST comes out by WADO-RS, and is live before its request has ended."""

from __future__ import annotations

import http.client
import io
import json
import re

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.pixels import pixel_array
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

import orthanc
from conftest import tool
from gateway import wait_for
from live import LiveRead, open_when_there, part10
from matrix import RECIPES
from objects import EXPLICIT_LE, JPEG_BASELINE, NATIVE, Recipe, build

BOUNDARY = "parts"
FILES = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
DESCRIBED = f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'
CLOSE = f"\r\n--{BOUNDARY}--\r\n".encode()
# Of Failure Reason and Warning Reason.
CANNOT_UNDERSTAND, ANOTHER_STUDY, SPLIT = 0xC000, 0xA900, 0xB000


def part(
    body: bytes, content_type: str = "application/dicom", *, length: bool = True, location: str = ""
) -> bytes:
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: {content_type}\r\n"
    head += f"Content-Length: {len(body)}\r\n" if length else ""
    head += f"Content-Location: {location}\r\n" if location else ""
    return head.encode() + b"\r\n" + body


def parts(*bodies: bytes, length: bool = True) -> bytes:
    return b"".join(part(body, length=length) for body in bodies) + CLOSE


def report(answer) -> pydicom.Dataset:
    """The response of PS3.18 Annex I."""
    assert answer.headers["content-type"] == "application/dicom+json", answer.content
    dataset = pydicom.Dataset.from_json(answer.json())
    assert dataset["RetrieveURL"].is_empty, "nothing is stored"
    return dataset


def taken(dataset: pydicom.Dataset) -> list[str]:
    items = dataset.get("ReferencedSOPSequence", [])
    assert all(item["RetrieveURL"].is_empty for item in items)
    return [item.ReferencedSOPInstanceUID for item in items]


def path_of(source) -> str:
    return f"/studies/{source.study}/series/{source.series}"


def posted(source) -> bytes:
    return source.path.read_bytes()


class OpenSend:
    """An open-ended POST over HTTP/1.1, chunked."""

    def __init__(
        self, gateway, path: str = "/instances", content_type: str = FILES, authorization: str | None = None
    ) -> None:
        host, port = gateway.web
        context = gateway.authority.client_context()
        self.connection = http.client.HTTPSConnection(host, port, context=context, timeout=30)
        self.connection.putrequest("POST", f"/dicomweb{path}", skip_accept_encoding=True)
        self.connection.putheader("Content-Type", content_type)
        self.connection.putheader("Transfer-Encoding", "chunked")
        if authorization:
            self.connection.putheader("Authorization", authorization)
        self.connection.endheaders()

    def write(self, data: bytes) -> None:
        self.connection.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> http.client.HTTPResponse:
        self.connection.send(b"0\r\n\r\n")
        return self.connection.getresponse()


# Standard clients


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_what_is_stored_comes_back(gateway, http, objects_folder, recipe):
    source = build(recipe, objects_folder)
    answer = http.post(f"{gateway.base}/studies", data=parts(posted(source)), headers={"Content-Type": FILES})
    told = report(answer)
    assert taken(told) == [source.dataset.SOPInstanceUID]
    several = recipe.frames > 1
    assert answer.status_code == (202 if several else 200)
    assert ("WarningReason" in told.ReferencedSOPSequence[0]) == several
    files = [one.body for one in LiveRead(gateway, path_of(source)).rest()]
    assert len(files) == recipe.frames
    for number, raw in enumerate(files):
        got = pydicom.dcmread(io.BytesIO(raw))
        assert got.file_meta.TransferSyntaxUID == (EXPLICIT_LE if recipe.syntax in NATIVE else recipe.syntax)
        shown = pixel_array(got, index=0, raw=True)
        assert np.array_equal(shown, pixel_array(source.dataset, index=number, raw=True))
    if not recipe.multi and (recipe.syntax == EXPLICIT_LE or source.recipe.encapsulated):
        head = 144 + int.from_bytes(files[0][140:144], "little")
        assert files[0][head:] == source.dataset_bytes(), "a single-frame object is not touched"


def test_dicomweb_client_stores(gateway, dicomweb: DICOMwebClient, objects_folder):
    recipes = [Recipe("xa", "mono12", EXPLICIT_LE), Recipe("us", "rgb", JPEG_BASELINE)]
    sources = [build(recipe, objects_folder) for recipe in recipes]
    told = dicomweb.store_instances([source.dataset for source in sources])
    assert taken(told) == [source.dataset.SOPInstanceUID for source in sources]
    for source in sources:
        assert dicomweb.retrieve_series_metadata(source.study, source.series)
    again = dicomweb.store_instances([sources[0].dataset], study_instance_uid=sources[0].study)
    assert taken(again) == [sources[0].dataset.SOPInstanceUID], "a duplicate is no failure"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_reads_why_its_body_is_not_wanted(gateway, tmp_path, version):
    """Though it is still sending when it is told."""
    body = tmp_path / "body"
    body.write_bytes(bytes(3 << 20))
    trace = tool(
        "curl",
        "-sv",
        version,
        "--noproxy",
        "*",
        "--cacert",
        gateway.authority.ca,
        "-H",
        "Content-Type: application/zip",
        "-H",
        "Expect:",
        "--data-binary",
        f"@{body}",
        f"{gateway.base}/instances",
    ).stdout
    assert re.search(r"< HTTP/[0-9.]+ 415", trace)
    assert "unsupported-media-type" in trace


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("length", [True, False])
def test_curl_with_a_body_made_by_hand(gateway, objects_folder, tmp_path, version, length):
    """Larger than what curl sends unasked, so that it waits for 100 Continue."""
    source = build(Recipe("xa", "mono16", EXPLICIT_LE, 1, False, rows=1024, columns=1024), objects_folder)
    other = build(Recipe("sc", "rgb", EXPLICIT_LE), objects_folder)
    body = tmp_path / "body"
    body.write_bytes(parts(posted(source), posted(other), length=length))
    trace = tool(
        "curl",
        "-sv",
        version,
        "--noproxy",
        "*",
        "--cacert",
        gateway.authority.ca,
        "-H",
        f"Content-Type: {FILES}",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        f"@{body}",
        f"{gateway.base}/instances",
    ).stdout
    if version == "--http1.1":
        assert "< HTTP/1.1 100 Continue" in trace
        assert "< HTTP/1.1 200" in trace
    else:
        assert "< HTTP/2 200" in trace
    answer = re.search(r"\{.*\}", trace).group()
    assert taken(pydicom.Dataset.from_json(json.loads(answer))) == [
        source.dataset.SOPInstanceUID,
        other.dataset.SOPInstanceUID,
    ]
    assert len(LiveRead(gateway, path_of(source)).rest()) == 1


def test_curl_is_not_asked_for_a_body_that_is_not_wanted(gateway, objects_folder, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(bytes(4 << 20))
    trace = tool(
        "curl",
        "-sv",
        "--http1.1",
        "--noproxy",
        "*",
        "--cacert",
        gateway.authority.ca,
        "-H",
        "Content-Type: application/zip",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        f"@{body}",
        f"{gateway.base}/instances",
    ).stdout
    assert "< HTTP/1.1 415" in trace
    assert "100 Continue" not in trace


@pytest.mark.parametrize("chunked", [True, False])
def test_orthanc_stores(gateway, objects_folder, tmp_path, chunked):
    """The STOW-RS client of Orthanc's DICOMweb plugin, whose boundary is longer than it may be."""
    server = {"Url": f"{gateway.base}/", "ChunkedTransfers": chunked}
    config = {
        "HttpsCACertificates": str(gateway.authority.ca),
        "DicomWeb": {"Servers": {"framegate": server}},
    }
    peer = orthanc.start(tmp_path / "orthanc", **config)
    try:
        recipes = [Recipe("xa", "mono12", EXPLICIT_LE), Recipe("us", "rgb", JPEG_BASELINE)]
        sources = [build(recipe, objects_folder) for recipe in recipes]
        ids = []
        for source in sources:
            answer = peer.session.post(f"{peer.rest}/instances", data=posted(source), timeout=30)
            assert answer.status_code == 200, answer.text
            ids.append(answer.json()["ID"])
        answer = peer.session.post(
            f"{peer.rest}/dicom-web/servers/framegate/stow",
            json={"Resources": ids, "Synchronous": True},
            timeout=60,
        )
        assert answer.status_code == 200, f"{answer.text}\n{peer.log}"
        for source in sources:
            [got] = [part10(one) for one in LiveRead(gateway, path_of(source)).rest()]
            assert got.SOPInstanceUID == source.dataset.SOPInstanceUID
            assert np.array_equal(pixel_array(got, raw=True), pixel_array(source.dataset, raw=True))
    finally:
        peer.stop()


# Statuses and reports


def test_one_bad_part_does_not_spoil_the_others(gateway, http, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    raw = posted(source)
    body = parts(raw[128:], raw)
    answer = http.post(f"{gateway.base}/instances", data=body, headers={"Content-Type": FILES})
    told = report(answer)
    assert answer.status_code == 202
    assert taken(told) == [source.dataset.SOPInstanceUID]
    assert [item.FailureReason for item in told.OtherFailuresSequence] == [CANNOT_UNDERSTAND]


def test_an_instance_of_another_study(gateway, http, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    url = f"{gateway.base}/studies/1.2.3"
    answer = http.post(url, data=parts(posted(source)), headers={"Content-Type": FILES})
    assert answer.status_code == 409
    [failed] = report(answer).FailedSOPSequence
    assert failed.ReferencedSOPInstanceUID == source.dataset.SOPInstanceUID
    assert failed.FailureReason == ANOTHER_STUDY
    assert http.get(f"{gateway.base}{path_of(source)}/metadata").status_code == 404


def test_a_body_that_breaks_off_says_what_was_taken(gateway, http, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    body = part(posted(source)) + f"\r\n--{BOUNDARY}nonsense".encode()
    answer = http.post(f"{gateway.base}/instances", data=body, headers={"Content-Type": FILES})
    assert answer.status_code == 400
    assert taken(report(answer)) == [source.dataset.SOPInstanceUID]


def test_the_report_as_xml(gateway, http, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    headers = {"Content-Type": FILES, "Accept": 'multipart/related; type="application/dicom+xml"'}
    answer = http.post(f"{gateway.base}/studies", data=parts(posted(source)), headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith('multipart/related; type="application/dicom+xml"')
    assert 'keyword="ReferencedSOPSequence"' in answer.text
    assert source.dataset.SOPInstanceUID in answer.text


def test_other_media_types_and_codings(gateway, http):
    for headers in (
        {"Content-Type": "application/dicom"},
        {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        {"Content-Type": f'multipart/related; type="application/dicom+xml"; boundary={BOUNDARY}'},
        {"Content-Type": FILES, "Content-Encoding": "gzip"},
        {},
    ):
        answer = http.post(f"{gateway.base}/studies", data=CLOSE, headers=headers)
        assert answer.status_code == 415, headers
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (
        http.post(
            f"{gateway.base}/studies", data=CLOSE, headers={"Content-Type": FILES, "Accept": "image/png"}
        ).status_code
        == 406
    )


# Streams


@pytest.mark.parametrize("length", [True, False])
def test_each_instance_is_live_before_the_next_is_sent(gateway, objects_folder, length):
    """The sender goes on only after the reader has the instance before."""
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    stream, reader = OpenSend(gateway), None
    uids = []
    for number in range(1, 6):
        dataset = pydicom.dcmread(source.path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = number
        raw = io.BytesIO()
        dataset.save_as(raw)
        stream.write(part(raw.getvalue(), length=length))
        if not length:
            # The delimiter is what ends a part without a length.
            stream.write(f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        if reader is None:
            reader = open_when_there(gateway, path_of(source))
        assert reader.next_instance().SOPInstanceUID == dataset.SOPInstanceUID
        uids.append(dataset.SOPInstanceUID)
        if not length:
            break
    assert gateway.metric("framegate_send_requests_open") == 1
    stream.write(CLOSE)
    answer = stream.end()
    told = pydicom.Dataset.from_json(json.loads(answer.read()))
    assert taken(told) == uids
    assert reader.rest() == [], "a proper end completes the series"


def test_frames_of_a_part_are_live_while_it_arrives(gateway, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), objects_folder)
    raw, frame = posted(source), source.dataset.Rows * source.dataset.Columns
    stream = OpenSend(gateway, f"/studies/{source.study}")
    whole = part(raw)
    stream.write(whole[: -2 * frame])
    reader = open_when_there(gateway, path_of(source))
    assert reader.next_instance().InstanceNumber == 1
    stream.write(whole[-2 * frame : -frame])
    assert reader.next_instance().InstanceNumber == 2
    stream.write(whole[-frame:] + CLOSE)
    assert reader.next_instance().InstanceNumber == 3
    answer = stream.end()
    told = pydicom.Dataset.from_json(json.loads(answer.read()))
    assert (answer.status, taken(told)) == (202, [source.dataset.SOPInstanceUID])
    assert told.ReferencedSOPSequence[0].WarningReason == SPLIT
    reader.rest()


def test_a_client_that_goes_away_leaves_what_was_whole(gateway, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    stream = OpenSend(gateway)
    stream.write(part(posted(source)))
    reader = open_when_there(gateway, path_of(source))
    assert reader.next_instance().SOPInstanceUID == source.dataset.SOPInstanceUID
    stream.connection.close()
    reader.rest()


def test_a_gateway_that_stops_answers_what_it_has(own_gateway, objects_folder):
    gateway = own_gateway()
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    stream = OpenSend(gateway)
    stream.write(part(posted(source)))
    open_when_there(gateway, path_of(source)).next_instance()
    gateway.signal(15)
    answer = stream.connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Connection") == "close"
    assert taken(pydicom.Dataset.from_json(json.loads(answer.read()))) == [source.dataset.SOPInstanceUID]
    assert gateway.wait() == 0


def test_requests_at_once_are_bounded(own_gateway, http):
    gateway = own_gateway(send={"requests": 1})
    stream = OpenSend(gateway)
    wait_for(lambda: gateway.metric("framegate_send_requests_open") == 1, "the first request to be open")
    answer = http.post(f"{gateway.base}/instances", data=CLOSE, headers={"Content-Type": FILES})
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    stream.write(CLOSE)
    assert stream.end().status == 200
    assert http.post(f"{gateway.base}/instances", data=CLOSE, headers={"Content-Type": FILES}).status_code == 200


def test_many_requests_on_one_http2_connection(gateway, objects_folder):
    recipe = Recipe("xa", "mono16", EXPLICIT_LE, 1, False, rows=512, columns=512)
    source = build(recipe, objects_folder)
    client = httpx.Client(
        verify=gateway.authority.client_context(), http1=False, http2=True, trust_env=False, timeout=60
    )
    with client:
        for _ in range(20):
            answer = client.post(
                f"{gateway.base}/instances", content=parts(posted(source)), headers={"Content-Type": FILES}
            )
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
            assert taken(report(answer)) == [source.dataset.SOPInstanceUID]


# What applications give back


def derived(source, sop_class: str, modality: str, **attributes) -> pydicom.Dataset:
    """An object without Pixel Data of the same patient and study, in a series of its own."""
    dataset = pydicom.Dataset()
    for keyword in (
        "SpecificCharacterSet",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        if keyword in source.dataset:
            dataset[keyword] = source.dataset[keyword]
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), modality
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_LE
    return dataset


def encoded(dataset: pydicom.Dataset) -> bytes:
    raw = io.BytesIO()
    dataset.save_as(raw, enforce_file_format=True)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("sop_class", "modality", "attributes"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "SR", {"ValueType": "CONTAINER", "CompletionFlag": "COMPLETE"}),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", {"ContentLabel": "MARKS"}),
        (
            EncapsulatedPDFStorage,
            "DOC",
            {
                "EncapsulatedDocument": b"%PDF-1.7 " + bytes(5001),
                "MIMETypeOfEncapsulatedDocument": "application/pdf",
            },
        ),
    ],
    ids=["sr", "pr", "pdf"],
)
def test_objects_without_pixels_join_the_study(gateway, http, objects_folder, sop_class, modality, attributes):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE), objects_folder)
    result = derived(source, sop_class, modality, **attributes)
    body = parts(posted(source), encoded(result))
    answer = http.post(f"{gateway.base}/studies/{source.study}", data=body, headers={"Content-Type": FILES})
    assert answer.status_code == 200, answer.text
    path = f"/studies/{source.study}/series/{result.SeriesInstanceUID}"
    [got] = [part10(one) for one in LiveRead(gateway, path).rest()]
    assert got == pydicom.dcmread(io.BytesIO(encoded(result)))
    found = http.get(f"{gateway.base}/studies/{source.study}/series").json()
    assert {entry["00080060"]["Value"][0] for entry in found} == {"XA", modality}


# Metadata and bulk data


def described(source, uri: str) -> bytes:
    dataset = pydicom.dcmread(source.path)
    model = json.loads(dataset.to_json(bulk_data_threshold=1 << 30, suppress_invalid_tags=True))
    model["7FE00010"] = {"vr": "OW", "BulkDataURI": uri}
    return json.dumps([model]).encode()


@pytest.mark.parametrize("frames", [1, 3])
def test_metadata_and_native_bulk_data(gateway, http, objects_folder, frames):
    source = build(Recipe("xa", "mono16", EXPLICIT_LE, frames, frames > 1), objects_folder)
    body = part(described(source, "bulk/1"), "application/dicom+json")
    body += part(source.dataset.PixelData, "application/octet-stream", location="bulk/1") + CLOSE
    answer = http.post(f"{gateway.base}/studies", data=body, headers={"Content-Type": DESCRIBED})
    assert answer.status_code == (202 if frames > 1 else 200), answer.text
    assert taken(report(answer)) == [source.dataset.SOPInstanceUID]
    got = [part10(one) for one in LiveRead(gateway, path_of(source)).rest()]
    assert len(got) == frames
    for number, instance in enumerate(got):
        assert np.array_equal(pixel_array(instance), source.shown[number])
    if frames == 1:
        assert got[0] == source.dataset


def test_metadata_and_compressed_bulk_data(gateway, http, objects_folder):
    source = build(Recipe("us", "rgb", JPEG_BASELINE), objects_folder)
    body = part(described(source, "bulk/1"), "application/dicom+json")
    kind = f"image/jpeg; transfer-syntax={JPEG_BASELINE}"
    body += part(source.fragments()[0], kind, location="bulk/1") + CLOSE
    answer = http.post(f"{gateway.base}/studies", data=body, headers={"Content-Type": DESCRIBED})
    assert answer.status_code == 200, answer.text
    [got] = [part10(one) for one in LiveRead(gateway, path_of(source)).rest()]
    assert got.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert np.array_equal(pixel_array(got), pixel_array(source.dataset))


def test_bulk_data_that_never_comes(gateway, http, objects_folder):
    source = build(Recipe("xa", "mono16", EXPLICIT_LE), objects_folder)
    body = part(described(source, "bulk/1"), "application/dicom+json") + CLOSE
    answer = http.post(f"{gateway.base}/studies", data=body, headers={"Content-Type": DESCRIBED})
    assert answer.status_code == 409
    [failed] = report(answer).FailedSOPSequence
    assert failed.ReferencedSOPInstanceUID == source.dataset.SOPInstanceUID
