//! The attributes that an event takes over from a data set: everything that a filter can match, in
//! DICOM JSON, bounded in size.
//!
//! Bulk values are dropped. What would still be too long is reduced to the attributes that a search
//! shows, and what is too long even then to the UIDs: an event must be small enough for everybody who
//! waits behind it. A private block of somebody else's where ours stands is moved to a free one, as
//! anybody who copies private attributes may do (PS3.5 §7.8.1).

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use dicom_core::value::Value as DicomValue;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use serde_json::{Map, Value, json};

use crate::instance::Dataset;
use crate::instance::json::to_json;
use crate::instance::metadata::{BulkData, INLINE_LIMIT, is_binary};
use crate::subscription::described;

/// The longest text of all attributes together (bytes).
const MOST: usize = 256 << 10;
/// An attribute's key, VR and brackets, about.
const OVERHEAD: usize = 24;
/// Group and creator element of our private block, `10`.
const GROUP: u16 = 0x0021;
const BLOCK: u16 = 0x10;

/// What is left when everything else is too long.
const UIDS: &[Tag] = &[
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::AVAILABLE_TRANSFER_SYNTAX_UID,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::NUMBER_OF_STUDY_RELATED_SERIES,
    tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
    tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
];

/// Attributes in ascending order, each as the text of its JSON value.
#[derive(Default)]
pub(super) struct Members {
    written: BTreeMap<Tag, String>,
    bytes: usize,
}

impl Members {
    /// Those of a data set, as many as fit.
    pub(super) fn of(dataset: &Dataset) -> Self {
        let searched =
            || [described::STUDY, described::SERIES, described::INSTANCE, UIDS].concat().into_iter();
        written(dataset)
            .or_else(|| written(&only(dataset, searched())))
            .or_else(|| written(&only(dataset, UIDS.iter().copied())))
            .unwrap_or_default()
    }

    /// Puts an attribute with one value in, or in the place of the one that is there.
    pub(super) fn put(&mut self, tag: Tag, vr: VR, value: Value) {
        self.put_text(tag, format!("{{\"vr\":\"{vr}\",\"Value\":[{value}]}}"));
    }

    /// Puts an attribute with any number of texts in.
    pub(super) fn put_all(&mut self, tag: Tag, vr: VR, texts: &[String]) {
        let values = if texts.is_empty() { String::new() } else { format!(",\"Value\":{}", json!(texts)) };
        self.put_text(tag, format!("{{\"vr\":\"{vr}\"{values}}}"));
    }

    fn put_text(&mut self, tag: Tag, text: String) {
        self.bytes += text.len() + OVERHEAD;
        if let Some(before) = self.written.insert(tag, text) {
            self.bytes = self.bytes.saturating_sub(before.len() + OVERHEAD);
        }
    }

    /// Those between two tags, both excluded, each with a comma behind it.
    pub(super) fn text(&self, between: impl RangeBounds<Tag>) -> String {
        let from = match between.start_bound() {
            Bound::Included(&tag) | Bound::Excluded(&tag) => Bound::Excluded(tag),
            Bound::Unbounded => Bound::Unbounded,
        };
        let members = self.written.range((from, between.end_bound().cloned()));
        members.map(|(tag, value)| format!("\"{}\":{value},", key(*tag))).collect()
    }
}

/// A tag as DICOM JSON writes it.
pub(super) fn key(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.group(), tag.element())
}

/// The data set as JSON without bulk values; `None` where that is too long, or cannot be written.
fn written(dataset: &Dataset) -> Option<Members> {
    // A look at the lengths first: writing out megabytes only to throw them away takes time.
    if weight(dataset) > MOST {
        return None;
    }
    let bulk = BulkData { uri: &|_| Some(String::new()), pixel_data: None };
    let Ok(Value::Object(mut object)) = to_json(dataset, &bulk) else { return None };
    drop_bulk(&mut object);
    let free = free_block(&object);
    let mut members = Members::default();
    for (name, value) in object {
        let Ok(number) = u32::from_str_radix(&name, 16) else { continue };
        let tag = Tag((number >> 16) as u16, (number & 0xFFFF) as u16);
        let Some(tag) = moved(tag, free) else { continue };
        members.put_text(tag, value.to_string());
    }
    (members.bytes <= MOST).then_some(members)
}

/// About how long a data set is as JSON without bulk values, at least (bytes).
fn weight(dataset: &Dataset) -> usize {
    let of_value = |vr, value: &DicomValue<Dataset, _>| match value {
        DicomValue::Sequence(sequence) => sequence.items().iter().map(weight).sum(),
        DicomValue::PixelSequence(_) => 0,
        DicomValue::Primitive(value) => {
            let bytes = value.calculate_byte_len();
            if is_binary(vr) && bytes > INLINE_LIMIT { 0 } else { bytes }
        }
    };
    dataset.iter().map(|element| OVERHEAD + of_value(element.vr(), element.value())).sum()
}

/// Takes out what is only pointed at, and pixels (of icons), at every depth.
fn drop_bulk(object: &mut Map<String, Value>) {
    object.retain(|name, attribute| name != "7FE00010" && attribute.get("BulkDataURI").is_none());
    for attribute in object.values_mut() {
        if attribute.get("vr") != Some(&json!("SQ")) {
            continue;
        }
        if let Some(Value::Array(items)) = attribute.get_mut("Value") {
            items.iter_mut().filter_map(Value::as_object_mut).for_each(drop_bulk);
        }
    }
}

