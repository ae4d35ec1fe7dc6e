//! Decoders of encapsulated frames, one function a family of Transfer Syntaxes.
//!
//! Headers lie, so every decoder is first asked whether its codestream has the Rows, Columns and
//! samples that the attributes promise; only then does it decode. The libraries behind JPEG and
//! JPEG 2000 index by what they read, and damaged streams are known to make such code panic: a call is
//! wrapped in `catch_unwind`, for one peer's bad frame must not take the thread, and every other
//! stream on it, down. Nothing that a decoder had borrowed is used after a panic.

mod jpeg;
mod jpeg2000;
mod jpegls;
mod rle;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_dictionary_std::{tags, uids};
use dicom_object::DefaultDicomObject;

use super::image_pixel::ImagePixel;
use super::transcode::TranscodeError;

/// A frame in native form.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Little-endian samples: exactly as many bytes as the attributes say.
    pub(super) pixels: Vec<u8>,
    /// Photometric Interpretation of `pixels` where it is another than before.
    pub(super) photometric: Option<&'static str>,
    /// Whether colour lies interleaved by pixel whatever Planar Configuration said.
    pub(super) interleaved: bool,
    /// Lossy Image Compression Method (0028,2114) if the codestream is a lossy one.
    pub(super) lossy_method: Option<&'static str>,
}

/// What a Transfer Syntax with encapsulated pixels is decoded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Jpeg,
    Jpeg2000,
    JpegLs,
    Rle,
    Uncompressed,
}

impl Family {
    /// The decoder for the Transfer Syntax `uid`, if there is one.
    pub(super) fn of(uid: &str) -> Option<Self> {
        match uid {
            uids::JPEG_BASELINE8_BIT
            | uids::JPEG_EXTENDED12_BIT
            | uids::JPEG_LOSSLESS
            | uids::JPEG_LOSSLESS_SV1 => Some(Self::Jpeg),
            uids::JPEG2000_LOSSLESS
            | uids::JPEG2000
            | uids::HTJ2K_LOSSLESS
            | uids::HTJ2K_LOSSLESS_RPCL
            | uids::HTJ2K => Some(Self::Jpeg2000),
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Some(Self::JpegLs),
            uids::RLE_LOSSLESS => Some(Self::Rle),
            uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN => Some(Self::Uncompressed),
            _ => None,
        }
    }
}

/// Decodes the only frame of `object`, whose Transfer Syntax is `uid`.
pub(super) fn decode(
    uid: &str,
    object: &DefaultDicomObject,
    image: &ImagePixel,
) -> Result<Decoded, TranscodeError> {
    let fragments = object
        .get(tags::PIXEL_DATA)
        .and_then(|element| element.fragments())
        .ok_or(TranscodeError::NoPixelData)?;
    // All fragments of a single-frame object belong to its frame (PS3.5 §A.4).
    let stream: Cow<'_, [u8]> = match fragments {
        [only] => Cow::Borrowed(only),
        several => Cow::Owned(several.concat()),
    };
    let unsupported = || TranscodeError::Unsupported { what: format!("Transfer Syntax {uid}") };
    let family = Family::of(uid).ok_or_else(unsupported)?;
    let decoded = contain(|| match family {
        Family::Jpeg => jpeg::decode(&stream, image),
        Family::Jpeg2000 => jpeg2000::decode(uid, &stream, object, image),
        Family::JpegLs => jpegls::decode(&stream, image),
        Family::Rle => rle::decode(&stream, image),
        Family::Uncompressed => uncompressed(&stream, image),
    })?;
    if decoded.pixels.len() == image.frame_bytes() {
        Ok(decoded)
    } else {
        Err(TranscodeError::Contradiction("the length of the decoded frame"))
    }
}

/// Runs a decoder so that its panic is an error of this frame alone.
fn contain(decode: impl FnOnce() -> Result<Decoded, TranscodeError>) -> Result<Decoded, TranscodeError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(TranscodeError::Decode { reason: "the decoder gave up on it".to_owned() }))
}

fn damaged(reason: impl ToString) -> TranscodeError {
    TranscodeError::Decode { reason: reason.to_string() }
}

/// Native pixels in fragments (PS3.5 §A.4.11).
fn uncompressed(stream: &[u8], image: &ImagePixel) -> Result<Decoded, TranscodeError> {
    let pixels = stream.get(..image.frame_bytes()).ok_or_else(|| damaged("it ends early"))?.to_vec();
    Ok(Decoded { pixels, photometric: None, interleaved: false, lossy_method: None })
}

/// Samples of at most 8 bits in the 16-bit words that Bits Allocated asks for.
fn widen(pixels: Vec<u8>, image: &ImagePixel) -> Vec<u8> {
    if image.bits_allocated == 16 { pixels.into_iter().flat_map(|low| [low, 0]).collect() } else { pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_its_frame() {
        assert!(matches!(contain(|| panic!("on purpose")), Err(TranscodeError::Decode { .. })));
    }
}
