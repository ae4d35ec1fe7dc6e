//! `framegate support-bundle`: one file for those who help from elsewhere. It holds what the service says of itself, what
//! `framegate doctor` finds, and how the units stand; of patients, nothing. What it holds is listed, here and in itself.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::Context;
use dicom_core::chrono::{DateTime, Utc};

use super::control::{ControlError, Where};
use super::doctor;
use super::status::Paint;
use crate::config;
use crate::service::support::{self, Part};

/// How units stand, and nothing that their files or the environment hold.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus,ActiveEnterTimestamp,MemoryCurrent,TasksCurrent";
/// Of the whole machine.
const PROC: &[&str] = &["/proc/meminfo", "/proc/loadavg", "/proc/uptime", "/proc/version", "/proc/net/dev"];

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where it goes; without it, framegate-support-DATE.tar.gz in this directory
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", default_value = "/etc/framegate/framegate.toml")]
    config: PathBuf,
    #[command(flatten)]
    place: Where,
}

/// Puts it together, with or without a running service, and lists what it holds.
///
/// # Errors
/// When it cannot be written.
pub(super) fn support_bundle(options: &Options) -> anyhow::Result<()> {
    let mut parts = match options.place.get("/support-bundle") {
        Ok(archive) => support::parts(&archive).context("what the service gives is no support bundle")?,
        Err(error) => {
            if !matches!(error, ControlError::NoService(_)) {
                writeln!(io::stderr().lock(), "framegate: without the service's own part: {error}")?;
            }
            alone(options)?
        }
    };
    let report = doctor::examine(&options.config, &options.place)?;
    parts.push(Part::new("doctor.txt", report.text(Paint::of(false, true))));
    parts.push(support::listing("proc.txt", PROC));
    parts.extend(units().map(|text| Part::new("units.txt", text)));

    let now = DateTime::<Utc>::from(SystemTime::now()).format("%Y%m%dT%H%M%SZ");
    let file =
        options.file.clone().unwrap_or_else(|| PathBuf::from(format!("framegate-support-{now}.tar.gz")));
    let list = support::manifest(&parts);
    let archive = support::archive(parts)?;
    let write = || {
        // Addresses and names of a hospital's network are nobody else's business.
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        out.write_all(&archive)
    };
    write().with_context(|| format!("cannot write {}", file.display()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {} bytes, and nothing of a patient. It holds:", file.display(), archive.len())?;
    write!(out, "{list}")?;
    Ok(out.flush()?)
}

/// What can be had of the service's part where it does not run.
fn alone(options: &Options) -> anyhow::Result<Vec<Part>> {
    let mut parts = vec![support::version()];
    // A configuration that cannot be used is told by the doctor.
    if let Ok(loaded) = config::load(Some(&options.config), config::process_environment()) {
        parts.push(support::configuration(&loaded.values)?);
    }
    parts.extend(support::health(&options.place.runtime_directory));
    Ok(parts)
}

/// Of systemd, where there is one.
fn units() -> Option<Vec<u8>> {
    let shown = Command::new("systemctl")
        .args(["show", "--no-pager", "--property", PROPERTIES, "framegate*"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(shown.stdout).filter(|text| !text.is_empty())
}
