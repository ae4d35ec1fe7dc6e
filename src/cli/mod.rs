//! The command line: one file a subcommand. Exit status 0 is well, 2 a wrong command line, 78 a
//! wrong configuration (EX_CONFIG of sysexits(3)), 3 where there is no service to show the status of, 1 anything else.

mod capture;
mod certificate;
pub mod check;
mod console_code;
mod control;
mod demo;
mod devices;
mod doctor;
mod health;
mod identity;
mod receive;
mod report;
mod run;
mod save;
mod statistics;
mod status;
mod stop;
mod subscribe;
mod support_bundle;
mod units;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::settings::{LogFormat, ServiceSettings};
use crate::config::{self, ConfigErrors, Loaded};
use crate::event::{Journal, Keeping};
use crate::service::{self, SetLog};

/// Edge gateway: streams what a modality shows or sends as single-frame DICOM instances over
/// DICOMweb.
#[derive(Debug, Parser)]
#[command(name = "framegate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run on loopback with a synthetic angiogram: no hardware, no configuration
    Demo(demo::Options),
    /// Run with a configuration file, its drop-ins and FRAMEGATE_* variables
    Run {
        /// Configuration file (TOML); `framegate.d/*.toml` beside it are laid over it
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Receive Send and Store requests, and show how the instances come
    Receive(receive::Options),
    /// Subscribe at a gateway, pull the series that become available, and show how they come
    Subscribe(subscribe::Options),
    /// List the capture devices, what they offer and see, and which hardware profile fits
    Devices(devices::Options),
    /// Try a capture device as the service would run it, without a network
    Capture(capture::Options),
    /// Tell by the exit status whether the running service works, by its last test of itself
    Health(health::Options),
    /// How the running service is: what is wrong and how to mend it, sources, series, peers, network, machine
    Status(status::Options),
    /// Check everything that a field engineer would, and say how to mend what is wrong
    Doctor(doctor::Options),
    /// Put together one file for those who help from elsewhere; it holds nothing of a patient
    SupportBundle(support_bundle::Options),
    /// Make a one-time code that logs in at the console of the running service
    ConsoleCode(console_code::Options),
    /// Who this box is: make its identity, show it, ask for a certificate and take it
    Identity(identity::Options),
    /// Write the walls around the service that the configuration asks for: drop-ins for units, rules for nftables
    Units(units::Options),
    /// Validate a configuration file and print what it comes to, with the origin of every value
    Check {
        /// Configuration file (TOML)
        file: PathBuf,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo(options) => demo::demo(options),
        Command::Run { config } => run::run(config),
        Command::Receive(options) => receive::receive(options),
        Command::Subscribe(options) => subscribe::subscribe(options),
        Command::Devices(options) => devices::devices(options),
        Command::Capture(options) => capture::capture(options),
        Command::Health(options) => health::health(&options),
        Command::Status(options) => status::status(&options),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::SupportBundle(options) => support_bundle::support_bundle(&options),
        Command::ConsoleCode(options) => console_code::console_code(&options),
        Command::Identity(options) => identity::identity(options),
        Command::Units(options) => units::units(&options),
        Command::Check { file } => {
            check::check(&file, config::process_environment()).map_err(|error| error.context(Misconfigured))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Exits>() => {
            ExitCode::from(error.downcast_ref().map_or(1, |Exits(code)| *code))
        }
        Err(error) => {
            // Nowhere left to say it if standard error is closed.
            let _ = writeln!(io::stderr().lock(), "framegate: {error:#}");
            ExitCode::from(if error.is::<Misconfigured>() { 78 } else { 1 })
        }
    }
}

/// Marks an error as one of configuration.
#[derive(Debug, Clone, Copy)]
struct Misconfigured;

impl std::fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the configuration cannot be used")
    }
}

/// Ends the program with this status, when all that there is to say has been said.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("exit status {0}")]
struct Exits(u8);

/// Loads a configuration, or says one line for each problem.
fn load(file: Option<&Path>) -> anyhow::Result<Loaded> {
    let loaded = config::load(file, config::process_environment()).map_err(|errors: ConfigErrors| {
        let _ = writeln!(io::stderr().lock(), "{errors}");
        anyhow::anyhow!("{} problem(s)", errors.problems.len()).context(Misconfigured)
    })?;
    service::preflight(&loaded.settings).context(Misconfigured)?;
    Ok(loaded)
}

