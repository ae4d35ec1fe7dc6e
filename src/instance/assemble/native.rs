//! Native multi-frame Pixel Data: frames stand one behind the other, without borders
//! (PS3.5 §8.1.1). Every frame is read into a buffer of its own, which readers then share.

use std::collections::VecDeque;

use bytes::BytesMut;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::maker::Maker;
use super::{AssembleError, Limits};
use crate::instance::encode::PixelValue;
use crate::instance::pool;
use crate::instance::scan::PixelElement;
use crate::instance::{Dataset, Instance};

/// How long a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bits of one frame; not a multiple of 8 only where Bits Allocated is 1.
    frame_bits: u64,
    swap: bool,
    /// Frames that are read together: two where a 16-bit big-endian word belongs to both.
    together: u32,
}

impl Layout {
    /// Computes the frame's length from the image description (PS3.3 §C.7.6.3) and holds it
    /// against the length of the element.
    pub(super) fn of(
        source: &Dataset,
        frames: u32,
        length: u32,
        big_endian: bool,
        vr: VR,
    ) -> Result<Self, AssembleError> {
        let number = |tag, name| -> Result<u64, AssembleError> {
            let element = source.get(tag);
            element.and_then(|element| element.to_int::<u64>().ok()).ok_or(AssembleError::Attribute(name))
        };
        let pixels = number(tags::ROWS, "Rows")? * number(tags::COLUMNS, "Columns")?;
        let samples = number(tags::SAMPLES_PER_PIXEL, "Samples per Pixel")?;
        let allocated = number(tags::BITS_ALLOCATED, "Bits Allocated")?;
        let bits = pixels.checked_mul(samples).and_then(|n| n.checked_mul(allocated));
        let bits = bits.filter(|&bits| bits > 0).ok_or(AssembleError::Attribute("Bits Allocated"))?;
        let photometric =
            source.get(tags::PHOTOMETRIC_INTERPRETATION).and_then(|element| element.to_str().ok());
        // Chroma is subsampled in these, whatever Samples per Pixel says.
        let subsampled = match photometric.as_deref().map(str::trim) {
            Some("YBR_FULL_422" | "YBR_PARTIAL_422") => bits / 3 * 2,
            Some("YBR_PARTIAL_420") => bits / 2,
            _ => bits,
        };
        let fits = |bits: u64| {
            let needed = (u128::from(bits) * u128::from(frames)).div_ceil(8);
            needed == u128::from(length) || needed + needed % 2 == u128::from(length)
        };
        let frame_bits = [subsampled, bits].into_iter().find(|&bits| fits(bits)).ok_or_else(|| {
            let expected = (u128::from(subsampled) * u128::from(frames)).div_ceil(8);
            AssembleError::PixelLength {
                expected: expected.min(u64::MAX.into()) as u64,
                found: length.into(),
            }
        })?;
        let swap = big_endian && vr != VR::OB;
        let together = if swap && !frame_bits.is_multiple_of(16) { 2 } else { 1 };
        Ok(Self { frame_bits, swap, together })
    }
}

/// Swaps every `unit` bytes in place (Explicit VR Big Endian to Little Endian).
pub(super) fn swap_bytes(pixels: &mut [u8], vr: VR) {
    let unit = match vr {
        VR::OW => 2,
        VR::OF | VR::OL => 4,
        VR::OD | VR::OV => 8,
        _ => return,
    };
    pixels.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
}

/// Pixel Data under its tag in Explicit VR LE: OB and OW stay, UN becomes OW.
pub(super) fn native_vr(pixels: PixelElement) -> VR {
    match (pixels.tag, pixels.vr) {
        (tags::FLOAT_PIXEL_DATA, _) => VR::OF,
        (tags::DOUBLE_FLOAT_PIXEL_DATA, _) => VR::OD,
        (_, VR::OB) => VR::OB,
        _ => VR::OW,
    }
}

