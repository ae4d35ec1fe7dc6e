//! One reader's place in one series, or in all series of a study.
//!
//! A cursor never holds up anybody: what leaves the ring before it was read is told as
//! [`Item::Missed`], exactly counted.

use std::sync::Arc;

use futures_util::future::{select, select_all};
use tokio::sync::watch;

use super::Hub;
use super::ring::Slot;
use super::series::{End, From, LiveSeries};
use crate::instance::{Instance, Uid};

/// What a cursor yields.
#[derive(Debug, Clone)]
pub enum Item {
    /// The next instance.
    Instance(Arc<Instance>),
    /// This many instances left the ring before they were read.
    Missed(u64),
    /// Nothing more will come.
    End(End),
}

/// A place in one live series.
#[derive(Debug)]
pub struct Cursor {
    series: Arc<LiveSeries>,
    changed: watch::Receiver<()>,
    next: u64,
    least_number: Option<i32>,
}

impl Cursor {
    /// A cursor that starts at `from`.
    pub fn new(series: Arc<LiveSeries>, from: From) -> Self {
        let changed = series.subscribe();
        let (next, least_number) = series.start(from);
        Self { series, changed, next, least_number }
    }

    /// The series it reads.
    pub fn series(&self) -> &Arc<LiveSeries> {
        &self.series
    }

    /// What is there without waiting; `None` where the next instance has not come yet.
    pub fn try_next(&mut self) -> Option<Item> {
        loop {
            self.changed.mark_unchanged();
            match self.series.get(self.next) {
                (Slot::Here(instance), _) => {
                    self.next += 1;
                    let early = self.least_number.is_some_and(|least| instance.number() < Some(least));
                    if !early {
                        return Some(Item::Instance(instance));
                    }
                }
                (Slot::Gone(first), _) => {
                    let missed = first - self.next;
                    self.next = first;
                    return Some(Item::Missed(missed));
                }
                (Slot::NotYet, Some(end)) => return Some(Item::End(end)),
                (Slot::NotYet, None) => return None,
            }
        }
    }

    /// Goes to the newest instance, without counting what is passed over as missed: for readers
    /// that want the present rather than the past.
    pub fn skip_to_latest(&mut self) {
        let (latest, _) = self.series.start(From::Latest);
        self.next = self.next.max(latest);
    }

    /// Waits for what comes next. Safe to drop while it waits.
    pub async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.wait().await;
        }
    }

    /// Waits until [`Cursor::try_next`] is worth asking again.
    pub async fn wait(&mut self) {
        // The sender lives in the series, which this cursor holds: it cannot be gone.
        let _ = self.changed.changed().await;
    }
}

/// A place in every series of a study, those that open later among them.
#[derive(Debug)]
pub struct StudyCursor {
    hub: Hub,
    study: Uid,
    changed: watch::Receiver<()>,
    cursors: Vec<Cursor>,
    /// Whose turn it is, so that a fast series does not starve a slow one.
    turn: usize,
}

impl StudyCursor {
    /// A cursor that starts at `from` in the series that are there, and at the oldest instance of
    /// those that open later.
    pub fn new(hub: Hub, study: Uid, from: From) -> Self {
        let changed = hub.changed();
        let cursors = hub.study(&study).into_iter().map(|live| Cursor::new(live, from)).collect();
        Self { hub, study, changed, cursors, turn: 0 }
    }

    /// Waits for what comes next in any of the series. [`Item::End`] comes when all have ended.
    /// Safe to drop while it waits.
    pub async fn next(&mut self) -> Item {
        loop {
            self.changed.mark_unchanged();
            self.join_new_series();
            if let Some(item) = self.try_next() {
                return item;
            }
            let waits: Vec<_> = self.cursors.iter_mut().map(|cursor| Box::pin(cursor.wait())).collect();
            let news = Box::pin(self.changed.changed());
            if waits.is_empty() {
                let _ = news.await;
            } else {
                let _ = select(select_all(waits), news).await;
            }
        }
    }

    fn try_next(&mut self) -> Option<Item> {
        let count = self.cursors.len();
        let mut ended = End::Completed;
        let mut live = 0;
        for step in 0..count {
            let index = (self.turn + step) % count;
            match self.cursors.get_mut(index).and_then(Cursor::try_next) {
                Some(Item::End(End::Aborted)) => ended = End::Aborted,
                Some(Item::End(End::Completed)) => {}
                Some(item) => {
                    self.turn = index + 1;
                    return Some(item);
                }
                None => live += 1,
            }
        }
        (live == 0).then_some(Item::End(ended))
    }

    fn join_new_series(&mut self) {
        for live in self.hub.study(&self.study) {
            if !self.cursors.iter().any(|cursor| Arc::ptr_eq(cursor.series(), &live)) {
                self.cursors.push(Cursor::new(live, From::Oldest));
            }
        }
    }
}
