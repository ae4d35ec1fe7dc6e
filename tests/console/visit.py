"""One visitor with one page of a browser, watched: whatever the page loads from elsewhere, and whatever the browser
complains of, is a fault of the test that it happened in."""

from __future__ import annotations

import re
import time
import urllib.parse
from importlib import resources

from playwright.sync_api import Browser, BrowserContext, Page, expect

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "live": "Live",
    "streams": "Streams",
    "destinations": "Destinations & subscriptions",
    "relay": "Relay",
    "network": "Network & certificates",
    "system": "System",
    "journal": "Journal",
}
# With the right to it.
ALL_PAGES = PAGES | {"configuration": "Configuration"}
# What the page finds out by being refused, and what the box cuts off when something else may be seen; the browser writes
# both down.
REFUSED = "/api/session|/api/series/.*/live"


class Visit:
    """A page at a console. `refusals` is a pattern of paths that may be refused in this test."""

    def __init__(self, browser: Browser, url: str, **context) -> None:
        self.url = url
        self.refusals = REFUSED
        self.faults: list[str] = []
        self.context: BrowserContext = browser.new_context(ignore_https_errors=True, locale="en-GB", **context)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)
        # A violation of the policy is told to the document, whatever the browser prints of it.
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));"
        )
        self.page.goto(url)

    def _said(self, message) -> None:
        if message.type not in ("error", "warning"):
            return
        path = urllib.parse.urlsplit(message.location.get("url", "")).path
        if path == "/api/login" and "429" in message.text:
            return
        if not ("Failed to load resource" in message.text and re.fullmatch(self.refusals, path)):
            self.faults.append(f"console: {message.text} ({path})")

    def _asked(self, request) -> None:
        if urllib.parse.urljoin(request.url, "/") != self.url and not request.url.startswith(("data:", "blob:")):
            self.faults.append(f"another origin: {request.url}")

    def log_in(self, code: str) -> None:
        """In time: a box that many tests log in at says when it may be tried again, and is believed."""
        inside = self.page.get_by_role("heading", level=1, name="Live")
        too_many = self.page.get_by_text("Too many tries")
        while True:
            self.page.get_by_label("One-time code").fill(code)
            self.page.get_by_role("button", name="Log in", exact=True).click()
            expect(inside.or_(too_many)).to_be_visible()
            if inside.is_visible():
                return
            time.sleep(int(re.search(r"in (\d+) second", too_many.text_content())[1]))

    def go(self, page: str) -> None:
        """To a page by its address."""
        self.page.goto(f"{self.url}#/{page}")
        expect(self.page.get_by_role("heading", level=1, name=ALL_PAGES[page])).to_be_visible()

    def unlock(self) -> None:
        self.page.get_by_role("banner").get_by_role("button", name="Show patient data").click()
        expect(self.page.get_by_role("button", name="Hide patient data")).to_be_visible()

    @property
    def health(self):
        """The line that is always there."""
        return self.page.locator(".health")

    def capture(self, name: str):
        return self.page.get_by_role("article", name=f"Capture {name}")

    def see_picture(self, within) -> None:
        """Waits for the live picture to be there, and to be another one than before."""
        picture = within.locator("img")
        expect(picture).not_to_have_class(re.compile(r"\b(absent|old)\b"))
        handle = picture.element_handle()
        drawn = """image => { const canvas = document.createElement('canvas'); canvas.width = canvas.height = 32;
            const to = canvas.getContext('2d'); to.drawImage(image, 0, 0, 32, 32);
            return Array.from(to.getImageData(0, 0, 32, 32).data).join(); }"""
        before = handle.evaluate(drawn)
        self.page.wait_for_function(f"([image, before]) => ({drawn})(image) !== before", arg=[handle, before])

    def check_access(self, where: str) -> None:
        """axe-core finds nothing that is serious."""
        # The policy of the page forbids what is not its own; the debugger may.
        self.page.evaluate(f"() => {{ {AXE} }}")
        found = self.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        serious = [
            f"{one['id']} ({one['impact']}): {node['html'][:160]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert not serious, f"{where}: " + "\n".join(serious)

    def check_width(self, where: str) -> None:
        """Nothing hangs over the edge of the screen."""
        over = self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{where} is {over} pixels too wide"

    def may_refuse(self, path: str) -> None:
        self.refusals += f"|{path}"

    def leave(self) -> None:
        """Goes away, before what is looked at does."""
        self.page.goto("about:blank")

    def close(self) -> None:
        self.context.close()
        assert not self.faults, "\n".join(self.faults)
