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

pub(crate) mod events;
mod notice;

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::uids;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use self::notice::Notice;
use crate::config::settings::AvailabilitySettings;
use crate::dimse::scu::{self, Operation, ScuError, SopClass};
use crate::hub::Hub;
use crate::instance::Uid;
use crate::net::tasks::Tasks;

/// Its only presentation context.
const CLASS: SopClass =
    SopClass { uid: uids::INSTANCE_AVAILABILITY_NOTIFICATION, name: "Instance Availability Notification" };
/// For the whole of one try.
const WHOLE: Duration = Duration::from_secs(60);
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

    /// One of everything, so that every name and label shows.
    #[cfg(test)]
    pub(crate) fn one_of_each(&self) {
        self.count("", "", 0);
    }
}

/// Tells `peers`, by their sections of the configuration, of every series of `hub` that ends, until `stopping` turns
/// true. A peer that is new, or is another now, is told of what ends from then on.
pub async fn serve(
    mut peers: watch::Receiver<BTreeMap<String, AvailabilitySettings>>,
    hub: Hub,
    counters: AvailabilityCounters,
    mut stopping: watch::Receiver<bool>,
) {
    let (queue, _) = broadcast::channel(QUEUE);
    let start = |name: &str, settings: &AvailabilitySettings| {
        let peer = Peer::new(name.to_owned(), settings.clone(), counters.clone());
        Some(peer.serve(queue.subscribe()))
    };
    let mut tasks = Tasks::default();
    let mut watching = pin!(watch_series(&hub, &queue));
    loop {
        tasks.follow(&peers.borrow_and_update().clone(), start);
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            () = &mut watching => return,
            changed = peers.changed() => if changed.is_err() { return },
        }
    }
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
                    let (series, listed, left_out) = (notice.series(), notice.len(), notice.left_out);
                    events::LeftOut { series, listed, left_out }.tell();
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
    scu: scu::Peer,
    counters: AvailabilityCounters,
}

impl Peer {
    fn new(name: String, settings: AvailabilitySettings, counters: AvailabilityCounters) -> Self {
        let scu = scu::Peer::new(settings.peer.clone());
        Self { name, settings, scu, counters }
    }

    /// Works off the queue, one notice after the other.
    async fn serve(self, mut queue: broadcast::Receiver<Arc<Notice>>) {
        loop {
            match queue.recv().await {
                Ok(notice) => self.tell(&notice).await,
                Err(RecvError::Lagged(dropped)) => {
                    self.counters.count(&self.name, "dropped", dropped);
                    events::Dropped { peer: &self.name, dropped }.tell();
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
                events::Told { peer: &self.name, series: notice.series() }.tell();
                return;
            };
            if attempt == TRIES || error.is_lasting() {
                self.counters.count(&self.name, "failed", 1);
                events::Failed {
                    peer: &self.name,
                    address: &self.settings.peer.address,
                    series: notice.series(),
                    attempts: attempt,
                    error: &error,
                    title: &self.settings.peer.calling_ae_title,
                }
                .tell();
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn attempt(&self, notice: &Notice) -> Result<(), ScuError> {
        let whole = Box::pin(self.notify(notice));
        tokio::time::timeout(WHOLE, whole).await.unwrap_or(Err(ScuError::Timeout))
    }

    async fn notify(&self, notice: &Notice) -> Result<(), ScuError> {
        let mut association = self.scu.associate(&[CLASS]).await?;
        let create = Operation::Create(&notice.uid);
        association.ask(CLASS, create, Some(&notice.dataset(&self.settings))).await?;
        let status = association.answer(create).await?.status;
        association.release().await;
        match status {
            // Success, and its warnings: attribute list error, attribute value out of range (PS3.7 §10.1.5.1.6).
            0x0000 | 0x0001 | 0x0107 | 0x0116 => Ok(()),
            // Duplicate SOP Instance: a try before this one arrived, and only its answer was lost.
            0x0111 => Ok(()),
            status => Err(ScuError::Status { operation: create.name(), status }),
        }
    }
}

#[cfg(test)]
mod tests;
