//! The classic name of an enhanced attribute.
//!
//! Most attributes of a functional group bear the tag that the classic image uses as well. Where they do
//! not, the classic one is made here from the enhanced value (PS3.3 C.8.3, C.8.2, C.8.7 against C.8.13,
//! C.8.15, C.8.19). The enhanced attribute stays beside a classic one that had to be rounded or shortened:
//! an image may hold more than its IOD asks for (PS3.2 7.3, Standard Extended SOP Class), and the exact
//! value is not lost.

use dicom_core::header::Header as _;
use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;
use smallvec::SmallVec;

use super::classes::Family;
use super::run::{belongs_to_object, belongs_to_run};
use super::values::{decimal, integer, numbers_of, text};
use crate::instance::Dataset;

/// Longest SH value, in characters (PS3.5 6.2).
const SH_LENGTH: usize = 16;

/// Puts an attribute of a functional group into the image `data`, under its classic name. It overrides
/// what is there; what only the object can say is left alone.
pub(super) fn put(data: &mut Dataset, element: &InMemElement, family: Family) {
    let tag = element.tag();
    if belongs_to_object(tag) || belongs_to_run(tag, true) {
        return;
    }
    let classic = alias(element, family);
    if !is_frame_name(tag) && classic.as_ref().is_none_or(|classic| classic.tag() != tag) {
        data.put(element.clone());
    }
    if let Some(classic) = classic {
        data.put(classic);
    }
}

/// Adds the classic names of enhanced attributes that stand in the object itself and not in a functional
/// group. A classic attribute that is there already stays.
pub(super) fn add_names(data: &mut Dataset, family: Family) {
    let classic: Vec<InMemElement> = data.iter().filter_map(|element| alias(element, family)).collect();
    for element in classic {
        if data.get(element.tag()).is_none() {
            data.put(element);
        }
    }
}

/// Frame attributes that become the image attribute of the same meaning.
fn is_frame_name(tag: Tag) -> bool {
    matches!(
        tag,
        tags::FRAME_TYPE | tags::FRAME_ACQUISITION_NUMBER | tags::FRAME_LATERALITY | tags::FRAME_COMMENTS
    )
}

/// The classic attribute for an enhanced one; `None` when it has the same tag or no sibling, or when the
/// value does not have the form it should.
fn alias(element: &InMemElement, family: Family) -> Option<InMemElement> {
    use Family::{Ct, Mr, Pet, Xa, Xrf};
    let x_ray = matches!(family, Xa | Xrf);
    match element.tag() {
        tags::FRAME_TYPE => renamed(element, tags::IMAGE_TYPE, VR::CS),
        tags::FRAME_ACQUISITION_NUMBER => integers(element, tags::ACQUISITION_NUMBER),
        tags::FRAME_LATERALITY => renamed(element, tags::IMAGE_LATERALITY, VR::CS),
        tags::FRAME_COMMENTS => renamed(element, tags::IMAGE_COMMENTS, VR::LT),
        tags::X_RAY_TUBE_CURRENT_INM_A if x_ray || family == Ct => {
            integers(element, tags::X_RAY_TUBE_CURRENT)
        }
        tags::EXPOSURE_TIME_INMS if x_ray || family == Ct => integers(element, tags::EXPOSURE_TIME),
        tags::EXPOSURE_INM_AS if x_ray || family == Ct => integers(element, tags::EXPOSURE),
        tags::FIELD_OF_VIEW_DIMENSIONS_IN_FLOAT if x_ray => integers(element, tags::FIELD_OF_VIEW_DIMENSIONS),
        // For a C-arm the distance to the patient is that to the isocenter (C.8.7.5).
        tags::DISTANCE_SOURCE_TO_ISOCENTER if x_ray => decimals(element, tags::DISTANCE_SOURCE_TO_PATIENT),
        tags::EFFECTIVE_ECHO_TIME if family == Mr => decimals(element, tags::ECHO_TIME),
        tags::INVERSION_TIMES if family == Mr => decimals(element, tags::INVERSION_TIME),
        tags::TRANSMITTER_FREQUENCY if family == Mr => decimals(element, tags::IMAGING_FREQUENCY),
        tags::RESONANT_NUCLEUS if family == Mr => renamed(element, tags::IMAGED_NUCLEUS, VR::SH),
        tags::PULSE_SEQUENCE_NAME if family == Mr => {
            renamed(element, tags::SEQUENCE_NAME, VR::SH).filter(|name| {
                name.value().primitive().is_some_and(|name| name.to_str().chars().count() <= SH_LENGTH)
            })
        }
        tags::IN_PLANE_PHASE_ENCODING_DIRECTION if family == Mr => {
            let column = element.value().primitive().is_some_and(|value| value.to_str() == "COLUMN");
            column.then(|| DataElement::new(tags::IN_PLANE_PHASE_ENCODING_DIRECTION, VR::CS, "COL"))
        }
        // Both in milliseconds (C.7.6.16.2.2, C.8.9.4).
        tags::FRAME_ACQUISITION_DURATION if family == Pet => integers(element, tags::ACTUAL_FRAME_DURATION),
        _ => None,
    }
}

