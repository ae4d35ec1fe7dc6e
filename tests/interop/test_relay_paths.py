"""Where an association goes: by AE titles, by the listener it came to, over TLS on either side."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from association import VERIFICATION, Association, Rejected
from gateway import free_port, wait_for
from objects import EXPLICIT_LE, IMPLICIT_LE, XA, Recipe, Source, build
from pki import Authority
from scu import store
from upstream import Upstream


@pytest.fixture
def source(tmp_path) -> Source:
    return build(Recipe("xa", "mono8", EXPLICIT_LE, 3, True), tmp_path)


@pytest.fixture
def upstreams():
    """Starts stores: `upstreams(status=…)`."""
    started: list[Upstream] = []

    def start(**options) -> Upstream:
        started.append(Upstream(XA, VERIFICATION, syntaxes=[EXPLICIT_LE, IMPLICIT_LE], **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def to(upstream: Upstream, called: str = "PACS", **more) -> dict:
    return {"called_ae_title": called, "address": upstream.target, **more}


def test_titles_go_on_as_they_came(own_gateway, upstreams, source):
    pacs = upstreams()
    gateway = own_gateway(relay__pacs=to(pacs))
    assert store(gateway.dimse, source.path, called="PACS", calling="XA1") == [0x0000]
    assert pacs.titles == [("XA1", "PACS")]


def test_spaces_around_a_title_say_nothing(own_gateway, upstreams):
    """Leading ones neither (PS3.8 Table 9-11)."""
    pacs = upstreams()
    gateway = own_gateway(relay__pacs=to(pacs))
    association = Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="  PACS", calling="  XA1")
    assert association.echo() == 0x0000
    association.release()


def test_titles_are_mapped(own_gateway, upstreams, source):
    pacs = upstreams(title="ARCHIVE")
    mapped = {"upstream_called_ae_title": "ARCHIVE", "upstream_calling_ae_title": "GATE"}
    gateway = own_gateway(relay__pacs=to(pacs, **mapped))
    assert store(gateway.dimse, source.path, called="PACS", calling="XA1") == [0x0000]
    assert pacs.titles == [("GATE", "ARCHIVE")]
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()]}


def test_the_modality_is_answered_with_the_titles_that_it_knows(own_gateway, upstreams):
    """An A-ASSOCIATE-AC repeats the titles of the request (PS3.8 Table 9-17); some modalities look."""
    pacs = upstreams(title="ARCHIVE")
    mapped = {"upstream_called_ae_title": "ARCHIVE", "upstream_calling_ae_title": "GATE"}
    gateway = own_gateway(relay__pacs=to(pacs, **mapped))
    association = Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="PACS", calling="XA1")
    assert association.titles == ("PACS", "XA1")
    assert association.echo() == 0x0000
    association.release()


def test_several_relays_by_called_title(own_gateway, upstreams, source):
    one, other = upstreams(title="ONE", status=0xB000), upstreams(title="SECOND", status=0xB006)
    gateway = own_gateway(relay__one=to(one, "ONE"), relay__other=to(other, "SECOND"))
    assert store(gateway.dimse, source.path, called="SECOND") == [0xB006]
    assert store(gateway.dimse, source.path, called="ONE") == [0xB000]
    # The gateway itself is still there.
    assert store(gateway.dimse, source.path) == [0x0000]
    assert [len(one.kept), len(other.kept)] == [1, 1]
    with pytest.raises(Rejected) as told:
        Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="NOBODY")
    assert told.value.args == ((1, 1, 7),)


def test_several_relays_by_calling_title(own_gateway, upstreams, source):
    one, other = upstreams(status=0xB000), upstreams(status=0xB006)
    gateway = own_gateway(
        relay__one=to(one, calling_ae_titles=["XA1", "XA3"]), relay__other=to(other, calling_ae_titles=["XA2"])
    )
    statuses = [store(gateway.dimse, source.path, called="PACS", calling=f"XA{n}") for n in (1, 2, 3)]
    assert statuses == [[0xB000], [0xB006], [0xB000]]
    with pytest.raises(Rejected):
        Association(gateway.dimse, VERIFICATION, [IMPLICIT_LE], called="PACS", calling="XA4")
    assert [len(one.titles), len(other.titles)] == [2, 1], "nobody else comes through"


def test_a_listener_of_its_own_takes_any_called_title(own_gateway, upstreams, source):
    pacs = upstreams(title="ANYTHING")
    own = ("127.0.0.1", free_port())
    gateway = own_gateway(relay__pacs=to(pacs, "PACS", listen="%s:%d" % own))
    assert store(own, source.path, called="ANYTHING", calling="XA1") == [0x0000]
    assert pacs.titles == [("XA1", "ANYTHING")]
    # And PACS is still found at the common one.
    assert store(gateway.dimse, source.path, called="PACS", calling="XA1") == [0x0000]
    assert pacs.titles[1:] == [("XA1", "PACS")]


# TLS


@pytest.fixture
def tls(authority):
    """Starts a store over mutual TLS; its client's files."""
    server = Authority.leaf(authority, "pacs", server=True)
    client = Authority.leaf(authority, "relay", server=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.certificate, server.key)
    return context, {"ca": str(authority.ca), "certificate": str(client.certificate), "key": str(client.key)}


