//! When a frame was acquired.
//!
//! An enhanced frame says so itself: Frame Acquisition DateTime becomes Acquisition DateTime, Date and
//! Time. In a classic run the standard counts a frame's relative time from Content Time (PS3.3 C.7.6.5.1:
//! Frame Delay, then Frame Time or Frame Time Vector, whichever Frame Increment Pointer names), so Content
//! Date and Time move by it. They do so only for an ORIGINAL image, whose Content Time is that of the
//! exposure, and only from a time that is known to the second. Frame Time is nominal, so is what it gives.
//! Acquisition Date and Time of a classic run stay those of its start: the standard ties no frame time to
//! them.

use dicom_core::chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;

use super::values::{number, numbers, text, text_at};
use super::vectors::pointed;
use crate::instance::Dataset;

/// The clock of a classic run.
#[derive(Debug)]
pub(super) struct Clock {
    start: NaiveDateTime,
    /// Milliseconds from `start` to each frame.
    relative: Relative,
}

#[derive(Debug)]
enum Relative {
    Steady { delay: f64, step: f64 },
    Each(Vec<f64>),
}

impl Clock {
    /// Reads the clock from the source; `None` when it does not tell the time of its frames. On success
    /// Frame Delay is taken out, for Content Time then holds it.
    pub(super) fn take(data: &mut Dataset, frames: u32) -> Option<Clock> {
        if text_at(data, tags::IMAGE_TYPE, 0)? != "ORIGINAL" {
            return None;
        }
        let start = NaiveDateTime::new(
            date(&text(data, tags::CONTENT_DATE)?)?,
            time(&text(data, tags::CONTENT_TIME)?)?,
        );
        let delay = number(data, tags::FRAME_DELAY).unwrap_or(0.0);
        let pointed = pointed(data);
        let relative = if pointed.contains(&tags::FRAME_TIME) {
            Relative::Steady { delay, step: number(data, tags::FRAME_TIME)? }
        } else if pointed.contains(&tags::FRAME_TIME_VECTOR) {
            let vector = numbers(data, tags::FRAME_TIME_VECTOR).filter(|v| v.len() == frames as usize)?;
            let mut sum = delay;
            Relative::Each(
                vector
                    .into_iter()
                    .map(|increment| {
                        sum += increment;
                        sum
                    })
                    .collect(),
            )
        } else {
            return None;
        };
        data.remove_element(tags::FRAME_DELAY);
        Some(Clock { start, relative })
    }

    /// Puts Content Date and Time of frame `index` (0-based) into `data`.
    pub(super) fn put(&self, data: &mut Dataset, index: usize) {
        let milliseconds = match &self.relative {
            Relative::Steady { delay, step } => Some(delay + step * index as f64),
            Relative::Each(each) => each.get(index).copied(),
        };
        // The cast saturates, and a time that is out of the calendar is none.
        let moved = milliseconds
            .map(|milliseconds| TimeDelta::microseconds((milliseconds * 1000.0).round() as i64))
            .and_then(|by| self.start.checked_add_signed(by));
        if let Some(moved) = moved {
            data.put(DataElement::new(tags::CONTENT_DATE, VR::DA, moved.format("%Y%m%d").to_string()));
            data.put(DataElement::new(tags::CONTENT_TIME, VR::TM, moved.format("%H%M%S%.6f").to_string()));
        }
    }
}

/// Turns the Frame Acquisition DateTime that was folded into `data` into the acquisition time of the image;
/// for an ORIGINAL frame also into its content time, since then the pixels were created by the acquisition.
///
/// A UTC offset that differs from Timezone Offset From UTC cannot be said in DA and TM: then the
/// Acquisition Date and Time are left out and Acquisition DateTime alone tells.
pub(super) fn from_frame_content(data: &mut Dataset) {
    let Some(stamp) = text(data, tags::FRAME_ACQUISITION_DATE_TIME) else { return };
    data.remove_element(tags::FRAME_ACQUISITION_DATE_TIME);
    let (local, zone) = match stamp.rfind(['+', '-']) {
        Some(at) => stamp.split_at(at),
        None => (stamp.as_str(), ""),
    };
    let Some((day, clock)) = local.split_at_checked(8) else { return };
    if date(day).is_none() || (!clock.is_empty() && time(clock).is_none()) {
        return;
    }
    data.put(DataElement::new(tags::ACQUISITION_DATE_TIME, VR::DT, stamp.as_str()));
    let same_zone = zone.is_empty()
        || text(data, tags::TIMEZONE_OFFSET_FROM_UTC).is_none_or(|of_object| of_object.as_str() == zone);
    if !same_zone || clock.is_empty() {
        data.remove_element(tags::ACQUISITION_DATE);
        data.remove_element(tags::ACQUISITION_TIME);
        return;
    }
    data.put(DataElement::new(tags::ACQUISITION_DATE, VR::DA, day));
    data.put(DataElement::new(tags::ACQUISITION_TIME, VR::TM, clock));
    if text_at(data, tags::IMAGE_TYPE, 0).is_some_and(|value| value == "ORIGINAL") {
        data.put(DataElement::new(tags::CONTENT_DATE, VR::DA, day));
        data.put(DataElement::new(tags::CONTENT_TIME, VR::TM, clock));
    }
}

