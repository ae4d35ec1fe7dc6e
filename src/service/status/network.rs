//! Listeners, certificates, the clock.

use std::net::SocketAddr;
use std::time::SystemTime;

use super::super::expiry;
use super::super::health::wall;
use super::{Collector, machine};
use crate::config::settings::{HttpTls, Settings};
use crate::instance::video::ClockState;
use crate::net::tls::{self, Validity};
use crate::status::{CertificateStatus, ClockStatus, ListenerStatus, NetworkStatus};

/// Where we listen, besides what the configuration says itself.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Bound {
    /// DICOMweb.
    pub(in super::super) dicomweb: Option<SocketAddr>,
    /// DIMSE, plain.
    pub(in super::super) dimse: Option<SocketAddr>,
    /// DIMSE over TLS.
    pub(in super::super) dimse_tls: Option<SocketAddr>,
    /// The console.
    pub(in super::super) console: Option<SocketAddr>,
    /// Metrics.
    pub(in super::super) metrics: Option<SocketAddr>,
}

impl Bound {
    /// Those that there are, by their keys.
    pub(in super::super) fn listeners(self, settings: &Settings) -> Vec<ListenerStatus> {
        let known = [
            ("dicomweb.listen", self.dicomweb, true),
            ("dimse.listen", self.dimse, false),
            ("dimse.tls.listen", self.dimse_tls, true),
            ("console.listen", self.console, true),
            ("metrics", self.metrics, false),
        ];
        let known = known.into_iter().map(|(name, address, tls)| (name.to_owned(), address, tls));
        let relays =
            settings.relays.iter().map(|(name, relay)| (format!("relay.{name}.listen"), relay.listen, false));
        let status = |(name, address, tls): (String, Option<SocketAddr>, bool)| {
            Some(ListenerStatus { name, address: address?.to_string(), tls })
        };
        known.chain(relays).filter_map(status).collect()
    }
}

impl Collector {
    /// What takes files or the kernel to know: all but what we listen on. For the task that samples.
    pub(super) fn network(&self, settings: &Settings) -> NetworkStatus {
        let now = SystemTime::now();
        let served = self.parts.secured.iter();
        let served = served.map(|(name, tls)| (format!("{name}.tls.certificate"), tls.validity()));
        let files = expiry::in_files(settings).into_iter().map(|held| (held.what, held.validity));
        NetworkStatus {
            host_name: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_default(),
            addresses: machine::addresses(),
            listeners: self.parts.listeners.clone(),
            certificates: served
                .chain(files)
                .map(|(name, validity)| certificate(name, validity, now))
                .collect(),
            clock: clock(&self.parts.clock.load()),
        }
    }
}

/// The certificates in files that the configuration names: those that listeners serve, those that we show to peers, the
/// roots of our clients. Files that cannot be read are left out. Reads files: call it where blocking is allowed.
pub fn certificates_in_files(settings: &Settings) -> Vec<CertificateStatus> {
    let now = SystemTime::now();
    let web = match &settings.dicomweb.tls {
        HttpTls::Files(identity) => Some(("dicomweb.tls.certificate", identity)),
        HttpTls::SelfSigned => None,
    };
    let dimse = settings.dimse.tls.as_ref().map(|tls| ("dimse.tls.certificate", &tls.identity));
    let served = web
        .into_iter()
        .chain(dimse)
        .filter_map(|(name, identity)| Some((name.to_owned(), tls::validity(&identity.certificate).ok()?)));
    let others = expiry::in_files(settings).into_iter().map(|held| (held.what, held.validity));
    served.chain(others).map(|(name, validity)| certificate(name, validity, now)).collect()
}

fn certificate(name: String, validity: Validity, now: SystemTime) -> CertificateStatus {
    CertificateStatus {
        name,
        not_after: wall(validity.not_after),
        days_left: if now < validity.not_before { 0 } else { validity.days_left(now) },
        not_yet_valid: now < validity.not_before,
    }
}

fn clock(state: &ClockState) -> ClockStatus {
    let source = match state {
        ClockState::Unknown => "",
        // It is kept, by somebody who has nothing to follow.
        ClockState::Free => "free",
        ClockState::Synchronized { protocol: "PTP", .. } => "ptp",
        ClockState::Synchronized { protocol: "SNTP", .. } => "timesyncd",
        ClockState::Synchronized { .. } => "chrony",
    };
    ClockStatus {
        synchronized: matches!(state, ClockState::Synchronized { .. }),
        source: source.to_owned(),
        error_microseconds: None,
    }
}
