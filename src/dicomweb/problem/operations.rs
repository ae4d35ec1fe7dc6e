//! What an operator asks of a capture cannot be done.

use http::StatusCode;

use super::Problem;
use crate::context::OrderError;
use crate::context::worklist::KeysError;

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

impl Problem {
    /// 409: by the configuration no operator says who is imaged by this capture.
    pub fn operator_not_heard() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "urn:framegate:problem:operator-not-heard",
            "Operators are not heard",
            "Nothing was changed: by the configuration of this capture (precedence) no operator says who is imaged.",
        )
    }

    /// 404: no entry of the worklist is meant.
    pub fn no_entry() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:no-entry",
            "No such entry",
            "Nothing was changed: no entry of the worklist has these values. GET of /operations/worklist lists those \
             that are known.",
        )
    }

    /// 409: several entries of the worklist are meant, so many.
    pub fn several_entries(count: usize) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "urn:framegate:problem:several-entries",
            "Several entries",
            format!(
                "Nothing was changed: {count} entries of the worklist have these values; say more of the one."
            ),
        )
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-keys",
            "What is said of the entry cannot be taken",
            format!("Nothing was changed: {error}."),
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
