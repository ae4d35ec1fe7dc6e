//! A camera's JPEG picture (`V4L2_PIX_FMT_MJPEG`): is it whole, is it JPEG Baseline, and what must be
//! added or cut off before it may be the fragment of an instance.
//!
//! Cameras cut a picture short when the bus loses a packet, pad it to the size of a buffer, and leave
//! the Huffman tables out because every picture has the same ones. [`Picture::parse`] walks the markers
//! (ISO/IEC 10918-1 Annex B) and goes by lengths: an end of image inside of an application segment is
//! that of a thumbnail. Pictures of two fields, one after the other, end with the first.

mod decoder;
mod markers;
mod tables;

use std::borrow::Cow;

use self::markers::{Component, Frame, Markers};
use super::compress::compression_ratio;

pub use decoder::Decoder;

/// What is wrong with a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MjpegError {
    /// It ends before its end of image: the rest of the frame was lost.
    #[error("the picture is cut off")]
    Truncated,
    /// It is JPEG of another process, which JPEG Baseline's Transfer Syntax cannot hold.
    #[error("the picture is no JPEG Baseline: it has {0}")]
    NotBaseline(&'static str),
    /// It is no JPEG picture, or contradicts itself.
    #[error("the picture makes no sense: {0}")]
    Nonsense(&'static str),
    /// The decoder gave up; its words. What it had decoded is in the buffer.
    #[error("the picture cannot be decoded: {reason}")]
    Decode {
        /// The library's words.
        reason: String,
    },
}

/// A whole JPEG Baseline picture, still as the camera gave it.
#[derive(Debug, Clone)]
pub struct Picture<'a> {
    /// From start of image to end of image.
    stream: &'a [u8],
    /// Where the first start of scan stands.
    first_scan: usize,
    /// Standard Huffman tables that scans use and the picture does not have, in the order of
    /// [`tables::STANDARD`].
    lacking: [bool; tables::STANDARD.len()],
    frame: Frame,
    rgb: bool,
}

impl<'a> Picture<'a> {
    /// Reads a picture; what follows its end of image is not looked at.
    ///
    /// # Errors
    /// [`MjpegError`], but for [`MjpegError::Decode`]: entropy-coded data is passed over.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MjpegError> {
        let Markers { end, first_scan, lacking, frame, rgb } = Markers::walk(bytes)?;
        let stream = bytes.get(..end).ok_or(MjpegError::Truncated)?;
        Ok(Self { stream, first_scan, lacking, frame, rgb })
    }

    /// Rows (pixels).
    pub fn rows(&self) -> u16 {
        self.frame.rows
    }

    /// Columns (pixels).
    pub fn columns(&self) -> u16 {
        self.frame.columns
    }

    /// Samples per Pixel: 1 or 3.
    pub fn samples(&self) -> u16 {
        self.frame.components().len() as u16
    }

    /// Horizontal and vertical sampling factor of every component: (2, 1), (1, 1), (1, 1) is 4:2:2.
    pub fn sampling(&self) -> impl Iterator<Item = (u8, u8)> {
        self.frame.components().iter().map(|Component { across, down, .. }| (*across, *down))
    }

    /// The picture as JPEG Interchange Format, which the fragment of an instance must be (PS3.5
    /// §A.4.1): with the Huffman tables that its scans use, the standard ones (ISO/IEC 10918-1 §K.3)
    /// where it has none of its own, and without what followed. Copies only where tables were lacking.
    pub fn complete(&self) -> Cow<'a, [u8]> {
        let Some((before, after)) = self.stream.split_at_checked(self.first_scan) else {
            return Cow::Borrowed(self.stream);
        };
        if !self.lacking.contains(&true) {
            return Cow::Borrowed(self.stream);
        }
        let mut whole = Vec::with_capacity(self.stream.len() + tables::MOST_BYTES);
        whole.extend_from_slice(before);
        for (table, _) in tables::STANDARD.iter().zip(self.lacking).filter(|(_, lacking)| *lacking) {
            table.write(&mut whole);
        }
        whole.extend_from_slice(after);
        Cow::Owned(whole)
    }

    /// Photometric Interpretation (0028,0004) of the codestream.
    ///
    /// Three components are `YBR_FULL_422`, or `RGB` where the picture says so. With JPEG Baseline
    /// these two are the only ones allowed (PS3.5 Table 8.2.1-1). The name tells the colour space; how
    /// colour is subsampled, 4:2:2, 4:2:0 or not at all, a decoder takes from the codestream (§8.2.1
    /// note 1). `YBR_FULL` would fit 4:4:4 by its words, but is not to be used.
    pub fn photometric(&self) -> &'static str {
        match (self.samples(), self.rgb) {
            (1, _) => "MONOCHROME2",
            (_, true) => "RGB",
            (_, false) => "YBR_FULL_422",
        }
    }

    /// Lossy Image Compression Ratio (0028,2112): of the picture as 8-bit samples, colour not
    /// subsampled, by what the camera sent.
    pub fn ratio(&self) -> f64 {
        let native = usize::from(self.rows()) * usize::from(self.columns()) * usize::from(self.samples());
        compression_ratio(native, self.stream.len())
    }
}

#[cfg(test)]
mod tests;
