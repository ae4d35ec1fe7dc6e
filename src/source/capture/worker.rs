//! The capture thread: finds its device, opens it, takes the signal that is there, and streams; and does
//! whatever of that is needed again when something goes wrong, for as long as the service runs.
//!
//! ```text
//! run      ─ find and open the device; when it is gone or refuses, look again ever and again
//! session  ─ per opening: input, EDID, profile; per signal: timings, format
//! stream   ─ per stream: frames, until the signal changes, frames stop, or the driver gives up
//! ```
//!
//! The thread is the only one that touches the device, but for the [`Watch`], and it waits for nobody but the
//! driver.

mod replay;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::counters::Counters;
use super::device::{Device, Input};
use super::error::{CaptureError, Heal};
use super::find;
use super::format;
use super::frames::Frames;
use super::plan;
use super::replay::PREFIX;
use super::signal::State;
use super::stream::{Memory, Stream};
use super::timings::{self, NoTimings, Timings};
use super::watch::{self, Watch};
use crate::config::profile::{CaptureProfile, Profiles, TimingsSource};
use crate::config::settings::CaptureSettings;
use crate::context::desk::{Desk, Report};
use crate::frame::convert::ConvertError;
use crate::frame::video::VideoDescription;

/// How long one wait for a frame is: as long as noticing a change of the signal or a stop may take.
const WAIT: Duration = Duration::from_millis(50);
/// Pauses between attempts to open a device: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often a signal that is not there is asked for, whatever the events say.
const ASK: Duration = Duration::from_millis(500);
/// Devices may take this long to deliver their first frame.
const FIRST_FRAME: Duration = Duration::from_secs(3);
/// After so many restarts in a row without a frame the device is opened anew.
const MOST_RESTARTS: u32 = 3;

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Device(#[from] CaptureError),
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    Pictures(#[from] ConvertError),
}

/// What a capture thread is made of.
#[derive(Debug)]
pub struct Capture {
    /// `[capture.NAME]`.
    pub name: String,
    /// What is configured.
    pub settings: CaptureSettings,
    /// Hardware profiles.
    pub profiles: Arc<Profiles>,
    /// Where it reports to.
    pub desk: Desk,
    /// What it counts.
    pub counters: Counters,
    /// What becomes of frames.
    pub frames: Frames,
}

/// A running capture.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Capture {
    /// Starts the thread. There need be no device yet.
    ///
    /// # Errors
    /// When the kernel has no thread for it.
    pub fn start(self) -> std::io::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let report = Report { state: State::Absent.as_str(), ..Report::default() };
        let mut worker = Worker { capture: self, stop: stop.clone(), state: None, report, streamed: false };
        let thread = thread::Builder::new().name("capture".to_owned()).spawn(move || worker.run())?;
        Ok(Running { stop, thread })
    }
}

impl Running {
    /// Ends the series as complete, gives the device back, and waits for that.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("a capture thread had panicked");
        }
    }
}

struct Worker {
    capture: Capture,
    stop: Arc<AtomicBool>,
    state: Option<State>,
    report: Report,
    /// A frame has come in this session.
    streamed: bool,
}

/// What a session has found out about its device.
struct Session<'a> {
    device: &'a Device,
    profile: &'a CaptureProfile,
    watch: Option<Watch>,
}

