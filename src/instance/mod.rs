//! single-frame SOP Instances

pub mod split;
pub mod uid;

/// A decoded data set, without file meta information and without Pixel Data.
pub type Dataset = dicom_object::InMemDicomObject;
