//! The latest events of one subscription, numbered: 1, 2, 3 … without a gap. It is there from
//! registration on, connected or not, so that a client that was cut off can go on where it was.
//!
//! The oldest leave, by number and by bytes. Readers (connections) each have a position of their own
//! and are told exactly how many have left before they got there. What all subscriptions are told is
//! shared, so a queue costs little more than its references.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::event::News;
use crate::subscription::registry::Subscription;

/// Bytes of events that one queue may hold, whatever their number.
const MOST_BYTES: usize = 4 << 20;

/// The events of one subscription.
#[derive(Debug)]
pub(super) struct Queue {
    subscription: Arc<Subscription>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The last of them has the subscription's Sequence Number.
    events: VecDeque<Arc<News>>,
    bytes: usize,
    ended: bool,
    /// Rung for the connections that read here.
    bells: Vec<Arc<Notify>>,
}

/// What a reader finds behind its position.
#[derive(Debug)]
pub(super) enum Read {
    /// The next event and its number.
    Next(u64, Arc<News>),
    /// This many events have left; the last of them had this number.
    Gone {
        /// Number of the last one that is gone.
        last: u64,
        /// How many.
        count: u64,
    },
    /// Nothing yet.
    Nothing,
    /// Nothing, and nothing more will come.
    Ended,
}

