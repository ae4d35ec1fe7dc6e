//! What the two metadata models, DICOM JSON (PS3.18 Annex F) and Native DICOM Model XML (PS3.19
//! Annex A), have in common: which data elements of a dataset they show, in which order, and which
//! values they only point at.
//!
//! * Group lengths are left out.
//! * A binary value of more than [`INLINE_LIMIT`] bytes is replaced by a bulk data URI, wherever the
//!   caller has one to offer. Inside sequences too: the URI is made from a path such as
//!   `52009229/0/00420011`, tags and item indices (from 0) in turn, and [`find_bulk`] finds the value
//!   again when the URI is followed.
//! * The dataset holds no Pixel Data; the caller says where it is to be had.
//! * Both models are written in UTF-8, so Specific Character Set (0008,0005) says `ISO_IR 192`
//!   wherever it stands, and is added when something outside ASCII makes it necessary.

use dicom_core::header::Header;
use dicom_core::value::Value;
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

use super::Dataset;

/// The longest binary value, in bytes, that is written into the metadata itself.
pub const INLINE_LIMIT: usize = 1024;

/// How deep sequences may be nested.
pub const MAX_DEPTH: usize = 16;

/// The defined term for UTF-8 (PS3.3 C.12.1.1.2).
pub(super) const UTF_8: &str = "ISO_IR 192";

/// Where the values are that metadata only points at.
pub struct BulkData<'a> {
    /// From the path of a long binary value to its URI; `None` keeps the value inline.
    pub uri: &'a dyn Fn(&str) -> Option<String>,
    /// VR and URI of Pixel Data (7FE0,0010); `None` leaves it out.
    pub pixel_data: Option<(VR, String)>,
}

impl BulkData<'static> {
    /// Points nowhere: every value inline, no Pixel Data.
    pub fn inline() -> Self {
        Self { uri: &|_| None, pixel_data: None }
    }
}

/// Why a dataset cannot be written as metadata.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Sequences nested deeper than [`MAX_DEPTH`].
    #[error("sequence {0} is nested too deeply")]
    TooDeep(Tag),
    /// A value of a kind that its VR cannot have.
    #[error("the value of {0} does not fit its VR")]
    Mismatch(Tag),
    /// The XML writer failed.
    #[error("cannot write XML")]
    Xml(#[from] std::io::Error),
}

/// One data element as metadata shows it.
pub(super) struct Attribute<'a> {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) content: Content<'a>,
}

/// The value of a data element as metadata shows it.
pub(super) enum Content<'a> {
    Empty,
    /// Specific Character Set, whatever the dataset says: [`UTF_8`].
    CharacterSet,
    /// Items of a sequence, at least one, each with its own path.
    Items(Vec<(&'a Dataset, Path)>),
    Bulk(String),
    /// A non-empty primitive value.
    Inline(&'a InMemElement),
}

/// The place of an item: its path as text, with a `/` at its end unless it is the dataset itself.
#[derive(Default)]
pub(super) struct Path {
    text: String,
    depth: usize,
}

/// The elements to show of a dataset, in ascending order.
pub(super) fn attributes<'a>(
    dataset: &'a Dataset,
    path: &Path,
    bulk: &BulkData<'_>,
) -> Result<Vec<Attribute<'a>>, MetadataError> {
    let top = path.depth == 0;
    let mut shown = Vec::new();
    if top && dataset.get(tags::SPECIFIC_CHARACTER_SET).is_none() && has_non_ascii(dataset, 0) {
        shown.push(Attribute {
            tag: tags::SPECIFIC_CHARACTER_SET,
            vr: VR::CS,
            content: Content::CharacterSet,
        });
    }
    let pixel_data = bulk.pixel_data.as_ref().filter(|_| top);
    for element in dataset {
        let tag = element.tag();
        if tag.element() == 0 || (pixel_data.is_some() && tag == tags::PIXEL_DATA) {
            continue;
        }
        let content = match element.value() {
            _ if tag == tags::SPECIFIC_CHARACTER_SET => Content::CharacterSet,
            Value::Sequence(sequence) if sequence.items().is_empty() => Content::Empty,
            Value::Sequence(_) if path.depth == MAX_DEPTH => return Err(MetadataError::TooDeep(tag)),
            Value::Sequence(sequence) => {
                let place = |index| Path {
                    text: format!("{}{}/{index}/", path.text, hex(tag)),
                    depth: path.depth + 1,
                };
                Content::Items(
                    sequence.items().iter().enumerate().map(|(n, item)| (item, place(n))).collect(),
                )
            }
            Value::PixelSequence(_) => Content::Empty,
            Value::Primitive(value) if value.calculate_byte_len() == 0 => Content::Empty,
            Value::Primitive(value) => {
                let long = is_binary(element.vr()) && value.calculate_byte_len() > INLINE_LIMIT;
                let uri = if long { (bulk.uri)(&format!("{}{}", path.text, hex(tag))) } else { None };
                uri.map_or(Content::Inline(element), Content::Bulk)
            }
        };
        shown.push(Attribute { tag, vr: element.vr(), content });
    }
    if let Some((vr, uri)) = pixel_data {
        let pixel_data = Attribute { tag: tags::PIXEL_DATA, vr: *vr, content: Content::Bulk(uri.clone()) };
        shown.push(pixel_data);
    }
    // What was added stands at either end of the list.
    shown.sort_by_key(|attribute| attribute.tag);
    Ok(shown)
}

