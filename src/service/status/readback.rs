//! Reads families of metrics back: which labels there are is known to them alone, and the text form is what they give.

use std::collections::BTreeMap;

use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};

/// One line of a family.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    /// What stands behind the name, such as `_total`.
    suffix: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

fn lines(metric: impl Metric) -> Vec<Line> {
    let mut registry = Registry::default();
    registry.register("x", "x", metric);
    let mut written = String::new();
    // Memory is all that it writes to.
    let _ = text::encode(&mut written, &registry);
    written.lines().filter_map(line).collect()
}

/// `x_total{a="b",c="d"} 5`; comments are no lines.
fn line(text: &str) -> Option<Line> {
    let text = text.strip_prefix('x')?;
    let (name, value) = text.rsplit_once(' ')?;
    let (suffix, mut rest) = name.split_once('{').unwrap_or((name, ""));
    let mut labels = BTreeMap::new();
    while let Some((label, quoted)) = rest.split_once("=\"") {
        let mut content = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()?.1 {
                    'n' => content.push('\n'),
                    other => content.push(other),
                },
                (_, other) => content.push(other),
            }
        };
        labels.insert(label.trim_start_matches(',').to_owned(), content);
        rest = quoted.get(end + 1..)?;
    }
    Some(Line { suffix: suffix.to_owned(), labels, value: value.parse().ok()? })
}

/// The counts of a family by the label `by`, of those lines where `of` has the value that is named.
pub(super) fn counts(metric: impl Metric, of: Option<(&str, &str)>, by: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines(metric) {
        let is_of = of.is_none_or(|(label, value)| line.labels.get(label).is_some_and(|has| has == value));
        if let Some(value) = line.labels.get(by).filter(|_| is_of) {
            *counts.entry(value.clone()).or_default() += line.value as u64;
        }
    }
    counts
}

/// The buckets of a histogram: upper bounds, `None` for the last, and how many are within each and above the one
/// before.
pub(super) fn buckets(histogram: impl Metric) -> Vec<(Option<f64>, u64)> {
    let mut before = 0;
    let bucket = |line: Line| {
        let bound = line.labels.get("le").filter(|_| line.suffix == "_bucket")?;
        let count = line.value as u64;
        let within = count.saturating_sub(std::mem::replace(&mut before, count));
        Some((bound.parse().ok().filter(|bound: &f64| bound.is_finite()), within))
    };
    lines(histogram).into_iter().filter_map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::histogram::Histogram;

    use super::*;

    #[test]
    fn what_was_counted_is_read_back_by_its_labels() {
        let family = Family::<Vec<(String, String)>, Counter>::default();
        let of = |name: &str, reason: &str| {
            vec![("capture".to_owned(), name.to_owned()), ("reason".to_owned(), reason.to_owned())]
        };
        family.get_or_create(&of("xa", "stale")).inc_by(3);
        family.get_or_create(&of("xa", "a \"b\\c\", d=\"")).inc();
        family.get_or_create(&of("us", "stale")).inc_by(9);
        let read = counts(family, Some(("capture", "xa")), "reason");
        let known = [("stale".to_owned(), 3), ("a \"b\\c\", d=\"".to_owned(), 1)];
        assert_eq!(read, BTreeMap::from(known));
    }

    #[test]
    fn buckets_are_those_of_the_histogram() {
        let histogram = Histogram::new([0.001, 0.5]);
        [0.0001, 0.0002, 0.4, 7.0].into_iter().for_each(|value| histogram.observe(value));
        assert_eq!(buckets(histogram), [(Some(0.001), 2), (Some(0.5), 1), (None, 1)]);
    }
}
