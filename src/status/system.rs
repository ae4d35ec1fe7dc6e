//! The process, the network and the machine.

use serde::{Deserialize, Serialize};

/// The process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Version of framegate.
    pub version: String,
    /// When it began (RFC 3339, UTC).
    pub started: String,
    /// Since it began (seconds).
    pub uptime_seconds: u64,
    /// Whether it can serve: what `/readyz` says.
    pub ready: bool,
    /// Resident memory (bytes).
    pub memory_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// How many descriptors it may open.
    pub descriptor_limit: u64,
    /// The last self-test; `None` before the first.
    pub self_test: Option<SelfTestStatus>,
}

/// The last self-test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTestStatus {
    /// Whether it was good.
    pub ok: bool,
    /// When it ended (RFC 3339, UTC).
    pub at: String,
    /// How long it took (microseconds).
    pub microseconds: u64,
    /// What failed and how to mend it.
    pub failed: Option<String>,
}

/// Listeners, certificates, time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Name of the host.
    pub host_name: String,
    /// Addresses of this machine but for loopback.
    pub addresses: Vec<String>,
    /// What listens.
    pub listeners: Vec<ListenerStatus>,
    /// Certificates that we show, and those that the configuration names for peers.
    pub certificates: Vec<CertificateStatus>,
    /// The clock.
    pub clock: ClockStatus,
}

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Key of the configuration, such as `dicomweb.listen`.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Whether it does TLS.
    pub tls: bool,
}

/// A certificate chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// What it is for: a listener, or a peer's section and key.
    pub name: String,
    /// When the first certificate of the chain expires (RFC 3339, UTC).
    pub not_after: String,
    /// Whole days until then; negative when it is over.
    pub days_left: i64,
    /// Whether it is for later, if our clock is right.
    pub not_yet_valid: bool,
}

/// The clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// Whether the kernel says that it is synchronised (adjtimex(2)).
    pub synchronized: bool,
    /// Who says so: `ptp`, `chrony`, `timesyncd`; `free` where it is kept by somebody who follows nobody; empty where
    /// nobody keeps it.
    pub source: String,
    /// Most that it is off, as the kernel knows (microseconds).
    pub error_microseconds: Option<u64>,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemStatus {
    /// Device identifier of an appliance; empty where it has none.
    pub device_id: String,
    /// Version of the image, from os-release; empty where it is none of ours.
    pub image_version: String,
    /// Slot that was booted, `A` or `B`; empty without slots.
    pub slot: String,
    /// Hardware profile of the box; empty where none fits.
    pub profile: String,
    /// Since the boot (seconds).
    pub uptime_seconds: u64,
    /// Load of the last minute, divided by the number of processors.
    pub load: f64,
    /// Memory that programs could still get (bytes).
    pub memory_available_bytes: u64,
    /// Memory of the machine (bytes).
    pub memory_bytes: u64,
    /// Sensors.
    pub temperatures: Vec<TemperatureStatus>,
    /// File systems that we write to.
    pub disks: Vec<DiskStatus>,
}

/// A sensor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TemperatureStatus {
    /// Name that the kernel has for it.
    pub name: String,
    /// Degrees Celsius.
    pub celsius: f64,
    /// Where the kernel calls it critical (degrees Celsius).
    pub critical_celsius: Option<f64>,
}

/// A file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// What is on it: `runtime`, `spool`.
    pub name: String,
    /// Bytes free.
    pub free_bytes: u64,
    /// Bytes in all.
    pub bytes: u64,
}
