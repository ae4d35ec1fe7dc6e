//! A fragment is one layer's part of the configuration, typed as the file spells it: every field
//! optional, durations as integers of the unit in their name, addresses and networks as strings,
//! named sections as maps.
//! Merging lays one fragment over another; the result has the same type and becomes `Settings` in
//! `validate`. Unknown fields are refused; what a field takes stands in the table of keys.

mod console;
mod metrics;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub(super) use self::console::{Console, ConsoleTls};
pub(super) use self::metrics::Metrics;
use super::kind::WITHHELD;
use super::settings::{
    Compression, Deinterlace, HttpVersion, LogFormat, MatrixChoice, PixelChoice, PushMode, RangeChoice,
    SeriesPolicy, VideoSopClass, WhenUnreachable,
};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fragment {
    pub(super) hub: Hub,
    pub(super) dimse: Dimse,
    pub(super) dicomweb: Dicomweb,
    pub(super) console: Console,
    pub(super) access: Access,
    pub(super) principal: BTreeMap<String, Principal>,
    pub(super) send: Send,
    pub(super) subscriptions: Subscriptions,
    pub(super) destination: BTreeMap<String, Destination>,
    pub(super) subscription: BTreeMap<String, Standing>,
    pub(super) availability: BTreeMap<String, Availability>,
    pub(super) relay: BTreeMap<String, Relay>,
    pub(super) spool: Spool,
    pub(super) worklist: BTreeMap<String, Worklist>,
    pub(super) mpps: BTreeMap<String, Mpps>,
    pub(super) audit: Audit,
    pub(super) capture: BTreeMap<String, Capture>,
    pub(super) pattern: Pattern,
    pub(super) service: Service,
    pub(super) metrics: Metrics,
}

/// `[hub]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Hub {
    pub(super) budget_bytes: Option<u64>,
    pub(super) max_age_seconds: Option<u64>,
    pub(super) quiet_seconds: Option<u64>,
    pub(super) linger_ms: Option<u64>,
    pub(super) max_series: Option<usize>,
}

/// `[dimse]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dimse {
    pub(super) listen: Option<String>,
    pub(super) ae_title: Option<String>,
    pub(super) accept_any_called_ae_title: Option<bool>,
    pub(super) calling_ae_titles: Option<Vec<String>>,
    pub(super) allow: Option<Vec<String>>,
    pub(super) private_sop_classes: Option<Vec<String>>,
    pub(super) tls: DimseTls,
    pub(super) limits: DimseBounds,
}

/// `[dimse.tls]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DimseTls {
    pub(super) listen: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) client_crl: Option<String>,
}

/// `[dimse.limits]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DimseBounds {
    pub(super) associations: Option<usize>,
    pub(super) associations_per_peer: Option<usize>,
    pub(super) pdu_bytes: Option<u32>,
    pub(super) head_bytes: Option<usize>,
    pub(super) frame_bytes: Option<usize>,
    pub(super) frames: Option<u32>,
    pub(super) elements: Option<usize>,
    pub(super) nesting: Option<usize>,
    pub(super) handshake_seconds: Option<u64>,
    pub(super) idle_seconds: Option<u64>,
    pub(super) stall_seconds: Option<u64>,
}

/// `[dicomweb]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dicomweb {
    pub(super) listen: Option<String>,
    pub(super) allow: Option<Vec<String>>,
    pub(super) cors_origins: Option<Vec<String>>,
    pub(super) tls: DicomwebTls,
    pub(super) limits: HttpBounds,
}

/// `[dicomweb.tls]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DicomwebTls {
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) client_certificate_optional: Option<bool>,
    pub(super) client_crl: Option<String>,
    pub(super) self_signed: Option<bool>,
}

/// `[dicomweb.limits]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HttpBounds {
    pub(super) connections: Option<usize>,
    pub(super) connections_per_peer: Option<usize>,
    pub(super) streams: Option<u32>,
    pub(super) requests_per_second: Option<u32>,
    pub(super) request_burst: Option<u32>,
    pub(super) header_bytes: Option<usize>,
    pub(super) header_timeout_seconds: Option<u64>,
    pub(super) idle_seconds: Option<u64>,
    pub(super) send_timeout_ms: Option<u64>,
    pub(super) search_results: Option<usize>,
}

/// `[access]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Access {
    pub(super) anonymous: Option<Vec<String>>,
    pub(super) anonymous_destinations: Option<Vec<String>>,
    pub(super) anonymous_filter: Option<Withheld>,
    pub(super) jwt: Jwt,
}

/// `[access.jwt]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Jwt {
    pub(super) jwks: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) leeway_seconds: Option<u64>,
}

/// `[principal.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Principal {
    pub(super) certificates: Option<Vec<String>>,
    pub(super) subjects: Option<Vec<String>>,
    pub(super) may: Option<Vec<String>>,
    pub(super) destinations: Option<Vec<String>>,
    pub(super) filter: Option<Withheld>,
}

/// `[send]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Send {
    pub(super) requests: Option<usize>,
    pub(super) idle_seconds: Option<u64>,
    pub(super) limits: SendBounds,
}

/// `[send.limits]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SendBounds {
    pub(super) head_bytes: Option<usize>,
    pub(super) frame_bytes: Option<usize>,
    pub(super) frames: Option<u32>,
    pub(super) elements: Option<usize>,
    pub(super) nesting: Option<usize>,
    pub(super) stall_seconds: Option<u64>,
    pub(super) listed: Option<usize>,
}

