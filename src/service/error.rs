//! Why the service cannot run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::capture::CaptureStartError;
use super::spool::SpoolStartError;
use crate::dicomweb::access::AccessError;
use crate::net::tls::TlsError;

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} for {what}: {error}; is another process there, or is the address not ours?"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Which configuration key.
        what: &'static str,
        /// What the kernel says.
        error: io::Error,
    },
    /// A certificate cannot be used.
    #[error("{what}: {error}")]
    Tls {
        /// Which configuration section.
        what: &'static str,
        /// Why.
        error: TlsError,
    },
    /// The table of who may do what is not usable.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A standing search of the configuration is not usable.
    #[error("{0}")]
    Standing(String),
    /// The pattern source cannot start.
    #[error("the pattern source cannot start: {0}")]
    Pattern(String),
    /// A capture cannot start.
    #[error("the captures cannot start: {0}")]
    Capture(#[from] CaptureStartError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolStartError),
    /// The control socket.
    #[error("the control socket cannot be made in {}: {error}; give the service a runtime directory that it may write to", directory.display())]
    Control {
        /// The runtime directory.
        directory: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The kernel refuses something basic.
    #[error("the process cannot be set up: {0}")]
    Io(#[from] io::Error),
}
