//! What a client is told when it does not get what it asked for.
//!
//! A [`Problem`] is a status, a stable type that a program can act on and a sentence that a person
//! can act on, sent as Problem Details (RFC 9457). Texts name the parameter, field or resource
//! kind at fault and what would have been right; they never repeat a value, since values of a
//! DICOMweb request (patient names, identifiers, filters) are PHI and responses end up in logs.
//!
//! The constructors stand in the submodules, by what they are about.

mod access;
mod channel;
mod held;
mod operations;
mod request;
mod subscription;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::json;

/// Media type of Problem Details (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One failed request, ready to become its response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Type URI, `urn:framegate:problem:…`; stable across releases.
    pub kind: &'static str,
    /// The type in words; the same for every problem of one kind.
    pub title: &'static str,
    /// What was wrong this time and what would be right. Free of PHI.
    pub detail: Cow<'static, str>,
    /// Further header fields, such as `Retry-After` or `Allow`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this type. Types are constants, and the detail repeats no value of a request.
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), headers: Vec::new() }
    }

    /// Adds a header field to the response.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Whole seconds, rounded up and at least one, so that no client comes back too early.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The response: Problem Details, never cached.
    pub fn into_response(self) -> Response<Bytes> {
        let body = json!({
            "type": self.kind,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Right;
    use crate::context::OrderError;
    use crate::context::worklist::KeysError;
    use crate::dicomweb::routes::TEMPLATES;
    use crate::subscription::registry::SubscribeError;
    use serde_json::Value;

    fn all() -> Vec<(u16, Problem)> {
        let wait = Duration::from_millis(1500);
        vec![
            (400, Problem::bad_parameter("limit", "a number from 0")),
            (400, Problem::unexpected_parameter("PatientNmae")),
            (400, Problem::bad_accept("The media types of DICOM and rendered resources are mixed.")),
            (400, Problem::bad_path("frame list")),
            (401, Problem::unauthenticated(true)),
            (403, Problem::missing_right(Right::PushTo)),
            (404, Problem::unknown_path()),
            (404, Problem::not_live()),
            (403, SubscribeError::Taken.into()),
            (403, Problem::standing_subscription()),
            (404, Problem::no_subscription()),
            (404, Problem::no_destination()),
            (404, Problem::no_capture()),
            (400, OrderError::Empty.into()),
            (409, Problem::operator_not_heard()),
            (404, Problem::no_entry()),
            (409, Problem::several_entries(2)),
            (400, KeysError::Empty.into()),
            (408, Problem::content_incomplete()),
            (413, Problem::content_too_large(10)),
            (503, SubscribeError::Total(3).into()),
            (405, Problem::method_not_allowed(&TEMPLATES[0])),
            (406, Problem::not_acceptable(&["image/jpeg", "image/png"])),
            (410, Problem::gone()),
            (414, Problem::uri_too_long(10)),
            (415, Problem::unsupported_media_type("x")),
            (400, Problem::bad_body("x")),
            (429, Problem::too_many_requests(wait)),
            (429, Problem::too_many_failures(wait)),
            (500, Problem::internal()),
            (503, Problem::busy(wait)),
            (503, Problem::draining(wait)),
            (426, Problem::upgrade_required()),
            (400, Problem::bad_handshake("The key is malformed.")),
            (403, Problem::foreign_origin()),
            (503, Problem::too_many_channels(4)),
        ]
    }

    #[test]
    fn every_problem_is_a_whole_response() {
        for (status, problem) in all() {
            let kind = problem.kind;
            let response = problem.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["type"], kind);
            assert_eq!(body["status"], status);
            assert!(!body["title"].as_str().unwrap().is_empty());
            assert!(!body["detail"].as_str().unwrap().is_empty());
        }
    }

    #[test]
    fn kinds_are_distinct_urns() {
        let mut kinds: Vec<_> = all().into_iter().map(|(_, problem)| problem.kind).collect();
        assert!(kinds.iter().all(|kind| kind.starts_with("urn:framegate:problem:")));
        let before = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), before);
    }

    #[test]
    fn waits_are_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
            let response = Problem::draining(Duration::from_millis(millis)).into_response();
            assert_eq!(response.headers()[RETRY_AFTER], seconds, "{millis} ms");
        }
    }
}
