"""Real peers at their own command line or API: DCMTK, pynetdicom, curl, dicomweb-client."""

from __future__ import annotations

import json

import pydicom
import pytest
import requests
from pydicom.pixels import pixel_array
from pynetdicom import AE
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind, Verification

from association import VERIFICATION, Association, Rejected
from conftest import tool
from objects import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, JPEG_LOSSLESS_SV1, RLE, US, XA, Recipe, build
from scu import store_all

LISTED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture(scope="module")
def run(gateway, objects_folder):
    """A native XA run of three frames that is in the gateway."""
    source = build(Recipe("xa", "mono12", EXPLICIT_LE, 3, True), objects_folder)
    store_all(gateway.dimse, source.path)
    return source


def retrieved(http, gateway, source) -> int:
    """How many instances of the series the gateway has."""
    path = f"{gateway.base}/studies/{source.study}/series/{source.series}/metadata"
    answer = http.get(path, headers={"Accept": "application/dicom+json"})
    assert answer.status_code == 200, answer.text
    return len(answer.json())


def host_and_port(address: tuple[str, int]) -> list[str]:
    return [address[0], str(address[1])]


# DIMSE


def test_echoscu(gateway):
    tool("echoscu", "-aec", "FRAMEGATE", *host_and_port(gateway.dimse))


def test_echoscu_with_a_wrong_called_ae_title_is_refused(gateway):
    done = tool("echoscu", "-v", "-aec", "SOMEBODY", *host_and_port(gateway.dimse), check=False)
    assert done.returncode != 0
    assert "Called AE Title Not Recognized" in done.stdout


@pytest.mark.parametrize(
    ("recipe", "option"),
    [
        (Recipe("xa", "mono12", EXPLICIT_LE), "-xe"),
        (Recipe("us", "rgb", IMPLICIT_LE, 3, True), "-xi"),
        (Recipe("us", "rgb", JPEG_BASELINE, 3, True), "-xy"),
        (Recipe("xa", "mono16", JPEG_LOSSLESS_SV1, 3, True), "-xs"),
        (Recipe("sc", "rgb", RLE, 3, True), "-xr"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_storescu(gateway, http, objects_folder, recipe, option):
    source = build(recipe, objects_folder)
    tool("storescu", option, "-aec", "FRAMEGATE", *host_and_port(gateway.dimse), source.path)
    assert retrieved(http, gateway, source) == recipe.frames


def test_dcmsend_with_many_objects_in_one_association(gateway, http, objects_folder):
    recipes = [
        Recipe("xa", "mono8", EXPLICIT_LE, 3, True),
        Recipe("us", "rgb", JPEG_BASELINE, 3, True),
        Recipe("enhanced-xa", "mono12", JPEG_LOSSLESS_SV1, 3, True),
        Recipe("sc", "mono8", RLE),
    ]
    sources = [build(recipe, objects_folder) for recipe in recipes]
    paths = [source.path for source in sources]
    tool("dcmsend", "-aec", "FRAMEGATE", "--decompress-never", *host_and_port(gateway.dimse), *paths)
    assert [retrieved(http, gateway, s) for s in sources] == [r.frames for r in recipes]


def tls_options(gateway) -> list[str]:
    leaf = gateway.client
    return ["+tls", str(leaf.key), str(leaf.certificate), "+cf", str(gateway.authority.ca), "+ps"]


def test_storescu_over_tls_with_a_client_certificate(gateway, http, objects_folder):
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), objects_folder)
    tool("storescu", *tls_options(gateway), "-aec", "FRAMEGATE", *host_and_port(gateway.dimse_tls), source.path)
    assert retrieved(http, gateway, source) == 3


def test_tls_without_a_client_certificate_is_refused(gateway):
    options = ["+tla", "+cf", str(gateway.authority.ca)]
    done = tool("echoscu", *options, "-aec", "FRAMEGATE", *host_and_port(gateway.dimse_tls), check=False)
    assert done.returncode != 0


def test_plain_dicom_at_the_tls_port_is_refused(gateway):
    done = tool("echoscu", "-to", "5", "-aec", "FRAMEGATE", *host_and_port(gateway.dimse_tls), check=False)
    assert done.returncode != 0


def test_findscu_finds_no_service(gateway):
    """Query/Retrieve is not offered: the presentation context is refused, and politely."""
    done = tool(
        "findscu", "-v", "-P", "-k", "QueryRetrieveLevel=STUDY", "-aec", "FRAMEGATE",
        *host_and_port(gateway.dimse), check=False,
    )
    assert done.returncode != 0
    assert "No Acceptable Presentation Contexts" in done.stdout
    tool("echoscu", "-aec", "FRAMEGATE", *host_and_port(gateway.dimse))


def test_pynetdicom_with_128_contexts(gateway):
    """As many presentation contexts as PS3.8 allows: storage and verification are accepted, query is not."""
    ae = AE()
    ae.add_requested_context(Verification)
    ae.add_requested_context(PatientRootQueryRetrieveInformationModelFind)
    for number in range(63):
        ae.add_requested_context(XA, [EXPLICIT_LE] if number % 2 else [IMPLICIT_LE])
    contexts = list(ae.requested_contexts)
    while len(contexts) < 128:
        from pynetdicom.presentation import build_context

        contexts.append(build_context(US, [EXPLICIT_LE, IMPLICIT_LE]))
    association = ae.associate(*gateway.dimse, contexts=contexts, ae_title="FRAMEGATE")
    assert association.is_established
    refused = {context.abstract_syntax for context in association.rejected_contexts}
    assert refused == {PatientRootQueryRetrieveInformationModelFind}
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_own_association_client_agrees(gateway):
    """The client of the cut-through tests is a proper peer where it is not told to misbehave."""
    association = Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE])
    assert association.echo() == 0x0000
    association.release()
    with pytest.raises(Rejected) as refusal:
        Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="SOMEBODY")
    # rejected-permanent, DICOM UL service-user, called-AE-title-not-recognized
    assert refusal.value.args[0] == (1, 1, 7)


