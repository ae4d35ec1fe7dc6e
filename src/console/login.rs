//! Logging in and out, and who may then do what. Each login, each that failed and each logout is audited, with
//! where it came from; the code itself is in no line.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answer::{self, Answer, done, may_not, no_session, not_let_in, told};
use super::code::Tried;
use super::origin::{cookie, set_cookie};
use super::session::{Session, Who};
use super::{Console, events, random};
use crate::audit::{Alert, How, Occurrence, Outcome};
use crate::config::settings::Right;
use crate::dicomweb::problem::Problem;
use crate::net::http::{Body, PeerInfo};
use crate::subscription::query::Query;

/// What somebody may do, by the configuration as it is now.
#[derive(Debug, Clone, Default)]
pub(super) struct May {
    /// Operate captures, suspend subscriptions, try destinations.
    pub(super) operate: bool,
    /// See who is imaged.
    pub(super) phi: bool,
    /// Change the configuration.
    pub(super) configure: bool,
    /// The standing filter on whom and what they see.
    pub(super) filter: Option<Arc<Query>>,
}

impl May {
    fn words(&self) -> Vec<&'static str> {
        let rights =
            [(self.operate, Right::Operate), (self.phi, Right::Phi), (self.configure, Right::Configure)];
        rights.into_iter().filter(|(may, _)| *may).map(|(_, right)| right.word()).collect()
    }
}

/// A session, and what its owner may do now.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) session: Session,
    pub(super) may: May,
}

impl Caller {
    /// Whether who is imaged is shown.
    pub(super) fn sees_people(&self) -> bool {
        self.session.unlocked && self.may.phi
    }

    /// Lets an operator through.
    pub(super) fn operates(&self) -> Result<(), Problem> {
        if self.may.operate { Ok(()) } else { Err(may_not(Right::Operate)) }
    }
}

/// What a login brings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Brought {
    #[serde(default)]
    code: Option<String>,
}

impl Console {
    /// What the owner of a session may do; `None` where they may not even be here.
    pub(super) fn may(&self, who: &Who) -> Option<May> {
        match who {
            Who::Code => {
                let rights = &self.shared.parts.settings.load().code_may;
                let has = |right| rights.contains(&right);
                let (operate, phi) = (has(Right::Operate), has(Right::Phi));
                Some(May { operate, phi, configure: has(Right::Configure), filter: None })
            }
            Who::Certificate(principal) => {
                let grants = self.shared.parts.access.grants();
                let granted = grants.of(Some(principal)).filter(|granted| granted.may(Right::Console))?;
                let filter = granted.filter().cloned();
                let (operate, phi) = (granted.may(Right::Operate), granted.may(Right::Phi));
                Some(May { operate, phi, configure: granted.may(Right::Configure), filter })
            }
        }
    }

    /// Whose session a request is in. A session that was begun with a certificate is good on connections that show
    /// it, and so ends with the certificate.
    pub(super) fn caller(&self, headers: &HeaderMap, peer: &PeerInfo, used: bool) -> Option<Caller> {
        let idle = self.shared.parts.settings.load().session;
        let session = self.shared.sessions.find(cookie(headers)?, Instant::now(), idle, used)?;
        if let Who::Certificate(principal) = &session.who
            && self.shared.parts.access.certified(peer).as_ref() != Some(principal)
        {
            return None;
        }
        match self.may(&session.who) {
            Some(may) => Some(Caller { session, may }),
            None => {
                self.shared.sessions.close(session.id);
                None
            }
        }
    }

    /// Whether this connection shows the certificate of somebody who may log in by it.
    fn is_known(&self, peer: &PeerInfo) -> bool {
        let principal = self.shared.parts.access.certified(peer);
        principal.is_some_and(|principal| self.may(&Who::Certificate(principal)).is_some())
    }

    /// `POST /api/login`.
    pub(super) fn log_in(&self, content: &[u8], peer: &PeerInfo) -> Answer {
        let content = if content.is_empty() { b"{}" } else { content };
        let brought: Brought = serde_json::from_slice(content).map_err(|_| {
            Problem::bad_body("A login is {\"code\":\"…\"}, or {} with a client certificate.")
        })?;
        let who = match brought.code {
            Some(code) => self.by_code(&code, peer.address.ip())?,
            None => self.by_certificate(peer)?,
        };
        let cookie = self
            .shared
            .sessions
            .open(who.clone(), Instant::now())
            .map_err(|random::NoRandom| Problem::busy(std::time::Duration::from_secs(1)))?;
        events::LoggedIn { user: who.name(), how: who.how(), peer: peer.address.ip() }.tell();
        self.audit(&who, peer.address.ip(), Outcome::Success, how(&who));
        let mut response = done();
        set(&mut response, Some(&cookie));
        Ok(response)
    }

