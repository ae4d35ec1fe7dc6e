//! JPEG-LS (ISO/IEC 14495-1), lossless and near-lossless, by CharLS.
//!
//! Its wrapper sizes the result by the codestream's own header and does not tell how colour lies in it;
//! both are read here first.

use charls::CharLS;

use super::super::image_pixel::ImagePixel;
use super::{Decoded, TranscodeError, damaged, widen};

/// Decodes a frame. Nothing is done to colour.
pub(super) fn decode(stream: &[u8], image: &ImagePixel) -> Result<Decoded, TranscodeError> {
    let scan = Scan::first_of(stream).ok_or_else(|| damaged("there is no scan"))?;
    let frame = CharLS::default().get_frame_info(stream).map_err(damaged)?;
    if (frame.height as usize, frame.width as usize) != (image.rows, image.columns) {
        return Err(TranscodeError::Contradiction("Rows or Columns"));
    }
    if usize::try_from(frame.component_count) != Ok(image.samples) {
        return Err(TranscodeError::Contradiction("Samples per Pixel"));
    }
    let bits = u32::try_from(frame.bits_per_sample).unwrap_or(u32::MAX);
    if bits > image.bits_allocated || !matches!(image.bits_allocated, 8 | 16) {
        return Err(TranscodeError::Contradiction("Bits Allocated"));
    }
    let mut pixels = CharLS::default().decode(stream).map_err(damaged)?;
    if image.samples > 1 && !scan.interleaved {
        pixels = interleave(&pixels, image.samples, if bits > 8 { 2 } else { 1 });
    }
    Ok(Decoded {
        pixels: if bits > 8 { pixels } else { widen(pixels, image) },
        photometric: None,
        interleaved: true,
        lossy_method: (scan.near > 0).then_some("ISO_14495_1"),
    })
}

/// Plane by plane → pixel by pixel.
fn interleave(planes: &[u8], samples: usize, sample_bytes: usize) -> Vec<u8> {
    let plane = planes.len() / samples / sample_bytes * sample_bytes;
    let mut pixels = vec![0; plane * samples];
    for (sample, plane) in planes.chunks_exact(plane.max(1)).enumerate() {
        let places = pixels.chunks_exact_mut(sample_bytes).skip(sample).step_by(samples);
        for (place, value) in places.zip(plane.chunks_exact(sample_bytes)) {
            place.copy_from_slice(value);
        }
    }
    pixels
}

/// What counts of a scan header (ISO/IEC 14495-1 §C.2.3).
#[derive(Debug, PartialEq)]
struct Scan {
    /// The largest error of a sample; 0 is lossless.
    near: u8,
    /// Colour lies line by line or sample by sample, which comes out interleaved by pixel.
    interleaved: bool,
}

impl Scan {
    /// Reads up to the first scan header; `None` when there is none.
    fn first_of(stream: &[u8]) -> Option<Self> {
        let mut rest = stream.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let [0xFF, marker, after @ ..] = rest else { return None };
            if *marker == 0xFF {
                rest = rest.get(1..)?;
                continue;
            }
            let (length, _) = after.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let segment = after.get(2..length)?;
            if *marker == 0xDA {
                let components = usize::from(*segment.first()?);
                let &[near, mode, ..] = segment.get(1 + 2 * components..)? else { return None };
                return Some(Self { near, interleaved: mode != 0 });
            }
            rest = after.get(length..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_near_and_interleaving() {
        let head = [0xFF, 0xD8, 0xFF, 0xF7, 0, 4, 9, 9, 0xFF, 0xFF, 0xDA];
        let scan = |tail: &[u8]| Scan::first_of(&[&head[..], tail].concat());
        assert_eq!(scan(&[0, 8, 1, 1, 0, 3, 0, 0]), Some(Scan { near: 3, interleaved: false }));
        let three = [0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 2, 0];
        assert_eq!(scan(&three), Some(Scan { near: 0, interleaved: true }));
        assert_eq!(scan(&three[..9]), None);
    }

    #[test]
    fn planes_become_pixels() {
        assert_eq!(interleave(&[1, 2, 3, 4, 5, 6], 3, 1), [1, 3, 5, 2, 4, 6]);
        assert_eq!(interleave(&[1, 2, 3, 4, 5, 6], 3, 2), [1, 2, 3, 4, 5, 6]);
        assert_eq!(interleave(&[1, 2, 3, 4, 5, 6, 7, 8], 2, 2), [1, 2, 5, 6, 3, 4, 7, 8]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            Scan::first_of(&bytes);
            Scan::first_of(&[&[0xFF, 0xD8, 0xFF][..], &bytes].concat());
        }
    }
}
