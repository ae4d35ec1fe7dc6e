"""With the relay between them, two peers see what they see without it. Everything here is run once
directly and once with the gateway between, by tools that are not ours: what upstream got, what the
modality was told, and every byte on the wire are equal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import dcmtk
from conftest import tool
from inline import ROUTES, Route
from objects import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE,
    Recipe,
    build,
    dataset,
)
from scu import store

# How storescu is told to propose a transfer syntax.
PROPOSE = {
    EXPLICIT_LE: "-xe",
    EXPLICIT_BE: "-xb",
    IMPLICIT_LE: "-xi",
    DEFLATED: "-xd",
    JPEG_BASELINE: "-xy",
    JPEG_LOSSLESS_SV1: "-xs",
    JPEG_LS_LOSSLESS: "-xt",
    JPEG_2000_LOSSLESS: "-xv",
    RLE: "-xr",
}
RECIPES = [
    Recipe("xa", "mono12", EXPLICIT_LE, 3, True),
    Recipe("us", "rgb", EXPLICIT_BE),
    Recipe("us", "rgb", IMPLICIT_LE, 3, True),
    Recipe("xa", "mono16", DEFLATED, 3, True),
    Recipe("us", "rgb", JPEG_BASELINE, 3, True),
    Recipe("xa", "mono16", JPEG_LOSSLESS_SV1, 3, True, "split-empty-bot"),
    Recipe("enhanced-xa", "mono12", JPEG_LS_LOSSLESS, 3, True),
    Recipe("sc", "mono8", JPEG_2000_LOSSLESS),
    Recipe("sc", "rgb", RLE, 3, True),
]
TITLES = ["-aet", "XA1", "-aec", "PACS"]


def said(done) -> tuple[int, str]:
    """Exit status and what a tool printed, without the port that it called."""
    return done.returncode, re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1", done.stdout)


def storescu(route: Route, *arguments: object) -> tuple[int, str]:
    return said(tool("storescu", "-v", *TITLES, *route.host_and_port, *arguments))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_storescu(inline, recipe, objects_folder, tmp_path):
    source = build(recipe, objects_folder)
    seen = {}
    for name in ROUTES:
        with dcmtk.storescp(tmp_path / name) as upstream, inline.route(name, upstream) as route:
            seen[name] = storescu(route, PROPOSE[recipe.syntax], source.path), dcmtk.stored(tmp_path / name)
            route.same_bytes()
    (status, text), kept = seen["direct"]
    assert status == 0 and "Received Store Response (Success)" in text
    assert len(kept) == 1
    assert seen["relay"] == seen["direct"]


def test_dcmsend_with_many_objects_in_one_association(inline, objects_folder, tmp_path):
    paths = [build(recipe, objects_folder).path for recipe in RECIPES]
    seen = {}
    for name in ROUTES:
        with dcmtk.storescp(tmp_path / name) as upstream, inline.route(name, upstream) as route:
            done = tool("dcmsend", "-v", *TITLES, "--decompress-never", *route.host_and_port, *paths)
            seen[name] = said(done), dcmtk.stored(tmp_path / name)
            route.same_bytes()
    assert len(seen["direct"][1]) == len(paths)
    assert seen["relay"] == seen["direct"]


def test_pynetdicom_sends_the_bytes_of_the_file(inline, objects_folder, tmp_path):
    # DCMTK deflates to an odd length, which its own storescp will not have.
    sources = [build(recipe, objects_folder) for recipe in RECIPES if recipe.syntax != DEFLATED]
    sent = sorted(source.dataset_bytes() for source in sources)
    for name in ROUTES:
        with dcmtk.storescp(tmp_path / name) as upstream, inline.route(name, upstream) as route:
            statuses = store(route.address, *(source.path for source in sources), called="PACS")
            assert statuses == [0x0000] * len(sources)
            assert sorted(dcmtk.stored(tmp_path / name).values()) == sent
            route.same_bytes()


def large(folder: Path) -> Path:
    """105 MB: 200 frames of noise, every one another."""
    recipe = Recipe("xa", "mono16", EXPLICIT_LE, 200, True, rows=512, columns=512)
    noise = np.random.default_rng(1).integers(0, 1 << 16, (recipe.frames, 512, 512), np.uint16)
    path = folder / "large.dcm"
    dataset(recipe, noise).save_as(path, enforce_file_format=True)
    return path


def test_a_hundred_megabytes_in_small_pdus(inline, tmp_path):
    path = large(tmp_path)
    sent = dcmtk.dataset_of(path.read_bytes())
    assert len(sent) > 100_000_000
    seen = {}
    for name in ROUTES:
        folder = tmp_path / name
        with dcmtk.storescp(folder, "-pdu", 4096) as upstream, inline.route(name, upstream, keep=False) as route:
            seen[name] = storescu(route, "-R", path)
        [kept] = dcmtk.stored(folder).values()
        assert kept == sent
        for file in folder.iterdir():
            file.unlink()
    assert "Max Send PDV: 4084" in seen["direct"][1]
    assert seen["relay"] == seen["direct"]


def test_echoscu(inline, tmp_path):
    seen = {}
    for name in ROUTES:
        with dcmtk.storescp(tmp_path / name) as upstream, inline.route(name, upstream) as route:
            seen[name] = said(tool("echoscu", "-v", *TITLES, "--repeat", 5, *route.host_and_port))
            route.same_bytes()
    assert seen["direct"][1].count("Received Echo Response (Success)") == 5
    assert seen["relay"] == seen["direct"]


WORKLIST_KEYS = [
    "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID",
    "ScheduledProcedureStepSequence[0].Modality=XA",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle=XA1",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID",
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "options"), [(3, []), (0, []), (30, ["--cancel", "5"])], ids=["some", "none", "cancelled"]
)
def test_findscu_of_a_worklist(inline, entries, options, tmp_path):
    keys = [word for key in WORKLIST_KEYS for word in ("-k", key)]
    seen = {}
    with dcmtk.wlmscpfs(tmp_path, entries) as upstream:
        for name in ROUTES:
            with inline.route(name, upstream) as route:
                seen[name] = said(tool("findscu", "-v", "-W", *TITLES, *options, *route.host_and_port, *keys))
                wire = route.same_bytes()
            if not options:
                assert seen[name][1].count("Find Response") >= entries
                assert wire[0][1].count(b"SPS") == entries
    if not options:
        # How far the peer is when C-CANCEL reaches it is a matter of luck, and no answer is wrong.
        assert seen["relay"] == seen["direct"]


@pytest.fixture(scope="module")
def run(objects_folder):
    """What is in the archive: one study of three objects."""
    sources = [build(recipe, objects_folder) for recipe in RECIPES[:3]]
    study = sources[0].study
    paths = []
    for number, source in enumerate(sources):
        source.dataset.StudyInstanceUID = study
        path = objects_folder / f"archived-{number}.dcm"
        source.dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return study, paths


def query(study: str) -> list[str]:
    return ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]


@pytest.mark.parametrize("through", ["straight", "reverse-relay"])
def test_movescu_to_the_store_of_the_modality(inline, run, through, tmp_path):
    """The archive opens an association to the modality, which may lead through the gateway too."""
    study, paths = run
    seen = {}
    for name in ROUTES:
        back_name = name if through == "reverse-relay" else "direct"
        folder = tmp_path / name
        with dcmtk.storescp(folder / "got") as modality, inline.back(back_name, modality) as back:
            with dcmtk.dcmqrscp(folder, {"XA1": back.address}) as archive, inline.route(name, archive) as route:
                assert store(archive, *paths, called="PACS") == [0x0000] * 3
                done = tool("movescu", "-v", *TITLES, "-aem", "XA1", *query(study), *route.host_and_port)
                seen[name] = said(done), dcmtk.stored(folder / "got")
                route.same_bytes()
            assert len(back.same_bytes()) == 1
    (status, text), kept = seen["direct"]
    assert status == 0 and len(kept) == 3
    assert seen["relay"] == seen["direct"]


def test_getscu(inline, run, tmp_path):
    study, paths = run
    seen = {}
    for name in ROUTES:
        folder = tmp_path / name
        (folder / "got").mkdir(parents=True)
        with dcmtk.dcmqrscp(folder, {}) as archive, inline.route(name, archive) as route:
            assert store(archive, *paths, called="PACS") == [0x0000] * 3
            done = tool("getscu", "-v", *TITLES, "+B", "-od", folder / "got", *query(study), *route.host_and_port)
            seen[name] = re.sub(str(folder), "", said(done)[1]), dcmtk.stored(folder / "got")
            route.same_bytes()
    assert len(seen["direct"][1]) == 3
    assert seen["relay"] == seen["direct"]
