"""Reads what vivid draws into its pictures: ` HH:MM:SS:mmm N`, where N is the driver's sequence number of
the frame, in a font of 8 × 16 pixels from row 16 and column 16 on."""

from __future__ import annotations

import numpy

LEFT, TOP, WIDTH, HEIGHT = 16, 16, 8, 16
# Characters before the number.
BEFORE = 14

# A glyph as bits, row by row from the top, the left pixel first; taken from frames whose numbers
# `v4l2-ctl --verbose` told.
GLYPHS = {
    0x0000386CC6C6D6D6C6C66C3800000000: "0",
    0x00001838781818181818187E00000000: "1",
    0x00007CC6060C183060C0C6FE00000000: "2",
    0x00007CC606063C060606C67C00000000: "3",
    0x00000C1C3C6CCCFE0C0C0C1E00000000: "4",
    0x0000FEC0C0C0FC060606C67C00000000: "5",
    0x00003860C0C0FCC6C6C6C67C00000000: "6",
    0x0000FEC606060C183030303000000000: "7",
    0x00007CC6C6C67CC6C6C6C67C00000000: "8",
    0x00007CC6C6C67E0606060C7800000000: "9",
}


def _lines(glyph: int) -> tuple[int, ...]:
    return tuple(glyph.to_bytes(HEIGHT, "big"))


def sequence(picture: numpy.ndarray) -> int:
    """The number in a picture of brightness (rows, columns) of any depth; fails where there is none."""
    return _read(picture[TOP : TOP + HEIGHT], {_lines(glyph): digit for glyph, digit in GLYPHS.items()})


def sequence_and_field(picture: numpy.ndarray) -> tuple[int, int]:
    """The same of a field whose lines were doubled, and which field it is: 0 the top one, 1 the other."""
    lines = picture[TOP : TOP + HEIGHT : 2]
    for field in (0, 1):
        glyphs = {_lines(glyph)[field::2]: digit for glyph, digit in GLYPHS.items()}
        try:
            return _read(lines, glyphs), field
        except AssertionError:
            pass
    raise AssertionError("there is no frame number in this field")


def _read(lines: numpy.ndarray, glyphs: dict[tuple[int, ...], str]) -> int:
    area = lines[:, LEFT : LEFT + 40 * WIDTH].astype(float)
    bright = area > (area.min() + area.max()) / 2
    rows = numpy.packbits(bright, axis=1)
    digits = ""
    for at in range(BEFORE, 40):
        digit = glyphs.get(tuple(int(row) for row in rows[:, at]))
        if digit is None:
            break
        digits += digit
    assert digits, "there is no frame number in this picture"
    return int(digits)