    fn by_code(&self, code: &str, peer: IpAddr) -> Result<Who, Problem> {
        if let Err(wait) = self.shared.attempts.take(peer) {
            events::TooManyTries { peer }.tell();
            self.audit(&Who::Code, peer, Outcome::SeriousFailure, How::Code);
            return Err(Problem::too_many_failures(wait));
        }
        let tried = self.shared.codes.take(code, Instant::now());
        if tried == Tried::Right {
            return Ok(Who::Code);
        }
        if tried == Tried::Voided {
            events::CodeVoid { peer }.tell();
        } else {
            events::CodeWrong { peer }.tell();
        }
        let outcome = if tried == Tried::Voided { Outcome::SeriousFailure } else { Outcome::MinorFailure };
        self.audit(&Who::Code, peer, outcome, How::Code);
        Err(not_let_in())
    }

    fn by_certificate(&self, peer: &PeerInfo) -> Result<Who, Problem> {
        let address = peer.address.ip();
        let Some(principal) = self.shared.parts.access.certified(peer) else {
            if peer.client_certificate.is_some() {
                events::NoPrincipal { peer: address }.tell();
                self.audit(&Who::Certificate("".into()), address, Outcome::MinorFailure, How::Certificate);
            }
            return Err(not_let_in());
        };
        let who = Who::Certificate(principal);
        if self.may(&who).is_none() {
            events::NoRight { user: who.name(), peer: address }.tell();
            self.audit(&who, address, Outcome::MinorFailure, How::Certificate);
            return Err(may_not(Right::Console));
        }
        Ok(who)
    }

    /// `POST /api/logout`.
    pub(super) fn log_out(&self, caller: &Caller, peer: &PeerInfo) -> Response<Body> {
        let who = &caller.session.who;
        self.shared.sessions.close(caller.session.id);
        events::LoggedOut { user: who.name(), peer: peer.address.ip() }.tell();
        self.audit(who, peer.address.ip(), Outcome::Success, How::Logout);
        let mut response = done();
        set(&mut response, None);
        response
    }

    /// `GET /api/session`.
    pub(super) fn session(&self, headers: &HeaderMap, peer: &PeerInfo) -> Answer {
        let certificate = self.is_known(peer);
        let Some(Caller { session, may }) = self.caller(headers, peer, false) else {
            let mut response = told(no_session());
            let content = json!({ "status": 401, "title": "No session", "certificate": certificate });
            *response.body_mut() = answer::content("", content.to_string()).into_body();
            return Ok(response);
        };
        answer::json(&json!({
            "name": session.who.name(),
            "how": session.who.how(),
            "rights": may.words(),
            "phi": session.unlocked && may.phi,
            "csrf": session.csrf,
            "expires_seconds": session.left.as_secs(),
            "certificate": certificate,
        }))
    }

    /// `POST /api/unlock` and `POST /api/lock`. That somebody looks at patients is audited.
    pub(super) fn unlock(&self, caller: &Caller, peer: &PeerInfo, unlocked: bool) -> Answer {
        if unlocked && !caller.may.phi {
            return Err(may_not(Right::Phi));
        }
        let who = &caller.session.who;
        if self.shared.sessions.unlock(caller.session.id, unlocked) {
            let (user, address) = (who.name(), peer.address.ip());
            let said = if unlocked {
                events::Unlocked { user, peer: address }.tell();
                "patients are shown at the console"
            } else {
                events::Locked { user, peer: address }.tell();
                "patients are hidden again at the console"
            };
            self.shared.parts.audit.record(Occurrence::SecurityAlert {
                alert: Alert::RestrictedFunction,
                outcome: Outcome::Success,
                peer: Some(address),
                user: Some(user.to_owned()),
                said: said.to_owned(),
            });
        }
        Ok(done())
    }

    fn audit(&self, who: &Who, peer: IpAddr, outcome: Outcome, how: How) {
        let user = who.name().to_owned();
        self.shared.parts.audit.record(Occurrence::UserAuthenticated { user, peer, outcome, how });
    }
}

fn how(who: &Who) -> How {
    match who {
        Who::Code => How::Code,
        Who::Certificate(_) => How::Certificate,
    }
}

fn set(response: &mut Response<Body>, cookie: Option<&str>) {
    debug_assert_eq!(response.status(), StatusCode::NO_CONTENT);
    if let Ok(mut value) = HeaderValue::try_from(set_cookie(cookie)) {
        value.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, value);
    }
}