/// The first private block of our group that nobody has.
fn free_block(object: &Map<String, Value>) -> Option<u16> {
    let has = |block: u16| {
        let begin = format!("{GROUP:04X}{block:02X}");
        object.contains_key(&key(Tag(GROUP, block))) || object.keys().any(|name| name.starts_with(&begin))
    };
    (BLOCK + 1..=0xFF).find(|&block| !has(block))
}

/// Where an attribute of somebody else stands in an event; `None` where there is no place.
fn moved(tag: Tag, free: Option<u16>) -> Option<Tag> {
    if tag.group() != GROUP {
        return Some(tag);
    }
    match (tag.element(), tag.element() >> 8) {
        (BLOCK, _) => free.map(|block| Tag(GROUP, block)),
        (element, BLOCK) => free.map(|block| Tag(GROUP, block << 8 | element & 0xFF)),
        _ => Some(tag),
    }
}

/// A data set of these attributes only.
fn only(dataset: &Dataset, tags: impl Iterator<Item = Tag>) -> Dataset {
    Dataset::from_element_iter(tags.filter_map(|tag| dataset.get(tag).cloned()))
}

#[cfg(test)]
mod tests {
    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, PrimitiveValue};

    use super::*;

    fn text(tag: Tag, vr: VR, text: impl Into<String>) -> DataElement<Dataset> {
        DataElement::new(tag, vr, PrimitiveValue::from(text.into()))
    }

    fn bytes(tag: Tag, length: usize) -> DataElement<Dataset> {
        DataElement::new(tag, VR::OB, PrimitiveValue::U8(vec![7; length].into()))
    }

    fn object(members: &Members) -> Map<String, Value> {
        let text = members.text(..);
        serde_json::from_str(&format!("{{{}}}", text.trim_end_matches(','))).unwrap()
    }

    #[test]
    fn bulk_values_and_icons_are_dropped_at_every_depth_and_short_ones_stay() {
        let icon = Dataset::from_element_iter([
            text(tags::CODE_MEANING, VR::LO, "kept"),
            bytes(Tag(0x7FE0, 0x0010), 10),
            bytes(Tag(0x0029, 0x1010), 1025),
            bytes(Tag(0x0029, 0x1011), 1024),
        ]);
        let items = DataSetSequence::from(vec![icon]);
        let dataset = Dataset::from_element_iter([
            DataElement::new(tags::ICON_IMAGE_SEQUENCE, VR::SQ, items),
            bytes(Tag(0x0009, 0x1010), 1_000_000),
            text(tags::PATIENT_ID, VR::LO, "4711"),
        ]);
        let object = object(&Members::of(&dataset));
        assert_eq!(object.keys().collect::<Vec<_>>(), ["00100020", "00880200"]);
        let item = object["00880200"]["Value"][0].as_object().unwrap();
        assert_eq!(item.keys().collect::<Vec<_>>(), ["00080104", "00291011"]);
    }

    #[test]
    fn what_is_too_long_is_reduced_to_what_a_search_shows_and_then_to_the_uids() {
        let mut dataset = Dataset::from_element_iter([
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
            text(tags::PATIENT_ID, VR::LO, "4711"),
            text(tags::IMAGE_COMMENTS, VR::LT, "x".repeat(200 << 10)),
        ]);
        assert_eq!(object(&Members::of(&dataset)).len(), 3);
        dataset.put(text(tags::TEXT_VALUE, VR::UT, "x".repeat(100 << 10)));
        let reduced = object(&Members::of(&dataset));
        assert_eq!(reduced.keys().collect::<Vec<_>>(), ["00100020", "0020000D"]);
        dataset.put(text(tags::STUDY_DESCRIPTION, VR::LO, "x".repeat(300 << 10)));
        assert_eq!(object(&Members::of(&dataset)).keys().collect::<Vec<_>>(), ["0020000D"]);
    }

    #[test]
    fn control_characters_that_swell_are_counted_as_they_are_written() {
        // Each becomes six characters in JSON.
        let dataset = Dataset::from_element_iter([
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
            text(tags::IMAGE_COMMENTS, VR::LT, "\u{1}".repeat(100 << 10)),
        ]);
        assert_eq!(object(&Members::of(&dataset)).keys().collect::<Vec<_>>(), ["0020000D"]);
    }

    #[test]
    fn a_private_block_in_our_place_moves_to_a_free_one() {
        let dataset = Dataset::from_element_iter([
            text(Tag(0x0021, 0x0010), VR::LO, "A"),
            text(Tag(0x0021, 0x0011), VR::LO, "B"),
            text(Tag(0x0021, 0x1005), VR::LO, "of A"),
            text(Tag(0x0021, 0x1105), VR::LO, "of B"),
            text(Tag(0x0021, 0x1201), VR::LO, "of nobody"),
        ]);
        let members = object(&Members::of(&dataset));
        let values: Vec<_> =
            members.iter().map(|(key, value)| (key.as_str(), value["Value"][0].as_str().unwrap())).collect();
        assert_eq!(
            values,
            [
                ("00210011", "B"),
                ("00210013", "A"),
                ("00211105", "of B"),
                ("00211201", "of nobody"),
                ("00211305", "of A"),
            ]
        );
    }

    #[test]
    fn what_was_put_twice_counts_once() {
        let mut members = Members::default();
        members.put(tags::PATIENT_ID, VR::LO, json!("first"));
        let bytes = members.bytes;
        members.put(tags::PATIENT_ID, VR::LO, json!("other"));
        assert_eq!(members.bytes, bytes);
        assert_eq!(members.text(..), "\"00100020\":{\"vr\":\"LO\",\"Value\":[\"other\"]},");
    }
}
