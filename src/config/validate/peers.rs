//! Peers that we connect to, and the standing searches that name them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::fragment::{Availability, Destination, Fragment, Standing};
use super::super::settings::{
    AvailabilitySettings, DestinationSettings, DimsePeer, DimseSettings, PeerTls, StandingSettings,
};
use super::super::text;
use super::{PAIR, Validation, bounds};

impl Validation<'_> {
    pub(super) fn destinations(&mut self, fragment: &Fragment) -> BTreeMap<String, DestinationSettings> {
        let sections = fragment.destination.iter();
        sections.map(|(name, section)| (name.clone(), self.destination(name, section))).collect()
    }

    fn destination(&mut self, name: &str, section: &Destination) -> DestinationSettings {
        let default = DestinationSettings::default();
        let at = |key: &str| format!("destination.{name}.{key}");
        let allow_plain = section.allow_plain.unwrap_or(default.allow_plain);
        let url = section.url.as_deref().filter(|url| !url.is_empty());
        let url = url.and_then(|url| self.typed(&at("url"), text::service_url(url)));
        if url.as_ref().is_some_and(|url| url.exposed) && !allow_plain {
            self.report(
                &[&at("url"), &at("allow_plain")],
                "is plain HTTP to another host: instances would be readable on the way",
                format!("https://, or {} = true within a trusted network", at("allow_plain")),
            );
        }
        let retry = bounds::milliseconds(section.retry_ms, default.retry);
        let retry_max = bounds::seconds(section.retry_max_seconds, default.retry_max);
        if retry > retry_max {
            self.at_most(&at("retry_ms"), &at("retry_max_seconds"));
        }
        DestinationSettings {
            url: url.map(|url| url.url).unwrap_or_default(),
            mode: section.mode.unwrap_or(default.mode),
            ca: section.ca.as_deref().map_or(default.ca, PathBuf::from),
            identity: self.pair(
                &format!("destination.{name}"),
                section.certificate.as_deref(),
                section.key.as_deref(),
            ),
            token: section.token.as_deref().and_then(text::path),
            allow_plain,
            http: section.http.unwrap_or(default.http),
            connections: section.connections.unwrap_or(default.connections),
            batch: section.batch.unwrap_or(default.batch),
            rotate: bounds::seconds(section.rotate_seconds, default.rotate),
            rotate_bytes: section.rotate_bytes.unwrap_or(default.rotate_bytes),
            connect: bounds::seconds(section.connect_seconds, default.connect),
            send_timeout: bounds::milliseconds(section.send_timeout_ms, default.send_timeout),
            response: bounds::seconds(section.response_seconds, default.response),
            retry,
            retry_max,
        }
    }

    pub(super) fn standing(&mut self, fragment: &Fragment) -> BTreeMap<String, StandingSettings> {
        let sections = fragment.subscription.iter();
        sections.map(|(name, section)| (name.clone(), self.subscription(name, section, fragment))).collect()
    }

    fn subscription(&mut self, name: &str, section: &Standing, fragment: &Fragment) -> StandingSettings {
        let at = |key: &str| format!("subscription.{name}.{key}");
        let principal = set(section.principal.as_ref());
        let destination = set(section.destination.as_ref());
        let transfer_syntax = set(section.transfer_syntax.as_ref());
        let rendered = section.representation.as_deref() == Some("rendered");
        if let Some(name) = &principal {
            self.exists(&at("principal"), "principal", name, &fragment.principal);
        }
        if let Some(name) = &destination {
            self.exists(&at("destination"), "destination", name, &fragment.destination);
        }
        if rendered && transfer_syntax.is_some() {
            self.report(
                &[&at("transfer_syntax"), &at("representation")],
                "stands beside a rendered representation, which has no transfer syntax",
                "one of the two",
            );
        }
        StandingSettings {
            search: section.search.clone().unwrap_or_default(),
            filter: section.filter.as_ref().map(|filter| filter.0.clone()).unwrap_or_default(),
            subscriber: section.subscriber.clone().unwrap_or_default(),
            principal,
            destination,
            rate: section.rate.filter(|rate| *rate > 0.0),
            from: section.from.clone().unwrap_or_default(),
            transfer_syntax,
            rendered,
        }
    }

    pub(super) fn availability(&mut self, fragment: &Fragment) -> BTreeMap<String, AvailabilitySettings> {
        let ours = our_ae_title(fragment);
        let sections = fragment.availability.iter();
        sections.map(|(name, section)| (name.clone(), self.notified(name, section, &ours))).collect()
    }

    fn notified(&mut self, name: &str, section: &Availability, ours: &str) -> AvailabilitySettings {
        let retrieve_url = section.retrieve_url.as_deref().unwrap_or_default();
        let key = format!("availability.{name}.retrieve_url");
        let retrieve_url = self.typed(&key, text::service_url_or_none(retrieve_url)).flatten();
        AvailabilitySettings {
            peer: DimsePeer {
                address: section.address.clone().unwrap_or_default(),
                ae_title: section.ae_title.clone().unwrap_or_default(),
                calling_ae_title: set(section.calling_ae_title.as_ref()).unwrap_or_else(|| ours.to_owned()),
                tls: self.peer_tls(
                    &format!("availability.{name}"),
                    section.ca.as_deref(),
                    section.certificate.as_deref(),
                    section.key.as_deref(),
                ),
            },
            retrieve_url: retrieve_url.map(|url| url.url).unwrap_or_default(),
        }
    }

    /// TLS towards a DIMSE peer: roots, and our own certificate and key where it asks for them.
    pub(super) fn peer_tls(
        &mut self,
        section: &str,
        ca: Option<&str>,
        certificate: Option<&str>,
        key: Option<&str>,
    ) -> Option<PeerTls> {
        let before = self.problems.len();
        let identity = self.pair(section, certificate, key);
        let ca = ca.and_then(text::path);
        if ca.is_none() && identity.is_some() && self.problems.len() == before {
            let what = "stands without roots to check the peer by: the connection would be plain";
            let certificate = format!("{section}.certificate");
            self.report(&[&certificate], what, format!("{section}.ca with it; {PAIR}"));
        }
        ca.map(|ca| PeerTls { ca, identity })
    }
}

/// `dimse.ae_title`, which peers are called by unless their section says otherwise.
pub(super) fn our_ae_title(fragment: &Fragment) -> String {
    fragment.dimse.ae_title.clone().unwrap_or_else(|| DimseSettings::default().ae_title)
}

/// A text that is not empty.
pub(super) fn set(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}
