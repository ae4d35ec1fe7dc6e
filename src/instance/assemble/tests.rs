//! The assembler fed with small objects in every transfer, in chunks of every size.

use dicom_core::{DataElement, PrimitiveValue, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use proptest::prelude::*;

use super::*;
use crate::instance::scan::HeadLimits;
use crate::instance::{Dataset, EXPLICIT_VR_LITTLE_ENDIAN};

const XA: &str = "1.2.840.10008.5.1.4.1.1.12.1";
const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG: &str = "1.2.840.10008.1.2.4.70";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const BIG: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

const LIMITS: Limits = Limits {
    head: HeadLimits { bytes: 64 << 10, elements: 1000, nesting: 8 },
    frame_bytes: 1 << 20,
    frames: 1000,
};

/// An XA data set of 4 × 6 pixels without Pixel Data.
fn dataset(frames: Option<u32>, bits: u16) -> Dataset {
    let mut set = Dataset::new_empty();
    let mut text =
        |tag, vr, value: &str| drop(set.put(DataElement::new(tag, vr, PrimitiveValue::from(value))));
    text(tags::SOP_CLASS_UID, VR::UI, XA);
    text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4");
    text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3");
    text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.1");
    text(tags::PATIENT_NAME, VR::PN, "Odd^Name");
    text(tags::INSTANCE_NUMBER, VR::IS, "7");
    text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    if let Some(frames) = frames {
        text(tags::NUMBER_OF_FRAMES, VR::IS, &frames.to_string());
    }
    let mut number = |tag, value: u16| drop(set.put(DataElement::new(tag, VR::US, dicom_value!(U16, value))));
    number(tags::ROWS, 4);
    number(tags::COLUMNS, 6);
    number(tags::SAMPLES_PER_PIXEL, 1);
    number(tags::BITS_ALLOCATED, bits);
    number(tags::BITS_STORED, bits);
    number(tags::HIGH_BIT, bits - 1);
    number(tags::PIXEL_REPRESENTATION, 0);
    set
}

/// Encodes a data set and the header of Pixel Data.
fn encode_head(set: &Dataset, syntax: &str, vr: &str, length: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.write_dataset_with_ts(&mut bytes, TransferSyntaxRegistry.get(syntax).unwrap()).unwrap();
    let encoding = Encoding::of(syntax);
    if encoding.big_endian {
        bytes.extend([0x7F, 0xE0, 0x00, 0x10]);
    } else {
        bytes.extend([0xE0, 0x7F, 0x10, 0x00]);
    }
    if encoding.explicit {
        bytes.extend(vr.as_bytes());
        bytes.extend([0, 0]);
    }
    bytes.extend(if encoding.big_endian { length.to_be_bytes() } else { length.to_le_bytes() });
    bytes
}

fn native(frames: Option<u32>, bits: u16, pixels: &[u8], syntax: &str) -> Vec<u8> {
    let mut bytes = encode_head(&dataset(frames, bits), syntax, "OW", pixels.len() as u32);
    bytes.extend(pixels);
    bytes
}

fn item(tag: [u8; 4], value: &[u8]) -> Vec<u8> {
    [&tag[..], &(value.len() as u32).to_le_bytes(), value].concat()
}

const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
const DELIMITER: [u8; 4] = [0xFE, 0xFF, 0xDD, 0xE0];

fn encapsulated(frames: Option<u32>, syntax: &str, offsets: &[u32], fragments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = encode_head(&dataset(frames, 8), syntax, "OB", u32::MAX);
    let table: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    bytes.extend(item(ITEM, &table));
    for fragment in fragments {
        bytes.extend(item(ITEM, fragment));
    }
    bytes.extend(item(DELIMITER, &[]));
    bytes
}

fn transfer(syntax: &str) -> Transfer {
    Transfer {
        transfer_syntax: syntax.into(),
        sop_class: XA.into(),
        sop_instance: "1.2.3.4".into(),
        source_ae_title: Some("XA1".into()),
    }
}

/// Feeds `bytes` in steps of at most `step`; gives every instance with the number of bytes that
/// had been fed when it came.
fn run(syntax: &str, bytes: &[u8], step: usize) -> Result<Vec<(usize, Instance)>, AssembleError> {
    let mut assembler = Assembler::new(transfer(syntax), LIMITS)?;
    let (mut fed, mut made, mut opened) = (0, Vec::new(), 0);
    loop {
        let ended = fed == bytes.len();
        while let Some(event) = assembler.poll(ended)? {
            match event {
                Event::Opened(object) => {
                    opened += 1;
                    assert_eq!(&*object.identity.series, "1.2.3.1");
                    assert!(object.dataset().is_ok());
                    assembler.number_from(100);
                }
                Event::Instance(instance) => made.push((fed, instance)),
            }
        }
        if ended {
            assert_eq!(opened, 1);
            return Ok(made);
        }
        let (target, room) = assembler.target();
        assert!(room > 0);
        let part = &bytes[fed..bytes.len().min(fed + room.min(step))];
        target.extend_from_slice(part);
        fed += part.len();
    }
}

fn part10(instance: &Instance) -> Vec<u8> {
    instance.part10().concat()
}

#[test]
fn a_single_frame_object_goes_on_byte_for_byte() {
    let mut bytes = native(None, 16, &[9; 48], EXPLICIT_VR_LITTLE_ENDIAN);
    // Data Set Trailing Padding behind Pixel Data.
    bytes.extend([0xFC, 0xFF, 0xFC, 0xFF, b'O', b'B', 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
    for step in [1, 7, usize::MAX] {
        let made = run(EXPLICIT_VR_LITTLE_ENDIAN, &bytes, step).unwrap();
        let [(_, instance)] = &made[..] else { panic!("{} instances", made.len()) };
        assert!(part10(instance).ends_with(&bytes));
        assert_eq!(instance.number(), Some(7));
        assert_eq!(&instance.pixels()[..], [9; 48]);
        let object = instance.object().unwrap();
        assert_eq!(object.meta().source_application_entity_title(), Some("XA1"));
        assert_eq!(object.element(tags::PATIENT_NAME).unwrap().to_str().unwrap(), "Odd^Name");
    }
}

#[test]
fn native_frames_come_out_with_their_last_byte() {
    let pixels: Vec<u8> = (0..240u8).collect();
    let bytes = native(Some(10), 8, &pixels, EXPLICIT_VR_LITTLE_ENDIAN);
    let head = bytes.len() - 240;
    let made = run(EXPLICIT_VR_LITTLE_ENDIAN, &bytes, 1).unwrap();
    assert_eq!(made.len(), 10);
    for (index, (fed, instance)) in made.iter().enumerate() {
        assert_eq!(*fed, head + 24 * (index + 1), "frame {} came late", index + 1);
        assert_eq!(&instance.pixels()[..], &pixels[24 * index..][..24]);
        assert_eq!(instance.number(), Some(100 + index as i32));
        assert!(instance.dataset().unwrap().get(tags::NUMBER_OF_FRAMES).is_none());
    }
    let uids: std::collections::BTreeSet<_> =
        made.iter().map(|(_, i)| i.identity().sop_instance.clone()).collect();
    assert_eq!(uids.len(), 10);
}

#[test]
fn implicit_and_big_endian_become_explicit_little_endian() {
    let little: Vec<u8> = (0..24u16).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = (0..24u16).flat_map(u16::to_be_bytes).collect();
    for (syntax, pixels) in [(IMPLICIT, &little), (BIG, &big)] {
        let made = run(syntax, &native(None, 16, pixels, syntax), usize::MAX).unwrap();
        let instance = &made[0].1;
        assert_eq!(&**instance.transfer_syntax(), EXPLICIT_VR_LITTLE_ENDIAN);
        let object = instance.object().unwrap();
        assert_eq!(object.meta().transfer_syntax().trim_end_matches('\0'), EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap()[..], little[..], "{syntax}");
        assert_eq!(object.element(tags::PATIENT_NAME).unwrap().to_str().unwrap(), "Odd^Name");
        let twice: Vec<u8> = [&pixels[..], &pixels[..]].concat();
        let made = run(syntax, &native(Some(2), 16, &twice, syntax), 5).unwrap();
        assert_eq!(made.len(), 2);
        assert_eq!(made[1].1.pixels()[..], little[..], "{syntax}");
    }
}

#[test]
fn big_endian_words_that_belong_to_two_frames_are_parted() {
    // 3 frames of 3 bytes in 16-bit words: the second word holds the end of frame 1 and the
    // beginning of frame 2.
    let mut set = dataset(Some(3), 8);
    for (tag, value) in [(tags::ROWS, 1u16), (tags::COLUMNS, 3)] {
        set.put(DataElement::new(tag, VR::US, dicom_value!(U16, value)));
    }
    let mut bytes = encode_head(&set, BIG, "OW", 10);
    bytes.extend([2, 1, 4, 3, 6, 5, 8, 7, 0, 9]);
    for step in [1, usize::MAX] {
        let made = run(BIG, &bytes, step).unwrap();
        let frames: Vec<_> = made.iter().map(|(_, instance)| instance.pixels().to_vec()).collect();
        assert_eq!(frames, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
    }
}

#[test]
fn a_deflated_object_is_inflated_while_it_arrives() {
    use std::io::Write as _;
    // More than one portion of inflated bytes, so that their order matters.
    let pixels: Vec<u8> = (0..24_000u32).map(|n| (n / 7) as u8).collect();
    let plain = native(Some(1000), 8, &pixels, EXPLICIT_VR_LITTLE_ENDIAN);
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&plain).unwrap();
    let mut bytes = encoder.finish().unwrap();
    bytes.push(0);
    for step in [1, usize::MAX] {
        let made = run(DEFLATED, &bytes, step).unwrap();
        assert_eq!(&**made[0].1.transfer_syntax(), EXPLICIT_VR_LITTLE_ENDIAN);
        let joined: Vec<u8> = made.iter().flat_map(|(_, instance)| instance.pixels().to_vec()).collect();
        assert!(joined == pixels);
    }
    bytes.extend([1, 2, 3]);
    assert!(matches!(run(DEFLATED, &bytes, usize::MAX), Err(AssembleError::Deflate)));
}

#[test]
fn encapsulated_frames_are_found_by_table_by_codestream_and_by_fragment() {
    let (a, b, c) = (&[1, 2, 3, 4][..], &[5, 6, 0xFF, 0xD9][..], &[7, 8, 0xFF, 0xD9][..]);
    let frames = |made: &[(usize, Instance)]| -> Vec<Vec<u8>> {
        made.iter().map(|(_, instance)| instance.fragments().concat()).collect()
    };
    // Two fragments, then one; the table says so.
    let table = run(JPEG, &encapsulated(Some(2), JPEG, &[0, 24], &[a, b, c]), 3).unwrap();
    assert_eq!(frames(&table), [[a, b].concat(), c.to_vec()]);
    // No table: the codestream's end says so.
    let bytes = encapsulated(Some(2), JPEG, &[], &[a, b, c]);
    let empty = run(JPEG, &bytes, 1).unwrap();
    assert_eq!(frames(&empty), frames(&table));
    assert_eq!(empty[1].0, bytes.len() - 8, "the last frame does not wait for the delimiter");
    // No table and no end marker: one fragment a frame.
    let rle = run(RLE, &encapsulated(Some(3), RLE, &[], &[a, b, c]), 3).unwrap();
    assert_eq!(frames(&rle), [a, b, c]);
    // A table that does not fit is not believed.
    let wrong = run(JPEG, &encapsulated(Some(2), JPEG, &[9, 3], &[a, b, c]), 3).unwrap();
    assert_eq!(frames(&wrong), frames(&table));
    // One frame: everything as it came.
    let bytes = encapsulated(None, JPEG, &[0], &[a, b]);
    let whole = run(JPEG, &bytes, 3).unwrap();
    assert!(part10(&whole[0].1).ends_with(&bytes));
    assert_eq!(whole[0].1.fragments(), [a, b]);
    for made in [&table, &empty, &rle] {
        assert!(made.iter().all(|(_, instance)| instance.object().is_ok()));
    }
}

#[test]
fn the_extended_offset_table_is_read() {
    let mut set = dataset(Some(2), 8);
    let offsets: Vec<u64> = vec![0, 24];
    set.put(DataElement::new(tags::EXTENDED_OFFSET_TABLE, VR::OV, PrimitiveValue::U64(offsets.into())));
    let mut bytes = encode_head(&set, RLE, "OB", u32::MAX);
    for value in [&[][..], &[1, 2, 3, 4], &[5, 6, 7, 8], &[9, 9]] {
        bytes.extend(item(ITEM, value));
    }
    bytes.extend(item(DELIMITER, &[]));
    let made = run(RLE, &bytes, 2).unwrap();
    let lengths: Vec<_> = made.iter().map(|(_, instance)| instance.fragments().len()).collect();
    assert_eq!(lengths, [2, 1]);
    assert!(made[0].1.dataset().unwrap().get(tags::EXTENDED_OFFSET_TABLE).is_none());
}

#[test]
fn frames_of_single_bits_are_moved_to_byte_borders() {
    // 3 frames of 5 bits: 11111 00000 10101, least significant bit first.
    let mut set = dataset(Some(3), 1);
    for (tag, value) in [(tags::ROWS, 1u16), (tags::COLUMNS, 5)] {
        set.put(DataElement::new(tag, VR::US, dicom_value!(U16, value)));
    }
    let packed = (0b10101u16 << 10) | 0b11111;
    let mut bytes = encode_head(&set, EXPLICIT_VR_LITTLE_ENDIAN, "OB", 2);
    bytes.extend(packed.to_le_bytes());
    for step in [1, usize::MAX] {
        let made = run(EXPLICIT_VR_LITTLE_ENDIAN, &bytes, step).unwrap();
        let frames: Vec<_> = made.iter().map(|(_, instance)| instance.pixels().to_vec()).collect();
        assert_eq!(frames, [[0b11111], [0], [0b10101]]);
    }
}

#[test]
fn an_object_without_pixels_is_one_instance() {
    let mut bytes = Vec::new();
    let syntax = TransferSyntaxRegistry.get(EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    dataset(None, 8).write_dataset_with_ts(&mut bytes, syntax).unwrap();
    let made = run(EXPLICIT_VR_LITTLE_ENDIAN, &bytes, 11).unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].1.form(), PixelForm::Absent);
    assert!(part10(&made[0].1).ends_with(&bytes));
}

#[test]
fn objects_that_lie_are_refused_for_the_right_reason() {
    use AssembleError as E;
    let refuse =
        |syntax: &str, bytes: &[u8]| run(syntax, bytes, usize::MAX).map(|made| made.len()).unwrap_err();
    let le = EXPLICIT_VR_LITTLE_ENDIAN;
    assert!(matches!(
        refuse(le, &native(Some(3), 8, &[0; 100], le)),
        E::PixelLength { expected: 72, found: 100 }
    ));
    let whole = native(Some(3), 8, &[0; 72], le);
    assert!(matches!(refuse(le, &whole[..whole.len() - 1]), E::Truncated));
    assert!(matches!(refuse(le, &whole[..60]), E::Scan(_)));
    assert!(matches!(refuse(le, &native(Some(2000), 8, &[0; 48000], le)), E::TooManyFrames(1000)));
    let few = encapsulated(Some(3), RLE, &[], &[&[1, 2], &[3, 4]]);
    assert!(matches!(refuse(RLE, &few), E::FrameCount { expected: 3, found: 2 }));
    let many = encapsulated(Some(2), RLE, &[], &[&[1, 2], &[3, 4], &[5, 6]]);
    assert!(matches!(refuse(RLE, &many), E::FrameCount { expected: 2, found: 3 }));
    let large = encapsulated(Some(2), RLE, &[], &[&vec![0; 2 << 20], &[3, 4]]);
    assert!(matches!(refuse(RLE, &large), E::FrameTooLarge(_)));
    let mut into = encapsulated(Some(2), RLE, &[0, 4], &[&[1, 2, 3, 4], &[5, 6]]);
    assert!(matches!(refuse(RLE, &into), E::Fragments(_)));
    into.truncate(into.len() - 8);
    let single = native(None, 16, &[0; 48], le);
    assert!(matches!(refuse(le, &single[..single.len() - 2]), E::Truncated));
    let mut other = dataset(None, 16);
    other.put(DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from("9.9")));
    assert!(matches!(refuse(le, &encode_head(&other, le, "OW", 0)), E::Mismatch("SOP Instance UID")));
    other.remove_element(tags::STUDY_INSTANCE_UID);
    assert!(matches!(refuse(le, &encode_head(&other, le, "OW", 0)), E::Attribute("Study Instance UID")));
    let mut zero = dataset(None, 8);
    zero.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, PrimitiveValue::from("0")));
    assert!(matches!(refuse(le, &encode_head(&zero, le, "OW", 0)), E::Attribute("Number of Frames")));
}

