//! Why an object that was posted is refused.

use crate::instance::json::read::JsonError;
use crate::instance::part10::MetaError;
use crate::source::refused::{Cause, Refused};

/// Why an object is refused. Names attributes and bounds, never values.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error("{0} is absent from File Meta Information")]
    Lacks(&'static str),
    #[error("its part is not of the media type that the request is of")]
    MediaType,
    #[error("its SOP class is neither one of the Storage service nor configured")]
    SopClass,
    #[error("its transfer syntax is not known here")]
    TransferSyntax,
    #[error("it is of another study than the URL")]
    Study,
    #[error(transparent)]
    Object(#[from] Refused),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("the metadata has more than {0} bytes")]
    Metadata(usize),
    #[error("the metadata's SOP Class UID or SOP Instance UID is absent or malformed")]
    Unnamed,
    #[error("a BulkDataURI of it stands twice in the request")]
    SameUri,
    #[error("no BulkDataURI of the metadata is the part's Content-Location")]
    UnknownPart,
    #[error("bulk data that its metadata names has not come")]
    Incomplete,
    #[error("bulk data that has to wait for other parts has more than {0} bytes")]
    Held(usize),
    #[error("the request ended inside of it")]
    CutOff,
    #[error("the request's body is no multipart body from here on")]
    Body,
    #[error("a fault of ours")]
    Internal,
}

impl Failure {
    /// What the peer is told.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Meta(MetaError::TooLong)
            | Self::Json(
                JsonError::TooManyElements(_) | JsonError::TooDeep(_) | JsonError::TooManyDataSets(_),
            )
            | Self::Metadata(_)
            | Self::Held(_) => Cause::OutOfResources,
            Self::Meta(_)
            | Self::Lacks(_)
            | Self::MediaType
            | Self::Json(_)
            | Self::Unnamed
            | Self::SameUri
            | Self::UnknownPart
            | Self::Incomplete
            | Self::CutOff
            | Self::Body => Cause::CannotUnderstand,
            Self::SopClass => Cause::SopClassNotSupported,
            Self::TransferSyntax => Cause::TransferSyntaxNotSupported,
            Self::Study => Cause::DataSetMismatch,
            Self::Object(refused) => refused.cause(),
            Self::Internal => Cause::ProcessingFailure,
        }
    }

    /// Whether there may be room later.
    pub(super) fn is_for_now(&self) -> bool {
        matches!(self, Self::Object(refused) if refused.is_for_now())
    }

    /// How to mend it, for the log.
    pub(super) fn mend(&self) -> &'static str {
        match self.cause() {
            Cause::OutOfResources => {
                "; if such objects are wanted, raise the bound in [send.limits] or [hub]"
            }
            Cause::ProcessingFailure => "",
            Cause::SopClassNotSupported => {
                "; if it is a private Storage SOP class, add it to dimse.private_sop_classes"
            }
            _ => "; the sender's object is at fault",
        }
    }
}
