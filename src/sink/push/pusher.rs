//! The task that pushes for one subscription: keeps a connection ready, waits for the first instance,
//! hands over ([`super::deliver`]), and waits after a failure.
//!
//! ```text
//!            ┌────────── a pause over, or the destination changed ─────────┐
//!            ▼                                                             │
//!        Connecting ──► Idle ──► Sending ──► Idle …                 Waiting, Refused
//!            │                      │                                      ▲
//!            └──────────────────────┴────────── a failure ────────────────┘
//! ```
//!
//! While it waits, nothing is read: what memory cannot hold meanwhile is told as missed afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Times;
use super::counters::{PushCounters, Tally};
use super::destination::Destination;
use super::events;
use super::exchange::Answer;
use super::feed::{Feed, Parts, Taken};
use super::send::Detached;
use crate::net::backoff::BackOff;
use crate::net::client::Connection;
use crate::subscription::registry::{PushState, Subscription};

/// What a pusher is made of.
#[derive(Debug)]
pub(super) struct PusherParts {
    pub(super) subscription: Arc<Subscription>,
    pub(super) destination: Arc<Destination>,
    pub(super) feed: Parts,
    pub(super) counters: PushCounters,
    /// Where to push; `None` ends it.
    pub(super) control: watch::Receiver<Option<Arc<Destination>>>,
    /// Turns true when the service stops, and how long what is under way may then take.
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) drain: Duration,
    pub(super) times: Times,
}

/// Why nothing can be pushed for now.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) pause: Duration,
    /// The destination has to change, or our configuration.
    pub(super) refused: bool,
}

/// See the module.
pub(super) struct Pusher {
    pub(super) subscription: Arc<Subscription>,
    changed: watch::Receiver<()>,
    pub(super) destination: Arc<Destination>,
    parts: Parts,
    control: watch::Receiver<Option<Arc<Destination>>>,
    stopping: watch::Receiver<bool>,
    drain: Duration,
    pub(super) times: Times,
    /// When we stop, be all delivered or not; `None` while the service runs.
    stop_at: Option<Instant>,
    pub(super) tally: Arc<Tally>,
    pub(super) feed: Option<Feed>,
    pub(super) connection: Option<Connection>,
    pub(super) backoff: BackOff,
    /// For connections that the peer closes unused.
    idle: BackOff,
    /// When the next connection is made for nothing but to be ready.
    reconnect_at: Option<Instant>,
    /// The peer has taken a whole request since the last failure.
    pub(super) proven: bool,
    /// Send requests whose answer is awaited while the next one is under way; at most one.
    pub(super) answers: JoinSet<Detached>,
    /// What may not have arrived by one of those that failed, to go back to.
    pub(super) doubtful_since: Option<Instant>,
    /// Instances that go out one by one, since a batch of them was refused.
    pub(super) one_by_one: usize,
    /// The next request that the peer did not look at is repeated without a pause.
    pub(super) at_once: bool,
    /// What is wrong, as it was last logged.
    complaint: Option<String>,
    /// What is wrong is that there is no connection.
    away: bool,
}

/// What came of waiting.
enum Waited {
    First(Taken),
    Again,
    /// The service stops, and there is nothing more.
    Over,
}

impl Pusher {
    pub(super) fn new(parts: PusherParts) -> Self {
        let PusherParts { subscription, destination, feed, counters, control, stopping, drain, times } =
            parts;
        let tally = Arc::new(Tally::new(subscription.clone(), counters, destination.name.clone()));
        let backoff = || BackOff::new(destination.settings.retry, destination.settings.retry_max);
        Self {
            changed: subscription.changed(),
            backoff: backoff(),
            idle: backoff(),
            subscription,
            destination,
            parts: feed,
            control,
            stopping,
            drain,
            times,
            stop_at: None,
            tally,
            feed: None,
            connection: None,
            reconnect_at: None,
            proven: false,
            answers: JoinSet::new(),
            doubtful_since: None,
            one_by_one: 0,
            at_once: true,
            complaint: None,
            away: false,
        }
    }

