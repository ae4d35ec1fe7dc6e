//! `framegate console-code`: a one-time code for the console, from the running service.

use std::io::{self, Write};

use http::Method;

use super::control::Where;
use crate::service::console::NewCode;

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    place: Where,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Makes one and shows it.
///
/// # Errors
/// When no service answers, or its console is closed.
pub(super) fn console_code(options: &Options) -> anyhow::Result<()> {
    let body = options.place.ask(Method::POST, "/console-code")?;
    let mut out = io::stdout().lock();
    if options.json {
        out.write_all(&body)?;
        writeln!(out)?;
        return Ok(());
    }
    write(&serde_json::from_slice(&body)?, &mut out)?;
    Ok(())
}

/// Digits in two groups, which are easier to read from a screen.
pub(super) fn write(made: &NewCode, out: &mut impl Write) -> io::Result<()> {
    let NewCode { code, valid_seconds, url, fingerprint } = made;
    let (first, rest) = code.split_at_checked(code.len() / 2).unwrap_or((code, ""));
    writeln!(out, "Console      {url}")?;
    writeln!(out, "Code         {first} {rest}, once, within {} minutes", valid_seconds / 60)?;
    writeln!(out, "Certificate  SHA-256 {fingerprint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_in_two_groups_with_where_to_type_it() {
        let made = NewCode {
            code: "01234567".to_owned(),
            valid_seconds: 600,
            url: "https://box:9443/".to_owned(),
            fingerprint: "AB:CD".to_owned(),
        };
        let mut out = Vec::new();
        write(&made, &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(
            shown.contains("https://box:9443/") && shown.contains("0123 4567, once, within 10 minutes"),
            "{shown}"
        );
    }
}
