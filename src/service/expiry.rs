//! Says when certificates come to their end: those that the listeners serve, those that we show to peers, and the roots
//! of our clients. Once when the last 60, 30 and 7 days begin, once when one is over, and once when it was renewed; at
//! the start whatever is due then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::events;
use crate::config::settings::{DimsePeer, HttpTls, PeerTls, Settings, WorklistPeer};
use crate::net::tls::{self, Reloading, Validity, ValidityState};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often files of certificates are read that nobody else looks at.
const READ: Duration = Duration::from_secs(60 * 60);

/// How far a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Good,
    /// So many days are left, or fewer.
    Within(u64),
    Expired,
    NotYetValid,
}

impl Stage {
    const WARNED: [u64; 3] = [7, 30, 60];

    fn of(validity: Validity, now: SystemTime) -> Self {
        match validity.state(now) {
            ValidityState::NotYetValid => Self::NotYetValid,
            ValidityState::Expired => Self::Expired,
            ValidityState::Valid => {
                let left = validity.not_after.duration_since(now).unwrap_or_default();
                let due =
                    Self::WARNED.into_iter().find(|&days| left <= DAY * u32::try_from(days).unwrap_or(0));
                due.map_or(Self::Good, Self::Within)
            }
        }
    }
}

/// Whose certificate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A listener serves it, or we show it to a peer.
    Ours,
    /// The certificates of clients chain to it.
    Root,
}

/// A certificate to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Section or key of the configuration.
    pub(super) what: String,
    whose: Whose,
    pub(super) validity: Validity,
}

/// What is to be told of one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    held: Held,
    stage: Stage,
}

impl Notice {
    fn log(&self, now: SystemTime) {
        let Held { what, whose, validity } = &self.held;
        let from = &httpdate::fmt_http_date(validity.not_before);
        let until = &httpdate::fmt_http_date(validity.not_after);
        match (self.stage, whose) {
            (Stage::Good, _) => events::CertificateGood { certificate: what, until }.tell(),
            (Stage::Within(_), _) => {
                let days = validity.days_left(now);
                events::CertificateExpires { certificate: what, days, until }.tell();
            }
            (Stage::Expired, Whose::Ours) => events::CertificateExpired { certificate: what, until }.tell(),
            (Stage::NotYetValid, Whose::Ours) => events::CertificateNotYet { certificate: what, from }.tell(),
            (Stage::Expired | Stage::NotYetValid, Whose::Root) => {
                events::RootNotValid { certificate: what, from, until }.tell();
            }
        }
    }
}

/// The listeners with TLS, by the section of each, and what was told of which certificate.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    listeners: Vec<(&'static str, Arc<Reloading>)>,
    told: BTreeMap<String, Stage>,
    /// What the files held when they were last read, and when that was.
    read: Option<(Instant, Vec<Held>)>,
}

