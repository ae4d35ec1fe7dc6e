//! `[pattern]` and `[service]`, as the file spells them.

use serde::{Deserialize, Serialize};

use super::super::settings::LogFormat;

/// `[pattern]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Pattern {
    pub(in super::super) enabled: Option<bool>,
    pub(in super::super) rows: Option<u16>,
    pub(in super::super) columns: Option<u16>,
    pub(in super::super) bits: Option<u8>,
    pub(in super::super) color: Option<bool>,
    pub(in super::super) fps: Option<f64>,
}

/// `[service]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Service {
    pub(in super::super) drain_seconds: Option<u64>,
    pub(in super::super) self_test_seconds: Option<u64>,
    pub(in super::super) log: Option<String>,
    pub(in super::super) log_format: Option<LogFormat>,
    pub(in super::super) landlock: Option<bool>,
}
