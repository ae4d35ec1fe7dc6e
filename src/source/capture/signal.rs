//! The states of a capture and what leads from one to the next.
//!
//! ```text
//!            found                    timings (or none asked)        first frame
//!  Absent ─────────► Opening ──► ┌───────────────────────────► Starting ──────────► Streaming
//!    ▲                           │                                 ▲                   │
//!    │ gone                      │ no timings                      │ timings           │ source change,
//!    │                           ▼                                 │                   │ stall, failure
//!    └────────── any      NoSignal, NoLock, OutOfRange ────────────┘◄──────────────────┘
//! ```
//!
//! What the signal is, is said by events and timings and never concluded from missing frames: drivers go on
//! delivering noise after the cable is out. Only of devices that cannot tell (`uvcvideo` has neither events
//! nor timings) a stall stands for a lost signal.

use super::timings::NoTimings;

/// What a capture is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum State {
    /// There is no such device.
    #[default]
    Absent,
    /// It is there and cannot be used: busy, denied, or no format in common.
    Unusable,
    /// Nothing comes in.
    NoSignal,
    /// What comes in is unstable.
    NoLock,
    /// What comes in is beyond the card.
    OutOfRange,
    /// Frames are asked for, and none has come yet.
    Starting,
    /// Frames come.
    Streaming,
    /// Frames came and have stopped, and the device does not say why.
    Stalled,
    /// The driver does not come back from a request, so that the capture thread can do nothing, and say nothing.
    Hung,
}

impl State {
    /// All of them, in the order of the way.
    pub const ALL: [Self; 9] = [
        Self::Absent,
        Self::Unusable,
        Self::NoSignal,
        Self::NoLock,
        Self::OutOfRange,
        Self::Starting,
        Self::Streaming,
        Self::Stalled,
        Self::Hung,
    ];

    /// Its name in reports, metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Unusable => "unusable",
            Self::NoSignal => "no-signal",
            Self::NoLock => "no-lock",
            Self::OutOfRange => "out-of-range",
            Self::Starting => "starting",
            Self::Streaming => "streaming",
            Self::Stalled => "stalled",
            Self::Hung => "hung",
        }
    }

    /// What it means and how to mend it; empty when there is nothing to mend.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Absent => "no such device: is the card plugged in, and does `framegate devices` list it?",
            Self::Unusable => "the device cannot be used; the log says why",
            Self::NoSignal => "no signal: is the cable plugged in at both ends, and the output on?",
            Self::NoLock => "unstable signal: try another cable, or a shorter one",
            Self::OutOfRange => "the card cannot take this mode: set the output to one that it knows",
            Self::Stalled => "the device delivers no frames: is its source on? It is started again",
            Self::Hung => {
                "the driver does not answer: unplug the device and plug it in again, or restart the box"
            }
            Self::Starting | Self::Streaming => "",
        }
    }

    /// Whether a picture comes in.
    pub fn has_signal(self) -> bool {
        matches!(self, Self::Streaming)
    }

    /// The state of an input without timings.
    pub fn of(error: NoTimings) -> Self {
        match error {
            NoTimings::NoSignal => Self::NoSignal,
            NoTimings::NoLock => Self::NoLock,
            NoTimings::OutOfRange => Self::OutOfRange,
            // The input has no timings to tell: frames will show.
            NoTimings::Unsupported => Self::Starting,
            NoTimings::Device(_) => Self::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_is_not_well_says_what_to_do() {
        for state in State::ALL {
            let well = matches!(state, State::Starting | State::Streaming);
            assert_eq!(state.advice().is_empty(), well, "{state:?}");
        }
    }

    #[test]
    fn what_the_timings_say_is_the_state() {
        assert_eq!(State::of(NoTimings::NoSignal), State::NoSignal);
        assert_eq!(State::of(NoTimings::OutOfRange), State::OutOfRange);
        assert_eq!(State::of(NoTimings::Unsupported), State::Starting);
    }
}
