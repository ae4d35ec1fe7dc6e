"""Writes the inputs that the fuzz targets start from, one folder a target: seeds.py DIRECTORY.

Each is right as it stands, so that a mutation of it gets past the first check.
"""

import base64
import pathlib
import struct
import sys
import zlib

VERIFICATION = "1.2.840.10008.1.1"
XA = "1.2.840.10008.5.1.4.1.1.12.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
LONG = {"OB", "OW", "OV", "SQ", "UN", "UT"}
UNDEFINED = 0xFFFFFFFF
JPEG = b"\xFF\xD8\xFF\xD9"
END = b"\xFE\xFF\xDD\xE0" + bytes(4)


def even(text, padding=b"\0"):
    data = text.encode() if isinstance(text, str) else text
    return data + padding[: len(data) % 2]


def implicit(group, element, value):
    return struct.pack("<HHI", group, element, len(value)) + value


def explicit(group, element, vr, value, order="<", length=None):
    length = len(value) if length is None else length
    head = struct.pack(order + "HH", group, element) + vr.encode()
    return head + (struct.pack(order + "HI", 0, length) if vr in LONG else struct.pack(order + "H", length)) + value


def item(value):
    return implicit(0xFFFE, 0xE000, value)


def pdu(kind, body):
    return struct.pack(">BBI", kind, 0, len(body)) + body


def sub_item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def p_data(context, control, payload):
    return pdu(4, struct.pack(">IBB", len(payload) + 2, context, control) + payload)


def command(field, *elements, data=0x0101):
    us = lambda element, value: (element, struct.pack("<H", value))
    body = sorted([us(0x0100, field), us(0x0110, 7), us(0x0800, data), *elements])
    body = b"".join(implicit(0, element, value) for element, value in body)
    return implicit(0, 0, struct.pack("<I", len(body))) + body


ECHO = command(0x0030, (0x0002, even(VERIFICATION)))
STORE = command(0x0001, (0x0002, even(XA)), (0x0700, bytes(2)), (0x1000, even("1.2.3.4")), data=0)


def request():
    contexts = [
        sub_item(0x20, bytes([number, 0, 0, 0]) + b"".join(sub_item(kind, uid.encode()) for kind, uid in uids))
        for number, uids in [
            (1, [(0x30, VERIFICATION), (0x40, IMPLICIT)]),
            (3, [(0x30, XA), (0x40, EXPLICIT), (0x40, IMPLICIT)]),
        ]
    ]
    user = [
        (0x51, struct.pack(">I", 65536)),
        (0x52, b"1.2.3"),
        (0x53, struct.pack(">HH", 1, 1)),
        (0x54, struct.pack(">H", 7) + b"1.2.3.4\x01\x00"),
        (0x55, b"SEED"),
        (0x56, struct.pack(">H", 3) + b"1.2\x00"),
        (0x58, b"\x02\x00" + struct.pack(">H", 1) + b"u" + struct.pack(">H", 1) + b"p"),
    ]
    body = struct.pack(">HH", 1, 0) + b"FRAMEGATE       " + b"SEED            " + bytes(32)
    body += sub_item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts)
    return pdu(1, body + sub_item(0x50, b"".join(sub_item(kind, value) for kind, value in user)))


def elements(frames):
    """Tag, VR and value of a tiny angiogram without its pixels."""
    us = lambda value: ("US", struct.pack("<H", value))
    return {
        (0x0008, 0x0016): ("UI", even(XA)),
        (0x0008, 0x0018): ("UI", even("1.2.3.4")),
        (0x0018, 0x1063): ("DS", b"66"),
        (0x0020, 0x000D): ("UI", even("1.2.3")),
        (0x0020, 0x000E): ("UI", even("1.2.3.5")),
        (0x0020, 0x0013): ("IS", b"1 "),
        (0x0028, 0x0002): us(1),
        (0x0028, 0x0004): ("CS", b"MONOCHROME2 "),
        (0x0028, 0x0008): ("IS", even(str(frames), b" ")),
        (0x0028, 0x0010): us(2),
        (0x0028, 0x0011): us(3),
        (0x0028, 0x0100): us(8),
        (0x0028, 0x0101): us(8),
        (0x0028, 0x0102): us(7),
        (0x0028, 0x0103): us(0),
    }


