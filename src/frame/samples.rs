//! Small objects, and encoders for what the library only decodes, for the tests of this room.

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject};

/// An image's attributes but for the pixels.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) samples: u16,
    pub(super) bits_allocated: u16,
    pub(super) bits_stored: u16,
    pub(super) signed: bool,
    pub(super) photometric: &'static str,
    pub(super) planar: u16,
}

/// `columns` × `rows` of unsigned grey.
pub(super) fn grey(rows: u16, columns: u16, bits_allocated: u16, bits_stored: u16) -> Shape {
    let photometric = "MONOCHROME2";
    Shape { rows, columns, samples: 1, bits_allocated, bits_stored, signed: false, photometric, planar: 0 }
}

/// `columns` × `rows` of 8-bit colour.
pub(super) fn colour(rows: u16, columns: u16, photometric: &'static str) -> Shape {
    Shape { samples: 3, photometric, ..grey(rows, columns, 8, 8) }
}

fn without_pixels(shape: Shape) -> InMemDicomObject {
    let mut dataset = InMemDicomObject::from_element_iter([
        DataElement::new(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
        DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1"),
        DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, shape.photometric),
    ]);
    for (tag, value) in [
        (tags::ROWS, shape.rows),
        (tags::COLUMNS, shape.columns),
        (tags::SAMPLES_PER_PIXEL, shape.samples),
        (tags::BITS_ALLOCATED, shape.bits_allocated),
        (tags::BITS_STORED, shape.bits_stored),
        (tags::HIGH_BIT, shape.bits_stored - 1),
        (tags::PIXEL_REPRESENTATION, u16::from(shape.signed)),
        (tags::PLANAR_CONFIGURATION, shape.planar),
    ] {
        dataset.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }
    dataset
}

fn with_syntax(dataset: InMemDicomObject, uid: &str) -> DefaultDicomObject {
    dataset.with_meta(FileMetaTableBuilder::new().transfer_syntax(uid)).unwrap()
}

/// A native object; 16-bit samples are little-endian bytes.
pub(super) fn native(shape: Shape, pixels: &[u8]) -> DefaultDicomObject {
    let mut dataset = without_pixels(shape);
    let vr = if shape.bits_allocated > 8 { VR::OW } else { VR::OB };
    dataset.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::from(pixels.to_vec())));
    with_syntax(dataset, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

/// An object whose codestream lies in the given fragments.
pub(super) fn encapsulated(shape: Shape, uid: &str, fragments: &[&[u8]]) -> DefaultDicomObject {
    let mut dataset = without_pixels(shape);
    let fragments: Vec<Vec<u8>> = fragments.iter().map(|fragment| fragment.to_vec()).collect();
    dataset.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new(vec![], fragments)));
    with_syntax(dataset, uid)
}

/// Sets a text attribute.
pub(super) fn put(object: &mut DefaultDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

/// The bytes of 16-bit samples.
pub(super) fn words(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// RLE Lossless of interleaved little-endian samples: runs as runs, the rest as literals.
pub(super) fn rle(pixels: &[u8], samples: usize, sample_bytes: usize) -> Vec<u8> {
    let pixel = samples * sample_bytes;
    let mut header = vec![pixel as u32];
    let mut body = Vec::new();
    for number in 0..pixel {
        header.push(64 + body.len() as u32);
        let first = number / sample_bytes * sample_bytes + (sample_bytes - 1 - number % sample_bytes);
        let plane: Vec<u8> = pixels.iter().copied().skip(first).step_by(pixel).collect();
        for run in plane.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(128)) {
            if run.len() > 1 {
                body.extend([(257 - run.len()) as u8, run[0]]);
            } else {
                body.extend([0, run[0]]);
            }
        }
        if body.len() % 2 == 1 {
            body.push(0);
        }
    }
    header.resize(16, 0);
    header.into_iter().flat_map(u32::to_le_bytes).chain(body).collect()
}

/// JPEG Lossless (process 14, first-order prediction) of interleaved samples, with a Huffman code of
/// five bits for every category.
pub(super) fn jpeg_lossless(
    samples: &[u16],
    components: usize,
    rows: u16,
    columns: u16,
    bits: u8,
) -> Vec<u8> {
    let mut stream = vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 8 + 3 * components as u8, bits];
    stream.extend(rows.to_be_bytes());
    stream.extend(columns.to_be_bytes());
    stream.push(components as u8);
    stream.extend((1..=components as u8).flat_map(|component| [component, 0x11, 0]));
    stream.extend([0xFF, 0xC4, 0, 36, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stream.extend(0..17_u8);
    stream.extend([0xFF, 0xDA, 0, 6 + 2 * components as u8, components as u8]);
    stream.extend((1..=components as u8).flat_map(|component| [component, 0]));
    stream.extend([1, 0, 0]);

    let (mut held, mut count) = (0_u64, 0);
    let mut put = |value: u32, bits: u32, stream: &mut Vec<u8>| {
        held = held << bits | u64::from(value);
        count += bits;
        while count >= 8 {
            count -= 8;
            let byte = (held >> count) as u8;
            stream.push(byte);
            if byte == 0xFF {
                stream.push(0);
            }
        }
    };
    let width = usize::from(columns) * components;
    for (index, sample) in samples.iter().enumerate() {
        let (row, column) = (index / width, index % width / components);
        let prediction = match (row, column) {
            (0, 0) => 1 << (bits - 1),
            (_, 0) => samples[index - width],
            _ => samples[index - components],
        };
        let difference = i32::from(sample.wrapping_sub(prediction) as i16);
        let category = 32 - difference.unsigned_abs().leading_zeros();
        put(category, 5, &mut stream);
        if category < 16 {
            let bits = if difference < 0 { difference - 1 } else { difference } as u32;
            put(bits & ((1 << category) - 1), category, &mut stream);
        }
    }
    put(0x7F, 7, &mut stream);
    stream.extend([0xFF, 0xD9]);
    if stream.len() % 2 == 1 {
        stream.push(0);
    }
    stream
}
