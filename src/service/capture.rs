//! The capture threads of the process: one for each `[capture.NAME]`, and the clock that they share. `framegate
//! capture` starts one in the same way.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::audit::Audit;
use crate::config::profile::{OWN_PROFILES, Profiles};
use crate::config::settings::CaptureSettings;
use crate::context::Equipment;
use crate::context::desk::Desk;
use crate::hub::Hub;
use crate::instance::video::ClockState;
use crate::source::capture::clock::Clock;
use crate::source::capture::counters::{CaptureCounters, Counters};
use crate::source::capture::frames::Frames;
use crate::source::capture::series::Encounter;
use crate::source::capture::worker::{Capture, Running};

/// The running captures.
#[derive(Debug)]
pub(crate) struct Captures {
    running: Vec<Running>,
    /// By name, what each counts with.
    counters: Vec<(String, Counters)>,
    clock: Option<Clock>,
}

/// Why captures cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum CaptureStartError {
    /// Hardware profiles that cannot be read.
    #[error("{0}")]
    Profiles(String),
    /// No thread.
    #[error("no thread for capture.{name}: {error}")]
    Thread {
        /// `[capture.NAME]`.
        name: String,
        /// What the kernel says.
        error: io::Error,
    },
}

impl Captures {
    /// Starts all of these, by name. Devices need not be there yet.
    ///
    /// # Errors
    /// When a hardware profile is faulty, or the kernel has no thread.
    pub(crate) fn start(
        captures: &BTreeMap<String, CaptureSettings>,
        hub: &Hub,
        desk: &Desk,
        counters: &CaptureCounters,
        audit: &Audit,
    ) -> Result<Self, CaptureStartError> {
        if captures.is_empty() {
            return Ok(Self { running: Vec::new(), counters: Vec::new(), clock: None });
        }
        let profiles = Profiles::load(Some(Path::new(OWN_PROFILES))).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            CaptureStartError::Profiles(errors.join("; "))
        })?;
        let profiles = Arc::new(profiles);
        let clock = Clock::start();
        let equipment = Equipment::framegate(&serial(), &host());
        let (mut running, mut all) = (Vec::new(), Vec::new());
        for (name, capture) in captures {
            let counters = counters.of(name);
            all.push((name.clone(), counters.clone()));
            let encounter = Encounter::new(name, capture, equipment.clone(), hub.clone(), desk.clone())
                .audited(audit.clone());
            let frames = Frames::new(name, capture, counters.clone(), clock.state(), encounter);
            let capture = Capture {
                name: name.clone(),
                settings: capture.clone(),
                profiles: profiles.clone(),
                desk: desk.clone(),
                counters,
                frames,
            };
            let started = capture.start();
            running.push(started.map_err(|error| CaptureStartError::Thread { name: name.clone(), error })?);
        }
        Ok(Self { running, counters: all, clock: Some(clock) })
    }

    /// By name, what each counts with.
    pub(super) fn counters(&self) -> Vec<(String, Counters)> {
        self.counters.clone()
    }

    /// What they are told of the clock; `None` where there are none.
    pub(crate) fn clock(&self) -> Option<Arc<ArcSwap<ClockState>>> {
        self.clock.as_ref().map(Clock::state)
    }

    /// Ends all series as complete and gives the devices back. A driver may take its time.
    pub(crate) fn stop(self) {
        for capture in self.running {
            capture.stop();
        }
    }
}

/// Serial number of the board; empty where it is not to be had.
fn serial() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let found = read("/sys/class/dmi/id/product_serial")
        .or_else(|| read("/sys/firmware/devicetree/base/serial-number"));
    found.map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned()).unwrap_or_default()
}

/// Name of the host; empty where it is not to be had.
pub(super) fn host() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}
