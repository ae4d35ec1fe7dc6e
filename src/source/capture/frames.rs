//! What becomes of one frame: from the driver's buffer to the instance that is published, on the capture
//! thread, with one pass over the pixels.
//!
//! ```text
//! Frame ─ stamp → moment ─ wanted? ─ whole and fresh? ─ due? ─► convert ─ changed? ─► number ─ head ─► publish
//!                              └ passed over: no gap    └ dropped: a gap in Instance Number, and counted
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};

use super::counters::Counters;
use super::gaps::Gaps;
use super::pace::Pace;
use super::picture::{Picture, StampKind};
use super::plan;
use super::series::Encounter;
use super::stamp::{Moment, Reading, STALE, Stamps};
use crate::config::profile::{CaptureProfile, Stamp};
use crate::config::settings::CaptureSettings;
use crate::frame::convert::{ConvertError, Converted, Converter};
use crate::frame::video::VideoDescription;
use crate::instance::video::{self, ClockState, VideoFrame, VideoSource};
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Instance, pool, uid};

/// Takes the frames of one capture, whatever stream they come from.
#[derive(Debug)]
pub struct Frames {
    name: String,
    settings: CaptureSettings,
    counters: Counters,
    clock: Arc<ArcSwap<ClockState>>,
    encounter: Encounter,
    gaps: Gaps,
    stamps: Stamps,
    pace: Pace,
    pictures: Option<Pictures>,
}

/// How the pictures of the running stream are read.
#[derive(Debug)]
struct Pictures {
    converter: Converter,
    source: VideoSource,
    stamp: Stamp,
    /// From one picture to the next.
    period: Option<Duration>,
    /// A buffer with one field in it.
    half: Option<BytesMut>,
}

