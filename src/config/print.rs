//! The effective configuration as TOML, each value with the place that sets it, so that it can be read, compared, and used
//! as a file. Filters and names of patients are withheld: of them it says only that they are set.

use std::io::{self, Write};

use super::EffectiveValue;

/// Writes the values, with their origins as comments.
///
/// # Errors
/// When `out` cannot be written to.
pub fn print(values: &[EffectiveValue], out: &mut impl Write) -> io::Result<()> {
    let mut current = "";
    for value in values {
        let EffectiveValue { key, origin, .. } = value;
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if section != current {
            let gap = if current.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}[{section}]")?;
            current = section;
        }
        writeln!(out, "{name} = {} # {origin}", value.shown())?;
    }
    out.flush()
}