# DICOMweb


@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_retrieves_a_series(gateway, run, tmp_path, option, version):
    body = tmp_path / "series.multipart"
    done = tool(
        "curl", "--silent", "--show-error", "--fail", option,
        "--cacert", gateway.authority.ca,
        "--header", f"Accept: {LISTED}",
        "--output", body, "--write-out", "%{http_version} %{http_code} %{content_type}",
        f"{gateway.base}/studies/{run.study}/series/{run.series}",
    )
    assert done.stdout.startswith(f"{version} 200 multipart/related")
    assert body.read_bytes().count(b"DICM") == 3


def test_curl_over_plain_http_is_told(gateway):
    done = tool("curl", "--silent", "--include", f"http://{gateway.web[0]}:{gateway.web[1]}/dicomweb/studies", check=False)
    assert done.returncode != 0 or " 400 " in done.stdout.splitlines()[0]


def test_search(dicomweb, run):
    [study] = dicomweb.search_for_studies(search_filters={"StudyInstanceUID": run.study})
    assert study["0020000D"]["Value"] == [run.study]
    assert study["00100010"]["Value"][0]["Alphabetic"] == str(run.dataset.PatientName).split("=")[0]
    [series] = dicomweb.search_for_series(run.study)
    assert series["0020000E"]["Value"] == [run.series]
    assert series["00080060"]["Value"] == ["XA"]
    instances = dicomweb.search_for_instances(run.study, run.series)
    assert sorted(one["00200013"]["Value"][0] for one in instances) == [1, 2, 3]
    assert len({one["00080018"]["Value"][0] for one in instances}) == 3


def test_search_filters(dicomweb, run):
    def found(**filters):
        studies = dicomweb.search_for_studies(search_filters=filters)
        return run.study in [one["0020000D"]["Value"][0] for one in studies]

    assert found(StudyDate="20260101-20260103")
    assert not found(StudyDate="20260103-")
    assert found(PatientID="TEST-*")
    assert not found(PatientID="test-*"), "LO matches case-sensitively (PS3.4 C.2.2.2.1)"
    assert found(ModalitiesInStudy="XA", StudyInstanceUID=run.study)
    assert not found(StudyInstanceUID="1.2.3")


def test_search_pages(dicomweb, run):
    pages = [dicomweb.search_for_instances(run.study, run.series, limit=1, offset=k) for k in range(4)]
    assert [len(page) for page in pages] == [1, 1, 1, 0]
    assert len({page[0]["00080018"]["Value"][0] for page in pages[:3]}) == 3


@pytest.fixture
def instance_uids(dicomweb, run) -> list[str]:
    found = dicomweb.search_for_instances(run.study, run.series)
    found.sort(key=lambda one: one["00200013"]["Value"][0])
    return [one["00080018"]["Value"][0] for one in found]


