//! `framegate doctor`: everything that a field engineer would check, with or without a running service. What takes time
//! is tried at once, each with a deadline of its own. Exit status 1 where something is wrong.

mod check;
mod devices;
mod local;
mod peers;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::check::{Check, Report};
use super::Exits;
use super::control::{ControlError, Where};
use super::status::Paint;
use crate::config::{self, Loaded};
use crate::service;
use crate::status::{Severity, Status};

/// For each thing that is tried.
const PATIENCE: Duration = Duration::from_secs(30);
/// Findings of the service that the doctor has looked at itself, by how their place begins.
const OWN: &[&str] = &["certificate ", "clock", "disk ", "memory", "temperature "];

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", default_value = "/etc/framegate/framegate.toml")]
    config: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Print all of it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks, and shows what was found.
///
/// # Errors
/// [`Exits`], where something is wrong.
pub(super) fn doctor(options: &Options) -> anyhow::Result<()> {
    let report = examine(&options.config, &options.place)?;
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        let paint = Paint::of(out.is_terminal(), std::env::var_os("NO_COLOR").is_some());
        out.write_all(report.text(paint).as_bytes())?;
    }
    out.flush()?;
    if report.ok { Ok(()) } else { Err(Exits(1).into()) }
}

/// Looks at everything.
///
/// # Errors
/// When this program itself cannot run.
pub(super) fn examine(file: &Path, place: &Where) -> anyhow::Result<Report> {
    let (configuration, loaded) = configuration(file);
    let status = super::status::ask(place);
    let mut checks = vec![configuration];
    checks.extend(of_service(&status));
    let status = status.ok();
    if let Some(loaded) = loaded {
        // Warnings of what is tried would stand between what is found.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        checks.extend(runtime.block_on(Box::pin(tried(Arc::new(loaded), status, place))));
        // A driver that hangs is not waited for.
        runtime.shutdown_background();
    }
    Ok(Report::of(checks))
}

fn configuration(file: &Path) -> (Check, Option<Loaded>) {
    let check = Check::of("configuration", file.display().to_string());
    match config::load(Some(file), config::process_environment()) {
        Ok(loaded) => match service::preflight(&loaded.settings) {
            Ok(()) => (check.ok("it is valid"), Some(loaded)),
            Err(error) => {
                (check.error(error.to_string(), "correct it; framegate check tries it"), Some(loaded))
            }
        },
        Err(errors) => {
            let problems: Vec<_> = errors.problems.iter().map(ToString::to_string).collect();
            (check.error(problems.join("; "), "correct it; framegate check tries it"), None)
        }
    }
}

/// What the service says of itself.
fn of_service(status: &Result<Status, ControlError>) -> Vec<Check> {
    let check = Check::of("service", "running");
    let status = match status {
        Ok(status) => status,
        Err(ControlError::NoService(place)) => {
            let said = format!("no service answers at {}", place.display());
            return vec![
                check.warning(said, "start it (systemctl start framegate), unless it is meant to be off"),
            ];
        }
        Err(error) => return vec![check.error(error.to_string(), "restart the service")],
    };
    let up = format!("version {}, for {} s", status.service.version, status.service.uptime_seconds);
    let mut checks = vec![if status.service.ready {
        check.ok(up)
    } else {
        check.error(format!("{up}, and not ready"), "see what else is found, and journalctl -u framegate")
    }];
    for finding in status.findings.iter().filter(|one| !OWN.iter().any(|own| one.place.starts_with(own))) {
        let check = Check::of("service", &*finding.place);
        let (what, mend) = (finding.what.clone(), finding.mend.clone());
        checks.push(match finding.severity {
            Severity::Error => check.error(what, mend),
            Severity::Warning => check.warning(what, mend),
            Severity::Note => check.ok(what),
        });
    }
    checks
}

/// What takes time, all at once; told in this order.
async fn tried(loaded: Arc<Loaded>, status: Option<Status>, place: &Where) -> Vec<Check> {
    type Tried = JoinHandle<Vec<Check>>;
    let settings = || Arc::clone(&loaded);
    let mut all: Vec<(&'static str, Tried)> = Vec::new();
    let of = settings();
    all.push(("devices", tokio::task::spawn_blocking(move || devices::checks(&of.settings))));
    let (of, listeners) = (settings(), status.map(|status| status.network.listeners).unwrap_or_default());
    all.push(("ports", tokio::task::spawn_blocking(move || local::ports(&of, &listeners))));
    let of = settings();
    all.push(("certificates", tokio::task::spawn_blocking(move || local::certificates(&of.settings))));
    all.push(("clock", tokio::task::spawn_blocking(local::clock)));
    all.push(("names", tokio::spawn(peers::names(settings()))));
    for (area, tries) in peers::tries(&settings()) {
        all.push((area, tokio::spawn(tries)));
    }
    let (of, runtime) = (settings(), place.runtime_directory.clone());
    all.push(("machine", tokio::task::spawn_blocking(move || local::machine(&of.settings, &runtime))));
    let mut checks = Vec::new();
    for (area, task) in all {
        checks.extend(match timeout(PATIENCE, task).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => {
                vec![Check::of(area, "").error("the check itself failed", "report this fault of framegate")]
            }
            Err(_) => {
                let said = format!("no end within {} s", PATIENCE.as_secs());
                vec![Check::of(area, "").error(said, "something hangs: a driver, a name server or a peer")]
            }
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::check::Outcome;
    use super::*;
    use crate::status::{Finding, ServiceStatus};

    #[test]
    fn the_service_says_what_the_doctor_has_not_looked_at_itself() {
        let finding = |severity, place: &str| Finding {
            severity,
            place: place.to_owned(),
            what: "x".to_owned(),
            mend: "y".to_owned(),
        };
        let findings = vec![
            finding(Severity::Error, "destination pacs"),
            finding(Severity::Error, "certificate a"),
            finding(Severity::Warning, "capture xa"),
        ];
        let service = ServiceStatus { ready: true, ..ServiceStatus::default() };
        let checks = of_service(&Ok(Status { findings, service, ..Status::default() }));
        let seen: Vec<_> = checks.iter().map(|check| (check.what.as_str(), check.outcome)).collect();
        let known = [
            ("running", Outcome::Ok),
            ("destination pacs", Outcome::Error),
            ("capture xa", Outcome::Warning),
        ];
        assert_eq!(seen, known);
        let away = of_service(&Err(ControlError::NoService("/run/x".into())));
        assert_eq!(away.first().map(|check| check.outcome), Some(Outcome::Warning));
    }

    #[test]
    fn a_configuration_with_a_fault_is_told_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.toml");
        std::fs::write(&file, "a = 1\nb = 2\n").unwrap();
        let (check, loaded) = configuration(&file);
        assert!(
            check.outcome == Outcome::Error && check.said.contains("; ") && loaded.is_none(),
            "{check:?}"
        );
        let place = Where { runtime_directory: folder.path().to_owned() };
        let report = examine(&file, &place).unwrap();
        assert_eq!((report.ok, report.checks.len()), (false, 2));
    }
}
