//! A clip played as if a card delivered it: frames of a file, endlessly, at their rate, on absolute
//! deadlines, with stamps of `CLOCK_MONOTONIC` and rising numbers.
//!
//! For trying a configuration without hardware, and for tests and benchmarks. What a driver would tell of
//! its format, the clip tells, and it is held against the same rules ([`mod@format`]). A player
//! that comes too late loses buffers as a card does that has nowhere to put them; losses, corrupt and cut
//! off frames can be written into the clip.

#![allow(non_upper_case_globals, reason = "constants are named as in the kernel")]

use std::fs::File;
use std::io::Read;
use std::ops::Range as Span;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use v4l::sys::*;

use super::error::CaptureError;
use super::format;
use super::picture::{Picture, StampKind};
use super::sys::RawFormat;
use crate::config::profile::{Clip, ClipFields, ProfileError};
use crate::config::settings::{MatrixChoice, RangeChoice};
use crate::frame::video::{Field, Fields, VideoDescription, VideoFormat};

/// What a device is called that is a clip, before the clip's path.
pub const PREFIX: &str = "replay:";
/// The driver and the card that instances and profiles see.
pub const NAME: &str = "replay";
/// The largest file; it is held in memory (bytes).
const MOST_BYTES: u64 = 256 << 20;
/// Buffers that wait for a player who is late; what is older is lost.
const BUFFERS: u64 = 4;

/// Why a clip cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file that describes it.
    #[error(transparent)]
    Clip(#[from] ProfileError),
    /// Its format.
    #[error("{file}: no card would deliver such pictures: {error}")]
    Format {
        /// The file that describes it.
        file: String,
        /// Why.
        error: CaptureError,
    },
    /// The file of its frames.
    #[error("{file}: {what}")]
    Frames {
        /// That file.
        file: String,
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// A clip that is playing.
#[derive(Debug)]
pub struct Replay {
    clip: Clip,
    video: VideoDescription,
    bytes: Bytes,
    /// What of `bytes` each buffer holds, by plane.
    buffers: Vec<SmallVec<[Span<usize>; 3]>>,
    /// On `CLOCK_MONOTONIC`, of the first buffer; `None` before it.
    start: Option<Duration>,
    /// The next buffer, counted from 0 and never begun anew.
    next: u64,
}

impl Replay {
    /// Reads a clip, its frames included.
    ///
    /// # Errors
    /// When anything about it is not as it should be.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let clip = Clip::load(path)?;
        let video = describe(&clip)
            .map_err(|error| ReplayError::Format { file: path.display().to_string(), error })?;
        let wrong = |what| ReplayError::Frames { file: clip.file.display().to_string(), what };
        let bytes = read(&clip.file).map_err(wrong)?;
        let buffers = part(&clip, &video, bytes.len()).map_err(wrong)?;
        Ok(Self { clip, video, bytes: bytes.into(), buffers, start: None, next: 0 })
    }

    /// What it delivers.
    pub fn video(&self) -> &VideoDescription {
        &self.video
    }

    /// The next buffer, if it is due at `now` (`CLOCK_MONOTONIC`).
    ///
    /// # Errors
    /// How long it is until then.
    pub fn at(&mut self, now: Duration) -> Result<Replayed<'_>, Duration> {
        let start = *self.start.get_or_insert(now);
        let per_picture: u64 = if self.video.fields == Fields::Alternate { 2 } else { 1 };
        let rate = self.clip.rate * per_picture as f64;
        // Whole buffers since the start that a card would still hold.
        let due = (now.saturating_sub(start).as_secs_f64() * rate) as u64;
        self.next = self.next.max((due + 1).saturating_sub(BUFFERS));
        while self.clip.lose.contains(&self.next) {
            self.next += 1;
        }
        let after = Duration::try_from_secs_f64(self.next as f64 / rate).unwrap_or(Duration::MAX);
        let stamp = start.saturating_add(after);
        if stamp > now {
            return Err(stamp - now);
        }
        let number = self.next;
        self.next += 1;
        let field = match (self.video.fields, number % 2) {
            (Fields::Alternate, 0) => Field::Top,
            (Fields::Alternate, _) => Field::Bottom,
            _ => Field::Both,
        };
        Ok(Replayed { replay: self, number, sequence: (number / per_picture) as u32, stamp, field })
    }
}

