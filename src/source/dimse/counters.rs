//! What the DIMSE source counts. Registered by the service; labels hold no PHI and have few
//! values.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A label with one of few fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Why.
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
    /// C-STORE requests that were answered with success.
    pub stored: Counter,
    /// C-STORE requests that were answered with a failure.
    pub failed: Family<Reason, Counter>,
    /// Instances published.
    pub published: Counter,
    /// Instances that the ring held already.
    pub duplicates: Counter,
    /// Bytes of data sets received.
    pub bytes: Counter,
}

impl DimseCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let dimse = registry.sub_registry_with_prefix("dimse");
        dimse.register("associations", "Associations accepted", self.accepted.clone());
        dimse.register("associations_refused", "Associations refused", self.refused.clone());
        dimse.register("associations_broken", "Associations that ended without release", self.broken.clone());
        dimse.register("associations_open", "Associations open now", self.open.clone());
        dimse.register("stored", "C-STORE requests answered with success", self.stored.clone());
        dimse.register("failed", "C-STORE requests answered with a failure", self.failed.clone());
        dimse.register("instances", "Instances published", self.published.clone());
        dimse.register("duplicates", "Instances that the ring held already", self.duplicates.clone());
        dimse.register("received_bytes", "Bytes of data sets received", self.bytes.clone());
    }
}