proptest! {
    #[test]
    fn chunking_does_not_matter(step in 1usize..200, frames in 1u32..6) {
        let pixels: Vec<u8> = (0..24 * frames).map(|n| n as u8).collect();
        let bytes = native(Some(frames), 8, &pixels, EXPLICIT_VR_LITTLE_ENDIAN);
        let made = run(EXPLICIT_VR_LITTLE_ENDIAN, &bytes, step).unwrap();
        let joined: Vec<u8> = made.iter().flat_map(|(_, instance)| instance.pixels().to_vec()).collect();
        prop_assert_eq!(joined, pixels);
    }

    #[test]
    fn damaged_objects_never_panic(at in 0usize..600, value: u8, cut in 0usize..600, which in 0usize..4) {
        let (syntax, mut bytes) = match which {
            0 => (EXPLICIT_VR_LITTLE_ENDIAN, native(Some(10), 8, &[1; 240], EXPLICIT_VR_LITTLE_ENDIAN)),
            1 => (IMPLICIT, native(None, 16, &[1; 48], IMPLICIT)),
            2 => (JPEG, encapsulated(Some(2), JPEG, &[0, 24], &[&[1, 2, 3, 4], &[5, 6, 0xFF, 0xD9], &[7, 8]])),
            _ => (BIG, native(Some(2), 16, &[1; 96], BIG)),
        };
        if let Some(byte) = bytes.get_mut(at) { *byte = value; }
        bytes.truncate(bytes.len().saturating_sub(cut % 3));
        let mut assembler = Assembler::new(transfer(syntax), LIMITS).unwrap();
        let mut rest = &bytes[..];
        'feed: loop {
            loop {
                match assembler.poll(rest.is_empty()) {
                    Ok(Some(Event::Instance(instance))) => { let _ = (instance.dataset(), instance.object(), instance.fragments()); }
                    Ok(Some(Event::Opened(opened))) => { let _ = opened.dataset(); }
                    Ok(None) => break,
                    Err(_) => break 'feed,
                }
            }
            if rest.is_empty() { break; }
            let (target, room) = assembler.target();
            let (part, left) = rest.split_at(room.min(rest.len()).min(17));
            target.extend_from_slice(part);
            rest = left;
        }
    }
}
