//! the DICOMweb origin server

pub mod problem;
pub mod routes;
