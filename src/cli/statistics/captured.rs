//! When an instance was captured, by its own account: the beginning of its latency.
//!
//! The first of these that has a time to the second counts: Acquisition DateTime (0008,002A), Content Date
//! and Time, Instance Creation Date and Time. Its offset from UTC is its own or that of Timezone Offset
//! From UTC (0008,0201). Where neither is there, the writer's zone is unknown; zones lie whole quarter
//! hours apart, so the one is taken that brings the time nearest to the arrival.

use std::time::{SystemTime, UNIX_EPOCH};

use dicom_core::Tag;
use dicom_core::chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use dicom_dictionary_std::tags;

use crate::instance::Dataset;
use crate::subscription::moment::parse_offset;

const QUARTER_HOUR: i64 = 15 * 60 * 1_000_000;
/// The widest that two zones lie apart (+14:00 and -12:00).
const WIDEST: i64 = 26 * 4 * QUARTER_HOUR;

/// Arrival minus capture time (µs). It contains the offset between the two clocks, and may be negative.
/// `None` where the data set has no time that can be read.
pub(crate) fn latency(dataset: &Dataset, arrived: SystemTime) -> Option<i64> {
    let arrived = match arrived.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).ok()?,
        Err(before) => -i64::try_from(before.duration().as_micros()).ok()?,
    };
    let zone = text(dataset, tags::TIMEZONE_OFFSET_FROM_UTC).and_then(|text| parse_offset(&text));
    let (captured, zone) = captured(dataset, zone)?;
    Some(match zone {
        Some(zone) => arrived - (captured - zone),
        None => in_nearest_zone(arrived - captured),
    })
}

/// Clock time as written (µs since 1970) and its offset from UTC (µs), if known.
fn captured(dataset: &Dataset, zone: Option<i64>) -> Option<(i64, Option<i64>)> {
    let acquired = text(dataset, tags::ACQUISITION_DATE_TIME).and_then(|text| date_time(&text));
    if let Some((captured, own)) = acquired {
        return Some((captured, own.or(zone)));
    }
    let pair = |date, time| moment(&text(dataset, date)?, &text(dataset, time)?);
    let captured = pair(tags::CONTENT_DATE, tags::CONTENT_TIME)
        .or_else(|| pair(tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME))?;
    Some((captured, zone))
}

fn in_nearest_zone(difference: i64) -> i64 {
    if difference.abs() > WIDEST {
        // No zone explains that: the object is an old one.
        return difference;
    }
    difference - (difference + QUARTER_HOUR / 2).div_euclid(QUARTER_HOUR) * QUARTER_HOUR
}

fn text(dataset: &Dataset, tag: Tag) -> Option<String> {
    Some(dataset.get(tag)?.to_str().ok()?.trim_matches(['\0', ' ']).to_owned())
}

/// Reads a DT to the second: clock time (µs) and offset (µs), if it has one.
fn date_time(text: &str) -> Option<(i64, Option<i64>)> {
    let (clock, zone) = match text.find(['+', '-']) {
        Some(at) => {
            let (clock, zone) = text.split_at(at);
            (clock, Some(parse_offset(zone)?))
        }
        None => (text, None),
    };
    let (day, time) = clock.split_at_checked(8)?;
    Some((moment(day, time)?, zone))
}

