//! the DICOMweb origin server
