//! The forms of single values in a profile: lines of text, whole numbers, fourccs, ids, sums and dates.
//! Each refuses what it cannot mean, with a word on what to write; the parser adds the place.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use crate::config::origin::shortened;
use crate::config::settings::{Compression, MatrixChoice, RangeChoice};

/// Longest line of text (characters).
const LINE_CHARS: usize = 400;
/// Most entries of a list.
pub(super) const ENTRIES: usize = 64;

/// One line that a person reads.
#[derive(serde::Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Line(String);

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty; write a line of text, or leave the key out".to_owned());
        }
        if text.chars().count() > LINE_CHARS || text.chars().any(char::is_control) {
            return Err(format!("is not one line of at most {LINE_CHARS} characters"));
        }
        Ok(Self(text))
    }
}

pub(super) fn line<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Line::deserialize(from).map(|line| line.0)
}

pub(super) fn lines<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(list::<Line, D>(from)?.into_iter().map(|line| line.0).collect())
}

/// A list that is not too long.
pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.len() > ENTRIES {
        return Err(D::Error::custom(format!("has {} entries; write at most {ENTRIES}", list.len())));
    }
    Ok(list)
}

/// A whole number from `LEAST` to `MOST`.
pub(super) fn whole<'de, const LEAST: u32, const MOST: u32, D>(from: D) -> Result<u32, D::Error>
where
    D: Deserializer<'de>,
{
    let value = i64::deserialize(from)?;
    let fits = u32::try_from(value).ok().filter(|value| (LEAST..=MOST).contains(value));
    fits.ok_or_else(|| D::Error::custom(format!("{value} is out of range; write {LEAST} to {MOST}")))
}

/// Milliseconds from `LEAST` to `MOST`.
pub(super) fn millis<'de, const LEAST: u32, const MOST: u32, D>(from: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    whole::<LEAST, MOST, D>(from).map(|millis| Duration::from_millis(millis.into()))
}

/// The name of a profile or an EDID: also that of its file, so no separator and no dot is in it.
pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if is_name(&text) { Ok(text) } else { Err(D::Error::custom(not_a_name(&text))) }
}

pub(super) fn some_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    name(from).map(Some)
}

pub(super) fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = list(from)?;
    match names.iter().find(|name| !is_name(name)) {
        Some(wrong) => Err(D::Error::custom(not_a_name(wrong))),
        None => Ok(names),
    }
}

/// Whether a file may be named so.
pub(super) fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 64 && !text.starts_with('-') && text.bytes().all(good)
}

fn not_a_name(text: &str) -> String {
    format!("{:?} is not a name; write 1 to 64 lower-case letters, digits or -", shortened(text))
}

/// Fourccs of V4L2 pixel formats; at least one.
pub(super) fn fourccs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let codes: Vec<String> = list(from)?;
    if codes.is_empty() {
        return Err(D::Error::custom("is empty; write at least one fourcc, such as \"YUYV\""));
    }
    match codes.iter().find(|code| !is_fourcc(code)) {
        Some(wrong) => Err(D::Error::custom(not_a_fourcc(wrong))),
        None => Ok(codes),
    }
}

/// One fourcc.
pub(super) fn fourcc<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let code = String::deserialize(from)?;
    if is_fourcc(&code) { Ok(code) } else { Err(D::Error::custom(not_a_fourcc(&code))) }
}

fn is_fourcc(code: &str) -> bool {
    (3..=4).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')
        && !code.starts_with(' ')
}

fn not_a_fourcc(text: &str) -> String {
    let text = shortened(text);
    format!("{text:?} is no fourcc; write it as `v4l2-ctl --list-formats` shows it, such as \"YUYV\"")
}

/// A SHA-256, 64 hexadecimal digits.
pub(super) fn sha256<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(from)?;
    let sum = hex(&text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    sum.ok_or_else(|| D::Error::custom("is no SHA-256; write 64 hexadecimal digits"))
}

/// The bytes that pairs of hexadecimal digits stand for.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A day, `YYYY-MM-DD`.
pub(super) fn day<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let mut parts = text.split('-');
    let mut part = |digits: usize, least: u32, most: u32| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|number| digits && (least..=most).contains(number))
    };
    let good = part(4, 2020, 9999).is_some() && part(2, 1, 12).is_some() && part(2, 1, 31).is_some();
    if good && parts.next().is_none() {
        Ok(text)
    } else {
        Err(D::Error::custom("is no day; write YYYY-MM-DD"))
    }
}

/// An absolute path below `/dev`.
pub(super) fn device_path<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = line(from)?;
    if text.starts_with("/dev/") && !text.split('/').any(|part| part == "..") {
        Ok(text)
    } else {
        Err(D::Error::custom("is no device; write a path below /dev"))
    }
}

pub(super) fn some_device_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    device_path(from).map(Some)
}

/// One of the words of a table.
fn one_of<E: Error, T: Copy>(word: &str, table: &[(&str, T)]) -> Result<T, E> {
    let found = table.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<String> = table.iter().map(|(known, _)| format!("{known:?}")).collect();
        E::custom(format!("unknown {:?}; write {}", shortened(word), known.join(" or ")))
    })
}

pub(super) fn matrix<'de, D: Deserializer<'de>>(from: D) -> Result<MatrixChoice, D::Error> {
    let table =
        [("auto", MatrixChoice::Auto), ("bt601", MatrixChoice::Bt601), ("bt709", MatrixChoice::Bt709)];
    one_of(&String::deserialize(from)?, &table)
}

pub(super) fn range<'de, D: Deserializer<'de>>(from: D) -> Result<RangeChoice, D::Error> {
    let table = [("auto", RangeChoice::Auto), ("limited", RangeChoice::Limited), ("full", RangeChoice::Full)];
    one_of(&String::deserialize(from)?, &table)
}

pub(super) fn some_compressions<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<Compression>>, D::Error> {
    let table = [
        ("none", Compression::None),
        ("rle", Compression::Rle),
        ("jpeg-ls", Compression::JpegLs),
        ("jpeg", Compression::Jpeg),
        ("as-captured", Compression::AsCaptured),
    ];
    let words: Vec<String> = list(from)?;
    words.iter().map(|word| one_of(word, &table)).collect::<Result<_, _>>().map(Some)
}
