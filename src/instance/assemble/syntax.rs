//! What an object's transfer syntax means for its way through: inflated or not, kept or rewritten,
//! frames or one stream.

use dicom_encoding::transfer_syntax::{TransferSyntax, TransferSyntaxIndex};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

/// Whether Pixel Data comes in fragments.
pub(super) fn is_encapsulated(transfer_syntax: &str) -> bool {
    TransferSyntaxRegistry.get(transfer_syntax).is_some_and(TransferSyntax::is_encapsulated_pixel_data)
}

/// Whether the whole data set is one DEFLATE stream (PS3.5 §A.5 and the JPIP forms).
pub(super) fn is_deflated(transfer_syntax: &str) -> bool {
    matches!(transfer_syntax, "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205")
}

/// The syntax of the bytes once they are inflated.
pub(super) fn inflated_syntax(transfer_syntax: &str) -> &str {
    match transfer_syntax {
        "1.2.840.10008.1.2.4.95" => "1.2.840.10008.1.2.4.94",
        "1.2.840.10008.1.2.4.205" => "1.2.840.10008.1.2.4.204",
        "1.2.840.10008.1.2.1.99" => EXPLICIT_VR_LITTLE_ENDIAN,
        other => other,
    }
}

/// The syntax of the instances: as it came, or Explicit VR LE where DICOMweb forbids that.
pub(super) fn kept_syntax(transfer_syntax: &str) -> &str {
    match transfer_syntax {
        IMPLICIT_VR_LITTLE_ENDIAN | "1.2.840.10008.1.2.2" => EXPLICIT_VR_LITTLE_ENDIAN,
        other => inflated_syntax(other),
    }
}

/// MPEG-2, MPEG-4 and HEVC: one stream over all frames (PS3.5 §A.4.5 ff.); nothing to cut.
pub(super) fn is_video(transfer_syntax: &str) -> bool {
    transfer_syntax
        .strip_prefix("1.2.840.10008.1.2.4.10")
        .is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
}
