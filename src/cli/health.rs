//! `framegate health`: does the running service work? Reads what its last test of itself has found; connects to
//! nothing. For whoever decides by its exit status: the slot of an update is marked good by it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::service::health::{Health, Unwell, since_boot};

/// Between two looks, while it waits.
const LOOK: Duration = Duration::from_millis(200);

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Runtime directory of the service
    #[arg(long, value_name = "DIRECTORY", default_value = "/run/framegate")]
    runtime_directory: PathBuf,
    /// How long it may take until the service works (seconds)
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
    wait: u64,
    /// For how long it then has to go on working, without being started again (seconds)
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=86_400))]
    steady: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What is found, as JSON.
#[derive(Serialize)]
struct Found {
    healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(flatten)]
    last: Option<Health>,
}

/// For how long the service has been seen to work, by the looks that were had.
#[derive(Debug, Default)]
struct Spell {
    /// Since when, and when the process began that does.
    since: Option<(Instant, u64)>,
}

impl Spell {
    /// Takes note of one look: `works` is when the process began that works, if one does. Says for how long it has.
    fn look(&mut self, works: Option<u64>, now: Instant) -> Option<Duration> {
        let same = self.since.filter(|(_, process)| Some(*process) == works);
        self.since = same.or(works.map(|process| (now, process)));
        self.since.map(|(since, _)| now.saturating_duration_since(since))
    }
}

/// Says in one line whether the service works.
///
/// # Errors
/// When it does not: what is wrong, and how to mend it.
pub(super) fn health(options: &Options) -> anyhow::Result<()> {
    let patience = Instant::now() + Duration::from_secs(options.wait);
    let steady = Duration::from_secs(options.steady);
    let mut spell = Spell::default();
    loop {
        let (last, verdict) = look(options);
        let works = last.as_ref().filter(|_| verdict.is_ok()).map(|health| health.started_microseconds);
        let now = Instant::now();
        match spell.look(works, now) {
            // Once it works it is given the time to show that it goes on.
            Some(works_for) if works_for < steady => {}
            None if now < patience => {}
            _ => return say(options, last, verdict),
        }
        sleep(LOOK);
    }
}

/// What there is, and what it comes to.
fn look(options: &Options) -> (Option<Health>, Result<(), Unwell>) {
    match Health::read(&options.runtime_directory) {
        Ok(health) => {
            let verdict = health.verdict(since_boot());
            (Some(health), verdict)
        }
        Err(unwell) => (None, Err(unwell)),
    }
}

fn say(options: &Options, last: Option<Health>, verdict: Result<(), Unwell>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        let age_seconds = last.as_ref().and_then(|last| last.age(since_boot())).map(|age| age.as_secs());
        let why = verdict.as_ref().err().map(ToString::to_string);
        serde_json::to_writer(&mut out, &Found { healthy: verdict.is_ok(), age_seconds, why, last })?;
        writeln!(out)?;
    } else if let (Ok(()), Some(last)) = (&verdict, &last) {
        write!(out, "the service works, as of {}:", last.at)?;
        for check in &last.checks {
            write!(out, " {} {:.1} ms", check.name, check.microseconds as f64 / 1e3)?;
        }
        writeln!(out)?;
    }
    Ok(verdict?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_ends_with_a_failure_and_with_another_process() {
        let (mut spell, begun) = (Spell::default(), Instant::now());
        let mut at = |seconds, works| spell.look(works, begun + Duration::from_secs(seconds));
        let long = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(at(0, None), None);
        assert_eq!(at(1, Some(7)), long(0));
        assert_eq!(at(5, Some(7)), long(4));
        assert_eq!(at(6, Some(8)), long(0), "it was started again");
        assert_eq!(at(9, Some(8)), long(3));
        assert_eq!(at(10, None), None);
        assert_eq!(at(11, Some(8)), long(0));
    }
}
