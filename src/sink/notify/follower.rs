//! A subscription as the feed sees it: what of what happens is put into its queue now, by its options.

use std::sync::Arc;

use super::Shared;
use super::event::News;
use super::queue::Queue;
use super::scene::Arrival;
use crate::hub::LiveSeries;
use crate::sink::pace::Pace;
use crate::subscription::query::Query;
use crate::subscription::registry::{Delivery, Subscription};

/// One subscription.
pub(super) struct Follower {
    pub(super) subscription: Arc<Subscription>,
    pub(super) queue: Arc<Queue>,
    /// Whether it is told what happens; one for a push is told only what it missed.
    pub(super) notifies: bool,
    pub(super) suspended: bool,
    restriction: Option<Arc<Query>>,
    rate: Option<f64>,
    pace: Option<Pace>,
    /// Instances that were held back while it was paused, and their series if all are of one.
    held: u64,
    held_of: Option<Arc<LiveSeries>>,
}

/// What a change asks the feed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adjusted {
    /// Nothing.
    GoesOn,
    /// To tell it the current state.
    Resumed,
    /// To match it anew, since it may see other series than before, and then the same.
    Restricted,
}

impl Follower {
    pub(super) fn new(subscription: &Arc<Subscription>, queue: Arc<Queue>) -> Self {
        Self {
            subscription: Arc::clone(subscription),
            queue,
            notifies: subscription.request().delivery == Delivery::Notification,
            suspended: false,
            restriction: subscription.restriction(),
            rate: None,
            pace: None,
            held: 0,
            held_of: None,
        }
    }

    pub(super) fn push(&self, news: Arc<News>, shared: &Shared) {
        if !self.subscription.is_suspended() {
            self.queue.push(news, shared.kept());
        }
    }

    /// Takes on what has changed about the subscription.
    pub(super) fn adjust(&mut self, shared: &Shared) -> Adjusted {
        let options = self.subscription.options();
        if options.rate != self.rate {
            self.rate = options.rate;
            self.pace = options.rate.map(Pace::new);
        }
        let restriction = self.subscription.restriction();
        let restricted = restriction.as_ref().map(Arc::as_ptr) != self.restriction.as_ref().map(Arc::as_ptr);
        self.restriction = restriction;
        let suspended = self.subscription.is_suspended();
        let resumed = self.suspended && !suspended;
        if restricted || (suspended && !self.suspended) {
            self.queue.clear();
            (self.held, self.held_of) = (0, None);
        }
        self.suspended = suspended;
        if self.held > 0 && !options.paused {
            let (count, live) = (std::mem::take(&mut self.held), self.held_of.take());
            shared.missed(&self.subscription, live.as_ref(), count);
        }
        match (self.notifies, restricted, resumed) {
            (true, true, _) => Adjusted::Restricted,
            (true, false, true) => Adjusted::Resumed,
            _ => Adjusted::GoesOn,
        }
    }

    /// Tells of an instance, if it is wanted now.
    pub(super) fn offer(&mut self, arrival: &Arrival, live: &Arc<LiveSeries>, shared: &Shared) {
        if !self.subscription.matches_instance(|| arrival.dataset()) {
            return;
        }
        let time = arrival.instance().arrived();
        if self.pace.as_mut().is_some_and(|pace| !pace.admits(time)) {
            return;
        }
        if self.subscription.options().paused {
            let same = self.held == 0 || self.held_of.as_ref().is_some_and(|of| Arc::ptr_eq(of, live));
            self.held_of = same.then(|| Arc::clone(live));
            self.held += 1;
            return;
        }
        self.push(arrival.news(&shared.hub), shared);
    }
}
