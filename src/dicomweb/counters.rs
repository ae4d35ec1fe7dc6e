//! What the DICOMweb origin server counts. Labels have few values and hold no PHI.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which transaction, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// Word for the transaction.
    pub transaction: &'static str,
    /// HTTP status.
    pub status: u16,
}

/// A label with one of few fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Why.
    pub reason: &'static str,
}

/// Counters of the origin server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DicomwebCounters {
    /// Requests by transaction and status.
    pub requests: Family<Answered, Counter>,
    /// Requests whose credentials were not accepted, by reason.
    pub unauthenticated: Family<Reason, Counter>,
    /// Responses that were cut short because their reader lost the right to them, by a reload or with a token.
    pub withdrawn: Counter,
    /// Open-ended responses that are being written now.
    pub streams: Gauge,
    /// Instances handed to readers.
    pub sent: Counter,
    /// Bytes of them.
    pub sent_bytes: Counter,
    /// Instances that left the ring before a reader had taken them.
    pub missed: Counter,
    /// Instances left out of a stream since they cannot be had in the form asked for.
    pub unsuitable: Counter,
}

impl DicomwebCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let web = registry.sub_registry_with_prefix("dicomweb");
        web.register("requests", "Requests answered", self.requests.clone());
        let unauthenticated = self.unauthenticated.clone();
        web.register(
            "requests_unauthenticated",
            "Requests whose credentials were not accepted",
            unauthenticated,
        );
        web.register(
            "responses_withdrawn",
            "Responses cut short with their reader's right",
            self.withdrawn.clone(),
        );
        web.register("streams_open", "Open-ended responses being written now", self.streams.clone());
        web.register("instances_sent", "Instances handed to readers", self.sent.clone());
        web.register("sent_bytes", "Bytes of instances handed to readers", self.sent_bytes.clone());
        web.register(
            "instances_missed",
            "Instances that left the ring before a reader took them",
            self.missed.clone(),
        );
        web.register(
            "instances_unsuitable",
            "Instances not available in the form asked for",
            self.unsuitable.clone(),
        );
    }
}

#[cfg(test)]
impl DicomwebCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        let _ = self.requests.get_or_create(&Answered { transaction: "", status: 0 });
        let _ = self.unauthenticated.get_or_create(&Reason { reason: "" });
    }
}