/// Reads a DA and a TM to the second into µs since 1970, as if in UTC.
fn moment(day: &str, time: &str) -> Option<i64> {
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if day.len() != 8
        || clock.len() != 6
        || fraction.len() > 6
        || ![day, clock, fraction].map(digits).iter().all(|&d| d)
    {
        return None;
    }
    let number = |from: usize, to: usize| clock.get(from..to)?.parse::<u32>().ok();
    // A leap second is the one before it, once more.
    let time = NaiveTime::from_hms_opt(number(0, 2)?, number(2, 4)?, number(4, 6)?.min(59))?;
    let date = NaiveDate::parse_from_str(day, "%Y%m%d").ok()?;
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    NaiveDateTime::new(date, time).and_utc().timestamp_micros().checked_add(micros)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
    use dicom_core::{DataElement, PrimitiveValue};
    use dicom_dictionary_std::StandardDataDictionary;
    use proptest::prelude::*;

    use super::*;

    /// 2026-02-28 12:00:00 UTC.
    const NOON: u64 = 1_772_280_000;

    fn latency_of(elements: &[(Tag, &str)]) -> Option<i64> {
        let elements = elements.iter().map(|&(tag, value)| {
            let entry = StandardDataDictionary.by_tag(tag).unwrap();
            let VirtualVr::Exact(vr) = entry.vr() else { panic!("{tag}") };
            DataElement::new(tag, vr, PrimitiveValue::from(value))
        });
        latency(&Dataset::from_element_iter(elements), UNIX_EPOCH + Duration::from_secs(NOON))
    }

    #[test]
    fn acquisition_date_time_counts_with_its_offset() {
        for text in ["20260228115959.5+0000", "20260228125959.500000+0100", "20260228062959.5-0530"] {
            assert_eq!(latency_of(&[(tags::ACQUISITION_DATE_TIME, text)]), Some(500_000), "{text}");
        }
    }

    #[test]
    fn the_zone_of_the_data_set_stands_in_for_a_missing_offset() {
        let zone = (tags::TIMEZONE_OFFSET_FROM_UTC, "+0200");
        assert_eq!(latency_of(&[(tags::ACQUISITION_DATE_TIME, "20260228135959"), zone]), Some(1_000_000));
        let content = [(tags::CONTENT_DATE, "20260228"), (tags::CONTENT_TIME, "140001.25"), zone];
        assert_eq!(latency_of(&content), Some(-1_250_000));
        // The own offset wins.
        assert_eq!(
            latency_of(&[(tags::ACQUISITION_DATE_TIME, "20260228115959+0000"), zone]),
            Some(1_000_000)
        );
    }

    #[test]
    fn without_any_zone_the_nearest_one_is_taken() {
        let content = |time| [(tags::CONTENT_DATE, "20260228"), (tags::CONTENT_TIME, time)];
        assert_eq!(latency_of(&content("115958")), Some(2_000_000));
        assert_eq!(latency_of(&content("172958")), Some(2_000_000));
        assert_eq!(latency_of(&content("070003")), Some(-3_000_000));
        let old = [(tags::CONTENT_DATE, "20260101"), (tags::CONTENT_TIME, "120000")];
        assert_eq!(latency_of(&old), Some(58 * 86_400 * 1_000_000));
    }

    #[test]
    fn what_is_not_a_time_to_the_second_is_passed_over() {
        let creation = [(tags::INSTANCE_CREATION_DATE, "20260228"), (tags::INSTANCE_CREATION_TIME, "115959")];
        for text in
            ["2026", "20260228", "20260228115", "20260230115959", "20260228115959+9900", "20260228 15959"]
        {
            let elements = [&[(tags::ACQUISITION_DATE_TIME, text)][..], &creation].concat();
            assert_eq!(latency_of(&elements), Some(1_000_000), "{text}");
        }
        assert_eq!(latency_of(&[(tags::CONTENT_DATE, "20260228")]), None);
    }

    proptest! {
        #[test]
        fn any_time_reads_back(seconds in 0_i64..4_000_000_000, micros in 0_i64..1_000_000, quarter in -48_i64..=56) {
            let zone = quarter * QUARTER_HOUR;
            let local = dicom_core::chrono::DateTime::from_timestamp_micros(seconds * 1_000_000 + micros + zone).unwrap();
            let minutes = (zone / 60_000_000).abs();
            let sign = if zone < 0 { '-' } else { '+' };
            let text = format!(
                "{}{sign}{:02}{:02}", local.format("%Y%m%d%H%M%S%.6f"), minutes / 60, minutes % 60
            );
            let (read, own) = date_time(&text).unwrap();
            prop_assert_eq!(read - own.unwrap(), seconds * 1_000_000 + micros);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}", other in "[0-9+.-]{0,30}") {
            let _ = (date_time(&text), moment(&text, &other), parse_offset(&text), date_time(&other), parse_offset(&other));
        }
    }
}
