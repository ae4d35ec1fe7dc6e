//! The latest instances of one series, in order, each under a sequence number that is never used
//! again, and with how many frames its source lost before it.
//!
//! Pure data: no lock, no time, no budget. The [`Hub`](super::Hub) decides what leaves; a
//! [`Cursor`](super::Cursor) asks for a sequence number and learns whether it is here, gone or
//! not yet.

use std::collections::VecDeque;

/// What stands under a sequence number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot<T> {
    /// The item, and what was lost from the beginning up to it.
    Here(T, u64),
    /// It left; the oldest that is (or will be) here has this number, and what was lost up to there.
    Gone(u64, u64),
    /// It has not come yet.
    NotYet,
}

/// A queue whose front leaves and whose numbers stay.
#[derive(Debug)]
pub(super) struct Ring<T> {
    /// Each with what was lost from the beginning up to it: a sum, so that it still holds for those that
    /// have left.
    items: VecDeque<(T, u64)>,
    /// Sequence number of the front.
    first: u64,
    /// Lost in all so far.
    lost: u64,
}

impl<T: Clone> Ring<T> {
    pub(super) fn new() -> Self {
        Self { items: VecDeque::new(), first: 0, lost: 0 }
    }

    /// Adds an item before which so many were lost, and returns its sequence number.
    pub(super) fn push(&mut self, item: T, lost: u32) -> u64 {
        self.lost += u64::from(lost);
        self.items.push_back((item, self.lost));
        self.end() - 1
    }

    /// Takes the oldest item out.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (item, _) = self.items.pop_front()?;
        self.first += 1;
        Some(item)
    }

    pub(super) fn get(&self, number: u64) -> Slot<T> {
        if number < self.first {
            return Slot::Gone(self.first, self.lost_up_to(self.first));
        }
        match self.items.get((number - self.first) as usize) {
            Some((item, lost)) => Slot::Here(item.clone(), *lost),
            None => Slot::NotYet,
        }
    }

    /// What was lost from the beginning up to the item of this number; of one that has not come, all so far.
    /// Of one that has left, up to the oldest that is here.
    pub(super) fn lost_up_to(&self, number: u64) -> u64 {
        let index = number.saturating_sub(self.first);
        self.items.get(index as usize).map_or(self.lost, |(_, lost)| *lost)
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
        self.items.iter().map(|(item, _)| item)
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
        Push(u32),
        Pop,
        Read(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![3 => (0u32..3).prop_map(Step::Push), 2 => Just(Step::Pop), 4 => (0usize..3).prop_map(Step::Read)];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// Whatever the interleaving, a reader sees every item at most once and in order, and what it
        /// saw, what it was told it missed and what it was told was lost add up.
        #[test]
        fn readers_account_for_every_item(steps in steps()) {
            let mut ring = Ring::new();
            let mut pushed = 0u64;
            // What was lost up to each item.
            let mut lost = vec![0u64];
            let mut readers = [(0u64, 0u64, 0u64); 3];
            for step in steps {
                match step {
                    Step::Push(before) => {
                        prop_assert_eq!(ring.push(pushed, before), pushed);
                        lost.insert(lost.len() - 1, lost[pushed as usize] + u64::from(before));
                        lost[pushed as usize + 1] = lost[pushed as usize];
                        pushed += 1;
                    }
                    Step::Pop => { ring.pop(); }
                    Step::Read(index) => {
                        let (next, seen, missed) = &mut readers[index];
                        match ring.get(*next) {
                            Slot::Here(item, up_to) => {
                                prop_assert_eq!((item, up_to), (*next, lost[item as usize]));
                                *next += 1;
                                *seen += 1;
                            }
                            Slot::Gone(first, up_to) => {
                                prop_assert!(first > *next);
                                prop_assert_eq!(up_to, lost[first as usize]);
                                *missed += first - *next;
                                *next = first;
                            }
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
