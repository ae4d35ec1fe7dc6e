//! The list of metrics, and what is built on it: docs/metrics.md is made from the registry, and every name and label of
//! the dashboard and of the alert rules is one of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::super::catalogue::ROOMS;
use super::super::spool;
use super::*;
use crate::config::settings::{HubSettings, SpoolSettings};
use crate::net::tls::{HTTP_ALPN, self_signed};

/// Where documents are, seen from the package.
const DOCUMENT: &str = "docs/metrics.md";
const DASHBOARD: &str = "monitoring/grafana-dashboard.json";
const ALERTS: &str = "monitoring/alerts.yaml";
/// Set to have the document written.
const WRITE: &str = "FRAMEGATE_WRITE_DOCS";
/// Labels that the scrape adds.
const OF_THE_SCRAPE: [&str; 2] = ["instance", "job"];

/// What is known of one metric.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// Counters of everything, one of each, and what the spool among them stands in.
fn counters() -> (Counters, tempfile::TempDir) {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    let settings = SpoolSettings {
        directory: Some(folder.path().join("spool")),
        key_file: Some(key),
        ..SpoolSettings::default()
    };
    let spools = spool::open(&settings, ["pacs".to_owned()].iter()).unwrap();
    let spools = spools.into_iter().map(|(name, (spool, _))| (name, spool)).collect();
    let counters = Counters::new(Hub::new(HubSettings::default()), NotifyCounters::default(), spools);
    counters.hub.stages().one_of_each();
    counters.dimse.one_of_each();
    counters.relay.one_of_each();
    counters.send.one_of_each();
    counters.dicomweb.one_of_each();
    counters.notify.one_of_each();
    counters.availability.one_of_each();
    counters.push.one_of_each();
    counters.procedure.one_of_each();
    counters.capture.one_of_each();
    (counters, folder)
}

/// The metrics as Prometheus sees them, by the names that it gives them; a histogram stands once, without its endings.
fn known() -> BTreeMap<String, Known> {
    let (counters, _folder) = counters();
    let made = self_signed(&["localhost"], HTTP_ALPN, SystemTime::now()).unwrap();
    let secured = [("dicomweb", Arc::new(Reloading::fixed(made.loaded)))];
    let text = counters.exposed(&secured).text().unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                let help = help.trim_end_matches('.').to_owned();
                let before = known.insert(name.to_owned(), Known { help, ..Known::default() });
                assert!(before.is_none(), "{name} is there twice");
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                known.get_mut(name).unwrap().kind = kind.to_owned();
            }
            (Some("#"), ..) => {}
            _ => {
                let (sample, _) = line.rsplit_once(' ').unwrap();
                let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
                let of = base(name, &known);
                let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
                let labels = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
                known.get_mut(&of).unwrap_or_else(|| panic!("{name} has no help")).labels.extend(labels);
            }
        }
    }
    let named = known.into_iter().map(|(name, mut known)| {
        known.labels.remove("le");
        let ending = match known.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        (name + ending, known)
    });
    named.collect()
}

/// The metric that a sample is of.
fn base(name: &str, known: &BTreeMap<String, Known>) -> String {
    let endings = ["_total", "_info", "_bucket", "_count", "_sum", ""];
    let mut bases = endings.iter().filter_map(|ending| name.strip_suffix(ending));
    bases.find(|base| known.contains_key(*base)).unwrap_or_default().to_owned()
}

fn document() -> String {
    const HEAD: &str = "# Metrics\n\n\
        What `/metrics` shows (OpenMetrics text), on the listener of `[metrics]`. This list is made from the program; a test \
        fails where it is\nstale. Times are in seconds, sizes in bytes; a counter begins anew with the service. A row \
        without a value yet is left out where its\nlabels are not known before. No value and no label is of a patient. \
        `monitoring/grafana-dashboard.json` shows them, and\n`monitoring/alerts.yaml` watches them.\n\n\
        Of a histogram NAME there are `NAME_bucket` (with `le`), `NAME_count` and `NAME_sum`.\n";
    let mut text = HEAD.to_owned();
    let mut section = String::new();
    for (name, Known { kind, help, labels }) in known() {
        let group = name.trim_start_matches("framegate_").split('_').next().unwrap_or_default().to_owned();
        if group != section {
            text.push_str(&format!("\n## {group}\n\n| name | type | labels | what |\n|---|---|---|---|\n"));
            section = group;
        }
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (labels, help) = (labels.join(", "), help.replace('|', "\\|"));
        text.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    text
}

fn read(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_default()
}

#[test]
fn the_document_lists_what_there_is() {
    let wanted = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT), &wanted).unwrap();
    }
    let written = read(DOCUMENT);
    let differ = wanted.lines().zip(written.lines().chain(std::iter::repeat(""))).find(|(a, b)| a != b);
    assert!(
        wanted == written,
        "{DOCUMENT} is stale, first at {differ:?}; {WRITE}=1 cargo test --lib service::metrics writes it"
    );
}

