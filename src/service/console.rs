//! Puts the console together: its listener, its certificate, and what it shows and changes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listening::Sockets;
use super::status::Collector;
use super::{ServiceError, events, spool, support};
use crate::audit::Audit;
use crate::config::settings::{ConsoleSettings, HttpTls, Settings};
use crate::console::{self, CODE_VALID, Configuring, Console, NoRandom};
use crate::context::desk::Desk;
use crate::dicomweb::access::Access;
use crate::dicomweb::{Destinations, Origin};
use crate::hub::Hub;
use crate::net::counters::NetCounters;
use crate::net::http::{self, ServerParts};
use crate::net::limits::{Connections, Limits};
use crate::net::own::OwnConnections;
use crate::net::tls::{HTTP_ALPN, Reloading};
use crate::subscription::registry::Registry;

/// Its listener, before anybody answers there.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<Reloading>,
}

/// What the console shares with DICOMweb.
pub(super) struct Rooms {
    hub: Hub,
    desk: Desk,
    registry: Registry,
    destinations: Destinations,
    access: Access,
    stopping: watch::Receiver<bool>,
    file: Option<PathBuf>,
    /// What the listener counts.
    net: Arc<NetCounters>,
}

impl Rooms {
    /// The same that the origin server has; the listener counts by `net`.
    pub(super) fn of(origin: &Origin, net: Arc<NetCounters>) -> Self {
        Self {
            hub: origin.hub.clone(),
            desk: origin.desk.clone(),
            registry: origin.registry.clone(),
            destinations: origin.destinations.clone(),
            access: origin.access.clone(),
            stopping: origin.stopping.clone(),
            file: None,
            net,
        }
    }

    /// With the file of the configuration, where there is one, so that it can be changed.
    pub(super) fn configured_by(self, file: Option<PathBuf>) -> Self {
        Self { file, ..self }
    }
}

/// The console, while it is open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Opened {
    console: Console,
    settings: Arc<ArcSwap<ConsoleSettings>>,
    limits: Arc<ArcSwap<Limits>>,
    address: SocketAddr,
    tls: Arc<Reloading>,
}

/// A one-time code, and where it is to be typed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCode {
    /// Eight digits.
    pub code: String,
    /// For how long it is good.
    pub valid_seconds: u64,
    /// The page.
    pub url: String,
    /// SHA-256 of the certificate that it shows, in hexadecimal pairs: what a browser says of it too.
    pub fingerprint: String,
}

impl std::fmt::Debug for NewCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewCode").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Listens for the console, if the configuration wants it. `web` is the TLS of DICOMweb, for a certificate that was
/// made at the start.
///
/// # Errors
/// When its address or its certificate cannot be used.
pub(super) fn bind(
    settings: &Settings,
    sockets: &mut Sockets,
    web: &Arc<Reloading>,
) -> Result<Option<Door>, ServiceError> {
    let Some(address) = settings.console.listen else { return Ok(None) };
    let tls = match &settings.console.tls {
        HttpTls::SelfSigned => web.clone(),
        HttpTls::Files(identity) => {
            let fail = |error| ServiceError::Tls { what: "console.tls", error };
            Arc::new(Reloading::from_files(identity, HTTP_ALPN).map_err(fail)?)
        }
    };
    let (listener, address) = sockets.listen(address, "console.listen")?;
    events::ConsoleListens { address }.tell();
    Ok(Some(Door { listener, address, tls }))
}

impl Door {
    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its TLS, by its section.
    pub(super) fn secured(&self) -> (&'static str, Arc<Reloading>) {
        ("console", self.tls.clone())
    }

    /// Answers there until the service stops.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn open(
        self,
        settings: &Settings,
        (rooms, status, audit): (Rooms, Collector, Audit),
        tasks: &mut JoinSet<()>,
    ) -> Result<Opened, ServiceError> {
        let Self { listener, address, tls } = self;
        let drain = settings.service.drain / 2;
        let settings = &settings.console;
        let limits = Limits::new(settings.allow.clone(), ConsoleSettings::limits()).of("console");
        let limits = Arc::new(ArcSwap::from_pointee(limits));
        let settings = Arc::new(ArcSwap::from_pointee(settings.clone()));
        let (supported, mut stopping) = (status.clone(), rooms.stopping.clone());
        let console = Console::new(console::Parts {
            settings: settings.clone(),
            status: Arc::new(move || status.collect()),
            bundle: Arc::new(move || support::bundle(&supported).map_err(|error| error.to_string())),
            hub: rooms.hub,
            desk: rooms.desk,
            registry: rooms.registry,
            destinations: rooms.destinations,
            access: rooms.access,
            audit,
            configuring: rooms
                .file
                .zip(spool::given_directory())
                .map(|(file, at)| Configuring::new(&file, &at)),
            stopping: rooms.stopping,
        })
        .map_err(|NoRandom| ServiceError::Io(std::io::Error::other(NoRandom)))?;
        let parts = ServerParts {
            tls: tls.clone(),
            limits: limits.clone(),
            connections: Connections::new(),
            own: OwnConnections::default(),
            counters: rooms.net,
            drain,
        };
        let handler = console.clone();
        tasks.spawn(async move {
            http::serve(listener, parts, handler, async move {
                let _ = stopping.wait_for(|&down| down).await;
            })
            .await;
        });
        Ok(Opened { console, settings, limits, address, tls })
    }
}

impl Opened {
    /// Takes changed settings.
    pub(super) fn reload(&self, settings: &ConsoleSettings) {
        if settings.allow != self.settings.load().allow {
            let limits = Limits::new(settings.allow.clone(), ConsoleSettings::limits()).of("console");
            self.limits.store(Arc::new(limits));
        }
        self.settings.store(Arc::new(settings.clone()));
    }

    /// Makes a one-time code; the one before is void.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new_code(&self) -> Result<NewCode, NoRandom> {
        let print = digest(&SHA256, &self.tls.certificate());
        let pairs: Vec<_> = print.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(NewCode {
            code: self.console.make_code()?,
            valid_seconds: CODE_VALID.as_secs(),
            url: url(self.address),
            fingerprint: pairs.join(":"),
        })
    }
}

/// Where a browser finds an address that is listened on: all addresses of this machine go by its name.
fn url(address: SocketAddr) -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    match name.filter(|name| address.ip().is_unspecified() && !name.is_empty()) {
        Some(name) => format!("https://{name}:{}/", address.port()),
        None => format!("https://{address}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_names_a_host() {
        assert_eq!(url("127.0.0.1:9443".parse().unwrap()), "https://127.0.0.1:9443/");
        assert_eq!(url("[::1]:9443".parse().unwrap()), "https://[::1]:9443/");
        let any = url("0.0.0.0:9443".parse().unwrap());
        assert!(any.starts_with("https://") && any.ends_with(":9443/") && !any.contains("0.0.0.0"), "{any}");
    }

    #[test]
    fn debug_withholds_the_code() {
        let code = NewCode {
            code: "12345678".to_owned(),
            valid_seconds: 1,
            url: String::new(),
            fingerprint: String::new(),
        };
        assert!(!format!("{code:?}").contains("12345678"));
    }
}
