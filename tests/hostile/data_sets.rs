//! Data sets (PS3.5): what the head of an object can do wrong. Every one is answered with the status
//! that the standard has for it, over an association that lives on.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::dicom::{
    BIG_ENDIAN, CommandSet, DEFLATED, EXPLICIT, IMPLICIT, INSTANCE, ITEM, ITEM_END, Object, PIXEL_DATA,
    REFERENCED_IMAGES, SEQUENCE_END, SERIES, UNDEFINED, XA, bare, explicit, implicit, long, numbered,
};
use crate::dimse::{Answer, associate, context_of, echo_on, store};
use crate::http1;
use crate::service::Service;

pub const SUCCESS: u16 = 0x0000;
pub const OUT_OF_RESOURCES: u16 = 0xA700;
pub const MISMATCH: u16 = 0xA900;
pub const CANNOT_UNDERSTAND: u16 = 0xC000;

/// One object and its statuses; several where either reading of it is right.
pub struct Case {
    pub name: String,
    pub syntax: &'static str,
    pub bytes: Vec<u8>,
    pub statuses: Vec<u16>,
}

pub fn case(name: &str, syntax: &'static str, bytes: Vec<u8>, status: u16) -> Case {
    Case { name: name.to_owned(), syntax, bytes, statuses: vec![status] }
}

/// Stores each, asks for the status, and reads back over HTTPS what was taken.
pub fn store_all(cases: Vec<Case>) {
    let mut service = Service::start(&[]);
    let mut failures = String::new();
    for (number, Case { name, syntax, bytes, statuses }) in cases.into_iter().enumerate() {
        // What is deflated keeps its UIDs, and there are few of those that are taken.
        let number = if syntax == DEFLATED { 0 } else { number + 1 };
        let uid = |uid: &str| String::from_utf8(numbered(uid.as_bytes(), number)).unwrap();
        let (instance, series) = (uid(INSTANCE), uid(SERIES));
        let context = context_of(syntax);
        let mut peer = associate(service.dimse);
        let bytes = numbered(&bytes, number);
        peer.send(&store(context, &CommandSet::store(XA, &instance), &bytes));
        let answer = peer.answer();
        let Answer::Response(0x8001, status) = answer else {
            panic!("{name}: {answer:?}\n{}", service.log());
        };
        if !statuses.contains(&status) {
            failures += &format!("{name}: {status:04X}H instead of {statuses:04X?}\n");
        }
        assert_eq!(echo_on(&mut peer), Ok(()), "{name}");
        service.answers(&name);
        if status == SUCCESS {
            http1::read_back(service.https, &series, &name);
        }
    }
    assert!(failures.is_empty(), "{failures}\n{}", service.log());
    service.end();
}

fn object(change: impl FnOnce(&mut Object)) -> Vec<u8> {
    let mut object = Object::new();
    change(&mut object);
    object.bytes()
}

/// With these bytes in the place of Referenced Image Sequence.
fn sequence(bytes: Vec<u8>) -> Vec<u8> {
    object(|object| _ = object.raw(REFERENCED_IMAGES, bytes))
}

/// Sequences in each other.
fn bomb(depth: usize, length: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..depth {
        bytes.extend([long(REFERENCED_IMAGES, "SQ", length), bare(ITEM, length)].concat());
    }
    if length == UNDEFINED {
        for _ in 0..depth {
            bytes.extend([bare(ITEM_END, 0), bare(SEQUENCE_END, 0)].concat());
        }
    }
    bytes
}

