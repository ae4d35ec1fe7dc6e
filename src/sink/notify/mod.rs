//! Notifications: events of live series to those who subscribed, on WebSockets (PS3.18 §8.10).
//!
//! ```text
//!   hub ──events──► feed ──News──► queue of a subscription ──► session ──► client
//!                    ▲             queue of a subscription ──►   ▲
//!   registry ────────┘                      …                    └ one for each connection
//! ```
//!
//! The feed ([`feed`]) is one task and waits for nobody. A [`queue`] keeps the latest events of one
//! subscription, numbered, whether anybody listens or not. A session ([`session`]) is the task of one
//! connection: it reads the queues of all subscriptions that the connection is for, each from a position
//! of its own. The HTTP side, who may connect and the upgrade, is in `dicomweb`.

mod attributes;
mod counters;
mod event;
pub(crate) mod events;
mod feed;
mod follower;
mod listener;
mod queue;
mod scene;
mod session;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

pub use self::counters::{NotifyCounters, Told};
use self::event::News;
pub use self::event::{PRIVATE_CREATOR, RetrieveUrl, SOP_CLASS_UID};
use self::feed::{Doubts, Feed, Inbox};
pub use self::listener::{After, Whom};
use self::listener::{Listener, Opening};
use self::queue::Queues;
pub use self::session::Connection;
use crate::hub::{Hub, LiveSeries};
use crate::sink::workers::Workers;
use crate::subscription::registry::{Registry, Subscription};

/// Connections that may wait for the feed to let them in.
const OPENINGS: usize = 64;
/// Most changes of what is doubtful that wait for the feed.
const DOUBTS: usize = 64;

/// Tells subscribers what happens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notifier {
    shared: Arc<Shared>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no subscription to listen for.
    #[error("there is no subscription to listen for")]
    Nobody,
    /// There are as many connections as one subscriber, or principal, may have.
    #[error("{0} notification connections are open already (subscriptions.channels)")]
    Full(usize),
    /// A number to go on after, with no word on which of several subscriptions is meant.
    #[error("which of several subscriptions is meant is not said")]
    Ambiguous,
}

struct Shared {
    hub: Hub,
    registry: Registry,
    url: RetrieveUrl,
    counters: NotifyCounters,
    workers: Workers,
    queues: Queues,
    /// Those that are open.
    listeners: Mutex<Vec<Arc<Listener>>>,
    openings: mpsc::Sender<Opening>,
    doubts: mpsc::Sender<Doubts>,
    /// Taken by the feed when it starts.
    inbox: Mutex<Option<Inbox>>,
    /// Asks the feed to end.
    stop: watch::Sender<bool>,
    /// The feed has ended, and everybody's last event is in the queues.
    down: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Shared {
    /// How many events a queue keeps.
    fn kept(&self) -> usize {
        self.registry.settings().events
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Arc<Listener>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missed(&self, subscription: &Arc<Subscription>, live: Option<&Arc<LiveSeries>>, count: u64) {
        if count == 0 {
            return;
        }
        self.count_missed(subscription, count);
        if !subscription.is_suspended() && !subscription.has_ended() {
            let live = live.map(|live| &**live);
            let news = Arc::new(News::missed(live, count, SystemTime::now()));
            self.queues.of(subscription).push(news, self.kept());
        }
    }

    fn count_missed(&self, subscription: &Subscription, count: u64) {
        subscription.progress().missed.fetch_add(count, Ordering::Relaxed);
        self.counters.missed.inc_by(count);
    }
}

impl Notifier {
    /// Tells the subscribers of `registry` what happens in `hub` from now on, once [`Notifier::run`] is
    /// polled. `url` makes the Retrieve URLs.
    pub fn new(hub: Hub, registry: Registry, url: RetrieveUrl) -> Self {
        let (openings, inbox) = mpsc::channel(OPENINGS);
        let (doubts, doubtful) = mpsc::channel(DOUBTS);
        let inbox = Inbox { events: hub.events(), openings: inbox, doubts: doubtful };
        let shared = Shared {
            hub,
            registry,
            url,
            counters: NotifyCounters::default(),
            workers: Workers::new(),
            queues: Queues::default(),
            listeners: Mutex::default(),
            openings,
            doubts,
            inbox: Mutex::new(Some(inbox)),
            stop: watch::Sender::new(false),
            down: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What is counted.
    pub fn counters(&self) -> &NotifyCounters {
        &self.shared.counters
    }

    /// Runs the feed until [`Notifier::stop`]. To be called once; a second call ends at once.
    pub async fn run(self) {
        let inbox = self.shared.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(inbox) = inbox {
            Feed::new(self.shared, inbox).run().await;
        }
    }

    /// Tells everybody what the hub has said up to now and that the server is going down, and then
    /// closes all connections. To be called after the hub's own shutdown.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
    }

    /// Becomes true when everybody has been told that the server is going down.
    pub fn down(&self) -> watch::Receiver<bool> {
        self.shared.down.subscribe()
    }

    /// Tells a subscriber that `count` instances, or events, are gone that it should have had, of the
    /// series `live` if all are of one: event 6, in its turn.
    pub fn missed(&self, subscription: &Arc<Subscription>, live: Option<&Arc<LiveSeries>>, count: u64) {
        self.shared.missed(subscription, live, count);
    }

    /// Tells everybody whom a live series concerns what is doubtful in what is said of its patient: event 8, in
    /// few fixed words that hold no PHI, and in none when nothing is doubtful any more. Says whether the feed has
    /// room for it; if not, it is to be told later.
    pub fn doubtful(&self, study: &str, series: &str, words: Vec<String>) -> bool {
        self.shared.doubts.try_send(Doubts { study: study.into(), series: series.into(), words }).is_ok()
    }

    /// Sets a place aside for a connection. `after` says where it goes on, by subscription; without, it
    /// begins with the current state.
    ///
    /// # Errors
    /// When there is nothing to listen for, or there are too many connections already.
    pub fn connect(&self, whom: Whom, after: Vec<After>) -> Result<Connection, Refused> {
        let all = self.shared.registry.all();
        let mut theirs = all.iter().filter(|subscription| whom.has(subscription));
        let owner = theirs.next().ok_or(Refused::Nobody)?.request().owner.clone();
        if theirs.next().is_some() && after.iter().any(|after| after.subscription.is_none()) {
            return Err(Refused::Ambiguous);
        }
        let most = self.shared.registry.settings().channels;
        let mut listeners = self.shared.listeners();
        if listeners.iter().filter(|listener| listener.whom == whom).count() >= most {
            self.shared.counters.refused.inc();
            return Err(Refused::Full(most));
        }
        let listener = Arc::new(Listener::new(whom, owner));
        listeners.push(Arc::clone(&listener));
        drop(listeners);
        Ok(Connection::new(Arc::clone(&self.shared), listener, after))
    }

    /// Whether somebody is connected who is told of this subscription.
    pub fn is_listened_to(&self, subscription: &Subscription) -> bool {
        self.shared.listeners().iter().any(|listener| listener.whom.has(subscription))
    }

    /// Closes the connections of principals (`None` is anonymous) who may not listen any more.
    pub fn dismiss(&self, may_no_longer: impl Fn(Option<&str>) -> bool) {
        for listener in self.shared.listeners().iter() {
            if may_no_longer(listener.owner.as_deref()) {
                listener.dismiss();
            }
        }
    }
}

#[cfg(test)]
mod tests;
