//! Whole objects of each family through the splitter.

use dicom_core::header::Header as _;
use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::mem::InMemElement;
use proptest::prelude::*;

use super::values::{multiplicity, sequence, text};
use super::{Dataset, SplitError, Splitter, number_of_frames};

fn item<const N: usize>(elements: [InMemElement; N]) -> Dataset {
    Dataset::from_element_iter(elements)
}

fn double(tag: Tag, value: f64) -> InMemElement {
    DataElement::new(tag, VR::FD, PrimitiveValue::from(value))
}

fn source(sop_class: &str, frames: &str) -> Dataset {
    let mut data = Dataset::new_empty();
    for (tag, vr, value) in [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\SINGLE PLANE"),
        (tags::SOP_CLASS_UID, VR::UI, sop_class),
        (tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3"),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.1"),
        (tags::PATIENT_NAME, VR::PN, "Müller^Test"),
        (tags::CONTENT_DATE, VR::DA, "20250102"),
        (tags::CONTENT_TIME, VR::TM, "101112.5"),
        (tags::NUMBER_OF_FRAMES, VR::IS, frames),
    ] {
        data.put_str(tag, vr, value);
    }
    data.put(DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, [512])));
    data
}

fn xa() -> Dataset {
    let mut data = source(uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE, "3");
    for (tag, vr, value) in [
        (tags::FRAME_TIME_VECTOR, VR::DS, "0\\66\\67"),
        (tags::CINE_RATE, VR::IS, "15"),
        (tags::RECOMMENDED_DISPLAY_FRAME_RATE, VR::IS, "15"),
        (tags::START_TRIM, VR::IS, "1"),
        (tags::STOP_TRIM, VR::IS, "3"),
        (tags::RECOMMENDED_VIEWING_MODE, VR::CS, "SUB"),
        (tags::KVP, VR::DS, "72"),
        (tags::RADIATION_SETTING, VR::CS, "GR"),
        (tags::POSITIONER_MOTION, VR::CS, "DYNAMIC"),
        (tags::POSITIONER_PRIMARY_ANGLE, VR::DS, "-30"),
        (tags::POSITIONER_SECONDARY_ANGLE, VR::DS, "20"),
        (tags::POSITIONER_PRIMARY_ANGLE_INCREMENT, VR::DS, "0\\1\\2.5"),
        (Tag(0x0009, 0x0010), VR::LO, "MAKER"),
        (Tag(0x0009, 0x1001), VR::LO, "private"),
        (Tag(0x0008, 0x0000), VR::UL, "0"),
    ] {
        data.put_str(tag, vr, value);
    }
    data.put(DataElement::new(
        tags::FRAME_INCREMENT_POINTER,
        VR::AT,
        dicom_value!(Tags, [tags::FRAME_TIME_VECTOR]),
    ));
    data.put(sequence(tags::MASK_SUBTRACTION_SEQUENCE, vec![Dataset::new_empty()]));
    data.put(sequence(
        tags::SOURCE_IMAGE_SEQUENCE,
        vec![item([DataElement::new(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "9.9")])],
    ));
    data.put(DataElement::new(Tag(0x7FE0, 0x0001), VR::OV, dicom_value!(U64, [0])));
    data
}

