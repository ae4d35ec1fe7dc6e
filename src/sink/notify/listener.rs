//! A notification connection as the feed sees it: for whom it is, which queues it reads, and the bell
//! that wakes it. The connection's own task is in [`super::session`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::queue::Queue;
use crate::subscription::registry::Subscription;

/// Whose events a connection is for.
#[derive(Clone, PartialEq, Eq)]
pub enum Whom {
    /// All subscriptions of the subscriber whose channel this is ([`Subscription::channel`]).
    Channel(Arc<str>),
    /// All subscriptions of a principal; `None` is anonymous.
    Principal(Option<Arc<str>>),
}

impl std::fmt::Debug for Whom {
    /// A channel is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Channel(_) => f.write_str("Channel"),
            Self::Principal(name) => f.debug_tuple("Principal").field(name).finish(),
        }
    }
}

impl Whom {
    /// Whether a subscription is one of theirs.
    pub(super) fn has(&self, subscription: &Subscription) -> bool {
        match self {
            Self::Channel(channel) => subscription.channel() == channel,
            Self::Principal(owner) => subscription.request().owner == *owner,
        }
    }
}

/// From where a client that was connected before goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// Subscription ID; `None` is the only one that there is.
    pub subscription: Option<String>,
    /// Sequence Number of the last event that it has.
    pub number: u64,
}

/// A connection's position in one queue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) queue: Arc<Queue>,
    /// Number of the last event that was sent.
    pub(super) position: u64,
    /// Whether it begins with the news that the server does not know the client's number.
    pub(super) restarted: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) whom: Whom,
    /// The principal whose subscriptions these are.
    pub(super) owner: Option<Arc<str>>,
    pub(super) bell: Arc<Notify>,
    dismissed: AtomicBool,
    /// Places that the connection has not taken over yet; `None` once it has closed.
    waiting: Mutex<Option<Vec<Place>>>,
}

impl Listener {
    pub(super) fn new(whom: Whom, owner: Option<Arc<str>>) -> Self {
        Self {
            whom,
            owner,
            bell: Arc::default(),
            dismissed: AtomicBool::new(false),
            waiting: Mutex::new(Some(Vec::new())),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Place>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it a place in another queue.
    pub(super) fn join(&self, place: Place) {
        if let Some(waiting) = self.waiting().as_mut() {
            place.queue.attach(&self.bell);
            waiting.push(place);
            self.bell.notify_one();
        }
    }

    /// Takes over the places that are new.
    pub(super) fn take(&self) -> Vec<Place> {
        self.waiting().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether the connection is gone.
    pub(super) fn has_closed(&self) -> bool {
        self.waiting().is_none()
    }

    /// The connection is gone.
    pub(super) fn close(&self) {
        for place in self.waiting().take().unwrap_or_default() {
            place.queue.detach(&self.bell);
        }
    }

    /// Its principal may listen no longer.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
        self.bell.notify_one();
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Relaxed)
    }
}

/// A connection that has been made and wants its places.
pub(super) struct Opening {
    pub(super) listener: Arc<Listener>,
    pub(super) after: Vec<After>,
    /// Answered once the places are there, and the current state in the queues.
    pub(super) done: oneshot::Sender<()>,
}

impl Opening {
    /// Whether the client names a subscription that is not `known`: of a life before this one.
    pub(super) fn names_others(&self, known: impl Fn(&str) -> bool) -> bool {
        self.after.iter().filter_map(|after| after.subscription.as_deref()).any(|id| !known(id))
    }

    fn after(&self, subscription: &Subscription) -> Option<u64> {
        let is_meant = |id: &str| id == &**subscription.id();
        let mut named = self.after.iter().filter(|after| after.subscription.as_deref().is_none_or(is_meant));
        named.next().map(|after| after.number)
    }

    /// Where the client goes on in a queue; `strange` says that it names others, too.
    pub(super) fn place(&self, queue: Arc<Queue>, strange: bool) -> Place {
        let sequence = queue.sequence();
        let after = self.after(queue.subscription());
        let known = after.filter(|&after| after <= sequence);
        let restarted = known.is_none() && (after.is_some() || strange);
        Place { queue, position: known.unwrap_or(sequence), restarted }
    }

    /// Whether the client has all that came before its place, or will get it, and so needs no word on
    /// the current state.
    pub(super) fn resumes(&self, place: &Place) -> bool {
        let after = self.after(place.queue.subscription());
        after == Some(place.position) && place.queue.keeps(place.position)
    }
}
