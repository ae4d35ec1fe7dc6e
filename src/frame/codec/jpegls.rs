//! JPEG-LS (ISO/IEC 14495-1), lossless and near-lossless, grey and colour in every interleaving.
//!
//! Our own, because the others have no end: CharLS, which encodes for us, comes back from some damaged
//! streams only after minutes or never, and the decoder in Rust that there is knows no colour. This one
//! reads bits until there are none left. Not supported are restart intervals, mapping tables, point
//! transforms and subsampled colour, which DICOM has no use for.

mod bits;
mod scan;

use self::scan::{Interleave, Line, Scan};
use super::super::image_pixel::ImagePixel;
use super::{Decoded, TranscodeError, damaged};

/// What is wrong with entropy-coded data.
#[derive(Debug)]
struct Damaged(&'static str);

/// Decodes a frame. Nothing is done to colour.
pub(super) fn decode(stream: &[u8], image: &ImagePixel) -> Result<Decoded, TranscodeError> {
    let mut rest = stream.strip_prefix(&[0xFF, 0xD8]).ok_or_else(|| damaged("there is no start of image"))?;
    let mut pixels = Vec::new();
    let (mut frame, mut preset): (Option<Frame>, _) = (None, [0; 5]);
    let (mut scanned, mut lossy) = (0, false);
    loop {
        let (marker, body, after) = segment(rest)?;
        match marker {
            0xF7 if frame.is_some() => return Err(damaged("there is a second frame header")),
            0xF7 => {
                frame = Some(Frame::of(body, image)?);
                // Not before the header agrees, lest a few bytes claim a large frame.
                pixels = vec![0; image.frame_bytes()];
            }
            0xF8 => preset = preset_of(body)?,
            0xDA => {
                let frame = frame.as_ref().ok_or_else(|| damaged("a scan comes before its frame header"))?;
                let scan = Header::of(body, frame)?;
                let parameters = Parameters::new(frame.maximum, scan.near, preset)?;
                lossy |= scan.near > 0;
                let (data, marker) = after.split_at(entropy_coded(after));
                let put = |component, row, line: &Line| {
                    put_line(&mut pixels, image, (row, scan.first + component), line.samples());
                };
                Scan::new(data, parameters)
                    .decode((image.rows, image.columns, scan.components), scan.interleave, put)
                    .map_err(|Damaged(reason)| damaged(reason))?;
                scanned += scan.components;
                if scanned >= image.samples {
                    break;
                }
                rest = marker;
                continue;
            }
            0xDD => return Err(unsupported("restart intervals")),
            0xE8 if body.starts_with(b"mrfx") && body.get(4) != Some(&0) => {
                return Err(unsupported("a colour transformation"));
            }
            0xD9 => return Err(damaged("a component is missing")),
            _ => {}
        }
        rest = after;
    }
    let lossy_method = lossy.then_some("ISO_14495_1");
    Ok(Decoded { pixels, photometric: None, interleaved: true, lossy_method })
}

fn unsupported(what: &str) -> TranscodeError {
    TranscodeError::Unsupported { what: format!("JPEG-LS with {what}") }
}

/// A marker, its segment's body, and what follows. An end of image has no body.
fn segment(stream: &[u8]) -> Result<(u8, &[u8], &[u8]), TranscodeError> {
    let short = || damaged("it ends early");
    let fill = stream.iter().take_while(|byte| **byte == 0xFF).count();
    let (&marker, after) = stream.get(fill..).and_then(<[u8]>::split_first).ok_or_else(short)?;
    if fill == 0 {
        return Err(damaged("there is no marker where one is due"));
    }
    if marker == 0xD9 {
        return Ok((marker, &[], after));
    }
    let (length, _) = after.split_first_chunk().ok_or_else(short)?;
    let (segment, after) =
        after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(short)?;
    Ok((marker, segment.get(2..).ok_or_else(short)?, after))
}

/// How long entropy-coded data is: up to a byte of ones that a one follows (§A.1).
fn entropy_coded(stream: &[u8]) -> usize {
    let end = stream.windows(2).position(|pair| matches!(pair, [0xFF, 0x80..=0xFF]));
    end.unwrap_or(stream.len())
}

/// Puts the samples of a line into the interleaved frame.
fn put_line(pixels: &mut [u8], image: &ImagePixel, (row, component): (usize, usize), samples: &[i32]) {
    let sample_bytes = image.sample_bytes();
    let line = image.columns * image.samples * sample_bytes;
    let places = pixels.chunks_exact_mut(line.max(1)).nth(row).unwrap_or_default();
    let places = places.chunks_exact_mut(sample_bytes).skip(component).step_by(image.samples);
    for (place, sample) in places.zip(samples) {
        for (byte, value) in place.iter_mut().zip(sample.to_le_bytes()) {
            *byte = value;
        }
    }
}

/// The frame header (§C.2.2), held against the attributes.
struct Frame {
    /// MAXVAL where no preset says otherwise.
    maximum: i32,
    /// Identifiers of the components.
    components: Vec<u8>,
}

impl Frame {
    fn of(body: &[u8], image: &ImagePixel) -> Result<Self, TranscodeError> {
        let Some((&[precision, y1, y0, x1, x0, count], specifications)) = body.split_first_chunk() else {
            return Err(damaged("the frame header is cut off"));
        };
        let rows = usize::from(u16::from_be_bytes([y1, y0]));
        let columns = usize::from(u16::from_be_bytes([x1, x0]));
        if (rows, columns) != (image.rows, image.columns) {
            return Err(TranscodeError::Contradiction("Rows or Columns"));
        }
        if usize::from(count) != image.samples || specifications.len() != 3 * image.samples {
            return Err(TranscodeError::Contradiction("Samples per Pixel"));
        }
        if !matches!(image.bits_allocated, 8 | 16)
            || !(2..=image.bits_allocated).contains(&u32::from(precision))
        {
            return Err(TranscodeError::Contradiction("Bits Allocated"));
        }
        let specifications = specifications.as_chunks::<3>().0;
        if specifications.iter().any(|[_, sampling, _]| *sampling != 0x11) {
            return Err(unsupported("subsampled colour"));
        }
        let components = specifications.iter().map(|[id, ..]| *id).collect();
        Ok(Self { maximum: (1 << precision) - 1, components })
    }
}

/// The scan header (§C.2.3).
struct Header {
    /// The first component of it.
    first: usize,
    components: usize,
    near: i32,
    interleave: Interleave,
}

impl Header {
    fn of(body: &[u8], frame: &Frame) -> Result<Self, TranscodeError> {
        let cut_off = || damaged("the scan header is of another length");
        let (&count, rest) = body.split_first().ok_or_else(cut_off)?;
        let (selectors, &[near, mode, point]) = rest.split_last_chunk().ok_or_else(cut_off)?;
        let (selectors, odd) = selectors.as_chunks::<2>();
        let components = usize::from(count);
        if components == 0 || selectors.len() != components || !odd.is_empty() {
            return Err(cut_off());
        }
        if selectors.iter().any(|[_, table]| *table != 0) || point != 0 {
            return Err(unsupported("mapping tables or a point transform"));
        }
        let first = selectors.first().and_then(|[id, _]| frame.components.iter().position(|one| one == id));
        let first = first.ok_or_else(|| damaged("a scan has an unknown component"))?;
        let interleave = match (mode, components) {
            // Of one component there is one way only, whatever the mode says.
            (0..=2, 1) | (1, _) => Interleave::Line,
            (2, _) => Interleave::Sample,
            _ => return Err(damaged("the scan's interleaving is none")),
        };
        if components > 1 && (components != frame.components.len() || first != 0) {
            return Err(unsupported("scans of some components"));
        }
        Ok(Self { first, components, near: near.into(), interleave })
    }
}

/// MAXVAL, T1, T2, T3 and RESET of a preset segment (§C.2.4.1.1); 0 is the default.
fn preset_of(body: &[u8]) -> Result<[u16; 5], TranscodeError> {
    let (&kind, values) = body.split_first().ok_or_else(|| damaged("a preset is cut off"))?;
    if kind != 1 {
        return Err(unsupported("mapping tables or an extended size"));
    }
    let mut preset = [0; 5];
    let (values, _) = values.as_chunks::<2>();
    if values.len() != preset.len() {
        return Err(damaged("a preset is of another length"));
    }
    for (place, value) in preset.iter_mut().zip(values) {
        *place = u16::from_be_bytes(*value);
    }
    Ok(preset)
}

/// The parameters of a scan.
#[derive(Debug, Clone, Copy)]
struct Parameters {
    /// NEAR: the largest error of a sample; 0 is lossless.
    near: i32,
    /// MAXVAL.
    maximum: i32,
    /// RANGE, and the bits that it takes.
    range: i32,
    range_bits: u32,
    /// LIMIT: bits of the longest code.
    limit: u32,
    /// T1, T2, T3.
    thresholds: [i32; 3],
    reset: i32,
}

impl Parameters {
    /// By a preset and, where it has zeros, by the defaults (§A.2.1, §C.2.4.1.1.1).
    fn new(most: i32, near: i32, preset: [u16; 5]) -> Result<Self, TranscodeError> {
        let [maximum, t1, t2, t3, reset] = preset.map(i32::from);
        let maximum = if maximum == 0 { most } else { maximum };
        if maximum > most || near > (maximum / 2).min(255) || (reset != 0 && reset < 3) {
            return Err(damaged("the parameters are out of range"));
        }
        let range = (maximum + 2 * near) / (2 * near + 1) + 1;
        let bits = (i32::BITS - maximum.leading_zeros()).max(2);
        let clamp = |value: i32, low: i32| if value > maximum || value < low { low } else { value };
        let defaults = if maximum >= 128 {
            let factor = (maximum.min(4095) + 128) / 256;
            [factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near]
        } else {
            let factor = 256 / (maximum + 1);
            [(3 / factor + 3 * near).max(2), (7 / factor + 5 * near).max(3), (21 / factor + 7 * near).max(4)]
        };
        let mut low = near + 1;
        let mut thresholds = [t1, t2, t3];
        for (threshold, default) in thresholds.iter_mut().zip(defaults) {
            if *threshold == 0 {
                *threshold = clamp(default, low);
            }
            if !(low..=maximum.max(low)).contains(threshold) {
                return Err(damaged("the parameters are out of range"));
            }
            low = *threshold;
        }
        Ok(Self {
            near,
            maximum,
            range,
            range_bits: i32::BITS - (range - 1).leading_zeros(),
            limit: 2 * (bits + bits.max(8)),
            thresholds,
            reset: if reset == 0 { 64 } else { reset },
        })
    }
}

#[cfg(test)]
mod tests;