/// Two frames with the functional groups of Enhanced XA; the second one says everything.
fn enhanced_xa() -> Dataset {
    let mut data = source(uids::ENHANCED_XA_IMAGE_STORAGE, "2");
    data.put_str(tags::IMAGE_TYPE, VR::CS, "MIXED\\PRIMARY\\\\NONE");
    data.put_str(tags::PLANE_IDENTIFICATION, VR::CS, "PLANE A");
    data.put(double(tags::X_RAY_TUBE_CURRENT_INM_A, 100.0));
    data.put(double(tags::EXPOSURE_TIME_INMS, 7.6));
    data.put(sequence(tags::DIMENSION_INDEX_SEQUENCE, vec![]));
    data.put_str(tags::CONCATENATION_UID, VR::UI, "7.7");
    let mut properties = item([DataElement::new(tags::FRAME_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\\\NONE")]);
    properties.put_str(tags::PIXEL_INTENSITY_RELATIONSHIP, VR::CS, "LIN");
    let window = |center: &str| item([DataElement::new(tags::WINDOW_CENTER, VR::DS, center)]);
    data.put(sequence(
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        vec![item([
            sequence(tags::FRAME_PIXEL_DATA_PROPERTIES_SEQUENCE, vec![properties]),
            sequence(tags::FRAME_VOILUT_SEQUENCE, vec![window("100")]),
        ])],
    ));
    let mut content =
        item([DataElement::new(tags::FRAME_ACQUISITION_DATE_TIME, VR::DT, "20250102101113.25")]);
    content.put(DataElement::new(tags::FRAME_ACQUISITION_NUMBER, VR::US, dicom_value!(U16, [4])));
    content.put(DataElement::new(tags::DIMENSION_INDEX_VALUES, VR::UL, dicom_value!(U32, [2])));
    let positioner = item([double(tags::POSITIONER_PRIMARY_ANGLE, -45.5)]);
    let acquisition = item([double(tags::X_RAY_TUBE_CURRENT_INM_A, 412.7)]);
    let event = item([DataElement::new(tags::IRRADIATION_EVENT_UID, VR::UI, "5.5")]);
    data.put(sequence(
        tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
        vec![
            Dataset::new_empty(),
            item([
                sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content]),
                sequence(tags::POSITIONER_POSITION_SEQUENCE, vec![positioner]),
                sequence(tags::FRAME_ACQUISITION_SEQUENCE, vec![acquisition]),
                sequence(tags::IRRADIATION_EVENT_IDENTIFICATION_SEQUENCE, vec![event]),
                sequence(tags::FRAME_VOILUT_SEQUENCE, vec![window("200")]),
            ]),
        ],
    ));
    data
}

fn frame(source: Dataset, number: u32) -> Dataset {
    Splitter::new(source).unwrap().frame(number, 40).unwrap().dataset
}

fn said(data: &Dataset, tag: Tag) -> String {
    text(data, tag).unwrap_or_else(|| panic!("{tag} is missing or empty"))
}

fn absent(data: &Dataset, list: &[Tag]) {
    for tag in list {
        assert!(data.get(*tag).is_none(), "{tag} is there");
    }
}

#[test]
fn an_xa_run_becomes_single_images() {
    let splitter = Splitter::new(xa()).unwrap();
    assert_eq!((splitter.frames(), splitter.sop_class()), (3, uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE));
    let made = splitter.frame(3, 40).unwrap();
    let data = &made.dataset;
    assert_eq!(said(data, tags::SOP_INSTANCE_UID), made.sop_instance_uid);
    assert_ne!(made.sop_instance_uid, splitter.frame(2, 40).unwrap().sop_instance_uid);
    for (tag, value) in [
        (tags::SOP_CLASS_UID, uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE),
        (tags::INSTANCE_NUMBER, "40"),
        (tags::SERIES_INSTANCE_UID, "1.2.3.1"),
        (tags::PATIENT_NAME, "Müller^Test"),
        (tags::SPECIFIC_CHARACTER_SET, "ISO_IR 100"),
        (tags::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\SINGLE PLANE"),
        (tags::CINE_RATE, "15"),
        (tags::RECOMMENDED_DISPLAY_FRAME_RATE, "15"),
        (tags::CONTENT_TIME, "101112.633000"),
        (tags::POSITIONER_PRIMARY_ANGLE, "-27.5"),
        (tags::POSITIONER_MOTION, "STATIC"),
        (Tag(0x0009, 0x1001), "private"),
    ] {
        assert_eq!(said(data, tag), value, "{tag}");
    }
    absent(
        data,
        &[
            tags::NUMBER_OF_FRAMES,
            tags::FRAME_INCREMENT_POINTER,
            tags::FRAME_TIME_VECTOR,
            tags::START_TRIM,
            tags::STOP_TRIM,
            tags::MASK_SUBTRACTION_SEQUENCE,
            tags::RECOMMENDED_VIEWING_MODE,
            tags::POSITIONER_PRIMARY_ANGLE_INCREMENT,
            tags::DERIVATION_DESCRIPTION,
            Tag(0x7FE0, 0x0001),
            Tag(0x0008, 0x0000),
        ],
    );
    assert_eq!(multiplicity(data.get(tags::STUDY_ID).unwrap()), 0, "Type 2, empty");
}

#[test]
fn the_frame_names_its_source_behind_older_ones() {
    let data = frame(xa(), 2);
    let items = data.get(tags::SOURCE_IMAGE_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(said(&items[0], tags::REFERENCED_SOP_INSTANCE_UID), "9.9");
    assert_eq!(said(&items[1], tags::REFERENCED_SOP_CLASS_UID), uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE);
    assert_eq!(said(&items[1], tags::REFERENCED_SOP_INSTANCE_UID), "1.2.3.4");
    assert_eq!(said(&items[1], tags::REFERENCED_FRAME_NUMBER), "2");
}

#[test]
fn an_enhanced_frame_reads_like_a_classic_one() {
    let data = frame(enhanced_xa(), 2);
    for (tag, value) in [
        (tags::SOP_CLASS_UID, uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE),
        (tags::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\BIPLANE A\\NONE"),
        (tags::PIXEL_INTENSITY_RELATIONSHIP, "LIN"),
        (tags::WINDOW_CENTER, "200"),
        (tags::POSITIONER_PRIMARY_ANGLE, "-45.5"),
        (tags::X_RAY_TUBE_CURRENT, "413"),
        (tags::EXPOSURE_TIME, "8"),
        (tags::ACQUISITION_NUMBER, "4"),
        (tags::ACQUISITION_DATE_TIME, "20250102101113.25"),
        (tags::ACQUISITION_TIME, "101113.25"),
        (tags::CONTENT_TIME, "101113.25"),
        (tags::IRRADIATION_EVENT_UID, "5.5"),
    ] {
        assert_eq!(said(&data, tag), value, "{tag}");
    }
    absent(
        &data,
        &[
            tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
            tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
            tags::DIMENSION_INDEX_SEQUENCE,
            tags::DIMENSION_INDEX_VALUES,
            tags::CONCATENATION_UID,
            tags::FRAME_TYPE,
            tags::NUMBER_OF_FRAMES,
            tags::RADIATION_SETTING,
        ],
    );
    // The first frame says nothing of its own: shared groups and the object speak.
    let first = frame(enhanced_xa(), 1);
    assert_eq!(
        (said(&first, tags::WINDOW_CENTER), said(&first, tags::X_RAY_TUBE_CURRENT)),
        ("100".into(), "100".into())
    );
    assert_eq!(multiplicity(first.get(tags::POSITIONER_PRIMARY_ANGLE).unwrap()), 0);
}

#[test]
fn ct_mr_and_pet_fold_into_their_classic_class() {
    for (from, to, given, wanted) in [
        (
            uids::ENHANCED_CT_IMAGE_STORAGE,
            uids::CT_IMAGE_STORAGE,
            DataElement::new(tags::RESCALE_INTERCEPT, VR::DS, "-1024"),
            (tags::RESCALE_INTERCEPT, "-1024"),
        ),
        (
            uids::ENHANCED_MR_IMAGE_STORAGE,
            uids::MR_IMAGE_STORAGE,
            double(tags::EFFECTIVE_ECHO_TIME, 2.75),
            (tags::ECHO_TIME, "2.75"),
        ),
        (
            uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE,
            uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
            double(tags::FRAME_ACQUISITION_DURATION, 3000.0),
            (tags::ACTUAL_FRAME_DURATION, "3000"),
        ),
    ] {
        let mut data = source(from, "2");
        let group = item([sequence(tags::FRAME_CONTENT_SEQUENCE, vec![item([given])])]);
        data.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, vec![Dataset::new_empty(), group]));
        let out = frame(data, 2);
        assert_eq!(said(&out, tags::SOP_CLASS_UID), to);
        assert_eq!(said(&out, wanted.0), wanted.1);
        assert!(out.get(tags::SLICE_THICKNESS).is_some());
    }
}

#[test]
fn us_sc_and_video_get_their_single_frame_class() {
    for (from, to) in [
        (uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE, uids::ULTRASOUND_IMAGE_STORAGE),
        (uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE, uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
        (uids::VIDEO_ENDOSCOPIC_IMAGE_STORAGE, uids::VL_ENDOSCOPIC_IMAGE_STORAGE),
    ] {
        let mut data = source(from, "30");
        data.put_str(tags::FRAME_TIME, VR::DS, "40");
        data.put(DataElement::new(
            tags::FRAME_INCREMENT_POINTER,
            VR::AT,
            dicom_value!(Tags, [tags::FRAME_TIME]),
        ));
        data.put(sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, vec![Dataset::new_empty()]));
        let out = frame(data, 26);
        assert_eq!(said(&out, tags::SOP_CLASS_UID), to);
        assert_eq!(
            (said(&out, tags::FRAME_TIME), said(&out, tags::CONTENT_TIME)),
            ("40".into(), "101113.500000".into())
        );
        assert!(out.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS).is_some());
        absent(&out, &[tags::NUMBER_OF_FRAMES, tags::FRAME_INCREMENT_POINTER]);
    }
}

#[test]
fn a_class_without_sibling_stays_multi_frame_with_one_frame() {
    let mut data = source(uids::X_RAY3_D_ANGIOGRAPHIC_IMAGE_STORAGE, "2");
    let group = |label: &str| {
        item([sequence(
            tags::FRAME_CONTENT_SEQUENCE,
            vec![item([DataElement::new(tags::FRAME_LABEL, VR::LO, label)])],
        )])
    };
    data.put(sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![group("shared")]));
    data.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, vec![group("one"), group("two")]));
    data.put(sequence(tags::DIMENSION_INDEX_SEQUENCE, vec![Dataset::new_empty()]));
    let out = frame(data, 2);
    assert_eq!(said(&out, tags::SOP_CLASS_UID), uids::X_RAY3_D_ANGIOGRAPHIC_IMAGE_STORAGE);
    assert_eq!(said(&out, tags::NUMBER_OF_FRAMES), "1");
    let items = out.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(items.len(), 1);
    let content = items[0].get(tags::FRAME_CONTENT_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(said(&content[0], tags::FRAME_LABEL), "two");
    assert_eq!(out.get(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap().len(), 1);
    assert!(out.get(tags::DIMENSION_INDEX_SEQUENCE).is_some());
}

#[test]
fn nuclear_medicine_keeps_pointer_and_own_vector_values() {
    let mut data = source(uids::NUCLEAR_MEDICINE_IMAGE_STORAGE, "3");
    data.put(DataElement::new(
        tags::FRAME_INCREMENT_POINTER,
        VR::AT,
        dicom_value!(Tags, [tags::DETECTOR_VECTOR]),
    ));
    data.put(DataElement::new(tags::DETECTOR_VECTOR, VR::US, dicom_value!(U16, [1, 2, 3])));
    let out = frame(data, 2);
    assert_eq!(said(&out, tags::DETECTOR_VECTOR), "2");
    assert!(out.get(tags::FRAME_INCREMENT_POINTER).is_some());
}

#[test]
fn number_of_frames_is_one_or_a_positive_number() {
    let of = |value: &str| number_of_frames(&item([DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, value)]));
    assert_eq!(number_of_frames(&Dataset::new_empty()), Ok(1));
    assert_eq!((of(""), of(" 12 "), of("2147483647")), (Ok(1), Ok(12), Ok(2_147_483_647)));
    for bad in ["0", "-3", "many", "3\\4", "2147483648", "1.5"] {
        assert_eq!(of(bad), Err(SplitError::Invalid("NumberOfFrames")), "{bad}");
    }
    let nested = item([sequence(tags::NUMBER_OF_FRAMES, vec![])]);
    assert_eq!(number_of_frames(&nested), Err(SplitError::Invalid("NumberOfFrames")));
}

