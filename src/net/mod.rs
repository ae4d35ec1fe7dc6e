//! Everything between a TCP socket and a request. TLS with one security profile and reload ([`tls`]),
//! the HTTP server ([`http`]), who a client is ([`auth`]), the bounds on what a peer may do ([`limits`])
//! and the counts of what was turned away ([`counters`]); and the other way round, a connection of ours
//! to a peer ([`client`]) or to ourselves ([`own`]), how long to wait when it failed ([`backoff`]), and a task for each such peer
//! ([`tasks`]).
//!
//! Nothing here knows of frames or DICOM. The DICOMweb layer gives [`http::serve`] a
//! [`http::Handler`]; the DIMSE source takes its TLS configuration from [`tls::Reloading`] and may
//! bound its associations with [`limits::Connections`]. A connection passes, in this order: allow
//! list, connection limits, TLS handshake with a deadline, request head with a deadline, request
//! rate; while it is answered, a watch drops it when the client stops taking bytes.

pub mod alarms;
pub mod auth;
pub mod backoff;
pub mod client;
mod connection;
pub mod counters;
pub(crate) mod events;
pub mod file;
pub mod http;
pub mod limits;
pub mod multipart;
pub mod own;
mod progress;
mod socket;
pub mod tasks;
pub mod tls;
pub mod until;
