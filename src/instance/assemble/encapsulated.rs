//! Encapsulated multi-frame Pixel Data: an offset table, then fragments (PS3.5 §A.4).
//!
//! Where a frame ends is told by the Extended Offset Table, by the Basic Offset Table, or, where
//! both are empty, by the codestream itself: a fragment that ends in EOI / EOC ends its frame, and
//! a syntax without such a marker has one fragment a frame (RLE must, PS3.5 §A.4.2).

use bytes::{BufMut, BytesMut};
use dicom_dictionary_std::tags;

use super::maker::Maker;
use super::{AssembleError, Limits};
use crate::instance::encode::{EMPTY_OFFSET_TABLE, PixelValue, SEQUENCE_DELIMITER};
use crate::instance::pool;
use crate::instance::{Dataset, Instance};

/// Reads the Extended Offset Table (7FE0,0001): where each frame starts, from the first byte
/// after the (empty) Basic Offset Table. `None` where it is absent or not plausible.
pub(super) fn extended_offsets(source: &Dataset, frames: u32) -> Option<Vec<u64>> {
    let value = source.get(tags::EXTENDED_OFFSET_TABLE)?.to_bytes().ok()?;
    let offsets = value.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
    plausible(offsets, frames)
}

/// A table that does not fit is worse than none: then the codestream decides.
fn plausible(offsets: Vec<u64>, frames: u32) -> Option<Vec<u64>> {
    let fits = offsets.len() == frames as usize && offsets.first() == Some(&0);
    (fits && offsets.is_sorted_by(|a, b| a < b)).then_some(offsets)
}

#[derive(Debug)]
enum Reading {
    /// The 8 bytes of an item's header.
    Header,
    /// The Basic Offset Table of this many bytes.
    Table(usize),
    /// A fragment of this many bytes, read behind the frame's earlier ones.
    Fragment(usize),
    Ended,
}

/// Encapsulated frames on their way in.
#[derive(Debug)]
pub(super) struct EncapsulatedFrames {
    maker: Maker,
    frames: u32,
    offsets: Option<Vec<u64>>,
    one_fragment_a_frame: bool,
    limit: usize,
    reading: Reading,
    seen_table: bool,
    scratch: BytesMut,
    /// The frame so far: an empty Basic Offset Table and the fragments with their headers.
    buffer: BytesMut,
    /// Length of `buffer` when the fragment that is being read is whole.
    fragment_end: usize,
    fragment_odd: bool,
    /// Bytes of items since the Basic Offset Table.
    position: u64,
    made: u32,
}

impl EncapsulatedFrames {
    pub(super) fn new(maker: Maker, frames: u32, offsets: Option<Vec<u64>>, limits: Limits) -> Self {
        let one_fragment_a_frame = !has_end_marker(&maker.transfer_syntax);
        Self {
            maker,
            frames,
            offsets,
            one_fragment_a_frame,
            limit: limits.frame_bytes,
            reading: Reading::Header,
            seen_table: false,
            scratch: BytesMut::with_capacity(8),
            buffer: BytesMut::new(),
            fragment_end: 0,
            fragment_odd: false,
            position: 0,
            made: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.reading, Reading::Ended)
    }

    pub(super) fn target(&mut self) -> (&mut BytesMut, usize) {
        match self.reading {
            Reading::Header => {
                let room = 8 - self.scratch.len();
                (&mut self.scratch, room)
            }
            Reading::Table(length) => {
                let room = length - self.scratch.len();
                (&mut self.scratch, room)
            }
            Reading::Fragment(_) => {
                let room = self.fragment_end - self.buffer.len();
                (&mut self.buffer, room)
            }
            Reading::Ended => (&mut self.scratch, 1),
        }
    }

    pub(super) fn step(&mut self) -> Result<Option<Instance>, AssembleError> {
        match self.reading {
            Reading::Header if self.scratch.len() == 8 => self.header(),
            Reading::Table(length) if self.scratch.len() == length => {
                self.table();
                Ok(None)
            }
            Reading::Fragment(length) if self.buffer.len() == self.fragment_end => self.fragment(length),
            _ => Ok(None),
        }
    }

