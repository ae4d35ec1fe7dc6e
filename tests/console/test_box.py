"""The console of the real binary, in a real browser: who comes in, what moves, what is said when it stops, and what an
operator does there."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from box import PATIENTS, Box
from gateway import wait_for
from visit import PAGES


def enter(visit, box: Box, **context):
    """A visit of somebody who is logged in."""
    one = visit(box.url, **context)
    one.log_in(box.code())
    return one


def names_of(box: Box) -> list[str]:
    return [part for name in PATIENTS.values() for part in name.split("^")] + list(PATIENTS)


def test_a_code_lets_in_once_and_a_wrong_one_does_not(box, visit):
    one = visit(box.url)
    one.may_refuse("/api/login")
    expect(one.page.get_by_text("framegate console-code")).to_be_visible()
    code = box.code()
    wrong = f"{(int(code) + 1) % 100_000_000:08}"
    one.page.get_by_label("One-time code").fill(wrong)
    one.page.keyboard.press("Enter")
    expect(one.page.get_by_role("alert")).to_contain_text("This code is wrong")
    expect(one.page.get_by_label("One-time code")).to_be_focused()
    one.log_in(f"{code[:4]} {code[4:]}")
    again = visit(box.url)
    again.may_refuse("/api/login")
    again.page.get_by_label("One-time code").fill(code)
    again.page.keyboard.press("Enter")
    expect(again.page.get_by_role("alert")).to_contain_text("has been used")
    one.page.get_by_role("button", name="Log out").click()
    expect(one.page.get_by_label("One-time code")).to_be_visible()
    one.page.reload()
    expect(one.page.get_by_label("One-time code")).to_be_visible()


def test_a_live_frame_changes(box, visit):
    one = enter(visit, box)
    card = one.capture("xa")
    expect(card.locator(".card-head")).to_contain_text("Streaming")
    expect(card).to_contain_text("GREY")
    expect(card.get_by_role("img", name="Latency of capture xa")).to_be_visible()
    one.see_picture(card)
    published = card.locator(".value", has_text="Published")
    before = published.inner_text()
    expect(published).not_to_have_text(before)


def test_a_source_that_stops_is_said_within_two_seconds(box, visit):
    one = enter(visit, box)
    card = one.capture("xa")
    one.see_picture(card)
    card.get_by_role("button", name="Stop capture xa").click()
    began = time.monotonic()
    expect(card.locator(".picture-note")).to_have_text("Stopped by an operator", timeout=2_000)
    expect(card.locator(".card-head")).to_contain_text("Stopped", timeout=2_000)
    assert time.monotonic() - began < 2
    card.get_by_role("button", name="Start capture xa").click()
    expect(card.locator(".card-head")).to_contain_text("Streaming")
    one.see_picture(card)


def test_a_patient_of_the_worklist_is_chosen_and_shown_to_whoever_may_see(box, visit):
    one = enter(visit, box)
    card = one.capture("xa")
    expect(card).to_contain_text("Patient hidden")
    card.get_by_role("button", name="Choose patient").click()
    dialog = one.page.get_by_role("dialog")
    expect(dialog.get_by_role("radio")).to_have_count(len(PATIENTS))
    expect(dialog).to_contain_text("Left heart")
    for text in names_of(box):
        assert text not in one.page.content(), f"{text} is shown before anybody has unlocked"
    dialog.get_by_role("button", name="Show patient data").click()
    expect(dialog).to_contain_text("Konsole, Karla")
    dialog.get_by_label("Search").fill("karla")
    expect(dialog.get_by_role("radio")).to_have_count(1)
    dialog.get_by_role("radio").check()
    dialog.get_by_role("button", name="Use this patient").click()
    expect(dialog).to_have_count(0)
    expect(card).to_contain_text("Konsole, Karla")
    expect(card).to_contain_text("ACC-C4711")
    expect(card).to_contain_text("Said by operator")
    # Another patient of the same provider is another patient at once.
    card.get_by_role("button", name="Choose patient").click()
    dialog.get_by_label("Search").fill("C4712")
    dialog.get_by_role("radio").check()
    dialog.get_by_role("button", name="Use this patient").click()
    expect(card).to_contain_text("Konsole, Konrad")
    one.page.get_by_role("button", name="Hide patient data").click()
    expect(card).to_contain_text("Patient hidden")
    for page in PAGES:
        one.go(page)
        kept = one.page.content() + one.page.url + one.page.title()
        for text in names_of(box):
            assert text not in kept, f"{text} on {page}"
    one.go("live")
    card.get_by_role("button", name="Clear patient").click()
    one.page.get_by_role("dialog").get_by_role("button", name="Clear patient").click()
    expect(card).not_to_contain_text("Said by operator")
    for text in names_of(box):
        assert text not in box.output, f"{text} in the log"


def test_pictures_are_coarse_until_unlocked(box, visit):
    one = enter(visit, box)
    card = one.capture("xa")
    one.see_picture(card)
    width = "image => image.naturalWidth"
    assert card.locator("img").evaluate(width) <= 48
    expect(card).to_contain_text("Coarse while patient data is hidden")
    one.unlock()
    one.see_picture(card)
    assert card.locator("img").evaluate(width) > 48
    one.page.get_by_role("button", name="Hide patient data").click()
    expect(card).to_contain_text("Coarse while patient data is hidden")


def test_a_certificate_that_is_known_lets_in_without_a_code(program, authority, tmp_path, visit):
    leaf = authority.leaf("engineer", server=False)
    box = Box(
        program, tmp_path / "box", authority,
        console__tls={"client_ca": str(authority.ca)},
        principal__engineer={"certificates": ["CN=engineer"], "may": ["console"]},
    )
    try:
        shown = {"origin": box.url.rstrip("/"), "certPath": leaf.certificate, "keyPath": leaf.key}
        one = visit(box.url, client_certificates=[shown])
        expect(one.page.get_by_label("One-time code")).to_be_visible()
        one.page.get_by_role("button", name="Log in with your certificate").click()
        expect(one.page.get_by_role("banner")).to_contain_text("engineer")
        expect(one.page.get_by_role("button", name="Show patient data")).to_have_count(0)
        one.leave()
    finally:
        box.stop()


def test_who_may_not_see_patients_is_offered_no_way_to(program, authority, tmp_path, visit):
    box = Box(program, tmp_path / "box", authority, console={"code_may": []})
    try:
        one = visit(box.url)
        one.log_in(box.code())
        expect(one.page.get_by_role("banner")).to_contain_text("Patient data hidden")
        expect(one.page.get_by_role("button", name="Show patient data")).to_have_count(0)
        one.leave()
    finally:
        box.stop()


def test_a_subscription_is_paused_and_resumed(box, visit):
    one = enter(visit, box)
    one.go("destinations")
    row = one.page.get_by_role("row", name="NAVIGATION")
    sent = one.page.get_by_role("article", name="Destination navigation").locator(".value", has_text="Sent")
    counted = sent.inner_text()
    expect(sent).not_to_have_text(counted)
    row.get_by_role("button", name="Pause subscription NAVIGATION").click()
    expect(row).to_contain_text("Paused")
    row.get_by_role("button", name="Resume subscription NAVIGATION").click()
    expect(row).not_to_contain_text("Paused")
    counted = sent.inner_text()
    expect(sent).not_to_have_text(counted)


def test_destinations_are_tried_from_the_box(box, visit):
    one = enter(visit, box)
    one.go("destinations")
    for name, said in [("navigation", "navigation can be reached"), ("away", "away cannot be used")]:
        card = one.page.get_by_role("article", name=f"Destination {name}")
        card.get_by_role("button", name=f"Test destination {name}").click()
        expect(card.get_by_role("status")).to_contain_text(said)


def test_the_journal_follows_and_is_filtered_here(box, visit):
    one = enter(visit, box)
    one.go("journal")
    entries = one.page.get_by_role("list", name="Journal entries").get_by_role("listitem")
    expect(entries.filter(has_text=re.compile("ready|listen", re.I)).first).to_be_visible()
    one.page.get_by_label("Text").fill("one-time code")
    expect(entries).not_to_have_count(0)
    before = entries.count()
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.url))
    box.code()
    expect(entries).to_have_count(before + 1)
    one.page.get_by_label("Text").fill("zzz-nothing")
    expect(one.page.get_by_text("No entry fits.")).to_be_visible()
    assert not asked, "what is typed leaves the page"
    one.page.get_by_label("Text").fill("")
    one.page.get_by_label("Level").select_option("error")
    expect(entries.filter(has_text="one-time code")).to_have_count(0)


def test_every_page_of_a_real_box_is_for_everybody(box, visit):
    one = enter(visit, box)
    for page in PAGES:
        one.go(page)
        one.check_access(page)


def test_the_support_bundle_is_downloaded(box, visit):
    one = enter(visit, box)
    one.go("system")
    with one.page.expect_download() as download:
        one.page.get_by_role("link", name="Download the support bundle").click()
    assert download.value.path().read_bytes()[:2] == b"\x1f\x8b"


def test_pictures_stop_when_nobody_looks(box, visit):
    one = enter(visit, box)
    card = one.capture("xa")
    one.see_picture(card)
    one.page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    expect(card.locator("img")).not_to_have_attribute("src", re.compile("."))
    one.page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")
    one.see_picture(card)


def test_a_box_that_goes_away_is_said_and_found_again(program, authority, tmp_path, visit):
    box = Box(program, tmp_path / "box", authority)
    try:
        one = visit(box.url)
        one.log_in(box.code())
        box.stop()
        expect(one.health).to_contain_text("Connection lost")
        box.start()
        # Sessions are in memory alone: whoever comes back logs in again.
        expect(one.page.get_by_label("One-time code")).to_be_visible(timeout=30_000)
        one.faults[:] = [fault for fault in one.faults if "ERR_" not in fault and "/api/" not in fault]
        wait_for(lambda: box.child.poll() is None, "the box runs")
    finally:
        box.stop()
