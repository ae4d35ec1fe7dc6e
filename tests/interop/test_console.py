"""The console over the wire: who is let in, by a code or a certificate, and who is not; that patients are hidden until
they are asked for; that what an engineer does is done, and what happens is told; and that pages of others can do
nothing."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import zlib

import pytest
import requests
from PIL import Image

import clips
import scheduling
from gateway import Gateway, free_port, toml, wait_for
from pki import Authority

COOKIE = "__Host-framegate"
SECRETS = ("Geheim", "Gretel", "SECRET-4711")
PEOPLE = ("patient_name", "patient_id", "accession_number")


class Page:
    """A browser at the console: its origin, its cookie, its token."""

    def __init__(self, box: Gateway, authority: Authority, certificate: str | None = None) -> None:
        self.origin = box.origin
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = str(authority.ca)
        if certificate:
            leaf = authority.leaf(certificate, server=False)
            self.http.cert = (str(leaf.certificate), str(leaf.key))
        self.csrf = ""

    def get(self, path: str, **more) -> requests.Response:
        return self.http.get(self.origin + path, timeout=20, **more)

    def post(self, path: str, body=None, *, method="POST", origin: str | None = "", csrf: str | None = None):
        headers = {}
        if origin is not None:
            headers["Origin"] = origin or self.origin
        if csrf is None:
            csrf = self.csrf
        if csrf:
            headers["X-CSRF-Token"] = csrf
        return self.http.request(method, self.origin + path, json=body, headers=headers, timeout=30)

    def login(self, code: str | None = None) -> requests.Response:
        answer = self.post("/api/login", {"code": code} if code is not None else {})
        if answer.status_code == 204:
            self.csrf = self.get("/api/session").json()["csrf"]
        return answer

    @contextlib.contextmanager
    def stream(self, path: str):
        with self.http.get(self.origin + path, stream=True, timeout=20) as answer:
            assert answer.status_code == 200, answer.text
            yield answer


def refused(answer: requests.Response, status: int, kind: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:framegate:problem:{kind}"


def pictures(answer: requests.Response):
    """The pictures of a multipart/x-mixed-replace as they come."""
    boundary = re.search(r'boundary="?([^";]+)', answer.headers["content-type"])[1].encode()
    assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
    held = b""
    for chunk in answer.iter_content(None):
        held += chunk
        while True:
            head, found, rest = held.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if not found or not length or len(rest) < int(length[1]):
                break
            assert boundary in head and b"image/jpeg" in head.lower(), head
            yield rest[: int(length[1])]
            held = rest[int(length[1]) :]


def events(answer: requests.Response):
    """Name and data of each event as it comes."""
    name = None
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@contextlib.contextmanager
def listening(page: Page):
    """What is told to a page after the first event, while it listens."""
    with page.stream("/api/events") as answer:
        told = events(answer)
        next(told)
        yield told


@pytest.fixture
def ris():
    peer = scheduling.Worklist([scheduling.scheduled("SECRET-4711", "Geheim^Gretel")])
    yield peer
    peer.close()


@pytest.fixture
def boxes(own_gateway, authority, monkeypatch):
    """Starts boxes with a console. Paths of sockets are short, so its runtime directory is not below the test's."""
    folder = tempfile.mkdtemp(prefix="fg")
    monkeypatch.setenv("RUNTIME_DIRECTORY", folder)

    def start(**sections) -> Gateway:
        listen = f"127.0.0.1:{free_port()}"
        tls = {"client_ca": str(authority.ca), "client_certificate_optional": True}
        principals = {
            "principal__engineer": {"certificates": ["CN=engineer"], "may": ["console", "operate", "phi"]},
            "principal__viewer": {"certificates": ["CN=viewer"], "may": ["search", "retrieve"]},
        }
        console = {"listen": listen} | sections.pop("console", {})
        box = own_gateway(console=console, dicomweb__tls=tls, **(principals | sections))
        box.origin, box.runtime = f"https://{listen}", folder
        wait_for(lambda: "ready" in box.output, "the service to be ready")
        return box

    yield start
    shutil.rmtree(folder)


def code(program, box: Gateway) -> str:
    made = subprocess.run(
        [program, "console-code", "--json", "--runtime-directory", box.runtime],
        capture_output=True, text=True, check=True, timeout=60,
    )
    return json.loads(made.stdout)["code"]


