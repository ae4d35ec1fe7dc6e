"""PDUs and commands, byte by byte (PS3.8 §9.3, PS3.7 §6.3 and Annex D), for tests that say more than
any toolkit would: reserved bits, unknown items, results that nobody gives."""

from __future__ import annotations

import struct

from association import A_ABORT, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ, P_DATA_TF
from association import APPLICATION_CONTEXT, IMPLEMENTATION_CLASS

Pdu = tuple[int, bytes]
# (kind, value): an element of group 0000.
Element = tuple[int, bytes]

RELEASE_RQ, RELEASE_RP = (A_RELEASE_RQ, bytes(4)), (A_RELEASE_RP, bytes(4))


def item(kind: int, body: bytes, reserved: int = 0) -> bytes:
    return struct.pack(">BBH", kind, reserved, len(body)) + body


def role(sop_class: str, scu: bool, scp: bool) -> bytes:
    """PS3.7 D.3.3.4."""
    return item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes([scu, scp]))


def extended(sop_class: str, information: bytes) -> bytes:
    """PS3.7 D.3.3.5."""
    return item(0x56, struct.pack(">H", len(sop_class)) + sop_class.encode() + information)


def window(invoked: int, performed: int) -> bytes:
    """PS3.7 D.3.3.3."""
    return item(0x53, struct.pack(">HH", invoked, performed))


def identity(kind: int, primary: bytes, secondary: bytes = b"", respond: bool = True) -> bytes:
    """PS3.7 D.3.3.7.1."""
    fields = struct.pack(">BBH", kind, respond, len(primary)) + primary
    return item(0x58, fields + struct.pack(">H", len(secondary)) + secondary)


def identity_response(response: bytes) -> bytes:
    """PS3.7 D.3.3.7.2."""
    return item(0x59, struct.pack(">H", len(response)) + response)


def _associate(kind: int, contexts: bytes, more: bytes, max_pdu: int, reserved: bytes) -> Pdu:
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, IMPLEMENTATION_CLASS.encode()) + more
    body = struct.pack(">H2s16s16s32s", 1, reserved[:2], b"PACS".ljust(16), b"XA1".ljust(16), reserved)
    return kind, body + item(0x10, APPLICATION_CONTEXT.encode()) + contexts + item(0x50, user)


def request(
    contexts: list[tuple[str, list[str]]], *more: bytes, max_pdu: int = 16384, reserved: bytes = bytes(32)
) -> Pdu:
    """A-ASSOCIATE-RQ from XA1 to PACS; contexts are abstract syntax and transfer syntaxes, IDs 1, 3, …"""
    items = b""
    for number, (abstract, syntaxes) in enumerate(contexts):
        subitems = item(0x30, abstract.encode()) + b"".join(item(0x40, one.encode()) for one in syntaxes)
        items += item(0x20, bytes([2 * number + 1, 0, 0, 0]) + subitems)
    return _associate(A_ASSOCIATE_RQ, items, b"".join(more), max_pdu, reserved)


def accept(
    results: list[tuple[int, int, str]], *more: bytes, max_pdu: int = 16384, reserved: bytes = bytes(32)
) -> Pdu:
    """A-ASSOCIATE-AC; results are context ID, result (PS3.8 Table 9-18) and transfer syntax."""
    items = b""
    for context, result, syntax in results:
        items += item(0x21, bytes([context, 0, result, 0]) + item(0x40, syntax.encode()))
    return _associate(A_ASSOCIATE_AC, items, b"".join(more), max_pdu, reserved)


def reject(result: int, source: int, reason: int) -> Pdu:
    """PS3.8 Table 9-21."""
    return A_ASSOCIATE_RJ, bytes([0, result, source, reason])


def abort(source: int, reason: int) -> Pdu:
    """PS3.8 Table 9-26."""
    return A_ABORT, bytes([0, 0, source, reason])


def pdv(context: int, data: bytes, *, command: bool = False, last: bool = True) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context, command | last << 1) + data


def p_data(*pdvs: bytes) -> Pdu:
    return P_DATA_TF, b"".join(pdvs)


def us(element: int, value: int) -> Element:
    return element, struct.pack("<H", value)


def ui(element: int, value: str) -> Element:
    return element, value.encode() + b"\0" * (len(value) % 2)


def lo(element: int, value: str) -> Element:
    return element, value.encode() + b" " * (len(value) % 2)


def command(*elements: Element) -> bytes:
    """A command set: Implicit VR Little Endian, group length first."""
    body = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in sorted(elements))
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def message(context: int, *elements: Element, data: bytes | None = None) -> list[Pdu]:
    """A whole message: the command in one PDU, the data set in another."""
    kind = us(0x0800, 0x0101 if data is None else 0x0001)
    pdus = [p_data(pdv(context, command(*elements, kind), command=True))]
    return pdus if data is None else [*pdus, p_data(pdv(context, data))]