impl Frames {
    /// Takes the frames of the capture of this name.
    pub fn new(
        name: &str,
        settings: &CaptureSettings,
        counters: Counters,
        clock: Arc<ArcSwap<ClockState>>,
        encounter: Encounter,
    ) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            counters,
            clock,
            encounter,
            gaps: Gaps::default(),
            stamps: Stamps::default(),
            pace: Pace::new(settings.rate),
            pictures: None,
        }
    }

    /// A stream begins.
    ///
    /// # Errors
    /// When its pictures cannot be converted as the configuration wants it.
    pub fn begin(
        &mut self,
        video: &VideoDescription,
        profile: &CaptureProfile,
        card: &str,
    ) -> Result<(), ConvertError> {
        let converter = Converter::new(video, &plan::options(&self.settings, profile))?;
        let per_buffer = u32::try_from(converter.frames_per_buffer()).unwrap_or(1);
        self.gaps.restarted(per_buffer);
        let period = video.frame_rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        self.pictures = Some(Pictures {
            converter,
            source: plan::video_source(&self.settings, profile, card),
            stamp: profile.stamp,
            period,
            half: None,
        });
        Ok(())
    }

    /// The signal is gone.
    pub fn signal_lost(&mut self) {
        self.encounter.signal_lost();
    }

    /// UIDs of the study and the series that are open.
    pub fn uids(&self) -> Option<(&str, &str)> {
        self.encounter.uids()
    }

    /// Ends what is open.
    pub fn end(&mut self) {
        self.encounter.end();
    }

    /// Takes a frame. Says whether the open series is another one now.
    pub fn take(&mut self, frame: &mut impl Picture) -> bool {
        let dequeued = Instant::now();
        self.counters.frames.inc();
        let Some(pictures) = &mut self.pictures else { return false };
        let kind = match pictures.stamp {
            Stamp::Driver => frame.stamp_kind(),
            Stamp::StartOfFrame => StampKind::StartOfFrame,
            Stamp::EndOfFrame => StampKind::EndOfFrame,
            Stamp::Arrival => StampKind::Unknown,
        };
        let now = Reading::now();
        let moment = self.stamps.moment(frame.stamp(), kind, now);
        if let Some(step) = moment.stepped {
            self.counters.clock_steps.inc();
            tracing::warn!(
                capture = self.name,
                microseconds = step,
                "somebody set the clock; frames have the new time from here on"
            );
        }
        let sequence = frame.sequence();
        if !self.encounter.wanted(dequeued) {
            self.gaps.pass_over(sequence);
            return true;
        }
        if moment.age > STALE {
            return self.drop(sequence, "stale");
        }
        if frame.corrupt() {
            return self.drop(sequence, "corrupt");
        }
        if !self.pace.lets_through(now.monotonic.saturating_sub(moment.age)) {
            self.counters.lost.inc_by(self.gaps.pass_over(sequence).into());
            return false;
        }
        let mut another = false;
        let count = pictures.converter.frames_per_buffer();
        for nth in 0..count {
            let Some(pictures) = &mut self.pictures else { return another };
            let pixels = match pictures.pixels(frame, nth) {
                Ok(Some(pixels)) => pixels,
                Ok(None) => return another,
                Err(Spoilt::HalfAgain) => {
                    self.counters.dropped("field");
                    return another;
                }
                Err(Spoilt::Truncated) => return self.drop(sequence, "truncated") || another,
            };
            another |= self.publish(pixels, sequence, nth, moment, kind);
            self.counters.latency.observe(dequeued.elapsed().as_secs_f64());
        }
        another
    }

    /// A frame that does not become an instance and should have.
    fn drop(&mut self, sequence: u32, reason: &'static str) -> bool {
        if let Some(place) = self.gaps.place(sequence) {
            self.counters.lost.inc_by(place.lost.into());
        }
        self.counters.dropped(reason);
        false
    }

    fn publish(&mut self, pixels: Bytes, sequence: u32, nth: usize, moment: Moment, kind: StampKind) -> bool {
        let Some(pictures) = &self.pictures else { return false };
        let description = pictures.converter.description();
        let mut captured = moment.captured;
        if let Some(period) = pictures.period {
            // Acquisition DateTime is when the acquisition began.
            if kind == StampKind::EndOfFrame && !moment.arrival {
                captured -= period;
            }
            captured += period / 2 * u32::try_from(nth).unwrap_or_default();
        }
        let clock = self.clock.load();
        let sop_instance_uid = uid::random();
        let mut frame = VideoFrame {
            number: 1,
            captured,
            sop_instance_uid: &sop_instance_uid,
            pixels: description,
            photometric: None,
            lossy: None,
        };
        let head = |context: &_| video::dataset(context, &pictures.source, &clock, &frame);
        let opened = self.encounter.series(description, EXPLICIT_VR_LITTLE_ENDIAN, captured, head);
        let (series, fresh) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(capture = self.name, %error, "no series can be opened");
                return self.drop(sequence, "no-series");
            }
        };
        if fresh {
            self.gaps.new_series();
        }
        let place = if nth == 0 || fresh { self.gaps.place(sequence) } else { self.gaps.place_next() };
        let Some(place) = place else {
            self.counters.dropped("repeated");
            return fresh;
        };
        self.counters.lost.inc_by(place.lost.into());
        frame.number = place.number;
        let dataset = video::dataset(&series.context, &pictures.source, &clock, &frame);
        let published = Instance::native(&dataset, pixels)
            .map_err(|error| error.to_string())
            .and_then(|instance| series.publish(instance).map_err(|error| error.to_string()));
        match published {
            Ok(_) => {
                self.counters.published.inc();
            }
            Err(error) => {
                self.counters.dropped("unpublished");
                tracing::warn!(capture = self.name, error, "a frame cannot be published");
            }
        }
        fresh
    }
}

/// Why there are no pixels.
enum Spoilt {
    /// The buffer holds less than a picture.
    Truncated,
    /// The other field of the one before never came.
    HalfAgain,
}

impl Pictures {
    /// The pixels of the `nth` frame of a buffer; `None` while its other field is still to come.
    fn pixels(&mut self, frame: &mut impl Picture, nth: usize) -> Result<Option<Bytes>, Spoilt> {
        let length = self.converter.description().frame_bytes();
        if self.converter.is_identity()
            && let Some(taken) = frame.take(length)
        {
            return Ok(Some(taken));
        }
        let mut out = self.half.take().unwrap_or_else(|| pool::filled(length));
        match self.converter.convert(&frame.planes(), frame.field(), nth, &mut out) {
            Ok(Converted::Frame) => Ok(Some(pool::freeze(out))),
            Ok(Converted::Half) => {
                self.half = Some(out);
                Ok(None)
            }
            Ok(Converted::HalfAgain) => {
                self.half = Some(out);
                Err(Spoilt::HalfAgain)
            }
            Err(_) => {
                self.converter.reset();
                Err(Spoilt::Truncated)
            }
        }
    }
}
