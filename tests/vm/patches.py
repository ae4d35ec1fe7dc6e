"""A picture of known patches, as the bytes of every format, and what must become of it: the conversion of
BT.601 and BT.709 as they are written, in floating point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

WIDTH, HEIGHT, SIDE = 640, 480, 20
COUNT = (WIDTH // SIDE) * (HEIGHT // SIDE)
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
DEEP = {"Y10 ": 10, "Y12 ": 12, "Y16 ": 16}
RGB = ("RGB3", "BGR3", "XR24", "BX24")
YCBCR = ("YUYV", "UYVY", "NV12", "NV16", "NM12", "NM16")
FORMATS = (*YCBCR, "GREY", *DEEP, *RGB)


def _colours() -> numpy.ndarray:
    """Three code values of each patch: all greys, a cube with the primaries in its corners, the ends of
    limited range, and whatever else there is room for."""
    greys = [(level, 128, 128) for level in range(256)]
    steps = (0, 64, 128, 192, 255)
    cube = [(one, two, three) for one in steps for two in steps for three in steps]
    ends = [(one, two, three) for one in (15, 16, 235, 236) for two in (16, 240) for three in (16, 240)]
    # BT.601 and BT.709 of red, green, blue, cyan, magenta and yellow in limited range.
    primaries = [(81, 90, 240), (145, 54, 34), (41, 240, 110), (170, 166, 16), (106, 202, 222), (210, 16, 146)]
    primaries += [(63, 102, 240), (173, 42, 26), (32, 240, 118), (188, 154, 16), (78, 214, 230), (219, 16, 138)]
    listed = greys + cube + ends + primaries
    other = numpy.random.default_rng(709).integers(0, 256, (COUNT - len(listed), 3))
    return numpy.concatenate([numpy.array(listed), other])


def _deep(bits: int) -> numpy.ndarray:
    """Values of each patch from one end to the other, with those of limited range."""
    values = numpy.linspace(0, (1 << bits) - 1, COUNT).astype(int)
    unit = 1 << (bits - 8)
    values[1:5] = (16 * unit - 1, 16 * unit, 235 * unit, 235 * unit + 1)
    return values


def _picture(patches: numpy.ndarray) -> numpy.ndarray:
    """Every patch as a square of the picture."""
    grid = patches.reshape(HEIGHT // SIDE, WIDTH // SIDE, *patches.shape[1:])
    return grid.repeat(SIDE, axis=0).repeat(SIDE, axis=1)


def codes(fourcc: str) -> numpy.ndarray:
    """The code values of the picture: one a pixel, or three."""
    if fourcc in DEEP:
        return _picture(_deep(DEEP[fourcc]))
    colours = _colours()
    if fourcc == "GREY":
        return _picture(colours[:, 0])
    if fourcc in RGB:
        # What is grey in RGB.
        colours[:256] = numpy.arange(256)[:, None]
    return _picture(colours)


def raw(fourcc: str) -> bytes:
    """The bytes of the picture in a format, its planes one after the other, as v4l2-ctl sends them."""
    picture = codes(fourcc)
    if fourcc in DEEP:
        return picture.astype("<u2").tobytes()
    picture = picture.astype(numpy.uint8)
    if fourcc == "GREY":
        return picture.tobytes()
    one, two, three = (picture[:, :, at] for at in range(3))
    nothing = numpy.full_like(one, 0xAA)
    pairs = numpy.stack([two[:, ::2], three[:, ::2]], axis=2)
    match fourcc:
        case "YUYV":
            return numpy.stack([one[:, ::2], pairs[:, :, 0], one[:, 1::2], pairs[:, :, 1]], axis=2).tobytes()
        case "UYVY":
            return numpy.stack([pairs[:, :, 0], one[:, ::2], pairs[:, :, 1], one[:, 1::2]], axis=2).tobytes()
        case "NV12" | "NM12":
            return one.tobytes() + pairs[::2].tobytes()
        case "NV16":
            return one.tobytes() + pairs.tobytes()
        case "NM16":
            # vivid's first plane is longer than the picture in it.
            return one.tobytes() + bytes(128) + pairs.tobytes()
        case "RGB3":
            return picture.tobytes()
        case "BGR3":
            return picture[:, :, ::-1].tobytes()
        case "XR24":
            return numpy.stack([three, two, one, nothing], axis=2).tobytes()
        case "BX24":
            return numpy.stack([nothing, one, two, three], axis=2).tobytes()
    raise AssertionError(fourcc)


@dataclass(frozen=True)
class Meaning:
    """How code values are to be understood."""

    matrix: str
    limited: bool


def _rounded(values: numpy.ndarray, most: int) -> numpy.ndarray:
    return numpy.clip(numpy.floor(values + 0.5), 0, most).astype(int)


def _luma(values: numpy.ndarray, limited: bool, bits: int = 8) -> numpy.ndarray:
    """To all code values, where 16 to 235 are used; not rounded."""
    most, unit = (1 << bits) - 1, 1 << (bits - 8)
    return (values - 16 * unit) * most / (219 * unit) if limited else values.astype(float)


def grey(fourcc: str, meaning: Meaning) -> numpy.ndarray:
    """What the picture is in MONOCHROME2."""
    picture, bits = codes(fourcc), DEEP.get(fourcc, 8)
    if fourcc in RGB:
        kr, kb = WEIGHTS[meaning.matrix]
        red, green, blue = (_luma(picture[:, :, at], meaning.limited) for at in range(3))
        return _rounded(kr * red + (1 - kr - kb) * green + kb * blue, 255)
    luma = picture if picture.ndim == 2 else picture[:, :, 0]
    return _rounded(_luma(luma, meaning.limited, bits), (1 << bits) - 1)


def colour(fourcc: str, meaning: Meaning) -> numpy.ndarray:
    """What the picture is in RGB."""
    picture = codes(fourcc)
    if fourcc in RGB:
        return _rounded(_luma(picture, meaning.limited), 255)
    kr, kb = WEIGHTS[meaning.matrix]
    kg = 1 - kr - kb
    luma = _luma(picture[:, :, 0], meaning.limited)
    cb, cr = ((picture[:, :, at] - 128) * (255 / 224 if meaning.limited else 1) for at in (1, 2))
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = luma - 2 * (1 - kb) * kb / kg * cb - 2 * (1 - kr) * kr / kg * cr
    return _rounded(numpy.stack([red, green, blue], axis=2), 255)


def is_grey(fourcc: str) -> numpy.ndarray:
    """Which pixels have no colour."""
    picture = codes(fourcc)
    if picture.ndim == 2:
        return numpy.full(picture.shape, True)
    if fourcc in RGB:
        return (picture == picture[:, :, :1]).all(axis=2)
    return (picture[:, :, 1:] == 128).all(axis=2)
