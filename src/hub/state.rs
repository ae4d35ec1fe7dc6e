//! What the hub holds under its lock: the series, and the order in which instances leave. Whatever
//! leaves is handed to the caller, to be dropped outside of the lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::series::LiveSeries;
use crate::instance::{Instance, Uid};

/// Ended series whose UIDs are remembered, to answer 410 instead of 404.
const REMEMBERED: usize = 1024;
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) series: Vec<Arc<LiveSeries>>,
    /// Every instance of every ring in the order of publication: what leaves next is in front.
    pub(super) order: VecDeque<Entry>,
    pub(super) bytes: u64,
    pub(super) evicted: u64,
    pub(super) gone: VecDeque<(Uid, Uid)>,
    pub(super) draining: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) series: Arc<LiveSeries>,
    pub(super) bytes: u64,
    pub(super) at: Instant,
}

impl State {
    /// Lets the oldest instance leave; the caller drops it outside of the lock.
    pub(super) fn evict(&mut self) -> Option<Arc<Instance>> {
        let entry = self.order.pop_front()?;
        self.bytes -= entry.bytes;
        self.evicted += 1;
        entry.series.pop()
    }

    /// Makes room for a series that is live: of those that have only ended, the oldest goes early.
    pub(super) fn forget_oldest_ended(&mut self, left: &mut Vec<Arc<Instance>>) {
        let Some(index) = self.series.iter().position(|live| live.end().is_some()) else { return };
        let ended = self.series.remove(index);
        for _ in self.take(&ended) {
            self.evicted += 1;
            left.extend(ended.pop());
        }
        self.remember(&ended);
    }

    /// Takes what is of one series out of the order and the count; its ring is left as it is.
    pub(super) fn take(&mut self, live: &Arc<LiveSeries>) -> VecDeque<Entry> {
        let (of_it, kept): (VecDeque<_>, _) =
            std::mem::take(&mut self.order).into_iter().partition(|entry| Arc::ptr_eq(&entry.series, live));
        self.order = kept;
        self.bytes -= of_it.iter().map(|entry| entry.bytes).sum::<u64>();
        of_it
    }

    /// Notes that a series was here.
    pub(super) fn remember(&mut self, live: &LiveSeries) {
        if self.gone.len() == REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back((live.study().clone(), live.series().clone()));
    }

    pub(super) fn make_room(&mut self, bytes: u64, budget: u64, left: &mut Vec<Arc<Instance>>) {
        while self.bytes + bytes > budget && !self.order.is_empty() {
            left.extend(self.evict());
        }
    }
}
