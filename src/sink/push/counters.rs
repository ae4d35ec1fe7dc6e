//! What is counted of pushing, by destination. The label is the destination's name in the configuration;
//! no label or value comes from an instance or, but for its status, from a peer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::subscription::registry::{PushState, Subscription};

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    /// Its name in the configuration.
    pub destination: String,
}

/// Instances that a destination did not take, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Failed {
    /// The destination's name.
    pub destination: String,
    /// Failure Reason (0008,1197) in hex, with `x` for digits that are not told apart; `content` where the
    /// whole request was refused for what was in it; `unnamed` where the response names the instance
    /// neither as taken nor as failed; `unsuitable` where it cannot be had in the form asked for.
    pub reason: &'static str,
}

/// Requests, and how they were answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The destination's name.
    pub destination: String,
    /// `send` or `store`.
    pub transaction: &'static str,
    /// HTTP status; 0 where none came.
    pub status: u16,
}

/// Subscriptions by how their push stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Standing {
    /// The destination's name.
    pub destination: String,
    /// `idle`, `connecting`, `sending`, `waiting` or `refused`.
    pub state: &'static str,
}

/// Counters of pushing. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PushCounters {
    /// Instances handed over (Send) or taken (Store).
    pub sent: Family<Of, Counter>,
    /// Bytes of instances handed over, in the form that they went out in.
    pub bytes: Family<Of, Counter>,
    /// Instances handed over once more, since they may not have arrived.
    pub repeated: Family<Of, Counter>,
    /// Instances taken with a warning.
    pub warnings: Family<Of, Counter>,
    /// Instances not taken.
    pub failed: Family<Failed, Counter>,
    /// Instances that left the ring before the destination took them.
    pub missed: Family<Of, Counter>,
    /// Requests by answer.
    pub requests: Family<Answered, Counter>,
    /// Connections made.
    pub connections: Family<Of, Counter>,
    /// Connections that could not be made.
    pub connections_failed: Family<Of, Counter>,
    /// How the pushes stand.
    pub states: Family<Standing, Gauge>,
}

impl PushCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let push = registry.sub_registry_with_prefix("push");
        push.register("instances_sent", "Instances pushed", self.sent.clone());
        push.register("sent_bytes", "Bytes of instances pushed", self.bytes.clone());
        push.register(
            "instances_repeated",
            "Instances pushed once more, since they may not have arrived",
            self.repeated.clone(),
        );
        push.register("instances_warned", "Instances taken with a warning", self.warnings.clone());
        push.register("instances_failed", "Instances not taken by the destination", self.failed.clone());
        push.register(
            "instances_missed",
            "Instances that left the ring before the destination took them",
            self.missed.clone(),
        );
        push.register(
            "requests",
            "Requests by transaction and status (0: no answer came)",
            self.requests.clone(),
        );
        push.register("connections", "Connections made", self.connections.clone());
        push.register(
            "connections_failed",
            "Connections that could not be made",
            self.connections_failed.clone(),
        );
        push.register("subscriptions", "Subscriptions by how their push stands", self.states.clone());
    }
}

/// One subscription's push, told to its subscriber, and counted, under its destination.
#[derive(Debug)]
pub(super) struct Tally {
    subscription: Arc<Subscription>,
    counters: PushCounters,
    destination: String,
    /// Where the gauge has it.
    state: Mutex<&'static str>,
}

impl Tally {
    pub(super) fn new(subscription: Arc<Subscription>, counters: PushCounters, destination: String) -> Self {
        let tally = Self { subscription, counters, destination, state: Mutex::new("idle") };
        tally.gauge("idle").inc();
        tally
    }

    /// Says how the push stands.
    pub(super) fn stands(&self, state: PushState) {
        self.subscription.progress().set_state(state);
        let word = word(state);
        let before = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), word);
        self.gauge(before).dec();
        self.gauge(word).inc();
    }

    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// Says what is wrong; `None` is nothing any more.
    pub(super) fn complains(&self, what: Option<&str>) {
        self.subscription.progress().set_complaint(what);
    }

    pub(super) fn sent(&self, instances: u64) {
        self.subscription.progress().sent.fetch_add(instances, Ordering::Relaxed);
        self.counters.sent.get_or_create(&self.of()).inc_by(instances);
    }

    pub(super) fn bytes(&self, bytes: u64) {
        self.counters.bytes.get_or_create(&self.of()).inc_by(bytes);
    }

    /// These count as sent already, and will be sent again.
    pub(super) fn repeats(&self, instances: u64) {
        let less = |sent: u64| Some(sent.saturating_sub(instances));
        let _ = self.subscription.progress().sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.counters.repeated.get_or_create(&self.of()).inc_by(instances);
    }

    pub(super) fn warned(&self, instances: u64) {
        self.counters.warnings.get_or_create(&self.of()).inc_by(instances);
    }

    pub(super) fn failed(&self, reason: &'static str, instances: u64) {
        if instances == 0 {
            // Nor a line of zeros in the metrics.
            return;
        }
        self.subscription.progress().failed.fetch_add(instances, Ordering::Relaxed);
        let failed = Failed { destination: self.destination.clone(), reason };
        self.counters.failed.get_or_create(&failed).inc_by(instances);
    }

    /// The notifier tells the subscriber.
    pub(super) fn missed(&self, instances: u64) {
        self.counters.missed.get_or_create(&self.of()).inc_by(instances);
    }

    pub(super) fn answered(&self, transaction: &'static str, status: u16) {
        let answered = Answered { destination: self.destination.clone(), transaction, status };
        self.counters.requests.get_or_create(&answered).inc();
    }

    pub(super) fn connected(&self, made: bool) {
        let counter = if made { &self.counters.connections } else { &self.counters.connections_failed };
        counter.get_or_create(&self.of()).inc();
    }

    fn of(&self) -> Of {
        Of { destination: self.destination.clone() }
    }

    fn gauge(&self, state: &'static str) -> Gauge {
        let standing = Standing { destination: self.destination.clone(), state };
        self.counters.states.get_or_create_owned(&standing)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let state = *self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.gauge(state).dec();
    }
}

fn word(state: PushState) -> &'static str {
    match state {
        PushState::Idle => "idle",
        PushState::Connecting => "connecting",
        PushState::Sending => "sending",
        PushState::Waiting(_) => "waiting",
        PushState::Refused => "refused",
    }
}

#[cfg(test)]
impl PushCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        let of = Of { destination: String::new() };
        for family in [
            &self.sent,
            &self.bytes,
            &self.repeated,
            &self.warnings,
            &self.missed,
            &self.connections,
            &self.connections_failed,
        ] {
            let _ = family.get_or_create(&of);
        }
        let _ = self.failed.get_or_create(&Failed { destination: String::new(), reason: "" });
        let _ =
            self.requests.get_or_create(&Answered { destination: String::new(), transaction: "", status: 0 });
        let _ = self.states.get_or_create(&Standing { destination: String::new(), state: "" });
    }
}
