//! `[metrics]`, as the file spells it.

use serde::{Deserialize, Serialize};

/// `[metrics]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Metrics {
    pub(in super::super) listen: Option<String>,
    pub(in super::super) allow: Option<Vec<String>>,
    pub(in super::super) token: Option<String>,
    pub(in super::super) certificate: Option<String>,
    pub(in super::super) key: Option<String>,
}
