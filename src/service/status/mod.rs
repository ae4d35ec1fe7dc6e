//! Fills [`Status`] for whoever asks: the console, the control socket, a support bundle.
//!
//! ```text
//!   hub, desk, registry, counters ──────────────── read when somebody asks ──┐
//!   counts of before, sensors, disks, certificates ─ read by a task, in time ─┴──► Status ──► findings
//! ```
//!
//! Whoever asks waits for nothing: what may take its time (a sensor on a slow bus, files of certificates) is looked at
//! by [`Collector::sample`], every few seconds, where blocking is allowed. Nothing of it is PHI: texts of errors are
//! those of the log.

mod findings;
pub(super) mod machine;
mod network;
mod peers;
mod rates;
mod readback;
mod sources;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

pub use self::findings::findings;
use self::machine::Machine;
pub use self::machine::facts as box_facts;
pub(super) use self::network::Bound;
pub use self::network::certificates_in_files;
use self::rates::Rates;
use super::health::wall;
use super::metrics::{Counters, process};
use super::readiness::Readiness;
use super::spool::given_directory;
use crate::audit::{self, Audit};
use crate::config::Loaded;
use crate::config::settings::Settings;
use crate::context::desk::Desk;
use crate::hub::Hub;
use crate::instance::video::ClockState;
use crate::net::tls::Reloading;
use crate::sink::notify::Notifier;
use crate::source::capture::clock::Clock;
use crate::status::{
    AuditStatus, ListenerStatus, NetworkStatus, SelfTestStatus, ServiceStatus, Status, SystemStatus,
};
use crate::subscription::registry::Registry;

/// How often counts are looked at, for rates.
const COUNT: Duration = Duration::from_secs(1);
/// How many of these until the machine is looked at again.
const MACHINE: u32 = 5;

/// What it is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) hub: Hub,
    pub(super) desk: Desk,
    pub(super) registry: Registry,
    pub(super) notifier: Notifier,
    pub(super) counters: Counters,
    /// The configuration in force; a reload replaces it.
    pub(super) loaded: Arc<ArcSwap<Loaded>>,
    /// What listens.
    pub(super) listeners: Vec<ListenerStatus>,
    /// Those with TLS, by section.
    pub(super) secured: Vec<(&'static str, Arc<Reloading>)>,
    /// Whether the service can serve.
    pub(super) readiness: Readiness,
    /// What captures are told of the clock; `None` where there are none, and somebody else has to ask.
    pub(super) clock: Option<Arc<ArcSwap<ClockState>>>,
    /// The audit trail.
    pub(super) audit: Audit,
}

/// Makes a [`Status`] whenever somebody asks. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Collector {
    parts: Arc<Parts>,
    clock: Arc<ArcSwap<ClockState>>,
    /// Asks about the clock, where no capture does.
    _asks: Option<Arc<Clock>>,
    started: (Instant, SystemTime),
    sampled: Arc<Mutex<Sampled>>,
}

/// What was looked at before.
#[derive(Debug, Default)]
struct Sampled {
    rates: Rates,
    system: SystemStatus,
    network: NetworkStatus,
}

/// What holds while a status is made.
struct Running<'a> {
    settings: &'a Settings,
    rates: &'a Rates,
}

impl Collector {
    /// Begins to look at counts and the machine, among `tasks`, until `stopping` turns true.
    pub(super) fn start(parts: Parts, tasks: &mut JoinSet<()>, stopping: &watch::Receiver<bool>) -> Self {
        let started = (Instant::now(), SystemTime::now());
        let asks = parts.clock.is_none().then(|| Arc::new(Clock::start()));
        let own = asks.as_ref().map(|clock| clock.state());
        let clock = parts.clock.clone().or(own).unwrap_or_default();
        let sampled = Arc::default();
        let collector = Self { parts: Arc::new(parts), clock, _asks: asks, started, sampled };
        tasks.spawn(collector.clone().sample(stopping.clone()));
        collector
    }

