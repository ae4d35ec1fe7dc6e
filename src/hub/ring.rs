//! The latest instances of one series, in order, each under a sequence number that is never used
//! again.
//!
//! Pure data: no lock, no time, no budget. The [`Hub`](super::Hub) decides what leaves; a
//! [`Cursor`](super::Cursor) asks for a sequence number and learns whether it is here, gone or
//! not yet.

use std::collections::VecDeque;

/// What stands under a sequence number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot<T> {
    /// The item.
    Here(T),
    /// It left; the oldest that is (or will be) here has this number.
    Gone(u64),
    /// It has not come yet.
    NotYet,
}

/// A queue whose front leaves and whose numbers stay.
#[derive(Debug)]
pub(super) struct Ring<T> {
    items: VecDeque<T>,
    /// Sequence number of the front.
    first: u64,
}

impl<T: Clone> Ring<T> {
    pub(super) fn new() -> Self {
        Self { items: VecDeque::new(), first: 0 }
    }

    /// Adds an item and returns its sequence number.
    pub(super) fn push(&mut self, item: T) -> u64 {
        self.items.push_back(item);
        self.end() - 1
    }

    /// Takes the oldest item out.
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.first += 1;
        Some(item)
    }

    pub(super) fn get(&self, number: u64) -> Slot<T> {
        if number < self.first {
            return Slot::Gone(self.first);
        }
        match self.items.get((number - self.first) as usize) {
            Some(item) => Slot::Here(item.clone()),
            None => Slot::NotYet,
        }
    }

    /// Sequence number of the oldest item, or of the next one where there is none.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Sequence number that the next item will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.items.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Pop,
        Read(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step =
            prop_oneof![3 => Just(Step::Push), 2 => Just(Step::Pop), 4 => (0usize..3).prop_map(Step::Read)];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// Whatever the interleaving, a reader sees every item at most once and in order, and
        /// what it saw and what it was told it missed add up.
        #[test]
        fn readers_account_for_every_item(steps in steps()) {
            let mut ring = Ring::new();
            let mut pushed = 0u64;
            let mut readers = [(0u64, 0u64, 0u64); 3];
            for step in steps {
                match step {
                    Step::Push => { prop_assert_eq!(ring.push(pushed), pushed); pushed += 1; }
                    Step::Pop => { ring.pop(); }
                    Step::Read(index) => {
                        let (next, seen, missed) = &mut readers[index];
                        match ring.get(*next) {
                            Slot::Here(item) => { prop_assert_eq!(item, *next); *next += 1; *seen += 1; }
                            Slot::Gone(first) => { prop_assert!(first > *next); *missed += first - *next; *next = first; }
                            Slot::NotYet => prop_assert_eq!(*next, pushed),
                        }
                        prop_assert_eq!(*seen + *missed, *next);
                    }
                }
                prop_assert_eq!(ring.end(), pushed);
                prop_assert_eq!(ring.len() as u64, ring.end() - ring.first());
            }
        }
    }
}
