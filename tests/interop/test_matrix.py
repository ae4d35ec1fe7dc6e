"""Every object of the matrix goes in by C-STORE and comes out by WADO-RS. A single-frame object is
the same object; a multi-frame one is one single-frame instance per frame, which keeps every pixel
and every attribute but those in the lists below."""

from __future__ import annotations

import datetime
import io

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_fragments
from pydicom.pixels import pixel_array

import enhanced
from dciodvfy import errors
from live import LiveRead
from matrix import RECIPES
from objects import ENHANCED_XA, EXPLICIT_LE, LOSSY, NATIVE, SINGLE_FRAME_CLASS, XA, Source, build
from scu import store_all

# What splitting changes.
CHANGED = {"SOPClassUID", "SOPInstanceUID", "InstanceNumber", "PixelData"}
# What it moves by the frame's relative time, where the image is an original (PS3.3 C.7.6.5.1).
MOVED = {"ContentDate", "ContentTime"}
# What speaks of the whole run and must not stand in a frame.
GONE = {
    "NumberOfFrames",
    "FrameIncrementPointer",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
}
# Of the Cine module, which an X-ray image has only when it is multi-frame (PS3.3 C.8.7.1).
GONE_FROM_X_RAY = {"FrameTime"}
# What each frame gets.
ADDED = {"SourceImageSequence"}


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def source(request, objects_folder) -> Source:
    return build(request.param, objects_folder)


def instances_of(gateway, source: Source) -> list[bytes]:
    """The Part 10 files of the series, in the order in which they came."""
    path = f"/studies/{source.study}/series/{source.series}"
    return [part.body for part in LiveRead(gateway, path).rest()]


def elements(dataset: pydicom.Dataset) -> dict[int, pydicom.DataElement]:
    return {int(element.tag): element for element in dataset}


def described(tags) -> list[str]:
    return sorted(pydicom.datadict.keyword_for_tag(tag) or hex(tag) for tag in tags)


def tags_of(keywords) -> set[int]:
    return {int(pydicom.datadict.tag_for_keyword(keyword)) for keyword in keywords}


def assert_same_attributes(source: pydicom.Dataset, got: pydicom.Dataset, *, but=(), added=()) -> None:
    """All elements of `source` but those are in `got`, equal, and nothing else but `added` is."""
    ours, theirs = elements(source), elements(got)
    but, added = tags_of(but), tags_of(added)
    assert described(theirs.keys() - ours.keys() - added) == [], "invented"
    assert described(ours.keys() - theirs.keys() - but) == [], "lost"
    different = {tag for tag in ours.keys() & theirs.keys() - but if ours[tag] != theirs[tag]}
    assert described(different) == []


def pixels(dataset: pydicom.Dataset, index: int | None = None) -> np.ndarray:
    """One frame as the decoder gives it, without colour transformation."""
    return pixel_array(dataset, index=index or 0, raw=True)


def test_instances_are_the_frames_sent(gateway, source, tmp_path):
    store_all(gateway.dimse, source.path)
    files = instances_of(gateway, source)
    assert len(files) == source.recipe.frames
    before = errors(source.path, tmp_path)
    for number, raw in enumerate(files, start=1):
        got = pydicom.dcmread(io.BytesIO(raw))
        assert_meta(source, got)
        if source.recipe.multi:
            assert_frame(source, got, number)
        else:
            assert_untouched(source, raw, got)
        assert_pixels(source, got, number)
        assert_valid(got, raw, before, tmp_path)
    uids = {pydicom.dcmread(io.BytesIO(raw)).SOPInstanceUID for raw in files}
    assert len(uids) == len(files)


def assert_meta(source: Source, got: pydicom.FileDataset) -> None:
    meta = got.file_meta
    expected = EXPLICIT_LE if source.recipe.syntax in NATIVE else source.recipe.syntax
    assert meta.TransferSyntaxUID == expected
    assert meta.MediaStorageSOPClassUID == got.SOPClassUID
    assert meta.MediaStorageSOPInstanceUID == got.SOPInstanceUID


def assert_untouched(source: Source, raw: bytes, got: pydicom.FileDataset) -> None:
    """The dataset of a single-frame object: the same bytes, or the same elements where Explicit VR
    Little Endian had to be made of it."""
    if source.recipe.syntax == EXPLICIT_LE or source.recipe.encapsulated:
        head = 144 + int.from_bytes(raw[140:144], "little")
        assert raw[head:] == source.dataset_bytes()
    assert_same_attributes(source.dataset, got, but={"PixelData"})


