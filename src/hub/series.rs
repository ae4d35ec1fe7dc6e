//! A series that is growing, or that has ended and can still be read.
//!
//! ```text
//!              open                    last publisher completes, linger over
//!   (nothing) ─────► Live ─────────────────────────────────────────────► Ended(Completed)
//!                     ▲ │ nothing came for the quiet time ─────────────► Ended(Completed)
//!                     │ │ last publisher is dropped (its source died) ─► Ended(Aborted)
//!                     │ │ shutdown ───────────────────────────────────► Ended(Aborted)
//!                     └─┴── another object of the series arrives ◄────────┘
//! ```
//!
//! Readers hold a [`Cursor`](super::Cursor) each; the series knows of them only what they leave for people to see
//! ([`super::reader`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::reader::{Place, Places, Standing};
use super::ring::{Ring, Slot};
use crate::instance::{Dataset, Instance, Uid};

/// How a live series ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its sources said that it is complete, or were quiet for long enough.
    Completed,
    /// A source died, or we are shutting down: more was to come.
    Aborted,
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the oldest instance in the ring.
    Oldest,
    /// At the newest instance in the ring.
    Latest,
    /// At the first instance whose Instance Number is at least this.
    Number(i32),
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Sequence number of what it reads first.
    pub(super) next: u64,
    /// What its source had lost up to there, and this reader did not.
    pub(super) lost: u64,
    /// The least Instance Number it wants.
    pub(super) least_number: Option<i32>,
}

/// A live series and its ring.
pub struct LiveSeries {
    study: Uid,
    series: Uid,
    context: Arc<Dataset>,
    inner: Mutex<Inner>,
    /// Wakes readers: changes with every instance and every change of state.
    changed: watch::Sender<()>,
    /// The source that opened it, where that has said so.
    source: OnceLock<&'static str>,
    places: Places,
}

#[derive(Debug)]
struct Inner {
    ring: Ring<Arc<Instance>>,
    /// Bytes in it.
    bytes: u64,
    /// SOP Instance UIDs in the ring.
    index: HashMap<Uid, u64>,
    publishers: usize,
    end: Option<End>,
    last_activity: Instant,
    highest_number: i32,
    published: u64,
}

impl std::fmt::Debug for LiveSeries {
    /// Shows which series it is; its context is PHI.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSeries")
            .field("study", &self.study)
            .field("series", &self.series)
            .finish_non_exhaustive()
    }
}

impl LiveSeries {
    pub(super) fn new(study: Uid, series: Uid, context: Arc<Dataset>, now: Instant) -> Self {
        Self {
            study,
            series,
            context,
            inner: Mutex::new(Inner {
                ring: Ring::new(),
                bytes: 0,
                index: HashMap::new(),
                publishers: 0,
                end: None,
                last_activity: now,
                highest_number: 0,
                published: 0,
            }),
            changed: watch::Sender::new(()),
            source: OnceLock::new(),
            places: Places::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under this lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Study Instance UID.
    pub fn study(&self) -> &Uid {
        &self.study
    }

    /// Series Instance UID.
    pub fn series(&self) -> &Uid {
        &self.series
    }

    /// The data set of the object that opened the series, without Pixel Data: what searches and
    /// filters match against at study and series level.
    pub fn context(&self) -> &Arc<Dataset> {
        &self.context
    }

    /// The source that it comes from: `capture`, `dimse`, `send` or `pattern`; empty where none has said so.
    pub fn source(&self) -> &'static str {
        self.source.get().copied().unwrap_or_default()
    }

    /// The first source to say so opened it.
    pub(super) fn comes_from(&self, source: &'static str) {
        let _ = self.source.set(source);
    }

    /// How it stands at `now`.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let inner = self.inner();
        let mut standing = Standing {
            instances: inner.ring.len(),
            bytes: inner.bytes,
            published: inner.published,
            evicted: inner.ring.first(),
            idle: now.saturating_duration_since(inner.last_activity),
            readers: Vec::new(),
        };
        let end = inner.ring.end();
        drop(inner);
        standing.readers = self.places.progress(end);
        standing
    }

    /// A reader says who it is.
    pub(super) fn is_read_at(&self, place: &Arc<Place>) {
        self.places.take(place);
    }

    /// `None` while it is live.
    pub fn end(&self) -> Option<End> {
        self.inner().end
    }