/// Sequences in each other whose lengths are all right.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inside, _| {
        let item = [bare(ITEM, inside.len() as u32), inside].concat();
        explicit(REFERENCED_IMAGES, "SQ", &item)
    })
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn heads() {
    let whole = Object::new().bytes();
    let head = Object::new().head();
    let mut cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, status| cases.push(case(name, EXPLICIT, bytes, status));
    add("nothing is wrong", whole.clone(), SUCCESS);
    add("empty", vec![], MISMATCH);
    add("garbage", vec![0xA5; 5000], CANNOT_UNDERSTAND);
    add("zeros", vec![0; 5000], CANNOT_UNDERSTAND);
    add("text", b"<!DOCTYPE html><html>".repeat(50), CANNOT_UNDERSTAND);
    add("a Part 10 file", [vec![0; 128], b"DICM".to_vec(), whole.clone()].concat(), CANNOT_UNDERSTAND);
    add("implicit VR where explicit was agreed", Object::new().implicit(), CANNOT_UNDERSTAND);
    for uid in [(0x0008, 0x0016), (0x0008, 0x0018), (0x0020, 0x000D), (0x0020, 0x000E)] {
        let name = format!("({:04X},{:04X})", uid.0, uid.1);
        add(&format!("{name} is missing"), object(|o| _ = o.without(uid)), MISMATCH);
        add(&format!("{name} is empty"), object(|o| _ = o.ui(uid, "")), MISMATCH);
        add(&format!("{name} is padding"), object(|o| _ = o.set(uid, "UI", b"\0\0\0\0")), MISMATCH);
        add(&format!("{name} has letters"), object(|o| _ = o.ui(uid, "1.2.x")), MISMATCH);
        add(&format!("{name} is a path"), object(|o| _ = o.ui(uid, "../../../x")), MISMATCH);
        add(&format!("{name} has 65 digits"), object(|o| _ = o.ui(uid, &"1".repeat(65))), MISMATCH);
        add(&format!("{name} is no text"), object(|o| _ = o.set(uid, "UI", &[0xFF, 0xFE])), MISMATCH);
        add(&format!("{name} has two values"), object(|o| _ = o.ui(uid, "1.2\\1.3")), MISMATCH);
        add(
            &format!("{name} has two places"),
            object(|o| {
                _ = o.raw(uid, [explicit(uid, "UI", b"1.2.3\0"), explicit(uid, "UI", b"1.2.4\0")].concat())
            }),
            CANNOT_UNDERSTAND,
        );
    }
    add(
        "another class than announced",
        object(|o| _ = o.ui((8, 0x16), "1.2.840.10008.5.1.4.1.1.7")),
        MISMATCH,
    );
    add("another instance than announced", object(|o| _ = o.ui((8, 0x18), "1.2.3")), MISMATCH);
    let borders = Object::new().borders();
    for cut in (1..head.len()).step_by(7).filter(|cut| !borders.contains(cut)) {
        add(&format!("ends at byte {cut}"), whole[..cut].to_vec(), CANNOT_UNDERSTAND);
    }
    for cut in [head.len() + 4, head.len() + 11, head.len() + 12, whole.len() - 1] {
        add(&format!("ends at byte {cut}"), whole[..cut].to_vec(), CANNOT_UNDERSTAND);
    }
    for (depth, status) in
        [(7, SUCCESS), (9, OUT_OF_RESOURCES), (100, OUT_OF_RESOURCES), (5000, OUT_OF_RESOURCES)]
    {
        add(
            &format!("{depth} sequences of no length in each other"),
            sequence(bomb(depth, UNDEFINED)),
            status,
        );
        if depth < 5000 {
            add(&format!("{depth} sequences in each other"), sequence(nested(depth)), status);
        }
    }
    add("sequences that all claim 4 GB", sequence(bomb(100, 0xFFFF_FFFE)), CANNOT_UNDERSTAND);
    add("sequences that all claim 64 KiB", sequence(bomb(100, 0x10000)), CANNOT_UNDERSTAND);
    add("an item outside a sequence", object(|o| _ = o.raw((9, 0), bare(ITEM, 0))), CANNOT_UNDERSTAND);
    add(
        "a delimiter outside a sequence",
        object(|o| _ = o.raw((9, 0), bare(SEQUENCE_END, 0))),
        CANNOT_UNDERSTAND,
    );
    add("an item end outside an item", object(|o| _ = o.raw((9, 0), bare(ITEM_END, 0))), CANNOT_UNDERSTAND);
    let open = long(REFERENCED_IMAGES, "SQ", UNDEFINED);
    let inside = |parts: &[Vec<u8>]| sequence([open.clone(), parts.concat()].concat());
    let element = explicit((8, 0x1155), "UI", b"1.2\0");
    add(
        "an element where an item is due",
        inside(&[element.clone(), bare(SEQUENCE_END, 0)]),
        CANNOT_UNDERSTAND,
    );
    add("an item in an item", inside(&[bare(ITEM, UNDEFINED), bare(ITEM, 0)]), CANNOT_UNDERSTAND);
    add("an item end where an item is due", inside(&[bare(ITEM_END, 0)]), CANNOT_UNDERSTAND);
    add(
        "a sequence end inside an item",
        inside(&[bare(ITEM, UNDEFINED), bare(SEQUENCE_END, 0)]),
        CANNOT_UNDERSTAND,
    );
    add("a sequence that never ends", inside(&[bare(ITEM, UNDEFINED), element.clone()]), CANNOT_UNDERSTAND);
    add(
        "an item beyond its sequence",
        sequence([long(REFERENCED_IMAGES, "SQ", 12), bare(ITEM, 100), vec![0; 100]].concat()),
        CANNOT_UNDERSTAND,
    );
    add(
        "an element beyond its item",
        sequence(
            [long(REFERENCED_IMAGES, "SQ", 20), bare(ITEM, 12), long((8, 0x1155), "OB", 50), vec![0; 50]]
                .concat(),
        ),
        CANNOT_UNDERSTAND,
    );
    add(
        "delimiters in a sequence with length",
        sequence([long(REFERENCED_IMAGES, "SQ", 16), bare(ITEM, UNDEFINED), bare(SEQUENCE_END, 0)].concat()),
        CANNOT_UNDERSTAND,
    );
    add(
        "Pixel Data inside an item",
        inside(&[
            bare(ITEM, UNDEFINED),
            explicit(PIXEL_DATA, "OB", &[0; 10]),
            bare(ITEM_END, 0),
            bare(SEQUENCE_END, 0),
        ]),
        SUCCESS,
    );
    add(
        "an icon of fragments",
        inside(&[
            bare(ITEM, UNDEFINED),
            long(PIXEL_DATA, "OB", UNDEFINED),
            implicit(ITEM, &[]),
            implicit(ITEM, &[1, 2]),
            bare(SEQUENCE_END, 0),
            bare(ITEM_END, 0),
            bare(SEQUENCE_END, 0),
        ]),
        SUCCESS,
    );
    add(
        "an icon whose fragment has no length",
        inside(&[bare(ITEM, UNDEFINED), long(PIXEL_DATA, "OB", UNDEFINED), bare(ITEM, UNDEFINED)]),
        CANNOT_UNDERSTAND,
    );
    add(
        "fragments that are no Pixel Data",
        object(|o| {
            _ = o.raw(
                (9, 0x1001),
                [long((9, 0x1001), "OB", UNDEFINED), bare(ITEM, 0), bare(SEQUENCE_END, 0)].concat(),
            )
        }),
        CANNOT_UNDERSTAND,
    );
    for vr in ["US", "LO", "UT", "UC", "OF"] {
        let tag = (0x0009, 0x1001);
        let header = if vr.starts_with('U') && vr != "US" || vr == "OF" {
            long(tag, vr, UNDEFINED)
        } else {
            [explicit(tag, vr, &[]), vec![0xFF; 4]].concat()
        };
        add(&format!("{vr} of undefined length"), object(|o| _ = o.raw(tag, header)), CANNOT_UNDERSTAND);
    }
    for length in [0xFFFF_FFFE, 0xFFFF_FFF0, 0x8000_0000, 0x7FFF_FFFF, 300_000] {
        add(
            &format!("a value of {length:08X}H bytes"),
            object(|o| _ = o.raw((9, 0x1001), long((9, 0x1001), "OB", length))),
            OUT_OF_RESOURCES,
        );
        add(
            &format!("an unknown value of {length:08X}H bytes"),
            object(|o| _ = o.raw((9, 0x1001), long((9, 0x1001), "UN", length))),
            OUT_OF_RESOURCES,
        );
    }
    for (vr, length) in [("US", 3), ("AT", 2), ("FD", 12), ("OW", 1), ("UV", 7), ("SL", 5)] {
        // Whoever takes what is left over for a header reads a value of 4 GB there.
        let value = [0, 0x08, 0, 0x60, 0, b'O', b'B', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF];
        let bytes = explicit((9, 0x1001), vr, &value[..length]);
        add(&format!("{vr} of {length} bytes"), object(|o| _ = o.raw((9, 0x1001), bytes)), CANNOT_UNDERSTAND);
    }
    add(
        "an unknown VR",
        object(|o| _ = o.raw((9, 0x1001), [&[9, 0, 1, 0x10][..], b"ZZ\0\0"].concat())),
        CANNOT_UNDERSTAND,
    );
    add(
        "a VR of no letters",
        object(|o| _ = o.raw((9, 0x1001), vec![9, 0, 1, 0x10, 0, 0, 0, 0])),
        CANNOT_UNDERSTAND,
    );
    add(
        "3,000 elements",
        object(|o| _ = o.raw((9, 0x1001), explicit((9, 0x1001), "LO", b"").repeat(3000))),
        OUT_OF_RESOURCES,
    );
    add("3,000 items", inside(&[bare(ITEM, 0).repeat(3000), bare(SEQUENCE_END, 0)]), OUT_OF_RESOURCES);
    add("a head of 300 KiB", object(|o| _ = o.set((9, 0x1001), "OB", &vec![7; 300 << 10])), OUT_OF_RESOURCES);
    add("a head of 10 MiB", object(|o| _ = o.set((9, 0x1001), "OB", &vec![7; 10 << 20])), OUT_OF_RESOURCES);
    add(
        "10 MiB behind Pixel Data",
        [whole.clone(), explicit((0xFFFC, 0xFFFC), "OB", &vec![0; 10 << 20])].concat(),
        OUT_OF_RESOURCES,
    );
    add("garbage behind Pixel Data", [whole.clone(), vec![0xA5; 1000]].concat(), CANNOT_UNDERSTAND);
    add(
        "a second Pixel Data",
        [whole.clone(), explicit(PIXEL_DATA, "OB", &[1; 64])].concat(),
        CANNOT_UNDERSTAND,
    );
    add(
        "padding behind Pixel Data",
        [whole.clone(), explicit((0xFFFC, 0xFFFC), "OB", &[0; 99])].concat(),
        SUCCESS,
    );
    add(
        "a value of 4 GB behind Pixel Data",
        [whole.clone(), long((0xFFFC, 0xFFFC), "OB", 0xFFFF_FFFE)].concat(),
        OUT_OF_RESOURCES,
    );
    add(
        "File Meta Information inside",
        [explicit((2, 0x10), "UI", b"1.2\0"), whole.clone()].concat(),
        CANNOT_UNDERSTAND,
    );
    add(
        "a command element inside",
        [explicit((0, 0x100), "US", &[1, 0]), whole.clone()].concat(),
        CANNOT_UNDERSTAND,
    );
    add(
        "a character set of nobody",
        object(|o| _ = o.set((8, 5), "CS", b"ISO_IR 999999 ").set((0x10, 0x10), "PN", &[0xFF; 64])),
        SUCCESS,
    );
    add("Instance Number of letters", object(|o| _ = o.set((0x20, 0x13), "IS", b"one ")), SUCCESS);
    add(
        "Instance Number beyond 32 bits",
        object(|o| _ = o.set((0x20, 0x13), "IS", b"99999999999 ")),
        SUCCESS,
    );
    add("Rows as text", object(|o| _ = o.set((0x28, 0x10), "LO", b"many")), SUCCESS);
    store_all(cases);
}

