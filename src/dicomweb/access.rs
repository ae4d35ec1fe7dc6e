//! Who may do what: the principals of the configuration with their rights and standing filters, and the
//! [`Caller`] of one request. Who the caller is, is found out by [`crate::net::auth`].
//!
//! Nothing is open but to those whom the configuration names; what anybody may do without showing who
//! they are is one more entry of the same table. A standing filter is matched against the data set of a
//! series; a series that does not match is not there for that caller, and neither is anything in it.
//!
//! A reload replaces the table as a whole, or, if there is a fault in it, not at all. What was begun
//! under the old table and goes on ([`Caller::lost`]) ends when its caller has lost the right to it, or
//! has got another filter.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use tokio::sync::watch;

use super::counters::{DicomwebCounters, Reason};
use super::problem::Problem;
use crate::config::settings::{AccessSettings, Right, Rights};
use crate::hub::{Hub, LiveSeries};
use crate::net::auth::{AuthError, Authenticator, Failures, KeysError};
use crate::net::http::PeerInfo;
use crate::subscription::described;
use crate::subscription::query::{Include, Query, QueryError};

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Nobody could be authenticated.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A filter is no search.
    #[error("{place}: {error}")]
    Filter {
        /// Dotted key.
        place: String,
        /// What is wrong with it; values are not named.
        error: QueryError,
    },
    /// A filter has a part that matches nothing, so that it would let through more than was meant.
    #[error("{place}: {part} is no attribute to match; a filter holds match keys only, such as Modality=XA")]
    NotAKey {
        /// Dotted key.
        place: String,
        /// Name of the part.
        part: String,
    },
}

/// The table of principals and their rights. Cheap to clone; all clones see a reload.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: ArcSwap<Table>,
    /// Changes when the table does.
    changed: watch::Sender<()>,
    failures: Failures,
}

#[derive(Debug)]
struct Table {
    authenticator: Authenticator,
    anonymous: Arc<Granted>,
    principals: HashMap<Arc<str>, Arc<Granted>>,
}

/// What one principal may do.
struct Granted {
    /// `None` is anonymous.
    name: Option<Arc<str>>,
    rights: Rights,
    /// The filter of `rights`, compiled; the same one for as long as its text is.
    filter: Option<Arc<Query>>,
}

