//! Native frames → the codestreams of encapsulated Pixel Data (PS3.5 §A.4, §8.2).
//!
//! A [`Compressor`] belongs to one thread and to frames of one description, so that everything that
//! depends on the description is decided, and refused, once. Frames in are as our own sources make
//! them ([`PixelDescription`]); Planar Configuration stays 0 whatever the codestream does inside.
//!
//! HTJ2K is not among the encodings: of the encoders that a program in Rust can have without unsafe
//! code, one writes streams that other decoders refuse and the other wants a newer compiler.

mod jpeg;
mod jpegls;
mod rle;

use std::fmt;

use dicom_dictionary_std::uids;

use super::{Photometric, PixelDescription};

/// What frames are compressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RLE Lossless (PS3.5 Annex G): 8 and 16 bits, grey and RGB.
    Rle,
    /// JPEG-LS Lossless (ISO/IEC 14495-1): 2 to 16 bits stored, grey and RGB.
    JpegLs,
    /// JPEG Baseline (ISO/IEC 10918-1 process 1), lossy: 8 bits, grey, and RGB as YCbCr 4:2:2.
    Jpeg {
        /// 1 (worst) to 100 (best), as libjpeg counts.
        quality: u8,
    },
}

impl Encoding {
    /// Lossy Image Compression Method (0028,2114); `None` for a lossless one.
    pub fn lossy_method(self) -> Option<&'static str> {
        matches!(self, Self::Jpeg { .. }).then_some("ISO_10918_1")
    }

    /// Photometric Interpretation (0028,0004) of what becomes of frames of this description.
    pub fn photometric(self, pixels: &PixelDescription) -> &'static str {
        match (self, pixels.photometric) {
            (Self::Jpeg { .. }, Photometric::Rgb) => "YBR_FULL_422",
            (_, native) => native.as_str(),
        }
    }

    /// Transfer Syntax UID (0002,0010).
    pub fn transfer_syntax(self) -> &'static str {
        match self {
            Self::Rle => uids::RLE_LOSSLESS,
            Self::JpegLs => uids::JPEGLS_LOSSLESS,
            Self::Jpeg { .. } => uids::JPEG_BASELINE8_BIT,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rle => "RLE Lossless",
            Self::JpegLs => "JPEG-LS Lossless",
            Self::Jpeg { .. } => "JPEG Baseline",
        })
    }
}

/// Why a frame was not compressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressError {
    /// The encoding cannot hold frames of this description.
    #[error("{encoding} cannot hold {what}")]
    Unsupported {
        /// The encoding asked for.
        encoding: Encoding,
        /// What it is that it cannot hold.
        what: &'static str,
    },
    /// The frame is not as long as its description says.
    #[error("the frame has {got} bytes where its description says {expected}")]
    Length {
        /// Bytes by the description.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The frame is noise: its codestream would be longer than its native pixels, which are therefore
    /// the better thing to send.
    #[error("the codestream would be longer than the native frame")]
    Incompressible,
    /// The encoder failed; its words.
    #[error("the encoder failed: {reason}")]
    Encoder {
        /// The library's words.
        reason: String,
    },
}

/// A compressed frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Compressed {
    /// The codestream as one fragment, without the padding of an odd length.
    pub codestream: Vec<u8>,
    /// Photometric Interpretation (0028,0004) of the codestream.
    pub photometric: &'static str,
    /// Lossy Image Compression Ratio (0028,2112) where something was lost.
    pub lossy: Option<f64>,
}

/// One thread's encoder for frames of one description.
#[derive(Debug)]
pub struct Compressor {
    pixels: PixelDescription,
    encoder: Encoder,
}

#[derive(Debug)]
enum Encoder {
    Rle(rle::Encoder),
    JpegLs,
    Jpeg(jpeg::Encoder),
}

impl Compressor {
    /// An encoder for frames that are `pixels`.
    ///
    /// # Errors
    /// [`CompressError::Unsupported`] for a description that the encoding cannot hold or that fits no
    /// image, and [`CompressError::Encoder`] when the library cannot start.
    pub fn new(encoding: Encoding, pixels: PixelDescription) -> Result<Self, CompressError> {
        let PixelDescription { rows, columns, samples, bits_allocated, bits_stored, photometric } = pixels;
        let refuse = |what| Err(CompressError::Unsupported { encoding, what });
        if rows == 0 || columns == 0 {
            return refuse("an empty picture");
        }
        if samples != if photometric == Photometric::Rgb { 3 } else { 1 } {
            return refuse("so many samples of this Photometric Interpretation");
        }
        if !matches!(bits_allocated, 8 | 16) || bits_stored == 0 || bits_stored > bits_allocated {
            return refuse("such Bits Allocated and Bits Stored");
        }
        let encoder = match encoding {
            Encoding::Rle => Encoder::Rle(rle::Encoder::default()),
            // Its samples take as many bytes as their bits need, no more.
            Encoding::JpegLs if bits_stored < 2 || bits_stored.div_ceil(8) * 8 != bits_allocated => {
                return refuse("such Bits Allocated and Bits Stored");
            }
            Encoding::JpegLs => Encoder::JpegLs,
            Encoding::Jpeg { .. } if bits_allocated != 8 || bits_stored != 8 => {
                return refuse("anything but 8 bits");
            }
            Encoding::Jpeg { .. } if rows > jpeg::LARGEST || columns > jpeg::LARGEST => {
                return refuse("so large a picture");
            }
            Encoding::Jpeg { quality } if !(1..=100).contains(&quality) => {
                return refuse("a quality outside 1 to 100");
            }
            Encoding::Jpeg { quality } => Encoder::Jpeg(jpeg::Encoder::new(quality, photometric)?),
        };
        Ok(Self { pixels, encoder })
    }

    /// Compresses one frame of little-endian, interleaved samples. Takes from a few milliseconds (RLE,
    /// JPEG) to half a second (JPEG-LS of a noisy 1080p picture in colour) of CPU: call it on a thread
    /// of its own.
    ///
    /// # Errors
    /// [`CompressError::Length`], [`CompressError::Incompressible`] or [`CompressError::Encoder`]; the
    /// next frame may succeed.
    pub fn compress(&mut self, native: &[u8]) -> Result<Compressed, CompressError> {
        let expected = self.pixels.frame_bytes();
        if native.len() != expected {
            return Err(CompressError::Length { expected, got: native.len() });
        }
        let photometric = self.pixels.photometric.as_str();
        match &mut self.encoder {
            Encoder::Rle(encoder) => {
                let codestream = encoder.encode(native, &self.pixels);
                Ok(Compressed { codestream, photometric, lossy: None })
            }
            Encoder::JpegLs => {
                let codestream = jpegls::encode(native, &self.pixels)?;
                Ok(Compressed { codestream, photometric, lossy: None })
            }
            Encoder::Jpeg(encoder) => {
                let codestream = encoder.encode(native, &self.pixels)?;
                let lossy = Some(compression_ratio(expected, codestream.len()));
                Ok(Compressed { codestream, photometric: encoder.photometric(), lossy })
            }
        }
    }
}

/// Lossy Image Compression Ratio (0028,2112): bytes of the native frame by bytes of the codestream.
pub fn compression_ratio(native: usize, codestream: usize) -> f64 {
    native as f64 / codestream.max(1) as f64
}

#[cfg(test)]
mod tests;