#[test]
fn what_cannot_be_split_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Dataset)| {
        let mut data = enhanced_xa();
        change(&mut data);
        Splitter::new(data).unwrap_err()
    };
    let missing = |tag| refused(&|data| assert!(data.remove_element(tag)));
    assert_eq!(missing(tags::SOP_INSTANCE_UID), SplitError::Missing("SOPInstanceUID"));
    assert_eq!(missing(tags::STUDY_INSTANCE_UID), SplitError::Missing("StudyInstanceUID"));
    assert_eq!(
        missing(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE),
        SplitError::Missing("PerFrameFunctionalGroupsSequence")
    );
    let put = |tag, vr, value: &str| refused(&|data| drop(data.put_str(tag, vr, value)));
    assert_eq!(put(tags::SOP_CLASS_UID, VR::UI, "x"), SplitError::Invalid("SOPClassUID"));
    assert_eq!(
        put(tags::NUMBER_OF_FRAMES, VR::IS, "3"),
        SplitError::FunctionalGroups { expected: 3, found: 2 }
    );
    assert_eq!(
        put(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, VR::UN, "x"),
        SplitError::Invalid("PerFrameFunctionalGroupsSequence")
    );
    let mut slide = source(uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE, "2");
    slide.put_str(tags::DIMENSION_ORGANIZATION_TYPE, VR::CS, "TILED_FULL");
    assert_eq!(Splitter::new(slide).unwrap_err(), SplitError::NotSeparable("DimensionOrganizationType"));
}

