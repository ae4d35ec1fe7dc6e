//! What is scheduled and what was performed: worklists, each reached by DIMSE or over the web, and the
//! peers that are told of performed procedure steps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::fragment::{Fragment, Mpps, Worklist};
use super::super::settings::{
    DestinationSettings, DimsePeer, MppsSettings, WebPeer, WorklistPeer, WorklistSettings,
};
use super::super::text;
use super::peers::{our_ae_title, set};
use super::{Validation, bounds};

impl Validation<'_> {
    pub(super) fn worklists(&mut self, fragment: &Fragment) -> BTreeMap<String, WorklistSettings> {
        let ours = our_ae_title(fragment);
        let sections = fragment.worklist.iter();
        sections.map(|(name, section)| (name.clone(), self.worklist(name, section, &ours))).collect()
    }

    fn worklist(&mut self, name: &str, section: &Worklist, ours: &str) -> WorklistSettings {
        let peer = match set(section.url.as_ref()) {
            Some(url) => WorklistPeer::Web(self.web_worklist(name, section, &url)),
            None => WorklistPeer::Dimse(self.dimse_worklist(name, section, ours)),
        };
        WorklistSettings {
            peer,
            station_ae_titles: section.station_ae_titles.clone().unwrap_or_default(),
            modality: section.modality.clone().unwrap_or_default(),
            days_before: section.days_before.unwrap_or(WorklistSettings::DAYS_BEFORE),
            days_after: section.days_after.unwrap_or(WorklistSettings::DAYS_AFTER),
            refresh: bounds::seconds(section.refresh_seconds, WorklistSettings::REFRESH),
            entries: section.entries.unwrap_or(WorklistSettings::ENTRIES),
        }
    }

    fn dimse_worklist(&mut self, name: &str, section: &Worklist, ours: &str) -> DimsePeer {
        let at = |key: &str| format!("worklist.{name}.{key}");
        let whole = format!("worklist.{name}");
        let (address, ae_title) = (set(section.address.as_ref()), set(section.ae_title.as_ref()));
        if address.is_none() {
            let what = format!("neither {} nor {} is set", at("address"), at("url"));
            self.report(&[&at("address"), &whole], what, WAYS);
        } else if ae_title.is_none() {
            self.report(&[&at("ae_title"), &at("address")], format!("{} is not set", at("ae_title")), WAYS);
        }
        if set(section.token.as_ref()).is_some() {
            self.report(&[&at("token")], "stands without url: DIMSE has no bearer tokens", WAYS);
        }
        DimsePeer {
            address: address.unwrap_or_default(),
            ae_title: ae_title.unwrap_or_default(),
            calling_ae_title: set(section.calling_ae_title.as_ref()).unwrap_or_else(|| ours.to_owned()),
            tls: self.peer_tls(
                &whole,
                section.ca.as_deref(),
                section.certificate.as_deref(),
                section.key.as_deref(),
            ),
        }
    }

    fn web_worklist(&mut self, name: &str, section: &Worklist, url: &str) -> WebPeer {
        let at = |key: &str| format!("worklist.{name}.{key}");
        for (key, value) in [
            ("address", &section.address),
            ("ae_title", &section.ae_title),
            ("calling_ae_title", &section.calling_ae_title),
        ] {
            if set(value.as_ref()).is_some() {
                self.report(&[&at(key), &at("url")], format!("stands beside {}", at("url")), WAYS);
            }
        }
        let url = self.typed(&at("url"), text::service_url(url));
        if url.as_ref().is_some_and(|url| url.exposed) {
            self.report(
                &[&at("url")],
                "is plain HTTP to another host: names of patients would be readable on the way",
                "https://",
            );
        }
        WebPeer {
            url: url.map(|url| url.url).unwrap_or_default(),
            ca: set(section.ca.as_ref()).map_or(DestinationSettings::default().ca, PathBuf::from),
            identity: self.pair(
                &format!("worklist.{name}"),
                section.certificate.as_deref(),
                section.key.as_deref(),
            ),
            token: section.token.as_deref().and_then(text::path),
        }
    }

    pub(super) fn mpps(&mut self, fragment: &Fragment) -> BTreeMap<String, MppsSettings> {
        for (capture, section) in &fragment.capture {
            if let Some(name) = set(section.mpps.as_ref()) {
                self.exists(&format!("capture.{capture}.mpps"), "mpps", &name, &fragment.mpps);
            }
        }
        let ours = our_ae_title(fragment);
        let sections = fragment.mpps.iter();
        sections.map(|(name, section)| (name.clone(), self.performed(name, section, &ours))).collect()
    }

    fn performed(&mut self, name: &str, section: &Mpps, ours: &str) -> MppsSettings {
        MppsSettings {
            peer: DimsePeer {
                address: section.address.clone().unwrap_or_default(),
                ae_title: section.ae_title.clone().unwrap_or_default(),
                calling_ae_title: set(section.calling_ae_title.as_ref()).unwrap_or_else(|| ours.to_owned()),
                tls: self.peer_tls(
                    &format!("mpps.{name}"),
                    section.ca.as_deref(),
                    section.certificate.as_deref(),
                    section.key.as_deref(),
                ),
            },
        }
    }
}

const WAYS: &str = "address and ae_title, for C-FIND; or url, for a search over the web";
