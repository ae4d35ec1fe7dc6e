//! What has arrived, counted: by series and in all, over the last second and since the beginning. Pure
//! bookkeeping: it owns no clock and prints nothing ([`super::report`] does).

mod captured;
mod histogram;
mod series;

use std::time::{Duration, SystemTime};

use dicom_dictionary_std::tags;

use self::histogram::Histogram;
pub(super) use self::series::{End, Series};
use crate::instance::{Dataset, Instance, Uid};

/// Series that are told apart; beyond that the ones that ended first are forgotten, and further live ones
/// count in the sums only.
const MOST_SERIES: usize = 256;

/// Instances, bytes and latencies of some time.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) instances: u64,
    pub(super) bytes: u64,
    latency: Histogram,
}

/// Least, median and 99th percentile (ms).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latency {
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Tally {
    fn count(&mut self, bytes: usize, latency: Option<i64>) {
        self.instances += 1;
        self.bytes += bytes as u64;
        if let Some(latency) = latency {
            self.latency.record(latency);
        }
    }

    fn clear(&mut self) {
        (self.instances, self.bytes) = (0, 0);
        self.latency.clear();
    }

    /// `None` where no instance said when it was captured.
    pub(super) fn latency(&self) -> Option<Latency> {
        let ms = |micros: i64| micros as f64 / 1000.0;
        Some(Latency {
            min: ms(self.latency.least()?),
            p50: ms(self.latency.quantile(0.5)?),
            p99: ms(self.latency.quantile(0.99)?),
        })
    }
}

/// Counts that are kept for each series and for all together.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// Since the last [`Statistics::second_over`].
    pub(super) second: Tally,
    /// Since the beginning.
    pub(super) all: Tally,
    /// Jumps of Instance Number.
    pub(super) gaps: u64,
    /// Instance Numbers that were jumped over and have not come since.
    pub(super) missing: u64,
    /// SOP Instance UIDs that had come before.
    pub(super) duplicates: u64,
}

/// One instance, or a picture of one, that has come.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) study: Uid,
    pub(super) series: Uid,
    pub(super) instance: Uid,
    /// Instance Number (0020,0013).
    pub(super) number: Option<i32>,
    /// Of the object, as it goes over the wire.
    pub(super) bytes: usize,
    /// µs; see [`captured::latency`].
    pub(super) latency: Option<i64>,
    /// What is shown of the series.
    pub(super) facts: Facts,
}

/// What is shown of a series. Nothing of it is about a patient, but for the name, which is only kept if
/// it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) modality: Option<String>,
    pub(super) rows: Option<u16>,
    pub(super) columns: Option<u16>,
    pub(super) transfer_syntax: Option<String>,
    pub(super) patient_name: Option<String>,
}

impl Facts {
    /// Takes them from a data set.
    pub(super) fn of(dataset: &Dataset, transfer_syntax: Option<&str>, show_phi: bool) -> Self {
        let text = |tag| {
            let value = dataset.get(tag)?.to_str().ok()?;
            let value = value.trim_matches(['\0', ' ']);
            (!value.is_empty()).then(|| value.chars().take(64).collect::<String>())
        };
        let number = |tag| dataset.get(tag)?.to_int::<u16>().ok();
        Self {
            modality: text(tags::MODALITY),
            rows: number(tags::ROWS),
            columns: number(tags::COLUMNS),
            transfer_syntax: transfer_syntax.map(str::to_owned),
            patient_name: if show_phi { text(tags::PATIENT_NAME) } else { None },
        }
    }
}

impl Arrival {
    /// Of a whole instance that arrived at `at`.
    pub(super) fn of(instance: &Instance, at: SystemTime, show_phi: bool) -> Self {
        let identity = instance.identity();
        // One that cannot be decoded is counted all the same.
        let dataset = instance.dataset().unwrap_or_else(|_| Dataset::new_empty());
        Self {
            study: identity.study.clone(),
            series: identity.series.clone(),
            instance: identity.sop_instance.clone(),
            number: instance.number(),
            bytes: instance.len(),
            latency: captured::latency(&dataset, at),
            facts: Facts::of(&dataset, Some(instance.transfer_syntax()), show_phi),
        }
    }
}

/// All that has arrived.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    series: Vec<Series>,
    total: Counts,
    /// Series that there have been.
    opened: u64,
}

impl Statistics {
    /// Counts an instance. Says whether it opens its series, or opens it again.
    pub(super) fn arrived(&mut self, arrival: &Arrival) -> bool {
        self.total.second.count(arrival.bytes, arrival.latency);
        self.total.all.count(arrival.bytes, arrival.latency);
        let opens = self.open(&arrival.study, &arrival.series, &arrival.facts);
        if let Some(series) = self.find(&arrival.study, &arrival.series) {
            let seen = series.count(arrival);
            self.total.gaps += seen.gaps;
            self.total.missing = self.total.missing.saturating_add_signed(seen.missing);
            self.total.duplicates += seen.duplicates;
        }
        opens
    }

