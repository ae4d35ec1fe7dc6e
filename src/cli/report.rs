//! How the commands that watch a stream tell of it: one JSON object a line, plain lines, or, on a
//! terminal, plain lines above one line a series that is written over in place.
//!
//! What peers sent is cleared of control characters, so that it cannot steer a terminal.

use std::io::{self, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::statistics::{Arrival, Counts, End, Facts, Latency, Series, Statistics, Tally, rates};

/// Said once where latencies are shown to people.
pub(super) const CLOCKS: &str = "\
    Latency is arrival minus capture time, so it contains the offset between the two clocks; the least \
    latency seen is the best estimate of that offset.";

/// Series that have a line of their own on a terminal.
const MOST_LINES: usize = 20;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Lines,
    /// Lines that can be written over.
    Terminal,
}

impl Form {
    /// JSON if asked for, else what standard output is fit for.
    pub(super) fn choose(json: bool) -> Self {
        match (json, io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Terminal,
            (false, false) => Self::Lines,
        }
    }
}

/// Prints.
#[derive(Debug)]
pub(super) struct Report<W> {
    out: W,
    form: Form,
    /// Lines that will be written over.
    block: Vec<String>,
}

impl Report<StdoutLock<'static>> {
    /// To standard output.
    pub(super) fn standard(json: bool) -> Self {
        Self::new(io::stdout().lock(), Form::choose(json))
    }
}

impl<W: Write> Report<W> {
    pub(super) fn new(out: W, form: Form) -> Self {
        Self { out, form, block: Vec::new() }
    }

