//! Where the hospital's monitoring asks: metrics and health.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{HttpLimits, HttpTls, loopback_networks};

/// The listener of `/metrics`, `/livez` and `/readyz` (`[metrics]`).
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsSettings {
    /// Its address; `None` closes it.
    pub listen: Option<SocketAddr>,
    /// Networks that are let in.
    pub allow: Vec<IpNet>,
    /// File with the bearer token that `/metrics` asks for; `None` asks for none, and is for this machine only.
    pub token: Option<PathBuf>,
    /// `None` speaks plain HTTP, which is for loopback only. [`HttpTls::SelfSigned`] is the certificate that DICOMweb
    /// has. No client certificate is asked for.
    pub tls: Option<HttpTls>,
}

impl MetricsSettings {
    /// What monitoring may ask: a scrape and a look at the health every few seconds.
    pub fn limits() -> HttpLimits {
        HttpLimits {
            connections: 16,
            connections_per_peer: 8,
            streams: 8,
            requests_per_second: 10,
            request_burst: 50,
            header_bytes: 8 << 10,
            header_timeout: Duration::from_secs(5),
            ..HttpLimits::default()
        }
    }
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { listen: None, allow: loopback_networks(), token: None, tls: None }
    }
}
