//! What is counted and measured, for Prometheus (OpenMetrics text): every room counts in a `counters.rs` of its own, and
//! here they come together, with what is only read when somebody asks ([`sampled`]) and what is known of any process
//! ([`process`]). [`listener`] answers. `docs/metrics.md` lists everything and is made from here; the dashboard and the
//! alerts in `monitoring/` are held to it. No value and no label holds PHI, and every label has few values.

mod listener;
pub(super) mod process;
mod sampled;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(super) use self::listener::{Door, bind, serve};
use self::process::Process;
use self::sampled::Sampled;
use super::progress::Progress;
use super::spool::Opened;
use crate::audit::counters::AuditCounters;
use crate::dicomweb::DicomwebCounters;
use crate::hub::Hub;
use crate::net::counters::NetCounters;
use crate::net::tls::Reloading;
use crate::procedure::ProcedureCounters;
use crate::sink::availability::AvailabilityCounters;
use crate::sink::notify::NotifyCounters;
use crate::sink::push::PushCounters;
use crate::source::capture::counters::CaptureCounters;
use crate::source::dimse::DimseCounters;
use crate::source::dimse::relay::counters::RelayCounters;
use crate::source::send::SendCounters;
use crate::spool::Spool;

/// Everything that is counted, by the room that counts it.
#[derive(Debug, Clone)]
pub struct Counters {
    /// How full the rings are, and how long frames take.
    pub hub: Hub,
    /// The DIMSE source.
    pub dimse: DimseCounters,
    /// Relays.
    pub relay: RelayCounters,
    /// What waits for upstreams, by relay.
    pub spools: BTreeMap<String, Spool>,
    /// Send and Store.
    pub send: SendCounters,
    /// The DICOMweb origin server.
    pub dicomweb: DicomwebCounters,
    /// Notification.
    pub notify: NotifyCounters,
    /// HTTP listeners, by their section of the configuration.
    pub listeners: BTreeMap<&'static str, Arc<NetCounters>>,
    /// Peers that are told what is available.
    pub availability: AvailabilityCounters,
    /// What is pushed to destinations.
    pub push: PushCounters,
    /// Worklists and performed procedure steps.
    pub procedure: ProcedureCounters,
    /// Capture devices.
    pub capture: CaptureCounters,
    /// What the service finds when it tries itself.
    pub self_test: SelfTestMetrics,
    /// Whether frames get through.
    pub(super) progress: Progress,
    /// The audit trail.
    pub audit: AuditCounters,
}

/// The last self-test. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SelfTestMetrics {
    ok: Gauge,
    seconds: Gauge<f64, AtomicU64>,
    at: Gauge,
}

impl SelfTestMetrics {
    /// One has ended.
    pub(super) fn set(&self, ok: bool, took: Duration) {
        self.ok.set(ok.into());
        self.seconds.set(took.as_secs_f64());
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.at.set(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
    }

    fn register(&self, registry: &mut Registry) {
        let test = registry.sub_registry_with_prefix("self_test");
        test.register("ok", "1 where the last self-test was good", self.ok.clone());
        test.register("duration_seconds", "How long the last self-test took", self.seconds.clone());
        test.register(
            "timestamp_seconds",
            "Unix time of the last self-test; 0 before the first",
            self.at.clone(),
        );
    }
}

/// All that is shown.
#[derive(Debug)]
pub struct Exposed {
    ours: Registry,
    /// Under the names that Prometheus has for any process, without our prefix.
    process: Registry,
}

impl Exposed {
    /// The text of `/metrics`.
    ///
    /// # Errors
    /// Never, as long as memory lasts.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode_registry(&mut written, &self.ours)?;
        text::encode_registry(&mut written, &self.process)?;
        text::encode_eof(&mut written)?;
        Ok(written)
    }
}

/// Listeners of HTTP, by their section of the configuration.
const LISTENERS: [&str; 3] = ["dicomweb", "console", "metrics"];

impl Counters {
    /// Of everything, of which nothing is counted yet.
    pub(super) fn new(hub: Hub, notify: NotifyCounters, spools: &BTreeMap<String, Opened>) -> Self {
        let spools = spools.iter().map(|(relay, (spool, _))| (relay.clone(), spool.clone())).collect();
        Self {
            hub,
            dimse: DimseCounters::default(),
            relay: RelayCounters::default(),
            spools,
            send: SendCounters::default(),
            dicomweb: DicomwebCounters::default(),
            notify,
            listeners: LISTENERS.map(|section| (section, Arc::default())).into(),
            availability: AvailabilityCounters::default(),
            push: PushCounters::default(),
            procedure: ProcedureCounters::default(),
            capture: CaptureCounters::default(),
            self_test: SelfTestMetrics::default(),
            progress: Progress::new(Instant::now()),
            audit: AuditCounters::default(),
        }
    }

    /// What the listener of this section counts; one that is not shown, where there is no such listener.
    pub(super) fn of_listener(&self, section: &str) -> Arc<NetCounters> {
        self.listeners.get(section).cloned().unwrap_or_default()
    }

    /// Shows all of them, and when the certificates of the listeners in `secured` expire.
    pub fn exposed(&self, secured: &[(&'static str, Arc<Reloading>)]) -> Exposed {
        let mut ours = Registry::with_prefix("framegate");
        let registry = &mut ours;
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        self.hub.stages().register(registry);
        self.dimse.register(registry);
        self.relay.register(registry);
        self.send.register(registry);
        self.dicomweb.register(registry);
        self.availability.register(registry);
        self.notify.register(registry);
        self.push.register(registry);
        self.procedure.register(registry);
        self.capture.register(registry);
        self.self_test.register(registry);
        self.audit.register(registry);
        registry.register_collector(Box::new(Sampled {
            hub: self.hub.clone(),
            listeners: self.listeners.clone(),
            spools: self.spools.clone(),
            secured: secured.to_vec(),
            progress: self.progress.clone(),
        }));
        let mut process = Registry::default();
        process.register_collector(Box::new(Process::begun(SystemTime::now())));
        Exposed { ours, process }
    }
}
