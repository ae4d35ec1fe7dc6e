//! Capture: a video output, through V4L2, becomes a live series.

pub mod device;
pub mod error;
pub mod events;
pub mod find;
pub mod format;
pub mod stream;
pub mod timings;

pub mod counters;
pub mod gaps;
pub mod signal;
pub mod stamp;

mod sys;
