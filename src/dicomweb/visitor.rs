//! What the audit trail is told of a caller: that it was let in, or was not, what it fetches and reads, and what it asks.
//!
//! A viewer makes a request for each frame it shows. So what the single requests of one connection fetch of a study is
//! one transfer, which begins with the first of them and ends with the connection; an open-ended response is one of its
//! own. What has been told of a connection stands with the connection ([`Kept`](crate::net::http::Kept)).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::audit::{Audit, How, Occurrence, Outcome, Party, Study, Transfers, Withheld};
use crate::hub::Hub;
use crate::instance::{Dataset, Instance, Uid};
use crate::net::auth::Unauthenticated;
use crate::net::http::PeerInfo;
use crate::net::tls::subject;

/// Principals, kinds of failure and studies that are remembered of one connection; after that the oldest is told again.
const REMEMBERED: usize = 64;

/// See the module. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Visitor {
    audit: Audit,
    /// `None` where nobody is told anything.
    from: Option<(IpAddr, Party)>,
    visit: Visit,
}

/// What has been told of one connection.
#[derive(Debug, Clone, Default)]
struct Visit(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    users: Vec<Arc<str>>,
    failures: Vec<&'static str>,
    read: Vec<(Party, Uid)>,
    fetched: Vec<(Party, Transfers)>,
    /// The subject of the client's certificate, once it is known.
    subject: Option<Option<Arc<str>>>,
}

impl Visitor {
    /// Whoever makes requests on this connection as `principal`; `None` is anonymous.
    pub(super) fn new(audit: &Audit, peer: &PeerInfo, principal: Option<&Arc<str>>) -> Self {
        if !audit.is_kept() {
            return Self::default();
        }
        let visit: Visit = peer.kept.get();
        let name = principal.cloned().or_else(|| {
            let read = || peer.client_certificate.as_deref().and_then(subject).map(Arc::from);
            visit.told().subject.get_or_insert_with(read).clone()
        });
        let ip = peer.address.ip();
        Self { audit: audit.clone(), from: Some((ip, Party::at(ip).known_as(name))), visit }
    }

    /// The principal was let in by what it has shown: told once for each connection.
    pub(super) fn is_let_in(&self, principal: &Arc<str>, how: How) {
        let Some((peer, _)) = self.from else { return };
        if remember(&mut self.visit.told().users, principal.clone()) {
            let (user, outcome) = (principal.to_string(), Outcome::Success);
            self.audit.record(Occurrence::UserAuthenticated { user, peer, outcome, how });
        }
    }

    /// What it has shown is not accepted: told once for each connection and reason.
    pub(super) fn is_kept_out(&self, why: Unauthenticated) {
        let Some((peer, party)) = &self.from else { return };
        if remember(&mut self.visit.told().failures, why.kind()) {
            let how = if why.is_of_token() { How::Token } else { How::Certificate };
            let (user, outcome) = (party.name().to_owned(), Outcome::MinorFailure);
            self.audit.record(Occurrence::UserAuthenticated { user, peer: *peer, outcome, how });
        }
    }

    /// Who it is; `None` where nobody is told.
    pub(super) fn party(&self) -> Option<Party> {
        self.from.as_ref().map(|(_, party)| party.clone())
    }

    /// Where else something of it is recorded.
    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The account of an open-ended response.
    pub(super) fn stream(&self) -> Transfers {
        self.party().map(|party| Transfers::fetched(&self.audit, Party::here(), party)).unwrap_or_default()
    }

    /// The account of what it sends in one request.
    pub(super) fn sends(&self) -> Transfers {
        self.party().map(|party| Transfers::taken(&self.audit, party, Party::here())).unwrap_or_default()
    }

    /// It gets an instance by a request for that one.
    pub(super) fn fetches(&self, instance: &Instance, hub: &Hub) {
        let Some(party) = self.party() else { return };
        let identity = instance.identity();
        let context = || hub.find(&identity.study, &identity.series).map(|live| live.context().clone());
        let mut told = self.visit.told();
        let at = told.fetched.iter().position(|(known, _)| *known == party).unwrap_or_else(|| {
            told.fetched.push((party.clone(), self.stream()));
            told.fetched.len() - 1
        });
        if let Some((_, transfers)) = told.fetched.get_mut(at) {
            transfers.note(identity, context);
        }
        if told.fetched.len() > REMEMBERED {
            drop(told.fetched.remove(0));
        }
    }

    /// It reads the attributes of a study: told once for each connection. `context` says whose it is.
    pub(super) fn reads(&self, study: &Uid, context: Option<&Dataset>) {
        let Some(party) = self.party() else { return };
        if remember(&mut self.visit.told().read, (party.clone(), study.clone())) {
            let study = Study::of(study, context);
            self.audit.record(Occurrence::InstancesAccessed { by: party, study });
        }
    }

    /// It asks something of the resource at `path`.
    pub(super) fn asks(&self, path: &str, query: &str) {
        let Some(by) = self.party() else { return };
        let question = Withheld::new(query);
        self.audit.record(Occurrence::Query { by, to: Party::here(), of: path.to_owned(), question });
    }
}

impl Visit {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says whether this is new.
fn remember<T: PartialEq>(known: &mut Vec<T>, one: T) -> bool {
    let is_new = !known.contains(&one);
    if is_new {
        if known.len() == REMEMBERED {
            known.remove(0);
        }
        known.push(one);
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::Kept;

    #[test]
    fn a_connection_is_told_of_once_and_the_oldest_are_forgotten() {
        let mut known = Vec::new();
        assert!(remember(&mut known, 0) && !remember(&mut known, 0));
        assert!((1..=REMEMBERED).all(|one| remember(&mut known, one)));
        assert!(remember(&mut known, 0), "forgotten by now");
        assert_eq!(known.len(), REMEMBERED);
    }

    #[test]
    fn where_no_trail_is_kept_nothing_is_remembered() {
        let peer = PeerInfo {
            address: "192.0.2.7:1".parse().unwrap(),
            client_certificate: None,
            own: false,
            kept: Kept::default(),
        };
        let visitor = Visitor::new(&Audit::none(), &peer, None);
        visitor.is_let_in(&"viewer".into(), How::Token);
        assert!(visitor.visit.told().users.is_empty() && visitor.party().is_none());
    }
}
