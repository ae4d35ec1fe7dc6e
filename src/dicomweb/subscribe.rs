//! Registration of standing searches.

use http::Request;
use hyper::body::Incoming;

use super::access::Caller;
use super::problem::Problem;
use super::{Answer, Origin};
use crate::subscription::registry::Subscriber;
use crate::subscription::scope::Scope;

/// `GET`, `POST` or `DELETE` of the subscriptions of a subscriber to a search resource.
pub(super) async fn subscription(
    _origin: &Origin,
    _request: Request<Incoming>,
    _caller: &Caller,
    _scope: Scope,
    _subscriber: &Subscriber,
) -> Answer {
    Err(Problem::internal())
}

/// Suspends or resumes them.
pub(super) fn suspend(
    _origin: &Origin,
    _request: &Request<Incoming>,
    _caller: &Caller,
    _scope: &Scope,
    _subscriber: &Subscriber,
    _suspended: bool,
) -> Answer {
    Err(Problem::internal())
}
