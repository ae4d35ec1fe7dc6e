//! How a spool is doing, in numbers: for the status, the metrics, and whoever looks after what was set aside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::SpoolError;
use super::index::Why;
use super::{Shared, Spool};

/// How a spool is doing. Sums are since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes on the disk, as [`Bounds::max_bytes`](super::Bounds::max_bytes) counts them.
    pub bytes: u64,
    /// Objects that are to be delivered.
    pub objects: usize,
    /// Age of the first of them.
    pub oldest: Option<Duration>,
    /// Objects that are being written.
    pub writing: usize,
    /// Objects set aside.
    pub set_aside: usize,
    /// Objects under another sealed key, or of another release.
    pub locked: usize,
    /// Sum of objects committed.
    pub committed: u64,
    /// Sum of objects delivered.
    pub delivered: u64,
    /// Sum of objects refused since there was no room.
    pub full: u64,
    /// Sum of objects refused since the disk failed.
    pub failed: u64,
    /// Sums of objects that had been committed and are lost.
    pub lost: Lost,
}

impl Stats {
    /// How two spools are doing together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            objects: self.objects + other.objects,
            oldest: self.oldest.max(other.oldest),
            writing: self.writing + other.writing,
            set_aside: self.set_aside + other.set_aside,
            locked: self.locked + other.locked,
            committed: self.committed + other.committed,
            delivered: self.delivered + other.delivered,
            full: self.full + other.full,
            failed: self.failed + other.failed,
            lost: Lost {
                expired: self.lost.expired + other.lost.expired,
                damaged: self.lost.damaged + other.lost.damaged,
                without_key: self.lost.without_key + other.lost.without_key,
            },
        }
    }
}

/// Objects that are lost, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Older than [`Bounds::max_age`](super::Bounds::max_age).
    pub expired: u64,
    /// Altered, or cut short.
    pub damaged: u64,
    /// Encrypted with a transient key that is gone.
    pub without_key: u64,
}

/// An object that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAside {
    /// Its number.
    pub number: u64,
    /// The code given to [`Entry::set_aside`](super::Entry::set_aside), or [`UNREADABLE`](super::UNREADABLE).
    pub reason: u16,
    /// Bytes of its file, in whole blocks.
    pub bytes: u64,
    /// How old it is.
    pub age: Duration,
}

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) committed: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) full: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) without_key: AtomicU64,
}

impl Spool {
    /// How it is doing.
    pub fn stats(&self) -> Stats {
        let now = Instant::now();
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.0.counts;
        let index = self.0.index();
        let locked = index.aside().filter(|(_, _, why)| matches!(why, Why::Locked(_))).count();
        Stats {
            bytes: index.bytes(),
            objects: index.due(),
            oldest: index.first().map(|record| record.age_at(now)),
            writing: index.writing(),
            set_aside: index.aside().count() - locked,
            locked,
            committed: of(&counts.committed),
            delivered: of(&counts.delivered),
            full: of(&counts.full),
            failed: of(&counts.failed),
            lost: Lost {
                expired: of(&counts.expired),
                damaged: of(&counts.damaged),
                without_key: of(&counts.without_key),
            },
        }
    }
}

impl Shared {
    /// Counts an object that was refused.
    pub(super) fn count(&self, error: &SpoolError) {
        match error {
            SpoolError::Full(_) => drop(self.counts.full.fetch_add(1, Ordering::Relaxed)),
            SpoolError::Disk(_) => drop(self.counts.failed.fetch_add(1, Ordering::Relaxed)),
            SpoolError::Meta { .. } | SpoolError::Failed => {}
        }
    }
}
