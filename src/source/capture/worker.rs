//! The capture thread: finds its device, opens it, takes the signal that is there, and streams; and does
//! whatever of that is needed again when something goes wrong, for as long as the service runs.
//!
//! ```text
//! run      ─ find and open the device; when it is gone or refuses, look again ever and again
//! session  ─ per opening: input, EDID, profile; per signal: timings, format
//! stream   ─ per stream: frames, until the signal changes, frames stop, or the driver gives up
//! ```
//!
//! The thread is the only one that touches the device, but for the [`Watch`](super::watch::Watch), and it
//! waits for nobody but the driver.

mod replay;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::error::{CaptureError, Heal};
use super::find;
use super::frames::{Frames, Seen};
use super::log_events;
use super::plan;
use super::priority;
use super::replay::PREFIX;
use super::session::{Fault, Session};
use super::signal::State;
use super::stream::Stream;
use super::timings::{self, NoTimings, Timings};
use crate::config::profile::{CaptureProfile, Profiles};
use crate::config::settings::CaptureSettings;
use crate::context::desk::{Desk, Report};
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
        let mut worker =
            Worker { capture: self, stop: stop.clone(), state: None, report, streamed: false, told: 0 };
        let run = move || {
            if priority::first().is_err() {
                log_events::OrdinaryPriority {}.tell();
            }
            worker.run();
        };
        let thread = thread::Builder::new().name("capture".to_owned()).spawn(run)?;
        Ok(Running { stop, thread })
    }
}

impl Running {
    /// Ends the series as complete, gives the device back, and waits for that.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            log_events::ThreadPanicked {}.tell();
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
    /// Changes of the open series that have been reported.
    told: u64,
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
            self.idle();
            self.enter(state, &fault.to_string());
            self.pause(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        self.capture.frames.end();
    }

    /// Asked before everything that may take its time, so that it is the thread's heartbeat too.
    fn stopped(&self) -> bool {
        self.capture.counters.heartbeat.beat();
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
                let format = &self.report.format;
                log_events::State { capture: name, state: state.as_str(), format }.tell();
            }
            _ => log_events::Hindered { capture: name, state: state.as_str(), advice }.tell(),
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
        self.report.context = self.capture.frames.provenance();
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
        let name = self.capture.name.clone();
        let session = Session::begin(&name, &device, profile, &profiles, &self.capture.settings)?;
        let mut restarts = 0;
        while !self.stopped() {
            let frames = self.capture.counters.frames.get();
            let error = match self.stream(&session) {
                Ok(()) => {
                    restarts = 0;
                    continue;
                }
                Err(Fault::Device(error)) if error.heal() == Heal::Restart => error,
                Err(fault) => return Err(fault),
            };
            restarts = if self.capture.counters.frames.get() > frames { 1 } else { restarts + 1 };
            if restarts > MOST_RESTARTS {
                session.reset();
                return Err(error.into());
            }
            self.capture.counters.fault("stream");
            log_events::StreamRestarts { capture: &self.capture.name, error: &error }.tell();
            self.pause(PAUSES.0);
        }
        Ok(())
    }

    /// One signal and its stream. Returns when the signal has changed or frames have stopped.
    fn stream(&mut self, session: &Session<'_>) -> Result<(), Fault> {
        let seen = session.changes();
        let timings = match session.signal() {
            Ok(timings) => timings,
            Err(none) => return self.without_signal(session, none, seen),
        };
        let pause = |longest| {
            self.pause(longest);
            !self.stopped()
        };
        if !session.settles(timings, seen, pause) {
            return Ok(());
        }
        if let Err(none) = session.take(timings) {
            return self.without_signal(session, none, seen);
        }
        let video = session.agree(&self.capture.settings, timings)?;
        self.begin(&video, timings, session.profile, &session.device.capabilities().card)?;
        let mut stream = session.start(&video)?;
        // Slow sources take their time from frame to frame.
        let period = video.frame_rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        let patience = session.profile.stall.max(period.unwrap_or_default() * 3);
        // Of a device that cannot tell, nothing is known until a frame comes.
        let is_unknown = match self.state {
            Some(State::Stalled) => true,
            Some(State::NoSignal) => !session.is_watched(),
            _ => false,
        };
        if !is_unknown {
            self.enter(State::Starting, "");
        }
        self.frames(session, &mut stream, timings, seen, patience)
    }

    /// Pictures of this kind are to come.
    fn begin(
        &mut self,
        video: &VideoDescription,
        timings: Option<Timings>,
        profile: &CaptureProfile,
        card: &str,
    ) -> Result<(), Fault> {
        self.report.format = timings::shown(video, timings);
        plan::check_size(&self.capture.settings, video).map_err(Fault::Configuration)?;
        Ok(self.capture.frames.begin(video, profile, card)?)
    }

    /// Waits for a signal.
    fn without_signal(&mut self, session: &Session<'_>, none: NoTimings, seen: u64) -> Result<(), Fault> {
        if let NoTimings::Device(error) = none {
            return Err(error.into());
        }
        self.report.format.clear();
        self.capture.frames.signal_lost();
        self.idle();
        self.enter(State::of(none), "");
        // Parked, since the watch unparks.
        if session.changes() == seen {
            self.pause(ASK);
        }
        Ok(())
    }

    fn frames(
        &mut self,
        session: &Session<'_>,
        stream: &mut Stream,
        timings: Option<Timings>,
        mut seen: u64,
        longest: Duration,
    ) -> Result<(), Fault> {
        let mut last = Instant::now();
        let mut patience = FIRST_FRAME.max(longest);
        while !self.stopped() {
            if session.changes() != seen {
                seen = session.changes();
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
            if session.changes() != seen {
                continue;
            }
            let picture = self.capture.frames.take(&mut frame);
            last = Instant::now();
            patience = longest;
            self.streamed = true;
            self.saw(picture, session.profile);
        }
        Ok(())
    }

    /// A picture came.
    fn saw(&mut self, picture: Seen, profile: &CaptureProfile) {
        match picture {
            Seen::NoSignal => {
                self.capture.frames.signal_lost();
                self.enter(State::NoSignal, "");
            }
            Seen::Signal => self.enter(State::Streaming, plan::advice(&self.capture.settings, profile)),
        }
        self.tell_changes();
    }

    /// No pictures come at present.
    fn idle(&mut self) {
        self.capture.frames.idle();
        self.tell_changes();
    }

    /// Reports a series that has begun or ended.
    fn tell_changes(&mut self) {
        if self.capture.frames.changes() != self.told {
            self.told = self.capture.frames.changes();
            self.tell();
        }
    }

    /// Frames have stopped. With a signal that is there the driver is at fault; of devices that cannot tell,
    /// it means that the signal is gone. In both cases the stream is begun again.
    fn stalled(&mut self, session: &Session<'_>) -> Result<(), Fault> {
        if !session.is_watched() {
            self.capture.frames.signal_lost();
        }
        self.capture.counters.fault("stalled");
        self.enter(State::Stalled, "");
        Ok(())
    }
}
