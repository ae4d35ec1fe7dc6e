"""Clips: files of frames in the formats of capture devices, with what they show, for `device =
"replay:…"`. The reference conversions are the equations of BT.601 and BT.709 in floating point."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

from objects import EXPLICIT_LE, Recipe, dataset, picture

ROWS, COLUMNS, FRAMES = 48, 64, 4


@dataclasses.dataclass
class Clip:
    """A clip on disk."""

    path: Path
    # What becomes of its buffers, frames first.
    shown: np.ndarray
    # How far a lossless instance may be off (code values): conversion of colour rounds.
    off: int = 0

    @property
    def device(self) -> str:
        return f"replay:{self.path}"


def write(folder: Path, name: str, raw: bytes, **keys) -> Path:
    """The two files of a clip."""
    (folder / f"{name}.raw").write_bytes(raw)
    keys = {"file": f"{name}.raw", "rate": 10.0, **keys}
    path = folder / f"{name}.toml"
    # Scalars and lists of TOML are written as in JSON.
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
    return path


def full_range(luma: np.ndarray) -> np.ndarray:
    """8-bit luma of limited range as grey."""
    return np.floor((np.clip(luma, 16, 235).astype(float) - 16) * 255 / 219 + 0.5).astype(np.uint8)


def rgb_of(ycbcr: np.ndarray) -> np.ndarray:
    """BT.709 of limited range as RGB, not yet rounded."""
    y = (ycbcr[..., 0].astype(float) - 16) / 219
    cb, cr = ((ycbcr[..., part].astype(float) - 128) / 224 for part in (1, 2))
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)


def _planes() -> np.ndarray:
    """Pictures as Y, Cb, Cr, each pair of columns with one colour."""
    y, cb, cr = np.moveaxis(picture("rgb", FRAMES, ROWS, COLUMNS), -1, 0)
    halved = [np.repeat(part[..., ::2], 2, axis=-1) for part in (cb, cr)]
    return np.stack([y, *halved], axis=-1)


def _yuyv(planes: np.ndarray) -> bytes:
    out = np.empty((*planes.shape[:-1], 2), np.uint8)
    out[..., 0] = planes[..., 0]
    out[..., ::2, 1], out[..., 1::2, 1] = planes[..., ::2, 1], planes[..., 1::2, 2]
    return out.tobytes()


def grey(folder: Path) -> Clip:
    """Luma of YUYV, limited range, lines padded."""
    planes = _planes()
    lines = np.frombuffer(_yuyv(planes), np.uint8).reshape(FRAMES, ROWS, -1)
    raw = np.pad(lines, ((0, 0), (0, 0), (0, 32)), constant_values=0xEE).tobytes()
    stride = COLUMNS * 2 + 32
    path = write(folder, "grey", raw, format="YUYV", width=COLUMNS, height=ROWS, stride=stride, matrix="bt709")
    return Clip(path, full_range(planes[..., 0]))


def odd(folder: Path) -> Clip:
    """Grey as it is, of an odd number of bytes."""
    shown = picture("mono8", FRAMES, 31, 33)
    path = write(folder, "odd", shown.tobytes(), format="GREY", width=33, height=31)
    return Clip(path, shown)


def deep(folder: Path, bits: int) -> Clip:
    """Grey of 10, 12 or 16 bits."""
    shown = picture("mono16", FRAMES, ROWS, COLUMNS) >> (16 - bits)
    path = write(folder, f"y{bits}", shown.astype("<u2").tobytes(), format=f"Y{bits}", width=COLUMNS, height=ROWS)
    return Clip(path, shown)


def rgb(folder: Path) -> Clip:
    """RGB as it is."""
    shown = picture("rgb", FRAMES, ROWS, COLUMNS)
    path = write(folder, "rgb", shown.tobytes(), format="RGB3", width=COLUMNS, height=ROWS)
    return Clip(path, shown)


def color(folder: Path) -> Clip:
    """Colour of YUYV, BT.709, limited range."""
    planes = _planes()
    path = write(folder, "color", _yuyv(planes), format="YUYV", width=COLUMNS, height=ROWS, matrix="bt709")
    return Clip(path, np.rint(rgb_of(planes)).astype(np.uint8), off=1)


def _without_huffman_tables(jpeg: bytes) -> bytes:
    """As many devices send their pictures."""
    out, at = bytearray(jpeg[:2]), 2
    while jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != 0xC4:
            out += jpeg[at : at + length]
        at += length
    return bytes(out + jpeg[at:])


def _softly_coloured() -> np.ndarray:
    """RGB whose colour hardly changes from column to column: what lies between two samples of 4:2:2 is
    every decoder's own choice."""
    luma = 40 + picture("mono8", FRAMES, ROWS, COLUMNS).astype(float) * 0.6
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    cb, cr = 20 - x * 0.3, y * 0.4 - 10
    parts = [luma + 1.402 * cr, luma - 0.344 * cb - 0.714 * cr, luma + 1.772 * cb]
    return np.rint(np.stack(parts, axis=-1)).astype(np.uint8)


def mjpeg(folder: Path) -> Clip:
    """JPEG pictures by DCMTK, 4:2:2, with the standard Huffman tables, which are then left out."""
    recipe = Recipe("us", "rgb", EXPLICIT_LE, FRAMES, True)
    native, encoded = folder / "mjpeg.native.dcm", folder / "mjpeg.dcm"
    dataset(recipe, _softly_coloured()).save_as(native, enforce_file_format=True)
    subprocess.run(["dcmcjpeg", "+eb", "+q", "90", "-ho", native, encoded], check=True)
    made = pydicom.dcmread(encoded)
    pictures = [_without_huffman_tables(one) for one in generate_frames(made.PixelData, number_of_frames=FRAMES)]
    # An even length may be one of padding.
    pictures = [one[: one.rindex(b"\xff\xd9") + 2] for one in pictures]
    lengths = [len(one) for one in pictures]
    raw = b"".join(pictures)
    path = write(folder, "mjpeg", raw, format="MJPG", width=COLUMNS, height=ROWS, lengths=lengths)
    return Clip(path, pixel_array(made, decoding_plugin="pylibjpeg"), off=3)