impl Queue {
    fn new(subscription: Arc<Subscription>) -> Self {
        Self { subscription, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under this lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose events these are.
    pub(super) fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Number of the latest event; 0 before the first.
    pub(super) fn sequence(&self) -> u64 {
        self.subscription.progress().sequence.load(Ordering::Relaxed)
    }

    /// Adds an event behind the others, of which at most `most` are kept. Never waits.
    pub(super) fn push(&self, news: Arc<News>, most: usize) {
        // Dropped after the lock is released.
        let mut left = Vec::new();
        let mut inner = self.inner();
        inner.bytes += news.len();
        inner.events.push_back(news);
        self.subscription.progress().sequence.fetch_add(1, Ordering::Relaxed);
        while inner.events.len() > most.max(1) || (inner.bytes > MOST_BYTES && inner.events.len() > 1) {
            let Some(oldest) = inner.events.pop_front() else { break };
            inner.bytes -= oldest.len();
            left.push(oldest);
        }
        inner.bells.iter().for_each(|bell| bell.notify_one());
    }

    /// What comes after the event with number `after`.
    pub(super) fn read(&self, after: u64) -> Read {
        let inner = self.inner();
        // What is gone is told with the first event that is not: a queue that was emptied by suspension
        // stays silent.
        let gone = self.sequence() - inner.events.len() as u64;
        if inner.events.is_empty() {
            return if inner.ended { Read::Ended } else { Read::Nothing };
        }
        if after < gone {
            return Read::Gone { last: gone, count: gone - after };
        }
        match usize::try_from(after - gone).ok().and_then(|index| inner.events.get(index)) {
            Some(news) => Read::Next(after + 1, Arc::clone(news)),
            None if inner.ended => Read::Ended,
            None => Read::Nothing,
        }
    }

    /// Whether every event after number `after` is still kept.
    pub(super) fn keeps(&self, after: u64) -> bool {
        let inner = self.inner();
        after >= self.sequence() - inner.events.len() as u64
    }

    /// Lets go of all events; their numbers are not given again.
    pub(super) fn clear(&self) {
        let mut inner = self.inner();
        let left = std::mem::take(&mut inner.events);
        inner.bytes = 0;
        drop(inner);
        drop(left);
    }

    /// The subscription has ended.
    pub(super) fn end(&self) {
        let mut inner = self.inner();
        inner.ended = true;
        inner.bells.iter().for_each(|bell| bell.notify_one());
    }

    /// Rings `bell` from now on.
    pub(super) fn attach(&self, bell: &Arc<Notify>) {
        self.inner().bells.push(Arc::clone(bell));
    }

    /// Rings it no more.
    pub(super) fn detach(&self, bell: &Arc<Notify>) {
        self.inner().bells.retain(|other| !Arc::ptr_eq(other, bell));
    }
}

/// The queues of all subscriptions, by subscription ID.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<HashMap<Arc<str>, Arc<Queue>>>);

impl Queues {
    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue of a subscription, made if there is none yet.
    pub(super) fn of(&self, subscription: &Arc<Subscription>) -> Arc<Queue> {
        let mut all = self.all();
        let queue = all
            .entry(Arc::clone(subscription.id()))
            .or_insert_with(|| Arc::new(Queue::new(Arc::clone(subscription))));
        Arc::clone(queue)
    }

    /// All of them.
    pub(super) fn snapshot(&self) -> Vec<Arc<Queue>> {
        self.all().values().cloned().collect()
    }

    /// Ends those whose subscription is not `here` any more.
    pub(super) fn retain(&self, here: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        self.all().retain(|id, queue| {
            let stays = here(id);
            if !stays {
                gone.push(Arc::clone(queue));
            }
            stays
        });
        gone.iter().for_each(|queue| queue.end());
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;
    use crate::config::settings::SubscriptionSettings;
    use crate::subscription::registry::Registry;
    use crate::subscription::registry::testing::request;

    fn queue() -> Queue {
        let request = request("VIEWER", "");
        Queue::new(Registry::new(SubscriptionSettings::default()).subscribe(request).unwrap().0)
    }

    fn news() -> Arc<News> {
        Arc::new(News::missed(None, 1, SystemTime::UNIX_EPOCH))
    }

    fn kind(read: &Read) -> String {
        match read {
            Read::Next(number, _) => format!("{number}"),
            Read::Gone { last, count } => format!("{count} gone to {last}"),
            Read::Nothing => "nothing".to_owned(),
            Read::Ended => "ended".to_owned(),
        }
    }

    #[test]
    fn numbers_go_on_and_what_has_left_is_counted() {
        let queue = queue();
        assert_eq!(kind(&queue.read(0)), "nothing");
        (0..5).for_each(|_| queue.push(news(), 3));
        assert_eq!(queue.sequence(), 5);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|after| kind(&queue.read(after))),
            ["2 gone to 2", "1 gone to 2", "3", "4", "5", "nothing"]
        );
        assert!(queue.keeps(2) && !queue.keeps(1));
    }

    #[test]
    fn bytes_are_bounded_too_but_the_latest_event_stays() {
        let queue = queue();
        let each = news().len();
        for _ in 0..2 * MOST_BYTES / each {
            queue.push(news(), usize::MAX);
        }
        let kept = queue.inner().events.len();
        assert!(kept * each <= MOST_BYTES && (kept + 1) * each > MOST_BYTES, "{kept} of {each} bytes");
        queue.push(news(), 0);
        assert_eq!(queue.inner().events.len(), 1);
        assert_eq!(queue.inner().bytes, each);
    }

    #[test]
    fn a_queue_that_was_emptied_is_silent_until_there_is_something_to_say() {
        let queue = queue();
        (0..3).for_each(|_| queue.push(news(), 8));
        queue.clear();
        assert_eq!(kind(&queue.read(1)), "nothing");
        queue.push(news(), 8);
        assert_eq!([kind(&queue.read(1)), kind(&queue.read(3))], ["2 gone to 3", "4"]);
    }

    #[test]
    fn what_is_there_is_read_before_the_end() {
        let queue = queue();
        queue.push(news(), 8);
        queue.end();
        assert_eq!([kind(&queue.read(0)), kind(&queue.read(1))], ["1", "ended"]);
    }

    proptest! {
        /// Whatever the order of writing and reading, a reader accounts for every number once.
        #[test]
        fn a_reader_accounts_for_every_event(steps in prop::collection::vec(0..4u8, 1..200), most in 1..6usize) {
            let queue = queue();
            let (mut at, mut pushed) = (0, 0);
            for step in steps {
                if step > 0 {
                    queue.push(news(), most);
                    pushed += 1;
                    continue;
                }
                match queue.read(at) {
                    Read::Next(number, _) => {
                        prop_assert_eq!(number, at + 1);
                        at = number;
                    }
                    Read::Gone { last, count } => {
                        prop_assert_eq!(last, at + count);
                        prop_assert!(count > 0);
                        at = last;
                    }
                    Read::Nothing => prop_assert_eq!(at, pushed),
                    Read::Ended => prop_assert!(false),
                }
                prop_assert!(queue.inner().events.len() <= most);
            }
        }
    }
}
