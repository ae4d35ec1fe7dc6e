//! Instances that are posted to us over DICOMweb.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::settings::SendSettings;
use crate::hub::Hub;

/// Takes instances that are posted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SendSource {
    _hub: Hub,
    _settings: Arc<ArcSwap<SendSettings>>,
}

impl SendSource {
    /// A source that publishes into `hub`.
    pub fn new(hub: Hub, settings: Arc<ArcSwap<SendSettings>>) -> Self {
        Self { _hub: hub, _settings: settings }
    }
}
