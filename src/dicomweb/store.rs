//! Store (STOW-RS, PS3.18 §10.5) and Send.

use http::Request;
use hyper::body::Incoming;

use super::access::Caller;
use super::problem::Problem;
use super::{Answer, Origin};
use crate::instance::Uid;

/// Takes the instances of a request; `study` is the only one that they may be of, if given.
pub(super) async fn store(
    _origin: &Origin,
    _request: Request<Incoming>,
    _caller: &Caller,
    _study: Option<Uid>,
) -> Answer {
    Err(Problem::internal())
}
