//! How the box is, as people are told: one [`Status`] with a value for whatever they would look for, and a list of
//! [`Finding`]s, each with what is wrong, where, and how to mend it. The service makes one when somebody asks
//! (`service::status`); the console shows it, `framegate status` prints it, `framegate doctor` adds to its findings.
//!
//! Plain values in and out of JSON, with units in their names. None of them is PHI: no name, no identifier of a patient,
//! no filter. Addresses and AE titles of peers are in it, as they are in logs.

mod peers;
mod sources;
mod system;

use serde::{Deserialize, Serialize};

pub use self::peers::{
    AuditStatus, DestinationStatus, MppsStatus, RelayStatus, SpoolStatus, SubscriptionStatus, WorklistStatus,
};
pub use self::sources::{CaptureStatus, DimseStatus, HubStatus, ReaderStatus, SeriesStatus};
pub use self::system::{
    CertificateStatus, ClockStatus, DiskStatus, ListenerStatus, NetworkStatus, SelfTestStatus, ServiceStatus,
    SystemStatus, TemperatureStatus,
};

/// Everything, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When (RFC 3339, UTC).
    pub at: String,
    /// What is wrong, worst first; empty where all is well.
    pub findings: Vec<Finding>,
    /// The process.
    pub service: ServiceStatus,
    /// Configured video devices, by name.
    pub captures: Vec<CaptureStatus>,
    /// The DIMSE source; `None` where it does not listen.
    pub dimse: Option<DimseStatus>,
    /// All rings together.
    pub hub: HubStatus,
    /// Series that are live or still readable, the newest first.
    pub series: Vec<SeriesStatus>,
    /// Standing searches.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// Configured destinations, by name.
    pub destinations: Vec<DestinationStatus>,
    /// Relays, by name.
    pub relays: Vec<RelayStatus>,
    /// Worklists, by name.
    pub worklists: Vec<WorklistStatus>,
    /// Peers that are told of performed procedure steps, by name.
    pub mpps: Vec<MppsStatus>,
    /// The receiver of the audit trail; `None` without one.
    #[serde(default)]
    pub audit: Option<AuditStatus>,
    /// Listeners, certificates, time.
    pub network: NetworkStatus,
    /// The machine.
    pub system: SystemStatus,
}

/// How bad a finding is; in the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something that was asked for does not work.
    Error,
    /// It works, and will not for long, or not as it should.
    Warning,
    /// To be known.
    Note,
}

/// One thing that somebody should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is of, such as `capture xa` or `destination navigation`.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}
