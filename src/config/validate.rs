//! The merged fragment becomes [`Settings`]. Each value alone has been checked where it stands;
//! here is what only shows when values are seen together: certificates and keys, listeners that
//! want one port, limits that contradict each other. A problem is reported at the topmost layer
//! that sets one of the keys concerned.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::fragment::{Dicomweb, Dimse, DimseBounds, Fragment, HttpBounds, Hub, Pattern, Service};
use super::layer::{Layer, Origins};
use super::origin::{Origin, Problem};
use super::settings::{
    DicomwebSettings, DimseLimits, DimseSettings, DimseTlsSettings, HttpLimits, HttpTls, HubSettings,
    PatternSettings, ServiceSettings, Settings, TlsIdentity,
};
use super::{keys, text};

/// Makes the settings, or says everything that is wrong. `whole` names the configuration for
/// problems about keys that no layer sets.
pub(super) fn settings(merged: &Layer, whole: &str) -> Result<Settings, Vec<Problem>> {
    let mut check = Validation { origins: &merged.origins, whole, problems: Vec::new() };
    let Fragment { hub, dimse, dicomweb, pattern, service } = &merged.fragment;
    let settings = Settings {
        hub: hub_settings(hub),
        dimse: check.dimse(dimse),
        dicomweb: check.dicomweb(dicomweb),
        pattern: pattern_settings(pattern),
        service: check.service(service),
        ..Settings::default()
    };
    check.listeners(&settings);
    check.limits(&settings);
    if check.problems.is_empty() { Ok(settings) } else { Err(check.problems) }
}

/// The problems of one configuration.
struct Validation<'l> {
    origins: &'l Origins,
    whole: &'l str,
    problems: Vec<Problem>,
}

