//! The standing searches that are in force: who registered them, for how long, and how their results
//! are delivered. In memory only, since a filter can hold names of patients.
//!
//! A [`Subscription`] is a search resource, match keys and a way of delivery. The same search by the
//! same subscriber, delivered the same way, is the same subscription: registering it once more renews
//! its lease. What can change while it runs (rate, pause, suspension, lease) stands inside it and wakes
//! those who watch it.
//!
//! Sinks read [`Registry::all`], a snapshot that costs a reference count, and watch
//! [`Registry::changed`] for subscriptions that come and go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::query::Query;
use super::scope::{Level, Scope};
use crate::config::settings::SubscriptionSettings;
use crate::hub::{From, LiveSeries};
use crate::instance::Dataset;

/// Longest name of a subscriber (characters).
const MAX_NAME: usize = 64;

/// Name of a subscriber: an AE title by custom (UPS-RS, PS3.18 §11.10), 1 to 64 letters, digits, and
/// `.`, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscriber(Arc<str>);

/// A name that no subscriber can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subscriber is named by 1 to {MAX_NAME} letters, digits, and . _ or -")]
pub struct BadSubscriber;

impl Subscriber {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn parse(name: &str) -> Result<Self, BadSubscriber> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(legal) {
            Ok(Self(Arc::from(name)))
        } else {
            Err(BadSubscriber)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How results reach the subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Events on its notification connection.
    Notification,
    /// Instances, pushed to the destination of this name.
    Push(Arc<str>),
}

/// What a subscriber may change while a subscription runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Most instances a second; `None` is all of them.
    pub rate: Option<f64>,
    /// Whether delivery of instances waits. What the ring cannot hold meanwhile is missed.
    pub paused: bool,
}

/// In which form instances are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    AsTheyAre,
    /// Decoded to Explicit VR Little Endian where they are in another transfer syntax.
    Native,
    /// Pictures (JPEG).
    Rendered,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// For whom.
    pub subscriber: Subscriber,
    /// The principal who asks; `None` is anonymous.
    pub owner: Option<Arc<str>>,
    /// Where to look, and at which level.
    pub scope: Scope,
    /// The match keys.
    pub query: Query,
    /// The match keys as they were written, sorted: what makes two searches the same.
    pub keys: Arc<str>,
    /// The owner's standing filter on series, and-ed to the search.
    pub restriction: Option<Arc<Query>>,
    /// How results are delivered.
    pub delivery: Delivery,
    /// Where a push begins in a series that is live already.
    pub from: From,
    /// The form that instances are wanted in.
    pub form: Form,
    /// What may be changed later.
    pub options: Options,
    /// How long it shall live; `None` as long as possible.
    pub lease: Option<Duration>,
    /// Base URL by which the subscriber reaches us, for Retrieve URLs.
    pub base: Arc<str>,
}

/// Why a subscription is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The bound on all of them is reached.
    #[error("{0} subscriptions are in force already (subscriptions.total)")]
    Total(usize),
    /// The bound on one subscriber's is reached.
    #[error("the subscriber has {0} subscriptions already (subscriptions.per_subscriber)")]
    PerSubscriber(usize),
    /// The name belongs to somebody else.
    #[error("the subscriber's name is in use by another principal")]
    Taken,
}

/// What registering did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// There is a new subscription.
    Created,
    /// It was there; its lease and options are those of this request now.
    Renewed,
}

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
        }
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
    options: ArcSwap<Options>,
    suspended: AtomicBool,
    ended: AtomicBool,
    /// `None` never ends.
    until: Mutex<Option<Instant>>,
    changed: watch::Sender<()>,
}

