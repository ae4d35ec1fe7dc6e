//! What is in the spool and in which state, in memory: pure data, without a disk or a clock. It is what the
//! bounds are held by.
//!
//! ```text
//!  begin ──► being written ──► waiting ◄──► taken ──► gone
//!                │               │  ▲          │
//!                ▼               │  └─ aside ◄─┘
//!              gone              ▼       ▼
//!                              gone, too old
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::error::Bound;

/// A file takes whole blocks of the disk, and its name takes room too.
const BLOCK: u64 = 4096;

/// What a file of `length` bytes counts for.
pub(super) fn charge(length: u64) -> u64 {
    length.max(1).div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// An object's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// What it counts for.
    pub(super) charge: u64,
    /// How old it was at `since`.
    pub(super) age: Duration,
    /// Ages are counted from here, by a clock that nobody sets.
    pub(super) since: Instant,
}

impl Record {
    pub(super) fn age_at(&self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.since))
    }
}

/// Why an object does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Set aside, for this reason.
    Aside(u16),
    /// Written with another key, or by another release; its file is that of an object, or of one set aside.
    Locked(Option<u16>),
}

/// All objects.
#[derive(Debug)]
pub(super) struct Index {
    max_bytes: u64,
    max_objects: usize,
    max_age: Duration,
    waiting: BTreeMap<u64, Record>,
    taken: BTreeMap<u64, Record>,
    aside: BTreeMap<u64, (Record, Why)>,
    /// When each object, taken or not, becomes too old.
    deadlines: BTreeSet<(Instant, u64)>,
    /// What all files count for, those being written included.
    bytes: u64,
    writing: usize,
    next: u64,
}

impl Index {
    pub(super) fn new(max_bytes: u64, max_objects: usize, max_age: Duration) -> Self {
        Self {
            max_bytes,
            max_objects,
            max_age,
            waiting: BTreeMap::new(),
            taken: BTreeMap::new(),
            aside: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
            writing: 0,
            next: 1,
        }
    }

    /// Room for one object more, of a file that counts for `charge` to begin with.
    pub(super) fn begin(&mut self, charge: u64) -> Result<(), Bound> {
        if self.objects() >= self.max_objects {
            return Err(Bound::Objects);
        }
        self.reserve(charge)?;
        self.writing += 1;
        Ok(())
    }

    /// Room for a file that is being written and has grown.
    pub(super) fn reserve(&mut self, more: u64) -> Result<(), Bound> {
        match self.bytes.checked_add(more) {
            Some(bytes) if bytes <= self.max_bytes => self.bytes = bytes,
            _ => return Err(Bound::Bytes),
        }
        Ok(())
    }

    /// A file was not finished, and is gone.
    pub(super) fn abandon(&mut self, reserved: u64) {
        self.writing = self.writing.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(reserved);
    }

    /// The next number, which nobody had before.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        number
    }

    /// A file that was being written is an object now.
    pub(super) fn commit(&mut self, number: u64, record: Record) {
        self.writing = self.writing.saturating_sub(1);
        self.mind(number, &record);
        self.waiting.insert(number, record);
    }

    /// An object that was found on the disk. It is kept even if the bounds are lower now.
    pub(super) fn found(&mut self, number: u64, record: Record, why: Option<Why>) {
        self.bytes = self.bytes.saturating_add(record.charge);
        self.next = self.next.max(number.saturating_add(1));
        self.mind(number, &record);
        match why {
            None => drop(self.waiting.insert(number, record)),
            Some(why) => drop(self.aside.insert(number, (record, why))),
        }
    }

    /// The number of a file that is not kept will not be given again either.
    pub(super) fn pass(&mut self, number: u64) {
        self.next = self.next.max(number.saturating_add(1));
    }

    /// The oldest object that waits, to be worked on.
    pub(super) fn take(&mut self) -> Option<u64> {
        let (number, record) = self.waiting.pop_first()?;
        self.taken.insert(number, record);
        Some(number)
    }

    /// A taken object goes back to its place.
    pub(super) fn put_back(&mut self, number: u64) {
        if let Some(record) = self.taken.remove(&number) {
            self.waiting.insert(number, record);
        }
    }

    /// A taken object does not wait any more.
    pub(super) fn put_aside(&mut self, number: u64, reason: u16) {
        if let Some(record) = self.taken.remove(&number) {
            self.aside.insert(number, (record, Why::Aside(reason)));
        }
    }

    /// All that were set aside, taken, with the reasons that they had.
    pub(super) fn take_aside(&mut self) -> Vec<(u64, u16)> {
        let mut reasons = Vec::new();
        let set_aside = |_: &u64, (_, why): &mut (Record, Why)| matches!(why, Why::Aside(_));
        for (number, (record, why)) in self.aside.extract_if(.., set_aside) {
            if let Why::Aside(reason) = why {
                reasons.push((number, reason));
            }
            self.taken.insert(number, record);
        }
        reasons
    }

    /// A taken object is gone.
    pub(super) fn remove(&mut self, number: u64) {
        if let Some(record) = self.taken.remove(&number) {
            self.forget(number, &record);
        }
    }

    /// Objects that are too old at `now`, and not in somebody's hands. They are gone from here.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(u64, Option<Why>)> {
        let due: Vec<u64> = self.deadlines.range(..=(now, u64::MAX)).map(|&(_, number)| number).collect();
        let mut gone = Vec::new();
        for number in due {
            if let Some(record) = self.waiting.remove(&number) {
                self.forget(number, &record);
                gone.push((number, None));
            } else if let Some((record, why)) = self.aside.remove(&number) {
                self.forget(number, &record);
                gone.push((number, Some(why)));
            }
        }
        gone
    }

    /// Whether there is nothing to work on.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty() && self.taken.is_empty()
    }

    /// Objects that are to be delivered, taken ones included.
    pub(super) fn due(&self) -> usize {
        self.waiting.len() + self.taken.len()
    }

    /// Objects that are being written.
    pub(super) fn writing(&self) -> usize {
        self.writing
    }

    /// What all files count for.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first of those that are to be delivered.
    pub(super) fn first(&self) -> Option<&Record> {
        let first = [self.waiting.first_key_value(), self.taken.first_key_value()];
        first.into_iter().flatten().min_by_key(|&(number, _)| number).map(|(_, record)| record)
    }

    /// Those that do not wait, in order.
    pub(super) fn aside(&self) -> impl Iterator<Item = (u64, &Record, Why)> {
        self.aside.iter().map(|(&number, (record, why))| (number, record, *why))
    }

    fn objects(&self) -> usize {
        self.due() + self.aside.len() + self.writing
    }

    fn deadline(&self, record: &Record) -> Option<Instant> {
        record.since.checked_add(self.max_age.saturating_sub(record.age))
    }

    fn mind(&mut self, number: u64, record: &Record) {
        // One beyond the end of the clock is none.
        if let Some(deadline) = self.deadline(record) {
            self.deadlines.insert((deadline, number));
        }
    }

    fn forget(&mut self, number: u64, record: &Record) {
        self.bytes = self.bytes.saturating_sub(record.charge);
        if let Some(deadline) = self.deadline(record) {
            self.deadlines.remove(&(deadline, number));
        }
    }
}
