//! Why a request's acceptable media types cannot be served.

use http::StatusCode;

/// A negotiation that has no outcome. Its text is fixed: it never repeats what the request said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// Well formed, but none of the acceptable representations exists here.
    #[error("none of the acceptable media types and transfer syntaxes is served here")]
    NotAcceptable(
        /// The media types that the resource does have, for the response to list.
        &'static [&'static str],
    ),
    /// DICOM and rendered media types in one list, which PS3.18 §8.7.5 forbids.
    #[error("acceptable media types are either DICOM or rendered media types, not both")]
    Mixed,
    /// Not what RFC 9110 §12.5.1 and PS3.18 §8.7.3 call a list of media ranges, or over our limits.
    #[error("malformed list of acceptable media types: {0}")]
    Malformed(
        /// What is wrong with it.
        &'static str,
    ),
}

impl MediaError {
    /// The status code of the response: 406 (Not Acceptable) or 400 (Bad Request).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Mixed | Self::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    }
}
