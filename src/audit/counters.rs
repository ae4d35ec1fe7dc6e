//! What is counted of the audit trail. No label or value comes from an occurrence.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the audit trail. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AuditCounters {
    /// Messages handed to the receiver, those that were sent again included.
    pub sent: Counter,
    /// Messages that found no room while the receiver was away.
    pub lost: Counter,
    /// Messages that wait for the receiver.
    pub waiting: Gauge,
    /// 1 while there is a connection to the receiver.
    pub connected: Gauge,
    /// Connections to the receiver that could not be made, or broke.
    pub failures: Counter,
}

impl AuditCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let audit = registry.sub_registry_with_prefix("audit");
        audit.register("messages_sent", "Audit messages handed to the receiver", self.sent.clone());
        audit.register(
            "messages_lost",
            "Audit messages that found no room while the receiver was away",
            self.lost.clone(),
        );
        audit.register("messages_waiting", "Audit messages that wait for the receiver", self.waiting.clone());
        audit.register("connected", "Whether there is a connection to the receiver", self.connected.clone());
        audit.register(
            "connection_failures",
            "Connections to the receiver that could not be made, or broke",
            self.failures.clone(),
        );
    }
}