    /// Pushes until the subscription or the destination is gone, or the service stops.
    pub(super) async fn run(mut self) {
        while self.follow().await {
            let is_due = self.connection.is_none() && self.answers.is_empty() && self.reconnect_at.is_none();
            if is_due && let Err(outage) = self.connect().await {
                self.pause(outage).await;
                continue;
            }
            match Box::pin(self.wait()).await {
                Waited::Again => {}
                Waited::Over => break,
                Waited::First(taken) => {
                    if let Err(outage) = Box::pin(self.push(taken)).await {
                        self.pause(outage).await;
                    }
                }
            }
        }
        while let Some(done) = self.answers.join_next().await {
            self.conclude_detached(done.ok());
        }
    }

    /// Takes up what has changed from outside. False when it is time to end.
    async fn follow(&mut self) -> bool {
        loop {
            if self.is_stopping() && self.stop_at.is_none() {
                self.stop_at = Some(Instant::now() + self.drain);
            }
            let Some(destination) = self.control.borrow_and_update().clone() else { return false };
            if !Arc::ptr_eq(&destination, &self.destination) {
                self.backoff = BackOff::new(destination.settings.retry, destination.settings.retry_max);
                self.idle = BackOff::new(destination.settings.retry, destination.settings.retry_max);
                self.destination = destination;
                self.connection = None;
                self.reconnect_at = None;
                self.proven = false;
                self.complaint = None;
                self.tally.complains(None);
            }
            if self.subscription.has_ended() || self.stop_at.is_some_and(|at| at <= Instant::now()) {
                return false;
            }
            if !self.subscription.is_suspended() {
                break;
            }
            if self.stop_at.is_some() {
                return false;
            }
            self.feed = None;
            self.tally.stands(PushState::Idle);
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.control.changed() => {}
                _ = self.stopping.changed() => {}
            }
        }
        if self.feed.is_none() {
            self.feed = Some(Feed::new(self.subscription.clone(), self.tally.clone(), self.parts.clone()));
        }
        // One that stops has no time for new connections.
        self.stop_at.is_none() || self.connection.is_some()
    }

    /// Completes when something from outside asks for [`Pusher::follow`].
    fn disturbed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (steered, mut stopping, knows) = (self.steered(), self.stopping.clone(), self.stop_at.is_some());
        async move {
            tokio::select! {
                () = steered => {}
                // An error means that those who stop us are gone.
                _ = stopping.wait_for(|&stopping| stopping), if !knows => {}
            }
        }
    }

    /// Completes when the destination has changed, or the subscription is suspended or over.
    pub(super) fn steered(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut control, mut changed) = (self.control.clone(), self.changed.clone());
        let subscription = self.subscription.clone();
        async move {
            let over = async {
                while !(subscription.has_ended() || subscription.is_suspended()) {
                    if changed.changed().await.is_err() {
                        return;
                    }
                }
            };
            // Errors mean that those who steer are gone: time to look.
            tokio::select! {
                _ = control.changed() => {}
                () = over => {}
            }
        }
    }

    /// Whether the service stops.
    pub(super) fn is_stopping(&self) -> bool {
        // An error means that who would say so is gone.
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    /// Completes when the service stops and the time that it gives for what is in memory is over.
    pub(super) fn time_is_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let (at, mut stopping, drain) = (self.stop_at, self.stopping.clone(), self.drain);
        async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => {
                    let _ = stopping.wait_for(|&stopping| stopping).await;
                    sleep(drain).await;
                }
            }
        }
    }

    /// Makes a connection.
    pub(super) async fn connect(&mut self) -> Result<(), Outage> {
        self.reconnect_at = None;
        self.tally.stands(PushState::Connecting);
        let opened = tokio::select! {
            opened = Connection::open(&self.destination.peer) => opened,
            () = self.disturbed() => return Err(Outage { pause: Duration::ZERO, refused: false }),
        };
        self.tally.connected(opened.is_ok());
        match opened {
            Ok(connection) => {
                self.destination.reconnected();
                if std::mem::take(&mut self.away) {
                    self.tally.complains(None);
                }
                self.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                self.complain(&error.to_string());
                self.away = true;
                Err(Outage { pause: self.backoff.pause(), refused: false })
            }
        }
    }

    /// Waits for the first instance of a request.
    async fn wait(&mut self) -> Waited {
        self.tally.stands(PushState::Idle);
        let (disturbed, time_is_up) = (self.disturbed(), self.time_is_up());
        let closing = self.connection.as_ref().map(Connection::closing);
        let reconnect_at = self.reconnect_at.filter(|_| self.connection.is_none());
        let Some(feed) = &mut self.feed else { return Waited::Again };
        let is_last = self.stop_at.is_some();
        let taken = async {
            loop {
                match feed.take().await {
                    Taken::Dry if is_last => return Waited::Over,
                    Taken::Dry => feed.opened().await,
                    Taken::Stopped => return Waited::Again,
                    taken @ Taken::Instance(..) => return Waited::First(taken),
                }
            }
        };
        let waited = tokio::select! {
            biased;
            () = time_is_up => Waited::Over,
            () = disturbed => Waited::Again,
            done = self.answers.join_next(), if !self.answers.is_empty() => {
                self.conclude_detached(done.and_then(Result::ok));
                Waited::Again
            }
            () = async { match closing { Some(closing) => closing.await, None => std::future::pending().await } } => {
                // Peers do not keep what nobody uses: no failure, but no reason to hurry either.
                self.connection = None;
                self.reconnect_at = Some(Instant::now() + self.idle.pause());
                Waited::Again
            }
            () = sleep_until(reconnect_at.unwrap_or_else(Instant::now)), if reconnect_at.is_some() => {
                self.reconnect_at = None;
                Waited::Again
            }
            waited = taken => waited,
        };
        if let Waited::First(Taken::Instance(instance, _)) = &waited
            && let Some(feed) = &mut self.feed
            && !feed.admits(instance).await
        {
            return Waited::Again;
        }
        waited
    }

    /// Pushes `first` and what follows it.
    async fn push(&mut self, first: Taken) -> Result<(), Outage> {
        let ready = match &mut self.connection {
            Some(connection) => connection.ready().await,
            None => false,
        };
        if !ready {
            self.connection = None;
            if let Err(outage) = self.connect().await {
                if let (Some(feed), Taken::Instance(_, mark)) = (&mut self.feed, &first) {
                    feed.put_back(mark.as_ref());
                }
                return Err(outage);
            }
        }
        self.tally.stands(PushState::Sending);
        self.deliver(first).await
    }

    /// The peer has answered as it should; `failed` instances it did not take.
    pub(super) fn succeeded(&mut self, answer: &Answer, failed: u64) {
        self.proven = true;
        self.at_once = true;
        self.backoff.reset();
        self.idle.reset();
        if failed > 0 {
            let status = answer.status;
            self.complain(&format!(
                "the peer answered {status}, but did not take every instance; framegate_push_instances_failed_total says why"
            ));
        } else if self.complaint.take().is_some() {
            self.tally.complains(None);
            events::WorksAgain { destination: &self.destination.name }.tell();
        }
    }

    /// Logs what is wrong, once.
    pub(super) fn complain(&mut self, what: &str) {
        let (destination, peer) = (&self.destination.name, self.destination.peer.authority());
        if self.complaint.as_deref() == Some(what) {
            events::StillFails { destination, peer, what }.tell();
        } else {
            events::Fails { destination, peer, what }.tell();
            self.complaint = Some(what.to_owned());
        }
        self.away = false;
        self.tally.complains(Some(what));
    }

    /// Waits after a failure.
    async fn pause(&mut self, outage: Outage) {
        if outage.pause.is_zero() {
            return;
        }
        if let Some(feed) = &mut self.feed {
            feed.fails();
        }
        let until = Instant::now() + outage.pause;
        self.tally.stands(if outage.refused {
            PushState::Refused
        } else {
            PushState::Waiting(until.into_std())
        });
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.disturbed() => {}
            () = self.time_is_up() => {}
        }
    }
}
