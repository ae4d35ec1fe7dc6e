//! The standing search: which instances does someone want to see?
//!
//! A QIDO-RS search asks that once, of what is live now; a subscription asks it of everything still
//! to come. Both are the same [`query::Query`], parsed from the query parameters of PS3.18 §8.3.4
//! and compiled then and there, so that [`matching`] can be run on every event against every
//! subscription. The matching types are those of PS3.4 C.2.2.2, one file for each that is more than
//! a comparison: [`wildcard`] text, [`person_name`], and dates and times in [`moment`].

pub mod attribute;
pub mod described;
pub mod filter;
pub mod matching;
pub(crate) mod moment;
pub mod options;
mod person_name;
pub mod query;
pub mod registry;
pub mod scope;
mod wildcard;
