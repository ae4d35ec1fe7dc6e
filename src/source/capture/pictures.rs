//! How the pictures of the running stream are read: converted, decoded, or passed on as they are.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use dicom_dictionary_std::uids;
use smallvec::SmallVec;

use super::draft::Pixels;
use super::picture::{Picture, StampKind};
use super::plan;
use super::stamp::Moment;
use crate::config::profile::{CaptureProfile, Stamp};
use crate::config::settings::{CaptureSettings, Compression};
use crate::frame::compress::CompressError;
use crate::frame::convert::{ConvertError, Converted, Converter};
use crate::frame::mjpeg::{self, Decoder, MjpegError};
use crate::frame::video::{Field, Matrix, Range, VideoDescription, VideoFormat};
use crate::frame::{Photometric, PixelDescription};
use crate::instance::pool;
use crate::instance::video::{Lossy, VideoSource};

/// JPEG, as Lossy Image Compression Method (0028,2114) has it.
const JPEG: &str = "ISO_10918_1";

/// Why the pictures of a stream cannot become frames as the configuration wants it.
#[derive(Debug, thiserror::Error)]
pub enum PicturesError {
    /// They cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Frames of them cannot be compressed so.
    #[error("capture.*.compression: {0}")]
    Compress(#[from] CompressError),
    /// They are JPEG, and the decoder does not start.
    #[error("JPEG pictures cannot be decoded: {0}")]
    Decoder(#[from] MjpegError),
}

/// Reads the pictures of one stream.
#[derive(Debug)]
pub(super) struct Pictures {
    way: Way,
    /// What all frames say of where they come from.
    pub(super) source: Arc<VideoSource>,
    /// What the stamps mean.
    pub(super) stamp: Stamp,
    /// From one picture to the next.
    period: Option<Duration>,
}

#[derive(Debug)]
enum Way {
    /// Native pictures, in one pass. `half` is a frame with one field in it, and that field's number.
    Converted { converter: Box<Converter>, half: Option<(u32, BytesMut)> },
    /// JPEG pictures; `converter` takes the decoded picture, which lies in `whole` where it changes anything.
    Decoded { decoder: Decoder, converter: Box<Converter>, whole: Vec<u8> },
    /// JPEG pictures that go out as they came.
    AsCaptured { description: PixelDescription },
}

/// A picture that has been read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) pixels: Pixels,
    pub(super) lossy: SmallVec<[Lossy; 2]>,
}

/// Why there are no pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoilt {
    /// The buffer holds less than a picture.
    Truncated,
    /// It holds something else than was agreed on.
    Damaged,
    /// The other field of the one before never came.
    HalfAgain,
}

impl Spoilt {
    /// For the counter of dropped frames.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::HalfAgain => "field",
        }
    }
}

impl Pictures {
    /// For pictures of this kind, from a card of this name.
    ///
    /// # Errors
    /// When they cannot be converted as the configuration wants it.
    pub(super) fn new(
        video: &VideoDescription,
        settings: &CaptureSettings,
        profile: &CaptureProfile,
        card: &str,
    ) -> Result<Self, PicturesError> {
        let options = plan::options(settings, profile);
        let way = if video.format != VideoFormat::Mjpeg {
            Way::Converted { converter: Box::new(Converter::new(video, &options)?), half: None }
        } else {
            let decoded = decoded(video, options.color);
            let converter = Box::new(Converter::new(&decoded, &options)?);
            match settings.compression {
                Compression::AsCaptured => Way::AsCaptured { description: converter.description() },
                _ => Way::Decoded { decoder: Decoder::new()?, converter, whole: Vec::new() },
            }
        };
        let period = video.frame_rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        let source = Arc::new(plan::video_source(settings, profile, card));
        Ok(Self { way, source, stamp: profile.stamp, period })
    }

    /// The frames that come out.
    pub(super) fn description(&self) -> PixelDescription {
        match &self.way {
            Way::Converted { converter, .. } | Way::Decoded { converter, .. } => converter.description(),
            Way::AsCaptured { description } => *description,
        }
    }

    /// Frames that one picture becomes.
    pub(super) fn per_picture(&self) -> usize {
        match &self.way {
            Way::Converted { converter, .. } | Way::Decoded { converter, .. } => {
                converter.frames_per_buffer()
            }
            Way::AsCaptured { .. } => 1,
        }
    }

    /// Whether each picture holds one field, and becomes a frame.
    pub(super) fn fields_apart(&self) -> bool {
        match &self.way {
            Way::Converted { converter, .. } | Way::Decoded { converter, .. } => converter.fields_apart(),
            Way::AsCaptured { .. } => false,
        }
    }

    /// Whether what comes out is the device's own JPEG.
    pub(super) fn is_as_captured(&self) -> bool {
        matches!(self.way, Way::AsCaptured { .. })
    }

    /// Acquisition DateTime (0008,002A) of the `nth` frame: when its acquisition began.
    pub(super) fn captured(&self, moment: &Moment, kind: StampKind, nth: usize) -> SystemTime {
        let Some(period) = self.period else { return moment.captured };
        let began = if kind == StampKind::EndOfFrame && !moment.arrival {
            moment.captured - period
        } else {
            moment.captured
        };
        began + period / 2 * u32::try_from(nth).unwrap_or_default()
    }

