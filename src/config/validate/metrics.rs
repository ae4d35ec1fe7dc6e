//! The metrics: whoever is not this machine shows a token, over TLS. What the section leaves out of certificate and key
//! is that of DICOMweb.

use std::path::PathBuf;

use ipnet::IpNet;

use super::super::fragment::Metrics;
use super::super::settings::{HttpTls, MetricsSettings, TlsIdentity, loopback_networks};
use super::super::text;
use super::Validation;

impl Validation<'_> {
    pub(super) fn metrics(&mut self, metrics: &Metrics, dicomweb: &HttpTls) -> MetricsSettings {
        let default = MetricsSettings::default();
        let listen = self.listener("metrics.listen", metrics.listen.as_deref(), default.listen);
        let allow = self.networks("metrics.allow", metrics.allow.as_deref(), default.allow);
        let token = metrics.token.as_deref().and_then(text::path);
        let is_here = |network: &IpNet| loopback_networks().iter().any(|loopback| loopback.contains(network));
        if listen.is_some() && token.is_none() && !allow.iter().all(is_here) {
            self.report(
                &["metrics.token", "metrics.allow"],
                "metrics.token is not set, and metrics.allow lets in more than this machine",
                "path of a file with a bearer token, or loopback networks only",
            );
        }
        let own = self.pair("metrics", metrics.certificate.as_deref(), metrics.key.as_deref());
        let tls = match (own, listen) {
            (Some(own), _) => Some(files(own)),
            (None, Some(listen)) if !listen.ip().is_loopback() => Some(match dicomweb {
                HttpTls::Files(theirs) => files((theirs.certificate.clone(), theirs.key.clone())),
                HttpTls::SelfSigned => HttpTls::SelfSigned,
            }),
            (None, _) => None,
        };
        MetricsSettings { listen, allow, token, tls }
    }
}

fn files((certificate, key): (PathBuf, PathBuf)) -> HttpTls {
    HttpTls::Files(TlsIdentity::new(certificate, key, None))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{from, refused};
    use super::*;

    const FILES: [(&str, &str); 3] = [
        ("DICOMWEB__TLS__CERTIFICATE", "/c"),
        ("DICOMWEB__TLS__KEY", "/k"),
        ("DICOMWEB__TLS__CLIENT_CA", "/a"),
    ];
    const HERE: (&str, &str) = ("METRICS__LISTEN", "127.0.0.1:9100");
    const THERE: (&str, &str) = ("METRICS__LISTEN", "192.0.2.7:9100");
    const OWN: [(&str, &str); 2] = [("METRICS__CERTIFICATE", "/own"), ("METRICS__KEY", "/k")];

    fn tls(more: &[(&str, &str)]) -> Option<HttpTls> {
        from(&[&FILES, more].concat()).unwrap().metrics.tls
    }

    fn identity(certificate: &str) -> Option<HttpTls> {
        Some(files((certificate.into(), "/k".into())))
    }

    #[test]
    fn only_loopback_is_plain_and_no_client_certificate_is_asked_for() {
        assert_eq!(tls(&[]), None);
        assert_eq!(tls(&[HERE]), None);
        assert_eq!(tls(&[&[HERE][..], &OWN].concat()), identity("/own"));
        assert_eq!(tls(&[THERE]), identity("/c"));
        assert_eq!(tls(&[&[THERE][..], &OWN].concat()), identity("/own"));
        let signed = from(&[("DICOMWEB__TLS__SELF_SIGNED", "true"), THERE]).unwrap();
        assert_eq!(signed.metrics.tls, Some(HttpTls::SelfSigned));
    }

    #[test]
    fn whoever_is_not_this_machine_shows_a_token() {
        let asks = "metrics.token is not set";
        for networks in ["10.0.0.0/8", "127.0.0.1,10.0.0.0/8", "::/0", "126.0.0.0/7"] {
            refused(&[HERE, ("METRICS__ALLOW", networks)], asks);
            let with = [HERE, ("METRICS__ALLOW", networks), ("METRICS__TOKEN", "/t")];
            assert_eq!(from(&[&FILES, &with[..]].concat()).unwrap().metrics.token, Some("/t".into()));
        }
        for networks in ["127.0.0.1", "::1", "127.0.0.0/8,::1"] {
            tls(&[HERE, ("METRICS__ALLOW", networks)]);
        }
        // A listener that is closed asks nobody for anything.
        tls(&[("METRICS__ALLOW", "10.0.0.0/8")]);
    }

    #[test]
    fn half_of_a_pair_is_refused() {
        refused(&[HERE, OWN[0]], "metrics.key is not set");
    }
}
