//! JPEG Baseline by libjpeg-turbo.

use turbojpeg::{Image, PixelFormat, Subsamp};

use super::{CompressError, Photometric, PixelDescription};

/// The most rows or columns that libjpeg takes (`JPEG_MAX_DIMENSION`).
pub(super) const LARGEST: u16 = 65_500;

/// An encoder of one quality.
#[derive(Debug)]
pub(super) struct Encoder {
    library: turbojpeg::Compressor,
    format: PixelFormat,
}

impl Encoder {
    /// Starts the library.
    pub(super) fn new(quality: u8, photometric: Photometric) -> Result<Self, CompressError> {
        let (format, sampling) = match photometric {
            Photometric::Monochrome2 => (PixelFormat::GRAY, Subsamp::Gray),
            Photometric::Rgb => (PixelFormat::RGB, Subsamp::Sub2x1),
        };
        let mut library = turbojpeg::Compressor::new().map_err(failed)?;
        library.set_quality(quality.into()).map_err(failed)?;
        library.set_subsamp(sampling).map_err(failed)?;
        Ok(Self { library, format })
    }

    /// Photometric Interpretation of what it makes.
    pub(super) fn photometric(&self) -> &'static str {
        if self.format == PixelFormat::GRAY { "MONOCHROME2" } else { "YBR_FULL_422" }
    }

    /// Encodes a frame whose length was checked.
    pub(super) fn encode(
        &mut self,
        native: &[u8],
        pixels: &PixelDescription,
    ) -> Result<Vec<u8>, CompressError> {
        let width = usize::from(pixels.columns);
        let pitch = width * usize::from(pixels.samples);
        let image =
            Image { pixels: native, width, pitch, height: usize::from(pixels.rows), format: self.format };
        self.library.compress_to_vec(image).map_err(failed)
    }
}

fn failed(error: turbojpeg::Error) -> CompressError {
    CompressError::Encoder { reason: error.to_string() }
}
