//! What Send and Store count. Registered by the service; labels hold no PHI and have few values.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::net::counters::Tally;

/// A label with one of few fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Why.
    pub reason: &'static str,
}

/// Counters of the send source. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SendCounters {
    /// Requests whose body was begun.
    pub requests: Counter,
    /// Requests open now.
    pub open: Gauge,
    /// Requests that were turned away since too many were open.
    pub turned_away: Counter,
    /// Requests that did not come to their end.
    pub broken: Family<Reason, Counter>,
    /// Objects that were taken.
    pub taken: Counter,
    /// Objects that were refused.
    pub failed: Family<Reason, Counter>,
    /// Instances published.
    pub published: Counter,
    /// Instances that the ring held already.
    pub duplicates: Counter,
    /// Bytes of bodies received.
    pub bytes: Counter,
    /// Keeps the log of refused objects short.
    pub(super) refusals: Arc<Tally>,
}

impl SendCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let send = registry.sub_registry_with_prefix("send");
        send.register("requests", "Send and Store requests begun", self.requests.clone());
        send.register("requests_open", "Send and Store requests open now", self.open.clone());
        send.register("requests_turned_away", "Requests beyond send.requests", self.turned_away.clone());
        send.register("requests_broken", "Requests that did not come to their end", self.broken.clone());
        send.register("objects_taken", "Objects that were taken", self.taken.clone());
        send.register("objects_refused", "Objects that were refused", self.failed.clone());
        send.register("instances", "Instances published", self.published.clone());
        send.register("instances_duplicate", "Instances that the ring held already", self.duplicates.clone());
        send.register("received_bytes", "Bytes of bodies received", self.bytes.clone());
    }
}

#[cfg(test)]
impl SendCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        let _ = self.broken.get_or_create(&Reason { reason: "" });
        let _ = self.failed.get_or_create(&Reason { reason: "" });
    }
}