def assert_frame(source: Source, got: pydicom.FileDataset, number: int) -> None:
    whole = source.dataset
    assert got.SOPClassUID == SINGLE_FRAME_CLASS[whole.SOPClassUID]
    assert got.InstanceNumber == number
    reference = got.SourceImageSequence[-1]
    assert reference.ReferencedSOPClassUID == whole.SOPClassUID
    assert reference.ReferencedSOPInstanceUID == whole.SOPInstanceUID
    assert reference.ReferencedFrameNumber == number
    assert got.SOPInstanceUID != whole.SOPInstanceUID
    gone = GONE | GONE_FROM_X_RAY if got.SOPClassUID == XA else GONE
    assert described(tags_of(gone) & elements(got).keys()) == []
    if whole.SOPClassUID == ENHANCED_XA:
        assert_folded(source, got, number)
        return
    assert_same_attributes(whole, got, but=CHANGED | MOVED | gone, added=ADDED)
    assert_content_time(whole, got, number)


def assert_content_time(whole: pydicom.Dataset, got: pydicom.Dataset, number: int) -> None:
    at = datetime.datetime(2026, 1, 2, 10, 12, 13, 500000)
    if whole.ImageType[0] == "ORIGINAL":
        at += datetime.timedelta(milliseconds=float(whole.FrameTime)) * (number - 1)
    shown = datetime.datetime.strptime(
        f"{got.ContentDate}{float(got.ContentTime):013.6f}", "%Y%m%d%H%M%S.%f"
    )
    assert abs(shown - at) < datetime.timedelta(milliseconds=1)


def assert_folded(source: Source, got: pydicom.Dataset, number: int) -> None:
    """The frame's functional groups became attributes of the image."""
    whole = source.dataset
    assert got.ImageType[2] == "SINGLE PLANE", "an XA image names its plane there (PS3.3 C.8.7.1.1.1)"
    assert got.PositionerPrimaryAngle == enhanced.primary_angle(number)
    assert got.PositionerSecondaryAngle == 20
    assert got.AcquisitionNumber == number
    assert got.KVP == 80 + number, "the frame's own value wins over the object's"
    assert got.PixelIntensityRelationship == "LIN"
    assert (got.WindowCenter, got.WindowWidth) == (128, 256)
    assert got.ImagerPixelSpacing == [0.2, 0.2]
    assert got.PatientOrientation == ["L", "F"]
    assert got.DistanceSourceToDetector == 1100
    acquired = enhanced.acquired(number)
    assert got.AcquisitionDateTime == acquired
    assert got.AcquisitionDate + got.AcquisitionTime == acquired
    assert got.RadiationSetting == whole.RadiationSetting
    # What the object says outside its functional groups stays as it is.
    kept = {int(e.tag) for e in whole if e.VR != "SQ"} - tags_of(CHANGED | MOVED | GONE)
    kept -= tags_of({"AcquisitionDateTime", "AcquisitionNumber", "ImageType", "KVP", "XRayTubeCurrentInmA"})
    lost = {tag for tag in kept if tag not in got}
    assert described(lost) == []
    assert described(tag for tag in kept if got[tag] != whole[tag]) == []


def assert_pixels(source: Source, got: pydicom.FileDataset, number: int) -> None:
    frame = pixels(got)
    assert np.array_equal(frame, pixels(source.dataset, number - 1))
    if source.recipe.syntax in NATIVE:
        assert np.array_equal(frame, source.shown[number - 1])
        assert len(got.PixelData) % 2 == 0
    else:
        kept = b"".join(list(generate_fragments(got.PixelData))[1:])
        # A joined frame of the source may carry the padding of its last fragment only.
        assert kept == source.fragments()[number - 1]
        if source.recipe.syntax not in LOSSY:
            assert np.array_equal(pixel_array(got), source.shown[number - 1])


def assert_valid(got: pydicom.FileDataset, raw: bytes, before: set[str], folder) -> None:
    path = folder / f"{got.SOPInstanceUID}.dcm"
    path.write_bytes(raw)
    assert errors(path, folder) - before == set()


def test_standard_client_reads_the_same(gateway, dicomweb: DICOMwebClient, source):
    """dicomweb-client gets what our own reader of multipart gets."""
    store_all(gateway.dimse, source.path)
    theirs = dicomweb.retrieve_series(
        source.study, source.series, media_types=(("application/dicom", "*"),)
    )
    ours = [pydicom.dcmread(io.BytesIO(raw)) for raw in instances_of(gateway, source)]
    assert theirs == ours


def test_the_same_object_becomes_the_same_instances(gateway, objects_folder):
    """Sent again, an object gets the same UIDs, so that nobody downstream has it twice."""
    recipe = next(r for r in RECIPES if r.multi)
    source = build(recipe, objects_folder)
    store_all(gateway.dimse, source.path)
    first = [pydicom.dcmread(io.BytesIO(raw)).SOPInstanceUID for raw in instances_of(gateway, source)]
    store_all(gateway.dimse, source.path)
    again = {pydicom.dcmread(io.BytesIO(raw)).SOPInstanceUID for raw in instances_of(gateway, source)}
    assert again == set(first)
