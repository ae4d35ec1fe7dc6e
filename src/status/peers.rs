//! Whom we talk to: subscribers, destinations, upstreams, the RIS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A standing search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionStatus {
    /// Identifier within the service.
    pub id: String,
    /// Name of the subscriber.
    pub subscriber: String,
    /// Whose it is; `None` is anonymous.
    pub principal: Option<String>,
    /// Level: `studies`, `series` or `instances`.
    pub level: String,
    /// Destination that it is pushed to; `None` for notifications.
    pub destination: Option<String>,
    /// Whether the configuration holds it.
    pub standing: bool,
    /// `waiting`, `sending`, `retrying`, … for a push; `connected` or `away` for notifications.
    pub state: String,
    /// Whether it is suspended.
    pub paused: bool,
    /// At most so many instances a second.
    pub rate: Option<f64>,
    /// Events or instances delivered.
    pub sent: u64,
    /// Those that could not be.
    pub failed: u64,
    /// Those that were missed.
    pub missed: u64,
    /// Until its lease ends (seconds).
    pub lease_seconds: Option<u64>,
}

/// A configured peer that instances are pushed to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Name of its section.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// `idle`, `sending`, `retrying` or `paused`: the worst of its subscriptions.
    pub state: String,
    /// Subscriptions that push to it.
    pub subscriptions: u64,
    /// Instances that it has taken since the start.
    pub sent: u64,
    /// Bytes that it has taken since the start.
    pub bytes: u64,
    /// Instances in the last second or so, a second.
    pub instances_per_second: f64,
    /// Instances that it has refused since the start, or that could not be sent.
    pub failed: u64,
    /// Instances that left their ring before it took them, since the start.
    pub missed: u64,
    /// What went wrong last; `None` since it went well.
    pub last_error: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A relay and its upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Name of its section.
    pub name: String,
    /// Host and port of the upstream.
    pub address: String,
    /// What is done while the upstream is away.
    pub when_unreachable: String,
    /// Open associations.
    pub open: u64,
    /// Associations since the start, by what became of them.
    pub associations: BTreeMap<String, u64>,
    /// Bytes since the start, by direction.
    pub bytes: BTreeMap<String, u64>,
    /// C-STOREs since the start, by what became of them.
    pub stored: BTreeMap<String, u64>,
    /// Objects that passed and were not streamed, since the start, by reason.
    pub unstreamed: BTreeMap<String, u64>,
    /// What waits for the upstream; `None` without a spool.
    pub spool: Option<SpoolStatus>,
    /// Why the upstream could not be reached the last time; `None` where it could.
    pub last_error: Option<String>,
}

/// What waits for an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Objects that wait.
    pub objects: u64,
    /// Their bytes on the disk.
    pub bytes: u64,
    /// Bytes that may be there.
    pub budget_bytes: u64,
    /// Age of the first of them (seconds).
    pub oldest_seconds: u64,
    /// Objects that the upstream has refused for good.
    pub set_aside: u64,
    /// Objects that had been acknowledged and are lost, since the start: too old, damaged, or their key is gone.
    pub lost: u64,
}

/// A worklist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorklistStatus {
    /// Name of its section.
    pub name: String,
    /// Host and port, or URL.
    pub address: String,
    /// Entries that it has given.
    pub entries: u64,
    /// When it last answered (seconds ago); `None` where it never did.
    pub age_seconds: Option<u64>,
    /// Why it gave no answer the last time; `None` where it did.
    pub last_error: Option<String>,
}

/// A peer that is told of performed procedure steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MppsStatus {
    /// Name of its section.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Messages that it took, since the start.
    pub told: u64,
    /// Messages that it did not take, since the start.
    pub failed: u64,
    /// Why the last message came to nothing; `None` where it did not.
    pub last_error: Option<String>,
}

/// The receiver of the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatus {
    /// Host and port.
    pub address: String,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Messages that wait for it.
    pub waiting: u64,
    /// Messages that were lost, since the start.
    pub lost: u64,
    /// Why there is no connection, and what to do about it; `None` since it went well.
    pub last_error: Option<String>,
}