#[test]
fn other_encodings() {
    let whole = Object::new();
    let stream = deflate(&whole.bytes());
    let bomb = |bytes: Vec<u8>| deflate(&[Object::new().head(), bytes].concat());
    let mut cases = vec![
        case("implicit, nothing is wrong", IMPLICIT, whole.implicit(), SUCCESS),
        case("explicit VR where implicit was agreed", IMPLICIT, whole.bytes(), OUT_OF_RESOURCES),
        case("implicit, garbage", IMPLICIT, vec![0x5A; 5000], OUT_OF_RESOURCES),
        case(
            "implicit, 5,000 sequences in each other",
            IMPLICIT,
            [bare(REFERENCED_IMAGES, UNDEFINED), bare(ITEM, UNDEFINED)].concat().repeat(5000),
            OUT_OF_RESOURCES,
        ),
        case(
            "implicit, 5,000 private sequences in each other",
            IMPLICIT,
            [bare((9, 0x1001), UNDEFINED), bare(ITEM, UNDEFINED)].concat().repeat(5000),
            OUT_OF_RESOURCES,
        ),
        case(
            "5,000 unknown values of no length in each other",
            EXPLICIT,
            [
                long((9, 0x1001), "UN", UNDEFINED),
                bare(ITEM, UNDEFINED),
                [bare((9, 0x1001), UNDEFINED), bare(ITEM, UNDEFINED)].concat().repeat(5000),
            ]
            .concat(),
            OUT_OF_RESOURCES,
        ),
        case("little endian where big endian was agreed", BIG_ENDIAN, whole.bytes(), CANNOT_UNDERSTAND),
        case("big endian, garbage", BIG_ENDIAN, vec![0xA5; 999], CANNOT_UNDERSTAND),
        case("deflated, nothing is wrong", DEFLATED, stream.clone(), SUCCESS),
        case("deflated, padded", DEFLATED, [stream.clone(), vec![0]].concat(), SUCCESS),
        case("deflated, not deflated", DEFLATED, whole.bytes(), CANNOT_UNDERSTAND),
        case("deflated, garbage", DEFLATED, vec![0xFF; 3000], CANNOT_UNDERSTAND),
        case(
            "deflated, a zlib header",
            DEFLATED,
            [vec![0x78, 0x9C], stream.clone()].concat(),
            CANNOT_UNDERSTAND,
        ),
        case("deflated, empty", DEFLATED, vec![], CANNOT_UNDERSTAND),
        case("deflated, a stream of nothing", DEFLATED, deflate(&[]), MISMATCH),
        case(
            "deflated, garbage behind",
            DEFLATED,
            [stream.clone(), vec![7; 500]].concat(),
            CANNOT_UNDERSTAND,
        ),
        case("deflated, a second stream behind", DEFLATED, stream.repeat(2), CANNOT_UNDERSTAND),
        case(
            "deflated, 64 MiB of head",
            DEFLATED,
            bomb([long((0x6001, 0x1001), "OB", 64 << 20), vec![0; 64 << 20]].concat()),
            OUT_OF_RESOURCES,
        ),
        case(
            "deflated, 64 MiB of elements",
            DEFLATED,
            bomb(explicit((0x6001, 0x1001), "LO", &[b' '; 1016]).repeat(64 << 10)),
            OUT_OF_RESOURCES,
        ),
        case(
            "deflated, 64 MiB of pixels",
            DEFLATED,
            bomb([long(PIXEL_DATA, "OB", 64 << 20), vec![0; 64 << 20]].concat()),
            OUT_OF_RESOURCES,
        ),
        case(
            "deflated, 64 MiB behind the pixels",
            DEFLATED,
            bomb([explicit(PIXEL_DATA, "OB", &[0; 64]), vec![0; 64 << 20]].concat()),
            OUT_OF_RESOURCES,
        ),
    ];
    for cut in [1, stream.len() / 4, stream.len() / 2, stream.len() - 1] {
        cases.push(case(
            &format!("deflated, ends at byte {cut}"),
            DEFLATED,
            stream[..cut].to_vec(),
            CANNOT_UNDERSTAND,
        ));
    }
    for at in [10, stream.len() / 3, stream.len() / 2] {
        let mut broken = stream.clone();
        broken[at] ^= 0xFF;
        broken.truncate(at + 1);
        cases.push(case(&format!("deflated, broken at byte {at}"), DEFLATED, broken, CANNOT_UNDERSTAND));
    }
    store_all(cases);
}