def head(frames):
    return b"".join(explicit(*tag, *value) for tag, value in elements(frames).items())


def native(frames):
    return head(frames) + explicit(0x7FE0, 0x0010, "OB", bytes(6 * frames))


def sequences():
    inside = explicit(0x0008, 0x1155, "UI", b"1.2\0")
    defined = explicit(0x0008, 0x1140, "SQ", item(inside))
    undefined = explicit(0x0008, 0x1115, "SQ", b"", length=UNDEFINED)
    undefined += struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + inside + b"\xFE\xFF\x0D\xE0" + bytes(4) + END
    rest = head(1)
    return rest[:68] + undefined + defined + rest[68:] + explicit(0x7FE0, 0x0010, "OB", bytes(6))


def walk(*parts):
    """With these elements of a private group, and sequences of both kinds of length in each other."""
    rest = b"".join(parts)
    return head(1)[:68] + rest + head(1)[68:] + explicit(0x7FE0, 0x0010, "OB", bytes(6))


def undefined(header, *items):
    start = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    return header + b"".join(start + inside + b"\xFE\xFF\x0D\xE0" + bytes(4) for inside in items) + END


def unknown():
    inside = implicit(0x0008, 0x1155, b"1.2\0") + implicit(0x0009, 0x1002, b"abcd")
    inner = undefined(struct.pack("<HHI", 0x0008, 0x1140, UNDEFINED), inside)
    return walk(undefined(explicit(0x0009, 0x1001, "UN", b"", length=UNDEFINED), inside + inner, inside))


def icon():
    fragments = explicit(0x7FE0, 0x0010, "OB", b"", length=UNDEFINED) + item(b"") + item(JPEG) + END
    return walk(undefined(explicit(0x0088, 0x0200, "SQ", b"", length=UNDEFINED), fragments))


def implicit_sequences():
    inside = implicit(0x0008, 0x1155, b"1.2\0")
    both = implicit(0x0008, 0x1115, item(inside + implicit(0x0008, 0x1140, item(inside))))
    both += undefined(struct.pack("<HHI", 0x0008, 0x1140, UNDEFINED), inside, b"")
    both += undefined(struct.pack("<HHI", 0x0009, 0x1001, UNDEFINED), inside)
    return both + implicit_vr()


def encapsulated(*items):
    frames = max(1, len(items) - 1)
    return head(frames) + explicit(0x7FE0, 0x0010, "OB", b"", length=UNDEFINED) + b"".join(map(item, items)) + END


def big_endian():
    body = b""
    for tag, (vr, value) in elements(2).items():
        body += explicit(*tag, vr, value[::-1] if vr == "US" else value, ">")
    return body + explicit(0x7FE0, 0x0010, "OW", bytes(12), ">")


def implicit_vr():
    return b"".join(implicit(*tag, value) for tag, (_, value) in elements(2).items()) + implicit(
        0x7FE0, 0x0010, bytes(12)
    )


def deflated():
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(native(2)) + stream.flush()


