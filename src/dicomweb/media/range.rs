//! The text of one `Accept` list: media ranges, their parameters and weights (RFC 9110 §12.5.1).
//!
//! Strict, with three spellings beyond the grammar because agents in the field use them: an unquoted
//! `/` in a parameter value (`type=application/dicom`), and Java's default header with its `*` for
//! `*/*` and `q=.2` for `q=0.2`.

use std::iter::Peekable;
use std::str::Chars;

use super::{MediaError, TransferSyntaxWish};

/// The weight of a media range (RFC 9110 §12.4.2) in thousandths, 0 to 1000; 0 is "not acceptable".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u16);

impl Weight {
    /// `q=1`, which is also meant when nothing is said.
    pub const MAX: Self = Self(1000);

    /// In thousandths.
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads `0.123`, `1`, `1.000`, `.2`.
    fn parse(value: &str) -> Result<Self, MediaError> {
        const BAD: MediaError =
            MediaError::Malformed("a weight is a number from 0 to 1 with up to 3 decimals");
        let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
        if decimals.len() > 3 || (whole.is_empty() && decimals.is_empty()) {
            return Err(BAD);
        }
        let whole = match whole {
            "" | "0" => 0,
            "1" => 1000,
            _ => return Err(BAD),
        };
        let mut thousandths: u16 = whole;
        let mut place = 100;
        for digit in decimals.chars() {
            let digit = digit.to_digit(10).and_then(|digit| u16::try_from(digit).ok()).ok_or(BAD)?;
            thousandths += digit * place;
            place /= 10;
        }
        if thousandths > 1000 { Err(BAD) } else { Ok(Self(thousandths)) }
    }
}

/// One element of an `Accept` list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaRange {
    /// `type/subtype` in lower case; `*/*` and `type/*` are the wildcards.
    pub essence: String,
    /// The media type of the parts of a multipart type: its `type` parameter, in lower case.
    pub part_type: Option<String>,
    /// The `transfer-syntax` parameter.
    pub transfer_syntax: TransferSyntaxWish,
    /// The `q` parameter.
    pub weight: Weight,
}

impl MediaRange {
    /// `*/*`, what a request without any `Accept` means.
    pub(super) fn any() -> Self {
        Self {
            essence: "*/*".to_owned(),
            part_type: None,
            transfer_syntax: TransferSyntaxWish::Absent,
            weight: Weight::MAX,
        }
    }

    /// Whether the range is `*/*` or `type/*`.
    pub(super) fn is_wildcard(&self) -> bool {
        self.essence.ends_with("/*")
    }
}

/// Reads one list and appends its ranges to `ranges`, which may hold `limit` at most.
pub(super) fn parse_list(text: &str, ranges: &mut Vec<MediaRange>, limit: usize) -> Result<(), MediaError> {
    let mut reader = Reader { chars: text.chars().peekable() };
    loop {
        // RFC 9110 §5.6.1.2: empty elements are read and ignored
        while reader.skip_whitespace() == Some(',') {
            reader.chars.next();
        }
        if reader.chars.peek().is_none() {
            return Ok(());
        }
        if ranges.len() >= limit {
            return Err(MediaError::Malformed("too many media ranges"));
        }
        ranges.push(reader.media_range()?);
        if !matches!(reader.skip_whitespace(), None | Some(',')) {
            return Err(MediaError::Malformed("media ranges are separated by commas"));
        }
    }
}

