//! Fills [`Status`] for whoever asks: the console, the control socket, a support bundle.
//!
//! ```text
//!   hub, desk, registry, counters ──────────── read when somebody asks ──┐
//!   counts of before, sensors, disks, clock ── read by a task, in time ──┴──► Status ──► findings
//! ```
//!
//! Whoever asks waits for nothing: what may take its time (a sensor on a slow bus, files of certificates) is looked at
//! by [`Collector::sample`], every few seconds, on a thread that may block.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::health::wall;
use crate::hub::Hub;
use crate::status::{HubStatus, ServiceStatus, Status};

/// What it is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) hub: Hub,
}

/// Makes a [`Status`] whenever somebody asks. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Collector {
    parts: Arc<Parts>,
    started: (Instant, SystemTime),
}

impl Collector {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), started: (Instant::now(), SystemTime::now()) }
    }

    /// How everything is now. Reads memory only, and does not wait.
    pub fn collect(&self) -> Status {
        let occupancy = self.parts.hub.occupancy();
        Status {
            at: wall(SystemTime::now()),
            service: ServiceStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started: wall(self.started.1),
                uptime_seconds: self.started.0.elapsed().as_secs(),
                ready: true,
                ..ServiceStatus::default()
            },
            hub: HubStatus {
                bytes: occupancy.bytes,
                instances: occupancy.instances as u64,
                series: occupancy.series as u64,
                ..HubStatus::default()
            },
            ..Status::default()
        }
    }
}
