//! Who may do what: the principals of the configuration with their rights and standing filters, and the
//! [`Caller`] of one request. Who the caller is, is found out by [`crate::net::auth`].
//!
//! Nothing is open but to those whom the configuration names; what anybody may do without showing who
//! they are is one more entry of the same table. A standing filter is matched against the data set of a
//! series; a series that does not match is not there for that caller, and neither is anything in it.
//!
//! A reload replaces the table as a whole, or, if there is a fault in it, not at all. What was begun
//! under the old table and goes on ([`Caller::lost`]) ends when its caller has lost the right to it, or
//! has got another filter. With the token that was shown for it, it ends in any case.

mod grants;
mod pass;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use futures_util::future::OptionFuture;
use http::HeaderMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use self::grants::{Granted, Grants};
use self::pass::Admitted;
pub use self::pass::Pass;
use super::counters::{DicomwebCounters, Reason};
use super::problem::Problem;
use super::routes::Resource;
use super::visitor::Visitor;
use crate::audit::{Audit, How};
use crate::config::settings::{AccessSettings, Right};
use crate::hub::{Hub, LiveSeries, Reader};
use crate::net::auth::{AuthError, Authenticator, Failures, KeysError};
use crate::net::http::PeerInfo;
use crate::subscription::described;
use crate::subscription::filter::FilterError;
use crate::subscription::query::Query;

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Nobody could be authenticated.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A filter is no filter.
    #[error("{place}: {error}")]
    Filter {
        /// Dotted key.
        place: String,
        /// What is wrong with it; values are not named.
        error: FilterError,
    },
}

/// The table of principals and their rights. Cheap to clone; all clones see a reload.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Arc<Shared>,
    audit: Audit,
}

#[derive(Debug)]
struct Shared {
    table: ArcSwap<Table>,
    /// Changes when the table does.
    changed: watch::Sender<()>,
    failures: Failures,
    /// Who tries whether we work.
    pass: Mutex<Option<Admitted>>,
    /// What such a trial would count.
    uncounted: DicomwebCounters,
}

/// Who everybody is known by, and what they may do.
#[derive(Debug)]
pub struct Table {
    authenticator: Authenticator,
    grants: Arc<Grants>,
}

impl Access {
    /// Compiles the table. Reads the file of token keys: call it where blocking is allowed.
    ///
    /// # Errors
    /// When that file cannot be used, principals cannot be told apart, or a filter is no list of match
    /// keys.
    pub fn new(settings: &AccessSettings) -> Result<Self, AccessError> {
        let table = ArcSwap::from_pointee(Table::new(settings, None)?);
        let shared = Shared {
            table,
            changed: watch::Sender::new(()),
            failures: Failures::default(),
            pass: Mutex::default(),
            uncounted: DicomwebCounters::default(),
        };
        Ok(Self { shared: Arc::new(shared), audit: Audit::none() })
    }

    /// Records in `audit` who comes, and what they fetch.
    #[must_use]
    pub fn audited(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self
    }

    /// Finds the faults that a table has by itself. Reads no file.
    ///
    /// # Errors
    /// As [`Access::new`], but for the file.
    pub fn check(settings: &AccessSettings) -> Result<Grants, AccessError> {
        Authenticator::check(settings)?;
        Grants::new(settings, None)
    }

    /// What everybody may do at present.
    pub fn grants(&self) -> Arc<Grants> {
        self.shared.table.load().grants.clone()
    }

    /// The principal whose certificate a client has shown; `None` where it has shown none, or nobody's.
    pub fn certified(&self, peer: &PeerInfo) -> Option<Arc<str>> {
        peer.client_certificate.as_ref()?;
        let known = self.shared.table.load().authenticator.authenticate(peer, &HeaderMap::new());
        known.ok()?.principal
    }

    /// Compiles another table, which is not in force before [`Access::replace`]. Call it where blocking is
    /// allowed.
    ///
    /// # Errors
    /// As [`Access::new`].
    pub fn prepare(&self, settings: &AccessSettings) -> Result<Table, AccessError> {
        Table::new(settings, Some(&**self.shared.table.load()))
    }

    /// Replaces the table, for the next request and for what goes on.
    pub fn replace(&self, table: Table) {
        self.shared.table.store(Arc::new(table));
        self.shared.changed.send_replace(());
    }

    /// Reads the file of token keys again if it has changed, or if `always`, and says how many keys it
    /// has; `None` where there was nothing to do. Call it where blocking is allowed.
    ///
    /// # Errors
    /// When it cannot be used; the keys stay those in force.
    pub fn renew_keys(&self, always: bool) -> Option<Result<usize, KeysError>> {
        let authenticator = &self.shared.table.load().authenticator;
        if always || authenticator.keys_changed_on_disk() { authenticator.renew_keys() } else { None }
    }

    /// Finds out who makes a request. `hub` is where [`Caller::sees`] looks.
    pub(super) fn caller(
        &self,
        hub: &Hub,
        counters: &DicomwebCounters,
        peer: &PeerInfo,
        headers: &HeaderMap,
    ) -> Result<Caller, Problem> {
        if let Some(only) = self.passed(peer, headers) {
            let (granted, hub) = (Granted::of_pass(), hub.clone());
            return Ok(Caller {
                granted,
                address: peer.address,
                only: Some(only),
                until: None,
                hub,
                shared: Arc::clone(&self.shared),
                visitor: Visitor::default(),
            });
        }
        let table = self.shared.table.load();
        let known = match table.authenticator.authenticate(peer, headers) {
            Ok(known) => known,
            Err(why) => {
                counters.unauthenticated.get_or_create(&Reason { reason: why.kind() }).inc();
                Visitor::new(&self.audit, peer, None).is_kept_out(why);
                return Err(match self.shared.failures.note(peer, why) {
                    Ok(()) => Problem::unauthenticated(why.is_of_token()),
                    Err(wait) => Problem::too_many_failures(wait),
                });
            }
        };
        let granted = table.grants.of(known.principal.as_deref()).cloned().ok_or_else(Problem::internal)?;
        let visitor = Visitor::new(&self.audit, peer, known.principal.as_ref());
        if let Some(principal) = &known.principal {
            visitor.is_let_in(principal, if known.until.is_some() { How::Token } else { How::Certificate });
        }
        let until = known.until.and_then(instant);
        let (address, hub, shared) = (peer.address, hub.clone(), Arc::clone(&self.shared));
        Ok(Caller { granted, address, only: None, until, hub, shared, visitor })
    }
}