    fn header(&mut self) -> Result<Option<Instance>, AssembleError> {
        let header = self.scratch.split();
        let Some(&[t0, t1, t2, t3, l0, l1, l2, l3]) = header.first_chunk::<8>() else { return Ok(None) };
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if SEQUENCE_DELIMITER.starts_with(&[t0, t1, t2, t3]) {
            self.reading = Reading::Ended;
            let last = if self.buffer.is_empty() { None } else { Some(self.frame()?) };
            if self.made != self.frames {
                return Err(AssembleError::FrameCount { expected: self.frames, found: self.made });
            }
            return Ok(last);
        }
        if !EMPTY_OFFSET_TABLE.starts_with(&[t0, t1, t2, t3]) {
            return Err(AssembleError::Fragments("an item is expected"));
        }
        if length == u32::MAX {
            return Err(AssembleError::Fragments("a fragment has no length"));
        }
        if !self.seen_table {
            self.seen_table = true;
            if length as u64 > 4 * u64::from(self.frames) {
                return Err(AssembleError::Fragments("the Basic Offset Table is longer than its frames"));
            }
            if length > 0 {
                self.reading = Reading::Table(length as usize);
            }
            return Ok(None);
        }
        let length = length as usize;
        if self.buffer.len() + length > self.limit {
            return Err(AssembleError::FrameTooLarge(self.limit));
        }
        if self.buffer.is_empty() {
            self.buffer = pool::take(8 + 8 + length + 1);
            self.buffer.put_slice(&EMPTY_OFFSET_TABLE);
        } else {
            self.buffer.reserve(8 + length + 1);
        }
        // An odd fragment is against PS3.5 §A.4; it is made even here, since decoders insist.
        self.fragment_odd = length % 2 == 1;
        self.buffer.put_slice(&[t0, t1, t2, t3]);
        self.buffer.put_u32_le(length.next_multiple_of(2) as u32);
        self.fragment_end = self.buffer.len() + length;
        if length == 0 {
            // Nothing to wait for, and no room to offer.
            return self.fragment(0);
        }
        self.reading = Reading::Fragment(length);
        Ok(None)
    }

    fn table(&mut self) {
        let table = self.scratch.split();
        if self.offsets.is_none() {
            let offsets =
                table.as_chunks::<4>().0.iter().map(|chunk| u32::from_le_bytes(*chunk).into()).collect();
            self.offsets = plausible(offsets, self.frames);
        }
        self.reading = Reading::Header;
    }

    /// A fragment is whole: is its frame?
    fn fragment(&mut self, length: usize) -> Result<Option<Instance>, AssembleError> {
        self.position += 8 + length as u64;
        self.reading = Reading::Header;
        if self.fragment_odd {
            self.buffer.put_u8(0);
        }
        let ends = match &self.offsets {
            Some(offsets) => match offsets.get(self.made as usize + 1) {
                Some(&next) if self.position > next => {
                    return Err(AssembleError::Fragments("the offset table points into a fragment"));
                }
                Some(&next) => self.position == next,
                // The table has no end for the last frame; the codestream spares it the wait for
                // the delimiter.
                None => !self.one_fragment_a_frame && ends_codestream(&self.buffer),
            },
            None => self.one_fragment_a_frame || ends_codestream(&self.buffer),
        };
        if ends { self.frame().map(Some) } else { Ok(None) }
    }

    fn frame(&mut self) -> Result<Instance, AssembleError> {
        if self.made == self.frames {
            return Err(AssembleError::FrameCount { expected: self.frames, found: self.made + 1 });
        }
        self.made += 1;
        let pixels = pool::freeze(std::mem::take(&mut self.buffer));
        self.maker.make(self.made, PixelValue::Encapsulated, pixels)
    }
}

/// Whether a codestream of this syntax closes with FF D9 (JPEG EOI, JPEG-LS EOI, JPEG 2000 EOC).
fn has_end_marker(transfer_syntax: &str) -> bool {
    let jpeg_xl = ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"];
    transfer_syntax.starts_with("1.2.840.10008.1.2.4.") && !jpeg_xl.contains(&transfer_syntax)
}

/// FF D9 cannot stand inside entropy-coded data, so at the end of a fragment it ends the frame.
fn ends_codestream(buffer: &[u8]) -> bool {
    let end = buffer.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    buffer.get(..end).is_some_and(|stream| stream.ends_with(&[0xFF, 0xD9]))
}
