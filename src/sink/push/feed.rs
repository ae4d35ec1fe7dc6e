//! What one subscription is to be pushed: its place in every series that it matches, the instances that
//! it lets pass, and what went out lately, to go back to when that may not have arrived.
//!
//! A feed is in one hand at a time: the pusher's while it waits, the request body's while that is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::counters::Tally;
use crate::audit::{Audit, Outcome, Party, Transfers};
use crate::hub::{Cursors, Hub, Item, LiveSeries, Mark, Missed, Reader, Stages};
use crate::instance::Instance;
use crate::sink::notify::Notifier;
use crate::sink::pace::Pace;
use crate::sink::workers::Workers;
use crate::subscription::described;
use crate::subscription::registry::Subscription;
use crate::subscription::scope::Level;

/// Instances that are remembered to have gone out.
const REMEMBERED: usize = 8192;

/// What a feed gives.
#[derive(Debug)]
pub(super) enum Taken {
    /// The next instance; [`Feed::admits`] says whether it goes out.
    Instance(Arc<Instance>, Option<Mark>),
    /// All series have ended, for now.
    Dry,
    /// The subscription is suspended, or over.
    Stopped,
}

/// The parts of a feed.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) hub: Hub,
    pub(super) notifier: Notifier,
    pub(super) workers: Workers,
    pub(super) audit: Audit,
    /// The destination, for the audit trail.
    pub(super) to: Party,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    subscription: Arc<Subscription>,
    changed: watch::Receiver<()>,
    cursors: Cursors,
    pace: Option<(f64, Pace)>,
    /// When what went out, oldest first.
    out: VecDeque<(Instant, Mark)>,
    tally: Arc<Tally>,
    parts: Parts,
    /// What the audit trail is told: from the first instance until all series have ended, or pushing fails.
    transfers: Transfers,
    /// When it began to read.
    since: std::time::Instant,
}

impl Feed {
    /// Starts where the subscription says.
    pub(super) fn new(subscription: Arc<Subscription>, tally: Arc<Tally>, parts: Parts) -> Self {
        let (changed, since) = (subscription.changed(), std::time::Instant::now());
        let (hub, asks) = (parts.hub.clone(), subscription.clone());
        let cursors = Cursors::new(parts.hub.clone(), subscription.request().from, move |live| {
            let members = hub.study(live.study());
            let described = match asks.request().scope.level {
                Level::Studies => described::study(live, &members),
                Level::Series | Level::Instances => described::series(live, &members),
            };
            asks.matches_series(live, &described)
        })
        .read_by(Reader { kind: "push", peer: tally.destination().into() });
        let transfers = Transfers::pushed(&parts.audit, Party::here(), parts.to.clone());
        Self {
            subscription,
            changed,
            cursors,
            pace: None,
            out: VecDeque::new(),
            tally,
            parts,
            transfers,
            since,
        }
    }

    /// Waits for the next instance, for the end of all series, or for a suspension. While the subscription
    /// is paused it only waits. Safe to drop while it waits.
    pub(super) async fn take(&mut self) -> Taken {
        loop {
            if self.subscription.is_suspended() || self.subscription.has_ended() {
                return Taken::Stopped;
            }
            let paused = self.subscription.options().paused;
            let (series, item) = tokio::select! {
                biased;
                // An error would mean that the subscription is gone, which this holds.
                _ = self.changed.changed() => {
                    self.cursors.reconsider();
                    continue;
                }
                item = self.cursors.next(), if !paused => item,
            };
            match (series, item) {
                (Some(series), Item::Instance(instance)) => {
                    return Taken::Instance(instance, self.cursors.mark(&series));
                }
                (series, Item::Missed(missed)) => self.missed(series.as_ref(), missed),
                (_, Item::Instance(_) | Item::End(_)) => {
                    self.transfers.finish(Outcome::Success);
                    return Taken::Dry;
                }
            }
        }
    }

    /// Waits until a series opens, or is there. Safe to drop while it waits.
    pub(super) async fn opened(&mut self) {
        self.cursors.opened().await;
    }

    /// Whether an instance goes out: by the rate, and by the search where it is one for instances.
    pub(super) async fn admits(&mut self, instance: &Arc<Instance>) -> bool {
        let rate = self.subscription.options().rate;
        if self.pace.as_ref().map(|(rate, _)| *rate) != rate {
            self.pace = rate.map(|rate| (rate, Pace::new(rate)));
        }
        self.matches(instance).await
            && self.pace.as_mut().is_none_or(|(_, pace)| pace.admits(instance.arrived()))
    }

    async fn matches(&self, instance: &Arc<Instance>) -> bool {
        let request = self.subscription.request();
        if request.scope.level != Level::Instances || request.query.keys().is_empty() {
            return self.subscription.matches_instance(|| None);
        }
        // A data set outside of pixels can be some MiB: not on a thread that moves frames.
        let instance = instance.clone();
        let dataset = self.parts.workers.run(move || instance.dataset().ok().map(Arc::new)).await;
        self.subscription.matches_instance(|| dataset.flatten())
    }

    /// The instance at `mark` goes out now. What is older than `memory` need not be remembered.
    pub(super) fn goes_out(&mut self, mark: Option<Mark>, memory: Duration) {
        let now = Instant::now();
        while self.out.front().is_some_and(|(at, _)| now.duration_since(*at) > memory)
            || self.out.len() >= REMEMBERED
        {
            self.out.pop_front();
        }
        self.out.extend(mark.map(|mark| (now, mark)));
    }