    /// The `nth` frame of a picture; `None` while its other field is still to come.
    pub(super) fn read(&mut self, picture: &mut impl Picture, nth: usize) -> Result<Option<Read>, Spoilt> {
        match &mut self.way {
            Way::Converted { converter, half } => {
                let pixels = convert(converter, half, picture, nth)?;
                Ok(pixels.map(|pixels| Read { pixels: Pixels::Native(pixels), lossy: SmallVec::new() }))
            }
            Way::Decoded { decoder, converter, whole } => {
                decode(decoder, converter, whole, picture, nth).map(Some)
            }
            Way::AsCaptured { description } => pass_on(picture, description).map(Some),
        }
    }
}

/// A decoded JPEG picture: full range, and BT.601 is undone already (JFIF).
fn decoded(video: &VideoDescription, color: bool) -> VideoDescription {
    let (format, bytes) = if color { (VideoFormat::Rgb24, 3) } else { (VideoFormat::Grey, 1) };
    let stride = video.width.saturating_mul(bytes);
    VideoDescription {
        format,
        strides: vec![stride],
        sizes: vec![stride.saturating_mul(video.height)],
        matrix: Matrix::Bt601,
        range: Range::Full,
        ..video.clone()
    }
}

fn convert(
    converter: &mut Converter,
    half: &mut Option<(u32, BytesMut)>,
    picture: &mut impl Picture,
    nth: usize,
) -> Result<Option<Bytes>, Spoilt> {
    let length = converter.description().frame_bytes();
    if converter.is_identity()
        && let Some(taken) = picture.take(length)
    {
        return Ok(Some(taken));
    }
    // The fields of a picture have one number (kernel doc `v4l2_buffer`); others are of two pictures.
    let sequence = picture.sequence();
    let alone = half.as_ref().is_some_and(|(of, _)| *of != sequence);
    if alone {
        converter.reset();
    }
    let mut out = half.take().map_or_else(|| pool::filled(length), |(_, out)| out);
    match converter.convert(&picture.planes(), picture.field(), nth, &mut out) {
        Ok(Converted::Frame) => Ok(Some(pool::freeze(out))),
        Ok(Converted::Half) if !alone => {
            *half = Some((sequence, out));
            Ok(None)
        }
        Ok(Converted::Half | Converted::HalfAgain) => {
            *half = Some((sequence, out));
            Err(Spoilt::HalfAgain)
        }
        Err(_) => {
            converter.reset();
            Err(Spoilt::Truncated)
        }
    }
}

/// The JPEG picture in a buffer, if it has the size that was agreed on.
fn parse<'a>(bytes: &'a [u8], rows: u32, columns: u32) -> Result<mjpeg::Picture<'a>, Spoilt> {
    let picture = mjpeg::Picture::parse(bytes).map_err(|error| match error {
        MjpegError::Truncated => Spoilt::Truncated,
        _ => Spoilt::Damaged,
    })?;
    let size = (u32::from(picture.rows()), u32::from(picture.columns()));
    if size == (rows, columns) { Ok(picture) } else { Err(Spoilt::Damaged) }
}

fn decode(
    decoder: &mut Decoder,
    converter: &mut Converter,
    whole: &mut Vec<u8>,
    picture: &impl Picture,
    nth: usize,
) -> Result<Read, Spoilt> {
    let video = converter.video();
    let photometric =
        if video.format == VideoFormat::Rgb24 { Photometric::Rgb } else { Photometric::Monochrome2 };
    let (rows, columns) = (video.height, video.width);
    let planes = picture.planes();
    let jpeg = parse(planes.first().copied().unwrap_or_default(), rows, columns)?;
    let lossy = SmallVec::from_iter([Lossy { method: JPEG, ratio: Some(jpeg.ratio()) }]);
    let mut out = pool::filled(converter.description().frame_bytes());
    if converter.is_identity() {
        decoder.decode(&jpeg, photometric, &mut out).map_err(|_| Spoilt::Damaged)?;
    } else {
        // Once for a picture, whatever becomes of its fields.
        if nth == 0 {
            whole.resize(Decoder::frame_bytes(&jpeg, photometric), 0);
            decoder.decode(&jpeg, photometric, whole).map_err(|_| Spoilt::Damaged)?;
        }
        converter.convert(&[whole.as_slice()], Field::Both, nth, &mut out).map_err(|_| Spoilt::Damaged)?;
    }
    Ok(Read { pixels: Pixels::Native(pool::freeze(out)), lossy })
}

fn pass_on(picture: &impl Picture, description: &PixelDescription) -> Result<Read, Spoilt> {
    let planes = picture.planes();
    let bytes = planes.first().copied().unwrap_or_default();
    let jpeg = parse(bytes, description.rows.into(), description.columns.into())?;
    if jpeg.samples() != description.samples {
        return Err(Spoilt::Damaged);
    }
    let lossy = SmallVec::from_iter([Lossy { method: JPEG, ratio: Some(jpeg.ratio()) }]);
    let pixels = Pixels::Encapsulated {
        transfer_syntax: uids::JPEG_BASELINE8_BIT,
        photometric: jpeg.photometric(),
        codestream: Bytes::from(jpeg.complete().into_owned()),
    };
    Ok(Read { pixels, lossy })
}
