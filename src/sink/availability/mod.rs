//! Instance Availability Notification (PS3.4 Annex R), as its SCU: when a series has ended, each
//! configured peer (a RIS, say) is told over DIMSE which instances can be retrieved.
//!
//! ```text
//!   hub ── ended ──► one watcher ── Notice ──► a bounded queue ──► one task a peer ── N-CREATE
//! ```
//!
//! The watcher looks at the hub whenever a series opens, ends or leaves, rather than listening to its
//! feed, which a listener that is behind loses parts of. What a peer does not take in time is dropped,
//! oldest first, and counted; peers know nothing of each other and nobody waits for them. Nothing is told
//! at shutdown: what would be announced leaves memory with us.

mod association;
mod notice;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use self::association::{NotifyError, notify};
use self::notice::Notice;
use crate::config::settings::AvailabilitySettings;
use crate::hub::Hub;
use crate::instance::Uid;
use crate::net::tls::{ClientTls, DICOM_ALPN, Trust};

/// Notices that wait for a peer.
const QUEUE: usize = 64;
/// How often one is tried.
const TRIES: u32 = 3;
/// The pause after the first failure; it doubles.
const PAUSE: Duration = Duration::from_secs(2);

/// Which peer, and what became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// Name of the peer in the configuration.
    pub peer: String,
    /// `sent`, `failed`, or `dropped` from the queue.
    pub outcome: &'static str,
}

/// What is counted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AvailabilityCounters {
    /// Notifications by peer and outcome.
    pub notifications: Family<Outcome, Counter>,
}

impl AvailabilityCounters {
    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let ours = registry.sub_registry_with_prefix("availability");
        ours.register(
            "notifications",
            "Instance Availability Notifications by peer and outcome",
            self.notifications.clone(),
        );
    }

    fn count(&self, peer: &str, outcome: &'static str, by: u64) {
        self.notifications.get_or_create(&Outcome { peer: peer.to_owned(), outcome }).inc_by(by);
    }
}

/// Tells `peers` of every series of `hub` that ends, until `stopping` turns true.
pub async fn serve(
    peers: BTreeMap<String, AvailabilitySettings>,
    hub: Hub,
    counters: AvailabilityCounters,
    stopping: watch::Receiver<bool>,
) {
    let (queue, _) = broadcast::channel(QUEUE);
    let mut tasks = JoinSet::new();
    for (name, settings) in peers {
        let peer = Peer::new(name, settings, counters.clone());
        tasks.spawn(peer.serve(queue.subscribe()));
    }
    let mut stopping = stopping;
    tokio::select! {
        _ = stopping.wait_for(|&down| down) => {}
        () = watch_series(&hub, &queue) => {}
    }
    tasks.shutdown().await;
}

/// Queues a notice for every series that has ended with something new in it.
async fn watch_series(hub: &Hub, queue: &broadcast::Sender<Arc<Notice>>) {
    let mut changed = hub.changed();
    // By study and series: the newest instance when it was told. A series that opened again and ended
    // again without another instance is no news.
    let mut told: HashMap<(Uid, Uid), Uid> = HashMap::new();
    loop {
        let here = hub.series();
        let key = |live: &crate::hub::LiveSeries| (live.study().clone(), live.series().clone());
        told.retain(|known, _| here.iter().any(|live| key(live) == *known));
        for live in here.iter().filter(|live| live.end().is_some()) {
            let Some(newest) = live.instances().last().map(|last| last.identity().sop_instance.clone())
            else {
                continue;
            };
            if told.insert(key(live), newest.clone()).is_some_and(|before| before == newest) {
                continue;
            }
            if let Some(notice) = Notice::of(live) {
                if notice.left_out > 0 {
                    tracing::warn!(
                        series = notice.series(),
                        listed = notice.len(),
                        left_out = notice.left_out,
                        "the series has more instances than one availability notification lists"
                    );
                }
                // Without a peer there is nobody to tell.
                let _ = queue.send(Arc::new(notice));
            }
        }
        drop(here);
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// One peer and what is told of it.
struct Peer {
    name: String,
    settings: AvailabilitySettings,
    /// Follows its files: a certificate that is replaced counts from the next notification on.
    tls: Option<Arc<ClientTls>>,
    counters: AvailabilityCounters,
}

impl Peer {
    fn new(name: String, settings: AvailabilitySettings, counters: AvailabilityCounters) -> Self {
        let tls = settings.tls.as_ref().map(|tls| {
            let trust = Trust { ca: tls.ca.clone(), identity: tls.identity.clone() };
            Arc::new(ClientTls::new(trust, DICOM_ALPN))
        });
        Self { name, settings, tls, counters }
    }

    /// Works off the queue, one notice after the other.
    async fn serve(self, mut queue: broadcast::Receiver<Arc<Notice>>) {
        loop {
            match queue.recv().await {
                Ok(notice) => self.tell(&notice).await,
                Err(RecvError::Lagged(dropped)) => {
                    self.counters.count(&self.name, "dropped", dropped);
                    tracing::warn!(
                        peer = self.name,
                        dropped,
                        "availability notifications were dropped: the peer is slower than series end"
                    );
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn tell(&self, notice: &Notice) {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let Err(error) = self.attempt(notice).await else {
                self.counters.count(&self.name, "sent", 1);
                tracing::debug!(peer = self.name, series = notice.series(), "availability told");
                return;
            };
            if attempt == TRIES || error.is_lasting() {
                self.counters.count(&self.name, "failed", 1);
                tracing::warn!(
                    peer = self.name,
                    address = self.settings.address,
                    series = notice.series(),
                    attempts = attempt,
                    "the peer was not told what is available: {error}; look at [availability.{}] and at its \
                     configuration for AE title {}",
                    self.name,
                    self.settings.calling_ae_title
                );
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn attempt(&self, notice: &Notice) -> Result<(), NotifyError> {
        let config = match self.tls.clone() {
            None => None,
            Some(tls) => {
                let read = tokio::task::spawn_blocking(move || tls.current()).await;
                Some(read.map_err(|error| NotifyError::Connect(error.to_string()))??)
            }
        };
        notify(&self.settings, config, notice).await
    }
}

#[cfg(test)]
mod tests;
