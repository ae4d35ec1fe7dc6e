//! What yields frames or instances. A source publishes into the [hub](crate::hub) and knows
//! nothing of who reads. Each has a room of its own; what several need stands beside the rooms.

pub mod capture;
mod claims;
pub mod dimse;
pub mod pattern;
pub mod refused;
pub mod send;
mod sop_class;
