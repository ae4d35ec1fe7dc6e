//! DICOM JSON read back, in the shapes that peers write it, and in those that nobody should.

use bytes::BytesMut;
use dicom_core::dicom_value;
use dicom_core::value::DataSetSequence;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::instance::encode::{PixelValue, head};
use crate::instance::json::to_json;
use crate::instance::metadata::BulkData;

const LIMITS: ReadLimits = ReadLimits { elements: 100, nesting: 4 };

fn read(value: &serde_json::Value) -> Result<Dataset, JsonError> {
    data_set(value.to_string().as_bytes(), LIMITS, &mut |_| None)
}

fn one(tag: &str, attribute: serde_json::Value) -> Result<PrimitiveValue, JsonError> {
    let tag_of = parse_hex(tag).unwrap();
    let dataset = read(&json!({ tag: attribute }))?;
    Ok(dataset.element(tag_of).unwrap().value().primitive().unwrap().clone())
}

#[test]
fn what_we_write_is_read_back() {
    let inner = Dataset::from_element_iter([
        DataElement::new(tags::CODE_VALUE, VR::SH, "P5-09051"),
        DataElement::new(tags::LUT_DATA, VR::OW, dicom_value!(U8, [1, 2, 3, 4])),
    ]);
    let dataset = Dataset::from_element_iter([
        DataElement::new(tags::SPECIFIC_CHARACTER_SET, VR::CS, PrimitiveValue::from(UTF_8)),
        DataElement::new(tags::PATIENT_NAME, VR::PN, dicom_value!(Strs, ["Yamada^Tarou=山田^太郎=やまだ"])),
        DataElement::new(tags::IMAGE_TYPE, VR::CS, dicom_value!(Strs, ["ORIGINAL", "PRIMARY"])),
        DataElement::new(tags::INSTANCE_NUMBER, VR::IS, dicom_value!(Strs, ["12"])),
        DataElement::new(tags::PIXEL_SPACING, VR::DS, dicom_value!(Strs, ["0.25", "-0.01"])),
        DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, [1024])),
        DataElement::new(tags::FRAME_INCREMENT_POINTER, VR::AT, dicom_value!(Tags, [Tag(0x0018, 0x1063)])),
        DataElement::new(Tag(0x0009, 0x1001), VR::UV, dicom_value!(U64, [u64::MAX])),
        DataElement::new(Tag(0x0009, 0x1002), VR::SS, dicom_value!(I16, [-7, 7])),
        DataElement::new(Tag(0x0009, 0x1003), VR::FD, dicom_value!(F64, [1.5])),
        DataElement::new(Tag(0x0009, 0x1004), VR::FL, dicom_value!(F32, [-2.5])),
        DataElement::new(tags::STUDY_ID, VR::SH, PrimitiveValue::Empty),
        DataElement::new(tags::PROCEDURE_CODE_SEQUENCE, VR::SQ, DataSetSequence::from(vec![inner])),
    ]);
    let text = to_json(&dataset, &BulkData::inline()).unwrap();
    let back = read(&text).unwrap();
    assert_eq!(to_json(&back, &BulkData::inline()).unwrap(), text);
    // The characters survive being encoded.
    let bytes = head(BytesMut::new(), &back, PixelValue::None).unwrap().bytes;
    let decoded = crate::instance::decode(&bytes, EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(to_json(&decoded, &BulkData::inline()).unwrap(), text);
}