#[test]
fn frames_outside_the_object_are_refused() {
    let splitter = Splitter::new(xa()).unwrap();
    for frame in [0, 4, u32::MAX] {
        assert_eq!(splitter.frame(frame, 1).unwrap_err(), SplitError::NoSuchFrame { frame, frames: 3 });
    }
}

#[test]
fn debug_output_names_no_patient() {
    let splitter = Splitter::new(xa()).unwrap();
    assert!(!format!("{splitter:?}{:?}", splitter.frame(1, 1).unwrap()).contains("Test"));
}

/// A value of any form: what a decoder can hand over.
fn any_value() -> impl Strategy<Value = PrimitiveValue> {
    prop_oneof![
        Just(PrimitiveValue::Empty),
        "[ -~]{0,20}".prop_map(PrimitiveValue::from),
        "\\PC{0,20}".prop_map(PrimitiveValue::from),
        proptest::collection::vec("-?[0-9]{1,4}(\\.[0-9]{1,3})?", 0..5)
            .prop_map(|v| PrimitiveValue::Strs(v.into())),
        proptest::collection::vec(any::<u16>(), 0..5).prop_map(|v| PrimitiveValue::U16(v.into())),
        proptest::collection::vec(any::<f64>(), 0..5).prop_map(|v| PrimitiveValue::F64(v.into())),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|v| PrimitiveValue::U8(v.into())),
    ]
}