# The first byte says which syntax (see targets/data_set.rs), the second how much arrives at a time.
DATA_SETS = [
    b"\x00\xFF" + implicit_vr(),
    b"\x01\xFF" + native(1),
    b"\x01\x01" + native(3),
    b"\x01\x00" + sequences(),
    b"\x01\x02" + head(1),
    b"\x00\x03" + implicit_sequences(),
    b"\x01\xFF" + unknown(),
    b"\x01\xFF" + icon(),
    b"\x02\xFF" + big_endian(),
    b"\x03\xFF" + deflated(),
    b"\x04\xFF" + encapsulated(b"", JPEG),
    b"\x04\x00" + encapsulated(b"", JPEG, JPEG),
    b"\x06\xFF" + encapsulated(struct.pack("<II", 0, 12), JPEG, JPEG),
    b"\x07\xFF" + encapsulated(b"", bytes(188)),
    b"\x09\xFF" + encapsulated(b"", bytes(64), bytes(64)),
]
PDUS = [
    b"\xFF" + p_data(1, 3, ECHO) + pdu(5, bytes(4)),
    b"\x00" + p_data(3, 1, STORE[:40]) + p_data(3, 3, STORE[40:]) + p_data(3, 0, bytes(99)) + p_data(3, 2, b""),
    b"\x02" + pdu(7, bytes(4)),
]
PARTS = b"\x05preamble\r\n--b\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--b \r\n%s\r\n\r\nabcde\r\n--b--\r\nend" % (
    bytes(30),
    b"Content-Type: image/jpeg\r\nContent-Length: 5\r\nContent-Location: /a/b",
)


def file(syntax, data_set):
    meta = b"".join(explicit(2, tag, "UI", even(uid)) for tag, uid in [(2, XA), (3, "1.2.3.4"), (0x10, syntax)])
    return bytes(128) + b"DICM" + explicit(2, 0, "UL", struct.pack("<I", len(meta))) + meta + data_set


def body(*parts):
    return b"".join(b"\r\n--b\r\nContent-Type: %s\r\n\r\n%s" % part for part in parts) + b"\r\n--b--"


