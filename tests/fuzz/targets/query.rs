//! A search's query string, matched against a data set with a value of every kind of VR.
#![no_main]

use std::sync::OnceLock;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use framegate::instance::Dataset;
use framegate::subscription::query::Query;
use libfuzzer_sys::fuzz_target;

static DATASET: OnceLock<Dataset> = OnceLock::new();

fuzz_target!(|input: &str| {
    let Ok(query) = Query::parse(input, &["accept"]) else { return };
    let dataset = DATASET.get_or_init(dataset);
    assert_eq!(query.matches(dataset), query.matches(dataset));
    assert!(!query.keys().is_empty() || query.matches(dataset), "no key, no objection");
    // Values are PHI: showing a query must not show them.
    let _ = format!("{query:?}");
});

fn dataset() -> Dataset {
    let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let code = Dataset::from_element_iter([
        text(Tag(0x0008, 0x0100), VR::SH, "P5-09051"),
        text(Tag(0x0008, 0x0102), VR::SH, "SRT"),
    ]);
    let numbers = dicom_value!(U16, [512, 1]);
    Dataset::from_element_iter([
        text(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 192"),
        text(Tag(0x0008, 0x0020), VR::DA, "20260131"),
        text(Tag(0x0008, 0x002A), VR::DT, "20260131120000.000000+0100"),
        text(Tag(0x0008, 0x0030), VR::TM, "120000.5"),
        text(Tag(0x0008, 0x0061), VR::CS, "XA\\SR"),
        text(Tag(0x0010, 0x0010), VR::PN, "Müller^Änne=Mueller^Aenne"),
        text(Tag(0x0010, 0x0020), VR::LO, "A*1?2"),
        text(Tag(0x0010, 0x1010), VR::AS, "045Y"),
        text(Tag(0x0020, 0x000D), VR::UI, "1.2.3"),
        text(Tag(0x0020, 0x0013), VR::IS, "17"),
        text(Tag(0x0018, 0x0060), VR::DS, "80.5"),
        DataElement::new(Tag(0x0028, 0x0010), VR::US, numbers),
        DataElement::new(Tag(0x0008, 0x1032), VR::SQ, DataSetSequence::from(vec![code])),
    ])
}
