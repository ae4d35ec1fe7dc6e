//! The merged fragment becomes [`Settings`]. Each value alone has been checked where it stands;
//! here is what only shows when values are seen together: certificates and keys, listeners that
//! want one port, limits that contradict each other, names of sections that there are not. A problem
//! is reported at the topmost layer that sets one of the keys concerned.

mod access;
mod audit;
mod bounds;
mod capture;
mod console;
mod listening;
mod metrics;
mod peers;
mod procedure;
mod relay;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::fragment::Fragment;
use super::keys::{self, KEYS, MOST_NAMED};
use super::layer::{Layer, Origins};
use super::origin::{Origin, Problem};
use super::settings::Settings;
use super::text;

/// Makes the settings, or says everything that is wrong. `whole` names the configuration for
/// problems about keys that no layer sets.
pub(super) fn settings(merged: &Layer, whole: &str) -> Result<Settings, Vec<Problem>> {
    let mut check = Validation { origins: &merged.origins, whole, problems: Vec::new() };
    let fragment = &merged.fragment;
    check.names(fragment);
    let dimse = check.dimse(&fragment.dimse);
    let dicomweb = check.dicomweb(&fragment.dicomweb);
    let settings = Settings {
        hub: bounds::hub(&fragment.hub),
        console: check.console(&fragment.console, &dicomweb.tls),
        metrics: check.metrics(&fragment.metrics, &dicomweb.tls),
        dicomweb,
        access: check.access(fragment),
        send: bounds::send(&fragment.send, &dimse),
        dimse,
        subscriptions: bounds::subscriptions(&fragment.subscriptions),
        captures: check.captures(fragment),
        destinations: check.destinations(fragment),
        standing: check.standing(fragment),
        availability: check.availability(fragment),
        relays: check.relays(fragment),
        spool: check.spool(&fragment.spool),
        worklists: check.worklists(fragment),
        mpps: check.mpps(fragment),
        audit: check.audit(&fragment.audit),
        pattern: bounds::pattern(&fragment.pattern),
        service: check.service(&fragment.service),
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

    /// Of each kind of named section there are not too many, and what has no default is set.
    fn names(&mut self, fragment: &Fragment) {
        self.names_of("principal", &fragment.principal);
        self.names_of("destination", &fragment.destination);
        self.names_of("subscription", &fragment.subscription);
        self.names_of("availability", &fragment.availability);
        self.names_of("relay", &fragment.relay);
        self.names_of("worklist", &fragment.worklist);
        self.names_of("mpps", &fragment.mpps);
        self.names_of("capture", &fragment.capture);
    }

    fn names_of<T>(&mut self, kind: &str, sections: &BTreeMap<String, T>) {
        if let Some(name) = sections.keys().nth(MOST_NAMED) {
            let what = format!("is one of {} sections", sections.len());
            self.report(&[&format!("{kind}.{name}")], what, keys::at_most_named(kind));
        }
        for name in sections.keys() {
            for key in KEYS.iter().filter(|key| key.required && key.named() == Some(kind)) {
                let path = key.at(name);
                if !self.origins.contains_key(&path) {
                    let what = format!("{path} is not set");
                    self.report(&[&path, &format!("{kind}.{name}")], what, key.kind.accepted());
                }
            }
        }
    }

    /// A section that another one names, such as a destination that a subscription pushes to.
    fn exists<T>(&mut self, key: &str, kind: &str, name: &str, sections: &BTreeMap<String, T>) {
        if sections.contains_key(name) {
            return;
        }
        let what = match keys::nearest(name, sections.keys()) {
            Some(near) => format!("there is no [{kind}.{name}]; did you mean {near}?"),
            None => format!("there is no [{kind}.{name}]"),
        };
        self.report(&[key], what, format!("the name of a section [{kind}.NAME]"));
    }

    /// Certificate and key, both or none.
    fn pair(
        &mut self,
        section: &str,
        certificate: Option<&str>,
        key: Option<&str>,
    ) -> Option<(PathBuf, PathBuf)> {
        let [certificate_key, key_key] = ["certificate", "key"].map(|name| format!("{section}.{name}"));
        match (certificate.and_then(text::path), key.and_then(text::path)) {
            (Some(certificate), Some(key)) => return Some((certificate, key)),
            (Some(_), None) => {
                self.report(&[&key_key, &certificate_key], format!("{key_key} is not set"), PAIR);
            }
            (None, Some(_)) => {
                let what = format!("{certificate_key} is not set");
                self.report(&[&certificate_key, &key_key], what, PAIR);
            }
            (None, None) => {}
        }
        None
    }

    fn listeners(&mut self, settings: &Settings) {
        let relays =
            settings.relays.iter().map(|(name, relay)| (format!("relay.{name}.listen"), relay.listen));
        let open: Vec<(String, SocketAddr)> = [
            ("dimse.listen", settings.dimse.listen),
            ("dimse.tls.listen", settings.dimse.tls.as_ref().map(|tls| tls.listen)),
            ("dicomweb.listen", Some(settings.dicomweb.listen)),
            ("console.listen", settings.console.listen),
            ("metrics.listen", settings.metrics.listen),
        ]
        .into_iter()
        .map(|(key, address)| (key.to_owned(), address))
        .chain(relays)
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
        let subscriptions = &settings.subscriptions;
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
        if u64::try_from(settings.send.frame_bytes).is_ok_and(|frame| frame > hub.budget_bytes) {
            self.at_most("send.limits.frame_bytes", "hub.budget_bytes");
        }
        if subscriptions.per_subscriber > subscriptions.total {
            self.at_most("subscriptions.per_subscriber", "subscriptions.total");
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

#[cfg(test)]
mod tests;
