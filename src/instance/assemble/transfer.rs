//! What is known of an object before its first byte, and what it may cost.

use crate::instance::Uid;
use crate::instance::scan::HeadLimits;

/// What is known of an object before its first byte: from the C-STORE command, or a part's header.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Transfer syntax of the bytes.
    pub transfer_syntax: Uid,
    /// Affected SOP Class UID.
    pub sop_class: Uid,
    /// Affected SOP Instance UID.
    pub sop_instance: Uid,
    /// Calling AE title, for Source Application Entity Title (0002,0016).
    pub source_ae_title: Option<String>,
}

/// Bounds on one object.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bounds outside Pixel Data.
    pub head: HeadLimits,
    /// Bytes of one frame, or of the Pixel Data of an object that is not split.
    pub frame_bytes: usize,
    /// Frames of one object.
    pub frames: u32,
}
