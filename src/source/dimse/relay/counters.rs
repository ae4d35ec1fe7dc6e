//! What the relays count, by the name of the relay. No label holds PHI.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which relay.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    /// `[relay.NAME]`.
    pub relay: String,
}

/// Which relay, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct How {
    /// `[relay.NAME]`.
    pub relay: String,
    /// One of few words.
    pub how: &'static str,
}

/// Counters of the relays. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayCounters {
    /// Associations by what became of the request: `accepted`, `refused` by the upstream, `unreachable`,
    /// `left` by the modality before there was an answer.
    pub associations: Family<How, Counter>,
    /// Associations that ended without release, by who left: `modality`, `upstream`, `idle`, `draining`.
    pub broken: Family<How, Counter>,
    /// Associations open now.
    pub open: Family<Of, Gauge>,
    /// Bytes passed on to the upstream and back: `there`, `back`.
    pub bytes: Family<How, Counter>,
    /// C-STORE responses of the upstream that passed, by their kind: `success`, `warning`, `failure`.
    pub stored: Family<How, Counter>,
    /// Objects that were passed on and could not be streamed, by why.
    pub unstreamed: Family<How, Counter>,
    /// Why an upstream could not be reached the last time, by relay.
    away: Arc<Mutex<BTreeMap<String, String>>>,
}

impl RelayCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let relay = registry.sub_registry_with_prefix("relay");
        let families = [
            ("associations", "Associations by what became of the request", &self.associations),
            ("associations_broken", "Associations that ended without release, by who left", &self.broken),
            ("bytes", "Bytes passed on, there and back", &self.bytes),
            ("stored", "Answers of the upstream to C-STORE requests, by their kind", &self.stored),
            ("unstreamed", "Objects that were passed on and not streamed, by why", &self.unstreamed),
        ];
        for (name, help, family) in families {
            relay.register(name, help, family.clone());
        }
        relay.register("associations_open", "Associations open now", self.open.clone());
    }

    /// Why the upstream could not be reached, the last time that somebody tried; `None` where it could, or nobody has.
    pub fn away(&self, relay: &str) -> Option<String> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).get(relay).cloned()
    }

    /// The upstream could be reached, or why it could not.
    pub(super) fn reached(&self, relay: &str, error: Option<String>) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => drop(away.insert(relay.to_owned(), error)),
            None => drop(away.remove(relay)),
        }
    }

    pub(super) fn association(&self, relay: &str, how: &'static str) {
        self.associations.get_or_create(&How { relay: relay.to_owned(), how }).inc();
    }

    pub(super) fn broke(&self, relay: &str, how: &'static str) {
        self.broken.get_or_create(&How { relay: relay.to_owned(), how }).inc();
    }

    pub(super) fn unstreamed(&self, relay: &str, how: &'static str) {
        self.unstreamed.get_or_create(&How { relay: relay.to_owned(), how }).inc();
    }

    pub(super) fn passed(&self, relay: &str, how: &'static str) -> Counter {
        self.bytes.get_or_create(&How { relay: relay.to_owned(), how }).clone()
    }

    pub(super) fn answered(&self, relay: &str, status: u16) {
        let how = match status {
            0x0000 => "success",
            0xB000..=0xBFFF | 0x0001 | 0x0107 | 0x0116 => "warning",
            _ => "failure",
        };
        self.stored.get_or_create(&How { relay: relay.to_owned(), how }).inc();
    }
}