    /// An event: `name` and `fields` for JSON, `line` for people.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub(super) fn event(&mut self, name: &str, fields: Value, line: &str) -> io::Result<()> {
        if self.form == Form::Json {
            let mut object = Map::from_iter([("event".to_owned(), Value::from(name))]);
            if let Value::Object(fields) = fields {
                object.extend(fields);
            }
            writeln!(self.out, "{}", Value::Object(object))?;
        } else {
            self.erase()?;
            writeln!(self.out, "{}", clean(line))?;
            self.draw()?;
        }
        self.out.flush()
    }

    /// A line for people only.
    pub(super) fn remark(&mut self, line: &str) -> io::Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        self.event("", Value::Null, line)
    }

    /// A series has opened.
    pub(super) fn opened(&mut self, series: &Series) -> io::Result<()> {
        let Series { ordinal, study, series: uid, facts, .. } = series;
        let mut fields = facts_json(facts);
        fields.extend([("study".to_owned(), json!(**study)), ("series".to_owned(), json!(**uid))]);
        let facts = Some(facts_text(facts)).filter(|facts| !facts.is_empty());
        let facts = facts.map_or_else(String::new, |facts| format!("{facts}, "));
        let line = format!("#{ordinal} opened: {facts}study {study}, series {uid}");
        self.event("opened", Value::Object(fields), &line)
    }

    /// An instance has come.
    pub(super) fn instance(&mut self, arrival: &Arrival) -> io::Result<()> {
        let latency = arrival.latency.map(|micros| micros as f64 / 1000.0);
        let fields = json!({
            "study": *arrival.study,
            "series": *arrival.series,
            "instance": *arrival.instance,
            "number": arrival.number,
            "bytes": arrival.bytes,
            "latency_ms": latency,
        });
        let number = arrival.number.map_or_else(String::new, |number| format!(" number {number}"));
        let late = latency.map_or_else(String::new, |ms| format!(", latency {ms:.1} ms"));
        let line = format!("instance{number}: {}, {} bytes{late}", arrival.instance, arrival.bytes);
        self.event("instance", fields, &line)
    }

    /// Nothing is saved any more, and why.
    pub(super) fn not_saving(&mut self, why: &str) -> io::Result<()> {
        let line = format!("nothing is saved any more: {why}; receiving goes on");
        self.event("not_saving", json!({"why": why}), &line)
    }

    /// A series has ended.
    pub(super) fn ended(&mut self, series: &Series, how: End) -> io::Result<()> {
        let Series { ordinal, study, series: uid, counts, .. } = series;
        let mut fields = Map::from_iter([
            ("study".to_owned(), json!(**study)),
            ("series".to_owned(), json!(**uid)),
            ("how".to_owned(), json!(how.word())),
        ]);
        fields.extend(sums_json(counts));
        fields.insert("missed".to_owned(), json!(series.missed));
        let line = format!("#{ordinal} {}: {}", how.word(), sums_text(counts));
        self.event("ended", Value::Object(fields), &line)
    }

    /// A second is over: rates and latencies, by series and in all.
    pub(super) fn second(&mut self, statistics: &Statistics, over: Duration) -> io::Result<()> {
        let live = |series: &&Series| series.end().is_none() || series.counts.second.instances > 0;
        let live: Vec<_> = statistics.series().iter().filter(live).collect();
        match self.form {
            Form::Json => {
                let series: Vec<Value> = live
                    .iter()
                    .map(|series| {
                        let mut fields = counts_json(&series.counts, over);
                        fields.insert("series".to_owned(), json!(*series.series));
                        fields.insert("missed".to_owned(), json!(series.missed));
                        Value::Object(fields)
                    })
                    .collect();
                let mut fields = counts_json(statistics.total(), over);
                fields.insert("series".to_owned(), Value::Array(series));
                self.event("second", Value::Object(fields), "")
            }
            Form::Lines => {
                live.iter().try_for_each(|series| writeln!(self.out, "{}", clean(&line(series, over))))?;
                self.out.flush()
            }
            Form::Terminal => {
                self.erase()?;
                self.block = live.iter().take(MOST_LINES).map(|series| clean(&line(series, over))).collect();
                if live.len() > MOST_LINES {
                    self.block.push(format!("… and {} more series", live.len() - MOST_LINES));
                }
                self.draw()?;
                self.out.flush()
            }
        }
    }

    /// The end of the command: what there was in all.
    pub(super) fn stopped(&mut self, statistics: &Statistics, saved: Option<u64>) -> io::Result<()> {
        self.erase()?;
        self.block.clear();
        let total = statistics.total();
        let mut fields = sums_json(total);
        fields.insert("series".to_owned(), json!(statistics.opened()));
        let mut line = format!("{} series, {}", statistics.opened(), sums_text(total));
        if let Some(saved) = saved {
            fields.insert("saved".to_owned(), json!(saved));
            line.push_str(&format!(", {saved} files saved"));
        }
        self.event("stopped", Value::Object(fields), &line)
    }

    /// Takes the lines away that are to be written over.
    fn erase(&mut self) -> io::Result<()> {
        if self.form == Form::Terminal && !self.block.is_empty() {
            // To the first of them, and all below it gone (ECMA-48 CPL, ED).
            write!(self.out, "\x1b[{}F\x1b[J", self.block.len())?;
        }
        Ok(())
    }

    /// Puts them back. They are cut at the edge (DECAWM off): a line that wraps would be two.
    fn draw(&mut self) -> io::Result<()> {
        if self.form == Form::Terminal && !self.block.is_empty() {
            write!(self.out, "\x1b[?7l")?;
            self.block.iter().try_for_each(|line| writeln!(self.out, "{line}"))?;
            write!(self.out, "\x1b[?7h")?;
        }
        Ok(())
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn line(series: &Series, over: Duration) -> String {
    let counts = &series.counts;
    let (frames, bytes) = rates(&counts.second, over);
    let facts = facts_text(&series.facts);
    let mut line = format!("#{} {facts}  {frames:.1} frames/s  {:.1} MB/s", series.ordinal, bytes / 1e6);
    if counts.second.instances > 0 {
        line.push_str(&format!("  {}", latency_text(&counts.second)));
    }
    if let Some(all) = counts.all.latency() {
        line.push_str(&format!(" (in all {})", three(all)));
    }
    line.push_str(&format!("  {} in all{}", counts.all.instances, losses_text(counts)));
    if series.missed > 0 {
        line.push_str(&format!(", missed {}", series.missed));
    }
    line
}

/// What is known of a series or an event in a few words.
pub(super) fn facts_text(facts: &Facts) -> String {
    let mut words = Vec::new();
    words.extend(facts.patient_name.clone());
    words.extend(facts.modality.clone());
    if let (Some(rows), Some(columns)) = (facts.rows, facts.columns) {
        words.push(format!("{rows} × {columns}"));
    }
    words.extend(facts.transfer_syntax.clone());
    words.join(" ")
}

/// The same as fields.
pub(super) fn facts_json(facts: &Facts) -> Map<String, Value> {
    let Facts { modality, rows, columns, transfer_syntax, patient_name } = facts;
    let mut fields = Map::new();
    let mut add =
        |name: &str, value: Option<Value>| fields.extend(value.map(|value| (name.to_owned(), value)));
    add("modality", modality.as_deref().map(Value::from));
    add("rows", rows.map(Value::from));
    add("columns", columns.map(Value::from));
    add("transfer_syntax", transfer_syntax.as_deref().map(Value::from));
    add("patient_name", patient_name.as_deref().map(Value::from));
    fields
}

fn three(latency: Latency) -> String {
    format!("{:.1} {:.1} {:.1}", latency.min, latency.p50, latency.p99)
}

fn latency_text(tally: &Tally) -> String {
    match tally.latency() {
        Some(latency) => format!("latency ms min p50 p99 {}", three(latency)),
        None => "latency unknown".to_owned(),
    }
}

fn losses_text(counts: &Counts) -> String {
    let mut text = String::new();
    if counts.gaps > 0 {
        text.push_str(&format!(", gaps {} (missing {})", counts.gaps, counts.missing));
    }
    if counts.duplicates > 0 {
        text.push_str(&format!(", duplicates {}", counts.duplicates));
    }
    text
}

fn sums_text(counts: &Counts) -> String {
    let all = &counts.all;
    let megabytes = all.bytes as f64 / 1e6;
    let sums = format!("{} instances, {megabytes:.1} MB, {}", all.instances, latency_text(all));
    sums + &losses_text(counts)
}

fn latency_json(tally: &Tally) -> Value {
    tally
        .latency()
        .map_or(Value::Null, |Latency { min, p50, p99 }| json!({"min": min, "p50": p50, "p99": p99}))
}

fn sums_json(counts: &Counts) -> Map<String, Value> {
    Map::from_iter([
        ("instances".to_owned(), json!(counts.all.instances)),
        ("bytes".to_owned(), json!(counts.all.bytes)),
        ("latency_ms".to_owned(), latency_json(&counts.all)),
        ("clock_offset_estimate_ms".to_owned(), json!(counts.all.latency().map(|latency| latency.min))),
        ("gaps".to_owned(), json!(counts.gaps)),
        ("missing".to_owned(), json!(counts.missing)),
        ("duplicates".to_owned(), json!(counts.duplicates)),
    ])
}

fn counts_json(counts: &Counts, over: Duration) -> Map<String, Value> {
    let (frames, bytes) = rates(&counts.second, over);
    let mut fields = sums_json(counts);
    fields.insert("frames_per_second".to_owned(), json!(frames));
    fields.insert("bytes_per_second".to_owned(), json!(bytes));
    fields.insert("latency_ms_last_second".to_owned(), latency_json(&counts.second));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics() -> Statistics {
        let mut statistics = Statistics::default();
        for number in [1, 2, 4] {
            statistics.arrived(&Arrival {
                study: "1".into(),
                series: "1.2".into(),
                instance: format!("1.2.{number}").into(),
                number: Some(number),
                bytes: 1_000_000,
                latency: Some(i64::from(number) * 10),
                facts: Facts {
                    modality: Some("X\x1b[2JA".to_owned()),
                    rows: Some(512),
                    columns: Some(256),
                    ..Facts::default()
                },
            });
        }
        statistics
    }

    fn printed(form: Form, print: impl Fn(&mut Report<Vec<u8>>) -> io::Result<()>) -> String {
        let mut report = Report::new(Vec::new(), form);
        print(&mut report).unwrap();
        String::from_utf8(report.out).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let statistics = statistics();
        let text = printed(Form::Json, |report| {
            report.opened(&statistics.series()[0])?;
            report.remark("for people")?;
            report.second(&statistics, Duration::from_millis(500))?;
            report.ended(&statistics.series()[0], End::Aborted)?;
            report.stopped(&statistics, Some(3))
        });
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["opened", "second", "ended", "stopped"]);
        assert_eq!(lines[0]["rows"], 512);
        assert_eq!(lines[1]["frames_per_second"], 6.0);
        assert_eq!(lines[1]["series"][0]["missing"], 1);
        assert_eq!(lines[1]["clock_offset_estimate_ms"], 0.01);
        assert_eq!(lines[2]["how"], "aborted");
        assert_eq!((&lines[3]["saved"], &lines[3]["bytes"]), (&json!(3), &json!(3_000_000)));
    }

    #[test]
    fn lines_are_for_people_and_no_peer_steers_the_terminal() {
        let statistics = statistics();
        let text = printed(Form::Lines, |report| {
            report.opened(&statistics.series()[0])?;
            report.second(&statistics, Duration::from_secs(1))
        });
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.contains("512 × 256") && text.contains("3.0 frames/s  3.0 MB/s"), "{text}");
        assert!(text.contains("gaps 1 (missing 1)"), "{text}");
    }

    #[test]
    fn on_a_terminal_the_lines_of_series_are_written_over() {
        let statistics = statistics();
        let text = printed(Form::Terminal, |report| {
            report.second(&statistics, Duration::from_secs(1))?;
            report.remark("news")?;
            report.stopped(&statistics, None)
        });
        let steps: Vec<_> = text.split("\x1b[1F\x1b[J").collect();
        assert_eq!(steps.len(), 3, "{text:?}");
        assert!(steps[1].starts_with("news\n"), "news goes above the line, which follows: {text:?}");
        assert!(steps[1].contains("frames/s") && !steps[2].contains("frames/s"), "{text:?}");
    }
}