    /// The instances in the ring, oldest first.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.inner().ring.iter().cloned().collect()
    }

    /// How many instances are in the ring.
    pub fn len(&self) -> usize {
        self.inner().ring.len()
    }

    /// Whether the ring is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The instance with this SOP Instance UID, while it is in the ring.
    pub fn instance(&self, sop_instance: &str) -> Option<Arc<Instance>> {
        let inner = self.inner();
        let &number = inner.index.get(sop_instance)?;
        match inner.ring.get(number) {
            Slot::Here(instance, _) => Some(instance),
            Slot::Gone(..) | Slot::NotYet => None,
        }
    }

    /// Where a reader that starts here and now begins.
    pub(super) fn start(&self, from: From) -> Start {
        let inner = self.inner();
        let (next, least_number) = match from {
            From::Oldest => (inner.ring.first(), None),
            From::Latest => (inner.ring.end().saturating_sub(1).max(inner.ring.first()), None),
            From::Number(least) => (inner.ring.first(), Some(least)),
        };
        Start { next, lost: inner.ring.lost_up_to(next), least_number }
    }

    pub(super) fn get(&self, number: u64) -> (Slot<Arc<Instance>>, Option<End>) {
        let inner = self.inner();
        (inner.ring.get(number), inner.end)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Adds an instance before which so many were lost; `None` where its SOP Instance UID is in the ring
    /// already.
    pub(super) fn push(&self, instance: Arc<Instance>, lost: u32, now: Instant) -> Option<u64> {
        let mut inner = self.inner();
        let uid = instance.identity().sop_instance.clone();
        inner.last_activity = now;
        if inner.index.contains_key(&uid) {
            return None;
        }
        if let Some(number) = instance.number() {
            inner.highest_number = inner.highest_number.max(number);
        }
        inner.published += 1;
        inner.bytes += instance.len() as u64;
        let number = inner.ring.push(instance, lost);
        inner.index.insert(uid, number);
        drop(inner);
        self.changed.send_replace(());
        Some(number)
    }

    /// Takes the oldest instance out of the ring, for the caller to drop outside of every lock.
    pub(super) fn pop(&self) -> Option<Arc<Instance>> {
        let mut inner = self.inner();
        let instance = inner.ring.pop()?;
        inner.index.remove(&instance.identity().sop_instance);
        inner.bytes = inner.bytes.saturating_sub(instance.len() as u64);
        Some(instance)
    }

    /// Sets Instance Numbers aside for the frames of one object, above all that were there.
    pub(super) fn reserve_numbers(&self, count: u32) -> i32 {
        let mut inner = self.inner();
        let first = inner.highest_number.saturating_add(1);
        inner.highest_number = inner.highest_number.saturating_add_unsigned(count);
        first
    }

    /// A publisher comes. Says whether this (re)opens the series.
    pub(super) fn join(&self, now: Instant) -> bool {
        let mut inner = self.inner();
        let opens = inner.end.is_some() || (inner.publishers == 0 && inner.published == 0);
        inner.publishers += 1;
        inner.end = None;
        inner.last_activity = now;
        opens
    }

    /// A publisher goes. Says how the series ends by that, if it does.
    pub(super) fn leave(&self, how: End, linger: Duration, now: Instant) -> Option<End> {
        let mut inner = self.inner();
        inner.publishers = inner.publishers.saturating_sub(1);
        inner.last_activity = now;
        if inner.publishers > 0 || inner.end.is_some() {
            return None;
        }
        if how == End::Completed && !linger.is_zero() {
            return None;
        }
        inner.end = Some(how);
        drop(inner);
        self.changed.send_replace(());
        Some(how)
    }

    /// Ends the series if its time has come. Says how.
    pub(super) fn expire(&self, linger: Duration, quiet: Duration, now: Instant) -> Option<End> {
        let mut inner = self.inner();
        let patience = if inner.publishers == 0 { linger } else { quiet };
        if inner.end.is_some() || now.saturating_duration_since(inner.last_activity) < patience {
            return None;
        }
        inner.end = Some(End::Completed);
        drop(inner);
        self.changed.send_replace(());
        Some(End::Completed)
    }

    /// Ends the series now. Says whether it was live.
    pub(super) fn abort(&self) -> bool {
        let was_live = self.inner().end.replace(End::Aborted).is_none();
        self.changed.send_replace(());
        was_live
    }
}