def reload(box: Gateway) -> None:
    """Has the changed configuration read, and waits until it is."""
    said = box.output.count("configuration reloaded")
    box.config_file.write_text(toml(box.config))
    box.signal(signal.SIGHUP)
    wait_for(lambda: box.output.count("configuration reloaded") > said, "the reload")


def test_the_page_needs_nobody_and_everything_else_a_session(boxes, authority):
    box = boxes()
    page = Page(box, authority)
    index = page.get("/")
    assert index.status_code == 200 and index.headers["content-type"].startswith("text/html")
    names = re.findall(r'"(/assets/[^"]+)"', index.text)
    assert len(names) >= 3 and "./" not in re.sub(r"<noscript>.*", "", index.text), index.text
    for name in names:
        assert re.fullmatch(r"/assets/[a-z0-9-]+\.[0-9a-f]{16}\.[a-z0-9]+", name), name
        asset = page.get(name, headers={"Accept-Encoding": "gzip"})
        assert asset.status_code == 200 and "immutable" in asset.headers["cache-control"], name
        if name.endswith(".js"):
            assert asset.headers["content-encoding"] == "gzip"
            assert not re.search(r"""from\s*['"]\.""", asset.text), "every import has its hashed name"
    for path in ("/", names[0], "/api/status", "/nothing"):
        headers = page.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert "strict-transport-security" not in headers
    for path in ("status", "events", "worklist", "journal", "support-bundle", "captures/a/context", "series/1/2/live"):
        refused(page.get(f"/api/{path}"), 401, "no-session")
        assert page.get(f"/api/{path}").headers["cache-control"] == "no-store"
    refused(page.post("/api/captures/a/start"), 401, "no-session")
    assert page.get("/api/session").json()["certificate"] is False
    refused(page.get("/assets/main.js"), 404, "unknown-path")
    refused(page.get("/api/nothing"), 404, "unknown-path")
    assert page.post("/api/status").headers["allow"] == "GET, HEAD"
    assert page.http.head(page.origin + "/").status_code == 200
    # Plain HTTP is told so.
    plain = requests.get(page.origin.replace("https", "http"), timeout=10, proxies={"http": ""})
    assert plain.status_code == 400


