//! Notifications: events of live series to those who subscribed.

use std::sync::Arc;

use crate::hub::{Hub, LiveSeries};
use crate::subscription::registry::{Registry, Subscription};

/// Tells subscribers what happens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notifier {
    _hub: Hub,
    _registry: Registry,
}

impl Notifier {
    /// Tells the subscribers of `registry` what happens in `hub`.
    pub fn new(hub: Hub, registry: Registry) -> Self {
        Self { _hub: hub, _registry: registry }
    }

    /// Tells a subscriber that instances are gone that it should have had: event 6, in its turn.
    pub fn missed(&self, _subscription: &Arc<Subscription>, _live: Option<&Arc<LiveSeries>>, _count: u64) {}
}
