//! The credential by which the service tries itself: it gives the right to retrieve one series that is listed
//! nowhere, and nothing else, to whoever shows it over a connection of our own. It is random, lives in memory only,
//! and is void when the [`Pass`] is dropped.

use std::fmt;
use std::sync::{Arc, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use uuid::Uuid;

use super::{Access, Shared};
use crate::hub::LiveSeries;
use crate::net::http::PeerInfo;

/// What a pass is good for.
#[derive(Debug)]
pub(super) struct Admitted {
    field: String,
    series: Arc<LiveSeries>,
}

/// A pass; good until it is dropped, or another is made.
pub struct Pass {
    /// The value of an Authorization header field (RFC 6750 §2.1).
    field: String,
    shared: Arc<Shared>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(withheld)")
    }
}

impl Access {
    /// A pass to `series`. There is one at a time.
    pub fn pass_to(&self, series: Arc<LiveSeries>) -> Pass {
        let field = format!("Bearer {}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let admitted = Admitted { field: field.clone(), series };
        *self.shared.pass.lock().unwrap_or_else(PoisonError::into_inner) = Some(admitted);
        Pass { field, shared: Arc::clone(&self.shared) }
    }

    /// The series that the bearer of these header fields has a pass to.
    pub(super) fn passed(&self, peer: &PeerInfo, headers: &HeaderMap) -> Option<Arc<LiveSeries>> {
        let shown = headers.get(AUTHORIZATION).filter(|_| peer.own)?;
        let pass = self.shared.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = pass.as_ref()?;
        verify_slices_are_equal(shown.as_bytes(), admitted.field.as_bytes()).ok()?;
        Some(Arc::clone(&admitted.series))
    }
}

impl Pass {
    /// The value of the Authorization header field that shows it.
    pub fn authorization(&self) -> &str {
        &self.field
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut pass = self.shared.pass.lock().unwrap_or_else(PoisonError::into_inner);
        pass.take_if(|admitted| admitted.field == self.field);
    }
}
