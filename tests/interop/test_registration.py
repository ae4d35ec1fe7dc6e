"""Registration (docs/live-profile.md, section 4) over the wire: every status of its tables."""

from __future__ import annotations

import itertools
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from gateway import Gateway, wait_for
from phi import secret

RESOURCES = [
    "/studies",
    "/series",
    "/instances",
    "/studies/1.2/series",
    "/studies/1.2/instances",
    "/studies/1.2/series/1.3/instances",
]
# Values that no answer and no log may repeat.
SECRET = secret("Zyxwv")
NAMES = (f"S{number}" for number in itertools.count(1))


class Desk:
    """A client of a gateway, and one subscriber's resource there."""

    def __init__(self, gateway: Gateway, resource: str = "/series", name: str | None = None, http2: bool = False):
        self.gateway = gateway
        self.name = name or next(NAMES)
        self.path = f"{resource}/subscribers/{self.name}"
        self.http = httpx.Client(
            verify=gateway.authority.client_context(), http1=not http2, http2=http2, timeout=30, trust_env=False
        )

    def ask(self, method: str, below: str = "", **more) -> httpx.Response:
        answer = self.http.request(method, self.gateway.base + self.path + below, **more)
        assert SECRET not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer

    def get(self, below: str = "") -> httpx.Response:
        return self.ask("GET", below)

    def post(self, below: str = "", **more) -> httpx.Response:
        return self.ask("POST", below, **more)

    def delete(self, below: str = "") -> httpx.Response:
        return self.ask("DELETE", below)


@pytest.fixture
def desk(gateway) -> Desk:
    """A subscriber of the test's own at the shared gateway."""
    return Desk(gateway)


def problem(answer: httpx.Response, status: int, kind: str) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == f"urn:framegate:problem:{kind}", told
    assert told["status"] == status
    return told


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_the_life_of_a_subscription(gateway, resource, http2):
    desk = Desk(gateway, resource, http2=http2)
    problem(desk.get(), 404, "no-subscription")

    made = desk.post(f"?Modality=XA&PatientName={SECRET}*&fuzzymatching=true")
    assert made.status_code == 201, made.text
    assert made.headers["content-type"] == "application/json"
    shown = made.json()
    assert len(shown.pop("id")) == 32
    assert shown == {
        "subscriber": desk.name,
        "resource": resource,
        "keys": ["Modality", "PatientName"],
        "delivery": "notification",
        "representation": "instance",
        "suspended": False,
        "paused": False,
        "lease_seconds": shown["lease_seconds"],
        "sequence": shown["sequence"],
        "missed": 0,
    }
    location = urlsplit(made.headers["location"])
    assert made.headers["content-location"] == made.headers["location"]
    assert (location.scheme, location.netloc) == ("wss", "%s:%d" % gateway.web)
    assert location.path == f"/dicomweb/subscribers/{desk.name}"
    assert location.query.startswith("channel=") and len(location.query) >= 40

    # The same search in the other spelling is the same subscription.
    again = desk.post(f"?filter=PatientName={SECRET}*,00080060=XA&fuzzymatching=true&lease=60&rate=5")
    assert again.status_code == 200
    assert again.json()["id"] == made.json()["id"]
    assert (again.json()["lease_seconds"], again.json()["rate"]) == (60, 5.0)
    assert again.headers["location"] == made.headers["location"]
    other = desk.post("?Modality=US")
    assert other.status_code == 201
    assert other.headers["location"] == made.headers["location"]

    listed = desk.get()
    assert listed.status_code == 200
    assert [one["id"] for one in listed.json()] == [made.json()["id"], other.json()["id"]]
    assert "location" not in listed.headers
    assert desk.ask("HEAD").status_code == 200
    one = f"subscription={other.json()['id']}"
    assert [shown["id"] for shown in desk.get(f"?{one}").json()] == [other.json()["id"]]

    updated = desk.post("?update&rate=7.5&paused=true")
    assert updated.status_code == 200
    assert [(shown["rate"], shown["paused"]) for shown in updated.json()] == [(7.5, True)] * 2
    unlimited = desk.post(f"?update&rate=0&{one}")
    assert "rate" not in unlimited.json()[0] and unlimited.json()[0]["paused"]
    assert desk.get().json()[0]["rate"] == 7.5

    assert [shown["suspended"] for shown in desk.post("/suspend").json()] == [True, True]
    assert [shown["suspended"] for shown in desk.post(f"/resume?{one}").json()] == [False]
    assert [shown["suspended"] for shown in desk.get().json()] == [True, False]

    assert desk.delete(f"?{one}").status_code == 200
    assert len(desk.get().json()) == 1
    assert desk.delete().status_code == 200
    for answer in (desk.get(), desk.delete(), desk.post("/suspend"), desk.post("/resume"), desk.post("?update&rate=1")):
        problem(answer, 404, "no-subscription")
    # The name is free, and its old channel opens nothing any more.
    assert desk.post().headers["location"] != made.headers["location"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("rate=x", "rate"),
        ("rate=0", "rate"),
        ("from=now", "from"),
        ("lease=0", "lease"),
        (f"lease={SECRET}", "lease"),
        ("paused=maybe", "paused"),
        ("representation=dicom", "representation"),
        ("transfer-syntax=1.2.840.10008.1.2.4.50", "transfer-syntax"),
        ("destination=", "destination"),
        (f"StudyDate={SECRET}", "StudyDate"),
        (f"PatientID=1&PatientID={SECRET}", "PatientID"),
        (f"PatientNmae={SECRET}", "PatientNmae"),
        ("limit=5", "limit"),
        ("update&rate=x", "rate"),
        ("update&from=latest", "from"),
        (f"update&PatientName={SECRET}", "PatientName"),
    ],
)
def test_what_cannot_be_read_is_named(desk, query, named):
    answer = desk.post(f"?{query}")
    assert answer.status_code == 400
    assert f"parameter {named}" in answer.json()["detail"]
    problem(desk.get(), 404, "no-subscription")


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("DELETE", ""), ("POST", "/suspend"), ("POST", "/resume")])
def test_about_what_is_there_only_one_can_be_named(desk, method, below):
    desk.post("?Modality=XA")
    for query in ("rate=1", "Modality=XA", "x=1"):
        problem(desk.ask(method, f"{below}?{query}"), 400, "unexpected-parameter")
    problem(desk.ask(method, f"{below}?subscription={'0' * 32}"), 404, "no-subscription")
    assert len(desk.get().json()) == 1


