//! RLE Lossless (PS3.5 Annex G): one segment for every byte of a sample, the most significant first,
//! colour after colour, each row on its own.

use super::PixelDescription;

/// The header: the number of segments and their offsets (PS3.5 §G.5).
const HEADER: usize = 64;
/// Bytes of the longest run or literal (PS3.5 §G.3.1).
const LONGEST: usize = 128;

/// An encoder and the row that it works on.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    row: Vec<u8>,
}

impl Encoder {
    /// Encodes a frame of at least one pixel.
    pub(super) fn encode(&mut self, native: &[u8], pixels: &PixelDescription) -> Vec<u8> {
        let sample_bytes = usize::from(pixels.bits_allocated.div_ceil(8));
        let pixel = usize::from(pixels.samples) * sample_bytes;
        // Most pictures halve; one that does not grows into what it needs.
        let mut stream = Vec::with_capacity(HEADER + native.len() / 2);
        stream.resize(HEADER, 0);
        let mut header = vec![pixel as u32];
        for number in 0..pixel {
            header.push(u32::try_from(stream.len()).unwrap_or(u32::MAX));
            // The samples are little-endian, the segments are not.
            let (sample, significance) = (number / sample_bytes, number % sample_bytes);
            let first = sample * sample_bytes + (sample_bytes - 1 - significance);
            for row in native.chunks_exact(usize::from(pixels.columns) * pixel) {
                if pixel == 1 {
                    encode_row(row, &mut stream);
                } else {
                    self.row.clear();
                    self.row.extend(row.iter().skip(first).step_by(pixel));
                    encode_row(&self.row, &mut stream);
                }
            }
            if stream.len() % 2 == 1 {
                stream.push(0);
            }
        }
        for (place, word) in stream.chunks_exact_mut(4).zip(header) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        stream
    }
}

/// Encodes the bytes of one row, for no run may go over its end (PS3.5 §G.3.1).
fn encode_row(row: &[u8], stream: &mut Vec<u8>) {
    // What is not yet written, and how much of its beginning is to be literal.
    let (mut pending, mut literal) = (row, 0);
    for run in row.chunk_by(|a, b| a == b) {
        // Two of a kind inside a literal cost less there than between two others.
        if run.len() > 2 || (run.len() == 2 && literal == 0) {
            let (before, after) = pending.split_at(literal);
            put_literals(before, stream);
            for part in run.chunks(LONGEST) {
                match part {
                    [only] => stream.extend([0, *only]),
                    [byte, ..] => stream.extend([(257 - part.len()) as u8, *byte]),
                    [] => {}
                }
            }
            pending = after.get(run.len()..).unwrap_or_default();
            literal = 0;
        } else {
            literal += run.len();
        }
    }
    put_literals(pending, stream);
}

fn put_literals(bytes: &[u8], stream: &mut Vec<u8>) {
    for part in bytes.chunks(LONGEST) {
        stream.push((part.len() - 1) as u8);
        stream.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Photometric;
    use super::*;

    fn row(bytes: &[u8]) -> Vec<u8> {
        let mut stream = Vec::new();
        encode_row(bytes, &mut stream);
        stream
    }

    /// PS3.5 §G.3.1; and of 16 bits the high byte comes first.
    #[test]
    fn no_run_goes_over_the_end_of_its_row() {
        let pixels = PixelDescription {
            rows: 2,
            columns: 3,
            samples: 1,
            bits_allocated: 16,
            bits_stored: 16,
            photometric: Photometric::Monochrome2,
        };
        let stream = Encoder::default().encode(&[7, 1, 7, 1, 7, 1, 7, 1, 7, 1, 7, 1], &pixels);
        assert_eq!(stream[..12], [2, 0, 0, 0, 64, 0, 0, 0, 68, 0, 0, 0]);
        assert_eq!(stream[64..], [0xFE, 1, 0xFE, 1, 0xFE, 7, 0xFE, 7]);
    }

    #[test]
    fn runs_and_literals_are_those_of_the_annex() {
        assert_eq!(row(&[7]), [0, 7]);
        assert_eq!(row(&[7, 7]), [0xFF, 7]);
        assert_eq!(row(&[1, 2, 2, 3]), [3, 1, 2, 2, 3]);
        assert_eq!(row(&[1, 2, 2, 2, 3]), [0, 1, 0xFE, 2, 0, 3]);
        assert_eq!(row(&[9; 129]), [0x81, 9, 0, 9]);
        let steps: Vec<u8> = (0..130).collect();
        assert_eq!(row(&steps), [&[127][..], &steps[..128], &[1, 128, 129]].concat());
    }
}
