"""Notifications over the wire: independent WebSocket clients, one of them a browser, and senders that
go on only after the client has heard of what was sent."""

from __future__ import annotations

import itertools
import json
import signal
import time

import httpx
import pytest
import websockets.exceptions

import channel
from association import Association
from browser import Browser
from channel import Channel, Event, subscribe
from gateway import toml, wait_for
from live import LiveRead
from objects import EXPLICIT_LE, Recipe, Source, build
from test_cut_through import pieces

NAMES = (f"N{number}" for number in itertools.count(1))


@pytest.fixture
def source(tmp_path) -> Source:
    return build(Recipe("xa", "mono8", EXPLICIT_LE, 8, True), tmp_path)


class Sender:
    """A C-STORE that goes on piece by piece."""

    def __init__(self, gateway, source: Source) -> None:
        self.head, *self.frames = pieces(source)
        self.association = Association(gateway.dimse, source.dataset.SOPClassUID, [EXPLICIT_LE])
        self.association.begin_store(source.dataset.SOPClassUID, source.dataset.SOPInstanceUID)
        self.at = 0

    def send_head(self) -> None:
        self.association.data(self.head)

    def send_frames(self, count: int) -> None:
        for frame in self.frames[self.at : self.at + count]:
            self.at += 1
            self.association.data(frame, last=self.at == len(self.frames))

    def finish(self) -> None:
        self.send_frames(len(self.frames) - self.at)
        assert self.association.status() == 0x0000
        self.association.release()


def of_study(source: Source, level: str) -> str:
    """The search resource of a study's series or instances, for a subscriber of this test."""
    return f"/studies/{source.study}/{level}/subscribers/{next(NAMES)}"


def test_a_series_is_told_before_its_first_frame_is_whole(gateway, http, source):
    described, url = subscribe(gateway, http, of_study(source, "series"))
    with Channel(gateway, url) as listener:
        sender = Sender(gateway, source)
        sender.send_head()
        sender.association.data(sender.frames[0][:-1])
        event = listener.event()
        assert (event.kind, event.of, event.number) == (2, source.series, 1)
        assert event.value("00211001") == described["id"]
        assert event.value("00100010")["Alphabetic"] == source.dataset.PatientName.alphabetic
        assert event.value("00280010") == source.dataset.Rows
        assert event.json["00083002"]["Value"] == [EXPLICIT_LE]
        assert "7FE00010" not in event.json
        # Nothing of the pixels is there yet; who follows the URL has the first frame all the same.
        assert event.retrieve.startswith(gateway.base)
        reader = LiveRead(gateway, event.retrieve.removeprefix(gateway.base))
        assert not reader.arrived()
        sender.association.data(sender.frames[0][-1:])
        sender.at = 1
        assert reader.next_instance().InstanceNumber == 1
        sender.finish()
        assert len(reader.rest()) == 7
        event = listener.event()
        assert (event.kind, event.of, event.number) == (4, source.series, 2)
        assert event.value("00201209") == 8


def test_every_instance_is_told_and_can_be_had(gateway, http, source):
    _, url = subscribe(gateway, http, of_study(source, "instances"))
    with Channel(gateway, url) as listener:
        sender = Sender(gateway, source)
        sender.send_head()
        assert listener.event().kind == channel.SERIES_BECOMING_AVAILABLE
        for number in range(1, 9):
            sender.send_frames(1)
            event = listener.event()
            assert (event.kind, event.number) == (channel.INSTANCE_AVAILABLE, number + 1)
            assert event.value("00200013") == number
            answer = http.get(event.retrieve + "/metadata")
            assert answer.status_code == 200
            assert answer.json()[0]["00080018"]["Value"] == [event.of]
        sender.finish()
        assert listener.event().kind == channel.SERIES_COMPLETED


def test_a_client_that_was_cut_off_goes_on_without_a_gap(gateway, http, source):
    _, url = subscribe(gateway, http, of_study(source, "instances"))
    sender = Sender(gateway, source)
    listener = Channel(gateway, url)
    sender.send_head()
    sender.send_frames(3)
    numbers = [listener.event().number for _ in range(3)]
    assert numbers == [1, 2, 3]
    listener.cut()
    sender.finish()
    with Channel(gateway, f"{url}&after=3") as listener:
        events = [listener.event() for _ in range(7)]
        assert [event.number for event in events] == list(range(4, 11))
        assert [event.kind for event in events] == [3] * 6 + [4]
        assert [event.value("00200013") for event in events[:-1]] == [3, 4, 5, 6, 7, 8]


def test_a_number_from_another_life_is_answered_by_restarted(gateway, http, source):
    _, url = subscribe(gateway, http, of_study(source, "series"))
    with Channel(gateway, f"{url}&after=4711") as listener:
        event = listener.event()
        assert (event.kind, event.value("00741242")) == (7, "RESTARTED")


