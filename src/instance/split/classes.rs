//! Which SOP Class the single-frame instances of a multi-frame object have, and which attributes that
//! class wants even when nothing is known (Type 2).
//!
//! A multi-frame class whose modality also has a single-frame class is *folded* into it: the frame then
//! reads like any classic image. Every other class (segmentations, IVOCT, nuclear medicine, tomosynthesis,
//! …) keeps its class and becomes an object with one frame.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};

use crate::instance::Dataset;

/// Ultrasound Multi-frame Image Storage (retired) and its single-frame sibling.
const RETIRED_US_MULTI_FRAME: &str = "1.2.840.10008.5.1.4.1.1.3";
const RETIRED_US: &str = "1.2.840.10008.5.1.4.1.1.6";

/// The kind of single-frame image that a classic class describes; it decides the Type 2 attributes and
/// the names that enhanced attributes get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Xa,
    Xrf,
    Ct,
    Mr,
    Pet,
    Us,
    Sc,
    Vl,
}

/// What becomes of an object of one SOP Class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A classic single-frame class: its UID and family.
    Classic(&'static str, Family),
    /// The same class with Number of Frames 1.
    Same,
}

/// The single-frame destiny of `sop_class` (PS3.4 B.5).
pub(super) fn target(sop_class: &str) -> Target {
    use Family::{Ct, Mr, Pet, Sc, Us, Vl, Xa, Xrf};
    let (class, family) = match sop_class {
        uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE | uids::ENHANCED_XA_IMAGE_STORAGE => {
            (uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE, Xa)
        }
        uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE | uids::ENHANCED_XRF_IMAGE_STORAGE => {
            (uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE, Xrf)
        }
        uids::CT_IMAGE_STORAGE
        | uids::ENHANCED_CT_IMAGE_STORAGE
        | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE => (uids::CT_IMAGE_STORAGE, Ct),
        uids::CT_IMAGE_STORAGE_FOR_PROCESSING
        | uids::ENHANCED_CT_IMAGE_STORAGE_FOR_PROCESSING
        | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE_FOR_PROCESSING => {
            (uids::CT_IMAGE_STORAGE_FOR_PROCESSING, Ct)
        }
        uids::MR_IMAGE_STORAGE
        | uids::ENHANCED_MR_IMAGE_STORAGE
        | uids::ENHANCED_MR_COLOR_IMAGE_STORAGE
        | uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE => (uids::MR_IMAGE_STORAGE, Mr),
        uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE
        | uids::ENHANCED_PET_IMAGE_STORAGE
        | uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE => {
            (uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE, Pet)
        }
        uids::ULTRASOUND_IMAGE_STORAGE | uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE => {
            (uids::ULTRASOUND_IMAGE_STORAGE, Us)
        }
        RETIRED_US | RETIRED_US_MULTI_FRAME => (RETIRED_US, Us),
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE => {
            (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, Sc)
        }
        uids::VL_ENDOSCOPIC_IMAGE_STORAGE | uids::VIDEO_ENDOSCOPIC_IMAGE_STORAGE => {
            (uids::VL_ENDOSCOPIC_IMAGE_STORAGE, Vl)
        }
        uids::VL_MICROSCOPIC_IMAGE_STORAGE | uids::VIDEO_MICROSCOPIC_IMAGE_STORAGE => {
            (uids::VL_MICROSCOPIC_IMAGE_STORAGE, Vl)
        }
        uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE | uids::VIDEO_PHOTOGRAPHIC_IMAGE_STORAGE => {
            (uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE, Vl)
        }
        _ => return Target::Same,
    };
    Target::Classic(class, family)
}

/// Whether every frame of `sop_class` is described by a Per-Frame Functional Groups Sequence item, so that
/// an object without the sequence cannot be split.
pub(super) fn needs_functional_groups(sop_class: &str) -> bool {
    matches!(
        sop_class,
        uids::ENHANCED_XA_IMAGE_STORAGE
            | uids::ENHANCED_XRF_IMAGE_STORAGE
            | uids::ENHANCED_CT_IMAGE_STORAGE
            | uids::ENHANCED_CT_IMAGE_STORAGE_FOR_PROCESSING
            | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE
            | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE_FOR_PROCESSING
            | uids::ENHANCED_MR_IMAGE_STORAGE
            | uids::ENHANCED_MR_COLOR_IMAGE_STORAGE
            | uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE
            | uids::ENHANCED_PET_IMAGE_STORAGE
            | uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE
    )
}

/// Type 2 of the Patient, General Study, General Series, General Equipment and General Image modules.
const GENERAL: &[(Tag, VR)] = &[
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_ID, VR::SH),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::SERIES_NUMBER, VR::IS),
    (tags::MANUFACTURER, VR::LO),
    // 2C: the frames of one run are temporally related.
    (tags::CONTENT_DATE, VR::DA),
    (tags::CONTENT_TIME, VR::TM),
];

/// 2C of General Image where the image has no Image Position and Orientation (Patient).
const UNPLACED: &[(Tag, VR)] = &[(tags::PATIENT_ORIENTATION, VR::CS)];
const X_RAY: &[(Tag, VR)] = &[(tags::KVP, VR::DS)];
const XA_POSITIONER: &[(Tag, VR)] =
    &[(tags::POSITIONER_PRIMARY_ANGLE, VR::DS), (tags::POSITIONER_SECONDARY_ANGLE, VR::DS)];
