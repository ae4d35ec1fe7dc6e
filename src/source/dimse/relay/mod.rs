//! The relay: framegate stands between a modality and the peer that it calls, the *upstream*, and neither notices.
//!
//! ```text
//!   modality ══ association ══► relay ══ association of its own ══► upstream
//!      ▲                          │ tap                                │
//!      └──────── the upstream's own answers, byte for byte ◄───────────┘
//!                                 ▼
//!                                hub
//! ```
//!
//! `upstream` asks for the association what the modality asked for, and the modality gets the upstream's own
//! answer. Then every byte is passed on both ways as it comes (`between`, one direction each `pump`), so that whatever message and whatever
//! status passes is the sender's own. `follower` and `passing` look on and say what passes; `tap` makes instances
//! of the objects among it, `steps` contexts of the performed procedure steps. What cannot be made anything of
//! passes all the same.
//!
//! While the upstream is away, objects may wait in the spool: `deposit` puts them there, `drain` delivers them.

mod between;
pub mod counters;
mod deposit;
mod drain;
pub(crate) mod events;
pub mod follower;
mod known;
pub mod passing;
mod pump;
mod steps;
mod tap;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

pub(super) use self::between::Broken;
use self::counters::RelayCounters;
pub(super) use self::deposit::{Depositing, deposit};
pub use self::drain::drain;
use self::known::Known;
use self::steps::Steps;
pub(super) use self::tap::Guarded;
use self::tap::Tap;
pub(super) use self::upstream::{Answer, CALLED, CALLING, Modality};
use self::upstream::{Associated, Connection, Unreachable};
use super::association::Service;
use super::negotiate::Context;
use crate::audit::{Party, Transfers};
use crate::config::settings::{RelaySettings, WhenUnreachable};
use crate::instance::Uid;
use crate::net::tls::{ClientTls, DICOM_ALPN};
use crate::spool::Spool;

/// One relay.
#[derive(Debug)]
pub struct Relay {
    name: String,
    settings: RelaySettings,
    /// Follows its files.
    tls: Option<Arc<ClientTls>>,
    counters: RelayCounters,
    /// What the upstream accepts.
    known: Arc<Known>,
    spool: Option<Spool>,
}

/// All relays of the configuration.
#[derive(Debug, Default)]
pub struct Relays {
    relays: Vec<Arc<Relay>>,
}

impl Relays {
    /// Makes them; nothing is connected and no file is read yet. `spools` is where objects wait, by
    /// relay; what `before` have learnt of an upstream is kept.
    pub fn new(
        settings: &BTreeMap<String, RelaySettings>,
        counters: &RelayCounters,
        spools: &BTreeMap<String, Spool>,
        before: &Self,
    ) -> Self {
        let relay = |(name, settings): (&String, &RelaySettings)| {
            let tls = settings.tls.as_ref().map(|tls| Arc::new(ClientTls::of(tls, DICOM_ALPN)));
            let spool = spools.get(name).cloned();
            let same = before.named(name).filter(|before| before.settings.address == settings.address);
            let known = same.map(|before| before.known.clone()).unwrap_or_default();
            let (name, settings) = (name.clone(), settings.clone());
            Arc::new(Relay { name, settings, tls, counters: counters.clone(), known, spool })
        };
        Self { relays: settings.iter().map(relay).collect() }
    }

    /// The relay of this name.
    pub fn named(&self, name: &str) -> Option<Arc<Relay>> {
        self.relays.iter().find(|relay| relay.name == name).cloned()
    }

    /// The relay that an association is meant for, by the AE titles of its A-ASSOCIATE-RQ. One that names the
    /// caller goes before one that does not.
    pub fn find(&self, called: &str, calling: &str) -> Option<Arc<Relay>> {
        let meant = self.relays.iter().filter(|relay| relay.settings.called_ae_title == called);
        let by_name =
            meant.clone().find(|relay| relay.settings.calling_ae_titles.iter().any(|t| t == calling));
        by_name.or_else(|| meant.clone().find(|relay| relay.settings.calling_ae_titles.is_empty())).cloned()
    }
}

/// What became of an A-ASSOCIATE-RQ that was passed on.
#[derive(Debug)]
pub(super) enum Opened {
    /// The upstream has answered.
    Answered(Box<Upstream>),
    /// It cannot be reached.
    Unreachable(Arc<Relay>),
    /// The modality has left meanwhile.
    Left,
}

/// An association with the upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    relay: Arc<Relay>,
    stream: Connection,
    socket: socket2::Socket,
    answer: Answer,
    early: BytesMut,
}

impl Relay {
    /// What a modality gets while the upstream is away.
    pub(super) fn when_unreachable(&self) -> WhenUnreachable {
        match self.settings.when_unreachable {
            // The configuration does not let that happen.
            WhenUnreachable::Spool if self.spool.is_none() => WhenUnreachable::Reject,
            when => when,
        }
    }

    /// The relay's name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The transfer syntaxes that the upstream takes for an abstract syntax; `None` where that is not known.
    pub(super) fn syntaxes(&self, abstract_syntax: &str) -> Option<Vec<Uid>> {
        self.known.syntaxes(abstract_syntax)
    }

    /// Streams the objects of an association that is not passed on.
    pub(super) fn tap(
        self: &Arc<Self>,
        service: &Service,
        contexts: &HashMap<u8, Context>,
        calling: &str,
    ) -> Guarded {
        let steps = Steps::new(service.desk.clone(), calling);
        let (from, to) = (service.peer.clone().titled(calling), Party::us(&service.settings.ae_title));
        let transfers = Transfers::taken(&service.audit, from, to);
        let tap = || {
            Tap::new(service.clone(), self.clone(), contexts.clone(), calling.to_owned(), steps, transfers)
        };
        Guarded::new(self.settings.stream.then(tap))
    }

    /// Passes an A-ASSOCIATE-RQ on and waits for the answer, at most `patience` once there is a connection.
    pub(super) async fn open(
        self: Arc<Self>,
        request: &[u8],
        patience: Duration,
        modality: &mut impl Modality,
    ) -> Opened {
        match upstream::associate(&self, request, patience, modality).await {
            Ok(Associated { stream, socket, answer, early }) => {
                let how = if matches!(answer, Answer::Accepted(_)) { "accepted" } else { "refused" };
                self.counters.association(&self.name, how);
                self.counters.reached(&self.name, None);
                Opened::Answered(Box::new(Upstream { relay: self, stream, socket, answer, early }))
            }
            Err(Unreachable::Left) => {
                self.counters.association(&self.name, "left");
                Opened::Left
            }
            Err(error) => {
                self.counters.association(&self.name, "unreachable");
                self.counters.reached(&self.name, Some(error.to_string()));
                let mend = match error {
                    Unreachable::Name | Unreachable::Files(_) => "",
                    _ => "; is it running, and does the network between let us through?",
                };
                let upstream = &self.settings.address;
                events::UpstreamAway { relay: &self.name, upstream, error: &error, mend }.tell();
                Opened::Unreachable(self)
            }
        }
    }
}

#[cfg(test)]
mod tests;
