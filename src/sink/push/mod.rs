//! Push: instances to configured destinations, by [`Delivery::Push`] subscriptions.
//!
//! Each subscription has a task and a connection of its own ([`pusher`]), which is made before there is
//! anything to send. It reads the hub by a [`feed`] and hands over by Send ([`send`]), an open-ended request
//! whose [`body`] the connection pulls, or by Store ([`store`]), a request for each instance or batch; what
//! the answers mean is in [`deliver`] and [`answer`]. [`supervise`] starts and ends the tasks as subscriptions and
//! destinations come and go.
//!
//! Nothing here can hold up anybody else: a destination that is slow or dead only loses instances from the
//! ring, which are counted and told. What a push holds in memory is the instance that is on its way (Store:
//! one batch), whatever the failure.

pub mod answer;
mod body;
pub mod counters;
mod deliver;
mod destination;
pub(crate) mod events;
mod exchange;
mod feed;
mod part;
mod pusher;
mod send;
mod store;
mod supervise;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use self::counters::PushCounters;
use crate::audit::Audit;
use crate::config::settings::DestinationSettings;
use crate::hub::Hub;
use crate::sink::notify::Notifier;
use crate::sink::workers::Workers;
#[cfg(doc)]
use crate::subscription::registry::Delivery;
use crate::subscription::registry::Registry;

/// What pushing is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where instances come from.
    pub hub: Hub,
    /// Whose subscriptions are served.
    pub registry: Registry,
    /// Tells subscribers what they miss.
    pub notifier: Notifier,
    /// Threads for decoding and rendering.
    pub workers: Workers,
    /// What is counted.
    pub counters: PushCounters,
    /// The configured peers by name.
    pub destinations: BTreeMap<String, DestinationSettings>,
    /// How long what is in memory may still go out when the service stops.
    pub drain: Duration,
    /// What is told of whom gets what.
    pub audit: Audit,
}

/// Pushes for all subscriptions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Push {
    shared: Arc<Shared>,
}

/// Times that nobody needs to configure.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// A first Send request, to a peer that is not known to take them, is as long as this.
    trial: Duration,
    /// What went out within this time before a connection broke may not have arrived.
    doubt: Duration,
}

const TIMES: Times = Times { trial: Duration::from_secs(1), doubt: Duration::from_secs(1) };

#[derive(Debug)]
struct Shared {
    hub: Hub,
    registry: Registry,
    notifier: Notifier,
    workers: Workers,
    counters: PushCounters,
    drain: Duration,
    audit: Audit,
    times: Times,
    destinations: watch::Sender<BTreeMap<String, DestinationSettings>>,
}

impl Push {
    /// Does nothing until it is [run](Push::run).
    pub fn new(parts: Parts) -> Self {
        Self::with_times(parts, TIMES)
    }

    fn with_times(parts: Parts, times: Times) -> Self {
        let Parts { hub, registry, notifier, workers, counters, destinations, drain, audit } = parts;
        let destinations = watch::Sender::new(destinations);
        let shared = Shared { hub, registry, notifier, workers, counters, drain, audit, times, destinations };
        Self { shared: Arc::new(shared) }
    }

    /// Takes changed destinations: those who push to one that has changed connect anew and go on where
    /// they were, those of one that is gone end.
    pub fn reload(&self, destinations: BTreeMap<String, DestinationSettings>) {
        self.shared.destinations.send_replace(destinations);
    }

    /// Serves the subscriptions until `stopping` turns true and what is under way has ended: requests get
    /// their closing delimiter once what is in memory is out, or when the drain time is over.
    pub async fn run(self, stopping: watch::Receiver<bool>) {
        supervise::run(self.shared, stopping).await;
    }
}
