//! Relays, each of which must know its associations from those of the others, and the spool that they may
//! need.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fragment::{Fragment, Relay, Spool};
use super::super::settings::{RelaySettings, SpoolSettings, WhenUnreachable};
use super::super::text;
use super::peers::set;
use super::{Validation, bounds};

impl Validation<'_> {
    pub(super) fn relays(&mut self, fragment: &Fragment) -> BTreeMap<String, RelaySettings> {
        let sections = fragment.relay.iter();
        let relays: BTreeMap<_, _> =
            sections.map(|(name, section)| (name.clone(), self.relay(name, section, fragment))).collect();
        let mut before: Vec<(&String, &RelaySettings)> = Vec::new();
        for (name, relay) in &relays {
            if let Some((other, _)) = before.iter().find(|(_, other)| overlap(relay, other)) {
                let at = |name: &str, key: &str| format!("relay.{name}.{key}");
                self.report(
                    &[&at(name, "called_ae_title"), &at(other, "called_ae_title")],
                    format!("is passed on by [relay.{other}] too, for some calling AE titles at least"),
                    format!("another one, or calling_ae_titles that [relay.{other}] does not have"),
                );
            }
            before.push((name, relay));
        }
        relays
    }

    fn relay(&mut self, name: &str, section: &Relay, fragment: &Fragment) -> RelaySettings {
        let default = RelaySettings::default();
        let at = |key: &str| format!("relay.{name}.{key}");
        let when_unreachable = section.when_unreachable.unwrap_or(default.when_unreachable);
        let has_spool = fragment.spool.directory.as_deref().and_then(text::path).is_some();
        if when_unreachable == WhenUnreachable::Spool && !has_spool {
            let what = "wants a spool, and there is none";
            self.report(
                &[&at("when_unreachable")],
                what,
                "spool.directory with it, \"reject\" or \"stream\"",
            );
        }
        let listen = section.listen.as_deref().unwrap_or_default();
        RelaySettings {
            called_ae_title: section.called_ae_title.clone().unwrap_or_default(),
            calling_ae_titles: section.calling_ae_titles.clone().unwrap_or_default(),
            address: section.address.clone().unwrap_or_default(),
            upstream_called_ae_title: set(section.upstream_called_ae_title.as_ref()),
            upstream_calling_ae_title: set(section.upstream_calling_ae_title.as_ref()),
            listen: self.typed(&at("listen"), text::listener(listen)).flatten(),
            tls: self.peer_tls(
                &format!("relay.{name}"),
                section.ca.as_deref(),
                section.certificate.as_deref(),
                section.key.as_deref(),
            ),
            stream: section.stream.unwrap_or(default.stream),
            when_unreachable,
            connect: bounds::seconds(section.connect_seconds, default.connect),
            idle: bounds::seconds(section.idle_seconds, default.idle),
        }
    }

    pub(super) fn spool(&mut self, section: &Spool) -> SpoolSettings {
        let default = SpoolSettings::default();
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3600));
        SpoolSettings {
            directory: section.directory.as_deref().and_then(text::path),
            key_file: section.key_file.as_deref().and_then(text::path),
            max_bytes: section.max_bytes.unwrap_or(default.max_bytes),
            free_bytes: section.free_bytes.unwrap_or(default.free_bytes),
            max_age: section.max_age_hours.map_or(default.max_age, hours),
        }
    }
}

/// Whether an association could be meant for both.
fn overlap(one: &RelaySettings, other: &RelaySettings) -> bool {
    let (ours, theirs) = (&one.calling_ae_titles, &other.calling_ae_titles);
    one.called_ae_title == other.called_ae_title
        && !one.called_ae_title.is_empty()
        && ((ours.is_empty() && theirs.is_empty()) || ours.iter().any(|title| theirs.contains(title)))
}
