//! The command line of `subscribe`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::client::ServiceUrl;
use crate::subscription::registry::Subscriber;

/// What to subscribe to, and what to do with it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Root of the DICOMweb service, such as https://HOST:8443/dicomweb
    pub(super) url: ServiceUrl,
    /// Match key of the search, such as Modality=XA (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    pub(super) filter: Vec<(String, String)>,
    /// What to be told of; series are pulled whole in any case, but for `studies`, which pulls studies
    #[arg(long, value_enum, default_value_t = Level::Series)]
    pub(super) level: Level,
    /// Name of the subscriber [default: made of the process number]
    #[arg(long, value_name = "NAME", value_parser = subscriber)]
    pub(super) subscriber: Option<String>,
    /// Write each instance as DIR/STUDY/SERIES/INSTANCE.dcm (.jpg with --rendered)
    #[arg(long, value_name = "DIR")]
    pub(super) save: Option<PathBuf>,
    /// At most so many instances a second of each series
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Where to begin in a series: oldest, latest, or an Instance Number
    #[arg(long, default_value = "oldest", value_parser = from)]
    pub(super) from: String,
    /// Pictures (JPEG) instead of DICOM
    #[arg(long)]
    pub(super) rendered: bool,
    /// Roots that the service's certificate must chain to (PEM) [default: those of the system]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) ca: Option<PathBuf>,
    /// Take any certificate: for trials
    #[arg(long)]
    pub(super) insecure: bool,
    /// Our certificate chain, for a service that asks for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) certificate: Option<PathBuf>,
    /// Private key of our certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(super) key: Option<PathBuf>,
    /// File with a bearer token
    #[arg(long, value_name = "FILE")]
    pub(super) token: Option<PathBuf>,
    /// One JSON object a line instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Tell of each instance
    #[arg(long)]
    pub(super) each: bool,
    /// Show patients' names
    #[arg(long)]
    pub(super) show_phi: bool,
    /// Only tell of events
    #[arg(long, conflicts_with_all = ["save", "each"])]
    pub(super) no_pull: bool,
    /// Stop after so many instances (with --no-pull: events)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
}

/// The search resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    Studies,
    Series,
    Instances,
}

impl Level {
    /// As it stands in URLs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Studies => "studies",
            Self::Series => "series",
            Self::Instances => "instances",
        }
    }
}

fn filter(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE")?;
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        return Err("the key is an attribute's keyword, or eight hex digits".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn subscriber(text: &str) -> Result<String, String> {
    Subscriber::parse(text).map(|name| name.as_str().to_owned()).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("a number above 0".to_owned()),
    }
}

fn from(text: &str) -> Result<String, String> {
    if matches!(text, "oldest" | "latest") || text.parse::<i32>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("oldest, latest, or an Instance Number".to_owned())
    }
}
