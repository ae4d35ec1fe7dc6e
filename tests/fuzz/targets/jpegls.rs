//! JPEG-LS of a peer, decoded as if a reader had asked for native pixels. The first byte says what the
//! attributes are.
#![no_main]

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use framegate::frame::transcode::to_explicit_little_endian;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&shape, stream)) = input.split_first() else { return };
    let samples = if shape & 1 == 0 { 1 } else { 3 };
    let bits = if shape & 2 == 0 { 8 } else { 16 };
    let mut object = InMemDicomObject::from_element_iter([
        DataElement::new(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.7"),
        DataElement::new(Tag(0x0008, 0x0018), VR::UI, "1.2.3.4"),
        DataElement::new(Tag(0x0028, 0x0004), VR::CS, if samples == 1 { "MONOCHROME2" } else { "RGB" }),
    ]);
    for (element, value) in [
        (2, samples),
        (6, 0),
        (0x10, 4),
        (0x11, 4),
        (0x100, bits),
        (0x101, bits),
        (0x102, bits - 1),
        (0x103, 0),
    ] {
        object.put(DataElement::new(Tag(0x0028, element), VR::US, PrimitiveValue::from(value as u16)));
    }
    let fragments = PixelFragmentSequence::new(vec![], vec![stream.to_vec()]);
    object.put(DataElement::new(Tag(0x7FE0, 0x0010), VR::OB, fragments));
    let meta = FileMetaTableBuilder::new().transfer_syntax("1.2.840.10008.1.2.4.80");
    let object = object.with_meta(meta).expect("a whole object");
    let _ = to_explicit_little_endian(object, 1 << 16);
});
