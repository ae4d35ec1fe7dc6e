//! Pixels before they are DICOM, and pixels taken out of DICOM again.
//!
//! A source describes its frames with a [`PixelDescription`]; the Image Pixel module of every head is
//! written from it. The way back is [`transcode`], which turns any Transfer Syntax that we can decode
//! into native little-endian pixels, and [`render`], which turns those into a picture for a browser.

pub mod compress;
pub mod convert;
pub mod difference;
pub mod mjpeg;
pub mod render;
pub mod transcode;
pub mod video;

mod codec;
mod display;
mod image_pixel;
#[cfg(test)]
mod samples;

pub use image_pixel::ImagePixelError;

/// What the pixels of a frame are: the Image Pixel module (PS3.3 §C.7.6.3) without the pixels.
///
/// Samples are unsigned, right-aligned in their words (High Bit = Bits Stored − 1), little-endian, and
/// colour is interleaved by pixel (Planar Configuration 0): that is all that our own sources make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelDescription {
    /// Rows (0028,0010), pixels.
    pub rows: u16,
    /// Columns (0028,0011), pixels.
    pub columns: u16,
    /// Samples per Pixel (0028,0002): 1 or 3.
    pub samples: u16,
    /// Bits Allocated (0028,0100): 8 or 16.
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101): at most Bits Allocated.
    pub bits_stored: u16,
    /// Photometric Interpretation (0028,0004).
    pub photometric: Photometric,
}

impl PixelDescription {
    /// The length of one frame's pixels (bytes, without the padding of an odd length).
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.rows)
            * usize::from(self.columns)
            * usize::from(self.samples)
            * usize::from(self.bits_allocated.div_ceil(8))
    }
}

/// The Photometric Interpretations (PS3.3 §C.7.6.3.1.2) that our own sources make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Photometric {
    /// `MONOCHROME2`: the lowest value is black.
    Monochrome2,
    /// `RGB`.
    Rgb,
}

impl Photometric {
    /// The defined term.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monochrome2 => "MONOCHROME2",
            Self::Rgb => "RGB",
        }
    }
}
