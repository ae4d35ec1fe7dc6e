"""The configuration of a box, changed at its console: tried, confirmed by whoever comes back, and else taken back."""

from __future__ import annotations

import re

import pytest
import requests

from box import Box, wait_for
from conftest import NETWORKS
from gateway import toml

DROP_IN = "/etc/framegate/framegate.d/90-console.toml"
CONSOLE = {"console": {"allow": NETWORKS, "code_may": ["configure"]}}
PATIENCE = "[Service]\nEnvironment=PATIENCE=45\n"


class Console:
    """A browser at the box's own page. Whose certificate it is, is not what is tried here."""

    def __init__(self, box: Box) -> None:
        self.box, self.origin = box, f"https://{box.address}:9443"
        self.http = requests.Session()
        self.http.trust_env = self.http.verify = False
        self.token = ""

    def login(self) -> "Console":
        code = re.search(r"\b(\d{4}) ?(\d{4})\b", self.box.run("framegate", "console-code"))
        assert self.post("/api/login", {"code": "".join(code.groups())}).status_code == 204
        self.token = self.get("/api/session")["csrf"]
        return self

    def get(self, path: str) -> dict:
        answer = self.http.get(self.origin + path, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict | None = None) -> requests.Response:
        headers = {"Origin": self.origin, "x-csrf-token": self.token}
        return self.http.post(self.origin + path, json=body, headers=headers, timeout=30)

    def want(self, text: str) -> requests.Response:
        return self.post("/api/configuration/want", {"text": text})


@pytest.fixture(scope="module")
def box(boxes, fresh) -> Box:
    box = boxes(fresh).active()
    box.write("/etc/framegate/framegate.d/60-console.toml", toml(CONSOLE))
    box.run("systemctl", "restart", "framegate-prepare.service")
    box.run("systemctl", "start", "framegate.service")
    return box


def outcome(box: Box) -> str:
    return box.attempt("cat", "/run/framegate/configuration/result")[1].strip()


def reached(box: Box, state: str) -> str:
    return wait_for(lambda: (said := outcome(box)).startswith(state) and said, f"the change is {state}", 120)


def title(console: Console) -> str:
    return console.get("/api/status")["dimse"]["ae_title"]


def test_a_change_is_kept_by_whoever_comes_back(box):
    text = '[dimse]\nae_title = "ROOM7"\n'
    answer = Console(box).login().want(text)
    assert answer.status_code == 200 and answer.json() == {"changes": ["dimse.ae_title"]}
    reached(box, "waiting")
    console = Console(box).login()
    assert title(console) == "ROOM7"
    assert console.get("/api/configuration")["outcome"]["state"] == "waiting"
    assert console.post("/api/configuration/confirm").status_code == 204
    reached(box, "kept")
    assert box.run("cat", DROP_IN) == text
    assert box.run("stat", "-c", "%U:%G %a", DROP_IN).strip() == "root:framegate 640"
    assert box.attempt("test", "-e", "/etc/framegate/90-console.before")[0] != 0


def test_what_nobody_confirms_is_taken_back(box):
    box.run("mkdir", "-p", "/run/systemd/system/framegate-configure.service.d")
    box.write("/run/systemd/system/framegate-configure.service.d/patience.conf", PATIENCE)
    box.run("systemctl", "daemon-reload")
    # It shuts its author out: nobody may connect to the console any more.
    answer = Console(box).login().want('[dimse]\nae_title = "ROOM7"\n[console]\nallow = ["192.0.2.1"]\n')
    assert answer.json() == {"changes": ["console.allow"]}
    reached(box, "waiting")
    with pytest.raises(requests.ConnectionError):
        Console(box).get("/api/session")
    assert "confirmed" in reached(box, "taken-back")
    assert title(Console(box).login()) == "ROOM7"


def test_what_the_gateway_does_not_work_with_is_taken_back(box):
    answer = Console(box).login().want('[dicomweb]\ntls.certificate = "/etc/framegate/none.pem"\n')
    assert answer.json()["changes"], "which files are there shows when it starts"
    assert "does not work" in reached(box, "taken-back")
    assert title(Console(box).login()) == "ROOM7"


def test_a_fault_is_told_with_its_line_and_changes_nothing(box):
    console = Console(box).login()
    answer = console.want("[dimse]\nae_titel = 'X'\n")
    assert answer.status_code == 422 and "90-console.toml:2" in answer.json()["detail"]
    assert title(console) == "ROOM7"


def test_what_waits_when_the_power_goes_is_taken_back_at_boot(box, boxes, fresh):
    before = box.run("cat", DROP_IN)
    Console(box).login().want('[dimse]\nae_title = "ROOM8"\n')
    reached(box, "waiting")
    box.cut()
    again = boxes(fresh).active()
    assert again.run("cat", DROP_IN) == before
    assert title(Console(again).login()) == "ROOM7"