    /// How everything is now. Reads memory and the kernel's word on this process only, and waits for nobody.
    pub fn collect(&self) -> Status {
        let loaded = self.parts.loaded.load();
        let settings = &loaded.settings;
        let sampled = self.sampled();
        let running = Running { settings, rates: &sampled.rates };
        let mut status = Status {
            at: wall(SystemTime::now()),
            findings: Vec::new(),
            service: self.service(),
            captures: self.captures(&running),
            dimse: self.dimse(&running),
            hub: self.hub(),
            series: self.series(&running),
            subscriptions: self.subscriptions(),
            destinations: self.destinations(&running),
            relays: self.relays(&running),
            worklists: self.worklists(&running),
            mpps: self.mpps(&running),
            audit: audit(&self.parts.audit.state()),
            network: sampled.network.clone(),
            system: sampled.system.clone(),
        };
        drop(sampled);
        status.findings = findings(&status);
        status
    }

    /// The configuration in force.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.parts.loaded.load_full()
    }

    fn service(&self) -> ServiceStatus {
        let last = self.parts.readiness.last();
        let test = last.load();
        ServiceStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: wall(self.started.1),
            uptime_seconds: self.started.0.elapsed().as_secs(),
            ready: self.parts.readiness.reasons().is_empty(),
            memory_bytes: process::memory().unwrap_or_default(),
            descriptors: process::descriptors().unwrap_or_default(),
            descriptor_limit: process::descriptor_limit().unwrap_or_default(),
            self_test: test.as_ref().map(|test| SelfTestStatus {
                ok: test.ok,
                at: test.at.clone(),
                microseconds: test.checks.iter().map(|check| check.microseconds).sum(),
                failed: test.failed.clone(),
            }),
        }
    }

    /// Looks at counts each second and at the machine every few, until `stopping` turns true.
    async fn sample(self, mut stopping: watch::Receiver<bool>) {
        let machine = Arc::new(Machine::default());
        let read = tokio::task::spawn_blocking(Machine::read).await;
        let machine = read.map_or(machine, Arc::new);
        let mut tick = interval(COUNT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0;
        loop {
            tokio::select! {
                _ = stopping.wait_for(|&down| down) => return,
                _ = tick.tick() => {}
            }
            self.count();
            if looks % MACHINE == 0 {
                let (collector, machine) = (self.clone(), Arc::clone(&machine));
                // A look that panics leaves what is known.
                let _ = tokio::task::spawn_blocking(move || collector.look(&machine)).await;
            }
            looks = looks.wrapping_add(1);
        }
    }

    fn count(&self) {
        let loaded = self.parts.loaded.load();
        let counts = self.counted_sources().into_iter().chain(self.counted_sinks(&loaded.settings));
        let counts: Vec<_> = counts.collect();
        self.sampled().rates.look(Instant::now(), counts);
    }

    fn look(&self, machine: &Machine) {
        let loaded = self.parts.loaded.load_full();
        let runtime = given_directory().map(|place| ("runtime", place));
        let spool = loaded.settings.spool.directory.clone().map(|place| ("spool", place));
        let disks: Vec<(&'static str, PathBuf)> = runtime.into_iter().chain(spool).collect();
        let system = machine.now(&disks);
        let network = self.network(&loaded.settings);
        let mut sampled = self.sampled();
        (sampled.system, sampled.network) = (system, network);
    }

    fn sampled(&self) -> MutexGuard<'_, Sampled> {
        // Nothing that runs under this lock can panic half way through a change.
        self.sampled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How this machine is, for who asks without a service; `runtime` is where that would write. May block.
pub fn of_machine(settings: &Settings, runtime: &Path) -> SystemStatus {
    let spool = settings.spool.directory.clone().map(|place| ("spool", place));
    let disks: Vec<_> = std::iter::once(("runtime", runtime.to_owned())).chain(spool).collect();
    Machine::read().now(&disks)
}
/// How the trail stands, where there is a receiver.
fn audit(state: &audit::State) -> Option<AuditStatus> {
    let address = state.receiver.clone()?;
    let (connected, waiting, lost) = (state.is_connected, state.waiting as u64, state.lost);
    Some(AuditStatus { address, connected, waiting, lost, last_error: state.complaint.clone() })
}
