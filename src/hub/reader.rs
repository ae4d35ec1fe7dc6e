//! Who reads a series and how far they are, for people who look. A reader that has said who it is leaves its place where
//! the series finds it; that costs it a store for each instance, and the publisher nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Readers of one series that are known at once. Who comes beyond them reads as well and is not shown.
const MOST: usize = 256;

/// Who reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// `retrieve`, `push` or another sink.
    pub kind: &'static str,
    /// Its address, or the name of the destination.
    pub peer: Arc<str>,
}

/// How far a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Who it is.
    pub reader: Reader,
    /// Instances that are there and that it has not got yet, or that have left before it came to them.
    pub behind: u64,
    /// Instances that left the ring before it came to them, as far as it has noticed.
    pub missed: u64,
}

/// What is to be seen of a series.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Instances in its ring.
    pub instances: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Instances since it was opened.
    pub published: u64,
    /// Those of them that have left the ring.
    pub evicted: u64,
    /// Since the newest came.
    pub idle: Duration,
    /// Who reads it.
    pub readers: Vec<Progress>,
}

/// Where a cursor leaves how far it is.
#[derive(Debug)]
pub(super) struct Place {
    reader: Reader,
    next: AtomicU64,
    missed: AtomicU64,
}

impl Place {
    pub(super) fn new(reader: Reader, next: u64) -> Self {
        Self { reader, next: AtomicU64::new(next), missed: AtomicU64::new(0) }
    }

    /// The reader is to have this one next.
    pub(super) fn at(&self, next: u64) {
        self.next.store(next, Ordering::Relaxed);
    }

    pub(super) fn missed(&self, instances: u64) {
        self.missed.fetch_add(instances, Ordering::Relaxed);
    }
}

/// The places of one series.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Vec<Weak<Place>>>);

impl Places {
    /// Takes one more, if there is room.
    pub(super) fn take(&self, place: &Arc<Place>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.strong_count() > 0);
        if places.len() < MOST {
            places.push(Arc::downgrade(place));
        }
    }

    /// How far all are; the series has instances up to `end`.
    pub(super) fn progress(&self, end: u64) -> Vec<Progress> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.strong_count() > 0);
        let progress = |place: &Weak<Place>| {
            let place = place.upgrade()?;
            Some(Progress {
                reader: place.reader.clone(),
                behind: end.saturating_sub(place.next.load(Ordering::Relaxed)),
                missed: place.missed.load(Ordering::Relaxed),
            })
        };
        places.iter().filter_map(progress).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_nobody_is_at_are_given_away() {
        let places = Places::default();
        let place = || Arc::new(Place::new(Reader { kind: "push", peer: "pacs".into() }, 3));
        let first = place();
        places.take(&first);
        let others: Vec<_> = (0..MOST).map(|_| place()).collect();
        others.iter().for_each(|place| places.take(place));
        assert_eq!(places.progress(5).len(), MOST, "bounded");
        first.at(4);
        first.missed(2);
        assert_eq!((places.progress(5)[0].behind, places.progress(5)[0].missed), (1, 2));
        drop(others);
        assert_eq!(places.progress(5).len(), 1);
    }
}