METADATA = (
    b'[{"00080016":{"vr":"UI","Value":["%s"]},"00080018":{"vr":"UI","Value":["1.2.3.4"]},'
    b'"0020000D":{"vr":"UI","Value":["1.2.3"]},"0020000E":{"vr":"UI","Value":["1.2.3.5"]},'
    b'"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"},null]},"00280030":{"vr":"DS","Value":[0.5,"1"]},'
    b'"0040A730":{"vr":"SQ","Value":[{"00282000":{"vr":"OB","BulkDataURI":"/i"}},null]},'
    b'"00280002":{"vr":"US","Value":[1]},"00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[3]},'
    b'"00280008":{"vr":"IS","Value":[%d]},"00280100":{"vr":"US","Value":[8]},"7FE00010":%s}]'
)
BULK = b'{"vr":"OW","BulkDataURI":"/p"}'
SENT = [
    b"\x00\xFF" + body((b"application/dicom", file(EXPLICIT, native(1)))),
    b"\x00\x40" + body(
        (b"application/dicom\r\nContent-Length: %d" % len(file(EXPLICIT, native(3))), file(EXPLICIT, native(3))),
        (b"application/dicom", file(EXPLICIT, head(1))),
    ),
    b"\x00\x07" + body((b"application/dicom", file("1.2.840.10008.1.2.4.50", encapsulated(b"", JPEG, JPEG)))),
    b"\x00\xFF" + body((b"application/dicom", file("1.2.840.10008.1.2.1.99", deflated()))),
    b"\x01\xFF" + body(
        (b"application/dicom+json", METADATA % (XA.encode(), 1, BULK)),
        (b"application/octet-stream\r\nContent-Location: /i", b"icc"),
        (b"application/octet-stream\r\nContent-Length: 6\r\nContent-Location: /p", bytes(6)),
    ),
    b"\x01\x30" + body(
        (b"application/dicom+json", METADATA % (XA.encode(), 1, BULK)),
        (b"image/jpeg\r\nContent-Location: /p", JPEG),
        (b"application/octet-stream\r\nContent-Location: /i", b""),
    ),
    b"\x01\xFF" + body((b"application/dicom+json", METADATA % (XA.encode(), 2, b'{"vr":"OB","InlineBinary":"AAAAAAAAAAAAAAAA"}'))),
]


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def picture(components, *segments):
    """A camera's JPEG picture of one block of every component, by the standard Huffman tables."""
    quantization = segment(0xDB, bytes(1) + bytes(range(1, 65)))
    frame = b"".join(bytes([number, 0x11, 0]) for number in components)
    scan = b"".join(bytes([number, 0]) for number in components)
    # Of each block: no DC difference (00), end of block (1010); filled up with ones.
    bits = "001010" * len(components)
    bits += "1" * (-len(bits) % 8)
    return b"".join([
        b"\xFF\xD8", *segments, quantization,
        segment(0xC0, struct.pack(">BHHB", 8, 8, 8, len(components)) + frame),
        segment(0xDA, bytes([len(components)]) + scan + b"\0\x3F\0"),
        int(bits, 2).to_bytes(len(bits) // 8, "big"), b"\xFF\xD9",
    ])


# A DC table of two codes; the AC table stays the standard one.
HUFFMAN = segment(0xC4, bytes([0, 0, 2]) + bytes(14) + bytes([0, 1]))
ITEM = b'{"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["1.3"]}%s}'
STORED = b'{"00081190":{"vr":"UR"},"00081199":{"vr":"SQ","Value":[%s]},"00081198":{"vr":"SQ","Value":[%s]}}'
# The example of ISO/IEC 14495-1 §H.3, 4 × 4, grey.
JPEG_LS = bytes.fromhex(
    "FFD8 FFF7000B0800040004 01011100 FFDA0008010100000000"
    "C000006C80208E01C0000057400000 6EE6000001BC18000005D800009160 FFD9"
)
# The same three times, a scan each; and the beginning of one by sample, near-lossless, with a preset.
THREE_SCANS = b"\xFF\xD8" + segment(0xF7, b"\x08\0\x04\0\x04\x03\x01\x11\0\x02\x11\0\x03\x11\0") + b"".join(
    segment(0xDA, bytes([1, component, 0, 0, 0, 0])) + JPEG_LS[25:-2] for component in (1, 2, 3)
) + b"\xFF\xD9"
BY_SAMPLE = b"\xFF\xD8" + segment(0xF8, struct.pack(">B5H", 1, 255, 5, 9, 25, 32)) + THREE_SCANS[2:21] + segment(
    0xDA, b"\x03\x01\0\x02\0\x03\0\x01\x02\0"
) + JPEG_LS[25:]
# A server's certificate for room7 and its issuer's; nobody has their keys.
LEAF = base64.b64decode(
    "MIIBijCCAS+gAwIBAgIUZfARQxlBd09UoL6yyZrGiyxwazUwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBUjAgFw0yNjExMjYxODU2"
    "MzFaGA8yMTI2MTEwMjE4NTYzMVowEDEOMAwGA1UEAwwFcm9vbTcwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQonwcPhWX+hlm+"
    "41avoTOZWBoMlaCbHzxXBRD1fx4TAi0QNJPtg2fwPvtmLMSg4tKHNGfkv9nhNmpXToh+4KjMo2kwZzAQBgNVHREECTAHggVyb29t"
    "NzATBgNVHSUEDDAKBggrBgEFBQcDATAdBgNVHQ4EFgQUUr0ofG/iOves6TAUx2Z8SjEZuP8wHwYDVR0jBBgwFoAUl3E85Nj4pgeH"
    "O6WZ6mXu60y7xzowCgYIKoZIzj0EAwIDSQAwRgIhAIYJDihLGAGo/D2DkII/Q7hHhGBl3juyUG3NkEiHFfdWAiEA5quOl22dQBWT"
    "y3JrR5rgWCoHNiat6GRj0TgmvtxjS3Q="
)
ISSUER = base64.b64decode(
    "MIIBcDCCARWgAwIBAgIUbSnOppMgjzFNndBaiCOn7QnQCFkwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBUjAgFw0yNjExMjYxODU2"
    "MzBaGA8yMTI2MTEwMjE4NTYzMFowDDEKMAgGA1UEAwwBUjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCYJRzXDgl1rA4D66tTY"
    "XrEHmumj/qaCHALezSoI7+qbInGIl5i+jtm/0V6f6PJaZOUlg8Qjgl4v1Wj7/grjdlmjUzBRMB0GA1UdDgQWBBSXcTzk2PimB4c7"
    "pZnqZe7rTLvHOjAfBgNVHSMEGDAWgBSXcTzk2PimB4c7pZnqZe7rTLvHOjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kA"
    "MEYCIQD65ESeeC7W3i9Xt+YHcCMX+oZYrzcRwt1z1NZuXLIs0gIhAPiioPfoawFn30hZCxMa2iS1E75+k2HaTJ3b9nF0lqLP"
)

SEEDS = {
    "jpegls": [
        b"\x00" + JPEG_LS,
        b"\x02" + JPEG_LS[:6] + b"\x10" + JPEG_LS[7:],
        b"\x01" + THREE_SCANS,
        b"\x01" + BY_SAMPLE,
        b"\x01" + BY_SAMPLE.replace(b"\x01\x02\0\xC0", b"\0\x01\0\xC0"),
    ],
    "mjpeg": [
        picture([1]),
        picture([1], HUFFMAN) + bytes(30),
        picture([1, 2, 3], segment(0xE0, b"AVI1" + bytes(10)), segment(0xDD, b"\0\1")),
        picture(b"RGB", segment(0xE1, picture([1])), segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")),
    ],
    "send_body": SENT,
    "store_response": [
        STORED % (ITEM % b"", ITEM % b',"00081197":{"vr":"US","Value":[42752]}'),
        STORED % (ITEM % b',"00081196":{"vr":"US","Value":[45056]}', b""),
        b'[{"0008119A":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":["272"]}},null]}}]',
    ],
    "pdu": PDUS,
    "passing": PDUS,
    "associate": [request()],
    "command": [ECHO, STORE, command(0x0FFF), command(0x0020, data=0)],
    "data_set": DATA_SETS,
    "multipart": [
        PARTS,
        b'multipart/related; type="application/dicom"; boundary="a b"; start=x',
        b"\x00--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--b--",
    ],
    "media": [
        b'\nmultipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50;q=0.5, */*;q=.1',
        b"application/dicom+json\napplication/dicom+xml, image/*",
        b"viewport=16,16,0,0,8,8&window=40,400,sigmoid&quality=50\nimage/jpeg, image/png;q=0.2",
        b"\nimage/gif, multipart/x-mixed-replace; type=\"image/jpeg\", application/dicom; transfer-syntax=*",
    ],
    "query": [
        b"PatientName=M%C3%BCller*&fuzzymatching=true&limit=5&offset=1&includefield=all",
        b"StudyDate=20260101-20261231&StudyTime=-235959&ModalitiesInStudy=XA,SR&00100020=A*",
        b"filter=StudyInstanceUID=1.2,1.3,Modality=XA&includefield=PatientID,00081030",
        b"ProcedureCodeSequence.CodeValue=P5-09051&SeriesInstanceUID=1.2.3&accept=a/b&x=y",
        b'PatientID=""&emptyvaluematching=true&multiplevaluematching=true&InstanceNumber=17&Rows=512',
    ],
    "certificates": [
        b"".join(struct.pack(">H", len(der)) + der for der in (LEAF, ISSUER)),
        ISSUER,
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(LEAF) + b"-----END CERTIFICATE-----\n",
    ],
    "routes": [
        b"/studies/1.2/series/1.3/instances/1.4/frames/1,2,3/rendered",
        b"/studies/1.2/series/1.3/instances/1.4/bulkdata/52009229/0/00280010",
        b"/studies/%31.2/metadata/",
        b"/studies/1.2/series",
        b"/studies/1.2/series/subscribers/VIEWER/suspend",
        b"/ws/subscribers/VIEWER",
    ],
}

for target, inputs in SEEDS.items():
    folder = pathlib.Path(sys.argv[1], target)
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (folder / f"{number:02}").write_bytes(data)
