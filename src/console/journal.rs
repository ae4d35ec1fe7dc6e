//! The newest of what the service has logged, filtered. It holds no PHI, since the log does not.

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::dicomweb::problem::Problem;
use crate::event::{Entry, Recent};

/// Entries of one answer; of more, the oldest: `next` is where to go on.
const MOST: usize = 500;
/// Longest text that is looked for (bytes).
const LONGEST: usize = 200;
/// The gravest first.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Which entries are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    after: u64,
    /// How many of [`LEVELS`] are wanted.
    levels: Option<usize>,
    /// In small letters; empty for any.
    text: String,
}

/// An answer.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    entries: Vec<Entry>,
    /// What to ask for next as `after`.
    next: u64,
}

impl Asked {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// On a parameter that there is not, or a value that it does not take.
    pub(super) fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8_lossy();
            match name {
                "after" => {
                    asked.after = value
                        .parse()
                        .map_err(|_| Problem::bad_parameter("after", "the number of an entry"))?;
                }
                "level" if value.is_empty() => {}
                "level" => {
                    let level = LEVELS.iter().position(|level| *level == value);
                    let level = level.ok_or_else(|| {
                        Problem::bad_parameter("level", "one of error, warn, info, debug, trace")
                    })?;
                    asked.levels = Some(level + 1);
                }
                "text" if value.len() > LONGEST => {
                    return Err(Problem::bad_parameter("text", "at most 200 bytes"));
                }
                "text" => asked.text = value.to_lowercase(),
                _ => return Err(Problem::bad_parameter("after, level or text", "the only parameters")),
            }
        }
        Ok(asked)
    }

    /// Looks them up.
    pub(super) fn find(&self, recent: &Recent) -> Found {
        let all = recent.after(self.after, usize::MAX);
        let newest = all.last().map_or(self.after, |entry| entry.sequence);
        let mut entries: Vec<_> = all.into_iter().filter(|entry| self.wants(entry)).collect();
        let next = if entries.len() > MOST { entries.get(MOST - 1).map(|last| last.sequence) } else { None };
        entries.truncate(MOST);
        Found { entries, next: next.unwrap_or(newest) }
    }

    fn wants(&self, entry: &Entry) -> bool {
        let grave =
            self.levels.is_none_or(|most| LEVELS.iter().take(most).any(|level| *level == entry.level));
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        grave && (self.text.is_empty() || has(&entry.text) || has(&entry.event) || has(&entry.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(level: &str, text: &str) -> Entry {
        Entry {
            sequence: 1,
            at: String::new(),
            level: level.to_owned(),
            event: "net.tried".to_owned(),
            target: "framegate::net".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn entries_are_wanted_by_level_and_text() {
        for (query, level, wanted) in [
            ("", "trace", true),
            ("level=warn", "error", true),
            ("level=warn", "info", false),
            ("text=Cable%20out", "info", true),
            ("text=cable+OUT", "info", true),
            ("text=NET.", "info", true),
            ("text=other", "info", false),
        ] {
            let asked = Asked::read(query).unwrap();
            assert_eq!(asked.wants(&entry(level, "the cable out of it")), wanted, "{query}");
        }
        assert_eq!(Asked::read("after=7&level=&text=").unwrap(), Asked { after: 7, ..Asked::default() });
        let long = format!("text={}", "x".repeat(201));
        for wrong in ["after=x", "level=grave", "colour=red", &long] {
            assert_eq!(Asked::read(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