impl fmt::Debug for Granted {
    /// Leaves out the text of the filter, which may name a patient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("name", &self.name)
            .field("may", &self.rights.may)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Compiles the table. Reads the file of token keys: call it where blocking is allowed.
    ///
    /// # Errors
    /// When that file cannot be used, principals cannot be told apart, or a filter is no list of match
    /// keys.
    pub fn new(settings: &AccessSettings) -> Result<Self, AccessError> {
        let table = ArcSwap::from_pointee(Table::new(settings, None)?);
        let shared = Shared { table, changed: watch::Sender::new(()), failures: Failures::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Replaces the table, for the next request and for what goes on. Call it where blocking is allowed.
    ///
    /// # Errors
    /// As [`Access::new`]; the table stays as it was.
    pub fn reload(&self, settings: &AccessSettings) -> Result<(), AccessError> {
        let table = Table::new(settings, Some(&**self.shared.table.load()))?;
        self.shared.table.store(Arc::new(table));
        self.shared.changed.send_replace(());
        Ok(())
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
        let table = self.shared.table.load();
        let granted = match table.authenticator.authenticate(peer, headers) {
            Ok(name) => table.of(name.as_ref()).cloned().ok_or_else(Problem::internal)?,
            Err(why) => {
                counters.unauthenticated.get_or_create(&Reason { reason: why.kind() }).inc();
                return Err(match self.shared.failures.note(peer, why) {
                    Ok(()) => Problem::unauthenticated(why.is_of_token()),
                    Err(wait) => Problem::too_many_failures(wait),
                });
            }
        };
        Ok(Caller { granted, hub: hub.clone(), shared: Arc::clone(&self.shared) })
    }
}

impl Table {
    fn new(settings: &AccessSettings, before: Option<&Self>) -> Result<Self, AccessError> {
        let authenticator = Authenticator::new(settings, before.map(|table| &table.authenticator))?;
        let grant = |name: Option<Arc<str>>, rights: &Rights, place: String| {
            let known = before.and_then(|table| table.of(name.as_ref()));
            let filter = match known.filter(|known| known.rights.filter == rights.filter) {
                Some(known) => known.filter.clone(),
                None => compile(&rights.filter, &place)?,
            };
            Ok::<_, AccessError>(Arc::new(Granted { name, rights: rights.clone(), filter }))
        };
        let anonymous = grant(None, &settings.anonymous, "access.anonymous_filter".to_owned())?;
        let mut principals = HashMap::new();
        for (name, principal) in sorted(&settings.principals) {
            let shared: Arc<str> = Arc::from(name);
            let place = format!("principal.{name}.filter");
            principals.insert(shared.clone(), grant(Some(shared), &principal.rights, place)?);
        }
        Ok(Self { authenticator, anonymous, principals })
    }

    fn of(&self, name: Option<&Arc<str>>) -> Option<&Arc<Granted>> {
        name.map_or(Some(&self.anonymous), |name| self.principals.get(name))
    }
}

fn sorted<T>(map: &BTreeMap<String, T>) -> impl Iterator<Item = (&str, &T)> {
    map.iter().map(|(name, value)| (name.as_str(), value))
}

/// A filter as a search. A search passes over what it does not know; a filter must not, since what is
/// passed over restricts nothing.
fn compile(filter: &str, place: &str) -> Result<Option<Arc<Query>>, AccessError> {
    if filter.is_empty() {
        return Ok(None);
    }
    let query =
        Query::parse(filter, &[]).map_err(|error| AccessError::Filter { place: place.to_owned(), error })?;
    let not_a_key = |part: &str| AccessError::NotAKey { place: place.to_owned(), part: part.to_owned() };
    if let Some(name) = query.unknown.first() {
        return Err(not_a_key(name));
    }
    let pages = query.limit.is_some() || query.offset != 0;
    let includes = query.include != Include::Attributes(Vec::new());
    if pages || includes || query.keys().is_empty() {
        let part = if pages {
            "limit or offset"
        } else if includes {
            "includefield"
        } else {
            "the whole"
        };
        return Err(not_a_key(part));
    }
    Ok(Some(Arc::new(query)))
}

/// Whether two filters are one and the same, not just alike: a filter is compiled once for its text.
fn is_same(one: Option<&Arc<Query>>, other: Option<&Arc<Query>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

impl Granted {
    fn may(&self, right: Right) -> bool {
        self.rights.may.contains(&right)
    }

    fn may_push_to(&self, destination: &str) -> bool {
        self.may(Right::PushTo)
            && self.rights.destinations.iter().any(|known| known == "*" || known == destination)
    }
}

/// Who makes a request, and what they may do: as the table was when the request came.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    granted: Arc<Granted>,
    hub: Hub,
    shared: Arc<Shared>,
}

impl Caller {
    /// The principal's name; `None` is anonymous.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.granted.name.clone()
    }

    /// Lets a transaction through.
    ///
    /// # Errors
    /// 401 where credentials could help, 403 where they were shown.
    pub(super) fn may(&self, right: Right) -> Result<(), Problem> {
        if self.granted.may(right) {
            Ok(())
        } else if self.granted.name.is_none() {
            Err(Problem::unauthenticated(false))
        } else {
            Err(Problem::missing_right(right))
        }
    }

    /// Whether a subscription may name this destination.
    pub(super) fn may_push_to(&self, destination: &str) -> bool {
        self.granted.may_push_to(destination)
    }

    /// Whether what belongs to `owner` (`None` is anonymous) may be changed or ended: it is theirs, or
    /// they look after everybody's.
    #[allow(dead_code, reason = "the parts that use it come next")]
    pub(super) fn may_operate_on(&self, owner: Option<&Arc<str>>) -> bool {
        self.granted.name.as_ref() == owner || self.granted.may(Right::Operate)
    }

    /// The standing filter that is and-ed to everything they see.
    pub(super) fn filter(&self) -> Option<Arc<Query>> {
        self.granted.filter.clone()
    }

    /// Whether they see a series at all.
    pub(super) fn sees(&self, live: &LiveSeries) -> bool {
        self.granted
            .filter
            .as_ref()
            .is_none_or(|filter| filter.matches(&described::series(live, &self.hub.study(live.study()))))
    }

    /// Waits until they have lost `right`, or have got another filter: until what was begun with it is
    /// no longer theirs.
    pub(super) fn lost(&self, right: Right) -> impl Future<Output = ()> + Send + 'static {
        let (shared, granted) = (Arc::clone(&self.shared), Arc::clone(&self.granted));
        let mut changed = shared.changed.subscribe();
        async move {
            loop {
                let keeps = shared.table.load().of(granted.name.as_ref()).is_some_and(|now| {
                    now.may(right) && is_same(now.filter.as_ref(), granted.filter.as_ref())
                });
                // The sender lives in what this holds: it cannot be gone.
                if !keeps || changed.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
