//! What is scheduled and what was performed: the gateway's talk with the RIS.
//!
//! ```text
//!   RIS ── Modality Worklist ──► worklist ──► context: what an operator or a capture may choose from
//!   RIS ◄─ MPPS, N-CREATE/SET ── performed ◄── desk: what a capture's encounters perform; hub: of which instances
//! ```
//!
//! [`worklist`] asks at intervals and keeps the last answer while the peer is away; [`performed`] tells each
//! step in order and tries until it is told. Nobody waits for either: frames flow whatever the RIS does.

mod counters;
pub mod performed;
#[cfg(test)]
mod testing;
pub mod worklist;

pub use self::counters::{Kind, ProcedureCounters};