def test_retrieve_study_series_and_instance(dicomweb, run, instance_uids):
    """With the standard's default transfer syntax, which is what these pixels have."""
    series = dicomweb.retrieve_series(run.study, run.series)
    assert [one.SOPInstanceUID for one in series] == instance_uids
    assert dicomweb.retrieve_study(run.study) == series
    assert dicomweb.retrieve_instance(run.study, run.series, instance_uids[1]) == series[1]


def test_retrieve_metadata(dicomweb, run, instance_uids):
    series = dicomweb.retrieve_series_metadata(run.study, run.series)
    assert [one["00080018"]["Value"][0] for one in series] == instance_uids
    assert dicomweb.retrieve_study_metadata(run.study) == series
    [one] = [dicomweb.retrieve_instance_metadata(run.study, run.series, instance_uids[0])]
    assert one == series[0]
    assert "Value" not in one["7FE00010"] and "InlineBinary" not in one["7FE00010"]
    dataset = pydicom.Dataset.from_json(json.dumps(one), lambda tag, vr, uri: b"")
    assert dataset.PatientName == run.dataset.PatientName
    assert dataset.Rows == run.recipe.rows


def test_retrieve_frames(dicomweb, run, instance_uids):
    [raw] = dicomweb.retrieve_instance_frames(run.study, run.series, instance_uids[2], [1])
    assert raw == run.shown[2].astype("<u2").tobytes()
    with pytest.raises(requests.HTTPError) as refusal:
        dicomweb.retrieve_instance_frames(run.study, run.series, instance_uids[2], [2])
    assert refusal.value.response.status_code in (400, 404)


def test_retrieve_bulkdata(dicomweb, run, instance_uids):
    metadata = dicomweb.retrieve_instance_metadata(run.study, run.series, instance_uids[0])
    [raw] = dicomweb.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert raw == run.shown[0].astype("<u2").tobytes()


@pytest.mark.parametrize(("media_type", "magic"), [("image/jpeg", b"\xff\xd8\xff"), ("image/png", b"\x89PNG"), ("image/gif", b"GIF8")])
def test_retrieve_rendered(dicomweb, run, instance_uids, media_type, magic):
    image = dicomweb.retrieve_instance_rendered(run.study, run.series, instance_uids[0], media_types=(media_type,))
    assert image.startswith(magic)


def test_retrieve_compressed_frame_as_it_is(gateway, dicomweb, objects_folder):
    source = build(Recipe("us", "rgb", JPEG_BASELINE, 3, True), objects_folder)
    store_all(gateway.dimse, source.path)
    series = dicomweb.retrieve_series(source.study, source.series, media_types=(("application/dicom", JPEG_BASELINE),))
    assert len(series) == 3
    [raw] = dicomweb.retrieve_instance_frames(
        source.study, source.series, series[1].SOPInstanceUID, [1],
        media_types=(("image/jpeg", JPEG_BASELINE),),
    )
    assert raw.rstrip(b"\0") == source.fragments()[1].rstrip(b"\0")


def test_retrieve_decompressed_for_a_client_that_wants_the_default(gateway, dicomweb, objects_folder):
    source = build(Recipe("xa", "mono12", JPEG_LOSSLESS_SV1, 3, True), objects_folder)
    store_all(gateway.dimse, source.path)
    series = dicomweb.retrieve_series(source.study, source.series)
    assert {one.file_meta.TransferSyntaxUID for one in series} == {EXPLICIT_LE}
    for one, shown in zip(series, source.shown, strict=True):
        assert (pixel_array(one) == shown).all()


def test_unknown_resources_are_not_found(dicomweb, run):
    for attempt in (
        lambda: dicomweb.retrieve_series(run.study, "1.2.3"),
        lambda: dicomweb.retrieve_series("1.2.3", run.series),
        lambda: dicomweb.retrieve_instance(run.study, run.series, "1.2.3"),
        lambda: dicomweb.retrieve_instance_metadata(run.study, run.series, "1.2.3"),
    ):
        with pytest.raises(requests.HTTPError) as refusal:
            attempt()
        assert refusal.value.response.status_code == 404


def test_unacceptable_media_type(gateway, http, run):
    path = f"{gateway.base}/studies/{run.study}/series/{run.series}"
    assert http.get(path, headers={"Accept": "text/html"}).status_code == 406


def test_capabilities(gateway, http):
    answer = http.options(f"{gateway.base}/", headers={"Accept": "application/vnd.sun.wadl+xml"})
    assert answer.status_code == 200
    assert "application" in answer.text