/// A buffer of a clip.
#[derive(Debug)]
pub struct Replayed<'a> {
    replay: &'a Replay,
    number: u64,
    sequence: u32,
    stamp: Duration,
    field: Field,
}

impl Replayed<'_> {
    fn spans(&self) -> SmallVec<[Span<usize>; 3]> {
        let buffers = &self.replay.buffers;
        let nth = usize::try_from(self.number % buffers.len().max(1) as u64).unwrap_or_default();
        let mut spans = buffers.get(nth).cloned().unwrap_or_default();
        if self.replay.clip.truncate.contains(&self.number) {
            spans.iter_mut().for_each(|span| span.end -= span.len() / 2);
        }
        spans
    }
}

impl Picture for Replayed<'_> {
    fn planes(&self) -> SmallVec<[&[u8]; 3]> {
        self.spans().into_iter().filter_map(|span| self.replay.bytes.get(span)).collect()
    }

    fn sequence(&self) -> u32 {
        self.sequence
    }

    fn stamp(&self) -> Duration {
        self.stamp
    }

    /// A buffer is delivered as soon as it is stamped.
    fn stamp_kind(&self) -> StampKind {
        StampKind::StartOfFrame
    }

    fn field(&self) -> Field {
        self.field
    }

    fn corrupt(&self) -> bool {
        self.replay.clip.corrupt.contains(&self.number)
    }

    /// Never: a card's memory is its own, and what is measured with a clip should cost what it costs there.
    fn take(&mut self, _length: usize) -> Option<Bytes> {
        None
    }
}

/// What a driver would say of such pictures.
fn describe(clip: &Clip) -> Result<VideoDescription, CaptureError> {
    let mut code = *b"    ";
    code.iter_mut().zip(clip.format.bytes()).for_each(|(to, from)| *to = from);
    let fourcc = u32::from_le_bytes(code);
    let format =
        format::known(fourcc).ok_or(CaptureError::Unsupported("its format is none that we can read"))?;
    let (height, field) = match clip.fields {
        ClipFields::Progressive => (clip.height, v4l2_field_V4L2_FIELD_NONE),
        ClipFields::Interlaced => (clip.height, v4l2_field_V4L2_FIELD_INTERLACED),
        ClipFields::InterlacedTb => (clip.height, v4l2_field_V4L2_FIELD_INTERLACED_TB),
        ClipFields::InterlacedBt => (clip.height, v4l2_field_V4L2_FIELD_INTERLACED_BT),
        ClipFields::SeqTb => (clip.height, v4l2_field_V4L2_FIELD_SEQ_TB),
        ClipFields::SeqBt => (clip.height, v4l2_field_V4L2_FIELD_SEQ_BT),
        ClipFields::Alternate => (clip.height / 2, v4l2_field_V4L2_FIELD_ALTERNATE),
    };
    let count = if matches!(&code, b"NM12" | b"NM16") { 2 } else { 1 };
    let longest = clip.lengths.iter().copied().max().unwrap_or_default();
    let plane = |(nth, (least, lines)): (usize, (u32, u32))| {
        let stride = clip.stride.filter(|&stride| nth == 0 || stride >= least).unwrap_or(least);
        let size = if format == VideoFormat::Mjpeg { longest } else { stride.saturating_mul(lines) };
        (stride, size)
    };
    let planes = format::least(format, clip.width, height, count).into_iter().enumerate().map(plane);
    let raw = RawFormat {
        width: clip.width,
        height,
        fourcc,
        field,
        colorspace: v4l2_colorspace_V4L2_COLORSPACE_DEFAULT,
        encoding: match clip.matrix {
            MatrixChoice::Auto => v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT,
            MatrixChoice::Bt601 => v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_601,
            MatrixChoice::Bt709 => v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709,
        },
        quantization: match clip.range {
            RangeChoice::Auto => v4l2_quantization_V4L2_QUANTIZATION_DEFAULT,
            RangeChoice::Limited => v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE,
            RangeChoice::Full => v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE,
        },
        planes: planes.collect(),
    };
    format::describe(&raw, Some(clip.rate))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let about = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe would keep us waiting.
    let metadata = std::fs::metadata(path).map_err(about)?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MOST_BYTES)).unwrap_or_default());
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(about)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("is larger than {MOST_BYTES} bytes; shorten it"));
    }
    Ok(bytes)
}