/// A DA value.
fn date(text: &str) -> Option<NaiveDate> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| NaiveDate::parse_from_str(text, "%Y%m%d").ok()).flatten()
}

/// A TM value that is known to the second.
fn time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(clock, 6..=6) || !digits(fraction, 1..=6) {
        return None;
    }
    NaiveTime::parse_from_str(&format!("{clock}.{fraction}"), "%H%M%S%.f").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::dicom_value;

    fn run(time: &str) -> Dataset {
        let mut data = Dataset::new_empty();
        data.put_str(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\SINGLE PLANE");
        data.put_str(tags::CONTENT_DATE, VR::DA, "20241231");
        data.put_str(tags::CONTENT_TIME, VR::TM, time);
        data.put_str(tags::FRAME_TIME, VR::DS, "66.7");
        data.put_str(tags::FRAME_DELAY, VR::DS, "100");
        data.put(DataElement::new(
            tags::FRAME_INCREMENT_POINTER,
            VR::AT,
            dicom_value!(Tags, [tags::FRAME_TIME]),
        ));
        data
    }

    fn content(data: &Dataset) -> String {
        format!("{} {}", text(data, tags::CONTENT_DATE).unwrap(), text(data, tags::CONTENT_TIME).unwrap())
    }

    #[test]
    fn frame_time_counts_from_content_time_and_delay() {
        let mut data = run("235959.9");
        Clock::take(&mut data, 3).unwrap().put(&mut data, 2);
        assert_eq!(content(&data), "20250101 000000.133400");
        assert!(data.get(tags::FRAME_DELAY).is_none());
    }

    #[test]
    fn frame_time_vector_is_summed_up() {
        let mut data = run("120000");
        data.put_str(tags::FRAME_TIME_VECTOR, VR::DS, "0\\10\\30.5");
        data.put(DataElement::new(
            tags::FRAME_INCREMENT_POINTER,
            VR::AT,
            dicom_value!(Tags, [tags::FRAME_TIME_VECTOR]),
        ));
        Clock::take(&mut data, 3).unwrap().put(&mut data, 2);
        assert_eq!(content(&data), "20241231 120000.140500");
    }

    #[test]
    fn nothing_is_made_up() {
        for (tag, value) in [
            (tags::CONTENT_TIME, "1200"),
            (tags::CONTENT_TIME, ""),
            (tags::CONTENT_TIME, "12:00:00"),
            (tags::CONTENT_DATE, "20241301"),
            (tags::IMAGE_TYPE, "DERIVED\\PRIMARY"),
            (tags::FRAME_TIME, "fast"),
        ] {
            let mut data = run("120000");
            data.put_str(tag, VR::LO, value);
            assert!(Clock::take(&mut data, 3).is_none(), "{value}");
        }
        let mut data = run("120000");
        data.remove_element(tags::FRAME_INCREMENT_POINTER);
        assert!(Clock::take(&mut data, 3).is_none());
    }

    fn enhanced(image_type: &str, zone: &str) -> Dataset {
        let mut data = Dataset::new_empty();
        data.put_str(tags::IMAGE_TYPE, VR::CS, image_type);
        data.put_str(tags::CONTENT_DATE, VR::DA, "20250101");
        data.put_str(tags::CONTENT_TIME, VR::TM, "010101");
        data.put_str(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, zone);
        data.put_str(tags::FRAME_ACQUISITION_DATE_TIME, VR::DT, "20241231120000.123456+0100");
        data
    }

    #[test]
    fn the_frames_own_time_is_taken() {
        let mut data = enhanced("ORIGINAL\\PRIMARY", "+0100");
        from_frame_content(&mut data);
        assert_eq!(content(&data), "20241231 120000.123456");
        assert_eq!(text(&data, tags::ACQUISITION_TIME).unwrap(), "120000.123456");
        assert_eq!(text(&data, tags::ACQUISITION_DATE_TIME).unwrap(), "20241231120000.123456+0100");
    }

    #[test]
    fn derived_frames_keep_content_time_and_other_zones_stay_out_of_tm() {
        let mut data = enhanced("DERIVED\\PRIMARY", "+0100");
        from_frame_content(&mut data);
        assert_eq!(content(&data), "20250101 010101");
        let mut data = enhanced("ORIGINAL\\PRIMARY", "-0500");
        from_frame_content(&mut data);
        assert!(data.get(tags::ACQUISITION_TIME).is_none());
        assert_eq!(content(&data), "20250101 010101");
    }
}
