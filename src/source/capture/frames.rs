//! What becomes of one frame: from the driver's buffer to the instance that is published, on the capture
//! thread, with one pass over the pixels. Only compression runs beside it.
//!
//! ```text
//! Picture ─ stamp → moment ─ wanted? ─ whole and fresh? ─ due? ─► read ─ signal? moves? ─► number ─► draft
//!                              └ passed over: no gap    └ dropped: a gap in Instance Number, and counted
//!
//! draft ─► (compressing) ─► head ─► publish
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use smallvec::SmallVec;

use super::compressing::Compressing;
use super::counters::Counters;
use super::draft::{Draft, Pixels};
use super::gaps::Gaps;
use super::log_events;
use super::pace::Pace;
use super::picture::{Picture, StampKind};
use super::pictures::{Pictures, PicturesError, Read, Spoilt};
use super::plan;
use super::series::Encounter;
use super::stamp::{Moment, Reading, STALE, Stamps};
use super::still::{Look, Stillness};
use crate::config::profile::{CaptureProfile, Stamp};
use crate::config::settings::{CaptureSettings, SeriesPolicy};
use crate::context::Origin;
use crate::frame::compress::{Compressor, Encoding};
use crate::frame::video::VideoDescription;
use crate::frame::{PixelDescription, difference};
use crate::instance::video::{self, ClockState, Lossy, VideoFrame};
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, uid};

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
    still: Stillness,
    /// When a frame last went out.
    sent: Option<Instant>,
    stream: Option<Stream>,
    compressing: Option<Compressing>,
}

/// The running stream.
#[derive(Debug)]
struct Stream {
    pictures: Pictures,
    profile: CaptureProfile,
}

/// What is known of a picture before it is read.
#[derive(Debug, Clone, Copy)]
struct Known {
    sequence: u32,
    moment: Moment,
    kind: StampKind,
    dequeued: Instant,
    /// The clocks when it was dequeued.
    now: Reading,
}

