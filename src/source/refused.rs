//! Why an object is refused, whatever way it came: PS3.4 §B.2.3 and PS3.18 Annex I have the same
//! numbers for it.

use crate::hub::{OpenError, PublishError};
use crate::instance::DecodeError;
use crate::instance::assemble::AssembleError;
use crate::instance::scan::ScanError;

/// What a peer is told of an object that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No room, too large, too many.
    OutOfResources,
    /// The data set is not what its SOP class, its announcement or its URL says.
    DataSetMismatch,
    /// It cannot be read.
    CannotUnderstand,
    /// It is in a transfer syntax that we do not know.
    TransferSyntaxNotSupported,
    /// Our fault.
    ProcessingFailure,
    /// It is of a SOP class that is not of the Storage service.
    SopClassNotSupported,
}

impl Cause {
    /// Status (0000,0900), or Failure Reason (0008,1197).
    pub fn code(self) -> u16 {
        match self {
            Self::OutOfResources => 0xA700,
            Self::DataSetMismatch => 0xA900,
            Self::CannotUnderstand => 0xC000,
            Self::TransferSyntaxNotSupported => 0xC122,
            Self::ProcessingFailure => 0x0110,
            Self::SopClassNotSupported => 0x0122,
        }
    }

    /// A word for the label of a counter.
    pub fn word(self) -> &'static str {
        match self {
            Self::OutOfResources => "out_of_resources",
            Self::DataSetMismatch => "data_set_mismatch",
            Self::CannotUnderstand => "cannot_understand",
            Self::TransferSyntaxNotSupported => "transfer_syntax",
            Self::ProcessingFailure => "processing_failure",
            Self::SopClassNotSupported => "sop_class",
        }
    }
}

/// Why an object that is arriving is refused. Names attributes and bounds, never values.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The object.
    #[error(transparent)]
    Object(#[from] AssembleError),
    /// Its series cannot be opened.
    #[error(transparent)]
    Open(OpenError<DecodeError>),
    /// An instance of it does not fit.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Refused {
    /// What the peer is told.
    pub fn cause(&self) -> Cause {
        use AssembleError as E;
        match self {
            Self::Publish(PublishError::TooLarge(_))
            | Self::Open(OpenError::Full(_) | OpenError::Draining) => Cause::OutOfResources,
            Self::Open(OpenError::Context(_)) => Cause::CannotUnderstand,
            Self::Object(error) => match error {
                E::Scan(ScanError::Malformed { .. } | ScanError::Truncated(_)) => Cause::CannotUnderstand,
                E::Scan(_) | E::FrameTooLarge(_) | E::TooManyFrames(_) | E::Trailing(_) => {
                    Cause::OutOfResources
                }
                E::Mismatch(_)
                | E::PixelLength { .. }
                | E::FrameCount { .. }
                | E::Attribute(_)
                | E::Split(_) => Cause::DataSetMismatch,
                E::Encode(_) => Cause::ProcessingFailure,
                E::Group(_) | E::Decode(_) | E::Fragments(_) | E::Deflate | E::Truncated => {
                    Cause::CannotUnderstand
                }
            },
        }
    }

    /// Whether there may be room later: nothing is wrong with the object.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::Open(OpenError::Full(_) | OpenError::Draining))
    }
}
