//! The values that the options of a subscription, or of a stream, may have. Written the same in a query
//! and in the configuration, and read here alone.

use std::ops::RangeInclusive;

use super::registry::Form;
use crate::hub::From;
use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;

/// Instances a second that a stream can be limited to. Slower than one in a quarter of an hour is a
/// mistake, and so short a period as 1 ms is no limit.
pub const RATES: RangeInclusive<f64> = 0.001..=1000.0;

/// Instances a second.
pub fn rate(text: &str) -> Option<f64> {
    // The standard library also reads words, such as `infinity`, and signs.
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|rate| plain && RATES.contains(rate))
}

/// Where a reader begins: `oldest`, `latest` or an Instance Number.
pub fn begin(text: &str) -> Option<From> {
    match text {
        "oldest" => Some(From::Oldest),
        "latest" => Some(From::Latest),
        number => number.parse().ok().map(From::Number),
    }
}

/// The form that instances are wanted in: decoded if a Transfer Syntax UID is named, pictures if
/// `rendered`. `None` if both are asked for, or another transfer syntax than the one that we decode to.
pub fn form(transfer_syntax: Option<&str>, rendered: bool) -> Option<Form> {
    match transfer_syntax {
        None if rendered => Some(Form::Rendered),
        None => Some(Form::AsTheyAre),
        Some(EXPLICIT_VR_LITTLE_ENDIAN) if !rendered => Some(Form::Native),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_plain_numbers_within_bounds() {
        for (text, value) in [("7.5", 7.5), ("30", 30.0), ("0.001", 0.001), ("1000", 1000.0), (".5", 0.5)] {
            assert_eq!(rate(text), Some(value), "{text}");
        }
        for bad in
            ["", ".", "0", "0.0009", "1000.1", "-1", "+1", "1e2", "inf", "NaN", "infinity", "7,5", "1 "]
        {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn beginnings_are_words_or_instance_numbers() {
        assert_eq!(begin("oldest"), Some(From::Oldest));
        assert_eq!(begin("latest"), Some(From::Latest));
        assert_eq!(begin("17"), Some(From::Number(17)));
        for bad in ["", "now", "1.5", "99999999999"] {
            assert_eq!(begin(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_form_at_a_time() {
        assert_eq!(form(None, false), Some(Form::AsTheyAre));
        assert_eq!(form(None, true), Some(Form::Rendered));
        assert_eq!(form(Some(EXPLICIT_VR_LITTLE_ENDIAN), false), Some(Form::Native));
        assert_eq!(form(Some(EXPLICIT_VR_LITTLE_ENDIAN), true), None);
        assert_eq!(form(Some("1.2.840.10008.1.2"), false), None);
    }
}
