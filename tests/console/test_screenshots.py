"""Draws the pages as they are, of a room that is not there: into the cache, or with --screenshots into docs/screenshots, so
that a run of the tests leaves the tree as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from box import room
from mock import CODE
from visit import Visit

PROJECT = Path(__file__).resolve().parents[2]
MOST_BYTES = 150_000
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}}


@pytest.fixture
def folder(request) -> Path:
    kept = request.config.getoption("--screenshots")
    folder = PROJECT / ("docs/screenshots" if kept else "tests/.cache/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def draw(one: Visit, path: Path) -> None:
    # Of the machine that draws them nothing is shown.
    one.page.evaluate("() => { document.querySelector('.host').textContent = 'framegate-7f3a'; }")
    one.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    one.page.screenshot(path=path)
    assert path.stat().st_size <= MOST_BYTES, f"{path.name} has {path.stat().st_size} bytes"


def test_live(program, authority, visit, folder):
    # Its name is seen, as that of the device.
    with tempfile.TemporaryDirectory(prefix="clip-") as clips, room(program, Path(clips), authority) as box:
        one = visit(box.url, color_scheme="light", **DESK)
        one.log_in(box.code())
        card = one.capture("xa")
        one.unlock()
        card.get_by_role("button", name="Choose patient").click()
        dialog = one.page.get_by_role("dialog")
        dialog.get_by_role("radio").first.check()
        draw(one, folder / "worklist.png")
        dialog.get_by_role("button", name="Use this patient").click()
        expect(dialog).to_have_count(0)
        expect(card).to_contain_text("Konsole, Karla")
        one.see_picture(card)
        draw(one, folder / "live.png")
        phone = visit(box.url, color_scheme="dark", **PHONE)
        phone.log_in(box.code())
        phone.see_picture(phone.capture("xa"))
        draw(phone, folder / "phone.png")
        for each in (one, phone):
            each.leave()


def test_pages(mock, visit, folder):
    one = visit(mock.url, color_scheme="dark", **DESK)
    one.log_in(CODE)
    one.go("destinations")
    card = one.page.get_by_role("article", name="Destination ai")
    card.get_by_role("button", name="Test destination ai").click()
    expect(card).to_contain_text("ai cannot be used")
    draw(one, folder / "destinations.png")
    other = visit(mock.url, color_scheme="light", **DESK)
    for page in ("network", "system"):
        other.go(page)
        expect(other.page.locator("main .card").first).to_be_visible()
        draw(other, folder / f"{page}.png")
