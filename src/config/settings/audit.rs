//! The audit trail (`[audit]`).

use super::PeerTls;

/// Where messages of the audit trail go.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditSettings {
    /// The audit record repository; `None` leaves the journal alone.
    pub receiver: Option<AuditReceiver>,
    /// Messages that wait in memory while it is away.
    pub queue: usize,
}

/// A syslog server over TLS (RFC 5425).
#[derive(Debug, Clone, PartialEq)]
pub struct AuditReceiver {
    /// `host:port`, usually port 6514.
    pub address: String,
    /// Whom we trust, and who we are there.
    pub tls: PeerTls,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { receiver: None, queue: 10_000 }
    }
}
