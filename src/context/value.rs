//! What the VRs of an order may hold (PS3.5 §6.2): the rules that an operator is held to, and that decide
//! which value of a peer is dropped.

use dicom_core::chrono::NaiveDate;

/// Longest LO, and longest group of a PN (characters, PS3.5 §6.2).
pub(super) const LONG: usize = 64;
/// Longest SH (characters, PS3.5 §6.2).
pub(super) const SHORT: usize = 16;
/// Longest UID (characters, PS3.5 §9.1).
pub(super) const MAX_UID: usize = 64;
/// Most groups of a PN, and most components of a group (PS3.5 §6.2.1).
const NAME_GROUPS: usize = 3;
const NAME_COMPONENTS: usize = 5;

/// LO and SH: a backslash would part values.
pub(super) fn is_text(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(|c| c.is_control() || c == '\\')
}

/// PN.
pub(super) fn is_name(text: &str) -> bool {
    text.split('=').count() <= NAME_GROUPS
        && text.split('=').all(|group| is_text(group, LONG) && group.split('^').count() <= NAME_COMPONENTS)
}

/// DA.
pub(super) fn is_date(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse().ok());
    let is_written = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let year = text.get(..4).and_then(|digits| digits.parse().ok());
    is_written
        && matches!((year, number(4..6), number(6..8)), (Some(year), Some(month), Some(day))
            if NaiveDate::from_ymd_opt(year, month, day).is_some())
}

/// Patient's Sex (0010,0040).
pub(super) fn is_sex(text: &str) -> bool {
    matches!(text, "M" | "F" | "O")
}
