//! Pixel Data (PS3.5 §8, §A.4): descriptions that contradict it, and fragments that are none.

use crate::data_sets::{
    CANNOT_UNDERSTAND, Case, MISMATCH, OUT_OF_RESOURCES, SUCCESS, case, deflate, store_all,
};
use crate::dicom::{
    BIG_ENDIAN, DEFLATED, EXPLICIT, ITEM, JPEG, JPEG_2000, MPEG_4, Object, PIXEL_DATA, RLE, SEQUENCE_END,
    UNDEFINED, bare, implicit, long,
};

/// A frame of a JPEG that has nothing but its end.
const FRAME: &[u8] = &[0xFF, 0xD8, 0xFF, 0xD9];

fn single(change: impl FnOnce(&mut Object)) -> Vec<u8> {
    let mut object = Object::new();
    change(&mut object);
    object.bytes()
}

fn multi(count: &str, change: impl FnOnce(&mut Object)) -> Vec<u8> {
    let mut object = Object::frames(count);
    change(&mut object);
    object.bytes()
}

#[test]
fn native() {
    let mut cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, status| cases.push(case(name, EXPLICIT, bytes, status));
    let description = |o: &mut Object, rows: u16, columns: u16, samples: u16, allocated: u16| {
        o.us((0x28, 0x10), rows)
            .us((0x28, 0x11), columns)
            .us((0x28, 2), samples)
            .us((0x28, 0x100), allocated);
    };
    add("two frames", multi("2", |o| _ = o.native(128)), SUCCESS);
    for count in ["0", "-1", "x", "1.5", "1e3", "99999999999999999999", "4294967296", "2\\2", " ", "0x2"] {
        let status = if count == " " { SUCCESS } else { MISMATCH };
        add(&format!("Number of Frames {count:?}"), multi(count, |o| _ = o.native(64)), status);
    }
    for count in ["65", "4294967295"] {
        add(&format!("{count} frames"), multi(count, |o| _ = o.native(64)), OUT_OF_RESOURCES);
    }
    for (bytes, found) in
        [(0, "none"), (64, "one"), (127, "almost two"), (130, "more than two"), (192, "three")]
    {
        add(&format!("two frames announced, {found} sent"), multi("2", |o| _ = o.native(bytes)), MISMATCH);
    }
    for missing in [(0x28, 2), (0x28, 0x10), (0x28, 0x11), (0x28, 0x100)] {
        let name = format!("two frames without ({:04X},{:04X})", missing.0, missing.1);
        add(&name, multi("2", |o| _ = o.native(128).without(missing)), MISMATCH);
    }
    for (name, rows, columns, samples, allocated) in [
        ("no rows", 0, 8, 1, 8),
        ("no columns", 8, 0, 1, 8),
        ("no samples", 8, 8, 0, 8),
        ("no bits", 8, 8, 1, 0),
        ("all the rows there are", 65535, 65535, 65535, 65535),
        ("one more row", 9, 8, 1, 8),
        ("three samples", 8, 8, 3, 8),
        ("16 bits", 8, 8, 1, 16),
        ("7 bits", 8, 8, 1, 7),
    ] {
        add(
            &format!("two frames of {name}"),
            multi("2", |o| description(o.native(128), rows, columns, samples, allocated)),
            MISMATCH,
        );
    }
    for (name, value) in [("2⁶³", 1u64 << 63), ("2³³", 1 << 33), ("2⁶⁴ - 1", u64::MAX)] {
        for tag in [(0x28, 0x10), (0x28, 2), (0x28, 0x100)] {
            add(
                &format!("{name} in (0028,{:04X})", tag.1),
                multi("2", |o| {
                    o.native(128).set((0x28, 0x10), "UV", &value.to_le_bytes());
                    o.set((0x28, 0x11), "UV", &value.to_le_bytes()).set(tag, "UV", &value.to_le_bytes());
                }),
                MISMATCH,
            );
        }
    }
    add("negative rows", multi("2", |o| _ = o.native(128).set((0x28, 0x10), "SS", &[0xFF, 0xFF])), MISMATCH);
    add("empty rows", multi("2", |o| _ = o.native(128).set((0x28, 0x10), "US", &[])), MISMATCH);
    // 7 × 5 single bits: frames begin inside bytes.
    for (frames, bytes, status) in
        [("2", 10, SUCCESS), ("3", 14, SUCCESS), ("2", 8, MISMATCH), ("2", 12, MISMATCH)]
    {
        add(
            &format!("{frames} frames of 35 bits in {bytes} bytes"),
            multi(frames, |o| description(o.native(bytes), 7, 5, 1, 1)),
            status,
        );
    }
    add("64 frames of one bit", multi("64", |o| description(o.native(8), 1, 1, 1, 1)), SUCCESS);
    add(
        "64 frames of nothing",
        multi("64", |o| {
            description(o.native(0), 1, 1, 1, 1);
            o.set((0x28, 4), "CS", b"YBR_FULL_422");
        }),
        MISMATCH,
    );
    add("a frame of 1 MiB and a bit", single(|o| _ = o.native((1 << 20) + 2)), OUT_OF_RESOURCES);
    add(
        "two frames of 1 MiB and a bit",
        multi("2", |o| description(o.native(2 * 1025 * 1024), 1025, 1024, 1, 8)),
        OUT_OF_RESOURCES,
    );
    add(
        "a frame that claims 4 GB",
        single(|o| o.pixels = long(PIXEL_DATA, "OB", 0xFFFF_FFFE)),
        OUT_OF_RESOURCES,
    );
    add(
        "a frame that is not there",
        single(|o| o.pixels = long(PIXEL_DATA, "OB", 1 << 20)),
        CANNOT_UNDERSTAND,
    );
    add("a frame of odd length", single(|o| _ = o.native(63)), SUCCESS);
    add("no Pixel Data at all", single(|o| o.pixels.clear()), SUCCESS);
    add("empty Pixel Data", single(|o| _ = o.native(0)), SUCCESS);
    add(
        "Pixel Data of text",
        single(|o| o.pixels = [long(PIXEL_DATA, "UT", 64), vec![b'x'; 64]].concat()),
        SUCCESS,
    );
    add("fragments in a native syntax", single(|o| _ = o.items(&[&[], FRAME])), CANNOT_UNDERSTAND);
    add(
        "two frames of fragments in a native syntax",
        multi("2", |o| _ = o.items(&[&[], FRAME, FRAME])),
        CANNOT_UNDERSTAND,
    );
    add("a description of another image", single(|o| description(o, 65535, 65535, 3, 16)), SUCCESS);
    add(
        "Bits Stored above Bits Allocated",
        single(|o| _ = o.us((0x28, 0x101), 99).us((0x28, 0x102), 98)),
        SUCCESS,
    );
    add(
        "a window of no width",
        single(|o| _ = o.set((0x28, 0x1050), "DS", b"0 ").set((0x28, 0x1051), "DS", b"0 ")),
        SUCCESS,
    );
    add(
        "a window of NaN",
        single(|o| _ = o.set((0x28, 0x1050), "DS", b"NaN ").set((0x28, 0x1051), "DS", b"inf ")),
        SUCCESS,
    );
    add(
        "a slope of 1e308",
        single(|o| _ = o.set((0x28, 0x1053), "DS", b"1e308 ").set((0x28, 0x1052), "DS", b"-1e308")),
        SUCCESS,
    );
    add(
        "a photometric interpretation of nobody",
        single(|o| _ = o.set((0x28, 4), "CS", b"ULTRAVIOLET ")),
        SUCCESS,
    );
    add(
        "a palette of no descriptor",
        single(|o| _ = o.set((0x28, 4), "CS", b"PALETTE COLOR ").set((0x28, 0x1101), "US", &[])),
        SUCCESS,
    );
    add(
        "a palette of 65,536 entries that are not there",
        single(|o| {
            let descriptor = [0, 0, 0, 0, 16, 0];
            o.set((0x28, 4), "CS", b"PALETTE COLOR ").set((0x28, 0x1101), "US", &descriptor);
            o.set((0x28, 0x1102), "US", &descriptor).set((0x28, 0x1103), "US", &descriptor);
            o.set((0x28, 0x1201), "OW", &[0; 4]).set((0x28, 0x1202), "OW", &[]).set(
                (0x28, 0x1203),
                "OW",
                &[1; 4],
            );
        }),
        SUCCESS,
    );
    let mut big_endian = Vec::new();
    for byte in [0xFE, 0x00, 0x7F, 0xE0] {
        big_endian.push(byte);
    }
    cases.push(case("big endian, half a header", BIG_ENDIAN, big_endian, CANNOT_UNDERSTAND));
    cases.push(case(
        "deflated, 64 frames of one bit",
        DEFLATED,
        deflate(&multi("64", |o| description(o.native(8), 1, 1, 1, 1))),
        SUCCESS,
    ));
    store_all(cases);
}

