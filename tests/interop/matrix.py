"""Which objects the matrix is made of: SOP classes, pixels, transfer syntaxes, encapsulation."""

from __future__ import annotations

from objects import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR,
    NAMES,
    NATIVE,
    RLE,
    Recipe,
)

FRAMES = 3
PIXELS = {
    "xa": ["mono8", "mono12", "mono16"],
    "us": ["mono8", "rgb", "rgb-planar"],
    "sc": ["mono8", "mono16", "rgb", "rgb-planar"],
    "enhanced-xa": ["mono8", "mono12", "mono16"],
}


def _possible(family: str, pixels: str, multi: bool, syntax: str) -> bool:
    if syntax == JPEG_BASELINE and pixels in ("mono12", "mono16"):
        return False  # 8 bits only (PS3.5 8.2.1)
    if syntax == JPEG_EXTENDED and pixels != "mono12":
        return False
    if pixels == "rgb-planar" and (syntax not in NATIVE or (family == "sc" and multi)):
        return False  # encoders interleave; Multi-frame True Color SC wants Planar Configuration 0
    return True


def _plain() -> list[Recipe]:
    return [
        Recipe(family, pixels, syntax, FRAMES if multi else 1, multi)
        for family, formats in PIXELS.items()
        for pixels in formats
        for multi in ([True] if family == "enhanced-xa" else [False, True])
        for syntax in NAMES
        if _possible(family, pixels, multi, syntax)
    ]


def _layouts() -> list[Recipe]:
    """Fragments and offset tables in every way that PS3.5 A.4 allows."""
    out = []
    for syntax in (JPEG_BASELINE, JPEG_LOSSLESS_SV1, JPEG_LS_LOSSLESS, JPEG_LS_NEAR, JPEG_2000_LOSSLESS, JPEG_2000):
        for layout in ("empty-bot", "split-bot", "split-empty-bot", "extended"):
            out.append(Recipe("xa", "mono8", syntax, 5, True, layout))
            out.append(Recipe("xa", "mono8", syntax, 1, False, layout))
    for layout in ("empty-bot", "extended"):  # RLE has one fragment a frame
        out.append(Recipe("xa", "mono8", RLE, 5, True, layout))
        out.append(Recipe("xa", "mono8", RLE, 1, False, layout))
    out.append(Recipe("enhanced-xa", "mono12", JPEG_LOSSLESS_SV1, 5, True, "split-empty-bot"))
    out.append(Recipe("us", "rgb", JPEG_BASELINE, 5, True, "split-empty-bot"))
    return out


def _odd_sizes() -> list[Recipe]:
    """Frames of an odd number of bytes: every second one starts at an odd offset, each instance
    needs its own padding, and Big Endian words reach across frames."""
    return [
        Recipe(family, pixels, syntax, 4 if multi else 1, multi, rows=31, columns=33)
        for family, pixels in (("xa", "mono8"), ("us", "rgb"))
        for multi in (False, True)
        for syntax in (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED, RLE)
    ]


RECIPES = _plain() + _layouts() + _odd_sizes()
