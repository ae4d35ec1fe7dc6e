//! The standing searches that are in force: who registered them, for how long, and how their results
//! are delivered. In memory only, since a filter can hold names of patients.
//!
//! A [`Subscription`] is a search resource, match keys and a way of delivery. The same search by the
//! same subscriber, delivered the same way, is the same subscription: registering it once more renews
//! its lease. What can change while it runs (rate, pause, suspension, lease, what its owner may see)
//! stands inside it and wakes those who watch it.
//!
//! Sinks read [`Registry::all`], a snapshot that costs a reference count, and watch
//! [`Registry::changed`] for subscriptions that come and go. Who changes the registry holds one lock for
//! it, so that these always hold: no two subscriptions are the same, a subscriber belongs to one
//! principal, and all subscriptions of a subscriber share one notification channel.

mod request;
mod subscription;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::request::{BadSubscriber, Changes, Delivery, Form, Options, Request, Subscriber};
use self::subscription::secret;
pub use self::subscription::{Progress, PushState, Subscription};
use super::query::Query;
use super::scope::Scope;
use crate::config::settings::SubscriptionSettings;

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

/// What becomes of a subscription when the rights of its owner have changed.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It ends: its owner may not have it any more.
    Ends,
    /// It goes on, and sees what this standing filter lets through.
    GoesOn(Option<Arc<Query>>),
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
    touched: watch::Sender<()>,
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
                touched: watch::Sender::new(()),
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

    /// Those of one subscriber, oldest first; of one search resource if `scope` is given.
    pub fn of(&self, subscriber: &Subscriber, scope: Option<&Scope>) -> Vec<Arc<Subscription>> {
        let wanted = |known: &&Arc<Subscription>| {
            let request = known.request();
            request.subscriber == *subscriber && scope.is_none_or(|scope| request.scope == *scope)
        };
        self.all().iter().filter(wanted).cloned().collect()
    }

    /// The one with this identifier.
    pub fn find(&self, id: &str) -> Option<Arc<Subscription>> {
        self.all().iter().find(|known| **known.id() == *id).cloned()
    }

    /// Changes whenever a subscription comes or goes.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Changes whenever a subscription comes or goes, and whenever any of them changes: for who serves them
    /// all and would not watch each.
    pub fn touched(&self) -> watch::Receiver<()> {
        self.shared.touched.subscribe()
    }

    /// Registers a search, or renews it if it is registered already.
    ///
    /// # Errors
    /// When there are too many, or the subscriber's name belongs to another principal.
    pub fn subscribe(&self, request: Request) -> Result<(Arc<Subscription>, Registered), SubscribeError> {
        let settings = self.settings();
        let _writing = self.write();
        let until = self.lease_end(request.lease);
        let all = self.all();
        let of_subscriber: Vec<_> =
            all.iter().filter(|known| known.request().subscriber == request.subscriber).collect();
        if of_subscriber.iter().any(|known| known.request().owner != request.owner) {
            return Err(SubscribeError::Taken);
        }
        if let Some(known) = of_subscriber.iter().find(|known| known.request().is_same_as(&request)) {
            known.renew(until);
            known.restrict(request.restriction);
            known.set_options(request.options);
            self.shared.touched.send_replace(());
            return Ok((Arc::clone(known), Registered::Renewed));
        }
        if of_subscriber.len() >= settings.per_subscriber {
            return Err(SubscribeError::PerSubscriber(settings.per_subscriber));
        }
        if all.len() >= settings.total {
            return Err(SubscribeError::Total(settings.total));
        }
        let channel = of_subscriber.first().map_or_else(secret, |known| known.channel().clone());
        let made = Arc::new(Subscription::new(request, channel, false, Some(until)));
        self.publish(all.iter().cloned().chain([made.clone()]).collect());
        Ok((made, Registered::Created))
    }

    /// Puts the configuration's searches in the place of those it had before. One that is written as
    /// before goes on undisturbed, with what was changed while it runs.
    ///
    /// The configuration comes before its clients: where one has registered the same search, or uses the
    /// name of a subscriber that the configuration gives to another principal, that subscription ends.
    /// The bounds are for clients alone.
    pub fn stand(&self, requests: Vec<Request>) {
        let _writing = self.write();
        let mut wanted: Vec<Request> = Vec::with_capacity(requests.len());
        for request in requests {
            let bars = |other: &Request| other.is_same_as(&request) || takes_the_name_of(other, &request);
            if !wanted.iter().any(bars) {
                wanted.push(request);
            }
        }
        let stays = |known: &Arc<Subscription>| {
            let has = known.request();
            if known.is_standing() {
                wanted.iter().any(|request| is_written_as(request, has))
            } else {
                !wanted.iter().any(|request| request.is_same_as(has) || takes_the_name_of(request, has))
            }
        };
        let (mut kept, gone): (Vec<_>, Vec<_>) = self.all().iter().cloned().partition(stays);
        for request in wanted {
            if let Some(known) = kept.iter().find(|known| known.request().is_same_as(&request)) {
                known.restrict(request.restriction);
                continue;
            }
            let mut all = kept.iter().chain(&gone);
            let same = all.find(|known| {
                let has = known.request();
                has.subscriber == request.subscriber && has.owner == request.owner
            });
            let channel = same.map_or_else(secret, |known| known.channel().clone());
            kept.push(Arc::new(Subscription::new(request, channel, true, None)));
        }
        self.publish(kept);
        gone.iter().for_each(|subscription| subscription.end());
    }

    /// Judges every subscription anew; for when rights have changed.
    pub fn review(&self, judge: impl Fn(&Subscription) -> Verdict) {
        self.end_if(|known| match judge(known) {
            Verdict::Ends => true,
            Verdict::GoesOn(restriction) => {
                known.restrict(restriction);
                false
            }
        });
        self.shared.touched.send_replace(());
    }

    /// Ends a subscription. One of the configuration's stays.
    pub fn cancel(&self, subscription: &Subscription) {
        if !subscription.is_standing() {
            self.end_if(|known| known.id() == subscription.id());
        }
    }

    /// Gives a running subscription other options.
    pub fn update(&self, subscription: &Subscription, options: Options) {
        let _writing = self.write();
        subscription.set_options(options);
        self.shared.touched.send_replace(());
    }

    /// Changes a running subscription; what `changes` does not name stays.
    pub fn change(&self, subscription: &Subscription, changes: &Changes) {
        let _writing = self.write();
        if changes.lease.is_some() {
            subscription.renew(self.lease_end(changes.lease));
        }
        let options = subscription.options();
        subscription.set_options(Options {
            rate: changes.rate.unwrap_or(options.rate),
            paused: changes.paused.unwrap_or(options.paused),
        });
        self.shared.touched.send_replace(());
    }

    /// Suspends or resumes a subscription.
    pub fn suspend(&self, subscription: &Subscription, suspended: bool) {
        subscription.set_suspended(suspended);
        self.shared.touched.send_replace(());
    }

    /// Ends those whose lease is over; to be called a few times a second.
    pub fn tick(&self) {
        let now = self.now();
        if self.all().iter().any(|known| known.is_over(now)) {
            self.end_if(|known| known.is_over(now));
        }
    }

    /// The monotonic time that leases go by.
    pub fn now(&self) -> Instant {
        (self.shared.clock)()
    }

    /// When a lease that begins now is over: the one asked for, or else, and at most, the configured.
    fn lease_end(&self, asked: Option<Duration>) -> Instant {
        let most = self.settings().lease;
        self.now() + asked.map_or(most, |asked| asked.min(most))
    }

    fn end_if(&self, over: impl Fn(&Subscription) -> bool) {
        let _writing = self.write();
        let (gone, kept): (Vec<_>, Vec<_>) = self.all().iter().cloned().partition(|known| over(known));
        if gone.is_empty() {
            return;
        }
        self.publish(kept);
        gone.iter().for_each(|subscription| subscription.end());
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, all: Vec<Arc<Subscription>>) {
        self.shared.all.store(Arc::new(all));
        self.shared.changed.send_replace(());
        self.shared.touched.send_replace(());
    }
}

/// Whether `request` gives the subscriber's name of `other` to another principal.
fn takes_the_name_of(request: &Request, other: &Request) -> bool {
    request.subscriber == other.subscriber && request.owner != other.owner
}

/// Whether the configuration says of a search what it said before. What the server adds does not count.
fn is_written_as(request: &Request, before: &Request) -> bool {
    request.is_same_as(before)
        && request.owner == before.owner
        && request.options == before.options
        && request.from == before.from
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