def test_a_code_lets_in_once(boxes, authority, program):
    box = boxes()
    page = Page(box, authority)
    shown = subprocess.run(
        [program, "console-code", "--runtime-directory", box.runtime], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0 and box.origin in shown.stdout and "10 minutes" in shown.stdout
    digits = "".join(re.search(r"(\d{4}) (\d{4})", shown.stdout).groups())
    der = authority.folder / f"server-{box.folder.name}.pem"
    openssl = subprocess.run(
        ["openssl", "x509", "-in", der, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True
    )
    assert openssl.stdout.strip().split("=")[1] in shown.stdout
    refused(page.login(digits[::-1] if digits != digits[::-1] else "00000000"), 401, "not-let-in")
    entered = page.login(f"{digits[:4]} {digits[4:]}")
    assert entered.status_code == 204
    cookie = entered.headers["set-cookie"]
    for part in (f"{COOKIE}=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"):
        assert part in cookie
    session = page.get("/api/session").json()
    assert session["how"] == "code" and session["rights"] == ["operate"] and session["phi"] is False
    assert 0 < session["expires_seconds"] <= 1800 and session["certificate"] is False
    assert page.get("/api/status").json()["service"]["version"]
    refused(Page(box, authority).login(digits), 401, "not-let-in")
    assert page.post("/api/logout").status_code == 204
    refused(page.get("/api/status"), 401, "no-session")
    page.http.cookies.set(COOKIE, cookie.split("=")[1].split(";")[0])
    refused(page.get("/api/status"), 401, "no-session")
    assert digits not in box.output and cookie.split("=")[1].split(";")[0] not in box.output


def test_codes_cannot_be_found_by_trying(boxes, authority, program):
    box = boxes()
    page = Page(box, authority)
    made = code(program, box)
    wrong = "".join("1" if digit == "0" else "0" for digit in made)
    for _ in range(5):
        refused(page.login(wrong), 401, "not-let-in")
    box.wait_for_line("the console's code is void")
    refused(page.login(made), 401, "not-let-in")
    late = page.login(code(program, box))
    assert late.status_code == 429 and 0 < int(late.headers["retry-after"]) <= 60


def test_the_console_is_closed_unless_it_is_asked_for(own_gateway, program, monkeypatch):
    folder = tempfile.mkdtemp(prefix="fg")
    monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
    try:
        box = own_gateway()
        wait_for(lambda: "ready" in box.output, "the service to be ready")
        asked = subprocess.run(
            [program, "console-code", "--runtime-directory", folder], capture_output=True, text=True, timeout=60
        )
        assert asked.returncode == 1 and "console.listen" in asked.stderr and not asked.stdout
    finally:
        shutil.rmtree(folder)


def test_a_certificate_lets_in_those_who_have_the_right(boxes, authority, program):
    box = boxes()
    engineer = Page(box, authority, "engineer")
    assert engineer.get("/api/session").json() | {"certificate": True} == engineer.get("/api/session").json()
    assert engineer.login().status_code == 204
    session = engineer.get("/api/session").json()
    assert (session["name"], session["how"]) == ("engineer", "certificate")
    assert session["rights"] == ["operate", "phi"] and session["certificate"] is True
    viewer = Page(box, authority, "viewer")
    refused(viewer.login(), 403, "missing-right")
    refused(Page(box, authority, "stranger").login(), 401, "not-let-in")
    refused(Page(box, authority).login(), 401, "not-let-in")
    # The cookie alone is worth nothing.
    thief = Page(box, authority)
    thief.http.cookies.update(engineer.http.cookies)
    refused(thief.get("/api/status"), 401, "no-session")
    assert engineer.get("/api/status").status_code == 200
    # Who loses the right is out.
    with listening(engineer) as told:
        box.config["principal.engineer"]["may"] = ["operate", "phi"]
        reload(box)
        assert sum(1 for _ in itertools.islice(told, 100)) < 100
    refused(engineer.get("/api/status"), 401, "no-session")


def test_pages_of_others_can_do_nothing(boxes, authority, program):
    box = boxes(capture__room={"device": "/dev/video0"})
    page = Page(box, authority)
    made = code(program, box)
    for origin in (None, "https://evil.example", "null", box.origin.replace("https", "http")):
        refused(page.post("/api/login", {"code": made}, origin=origin), 403, "foreign-request")
    # What is refused has content; unless it is read, the connection is of no use for the next request.
    for _ in range(30):
        refused(page.post("/api/login", {"code": made}, origin="null"), 403, "foreign-request")
    assert page.login(made).status_code == 204
    start = "/api/captures/room/start"
    refused(page.post(start, csrf="0" * 64), 403, "foreign-request")
    refused(page.post(start, origin="https://evil.example"), 403, "foreign-request")
    refused(page.post(start, origin=None), 403, "foreign-request")
    csrf, page.csrf = page.csrf, ""
    refused(page.post(start), 403, "foreign-request")
    page.csrf = csrf
    assert page.post(start).status_code == 204
    preflight = page.http.options(page.origin + start, headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 405 and "access-control-allow-origin" not in preflight.headers


def test_patients_are_hidden_until_somebody_may_and_wants_to_see_them(boxes, authority, program, ris):
    scheduled = {"address": ris.address, "ae_title": "RIS", "calling_ae_title": "GATE", "refresh_seconds": 1}
    box = boxes(capture__room={"device": "/dev/video0"}, worklist__ris=scheduled)
    engineer, guest = Page(box, authority, "engineer"), Page(box, authority)
    assert engineer.login().status_code == 204 and guest.login(code(program, box)).status_code == 204
    wait_for(lambda: guest.get("/api/worklist").json()["entries"], "the worklist's answer")
    for page in (engineer, guest):
        listed = page.get("/api/worklist").json()
        (entry,) = listed["entries"]
        assert listed["masked"] is True and [entry[name] for name in PEOPLE] == [None, None, None]
        assert entry["description"] == "Left heart" and entry["station"] == "CATH1" and entry["modality"] == "XA"
    refused(guest.post("/api/unlock"), 403, "missing-right")
    # A choice needs no sight of it.
    assert guest.post("/api/captures/room/step", {"id": entry["id"]}).status_code == 204
    hidden = guest.get("/api/captures/room/context").json()
    assert hidden.pop("masked") is True and set(hidden.values()) == {None}
    assert engineer.post("/api/unlock").status_code == 204 and engineer.get("/api/session").json()["phi"] is True
    (entry,) = engineer.get("/api/worklist").json()["entries"]
    assert [entry[name] for name in PEOPLE] == ["Geheim^Gretel", "SECRET-4711", "ACC-SECRET-4711"]
    context = engineer.get("/api/captures/room/context").json()
    assert context["masked"] is False and context["patient_name"] == "Geheim^Gretel"
    assert context["scheduled_procedure_step_id"] == "SPS-SECRET-4711"
    assert engineer.post("/api/captures/room/patient", method="DELETE").status_code == 204
    assert engineer.get("/api/captures/room/context").json()["patient_name"] is None
    assert engineer.post("/api/captures/room/emergency").status_code == 204
    assert engineer.get("/api/captures/room/context").json()["patient_id"].startswith("FG-E-")
    assert engineer.post("/api/lock").status_code == 204
    assert engineer.get("/api/captures/room/context").json()["masked"] is True
    refused(guest.post("/api/captures/room/step", {"id": "0" * 32}), 404, "no-entry")
    refused(guest.post("/api/captures/other/start"), 404, "no-capture")
    journal = json.dumps(guest.get("/api/journal").json())
    bundle = guest.get("/api/support-bundle")
    assert bundle.headers["content-type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(bundle.content)) as archive:
        files = {member.name: archive.extractfile(member).read().decode() for member in archive if member.isfile()}
    assert any(name.endswith("status.json") for name in files)
    for secret in SECRETS:
        assert secret not in box.output and secret not in journal
        assert not any(secret in content for content in files.values())
    box.wait_for_line("patients are shown at the console")


def test_what_is_done_is_told_within_two_seconds(boxes, authority, program):
    standing = {"search": "/series", "subscriber": "VIEWER"}
    box = boxes(subscription__fixed=standing)
    page = Page(box, authority)
    assert page.login(code(program, box)).status_code == 204
    with page.stream("/api/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        told = events(answer)
        name, status = next(told)
        assert name == "status"
        (subscription,) = status["subscriptions"]
        assert subscription["paused"] is False
        for action, paused in (("suspend", True), ("resume", False)):
            began = time.monotonic()
            assert page.post(f"/api/subscriptions/{subscription['id']}/{action}").status_code == 204
            seen = (data for name, data in told if name == "status")
            next(data for data in seen if data["subscriptions"][0]["paused"] is paused)
            assert time.monotonic() - began < 2
        logged = itertools.chain.from_iterable(data for name, data in told if name == "journal")
        page.post("/api/login", {"code": "0"})
        assert next(entry for entry in logged if "a login at the console failed" in entry["text"])
    refused(page.post("/api/subscriptions/none/suspend"), 404, "no-subscription")
    warned = page.get("/api/journal?level=warn").json()
    assert all(entry["level"] in ("error", "warn") for entry in warned["entries"])
    found = page.get("/api/journal?text=LOGGED+in").json()
    assert found["entries"] and all("logged in" in entry["text"] for entry in found["entries"])
    assert page.get(f"/api/journal?after={found['next']}&text=logged+in").json()["entries"] == []
    refused(page.get("/api/journal?level=loud"), 400, "bad-parameter")


def test_a_live_picture_moves_and_is_small_until_it_may_be_seen(boxes, authority, program, tmp_path):
    clip = clips.grey(tmp_path)
    box = boxes(capture__room={"device": clip.device})
    page = Page(box, authority, "engineer")
    assert page.login().status_code == 204
    (series,) = wait_for(lambda: page.get("/api/status").json()["series"], "the series of the capture")
    path = f"/api/series/{series['study']}/{series['series']}/live"
    with page.stream(path) as moving:
        began = time.monotonic()
        shown = pictures(moving)
        one, other, *more = itertools.islice(shown, 6)
        assert len({zlib.crc32(picture) for picture in (one, other, *more)}) > 1, "it moves"
        assert time.monotonic() - began > 0.7, "at most five a second"
        assert max(Image.open(io.BytesIO(one)).size) <= 48
        # What was begun in a locked session ends with it.
        assert page.post("/api/unlock").status_code == 204
        with pytest.raises(requests.RequestException):
            for _ in range(50):
                next(shown)
    with page.stream(path) as moving:
        shown = pictures(moving)
        assert max(Image.open(io.BytesIO(next(shown))).size) == clips.COLUMNS, "in full, and not enlarged"
        page.post("/api/lock")
        with pytest.raises(requests.RequestException):
            for _ in range(50):
                next(shown)
    refused(page.get("/api/series/1.2/3.4/live"), 404, "not-live")
    assert page.get(f"/api/series/{series['study']}/{series['series']}/context").json()["masked"] is True


def test_a_destination_is_tried_step_by_step(boxes, authority, program):
    folder = authority.folder
    closed = free_port()
    box = boxes(
        destination__shut={"url": f"https://127.0.0.1:{closed}/dicom-web", "ca": str(authority.ca)},
        destination__stranger={"url": "https://127.0.0.1:1", "ca": str(folder / "none.pem")},
    )
    box.config["destination.good"] = {"url": box.base, "ca": str(authority.ca)}
    other = Authority(folder / "other", "another authority")
    box.config["destination.stranger"] = {"url": box.base, "ca": str(other.ca)}
    reload(box)
    page = Page(box, authority)
    assert page.login(code(program, box)).status_code == 204
    tried = page.post("/api/destinations/good/test").json()
    assert tried["ok"] and tried["mend"] == "" and [step["name"] for step in tried["steps"]] == ["dns", "tcp", "tls", "http"]
    assert all(step["ok"] and step["milliseconds"] >= 0 and step["said"] for step in tried["steps"])
    for name, step, mend in (("shut", "tcp", "nothing listens"), ("stranger", "tls", "authority that ca does not hold")):
        tried = page.post(f"/api/destinations/{name}/test").json()
        assert not tried["ok"] and tried["steps"][-1]["name"] == step and mend in tried["mend"], tried
    refused(page.post("/api/destinations/none/test"), 404, "no-destination")


def test_what_is_malformed_is_refused_and_costs_nothing(boxes, authority, program):
    box = boxes()
    page = Page(box, authority)
    assert page.login(code(program, box)).status_code == 204
    headers = {"Origin": page.origin, "X-CSRF-Token": page.csrf}

    def post(path: str, data: bytes) -> requests.Response:
        return page.http.post(page.origin + path, data=data, headers=headers, timeout=20)

    for body in (b"{", b'{"code":1}', b'{"code":"1","x":2}', b"\xff", b"[" * 4000):
        refused(post("/api/login", body), 400, "bad-body")
    refused(post("/api/login", b" " * 5000), 413, "content-too-large")
    for path in ("//", "/..%2f..%2fetc/passwd", "/assets/..%2fmod.rs", "/api/captures/%00/context", "/api/" + "a/" * 2000):
        assert page.get(path).status_code in (401, 404), path
    for cookie in ("", "x" * 4000, "é".encode().decode("latin1")):
        bare = requests.Session()
        bare.trust_env, bare.verify = False, str(authority.ca)
        answer = bare.get(page.origin + "/api/status", headers={"Cookie": f"{COOKIE}={cookie}"}, timeout=10)
        assert answer.status_code == 401
    assert page.get("/api/status").status_code == 200
    assert box.stop() == 0, box.output


def test_a_service_that_stops_ends_what_goes_on(boxes, authority, program):
    box = boxes()
    page = Page(box, authority)
    assert page.login(code(program, box)).status_code == 204
    with listening(page) as told:
        began = time.monotonic()
        assert box.stop() == 0, box.output
        assert time.monotonic() - began < 4
        # Whole, not cut short.
        assert all(name in ("status", "journal") for name, _ in told)


def test_a_session_that_ends_ends_what_is_told_in_it(boxes, authority, program):
    box = boxes()
    page = Page(box, authority)
    assert page.login(code(program, box)).status_code == 204
    with listening(page) as told:
        began = time.monotonic()
        assert page.post("/api/logout").status_code == 204
        assert all(name in ("status", "journal") for name, _ in told)
        assert time.monotonic() - began < 2