impl Certificates {
    /// Those of `listeners`, of which nothing was told yet.
    pub(super) fn of(listeners: Vec<(&'static str, Arc<Reloading>)>) -> Self {
        Self { listeners, ..Self::default() }
    }

    /// What the listeners serve.
    pub(super) fn served(&self) -> impl Iterator<Item = &Reloading> {
        self.listeners.iter().map(|(_, tls)| &**tls)
    }

    /// Looks at everything at `now`, and logs what is news. Listeners are looked at every time; the files that
    /// `settings` name are read once an hour, or now if `all`. Call it where blocking is allowed.
    pub(super) fn mind(&mut self, settings: &Settings, all: bool, now: SystemTime) {
        let served = self.listeners.iter().map(|(name, tls)| Held {
            what: format!("{name}.tls.certificate"),
            whose: Whose::Ours,
            validity: tls.validity(),
        });
        let read = match self.read.take() {
            Some((at, read)) if !all && at.elapsed() < READ => (at, read),
            _ => (Instant::now(), in_files(settings)),
        };
        let held: Vec<_> = served.chain(read.1.iter().cloned()).collect();
        self.read = Some(read);
        self.news(held, now).iter().for_each(|notice| notice.log(now));
    }

    /// What is to be told of `held` at `now`, and was not told before.
    fn news(&mut self, held: Vec<Held>, now: SystemTime) -> Vec<Notice> {
        let before = std::mem::take(&mut self.told);
        let mut news = Vec::new();
        for held in held {
            let stage = Stage::of(held.validity, now);
            self.told.insert(held.what.clone(), stage);
            if before.get(&held.what).copied().unwrap_or(Stage::Good) != stage {
                news.push(Notice { held, stage });
            }
        }
        news
    }
}

/// Our certificates for peers, and the roots of our clients. A file that cannot be read is told by whoever uses it.
pub(super) fn in_files(settings: &Settings) -> Vec<Held> {
    let mut held = Vec::new();
    let mut look = |what: String, whose, file: Option<&Path>| {
        if let Some(validity) = file.and_then(|file| tls::validity(file).ok()) {
            held.push(Held { what, whose, validity });
        }
    };
    let web = match &settings.dicomweb.tls {
        HttpTls::Files(identity) => identity.client_ca.as_deref(),
        HttpTls::SelfSigned => None,
    };
    look("dicomweb.tls.client_ca".to_owned(), Whose::Root, web);
    let dimse = settings.dimse.tls.as_ref().and_then(|tls| tls.identity.client_ca.as_deref());
    look("dimse.tls.client_ca".to_owned(), Whose::Root, dimse);
    for (what, file) in shown(settings) {
        look(what, Whose::Ours, Some(file));
    }
    held
}

/// The files of the certificates that we show to peers, and the keys that name them.
fn shown(settings: &Settings) -> Vec<(String, &Path)> {
    fn of_peer(peer: &DimsePeer) -> Option<&Path> {
        of_tls(peer.tls.as_ref())
    }
    fn of_tls(tls: Option<&PeerTls>) -> Option<&Path> {
        of_pair(tls?.identity.as_ref())
    }
    fn of_pair(identity: Option<&(std::path::PathBuf, std::path::PathBuf)>) -> Option<&Path> {
        identity.map(|(certificate, _)| certificate.as_path())
    }
    let destinations = settings
        .destinations
        .iter()
        .map(|(name, peer)| ("destination", name, of_pair(peer.identity.as_ref())));
    let availability =
        settings.availability.iter().map(|(name, one)| ("availability", name, of_peer(&one.peer)));
    let relays = settings.relays.iter().map(|(name, relay)| ("relay", name, of_tls(relay.tls.as_ref())));
    let worklists = settings.worklists.iter().map(|(name, worklist)| match &worklist.peer {
        WorklistPeer::Dimse(peer) => ("worklist", name, of_peer(peer)),
        WorklistPeer::Web(peer) => ("worklist", name, of_pair(peer.identity.as_ref())),
    });
    let mpps = settings.mpps.iter().map(|(name, one)| ("mpps", name, of_peer(&one.peer)));
    let audit = settings.audit.receiver.as_ref().and_then(|receiver| of_tls(Some(&receiver.tls)));
    destinations
        .chain(availability)
        .chain(relays)
        .chain(worklists)
        .chain(mpps)
        .filter_map(|(section, name, file)| Some((format!("{section}.{name}.certificate"), file?)))
        .chain(audit.map(|file| ("audit.certificate".to_owned(), file)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{MppsSettings, TlsIdentity};

    fn held(from: SystemTime, until: SystemTime) -> Vec<Held> {
        let validity = Validity { not_before: from, not_after: until };
        vec![Held { what: "dimse.tls.certificate".to_owned(), whose: Whose::Ours, validity }]
    }

    #[test]
    fn each_stage_is_told_once_when_it_begins() {
        let from = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let until = from + DAY * 100;
        let mut certificates = Certificates::default();
        let mut told = Vec::new();
        for hours in 0..102 * 24 {
            let now = from - DAY / 2 + DAY / 24 * hours;
            told.extend(certificates.news(held(from, until), now).iter().map(|notice| (hours, notice.stage)));
        }
        // The end of the 100th day is hour 12 + 2400.
        let expected = [
            (0, Stage::NotYetValid),
            (12, Stage::Good),
            (12 + 40 * 24, Stage::Within(60)),
            (12 + 70 * 24, Stage::Within(30)),
            (12 + 93 * 24, Stage::Within(7)),
            (13 + 100 * 24, Stage::Expired),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_due_at_the_start_is_told_and_a_renewal_too() {
        let now = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let stages = |certificates: &mut Certificates, days| {
            let news = certificates.news(held(now - DAY, now + DAY * days), now);
            news.iter().map(|notice| notice.stage).collect::<Vec<_>>()
        };
        let mut certificates = Certificates::default();
        assert_eq!(stages(&mut certificates, 20), [Stage::Within(30)]);
        assert_eq!(stages(&mut certificates, 20), []);
        assert_eq!(stages(&mut certificates, 400), [Stage::Good]);
        assert_eq!(stages(&mut certificates, 400), []);
        assert_eq!(stages(&mut Certificates::default(), 400), [], "what is well is no news");
        certificates.news(Vec::new(), now);
        assert_eq!(stages(&mut certificates, 5), [Stage::Within(7)], "a peer that has come back");
    }

    #[test]
    fn every_certificate_of_the_configuration_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("any.pem");
        let made = tls::self_signed(&["localhost"], tls::HTTP_ALPN, SystemTime::now()).unwrap();
        std::fs::write(&file, made.certificate_pem).unwrap();
        let mut settings = Settings::default();
        let identity = TlsIdentity::new("absent".into(), "absent".into(), Some(file.clone()));
        settings.dicomweb.tls = HttpTls::Files(identity);
        let pair = Some((file.clone(), "absent".into()));
        let tls = Some(PeerTls { ca: "absent".into(), identity: pair.clone() });
        let peer = DimsePeer {
            address: "ris:104".to_owned(),
            ae_title: "RIS".to_owned(),
            calling_ae_title: "US".to_owned(),
            tls,
        };
        settings.mpps.insert("ris".to_owned(), MppsSettings { peer });
        let found: Vec<_> = in_files(&settings).into_iter().map(|held| (held.what, held.whose)).collect();
        let expected = [("dicomweb.tls.client_ca", Whose::Root), ("mpps.ris.certificate", Whose::Ours)];
        assert_eq!(found, expected.map(|(what, whose)| (what.to_owned(), whose)));

        let mut certificates = Certificates::default();
        certificates.mind(&settings, false, SystemTime::now());
        assert_eq!(certificates.told.len(), 2);
        std::fs::remove_file(&file).unwrap();
        certificates.mind(&settings, false, SystemTime::now());
        assert_eq!(certificates.told.len(), 2, "files are not read all the time");
        certificates.mind(&settings, true, SystemTime::now());
        assert_eq!(certificates.told.len(), 0);
    }
}
