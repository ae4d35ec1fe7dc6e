//! What the capture thread needs of a picture, whoever delivers it: a driver ([`super::stream`]) or a file
//! that is played as if it were a card.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::frame::video::Field;

/// What a stamp is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampKind {
    /// The beginning of the exposure.
    StartOfFrame,
    /// The last byte's arrival.
    EndOfFrame,
    /// It is not on `CLOCK_MONOTONIC`, or nobody says.
    Unknown,
}

/// One picture in a buffer, for as long as it is borrowed.
pub trait Picture {
    /// The bytes of each plane that were filled; none once it was [taken](Self::take).
    fn planes(&self) -> SmallVec<[&[u8]; 3]>;
    /// The number of the picture; it goes round at 2³², and a step of more than one is a loss.
    fn sequence(&self) -> u32;
    /// When it was captured, on `CLOCK_MONOTONIC` where [`Self::stamp_kind`] says so.
    fn stamp(&self) -> Duration;
    /// What the stamp is of.
    fn stamp_kind(&self) -> StampKind;
    /// Which field it is.
    fn field(&self) -> Field;
    /// Whether its bytes are not to be trusted.
    fn corrupt(&self) -> bool;
    /// Its memory itself, `length` bytes of it, where that can be given away. Only once.
    fn take(&mut self, length: usize) -> Option<Bytes>;
}
