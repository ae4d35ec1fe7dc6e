"""The table of outcomes: what can become of an association and of its messages, each a dialogue between
a modality and an upstream peer."""

from __future__ import annotations

import struct

import negotiation as n
from dialogue import Leave, Part, Silence, Step, modality, upstream
from negotiation import lo, message, ui, us
from objects import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, XA

MPPS = "1.2.840.10008.3.1.2.3.3"
WORKLIST = "1.2.840.10008.5.1.4.31"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
PRIVATE = "1.2.3.4.5.6.7"
INSTANCE = "2.25.471100001"

CLASSES = [XA, MPPS, WORKLIST, MOVE, COMMITMENT, PRIVATE]
STORE, PERFORMED, FIND, MOVES, COMMITS, OTHER = (2 * k + 1 for k in range(len(CLASSES)))
PROPOSED = [(one, [EXPLICIT_LE, IMPLICIT_LE]) for one in CLASSES]
REQUEST = n.request(PROPOSED)
ACCEPT = n.accept([(2 * k + 1, 0, IMPLICIT_LE) for k in range(len(CLASSES))])
OPEN = [modality(REQUEST), upstream(ACCEPT)]
RELEASE = [modality(n.RELEASE_RQ), upstream(n.RELEASE_RP)]


def element(group: int, number: int, value: bytes) -> bytes:
    """An element in Implicit VR Little Endian."""
    return struct.pack("<HHI", group, number, len(value)) + value


