//! The process: puts the parts together, says when it is ready, reloads, drains.
//!
//! Nobody knows this module but the command line. What runs:
//!
//! ```text
//!   dimse ─┐                                   ┌─ dicomweb (HTTPS)
//!   capture ┤                                  ├─ push (HTTPS, to destinations)
//!     ▲     │                                  │
//!     └─────┼── procedure ◄──► RIS             │
//!   pattern ┴──► hub ◄── housekeeping (10 Hz) ─┴─ metrics and health (HTTP, if asked for)
//! ```

mod audit;
mod capture;
pub mod catalogue;
pub mod confine;
pub mod console;
pub mod control;
mod doubts;
mod error;
pub(crate) mod events;
mod expiry;
mod headline;
pub mod health;
mod heartbeats;
mod housekeeping;
mod listening;
pub mod metrics;
mod pattern;
mod progress;
mod readiness;
mod reload;
mod self_test;
mod signals;
mod spool;
mod standing;
pub mod status;
mod stopping;
pub mod support;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::audit::Trail;
pub use self::capture::CaptureStartError;
pub(crate) use self::capture::Captures;
pub use self::error::ServiceError;
use self::housekeeping::housekeeping;
use self::listening::{Sockets, dimse_tls, secured, web_tls};
use self::pattern::PatternSource;
use self::reload::Reloader;
use self::self_test::SelfTest;
use self::signals::{Signal, Signals};
use self::status::{Bound, Collector};
use self::stopping::Running;
use crate::config::settings::Settings;
use crate::config::{ConfigErrors, Loaded};
use crate::context::desk::{Desk, Rules};
use crate::dicomweb::access::Access;
use crate::dicomweb::routes::{BASE, Urls};
use crate::dicomweb::{self, Origin};
use crate::hub::Hub;
use crate::net::http::{self, ServerParts};
use crate::net::limits::{Connections, Limits};
use crate::net::own::OwnConnections;
use crate::procedure::{performed, worklist};
use crate::sink::availability;
use crate::sink::notify::Notifier;
use crate::sink::push::{self, Push};
use crate::sink::workers::Workers;
use crate::source::dimse::DimseSource;
use crate::source::dimse::relay::{Relays, drain};
use crate::source::send::SendSource;
use crate::subscription::registry::Registry;

/// What of the drain time is kept for connections to close after their streams have ended.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What a reload needs of the command line.
pub struct Reload {
    /// Reads the configuration again.
    pub load: Box<dyn Fn() -> Result<Loaded, ConfigErrors> + Send + Sync>,
    /// Sets another log filter, in `tracing` directive syntax.
    pub log: SetLog,
    /// The file of the configuration; `None` where there is none.
    pub file: Option<PathBuf>,
}

/// Sets another log filter; the error says what is wrong with it.
pub type SetLog = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What is there once everything listens.
#[derive(Debug)]
pub struct Ready {
    /// Where DICOMweb is served.
    pub dicomweb: SocketAddr,
    /// Where the DIMSE source listens, if it does.
    pub dimse: Option<SocketAddr>,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// The console, if it is open.
    pub console: Option<console::Opened>,
    /// The certificate that was made at the start, in PEM, for clients to trust.
    pub certificate_pem: Option<String>,
    /// The pattern source's study and series.
    pub pattern: Option<(String, String)>,
}

/// Finds the faults of a configuration that show only when it is put to use, such as a filter that filters
/// nothing. Reads and opens nothing.
///
/// # Errors
/// The first fault, which a start or a reload would end with too.
pub fn preflight(settings: &Settings) -> Result<(), ServiceError> {
    let grants = Access::check(&settings.access)?;
    standing::requests(settings, &grants, &BASE.into()).map(drop).map_err(ServiceError::Standing)
}

