//! Who asks is not known, may not, or asks too often.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};

use super::Problem;
use crate::config::settings::Right;

/// What a 401 asks for. RFC 6750 §3 wants a parameter; the realm is all there is to say.
const CHALLENGE: &str = "Bearer realm=\"framegate\"";
const REFUSED_CHALLENGE: &str = "Bearer realm=\"framegate\", error=\"invalid_token\"";

impl Problem {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
