"""Makes the DICOM objects that the tests send: small, synthetic and as valid as dciodvfy can tell.

`build()` turns a `Recipe` (which SOP class, which pixels, which transfer syntax, how encapsulated)
into a Part 10 file and the pixels that it shows. Native pixels are written by pydicom; DCMTK's
dcmconv, dcmcjpeg, dcmcjpls and dcmcrle make the other transfer syntaxes, pydicom with OpenJPEG the
JPEG 2000 ones, so that what the gateway meets was written by code that is not ours.

Every frame of an object differs from every other one: a test that mixes frames up fails.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid

import enhanced

EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
RLE = "1.2.840.10008.1.2.5"

NATIVE = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED)
LOSSY = (JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, JPEG_2000)
NAMES = {
    EXPLICIT_LE: "explicit-le",
    IMPLICIT_LE: "implicit-le",
    EXPLICIT_BE: "explicit-be",
    DEFLATED: "deflated",
    JPEG_BASELINE: "jpeg-baseline",
    JPEG_EXTENDED: "jpeg-extended",
    JPEG_LOSSLESS_SV1: "jpeg-lossless-sv1",
    JPEG_LS_LOSSLESS: "jpeg-ls-lossless",
    JPEG_LS_NEAR: "jpeg-ls-near",
    JPEG_2000_LOSSLESS: "j2k-lossless",
    JPEG_2000: "j2k-lossy",
    RLE: "rle",
}

XA = "1.2.840.10008.5.1.4.1.1.12.1"
ENHANCED_XA = "1.2.840.10008.5.1.4.1.1.12.1.1"
US = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTI = "1.2.840.10008.5.1.4.1.1.3.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
SC_MULTI_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
SC_MULTI_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
SC_MULTI_COLOR = "1.2.840.10008.5.1.4.1.1.7.4"

# Which SOP class a single frame of a multi-frame object belongs to.
SINGLE_FRAME_CLASS = {
    XA: XA,
    ENHANCED_XA: XA,
    US_MULTI: US,
    SC_MULTI_BYTE: SC,
    SC_MULTI_WORD: SC,
    SC_MULTI_COLOR: SC,
}

PRIVATE_CREATOR = "FRAMEGATE TESTS"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One object to make. `family` is xa, us, sc or enhanced-xa."""

    family: str
    pixels: str  # mono8, mono12, mono16, rgb, rgb-planar
    syntax: str = EXPLICIT_LE
    frames: int = 1
    multi: bool = False
    # How the frames lie in fragments: bot, empty-bot, split-bot, split-empty-bot, extended.
    layout: str = "bot"
    rows: int = 48
    columns: int = 64

    @property
    def name(self) -> str:
        kind = "multi" if self.multi else "single"
        layout = "" if self.layout == "bot" else f"-{self.layout}"
        size = "" if (self.rows, self.columns) == (48, 64) else f"-{self.rows}x{self.columns}"
        return f"{self.family}-{kind}-{self.pixels}-{NAMES[self.syntax]}{layout}{size}"

    @property
    def encapsulated(self) -> bool:
        return self.syntax not in NATIVE


@dataclasses.dataclass
class Source:
    """A made object: its file, its dataset as pydicom reads it back, and what it shows."""

    recipe: Recipe
    path: Path
    dataset: pydicom.FileDataset
    # What went into the encoder, frames first: (frames, rows, columns[, 3]).
    shown: np.ndarray

    @property
    def study(self) -> str:
        return str(self.dataset.StudyInstanceUID)

    @property
    def series(self) -> str:
        return str(self.dataset.SeriesInstanceUID)

    def dataset_bytes(self) -> bytes:
        """The dataset as it stands in the file, which is what a C-STORE of it carries."""
        raw = self.path.read_bytes()
        # (0002,0000) is always first, an explicit UL whose value counts the bytes behind it.
        return raw[144 + int.from_bytes(raw[140:144], "little") :]

    def fragments(self) -> list[bytes]:
        """The encoded frames of an encapsulated object, their fragments joined."""
        return list(
            generate_frames(
                self.dataset.PixelData,
                number_of_frames=self.shown.shape[0],
                extended_offsets=(
                    (self.dataset.ExtendedOffsetTable, self.dataset.ExtendedOffsetTableLengths)
                    if "ExtendedOffsetTable" in self.dataset
                    else None
                ),
            )
        )