def test_other_methods_and_names_are_refused(gateway, desk):
    assert desk.ask("PUT").headers["allow"] == "GET, HEAD, POST, DELETE, OPTIONS"
    suspend = desk.get("/suspend")
    assert (suspend.status_code, suspend.headers["allow"]) == (405, "POST, OPTIONS")
    problem(Desk(gateway, name="a%20b").post(), 400, "bad-path")
    problem(Desk(gateway, name="x" * 65).post(), 400, "bad-path")
    for name in ("metadata", "series", "instances", "rendered"):
        assert Desk(gateway, name=name).post().status_code == 201
        assert Desk(gateway, name=name).delete().status_code == 200


def test_content_is_not_needed_and_little_is_ignored(desk):
    assert desk.post(content=b"").status_code == 201
    assert desk.post(content=b"x" * 4096).status_code == 200
    problem(desk.post(content=b"x" * 4097), 413, "content-too-large")
    problem(desk.post(content=iter([b"x" * 1024] * 5)), 413, "content-too-large")


def test_content_that_does_not_come_is_not_waited_for(desk):
    gateway = desk.gateway
    with socket.create_connection(gateway.web, timeout=30) as plain:
        with gateway.authority.client_context().wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            head = f"POST /dicomweb{desk.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx"
            secure.sendall(head.encode())
            assert secure.recv(12) == b"HTTP/1.1 408"
    problem(desk.get(), 404, "no-subscription")


def test_a_lease_ends(own_gateway):
    desk = Desk(own_gateway(subscriptions={"lease_seconds": 60}))
    assert desk.post("?lease=3600").json()["lease_seconds"] == 60
    assert desk.post("?Modality=XA&lease=1").status_code == 201
    wait_for(lambda: len(desk.get().json()) == 1, "the lease is over")
    assert desk.get().json()[0]["keys"] == []


def test_bounds_say_when_to_come_back(own_gateway):
    gateway = own_gateway(subscriptions={"total": 3, "per_subscriber": 2})
    first, second = Desk(gateway), Desk(gateway)
    for number in (1, 2):
        assert first.post(f"?PatientID={number}").status_code == 201
    assert second.post("?PatientID=1").status_code == 201
    for refused in (first.post("?PatientID=3"), second.post("?PatientID=2")):
        problem(refused, 503, "too-many-subscriptions")
        assert int(refused.headers["retry-after"]) > 0
    assert first.post("?PatientID=2").status_code == 200