    /// Makes a series known that has opened. Says whether that is news.
    pub(super) fn open(&mut self, study: &str, series: &str, facts: &Facts) -> bool {
        if let Some(known) = self.find(study, series) {
            return known.reopen();
        }
        if self.series.len() >= MOST_SERIES {
            let ended = self.series.iter().position(|series| series.end().is_some());
            let Some(index) = ended else { return false };
            self.series.remove(index);
        }
        self.opened += 1;
        self.series.push(Series::new(self.opened, study.into(), series.into(), facts.clone()));
        true
    }

    /// Notes that a series has ended. Says whether that is news.
    pub(super) fn ended(&mut self, study: &str, series: &str, how: End) -> bool {
        self.find(study, series).is_some_and(|series| series.finish(how))
    }

    /// Instances came that had come before and are not told of one by one.
    pub(super) fn duplicated(&mut self, count: u64) {
        self.total.duplicates += count;
    }

    /// One series.
    pub(super) fn find(&mut self, study: &str, series: &str) -> Option<&mut Series> {
        self.series.iter_mut().find(|known| *known.study == *study && *known.series == *series)
    }

    /// Those that are told apart, oldest first.
    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }

    /// All together.
    pub(super) fn total(&self) -> &Counts {
        &self.total
    }

    /// How many series there have been.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// A second is over and has been shown.
    pub(super) fn second_over(&mut self) {
        self.total.second.clear();
        for series in &mut self.series {
            series.counts.second.clear();
        }
    }
}

/// Instances and bytes a second.
pub(super) fn rates(tally: &Tally, over: Duration) -> (f64, f64) {
    let seconds = over.as_secs_f64().max(0.001);
    (tally.instances as f64 / seconds, tally.bytes as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(series: &str, number: i32, latency: i64) -> Arrival {
        Arrival {
            study: "1".into(),
            series: series.into(),
            instance: format!("{series}.{number}").into(),
            number: Some(number),
            bytes: 1000,
            latency: Some(latency),
            facts: Facts::default(),
        }
    }

    #[test]
    fn series_open_end_and_open_again() {
        let mut statistics = Statistics::default();
        assert!(statistics.arrived(&arrival("2", 1, 0)));
        assert!(!statistics.arrived(&arrival("2", 2, 0)));
        assert!(statistics.ended("1", "2", End::Completed));
        assert!(!statistics.ended("1", "2", End::Completed));
        assert!(!statistics.ended("1", "9", End::Completed));
        assert!(statistics.arrived(&arrival("2", 3, 0)));
        assert_eq!((statistics.opened(), statistics.series().len()), (1, 1));
    }

    #[test]
    fn gaps_and_duplicates_are_counted_and_what_comes_late_fills_its_gap() {
        let mut statistics = Statistics::default();
        for number in [5, 6, 9, 9, 7, 10, 20] {
            statistics.arrived(&arrival("2", number, 0));
        }
        // 7 and 8 were jumped over and 7 came; then 11 to 19.
        let total = statistics.total();
        assert_eq!((total.gaps, total.missing, total.duplicates), (2, 10, 1));
        assert_eq!(total.all.instances, 7);
        let series = &statistics.series()[0].counts;
        assert_eq!((series.gaps, series.missing, series.duplicates), (2, 10, 1));
    }

    #[test]
    fn a_second_is_forgotten_and_the_whole_is_not() {
        let mut statistics = Statistics::default();
        statistics.arrived(&arrival("2", 1, 9_000));
        statistics.second_over();
        statistics.arrived(&arrival("2", 2, -1_000));
        let total = statistics.total();
        assert_eq!(total.second.latency(), Some(Latency { min: -1.0, p50: -1.0, p99: -1.0 }));
        assert_eq!(total.all.latency().unwrap().min, -1.0);
        assert_eq!(total.all.latency().unwrap().p99, 9.0);
        assert_eq!(rates(&total.second, Duration::from_millis(500)), (2.0, 2000.0));
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let mut statistics = Statistics::default();
        for n in 0..MOST_SERIES {
            assert!(statistics.arrived(&arrival(&n.to_string(), 1, 0)));
        }
        // All are live: one more only counts in the sums.
        assert!(!statistics.arrived(&arrival("x", 1, 0)));
        assert_eq!(statistics.total().all.instances, MOST_SERIES as u64 + 1);
        statistics.ended("1", "7", End::Aborted);
        assert!(statistics.arrived(&arrival("x", 2, 0)));
        assert_eq!(statistics.series().len(), MOST_SERIES);
        assert!(statistics.find("1", "7").is_none());
    }

    #[test]
    fn a_name_is_kept_only_where_it_was_asked_for() {
        use dicom_core::{DataElement, PrimitiveValue, VR, dicom_value};
        let dataset = Dataset::from_element_iter([
            DataElement::new(tags::PATIENT_NAME, VR::PN, PrimitiveValue::from("Demo^Patient")),
            DataElement::new(tags::MODALITY, VR::CS, PrimitiveValue::from("XA ")),
            DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, 512)),
        ]);
        let facts = Facts::of(&dataset, None, false);
        assert_eq!(
            (facts.modality.as_deref(), facts.rows, facts.patient_name),
            (Some("XA"), Some(512), None)
        );
        assert_eq!(Facts::of(&dataset, None, true).patient_name.as_deref(), Some("Demo^Patient"));
    }
}