    /// An instance is handed over.
    pub(super) fn hands_over(&mut self, instance: &Instance) {
        let (identity, hub) = (instance.identity(), &self.parts.hub);
        let context = || hub.find(&identity.study, &identity.series).map(|live| live.context().clone());
        self.transfers.note(identity, context);
    }

    /// Nothing can be handed over for now.
    pub(super) fn fails(&mut self) {
        self.transfers.finish(Outcome::MinorFailure);
    }

    /// All that went out has arrived.
    pub(super) fn arrived(&mut self) {
        self.out.clear();
    }

    /// How many of those remembered went out at or after `since`.
    pub(super) fn out_since(&self, since: Instant) -> u64 {
        self.out.iter().filter(|(at, _)| *at >= since).count() as u64
    }

    /// Goes back to the first instance that went out at or after `since`, as far as the rings still hold
    /// it; what they do not is told as missed, since nobody can say that it arrived. Returns how many will
    /// go out again, or are missed.
    pub(super) fn go_back(&mut self, since: Instant) -> u64 {
        let mut again = 0;
        while let Some((at, mark)) = self.out.pop_back() {
            if at < since {
                self.out.push_back((at, mark));
                break;
            }
            self.cursors.go_back(&mark);
            again += 1;
        }
        // It has seen these times before.
        self.pace = None;
        again
    }

    /// Goes back to all that is remembered to have gone out.
    pub(super) fn go_back_to_all(&mut self) {
        if let Some(&(first, _)) = self.out.front() {
            self.go_back(first);
        }
    }

    /// Gives an instance back that has not gone out.
    pub(super) fn put_back(&mut self, mark: Option<&Mark>) {
        if let Some(mark) = mark {
            self.cursors.go_back(mark);
        }
        self.pace = None;
    }

    fn missed(&self, series: Option<&Arc<LiveSeries>>, missed: Missed) {
        // What the source lost is no fault of the destination's, and is counted there.
        self.tally.missed(missed.left);
        self.parts.notifier.missed(&self.subscription, series, missed.total());
    }

    /// What it counts with.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Where it is measured how long frames take.
    pub(super) fn stages(&self) -> &Stages {
        self.parts.hub.stages()
    }

    /// When it began to read.
    pub(super) fn since(&self) -> std::time::Instant {
        self.since
    }

    /// Its subscription.
    pub(super) fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Threads for heavy work.
    pub(super) fn workers(&self) -> &Workers {
        &self.parts.workers
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::tests::{World, instance, labels, publish};
    use super::*;
    use crate::subscription::registry::Options;

    async fn read(feed: &mut Feed, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let Taken::Instance(instance, mark) = feed.take().await else { panic!("no instance") };
            if feed.admits(&instance).await {
                feed.goes_out(mark, Duration::MAX);
                seen.push(instance.identity().sop_instance.replace('.', "/"));
            }
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_source_lost_is_told_and_not_held_against_the_destination() {
        let world = World::new(&[]);
        let subscription = world.subscribe("x", |_| {});
        let parts = world.parts();
        let tally = Arc::new(Tally::new(subscription.clone(), world.counters.clone(), "x".to_owned()));
        let mut feed = Feed::new(subscription.clone(), tally, parts);
        let publisher = world.open("2");
        publish(&publisher, 1..=1);
        publisher.publish_after(3, instance("2", 5, 10)).unwrap();
        assert_eq!(read(&mut feed, 2).await, labels("2", [1, 5]));
        assert_eq!(subscription.progress().missed.load(Ordering::Relaxed), 3);
        assert_eq!(world.missed("x"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_out_of_late_goes_out_again_whatever_the_rate() {
        let world = World::new(&[]);
        let subscription =
            world.subscribe("x", |request| request.options = Options { rate: Some(0.001), paused: false });
        let parts = world.parts();
        let tally = Arc::new(Tally::new(subscription.clone(), world.counters.clone(), "x".to_owned()));
        let mut feed = Feed::new(subscription.clone(), tally, parts);
        let publisher = world.open("2");
        publish(&publisher, 1..=3);
        assert_eq!(read(&mut feed, 1).await, labels("2", 1..=1));
        feed.go_back_to_all();
        assert_eq!(read(&mut feed, 1).await, labels("2", 1..=1), "though the rate has let it pass before");

        world.registry.update(&subscription, Options { rate: None, paused: false });
        let start = Instant::now();
        assert_eq!(read(&mut feed, 2).await, labels("2", 2..=3));
        tokio::time::advance(Duration::from_secs(2)).await;
        publish(&publisher, 4..=5);
        assert_eq!(read(&mut feed, 2).await, labels("2", 4..=5));
        assert_eq!(feed.out_since(start + Duration::from_secs(1)), 2);
        assert_eq!(feed.go_back(start + Duration::from_secs(1)), 2);
        assert_eq!(read(&mut feed, 2).await, labels("2", 4..=5));
        assert_eq!(feed.go_back(start), 5, "all but what the last step forgot: none");
        assert_eq!(read(&mut feed, 5).await, labels("2", 1..=5));
        feed.arrived();
        assert_eq!(feed.go_back(start), 0);
    }
}
