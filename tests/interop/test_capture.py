"""Captures, fed by clips: every SOP class, every kind of pixels and every compression comes out as an
instance that dciodvfy finds right and that DCMTK, pydicom with pylibjpeg and GDCM decode to the pixels
that went in; and what a card loses, or spoils, shows as a gap and in the counters."""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

import clips
from conftest import tool
from dciodvfy import errors
from gateway import Gateway, wait_for
from live import LiveRead
from objects import EXPLICIT_LE, JPEG_BASELINE, JPEG_LS_LOSSLESS, RLE, picture

SYNTAX = {
    "none": EXPLICIT_LE,
    "rle": RLE,
    "jpeg-ls": JPEG_LS_LOSSLESS,
    "jpeg": JPEG_BASELINE,
    "as-captured": JPEG_BASELINE,
}
CLASSES = {
    "secondary-capture": ("XA", "1.2.840.10008.5.1.4.1.1.7"),
    "vl-photographic": ("XC", "1.2.840.10008.5.1.4.1.1.77.1.4"),
    "vl-endoscopic": ("ES", "1.2.840.10008.5.1.4.1.1.77.1.1"),
    "ultrasound": ("US", "1.2.840.10008.5.1.4.1.1.6.1"),
}
# Which clip, and what is asked for.
KINDS = {
    "grey": (clips.grey, "grey"),
    "odd": (clips.odd, "grey"),
    "y10": (lambda folder: clips.deep(folder, 10), "grey"),
    "y12": (lambda folder: clips.deep(folder, 12), "grey"),
    "y16": (lambda folder: clips.deep(folder, 16), "grey"),
    "rgb": (clips.rgb, "color"),
    "color": (clips.color, "color"),
    "mjpeg": (clips.mjpeg, "color"),
}
DECODER = {EXPLICIT_LE: ["dcmconv"], RLE: ["dcmdrle"], JPEG_LS_LOSSLESS: ["dcmdjpls"], JPEG_BASELINE: ["dcmdjpeg"]}
# JPEG at quality 90, and how far decoders may be apart (code values): anywhere, and, where colour has
# edges between two samples of 4:2:2, on average.
LOSSY_MEAN, APART, APART_MEAN = 4.0, 3, 1.0


def _possible(sop_class: str, kind: str, compression: str) -> bool:
    if compression == "as-captured":
        return kind == "mjpeg"
    if kind in ("y10", "y12", "y16"):
        # Visible light and ultrasound have 8 bits (PS3.3 C.8.12.1, C.8.5.6); so has JPEG Baseline.
        return sop_class == "secondary-capture" and compression != "jpeg"
    return True


# By compression, each of which has a gateway.
CASES = [
    (sop_class, kind, compression)
    for compression, sop_class, kind in itertools.product(SYNTAX, CLASSES, KINDS)
    if _possible(sop_class, kind, compression)
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, clips.Clip]:
    folder = tmp_path_factory.mktemp("clips")
    return {kind: make(folder) for kind, (make, _) in KINDS.items()}


@pytest.fixture(scope="module")
def rooms(program, authority, tmp_path_factory, made):
    """Gateways, by compression, that capture everything at once."""
    running: dict[str, Gateway] = {}

    def start(compression: str) -> Gateway:
        if compression not in running:
            while running:
                _, one = running.popitem()
                assert one.stop() == 0, one.output
            sections = {
                f"capture__{sop_class}_{kind}": {
                    "device": made[kind].device,
                    "sop_class": sop_class,
                    "modality": CLASSES[sop_class][0],
                    "pixels": KINDS[kind][1],
                    "compression": compression,
                }
                for sop_class, kind, of in CASES
                if of == compression
            }
            folder = tmp_path_factory.mktemp(f"rooms-{compression}")
            running[compression] = Gateway(program, folder, authority, access=OPERATE, **sections)
        return running[compression]

    yield start
    for one in running.values():
        assert one.stop() == 0, one.output


OPERATE = {"anonymous": ["search", "retrieve", "operate"]}


def look(gateway: Gateway, http, name: str) -> dict:
    return http.get(f"{gateway.base}/operations/captures/{name}").json()


def first(gateway: Gateway, http, name: str, count: int) -> list[bytes]:
    """The first instances of the series that a capture has open, as Part 10 files."""

    def streaming() -> dict | None:
        shown = look(gateway, http, name)
        return shown if shown["series"] else None

    shown = wait_for(streaming, f"{name} streams")
    read = LiveRead(gateway, f"/studies/{shown['study']}/series/{shown['series']}")
    bodies = [read.next_part().body for _ in range(count)]
    read.hang_up()
    return bodies


