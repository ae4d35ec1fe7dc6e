//! A subscription that is not there, not for the caller, or for which there is no room.

use std::time::Duration;

use http::StatusCode;

use super::Problem;
use crate::subscription::registry::SubscribeError;

/// Who found no room for a subscription may try again after this; leases end all the time.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(30);

impl Problem {
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

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn who_finds_no_room_may_come_back() {
        for error in [SubscribeError::Total(4096), SubscribeError::PerSubscriber(64)] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], "30");
        }
    }
}