impl Validation<'_> {
    /// Reports against the first of `keys`, at the first of them that a layer sets.
    fn report(&mut self, keys: &[&str], what: impl Into<String>, accepted: impl Into<String>) {
        let by_layer = keys.iter().copied().find_map(|key| match self.origins.get(key) {
            None | Some(Origin::BuiltIn) => None,
            Some(origin) => Some((key, origin.precise())),
        });
        let by_nobody = || (keys.first().copied().unwrap_or_default(), self.whole.to_owned());
        let (key, at) = by_layer.unwrap_or_else(by_nobody);
        let (key, accepted) = (Some(key.to_owned()), Some(accepted.into()));
        self.problems.push(Problem { at, key, what: what.into(), accepted });
    }

    /// A text that its key's own check has let through; what it does not, is reported once more.
    fn typed<T>(&mut self, key: &str, parsed: Result<T, String>) -> Option<T> {
        parsed
            .map_err(|what| {
                let accepted = keys::find(key).map(|key| key.kind.accepted());
                self.report(&[key], what, accepted.unwrap_or_default());
            })
            .ok()
    }

    fn listener(&mut self, key: &str, text: Option<&str>, default: Option<SocketAddr>) -> Option<SocketAddr> {
        match text {
            Some(text) => self.typed(key, text::listener(text)).flatten(),
            None => default,
        }
    }

    /// Networks that are let in. An empty list would shut everybody out of an open listener, and
    /// is easily written for its opposite.
    fn networks(&mut self, key: &str, texts: Option<&[String]>, default: Vec<IpNet>) -> Vec<IpNet> {
        let Some(texts) = texts else { return default };
        if texts.is_empty() {
            self.report(
                &[key],
                "lets nobody in",
                "at least one network; [\"0.0.0.0/0\", \"::/0\"] lets everybody in",
            );
        }
        texts.iter().filter_map(|text| self.typed(key, text::network(text))).collect()
    }

    /// The files of one `tls` section; `None` when none is named or one is missing.
    fn identity(&mut self, section: &str, files: [Option<&str>; 3]) -> Option<TlsIdentity> {
        let names = ["certificate", "key", "client_ca"].map(|name| format!("{section}.{name}"));
        let [certificate_key, key_key, client_ca_key] = names.each_ref().map(String::as_str);
        let [certificate, key, client_ca] = files.map(|file| file.and_then(text::path));
        match (certificate, key, client_ca) {
            (Some(certificate), Some(key), client_ca) => Some(TlsIdentity::new(certificate, key, client_ca)),
            (Some(_), None, _) => {
                self.report(&[key_key, certificate_key], format!("{key_key} is not set"), PAIR);
                None
            }
            (None, Some(_), _) => {
                self.report(&[certificate_key, key_key], format!("{certificate_key} is not set"), PAIR);
                None
            }
            (None, None, Some(_)) => {
                self.report(&[client_ca_key], "stands without a certificate and key of our own", PAIR);
                None
            }
            (None, None, None) => None,
        }
    }

    fn dimse(&mut self, dimse: &Dimse) -> DimseSettings {
        let default = DimseSettings::default();
        DimseSettings {
            listen: self.listener("dimse.listen", dimse.listen.as_deref(), default.listen),
            tls: self.dimse_tls(dimse),
            ae_title: dimse.ae_title.clone().unwrap_or(default.ae_title),
            accept_any_called_ae_title: dimse
                .accept_any_called_ae_title
                .unwrap_or(default.accept_any_called_ae_title),
            calling_ae_titles: dimse.calling_ae_titles.clone().unwrap_or(default.calling_ae_titles),
            allow: self.networks("dimse.allow", dimse.allow.as_deref(), default.allow),
            private_sop_classes: dimse.private_sop_classes.clone().unwrap_or(default.private_sop_classes),
            limits: dimse_limits(&dimse.limits),
        }
    }

    /// The listener is for mutual TLS: it needs all three files.
    fn dimse_tls(&mut self, dimse: &Dimse) -> Option<DimseTlsSettings> {
        let tls = &dimse.tls;
        let before = self.problems.len();
        let listen = self.listener("dimse.tls.listen", tls.listen.as_deref(), None);
        let files = [tls.certificate.as_deref(), tls.key.as_deref(), tls.client_ca.as_deref()];
        let identity = self.identity("dimse.tls", files);
        let listen = listen?;
        let identity = identity.filter(|identity| identity.client_ca.is_some());
        if identity.is_none() && self.problems.len() == before {
            self.report(
                &["dimse.tls.listen"],
                "is set without all files of mutual TLS",
                "dimse.tls.certificate, dimse.tls.key and dimse.tls.client_ca with it",
            );
        }
        Some(DimseTlsSettings { listen, identity: identity? })
    }

    fn dicomweb(&mut self, dicomweb: &Dicomweb) -> DicomwebSettings {
        let default = DicomwebSettings::default();
        let listen = dicomweb.listen.as_deref();
        let listen = listen.and_then(|text| self.typed("dicomweb.listen", text::address(text)));
        DicomwebSettings {
            listen: listen.unwrap_or(default.listen),
            tls: self.dicomweb_tls(dicomweb),
            allow: self.networks("dicomweb.allow", dicomweb.allow.as_deref(), default.allow),
            cors_origins: dicomweb.cors_origins.clone().unwrap_or(default.cors_origins),
            limits: http_limits(&dicomweb.limits),
        }
    }

    fn dicomweb_tls(&mut self, dicomweb: &Dicomweb) -> HttpTls {
        let tls = &dicomweb.tls;
        let before = self.problems.len();
        let files = [tls.certificate.as_deref(), tls.key.as_deref(), tls.client_ca.as_deref()];
        let named = files.iter().any(|file| file.is_some_and(|path| !path.is_empty()));
        if tls.self_signed == Some(true) {
            if named {
                self.report(
                    &["dicomweb.tls.self_signed"],
                    "stands beside certificate files",
                    "either the files, or self_signed without them",
                );
            }
            return HttpTls::SelfSigned;
        }
        match self.identity("dicomweb.tls", files) {
            Some(identity) => HttpTls::Files(identity),
            None => {
                if self.problems.len() == before {
                    let keys = ["dicomweb.tls.certificate", "dicomweb.tls.key", "dicomweb.tls.self_signed"];
                    self.report(
                        &keys[..1],
                        "is not set",
                        format!("{PAIR}; for trials only: {} = true", keys[2]),
                    );
                }
                // Never used: the problem above keeps these settings from being handed out.
                HttpTls::SelfSigned
            }
        }
    }

    fn service(&mut self, service: &Service) -> ServiceSettings {
        let default = ServiceSettings::default();
        let metrics = service.metrics_listen.as_deref();
        ServiceSettings {
            drain: seconds(service.drain_seconds, default.drain),
            log: service.log.clone().unwrap_or(default.log),
            log_format: service.log_format.unwrap_or(default.log_format),
            metrics_listen: self.listener("service.metrics_listen", metrics, default.metrics_listen),
        }
    }

    fn listeners(&mut self, settings: &Settings) {
        let open: Vec<(&str, SocketAddr)> = [
            ("dimse.listen", settings.dimse.listen),
            ("dimse.tls.listen", settings.dimse.tls.as_ref().map(|tls| tls.listen)),
            ("dicomweb.listen", Some(settings.dicomweb.listen)),
            ("service.metrics_listen", settings.service.metrics_listen),
        ]
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?)))
        .collect();
        for (at, (key, address)) in open.iter().enumerate() {
            for (earlier, taken) in open.iter().take(at) {
                if collide(*address, *taken) {
                    let what = format!("{address} collides with {earlier}, {taken}");
                    self.report(&[key, earlier], what, "an address and port of its own for each listener");
                }
            }
        }
    }

    fn limits(&mut self, settings: &Settings) {
        let (hub, dimse) = (&settings.hub, &settings.dimse.limits);
        let (http, pattern) = (&settings.dicomweb.limits, &settings.pattern);
        if hub.linger > hub.quiet {
            self.report(
                &["hub.linger_ms", "hub.quiet_seconds"],
                "hub.linger_ms is longer than hub.quiet_seconds",
                "a linger within the quiet time",
            );
        }
        if dimse.associations_per_peer > dimse.associations {
            self.at_most("dimse.limits.associations_per_peer", "dimse.limits.associations");
        }
        if http.connections_per_peer > http.connections {
            self.at_most("dicomweb.limits.connections_per_peer", "dicomweb.limits.connections");
        }
        if u64::try_from(dimse.frame_bytes).is_ok_and(|frame| frame > hub.budget_bytes) {
            self.at_most("dimse.limits.frame_bytes", "hub.budget_bytes");
        }
        if pattern.color && pattern.bits != 8 {
            self.report(
                &["pattern.color", "pattern.bits"],
                "colour has 8 bits",
                "pattern.bits = 8 with colour",
            );
        }
        let samples = if pattern.color { 3 } else { u64::from(pattern.bits).div_ceil(8) };
        let frame = u64::from(pattern.rows) * u64::from(pattern.columns) * samples;
        if pattern.enabled && frame > hub.budget_bytes {
            self.report(
                &["pattern.rows", "pattern.columns", "hub.budget_bytes"],
                format!("a frame of the pattern has {frame} bytes"),
                "a frame within hub.budget_bytes",
            );
        }
    }

    fn at_most(&mut self, smaller: &str, larger: &str) {
        self.report(
            &[smaller, larger],
            format!("{smaller} is more than {larger}"),
            format!("at most {larger}"),
        );
    }
}