/// Runs until SIGTERM or SIGINT, then drains. `ready` is called once everything listens.
///
/// # Errors
/// When something that the configuration asks for cannot be started.
pub async fn run(loaded: Loaded, reload: Reload, ready: impl FnOnce(&Ready)) -> Result<(), ServiceError> {
    let settings = loaded.settings.clone();
    let mut sockets = Sockets::passed();
    let mut signals = Signals::listen()?;
    let hub = Hub::new(settings.hub.clone());
    let (stop, stopping) = watch::channel(false);
    let registry = Registry::new(settings.subscriptions.clone());
    let notifier = Notifier::new(hub.clone(), registry.clone(), dicomweb::retrieve_url);
    let spools = spool::open(&settings.spool, settings.relays.keys())?;
    let counters = metrics::Counters::new(hub.clone(), notifier.counters().clone(), &spools);
    let readiness = readiness::Readiness::new(counters.progress.clone());
    let trail = Trail::start(&settings, &counters);
    let own = OwnConnections::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(notifier.clone().run());
    let (availability, peers) = watch::channel(settings.availability.clone());
    tasks.spawn(availability::serve(peers, hub.clone(), counters.availability.clone(), stopping.clone()));

    let rules = |(name, capture): (&String, &_)| (name.clone(), Rules::of(capture));
    let desk = Desk::by(settings.captures.iter().map(rules));

    let dimse_settings = Arc::new(ArcSwap::from_pointee(settings.dimse.clone()));
    let relays = Relays::new(&settings.relays, &counters.relay, &counters.spools, &Relays::default());
    let relays = Arc::new(ArcSwap::from_pointee(relays));
    for (name, (spool, committed)) in spools {
        tasks.spawn(drain(name, spool, relays.clone(), committed, stopping.clone()));
    }
    let source = DimseSource::new(
        hub.clone(),
        desk.clone(),
        dimse_settings.clone(),
        relays.clone(),
        counters.dimse.clone(),
        stopping.clone(),
    )
    .audited(trail.audit())
    .tried_by(own.clone());
    for (name, relay) in &settings.relays {
        let Some(address) = relay.listen else { continue };
        let (listener, bound) = sockets.listen(address, "relay.NAME.listen")?;
        events::RelayListens { relay: name, address: bound }.tell();
        tasks.spawn(source.clone().serve(listener, None, Some(name.clone())));
    }
    let mut dimse = None;
    if let Some(address) = settings.dimse.listen {
        let (listener, bound) = sockets.listen(address, "dimse.listen")?;
        dimse = Some(bound);
        tasks.spawn(source.clone().serve(listener, None, None));
    }
    let mut dimse_tls = dimse_tls(&settings.dimse)?;
    if let Some((tls, address)) = &mut dimse_tls {
        let (listener, bound) = sockets.listen(*address, "dimse.tls.listen")?;
        events::DimseTlsListens { address: bound }.tell();
        tasks.spawn(source.serve(listener, Some(tls.clone()), None));
        *address = bound;
    }

    let (web_tls, certificate_pem) = web_tls(&settings.dicomweb.tls)?;
    let (listener, dicomweb_address) = sockets.listen(settings.dicomweb.listen, "dicomweb.listen")?;
    let limits = Limits::new(settings.dicomweb.allow.clone(), settings.dicomweb.limits.clone());
    let limits = Arc::new(ArcSwap::from_pointee(limits));
    let parts = ServerParts {
        tls: web_tls.clone(),
        limits: limits.clone(),
        connections: Connections::new(),
        own: own.clone(),
        counters: counters.of_listener("dicomweb"),
        drain: (settings.service.drain / 2).saturating_sub(LAST_WORDS),
    };
    let dicomweb_settings = Arc::new(ArcSwap::from_pointee(settings.dicomweb.clone()));
    let base: Arc<str> = Urls::new(&format!("https://{dicomweb_address}{BASE}")).base().into();
    let access = Access::new(&settings.access)?.audited(trail.audit());
    let standing = standing::requests(&settings, &access.grants(), &base);
    registry.stand(standing.map_err(ServiceError::Standing)?);
    let destinations = Arc::new(ArcSwap::from_pointee(settings.destinations.clone()));
    let push = Push::new(push::Parts {
        hub: hub.clone(),
        registry: registry.clone(),
        notifier: notifier.clone(),
        // Of their own: pictures for a destination do not hold up searches.
        workers: Workers::new(),
        counters: counters.push.clone(),
        destinations: settings.destinations.clone(),
        drain: settings.service.drain / 2,
        audit: trail.audit(),
    });
    tasks.spawn(push.clone().run(stopping.clone()));
    let send_settings = Arc::new(ArcSwap::from_pointee(settings.send.clone()));
    let procedure = counters.procedure.clone();
    let (worklists, peers) = watch::channel(settings.worklists.clone());
    tasks.spawn(worklist::serve(peers, desk.worklist().clone(), procedure.clone(), stopping.clone()));
    let (mpps, peers) = watch::channel(settings.mpps.clone());
    tasks.spawn(performed::serve(peers, desk.clone(), hub.clone(), procedure, stopping.clone()));
    let origin = Origin {
        hub: hub.clone(),
        settings: dicomweb_settings.clone(),
        counters: counters.dicomweb.clone(),
        address: dicomweb_address,
        stopping: stopping.clone(),
        access: access.clone(),
        registry: registry.clone(),
        notifier: notifier.clone(),
        send: SendSource::new(hub.clone(), send_settings.clone(), counters.send.clone()),
        destinations: destinations.clone(),
        workers: Workers::new(),
        desk: desk.clone(),
    };
    let rooms = console::Rooms::of(&origin, counters.of_listener("console"));
    let (close, mut closing) = watch::channel(false);
    tasks.spawn(async move {
        let dropped = http::serve(listener, parts, origin, async move {
            let _ = closing.wait_for(|&down| down).await;
        })
        .await;
        if dropped > 0 {
            events::DrainDropped { dropped }.tell();
        }
    });

    let console = console::bind(&settings, &mut sockets, &web_tls)?;
    let metrics = metrics::bind(&settings.metrics, &mut sockets, &web_tls)?;
    let mut secured = secured(&web_tls, &dimse_tls);
    secured.extend(console.as_ref().map(console::Door::secured));
    secured.extend(metrics.as_ref().and_then(metrics::Door::secured));
    sockets.release();
    tasks.spawn(progress::probe(hub.clone(), counters.progress.clone(), stopping.clone()));
    tasks.spawn(housekeeping(hub.clone(), registry.clone(), counters.progress.clone(), stopping.clone()));
    if !settings.captures.is_empty() {
        let (notifier, counters) = (notifier.clone(), counters.capture.clone());
        tasks.spawn(doubts::watch(desk.clone(), notifier, counters, stopping.clone()));
    }
    let captures = Captures::start(&settings.captures, &hub, &desk, &counters.capture, &trail.audit())?;
    tasks.spawn(heartbeats::watch(desk.clone(), captures.counters(), stopping.clone()));
    let pattern = settings
        .pattern
        .enabled
        .then(|| PatternSource::start(hub.clone(), &settings.pattern, SystemTime::now()));
    let pattern = pattern.transpose().map_err(ServiceError::Pattern)?;

    let shown = Arc::new(ArcSwap::from_pointee(loaded.clone()));
    let bound = Bound {
        dicomweb: Some(dicomweb_address),
        dimse,
        dimse_tls: dimse_tls.as_ref().map(|(_, address)| *address),
        console: console.as_ref().map(console::Door::address),
        metrics: metrics.as_ref().map(metrics::Door::address),
    };
    let parts = status::Parts {
        hub: hub.clone(),
        desk: desk.clone(),
        registry: registry.clone(),
        notifier: notifier.clone(),
        counters: counters.clone(),
        loaded: shown.clone(),
        listeners: bound.listeners(&settings),
        secured: secured.clone(),
        readiness: readiness.clone(),
        clock: captures.clock(),
        audit: trail.audit(),
    };
    let collector = Collector::start(parts, &mut tasks, &stopping);
    tasks.spawn(metrics::serve(metrics, &counters, &secured, readiness.clone(), close.subscribe()));
    let rooms = (rooms.configured_by(reload.file.clone()), collector.clone(), trail.audit());
    let headline = collector.clone();
    let console = console.map(|door| door.open(&settings, rooms, &mut tasks)).transpose()?;
    let parts = control::Parts { status: collector, console: console.clone() };
    control::start(parts, &mut tasks, &stopping)?;

    let mut self_test = SelfTest::new(
        self_test::Parts {
            hub: hub.clone(),
            access: access.clone(),
            own,
            web: (web_tls.clone(), dicomweb_address),
            dimse,
            dimse_tls: dimse_tls.clone(),
            titles: dimse_settings.clone(),
            metrics: counters.self_test.clone(),
            last: readiness.last(),
            every: settings.service.self_test,
        },
        spool::given_directory(),
    )
    .map_err(ServiceError::Pattern)?;
    self_test.run().await;
    tasks.spawn(self_test.repeat(stopping.clone()));
    readiness.running();
    tasks.spawn(headline::tell(headline, readiness.clone(), stopping.clone()));

    ready(&Ready {
        dicomweb: dicomweb_address,
        dimse,
        metrics: bound.metrics,
        console: console.clone(),
        certificate_pem,
        pattern: pattern.as_ref().map(|pattern| (pattern.study().to_owned(), pattern.series().to_owned())),
    });
    events::Ready { dicomweb: dicomweb_address, dimse }.tell();
    notify(&[NotifyState::Ready]);
    trail.started(spool::given_directory().as_deref());

    let mut reloader = Reloader {
        loaded,
        shown,
        reload,
        hub: hub.clone(),
        push,
        dimse: dimse_settings,
        relays,
        relay_counters: counters.relay.clone(),
        spools: counters.spools.clone(),
        dicomweb: dicomweb_settings,
        registry,
        destinations,
        availability,
        worklists,
        mpps,
        base,
        send: send_settings,
        limits,
        access,
        console,
        notifier: notifier.clone(),
        audit: trail.audit(),
        certificates: expiry::Certificates::of(secured),
    };
    let mut watch_files = tokio::time::interval(Duration::from_secs(30));
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => reloader.reload(),
            },
            _ = watch_files.tick() => reloader.renew_files(false),
        }
    }

    let drain = reloader.loaded.settings.service.drain;
    let running =
        Running { pattern, captures, hub, notifier, counters, readiness, trail, stop, close, tasks, drain };
    running.stop().await;
    Ok(())
}

/// Tells systemd, where there is one.
fn notify(states: &[NotifyState<'_>]) {
    // Without a socket there is nobody to tell.
    let _ = sd_notify::notify(states);
}
