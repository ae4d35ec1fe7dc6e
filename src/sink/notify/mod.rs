//! Notifications: events of live series to those who subscribed.

use crate::hub::Hub;
use crate::subscription::registry::Registry;

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
}
