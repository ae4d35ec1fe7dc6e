//! Why a peer could not be reached, or a request to it came to nothing.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::net::tls::TlsError;

/// A URL that no connection can be made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not an absolute URL.
    #[error("the URL cannot be read; it should look like https://host:port/path")]
    Unreadable,
    /// Neither http nor https.
    #[error("the URL begins with neither https:// nor http://")]
    Scheme,
    /// User name, query or fragment.
    #[error("the URL has more than scheme, host, port and path; leave out user name and query")]
    More,
}

/// Why there is no connection to a peer. Every message stands alone in the journal.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP did not get through.
    #[error("cannot connect to {authority}: {error}; is the peer up, and is the address right?")]
    Tcp {
        /// Host and port.
        authority: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// Plain HTTP to another machine.
    #[error(
        "{authority} is not on this machine and its URL is http://, which anybody on the way can read; use https:// (or say allow_plain)"
    )]
    Plain {
        /// Host and port.
        authority: String,
    },
    /// Files for TLS are not usable.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The TLS handshake failed.
    #[error(
        "the TLS handshake with {authority} failed: {error}; check that the roots in ca belong to the peer's certificate, that it is made for this host name, and that the peer accepts ours if it asks for one"
    )]
    Handshake {
        /// Host and port.
        authority: String,
        /// What the library says.
        error: io::Error,
    },
    /// Another HTTP version than asked for.
    #[error("{authority} does not offer HTTP/2 (ALPN); let http be \"auto\" or \"1.1\"")]
    Version {
        /// Host and port.
        authority: String,
    },
    /// HTTP did not begin.
    #[error("{authority} does not speak HTTP as expected: {reason}")]
    Http {
        /// Host and port.
        authority: String,
        /// What the library says.
        reason: String,
    },
    /// It took too long.
    #[error("{authority} took longer than {limit:?} for TCP and TLS")]
    Late {
        /// Host and port.
        authority: String,
        /// How long it might have taken.
        limit: Duration,
    },
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer has processed nothing of it, and says so (RFC 9113 §8.7), or it was never sent: it may go
    /// out again at once, on a new connection.
    #[error("the peer closed the connection before it looked at the request")]
    Unprocessed,
    /// The peer took no byte for longer than it may.
    #[error("the peer took no bytes for too long; check the peer and the network to it")]
    Stalled,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl SendError {
    /// From what the HTTP library says.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_timeout() {
            return Self::Stalled;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
                let goodbye = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
                if error.is_remote() && (refused || goodbye) {
                    return Self::Unprocessed;
                }
                if error.get_io().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                    return Self::Stalled;
                }
            }
            if let Some(error) = error.downcast_ref::<io::Error>()
                && error.kind() == io::ErrorKind::TimedOut
            {
                return Self::Stalled;
            }
            cause = error.source();
        }
        Self::Broken(chain(error))
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
