//! The page of the box for whoever looks after it: where it listens, whom it lets in, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{HttpLimits, HttpTls, Right, loopback_networks};

/// The field engineer's console (`[console]`).
#[derive(Debug, Clone, PartialEq)]
pub struct ConsoleSettings {
    /// Address of its HTTPS listener; `None` closes it.
    pub listen: Option<SocketAddr>,
    /// Client networks that are let in.
    pub allow: Vec<IpNet>,
    /// Its certificate, and the roots of client certificates, which are optional here: those of the section,
    /// or of `dicomweb.tls` where it names none. [`HttpTls::SelfSigned`] is the certificate that DICOMweb has.
    pub tls: HttpTls,
    /// What somebody may do who has logged in with a one-time code, of [`Right::Operate`] and [`Right::Phi`].
    pub code_may: Vec<Right>,
    /// A session in which nobody does anything ends after this.
    pub session: Duration,
}

impl ConsoleSettings {
    /// What one browser, or all together, may ask of the console: a page is some twenty requests, and a tab
    /// holds a stream of events and a picture for each source.
    pub fn limits() -> HttpLimits {
        HttpLimits {
            connections: 64,
            connections_per_peer: 32,
            streams: 64,
            requests_per_second: 50,
            request_burst: 200,
            header_bytes: 16 << 10,
            ..HttpLimits::default()
        }
    }
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            listen: None,
            allow: loopback_networks(),
            tls: HttpTls::SelfSigned,
            code_may: vec![Right::Operate],
            session: Duration::from_secs(30 * 60),
        }
    }
}
