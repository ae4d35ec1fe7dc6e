//! How far a frame has come, and when: from whatever makes it to the ring. It travels with the instance, so that whoever
//! sends it on knows how long ago it was captured without asking anybody.

use std::time::{Duration, Instant};

/// What makes instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A video device.
    Capture,
    /// C-STORE.
    Dimse,
    /// C-STORE that passes on its way to another peer.
    Relay,
    /// Send and Store.
    Send,
    /// The synthetic source.
    Pattern,
}

impl Source {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Capture, Self::Dimse, Self::Relay, Self::Send, Self::Pattern];

    /// Its name in metrics and in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Dimse => "dimse",
            Self::Relay => "relay",
            Self::Send => "send",
            Self::Pattern => "pattern",
        }
    }
}

/// The moments of one frame (monotonic clock).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whose frame it is.
    pub source: Source,
    /// Its picture was dequeued; of what comes over the network: its first byte, or the end of the frame before it in
    /// the same object.
    pub begun: Instant,
    /// Head and pixels were ready.
    pub built: Instant,
    /// It came into the ring.
    pub published: Instant,
}

impl Way {
    /// How long it took to make it.
    pub fn building(&self) -> Duration {
        self.built.saturating_duration_since(self.begun)
    }

    /// How long it then took to publish it.
    pub fn publishing(&self) -> Duration {
        self.published.saturating_duration_since(self.built)
    }
}