impl std::fmt::Debug for Subscription {
    /// Shows whose it is; its match keys can be PHI.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("subscriber", &self.request.subscriber)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    fn new(request: Request, channel: Arc<str>, standing: bool, until: Option<Instant>) -> Self {
        Self {
            id: secret(),
            channel,
            progress: Progress::new(),
            options: ArcSwap::from_pointee(request.options.clone()),
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

    /// What was asked for; the options are those of the beginning.
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

    /// Changes with the options, with suspension, and when it ends.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether the events of a series concern it: the series is of the resource, its owner may see it,
    /// and, but for a subscription to instances, `described` has what is searched for. `described` is
    /// the data set of [`super::described::study`] or [`super::described::series`].
    pub fn matches_series(&self, live: &LiveSeries, described: &Dataset) -> bool {
        self.request.scope.holds(live)
            && self.request.restriction.as_ref().is_none_or(|filter| filter.matches(described))
            && (self.request.scope.level == Level::Instances || self.request.query.matches(described))
    }

    /// Whether an instance of a series that concerns it is searched for too; `dataset` is asked for the
    /// instance's own data set only where that matters.
    pub fn matches_instance(&self, dataset: impl FnOnce() -> Option<Arc<Dataset>>) -> bool {
        self.request.scope.level != Level::Instances
            || self.request.query.keys().is_empty()
            || dataset().is_some_and(|dataset| self.request.query.matches(&dataset))
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_same_as(&self, request: &Request) -> bool {
        let ours = &self.request;
        ours.subscriber == request.subscriber
            && ours.scope == request.scope
            && ours.keys == request.keys
            && ours.delivery == request.delivery
            && ours.form == request.form
    }

    fn set_options(&self, options: Options) {
        self.options.store(Arc::new(options));
        self.changed.send_replace(());
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.changed.send_replace(());
    }
}

/// 122 random bits in hex.
fn secret() -> Arc<str> {
    Arc::from(uuid::Uuid::new_v4().simple().to_string())
}

/// All subscriptions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ArcSwap<SubscriptionSettings>,
    clock: fn() -> Instant,
    /// Held by who changes it; readers take what is published.
    writing: Mutex<()>,
    all: ArcSwap<Vec<Arc<Subscription>>>,
    changed: watch::Sender<()>,
}

impl Registry {
    /// An empty registry on the monotonic clock.
    pub fn new(settings: SubscriptionSettings) -> Self {
        Self::with_clock(settings, Instant::now)
    }

