"""Who may do what: every principal tries every transaction, over the wire; what is shown and not
accepted is refused; and what a reload or a revocation takes away is gone at once, with what was open."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import itertools
import json
import signal
import socket
import ssl
import time
import uuid

import httpx
import jwt
import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from pydicom.uid import generate_uid

from gateway import Gateway, toml, wait_for
from objects import EXPLICIT_LE, Recipe, Source, build
from pki import Authority, Leaf
from scu import store_all
from test_live import SlowStore
from test_send import OpenSend, part, taken

ISSUER = "https://issuer.example"
AUDIENCE = "framegate"
PATIENCE = 30.0
READS = {"retrieve", "study", "metadata", "rendered", "frames", "bulkdata"}


class Issuer:
    """Signs tokens with one key."""

    def __init__(self, name: str, kind: str = "ES256") -> None:
        self.name, self.kind = name, kind
        elliptic = kind == "ES256"
        self.key = ec.generate_private_key(ec.SECP256R1()) if elliptic else ed25519.Ed25519PrivateKey.generate()
        writer = ECAlgorithm if elliptic else OKPAlgorithm
        public = json.loads(writer.to_jwk(self.key.public_key()))
        # Some versions of the library add what they do themselves with the key.
        public.pop("key_ops", None)
        self.jwk = public | {"kid": name}

    def token(self, subject: str, **claims) -> str:
        """A token that is believed, but for the claims that are given; None leaves one out."""
        whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 600} | claims
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, self.key, algorithm=self.kind, headers={"kid": self.name})


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a client shows of itself."""

    certificate: Leaf | None = None
    authorization: str | None = None


_addresses = itertools.count(2)


class Client(httpx.Client):
    """Comes from a loopback address of its own: failures are limited by address."""

    def __init__(self, gateway: Gateway, shown: Shown) -> None:
        number = next(_addresses)
        self.address = f"127.1.{number // 250}.{number % 250 + 1}"
        self.context = gateway.authority.client_context(shown.certificate)
        transport = httpx.HTTPTransport(verify=self.context, local_address=self.address, trust_env=False)
        headers = {"Authorization": shown.authorization} if shown.authorization else {}
        super().__init__(
            transport=transport, base_url=gateway.base, headers=headers, timeout=PATIENCE, trust_env=False
        )


def bearer(token: str) -> Shown:
    return Shown(authorization=f"Bearer {token}")


class Room:
    """A gateway with people in it, and an XA and a US series that have ended."""

    def __init__(self, start, folder) -> None:
        self.people = Authority(folder / "people", "people")
        self.certificates = {
            name: self.people.leaf(name, server=False)
            for name in ("reader", "pusher", "warden", "idler", "stranger", "leaver")
        }
        self.issuer = Issuer("k1")
        self.ed = Issuer("k2", "EdDSA")
        self.jwks = folder / "jwks.json"
        self.publish(self.issuer, self.ed)
        destination = {"url": "https://127.0.0.1:1/dicomweb", "ca": str(self.people.ca), "mode": "store"}
        self.gateway: Gateway = start(
            hub={"max_age_seconds": 600, "linger_ms": 100},
            dicomweb__tls={
                "client_ca": str(self.people.ca),
                "client_certificate_optional": True,
                "client_crl": str(self.people.revoke()),
            },
            access={"anonymous": ["search"]},
            access__jwt={
                "jwks": str(self.jwks),
                "issuer": ISSUER,
                "audience": AUDIENCE,
                "leeway_seconds": 5,
            },
            destination__pacs=destination,
            destination__other=destination,
            **self.principals(),
        )
        self.xa = build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), folder)
        self.us = build(Recipe("us", "rgb", EXPLICIT_LE, 3, True), folder)
        store_all(self.gateway.dimse, self.xa.path, self.us.path)
        self.single = build(Recipe("xa", "mono8", EXPLICIT_LE), folder)
        with Client(self.gateway, self.shown("reader")) as reader:
            wait_for(lambda: reader.get(f"/studies/{self.us.study}").status_code == 200, "the series are there")

    @staticmethod
    def principals() -> dict[str, dict]:
        return {
            "principal.reader": {"certificates": ["CN=reader"], "may": ["search", "retrieve"]},
            "principal.leaver": {"certificates": ["CN=leaver"], "may": ["search", "retrieve"]},
            "principal.viewer": {"subjects": ["viewer-1"], "may": ["search", "retrieve", "subscribe"]},
            "principal.pusher": {
                "certificates": ["CN=pusher"],
                "may": ["subscribe", "push-to"],
                "destinations": ["pacs"],
            },
            "principal.device": {"subjects": ["device-1"], "may": ["send"]},
            "principal.warden": {"certificates": ["CN=warden"], "may": ["subscribe", "operate"]},
            "principal.filtered": {
                "subjects": ["filtered-1"],
                "may": ["search", "retrieve", "subscribe"],
                "filter": "Modality=US",
            },
            "principal.idler": {"certificates": ["CN=idler"], "subjects": ["idler-1"], "may": []},
        }

    def publish(self, *issuers: Issuer) -> None:
        self.jwks.write_text(json.dumps({"keys": [one.jwk for one in issuers]}))

    def shown(self, who: str) -> Shown:
        """The credentials of a principal, good ones."""
        if who == "anonymous":
            return Shown()
        if who in self.certificates:
            return Shown(certificate=self.certificates[who])
        issuer = self.ed if who == "device" else self.issuer
        return bearer(issuer.token(f"{who}-1"))

    def client(self, shown: Shown) -> Client:
        return Client(self.gateway, shown)

    def reload(self) -> None:
        """Has the configuration read again, and waits until it is."""
        said = self.gateway.output.count("configuration reloaded")
        self.gateway.signal(signal.SIGHUP)
        wait_for(lambda: self.gateway.output.count("configuration reloaded") > said, "the reload")


