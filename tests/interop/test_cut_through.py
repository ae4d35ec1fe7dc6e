"""A frame leaves before the next but one has arrived. The sender goes on only after the reader has
what was sent, so that the order of events proves it and no clock is needed."""

from __future__ import annotations

import pytest
from pydicom.encaps import generate_fragments

from association import Association
from live import open_when_there, part10
from objects import EXPLICIT_LE, JPEG_LOSSLESS_SV1, JPEG_LS_LOSSLESS, RLE, Recipe, Source, build

FRAMES = 10


def pieces(source: Source) -> list[bytes]:
    """The dataset cut so that piece k ends with the last byte of frame k (counted from 1); piece 0
    is everything before Pixel Data's first frame."""
    dataset = source.dataset_bytes()
    value = source.dataset.PixelData
    start = dataset.index(value)
    out = [dataset[:start]]
    if source.recipe.encapsulated:
        # Items: the Basic Offset Table first, then one fragment per frame, each with 8 bytes ahead.
        fragments = list(generate_fragments(value))
        table, frames = fragments[0], fragments[1:]
        assert len(frames) == source.recipe.frames
        out[0] += value[: 8 + len(table)]
        at = start + 8 + len(table)
        sizes = [8 + len(fragment) for fragment in frames]
    else:
        at = start
        sizes = [len(value) // source.recipe.frames] * source.recipe.frames
    for size in sizes:
        out.append(dataset[at : at + size])
        at += size
    # The Sequence Delimitation Item, if any, ends the last frame.
    out[-1] += dataset[at:]
    assert b"".join(out) == dataset
    return out


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("xa", "mono12", EXPLICIT_LE, FRAMES, True, rows=200, columns=256),
        Recipe("us", "rgb", EXPLICIT_LE, FRAMES, True, rows=101, columns=103),
        Recipe("enhanced-xa", "mono8", EXPLICIT_LE, FRAMES, True, rows=128, columns=128),
        Recipe("xa", "mono8", JPEG_LOSSLESS_SV1, FRAMES, True),
        Recipe("xa", "mono8", JPEG_LOSSLESS_SV1, FRAMES, True, "empty-bot"),
        Recipe("xa", "mono16", JPEG_LS_LOSSLESS, FRAMES, True, "extended"),
        Recipe("us", "rgb", RLE, FRAMES, True, "empty-bot"),
        Recipe("enhanced-xa", "mono12", JPEG_LS_LOSSLESS, FRAMES, True, "empty-bot"),
    ],
    ids=lambda recipe: recipe.name,
)
@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_frame_is_out_before_the_next_but_one_is_in(gateway, recipe, http2, tmp_path):
    source = build(recipe, tmp_path)
    head, *frames = pieces(source)
    sender = Association(gateway.dimse, source.dataset.SOPClassUID, [recipe.syntax])
    assert sender.transfer_syntax == recipe.syntax
    sender.begin_store(source.dataset.SOPClassUID, source.dataset.SOPInstanceUID)
    sender.data(head + frames[0] + frames[1])
    path = f"/studies/{source.study}/series/{source.series}"
    reader = open_when_there(gateway, path, http2=http2)
    received = []
    for frame in frames[2:]:
        # Frames up to k + 1 are in; frame k must come out before k + 2 is sent.
        received.append(reader.next_instance())
        sender.data(frame, last=frame is frames[-1])
    received += [reader.next_instance(), reader.next_instance()]
    assert [one.InstanceNumber for one in received] == list(range(1, FRAMES + 1))
    assert sender.status() == 0x0000
    sender.release()
    assert reader.rest() == [], "nothing but the closing boundary is left"


def test_one_byte_short_is_not_a_frame(gateway, tmp_path):
    """Native frames need no look at what follows: the last byte of a frame releases it, and not
    the one before."""
    recipe = Recipe("xa", "mono8", EXPLICIT_LE, 3, True)
    source = build(recipe, tmp_path)
    head, first, second, third = pieces(source)
    sender = Association(gateway.dimse, source.dataset.SOPClassUID, [EXPLICIT_LE])
    sender.begin_store(source.dataset.SOPClassUID, source.dataset.SOPInstanceUID)
    sender.data(head + first + second[:-1])
    reader = open_when_there(gateway, f"/studies/{source.study}/series/{source.series}")
    assert reader.next_instance().InstanceNumber == 1
    assert not reader.arrived()
    sender.data(second[-1:])
    assert reader.next_instance().InstanceNumber == 2
    sender.data(third, last=True)
    assert sender.status() == 0x0000
    sender.release()
    [last] = reader.rest()
    assert part10(last).InstanceNumber == 3