def decoded(path: Path, scratch: Path) -> dict[str, np.ndarray]:
    """What each decoder makes of a file, colour as RGB."""
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    plain = scratch / "dcmtk.dcm"
    tool(*DECODER[syntax], path, plain)
    out = {"dcmtk": pixel_array(pydicom.dcmread(plain))}
    plugin = {} if syntax == EXPLICIT_LE else {"decoding_plugin": "pylibjpeg"}
    out["pydicom"] = pixel_array(dataset, **plugin)
    if syntax in (JPEG_BASELINE, JPEG_LS_LOSSLESS):
        out["gdcm"] = pixel_array(dataset, decoding_plugin="gdcm")
    else:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read(), "GDCM cannot read it"
        raw = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
        out["gdcm"] = np.frombuffer(raw, out["pydicom"].dtype).reshape(out["pydicom"].shape)
    return out


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    assert one.shape == other.shape
    return np.abs(one.astype(int) - other.astype(int))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_instance_is_right_and_decodes_to_the_picture(case, rooms, made, http, tmp_path):
    sop_class, kind, compression = case
    clip = made[kind]
    path = tmp_path / "instance.dcm"
    for body in first(rooms(compression), http, f"{sop_class}_{kind}", clips.FRAMES):
        path.write_bytes(body)
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == SYNTAX[compression]
        assert dataset.SOPClassUID == CLASSES[sop_class][1]
        assert errors(path, tmp_path) == set()
        lossy = compression in ("jpeg", "as-captured") or kind == "mjpeg"
        assert dataset.LossyImageCompression == ("01" if lossy else "00")
        shown = clip.shown[(dataset.InstanceNumber - 1) % clips.FRAMES]
        pictures = decoded(path, tmp_path)
        for name, pixels in pictures.items():
            if compression == "jpeg":
                assert difference(pixels, shown).mean() <= LOSSY_MEAN, name
                apart = difference(pixels, pictures["pydicom"])
                assert apart.mean() <= APART_MEAN, name
                assert apart.max() <= APART or kind in ("rgb", "color"), name
            else:
                assert difference(pixels, shown).max() <= clip.off, name


FIELDS = {
    "interlaced-tb": lambda lines: lines,
    "seq-bt": lambda lines: np.concatenate([lines[:, 1::2], lines[:, ::2]], axis=1),
    "alternate": lambda lines: np.concatenate([lines[:, ::2], lines[:, 1::2]], axis=1),
}


@pytest.mark.parametrize("deinterlace", ["weave", "bob"])
@pytest.mark.parametrize("fields", FIELDS)
def test_fields_become_frames(fields, deinterlace, own_gateway, http, tmp_path):
    shown = picture("mono8", 2, clips.ROWS, clips.COLUMNS)
    raw = FIELDS[fields](shown).tobytes()
    keys = {"format": "GREY", "width": clips.COLUMNS, "height": clips.ROWS, "fields": fields}
    device = f"replay:{clips.write(tmp_path, 'fields', raw, **keys)}"
    gateway = own_gateway(access=OPERATE, capture__room={"device": device, "pixels": "grey", "deinterlace": deinterlace})
    if deinterlace == "weave":
        expected = list(shown)
    else:
        parities = (1, 0) if fields == "seq-bt" else (0, 1)
        expected = [np.repeat(frame[parity::2], 2, axis=0) for frame in shown for parity in parities]
    for number, body in enumerate(first(gateway, http, "room", 8), 1):
        instance = part10_of(body)
        assert instance.InstanceNumber == number
        assert np.array_equal(pixel_array(instance), expected[(number - 1) % len(expected)]), number
    assert gateway.metric(r"capture_frames_lost_total\{") == 0


