//! A notification connection that is not opened.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};

use super::Problem;

/// A client with too many notification connections may try again after this.
const CHANNEL_SOON: Duration = Duration::from_secs(5);

impl Problem {
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
}
