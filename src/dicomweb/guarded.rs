//! A response body that ends when its reader has lost the right to it.

use super::access::Caller;
use super::counters::DicomwebCounters;
use super::events;
use crate::config::settings::Right;
use crate::net::http::Body;
use crate::net::until::until;

/// Ends `body` when `caller` loses `right`.
pub(super) fn guarded(body: Body, caller: &Caller, right: Right, counters: &DicomwebCounters) -> Body {
    let (lost, counters) = (caller.lost(right), counters.clone());
    until(body, async move {
        lost.await;
        counters.withdrawn.inc();
        events::RightTaken {}.tell();
        "the right to this is over".into()
    })
}
