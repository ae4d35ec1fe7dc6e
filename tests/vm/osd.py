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


def sequence(picture: numpy.ndarray) -> int:
    """The number in a picture of brightness (rows, columns) of any depth; fails where there is none."""
    area = picture[TOP : TOP + HEIGHT, LEFT : LEFT + 40 * WIDTH].astype(float)
    bright = area > (area.min() + area.max()) / 2
    digits = ""
    for at in range(BEFORE, 40):
        cell = bright[:, at * WIDTH : (at + 1) * WIDTH]
        digit = GLYPHS.get(int("".join("1" if bit else "0" for bit in cell.flat), 2))
        if digit is None:
            break
        digits += digit
    assert digits, "there is no frame number in this picture"
    return int(digits)
