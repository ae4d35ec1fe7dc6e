//! The profile of a kind of box: watchdog, TPM, lights, network, temperature and disk.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::facts::{Facts, Validated};
use super::matching::BoxMatch;
use super::value;

/// What a kind of box has. One file of `hw-profiles/`, with `kind = "box"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxProfile {
    #[serde(rename = "kind")]
    _kind: BoxKind,
    /// Name; that of the file, too.
    #[serde(deserialize_with = "value::name")]
    pub name: String,
    /// What it is, in a line.
    #[serde(deserialize_with = "value::line")]
    pub summary: String,
    /// Which boxes.
    #[serde(rename = "match")]
    pub matches: BoxMatch,
    /// Names of the capture profiles that are usual in it, likeliest first.
    #[serde(default, deserialize_with = "value::names")]
    pub capture: Vec<String>,
    /// Its TPM; `None` for unknown.
    #[serde(default)]
    pub tpm: Option<Tpm>,
    /// Its hardware watchdog; `None` for unknown.
    #[serde(default)]
    pub watchdog: Option<Watchdog>,
    /// What a light says → its name below `/sys/class/leds`.
    #[serde(default, deserialize_with = "table")]
    pub leds: BTreeMap<String, String>,
    /// What a button is for → the name of its key event, such as `KEY_RESTART`.
    #[serde(default, deserialize_with = "table")]
    pub buttons: BTreeMap<String, String>,
    /// What a network is for → the name of its interface.
    #[serde(default, deserialize_with = "table")]
    pub nics: BTreeMap<String, String>,
    /// What is too hot; `None` for unknown.
    #[serde(default)]
    pub thermal: Option<Thermal>,
    /// Its disk; `None` for unknown.
    #[serde(default)]
    pub storage: Option<Storage>,
    /// Where all this comes from.
    pub facts: Facts,
    /// Who has tried it on a box. Absent: nobody has.
    #[serde(default)]
    pub validated: Option<Validated>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BoxKind {
    Box,
}

/// How a TPM is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tpm {
    /// There is none.
    None,
    /// Command Response Buffer: most firmware TPMs (`tpm_crb`).
    Crb,
    /// Memory-mapped FIFO (`tpm_tis`).
    Tis,
    /// A module on SPI (`tpm_tis_spi`).
    Spi,
}

/// A hardware watchdog.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// Its driver.
    #[serde(deserialize_with = "value::line")]
    pub driver: String,
    /// Its node.
    #[serde(deserialize_with = "value::device_path")]
    pub device: String,
    /// The longest time that it can be set to (s).
    #[serde(deserialize_with = "value::whole::<1, 65_535, _>")]
    pub max_timeout_seconds: u32,
}

/// What is too hot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawThermal")]
pub struct Thermal {
    /// Types of thermal zones (`/sys/class/thermal/*/type`).
    pub zones: Vec<String>,
    /// From here on it is told (°C).
    pub warn_c: u32,
    /// From here on work is shed (°C); above `warn_c`.
    pub critical_c: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawThermal {
    #[serde(deserialize_with = "value::lines")]
    zones: Vec<String>,
    #[serde(deserialize_with = "value::whole::<30, 125, _>")]
    warn_c: u32,
    #[serde(deserialize_with = "value::whole::<30, 125, _>")]
    critical_c: u32,
}

impl TryFrom<RawThermal> for Thermal {
    type Error = String;

    fn try_from(raw: RawThermal) -> Result<Self, String> {
        let RawThermal { zones, warn_c, critical_c } = raw;
        if warn_c >= critical_c {
            return Err(format!("warn_c {warn_c} is not below critical_c {critical_c}; lower warn_c"));
        }
        Ok(Self { zones, warn_c, critical_c })
    }
}

/// The disk that the system is on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Its node, best one below `/dev/disk/by-path`.
    #[serde(deserialize_with = "value::some_device_path")]
    pub disk: Option<String>,
}

/// Names on the left, lines on the right; not too many.
fn table<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let table = BTreeMap::<String, String>::deserialize(from)?;
    if table.len() > value::ENTRIES {
        return Err(D::Error::custom(format!("has {} keys; write at most {}", table.len(), value::ENTRIES)));
    }
    for (name, text) in &table {
        if !value::is_name(name) {
            return Err(D::Error::custom("has a key that is no name; write lower-case letters, digits or -"));
        }
        value::Line::try_from(text.clone()).map_err(|what| D::Error::custom(format!("{name} {what}")))?;
    }
    Ok(table)
}
