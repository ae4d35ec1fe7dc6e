//! `framegate status`: how the running service is, in one look: what is wrong first, then what comes in, what is held,
//! whom it goes to, and the machine. Exit status 0 is well, 1 with errors among the findings, 3 without a service.

mod show;

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;

pub(super) use self::show::{BOLD, GREEN, Paint, RED, YELLOW, wrapped};
use super::Exits;
use super::control::{ControlError, Where};
use crate::status::{Severity, Status};

/// Between two looks, with `--watch`.
const LOOK: Duration = Duration::from_secs(1);
/// Where the terminal's cursor goes, and what is erased from there: everything.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    place: Where,
    /// Go on, and show it each second until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print all of it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows it.
///
/// # Errors
/// [`Exits`], where something is wrong or no service answers.
pub(super) fn status(options: &Options) -> anyhow::Result<()> {
    if !options.watch {
        return once(options);
    }
    loop {
        let mut out = io::stdout().lock();
        if out.is_terminal() && !options.json {
            write!(out, "{CLEAR}")?;
        }
        drop(out);
        match once(options) {
            Err(error) if error.is::<Exits>() => {}
            outcome => outcome?,
        }
        if !io::stdout().is_terminal() && !options.json {
            writeln!(io::stdout().lock())?;
        }
        sleep(LOOK);
    }
}

fn once(options: &Options) -> anyhow::Result<()> {
    let status = match ask(&options.place) {
        Ok(status) => status,
        Err(error @ ControlError::NoService(_)) => {
            writeln!(io::stderr().lock(), "framegate: {error}")?;
            return Err(Exits(3).into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, &status)?;
        writeln!(out)?;
    } else {
        let text = show::show(&status, Paint::of(out.is_terminal(), std::env::var_os("NO_COLOR").is_some()));
        out.write_all(text.as_bytes()).context("standard output")?;
    }
    out.flush()?;
    let is_bad = status.findings.iter().any(|finding| finding.severity == Severity::Error);
    if is_bad { Err(Exits(1).into()) } else { Ok(()) }
}

/// The status of the service.
///
/// # Errors
/// When there is none, or it is of another version.
pub(super) fn ask(place: &Where) -> Result<Status, ControlError> {
    let body = place.get("/status")?;
    serde_json::from_slice(&body).map_err(|error| ControlError::Broken(error.to_string()))
}
