//! What is counted of the talk with the RIS. No label holds PHI: they are names of the configuration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A worklist.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Of {
    /// Name of its section.
    pub(super) worklist: String,
}

/// A worklist, and what became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Asked {
    /// Name of its section.
    pub(super) worklist: String,
    /// `answered` or `failed`.
    pub(super) outcome: &'static str,
}

/// A peer, what it was told, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Told {
    /// Name of its section.
    pub(super) peer: String,
    /// `create` or `set`.
    pub(super) message: &'static str,
    /// `sent`, or `refused` for good.
    pub(super) outcome: &'static str,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct To {
    /// Name of its section.
    pub(super) peer: String,
}

/// What is counted. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct ProcedureCounters {
    pub(super) asked: Family<Asked, Counter>,
    pub(super) entries: Family<Of, Gauge>,
    pub(super) answered: Family<Of, Gauge>,
    pub(super) left_out: Family<Of, Counter>,
    pub(super) told: Family<Told, Counter>,
    pub(super) failed: Family<To, Counter>,
    /// What is wrong with a worklist, and with a peer of performed procedure steps, as the log has it.
    complaints: Arc<Mutex<BTreeMap<(Kind, String), String>>>,
}

/// Which kind of peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `[worklist.NAME]`.
    Worklist,
    /// `[mpps.NAME]`.
    Mpps,
}

impl ProcedureCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let worklist = registry.sub_registry_with_prefix("worklist");
        worklist.register("requests", "Requests to a worklist by outcome", self.asked.clone());
        worklist.register("entries", "Entries of its last answer", self.entries.clone());
        worklist.register(
            "answered_timestamp_seconds",
            "Unix time of its last answer",
            self.answered.clone(),
        );
        let help = "Entries that could not be used, or were beyond the bound";
        worklist.register("entries_left_out", help, self.left_out.clone());
        let help = "Messages about performed procedure steps by peer, kind and outcome";
        let mpps = registry.sub_registry_with_prefix("mpps");
        mpps.register("messages", help, self.told.clone());
        mpps.register("failures", "Tries that failed and are made again", self.failed.clone());
    }

    /// What is wrong with a peer now; `None` where nothing is known to be. Holds no PHI.
    pub fn complaint(&self, kind: Kind, name: &str) -> Option<String> {
        self.complaints().get(&(kind, name.to_owned())).cloned()
    }

    /// Entries of the last answer of a worklist, and when that came; `None` where none has come.
    pub fn last_answer(&self, worklist: &str) -> Option<(u64, SystemTime)> {
        let of = Of { worklist: worklist.to_owned() };
        let (entries, at) = (self.entries.get(&of)?.get(), self.answered.get(&of)?.get());
        let count = |number| u64::try_from(number).unwrap_or(0);
        Some((count(entries), SystemTime::UNIX_EPOCH + Duration::from_secs(count(at))))
    }

    /// Messages that a peer has taken, and tries and messages that came to nothing.
    pub fn told_in_all(&self, peer: &str) -> (u64, u64) {
        let of = |message, outcome| {
            let told = Told { peer: peer.to_owned(), message, outcome };
            self.told.get(&told).map_or(0, |count| count.get())
        };
        let tries = self.failed.get(&To { peer: peer.to_owned() }).map_or(0, |count| count.get());
        (of("create", "sent") + of("set", "sent"), of("create", "refused") + of("set", "refused") + tries)
    }

    /// Says what is wrong with a peer, or that nothing is any more.
    pub(super) fn complains(&self, kind: Kind, name: &str, what: Option<String>) {
        let place = (kind, name.to_owned());
        match what {
            Some(what) => drop(self.complaints().insert(place, what)),
            None => drop(self.complaints().remove(&place)),
        }
    }

    fn complaints(&self) -> MutexGuard<'_, BTreeMap<(Kind, String), String>> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, worklist: &str, entries: usize, left_out: usize, at: SystemTime) {
        let of = Of { worklist: worklist.to_owned() };
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.asked(worklist, "answered");
        self.entries.get_or_create(&of).set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.answered.get_or_create(&of).set(i64::try_from(since).unwrap_or(i64::MAX));
        self.left_out.get_or_create(&of).inc_by(left_out as u64);
    }

    /// The worklist is not asked any more.
    pub(super) fn forget(&self, worklist: &str) {
        let of = Of { worklist: worklist.to_owned() };
        self.entries.remove(&of);
        self.answered.remove(&of);
        self.complains(Kind::Worklist, worklist, None);
    }

    pub(super) fn asked(&self, worklist: &str, outcome: &'static str) {
        self.asked.get_or_create(&Asked { worklist: worklist.to_owned(), outcome }).inc();
    }

    pub(super) fn failed(&self, peer: &str) {
        self.failed.get_or_create(&To { peer: peer.to_owned() }).inc();
    }

    pub(super) fn told(&self, peer: &str, message: &'static str, outcome: &'static str) {
        self.told.get_or_create(&Told { peer: peer.to_owned(), message, outcome }).inc();
    }
}

#[cfg(test)]
impl ProcedureCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        self.answered("", 0, 0, SystemTime::UNIX_EPOCH);
        self.failed("");
        self.told("", "", "");
    }
}
