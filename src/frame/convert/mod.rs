//! Pictures of a capture device become DICOM pixels, in one pass.