const PAIR: &str = "path of a PEM file, certificate and key together";

/// Whether two listeners want the same port of the same address. The unspecified IPv6 address may
/// take the port of the IPv4 ones too.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || all.is_ipv4() == one.is_ipv4())
    };
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn seconds(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_secs)
}

fn milliseconds(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_millis)
}

fn hub_settings(hub: &Hub) -> HubSettings {
    let default = HubSettings::default();
    HubSettings {
        budget_bytes: hub.budget_bytes.unwrap_or(default.budget_bytes),
        max_age: seconds(hub.max_age_seconds, default.max_age),
        quiet: seconds(hub.quiet_seconds, default.quiet),
        linger: milliseconds(hub.linger_ms, default.linger),
        max_series: hub.max_series.unwrap_or(default.max_series),
    }
}

fn dimse_limits(limits: &DimseBounds) -> DimseLimits {
    let default = DimseLimits::default();
    DimseLimits {
        associations: limits.associations.unwrap_or(default.associations),
        associations_per_peer: limits.associations_per_peer.unwrap_or(default.associations_per_peer),
        pdu_bytes: limits.pdu_bytes.unwrap_or(default.pdu_bytes),
        head_bytes: limits.head_bytes.unwrap_or(default.head_bytes),
        frame_bytes: limits.frame_bytes.unwrap_or(default.frame_bytes),
        frames: limits.frames.unwrap_or(default.frames),
        elements: limits.elements.unwrap_or(default.elements),
        nesting: limits.nesting.unwrap_or(default.nesting),
        handshake: seconds(limits.handshake_seconds, default.handshake),
        idle: seconds(limits.idle_seconds, default.idle),
        stall: seconds(limits.stall_seconds, default.stall),
    }
}