/// Two frames in these items.
fn two(items: &[&[u8]]) -> Vec<u8> {
    multi("2", |o| _ = o.items(items))
}

/// Two frames in these bytes after the header of Pixel Data.
fn raw(parts: &[Vec<u8>]) -> Vec<u8> {
    multi("2", |o| o.pixels = [long(PIXEL_DATA, "OB", UNDEFINED), parts.concat()].concat())
}

fn table(offsets: &[u32]) -> Vec<u8> {
    offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
}

fn encapsulated_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, status| cases.push(case(name, JPEG, bytes, status));
    let end = || bare(SEQUENCE_END, 0);
    let frame = || implicit(ITEM, FRAME);
    let none = || bare(ITEM, 0);
    add("two frames", two(&[&[], FRAME, FRAME]), SUCCESS);
    add("a table that is right", two(&[&table(&[0, 12]), FRAME, FRAME]), SUCCESS);
    add("no items at all", two(&[]), MISMATCH);
    add("a table and no frames", two(&[&[]]), MISMATCH);
    add("no offset table", raw(&[end()]), MISMATCH);
    add("fewer frames", two(&[&[], FRAME]), MISMATCH);
    add("more frames", two(&[&[], FRAME, FRAME, FRAME]), MISMATCH);
    add(
        "many more frames",
        two(&[&[][..]].iter().copied().chain(std::iter::repeat_n(FRAME, 3000)).collect::<Vec<_>>()),
        MISMATCH,
    );
    add("a table into a fragment", two(&[&table(&[0, 6]), FRAME, FRAME]), CANNOT_UNDERSTAND);
    add("a table beyond the end", two(&[&table(&[0, 5000]), FRAME, FRAME]), MISMATCH);
    // A table that cannot be right is passed over: the codestreams say where the frames end.
    add("a table that does not begin at 0", two(&[&table(&[12, 24]), FRAME, FRAME]), SUCCESS);
    add("a table out of order", two(&[&table(&[12, 0]), FRAME, FRAME]), SUCCESS);
    add("a table of one place", two(&[&table(&[0, 0]), FRAME, FRAME]), SUCCESS);
    add("a table of one entry", two(&[&table(&[0]), FRAME, FRAME]), SUCCESS);
    add("a table of 5 bytes", two(&[&[0; 5], FRAME, FRAME]), SUCCESS);
    add("a table of three entries", two(&[&table(&[0, 12, 24]), FRAME, FRAME]), CANNOT_UNDERSTAND);
    add("a table of 4 GB", raw(&[bare(ITEM, 0xFFFF_FFFE)]), CANNOT_UNDERSTAND);
    add("a table of no length", raw(&[bare(ITEM, UNDEFINED)]), CANNOT_UNDERSTAND);
    add(
        "an Extended Offset Table into a fragment",
        multi("2", |o| {
            o.set((0x7FE0, 1), "OV", &[0u64.to_le_bytes(), 3u64.to_le_bytes()].concat()).items(&[
                &[],
                FRAME,
                FRAME,
            ]);
        }),
        CANNOT_UNDERSTAND,
    );
    add(
        "an Extended Offset Table of 2⁶⁴ - 1",
        multi("2", |o| {
            o.set((0x7FE0, 1), "OV", &[0u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat()).items(&[
                &[],
                FRAME,
                FRAME,
            ]);
        }),
        MISMATCH,
    );
    add(
        "an Extended Offset Table of 9 bytes",
        multi("2", |o| {
            o.set((0x7FE0, 1), "OV", &[0; 9]).items(&[&[], FRAME, FRAME]);
        }),
        CANNOT_UNDERSTAND,
    );
    add("a fragment of no length", raw(&[none(), bare(ITEM, UNDEFINED)]), CANNOT_UNDERSTAND);
    add("a fragment of 4 GB", raw(&[none(), bare(ITEM, 0xFFFF_FFFE)]), OUT_OF_RESOURCES);
    add("a fragment beyond the bound", raw(&[none(), bare(ITEM, (1 << 20) + 2)]), OUT_OF_RESOURCES);
    add("fragments beyond the bound together", two(&[&[], &[0; 600_000], &[0; 600_000]]), OUT_OF_RESOURCES);
    add("100,000 empty fragments", raw(&[none(), none().repeat(100_000), end()]), MISMATCH);
    add("empty fragments", two(&[&[], &[], &[], FRAME, &[], FRAME]), SUCCESS);
    add("fragments of odd length", two(&[&[], &[0xFF, 0xD8, 0x00], &[0xFF, 0xD9, 0x00], FRAME]), SUCCESS);
    add("an end without a beginning", two(&[&[], &[0xFF, 0xD9], &[0xFF, 0xD9]]), SUCCESS);
    add("no delimiter", raw(&[none(), frame(), frame()]), CANNOT_UNDERSTAND);
    add("half a delimiter", raw(&[none(), frame(), frame(), end()[..5].to_vec()]), CANNOT_UNDERSTAND);
    add("half a fragment", raw(&[none(), frame(), frame()[..10].to_vec()]), CANNOT_UNDERSTAND);
    add(
        "an element where an item is due",
        raw(&[none(), implicit((0x10, 0x10), b"name"), end()]),
        CANNOT_UNDERSTAND,
    );
    add("a delimiter of a length", raw(&[none(), frame(), frame(), bare(SEQUENCE_END, 4)]), SUCCESS);
    add("garbage behind the delimiter", raw(&[none(), frame(), frame(), end(), vec![0x5A; 1000]]), SUCCESS);
    add(
        "300 KiB behind the delimiter",
        raw(&[none(), frame(), frame(), end(), vec![0; 300 << 10]]),
        OUT_OF_RESOURCES,
    );
    add("a length in an encapsulated syntax", multi("2", |o| _ = o.native(128)), CANNOT_UNDERSTAND);
    let one = |items: &[&[u8]]| single(|o| _ = o.items(items));
    add("one frame", one(&[&[], FRAME]), SUCCESS);
    add("one frame, no items", one(&[]), CANNOT_UNDERSTAND);
    add("one frame, only a table", one(&[&[]]), SUCCESS);
    add("one frame with a length", single(|o| _ = o.native(64)), CANNOT_UNDERSTAND);
    let bytes = |parts: &[Vec<u8>]| {
        single(|o| o.pixels = [long(PIXEL_DATA, "OB", UNDEFINED), parts.concat()].concat())
    };
    add(
        "one frame, a fragment of no length",
        bytes(&[none(), bare(ITEM, UNDEFINED), end()]),
        CANNOT_UNDERSTAND,
    );
    add(
        "one frame, a fragment of 4 GB",
        bytes(&[none(), bare(ITEM, 0xFFFF_FFFE), FRAME.to_vec()]),
        CANNOT_UNDERSTAND,
    );
    add("one frame, no delimiter", bytes(&[none(), frame()]), CANNOT_UNDERSTAND);
    add("one frame, garbage", bytes(&[vec![0x5A; 500]]), CANNOT_UNDERSTAND);
    add("one frame, beyond the bound", one(&[&[], &vec![0; 1_600_000]]), OUT_OF_RESOURCES);
    add(
        "one frame, fragments without end",
        bytes(&[none(), implicit(ITEM, &[0; 1000]).repeat(2000)]),
        OUT_OF_RESOURCES,
    );
    // A codestream that claims 65,535 × 65,535 pixels, and so do the attributes.
    let claim = [0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0xFF, 0xFF, 0xFF, 0xFF, 1, 1, 0x11, 0, 0xFF, 0xD9, 0];
    add(
        "one JPEG of 4 gigapixels",
        single(|o| _ = o.us((0x28, 0x10), 65535).us((0x28, 0x11), 65535).items(&[&[], &claim])),
        SUCCESS,
    );
    add("one JPEG of another size", one(&[&[], &claim]), SUCCESS);
    add(
        "one JPEG of noise",
        one(&[&[], &(0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>()]),
        SUCCESS,
    );
    let mut other = |name: &str, syntax, bytes| cases.push(case(name, syntax, bytes, SUCCESS));
    other("RLE, a header of garbage", RLE, one(&[&[], &[0xFF; 64]]));
    other(
        "RLE, segments beyond the end",
        RLE,
        one(&[&[], &[&[1, 0, 0, 0][..], &[0xFF; 60], &[0x80; 8]].concat()]),
    );
    other(
        "RLE, runs without end",
        RLE,
        one(&[&[], &[&[1, 0, 0, 0, 64, 0, 0, 0][..], &[0; 56], &[0x81, 0xFF].repeat(5000)].concat()]),
    );
    other("RLE, two frames of nothing", RLE, two(&[&[], &[], &[]]));
    let siz = |size: u32| {
        let mut stream = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for number in [size, size, 0, 0, 1, 1, 0, 0] {
            stream.extend(u32::to_be_bytes(number));
        }
        stream.extend([0, 1, 7, 1, 1, 0xFF, 0xD9]);
        stream
    };
    for size in [8, 0, 65535, u32::MAX] {
        other(
            &format!("JPEG 2000 of {size} pixels a side in tiles of one"),
            JPEG_2000,
            single(|o| {
                o.us((0x28, 0x10), size as u16).us((0x28, 0x11), size as u16).items(&[&[], &siz(size)]);
            }),
        );
    }
    other("MPEG-4 of no stream", MPEG_4, multi("100", |o| _ = o.items(&[&[], &[0x47; 188]])));
    cases
}

#[test]
fn encapsulated() {
    store_all(encapsulated_cases());
}
