//! What takes instances, and news of them, out of the hub to those who want them. Retrieval answers
//! requests and is in `dicomweb`; here is what goes out by itself, and what all of it shares:
//!
//! - [`availability`]: DIMSE peers are told which instances can be retrieved;
//! - [`notify`]: events on notification connections;
//! - [`push`]: instances to destinations;
//! - [`form`], [`pace`] and [`workers`]: other forms of an instance, decimation, heavy work.

pub mod availability;
pub mod form;
pub mod notify;
pub mod pace;
pub mod push;
pub mod workers;