def heavy(tmp_path, frames: int) -> Source:
    """An object whose every instance makes an event of more than 100 KiB."""
    source = build(Recipe("xa", "mono8", EXPLICIT_LE, frames, True, rows=16, columns=16), tmp_path)
    source.dataset.TextValue = "x" * (100 << 10)
    source.dataset.save_as(source.path, enforce_file_format=True)
    return source


def test_a_slow_client_is_told_exactly_what_it_missed(own_gateway, http, tmp_path):
    gateway = own_gateway(subscriptions={"events": 8})
    source = heavy(tmp_path, 150)
    described, url = subscribe(gateway, http, of_study(source, "instances"))
    listener = Channel(gateway, url, slow=True)
    # The other end keeps pace, and shows that nobody waited for the slow one.
    with Channel(gateway, url) as quick:
        sender = Sender(gateway, source)
        sender.send_head()
        heard = [quick.event()]
        while heard[-1].kind != channel.SERIES_COMPLETED:
            if sender.at < len(sender.frames):
                sender.send_frames(1)
                if sender.at == len(sender.frames):
                    sender.finish()
            heard.append(quick.event())
    last = heard[-1].number
    assert [event.number for event in heard] == list(range(1, last + 1)), "a client that keeps up has all"
    events: list[Event] = []
    while not events or events[-1].number < last:
        events.append(listener.event())
    at = 0
    for event in events:
        at += event.missed or 1
        assert event.number == at, "what is missing is told where it is missing"
    lost = sum(event.missed or 0 for event in events)
    assert lost > 0, "all 15 MB went into the socket"
    [now] = http.get(gateway.base + url_of(described)).json()
    assert (now["missed"], now["sequence"]) == (lost, last)
    listener.close()


def url_of(described: dict) -> str:
    return f"{described['resource']}/subscribers/{described['subscriber']}"


def test_a_client_that_takes_nothing_is_dropped(own_gateway, http, tmp_path):
    gateway = own_gateway(
        subscriptions={"channels": 1}, dicomweb__limits={"send_timeout_ms": 500}, hub={"linger_ms": 100}
    )
    source = heavy(tmp_path, 150)
    _, url = subscribe(gateway, http, of_study(source, "instances"))
    listener = Channel(gateway, url, slow=True)
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        Channel(gateway, url)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"]
    sender = Sender(gateway, source)
    sender.send_head()
    sender.finish()
    wait_for(lambda: gateway.metric("framegate_notify_connections_dropped_total") == 1, "the client is dropped")
    assert gateway.metric('framegate_http_connections_dropped_total.*"stalled"') == 1
    assert gateway.metric("framegate_notify_connections_open") == 0
    Channel(gateway, url).close()
    listener.close()


def test_a_subscription_steers_a_stream_while_it_runs(gateway, http, source):
    described, url = subscribe(gateway, http, of_study(source, "series"))
    update = gateway.base + url_of(described) + "?update&"
    sender = Sender(gateway, source)
    sender.send_head()
    sender.send_frames(2)
    path = f"/studies/{source.study}/series/{source.series}"
    wait_for(lambda: http.get(gateway.base + path + "/metadata").status_code == 200, "the series is there")
    free = LiveRead(gateway, path)
    steered = LiveRead(gateway, f"{path}?subscription={described['id']}")
    for reader in (free, steered):
        assert [reader.next_instance().InstanceNumber for _ in range(2)] == [1, 2]
    assert http.post(update + "paused=true").status_code == 200
    sender.send_frames(3)
    assert [free.next_instance().InstanceNumber for _ in range(3)] == [3, 4, 5]
    assert not steered.arrived(), "it is paused"
    assert http.post(update + "paused=false&rate=0.001").status_code == 200
    assert steered.next_instance().InstanceNumber == 3, "it goes on where it was"
    sender.finish()
    assert steered.rest() == [], "at this rate there is no second one"
    assert len(free.rest()) == 3
    stranger = http.get(f"{gateway.base}{path}?subscription={'0' * 32}")
    assert stranger.status_code == 400


def test_who_suspends_hears_nothing_and_who_resumes_begins_afresh(gateway, http, source):
    described, url = subscribe(gateway, http, of_study(source, "instances"))
    resource = gateway.base + url_of(described)
    with Channel(gateway, url) as listener:
        sender = Sender(gateway, source)
        sender.send_head()
        sender.send_frames(1)
        assert [listener.event().kind for _ in range(2)] == [2, 3]
        assert http.post(resource + "/suspend").status_code == 200
        sender.send_frames(3)
        # Only what is in memory can be seen to have been passed over.
        path = f"/studies/{source.study}/series/{source.series}/metadata"
        wait_for(lambda: len(http.get(gateway.base + path).json()) == 4, "four frames are in")
        assert http.post(resource + "/resume").status_code == 200
        event = listener.event()
        assert (event.kind, event.number) == (2, 3)
        sender.send_frames(1)
        event = listener.event()
        assert (event.kind, event.value("00200013")) == (3, 5)
        assert http.delete(resource).status_code == 200
        assert listener.close_code() == 1000
    sender.finish()


