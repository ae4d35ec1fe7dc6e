//! What an operator asks of a capture cannot be done.

use http::StatusCode;

use super::Problem;
use crate::context::OrderError;

impl Problem {
    /// 404: the configuration has no capture of this name.
    pub fn no_capture() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:no-capture",
            "No such capture",
            "There is no capture of this name; GET of /operations/captures lists those that are configured.",
        )
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-order",
            "What is said of the patient or study cannot be taken",
            format!("Nothing was changed: {error}."),
        )
    }
}