fn renamed(element: &InMemElement, tag: Tag, vr: VR) -> Option<InMemElement> {
    let value = element.value().primitive()?;
    matches!(value, PrimitiveValue::Str(_) | PrimitiveValue::Strs(_))
        .then(|| DataElement::new(tag, vr, value.clone()))
}

/// `None` also for several numbers where the classic attribute takes one.
fn decimals(element: &InMemElement, tag: Tag) -> Option<InMemElement> {
    match numbers_of(element)?.as_slice() {
        [one] => Some(DataElement::new(tag, VR::DS, decimal(*one))),
        _ => None,
    }
}

fn integers(element: &InMemElement, tag: Tag) -> Option<InMemElement> {
    let texts = numbers_of(element)?.into_iter().map(integer).collect::<Option<SmallVec<[String; 2]>>>()?;
    Some(DataElement::new(tag, VR::IS, PrimitiveValue::Strs(texts)))
}

/// Sets what takes several enhanced attributes together: the plane in the Image Type of an X-ray image,
/// Scanning Sequence and Sequence Variant of an MR image. What the source says itself stays.
pub(super) fn complete(data: &mut Dataset, family: Family) {
    match family {
        Family::Xa | Family::Xrf => set_plane(data),
        Family::Mr => set_pulse_sequence(data),
        _ => {}
    }
}

/// Image Type value 3 of an X-ray image names the plane (C.8.7.1.1.1); an enhanced one has Plane
/// Identification.
fn set_plane(data: &mut Dataset) {
    let plane = match text(data, tags::PLANE_IDENTIFICATION).as_deref() {
        Some("MONOPLANE") => "SINGLE PLANE",
        Some("PLANE A") => "BIPLANE A",
        Some("PLANE B") => "BIPLANE B",
        _ => return,
    };
    let Some(image_type) = text(data, tags::IMAGE_TYPE) else { return };
    let mut values: SmallVec<[String; 2]> = image_type.split('\\').map(str::to_owned).collect();
    if values.len() < 2 || values.get(2).is_some_and(|value| value == plane) {
        return;
    }
    // What the enhanced image says there moves on, but for the empty value that only keeps a place.
    let rest: Vec<String> = values.drain(2..).filter(|value| !value.is_empty()).collect();
    values.push(plane.to_owned());
    values.extend(rest);
    data.put(DataElement::new(tags::IMAGE_TYPE, VR::CS, PrimitiveValue::Strs(values)));
}

/// Scanning Sequence and Sequence Variant (C.8.3.1) as the enhanced pulse sequence attributes (C.8.13.4)
/// tell them.
fn set_pulse_sequence(data: &mut Dataset) {
    if data.get(tags::SCANNING_SEQUENCE).is_none() {
        let mut terms: SmallVec<[&str; 4]> = match text(data, tags::ECHO_PULSE_SEQUENCE).as_deref() {
            Some("SPIN") => SmallVec::from_slice(&["SE"]),
            Some("GRADIENT") => SmallVec::from_slice(&["GR"]),
            Some("BOTH") => SmallVec::from_slice(&["SE", "GR"]),
            _ => return,
        };
        let says_yes = |tag| text(data, tag).is_some_and(|value| value == "YES");
        terms.extend(says_yes(tags::INVERSION_RECOVERY).then_some("IR"));
        terms.extend(says_yes(tags::ECHO_PLANAR_PULSE_SEQUENCE).then_some("EP"));
        put_terms(data, tags::SCANNING_SEQUENCE, &terms);
    }
    if data.get(tags::SEQUENCE_VARIANT).is_none() {
        let sources = [
            (tags::SEGMENTED_K_SPACE_TRAVERSAL, "SK", "SINGLE"),
            (tags::MAGNETIZATION_TRANSFER, "MTC", "NONE"),
            (tags::STEADY_STATE_PULSE_SEQUENCE, "SS", "NONE"),
            (tags::SPOILING, "SP", "NONE"),
            (tags::OVERSAMPLING_PHASE, "OSP", "NONE"),
        ];
        let told: SmallVec<[(&str, bool, bool); 5]> = sources
            .into_iter()
            .filter_map(|(tag, term, without)| {
                text(data, tag).map(|value| (term, value != without, value == "TIME_REVERSED"))
            })
            .collect();
        if told.is_empty() {
            return;
        }
        let mut terms: SmallVec<[&str; 4]> = told
            .iter()
            .filter(|(_, applies, _)| *applies)
            .map(|(term, _, reversed)| if *reversed { "TRSS" } else { *term })
            .collect();
        if terms.is_empty() {
            terms.push("NONE");
        }
        put_terms(data, tags::SEQUENCE_VARIANT, &terms);
    }
}