#[test]
fn values_as_peers_write_them() {
    let texts = |list: &[&str]| PrimitiveValue::Strs(list.iter().map(|&text| text.to_owned()).collect());
    assert_eq!(
        one("00280030", json!({"vr": "DS", "Value": [0.5, "1.5", null]})),
        Ok(texts(&["0.5", "1.5", ""]))
    );
    // 18 characters as a double.
    assert_eq!(one("00280030", json!({"vr": "DS", "Value": [1.0 / 3.0]})), Ok(texts(&["3.33333333333e-1"])));
    assert_eq!(one("00200013", json!({"vr": "IS", "Value": [7]})), Ok(texts(&["7"])));
    assert_eq!(one("00280010", json!({"vr": "US", "Value": ["512"]})), Ok(dicom_value!(U16, [512])));
    assert_eq!(one("00100010", json!({"vr": "PN", "Value": ["Doe^Jane"]})), Ok(texts(&["Doe^Jane"])));
    assert_eq!(
        one("00100010", json!({"vr": "PN", "Value": [{"Ideographic": "王"}, null]})),
        Ok(texts(&["=王", ""]))
    );
    assert_eq!(one("00100010", json!({"vr": "PN"})), Ok(PrimitiveValue::Empty));
    // Text beyond ASCII is in UTF-8, whatever the sender's data set was in before.
    let dataset = read(&json!({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller"}]}})).unwrap();
    assert_eq!(dataset.element(tags::SPECIFIC_CHARACTER_SET).unwrap().to_str().unwrap(), UTF_8);
    let latin = one("00080005", json!({"vr": "CS", "Value": ["ISO_IR 100"]}));
    assert_eq!(latin, Ok(PrimitiveValue::from(UTF_8)));
    // What stands in no data set.
    let dropped = json!({"00020010": {"vr": "UI", "Value": ["1.2"]}, "00080000": {"vr": "UL", "Value": [4]}});
    assert_eq!(read(&dropped), Ok(Dataset::new_empty()));
}

#[test]
fn bulk_data_is_asked_for_wherever_it_stands() {
    let text = json!({
        "00283010": {"vr": "SQ", "Value": [{"00283006": {"vr": "OW", "BulkDataURI": "lut"}}]},
        "00282000": {"vr": "OB", "BulkDataURI": "icc"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
    });
    let mut asked = Vec::new();
    let dataset = data_set(text.to_string().as_bytes(), LIMITS, &mut |bulk| {
        asked.push((bulk.uri.to_owned(), bulk.vr, bulk.is_top));
        (bulk.tag != tags::PIXEL_DATA).then(|| Bytes::from_static(&[1, 2]))
    });
    let dataset = dataset.unwrap();
    asked.sort();
    let expected = [("icc", VR::OB, true), ("lut", VR::OW, false), ("pixels", VR::OW, true)];
    assert_eq!(asked, expected.map(|(uri, vr, top)| (uri.to_owned(), vr, top)));
    assert!(dataset.get(tags::PIXEL_DATA).is_none());
    assert_eq!(*dataset.element(tags::ICC_PROFILE).unwrap().to_bytes().unwrap(), [1, 2]);
}

#[test]
fn what_is_no_data_set_is_refused() {
    let shape = Err(JsonError::Shape);
    for text in ["", "[]", "7", "{", "{}x", r#"{"PatientName": {"vr": "PN"}}"#, "\u{feff}{}"] {
        assert_eq!(data_set(text.as_bytes(), LIMITS, &mut |_| None), shape, "{text}");
    }
    assert_eq!(data_set(b"{\"\xFF\": 1}", LIMITS, &mut |_| None), shape);
    let bad = Err(JsonError::Attribute(Tag(0x0010, 0x0010)));
    for attribute in [
        json!({"Value": ["x"]}),
        json!({"vr": "XX"}),
        json!({"vr": "PN", "Value": "Doe"}),
        json!({"vr": "PN", "Value": [7]}),
        json!({"vr": "US", "Value": [65536]}),
        json!({"vr": "US", "Value": [1.5]}),
        json!({"vr": "US", "Value": [null]}),
        json!({"vr": "AT", "Value": ["0010"]}),
        json!({"vr": "OB", "Value": [1]}),
        json!({"vr": "OB", "InlineBinary": "***"}),
        json!({"vr": "LO", "InlineBinary": "AAAA"}),
        json!({"vr": "OB", "InlineBinary": "AAAA", "BulkDataURI": "x"}),
        json!({"vr": "SQ", "BulkDataURI": "x"}),
        json!({"vr": "SQ", "Value": {}}),
        json!({"vr": "LO", "Value": ["x".repeat(SHORT + 1)]}),
        json!({"vr": "UT", "Value": ["x".repeat(MAX_VALUE)]}),
    ] {
        assert_eq!(read(&json!({"00100010": attribute})), bad, "{attribute:.80}");
    }
}

#[test]
fn elements_and_nesting_are_bounded() {
    let nest = |levels: usize| {
        (0..levels).fold(json!({}), |inner, _| json!({"0040A730": {"vr": "SQ", "Value": [inner]}}))
    };
    assert!(read(&nest(4)).is_ok());
    assert_eq!(read(&nest(5)), Err(JsonError::TooDeep(4)));
    // As deep as the text allows: neither parser nor walk follows.
    let endless = r#"{"0040A730":{"vr":"SQ","Value":["#.repeat(200_000);
    assert!(data_set(endless.as_bytes(), LIMITS, &mut |_| None).is_err());
    assert!(data_sets(&Bytes::from("[".repeat(200_000)), 9).is_err());
    let items = |count: usize| json!({"0040A730": {"vr": "SQ", "Value": vec![json!({}); count]}});
    assert!(read(&items(99)).is_ok());
    assert_eq!(read(&items(100)), Err(JsonError::TooManyElements(100)));
}

#[test]
fn an_array_is_parted_without_looking_into_it() {
    let text = Bytes::from_static(b" [ {\"a\": [1, 2]} , {} ] ");
    let found = data_sets(&text, 2).unwrap();
    assert_eq!(found, [&b"{\"a\": [1, 2]}"[..], b"{}"]);
    assert!(text.as_ptr_range().contains(&found[0].as_ptr()));
    assert_eq!(data_sets(&text, 1), Err(JsonError::TooManyDataSets(1)));
    assert_eq!(data_sets(&Bytes::from_static(b"{}"), 2), Err(JsonError::Shape));
    assert_eq!(data_sets(&Bytes::from_static(b"[] x"), 2), Err(JsonError::Shape));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(
        text in r#"\{("([0-9A-F]{8}|7FE00010)":\{("vr":"(SQ|PN|US|DS|OB|UN|AT)",?)?("(Value|InlineBinary|BulkDataURI)":(\[("?[0-9a-z.+-]{0,9}"?,?|null|\{\}){0,3}\]|"[A-Za-z=]{0,8}"))?\},?){0,4}\}"#,
    ) {
        let _ = data_set(text.as_bytes(), LIMITS, &mut |_| Some(Bytes::from_static(&[1])));
    }
}
