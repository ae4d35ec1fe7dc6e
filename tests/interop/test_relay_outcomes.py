"""Whatever becomes of an association or a message, both peers see with the relay what they see
without it: a table of outcomes, played byte by byte on both ways and compared."""

from __future__ import annotations

import socket

import pytest

import negotiation
import outcomes
from dialogue import indicated, play
from inline import ROUTES


@pytest.fixture
def listener():
    """The upstream peer's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


def both_ways(inline, listener, steps, view=list) -> dict[str, dict[str, list]]:
    seen = {}
    for name in ROUTES:
        with inline.route(name, listener.getsockname()) as route:
            seen[name] = {who: view(heard) for who, heard in play(route, listener, steps).items()}
    return seen


@pytest.mark.parametrize("outcome", outcomes.EXACT)
def test_outcome(inline, listener, outcome):
    seen = both_ways(inline, listener, outcomes.EXACT[outcome])
    assert seen["relay"] == seen["direct"]


@pytest.mark.parametrize("outcome", outcomes.DEPARTURES)
def test_a_peer_that_leaves(inline, listener, outcome):
    seen = both_ways(inline, listener, outcomes.DEPARTURES[outcome], indicated)
    assert seen["relay"] == seen["direct"]


def test_an_upstream_peer_that_dies_in_a_message_is_an_abort(inline, listener):
    """The modality is told so at once: an A-ABORT of the provider, reason not specified."""
    with inline.route("relay", listener.getsockname()) as route:
        steps = outcomes.DEPARTURES["upstream leaves by close in the middle of a data set"]
        *_, told, end = play(route, listener, steps)["modality"]
    assert (told[0], told[1][2], end) == (7, 2, "closed")


@pytest.mark.parametrize("how", outcomes.UNANSWERED)
def test_an_upstream_peer_that_leaves_instead_of_an_answer_is_not_there(inline, listener, how):
    """Directly the modality would see a connection that closes; with the relay it is invited to try again."""
    seen = both_ways(inline, listener, outcomes.UNANSWERED[how])
    assert seen["direct"]["modality"] == ["closed"]
    assert seen["relay"]["modality"][0] == negotiation.reject(2, 3, 1)


@pytest.mark.parametrize("outcome", ["128 contexts", "C-STORE B007", "two at once, answered the other way round"])
def test_outcome_byte_after_byte(inline, listener, outcome):
    """The network may cut PDUs, and their headers, wherever it likes."""
    with inline.route("relay", listener.getsockname(), piece=1) as route:
        play(route, listener, outcomes.EXACT[outcome])
        route.same_bytes()
