//! The request is right, but the server does not have what it names, or cannot answer it at present.

use std::time::Duration;

use http::StatusCode;

use super::Problem;

impl Problem {
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

    /// 410: it was here and has left the ring.
    pub fn gone() -> Self {
        Self::new(
            StatusCode::GONE,
            "urn:framegate:problem:gone",
            "No longer held",
            "This was live here and has left the ring; it will not come back. Ask the archive.",
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

    /// 500: our fault. The cause goes to our log, not to the client.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "urn:framegate:problem:internal",
            "Internal error",
            "The server failed to answer this request; its log holds the cause.",
        )
    }
}