def image(size: int = 64 * 64) -> bytes:
    """A data set of an XA image, as small as the gateway takes one for whole."""
    uid = INSTANCE.encode()
    text = [
        (0x0008, 0x0016, XA.encode().ljust(len(XA) + len(XA) % 2, b"\0")),
        (0x0008, 0x0018, uid.ljust(len(uid) + len(uid) % 2, b"\0")),
        (0x0008, 0x0060, b"XA"),
        (0x0010, 0x0020, b"P1"),
        (0x0020, 0x000D, b"2.25.47110001\0"),
        (0x0020, 0x000E, b"2.25.47110002\0"),
        (0x0020, 0x0013, b"1 "),
        (0x0028, 0x0002, b"\1\0"),
        (0x0028, 0x0004, b"MONOCHROME2 "),
        (0x0028, 0x0010, struct.pack("<H", 64)),
        (0x0028, 0x0011, struct.pack("<H", size // 64)),
        (0x0028, 0x0100, struct.pack("<H", 8)),
        (0x0028, 0x0101, struct.pack("<H", 8)),
        (0x0028, 0x0102, struct.pack("<H", 7)),
        (0x0028, 0x0103, struct.pack("<H", 0)),
        (0x7FE0, 0x0010, bytes(range(256)) * (size // 256)),
    ]
    return b"".join(element(*one) for one in text)


def store_rq(number: int = 1) -> list[tuple[int, bytes]]:
    return [us(0x0100, 0x0001), us(0x0110, number), us(0x0700, 0), ui(0x0002, XA), ui(0x1000, INSTANCE)]


def store_rsp(status: int, *more: tuple[int, bytes], number: int = 1) -> list[n.Pdu]:
    response = [us(0x0100, 0x8001), us(0x0120, number), us(0x0900, status), ui(0x0002, XA), ui(0x1000, INSTANCE)]
    return message(STORE, *response, *more)


# What an upstream peer may add to a failure (PS3.7 Annex C), and what nobody knows.
DETAILS = [lo(0x0902, "no room for it today"), us(0x0903, 0x1234), (0x0901, b"\x10\x00\x20\x00"), (0x5110, b"odd one ")]

_IMAGE = image()
_COMMAND = message(STORE, *store_rq(), data=_IMAGE)[0]
STORED = modality(*message(STORE, *store_rq(), data=_IMAGE))
# A data set that has begun and not ended.
BEGUN = modality(_COMMAND, n.p_data(n.pdv(STORE, _IMAGE[:1000], last=False)))
THE_REST = n.p_data(n.pdv(STORE, _IMAGE[1000:]))


def _rejections() -> dict[str, list[Step]]:
    permanent = [(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 7), (1, 2, 1), (1, 2, 2), (1, 3, 7)]
    transient = [(2, 1, 1), (2, 3, 1), (2, 3, 2), (9, 9, 9)]
    return {
        "rejected %d %d %d" % one: [modality(REQUEST), upstream(n.reject(*one)), Leave("upstream")]
        for one in permanent + transient
    }


def _negotiations() -> dict[str, list[Step]]:
    results = [(2 * k + 1, k, IMPLICIT_LE if k == 0 else "") for k in range(5)]
    reverse = [(5, 0, JPEG_BASELINE), (1, 4, EXPLICIT_LE)]
    many = [(f"1.2.3.{k}", [IMPLICIT_LE]) for k in range(128)]
    all_of = [(2 * k + 1, k % 2 * 3, IMPLICIT_LE) for k in range(128)]
    ask = [n.role(XA, True, True), n.role(COMMITMENT, True, False)]
    answer = [n.role(XA, False, True)]
    version = n.item(0x55, b"SOMEBODY_1")
    kinds = {1: (b"user",), 2: (b"user", b"passcode"), 3: (b"kerberos",), 4: (b"<saml/>",), 5: (b"jwt",)}
    table = {
        "contexts accepted and refused for every reason": (n.request(PROPOSED), n.accept(results)),
        "contexts left out and in another order": (n.request(PROPOSED), n.accept(reverse)),
        "no context accepted": (n.request(PROPOSED), n.accept([(1, 3, "")])),
        "128 contexts": (n.request(many), n.accept(all_of)),
        "roles": (n.request(PROPOSED, *ask), n.accept([(1, 0, IMPLICIT_LE)], *answer)),
        "extended negotiation": (
            n.request(PROPOSED, n.extended(XA, b"\2\0\1\0\0\0"), n.extended(MOVE, b"\1\1\1")),
            n.accept([(1, 0, IMPLICIT_LE)], n.extended(MOVE, b"\0\1")),
        ),
        "asynchronous window": (
            n.request(PROPOSED, n.window(0, 5)),
            n.accept([(1, 0, IMPLICIT_LE)], n.window(3, 1)),
        ),
        "maximum lengths": (n.request(PROPOSED, max_pdu=4096), n.accept([(1, 0, IMPLICIT_LE)], max_pdu=0)),
        "maximum lengths, the other way": (
            n.request(PROPOSED, max_pdu=0),
            n.accept([(1, 0, IMPLICIT_LE)], max_pdu=128),
        ),
        "implementation versions": (n.request(PROPOSED, version), n.accept([(1, 0, IMPLICIT_LE)], version)),
        "reserved bytes and unknown items": (
            n.request(PROPOSED, n.item(0x5F, b"who knows", 7), reserved=bytes(range(32))),
            n.accept([(1, 0, IMPLICIT_LE)], n.item(0x5E, b""), reserved=bytes(range(32, 64))),
        ),
    }
    rq, body = n.request(PROPOSED)
    accepted = n.accept([(1, 0, IMPLICIT_LE)])
    table |= {
        "another protocol version": ((rq, b"\0\3" + body[2:]), accepted),
        "another application context": (
            (rq, body.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")),
            accepted,
        ),
        "an item whose length lies": ((rq, body[:-20] + b"\xff" * 20), accepted),
        "UIDs that are padded": (
            n.request([(XA + "\0", [IMPLICIT_LE + "\0", EXPLICIT_LE + " "])]),
            n.accept([(1, 0, IMPLICIT_LE + "\0")]),
        ),
        "a large request": (
            n.request([(f"1.2.3.{k}", [f"1.2.3.4.5.6.7.8.9.10.{one}" for one in range(40)]) for k in range(128)]),
            accepted,
        ),
        "a large identity": (
            n.request(PROPOSED, n.identity(4, b"x" * 60_000)),
            n.accept([(1, 0, IMPLICIT_LE)], n.identity_response(b"y" * 60_000)),
        ),
        "titles that the answer does not repeat": (
            (rq, body),
            (accepted[0], accepted[1][:4] + b"SOMEBODY        " + bytes(16) + accepted[1][36:]),
        ),
    }  # fmt: skip
    for kind, words in kinds.items():
        asked = n.request(PROPOSED, n.identity(kind, *words))
        table[f"user identity of type {kind}"] = asked, n.accept([(1, 0, IMPLICIT_LE)], n.identity_response(b"yes"))
    return {name: [modality(rq), upstream(ac), *RELEASE] for name, (rq, ac) in table.items()}


def _stores() -> dict[str, list[Step]]:
    statuses = [0x0000, 0xA700, 0xA900, 0xC000, 0xB000, 0xB007, 0x0122, 0x0124, 0x0110, 0x0117, 0x0210, 0x0211, 0xFFFF]
    out = {
        f"C-STORE {status:04X}": [*OPEN, STORED, upstream(*store_rsp(status, *DETAILS)), *RELEASE]
        for status in statuses
    }
    one_by_one = [n.pdv(STORE, bytes([byte]), last=False) for byte in _IMAGE[:500]]
    many = [n.p_data(one) for one in one_by_one] + [n.p_data(*one_by_one, n.pdv(STORE, _IMAGE[500:]))]
    command = store_rsp(0x0000)[0][1][6:]
    ends = range(1, len(command) + 1)
    split = [n.p_data(n.pdv(STORE, command[k - 1 : k], command=True, last=k == len(command))) for k in ends]
    large = n.accept([(1, 0, IMPLICIT_LE)], max_pdu=0)
    two = [message(STORE, *store_rq(number), data=_IMAGE) for number in (1, 2)]
    windows = [
        modality(n.request(PROPOSED, n.window(2, 1))),
        upstream(n.accept([(1, 0, IMPLICIT_LE)], n.window(2, 1))),
    ]
    private = [us(0x0100, 1), us(0x0110, 1), us(0x0700, 0), ui(0x0002, PRIVATE), ui(0x1000, INSTANCE)]
    out |= {
        "a status in the middle of the data set": [
            *OPEN, BEGUN, upstream(*store_rsp(0xA700, *DETAILS)), modality(THE_REST), *RELEASE
        ],
        "a data set of nothing": [
            *OPEN, modality(*message(STORE, *store_rq(), data=b"")), upstream(*store_rsp(0xC001)), *RELEASE
        ],
        "no data set": [*OPEN, modality(*message(STORE, *store_rq())), upstream(*store_rsp(0x0210)), *RELEASE],
        "PDVs of one byte": [*OPEN, modality(_COMMAND, *many), upstream(*split), *RELEASE],
        "a PDU of 3 MB": [
            modality(REQUEST), upstream(large),
            modality(*message(STORE, *store_rq(), data=image(3 << 20))), upstream(*store_rsp(0)), *RELEASE,
        ],
        "command and data set in one PDU": [
            *OPEN, modality(n.p_data(_COMMAND[1], n.pdv(STORE, _IMAGE))), upstream(*store_rsp(0x0000)), *RELEASE
        ],
        "two at once, answered the other way round": [
            *windows, modality(*two[0], *two[1]),
            upstream(*store_rsp(0, number=2), *store_rsp(0xA700, number=1)), *RELEASE,
        ],
        "an abstract syntax that was refused": [
            modality(REQUEST), upstream(n.accept([(1, 3, "")])), STORED, upstream(n.abort(2, 6))
        ],
        "a SOP class that nobody knows": [
            *OPEN, modality(*message(OTHER, *private, data=b"\xff" * 99)), upstream(*store_rsp(0xB006)), *RELEASE,
        ],
    }  # fmt: skip
    return out


def _services() -> dict[str, list[Step]]:
    begin = [us(0x0100, 0x0140), us(0x0110, 1), ui(0x0002, MPPS), ui(0x1000, INSTANCE)]
    end = [us(0x0100, 0x0120), us(0x0110, 2), ui(0x0003, MPPS), ui(0x1001, INSTANCE)]
    create = modality(*message(PERFORMED, *begin, data=element(0x10, 0x20, b"P1")))
    update = modality(*message(PERFORMED, *end, data=element(0x40, 0x252, b"COMPLETED ")))
    out = {}
    for status in (0x0000, 0x0106, 0x0111, 0x0116, 0x0120, 0x0213):
        told = [us(0x0100, 0x8140), us(0x0120, 1), us(0x0900, status), ui(0x0002, MPPS), ui(0x1000, INSTANCE), *DETAILS]
        data = element(0x10, 0x20, b"P1") if status in (0x0000, 0x0116) else None
        out[f"N-CREATE {status:04X}"] = [*OPEN, create, upstream(*message(PERFORMED, *told, data=data)), *RELEASE]
    for status in (0x0000, 0x0107, 0x0112):
        told = [us(0x0100, 0x8120), us(0x0120, 2), us(0x0900, status), ui(0x1000, INSTANCE), (0x1005, b"\x10\0\x10\0")]
        out[f"N-SET {status:04X}"] = [*OPEN, update, upstream(*message(PERFORMED, *told)), *RELEASE]

    asked = [us(0x0100, 0x0020), us(0x0110, 1), us(0x0700, 0), ui(0x0002, WORKLIST)]
    find = modality(*message(FIND, *asked, data=element(0x10, 0x20, b"")))
    cancel = modality(*message(FIND, us(0x0100, 0x0FFF), us(0x0120, 1)))

    def found(status: int, number: int | None = None) -> list[n.Pdu]:
        data = None if number is None else element(0x10, 0x20, f"P{number}".encode())
        return message(FIND, us(0x0100, 0x8020), us(0x0120, 1), us(0x0900, status), ui(0x0002, WORKLIST), data=data)

    pending = [pdu for k in range(9) for pdu in found(0xFF00 + k % 2, k)]
    out |= {
        "C-FIND with pending answers": [*OPEN, find, upstream(*pending, *found(0x0000)), *RELEASE],
        "C-FIND that is cancelled": [*OPEN, find, upstream(*pending), cancel, upstream(*found(0xFE00)), *RELEASE],
        "C-FIND refused": [*OPEN, find, upstream(*found(0xA700)), *RELEASE],
    }

    wanted = [us(0x0100, 0x0021), us(0x0110, 1), us(0x0700, 0), ui(0x0002, MOVE), lo(0x0600, "XA1")]
    move = modality(*message(MOVES, *wanted, data=element(0x20, 0x0D, b"2.25.1")))
    counts = [us(0x1020, 2), us(0x1021, 1), us(0x1022, 1), us(0x1023, 0)]
    moved = [us(0x0100, 0x8021), us(0x0120, 1), ui(0x0002, MOVE), *counts]
    failed = element(0x0008, 0x0058, INSTANCE.encode())
    out["C-MOVE with failures"] = [
        *OPEN, move, upstream(*message(MOVES, *moved, us(0x0900, 0xFF00))),
        upstream(*message(MOVES, *moved, us(0x0900, 0xB000), data=failed)), *RELEASE,
    ]  # fmt: skip

    report = [us(0x0100, 0x0100), us(0x0110, 7), us(0x1002, 1), ui(0x0002, COMMITMENT), ui(0x1000, COMMITMENT_INSTANCE)]
    heard = [us(0x0100, 0x8100), us(0x0120, 7), us(0x1002, 1), us(0x0900, 0x0110), *DETAILS]
    out["N-EVENT-REPORT in the middle of a C-STORE"] = [
        *OPEN, BEGUN, upstream(*message(COMMITS, *report, data=failed)), modality(THE_REST),
        modality(*message(COMMITS, *heard)), upstream(*store_rsp(0x0000)), *RELEASE,
    ]  # fmt: skip
    return out


def _releases() -> dict[str, list[Step]]:
    return {
        "released by the upstream peer": [*OPEN, upstream(n.RELEASE_RQ), modality(n.RELEASE_RP), Leave("upstream")],
        "released by both at once": [
            *OPEN, modality(n.RELEASE_RQ), upstream(n.RELEASE_RQ), upstream(n.RELEASE_RP), modality(n.RELEASE_RP)
        ],
        "released, and data still comes": [
            *OPEN, STORED, modality(n.RELEASE_RQ), upstream(*store_rsp(0x0000)), upstream(n.RELEASE_RP)
        ],
    }  # fmt: skip


def _aborts() -> dict[str, list[Step]]:
    out = {}
    for source, reason in [(0, 0), (2, 0), (2, 1), (2, 2), (2, 4), (2, 5), (2, 6)]:
        said = n.abort(source, reason)
        out[f"aborted by the upstream peer {source} {reason}"] = [*OPEN, BEGUN, upstream(said)]
        out[f"aborted by the modality {source} {reason}"] = [*OPEN, BEGUN, modality(said)]
    out |= {
        "aborted by the upstream peer instead of an answer": [modality(REQUEST), upstream(n.abort(2, 2))],
        "aborted by the modality before the answer": [modality(REQUEST), modality(n.abort(0, 0))],
        "aborted by the upstream peer between messages": [
            *OPEN, STORED, upstream(*store_rsp(0)), upstream(n.abort(0, 0))
        ],
        "aborted by the upstream peer while it is silent": [*OPEN, STORED, Silence(), upstream(n.abort(0, 0))],
        "aborted by the modality, tired of waiting": [*OPEN, STORED, Silence(), modality(n.abort(0, 0))],
        "aborted by the modality, tired of waiting for the answer": [
            modality(REQUEST), Silence(), modality(n.abort(0, 0))
        ],
    }  # fmt: skip
    return out


# Byte by byte the same.
EXACT: dict[str, list[Step]] = {
    **_rejections(), **_negotiations(), **_stores(), **_services(), **_releases(), **_aborts()
}  # fmt: skip


def _departures() -> dict[str, list[Step]]:
    out = {}
    half = struct.pack(">BxI", 4, 5000) + b"half of a PDU"
    for who in ("upstream", "modality"):
        for how in ("close", "reset"):
            leave = Leave(who, how)
            out |= {
                f"{who} leaves by {how} between messages": [*OPEN, STORED, upstream(*store_rsp(0)), leave],
                f"{who} leaves by {how} in the middle of a data set": [*OPEN, BEGUN, leave],
                f"{who} leaves by {how} in the middle of a PDU": [*OPEN, Part(who, half), leave],
            }
    for how in ("close", "reset"):
        out[f"modality leaves by {how} before the answer"] = [modality(REQUEST), Leave("modality", how)]
    return out


# The same to the service's user: A-P-ABORT.
DEPARTURES: dict[str, list[Step]] = _departures()
# Not the same: who accepts a connection and then does not answer is as good as not there.
UNANSWERED: dict[str, list[Step]] = {
    how: [modality(REQUEST), Leave("upstream", how)] for how in ("close", "reset")
}  # fmt: skip
