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

/// Which relay, and what became of something there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Became {
    /// `[relay.NAME]`.
    pub relay: String,
    /// One of few words.
    pub outcome: &'static str,
}

/// Which relay, and which way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Towards {
    /// `[relay.NAME]`.
    pub relay: String,
    /// `there` or `back`.
    pub direction: &'static str,
}

/// Which relay, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Why {
    /// `[relay.NAME]`.
    pub relay: String,
    /// One of few words.
    pub reason: &'static str,
}

/// Counters of the relays. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayCounters {
    /// Associations by what became of the request: `accepted`, `refused` by the upstream, `unreachable`,
    /// `left` by the modality before there was an answer.
    pub associations: Family<Became, Counter>,
    /// Associations that ended without release, by who left: `modality`, `upstream`, `idle`, `draining`.
    pub broken: Family<Why, Counter>,
    /// Associations open now.
    pub open: Family<Of, Gauge>,
    /// Bytes passed on to the upstream and back: `there`, `back`.
    pub bytes: Family<Towards, Counter>,
    /// C-STORE responses of the upstream that passed, by their kind: `success`, `warning`, `failure`.
    pub stored: Family<Became, Counter>,
    /// Objects that were passed on and could not be streamed, by why.
    pub unstreamed: Family<Why, Counter>,
    /// Why an upstream could not be reached the last time, by relay.
    away: Arc<Mutex<BTreeMap<String, String>>>,
}

impl RelayCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let relay = registry.sub_registry_with_prefix("relay");
        let associations = "Associations by what became of the request";
        relay.register("associations", associations, self.associations.clone());
        let broken = "Associations that ended without release, by who left or why";
        relay.register("associations_broken", broken, self.broken.clone());
        relay.register("bytes", "Bytes passed on, there and back", self.bytes.clone());
        let stores = "Answers of the upstream to C-STORE requests, by their kind";
        relay.register("stores", stores, self.stored.clone());
        let unstreamed = "Objects that were passed on and not streamed, by why";
        relay.register("objects_unstreamed", unstreamed, self.unstreamed.clone());
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

    pub(super) fn association(&self, relay: &str, outcome: &'static str) {
        self.associations.get_or_create(&Became { relay: relay.to_owned(), outcome }).inc();
    }

    pub(super) fn broke(&self, relay: &str, reason: &'static str) {
        self.broken.get_or_create(&Why { relay: relay.to_owned(), reason }).inc();
    }

    pub(super) fn unstreamed(&self, relay: &str, reason: &'static str) {
        self.unstreamed.get_or_create(&Why { relay: relay.to_owned(), reason }).inc();
    }

    pub(super) fn passed(&self, relay: &str, direction: &'static str) -> Counter {
        self.bytes.get_or_create(&Towards { relay: relay.to_owned(), direction }).clone()
    }

    pub(super) fn answered(&self, relay: &str, status: u16) {
        let outcome = match status {
            0x0000 => "success",
            0xB000..=0xBFFF | 0x0001 | 0x0107 | 0x0116 => "warning",
            _ => "failure",
        };
        self.stored.get_or_create(&Became { relay: relay.to_owned(), outcome }).inc();
    }
}

#[cfg(test)]
impl RelayCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        self.association("", "");
        self.broke("", "");
        self.unstreamed("", "");
        self.passed("", "");
        self.answered("", 0);
        let _ = self.open.get_or_create(&Of { relay: String::new() });
    }
}
