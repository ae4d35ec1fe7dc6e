//! Whether a capture thread gets on. It beats whenever it looks whether it is to stop, many times a second, and at least
//! once where it waits; a driver that does not come back from a request keeps it from that, and nobody but the thread
//! itself could say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When it last did. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    base: Instant,
    /// Milliseconds since `base`.
    last: Arc<AtomicU64>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { base: Instant::now(), last: Arc::default() }
    }
}

impl Heartbeat {
    /// The thread gets on.
    pub fn beat(&self) {
        let since = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// How long ago it last did, at `now`.
    pub fn age(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.base).saturating_sub(last)
    }
}
