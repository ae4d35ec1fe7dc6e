//! `[console]`, as the file spells it.

use serde::{Deserialize, Serialize};

/// `[console]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Console {
    pub(in super::super) listen: Option<String>,
    pub(in super::super) allow: Option<Vec<String>>,
    pub(in super::super) tls: ConsoleTls,
    pub(in super::super) code_may: Option<Vec<String>>,
    pub(in super::super) session_minutes: Option<u64>,
}

/// `[console.tls]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct ConsoleTls {
    pub(in super::super) certificate: Option<String>,
    pub(in super::super) key: Option<String>,
    pub(in super::super) client_ca: Option<String>,
    pub(in super::super) client_crl: Option<String>,
}