    /// An empty registry on a clock of the caller's.
    pub fn with_clock(settings: SubscriptionSettings, clock: fn() -> Instant) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings: ArcSwap::from_pointee(settings),
                clock,
                writing: Mutex::new(()),
                all: ArcSwap::default(),
                changed: watch::Sender::new(()),
            }),
        }
    }

    /// Takes changed bounds; they hold for what is registered from now on.
    pub fn reload(&self, settings: SubscriptionSettings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// The bounds in force.
    pub fn settings(&self) -> Arc<SubscriptionSettings> {
        self.shared.settings.load_full()
    }

    /// All subscriptions, oldest first, as they are now.
    pub fn all(&self) -> Arc<Vec<Arc<Subscription>>> {
        self.shared.all.load_full()
    }

    /// Those of one subscriber; of one search resource if `scope` is given.
    pub fn of(&self, subscriber: &Subscriber, scope: Option<&Scope>) -> Vec<Arc<Subscription>> {
        let wanted = |known: &&Arc<Subscription>| {
            known.request.subscriber == *subscriber && scope.is_none_or(|scope| known.request.scope == *scope)
        };
        self.all().iter().filter(wanted).cloned().collect()
    }

    /// The one with this identifier.
    pub fn find(&self, id: &str) -> Option<Arc<Subscription>> {
        self.all().iter().find(|known| *known.id == *id).cloned()
    }

    /// Changes whenever a subscription comes or goes, is suspended or resumed, or gets other options.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Registers a search, or renews it if it is registered already.
    ///
    /// # Errors
    /// When there are too many, or the subscriber's name belongs to another principal.
    pub fn subscribe(&self, request: Request) -> Result<(Arc<Subscription>, Registered), SubscribeError> {
        let settings = self.settings();
        let lease = request.lease.map_or(settings.lease, |wanted| wanted.min(settings.lease));
        let until = (self.shared.clock)() + lease;
        let _writing = self.write();
        let all = self.all();
        let of_subscriber: Vec<_> =
            all.iter().filter(|known| known.request.subscriber == request.subscriber).collect();
        if of_subscriber.iter().any(|known| known.request.owner != request.owner) {
            return Err(SubscribeError::Taken);
        }
        if let Some(known) = of_subscriber.iter().find(|known| known.is_same_as(&request)) {
            if !known.standing {
                *known.until() = Some(until);
            }
            known.set_options(request.options);
            self.shared.changed.send_replace(());
            return Ok((Arc::clone(known), Registered::Renewed));
        }
        if of_subscriber.len() >= settings.per_subscriber {
            return Err(SubscribeError::PerSubscriber(settings.per_subscriber));
        }
        if all.len() >= settings.total {
            return Err(SubscribeError::Total(settings.total));
        }
        let channel = of_subscriber.first().map_or_else(secret, |known| known.channel.clone());
        let made = Arc::new(Subscription::new(request, channel, false, Some(until)));
        self.publish(all.iter().cloned().chain([made.clone()]).collect());
        Ok((made, Registered::Created))
    }

    /// Puts the configuration's searches in the place of those it had before. One that is the same as
    /// before goes on undisturbed.
    pub fn stand(&self, requests: Vec<Request>) {
        let _writing = self.write();
        let all = self.all();
        let keeps = |known: &Arc<Subscription>| {
            !known.standing || requests.iter().any(|request| known.is_same_as(request))
        };
        let (mut kept, gone): (Vec<_>, Vec<_>) = all.iter().cloned().partition(keeps);
        for request in requests {
            match kept.iter().find(|known| known.standing && known.is_same_as(&request)) {
                Some(known) => known.set_options(request.options),
                None => {
                    let same = kept.iter().find(|known| known.request.subscriber == request.subscriber);
                    let channel = same.map_or_else(secret, |known| known.channel.clone());
                    kept.push(Arc::new(Subscription::new(request, channel, true, None)));
                }
            }
        }
        self.publish(kept);
        for subscription in gone {
            subscription.end();
        }
    }

    /// Ends a subscription. One of the configuration's stays.
    pub fn cancel(&self, subscription: &Subscription) {
        if !subscription.standing {
            self.end_if(|known| known.id == subscription.id);
        }
    }

    /// Changes the options of a running subscription.
    pub fn update(&self, subscription: &Subscription, options: Options) {
        subscription.set_options(options);
        self.shared.changed.send_replace(());
    }

    /// Suspends or resumes a subscription.
    pub fn suspend(&self, subscription: &Subscription, suspended: bool) {
        subscription.suspended.store(suspended, Ordering::Relaxed);
        subscription.changed.send_replace(());
        self.shared.changed.send_replace(());
    }

    /// Ends those whose lease is over; to be called a few times a second.
    pub fn tick(&self) {
        let now = (self.shared.clock)();
        let over = |known: &Subscription| known.until().is_some_and(|until| until <= now);
        if self.all().iter().any(|known| over(known)) {
            self.end_if(over);
        }
    }

    /// The monotonic time that leases go by.
    pub fn now(&self) -> Instant {
        (self.shared.clock)()
    }

    fn end_if(&self, over: impl Fn(&Subscription) -> bool) {
        let _writing = self.write();
        let (gone, kept): (Vec<_>, Vec<_>) = self.all().iter().cloned().partition(|known| over(known));
        self.publish(kept);
        for subscription in gone {
            subscription.end();
        }
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, all: Vec<Arc<Subscription>>) {
        self.shared.all.store(Arc::new(all));
        self.shared.changed.send_replace(());
    }
}