/// Any of the attributes that the splitter reads or writes.
fn any_tag() -> impl Strategy<Value = Tag> {
    proptest::sample::select(vec![
        tags::NUMBER_OF_FRAMES,
        tags::IMAGE_TYPE,
        tags::CONTENT_DATE,
        tags::CONTENT_TIME,
        tags::FRAME_TIME,
        tags::FRAME_DELAY,
        tags::FRAME_TIME_VECTOR,
        tags::DETECTOR_VECTOR,
        tags::FRAME_INCREMENT_POINTER,
        tags::POSITIONER_MOTION,
        tags::POSITIONER_PRIMARY_ANGLE,
        tags::POSITIONER_PRIMARY_ANGLE_INCREMENT,
        tags::TABLE_LATERAL_INCREMENT,
        tags::GRID_FRAME_OFFSET_VECTOR,
        tags::IMAGE_POSITION_PATIENT,
        tags::IMAGE_ORIENTATION_PATIENT,
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
        tags::SOURCE_IMAGE_SEQUENCE,
        tags::DERIVATION_IMAGE_SEQUENCE,
        tags::DERIVATION_CODE_SEQUENCE,
        tags::FRAME_CONTENT_SEQUENCE,
        tags::FRAME_ACQUISITION_DATE_TIME,
        tags::FRAME_TYPE,
        tags::PLANE_IDENTIFICATION,
        tags::X_RAY_TUBE_CURRENT_INM_A,
        tags::ECHO_PULSE_SEQUENCE,
        Tag(0x0009, 0x0010),
        Tag(0x0009, 0x1001),
        Tag(0x6000, 0x0010),
        Tag(0x6000, 0x0011),
        Tag(0x6000, 0x0015),
        Tag(0x6000, 0x0051),
        Tag(0x6000, 0x3000),
    ])
}

fn any_dataset() -> impl Strategy<Value = Dataset> {
    let leaf = (any_tag(), any_value()).prop_map(|(tag, value)| DataElement::new(tag, VR::UN, value));
    leaf.prop_recursive(3, 24, 4, |inner| {
        let items = proptest::collection::vec(proptest::collection::vec(inner, 0..4), 0..3);
        (any_tag(), items).prop_map(|(tag, items)| {
            sequence(tag, items.into_iter().map(Dataset::from_element_iter).collect())
        })
    })
    .prop_map(|element: InMemElement| element)
    .boxed()
    .prop_flat_map(|first| {
        let more = proptest::collection::vec((any_tag(), any_value()), 0..12);
        more.prop_map(move |list| {
            let mut data = Dataset::from_element_iter(
                list.into_iter().map(|(tag, value)| DataElement::new(tag, VR::UN, value)),
            );
            data.put(first.clone());
            data
        })
    })
}

proptest! {
    #[test]
    fn no_data_set_makes_it_panic(
        class in proptest::sample::select(vec![
            uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
            uids::ENHANCED_XA_IMAGE_STORAGE,
            uids::ENHANCED_MR_IMAGE_STORAGE,
            uids::RT_DOSE_STORAGE,
            uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
        ]),
        frames in 1u32..4,
        parts in proptest::collection::vec(any_dataset(), 0..4),
    ) {
        let mut data = source(class, &frames.to_string());
        for part in parts {
            for element in part {
                data.put(element);
            }
        }
        if let Ok(splitter) = Splitter::new(data) {
            for number in 0..=splitter.frames().min(5) {
                if let Ok(made) = splitter.frame(number, -1) {
                    prop_assert_eq!(said(&made.dataset, tags::SOP_INSTANCE_UID), made.sop_instance_uid);
                    prop_assert!(made.dataset.tags().all(|tag| tag.group() < 0x7FE0));
                    prop_assert!(made.dataset.iter().all(|element| element.tag().element() != 0));
                }
            }
        }
    }
}
