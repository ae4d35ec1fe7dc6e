//! What notification counts. Labels have few values and hold no PHI.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which event was told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Told {
    /// Word for the Event Type ID.
    pub event: &'static str,
}

/// Counters of notification. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct NotifyCounters {
    /// Events sent on connections, by type.
    pub events: Family<Told, Counter>,
    /// Events and instances that subscribers were told to have missed.
    pub missed: Counter,
    /// Notification connections that are open.
    pub connections: Gauge,
    /// Connections refused since the subscriber had as many as allowed.
    pub refused: Counter,
    /// Connections given up since the client took no bytes, or answered no ping.
    pub dropped: Counter,
    /// Events of the hub that were overtaken before they could be told.
    pub lagged: Counter,
}

impl NotifyCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let notify = registry.sub_registry_with_prefix("notify");
        notify.register("events", "Events sent on notification connections", self.events.clone());
        notify.register("events_missed", "Events and instances told as missed", self.missed.clone());
        notify.register("connections_open", "Notification connections open now", self.connections.clone());
        notify.register(
            "connections_refused",
            "Connections beyond the bound of one subscriber",
            self.refused.clone(),
        );
        notify.register(
            "connections_dropped",
            "Connections whose client took or answered nothing",
            self.dropped.clone(),
        );
        notify.register("events_overtaken", "Events overtaken before they were told", self.lagged.clone());
    }
}

#[cfg(test)]
impl NotifyCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        let _ = self.events.get_or_create(&Told { event: "" });
    }
}