/// What a picture says of the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// There is one.
    Signal,
    /// There is none: it is the device's own picture.
    NoSignal,
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
            still: Stillness::default(),
            sent: None,
            stream: None,
            compressing: None,
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
    ) -> Result<(), PicturesError> {
        let pictures = Pictures::new(video, &self.settings, profile, card)?;
        self.gaps.restarted(u32::try_from(pictures.per_picture()).unwrap_or(1), pictures.fields_apart());
        self.still.forget();
        let encoding = plan::encoding(&self.settings, profile).filter(|_| !pictures.is_as_captured());
        if let Some(encoding) = encoding {
            // What cannot be is told now, and not with every frame.
            Compressor::new(encoding, pictures.description())?;
        }
        if self.compressing.as_ref().map(Compressing::encoding) != encoding {
            self.compressing = encoding.and_then(|encoding| self.compress(encoding, profile));
        }
        self.stream = Some(Stream { pictures, profile: profile.clone() });
        Ok(())
    }

    fn compress(&self, encoding: Encoding, profile: &CaptureProfile) -> Option<Compressing> {
        let threads = profile.cpu.cores as usize;
        let started = Compressing::start(encoding, threads, &self.name, &self.counters);
        let failed = |error: &std::io::Error| {
            log_events::NoCompressors { capture: &self.name, error }.tell();
        };
        started.inspect_err(failed).ok()
    }

    /// The signal is gone.
    pub fn signal_lost(&mut self) {
        self.encounter.signal_lost();
    }

    /// No frames come at present: whoever is imaged may have left all the same.
    pub fn idle(&mut self) {
        self.encounter.wanted(Instant::now(), SystemTime::now());
    }

    /// UIDs of the study and the series that are open.
    pub fn uids(&self) -> Option<(&str, &str)> {
        self.encounter.uids()
    }

    /// Rises when a series begins or ends.
    pub fn changes(&self) -> u64 {
        self.encounter.changes()
    }

    /// What the open series has from whom.
    pub fn provenance(&self) -> BTreeMap<&'static str, Origin> {
        self.encounter.provenance()
    }

    /// Ends what is open: no more frames come.
    pub fn end(&mut self) {
        self.encounter.close();
    }

    /// Takes a picture.
    pub fn take(&mut self, picture: &mut impl Picture) -> Seen {
        let dequeued = Instant::now();
        self.counters.frames.inc();
        let Some(stream) = &self.stream else { return Seen::Signal };
        let kind = match stream.pictures.stamp {
            Stamp::Driver => picture.stamp_kind(),
            Stamp::StartOfFrame => StampKind::StartOfFrame,
            Stamp::EndOfFrame => StampKind::EndOfFrame,
            Stamp::Arrival => StampKind::Unknown,
        };
        let count = stream.pictures.per_picture();
        let now = Reading::now();
        let moment = self.stamps.moment(picture.stamp(), kind, now);
        if let Some(step) = moment.stepped {
            self.counters.clock_steps.inc();
            log_events::ClockStepped { capture: &self.name, microseconds: step }.tell();
        }
        let known = Known { sequence: picture.sequence(), moment, kind, dequeued, now };
        if !self.wanted(0, &known) {
            self.gaps.pass_over(known.sequence);
            return Seen::Signal;
        }
        if moment.age > STALE {
            self.drop(known.sequence, "stale");
            return Seen::Signal;
        }
        if picture.corrupt() {
            self.drop(known.sequence, "corrupt");
            return Seen::Signal;
        }
        if !self.pace.lets_through(now.monotonic.saturating_sub(moment.age)) {
            self.pass_over(known.sequence);
            return Seen::Signal;
        }
        for nth in 0..count {
            // The second field has a moment of its own.
            if nth > 0 && !self.wanted(nth, &known) {
                break;
            }
            if self.one(picture, nth, known) == Seen::NoSignal {
                return Seen::NoSignal;
            }
        }
        Seen::Signal
    }

    /// Whether the `nth` frame of a picture is wanted, by what was true when it was captured.
    fn wanted(&mut self, nth: usize, known: &Known) -> bool {
        let Some(Stream { pictures, .. }) = &self.stream else { return false };
        let captured = pictures.captured(&known.moment, known.kind, nth);
        let moment = match (UNIX_EPOCH + known.now.realtime).duration_since(captured) {
            Ok(age) => known.dequeued.checked_sub(age).unwrap_or(known.dequeued),
            Err(ahead) => known.dequeued + ahead.duration(),
        };
        self.encounter.wanted(moment, captured)
    }

    /// The `nth` frame of a picture.
    fn one(&mut self, picture: &mut impl Picture, nth: usize, known: Known) -> Seen {
        let Some(Stream { pictures, profile }) = &mut self.stream else { return Seen::Signal };
        let begun = Instant::now();
        let read = match pictures.read(picture, nth) {
            Ok(Some(read)) => read,
            Ok(None) => return Seen::Signal,
            // The field that came is the first half of the next frame.
            Err(Spoilt::HalfAgain) => {
                self.counters.dropped(Spoilt::HalfAgain.reason());
                return Seen::Signal;
            }
            Err(spoilt) => {
                self.drop(known.sequence, spoilt.reason());
                return Seen::Signal;
            }
        };
        self.counters.conversion.observe(begun.elapsed().as_secs_f64());
        let activity = self.settings.series == SeriesPolicy::Activity;
        if activity || self.settings.changes_only || Stillness::tells_of_signal(profile) {
            let pixels = match &read.pixels {
                Pixels::Native(pixels) | Pixels::Encapsulated { codestream: pixels, .. } => pixels,
            };
            let look =
                self.still.look(&self.name, pixels, nth, profile, known.dequeued, || buffer(picture, pixels));
            if look == Look::NoSignal {
                self.pass_over(known.sequence);
                return Seen::NoSignal;
            }
            let description = pictures.description();
            let moves = !activity || self.moves(&look, pixels, &description, known.dequeued);
            if !moves || (look == Look::Same && !self.due(known.dequeued)) {
                self.pass_over(known.sequence);
                return Seen::Signal;
            }
        }
        self.publish(read, nth, known);
        Seen::Signal
    }

    /// Whether the picture moves, by the operator's threshold.
    fn moves(&mut self, look: &Look, pixels: &Bytes, description: &PixelDescription, now: Instant) -> bool {
        let changed = match look {
            Look::Changed(Some(before)) => difference::changed(before, pixels, description),
            // Of the first one nobody knows.
            Look::Changed(None) | Look::Same | Look::NoSignal => 0.0,
        };
        self.encounter.active(changed, now)
    }

    /// Whether a picture that has not changed goes out all the same.
    fn due(&self, now: Instant) -> bool {
        let waited = |sent| now.saturating_duration_since(sent) >= self.settings.keep_alive;
        !self.settings.changes_only || self.sent.is_none_or(waited)
    }

    /// A frame that nobody wants: no gap, but for what was lost before it.
    fn pass_over(&mut self, sequence: u32) {
        self.counters.lost.inc_by(self.gaps.pass_over(sequence).into());
    }

    /// A frame that does not become an instance and should have.
    fn drop(&mut self, sequence: u32, reason: &'static str) {
        if let Some(place) = self.gaps.place(sequence) {
            self.counters.lost.inc_by(place.lost.into());
        }
        self.counters.dropped(reason);
    }

    fn publish(&mut self, read: Read, nth: usize, known: Known) {
        let Some(Stream { pictures, .. }) = &self.stream else { return };
        let description = pictures.description();
        let captured = pictures.captured(&known.moment, known.kind, nth);
        let clock = self.clock.load_full();
        let source = pictures.source.clone();
        let form = self.form(&read);
        let head = |context: &_| {
            let frame = VideoFrame {
                number: 1,
                captured,
                sop_instance_uid: &uid::random(),
                pixels: description,
                photometric: form.photometric,
                lossy: &form.lossy,
            };
            video::dataset(context, &source, &clock, &frame)
        };
        let opened = self.encounter.series(description, form.transfer_syntax, captured, head);
        let (series, fresh) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                log_events::NoSeries { capture: &self.name, error: &error }.tell();
                return self.drop(known.sequence, "no-series");
            }
        };
        if fresh {
            self.gaps.new_series();
        }
        let place = if nth == 0 || fresh { self.gaps.place(known.sequence) } else { self.gaps.place_next() };
        let Some(place) = place else { return self.counters.dropped("repeated") };
        self.counters.lost.inc_by(place.lost.into());
        self.sent = Some(known.dequeued);
        let Read { pixels, lossy } = read;
        let dequeued = known.dequeued;
        let draft = Draft {
            series,
            source,
            clock,
            number: place.number,
            captured,
            description,
            pixels,
            lossy,
            dequeued,
        };
        match &self.compressing {
            None => draft.publish(&self.name, &self.counters),
            Some(compressing) => {
                if !compressing.submit(draft) {
                    self.counters.dropped("busy");
                }
            }
        }
    }

    /// What the instances of the series will be, as far as it is the same for all of them.
    fn form(&self, read: &Read) -> Form {
        let method = |lossy: &Lossy| Lossy { method: lossy.method, ratio: None };
        let mut lossy: SmallVec<[Lossy; 2]> = read.lossy.iter().map(method).collect();
        match (&read.pixels, &self.compressing) {
            (Pixels::Encapsulated { transfer_syntax, photometric, .. }, _) => {
                Form { transfer_syntax, photometric: Some(photometric), lossy }
            }
            (Pixels::Native(_), None) => {
                Form { transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN, photometric: None, lossy }
            }
            (Pixels::Native(_), Some(compressing)) => {
                let encoding = compressing.encoding();
                if let Some(method) = encoding.lossy_method() {
                    lossy.push(Lossy { method, ratio: None });
                }
                let description = self.stream.as_ref().map(|stream| stream.pictures.description());
                let photometric = description.map(|description| encoding.photometric(&description));
                Form { transfer_syntax: encoding.transfer_syntax(), photometric, lossy }
            }
        }
    }
}

/// What is the same for all instances of a series.
struct Form {
    transfer_syntax: &'static str,
    photometric: Option<&'static str>,
    lossy: SmallVec<[Lossy; 2]>,
}

/// The bytes that the device delivered. Memory that was given away is the pixels themselves.
fn buffer(picture: &impl Picture, pixels: &Bytes) -> Vec<u8> {
    let planes = picture.planes();
    if planes.is_empty() { pixels.to_vec() } else { planes.concat() }
}

#[cfg(test)]
mod tests;