fn put_terms(data: &mut Dataset, tag: Tag, terms: &[&str]) {
    let terms = terms.iter().map(|term| (*term).to_owned()).collect();
    data.put(DataElement::new(tag, VR::CS, PrimitiveValue::Strs(terms)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::dicom_value;

    fn said(data: &Dataset, tag: Tag) -> String {
        text(data, tag).unwrap_or_else(|| panic!("{tag} is missing"))
    }

    #[test]
    fn numbers_get_their_classic_form_beside_the_exact_one() {
        let mut data = Dataset::new_empty();
        data.put_str(tags::X_RAY_TUBE_CURRENT, VR::IS, "1");
        let current = DataElement::new(tags::X_RAY_TUBE_CURRENT_INM_A, VR::FD, dicom_value!(F64, [412.7]));
        put(&mut data, &current, Family::Xa);
        assert_eq!(said(&data, tags::X_RAY_TUBE_CURRENT), "413");
        assert_eq!(said(&data, tags::X_RAY_TUBE_CURRENT_INM_A), "412.7");
        let field = DataElement::new(
            tags::FIELD_OF_VIEW_DIMENSIONS_IN_FLOAT,
            VR::FL,
            dicom_value!(F32, [199.6, 150.0]),
        );
        put(&mut data, &field, Family::Xa);
        assert_eq!(said(&data, tags::FIELD_OF_VIEW_DIMENSIONS), "200\\150");
    }

    #[test]
    fn a_functional_group_cannot_rename_the_object() {
        let mut data = Dataset::new_empty();
        data.put_str(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3");
        put(&mut data, &DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, "6.6.6"), Family::Ct);
        put(&mut data, &DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, "9"), Family::Ct);
        assert_eq!(said(&data, tags::SOP_INSTANCE_UID), "1.2.3");
        assert!(data.get(tags::NUMBER_OF_FRAMES).is_none());
    }

    #[test]
    fn values_of_the_wrong_form_make_no_classic_attribute() {
        let mut data = Dataset::new_empty();
        put(&mut data, &DataElement::new(tags::X_RAY_TUBE_CURRENT_INM_A, VR::LO, "many"), Family::Xa);
        put(
            &mut data,
            &DataElement::new(tags::EXPOSURE_TIME_INMS, VR::FD, dicom_value!(F64, [f64::NAN])),
            Family::Xa,
        );
        put(
            &mut data,
            &DataElement::new(tags::EXPOSURE_INM_AS, VR::FD, dicom_value!(F64, [1e12])),
            Family::Xa,
        );
        for tag in [tags::X_RAY_TUBE_CURRENT, tags::EXPOSURE_TIME, tags::EXPOSURE] {
            assert!(data.get(tag).is_none());
        }
    }

    #[test]
    fn the_plane_is_value_3_of_an_x_ray_image_type() {
        let mut data = Dataset::new_empty();
        data.put_str(tags::PLANE_IDENTIFICATION, VR::CS, "PLANE B");
        data.put_str(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\\\NONE");
        complete(&mut data, Family::Xa);
        assert_eq!(said(&data, tags::IMAGE_TYPE), "ORIGINAL\\PRIMARY\\BIPLANE B\\NONE");
        complete(&mut data, Family::Xa);
        assert_eq!(said(&data, tags::IMAGE_TYPE), "ORIGINAL\\PRIMARY\\BIPLANE B\\NONE");
    }

    #[test]
    fn the_pulse_sequence_is_told_in_classic_terms() {
        let mut data = Dataset::new_empty();
        complete(&mut data, Family::Mr);
        assert_eq!(data.tags().count(), 0, "nothing is known, nothing is said");
        for (tag, value) in [
            (tags::ECHO_PULSE_SEQUENCE, "GRADIENT"),
            (tags::ECHO_PLANAR_PULSE_SEQUENCE, "YES"),
            (tags::STEADY_STATE_PULSE_SEQUENCE, "TIME_REVERSED"),
            (tags::SPOILING, "NONE"),
            (tags::SEGMENTED_K_SPACE_TRAVERSAL, "PARTIAL"),
        ] {
            data.put_str(tag, VR::CS, value);
        }
        complete(&mut data, Family::Mr);
        assert_eq!(said(&data, tags::SCANNING_SEQUENCE), "GR\\EP");
        assert_eq!(said(&data, tags::SEQUENCE_VARIANT), "SK\\TRSS");
    }
}