/// A reading position in the text of a list.
struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    /// Skips optional whitespace and returns what follows, unread.
    fn skip_whitespace(&mut self) -> Option<char> {
        while self.chars.next_if(|&c| c == ' ' || c == '\t').is_some() {}
        self.chars.peek().copied()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|&c| wanted(c)) {
            text.push(c);
        }
        text
    }

    fn media_range(&mut self) -> Result<MediaRange, MediaError> {
        let mut range = MediaRange { essence: self.essence()?, ..MediaRange::any() };
        let (mut part_type, mut transfer_syntax, mut weight) = (None, None, None);
        while self.skip_whitespace() == Some(';') {
            self.chars.next();
            if matches!(self.skip_whitespace(), None | Some(';' | ',')) {
                continue;
            }
            let name = self.take_while(is_token_char).to_ascii_lowercase();
            if name.is_empty() {
                return Err(MediaError::Malformed("a parameter has no name"));
            }
            let value = match self.chars.next_if_eq(&'=') {
                Some(_) => Some(self.parameter_value()?),
                None => None,
            };
            let known = match name.as_str() {
                "type" => &mut part_type,
                "transfer-syntax" => &mut transfer_syntax,
                "q" => &mut weight,
                _ => continue,
            };
            let value = value.ok_or(MediaError::Malformed("a parameter has no value"))?;
            if known.replace(value).is_some() {
                return Err(MediaError::Malformed("a parameter stands twice"));
            }
        }
        if range.essence.starts_with("multipart/") {
            // `type="*/*"`, as dicomweb-client writes it, names no type.
            let part_type = part_type.filter(|part_type| part_type != "*/*");
            range.part_type = part_type.map(part_essence).transpose()?;
        }
        if let Some(value) = transfer_syntax {
            range.transfer_syntax = TransferSyntaxWish::parse(value)?;
        }
        if let Some(value) = weight {
            range.weight = Weight::parse(&value)?;
        }
        Ok(range)
    }

    fn essence(&mut self) -> Result<String, MediaError> {
        let kind = self.take_while(is_token_char).to_ascii_lowercase();
        if self.chars.next_if_eq(&'/').is_none() {
            return if kind == "*" { Ok("*/*".to_owned()) } else { Err(NOT_A_TYPE) };
        }
        let subtype = self.take_while(is_token_char).to_ascii_lowercase();
        if kind.is_empty() || subtype.is_empty() || (kind == "*" && subtype != "*") {
            return Err(NOT_A_TYPE);
        }
        Ok(format!("{kind}/{subtype}"))
    }

    fn parameter_value(&mut self) -> Result<String, MediaError> {
        if self.chars.next_if_eq(&'"').is_some() {
            return self.rest_of_quoted_string();
        }
        let value = self.take_while(|c| is_token_char(c) || c == '/');
        if value.is_empty() { Err(MediaError::Malformed("a parameter has no value")) } else { Ok(value) }
    }

    fn rest_of_quoted_string(&mut self) -> Result<String, MediaError> {
        let mut text = String::new();
        loop {
            let c = match self.chars.next() {
                Some('"') => return Ok(text),
                Some('\\') => self.chars.next(),
                other => other,
            };
            match c {
                Some(c) if c == '\t' || c == ' ' || c.is_ascii_graphic() => text.push(c),
                Some(_) => return Err(MediaError::Malformed("a quoted string holds a character it may not")),
                None => return Err(MediaError::Malformed("a quoted string does not end")),
            }
        }
    }
}

const NOT_A_TYPE: MediaError = MediaError::Malformed("a media range is not of the form type/subtype");

/// Checks the `type` parameter of a multipart type.
fn part_essence(value: String) -> Result<String, MediaError> {
    let is_token = |text: &str| !text.is_empty() && text.chars().all(is_token_char);
    match value.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => Ok(value.to_ascii_lowercase()),
        _ => Err(MediaError::Malformed("the type parameter of a multipart type is not a media type")),
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<MediaRange>, MediaError> {
        let mut ranges = Vec::new();
        parse_list(text, &mut ranges, 64).map(|()| ranges)
    }

    #[test]
    fn equivalent_spellings_of_one_range_read_alike() {
        let expected = MediaRange {
            essence: "multipart/related".into(),
            part_type: Some("application/dicom".into()),
            transfer_syntax: TransferSyntaxWish::Uid("1.2.840.10008.1.2.4.50".into()),
            weight: Weight(500),
        };
        for text in [
            r#"multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50; q=0.5"#,
            r#"multipart/related;type=application/dicom;transfer-syntax="1.2.840.10008.1.2.4.50";q=.5"#,
            r#"Multipart/Related ; Type="Application\/DICOM";; Q=0.500 ; transfer-syntax=1.2.840.10008.1.2.4.50 ;"#,
            ", \tmultipart/related;type=application/dicom;boundary=\"a,b;c\\\"\";transfer-syntax=1.2.840.10008.1.2.4.50;q=0.50;x,",
        ] {
            assert_eq!(parse(text), Ok(vec![expected.clone()]), "{text}");
        }
    }

    #[test]
    fn lists_keep_their_order() {
        let ranges = parse("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2").unwrap();
        let essences: Vec<_> = ranges.iter().map(|range| range.essence.as_str()).collect();
        assert_eq!(essences, ["text/html", "image/gif", "image/jpeg", "*/*", "*/*"]);
        assert_eq!(ranges[4].weight.thousandths(), 200);
        assert_eq!(parse(" , ,"), Ok(vec![]));
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "json",
            "application/",
            "/json",
            "*/json",
            "application/json text/html",
            "application/dicom json",
            "a/b; =c",
            "a/b; q",
            "a/b; q=",
            "a/b; q=2",
            "a/b; q=1.001",
            "a/b; q=0.1234",
            "a/b; q=-1",
            "a/b; q=.",
            "a/b; q=0,5",
            "a/b; q=1; q=1",
            "a/b; c=\"open",
            "a/b; c=\"open\\",
            "a/b; c=\"\u{7f}\"",
            "a/b; c=\"ä\"",
            "ä/b",
            "multipart/related; type=dicom",
            "multipart/related; type=\"\"",
            "multipart/related; type=a/b; type=a/b",
            "application/dicom; transfer-syntax=1.2.3,1.2.4",
            "application/dicom; transfer-syntax=\"\"",
            "application/dicom; transfer-syntax = *",
        ] {
            assert!(matches!(parse(text), Err(MediaError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let mut ranges = Vec::new();
        assert!(parse_list("a/b,a/b", &mut ranges, 2).is_ok());
        assert!(parse_list("a/b", &mut ranges, 2).is_err());
    }
}
