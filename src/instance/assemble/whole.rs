//! An object that is not split: one frame, no frames, or a video stream. Its pixels and what
//! follows them are kept as they came.

use bytes::{Bytes, BytesMut};

use super::native::{native_vr, swap_bytes};
use super::{AssembleError, Limits};
use crate::instance::encode::{EMPTY_OFFSET_TABLE, SEQUENCE_DELIMITER};
use crate::instance::scan::{Encoding, HeadLimits, PixelElement, Scanner};
use crate::instance::{PixelForm, pool};

/// Read in steps of this where the length is not known.
const CHUNK: usize = 256 << 10;

/// Pixel Data and what follows, as they arrive.
#[derive(Debug)]
pub(super) struct Whole {
    element: Option<PixelElement>,
    limit: usize,
    pixels: BytesMut,
    /// What follows a value of known length.
    tail: BytesMut,
    tail_limits: HeadLimits,
}

impl Whole {
    /// An object without Pixel Data.
    pub(super) fn without_pixels() -> Self {
        let nothing = HeadLimits { bytes: 0, elements: 0, nesting: 0 };
        Self { element: None, limit: 0, pixels: BytesMut::new(), tail: BytesMut::new(), tail_limits: nothing }
    }

    /// `announced` is how many bytes are to come at most, where that is known.
    pub(super) fn new(
        element: PixelElement,
        limits: Limits,
        announced: Option<usize>,
    ) -> Result<Self, AssembleError> {
        let limit = limits.frame_bytes;
        let pixels = match element.length {
            Some(length) if length as usize > limit => return Err(AssembleError::FrameTooLarge(limit)),
            Some(length) => pool::take(length as usize),
            None => pool::take(announced.map_or(CHUNK, |bytes| bytes.min(limit))),
        };
        Ok(Self { element: Some(element), limit, pixels, tail: BytesMut::new(), tail_limits: limits.head })
    }

    pub(super) fn element(&self) -> Option<PixelElement> {
        self.element
    }

    pub(super) fn target(&mut self) -> (&mut BytesMut, usize) {
        match self.element.and_then(|element| element.length) {
            Some(length) if self.pixels.len() < length as usize => {
                let room = length as usize - self.pixels.len();
                (&mut self.pixels, room)
            }
            Some(_) => (&mut self.tail, CHUNK),
            None => (&mut self.pixels, CHUNK),
        }
    }

    /// Holds the bounds while bytes arrive.
    pub(super) fn check(&self) -> Result<(), AssembleError> {
        // The delimiter and what follows it are in the same buffer when the length is unknown.
        if self.pixels.len() > self.limit + self.tail_limits.bytes.min(CHUNK) {
            return Err(AssembleError::FrameTooLarge(self.limit));
        }
        if self.tail.len() > self.tail_limits.bytes {
            return Err(AssembleError::Trailing(self.tail_limits.bytes));
        }
        Ok(())
    }

    /// The pieces behind the head. `rewrite` drops what follows Pixel Data, since it stands in
    /// another encoding than the one that is written.
    pub(super) fn into_parts(
        self,
        encoding: Encoding,
        rewrite: bool,
    ) -> Result<(PixelForm, Bytes, Bytes), AssembleError> {
        let Some(element) = self.element else {
            return Ok((PixelForm::Absent, Bytes::new(), Bytes::new()));
        };
        let mut pixels = self.pixels;
        if let Some(length) = element.length {
            if pixels.len() < length as usize {
                return Err(AssembleError::Truncated);
            }
            let vr = native_vr(element);
            if encoding.big_endian {
                swap_bytes(&mut pixels, vr);
            }
            let odd = pixels.len() % 2 == 1;
            if !rewrite {
                walk(&self.tail, encoding, self.tail_limits)?;
            }
            let tail = match (rewrite, odd) {
                (false, _) => self.tail.freeze(),
                (true, true) => Bytes::from_static(&[0]),
                (true, false) => Bytes::new(),
            };
            return Ok((PixelForm::Native(element.tag, vr), pool::freeze(pixels), tail));
        }
        let end = fragments_end(&pixels)?;
        let tail = match pixels.get(end..) {
            Some(tail) if !rewrite => {
                walk(tail.get(SEQUENCE_DELIMITER.len()..).unwrap_or_default(), encoding, self.tail_limits)?;
                Bytes::copy_from_slice(tail)
            }
            _ => Bytes::from_static(&SEQUENCE_DELIMITER),
        };
        pixels.truncate(end);
        Ok((PixelForm::Encapsulated, pool::freeze(pixels), tail))
    }
}

/// What follows Pixel Data goes on to readers as it came: it must be elements.
fn walk(tail: &[u8], encoding: Encoding, limits: HeadLimits) -> Result<(), AssembleError> {
    match Scanner::new(encoding, limits).walk(tail)? {
        None => Ok(()),
        Some(_) => Err(AssembleError::Fragments("there is a second one")),
    }
}

/// Walks the items and returns the offset of the Sequence Delimitation Item.
fn fragments_end(pixels: &[u8]) -> Result<usize, AssembleError> {
    let mut at = 0;
    loop {
        let header =
            pixels.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or(AssembleError::Truncated)?;
        let [t0, t1, t2, t3, l0, l1, l2, l3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if SEQUENCE_DELIMITER.starts_with(&[t0, t1, t2, t3]) {
            return if at == 0 { Err(AssembleError::Fragments("there is no offset table")) } else { Ok(at) };
        }
        if !EMPTY_OFFSET_TABLE.starts_with(&[t0, t1, t2, t3]) {
            return Err(AssembleError::Fragments("an item is expected"));
        }
        if length == u32::MAX {
            return Err(AssembleError::Fragments("a fragment has no length"));
        }
        at += 8 + length as usize;
    }
}
