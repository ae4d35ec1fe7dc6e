//! RLE Lossless (PS3.5 Annex G).
//!
//! Our own, because the registry's decoder expands a segment to whatever it says before it looks at the
//! size of the frame, up to 64 times the fragment, and panics on a segment that is short.

use super::super::image_pixel::ImagePixel;
use super::{Decoded, TranscodeError, damaged};

/// The header: the number of segments and their offsets (PS3.5 §G.5).
const HEADER: usize = 64;
const MOST_SEGMENTS: usize = 15;

/// Decodes a frame: one segment for every byte of a sample, the most significant first, colour after
/// colour. The result is little-endian and interleaved.
pub(super) fn decode(stream: &[u8], image: &ImagePixel) -> Result<Decoded, TranscodeError> {
    if image.bits_allocated == 1 {
        return Err(TranscodeError::Unsupported { what: "RLE of 1-bit samples".to_owned() });
    }
    let header = stream.get(..HEADER).ok_or_else(|| damaged("the header is cut off"))?;
    let mut words = header
        .chunks_exact(4)
        .map(|word| word.iter().rev().fold(0_usize, |value, byte| value << 8 | usize::from(*byte)));
    let bytes = image.sample_bytes();
    let segments = image.samples * bytes;
    if words.next() != Some(segments) || segments > MOST_SEGMENTS {
        return Err(TranscodeError::Contradiction("the number of RLE segments"));
    }
    let starts: Vec<usize> = words.take(segments).collect();
    let ends = starts.iter().copied().skip(1).chain([stream.len()]);
    let mut pixels = vec![0; image.frame_bytes()];
    for (number, (start, end)) in starts.iter().copied().zip(ends).enumerate() {
        let segment = stream.get(start..end).filter(|_| start >= HEADER);
        let segment = segment.ok_or_else(|| damaged("a segment lies outside the frame"))?;
        let (sample, significance) = (number / bytes, number % bytes);
        let first = sample * bytes + (bytes - 1 - significance);
        expand(segment, pixels.iter_mut().skip(first).step_by(segments))?;
    }
    Ok(Decoded { pixels, photometric: None, interleaved: true, lossy_method: None })
}

/// Expands one segment (PS3.5 §G.3.2) until `plane` is full; what pads the segment to an even length is
/// left over.
fn expand<'a>(segment: &[u8], mut plane: impl Iterator<Item = &'a mut u8>) -> Result<(), TranscodeError> {
    let short = || damaged("a segment ends before its plane is full");
    let mut bytes = segment.iter().copied();
    let mut next = plane.next();
    while next.is_some() {
        let control = bytes.next().ok_or_else(short)?;
        match control {
            0..=127 => {
                for _ in 0..=control {
                    let Some(place) = next.take() else { break };
                    *place = bytes.next().ok_or_else(short)?;
                    next = plane.next();
                }
            }
            128 => {}
            129..=255 => {
                let value = bytes.next().ok_or_else(short)?;
                for _ in 0..257 - u16::from(control) {
                    let Some(place) = next.take() else { break };
                    *place = value;
                    next = plane.next();
                }
            }
        }
    }
    Ok(())
}
