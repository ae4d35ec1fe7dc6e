//! Capture: a video output, through V4L2, becomes a live series.
//!
//! ```text
//! worker ─ owns the thread: device ► signal ► stream ► frames, and heals
//!   ├ find, device, format, timings, stream, events ─ V4L2, by way of sys (all unsafe code)
//!   ├ replay ─ a file of frames instead of a device
//!   ├ plan ─ configuration and hardware profile in one     watch ─ the signal's own thread
//!   └ frames ─ stamp, gaps, pace, series ► instance ► hub   clock ─ is the time true?
//! ```
//!
//! A capture thread waits for its driver and for nobody else. [`signal`] names its states; [`counters`] is
//! what can be seen of it from outside.

pub mod clock;
mod compressing;
pub mod counters;
pub mod device;
mod draft;
pub mod error;
pub mod events;
pub mod find;
pub mod format;
pub mod frames;
pub mod gaps;
pub mod heartbeat;
pub(crate) mod log_events;
pub mod pace;
pub mod picture;
pub mod pictures;
pub mod plan;
mod priority;
pub mod replay;
pub mod series;
mod session;
pub mod signal;
pub mod stamp;
mod still;
pub mod stream;
pub mod timings;
mod usb;
pub mod watch;
pub mod worker;

mod sys;