def picture(pixels: str, frames: int, rows: int, columns: int) -> np.ndarray:
    """A gradient with a bright disk that moves, and a frame counter in the first pixels."""
    bits = {"mono12": 12, "mono16": 16}.get(pixels, 8)
    top = (1 << bits) - 1
    y, x = np.mgrid[0:rows, 0:columns]
    out = []
    for k in range(frames):
        ramp = (x * 3 + y * 2 + 5 * k) / (3 * columns + 2 * rows + 5 * frames)
        cx, cy = (7 * k + 11) % columns, (5 * k + 9) % rows
        disk = ((x - cx) ** 2 + (y - cy) ** 2) < (min(rows, columns) // 6) ** 2
        mono = np.where(disk, top, ramp * top * 0.8)
        mono[0, :8] = (k + 1) * top // (frames + 1)
        if pixels.startswith("rgb"):
            mono = np.stack([mono, top - mono, np.roll(mono, 3, axis=1)], axis=-1)
        out.append(mono)
    return np.asarray(out).astype(np.uint8 if bits == 8 else np.uint16)


def _patient_study_series(ds: Dataset, modality: str) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "Synthétique^Jörg=山田^太郎"
    ds.PatientID = "TEST-0001"
    ds.PatientBirthDate = "19700101"
    ds.PatientSex = "O"
    ds.StudyInstanceUID = generate_uid()
    ds.StudyDate = "20260102"
    ds.StudyTime = "101112.123456"
    ds.ReferringPhysicianName = "Referring^Physician"
    ds.StudyID = "S1"
    ds.AccessionNumber = "A1"
    ds.StudyDescription = "interoperability"
    ds.Modality = modality
    ds.SeriesInstanceUID = generate_uid()
    ds.SeriesNumber = 7
    ds.SeriesDescription = "synthetic"
    ds.Manufacturer = "framegate tests"
    ds.ManufacturerModelName = "generator"
    ds.DeviceSerialNumber = "0001"
    ds.SoftwareVersions = "1.0"
    ds.InstanceNumber = 4
    ds.AcquisitionNumber = 2
    ds.AcquisitionDate = ds.ContentDate = "20260102"
    ds.AcquisitionTime = ds.ContentTime = "101213.5"
    ds.PatientOrientation = ["L", "F"]
    ds.Laterality = ""
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    request.ScheduledProcedureStepID = "SPS1"
    ds.RequestAttributesSequence = Sequence([request])
    # Unknown private data must go through untouched, a nested sequence of it too.
    block = ds.private_block(0x0099, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "LO", "private text")
    block.add_new(0x02, "FD", [1.5, -2.25])
    inner = Dataset()
    inner.CodeMeaning = "nested"
    block.add_new(0x03, "SQ", Sequence([inner]))


def _xa(ds: Dataset, recipe: Recipe) -> str:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    ds.PixelIntensityRelationship = "LIN"
    ds.KVP = "80"
    ds.RadiationSetting = "GR"
    ds.XRayTubeCurrent = 400
    ds.ExposureTime = 8
    ds.Exposure = 3
    ds.PositionerMotion = "STATIC"
    ds.PositionerPrimaryAngle = "-30.5"
    ds.PositionerSecondaryAngle = "20"
    ds.ImagerPixelSpacing = ["0.2", "0.2"]
    ds.DistanceSourceToDetector = "1100"
    ds.DistanceSourceToPatient = "700"
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    if recipe.multi:
        _cine(ds)
    return XA


def _us(ds: Dataset, recipe: Recipe) -> str:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.TransducerType = "SECTOR_PHASED"
    ds.UltrasoundColorDataPresent = 0
    region = Dataset()
    region.RegionSpatialFormat = 1
    region.RegionDataType = 1
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1 = recipe.columns - 1
    region.RegionLocationMaxY1 = recipe.rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.02
    ds.SequenceOfUltrasoundRegions = Sequence([region])
    if recipe.multi:
        _cine(ds)
    return US_MULTI if recipe.multi else US


def _sc(ds: Dataset, recipe: Recipe) -> str:
    ds.ConversionType = "DI"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = "20260102", "101213.25"
    if not recipe.multi:
        return SC
    ds.BurnedInAnnotation = "NO"
    _cine(ds)
    if recipe.pixels.startswith("rgb"):
        return SC_MULTI_COLOR
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "IDENTITY"
    return SC_MULTI_BYTE if recipe.pixels == "mono8" else SC_MULTI_WORD


def _cine(ds: Dataset) -> None:
    ds.FrameTime = "66.67"
    ds.FrameIncrementPointer = 0x00181063
    ds.CineRate = 15



_FAMILIES = {"xa": ("XA", _xa), "us": ("US", _us), "sc": ("OT", _sc), "enhanced-xa": ("XA", enhanced.describe)}


def _describe_pixels(ds: Dataset, recipe: Recipe, shown: np.ndarray) -> None:
    color = recipe.pixels.startswith("rgb")
    ds.SamplesPerPixel = 3 if color else 1
    ds.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
    if color:
        ds.PlanarConfiguration = 1 if recipe.pixels == "rgb-planar" else 0
    ds.Rows, ds.Columns = recipe.rows, recipe.columns
    stored = {"mono12": 12, "mono16": 16}.get(recipe.pixels, 8)
    ds.BitsAllocated = 8 if stored == 8 else 16
    ds.BitsStored, ds.HighBit = stored, stored - 1
    ds.PixelRepresentation = 0
    if recipe.multi:
        ds.NumberOfFrames = recipe.frames
    if recipe.pixels == "rgb-planar":
        shown = shown.transpose(0, 3, 1, 2)
    raw = shown.astype("<u2" if stored > 8 else "u1").tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OW" if stored > 8 else "OB"


def dataset(recipe: Recipe, shown: np.ndarray) -> Dataset:
    """The native, Explicit VR Little Endian form that every other one is made from."""
    modality, describe = _FAMILIES[recipe.family]
    ds = Dataset()
    ds.SOPInstanceUID = generate_uid()
    _patient_study_series(ds, modality)
    ds.SOPClassUID = describe(ds, recipe)
    _describe_pixels(ds, recipe, shown)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = UID(EXPLICIT_LE)
    ds.file_meta = meta
    return ds


# DCMTK's encoder of each transfer syntax; without the uid option a lossy one gets a new UID.
_DCMTK = {
    IMPLICIT_LE: ["dcmconv", "+ti"],
    EXPLICIT_BE: ["dcmconv", "+tb"],
    DEFLATED: ["dcmconv", "+td"],
    JPEG_BASELINE: ["dcmcjpeg", "+eb", "+q", "90", "+un"],
    JPEG_EXTENDED: ["dcmcjpeg", "+ee", "+q", "90", "+un"],
    JPEG_LOSSLESS_SV1: ["dcmcjpeg", "+e1"],
    JPEG_LS_LOSSLESS: ["dcmcjpls", "+el"],
    JPEG_LS_NEAR: ["dcmcjpls", "+en", "+md", "2", "+un"],
    RLE: ["dcmcrle"],
}


def _transcode(native: Path, target: Path, syntax: str) -> None:
    """Writes `native` in the transfer syntax to `target`."""
    if syntax == EXPLICIT_BE:
        # By way of Implicit VR, where 8-bit pixels are OW too: in Big Endian their bytes then swap.
        implicit = native.with_suffix(".implicit")
        _transcode(native, implicit, IMPLICIT_LE)
        native = implicit
    if syntax in _DCMTK:
        command = [*_DCMTK[syntax], str(native), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return
    ds = pydicom.dcmread(native)
    options = {} if syntax == JPEG_2000_LOSSLESS else {"j2k_cr": [8]}
    if ds.SamplesPerPixel == 3:
        # The reversible or irreversible component transform is what the encoder then applies.
        ds.PhotometricInterpretation = "YBR_RCT" if syntax == JPEG_2000_LOSSLESS else "YBR_ICT"
    ds.compress(UID(syntax), encoding_plugin="pylibjpeg", generate_instance_uid=False, **options)
    if syntax == JPEG_2000:
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionRatio = "8"
        ds.LossyImageCompressionMethod = "ISO_15444_1"
    ds.save_as(target, enforce_file_format=True)


def _relayout(path: Path, layout: str, frames: int) -> None:
    """Puts the encoded frames into fragments and offset tables as `layout` says (PS3.5 A.4)."""
    ds = pydicom.dcmread(path)
    if ds.SOPClassUID == ENHANCED_XA and ds.ImageType[0] == "DERIVED":
        enhanced.mark_derived(ds)
    encoded = list(generate_frames(ds.PixelData, number_of_frames=frames))
    if layout == "extended":
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(encoded)
    else:
        pieces = 3 if layout.startswith("split") else 1
        ds.PixelData = encapsulate(encoded, fragments_per_frame=pieces, has_bot=not layout.endswith("empty-bot"))
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)


def build(recipe: Recipe, folder: Path) -> Source:
    """Makes the object of the recipe in `folder`."""
    shown = picture(recipe.pixels, recipe.frames, recipe.rows, recipe.columns)
    path = folder / f"{recipe.name}.dcm"
    native = path if recipe.syntax == EXPLICIT_LE else folder / f"{recipe.name}.native.dcm"
    dataset(recipe, shown).save_as(native, enforce_file_format=True)
    if recipe.syntax != EXPLICIT_LE:
        _transcode(native, path, recipe.syntax)
        native.unlink()
    if recipe.encapsulated:
        _relayout(path, recipe.layout, recipe.frames)
    return Source(recipe, path, pydicom.dcmread(path), shown)