impl Table {
    fn new(settings: &AccessSettings, before: Option<&Self>) -> Result<Self, AccessError> {
        Ok(Self {
            authenticator: Authenticator::new(settings, before.map(|table| &table.authenticator))?,
            grants: Arc::new(Grants::new(settings, before.map(|table| &*table.grants))?),
        })
    }

    /// What everybody may do by this table.
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }
}

/// Whether two filters are one and the same, not just alike: a filter is compiled once for its text.
fn is_same(one: Option<&Arc<Query>>, other: Option<&Arc<Query>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// When it will be `time`, by the clock that waits; `None` is never.
fn instant(time: SystemTime) -> Option<Instant> {
    let left = time.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}

/// Who makes a request, and what they may do: as the table was when the request came.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    granted: Arc<Granted>,
    /// Where the request comes from.
    address: SocketAddr,
    /// All that there is for the bearer of a [`Pass`].
    only: Option<Arc<LiveSeries>>,
    /// When the token that was shown has expired, if one was.
    until: Option<Instant>,
    hub: Hub,
    shared: Arc<Shared>,
    visitor: Visitor,
}

impl Caller {
    /// What the audit trail is told of them.
    pub(super) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// They read the attributes of something; the audit trail is told of its study.
    pub(super) fn reads(&self, resource: &Resource) {
        let series = self.series(&resource.study, resource.series.as_deref());
        if let Some(live) = series.first() {
            self.visitor.reads(live.study(), Some(live.context()));
        }
    }

    /// The principal's name; `None` is anonymous.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.granted.name().cloned()
    }

    /// Who reads a series for them, for people to see.
    pub(super) fn reader(&self) -> Reader {
        Reader { kind: "retrieve", peer: self.address.to_string().into() }
    }

    /// Lets a transaction through.
    ///
    /// # Errors
    /// 401 where credentials could help, 403 where they were shown.
    pub(super) fn may(&self, right: Right) -> Result<(), Problem> {
        if self.granted.may(right) {
            Ok(())
        } else if self.granted.name().is_none() {
            Err(Problem::unauthenticated(false))
        } else {
            Err(Problem::missing_right(right))
        }
    }

    /// Whether a subscription may name this destination.
    pub(super) fn may_push_to(&self, destination: &str) -> bool {
        self.granted.may_push_to(destination)
    }

    /// The standing filter that is and-ed to everything they see.
    pub(super) fn filter(&self) -> Option<Arc<Query>> {
        self.granted.filter().cloned()
    }

    /// Whether it is the service itself, which tries whether it works.
    pub(super) fn is_us(&self) -> bool {
        self.only.is_some()
    }

    /// Where what they do is counted, `counters` being for everybody but ourselves.
    pub(super) fn counters<'a>(&'a self, counters: &'a DicomwebCounters) -> &'a DicomwebCounters {
        if self.is_us() { &self.shared.uncounted } else { counters }
    }

    /// The series of a study, or the one of it that is named, that are live or in a ring, and that they see.
    pub(super) fn series(&self, study: &str, series: Option<&str>) -> Vec<Arc<LiveSeries>> {
        let mut found: Vec<_> = match (&self.only, series) {
            (Some(only), Some(series)) if **only.series() == *series && **only.study() == *study => {
                return vec![Arc::clone(only)];
            }
            (Some(_), _) => return Vec::new(),
            (None, Some(series)) => self.hub.find(study, series).into_iter().collect(),
            (None, None) => self.hub.study(study),
        };
        found.retain(|live| self.sees(live));
        found
    }

    /// Whether they see a series at all.
    pub(super) fn sees(&self, live: &LiveSeries) -> bool {
        if let Some(only) = &self.only {
            return std::ptr::eq(live, &**only);
        }
        self.granted
            .filter()
            .is_none_or(|filter| filter.matches(&described::series(live, &self.hub.study(live.study()))))
    }

    /// Waits until they have lost `right`, have got another filter on what they see, or the token that they
    /// have shown has expired: until what was begun with it is no longer theirs.
    pub(super) fn lost(&self, right: Right) -> impl Future<Output = ()> + Send + 'static {
        let (shared, granted) = (Arc::clone(&self.shared), Arc::clone(&self.granted));
        let mut changed = shared.changed.subscribe();
        let is_us = self.is_us();
        let taken = async move {
            if is_us {
                // No table has us.
                return std::future::pending().await;
            }
            loop {
                let table = shared.table.load_full();
                let now = table.grants.of(granted.name().map(|name| &**name));
                // A filter is on what they see, not on what they send.
                let sees_the_same =
                    |now: &Granted| right == Right::Send || is_same(now.filter(), granted.filter());
                let keeps = now.is_some_and(|now| now.may(right) && sees_the_same(now));
                // The sender lives in what this holds: it cannot be gone.
                if !keeps || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let expired = OptionFuture::from(self.until.map(sleep_until));
        async move {
            tokio::select! {
                Some(()) = expired => {}
                () = taken => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