/// 2C of X-Ray Acquisition: required together where Exposure is not there.
const X_RAY_EXPOSURE: &[(Tag, VR)] = &[(tags::X_RAY_TUBE_CURRENT, VR::IS), (tags::EXPOSURE_TIME, VR::IS)];
const PLANE: &[(Tag, VR)] = &[(tags::SLICE_THICKNESS, VR::DS), (tags::POSITION_REFERENCE_INDICATOR, VR::LO)];
const CT: &[(Tag, VR)] = &[(tags::KVP, VR::DS), (tags::ACQUISITION_NUMBER, VR::IS)];
const MR: &[(Tag, VR)] = &[
    (tags::SCAN_OPTIONS, VR::CS),
    (tags::MR_ACQUISITION_TYPE, VR::CS),
    (tags::ECHO_TIME, VR::DS),
    (tags::ECHO_TRAIN_LENGTH, VR::IS),
];
const PET: &[(Tag, VR)] = &[(tags::CORRECTED_IMAGE, VR::CS), (tags::COLLIMATOR_TYPE, VR::CS)];
const US: &[(Tag, VR)] = &[(tags::IMAGE_TYPE, VR::CS)];
const VL: &[(Tag, VR)] =
    &[(tags::ACQUISITION_CONTEXT_SEQUENCE, VR::SQ), (tags::LOSSY_IMAGE_COMPRESSION, VR::CS)];

/// Adds, empty, what the classic image of `family` must have even when unknown (PS3.5 7.4.3) and `data`
/// has not. Type 1 attributes are not touched: nothing is invented.
pub(super) fn add_missing_type_2(data: &mut Dataset, family: Family) {
    let lists: &[&[(Tag, VR)]] = match family {
        Family::Xa => &[GENERAL, UNPLACED, X_RAY, XA_POSITIONER],
        Family::Xrf => &[GENERAL, UNPLACED, X_RAY],
        Family::Ct => &[GENERAL, PLANE, CT],
        Family::Mr => &[GENERAL, PLANE, MR],
        Family::Pet => &[GENERAL, PLANE, PET],
        Family::Us => &[GENERAL, UNPLACED, US],
        Family::Sc => &[GENERAL, UNPLACED],
        Family::Vl => &[GENERAL, UNPLACED, VL],
    };
    for list in lists {
        add_empty(data, list);
    }
    if matches!(family, Family::Xa | Family::Xrf) && data.get(tags::EXPOSURE).is_none() {
        add_empty(data, X_RAY_EXPOSURE);
    }
}

fn add_empty(data: &mut Dataset, list: &[(Tag, VR)]) {
    for &(tag, vr) in list {
        if data.get(tag).is_none() {
            let empty = match vr {
                VR::SQ => DataElement::new(tag, vr, dicom_core::value::DataSetSequence::empty()),
                _ => DataElement::new(tag, vr, PrimitiveValue::Empty),
            };
            data.put(empty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multi_frame_classes_have_their_single_frame_sibling() {
        for (from, to) in [
            ("12.1", "12.1"),
            ("12.1.1", "12.1"),
            ("12.2.1", "12.2"),
            ("3.1", "6.1"),
            ("3", "6"),
            ("2.1", "2"),
            ("2.2", "2"),
            ("4.1", "4"),
            ("4.3", "4"),
            ("4.4", "4"),
            ("130", "128"),
            ("128.1", "128"),
            ("7.1", "7"),
            ("7.4", "7"),
            ("77.1.1.1", "77.1.1"),
            ("77.1.2.1", "77.1.2"),
            ("77.1.4.1", "77.1.4"),
        ] {
            let root = "1.2.840.10008.5.1.4.1.1";
            match target(&format!("{root}.{from}")) {
                Target::Classic(class, _) => assert_eq!(class, format!("{root}.{to}")),
                Target::Same => panic!("{from} keeps its class"),
            }
        }
    }

    #[test]
    fn classes_without_sibling_keep_theirs() {
        for class in [
            uids::INTRAVASCULAR_OPTICAL_COHERENCE_TOMOGRAPHY_IMAGE_STORAGE_FOR_PRESENTATION,
            uids::X_RAY3_D_ANGIOGRAPHIC_IMAGE_STORAGE,
            uids::SEGMENTATION_STORAGE,
            uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
            "1.2.3",
        ] {
            assert_eq!(target(class), Target::Same);
        }
    }

    #[test]
    fn type_2_attributes_come_empty_and_spare_what_is_there() {
        let mut data = Dataset::new_empty();
        data.put_str(tags::KVP, VR::DS, "70");
        add_missing_type_2(&mut data, Family::Xa);
        assert_eq!(data.get(tags::KVP).unwrap().to_str().unwrap(), "70");
        assert!(
            data.get(tags::POSITIONER_PRIMARY_ANGLE).unwrap().value().primitive().unwrap().multiplicity()
                == 0
        );
        assert!(data.get(tags::RADIATION_SETTING).is_none(), "Type 1 is never invented");
        assert!(data.get(tags::X_RAY_TUBE_CURRENT).is_some());
    }
}
