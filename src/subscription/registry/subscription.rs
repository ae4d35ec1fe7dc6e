//! One standing search that is in force: what was asked for, what may change while it runs, and what has
//! come of it so far.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::request::{Options, Request};
use crate::hub::LiveSeries;
use crate::instance::Dataset;
use crate::subscription::query::Query;
use crate::subscription::scope::Level;

/// What has come of a subscription so far; the sink that serves it writes this.
#[derive(Debug)]
pub struct Progress {
    /// Sequence Number of its latest event; 0 before the first.
    pub sequence: AtomicU64,
    /// Events, or pushed instances, that it should have had and did not get.
    pub missed: AtomicU64,
    /// Instances that were pushed.
    pub sent: AtomicU64,
    /// Instances that the destination refused.
    pub failed: AtomicU64,
    state: Mutex<PushState>,
    complaint: ArcSwapOption<String>,
}

/// How a push stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushState {
    /// Nothing to push; the connection is ready.
    Idle,
    /// Making the connection.
    Connecting,
    /// Instances are going out.
    Sending,
    /// The last try failed; the next one is at this time.
    Waiting(Instant),
    /// The destination does not take what we push, and will not: its answer or our configuration must
    /// change.
    Refused,
}

impl Progress {
    fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            state: Mutex::new(PushState::Idle),
            complaint: ArcSwapOption::empty(),
        }
    }

    /// What is wrong with a push, as the log has it; `None` where nothing is. Holds no PHI.
    pub fn complaint(&self) -> Option<Arc<String>> {
        self.complaint.load_full()
    }

    /// Says what is wrong with a push, or that nothing is any more.
    pub fn set_complaint(&self, what: Option<&str>) {
        self.complaint.store(what.map(|what| Arc::new(what.to_owned())));
    }

    /// How a push stands.
    pub fn state(&self) -> PushState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how a push stands.
    pub fn set_state(&self, state: PushState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// One standing search.
pub struct Subscription {
    id: Arc<str>,
    channel: Arc<str>,
    progress: Progress,
    request: Request,
    /// From the configuration: it has no lease, and is not for deleting.
    standing: bool,
    /// The request's, until the owner's rights change.
    restriction: ArcSwapOption<Query>,
    options: ArcSwap<Options>,
    suspended: AtomicBool,
    ended: AtomicBool,
    /// `None` never ends.
    until: Mutex<Option<Instant>>,
    changed: watch::Sender<()>,
}

impl fmt::Debug for Subscription {
    /// Shows whose it is; its match keys can be PHI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("subscriber", &self.request.subscriber)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// One that lives `until` then, or, if `standing`, as long as the configuration has it.
    pub(super) fn new(request: Request, channel: Arc<str>, standing: bool, until: Option<Instant>) -> Self {
        Self {
            id: secret(),
            channel,
            progress: Progress::new(),
            options: ArcSwap::from_pointee(request.options.clone()),
            restriction: ArcSwapOption::new(request.restriction.clone()),
            request,
            standing,
            suspended: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            until: Mutex::new(until),
            changed: watch::Sender::new(()),
        }
    }

    /// Its identifier, 32 hex digits of our making that nobody can guess.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What opens the subscriber's notification connection: all subscriptions of a subscriber have the
    /// same. Nobody can guess it, and it is for the subscriber alone.
    pub fn channel(&self) -> &Arc<str> {
        &self.channel
    }

    /// What has come of it so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What was asked for; the options and the restriction are those of the beginning.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Whether the configuration made it.
    pub fn is_standing(&self) -> bool {
        self.standing
    }

    /// The options in force.
    pub fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    /// The standing filter of its owner that is in force; another one whenever their rights change.
    pub fn restriction(&self) -> Option<Arc<Query>> {
        self.restriction.load_full()
    }

    /// Whether it is suspended: nothing is delivered, and nothing kept for later.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Whether it has left the registry.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Time until its lease is over; `None` where it has none.
    pub fn lease_left(&self, now: Instant) -> Option<Duration> {
        self.until().map(|until| until.saturating_duration_since(now))
    }

    /// Changes with the options, with suspension, with what its owner may see, and when it ends.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether the events of a series concern it: the series is of the resource, its owner may see it,
    /// and, but for a subscription to instances, `described` has what is searched for. `described` is
    /// the data set of [`study`](crate::subscription::described::study) or
    /// [`series`](crate::subscription::described::series).
    pub fn matches_series(&self, live: &LiveSeries, described: &Dataset) -> bool {
        self.request.scope.holds(live)
            && self.restriction.load().as_ref().is_none_or(|filter| filter.matches(described))
            && (self.request.scope.level == Level::Instances || self.request.query.matches(described))
    }

    /// Whether an instance of a series that concerns it is searched for too; `dataset` is asked for the
    /// instance's own data set only where that matters.
    pub fn matches_instance(&self, dataset: impl FnOnce() -> Option<Arc<Dataset>>) -> bool {
        self.request.scope.level != Level::Instances
            || self.request.query.keys().is_empty()
            || dataset().is_some_and(|dataset| self.request.query.matches(&dataset))
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// Lets it live until then; one of the configuration has no end.
    pub(super) fn renew(&self, until: Instant) {
        if !self.standing {
            *self.until() = Some(until);
        }
    }

    pub(super) fn set_options(&self, options: Options) {
        self.options.store(Arc::new(options));
        self.changed.send_replace(());
    }

    pub(super) fn set_suspended(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    /// Lets it see what the filter lets through. The same filter, compiled again, changes nothing: every
    /// reload of the configuration compiles them.
    pub(super) fn restrict(&self, restriction: Option<Arc<Query>>) {
        let before = self.restriction.load();
        if before.as_deref().map(Query::keys) == restriction.as_deref().map(Query::keys) {
            return;
        }
        self.restriction.store(restriction);
        self.changed.send_replace(());
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 122 random bits in hex.
pub(super) fn secret() -> Arc<str> {
    Arc::from(uuid::Uuid::new_v4().simple().to_string())
}
