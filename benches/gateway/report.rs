//! What was measured: each value with its unit and, where the project has set itself one, its
//! target. A missed target is reported, never an error: timing does not decide whether a run passes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

/// What a value should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Target {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::AtLeast(least) => json!({ "at_least": least }),
            Self::AtMost(most) => json!({ "at_most": most }),
        }
    }
}

/// The results of a run, printed as they come.
#[derive(Debug, Default)]
pub(crate) struct Report {
    results: Vec<Value>,
}

impl Report {
    /// Starts a group of results with a line that says how they are measured.
    pub(crate) fn heading(&mut self, text: &str) {
        print(&format!("\n{text}"));
    }

    /// A value without a target.
    pub(crate) fn add(&mut self, id: impl Into<String>, unit: &str, value: f64) {
        self.record(id.into(), unit, value, None);
    }

    /// A value that is held against a target.
    pub(crate) fn judge(&mut self, id: impl Into<String>, unit: &str, value: f64, target: Target) {
        self.record(id.into(), unit, value, Some(target));
    }

    fn record(&mut self, id: String, unit: &str, value: f64, target: Option<Target>) {
        let verdict = target.map_or_else(String::new, |target| {
            format!("{:<9} {}", target.text(), if target.met(value) { "pass" } else { "MISS" })
        });
        print(format!("  {id:<52} {value:>10.3} {unit:<10} {verdict}").trim_end());
        self.results.push(json!({
            "id": id,
            "unit": unit,
            "value": (value * 1e6).round() / 1e6,
            "target": target.map(Target::json),
            "met": target.map(|target| target.met(value)),
        }));
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, file: &Path, machine: &Value, date: &str, quick: bool) -> anyhow::Result<()> {
        let all = json!({ "machine": machine, "date": date, "quick": quick, "results": self.results });
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&all)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let judged = || self.results.iter().filter_map(|result| result.get("met")?.as_bool());
        let met = judged().filter(|&met| met).count();
        print(&format!(
            "\n{met} of {} targets met; {} values in {}",
            judged().count(),
            self.results.len(),
            file.display()
        ));
        Ok(())
    }
}

/// A line on standard output, which nobody may be reading any more.
pub(crate) fn print(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// The value below which the share `quantile` of all values lies; not a number where there are none.
pub(crate) fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() as f64 * quantile) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
