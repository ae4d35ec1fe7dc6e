//! The service tries itself: a frame through the hub and back over TLS, and a C-ECHO, at its own listeners, before
//! it says that it is ready and now and then afterwards. What comes of it is in the log, in the metrics, in the line
//! that `systemctl status` shows, and in the file that `framegate health` reads. A service that fails it stays in
//! service: what works is of use, and somebody or the watchdog may mend the rest.
//!
//! Nobody else notices: the series is listed nowhere, and the connections are let in beside allow lists and limits,
//! without a client certificate. So that clients with a certificate are let in, and networks, is not tried.

mod web;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use self::web::Web;
use super::events;
use super::health::{Check, Health, microseconds, since_boot, wall};
use super::metrics::SelfTestMetrics;
use crate::config::settings::DimseSettings;
use crate::dicomweb::access::Access;
use crate::dimse::echo::echo;
use crate::dimse::scu::ScuError;
use crate::hub::Hub;
use crate::net::own::{Known, OwnConnections};
use crate::net::tls::{DICOM_ALPN, Reloading, own_client};

/// For all of it.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a result counts: until the next but one is due, and half a period more; but no less than this.
const LEAST_GOOD_FOR: Duration = Duration::from_secs(10);
/// A certificate is believed for what it is, whatever its names (RFC 6761 §6.4: this is nobody's).
const NAME: &str = "self-test.invalid";
/// What of a check was left out.
const NOTE: &str = "other clients have to show a certificate; the self-test shows none";

/// Why the service does not work, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing can be published.
    #[error("the hub does not take a frame: {0}")]
    Hub(String),
    /// TCP.
    #[error(
        "no connection to {address}: {error}; does a firewall, or IPAddressAllow= of the unit, keep this machine from itself?"
    )]
    Connect { address: SocketAddr, error: io::Error },
    /// TLS.
    #[error("the TLS handshake failed: {0}; do certificate and key belong together?")]
    Tls(String),
    /// HTTP.
    #[error("the request failed: {0}; see the log, and restart the service")]
    Http(String),
    /// Another answer.
    #[error("the request was answered with status {0}; see the log, and restart the service")]
    Status(u16),
    /// Another body.
    #[error("the response holds {0}; restart the service, and report this")]
    Body(&'static str),
    /// DIMSE.
    #[error("the C-ECHO failed: {0}; see the log, and restart the service")]
    Echo(#[from] ScuError),
    /// No end.
    #[error("no answer within {} s; is the machine overloaded? Else restart the service", DEADLINE.as_secs())]
    Late,
}

/// What is tried.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) hub: Hub,
    pub(super) access: Access,
    pub(super) own: OwnConnections,
    /// The DICOMweb listener.
    pub(super) web: (Arc<Reloading>, SocketAddr),
    /// The DIMSE listeners, as far as there are any, plain and TLS.
    pub(super) dimse: Option<SocketAddr>,
    pub(super) dimse_tls: Option<(Arc<Reloading>, SocketAddr)>,
    /// AE titles; a reload replaces them.
    pub(super) titles: Arc<ArcSwap<DimseSettings>>,
    pub(super) metrics: SelfTestMetrics,
    /// Where the last result is found.
    pub(super) last: Arc<ArcSwapOption<Health>>,
    /// How often; zero is once.
    pub(super) every: Duration,
}

/// The self-test.
#[derive(Debug)]
pub(super) struct SelfTest {
    web: Web,
    dimse: Option<SocketAddr>,
    dimse_tls: Option<(Arc<Reloading>, SocketAddr)>,
    titles: Arc<ArcSwap<DimseSettings>>,
    own: OwnConnections,
    metrics: SelfTestMetrics,
    last: Arc<ArcSwapOption<Health>>,
    every: Duration,
    /// Where the result is left, if anywhere.
    directory: Option<PathBuf>,
    started: Duration,
    /// What the last one found.
    was_ok: Option<bool>,
}

impl SelfTest {
    /// Takes away what a process before us has left in `directory`.
    ///
    /// # Errors
    /// When there is nothing to publish.
    pub(super) fn new(parts: Parts, directory: Option<PathBuf>) -> Result<Self, String> {
        if let Some(directory) = &directory {
            Health::withdraw(directory);
        }
        let (tls, address) = parts.web;
        Ok(Self {
            web: Web::new(parts.hub, parts.access, parts.own.clone(), tls, address)?,
            dimse: parts.dimse,
            dimse_tls: parts.dimse_tls,
            titles: parts.titles,
            own: parts.own,
            metrics: parts.metrics,
            last: parts.last,
            every: parts.every,
            directory,
            started: since_boot(),
            was_ok: None,
        })
    }

