"""Two gateways in a row: a modality C-STOREs to A, A pushes by Send or Store to B, an application
reads from B by WADO-RS. What B gives is, byte for byte, what A would; and a frame is out of B before
the next but one has reached A."""

from __future__ import annotations

import pydicom
import pytest

from association import Association
from gateway import wait_for
from live import LiveRead, open_when_there
from objects import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE,
    Recipe,
    build,
)
from scu import store_all
from test_cut_through import FRAMES, pieces

RECIPES = [
    Recipe("xa", "mono12", EXPLICIT_LE),
    Recipe("xa", "mono12", EXPLICIT_LE, 3, True),
    Recipe("us", "rgb", IMPLICIT_LE, 3, True),
    Recipe("us", "rgb", JPEG_BASELINE, 3, True),
    Recipe("xa", "mono16", JPEG_LOSSLESS_SV1, 3, True),
    Recipe("xa", "mono16", JPEG_LS_LOSSLESS),
    Recipe("sc", "rgb", RLE, 3, True),
    Recipe("sc", "mono8", JPEG_2000_LOSSLESS),
    Recipe("enhanced-xa", "mono12", EXPLICIT_LE, 3, True),
]


@pytest.fixture(scope="module")
def chain(program, authority, tmp_path_factory):
    """Starts B, and an A that pushes everything to B: `chain(mode)`."""
    import gateway as gateways

    started = []
    known = {}

    def start(mode: str):
        if mode not in known:
            folder = tmp_path_factory.mktemp(f"chain-{mode}")
            b = gateways.Gateway(program, folder / "b", authority)
            destination = {"url": b.base, "mode": mode, "ca": str(authority.ca)}
            standing = {"search": "/series", "subscriber": "B", "destination": "b"}
            sections = {"destination.b": destination, "subscription.b": standing}
            a = gateways.Gateway(program, folder / "a", authority, **sections)
            started.extend([a, b])
            known[mode] = (a, b)
        return known[mode]

    yield start
    for one in started:
        assert one.stop() == 0, one.output


def parts_of(gateway, source) -> list[bytes]:
    path = f"/studies/{source.study}/series/{source.series}"
    return [part.body for part in open_when_there(gateway, path).rest()]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("mode", ["send", "store", "send-then-store"])
def test_instances_are_the_same_behind_two_gateways(chain, objects_folder, mode, recipe):
    a, b = chain(mode)
    source = build(recipe, objects_folder)
    store_all(a.dimse, source.path)
    whole = parts_of(a, source)
    assert len(whole) == recipe.frames
    path = f"/studies/{source.study}/series/{source.series}/metadata"

    def all_there() -> bool:
        try:
            return len(LiveRead(b, path.removesuffix("/metadata")).rest()) == recipe.frames
        except Exception:  # not there yet
            return False

    wait_for(all_there, "B has all of it")
    behind = parts_of(b, source)

    def dataset(part: bytes) -> bytes:
        """Behind the File Meta Information, which names who wrote it."""
        file = pydicom.filebase.DicomBytesIO(part)
        pydicom.filereader.read_preamble(file, False)
        pydicom.filereader._read_file_meta_info(file)
        return part[file.tell() :]

    assert [dataset(part) for part in behind] == [dataset(part) for part in whole]


@pytest.mark.parametrize("recipe", [
    Recipe("xa", "mono12", EXPLICIT_LE, FRAMES, True, rows=200, columns=256),
    Recipe("us", "rgb", RLE, FRAMES, True, "empty-bot"),
], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("mode", ["send", "store"])
def test_a_frame_is_out_of_b_before_the_next_but_one_is_in_a(chain, tmp_path, mode, recipe):
    a, b = chain(mode)
    source = build(recipe, tmp_path)
    head, *frames = pieces(source)
    sender = Association(a.dimse, source.dataset.SOPClassUID, [recipe.syntax])
    sender.begin_store(source.dataset.SOPClassUID, source.dataset.SOPInstanceUID)
    sender.data(head + frames[0] + frames[1])
    reader = open_when_there(b, f"/studies/{source.study}/series/{source.series}")
    for number, frame in enumerate(frames[2:], start=1):
        # Frames up to number + 1 are in A; frame `number` must come out of B before more is sent.
        assert reader.next_instance().InstanceNumber == number
        sender.data(frame, last=number + 2 == recipe.frames)
    assert sender.status() == 0
    sender.release()
    assert len(reader.rest()) == 2