/// `[subscriptions]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Subscriptions {
    pub(super) total: Option<usize>,
    pub(super) per_subscriber: Option<usize>,
    pub(super) lease_seconds: Option<u64>,
    pub(super) events: Option<usize>,
    pub(super) channels: Option<usize>,
    pub(super) ping_seconds: Option<u64>,
}

/// `[destination.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Destination {
    pub(super) url: Option<String>,
    pub(super) mode: Option<PushMode>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) token: Option<String>,
    pub(super) allow_plain: Option<bool>,
    pub(super) http: Option<HttpVersion>,
    pub(super) connections: Option<usize>,
    pub(super) batch: Option<usize>,
    pub(super) rotate_seconds: Option<u64>,
    pub(super) rotate_bytes: Option<u64>,
    pub(super) connect_seconds: Option<u64>,
    pub(super) send_timeout_ms: Option<u64>,
    pub(super) response_seconds: Option<u64>,
    pub(super) retry_ms: Option<u64>,
    pub(super) retry_max_seconds: Option<u64>,
}

/// `[subscription.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Standing {
    pub(super) search: Option<String>,
    pub(super) filter: Option<Withheld>,
    pub(super) subscriber: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) destination: Option<String>,
    pub(super) rate: Option<f64>,
    pub(super) from: Option<String>,
    pub(super) transfer_syntax: Option<String>,
    pub(super) representation: Option<String>,
}

/// `[availability.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Availability {
    pub(super) address: Option<String>,
    pub(super) ae_title: Option<String>,
    pub(super) calling_ae_title: Option<String>,
    pub(super) retrieve_url: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

/// `[relay.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Relay {
    pub(super) called_ae_title: Option<String>,
    pub(super) calling_ae_titles: Option<Vec<String>>,
    pub(super) address: Option<String>,
    pub(super) upstream_called_ae_title: Option<String>,
    pub(super) upstream_calling_ae_title: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) stream: Option<bool>,
    pub(super) when_unreachable: Option<WhenUnreachable>,
    pub(super) connect_seconds: Option<u64>,
    pub(super) idle_seconds: Option<u64>,
}

/// `[spool]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Spool {
    pub(super) directory: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) max_bytes: Option<u64>,
    pub(super) free_bytes: Option<u64>,
    pub(super) max_age_hours: Option<u64>,
}

/// `[worklist.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Worklist {
    pub(super) address: Option<String>,
    pub(super) ae_title: Option<String>,
    pub(super) calling_ae_title: Option<String>,
    pub(super) url: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) token: Option<String>,
    pub(super) station_ae_titles: Option<Vec<String>>,
    pub(super) modality: Option<String>,
    pub(super) days_before: Option<u32>,
    pub(super) days_after: Option<u32>,
    pub(super) refresh_seconds: Option<u64>,
    pub(super) entries: Option<usize>,
}

/// `[mpps.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Mpps {
    pub(super) address: Option<String>,
    pub(super) ae_title: Option<String>,
    pub(super) calling_ae_title: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

/// `[audit]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) receiver: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) queue: Option<usize>,
}

/// `[capture.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Capture {
    pub(super) device: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) input: Option<String>,
    pub(super) sop_class: Option<VideoSopClass>,
    pub(super) modality: Option<String>,
    pub(super) pixels: Option<PixelChoice>,
    pub(super) compression: Option<Compression>,
    pub(super) jpeg_quality: Option<u8>,
    pub(super) matrix: Option<MatrixChoice>,
    pub(super) range: Option<RangeChoice>,
    pub(super) deinterlace: Option<Deinterlace>,
    pub(super) crop: Option<String>,
    pub(super) masks: Option<Vec<String>>,
    pub(super) masks_cover_identity: Option<bool>,
    pub(super) picture_size: Option<String>,
    pub(super) rate: Option<f64>,
    pub(super) changes_only: Option<bool>,
    pub(super) keep_alive_ms: Option<u64>,
    pub(super) series: Option<SeriesPolicy>,
    pub(super) activity_quiet_seconds: Option<u64>,
    pub(super) activity_threshold: Option<f64>,
    pub(super) patient_name: Option<Withheld>,
    pub(super) study_description: Option<String>,
    pub(super) series_description: Option<String>,
    pub(super) body_part: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model_name: Option<String>,
    pub(super) serial_number: Option<String>,
    pub(super) station_name: Option<String>,
    pub(super) pixel_spacing: Option<String>,
    pub(super) precedence: Option<Vec<String>>,
    pub(super) modality_ae_titles: Option<Vec<String>>,
    pub(super) stale_minutes: Option<u64>,
    pub(super) emergency_name: Option<Withheld>,
    pub(super) mpps: Option<String>,
}

/// `[pattern]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pattern {
    pub(super) enabled: Option<bool>,
    pub(super) rows: Option<u16>,
    pub(super) columns: Option<u16>,
    pub(super) bits: Option<u8>,
    pub(super) color: Option<bool>,
    pub(super) fps: Option<f64>,
}

/// `[service]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Service {
    pub(super) drain_seconds: Option<u64>,
    pub(super) self_test_seconds: Option<u64>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) landlock: Option<bool>,
}

/// Text that may name a patient, such as match keys in QIDO-RS syntax: withheld from `Debug`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Withheld(pub(super) String);

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { WITHHELD })
    }
}
