//! the DICOMweb origin server

pub mod media;
pub mod problem;
pub mod routes;
