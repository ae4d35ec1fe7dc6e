//! What a listener tells, beside its log and its counters, of peers that it turns away for reasons of security: for
//! whoever keeps an audit trail, which this module knows nothing of.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who is told. The default tells nobody. Cheap to clone.
#[derive(Clone, Default)]
pub struct Alarms(Option<Arc<Tell>>);

type Tell = dyn Fn(SocketAddr, &str) + Send + Sync;

impl Alarms {
    /// Tells `tell` of each peer, and why it was turned away. It must not wait, and bound what it makes of a flood.
    pub fn new(tell: impl Fn(SocketAddr, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn raise(&self, peer: SocketAddr, why: &str) {
        if let Some(tell) = &self.0 {
            tell(peer, why);
        }
    }
}

impl fmt::Debug for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alarms").field(&self.0.is_some()).finish()
    }
}