/// Parts a file into buffers.
fn part(
    clip: &Clip,
    video: &VideoDescription,
    length: usize,
) -> Result<Vec<SmallVec<[Span<usize>; 3]>>, String> {
    if video.format == VideoFormat::Mjpeg {
        let mut end = 0_usize;
        let mut buffers = Vec::with_capacity(clip.lengths.len());
        for &of_one in &clip.lengths {
            let start = end;
            end = end.saturating_add(of_one as usize);
            buffers.push(smallvec![start..end]);
        }
        return if end == length {
            Ok(buffers)
        } else {
            Err(format!("has {length} bytes; the lengths of the clip say {end}"))
        };
    }
    if !clip.lengths.is_empty() {
        return Err("all its frames have one length; leave lengths out of the clip".to_owned());
    }
    let sizes = || video.sizes.iter().map(|&size| size as usize);
    let buffer = sizes().sum::<usize>();
    if length == 0 || buffer == 0 || !length.is_multiple_of(buffer) {
        return Err(format!("has {length} bytes; write whole buffers of {buffer} bytes, at least one"));
    }
    let planes_at = |mut start: usize| {
        let planes = sizes().map(|size| {
            start += size;
            start - size..start
        });
        planes.collect()
    };
    Ok((0..length / buffer).map(|nth| planes_at(nth * buffer)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Opens a clip of these keys whose frames are these bytes.
    fn open(keys: &str, bytes: &[u8]) -> Result<Replay, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.toml");
        fs::write(&path, format!("file = 'clip.raw'\n{keys}\n")).unwrap();
        fs::write(folder.path().join("clip.raw"), bytes).unwrap();
        let place = format!("{}/", folder.path().display());
        Replay::open(&path).map_err(|error| error.to_string().replace(&place, ""))
    }

    const GREY: &str = "format = 'GREY'\nwidth = 4\nheight = 2\nrate = 50.0";

    /// Three pictures of one value each.
    fn three() -> Vec<u8> {
        (0..3).flat_map(|value| [value; 8]).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Sequence, stamp (ms) and first byte of what is due.
    fn seen(replay: &mut Replay, at: u64) -> Result<(u32, u64, u8), u64> {
        let told =
            |frame: Replayed<'_>| (frame.sequence(), frame.stamp().as_millis() as u64, frame.planes()[0][0]);
        replay.at(ms(at)).map(told).map_err(|wait| wait.as_millis() as u64)
    }

    #[test]
    fn a_clip_is_played_endlessly_on_absolute_deadlines() {
        let mut replay = open(GREY, &three()).unwrap();
        assert_eq!(seen(&mut replay, 1000), Ok((0, 1000, 0)));
        assert_eq!(seen(&mut replay, 1005), Err(15));
        // Late, and the next is due when it would have been.
        assert_eq!(seen(&mut replay, 1029), Ok((1, 1020, 1)));
        assert_eq!(seen(&mut replay, 1029), Err(11));
        for number in 2..200_u64 {
            let expected = (number as u32, 1000 + number * 20, (number % 3) as u8);
            assert_eq!(seen(&mut replay, 1000 + number * 20), Ok(expected));
        }
    }

    #[test]
    fn who_comes_too_late_loses_what_a_card_would_not_hold() {
        let mut replay = open(GREY, &three()).unwrap();
        assert_eq!(seen(&mut replay, 0), Ok((0, 0, 0)));
        // 1 to 10 were filled since, the last four of them are held.
        for number in 7..=10_u32 {
            let expected = (number, u64::from(number) * 20, (number % 3) as u8);
            assert_eq!(seen(&mut replay, 210), Ok(expected));
        }
        assert_eq!(seen(&mut replay, 210), Err(10));
    }

    #[test]
    fn faults_come_where_the_clip_says() {
        let keys = format!("{GREY}\nlose = [1, 2]\ncorrupt = [4]\ntruncate = [5]");
        let mut replay = open(&keys, &three()).unwrap();
        assert_eq!(seen(&mut replay, 0), Ok((0, 0, 0)));
        assert_eq!(seen(&mut replay, 20), Err(40));
        assert_eq!(seen(&mut replay, 60), Ok((3, 60, 0)));
        let corrupt = replay.at(ms(80)).unwrap();
        assert!(corrupt.corrupt() && corrupt.planes()[0].len() == 8);
        let cut = replay.at(ms(100)).unwrap();
        assert!(!cut.corrupt() && cut.planes()[0].len() == 4);
        let whole = replay.at(ms(120)).unwrap();
        assert!(!whole.corrupt() && whole.planes()[0].len() == 8);
    }

    #[test]
    fn fields_one_by_one_share_the_number_of_their_picture() {
        let mut replay = open(&format!("{GREY}\nfields = 'alternate'"), &three()).unwrap();
        assert_eq!((replay.video().height, replay.video().fields), (2, Fields::Alternate));
        let fields: Vec<_> = (0..4)
            .map(|nth| replay.at(ms(nth * 10)).map(|frame| (frame.sequence(), frame.field())).unwrap())
            .collect();
        assert_eq!(fields, [(0, Field::Top), (0, Field::Bottom), (1, Field::Top), (1, Field::Bottom)]);
        assert_eq!(replay.at(ms(40)).unwrap().planes()[0].len(), 4);
    }

    #[test]
    fn planes_strides_and_colours_are_as_the_clip_says() {
        let keys = "format = 'NM12'\nwidth = 6\nheight = 4\nstride = 8\nrate = 1.0\nrange = 'full'\n\
                    matrix = 'bt709'";
        let bytes: Vec<u8> = (0..48).collect();
        let mut replay = open(keys, &bytes).unwrap();
        let video = replay.video().clone();
        assert_eq!((video.strides, video.sizes), (vec![8, 8], vec![32, 16]));
        assert_eq!(video.frame_rate, Some(1.0));
        let (matrix, range) = (video.matrix, video.range);
        assert!(matches!(matrix, crate::frame::video::Matrix::Bt709), "{matrix:?}");
        assert!(matches!(range, crate::frame::video::Range::Full), "{range:?}");
        let frame = replay.at(ms(0)).unwrap();
        assert_eq!(frame.planes().as_slice(), [&bytes[..32], &bytes[32..]]);
    }

    #[test]
    fn jpeg_pictures_are_parted_by_their_lengths() {
        let keys = "format = 'MJPG'\nwidth = 64\nheight = 64\nrate = 1000.0\nlengths = [5, 3]";
        let mut replay = open(keys, b"aaaaabbb").unwrap();
        assert_eq!(replay.at(ms(0)).unwrap().planes().as_slice(), [b"aaaaa"]);
        assert_eq!(replay.at(ms(1)).unwrap().planes().as_slice(), [b"bbb"]);
        assert_eq!(replay.at(ms(2)).unwrap().planes().as_slice(), [b"aaaaa"]);
        let error = open(keys, b"aaaaabb").unwrap_err();
        assert_eq!(error, "clip.raw: has 7 bytes; the lengths of the clip say 8");
        assert!(open(&keys.replace("lengths = [5, 3]", ""), b"aaaaabbb").is_err());
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_its_reason() {
        for (keys, bytes, told) in [
            (GREY, &[0; 9][..], "clip.raw: has 9 bytes; write whole buffers of 8 bytes"),
            (GREY, &[], "clip.raw: has 0 bytes"),
            (&format!("{GREY}\nstride = 3"), &[0; 8], "clip.toml: no card would deliver such pictures"),
            (&GREY.replace("GREY", "H264"), &[0; 8], "its format is none that we can read"),
            (&format!("{GREY}\nlengths = [8]"), &[0; 8], "leave lengths out"),
            (&GREY.replace("50.0", "0.0"), &[0; 8], "clip.toml:5:8: 0 is out of range"),
        ] {
            let error = open(keys, bytes).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.raw");
        File::create(&large).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(read(&large).unwrap_err().contains("shorten it"));
        assert!(read(folder.path()).unwrap_err().contains("no file"));
    }
}
