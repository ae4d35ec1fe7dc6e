//! Settings of the relay: associations that are passed on to the peer they were meant for, and what becomes
//! of objects while that peer is away.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::PeerTls;

/// A peer that associations are passed on to (`[relay.NAME]`): the *upstream*, for instance the PACS.
#[derive(Debug, Clone, PartialEq)]
pub struct RelaySettings {
    /// Associations that call this AE title are passed on.
    pub called_ae_title: String,
    /// Only those of these calling AE titles; empty means any.
    pub calling_ae_titles: Vec<String>,
    /// Address and port of the upstream.
    pub address: String,
    /// AE title by which the upstream is called; `None` for the one that was called.
    pub upstream_called_ae_title: Option<String>,
    /// AE title that the upstream is told is calling; `None` for that of the modality.
    pub upstream_calling_ae_title: Option<String>,
    /// A listener of its own, plain, where every called AE title is passed on; `None` has none.
    pub listen: Option<SocketAddr>,
    /// TLS towards the upstream; `None` is plain.
    pub tls: Option<PeerTls>,
    /// Whether what is C-STOREd is streamed while it passes.
    pub stream: bool,
    /// What a modality gets while the upstream cannot be reached.
    pub when_unreachable: WhenUnreachable,
    /// For a TCP connection to the upstream, with TLS.
    pub connect: Duration,
    /// An association in which no byte passes either way for so long is aborted.
    pub idle: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            called_ae_title: String::new(),
            calling_ae_titles: Vec::new(),
            address: String::new(),
            upstream_called_ae_title: None,
            upstream_calling_ae_title: None,
            listen: None,
            tls: None,
            stream: true,
            when_unreachable: WhenUnreachable::Reject,
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(3600),
        }
    }
}

/// What a modality gets while the upstream cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnreachable {
    /// A-ASSOCIATE-RJ, transient: it keeps its own queue.
    Reject,
    /// An association in which each C-STORE is streamed and answered with A700H: it keeps its queue.
    Stream,
    /// An association in which each C-STORE is streamed, spooled and answered with success.
    Spool,
}

/// Where objects wait that were answered with success while their upstream was away (`[spool]`).
#[derive(Debug, Clone, PartialEq)]
pub struct SpoolSettings {
    /// The directory, in which each relay has one of its own; `None` has no spool.
    pub directory: Option<PathBuf>,
    /// A file with the key of 32 bytes, sealed by whoever provides it; `None` makes one in the runtime
    /// directory, which a reboot destroys, and everything spooled with it.
    pub key_file: Option<PathBuf>,
    /// Bytes of all that waits for one relay.
    pub max_bytes: u64,
    /// Bytes of the file system that stay free.
    pub free_bytes: u64,
    /// What has waited longer is given up, with an error in the log.
    pub max_age: Duration,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            directory: None,
            key_file: None,
            max_bytes: 4 << 30,
            free_bytes: 512 << 20,
            max_age: Duration::from_secs(72 * 3600),
        }
    }
}
