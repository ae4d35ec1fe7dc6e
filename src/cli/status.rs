//! `framegate status`: how the running service is, in one look.

use std::io::{self, Write};

use super::control::Where;

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    place: Where,
    /// Print all of it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows it.
///
/// # Errors
/// When no service answers.
pub(super) fn status(options: &Options) -> anyhow::Result<()> {
    let body = options.place.get("/status")?;
    let mut out = io::stdout().lock();
    out.write_all(&body)?;
    writeln!(out)?;
    Ok(())
}
