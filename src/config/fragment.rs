//! A fragment is one layer's part of the configuration, typed as the file spells it: every field
//! optional, durations as integers of the unit in their name, addresses and networks as strings.
//! Merging lays one fragment over another; the result has the same type and becomes `Settings` in
//! `validate`. Unknown fields are refused; what a field takes stands in the table of keys.

use serde::{Deserialize, Serialize};

use super::settings::{
    DicomwebSettings, DimseLimits, DimseSettings, HttpLimits, HubSettings, LogFormat, PatternSettings,
    ServiceSettings, Settings,
};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fragment {
    pub(super) hub: Hub,
    pub(super) dimse: Dimse,
    pub(super) dicomweb: Dicomweb,
    pub(super) pattern: Pattern,
    pub(super) service: Service,
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
    pub(super) log: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) metrics_listen: Option<String>,
}

impl Fragment {
    /// The first layer: every key with its default. A self-signed certificate is a default only
    /// where no file is given, so that a file which forgets its certificate is refused.
    pub(super) fn built_in(self_signed: bool) -> Self {
        let settings = Settings::default();
        Self {
            hub: Hub::from(&settings.hub),
            dimse: Dimse::from(&settings.dimse),
            dicomweb: Dicomweb {
                tls: DicomwebTls {
                    certificate: Some(String::new()),
                    key: Some(String::new()),
                    client_ca: Some(String::new()),
                    self_signed: Some(self_signed),
                },
                ..Dicomweb::from(&settings.dicomweb)
            },
            pattern: Pattern::from(&settings.pattern),
            service: Service::from(&settings.service),
        }
    }
}

impl From<&HubSettings> for Hub {
    fn from(hub: &HubSettings) -> Self {
        Self {
            budget_bytes: Some(hub.budget_bytes),
            max_age_seconds: Some(hub.max_age.as_secs()),
            quiet_seconds: Some(hub.quiet.as_secs()),
            linger_ms: Some(milliseconds(hub.linger)),
            max_series: Some(hub.max_series),
        }
    }
}

impl From<&DimseSettings> for Dimse {
    /// The `tls` section comes out closed, as it is by default.
    fn from(dimse: &DimseSettings) -> Self {
        Self {
            listen: Some(dimse.listen.map(|address| address.to_string()).unwrap_or_default()),
            ae_title: Some(dimse.ae_title.clone()),
            accept_any_called_ae_title: Some(dimse.accept_any_called_ae_title),
            calling_ae_titles: Some(dimse.calling_ae_titles.clone()),
            allow: Some(strings(&dimse.allow)),
            private_sop_classes: Some(dimse.private_sop_classes.clone()),
            tls: DimseTls {
                listen: Some(String::new()),
                certificate: Some(String::new()),
                key: Some(String::new()),
                client_ca: Some(String::new()),
            },
            limits: DimseBounds::from(&dimse.limits),
        }
    }
}

impl From<&DimseLimits> for DimseBounds {
    fn from(limits: &DimseLimits) -> Self {
        Self {
            associations: Some(limits.associations),
            associations_per_peer: Some(limits.associations_per_peer),
            pdu_bytes: Some(limits.pdu_bytes),
            head_bytes: Some(limits.head_bytes),
            frame_bytes: Some(limits.frame_bytes),
            frames: Some(limits.frames),
            elements: Some(limits.elements),
            nesting: Some(limits.nesting),
            handshake_seconds: Some(limits.handshake.as_secs()),
            idle_seconds: Some(limits.idle.as_secs()),
            stall_seconds: Some(limits.stall.as_secs()),
        }
    }
}

impl From<&DicomwebSettings> for Dicomweb {
    /// The `tls` section comes out unset.
    fn from(dicomweb: &DicomwebSettings) -> Self {
        Self {
            listen: Some(dicomweb.listen.to_string()),
            allow: Some(strings(&dicomweb.allow)),
            cors_origins: Some(dicomweb.cors_origins.clone()),
            tls: DicomwebTls::default(),
            limits: HttpBounds::from(&dicomweb.limits),
        }
    }
}

impl From<&HttpLimits> for HttpBounds {
    fn from(limits: &HttpLimits) -> Self {
        Self {
            connections: Some(limits.connections),
            connections_per_peer: Some(limits.connections_per_peer),
            streams: Some(limits.streams),
            requests_per_second: Some(limits.requests_per_second),
            request_burst: Some(limits.request_burst),
            header_bytes: Some(limits.header_bytes),
            header_timeout_seconds: Some(limits.header_timeout.as_secs()),
            idle_seconds: Some(limits.idle.as_secs()),
            send_timeout_ms: Some(milliseconds(limits.send_timeout)),
            search_results: Some(limits.search_results),
        }
    }
}

impl From<&PatternSettings> for Pattern {
    fn from(pattern: &PatternSettings) -> Self {
        Self {
            enabled: Some(pattern.enabled),
            rows: Some(pattern.rows),
            columns: Some(pattern.columns),
            bits: Some(pattern.bits),
            color: Some(pattern.color),
            fps: Some(pattern.fps),
        }
    }
}

impl From<&ServiceSettings> for Service {
    fn from(service: &ServiceSettings) -> Self {
        Self {
            drain_seconds: Some(service.drain.as_secs()),
            log: Some(service.log.clone()),
            log_format: Some(service.log_format),
            metrics_listen: Some(
                service.metrics_listen.map(|address| address.to_string()).unwrap_or_default(),
            ),
        }
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn strings<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
