//! Attributes with one value per frame (VM 1-n). A frame keeps its own value.
//!
//! Frame Time Vector is the exception: the first frame of an object, and so its only one, has the
//! increment 0 (PS3.3 C.7.6.5.1.2). An object that stays multi-frame says so; a classic image has no Frame
//! Increment Pointer that would allow the vector, and its time is in Content Time.
//!
//! A vector whose length is not the Number of Frames tells nothing about a single frame and is left out,
//! unless Frame Increment Pointer names it in an object that stays multi-frame: then the object cannot be
//! read and is refused.

use dicom_core::header::Header as _;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

use super::SplitError;
use super::values::{component, multiplicity};
use crate::instance::Dataset;

/// The vectors, each with its keyword.
const VECTORS: &[(Tag, &str)] = &[
    // Cine (PS3.3 C.7.6.5) and SC Multi-frame Vector (C.8.6.4).
    (tags::FRAME_TIME_VECTOR, "FrameTimeVector"),
    (tags::PAGE_NUMBER_VECTOR, "PageNumberVector"),
    (tags::FRAME_LABEL_VECTOR, "FrameLabelVector"),
    (tags::FRAME_PRIMARY_ANGLE_VECTOR, "FramePrimaryAngleVector"),
    (tags::FRAME_SECONDARY_ANGLE_VECTOR, "FrameSecondaryAngleVector"),
    (tags::SLICE_LOCATION_VECTOR, "SliceLocationVector"),
    (tags::DISPLAY_WINDOW_LABEL_VECTOR, "DisplayWindowLabelVector"),
    // NM Multi-frame (C.8.4.8).
    (tags::ENERGY_WINDOW_VECTOR, "EnergyWindowVector"),
    (tags::DETECTOR_VECTOR, "DetectorVector"),
    (tags::PHASE_VECTOR, "PhaseVector"),
    (tags::ROTATION_VECTOR, "RotationVector"),
    (tags::RR_INTERVAL_VECTOR, "RRIntervalVector"),
    (tags::TIME_SLOT_VECTOR, "TimeSlotVector"),
    (tags::SLICE_VECTOR, "SliceVector"),
    (tags::ANGULAR_VIEW_VECTOR, "AngularViewVector"),
    (tags::TIME_SLICE_VECTOR, "TimeSliceVector"),
];

/// The vectors of one source.
#[derive(Debug)]
pub(super) struct Vectors {
    whole: Vec<InMemElement>,
    classic: bool,
}

impl Vectors {
    /// Takes the vectors out of `data`.
    pub(super) fn take(data: &mut Dataset, frames: u32, classic: bool) -> Result<Vectors, SplitError> {
        let pointed = pointed(data);
        let mut whole = Vec::new();
        for &(tag, keyword) in VECTORS {
            let Some(vector) = data.take(tag) else { continue };
            if multiplicity(&vector) == frames as usize && component(&vector, 0).is_some() {
                whole.push(vector);
            } else if !classic && pointed.contains(&tag) {
                return Err(SplitError::Invalid(keyword));
            }
        }
        Ok(Vectors { whole, classic })
    }

    /// Puts the values of frame `index` (0-based) into `data`.
    pub(super) fn put(&self, data: &mut Dataset, index: usize) {
        for vector in &self.whole {
            if vector.tag() == tags::FRAME_TIME_VECTOR {
                if !self.classic {
                    data.put(DataElement::new(tags::FRAME_TIME_VECTOR, VR::DS, "0"));
                }
            } else if let Some(own) = component(vector, index) {
                data.put(own);
            }
        }
    }
}

/// The attributes that Frame Increment Pointer names.
pub(super) fn pointed(data: &Dataset) -> Vec<Tag> {
    use dicom_core::PrimitiveValue;
    match data.get(tags::FRAME_INCREMENT_POINTER).and_then(|element| element.value().primitive()) {
        Some(PrimitiveValue::Tags(list)) => list.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::dicom_value;

    fn source() -> Dataset {
        let mut data = Dataset::new_empty();
        data.put(DataElement::new(tags::FRAME_TIME_VECTOR, VR::DS, dicom_value!(Strs, ["0", "30", "40"])));
        data.put(DataElement::new(tags::SLICE_VECTOR, VR::US, dicom_value!(U16, [7, 8, 9])));
        data.put(DataElement::new(tags::PHASE_VECTOR, VR::US, dicom_value!(U16, [1, 2])));
        data
    }

    #[test]
    fn a_frame_gets_its_own_value_and_broken_vectors_go() {
        let mut data = source();
        let vectors = Vectors::take(&mut data, 3, true).unwrap();
        vectors.put(&mut data, 2);
        assert!(data.get(tags::FRAME_TIME_VECTOR).is_none());
        assert_eq!(data.get(tags::SLICE_VECTOR).unwrap().to_int::<u16>().unwrap(), 9);
        assert!(data.get(tags::PHASE_VECTOR).is_none());
    }

    #[test]
    fn the_only_frame_of_a_multi_frame_object_starts_at_zero() {
        let mut data = source();
        let vectors = Vectors::take(&mut data, 3, false).unwrap();
        vectors.put(&mut data, 2);
        assert_eq!(data.get(tags::FRAME_TIME_VECTOR).unwrap().to_str().unwrap(), "0");
    }

    #[test]
    fn a_broken_vector_that_the_pointer_names_is_refused() {
        let mut data = source();
        data.put(DataElement::new(
            tags::FRAME_INCREMENT_POINTER,
            VR::AT,
            dicom_value!(Tags, [tags::PHASE_VECTOR]),
        ));
        assert_eq!(Vectors::take(&mut data, 3, false).unwrap_err(), SplitError::Invalid("PhaseVector"));
    }
}