@pytest.fixture(scope="module")
def room(program, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    made = Room(lambda **sections: Gateway(program, folder / "gateway", authority, **sections), folder)
    yield made
    assert made.gateway.stop() == 0, made.gateway.output


# The transactions. Each makes one request and returns the response; `who` is for what it needs
# beforehand.


def instance(client: httpx.Client, room: Room, source: Source) -> str:
    """Path of the first instance of a series; looked up by somebody who sees everything."""
    with room.client(room.shown("reader")) as reader:
        found = reader.get(f"/studies/{source.study}/series/{source.series}/instances", params={"limit": 1})
    uid = found.json()[0]["00080018"]["Value"][0]
    return f"/studies/{source.study}/series/{source.series}/instances/{uid}"


def search(client, room, who, source):
    return client.get("/series", params={"StudyInstanceUID": source.study})


def retrieve(client, room, who, source):
    return client.get(f"/studies/{source.study}/series/{source.series}")


def study(client, room, who, source):
    return client.get(f"/studies/{source.study}")


def metadata(client, room, who, source):
    return client.get(f"/studies/{source.study}/series/{source.series}/metadata")


def rendered(client, room, who, source):
    return client.get(instance(client, room, source) + "/rendered", headers={"Accept": "image/jpeg"})


def frames(client, room, who, source):
    return client.get(instance(client, room, source) + "/frames/1")


def bulkdata(client, room, who, source):
    return client.get(instance(client, room, source) + "/bulkdata/7FE00010")


def subscribe(client, room, who, source):
    return client.post(f"/series/subscribers/{uuid.uuid4()}", params={"Modality": "XA"})


def push_to(client, room, who, source):
    return client.post(f"/series/subscribers/{uuid.uuid4()}", params={"destination": "pacs"})


def operate(client, room, who, source):
    """Ends a subscription of somebody else's."""
    owner = "pusher" if who == "warden" else "warden"
    path = f"/series/subscribers/{uuid.uuid4()}"
    with room.client(room.shown(owner)) as other:
        assert other.post(path).status_code == 201
        answer = client.delete(path)
        assert other.get(path).status_code == (404 if answer.status_code == 200 else 200)
    return answer


def capture(client, room, who, source):
    """Looks at captures, of which there are none here."""
    return client.get("/operations/captures")


def post(client, room, path: str):
    """Posts an object that nobody has seen before."""
    dataset = pydicom.dcmread(room.single.path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    file = room.single.path.with_name("posted.dcm")
    dataset.save_as(file)
    content = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n--b--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    return client.post(path, content=content, headers=headers)


def send(client, room, who, source):
    return post(client, room, "/instances")


def store(client, room, who, source):
    return post(client, room, "/studies")


ACTIONS = {
    "search": search,
    "retrieve": retrieve,
    "study": study,
    "metadata": metadata,
    "rendered": rendered,
    "frames": frames,
    "bulkdata": bulkdata,
    "subscribe": subscribe,
    "push-to": push_to,
    "send": send,
    "store": store,
    "operate": operate,
    "capture": capture,
}
DONE = {"subscribe": 201, "push-to": 201}
ALLOWED = {
    "anonymous": {"search"},
    "reader": {"search"} | READS,
    "viewer": {"search", "subscribe"} | READS,
    "pusher": {"subscribe", "push-to"},
    "device": {"send", "store"},
    "warden": {"subscribe", "operate", "capture"},
    "idler": set(),
}


def refused(answer: httpx.Response, status: int) -> dict:
    """The problem that a refusal tells."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    challenge = answer.headers.get("www-authenticate", "")
    assert challenge.startswith("Bearer") == (status == 401), answer.headers
    return answer.json()


def right_for(action: str) -> str:
    if action in READS:
        return "retrieve"
    return {"store": "send", "capture": "operate"}.get(action, action)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("who", ALLOWED)
def test_every_principal_may_what_was_granted_and_no_more(room, who, action):
    with room.client(room.shown(who)) as client:
        answer = ACTIONS[action](client, room, who, room.xa)
        if action in ALLOWED[who]:
            assert answer.status_code == DONE.get(action, 200), answer.text
        elif who == "anonymous":
            refused(answer, 401)
        elif action == "operate" and "subscribe" in ALLOWED[who]:
            # They may look after subscriptions, but not after this one: for them there is none.
            assert answer.status_code in (403, 404), answer.text
        else:
            problem = refused(answer, 403)
            # Whoever lacks both subscribe and push-to, or operate, is told of the first.
            named = right_for(action)
            assert named in problem["detail"] or "subscribe" in problem["detail"], problem


def test_capabilities_ask_for_nothing(room):
    for who in ALLOWED:
        with room.client(room.shown(who)) as client:
            assert client.options("/", headers={"Accept": "application/vnd.sun.wadl+xml"}).status_code == 200


def test_a_destination_is_for_those_who_have_it(room):
    with room.client(room.shown("pusher")) as client:
        path = f"/series/subscribers/{uuid.uuid4()}"
        theirs = client.post(path, params={"destination": "pacs"})
        others = client.post(path, params={"destination": "other"})
        unknown = client.post(path, params={"destination": "unknown"})
    assert theirs.status_code == 201, theirs.text
    # That there is such a destination is not for them to know.
    assert others.status_code in (403, 404), others.text
    assert others.status_code == unknown.status_code or others.status_code == 403


def test_the_owner_of_a_subscription_may_end_it(room):
    path = f"/series/subscribers/{uuid.uuid4()}"
    with room.client(room.shown("viewer")) as viewer:
        assert viewer.post(path).status_code == 201
        assert viewer.delete(path).status_code == 200


# What is shown and not accepted.


def by_hand(algorithm: str, secret: bytes | None = None) -> str:
    """A token as no library would make it: unsigned, or by HMAC with what is no secret."""

    def text(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "viewer-1", "exp": now(600)}
    message = ".".join(text(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": "k1"}, claims))
    signature = hmac.digest(secret, message.encode(), "sha256") if secret else b""
    return f"{message}.{text(signature)}"


def now(seconds: int) -> int:
    return int(time.time()) + seconds


def token(**claims):
    return lambda room: bearer(room.issuer.token("viewer-1", **claims))


BAD = {
    "expired": (lambda room: token(exp=now(-10))(room), "expired"),
    "early": (lambda room: token(nbf=now(60))(room), "early"),
    "without-expiry": (token(exp=None), "claims"),
    "without-subject": (token(sub=None), "claims"),
    "wrong-audience": (token(aud="somebody-else"), "audience"),
    "without-audience": (token(aud=None), "claims"),
    "wrong-issuer": (token(iss="https://else.example"), "issuer"),
    "unknown-key": (lambda room: bearer(Issuer("k9").token("viewer-1")), "key"),
    "forged": (lambda room: bearer(Issuer("k1").token("viewer-1")), "signature"),
    "unsigned": (lambda room: bearer(by_hand("none")), "malformed"),
    "hmac-with-the-public-key": (
        lambda room: bearer(by_hand("HS256", json.dumps(room.issuer.jwk).encode())),
        "algorithm",
    ),
    "unknown-subject": (lambda room: bearer(room.issuer.token("nobody")), "subject"),
    "garbage": (lambda room: bearer("sesame"), "malformed"),
    "too-long": (lambda room: bearer("x" * 9000), "too_long"),
    "basic": (lambda room: Shown(authorization="Basic dTpw"), "malformed"),
    "unknown-certificate": (lambda room: room.shown("stranger"), "certificate"),
    "certificate-and-token-differ": (
        lambda room: dataclasses.replace(room.shown("viewer"), certificate=room.certificates["reader"]),
        "differ",
    ),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", BAD)
def test_credentials_that_are_not_accepted_are_good_for_nothing(room, kind, action):
    make, reason = BAD[kind]
    counter = f'^framegate_dicomweb_requests_unauthenticated_total{{reason="{reason}"}}$'
    with room.client(make(room)) as client:
        # Search is open to anybody who shows nothing.
        answer = ACTIONS[action](client, room, "nobody", room.xa)
    refused(answer, 401)
    of_token = kind != "unknown-certificate"
    assert ('error="invalid_token"' in answer.headers["www-authenticate"]) == of_token
    assert room.gateway.metric(counter) >= 1


def test_a_certificate_and_a_token_of_the_same_principal(room):
    token = room.issuer.token("idler-1")
    shown = Shown(certificate=room.certificates["idler"], authorization=f"Bearer {token}")
    with room.client(shown) as client:
        refused(search(client, room, "idler", room.xa), 403)


def test_failures_are_limited_by_address_and_good_credentials_are_not(room):
    bad = {"Authorization": "Bearer sesame"}
    with room.client(room.shown("reader")) as client:
        answers = [client.get("/studies", headers=bad) for _ in range(30)]
        assert [answer.status_code for answer in answers[:20]] == [401] * 20
        slowed = [answer for answer in answers if answer.status_code == 429]
        assert slowed, "the limit was not reached"
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in slowed)
        assert client.get("/studies").status_code == 200
    with room.client(Shown()) as other:
        assert other.get("/studies", headers=bad).status_code == 401


# The standing filter.


def test_what_a_filter_hides_is_not_there(room):
    with room.client(room.shown("filtered")) as client:
        for level in ("studies", "series", "instances"):
            hidden = client.get(f"/{level}", params={"StudyInstanceUID": room.xa.study})
            assert hidden.status_code == 204, hidden.text
            there = client.get(f"/{level}", params={"StudyInstanceUID": room.us.study})
            assert there.status_code == 200 and there.json()
        absent = client.get("/studies/1.2.3/series/1.2.3")
        for action in sorted(READS):
            hidden = ACTIONS[action](client, room, "filtered", room.xa)
            assert refused(hidden, 404) == absent.json(), action
            there = ACTIONS[action](client, room, "filtered", room.us)
            assert there.status_code == 200, (action, there.text)


# What is taken away while it is in use.


class Stream:
    """An open retrieval."""

    def __init__(self, room: Room, shown: Shown, path: str) -> None:
        self.client = room.client(shown)
        request = self.client.build_request("GET", path)
        self.answer = self.client.send(request, stream=True)
        assert self.answer.status_code == 200
        self._chunks = self.answer.iter_raw()
        next(self._chunks)

    def is_cut(self) -> None:
        """It ends in the middle, and soon."""
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            for _ in self._chunks:
                pass
        self.client.close()

    def is_over(self) -> None:
        """It ends, with what it is of."""
        for _ in self._chunks:
            pass
        self.client.close()

    def goes_on(self) -> None:
        next(self._chunks)
        self.client.close()


def open_store(room: Room, folder) -> SlowStore:
    slow = SlowStore(room.gateway, folder)
    slow.send(2)
    with room.client(room.shown("reader")) as reader:
        found = {"StudyInstanceUID": slow.source.study}
        wait_for(lambda: reader.get("/series", params=found).status_code == 200, "the series is there")
    return slow


def test_a_revoked_certificate_ends_what_is_open_and_cannot_be_resumed(room, tmp_path):
    slow = open_store(room, tmp_path)
    revoked = Stream(room, room.shown("leaver"), slow.path)
    kept = Stream(room, room.shown("reader"), slow.path)

    def session_of(certificate: Leaf, session: ssl.SSLSession | None = None) -> tuple[bytes, ssl.SSLSession]:
        context = contexts[certificate]
        with socket.create_connection(room.gateway.web, timeout=PATIENCE) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"GET /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = tls.recv(12)
                assert tls.session_reused == (session is not None)
                return answer, tls.session

    leaver, reader = room.certificates["leaver"], room.certificates["reader"]
    contexts = {one: room.gateway.authority.client_context(one) for one in (leaver, reader)}
    _, first = session_of(leaver)
    answer, ticket = session_of(leaver, first)
    assert answer == b"HTTP/1.1 200"

    room.people.revoke(leaver)
    room.reload()
    revoked.is_cut()
    assert room.gateway.metric('^framegate_http_connections_dropped_total.*"revoked"') >= 1
    for session in (ticket, None):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            answer, _ = session_of(leaver, session)
            # A connection that is closed without an alert reads as an end.
            assert answer == b"HTTP/1.1 200"
    assert session_of(reader)[0] == b"HTTP/1.1 200"
    slow.send(1)
    kept.goes_on()
    slow.finish()


def rewritten(room: Room, **sections: dict) -> None:
    """Writes the configuration with other values."""
    for section, values in sections.items():
        room.gateway.config[section.replace("__", ".")] |= values
    room.gateway.config_file.write_text(toml(room.gateway.config))


def test_a_right_that_is_taken_ends_what_it_was_for(room, tmp_path):
    slow = open_store(room, tmp_path)
    viewing = Stream(room, room.shown("viewer"), slow.path)
    reading = Stream(room, room.shown("reader"), slow.path)
    subscriber = f"/series/subscribers/{uuid.uuid4()}"
    with room.client(room.shown("viewer")) as viewer, room.client(room.shown("warden")) as warden:
        assert viewer.post(subscriber).status_code == 201
        try:
            rewritten(room, principal__viewer={"may": ["search"]})
            room.reload()
            viewing.is_cut()
            assert room.gateway.metric("^framegate_dicomweb_responses_withdrawn_total$") >= 1
            assert "retrieve" in refused(retrieve(viewer, room, "viewer", room.xa), 403)["detail"]
            assert warden.get(subscriber).status_code == 404, "its subscription has gone with the right"
            assert search(viewer, room, "viewer", room.xa).status_code == 200
        finally:
            rewritten(room, principal__viewer={"may": ["search", "retrieve", "subscribe"]})
            room.reload()
    slow.send(1)
    reading.goes_on()
    slow.finish()


def test_an_open_send_ends_with_the_right_and_says_what_was_taken(room):
    dataset = pydicom.dcmread(room.single.path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    file = room.single.path.with_name("open.dcm")
    dataset.save_as(file)
    sending = OpenSend(room.gateway, authorization=room.shown("device").authorization)
    sending.write(part(file.read_bytes()))
    path = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    with room.client(room.shown("reader")) as reader:
        wait_for(lambda: reader.get(f"{path}/metadata").status_code == 200, "the instance is there")
    reading = Stream(room, room.shown("reader"), path)
    try:
        rewritten(room, principal__device={"may": ["search"]})
        room.reload()
        answer = sending.connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (403, "close")
        assert taken(pydicom.Dataset.from_json(json.loads(answer.read()))) == [dataset.SOPInstanceUID]
        assert room.gateway.metric('^framegate_send_requests_broken_total{reason="withdrawn"}$') == 1
        reading.is_over()
    finally:
        rewritten(room, principal__device={"may": ["send"]})
        room.reload()


def test_a_stream_ends_with_the_token_that_was_shown_for_it(room, tmp_path):
    slow = open_store(room, tmp_path)
    leeway = room.gateway.config["access.jwt"]["leeway_seconds"]
    ending = now(2 - leeway)
    viewing = Stream(room, bearer(room.issuer.token("viewer-1", exp=ending)), slow.path)
    reading = Stream(room, room.shown("viewer"), slow.path)
    viewing.is_cut()
    assert time.time() >= ending + leeway
    slow.send(1)
    reading.goes_on()
    slow.finish()


def test_a_filter_that_is_no_filter_is_not_taken(room):
    """A misspelt attribute would let everything through; the old table stays."""
    try:
        rewritten(room, principal__filtered={"filter": "Modalty=US"})
        room.gateway.signal(signal.SIGHUP)
        room.gateway.wait_for_line("configuration not reloaded")
        with room.client(room.shown("filtered")) as client:
            assert retrieve(client, room, "filtered", room.xa).status_code == 404
    finally:
        rewritten(room, principal__filtered={"filter": "Modality=US"})
        room.reload()


def test_keys_are_replaced_and_a_bad_file_keeps_them(room):
    fresh = Issuer("k3")
    try:
        room.publish(fresh, room.ed)
        room.reload()
        with room.client(bearer(fresh.token("viewer-1"))) as client:
            assert client.get("/studies").status_code == 200
        with room.client(room.shown("viewer")) as client:
            refused(client.get("/studies"), 401)
        room.jwks.write_text("sesame")
        room.reload()
        room.gateway.wait_for_line("token keys in force stay")
        with room.client(bearer(fresh.token("viewer-1"))) as client:
            assert client.get("/studies").status_code == 200
    finally:
        room.publish(room.issuer, room.ed)
        room.reload()


def test_nothing_that_was_shown_is_in_the_log(room):
    """Last, when all the others have tried: no token, subject, name or filter."""
    with room.client(bearer(room.issuer.token("nobody-in-particular"))) as client:
        refused(client.get("/studies"), 401)
    log = room.gateway.output
    assert "a request was not authenticated" in log
    for secret in ("eyJ", "sesame", "nobody", "viewer-1", "CN=", "stranger", "Modality"):
        assert secret not in log, secret
