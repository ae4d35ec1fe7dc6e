//! Dates and times (VR DA, TM and DT): single value and range matching (PS3.4 C.2.2.2.1, C.2.2.2.5).
//!
//! A value of less than full precision means a span: `TM 10` is all of the hour after ten, `DT 2026`
//! the year. So a key is a span from its earliest to its latest moment, open at one end for `a-` and
//! `-b`, and it matches each value whose own span touches it: what may lie in the range is not lost.
//!
//! A DT with an offset from UTC is compared as an instant. One without is in the zone that the
//! dataset's Timezone Offset From UTC (0008,0201) names, and in UTC where it names none.
//! The `-` of a range and of a negative offset are told apart by trying: the whole value counts as
//! one moment if it can be one (`2026-0500`), and otherwise the first `-` with a moment, or nothing,
//! on both sides of it parts the range.

use dicom_core::VR;
use dicom_core::chrono::{NaiveDate, NaiveTime, Timelike};
use dicom_core::value::deserialize::{parse_date_partial, parse_time_partial};
use dicom_core::value::{AsRange, DicomDateTime, PreciseDateTime};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Which of the three a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Date,
    Time,
    DateTime,
}

impl Kind {
    pub(super) fn of(vr: VR) -> Option<Self> {
        match vr {
            VR::DA => Some(Self::Date),
            VR::TM => Some(Self::Time),
            VR::DT => Some(Self::DateTime),
            _ => None,
        }
    }
}

/// Microseconds since 1970 (DA, DT) or since midnight (TM).
#[derive(Clone, Copy, PartialEq)]
struct Bound {
    micros: i64,
    /// Counted in UTC, rather than in the zone of whoever wrote it.
    utc: bool,
}

impl Bound {
    fn at(self, zone: i64) -> i64 {
        if self.utc { self.micros } else { self.micros.saturating_sub(zone) }
    }
}

/// The earliest and the latest moment that one value can mean, both included.
#[derive(Clone, Copy)]
struct Span {
    first: Bound,
    last: Bound,
}

/// A compiled key.
#[derive(Clone, PartialEq)]
pub(super) struct Range {
    kind: Kind,
    first: Option<Bound>,
    last: Option<Bound>,
}

impl Range {
    /// `None` for what is neither a moment nor a range, or a range that ends before it begins.
    pub(super) fn parse(kind: Kind, text: &str) -> Option<Self> {
        if let Some(span) = Span::parse(kind, text) {
            return Some(Self { kind, first: Some(span.first), last: Some(span.last) });
        }
        text.match_indices('-').find_map(|(at, _)| {
            let (before, after) = (text.get(..at)?.trim(), text.get(at + 1..)?.trim());
            if before.is_empty() && after.is_empty() {
                return None;
            }
            let side = |text: &str| match text {
                "" => Some(None),
                text => Span::parse(kind, text).map(Some),
            };
            let (from, to) = (side(before)?, side(after)?);
            let range = Self { kind, first: from.map(|s| s.first), last: to.map(|s| s.last) };
            let backwards = match (range.first, range.last) {
                (Some(first), Some(last)) => first.at(0) > last.at(0),
                _ => false,
            };
            (!backwards).then_some(range)
        })
    }

    /// Whether the value may lie in the range. `zone` is asked for only where it matters, and gives
    /// the dataset's offset from UTC in microseconds.
    pub(super) fn matches(&self, value: &str, zone: impl FnOnce() -> i64) -> bool {
        let Some(value) = Span::parse(self.kind, value) else { return false };
        let zone = if self.kind == Kind::DateTime { zone() } else { 0 };
        self.first.is_none_or(|first| value.last.at(zone) >= first.at(zone))
            && self.last.is_none_or(|last| value.first.at(zone) <= last.at(zone))
    }
}