impl Worker {
    fn run(&mut self) {
        let mut pause = PAUSES.0;
        while !self.stopped() {
            self.streamed = false;
            let Err(fault) = self.session() else { continue };
            if self.streamed {
                pause = PAUSES.0;
            }
            let (state, reason) = match &fault {
                Fault::Device(CaptureError::Gone) => (State::Absent, "gone"),
                _ => (State::Unusable, "unusable"),
            };
            // Once, and not with every attempt.
            if self.state != Some(state) {
                self.capture.counters.fault(reason);
            }
            if state == State::Absent {
                self.report.device.clear();
            }
            self.report.format.clear();
            self.capture.frames.signal_lost();
            self.enter(state, &fault.to_string());
            self.pause(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        self.capture.frames.end();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, unless a stop or a change of the signal comes first.
    fn pause(&self, longest: Duration) {
        if !self.stopped() {
            thread::park_timeout(longest);
        }
    }

    /// Remembers, counts, reports and logs a change of state. `why` says more than the state does.
    fn enter(&mut self, state: State, why: &str) {
        let advice = if why.is_empty() { state.advice() } else { why };
        if self.state == Some(state) && self.report.advice == advice {
            return;
        }
        let name = self.capture.name.as_str();
        match state {
            State::Starting | State::Streaming => {
                tracing::info!(capture = name, state = state.as_str(), format = self.report.format);
            }
            _ => tracing::warn!(capture = name, state = state.as_str(), "{advice}"),
        }
        self.state = Some(state);
        self.capture.counters.state(state);
        advice.clone_into(&mut self.report.advice);
        self.report.state = state.as_str();
        self.tell();
    }

    fn tell(&mut self) {
        let (study, series) = self.capture.frames.uids().unwrap_or_default();
        study.clone_into(&mut self.report.study);
        series.clone_into(&mut self.report.series);
        self.capture.desk.report(&self.capture.name, self.report.clone());
    }

    /// One opening of the device. Returns when we are to stop.
    fn session(&mut self) -> Result<(), Fault> {
        if let Some(clip) = self.capture.settings.device.strip_prefix(PREFIX).map(PathBuf::from) {
            return self.replay(&clip);
        }
        let device = find::open(&self.capture.settings.device)?;
        let profiles = self.capture.profiles.clone();
        let (profile, why) = plan::profile_of(&self.capture.settings, &profiles, || plan::facts(&device))
            .map_err(Fault::Configuration)?;
        let capabilities = device.capabilities();
        self.report.device =
            format!("{} ({}, {})", device.path().display(), capabilities.card, capabilities.driver);
        self.report.profile = format!("{} ({why})", profile.name);
        let input = self.choose_input(&device)?;
        let number = input.as_ref().map_or(0, |input| input.index);
        if let Some(edid) = profile.edid.as_deref().and_then(|name| profiles.edid(name))
            && let Err(error) = device.set_edid(number, edid)
        {
            tracing::warn!(capture = self.capture.name, %error, "the modality cannot be told what the card takes");
        }
        let tells = profile.timings != TimingsSource::None;
        let watch = if tells { Some(Watch::start(device.path(), number)?) } else { None };
        let mut session = Session { device: &device, profile, watch };
        let mut restarts = 0;
        while !self.stopped() {
            let frames = self.capture.counters.frames.get();
            let error = match self.stream(&mut session) {
                Ok(()) => {
                    restarts = 0;
                    continue;
                }
                Err(Fault::Device(error)) if error.heal() == Heal::Restart => error,
                Err(fault) => return Err(fault),
            };
            restarts = if self.capture.counters.frames.get() > frames { 1 } else { restarts + 1 };
            if restarts > MOST_RESTARTS {
                return Err(error.into());
            }
            self.capture.counters.fault("stream");
            tracing::warn!(capture = self.capture.name, %error, "the stream is started again");
            self.pause(PAUSES.0);
        }
        Ok(())
    }

    fn choose_input(&self, device: &Device) -> Result<Option<Input>, Fault> {
        let wanted = self.capture.settings.input.as_str();
        if wanted.is_empty() {
            return Ok(device.input());
        }
        let inputs = device.inputs();
        let names = || inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = inputs.iter().find(|input| input.name == wanted || input.index.to_string() == wanted);
        let input = found.ok_or_else(|| {
            Fault::Configuration(format!(
                "there is no input {wanted:?}; capture.*.input may be one of {}",
                names()
            ))
        })?;
        device.set_input(input.index)?;
        Ok(Some(input.clone()))
    }

    /// One signal and its stream. Returns when the signal has changed or frames have stopped.
    fn stream(&mut self, session: &mut Session<'_>) -> Result<(), Fault> {
        let seen = session.watch.as_ref().map_or(0, Watch::changes);
        let signal = session.signal().and_then(|timings| session.take(timings).map(|()| timings));
        let timings = match signal {
            Ok(timings) => timings,
            Err(NoTimings::Device(error)) => return Err(error.into()),
            Err(none) => {
                self.report.format.clear();
                self.capture.frames.signal_lost();
                self.enter(State::of(none), "");
                // Parked, since the watch unparks.
                if session.watch.as_ref().map_or(0, Watch::changes) == seen {
                    self.pause(ASK);
                }
                return Ok(());
            }
        };
        let video = self.agree(session, timings)?;
        self.report.format = timings::shown(&video, timings);
        let card = session.device.capabilities().card.clone();
        self.capture.frames.begin(&video, session.profile, &card)?;
        let buffers = session.profile.buffers;
        let started = Stream::start(session.device, &video, buffers, plan::memory(session.profile));
        let mut stream = match started {
            Err(CaptureError::Unsupported(_)) => {
                Stream::start(session.device, &video, buffers, Memory::Mmap)?
            }
            started => started?,
        };
        if self.state != Some(State::Stalled) {
            self.enter(State::Starting, "");
        }
        self.frames(session, &mut stream, timings, seen)
    }

    /// Agrees on a format for the signal.
    fn agree(&self, session: &Session<'_>, timings: Option<Timings>) -> Result<VideoDescription, Fault> {
        let device = session.device;
        let formats = plan::formats(&self.capture.settings, session.profile);
        let native = || {
            let offered = device.formats();
            let wanted = |format| offered.iter().find(|offered| offered.format == Some(format));
            let first = formats.iter().find_map(|&format| wanted(format));
            first.and_then(|offered| offered.sizes.first().copied())
        };
        let size = match &timings {
            Some(timings) => Some((timings.width(), timings.height())),
            None if session.profile.native_size => native(),
            None => None,
        };
        let rate = timings.as_ref().map(Timings::frame_rate).or_else(|| device.frame_rate());
        let video = format::agree(device, &formats, size, rate)?;
        let scaled = size.is_some_and(|size| size != (video.width, video.height));
        if scaled && session.profile.scaling_forbidden {
            return Err(CaptureError::Inconsistent("it would scale the picture").into());
        }
        Ok(video)
    }

    fn frames(
        &mut self,
        session: &Session<'_>,
        stream: &mut Stream,
        timings: Option<Timings>,
        mut seen: u64,
    ) -> Result<(), Fault> {
        let mut last = Instant::now();
        let mut patience = FIRST_FRAME.max(session.profile.stall);
        while !self.stopped() {
            if let Some(watch) = &session.watch
                && watch.changes() != seen
            {
                seen = watch.changes();
                // The same mode again, or a change that is over: the stream goes on.
                if session.signal().ok() != Some(timings) {
                    return Ok(());
                }
            }
            let Some(mut frame) = stream.next(WAIT)? else {
                if last.elapsed() > patience {
                    return self.stalled(session);
                }
                continue;
            };
            // The watch may have spoken while we waited: this may be noise already.
            if session.watch.as_ref().is_some_and(|watch| watch.changes() != seen) {
                continue;
            }
            let another = self.capture.frames.take(&mut frame);
            last = Instant::now();
            patience = session.profile.stall;
            self.streamed = true;
            self.enter(State::Streaming, "");
            if another {
                self.tell();
            }
        }
        Ok(())
    }

    /// Frames have stopped. With a signal that is there the driver is at fault; of devices that cannot tell,
    /// it means that the signal is gone. In both cases the stream is begun again.
    fn stalled(&mut self, session: &Session<'_>) -> Result<(), Fault> {
        if session.watch.is_none() {
            self.capture.frames.signal_lost();
        }
        self.capture.counters.fault("stalled");
        self.enter(State::Stalled, "");
        Ok(())
    }
}

impl Session<'_> {
    /// The signal that is there; `None` where the input has no timings.
    fn signal(&self) -> Result<Option<Timings>, NoTimings> {
        if self.watch.is_none() {
            return Ok(None);
        }
        let signal = watch::look(self.device)?;
        let beyond = signal.zip(self.profile.limits.as_ref()).is_some_and(|(timings, limits)| {
            timings.width() > limits.max_width
                || timings.height() > limits.max_height
                || timings.pixel_clock() > limits.max_pixel_clock_hz.into()
        });
        if beyond { Err(NoTimings::OutOfRange) } else { Ok(signal) }
    }

    /// Has the receiver take the signal. One that it refuses is one that it cannot take, whatever it found.
    fn take(&self, timings: Option<Timings>) -> Result<(), NoTimings> {
        let Some(timings) = timings.filter(|timings| timings::current(self.device).as_ref() != Some(timings))
        else {
            return Ok(());
        };
        timings::set(self.device, &timings).map_err(|error| match error {
            CaptureError::Refused { errno: Errno::EINVAL | Errno::ERANGE, .. } => NoTimings::OutOfRange,
            error => NoTimings::Device(error),
        })
    }
}
