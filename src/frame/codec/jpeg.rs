//! JPEG (ISO/IEC 10918-1): Baseline, Extended with 8 bits, and Lossless.
//!
//! Whether three components are RGB or YCbCr is said in up to four places, and DICOM encoders are known
//! to let them disagree. The codestream knows best what was done to it, so its markers come first and
//! Photometric Interpretation is asked only when they are silent.

use jpeg_decoder::{CodingProcess, ColorTransform, Decoder, PixelFormat};

use super::super::image_pixel::ImagePixel;
use super::{Decoded, TranscodeError, damaged, widen};

/// Decodes a frame. Colour of a lossy one comes out as RGB; a lossless one is not touched.
pub(super) fn decode(stream: &[u8], image: &ImagePixel) -> Result<Decoded, TranscodeError> {
    let mut decoder = Decoder::new(stream);
    decoder.read_info().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| damaged("there is no frame header"))?;
    if (usize::from(info.height), usize::from(info.width)) != (image.rows, image.columns) {
        return Err(TranscodeError::Contradiction("Rows or Columns"));
    }
    let (samples, sample_bytes) = match info.pixel_format {
        PixelFormat::L8 => (1, 1),
        PixelFormat::L16 => (1, 2),
        PixelFormat::RGB24 => (3, 1),
        PixelFormat::CMYK32 => (4, 1),
    };
    if samples != image.samples {
        return Err(TranscodeError::Contradiction("Samples per Pixel"));
    }
    if sample_bytes > image.sample_bytes() || image.sample_bytes() > 2 {
        return Err(TranscodeError::Contradiction("Bits Allocated"));
    }
    let lossless = info.coding_process == CodingProcess::Lossless;
    if samples == 3 && !lossless {
        let rgb = Markers::of(stream).rgb().unwrap_or(image.photometric == "RGB");
        decoder.set_color_transform(if rgb { ColorTransform::RGB } else { ColorTransform::YCbCr });
    }
    let pixels = decoder.decode().map_err(damaged)?;
    let pixels = if sample_bytes == 2 {
        // The decoder's 16-bit samples are in the machine's own order.
        let words = pixels.as_chunks().0.iter().map(|word| u16::from_ne_bytes(*word));
        words.flat_map(u16::to_le_bytes).collect()
    } else {
        widen(pixels, image)
    };
    Ok(Decoded {
        pixels,
        photometric: (samples == 3 && !lossless).then_some("RGB"),
        interleaved: true,
        lossy_method: (!lossless).then_some("ISO_10918_1"),
    })
}

/// What the markers before the first scan say of colour.
#[derive(Debug, Default, PartialEq)]
struct Markers {
    /// The transform byte of an Adobe APP14 segment: 0 none, 1 YCbCr.
    adobe_transform: Option<u8>,
    jfif: bool,
    /// The components are named `R`, `G` and `B`.
    named_rgb: bool,
}

impl Markers {
    fn of(stream: &[u8]) -> Self {
        let mut found = Self::default();
        let mut rest = stream.get(2..).unwrap_or_default();
        while let [0xFF, marker, after @ ..] = rest {
            // Fill bytes before a marker.
            if *marker == 0xFF {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let [high, low, ..] = after else { break };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(segment) = after.get(2..length) else { break };
            match marker {
                0xEE if segment.starts_with(b"Adobe") => found.adobe_transform = segment.get(11).copied(),
                0xE0 if segment.starts_with(b"JFIF\0") => found.jfif = true,
                0xC0..=0xC3 => {
                    let names: Vec<u8> = segment
                        .get(6..)
                        .unwrap_or_default()
                        .chunks(3)
                        .filter_map(|c| c.first().copied())
                        .collect();
                    found.named_rgb = names == *b"RGB";
                }
                // Start of scan: entropy-coded data follows.
                0xDA => break,
                _ => {}
            }
            rest = after.get(length..).unwrap_or_default();
        }
        found
    }

    /// Whether three components are RGB; `None` when the markers do not say.
    fn rgb(&self) -> Option<bool> {
        match self {
            Self { adobe_transform: Some(transform), .. } => Some(*transform == 0),
            Self { named_rgb: true, .. } => Some(true),
            Self { jfif: true, .. } => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markers_speak_in_order_of_trust() {
        let adobe = |transform: u8| {
            let mut segment = vec![0xFF, 0xEE, 0, 14];
            segment.extend_from_slice(b"Adobe\0\x64\0\0\0\0");
            segment.push(transform);
            segment
        };
        let jfif = [&[0xFF, 0xE0, 0, 7][..], b"JFIF\0"].concat();
        let rgb = [0xFF, 0xC0, 0, 17, 8, 0, 1, 0, 1, 3, b'R', 0, 0, b'G', 0, 0, b'B', 0, 0];
        let verdict = |parts: &[&[u8]]| Markers::of(&[&[0xFF, 0xD8][..], &parts.concat()].concat()).rgb();
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[&jfif]), Some(false));
        assert_eq!(verdict(&[&jfif, &rgb]), Some(true));
        assert_eq!(verdict(&[&adobe(1), &rgb]), Some(false));
        assert_eq!(verdict(&[&jfif, &adobe(0)]), Some(true));
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Markers::of(&bytes);
            Markers::of(&[&[0xFF, 0xD8, 0xFF, 0xE0][..], &bytes].concat());
        }
    }
}