def test_who_may_not_subscribe_may_not(own_gateway):
    gateway = own_gateway(access={"anonymous": ["search", "retrieve"]})
    desk = Desk(gateway)
    for answer in (desk.post(), desk.get(), desk.delete(), desk.post("/suspend"), desk.post("?update&rate=1")):
        assert answer.status_code in (401, 403)
    assert desk.http.get(f"{gateway.base}/studies").status_code == 204


def destination(gateway_authority) -> dict:
    """A peer that is not there: what is pushed to it waits."""
    return {"url": "https://127.0.0.1:9/dicom-web", "ca": str(gateway_authority.ca)}


def test_a_destination_is_for_who_may_push_to_it(own_gateway, authority):
    rights = {"anonymous": ["subscribe", "push-to"], "anonymous_destinations": ["pacs"]}
    known = {"destination.pacs": destination(authority), "destination.other": destination(authority)}
    desk = Desk(own_gateway(access=rights, **known))
    made = desk.post("?destination=pacs&from=latest&representation=rendered&rate=5")
    assert made.status_code == 201
    shown = made.json()
    assert (shown["delivery"], shown["destination"]) == ("push", "pacs")
    assert (shown["from"], shown["representation"]) == ("latest", "rendered")
    assert shown["state"] in ("idle", "connecting", "waiting")
    assert (shown["sent"], shown["failed"]) == (0, 0)
    # What is not for them looks like what is not there.
    absent = problem(desk.post("?destination=nowhere"), 404, "no-destination")
    assert problem(desk.post("?destination=other"), 404, "no-destination") == absent


def test_who_may_not_push_at_all_may_not(own_gateway, authority):
    rights = {"anonymous": ["subscribe"], "anonymous_destinations": ["*"]}
    desk = Desk(own_gateway(access=rights, **{"destination.pacs": destination(authority)}))
    assert desk.post("?destination=pacs").status_code in (401, 403)
    assert desk.post().status_code == 201


@pytest.fixture
def standing(own_gateway):
    """A gateway whose configuration has searches of its own."""
    alice = {"certificates": ["CN=alice"], "may": ["search", "subscribe"]}
    return own_gateway(
        **{
            "principal.alice": alice,
            "subscription.room": {"search": "/series", "subscriber": "ROOM", "filter": "Modality=XA"},
            "subscription.hers": {"search": "/series", "subscriber": "HERS", "principal": "alice"},
        }
    )


def test_those_of_the_configuration_are_there_and_stay(standing):
    desk = Desk(standing, name="ROOM")
    [shown] = desk.get().json()
    assert shown["keys"] == ["Modality"]
    assert "lease_seconds" not in shown
    assert desk.post("?update&paused=true&rate=3").json()[0]["rate"] == 3.0
    assert desk.post("/suspend").json()[0]["suspended"]
    problem(desk.delete(), 403, "standing-subscription")
    assert desk.post("?Modality=US").status_code == 201
    problem(desk.delete(), 403, "standing-subscription")
    assert len(desk.get().json()) == 2


def test_what_is_somebody_elses_is_not_there(standing):
    desk = Desk(standing, name="HERS")
    problem(desk.post("?Modality=XA"), 403, "subscriber-taken")
    for answer in (desk.get(), desk.delete(), desk.post("/suspend"), desk.post("/resume"), desk.post("?update&rate=1")):
        problem(answer, 404, "no-subscription")


def test_no_value_of_a_key_is_logged(own_gateway):
    gateway = own_gateway(service={"log": "debug"})
    desk = Desk(gateway)
    location = desk.post(f"?PatientName={SECRET}").headers["location"]
    desk.post(f"?StudyDate={SECRET}")
    desk.post(f"?PatientNmae={SECRET}")
    desk.get(f"?PatientName={SECRET}")
    assert gateway.stop() == 0
    assert SECRET not in gateway.output
    assert urlsplit(location).query.removeprefix("channel=") not in gateway.output


def test_a_browser_application_may_register(own_gateway):
    origin = "https://viewer.example"
    desk = Desk(own_gateway(dicomweb={"cors_origins": [origin]}))
    asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
    url = desk.gateway.base + desk.path
    allowed = desk.http.options(url, headers=asked).headers["access-control-allow-methods"]
    assert {"POST", "DELETE"} <= set(allowed.split(", "))
    exposed = desk.post(headers={"Origin": origin}).headers["access-control-expose-headers"]
    assert {"Location", "Content-Location", "Retry-After", "Warning"} <= set(exposed.split(", "))
