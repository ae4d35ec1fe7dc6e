//! Who may do what: the caller of a request, and the rights that the configuration gives.

use http::HeaderMap;

use super::problem::Problem;
use crate::config::settings::{AccessSettings, Right};
use crate::hub::LiveSeries;
use crate::net::http::PeerInfo;
use crate::subscription::query::Query;
use std::sync::Arc;

/// The table of principals and their rights.
#[derive(Debug)]
pub struct Access {}

impl Access {
    /// Compiles the table.
    ///
    /// # Errors
    /// When a filter is no search.
    pub fn new(_settings: &AccessSettings) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Finds out who makes a request.
    pub(super) fn caller(&self, _peer: &PeerInfo, _headers: &HeaderMap) -> Result<Caller, Problem> {
        Ok(Caller {})
    }
}

/// Who makes a request, and what they may do.
#[derive(Debug, Clone)]
pub(super) struct Caller {}

#[allow(dead_code, reason = "the parts that use these come next")]
impl Caller {
    /// The principal's name; `None` is anonymous.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        None
    }

    /// Lets a transaction through.
    ///
    /// # Errors
    /// 401 where credentials could help, 403 where they were shown.
    pub(super) fn may(&self, _right: Right) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether a subscription may name this destination.
    pub(super) fn may_push_to(&self, _destination: &str) -> bool {
        true
    }

    /// The standing filter that is and-ed to everything they see.
    pub(super) fn filter(&self) -> Option<Arc<Query>> {
        None
    }

    /// Whether they see a series at all.
    pub(super) fn sees(&self, _live: &LiveSeries) -> bool {
        true
    }
}
