use dicom_core::value::{C, DataSetSequence, DicomDate};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::*;
use crate::subscription::query::Query;

fn sequence(tag: Tag, items: Vec<Dataset>) -> InMemElement {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

fn request(procedure: &str, step: &str) -> Dataset {
    Dataset::from_element_iter([
        DataElement::new(tags::REQUESTED_PROCEDURE_ID, VR::SH, procedure),
        DataElement::new(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, step),
    ])
}

/// One dataset with something of every kind.
fn angiography() -> Dataset {
    let code = Dataset::from_element_iter([DataElement::new(tags::CODE_VALUE, VR::SH, "T-46420")]);
    let nested = Dataset::from_element_iter([sequence(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![code])]);
    Dataset::from_element_iter([
        DataElement::new(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        DataElement::new(
            tags::IMAGE_TYPE,
            VR::CS,
            dicom_value!(Strs, ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]),
        ),
        DataElement::new(tags::ACQUISITION_DATE_TIME, VR::DT, "20260314101530.5+0100"),
        DataElement::new(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.12.1\0"),
        DataElement::new(tags::STUDY_DATE, VR::DA, "20260314"),
        DataElement::new(
            tags::CONTENT_DATE,
            VR::DA,
            dicom_value!(Date, [DicomDate::from_ymd(2026, 3, 15).unwrap()]),
        ),
        DataElement::new(tags::STUDY_TIME, VR::TM, "101530.25"),
        DataElement::new(tags::CONTENT_TIME, VR::TM, "10"),
        DataElement::new(tags::ACCESSION_NUMBER, VR::SH, "A*7 "),
        DataElement::new(tags::MODALITY, VR::CS, "XA"),
        DataElement::new(tags::MODALITIES_IN_STUDY, VR::CS, "XA\\US\\SR"),
        DataElement::new(tags::STATION_NAME, VR::SH, ""),
        DataElement::new(tags::REFERRING_PHYSICIAN_NAME, VR::PN, PrimitiveValue::Empty),
        DataElement::new(tags::PATIENT_NAME, VR::PN, "Müller^Jane^Ann=山田^花子"),
        DataElement::new(tags::PATIENT_ID, VR::LO, "4711"),
        DataElement::new(tags::PATIENT_AGE, VR::AS, "042Y"),
        DataElement::new(tags::PATIENT_COMMENTS, VR::LT, "path C:\\scans\\7"),
        DataElement::new(tags::SLICE_THICKNESS, VR::DS, "1.50"),
        DataElement::new(tags::KVP, VR::DS, ""),
        DataElement::new(tags::INSTANCE_NUMBER, VR::IS, "0012 "),
        DataElement::new(tags::FRAME_INCREMENT_POINTER, VR::AT, dicom_value!(Tags, [Tag(0x0018, 0x1063)])),
        DataElement::new(tags::ROWS, VR::US, PrimitiveValue::from(1024_u16)),
        DataElement::new(tags::SMALLEST_IMAGE_PIXEL_VALUE, VR::SS, PrimitiveValue::from(-5_i16)),
        DataElement::new(
            tags::RECOMMENDED_DISPLAY_FRAME_RATE_IN_FLOAT,
            VR::FL,
            PrimitiveValue::from(0.1_f32),
        ),
        DataElement::new(Tag(0x0009, 0x0010), VR::LO, "ACME"),
        DataElement::new(Tag(0x0009, 0x1001), VR::LO, "left"),
        DataElement::new(Tag(0x0009, 0x1002), VR::US, PrimitiveValue::from(7_u16)),
        DataElement::new(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0100"),
        sequence(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request("P1", "S1"), request("P2", "S2"), nested]),
        sequence(tags::PROCEDURE_CODE_SEQUENCE, vec![]),
    ])
}

/// Query string, and whether [`angiography`] meets it.
const TABLE: &[(&str, bool)] = &[
    // Single value
    ("Modality=XA", true),
    ("Modality=xa", false),
    ("Modality=X", false),
    ("00080060=XA", true),
    ("Modality=%20XA%20", true),
    ("PatientID=4711", true),
    ("PatientID=04711", false),
    ("StudyID=1", false),
    ("StationName=X", false),
    ("PatientAge=042Y", true),
    ("PatientAge=042*", false),
    ("ImageType=PRIMARY", true),
    ("ImageType=SECONDARY", false),
    ("ImageType=ORIGINAL%5CPRIMARY", true),
    ("ModalitiesInStudy=US", true),
    ("ModalitiesInStudy=CT", false),
    ("PatientComments=path%20C:%5Cscans%5C7", true),
    ("PatientComments=scans", false),
    ("SpecificCharacterSet=ISO_IR%20100", true),
    // UID list
    ("SOPClassUID=1.2.840.10008.5.1.4.1.1.12.1", true),
    ("SOPClassUID=1.2.3,1.2.840.10008.5.1.4.1.1.12.1", true),
    ("SOPClassUID=1.2.3%5C1.2.840.10008.5.1.4.1.1.12.1", true),
    ("SOPClassUID=1.2.3,1.2.4", false),
    ("SOPClassUID=1.2.840.10008.5.1.4.1.1.12", false),
    ("SOPClassUID=1.2.3,1.2.840.10008.5.1.4.1.1.12.1&multiplevaluematching=true", true),
    // Universal
    ("Modality=", true),
    ("Modality", true),
    ("StudyID=", true),
    ("StudyID=*", true),
    ("SOPClassUID=*", true),
    ("RequestAttributesSequence=", true),
    ("IconImageSequence.Rows=", true),
    // Wild card
    ("Modality=X*", true),
    ("Modality=*A", true),
    ("Modality=?A", true),
    ("Modality=?", false),
    ("Modality=x*", false),
    ("StationName=?*", false),
    ("AccessionNumber=A*7", true),
    ("AccessionNumber=A?7", true),
    ("PatientComments=*scans*", true),
    ("StudyID=?*", false),
    // Range: DA
    ("StudyDate=20260314", true),
    ("StudyDate=20260313", false),
    ("StudyDate=20260301-20260331", true),
    ("StudyDate=20260314-20260314", true),
    ("StudyDate=20260315-", false),
    ("StudyDate=20260314-", true),
    ("StudyDate=-20260314", true),
    ("StudyDate=-20260313", false),
    ("StudyDate=202603", true),
    ("StudyDate=202602-202603", true),
    ("StudyDate=20260101%5C20260314", true),
    ("ContentDate=20260315", true),
    ("SeriesDate=20260101-", false),
    // Range: TM
    ("StudyTime=10-1130", true),
    ("StudyTime=1015-1015", true),
    ("StudyTime=101530.25", true),
    ("StudyTime=101530.26", false),
    ("StudyTime=1016-", false),
    ("StudyTime=-1014", false),
    ("ContentTime=1030-1040", true),
    ("ContentTime=11-", false),
    // Range: DT
    ("AcquisitionDateTime=20260314091530.5%2B0000", true),
    ("AcquisitionDateTime=20260314091530.5+0000", true),
    ("AcquisitionDateTime=20260314101530.5%2B0000", false),
    ("AcquisitionDateTime=20260314101500-20260314101600", true),
    ("AcquisitionDateTime=20260314041530-0500-20260314041531-0500", true),
    ("AcquisitionDateTime=-2026031409%2B0000", true),
    ("AcquisitionDateTime=-2026031408%2B0000", false),
    ("AcquisitionDateTime=2026", true),
    // Numbers
    ("InstanceNumber=12", true),
    ("InstanceNumber=13", false),
    ("SliceThickness=1.5", true),
    ("SliceThickness=15e-1", true),
    ("SliceThickness=1.51", false),
    ("KVP=0", false),
    ("Rows=1024", true),
    ("Rows=1024.0", true),
    ("Rows=102", false),
    ("SmallestImagePixelValue=-5", true),
    ("RecommendedDisplayFrameRateInFloat=0.1", true),
    ("FrameIncrementPointer=00181063", true),
    ("FrameIncrementPointer=FrameTime", true),
    ("FrameIncrementPointer=00181065", false),
    // Sequence
    ("RequestAttributesSequence.RequestedProcedureID=P1", true),
    ("RequestAttributesSequence.RequestedProcedureID=P3", false),
    ("00400275.00401001=P2", true),
    (
        "RequestAttributesSequence.RequestedProcedureID=P1&RequestAttributesSequence.ScheduledProcedureStepID=S1",
        true,
    ),
    (
        "RequestAttributesSequence.RequestedProcedureID=P1&RequestAttributesSequence.ScheduledProcedureStepID=S2",
        false,
    ),
    ("RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue=T-*", true),
    ("RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue=P-*", false),
    ("ProcedureCodeSequence.CodeValue=T-46420", false),
    // Empty value
    ("StationName=%22%22", true),
    ("ReferringPhysicianName=%22%22", true),
    ("KVP=%22%22", true),
    ("StudyID=%22%22", true),
    ("Modality=%22%22", false),
    ("Rows=%22%22", false),
    ("ProcedureCodeSequence=%22%22", true),
    ("ProcedureCodeSequence.CodeValue=%22%22", true),
    ("RequestAttributesSequence=%22%22", false),
    // Multiple value
    ("Modality=CT%5CXA", true),
    ("Modality=CT%5CMR", false),
    ("ModalitiesInStudy=CT%5CUS", true),
    ("ModalitiesInStudy=CT%5CUS&multiplevaluematching=true", false),
    ("ModalitiesInStudy=SR%5CUS&multiplevaluematching=true", true),
    ("InstanceNumber=11%5C12", true),
    // Person names
    ("PatientName=müller%5Ejane%5Eann", true),
    ("PatientName=müller*", true),
    ("PatientName=müller", false),
    ("PatientName=muller*", false),
    ("PatientName=山田%5E花子", true),
    ("PatientName=%3D山田*", true),
    ("PatientName=muller&fuzzymatching=true", true),
    ("PatientName=ann+mull&fuzzymatching=true", true),
    ("PatientName=ann+smith&fuzzymatching=true", false),
    ("Modality=x&fuzzymatching=true", false),
    // Private attributes
    ("00091001=left", true),
    ("00091001=LEFT", false),
    ("00091001=le*", true),
    ("00091002=7", true),
    ("00091002=8", false),
    ("00091003=left", false),
    // Several keys
    ("Modality=XA&PatientID=4711&StudyDate=2026", true),
    ("Modality=XA&PatientID=4712&StudyDate=2026", false),
];

#[test]
fn table() {
    let dataset = angiography();
    for (raw, expected) in TABLE {
        let query = Query::parse(raw, &[]).unwrap_or_else(|error| panic!("{raw}: {error}"));
        assert_eq!(query.matches(&dataset), *expected, "{raw}");
        let each = query.keys().iter().all(|key| key.matches(&dataset));
        // Key by key, only the rule that one item must meet them all is lost.
        assert!(each >= *expected, "{raw}");
    }
}

#[test]
fn a_key_alone_does_not_know_of_the_other_keys() {
    let dataset = angiography();
    let crossed = Query::parse(
        "RequestAttributesSequence.RequestedProcedureID=P1&RequestAttributesSequence.ScheduledProcedureStepID=S2",
        &[],
    )
    .unwrap();
    assert!(crossed.keys().iter().all(|key| key.matches(&dataset)) && !crossed.matches(&dataset));
}

#[test]
fn values_are_decoded_with_the_character_set_they_were_written_in() {
    let syntax = dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let mut latin = Vec::new();
    for (tag, vr, value) in [
        ([0x08, 0x00, 0x05, 0x00], b"CS", b"ISO_IR 100".as_slice()),
        ([0x10, 0x00, 0x10, 0x00], b"PN", b"M\xFCller"),
    ] {
        latin.extend(tag);
        latin.extend(vr);
        latin.extend((value.len() as u16).to_le_bytes());
        latin.extend(value);
    }
    let dataset = Dataset::read_dataset_with_ts(latin.as_slice(), &syntax).unwrap();
    assert!(Query::parse("PatientName=M%C3%BCller", &[]).unwrap().matches(&dataset));
}

fn any_primitive() -> impl Strategy<Value = PrimitiveValue> {
    prop_oneof![
        Just(PrimitiveValue::Empty),
        any::<String>().prop_map(PrimitiveValue::Str),
        proptest::collection::vec(any::<String>(), 0..4)
            .prop_map(|list| PrimitiveValue::Strs(C::from_vec(list))),
        "[0-9+.: -]{0,30}".prop_map(PrimitiveValue::Str),
        any::<[u8; 3]>().prop_map(|list| PrimitiveValue::U8(C::from_slice(&list))),
        any::<i64>().prop_map(PrimitiveValue::from),
        any::<u64>().prop_map(PrimitiveValue::from),
        any::<f32>().prop_map(PrimitiveValue::from),
        any::<f64>().prop_map(PrimitiveValue::from),
        any::<(u16, u16)>().prop_map(|(group, element)| PrimitiveValue::from(Tag(group, element))),
    ]
}

proptest! {
    #[test]
    fn takes_any_value(
        value in any_primitive(),
        zone in any::<String>(),
        key in prop_oneof![any::<String>(), "[0-9+. *?^=,\\\\-]{0,20}", Just("1".to_owned())],
        fuzzy in any::<bool>(),
        all_values in any::<bool>(),
    ) {
        let names = [
            "AcquisitionDateTime", "FrameIncrementPointer", "InstanceNumber", "ModalitiesInStudy", "PatientComments",
            "PatientName", "RequestAttributesSequence", "Rows", "SliceThickness", "SOPClassUID", "StudyDate",
            "StudyTime", "00091001",
        ];
        for name in names {
            let path = AttributePath::parse(name).unwrap();
            let Some(&tag) = path.tags().last() else { continue };
            let vr = path.vr().unwrap_or(VR::LO);
            let dataset = Dataset::from_element_iter([
                DataElement::new(tag, vr, value.clone()),
                DataElement::new(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, zone.as_str()),
            ]);
            if let Ok(key) = MatchKey::new(path, &key, MatchOptions { fuzzy, all_values }) {
                key.matches(&dataset);
            }
        }
    }
}
