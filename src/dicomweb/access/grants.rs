//! What everybody may do: the rights and the standing filter of each principal and of the anonymous,
//! compiled from the configuration. Who somebody is does not matter here, so no file is read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::AccessError;
use crate::config::settings::{AccessSettings, Right, Rights};
use crate::subscription::filter::filter;
use crate::subscription::query::Query;

/// The rights and filters of everybody.
#[derive(Debug)]
pub struct Grants {
    anonymous: Arc<Granted>,
    principals: HashMap<Arc<str>, Arc<Granted>>,
}

/// What one principal may do.
pub struct Granted {
    name: Option<Arc<str>>,
    rights: Rights,
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

impl Grants {
    /// Compiles them. What has the same filter as `before` keeps it as it is.
    ///
    /// # Errors
    /// Which filter is no list of match keys.
    pub fn new(settings: &AccessSettings, before: Option<&Self>) -> Result<Self, AccessError> {
        let grant = |name: Option<Arc<str>>, rights: &Rights, place: String| {
            let known = before.and_then(|before| before.of(name.as_deref()));
            let filter = match known.filter(|known| known.rights.filter == rights.filter) {
                Some(known) => known.filter.clone(),
                None if rights.filter.is_empty() => None,
                None => {
                    let compiled = filter(&rights.filter);
                    Some(Arc::new(compiled.map_err(|error| AccessError::Filter { place, error })?))
                }
            };
            Ok::<_, AccessError>(Arc::new(Granted { name, rights: rights.clone(), filter }))
        };
        let anonymous = grant(None, &settings.anonymous, "access.anonymous_filter".to_owned())?;
        let mut principals = HashMap::new();
        for (name, principal) in &settings.principals {
            let shared: Arc<str> = Arc::from(name.as_str());
            let place = format!("principal.{name}.filter");
            principals.insert(shared.clone(), grant(Some(shared), &principal.rights, place)?);
        }
        Ok(Self { anonymous, principals })
    }

    /// What a principal may do, `None` being the anonymous; nothing where there is no such principal.
    pub fn of(&self, name: Option<&str>) -> Option<&Arc<Granted>> {
        name.map_or(Some(&self.anonymous), |name| self.principals.get(name))
    }
}

impl Granted {
    /// What a pass gives.
    pub(super) fn of_pass() -> Arc<Self> {
        let rights = Rights { may: vec![Right::Retrieve], destinations: Vec::new(), filter: String::new() };
        Arc::new(Self { name: None, rights, filter: None })
    }

    /// The principal's name; `None` is anonymous.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Whether they have a right.
    pub fn may(&self, right: Right) -> bool {
        self.rights.may.contains(&right)
    }

    /// Whether a subscription of theirs may name this destination.
    pub fn may_push_to(&self, destination: &str) -> bool {
        self.may(Right::PushTo)
            && self.rights.destinations.iter().any(|known| known == "*" || known == destination)
    }

    /// The standing filter on everything they see; the same one for as long as its text is.
    pub fn filter(&self) -> Option<&Arc<Query>> {
        self.filter.as_ref()
    }
}