fn http_limits(limits: &HttpBounds) -> HttpLimits {
    let default = HttpLimits::default();
    HttpLimits {
        connections: limits.connections.unwrap_or(default.connections),
        connections_per_peer: limits.connections_per_peer.unwrap_or(default.connections_per_peer),
        streams: limits.streams.unwrap_or(default.streams),
        requests_per_second: limits.requests_per_second.unwrap_or(default.requests_per_second),
        request_burst: limits.request_burst.unwrap_or(default.request_burst),
        header_bytes: limits.header_bytes.unwrap_or(default.header_bytes),
        header_timeout: seconds(limits.header_timeout_seconds, default.header_timeout),
        idle: seconds(limits.idle_seconds, default.idle),
        send_timeout: milliseconds(limits.send_timeout_ms, default.send_timeout),
        search_results: limits.search_results.unwrap_or(default.search_results),
    }
}

fn pattern_settings(pattern: &Pattern) -> PatternSettings {
    let default = PatternSettings::default();
    PatternSettings {
        enabled: pattern.enabled.unwrap_or(default.enabled),
        rows: pattern.rows.unwrap_or(default.rows),
        columns: pattern.columns.unwrap_or(default.columns),
        bits: pattern.bits.unwrap_or(default.bits),
        color: pattern.color.unwrap_or(default.color),
        fps: pattern.fps.unwrap_or(default.fps),
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    /// Loads from variables alone: `DIMSE__LISTEN` and value.
    fn from(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let env = variables.iter().map(|(name, value)| (format!("FRAMEGATE_{name}"), (*value).to_owned()));
        load(None, env.collect::<Vec<_>>().into_iter())
            .map(|loaded| loaded.settings)
            .map_err(|errors| errors.problems.iter().map(ToString::to_string).collect())
    }

    fn refused(variables: &[(&str, &str)], part: &str) {
        let problems = from(variables).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(part), "{problems:?}");
    }

    #[test]
    fn certificate_and_key_are_named_together() {
        refused(&[("DICOMWEB__TLS__CERTIFICATE", "/c")], "dicomweb.tls.key is not set");
        refused(&[("DICOMWEB__TLS__KEY", "/k")], "dicomweb.tls.certificate is not set");
        refused(&[("DICOMWEB__TLS__CLIENT_CA", "/a")], "dicomweb.tls.client_ca: stands without");
        refused(&[("DIMSE__TLS__CERTIFICATE", "/c")], "dimse.tls.key is not set");
        let both = [("DICOMWEB__TLS__CERTIFICATE", "/c"), ("DICOMWEB__TLS__KEY", "/k")];
        let HttpTls::Files(identity) = from(&both).unwrap().dicomweb.tls else { panic!("files") };
        assert_eq!(identity, TlsIdentity::new("/c".into(), "/k".into(), None));
        let all = [both[0], both[1], ("DICOMWEB__TLS__SELF_SIGNED", "true")];
        refused(&all, "FRAMEGATE_DICOMWEB__TLS__SELF_SIGNED: dicomweb.tls.self_signed: stands beside");
    }

    #[test]
    fn dimse_tls_is_mutual() {
        let listen = ("DIMSE__TLS__LISTEN", "127.0.0.1:2762");
        let (certificate, key) = (("DIMSE__TLS__CERTIFICATE", "/c"), ("DIMSE__TLS__KEY", "/k"));
        refused(&[listen], "dimse.tls.listen: is set without");
        refused(&[listen, certificate, key], "dimse.tls.listen: is set without");
        let whole = from(&[listen, certificate, key, ("DIMSE__TLS__CLIENT_CA", "/a")]).unwrap();
        assert_eq!(whole.dimse.tls.unwrap().identity.client_ca, Some("/a".into()));
        assert_eq!(from(&[certificate, key]).unwrap().dimse.tls, None);
    }

    #[test]
    fn listeners_have_ports_of_their_own() {
        refused(&[("DIMSE__LISTEN", "127.0.0.1:8443")], "127.0.0.1:8443 collides with dimse.listen");
        refused(&[("DIMSE__LISTEN", "0.0.0.0:8443")], "collides");
        refused(&[("DIMSE__LISTEN", "[::]:8443")], "collides");
        for fine in ["127.0.0.2:8443", "[::1]:8443", "127.0.0.1:8444", "127.0.0.1:0", ""] {
            assert!(from(&[("DIMSE__LISTEN", fine)]).is_ok(), "{fine}");
        }
        assert!(from(&[("DIMSE__LISTEN", "127.0.0.1:0"), ("DICOMWEB__LISTEN", "127.0.0.1:0")]).is_ok());
        assert_eq!(from(&[("DIMSE__LISTEN", "")]).unwrap().dimse.listen, None);
    }

    #[test]
    fn limits_do_not_contradict_each_other() {
        refused(&[("DIMSE__LIMITS__ASSOCIATIONS", "8")], "associations_per_peer is more than");
        refused(&[("DICOMWEB__LIMITS__CONNECTIONS_PER_PEER", "257")], "connections_per_peer is more than");
        refused(&[("HUB__BUDGET_BYTES", "1048576")], "frame_bytes is more than hub.budget_bytes");
        refused(&[("HUB__QUIET_SECONDS", "1")], "hub.linger_ms is longer");
        refused(&[("PATTERN__COLOR", "true"), ("PATTERN__BITS", "12")], "colour has 8 bits");
        let large = [("PATTERN__ROWS", "1024"), ("PATTERN__COLUMNS", "1025"), ("PATTERN__ENABLED", "true")];
        let small = [("HUB__BUDGET_BYTES", "1048576"), ("DIMSE__LIMITS__FRAME_BYTES", "4096")];
        refused(&[large.as_slice(), &small].concat(), "a frame of the pattern has 1049600 bytes");
        assert!(from(&[large.as_slice(), &small].concat()[..2]).is_ok());
    }

    #[test]
    fn nobody_is_shut_out_by_an_empty_list() {
        refused(&[("DICOMWEB__ALLOW", "")], "dicomweb.allow: lets nobody in");
        let any = from(&[("DIMSE__CALLING_AE_TITLES", "")]).unwrap();
        assert!(any.dimse.calling_ae_titles.is_empty());
    }

    #[test]
    fn contradictions_are_reported_together() {
        let problems = from(&[
            ("DIMSE__LISTEN", "127.0.0.1:8443"),
            ("DIMSE__LIMITS__ASSOCIATIONS", "8"),
            ("DICOMWEB__TLS__KEY", "/k"),
        ]);
        assert_eq!(problems.unwrap_err().len(), 3);
    }
}
