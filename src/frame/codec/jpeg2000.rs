//! JPEG 2000 (ISO/IEC 15444-1) and High-Throughput JPEG 2000 (15444-15).
//!
//! The registry's adapter decodes; before it does, the main header is read here, since the adapter takes
//! components to be as many, and as large, as the attributes say.

use dicom_dictionary_std::uids;
use dicom_encoding::{Codec, TransferSyntaxIndex};
use dicom_object::DefaultDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::super::image_pixel::ImagePixel;
use super::{Decoded, TranscodeError, damaged};

/// Decodes a frame. Components that the codestream says were transformed come out as RGB.
pub(super) fn decode(
    uid: &str,
    stream: &[u8],
    object: &DefaultDicomObject,
    image: &ImagePixel,
) -> Result<Decoded, TranscodeError> {
    let header = MainHeader::of(stream).ok_or_else(|| damaged("there is no main header"))?;
    if (header.rows, header.columns) != (image.rows as u64, image.columns as u64) {
        return Err(TranscodeError::Contradiction("Rows or Columns"));
    }
    if header.components.len() != image.samples {
        return Err(TranscodeError::Contradiction("Samples per Pixel"));
    }
    if !matches!(image.bits_allocated, 8 | 16) {
        return Err(TranscodeError::Unsupported { what: "JPEG 2000 of such Bits Allocated".to_owned() });
    }
    for component in &header.components {
        if component.subsampled {
            return Err(TranscodeError::Unsupported { what: "JPEG 2000 with subsampled colour".to_owned() });
        }
        if component.bits > image.bits_allocated {
            return Err(TranscodeError::Contradiction("Bits Allocated"));
        }
    }
    let unsupported = || TranscodeError::Unsupported { what: format!("Transfer Syntax {uid}") };
    let syntax = TransferSyntaxRegistry.get(uid).ok_or_else(unsupported)?;
    let Codec::EncapsulatedPixelData(Some(decoder), _) = syntax.codec() else {
        return Err(unsupported());
    };
    let mut pixels = Vec::new();
    decoder.decode_frame(object, 0, &mut pixels).map_err(damaged)?;
    let transformed = header.transformed
        || image.photometric.starts_with("YBR_ICT")
        || image.photometric.starts_with("YBR_RCT");
    let method = if uid == uids::HTJ2K { "ISO_15444_15" } else { "ISO_15444_1" };
    Ok(Decoded {
        pixels,
        photometric: (image.samples == 3 && transformed).then_some("RGB"),
        interleaved: true,
        // With the reversible wavelet nothing need be lost, and what the object says of it stands.
        lossy_method: header.irreversible.then_some(method),
    })
}

/// What counts of the main header (ISO/IEC 15444-1 §A.5, A.6).
#[derive(Debug, PartialEq)]
struct MainHeader {
    rows: u64,
    columns: u64,
    components: Vec<Component>,
    /// The multiple component transformation was used.
    transformed: bool,
    /// The 9-7 wavelet was used.
    irreversible: bool,
}

#[derive(Debug, PartialEq)]
struct Component {
    bits: u32,
    subsampled: bool,
}

impl MainHeader {
    /// Reads SOC, SIZ and COD; `None` when they are not there or cut off.
    fn of(stream: &[u8]) -> Option<Self> {
        let mut rest = stream.strip_prefix(&[0xFF, 0x4F])?;
        let mut size = None;
        loop {
            let [0xFF, marker, high, low, ..] = rest else { return None };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let segment = rest.get(4..2 + length)?;
            match marker {
                0x51 => size = Some(size_of(segment)?),
                0x52 => {
                    let (rows, columns, components) = size?;
                    return Some(Self {
                        rows,
                        columns,
                        components,
                        transformed: *segment.get(4)? == 1,
                        irreversible: *segment.get(9)? == 0,
                    });
                }
                _ => {}
            }
            rest = rest.get(2 + length..)?;
        }
    }
}

/// Rows, columns and components of a SIZ segment.
fn size_of(segment: &[u8]) -> Option<(u64, u64, Vec<Component>)> {
    let word = |at: usize| Some(u64::from(u32::from_be_bytes(segment.get(at..at + 4)?.try_into().ok()?)));
    let columns = word(2)?.checked_sub(word(10)?)?;
    let rows = word(6)?.checked_sub(word(14)?)?;
    let components = segment
        .get(36..)?
        .as_chunks()
        .0
        .iter()
        .map(|&[depth, across, down]| Component {
            bits: u32::from(depth & 0x7F) + 1,
            subsampled: (across, down) != (1, 1),
        })
        .collect();
    Some((rows, columns, components))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(rows: u32, columns: u32, components: &[[u8; 3]], transform: u8, wavelet: u8) -> Vec<u8> {
        let mut stream = vec![0xFF, 0x4F, 0xFF, 0x51];
        stream.extend_from_slice(&(38 + 3 * components.len() as u16).to_be_bytes());
        stream.extend_from_slice(&[0, 0]);
        for word in [columns + 5, rows + 7, 5, 7, columns + 5, rows + 7, 0, 0] {
            stream.extend_from_slice(&word.to_be_bytes());
        }
        stream.extend_from_slice(&(components.len() as u16).to_be_bytes());
        stream.extend(components.iter().flatten());
        stream.extend_from_slice(&[0xFF, 0x52, 0, 12, 0, 0, 0, 1, transform, 5, 4, 4, 0, wavelet]);
        stream
    }

    #[test]
    fn reads_size_depth_transformation_and_wavelet() {
        let read = MainHeader::of(&header(30, 40, &[[11, 1, 1], [0x87, 2, 1]], 1, 0)).unwrap();
        assert_eq!((read.rows, read.columns), (30, 40));
        assert_eq!(read.components[0], Component { bits: 12, subsampled: false });
        assert_eq!(read.components[1], Component { bits: 8, subsampled: true });
        assert!(read.transformed && read.irreversible);
        let lossless = MainHeader::of(&header(30, 40, &[[7, 1, 1]], 0, 1)).unwrap();
        assert!(!lossless.transformed && !lossless.irreversible);
        assert_eq!(MainHeader::of(&header(30, 40, &[[7, 1, 1]], 0, 1)[..50]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            MainHeader::of(&bytes);
            bytes.splice(0..0, [0xFF, 0x4F, 0xFF, 0x51, 0, 60]);
            MainHeader::of(&bytes);
        }
    }
}