    /// Tries everything again and again, until `stopping` turns true.
    pub(super) async fn repeat(mut self, mut stopping: watch::Receiver<bool>) {
        let stopped = async move {
            // An error means that the service itself is gone, which is the same.
            let _ = stopping.wait_for(|&down| down).await;
        };
        let trials = async {
            if self.every.is_zero() {
                std::future::pending::<()>().await;
            }
            loop {
                sleep(self.every).await;
                self.run().await;
            }
        };
        tokio::select! {
            // First: what a service that stops answers itself is no failure.
            biased;
            () = stopped => {}
            () = trials => {}
        }
        if let Some(directory) = &self.directory {
            Health::withdraw(directory);
        }
    }

    /// Tries everything once, and tells of it.
    pub(super) async fn run(&mut self) -> Health {
        let begun = Instant::now();
        let (checks, failed) = self.checks(begun + DEADLINE).await;
        let took = begun.elapsed();
        let ok = failed.is_none();
        let good_for = (!self.every.is_zero()).then(|| (self.every * 5 / 2).max(LEAST_GOOD_FOR));
        let health = Health {
            ok,
            at: wall(SystemTime::now()),
            boottime_microseconds: microseconds(since_boot()),
            started_microseconds: microseconds(self.started),
            good_for_seconds: good_for.map(|time| time.as_secs()),
            checks,
            failed,
        };
        self.metrics.set(ok, took);
        self.tell(&health, took);
        self.last.store(Some(Arc::new(health.clone())));
        self.was_ok = Some(ok);
        health
    }

    fn tell(&self, health: &Health, took: Duration) {
        let milliseconds = took.as_secs_f64() * 1e3;
        match &health.failed {
            None if self.was_ok != Some(true) => {
                events::SelfTestGood { milliseconds }.tell();
            }
            None => {}
            Some(failed) => events::SelfTestFails { failed }.tell(),
        }
        let Some(directory) = &self.directory else { return };
        if let Err(error) = health.write(directory) {
            // An old one might be better than what we know now.
            Health::withdraw(directory);
            events::HealthUnwritable { error: &error }.tell();
        }
    }

    /// What was tried, and the first thing that failed.
    async fn checks(&self, deadline: Instant) -> (Vec<Check>, Option<String>) {
        let (mut checks, mut failed) = (Vec::new(), None);
        let mut note = |name: &str, begun: Instant, outcome: Result<(), Failure>, closed: bool| {
            let microseconds = microseconds(begun.elapsed());
            let note = closed.then(|| NOTE.to_owned());
            checks.push(Check { name: name.to_owned(), ok: outcome.is_ok(), microseconds, note });
            if let Err(error) = outcome {
                failed.get_or_insert(format!("{name}: {error}"));
            }
        };
        let begun = Instant::now();
        let outcome = timeout_at(deadline, Box::pin(self.web.check())).await.unwrap_or(Err(Failure::Late));
        note("dicomweb", begun, outcome, self.web.tls.admission().asks_for_certificates());
        if let Some(address) = self.dimse {
            let begun = Instant::now();
            let outcome = timeout_at(deadline, self.echo(address, None)).await;
            note("dimse", begun, outcome.unwrap_or(Err(Failure::Late)), false);
        }
        if let Some((tls, address)) = &self.dimse_tls {
            let begun = Instant::now();
            let outcome = timeout_at(deadline, Box::pin(self.echo(*address, Some(tls)))).await;
            note(
                "dimse_tls",
                begun,
                outcome.unwrap_or(Err(Failure::Late)),
                tls.admission().asks_for_certificates(),
            );
        }
        (checks, failed)
    }

    async fn echo(&self, address: SocketAddr, tls: Option<&Arc<Reloading>>) -> Result<(), Failure> {
        let titles = self.titles.load_full();
        let called = &titles.ae_title;
        let calling = titles.calling_ae_titles.first().unwrap_or(called);
        let (mut stream, known) = connect(&self.own, address).await?;
        match tls {
            None => {
                let answered = echo(&mut stream, called, calling).await;
                drop(known);
                Ok(answered?)
            }
            Some(tls) => {
                let stream = secured(stream, tls, DICOM_ALPN).await?;
                drop(known);
                Ok(echo(stream, called, calling).await?)
            }
        }
    }
}

/// A connection of our own to the listener at `address`, which is known as that until the second is dropped.
async fn connect(own: &OwnConnections, address: SocketAddr) -> Result<(TcpStream, Known), Failure> {
    own.connect(address).await.map_err(|error| Failure::Connect { address, error })
}

/// TLS over it, with a listener that serves `tls`.
async fn secured(
    stream: TcpStream,
    tls: &Arc<Reloading>,
    alpn: &[&[u8]],
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    let failed = |error: String| Failure::Tls(error);
    let config = own_client(tls, alpn).map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from(NAME).map_err(|error| failed(error.to_string()))?;
    let connecting = Box::pin(TlsConnector::from(config).connect(name, stream));
    connecting.await.map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests;
