//! JPEG-LS Lossless by CharLS.

use charls::{CharLS, Error, FrameInfo, InterleaveMode};

use super::{CompressError, PixelDescription};

/// What CharLS answers when the codestream outgrows the buffer that its wrapper gives it, one of the
/// native frame's size (`JPEGLS_ERRC_DESTINATION_BUFFER_TOO_SMALL`).
const TOO_LONG: i32 = 3;

/// Encodes a frame whose length was checked.
pub(super) fn encode(native: &[u8], pixels: &PixelDescription) -> Result<Vec<u8>, CompressError> {
    // One of its encoders makes one stream.
    let mut encoder = CharLS::default();
    // Line by line is the fastest for colour.
    let interleave = if pixels.samples == 1 { InterleaveMode::None } else { InterleaveMode::Line };
    encoder.set_interleave_mode(interleave).map_err(failed)?;
    let frame = FrameInfo {
        width: pixels.columns.into(),
        height: pixels.rows.into(),
        bits_per_sample: pixels.bits_stored.into(),
        component_count: pixels.samples.into(),
    };
    encoder.encode(frame, 0, native).map_err(failed)
}

fn failed(error: Error) -> CompressError {
    match error {
        Error::JpegLsError { code: TOO_LONG } => CompressError::Incompressible,
        error => CompressError::Encoder { reason: error.to_string() },
    }
}
