//! The one task that turns what happens in the hub into events for those whom it concerns.
//!
//! Whom a series concerns is worked out when it opens, or when a subscription is made, and kept for as
//! long as it is live: an event then costs those who are told, and nothing else. The feed keeps its own
//! view of what is live, which follows the hub's events in their order; the current state that a new
//! connection is told first is taken from that view, so that no event is told twice or left out
//! between the two.
//!
//! It never waits for a reader, and lets others run after every [`TURN`] subscriptions.

mod inbox;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

pub(super) use self::inbox::{Doubts, Inbox};
use super::Shared;
use super::event::{News, Status};
use super::events;
use super::follower::{Adjusted, Follower};
use super::listener::{Listener, Opening, Place};
use super::scene::{Arrival, Key, Scene, Watched};
use crate::hub::{End, HubEvent, LiveSeries};
use crate::instance::Uid;
use crate::subscription::registry::Subscription;
use crate::subscription::scope::Level;

/// Subscriptions that are told before other tasks get a turn.
const TURN: usize = 64;
/// A data set longer than this (bytes) is decoded on a thread that may block.
const LONG_HEAD: usize = 64 << 10;

/// The task's state.
pub(super) struct Feed {
    shared: Arc<Shared>,
    inbox: Inbox,
    registry_touched: watch::Receiver<()>,
    /// The registry's list as it was last seen.
    known: Arc<Vec<Arc<Subscription>>>,
    followers: BTreeMap<Key, Follower>,
    keys: HashMap<Arc<str>, Key>,
    next_key: Key,
    series: Vec<Watched>,
    listeners: Vec<Arc<Listener>>,
    told: usize,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, inbox: Inbox) -> Self {
        Self {
            registry_touched: shared.registry.touched(),
            shared,
            inbox,
            known: Arc::default(),
            followers: BTreeMap::new(),
            keys: HashMap::new(),
            next_key: 0,
            series: Vec::new(),
            listeners: Vec::new(),
            told: 0,
        }
    }

    /// Runs until the notifier is stopped; then tells everybody that the server is going down.
    pub(super) async fn run(mut self) {
        let mut stop = self.shared.stop.subscribe();
        self.registry_touched.mark_changed();
        loop {
            tokio::select! {
                event = self.inbox.events.recv() => match event {
                    Ok(event) => self.take(event).await,
                    Err(RecvError::Lagged(count)) => self.lagged(count).await,
                    // The hub is gone, and the process with it.
                    Err(RecvError::Closed) => break,
                },
                Ok(()) = self.registry_touched.changed() => {
                    self.registry_touched.mark_changed();
                    self.follow_registry().await;
                }
                Some(opening) = self.inbox.openings.recv() => self.open(opening).await,
                Some(doubts) = self.inbox.doubts.recv() => self.doubt(doubts).await,
                () = asked(&mut stop) => break,
            }
        }
        // What the hub has said before it was told to stop still goes out, to whoever is at the door too.
        while let Ok(opening) = self.inbox.openings.try_recv() {
            self.open(opening).await;
        }
        loop {
            match self.inbox.events.try_recv() {
                Ok(event) => self.take(event).await,
                Err(TryRecvError::Lagged(count)) => self.lagged(count).await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let news = Arc::new(News::status(Status::GoingDown, SystemTime::now()));
        for queue in self.shared.queues.snapshot() {
            queue.push(Arc::clone(&news), self.shared.kept());
            self.breathe().await;
        }
        self.shared.down.send_replace(true);
    }

    async fn take(&mut self, event: HubEvent) {
        self.follow_registry().await;
        match event {
            HubEvent::Opened(live) => self.opened(live).await,
            HubEvent::Available(live, uid, lost) => self.available(&live, &uid, lost).await,
            HubEvent::Ended(live, end) => self.ended(&live, end).await,
        }
    }

    /// Lets others run now and then.
    async fn breathe(&mut self) {
        self.told += 1;
        if self.told.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }

    fn position(&self, live: &Arc<LiveSeries>) -> Option<usize> {
        self.series.iter().position(|watched| Arc::ptr_eq(&watched.live, live))
    }

    fn keys(&self) -> Vec<Key> {
        self.followers.keys().copied().collect()
    }

    async fn opened(&mut self, live: Arc<LiveSeries>) {
        if self.position(&live).is_some() {
            return;
        }
        let scene = Scene::new(&self.shared.hub, &live);
        let keys = self.keys();
        self.series.push(Watched::new(Arc::clone(&live)));
        let here = self.series.len() - 1;
        // Each is told as soon as it is found to be concerned.
        for key in keys {
            if self.concerns(key, &live, &scene) {
                if let Some(watched) = self.series.get_mut(here) {
                    watched.concerns.push(key);
                }
                self.tell_opened(key, here, &scene);
            }
            self.breathe().await;
        }
    }

    /// Whether a series is any business of a follower's, suspended or not.
    fn concerns(&self, key: Key, live: &LiveSeries, scene: &Scene) -> bool {
        self.followers.get(&key).is_some_and(|follower| {
            follower.notifies && follower.subscription.matches_series(live, scene.described())
        })
    }

    /// Tells a follower that a series, or by it a study, is becoming available.
    fn tell_opened(&self, key: Key, index: usize, scene: &Scene) {
        let Some(follower) = self.followers.get(&key) else { return };
        let level = follower.subscription.request().scope.level;
        if level == Level::Studies && self.has_opened_earlier(key, index) {
            return;
        }
        follower.push(scene.opened(level), &self.shared);
    }

    /// Whether another series of the same study has been told to this follower and is still live.
    fn has_opened_earlier(&self, key: Key, index: usize) -> bool {
        let mut before = self.series.iter().take(index);
        let study = self.series.get(index).map(|watched| watched.live.study());
        before.any(|other| Some(other.live.study()) == study && other.has(key))
    }

    async fn ended(&mut self, live: &Arc<LiveSeries>, end: End) {
        let scene = Scene::new(&self.shared.hub, live);
        for key in self.concerned(live, &scene) {
            if let Some(follower) = self.followers.get(&key) {
                follower.push(scene.ended(end), &self.shared);
            }
            self.breathe().await;
        }
        if let Some(index) = self.position(live) {
            self.series.remove(index);
        }
    }

    /// Whom a series concerns that may have left the view: an instance can come late into a series that
    /// has ended.
    fn concerned(&self, live: &Arc<LiveSeries>, scene: &Scene) -> Vec<Key> {
        if let Some(watched) = self.position(live).and_then(|index| self.series.get(index)) {
            return watched.concerns.clone();
        }
        let mut keys = self.keys();
        keys.retain(|&key| self.concerns(key, live, scene));
        keys
    }

    /// An instance has come, before which the source lost so many.
    async fn available(&mut self, live: &Arc<LiveSeries>, uid: &Uid, lost: u32) {
        let scene = Scene::new(&self.shared.hub, live);
        let mut keys = self.concerned(live, &scene);
        keys.retain(|key| {
            self.followers.get(key).is_some_and(|follower| {
                follower.subscription.request().scope.level == Level::Instances && !follower.suspended
            })
        });
        if keys.is_empty() {
            return;
        }
        let Some(instance) = live.instance(uid) else {
            return self.will_not_come(live, &keys, u64::from(lost) + 1).await;
        };
        if lost > 0 {
            self.will_not_come(live, &keys, lost.into()).await;
        }
        let arrival = Arc::new(Arrival::new(live, instance));
        if arrival.instance().len() - arrival.instance().pixels().len() > LONG_HEAD {
            let (long, hub) = (Arc::clone(&arrival), self.shared.hub.clone());
            let written = self.shared.workers.run(move || drop(long.news(&hub)));
            written.await.unwrap_or_default();
        }
        for key in keys {
            if let Some(follower) = self.followers.get_mut(&key) {
                follower.offer(&arrival, live, &self.shared);
            }
            self.breathe().await;
        }
    }

    /// So many instances have left their ring before they could be told, or never came into it.
    async fn will_not_come(&mut self, live: &Arc<LiveSeries>, keys: &[Key], count: u64) {
        for key in keys {
            let follower =
                self.followers.get(key).filter(|follower| follower.subscription.matches_instance(|| None));
            if let Some(follower) = follower {
                self.shared.missed(&follower.subscription, Some(live), count);
            }
            self.breathe().await;
        }
    }

    /// The hub was faster than we are, and `count` of its events are lost.
    async fn lagged(&mut self, count: u64) {
        let count = count + self.inbox.events.len() as u64;
        self.shared.counters.lagged.inc_by(count);
        events::Lagged { count }.tell();
        self.inbox.events = self.shared.hub.events();
        self.series = self
            .shared
            .hub
            .series()
            .into_iter()
            .filter(|live| live.end().is_none())
            .map(Watched::new)
            .collect();
        let keys = self.keys();
        for key in &keys {
            if let Some(follower) = self.followers.get(key).filter(|follower| follower.notifies) {
                self.shared.missed(&follower.subscription, None, count);
            }
            self.breathe().await;
        }
        self.match_all(&keys).await;
        self.tell_state(&keys).await;
    }

    /// Takes note of subscriptions that have come, gone or changed.
    async fn follow_registry(&mut self) {
        if !self.registry_touched.has_changed().unwrap_or(false) {
            return;
        }
        self.registry_touched.mark_unchanged();
        let all = self.shared.registry.all();
        let mut fresh = Vec::new();
        if !Arc::ptr_eq(&all, &self.known) {
            fresh = self.meet(&all);
            self.known = all;
        }
        let mut resumed = Vec::new();
        for (&key, follower) in &mut self.followers {
            match follower.adjust(&self.shared) {
                Adjusted::GoesOn => {}
                Adjusted::Resumed => resumed.push(key),
                Adjusted::Restricted => fresh.push(key),
            }
        }
        self.match_all(&fresh).await;
        fresh.extend(resumed);
        self.tell_state(&fresh).await;
    }

    /// Forgets those who are gone and takes up those who are new, whose keys it returns.
    fn meet(&mut self, all: &[Arc<Subscription>]) -> Vec<Key> {
        let here: HashSet<&str> = all.iter().map(|subscription| &**subscription.id()).collect();
        self.shared.queues.retain(|id| here.contains(id));
        self.keys.retain(|id, _| here.contains(&**id));
        self.followers.retain(|_, follower| here.contains(&**follower.subscription.id()));
        for watched in &mut self.series {
            watched.concerns.retain(|key| self.followers.contains_key(key));
        }
        self.listeners.retain(|listener| !listener.has_closed());
        let mut fresh = Vec::new();
        for subscription in all {
            if self.keys.contains_key(subscription.id()) {
                continue;
            }
            let queue = self.shared.queues.of(subscription);
            for listener in self.listeners.iter().filter(|listener| listener.whom.has(subscription)) {
                listener.join(Place { queue: Arc::clone(&queue), position: 0, restarted: false });
            }
            let key = self.next_key;
            self.next_key += 1;
            self.keys.insert(Arc::clone(subscription.id()), key);
            self.followers.insert(key, Follower::new(subscription, queue));
            fresh.push(key);
        }
        fresh
    }

    /// Works out which live series concern these followers.
    async fn match_all(&mut self, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        for index in 0..self.series.len() {
            let Some(live) = self.series.get(index).map(|watched| Arc::clone(&watched.live)) else {
                continue;
            };
            let scene = Scene::new(&self.shared.hub, &live);
            for &key in keys {
                let concerned = self.concerns(key, &live, &scene);
                if let Some(watched) = self.series.get_mut(index) {
                    watched.set(key, concerned);
                }
                self.breathe().await;
            }
        }
    }

    /// Tells followers everything that is live and concerns them.
    async fn tell_state(&mut self, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        for index in 0..self.series.len() {
            let Some(live) = self.series.get(index).map(|watched| Arc::clone(&watched.live)) else {
                continue;
            };
            let scene = Scene::new(&self.shared.hub, &live);
            for &key in keys {
                let concerned = self
                    .series
                    .get(index)
                    .is_some_and(|watched| watched.concerns.binary_search(&key).is_ok());
                if concerned {
                    self.tell_opened(key, index, &scene);
                }
                self.breathe().await;
            }
        }
    }

    /// Gives a connection its places, and tells it what is live, or what it missed.
    async fn open(&mut self, opening: Opening) {
        self.follow_registry().await;
        let theirs: Vec<_> = self
            .followers
            .iter()
            .filter(|(_, follower)| opening.listener.whom.has(&follower.subscription))
            .map(|(&key, follower)| (key, Arc::clone(&follower.queue)))
            .collect();
        let is_known = |id: &str| theirs.iter().any(|(_, queue)| **queue.subscription().id() == *id);
        let strange = opening.names_others(is_known);
        let mut uninformed = Vec::new();
        for (key, queue) in theirs {
            let place = opening.place(queue, strange);
            if !opening.resumes(&place) {
                uninformed.push(key);
            }
            opening.listener.join(place);
        }
        let Opening { listener, done, .. } = opening;
        self.listeners.push(listener);
        self.tell_state(&uninformed).await;
        // A connection that is gone already needs no answer.
        let _ = done.send(());
    }
}

/// Waits until the feed is asked to stop.
async fn asked(stop: &mut watch::Receiver<bool>) {
    // The sender lives in what the feed holds.
    let _ = stop.wait_for(|&stop| stop).await;
}
