//! single-frame SOP Instances

pub mod json;
pub mod metadata;
pub mod xml;

/// A decoded data set, without file meta information and without Pixel Data.
pub type Dataset = dicom_object::InMemDicomObject;
