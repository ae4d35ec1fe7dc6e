//! pixels before they are DICOM
