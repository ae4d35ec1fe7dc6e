//! What became of a request's objects, for its response (PS3.18 Annex I).

use crate::instance::Uid;
use crate::source::refused::Cause;

/// Which object is spoken of, by its own word: a multi-frame object, not the frames it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
}

/// An object that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which one.
    pub of: Reference,
    /// Whether it became several instances, a frame each.
    pub split: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the end of its body.
    Body,
    /// The body turned out not to be what it says.
    Malformed,
    /// Nothing came for too long.
    Stalled,
    /// We are shutting down.
    Stopping,
    /// The sender is no longer allowed to send.
    Withdrawn,
}

/// What became of a request's objects. Each list is cut at `send.listed`; the counts are not.
#[derive(Debug)]
pub struct Report {
    listed: usize,
    /// Objects that were taken.
    pub taken: Vec<Taken>,
    /// Objects that were refused.
    pub failed: Vec<(Reference, Cause)>,
    /// Parts that were refused before it was known what they are.
    pub unidentified: Vec<Cause>,
    /// How many objects were taken.
    pub taken_count: u64,
    /// How many of these became several instances.
    pub split_count: u64,
    /// How many objects and parts were refused.
    pub failed_count: u64,
    /// Whether one was too large.
    pub too_large: bool,
    /// Whether there was no room for one, though there may be later.
    pub no_room: bool,
    /// How the request ended.
    pub end: End,
}

impl Report {
    /// Nothing yet; lists of at most `listed`.
    pub fn new(listed: usize) -> Self {
        Self {
            listed,
            taken: Vec::new(),
            failed: Vec::new(),
            unidentified: Vec::new(),
            taken_count: 0,
            split_count: 0,
            failed_count: 0,
            too_large: false,
            no_room: false,
            end: End::Body,
        }
    }

    /// Notes an object that was taken.
    pub fn take(&mut self, of: Reference, split: bool) {
        self.taken_count += 1;
        self.split_count += u64::from(split);
        if self.taken.len() < self.listed {
            self.taken.push(Taken { of, split });
        }
    }

    /// Notes an object that was refused, where it is known which one; `for_now` where there may be
    /// room for it later.
    pub fn fail(&mut self, of: Option<Reference>, cause: Cause, for_now: bool) {
        self.failed_count += 1;
        self.no_room |= for_now;
        self.too_large |= cause == Cause::OutOfResources && !for_now;
        match of {
            Some(of) if self.failed.len() < self.listed => self.failed.push((of, cause)),
            None if self.unidentified.len() < self.listed => self.unidentified.push(cause),
            _ => {}
        }
    }
}
