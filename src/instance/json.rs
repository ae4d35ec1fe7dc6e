//! A dataset as DICOM JSON (PS3.18 Annex F): the form of metadata, search results and event reports.
//!
//! Single values are written by `dicom-json`. What it leaves open is done here: bulk data URIs, IS
//! and DS as JSON numbers (as most clients expect, and F.2.3 allows) unless the text is no number,
//! `null` for an empty value among others (F.2.5), and padding removed.

pub mod read;

use dicom_core::header::Header;
use dicom_core::value::{C, Value as DicomValue};
use dicom_core::{PrimitiveValue, VR};
use dicom_json::DicomJson;
use dicom_object::mem::InMemElement;
use serde_json::{Map, Number, Value, json};

use super::Dataset;
use super::metadata::{
    Attribute, BulkData, Content, MetadataError, Path, UTF_8, attributes, hex, is_one_text,
};

/// Writes the dataset as one DICOM JSON Model object.
///
/// # Errors
/// [`MetadataError`], for a dataset that was put together wrongly; one that was read is always
/// written, unless it is nested too deeply.
pub fn to_json(dataset: &Dataset, bulk: &BulkData<'_>) -> Result<Value, MetadataError> {
    object(dataset, &Path::default(), bulk)
}

fn object(dataset: &Dataset, path: &Path, bulk: &BulkData<'_>) -> Result<Value, MetadataError> {
    let mut object = Map::new();
    for Attribute { tag, vr, content } in attributes(dataset, path, bulk)? {
        let mut attribute = Map::new();
        attribute.insert("vr".to_owned(), vr.to_string().into());
        match content {
            Content::Empty => {}
            Content::CharacterSet => {
                attribute.insert("Value".to_owned(), json!([UTF_8]));
            }
            Content::Bulk(uri) => {
                attribute.insert("BulkDataURI".to_owned(), uri.into());
            }
            Content::Items(items) => {
                let items = items.iter().map(|(item, path)| self::object(item, path, bulk));
                attribute.insert("Value".to_owned(), items.collect::<Result<Vec<_>, _>>()?.into());
            }
            Content::Inline(element) => {
                if let Some((name, value)) = inline(element)? {
                    attribute.insert(name, value);
                }
            }
        }
        object.insert(hex(tag), attribute.into());
    }
    Ok(object.into())
}

/// `Value` or `InlineBinary` of an element; `None` if it turns out to hold nothing but padding.
fn inline(element: &InMemElement) -> Result<Option<(String, Value)>, MetadataError> {
    let (tag, vr) = (element.tag(), element.vr());
    let DicomValue::Primitive(value) = element.value() else { return Ok(None) };
    if !fits(vr, value) {
        return Err(MetadataError::Mismatch(tag));
    }
    let written = match value {
        // dicom-json parts lists, but not a list that is still one text.
        PrimitiveValue::Str(list) if list.contains('\\') && !is_one_text(vr) => {
            let list: C<String> = list.split('\\').map(str::to_owned).collect();
            let element: InMemElement = InMemElement::new(tag, vr, PrimitiveValue::Strs(list));
            serde_json::to_value(DicomJson::from(&element))
        }
        _ => serde_json::to_value(DicomJson::from(element)),
    };
    let Value::Object(mut written) = written.map_err(|_| MetadataError::Mismatch(tag))? else {
        return Err(MetadataError::Mismatch(tag));
    };
    if let Some(binary) = written.remove("InlineBinary") {
        return Ok(Some(("InlineBinary".to_owned(), binary)));
    }
    let Some(Value::Array(values)) = written.remove("Value") else { return Ok(None) };
    let values: Vec<Value> = values.into_iter().map(|value| tidy(vr, value)).collect();
    let empty = values.iter().all(Value::is_null);
    Ok((!empty).then(|| ("Value".to_owned(), values.into())))
}

