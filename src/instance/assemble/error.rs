//! Why an object is refused.

use crate::instance::DecodeError;
use crate::instance::encode::EncodeError;
use crate::instance::scan::ScanError;
use crate::instance::split::SplitError;

/// Why an object is refused. Names attributes and bounds, never values.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The encoding is broken or breaks a bound.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The library cannot decode what the scanner walked over.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The library cannot encode it again.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A multi-frame object that cannot be split.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// An attribute that is needed here is absent or malformed.
    #[error("{0} is absent or malformed")]
    Attribute(&'static str),
    /// The data set is another object than the one announced.
    #[error("{0} differs between the command and the data set")]
    Mismatch(&'static str),
    /// A frame is larger than allowed.
    #[error("a frame is larger than {0} bytes")]
    FrameTooLarge(usize),
    /// More frames than allowed.
    #[error("the object has more than {0} frames")]
    TooManyFrames(u32),
    /// Rows × Columns × … does not give the length of Pixel Data.
    #[error("Pixel Data is {found} bytes long where the image description asks for {expected}")]
    PixelLength {
        /// What the image description gives (bytes).
        expected: u64,
        /// What the element says (bytes).
        found: u64,
    },
    /// The number of frames found is not Number of Frames.
    #[error("Pixel Data holds {found} frames where Number of Frames says {expected}")]
    FrameCount {
        /// Number of Frames.
        expected: u32,
        /// Frames found.
        found: u32,
    },
    /// Encapsulated Pixel Data that is no sequence of items.
    #[error("encapsulated Pixel Data is malformed: {0}")]
    Fragments(&'static str),
    /// The deflated stream is broken.
    #[error("the deflated data set is malformed")]
    Deflate,
    /// The data set ended early.
    #[error("the data set ended before its last frame was whole")]
    Truncated,
    /// Bytes came after the end of a deflated stream or of the largest tail.
    #[error("there is more after Pixel Data than {0} bytes")]
    Trailing(usize),
}