impl Span {
    fn parse(kind: Kind, text: &str) -> Option<Self> {
        let naive = |first, last| {
            let bound = |micros| Bound { micros, utc: false };
            Some(Self { first: bound(first), last: bound(last) })
        };
        match kind {
            Kind::Date => {
                let (date, rest) = parse_date_partial(text.as_bytes()).ok()?;
                if !rest.is_empty() {
                    return None;
                }
                naive(midnight(date.earliest().ok()?), midnight(date.latest().ok()?) + DAY - 1)
            }
            Kind::Time => {
                let (time, rest) = parse_time_partial(text.as_bytes()).ok()?;
                if !rest.is_empty() {
                    return None;
                }
                naive(since_midnight(time.earliest().ok()?), since_midnight(time.latest().ok()?))
            }
            Kind::DateTime => {
                let sign = text.find(['+', '-', ' ']);
                if sign.is_some_and(|at| at + 5 != text.len()) {
                    return None;
                }
                // In a query string `+` may well have been meant as itself, yet arrived as a space.
                let moment: DicomDateTime = match text.contains(' ') {
                    true => text.replace(' ', "+").parse().ok()?,
                    false => text.parse().ok()?,
                };
                let (first, last) = (moment.earliest().ok()?, moment.latest().ok()?);
                Some(Self { first: bound(&first), last: bound(&last) })
            }
        }
    }
}

/// Reads Timezone Offset From UTC (0008,0201) or that of a DT, `&ZZXX`, into microseconds east of UTC.
pub(crate) fn parse_offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000_000)
}

fn midnight(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

fn since_midnight(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1000)
}

fn bound(moment: &PreciseDateTime) -> Bound {
    match moment {
        PreciseDateTime::Naive(moment) => Bound { micros: moment.and_utc().timestamp_micros(), utc: false },
        PreciseDateTime::TimeZone(moment) => Bound { micros: moment.timestamp_micros(), utc: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::chrono::Days;
    use proptest::prelude::*;

    fn hits(kind: Kind, key: &str, value: &str) -> Option<bool> {
        Range::parse(kind, key).map(|range| range.matches(value, || 0))
    }

    #[test]
    fn hyphens_of_ranges_and_of_offsets() {
        use Kind::DateTime;
        for (key, value, expected) in [
            ("2026-0500", "20260101060000+0000", Some(true)),
            ("2026-0500", "20260101040000+0000", Some(false)),
            ("2026-0500-", "20300101", Some(true)),
            ("-2026-0500", "20270101045959+0000", Some(true)),
            ("20260101-0500-20260102-0500", "20260102120000-0500", Some(true)),
            ("20260101-20260102", "20260103", Some(false)),
            ("20260101 0100", "20260101003000+0100", Some(true)),
            // No offset is as far west as -1400, so this is a range, and a backwards one.
            ("2026-1400", "2026", None),
            ("2026-2025", "2026", None),
            ("-", "2026", None),
            ("", "2026", None),
            ("20260101+01000", "2026", None),
        ] {
            assert_eq!(hits(DateTime, key, value), expected, "{key} {value}");
        }
    }

    #[test]
    fn the_datasets_zone_counts_where_a_value_names_none() {
        let range = Range::parse(Kind::DateTime, "20260101120000+0000-20260101130000+0000").unwrap();
        let zone = parse_offset("+0200").unwrap();
        assert!(range.matches("20260101143000", || zone));
        assert!(!range.matches("20260101143000", || 0));
        assert_eq!(parse_offset("-0330"), Some(-(3 * 60 + 30) * 60_000_000));
        for bad in ["", "+", "0100", "+01", "+01:0", "é100", "+0160", "+1500"] {
            assert_eq!(parse_offset(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn takes_any_text(key in any::<String>(), like in "[0-9+. -]{0,30}", value in "[0-9+. -]{0,30}") {
            for kind in [Kind::Date, Kind::Time, Kind::DateTime] {
                hits(kind, &key, &value);
                hits(kind, &like, &value);
                hits(kind, &like, &key);
            }
            parse_offset(&key);
        }

        #[test]
        fn date_ranges_are_those_of_the_calendar(days in proptest::array::uniform3(0u64..4000)) {
            let first = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap();
            let [a, b, v] = days.map(|days| (first + Days::new(days)).format("%Y%m%d").to_string());
            let expected = (a <= b).then_some(a <= v && v <= b);
            prop_assert_eq!(hits(Kind::Date, &format!("{a}-{b}"), &v), expected);
        }
    }
}