@pytest.mark.parametrize("deinterlace", ["weave", "bob"])
def test_a_field_that_is_lost_never_makes_frames_of_two_pictures(deinterlace, own_gateway, http, tmp_path):
    shown = picture("mono8", 4, clips.ROWS, clips.COLUMNS)
    raw = FIELDS["alternate"](shown).tobytes()
    keys = {"format": "GREY", "width": clips.COLUMNS, "height": clips.ROWS, "fields": "alternate", "rate": 20.0}
    # The second field of picture 1, the first one of 3, both of 5; the first one of 7 is bad.
    faults = {"lose": [3, 6, 10, 11], "corrupt": [14]}
    device = f"replay:{clips.write(tmp_path, 'fields', raw, **keys, **faults)}"
    gateway = own_gateway(access=OPERATE, capture__room={"device": device, "pixels": "grey", "deinterlace": deinterlace})
    instances = [part10_of(body) for body in first(gateway, http, "room", 8)]
    numbers = [int(one.InstanceNumber) for one in instances]
    if deinterlace == "weave":
        assert numbers == [1, 3, 5, 7, 9, 10, 11, 12]
        assert all(np.array_equal(pixel_array(one), shown[(n - 1) % 4]) for n, one in zip(numbers, instances))
    else:
        # A field that comes alone stands for the first one: the gap is where it is, and as long.
        assert numbers == [1, 2, 3, 5, 6, 7, 9, 10]
        fields = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 1), (4, 0), (4, 1)]
        for one, (nth, parity) in zip(instances, fields):
            assert np.array_equal(pixel_array(one), np.repeat(shown[nth % 4][parity::2], 2, axis=0))


def part10_of(body: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(body))


def test_what_is_lost_or_spoilt_is_a_gap_and_counted(own_gateway, http, tmp_path):
    shown = picture("mono8", 7, clips.ROWS, clips.COLUMNS)
    keys = {"format": "GREY", "width": clips.COLUMNS, "height": clips.ROWS, "rate": 40.0}
    faults = {"lose": [3, 4], "corrupt": [6], "truncate": [8]}
    device = f"replay:{clips.write(tmp_path, 'faults', shown.tobytes(), **keys, **faults)}"
    gateway = own_gateway(access=OPERATE, capture__room={"device": device, "pixels": "grey"})
    instances = [part10_of(body) for body in first(gateway, http, "room", 8)]
    assert [int(one.InstanceNumber) for one in instances] == [1, 2, 3, 6, 8, 10, 11, 12]
    begun = None
    for one in instances:
        place = int(one.InstanceNumber) - 1
        assert np.array_equal(pixel_array(one), shown[place % 7]), place
        # The stamps are those of the deadlines, whatever was lost between.
        begun = begun or captured_at(one)
        assert abs(captured_at(one) - begun - place / 40) < 1e-3, place
    room = r'\{capture="room"'
    assert gateway.metric(f"capture_frames_lost_total{room}") == 2
    for reason in ("corrupt", "truncated"):
        assert gateway.metric(rf'capture_frames_dropped_total{room},reason="{reason}"') == 1


def grey_clip(folder: Path, name: str, frames: np.ndarray, rate: float) -> str:
    path = clips.write(folder, name, frames.tobytes(), format="GREY", width=clips.COLUMNS, height=clips.ROWS, rate=rate)
    return f"replay:{path}"


def captured_at(instance: pydicom.FileDataset) -> float:
    return datetime.datetime.strptime(instance.AcquisitionDateTime, "%Y%m%d%H%M%S.%f%z").timestamp()


def test_frames_that_do_not_change_are_left_out_without_a_gap(own_gateway, http, tmp_path):
    shown = picture("mono8", 3, clips.ROWS, clips.COLUMNS)
    device = grey_clip(tmp_path, "changes", shown[[0, 0, 0, 1, 1, 2]], 40.0)
    still = grey_clip(tmp_path, "still", shown[:1], 40.0)
    common = {"pixels": "grey", "changes_only": True}
    gateway = own_gateway(
        access=OPERATE,
        capture__room={"device": device, "keep_alive_ms": 600_000, **common},
        capture__still={"device": still, "keep_alive_ms": 200, **common},
    )
    instances = [part10_of(body) for body in first(gateway, http, "room", 7)]
    for number, instance in enumerate(instances, 1):
        assert instance.InstanceNumber == number
        assert np.array_equal(pixel_array(instance), shown[(number - 1) % 3]), number
    instances = [part10_of(body) for body in first(gateway, http, "still", 4)]
    assert [int(one.InstanceNumber) for one in instances] == [1, 2, 3, 4]
    for before, after in itertools.pairwise(instances):
        # As captured, but for one frame that may have waited for the thread.
        assert captured_at(after) - captured_at(before) > 0.15


