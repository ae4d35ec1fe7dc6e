//! Where the statements of a profile come from, and whether anybody has tried them.

use serde::Deserialize;

use super::value;

/// Where the statements come from. Both lists must be written, even when empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Read in kernel source, data sheets, manuals, threads; with what each of them says.
    #[serde(deserialize_with = "value::lines")]
    pub documents: Vec<String>,
    /// Seen on a device in somebody's hands.
    #[serde(deserialize_with = "value::lines")]
    pub seen_on_device: Vec<String>,
}

/// Somebody's word that the profile was tried on a device, and what shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validated {
    /// Who.
    #[serde(deserialize_with = "value::line")]
    pub by: String,
    /// When: YYYY-MM-DD.
    #[serde(deserialize_with = "value::day")]
    pub on: String,
    /// Firmware of the device, or its revision.
    #[serde(deserialize_with = "value::line")]
    pub firmware: String,
    /// Where the report of the test is.
    #[serde(deserialize_with = "value::line")]
    pub evidence: String,
}
