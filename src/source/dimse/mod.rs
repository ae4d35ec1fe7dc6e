//! The DIMSE source: a Verification and Storage SCP (PS3.4 Annexes A and B) that publishes what a
//! modality C-STOREs while it is still arriving.
//!
//! `listener` accepts connections, plain or TLS, and holds the policy on addresses and numbers;
//! `association` runs one of them: `establish` reads its request, `negotiate` answers it or `relay` passes it on, [`crate::dimse`] reads its stream and its
//! command sets, and `store` its data sets, out of which [`crate::instance::assemble`] makes instances.

mod association;
pub mod counters;
mod establish;
pub(crate) mod events;
mod listener;
pub mod negotiate;
pub mod relay;
mod store;

pub use self::counters::DimseCounters;
pub use self::listener::DimseSource;