fn tidy(vr: VR, value: Value) -> Value {
    match value {
        Value::String(text) => {
            let text = match is_one_text(vr) {
                true => text.trim_end_matches([' ', '\0']),
                false => text.trim_matches([' ', '\0']),
            };
            match vr {
                _ if text.is_empty() => Value::Null,
                VR::IS => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
                // A DS has at most 16 characters, so a double holds each of its digits.
                VR::DS => {
                    let number = text.parse().ok().and_then(Number::from_f64);
                    number.map_or_else(|| text.into(), Value::Number)
                }
                _ => text.into(),
            }
        }
        Value::Object(groups) if groups.is_empty() => Value::Null,
        value => value,
    }
}

/// Whether dicom-json can write a value of this kind under this VR; it panics at some that it cannot.
fn fits(vr: VR, value: &PrimitiveValue) -> bool {
    let text = matches!(value, PrimitiveValue::Str(_) | PrimitiveValue::Strs(_));
    let tags = matches!(value, PrimitiveValue::Tags(_));
    let moment =
        matches!(value, PrimitiveValue::Date(_) | PrimitiveValue::Time(_) | PrimitiveValue::DateTime(_));
    match vr {
        VR::SQ => false,
        VR::AT => tags,
        VR::IS | VR::DS | VR::SS | VR::US | VR::SL | VR::UL | VR::SV | VR::UV | VR::FL | VR::FD => {
            !tags && !moment
        }
        VR::PN => text,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::metadata::INLINE_LIMIT;
    use dicom_core::value::{DataSetSequence, DicomDate};
    use dicom_core::{DataElement, Tag, dicom_value};
    use dicom_dictionary_std::tags;
    use proptest::prelude::*;

    fn written(elements: impl IntoIterator<Item = InMemElement>) -> Value {
        to_json(&Dataset::from_element_iter(elements), &BulkData::inline()).unwrap()
    }

    fn one(tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) -> Value {
        let mut object = written([DataElement::new(tag, vr, value.into())]);
        object[hex(tag)].take()
    }

    #[test]
    fn person_names_by_group() {
        let names = "Yamada^Tarou=山田^太郎=やまだ^たろう\\Doe^Jane \\\\=王^小东";
        assert_eq!(
            one(tags::OTHER_PATIENT_NAMES, VR::PN, names),
            json!({"vr": "PN", "Value": [
                {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
                {"Alphabetic": "Doe^Jane"},
                null,
                {"Ideographic": "王^小东"},
            ]})
        );
    }

    #[test]
    fn attribute_tags_as_eight_digits() {
        let value = dicom_value!(Tags, [Tag(0x0018, 0x1063), Tag(0x0018, 0x106A)]);
        assert_eq!(
            one(tags::FRAME_INCREMENT_POINTER, VR::AT, value),
            json!({"vr": "AT", "Value": ["00181063", "0018106A"]})
        );
    }

    #[test]
    fn numbers_as_numbers() {
        assert_eq!(one(tags::INSTANCE_NUMBER, VR::IS, "0012 "), json!({"vr": "IS", "Value": [12]}));
        let spacing = dicom_value!(Strs, ["0.250 ", "-1e-2"]);
        assert_eq!(one(tags::PIXEL_SPACING, VR::DS, spacing), json!({"vr": "DS", "Value": [0.25, -0.01]}));
        assert_eq!(
            one(tags::PIXEL_SPACING, VR::DS, "1e999\\x\\"),
            json!({"vr": "DS", "Value": ["1e999", "x", null]})
        );
        assert_eq!(one(tags::ROWS, VR::US, 1024_u16), json!({"vr": "US", "Value": [1024]}));
        let rate = tags::RECOMMENDED_DISPLAY_FRAME_RATE_IN_FLOAT;
        assert_eq!(one(rate, VR::FL, 7.5_f32), json!({"vr": "FL", "Value": [7.5]}));
    }

    #[test]
    fn text_without_padding_and_lists_as_lists() {
        assert_eq!(one(tags::SOP_CLASS_UID, VR::UI, "1.2.3\0"), json!({"vr": "UI", "Value": ["1.2.3"]}));
        assert_eq!(one(tags::IMAGE_TYPE, VR::CS, "A \\\\B"), json!({"vr": "CS", "Value": ["A", null, "B"]}));
        assert_eq!(one(tags::PATIENT_COMMENTS, VR::LT, " C:\\x "), json!({"vr": "LT", "Value": [" C:\\x"]}));
        let date = dicom_value!(Date, [DicomDate::from_ymd(2026, 3, 4).unwrap()]);
        assert_eq!(one(tags::STUDY_DATE, VR::DA, date), json!({"vr": "DA", "Value": ["20260304"]}));
    }

    #[test]
    fn nothing_is_vr_alone() {
        assert_eq!(one(tags::STUDY_ID, VR::SH, PrimitiveValue::Empty), json!({"vr": "SH"}));
        assert_eq!(one(tags::STUDY_ID, VR::SH, ""), json!({"vr": "SH"}));
        assert_eq!(one(tags::STUDY_ID, VR::SH, "  "), json!({"vr": "SH"}));
        assert_eq!(one(tags::PATIENT_NAME, VR::PN, "\\"), json!({"vr": "PN"}));
        assert_eq!(one(tags::ICC_PROFILE, VR::OB, PrimitiveValue::Empty), json!({"vr": "OB"}));
        let empty = DataElement::new(tags::PROCEDURE_CODE_SEQUENCE, VR::SQ, DataSetSequence::from(vec![]));
        assert_eq!(written([empty]), json!({"00081032": {"vr": "SQ"}}));
    }

    #[test]
    fn short_binary_inline_and_long_by_reference() {
        let words: C<u16> = C::from_vec(vec![0x0102; 4]);
        assert_eq!(
            one(tags::LUT_DATA, VR::OW, PrimitiveValue::U16(words)),
            json!({"vr": "OW", "InlineBinary": "AgECAQIBAgE="})
        );
        let binary = |length: usize| PrimitiveValue::U8(C::from_vec(vec![7; length]));
        let item = Dataset::from_element_iter([
            DataElement::new(tags::ICC_PROFILE, VR::OB, binary(INLINE_LIMIT + 2)),
            DataElement::new(tags::ENCAPSULATED_DOCUMENT, VR::OB, binary(INLINE_LIMIT)),
        ]);
        let sequence =
            DataElement::new(tags::OPTICAL_PATH_SEQUENCE, VR::SQ, DataSetSequence::from(vec![item]));
        let dataset = Dataset::from_element_iter([sequence]);
        let bulk = BulkData { uri: &|path| Some(format!("bulk/{path}")), pixel_data: None };
        let json = to_json(&dataset, &bulk).unwrap();
        let item = &json["00480105"]["Value"][0];
        assert_eq!(item["00282000"], json!({"vr": "OB", "BulkDataURI": "bulk/00480105/0/00282000"}));
        assert!(item["00420011"]["InlineBinary"].is_string());
        let path = item["00282000"]["BulkDataURI"].as_str().unwrap().trim_start_matches("bulk/");
        assert_eq!(crate::instance::metadata::find_bulk(&dataset, path).unwrap(), [7; INLINE_LIMIT + 2]);
        let inline = to_json(&dataset, &BulkData::inline()).unwrap();
        assert!(inline["00480105"]["Value"][0]["00282000"]["InlineBinary"].is_string());
    }

    #[test]
    fn pixel_data_where_the_caller_says_it_is() {
        let dataset = Dataset::from_element_iter([
            DataElement::new(tags::ROWS, VR::US, PrimitiveValue::from(4_u16)),
            DataElement::new(tags::DATA_SET_TRAILING_PADDING, VR::OB, dicom_value!(U8, [0])),
        ]);
        let bulk = BulkData { uri: &|_| None, pixel_data: Some((VR::OW, "frames".to_owned())) };
        let json = to_json(&dataset, &bulk).unwrap();
        assert_eq!(json["7FE00010"], json!({"vr": "OW", "BulkDataURI": "frames"}));
        let order: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(order, ["00280010", "7FE00010", "FFFCFFFC"]);
    }

    #[test]
    fn nested_items_private_elements_and_no_group_length() {
        let item = Dataset::from_element_iter([DataElement::new(tags::CODE_VALUE, VR::SH, "T-1")]);
        let items = DataSetSequence::from(vec![item, Dataset::new_empty()]);
        let json = written([
            DataElement::new(Tag(0x0008, 0x0000), VR::UL, PrimitiveValue::from(12_u32)),
            DataElement::new(tags::PROCEDURE_CODE_SEQUENCE, VR::SQ, items),
            DataElement::new(Tag(0x0009, 0x0010), VR::LO, PrimitiveValue::from("ACME")),
            DataElement::new(Tag(0x0009, 0x10FF), VR::UN, dicom_value!(U8, [0xCF, 0x4C])),
        ]);
        assert_eq!(
            json,
            json!({
                "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-1"]}}, {}]},
                "00090010": {"vr": "LO", "Value": ["ACME"]},
                "000910FF": {"vr": "UN", "InlineBinary": "z0w="},
            })
        );
    }

    #[test]
    fn the_character_set_is_utf_8() {
        let latin =
            DataElement::new(tags::SPECIFIC_CHARACTER_SET, VR::CS, PrimitiveValue::from("ISO_IR 100"));
        let utf_8 = json!({"vr": "CS", "Value": ["ISO_IR 192"]});
        assert_eq!(written([latin.clone()])["00080005"], utf_8);
        let name = |name: &str| DataElement::new(tags::PATIENT_NAME, VR::PN, PrimitiveValue::from(name));
        let added = written([name("Müller")]);
        assert_eq!(added["00080005"], utf_8);
        assert_eq!(added.as_object().unwrap().keys().next().unwrap(), "00080005");
        assert!(written([name("Miller")]).get("00080005").is_none());
        // Inside an item it is neither needed twice nor left to contradict.
        let item = Dataset::from_element_iter([latin, name("Müller")]);
        let items = DataSetSequence::from(vec![item]);
        let json = written([DataElement::new(tags::REFERENCED_PATIENT_SEQUENCE, VR::SQ, items)]);
        assert_eq!(json["00080005"], utf_8);
        assert_eq!(json["00081120"]["Value"][0]["00080005"], utf_8);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let date = dicom_value!(Date, [DicomDate::from_ymd(2026, 3, 4).unwrap()]);
        for (vr, value) in
            [(VR::US, date), (VR::AT, "x".into()), (VR::SQ, "x".into()), (VR::PN, 7_u16.into())]
        {
            let dataset = Dataset::from_element_iter([DataElement::new(Tag(0x0009, 0x1001), vr, value)]);
            assert!(
                matches!(to_json(&dataset, &BulkData::inline()), Err(MetadataError::Mismatch(_))),
                "{vr}"
            );
        }
        let nest = |inner: Dataset| {
            let items = DataSetSequence::from(vec![inner]);
            Dataset::from_element_iter([DataElement::new(tags::CONTENT_SEQUENCE, VR::SQ, items)])
        };
        let deep = |levels| (0..levels).fold(Dataset::new_empty(), |inner, _| nest(inner));
        assert!(to_json(&deep(16), &BulkData::inline()).is_ok());
        assert!(matches!(to_json(&deep(17), &BulkData::inline()), Err(MetadataError::TooDeep(_))));
    }

    proptest! {
        #[test]
        fn takes_any_text_and_number(text in any::<String>(), number in any::<f64>()) {
            for vr in [VR::CS, VR::DA, VR::DS, VR::IS, VR::LT, VR::PN, VR::UI, VR::UN, VR::US] {
                one(Tag(0x0009, 0x1001), vr, text.as_str());
                if vr != VR::PN {
                    one(Tag(0x0009, 0x1001), vr, number);
                }
            }
        }
    }
}
