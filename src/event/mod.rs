//! What is logged: every kind of event is a type, with a name, a level, fields and a text, so that there is a list of
//! all of them (docs/events.md), and whoever watches a box can look for a name instead of words.
//!
//! A room declares its events with [`events!`] in a file `events.rs` of its own, and tells one by making and
//! [`telling`](events!) it. Events go out through `tracing`: `service.log` filters them, and what listens is the log on
//! standard error or the system's journal, and [`recent`], which keeps the newest in memory.

mod journal;
mod kind;
mod recent;
mod said;

pub use self::journal::Journal;
#[cfg(test)]
pub(crate) use self::journal::message_id;
pub use self::kind::Kind;
pub(crate) use self::kind::{events, first, room};
pub use self::recent::{Entry, Keeping, Recent, recent};