def test_a_series_lasts_as_long_as_the_picture_moves(own_gateway, http, tmp_path):
    # A second of movement, then two and a half without.
    moving = picture("mono8", 20, clips.ROWS, clips.COLUMNS)
    device = grey_clip(tmp_path, "activity", moving[[*range(20), *[19] * 50]], 20.0)
    room = {"device": device, "pixels": "grey", "series": "activity", "activity_quiet_seconds": 1}
    gateway = own_gateway(access=OPERATE, capture__room=room)
    ends = []
    for _ in range(2):
        shown = wait_for(
            lambda: (s := look(gateway, http, "room"))["series"] and s["series"] not in dict(ends) and s, "a series"
        )
        read = LiveRead(gateway, f"/studies/{shown['study']}/series/{shown['series']}")
        instances = [part10_of(part.body) for part in read.rest()]
        ends.append((shown["series"], shown["study"]))
        assert [int(one.InstanceNumber) for one in instances] == list(range(1, len(instances) + 1))
        still = [one for one in instances if np.array_equal(pixel_array(one), moving[19])]
        assert len(instances) - len(still) >= 15
        # Quiet for a second, by the frames' own times, and not much longer.
        assert 0.8 < captured_at(still[-1]) - captured_at(still[0]) < 1.3
    (one, study), (other, same) = ends
    assert one != other and study == same


def test_a_clip_that_cannot_be_played_says_why(own_gateway, http, tmp_path):
    path = clips.write(tmp_path, "short", bytes(7), format="GREY", width=4, height=2)
    gateway = own_gateway(access=OPERATE, capture__room={"device": f"replay:{path}"})
    shown = wait_for(lambda: look(gateway, http, "room")["advice"] and look(gateway, http, "room"), "it is told")
    assert shown["state"] == "unusable" and "short.raw: has 7 bytes" in shown["advice"]
    # Mended, it plays.
    (tmp_path / "short.raw").write_bytes(bytes(8))
    assert part10_of(first(gateway, http, "room", 1)[0]).Rows == 2


def test_who_is_imaged_is_whom_the_operator_says(own_gateway, http, tmp_path):
    gateway = own_gateway(access=OPERATE, capture__room={"device": clips.grey(tmp_path).device, "pixels": "grey"})
    room = f"{gateway.base}/operations/captures/room"
    studies: list[str] = []

    def imaged(provider: str) -> pydicom.Dataset:
        """An instance of a study that was not there before, whose patient is from this provider."""

        def begun() -> bool:
            shown = look(gateway, http, "room")
            return shown["study"] not in ("", *studies) and shown["context"]["PatientID"] == provider

        wait_for(begun, f"a study begins, by {provider}")
        path = tmp_path / "instance.dcm"
        path.write_bytes(first(gateway, http, "room", 1)[0])
        assert errors(path, tmp_path) == set()
        dataset = pydicom.dcmread(path)
        studies.append(dataset.StudyInstanceUID)
        return dataset

    assert imaged("generated").PatientName == "Unidentified^"
    said = pydicom.Dataset()
    said.PatientName, said.PatientID, said.IssuerOfPatientID = "Doe^Jane", "4711", "HOSP"
    said.AccessionNumber, said.AdmissionID, said.StudyInstanceUID = "A1", "V1", "1.2.840.99999.7"
    put = http.put(f"{room}/patient", data=said.to_json(), headers={"Content-Type": "application/dicom+json"})
    assert put.status_code == 204, put.text
    instance = imaged("operator")
    for element in said:
        assert instance[element.tag].value == element.value, element.keyword
    assert http.post(f"{room}/emergency").status_code == 200
    instance = imaged("operator")
    assert instance.PatientName == "Emergency^" and instance.PatientID.startswith("FG-E-")
    assert "IssuerOfPatientID" not in instance and instance.AccessionNumber == ""
    assert http.delete(f"{room}/patient").status_code == 204
    assert imaged("generated").PatientID.startswith("FG-2")
    audit = [line for line in gateway.output.splitlines() if "framegate::audit" in line and "the context changes" in line]
    assert len(audit) == 6 and all('capture="room"' in line for line in audit), audit
    assert sum('change="patient"' in line for line in audit) == 3, audit
    for said in ("set patient", "emergency", "withdraw patient"):
        assert sum(f'change="{said}"' in line for line in audit) == 1, audit
    assert not any(secret in gateway.output for secret in ("Doe", "4711", "FG-"))
