//! What yields frames or instances. A source publishes into the [hub](crate::hub) and knows
//! nothing of who reads.

pub mod dimse;
pub mod pattern;
pub mod send;
