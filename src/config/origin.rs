//! Where a value stands, and what is wrong with it. Both are written for the person who has to
//! change the value: a place to go to, the key, the complaint, and what would be accepted.

use std::fmt;
use std::path::PathBuf;

/// Longest piece of outside text that is repeated in a message (characters).
const QUOTED_CHARS: usize = 64;

/// Where an effective value was set. Displays as `built-in`, `FILE:LINE` or the variable's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No layer names the key.
    BuiltIn,
    /// The configuration file or a drop-in.
    File {
        /// The path, as given or as found beside the given one.
        path: PathBuf,
        /// Line of the value, from 1.
        line: usize,
        /// Column of the value in characters, from 1.
        column: usize,
    },
    /// The environment variable of this name.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { path, line, .. } => write!(f, "{}:{line}", printable(&path.to_string_lossy())),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

impl Origin {
    /// The place to point an editor at: like `Display`, and the column for a file.
    pub(super) fn precise(&self) -> String {
        match self {
            Self::File { column, .. } => format!("{self}:{column}"),
            _ => self.to_string(),
        }
    }
}

/// One thing that is wrong. Displays on one line, as `FILE:LINE:COL: key: what; accepted: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `FILE:LINE:COL`, a file's path, or an environment variable's name.
    pub at: String,
    /// Dotted path of the key, when the problem is about one.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What would be right: type, range or names.
    pub accepted: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.accepted {
            Some(accepted) => write!(f, "; accepted: {accepted}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration. Displays one problem a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ConfigErrors {
    /// At least one, in the order of the layers and, within a file, of its lines.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    fn lines(&self) -> String {
        self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

/// Outside text made fit for one line of a message or a comment: no control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// [`printable`], and not longer than a message can bear.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = printable(text).chars().take(QUOTED_CHARS).collect();
    if text.chars().count() > QUOTED_CHARS {
        short.push('…');
    }
    short
}
