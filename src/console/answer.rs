//! How the console answers: JSON or Problem Details (RFC 9457), and with every answer the header fields that keep
//! a browser from doing more with it than we meant.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use serde::Serialize;

use super::events;
use crate::config::settings::Right;
use crate::dicomweb::problem::Problem;
use crate::net::http::Body;

/// What a request comes to.
pub(super) type Answer = Result<Response<Body>, Problem>;

/// Scripts, styles, pictures, fonts and requests are of ours alone, nothing stands inline, and nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds them.
pub(super) fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// 200 with this content.
pub(super) fn content(media: &'static str, bytes: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// 200 with this value.
pub(super) fn json(value: &impl Serialize) -> Answer {
    let written = serde_json::to_vec(value).map_err(|error| {
        events::AnswerUnwritable { error: &error }.tell();
        Problem::internal()
    })?;
    Ok(content("application/json", written))
}

/// 204.
pub(super) fn done() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// No content.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The response to a request that failed.
pub(super) fn told(problem: Problem) -> Response<Body> {
    problem.into_response().map(|content| Full::from(content).map_err(|never| match never {}).boxed_unsync())
}

/// 401: there is no session, or it is over.
pub(super) fn no_session() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "urn:framegate:problem:no-session",
        "No session",
        "Log in: POST /api/login with a one-time code, or with a client certificate.",
    )
}

/// 401: nobody is let in by what was shown.
pub(super) fn not_let_in() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "urn:framegate:problem:not-let-in",
        "Not let in",
        "The code is wrong, used up, voided by wrong tries or older than ten minutes; make another one with \
         framegate console-code. Without a code, the client certificate must be one of a principal who has the right \
         console.",
    )
}

/// 403: the request did not come from a page of ours.
pub(super) fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "urn:framegate:problem:foreign-request",
        "Foreign request",
        "What changes something needs an Origin that is the console's own and, in a session, its x-csrf-token.",
    )
}

/// 403: the session's owner may not.
pub(super) fn may_not(right: Right) -> Problem {
    Problem::missing_right(right)
}

/// 405.
pub(super) fn another_method(allowed: &http::Method) -> Problem {
    let name = if *allowed == http::Method::GET { "GET, HEAD" } else { allowed.as_str() };
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "urn:framegate:problem:method-not-allowed",
        "Method not allowed",
        format!("This takes {name}."),
    );
    let allow = HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("GET"));
    problem.with_header(http::header::ALLOW, allow)
}
