//! `[audit]`, as the file spells it.

use serde::{Deserialize, Serialize};

/// `[audit]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Audit {
    pub(in super::super) receiver: Option<String>,
    pub(in super::super) ca: Option<String>,
    pub(in super::super) certificate: Option<String>,
    pub(in super::super) key: Option<String>,
    pub(in super::super) queue: Option<usize>,
}
