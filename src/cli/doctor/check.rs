//! What a check has found, and all of them as text.

use std::fmt::Write as _;

use serde::Serialize;

use super::super::status::{BOLD, GREEN, Paint, RED, YELLOW, wrapped};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Outcome {
    /// It is as it should be.
    Ok,
    /// It could not be looked at, or need not.
    Skipped,
    /// It works, and will not for long, or not as it should.
    Warning,
    /// Something that was asked for does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Check {
    /// Of what kind it is.
    pub(in super::super) area: String,
    /// What was looked at.
    pub(in super::super) what: String,
    /// How it is.
    pub(in super::super) outcome: Outcome,
    /// What was found.
    pub(in super::super) said: String,
    /// How to mend it; empty where nothing is wrong.
    pub(in super::super) mend: String,
}

impl Check {
    /// One that nothing was found out of yet.
    pub(super) fn of(area: &str, what: impl Into<String>) -> Self {
        let (area, what) = (area.to_owned(), what.into());
        Self { area, what, outcome: Outcome::Skipped, said: String::new(), mend: String::new() }
    }

    fn end(self, outcome: Outcome, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { outcome, said: said.into(), mend: mend.into(), ..self }
    }

    pub(super) fn ok(self, said: impl Into<String>) -> Self {
        self.end(Outcome::Ok, said, "")
    }

    pub(super) fn skipped(self, why: impl Into<String>) -> Self {
        self.end(Outcome::Skipped, why, "")
    }

    pub(super) fn warning(self, said: impl Into<String>, mend: impl Into<String>) -> Self {
        self.end(Outcome::Warning, said, mend)
    }

    pub(super) fn error(self, said: impl Into<String>, mend: impl Into<String>) -> Self {
        self.end(Outcome::Error, said, mend)
    }
}

/// All of them.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Report {
    /// Whether there is no error among them.
    pub(in super::super) ok: bool,
    /// In the order of looking.
    pub(in super::super) checks: Vec<Check>,
}

impl Report {
    pub(super) fn of(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.outcome != Outcome::Error), checks }
    }

    /// For people.
    pub(in super::super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut area = "";
        for check in &self.checks {
            if check.area != area {
                area = &check.area;
                let _ = writeln!(text, "{}", paint.text(BOLD, area));
            }
            let (word, color) = match check.outcome {
                Outcome::Ok => ("ok", GREEN),
                Outcome::Skipped => ("skipped", "0"),
                Outcome::Warning => ("warning", YELLOW),
                Outcome::Error => ("error", RED),
            };
            let pad = " ".repeat(8_usize.saturating_sub(word.len()));
            let _ = writeln!(text, "  {}{pad}{}", paint.text(color, word), check.what);
            text.push_str(&wrapped(&check.said, 10));
            if !check.mend.is_empty() {
                text.push_str(&wrapped(&format!("-> {}", check.mend), 10));
            }
        }
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        let _ = writeln!(
            text,
            "{} errors, {} warnings, {} ok, {} skipped",
            count(Outcome::Error),
            count(Outcome::Warning),
            count(Outcome::Ok),
            count(Outcome::Skipped)
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_makes_the_report_bad_and_says_how_to_mend_it() {
        let check = || Check::of("clock", "synchronised");
        let well = Report::of(vec![check().ok("by ptp"), check().skipped("x"), check().warning("y", "z")]);
        assert!(well.ok);
        let bad = Report::of(vec![check().error("it follows nobody", "let chrony run")]);
        assert!(!bad.ok);
        let text = bad.text(Paint::of(false, false));
        assert!(text.starts_with("clock\n  error   synchronised\n          it follows nobody\n"), "{text}");
        assert!(
            text.contains("-> let chrony run") && text.ends_with("1 errors, 0 warnings, 0 ok, 0 skipped\n")
        );
    }
}