def test_a_server_that_stops_says_so(own_gateway, http, source):
    gateway = own_gateway(hub={"linger_ms": 60000})
    _, url = subscribe(gateway, http, of_study(source, "series"))
    listener = Channel(gateway, url)
    sender = Sender(gateway, source)
    sender.send_head()
    sender.finish()
    assert listener.event().kind == channel.SERIES_BECOMING_AVAILABLE
    began = time.monotonic()
    assert gateway.stop() == 0, gateway.output
    assert time.monotonic() - began < 4, "it did not wait for the drain time to be over"
    assert listener.event().kind == channel.SERIES_ABORTED
    event = listener.event()
    assert (event.kind, event.value("00741242")) == (7, "GOING DOWN")
    assert listener.close_code() == 1001
    listener.close()


def test_who_loses_the_right_is_sent_away(own_gateway, http, source):
    gateway = own_gateway()
    _, url = subscribe(gateway, http, of_study(source, "series"))
    with Channel(gateway, url) as listener:
        gateway.config["access"]["anonymous"] = ["search"]
        gateway.config_file.write_text(toml(gateway.config))
        gateway.signal(signal.SIGHUP)
        assert listener.close_code() == 1008


@pytest.mark.parametrize("path", ["/subscribers/{}", "/ws/subscribers/{}", "/"])
def test_the_other_urls_open_it_too(own_gateway, http, source, path):
    gateway = own_gateway()
    described, _ = subscribe(gateway, http, of_study(source, "series"))
    url = gateway.base.replace("https:", "wss:") + path.format(described["subscriber"])
    with Channel(gateway, url) as listener:
        sender = Sender(gateway, source)
        sender.send_head()
        assert listener.event().of == source.series
        sender.finish()


def test_what_is_no_handshake_is_told_so(gateway, http, source):
    described, url = subscribe(gateway, http, of_study(source, "series"))
    plain = url.replace("wss:", "https:")
    answer = http.get(plain)
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    context = gateway.authority.client_context()
    with httpx.Client(verify=context, http1=False, http2=True, trust_env=False) as http2:
        assert http2.get(plain).status_code == 426
    assert http.get(gateway.base + "/subscribers/NOBODY", headers=HANDSHAKE).status_code == 404
    assert http.get(plain, headers=HANDSHAKE | {"Sec-WebSocket-Key": "short"}).status_code == 400
    assert http.get(plain + "&after=now", headers=HANDSHAKE).status_code == 400
    foreign = HANDSHAKE | {"Origin": "https://elsewhere.example"}
    by_name = f"{gateway.base}/subscribers/{described['subscriber']}"
    assert http.get(by_name, headers=foreign).status_code == 403
    assert http.get(gateway.base + "/", headers=foreign).status_code == 403
    assert http.get(gateway.base + "/").status_code == 200, "without a handshake it is the capabilities"
    # The secret opens it for any page.
    with Channel(gateway, url, origin="https://elsewhere.example"):
        pass


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_a_message_that_is_too_large_ends_the_connection(gateway, http, source):
    _, url = subscribe(gateway, http, of_study(source, "series"))
    with Channel(gateway, url) as listener:
        listener.socket.send("x" * 4096)
        listener.socket.ping().wait(channel.PATIENCE)
        listener.socket.send("x" * 4097)
        assert listener.close_code() == 1009


def test_a_browser_listens(gateway, http, source):
    browser = Browser()
    try:
        # A page of an origin of its own, which can show no credentials.
        browser.open("data:text/html,<title>a viewer</title>")
        _, url = subscribe(gateway, http, of_study(source, "instances"))
        browser.run(
            f"""new Promise((opened, failed) => {{
                window.events = [];
                window.wake = () => {{}};
                const socket = new WebSocket({json.dumps(url)});
                socket.onopen = () => opened();
                socket.onerror = () => failed(new Error('no connection'));
                socket.onmessage = message => {{ window.events.push(JSON.parse(message.data)); window.wake(); }};
                socket.onclose = close => {{ window.closeCode = close.code; window.wake(); }};
                window.told = number => new Promise(done => {{
                    window.wake = () => {{ if (window.events.length >= number) done(window.events[number - 1]); }};
                    window.wake();
                }});
                window.end = () => new Promise(done => {{
                    window.wake = () => {{ if (window.closeCode) done(window.closeCode); }};
                    window.wake();
                }});
            }})"""
        )
        sender = Sender(gateway, source)
        sender.send_head()
        opened = Event(browser.run("window.told(1)"))
        assert (opened.kind, opened.of) == (2, source.series)
        for number in range(1, 4):
            sender.send_frames(1)
            event = Event(browser.run(f"window.told({number + 1})"))
            assert (event.kind, event.value("00200013")) == (3, number)
        sender.finish()
        subscriber = url.split("/subscribers/")[1].split("?")[0]
        resource = f"/studies/{source.study}/instances/subscribers/{subscriber}"
        assert http.delete(gateway.base + resource).status_code == 200
        assert browser.run("window.end()") == 1000
    finally:
        browser.close()
