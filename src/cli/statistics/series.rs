//! One series as it arrives: its counts, and what has been seen of its numbers and identifiers.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::{Arrival, Counts, Facts};
use crate::instance::Uid;

/// SOP Instance UIDs that are remembered, to know duplicates.
const REMEMBERED: usize = 4096;

/// How a series ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum End {
    Completed,
    Aborted,
}

impl End {
    /// The word for it.
    pub(in crate::cli) fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Aborted => "aborted",
        }
    }
}

impl From<crate::hub::End> for End {
    fn from(end: crate::hub::End) -> Self {
        match end {
            crate::hub::End::Completed => Self::Completed,
            crate::hub::End::Aborted => Self::Aborted,
        }
    }
}

/// One series.
#[derive(Debug)]
pub(in crate::cli) struct Series {
    /// 1, 2, 3 … in the order of opening: a short name for lines.
    pub(in crate::cli) ordinal: u64,
    pub(in crate::cli) study: Uid,
    pub(in crate::cli) series: Uid,
    pub(in crate::cli) facts: Facts,
    pub(in crate::cli) counts: Counts,
    /// Instances that its sender says are gone.
    pub(in crate::cli) missed: u64,
    end: Option<End>,
    highest: Option<i32>,
    hasher: RandomState,
    recent: VecDeque<u64>,
    known: HashSet<u64>,
}

/// What one instance adds to the counts.
pub(super) struct Seen {
    pub(super) gaps: u64,
    pub(super) missing: i64,
    pub(super) duplicates: u64,
}

impl Series {
    pub(super) fn new(ordinal: u64, study: Uid, series: Uid, facts: Facts) -> Self {
        Self {
            ordinal,
            study,
            series,
            facts,
            counts: Counts::default(),
            missed: 0,
            end: None,
            highest: None,
            hasher: RandomState::new(),
            recent: VecDeque::new(),
            known: HashSet::new(),
        }
    }

    /// `None` while it is live.
    pub(in crate::cli) fn end(&self) -> Option<End> {
        self.end
    }

    /// Says whether it had ended.
    pub(super) fn reopen(&mut self) -> bool {
        self.end.take().is_some()
    }

    /// Says whether it was live.
    pub(super) fn finish(&mut self, how: End) -> bool {
        self.end.replace(how).is_none()
    }

    pub(super) fn count(&mut self, arrival: &Arrival) -> Seen {
        self.counts.second.count(arrival.bytes, arrival.latency);
        self.counts.all.count(arrival.bytes, arrival.latency);
        let mut seen = Seen { gaps: 0, missing: 0, duplicates: 0 };
        if !self.is_new(&arrival.instance) {
            seen.duplicates = 1;
        } else if let Some(number) = arrival.number {
            let jumped = self.highest.map_or(0, |highest| i64::from(number) - i64::from(highest) - 1);
            if jumped > 0 {
                (seen.gaps, seen.missing) = (1, jumped);
            } else if jumped < 0 && self.counts.missing > 0 {
                // It comes late, into a gap.
                seen.missing = -1;
            }
            self.highest = self.highest.max(Some(number));
        }
        self.counts.gaps += seen.gaps;
        self.counts.missing = self.counts.missing.saturating_add_signed(seen.missing);
        self.counts.duplicates += seen.duplicates;
        seen
    }

    fn is_new(&mut self, instance: &str) -> bool {
        let hash = self.hasher.hash_one(instance);
        if !self.known.insert(hash) {
            return false;
        }
        if self.recent.len() == REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.recent.push_back(hash);
        true
    }
}