#[test]
fn names_follow_the_conventions() {
    for (name, known) in known() {
        assert!(name.starts_with("framegate_") || name.starts_with("process_"), "{name}");
        assert!(!known.help.is_empty() && !known.kind.is_empty(), "{name} has no help or no type");
        let bare = name.trim_end_matches("_total").trim_end_matches("_info");
        for wrong in ["_milliseconds", "_ms", "_us", "_count", "_counter", "_gauge", "_total", "_kb", "_mb"] {
            assert!(!bare.ends_with(wrong), "{name}");
        }
        assert_eq!(name.ends_with("_total"), known.kind == "counter", "{name}");
        assert!(known.kind != "histogram" || name.ends_with("_seconds"), "{name} is without its unit");
        for label in &known.labels {
            assert!(!["how", "type", "name", "id", "patient"].contains(&label.as_str()), "{name} {label}");
        }
    }
}

/// The mistakes of an expression: names that there are not, and labels that none of them has.
fn mistakes(expression: &str, known: &BTreeMap<String, Known>) -> Vec<String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let (mut wrong, mut labels) = (Vec::new(), BTreeSet::from(OF_THE_SCRAPE.map(str::to_owned)));
    let mut of: Option<&Known> = None;
    let mut rest = expression;
    while let Some(at) = rest.find(is_word) {
        let found = rest.get(at..).unwrap();
        let end = found.find(|letter| !is_word(letter)).unwrap_or(found.len());
        let (word, behind) = found.split_at(end);
        rest = behind;
        if word.starts_with("framegate_") || word.starts_with("process_") {
            let histogram = ["_bucket", "_count", "_sum"].iter().find_map(|ending| {
                known.get(word.strip_suffix(ending)?).filter(|known| known.kind == "histogram")
            });
            let is_bare = known.get(word).filter(|known| known.kind != "histogram");
            of = histogram.or(is_bare);
            match of {
                None => wrong.push(format!("there is no {word}")),
                Some(known) => labels.extend(known.labels.iter().cloned()),
            }
            if word.ends_with("_bucket") {
                labels.insert("le".to_owned());
            }
        } else if ["=\"", "=~\"", "!=\"", "!~\""].iter().any(|test| behind.starts_with(test)) {
            // A selector: of the metric that stands before it.
            let is_known =
                OF_THE_SCRAPE.contains(&word) || of.is_none_or(|known| known.labels.contains(word));
            if !is_known {
                wrong.push(format!("{word} is no label of what is selected"));
            }
            let quoted = behind.split_once('"').unwrap().1;
            rest = quoted.split_once('"').unwrap().1;
        }
    }
    // What is grouped by.
    for (at, _) in expression.match_indices("by (") {
        let list = expression.get(at + 4..).unwrap().split(')').next().unwrap();
        for label in list.split(',').map(str::trim).filter(|label| !labels.contains(*label)) {
            wrong.push(format!("{label} is no label of what is grouped"));
        }
    }
    wrong
}

