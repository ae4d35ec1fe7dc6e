//! What is wrong with a request itself: a path, parameter, header field or content that cannot be read,
//! that no resource has, or that asks for what cannot be made.

use std::borrow::Cow;

use http::StatusCode;
use http::header::{ALLOW, HeaderValue};

use super::Problem;
use crate::dicomweb::media::MediaError;
use crate::dicomweb::routes::{MAX_PATH_BYTES, RouteError, Template};
use crate::subscription::query::QueryError;

/// Longest parameter name that a detail repeats (characters).
const MAX_NAME: usize = 64;

impl Problem {
    /// 400: a query parameter or header field has a value that cannot be read. `expected` says
    /// what it takes, such as `a number from 1 to 100`.
    pub fn bad_parameter(name: &str, expected: &str) -> Self {
        let name = shown_name(name);
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-parameter",
            "A parameter is malformed",
            format!("The parameter {name} takes {expected}."),
        )
    }

    /// 400: a search has a parameter that cannot be read. The error names it, never its value.
    pub fn bad_search(error: &QueryError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-parameter",
            "A parameter is malformed",
            error.to_string(),
        )
    }

    /// 400: a parameter that this request does not take. Where a search ignores it, a request that changes
    /// something must not guess: a subscription whose only key is misspelt would match everything.
    pub fn unexpected_parameter(name: &str) -> Self {
        let name = shown_name(name);
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:unexpected-parameter",
            "A parameter is not for this request",
            format!("The parameter {name} is neither an attribute nor an option that this request takes."),
        )
    }

    /// 400: the Accept header field or parameter is malformed or contradicts itself (PS3.18
    /// §8.7.5: DICOM and rendered media types mixed).
    pub fn bad_accept(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-accept",
            "The acceptable media types cannot be read",
            reason,
        )
    }

    /// 400: a part of the path cannot be read; `part` names it, such as `frame list`.
    pub fn bad_path(part: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-path",
            "A part of the path is malformed",
            format!("The {part} in the path is malformed."),
        )
    }

    /// 404: no resource of this server has such a path.
    pub fn unknown_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:unknown-path",
            "No such resource",
            "No resource has this path. OPTIONS on the service root lists those that exist.",
        )
    }

    /// 405, with the methods that this resource answers.
    pub fn method_not_allowed(template: &Template) -> Self {
        let allow = template.allow();
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "urn:framegate:problem:method-not-allowed",
            "Method not allowed",
            format!("This resource answers {allow}."),
        );
        match HeaderValue::from_str(&allow) {
            Ok(allow) => problem.with_header(ALLOW, allow),
            Err(_) => problem,
        }
    }

    /// 406: none of the acceptable media types and transfer syntaxes can be made; `available`
    /// lists those that can.
    pub fn not_acceptable<S: AsRef<str>>(available: &[S]) -> Self {
        let list = available.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
        let detail = if list.is_empty() {
            Cow::Borrowed("This resource has no representation in any media type.")
        } else {
            Cow::Owned(format!("Available: {list}."))
        };
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "urn:framegate:problem:not-acceptable",
            "No acceptable representation",
            detail,
        )
    }

    /// 408: the content of the request did not come to its end in time.
    pub fn content_incomplete() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "urn:framegate:problem:content-incomplete",
            "The content did not arrive",
            "The content of the request did not arrive whole and in time.",
        )
    }

    /// 413: the content of the request exceeds `limit` bytes.
    pub fn content_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "urn:framegate:problem:content-too-large",
            "Too much content",
            format!("The limit on the content of this request is {limit} bytes."),
        )
    }

    /// 414: the request target exceeds `limit` bytes.
    pub fn uri_too_long(limit: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            "urn:framegate:problem:uri-too-long",
            "Request target too long",
            format!("The limit is {limit} bytes."),
        )
    }

    /// 415: the body is not of a media type or coding that this resource takes; `detail` says which
    /// it does.
    pub fn unsupported_media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "urn:framegate:problem:unsupported-media-type",
            "Unsupported media type",
            detail,
        )
    }

    /// 400: the body of the request, or what its Content-Type says of it, cannot be read.
    pub fn bad_body(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-body",
            "The body of the request cannot be read",
            reason,
        )
    }
}

/// A name may come from the request's own text; one that is no name at all may hold a value.
fn shown_name(name: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.len() <= MAX_NAME && !name.is_empty() && name.chars().all(is_name) {
        name
    } else {
        "(not a name)"
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::unknown_path(),
            RouteError::Malformed(part) => Self::bad_path(part),
            RouteError::TooLong => Self::uri_too_long(MAX_PATH_BYTES),
        }
    }
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::NotAcceptable(available) => Self::not_acceptable(available),
            MediaError::Mixed | MediaError::Malformed(_) => Self::bad_accept(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicomweb::routes::{TEMPLATES, parse};

    #[test]
    fn what_is_not_a_parameter_name_is_not_repeated() {
        assert!(Problem::bad_parameter("StudyDate", "a date").detail.contains("StudyDate"));
        for text in ["DOE^JOHN", "a b", "é", "", &"x".repeat(65)] {
            let detail = Problem::bad_parameter(text, "a date").detail;
            assert_eq!(detail, "The parameter (not a name) takes a date.");
            let detail = Problem::unexpected_parameter(text).detail;
            assert!(detail.starts_with("The parameter (not a name) is neither"), "{detail}");
        }
    }

    #[test]
    fn media_errors_keep_their_status_and_list_what_is_available() {
        const AVAILABLE: &[&str] = &["image/jpeg", "image/png"];
        for error in [MediaError::NotAcceptable(AVAILABLE), MediaError::Mixed, MediaError::Malformed("x")] {
            assert_eq!(Problem::from(error).status, error.status());
        }
        let detail = Problem::from(MediaError::NotAcceptable(AVAILABLE)).detail;
        assert_eq!(detail, "Available: image/jpeg, image/png.");
    }

    #[test]
    fn route_errors_keep_their_status_and_not_their_text() {
        for (path, status) in [
            ("/dicomweb/DOE", StatusCode::NOT_FOUND),
            ("/dicomweb/studies/DOE", StatusCode::BAD_REQUEST),
            (&*format!("/dicomweb/DOE{}", "/".repeat(MAX_PATH_BYTES)), StatusCode::URI_TOO_LONG),
        ] {
            let problem = Problem::from(parse(path).unwrap_err());
            assert_eq!(problem.status, status);
            assert!(!problem.detail.contains("DOE"));
        }
    }

    #[test]
    fn method_not_allowed_carries_allow() {
        let response = Problem::method_not_allowed(&TEMPLATES[1]).into_response();
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, POST, OPTIONS");
    }
}
