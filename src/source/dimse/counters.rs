//! What the DIMSE source counts. Registered by the service; labels hold no PHI and have few
//! values.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::dimse::command::Status;

/// A label with one of few fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Why.
    pub reason: &'static str,
}

/// How a C-STORE request was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// Status (0000,0900) in hexadecimal, such as `A700`.
    pub status: &'static str,
    /// Why; `stored` where it was.
    pub reason: &'static str,
}

/// Counters of the DIMSE source. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DimseCounters {
    /// Associations that were accepted.
    pub accepted: Counter,
    /// Associations that were refused, or connections that never became one.
    pub refused: Family<Reason, Counter>,
    /// Associations that ended without a release.
    pub broken: Family<Reason, Counter>,
    /// Associations open now.
    pub open: Gauge,
    /// C-STORE requests by how they were answered.
    pub stores: Family<Answered, Counter>,
    /// Instances published.
    pub published: Counter,
    /// Instances that the ring held already.
    pub duplicates: Counter,
    /// Bytes of data sets received.
    pub bytes: Counter,
}

impl DimseCounters {
    /// A C-STORE request is answered.
    pub(super) fn answered(&self, status: Status, reason: &'static str) {
        self.stores.get_or_create(&Answered { status: status.hex(), reason }).inc();
    }

    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let dimse = registry.sub_registry_with_prefix("dimse");
        dimse.register("associations", "Associations accepted", self.accepted.clone());
        dimse.register("associations_refused", "Associations refused", self.refused.clone());
        dimse.register("associations_broken", "Associations that ended without release", self.broken.clone());
        dimse.register("associations_open", "Associations open now", self.open.clone());
        let help = "C-STORE requests answered, by the status (hexadecimal) and why";
        dimse.register("stores", help, self.stores.clone());
        dimse.register("instances", "Instances published", self.published.clone());
        dimse.register(
            "instances_duplicate",
            "Instances that the ring held already",
            self.duplicates.clone(),
        );
        dimse.register("received_bytes", "Bytes of data sets received", self.bytes.clone());
    }
}

#[cfg(test)]
impl DimseCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        let _ = self.refused.get_or_create(&Reason { reason: "" });
        let _ = self.broken.get_or_create(&Reason { reason: "" });
        self.answered(Status::Success, "");
    }
}