/// Native frames on their way in.
#[derive(Debug)]
pub(super) struct NativeFrames {
    maker: Maker,
    element: PixelElement,
    layout: Layout,
    frames: u32,
    /// Frames that have been read.
    read: u32,
    /// Frames that have been made.
    made: u32,
    buffer: BytesMut,
    /// Bits of the buffer's first byte that belong to the frame before.
    skip: u32,
    /// Read, not made.
    ready: VecDeque<BytesMut>,
}

impl NativeFrames {
    pub(super) fn new(
        maker: Maker,
        element: PixelElement,
        layout: Layout,
        frames: u32,
        limits: Limits,
    ) -> Result<Self, AssembleError> {
        if layout.frame_bits.div_ceil(8) > limits.frame_bytes as u64 {
            return Err(AssembleError::FrameTooLarge(limits.frame_bytes));
        }
        let (buffer, ready) = (BytesMut::new(), VecDeque::new());
        let mut this = Self { maker, element, layout, frames, read: 0, made: 0, buffer, skip: 0, ready };
        this.buffer = pool::take(this.needed());
        Ok(this)
    }

    /// How many frames the buffer is for.
    fn group(&self) -> u32 {
        self.layout.together.min(self.frames - self.read)
    }

    /// Bytes of the buffer that complete its frames; whole words where those are swapped.
    fn needed(&self) -> usize {
        let bits = u64::from(self.skip) + self.layout.frame_bits * u64::from(self.group());
        let bytes = bits.div_ceil(8) as usize;
        if self.layout.swap { bytes.next_multiple_of(2) } else { bytes }
    }

    pub(super) fn is_done(&self) -> bool {
        self.made == self.frames
    }

    pub(super) fn target(&mut self) -> (&mut BytesMut, usize) {
        let room = self.needed() - self.buffer.len();
        (&mut self.buffer, room)
    }

    pub(super) fn step(&mut self) -> Result<Option<Instance>, AssembleError> {
        if self.ready.is_empty() && self.read < self.frames && self.buffer.len() == self.needed() {
            self.take_group();
        }
        let Some(pixels) = self.ready.pop_front() else { return Ok(None) };
        self.made += 1;
        let value = PixelValue::Native(self.element.tag, native_vr(self.element), pixels.len() as u32);
        self.maker.make(self.made, value, pool::freeze(pixels)).map(Some)
    }

    /// The buffer is full: parts it into frames.
    fn take_group(&mut self) {
        let mut pixels = std::mem::take(&mut self.buffer);
        let group = self.group();
        let end = self.skip + (self.layout.frame_bits % 8) as u32;
        if !end.is_multiple_of(8) || self.skip != 0 {
            let last = pixels.last().copied();
            pixels = self.align(&pixels);
            self.skip = end % 8;
            if self.skip != 0 {
                self.buffer.extend(last);
            }
        }
        if self.layout.swap {
            swap_bytes(&mut pixels, native_vr(self.element));
        }
        let length = self.layout.frame_bits.div_ceil(8) as usize;
        for _ in 1..group {
            let rest = pixels.split_off(length.min(pixels.len()));
            self.ready.push_back(std::mem::replace(&mut pixels, rest));
        }
        pixels.truncate(length);
        self.ready.push_back(pixels);
        self.read += group;
        if self.read < self.frames {
            let mut next = pool::take(self.needed());
            next.extend_from_slice(&self.buffer);
            self.buffer = next;
        }
    }

    /// Shifts a frame of single bits, least significant first (PS3.5 §8.1.1), to a byte border.
    fn align(&self, packed: &[u8]) -> BytesMut {
        let length = self.layout.frame_bits.div_ceil(8) as usize;
        let mut frame: BytesMut = (0..length)
            .map(|index| {
                let low = packed.get(index).copied().unwrap_or(0);
                let high = packed.get(index + 1).copied().unwrap_or(0);
                (u16::from_le_bytes([low, high]) >> self.skip) as u8
            })
            .collect();
        let used = (self.layout.frame_bits % 8) as u32;
        if used != 0
            && let Some(last) = frame.last_mut()
        {
            *last &= (1u8 << used) - 1;
        }
        frame
    }
}
