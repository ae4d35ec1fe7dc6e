//! What a listener tells, beside its log and its counters, of peers that it turns away for reasons of security: for
//! whoever keeps an audit trail, which this module knows nothing of.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// Who is told. The default tells nobody.
#[derive(Default)]
pub struct Alarms(OnceLock<Box<Tell>>);

type Tell = dyn Fn(SocketAddr, &str) + Send + Sync;

impl Alarms {
    /// From now on tells `tell` of each peer, and why it was turned away, unless somebody is told already. It must not
    /// wait, and bound what it makes of a flood.
    pub fn tell(&self, tell: impl Fn(SocketAddr, &str) + Send + Sync + 'static) {
        // Who came first stays.
        let _ = self.0.set(Box::new(tell));
    }

    pub(super) fn raise(&self, peer: SocketAddr, why: &str) {
        if let Some(tell) = self.0.get() {
            tell(peer, why);
        }
    }
}

impl fmt::Debug for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alarms").field(&self.0.get().is_some()).finish()
    }
}
