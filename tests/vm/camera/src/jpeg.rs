//! JPEG at the rate of video on a slow processor: the scan is cut into strips of eight rows by restart
//! markers (ITU-T T.81, B.2.4.4), behind which nothing depends on what came before. To change the top of
//! a picture, its strips are put in the place of the old ones.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::options::Size;

const QUALITY: u8 = 85;
/// Columns of a unit of 4:2:2.
const UNIT: u16 = 16;
/// The first of the eight restart markers.
const RESTART: u8 = 0xd0;
/// Start of scan.
const SCAN: u8 = 0xda;

/// A JPEG file in parts.
pub(crate) struct Strips {
    size: Size,
    /// Up to the first byte of the scan.
    head: Vec<u8>,
    /// The scan between restart markers.
    strips: Vec<Vec<u8>>,
}

impl Strips {
    /// Encodes luma and colour differences, three bytes a pixel, row by row. `None` if `pixels` are not
    /// as many as the size has.
    pub(crate) fn encode(size: Size, pixels: &[u8]) -> Option<Self> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, QUALITY);
        encoder.set_sampling_factor(SamplingFactor::F_2_1);
        encoder.set_restart_interval(size.width.div_ceil(UNIT));
        encoder.encode(pixels, size.width, size.height, ColorType::Ycbcr).ok()?;
        let scan = start_of_scan(&file)?;
        let (head, rest) = file.split_at_checked(scan)?;
        let (data, _end_of_image) = rest.split_last_chunk::<2>()?;
        // A byte 0xff of the data is followed by 0, so that a marker is one wherever it stands.
        let (mut strips, mut strip) = (Vec::new(), Vec::new());
        let mut bytes = data.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if byte == 0xff && bytes.next_if(|next| next & !7 == RESTART).is_some() {
                strips.push(std::mem::take(&mut strip));
            } else {
                strip.push(byte);
            }
        }
        strips.push(strip);
        Some(Self { size, head: head.to_vec(), strips })
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// The file.
    pub(crate) fn whole(&self) -> Vec<u8> {
        self.joined(self.strips.iter())
    }

    /// The file with the first strips replaced by all those of `top`, which is as wide.
    pub(crate) fn with_top(&self, top: &Self) -> Vec<u8> {
        self.joined(top.strips.iter().chain(self.strips.iter().skip(top.strips.len())))
    }

    fn joined<'a>(&self, strips: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
        let mut file = self.head.clone();
        for (strip, marker) in strips.zip((0..8).cycle()) {
            file.extend_from_slice(strip);
            file.extend([0xff, RESTART + marker]);
        }
        // Behind the last strip comes the end of the image instead.
        file.truncate(file.len() - 2);
        file.extend([0xff, 0xd9]);
        file
    }
}

/// Where the entropy-coded data begin.
fn start_of_scan(file: &[u8]) -> Option<usize> {
    // Behind the start of image, segments of marker and length follow each other.
    let mut at = 2;
    loop {
        let &[_, marker, high, low] = file.get(at..at + 4)?.first_chunk()?;
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == SCAN {
            return Some(at);
        }
    }
}
