//! the DICOMweb origin server

pub mod capabilities;
pub mod media;
pub mod multipart;
pub mod problem;
pub mod routes;
