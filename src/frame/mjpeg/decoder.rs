//! Pictures → native pixels, by libjpeg-turbo.

use turbojpeg::{Decompressor, Image, PixelFormat};

use super::{MjpegError, Picture};
use crate::frame::Photometric;

/// One thread's decoder.
#[derive(Debug)]
pub struct Decoder {
    library: Decompressor,
}

impl Decoder {
    /// Starts the library.
    ///
    /// # Errors
    /// [`MjpegError::Decode`] when it does not.
    pub fn new() -> Result<Self, MjpegError> {
        Ok(Self { library: Decompressor::new().map_err(failed)? })
    }

    /// Bytes of a decoded picture.
    pub fn frame_bytes(picture: &Picture<'_>, photometric: Photometric) -> usize {
        let samples = if photometric == Photometric::Rgb { 3 } else { 1 };
        usize::from(picture.rows()) * usize::from(picture.columns()) * samples
    }

    /// Decodes a picture into `native`: interleaved RGB, or grey, which of a picture in YCbCr is its
    /// luma exactly as coded. A picture that lacks Huffman tables is decoded by the standard ones.
    ///
    /// # Errors
    /// [`MjpegError::Decode`] when `native` is not as long as [`Self::frame_bytes`] says, and when the
    /// picture is damaged; what could be decoded is in `native` then.
    pub fn decode(
        &mut self,
        picture: &Picture<'_>,
        photometric: Photometric,
        native: &mut [u8],
    ) -> Result<(), MjpegError> {
        let expected = Self::frame_bytes(picture, photometric);
        if native.len() != expected {
            let reason = format!("it has {expected} bytes, its buffer {}", native.len());
            return Err(MjpegError::Decode { reason });
        }
        let format = match photometric {
            Photometric::Monochrome2 => PixelFormat::GRAY,
            Photometric::Rgb => PixelFormat::RGB,
        };
        let (width, height) = (usize::from(picture.columns()), usize::from(picture.rows()));
        let image = Image { pixels: native, width, pitch: width * format.size(), height, format };
        self.library.decompress(picture.stream, image).map_err(failed)
    }
}

fn failed(error: turbojpeg::Error) -> MjpegError {
    MjpegError::Decode { reason: error.to_string() }
}
