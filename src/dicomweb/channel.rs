//! Open Notification Connection (PS3.18 §8.10).

use http::Request;
use hyper::body::Incoming;

use super::access::Caller;
use super::problem::Problem;
use super::{Answer, Origin};
use crate::subscription::registry::Subscriber;

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked_for(_request: &Request<Incoming>) -> bool {
    false
}

/// Upgrades a request to a notification connection.
pub(super) fn open(
    _origin: &Origin,
    _request: Request<Incoming>,
    _caller: &Caller,
    _subscriber: Option<&Subscriber>,
) -> Answer {
    Err(Problem::internal())
}