/// The bytes, in little endian order, of the binary value that a path names; see the module.
/// `None` when the path is malformed or the dataset has no such value.
pub fn find_bulk(dataset: &Dataset, path: &str) -> Option<Vec<u8>> {
    let mut steps = path.split('/');
    let mut item = dataset;
    for _ in 0..=MAX_DEPTH {
        let element = item.get(parse_hex(steps.next()?)?)?;
        match steps.next() {
            None if is_binary(element.vr()) => {
                let Value::Primitive(value) = element.value() else { return None };
                return Some(little_endian(value));
            }
            None => return None,
            Some(index) if index.bytes().all(|b| b.is_ascii_digit()) => {
                item = element.value().items()?.get(index.parse::<usize>().ok()?)?;
            }
            Some(_) => return None,
        }
    }
    None
}

/// A tag as both models and our paths write it.
pub(super) fn hex(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.group(), tag.element())
}

pub(super) fn parse_hex(text: &str) -> Option<Tag> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(Tag((number >> 16) as u16, (number & 0xFFFF) as u16))
}

/// VRs whose values are bytes rather than text or numbers.
pub(crate) fn is_binary(vr: VR) -> bool {
    matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN)
}

/// Text in which a backslash is a character and not a separator (PS3.5 §6.2).
pub(super) fn is_one_text(vr: VR) -> bool {
    matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR)
}

/// The value field as Explicit VR Little Endian would hold it, without padding.
pub(super) fn little_endian(value: &PrimitiveValue) -> Vec<u8> {
    match value {
        PrimitiveValue::U16(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::I16(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::U32(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::I32(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::U64(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::I64(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::F32(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        PrimitiveValue::F64(list) => list.iter().flat_map(|number| number.to_le_bytes()).collect(),
        other => other.to_bytes().into_owned(),
    }
}

pub(super) fn has_non_ascii(dataset: &Dataset, depth: usize) -> bool {
    depth <= MAX_DEPTH
        && dataset.iter().any(|element| match element.value() {
            Value::Primitive(PrimitiveValue::Str(text)) => !text.is_ascii(),
            Value::Primitive(PrimitiveValue::Strs(list)) => list.iter().any(|text| !text.is_ascii()),
            Value::Sequence(sequence) => sequence.items().iter().any(|item| has_non_ascii(item, depth + 1)),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::value::{C, DataSetSequence};
    use dicom_core::{DataElement, dicom_value};
    use proptest::prelude::*;

    fn nested() -> Dataset {
        let words: C<u16> = (0..600).collect();
        let inner = Dataset::from_element_iter([
            DataElement::new(tags::LUT_DATA, VR::OW, PrimitiveValue::U16(words)),
            DataElement::new(tags::CODE_MEANING, VR::LO, "text"),
        ]);
        let items = DataSetSequence::from(vec![Dataset::new_empty(), inner]);
        Dataset::from_element_iter([
            DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, items),
            DataElement::new(Tag(0x0009, 0x1001), VR::UN, dicom_value!(U8, [1, 2, 3])),
        ])
    }

    #[test]
    fn a_path_leads_to_the_little_endian_value() {
        let dataset = nested();
        let bytes = find_bulk(&dataset, "00283000/1/00283006").unwrap();
        assert_eq!(bytes.len(), 1200);
        assert_eq!(bytes.get(2..6), Some([1, 0, 2, 0].as_slice()));
        assert_eq!(find_bulk(&dataset, "00091001"), Some(vec![1, 2, 3]));
    }

    #[test]
    fn a_path_to_nowhere_leads_nowhere() {
        let dataset = nested();
        let deep = format!("{}00283006", "00283000/1/".repeat(1000));
        for path in [
            "",
            "/",
            "00283000",
            "00283000/",
            "00283000/1",
            "00283000/0/00283006",
            "00283000/2/00283006",
            "00283000/-1/00283006",
            "00283000/+1/00283006",
            "00283000/99999999999999999999/00283006",
            "00283000/1/00080104",
            "00283000/1/00283006/0",
            "00283000/1/00283006/0/00283006",
            "00091001/0/00283006",
            "0009100",
            "+0091001",
            deep.as_str(),
        ] {
            assert_eq!(find_bulk(&dataset, path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn takes_any_path(path in prop_oneof![any::<String>(), "((00283000|00283006|[0-9]{1,3})/?){0,6}"]) {
            find_bulk(&nested(), &path);
        }
    }
}
