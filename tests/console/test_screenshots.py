"""Draws docs/screenshots, with --screenshots: the pages as they are, of a room that is not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from box import room
from mock import CODE
from visit import Visit

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
MOST_BYTES = 150_000
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}}


@pytest.fixture(autouse=True)
def only_when_asked(request):
    if not request.config.getoption("--screenshots"):
        pytest.skip("only with --screenshots")
    FOLDER.mkdir(exist_ok=True)


def draw(one: Visit, name: str) -> None:
    path = FOLDER / f"{name}.png"
    # Of the machine that draws them nothing is shown.
    one.page.evaluate("() => { document.querySelector('.host').textContent = 'framegate-7f3a'; }")
    one.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    one.page.screenshot(path=path)
    assert path.stat().st_size <= MOST_BYTES, f"{name} has {path.stat().st_size} bytes"


def test_live(program, authority, visit):
    # Its name is seen, as that of the device.
    with tempfile.TemporaryDirectory(prefix="clip-") as folder, room(program, Path(folder), authority) as box:
        one = visit(box.url, color_scheme="light", **DESK)
        one.log_in(box.code())
        card = one.capture("xa")
        one.unlock()
        card.get_by_role("button", name="Choose patient").click()
        dialog = one.page.get_by_role("dialog")
        dialog.get_by_role("radio").first.check()
        draw(one, "worklist")
        dialog.get_by_role("button", name="Use this patient").click()
        expect(dialog).to_have_count(0)
        expect(card).to_contain_text("Konsole, Karla")
        one.see_picture(card)
        draw(one, "live")
        phone = visit(box.url, color_scheme="dark", **PHONE)
        phone.log_in(box.code())
        phone.see_picture(phone.capture("xa"))
        draw(phone, "phone")
        for each in (one, phone):
            each.leave()


def test_pages(mock, visit):
    one = visit(mock.url, color_scheme="dark", **DESK)
    one.log_in(CODE)
    one.go("destinations")
    card = one.page.get_by_role("article", name="Destination ai")
    card.get_by_role("button", name="Test destination ai").click()
    expect(card).to_contain_text("ai cannot be used")
    draw(one, "destinations")
    other = visit(mock.url, color_scheme="light", **DESK)
    for page in ("network", "system"):
        other.go(page)
        expect(other.page.locator("main .card").first).to_be_visible()
        draw(other, page)