@pytest.mark.parametrize("near", ["plain", "tls"])
@pytest.mark.parametrize("far", ["plain", "tls"])
def test_tls_on_either_side(own_gateway, upstreams, tls, source, near, far):
    context, files = tls
    pacs = upstreams(context=context if far == "tls" else None, status=0xB000)
    gateway = own_gateway(relay__pacs=to(pacs, **(files if far == "tls" else {})))
    if near == "tls":
        mine = gateway.authority.client_context(gateway.client)
        statuses = store(gateway.dimse_tls, source.path, called="PACS", context=mine)
    else:
        statuses = store(gateway.dimse, source.path, called="PACS")
    assert statuses == [0xB000]
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()]}


@pytest.mark.parametrize("why", ["another authority", "no client certificate", "plain"])
def test_a_tls_peer_that_cannot_be_trusted_is_an_upstream_that_is_not_there(
    own_gateway, upstreams, tls, tmp_path, why
):
    context, files = tls
    if why == "another authority":
        files["ca"] = str(Authority(tmp_path / "other", "another authority").ca)
    elif why == "no client certificate":
        files = {"ca": files["ca"]}
    pacs = upstreams(context=None if why == "plain" else context)
    gateway = own_gateway(relay__pacs=to(pacs, **files))
    with pytest.raises(Rejected) as told:
        Association(gateway.dimse, XA, [EXPLICIT_LE], called="PACS")
    assert told.value.args == ((2, 3, 1),)
    assert pacs.titles == []


# An upstream peer that is not there


def test_down_is_a_rejection_that_invites_to_try_again(own_gateway, upstreams, source):
    port = free_port()
    gateway = own_gateway(relay__pacs={"called_ae_title": "PACS", "address": f"127.0.0.1:{port}"})
    for _ in range(3):
        with pytest.raises(Rejected) as told:
            Association(gateway.dimse, XA, [EXPLICIT_LE], called="PACS")
        # Transient; the provider (presentation); temporary congestion (PS3.8 Table 9-21).
        assert told.value.args == ((2, 3, 1),)
    pacs = upstreams(port=port)
    assert store(gateway.dimse, source.path, called="PACS") == [0x0000]
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()]}


def test_an_address_that_does_not_answer_is_given_up_in_time(own_gateway):
    """As behind a firewall: the connection is neither made nor refused."""
    with socket.socket() as full, contextlib.ExitStack() as fillers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        gateway = own_gateway(
            relay__pacs={
                "called_ae_title": "PACS",
                "address": "%s:%d" % full.getsockname(),
                "connect_seconds": 1,
            }
        )
        with pytest.raises(Rejected) as told:
            Association(gateway.dimse, XA, [EXPLICIT_LE], called="PACS", timeout=15)
        assert told.value.args == ((2, 3, 1),)


def test_down_and_still_streamed(own_gateway, upstreams, http, source):
    port = free_port()
    relay = {"called_ae_title": "PACS", "address": f"127.0.0.1:{port}", "when_unreachable": "stream"}
    gateway = own_gateway(relay__pacs=relay)
    assert store(gateway.dimse, source.path, source.path, called="PACS") == [0xA700, 0xA700]
    path = f"{gateway.base}/studies/{source.study}/series/{source.series}/metadata"
    answer = wait_for(
        lambda: (got := http.get(path, headers={"Accept": "application/dicom+json"})).status_code == 200 and got,
        "the series is live",
    )
    assert len(answer.json()) >= 3
    # Back again, it is the upstream's own status.
    pacs = upstreams(port=port, status=0xB007)
    assert store(gateway.dimse, source.path, called="PACS") == [0xB007]
    assert pacs.kept == {source.dataset.SOPInstanceUID: [source.dataset_bytes()]}
