"""Every page as people with different eyes, screens and hands meet it, against made-up values that fill all of it."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from mock import CODE, PATIENT
from visit import PAGES

LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1366, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1366, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "reduced_motion": "reduce"},
    "dark phone": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_for_everybody(mock, visit, look):
    one = visit(mock.url, **LOOKS[look])
    expect(one.page.get_by_role("heading", name="Log in to this box")).to_be_visible()
    one.check_access("login")
    one.check_width("login")
    one.log_in(CODE)
    one.unlock()
    for page in PAGES:
        one.go(page)
        one.check_access(page)
        one.check_width(page)
    one.go("live")
    one.capture("xa").get_by_role("button", name="Choose patient").click()
    expect(one.page.get_by_role("radio")).to_have_count(3)
    one.check_access("worklist")
    one.check_width("worklist")


def test_all_can_be_reached_by_keyboard(mock, visit):
    one = visit(mock.url)
    press = one.page.keyboard.press
    focused = one.page.locator(":focus")
    expect(one.page.get_by_label("One-time code")).to_be_visible()
    press("Tab")
    expect(focused).to_have_attribute("id", "code")
    one.page.keyboard.type(CODE)
    press("Enter")
    expect(one.page.get_by_role("heading", level=1, name="Live")).to_be_visible()
    press("Tab")
    expect(focused).to_have_text("Skip to the page")
    for page, name in PAGES.items():
        link = one.page.get_by_role("navigation").get_by_role("link", name=name)
        for _ in range(30):
            press("Tab")
            if link.evaluate("(link) => link === document.activeElement"):
                break
        outline = focused.evaluate("(element) => getComputedStyle(element).outlineStyle")
        assert outline != "none", f"the focus on {name} cannot be seen"
        press("Enter")
        expect(one.page.get_by_role("heading", level=1, name=name)).to_be_visible()
        assert one.page.url.endswith(f"#/{page}")
        if page != "live":
            expect(focused).to_have_role("heading")
        # Back to the top, as a reader would by the keys of the browser.
        one.page.evaluate("() => document.activeElement.blur()")
        one.page.locator("body").focus()

    one.go("live")
    one.capture("xa").get_by_role("button", name="Choose patient").focus()
    press("Enter")
    expect(one.page.get_by_role("dialog")).to_be_visible()
    one.page.get_by_label("Search").focus()
    one.page.keyboard.type("left")
    expect(one.page.get_by_role("radio")).to_have_count(1)
    press("Tab")
    press("Space")
    expect(one.page.get_by_role("radio")).to_be_checked()
    press("Escape")
    expect(one.page.get_by_role("dialog")).to_have_count(0)
    expect(focused).to_have_text("Choose patient…")


def test_the_worst_is_said_on_every_page_and_where_it_belongs(mock, visit):
    one = visit(mock.url)
    one.log_in(CODE)
    mock.box.signal = False
    expect(one.health).to_contain_text("Error, capture xa: no signal", timeout=2_000)
    expect(one.health).to_contain_text("cable plugged in")
    expect(one.capture("xa").locator(".card-head")).to_contain_text("No signal")
    one.go("network")
    expect(one.page.get_by_role("list", name="Findings of this page")).to_contain_text("expires in 12 days")
    expect(one.health).to_contain_text("no signal")
    one.health.get_by_role("link").click()
    expect(one.page.get_by_role("heading", level=1, name="Live")).to_be_visible()
    mock.box.well = True
    expect(one.health).to_have_text("All is well.")


def test_patients_are_shown_only_while_unlocked_and_kept_nowhere(mock, visit):
    one = visit(mock.url)
    one.log_in(CODE)
    secrets = [PATIENT["patient_id"], "Berta"]
    card = one.capture("xa")
    expect(card).to_contain_text("Patient hidden")
    expect(card).to_contain_text("Coarse while patient data is hidden")
    for secret in secrets:
        assert secret not in one.page.content()
    one.unlock()
    expect(card).to_contain_text("Beispiel, Berta · 例, 花子")
    expect(card).not_to_contain_text("Coarse")
    one.page.get_by_role("button", name="Hide patient data").click()
    expect(card).to_contain_text("Patient hidden")
    kept = one.page.evaluate(
        "() => [document.documentElement.outerHTML, document.title, location.href, JSON.stringify({ ...localStorage }),"
        " JSON.stringify({ ...sessionStorage }), document.cookie].join()"
    )
    for secret in secrets:
        assert secret not in kept


def test_a_lost_connection_is_said_and_made_again(mock, visit):
    one = visit(mock.url)
    one.log_in(CODE)
    expect(one.health).to_contain_text("destination ai")
    one.context.set_offline(True)
    mock.ends.set()
    expect(one.health).to_contain_text("Connection lost")
    expect(one.page.get_by_role("banner")).to_contain_text("Connection lost")
    mock.ends.clear()
    one.context.set_offline(False)
    expect(one.health).to_contain_text("destination ai")
    # What failed on the way is what was to fail.
    one.faults[:] = [fault for fault in one.faults if "ERR_" not in fault]


def test_a_session_that_ends_leads_back_to_the_login(mock, visit):
    one = visit(mock.url)
    one.log_in(CODE)
    one.unlock()
    expect(one.capture("xa")).to_contain_text("Berta")
    mock.session = None
    expect(one.page.get_by_label("One-time code")).to_be_visible()
    assert "Berta" not in one.page.content()
    expect(one.page.get_by_role("alert")).to_contain_text("Your session has ended")


def test_a_destination_is_tried_step_by_step(mock, visit):
    one = visit(mock.url)
    one.log_in(CODE)
    one.go("destinations")
    for name, steps, said in [("ai", 2, "ai cannot be used"), ("navigation", 4, "navigation can be reached")]:
        card = one.page.get_by_role("article", name=f"Destination {name}")
        card.get_by_role("button", name=f"Test destination {name}").click()
        expect(card).to_contain_text(said)
        expect(card.get_by_role("listitem")).to_have_count(steps)


def test_what_a_page_cannot_show_leaves_the_others_alone(mock, visit):
    one = visit(mock.url)
    one.log_in(CODE)
    whole = mock.box.status

    def broken() -> dict:
        status = json.loads(json.dumps(whole()))
        status["relays"] = [None]
        return status

    mock.box.status = broken
    one.go("relay")
    expect(one.page.get_by_role("alert")).to_contain_text("cannot show")
    assert one.faults, "it is said to whoever mends it"
    one.faults.clear()
    one.go("system")
    expect(one.page.get_by_text("Download the support bundle")).to_be_visible()
    one.faults.clear()
