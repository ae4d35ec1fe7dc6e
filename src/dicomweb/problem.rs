//! What a client is told when it does not get what it asked for.
//!
//! A [`Problem`] is a status, a stable type that a program can act on and a sentence that a person
//! can act on, sent as Problem Details (RFC 9457). Texts name the parameter, field or resource
//! kind at fault and what would have been right; they never repeat a value, since values of a
//! DICOMweb request (patient names, identifiers, filters) are PHI and responses end up in logs.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde_json::json;

use super::media::MediaError;
use super::routes::{MAX_PATH_BYTES, RouteError, Template};
use crate::config::settings::Right;
use crate::subscription::query::QueryError;
use crate::subscription::registry::SubscribeError;

/// Media type of Problem Details (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A client with too many notification connections may try again after this.
const CHANNEL_SOON: Duration = Duration::from_secs(5);

/// Longest parameter name that a detail repeats (characters).
const MAX_NAME: usize = 64;

/// What a 401 asks for. RFC 6750 §3 wants a parameter; the realm is all there is to say.
const CHALLENGE: &str = "Bearer realm=\"framegate\"";
const REFUSED_CHALLENGE: &str = "Bearer realm=\"framegate\", error=\"invalid_token\"";
/// Who found no room for a subscription may try again after this; leases end all the time.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(30);

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
    fn new(
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
    fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

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

    /// 401: who it is, is not known, or what was shown for it is not accepted; of a token the challenge says
    /// so (RFC 6750 §3). Which check failed stands in our log only.
    pub fn unauthenticated(token_refused: bool) -> Self {
        let (detail, challenge) = if token_refused {
            ("The credentials are not accepted; the server's log says why.", REFUSED_CHALLENGE)
        } else {
            (
                "This asks for a bearer token, or a client certificate, of somebody who is known here.",
                CHALLENGE,
            )
        };
        Self::new(
            StatusCode::UNAUTHORIZED,
            "urn:framegate:problem:unauthenticated",
            "Not authenticated",
            detail,
        )
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 403: who it is, is known, but lacks a right.
    pub fn missing_right(right: Right) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:framegate:problem:missing-right",
            "A right is missing",
            format!("This takes the right {}; the operator of the server may grant it.", right.word()),
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

    /// 404: the path is right, but what it names is neither live nor still held.
    pub fn not_live() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:not-live",
            "Not live here",
            "Nothing with these identifiers is live or still held. This server is no archive: it has a \
             series only while it is acquired and for a short time after.",
        )
    }

    /// 404: the subscriber has no such subscription to this resource, or it is somebody else's.
    pub fn no_subscription() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:no-subscription",
            "No such subscription",
            "The subscriber has no such subscription to this resource. One whose lease is over is gone and \
             must be registered anew.",
        )
    }

    /// 404: no destination of this name is configured, or it is not for the caller. Both look alike, so
    /// that names cannot be found out by trying.
    pub fn no_destination() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:no-destination",
            "No such destination",
            "There is no destination of this name that you may push to. Destinations are configured by the \
             operator of this server.",
        )
    }

    /// 403: a subscription of the configuration is not for deleting.
    pub fn standing_subscription() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:framegate:problem:standing-subscription",
            "The configuration has this subscription",
            "A subscription of the server's configuration can be suspended, but not deleted; nothing was \
             deleted. Name another one by the parameter subscription.",
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
            format!("The limit on the content of this request is {limit} bytes; none is needed."),
        )
    }

    /// 410: it was here and has left the ring.
    pub fn gone() -> Self {
        Self::new(
            StatusCode::GONE,
            "urn:framegate:problem:gone",
            "No longer held",
            "This was live here and has left the ring; it will not come back. Ask the archive.",
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

    /// 429: this client is over its rate; it may come back after `wait`.
    pub fn too_many_requests(wait: Duration) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "urn:framegate:problem:too-many-requests",
            "Too many requests",
            "This address is over its request rate; Retry-After says when it may come back.",
        )
        .retry_after(wait)
    }

    /// 429: requests of this address were not authenticated too often; it may come back after `wait`.
    pub fn too_many_failures(wait: Duration) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "urn:framegate:problem:too-many-failures",
            "Too many failures",
            "Credentials from this address were refused too often; Retry-After says when to try again, with \
             others.",
        )
        .retry_after(wait)
    }

    /// 500: our fault. The cause goes to our log, not to the client.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "urn:framegate:problem:internal",
            "Internal error",
            "The server failed to answer this request; its log holds the cause.",
        )
    }

    /// 503: as much as is allowed is under way already; `wait` is when to try again.
    pub fn busy(wait: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "urn:framegate:problem:busy",
            "Busy",
            "As many requests of this kind as allowed are under way; Retry-After says when to try again.",
        )
        .retry_after(wait)
    }

    /// 503: the server is going down and takes nothing new; `wait` is when it may be back.
    pub fn draining(wait: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "urn:framegate:problem:draining",
            "Going down",
            "The server is going down and takes no new request; Retry-After says when to try again.",
        )
        .retry_after(wait)
    }

    /// 426: the resource speaks WebSocket only, of version 13 and over HTTP/1.1 (RFC 6455 §4.2.2).
    pub fn upgrade_required() -> Self {
        Self::new(
            StatusCode::UPGRADE_REQUIRED,
            "urn:framegate:problem:upgrade-required",
            "A WebSocket is needed",
            "This resource is a WebSocket (RFC 6455): open it with a wss URL, HTTP/1.1 and version 13.",
        )
        .with_header(UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
    }

    /// 400: the opening handshake of a WebSocket breaks RFC 6455 §4.2.1; `reason` says how.
    pub fn bad_handshake(reason: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:framegate:problem:bad-handshake",
            "The opening handshake is malformed",
            reason,
        )
    }

    /// 403: a browser asks for a page of an origin that may not listen.
    pub fn foreign_origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:framegate:problem:foreign-origin",
            "The page may not listen",
            "Pages of this origin may not listen without the channel's secret; use the URL that the \
             registration answered with, or add the origin to dicomweb.cors_origins.",
        )
    }

    /// 403: the subscriber's name belongs to another principal.
    pub fn not_your_subscriber() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:framegate:problem:not-your-subscriber",
            "The subscriber is somebody else's",
            "This subscriber's name belongs to another principal.",
        )
    }

    /// 404: there is no subscription to listen for.
    pub fn no_subscriber() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:framegate:problem:no-subscriber",
            "No subscription",
            "There is no subscription to listen for: it was never made, was ended, or its lease is over. \
             Register first.",
        )
    }

    /// 503: as many connections listen already as `most`, the bound.
    pub fn too_many_channels(most: usize) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "urn:framegate:problem:too-many-channels",
            "Too many notification connections",
            format!("There are {most} notification connections already; close one, or come back later."),
        )
        .retry_after(CHANNEL_SOON)
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