/// Log lines go to the journal where standard error is connected to it, else to standard error; the newest are kept in
/// memory too. Lines of JSON were asked for by somebody who reads them: they are left as they are.
fn start_log(settings: &ServiceSettings) -> anyhow::Result<SetLog> {
    let filter = filter(&settings.log).map_err(|error| anyhow::anyhow!("service.log: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match (settings.log_format, Journal::behind(io::stderr())) {
        (LogFormat::Text, Some(journal)) => journal.boxed(),
        (LogFormat::Text, None) => lines.boxed(),
        (LogFormat::Json, _) => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(Keeping::new()).with(lines).init();
    Ok(Box::new(move |directives| {
        handle.reload(self::filter(directives)?).map_err(|error| error.to_string())
    }))
}

/// Runs a command whose own output is what matters, until it ends by itself.
fn run_quietly(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let _log = start_quiet_log()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Boxed, since it is large.
    let outcome = runtime.block_on(Box::pin(command));
    runtime.shutdown_background();
    outcome
}

/// Warnings only, for commands whose own output is what matters.
fn start_quiet_log() -> anyhow::Result<SetLog> {
    start_log(&ServiceSettings { log: "warn".to_owned(), ..ServiceSettings::default() })
}

/// The DICOM libraries log what they read, which may be PHI: they are never heard, whatever the
/// configuration says.
fn filter(directives: &str) -> Result<EnvFilter, String> {
    let libraries = [
        "core",
        "dictionary_std",
        "encoding",
        "json",
        "object",
        "parser",
        "pixeldata",
        "transfer_syntax_registry",
        "ul",
    ];
    let silence: String = libraries.iter().map(|library| format!(",dicom_{library}=off")).collect();
    EnvFilter::try_new(format!("{directives}{silence}")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(line: &str) -> Result<(), i32> {
        Arguments::try_parse_from(line.split(' ')).map(|_| ()).map_err(|error| error.exit_code())
    }

    #[test]
    fn command_lines_are_right_or_wrong() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
        let url = "https://gate.example:8443/dicomweb";
        for right in [
            "framegate receive",
            "framegate receive --listen [::1]:0 --save /tmp --json --each --allow 192.0.2.0/24 --allow ::1/128",
            "framegate receive --certificate a.pem --key a.key",
        ] {
            assert_eq!(status(right), Ok(()), "{right}");
        }
        for wrong in ["--listen 8444", "--allow everybody", "--certificate a.pem", "--key a.key"] {
            assert_eq!(status(&format!("framegate receive {wrong}")), Err(2), "{wrong}");
        }
        for right in [
            "",
            " --filter Modality=XA --filter PatientName=Demo* --filter 00080060=XA --filter A.B=",
            " --level studies --subscriber VIEWER --rate 7.5 --from latest --rendered --count 3",
            " --level instances --from 17 --no-pull --insecure --token t --json",
            " --ca ca.pem --certificate a.pem --key a.key --save /tmp --each --show-phi",
        ] {
            assert_eq!(status(&format!("framegate subscribe {url}{right}")), Ok(()), "{right}");
        }
        for wrong in [
            "--filter Modality",
            "--filter =XA",
            "--filter a&b=c",
            "--level patients",
            "--rate 0",
            "--rate NaN",
            "--from 1.5",
            "--count 0",
            "--ca a.pem --insecure",
            "--no-pull --save /tmp",
            "--subscriber a/b",
            "--certificate a.pem",
        ] {
            assert_eq!(status(&format!("framegate subscribe {url} {wrong}")), Err(2), "{wrong}");
        }
        assert_eq!(status("framegate subscribe gate.example"), Err(2));
        assert_eq!(status("framegate console-code --json --runtime-directory /tmp"), Ok(()));
        for right in ["", " --wait 180 --steady 30 --json --runtime-directory /tmp"] {
            assert_eq!(status(&format!("framegate health{right}")), Ok(()), "{right}");
        }
        for wrong in ["--wait -1", "--wait 1.5", "--steady 100000"] {
            assert_eq!(status(&format!("framegate health {wrong}")), Err(2), "{wrong}");
        }
        for right in ["status --watch --json", "doctor --config f.toml --json", "support-bundle x.tar.gz"] {
            assert_eq!(status(&format!("framegate {right} --runtime-directory /tmp")), Ok(()), "{right}");
        }
        for right in [
            "",
            " --device /dev/video0 --frames 3 --save /tmp --profile vivid --pixels grey --seconds 5 --json",
            " --device usb:0fd9:0066 --config f.toml --capture xa",
        ] {
            assert_eq!(status(&format!("framegate capture{right}")), Ok(()), "{right}");
        }
        for wrong in [
            "--device video0",
            "--pixels gray",
            "--profile ../x",
            "--frames 0",
            "--seconds 0",
            "--capture xa",
        ] {
            assert_eq!(status(&format!("framegate capture {wrong}")), Err(2), "{wrong}");
        }
    }

    #[test]
    fn the_dicom_libraries_are_never_heard() {
        let filter = filter("debug,dicom_parser=trace").unwrap().to_string();
        assert!(filter.contains("dicom_parser=off") && !filter.contains("dicom_parser=trace"), "{filter}");
        assert!(filter.contains("dicom_encoding=off") && filter.contains("debug"), "{filter}");
    }
}