/// Every `key` of a JSON value, wherever it stands.
fn values<'v>(value: &'v serde_json::Value, key: &str, into: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::Object(members) => {
            into.extend(members.get(key).and_then(serde_json::Value::as_str));
            members.values().for_each(|member| values(member, key, into));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| values(item, key, into)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let known = known();
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut expressions = Vec::new();
    values(&dashboard, "expr", &mut expressions);
    values(&dashboard, "definition", &mut expressions);
    assert!(expressions.len() > 40);
    for expression in &expressions {
        // The dashboard's own variables are neither.
        let plain = expression.replace("label_values(", "(").replace("$__rate_interval", "5m");
        assert_eq!(mistakes(&plain, &known), [""; 0], "{expression}");
    }
    // Legends name labels of what they are the legends of.
    let mut targets = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        targets.extend(panel["targets"].as_array().into_iter().flatten());
    }
    for target in targets {
        let (expression, legend) =
            (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
        for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            let grouped = expression.contains("by (");
            let is_there = if grouped {
                expression.match_indices("by (").any(|(at, _)| {
                    let list = expression.get(at + 4..).unwrap().split(')').next().unwrap();
                    list.split(',').any(|each| each.trim() == label)
                })
            } else {
                OF_THE_SCRAPE.contains(&label)
                    || known
                        .iter()
                        .any(|(name, known)| expression.contains(name) && known.labels.contains(label))
            };
            assert!(is_there, "{label} of the legend {legend} is not there in {expression}");
        }
    }
    for row in ["Frame path", "Sources", "Readers and destinations", "Relay, spool and RIS", "System"] {
        let titles: Vec<_> =
            dashboard["panels"].as_array().unwrap().iter().map(|panel| &panel["title"]).collect();
        assert!(titles.iter().any(|title| *title == row), "{row}");
    }
}

#[test]
fn the_alerts_watch_what_there_is_and_say_what_to_do() {
    let (known, text) = (known(), read(ALERTS));
    let mut alerts = text.split("- alert: ");
    alerts.next().unwrap();
    let mut count = 0;
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let of = |key: &str| {
            // A value on its line, or folded on those below it, which are indented deeper.
            let lines: Vec<_> = alert.lines().collect();
            let at = lines.iter().position(|line| line.trim_start().starts_with(&format!("{key}:")))?;
            let depth = |line: &str| line.len() - line.trim_start().len();
            let first = lines[at].split_once(':').unwrap().1.trim().trim_start_matches(">-").to_owned();
            let more = lines[at + 1..].iter().take_while(|line| depth(line) > depth(lines[at]));
            Some(more.fold(first, |all, line| all + " " + line.trim()))
        };
        let expression = of("expr").unwrap_or_else(|| panic!("{name} has no expression"));
        assert_eq!(mistakes(&expression, &known), [""; 0], "{name}: {expression}");
        for key in ["severity", "summary", "description"] {
            assert!(of(key).is_some_and(|text| !text.trim().is_empty()), "{name} has no {key}");
        }
        let summary = of("summary").unwrap();
        for label in summary.split("$labels.").skip(1).map(|rest| rest.split(' ').next().unwrap()) {
            let is_there = OF_THE_SCRAPE.contains(&label)
                || known
                    .iter()
                    .any(|(name, known)| expression.contains(name.as_str()) && known.labels.contains(label));
            assert!(is_there, "{name}: {label} is no label of {expression}");
        }
        count += 1;
    }
    assert!(count > 15, "{count} alerts were understood");
}

#[test]
fn events_name_metrics_that_there_are() {
    let known = known();
    for kind in ROOMS.iter().flat_map(|(_, kinds)| *kinds) {
        assert!(
            kind.metric.is_none_or(|metric| known.contains_key(metric)),
            "{}: {:?}",
            kind.name,
            kind.metric
        );
    }
}

#[test]
fn mistakes_are_found() {
    let known = known();
    let wrong = |expression: &str| mistakes(expression, &known).len();
    assert_eq!(wrong("sum by (capture) (rate(framegate_capture_frames_total{instance=~\"x\"}[5m]))"), 0);
    assert_eq!(wrong("framegate_capture_frames"), 1, "a counter without its ending");
    assert_eq!(wrong("framegate_frame_wait_seconds"), 1, "a histogram without an ending");
    assert_eq!(wrong("framegate_hub_bytes{capture=\"x\"}"), 1, "a label that it has not");
    assert_eq!(wrong("sum by (relay) (framegate_hub_bytes)"), 1, "grouped by one that it has not");
    assert_eq!(
        wrong("histogram_quantile(0.9, sum by (le) (rate(framegate_frame_wait_seconds_bucket[5m])))"),
        0
    );
}