/// A name may come from the request's own text; one that is no name at all may hold a value.
fn shown_name(name: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.len() <= MAX_NAME && !name.is_empty() && name.chars().all(is_name) {
        name
    } else {
        "(not a name)"
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Taken => Self::new(
                StatusCode::FORBIDDEN,
                "urn:framegate:problem:subscriber-taken",
                "The subscriber belongs to somebody else",
                "This subscriber's name is in use by another principal; choose another one.",
            ),
            SubscribeError::Total(_) | SubscribeError::PerSubscriber(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:framegate:problem:too-many-subscriptions",
                "Too many subscriptions",
                format!("There is no room for another subscription: {error}."),
            )
            .retry_after(SUBSCRIBE_AGAIN),
        }
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
            (403, Problem::not_your_subscriber()),
            (404, Problem::no_subscriber()),
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

    #[test]
    fn method_not_allowed_carries_allow() {
        let response = Problem::method_not_allowed(&TEMPLATES[1]).into_response();
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, POST, OPTIONS");
    }

    #[test]
    fn a_401_asks_for_a_token_and_says_if_one_was_refused() {
        let challenge =
            |refused| Problem::unauthenticated(refused).into_response().headers()[WWW_AUTHENTICATE].clone();
        assert_eq!(challenge(false), "Bearer realm=\"framegate\"");
        assert_eq!(challenge(true), "Bearer realm=\"framegate\", error=\"invalid_token\"");
        for right in Right::ALL {
            assert!(Problem::missing_right(right).detail.contains(right.word()));
        }
    }

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
    fn who_finds_no_room_may_come_back() {
        for error in [SubscribeError::Total(4096), SubscribeError::PerSubscriber(64)] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], "30");
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
}
