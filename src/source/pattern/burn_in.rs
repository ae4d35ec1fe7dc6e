//! What is written into the picture: the wall clock and the frame counter for eyes, and the counter
//! once more as black and white blocks for machines, so that a test at the far end of any chain can
//! tell from the pixels which frame it holds.
//!
//! The blocks: the lower 32 bits of the frame index, most significant first, left to right and top to
//! bottom, each 8×8 pixels, white for 1. They stand in the bottom left corner, 32 in a row; a picture
//! too narrow for that has as many in a row as fit, and more rows.

use std::time::SystemTime;

use dicom_core::chrono::{DateTime, Utc};
use font8x8::legacy::BASIC_LEGACY;

use crate::frame::{Photometric, PixelDescription};

/// The side of a block of the counter and of a glyph (pixels).
const CELL: usize = 8;
/// Bits of the machine-readable counter.
const BITS: usize = 32;

/// How bright a burnt-in pixel is.
#[derive(Clone, Copy)]
enum Ink {
    Black,
    White,
}

/// Draws all of it onto native little-endian pixels.
pub(super) fn draw(pixels: &mut [u8], description: &PixelDescription, index: u64, time: SystemTime) {
    let mut sheet = Sheet { pixels, description };
    let clock = clock(time);
    let counter = format!("FRAME {index:08}");
    let columns = usize::from(description.columns);
    // As large as a line of the clock allows, at most a 32nd of the height.
    let widest = clock.len().max(counter.len()) + 2;
    let size = (usize::from(description.rows) / 32 / CELL).min(columns / (widest * CELL)).max(1);
    let margin = CELL * size;
    sheet.text(margin, margin, size, &clock);
    sheet.text(margin, margin + (CELL + 3) * size, size, &counter);
    for (number, (x, y)) in blocks(description).enumerate() {
        let bit = (index as u32) >> (BITS - 1 - number) & 1;
        let ink = if bit == 1 { Ink::White } else { Ink::Black };
        sheet.fill(x, y, CELL, CELL, ink);
    }
}

/// Reads the counter back from native little-endian pixels of the given description; `None` when they
/// are too few or a block is neither black nor white, so that these pixels are none of the pattern's.
/// Lossy compression of the usual strength does not harm it.
pub fn read_counter(pixels: &[u8], description: &PixelDescription) -> Option<u32> {
    if pixels.len() < description.frame_bytes() {
        return None;
    }
    let places: Vec<_> = blocks(description).collect();
    if places.len() != BITS {
        return None;
    }
    let sample = |x: usize, y: usize| -> Option<u32> {
        let index = (y * usize::from(description.columns) + x) * usize::from(description.samples);
        if description.bits_allocated == 8 {
            pixels.get(index).copied().map(u32::from)
        } else {
            pixels
                .get(index * 2..index * 2 + 2)
                .map(|word| word.iter().rev().fold(0, |w, b| w << 8 | u32::from(*b)))
        }
    };
    let brightest = (1_u32 << description.bits_stored) - 1;
    places.into_iter().try_fold(0_u32, |counter, (x, y)| {
        // The inner 4×4, clear of what a codec does at the edges.
        let mut sum = 0;
        for dy in 2..6 {
            for dx in 2..6 {
                sum += sample(x + dx, y + dy)?;
            }
        }
        let mean = sum / 16;
        if mean > brightest / 4 * 3 {
            Some(counter << 1 | 1)
        } else if mean < brightest / 4 {
            Some(counter << 1)
        } else {
            None
        }
    })
}

/// The top left pixels of the counter's blocks, most significant first; none if they do not fit.
fn blocks(description: &PixelDescription) -> impl Iterator<Item = (usize, usize)> + use<> {
    let across = (usize::from(description.columns) / CELL).min(BITS);
    let down = if across == 0 { 0 } else { BITS.div_ceil(across) };
    let top = usize::from(description.rows).checked_sub(down * CELL);
    let count = if across == 0 || top.is_none() { 0 } else { BITS };
    (0..count).map(move |number| (number % across * CELL, top.unwrap_or(0) + number / across * CELL))
}

/// `hh:mm:ss.mmm UTC`.
fn clock(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let moment = i64::try_from(since.as_secs())
        .ok()
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, since.subsec_nanos()));
    moment.map_or_else(|| "--:--:--.---".to_owned(), |moment| moment.format("%H:%M:%S%.3f UTC").to_string())
}

/// Native pixels that are drawn on.
struct Sheet<'a> {
    pixels: &'a mut [u8],
    description: &'a PixelDescription,
}

impl Sheet<'_> {
    /// One line in white with a black outline, legible on any background; `size` is the side of a font
    /// pixel.
    fn text(&mut self, left: usize, top: usize, size: usize, line: &str) {
        for (outline, ink) in [(true, Ink::Black), (false, Ink::White)] {
            let grow = if outline { size.div_ceil(2) } else { 0 };
            for (number, byte) in line.bytes().enumerate() {
                let glyph = BASIC_LEGACY.get(usize::from(byte)).copied().unwrap_or_default();
                for (row, bits) in glyph.into_iter().enumerate() {
                    for column in (0..CELL).filter(|column| bits >> column & 1 == 1) {
                        let x = left + (number * CELL + column) * size;
                        let y = top + row * size;
                        let side = size + 2 * grow;
                        self.fill(x.saturating_sub(grow), y.saturating_sub(grow), side, side, ink);
                    }
                }
            }
        }
    }

    /// A filled rectangle, clipped to the picture.
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, ink: Ink) {
        let columns = usize::from(self.description.columns);
        let bytes = usize::from(self.description.samples * self.description.bits_allocated / 8);
        let right = (left + width).min(columns);
        for y in top..(top + height).min(usize::from(self.description.rows)) {
            let Some(run) = self.pixels.get_mut((y * columns + left) * bytes..(y * columns + right) * bytes)
            else {
                continue;
            };
            match (ink, self.description.photometric, self.description.bits_allocated) {
                (Ink::Black, _, _) => run.fill(0),
                (Ink::White, _, 8) | (Ink::White, Photometric::Rgb, _) => run.fill(0xFF),
                (Ink::White, Photometric::Monochrome2, _) => {
                    let white = ((1_u32 << self.description.bits_stored) - 1) as u16;
                    for word in run.chunks_exact_mut(2) {
                        word.copy_from_slice(&white.to_le_bytes());
                    }
                }
            }
        }
    }
}
