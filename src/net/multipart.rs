//! multipart bodies (PS3.18 §8.6, RFC 2387, RFC 2046 §5.1): the form in which DICOMweb sends more
//! than one thing in one message.
//!
//! A body is a row of parts, each a few header fields and its octets, kept apart by a delimiter
//! line that holds the [`Boundary`]. [`Writer`] makes only the bytes between the octets, so that
//! shared pixels go out as they are; [`reader`] takes such a body apart as it arrives.
//! [`ContentType`] is what the message's `Content-Type` says about it.

pub mod reader;

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use http::header::InvalidHeaderValue;

/// Longest boundary (characters, RFC 2046 §5.1.1).
const MAX_BOUNDARY: usize = 70;
/// Longest boundary of a peer's that is put up with: Orthanc's STOW-RS client makes them of 73.
const MOST_BOUNDARY: usize = 128;

/// A delimiter's text: 1 to 70 of the characters of RFC 2046 §5.1.1, a few more in a peer's, the last
/// one no space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary of our own, from 16 random bytes: it must not occur in any part, and no part's
    /// author can know it.
    pub fn from_entropy(entropy: [u8; 16]) -> Self {
        Self(format!("framegate-{:032x}", u128::from_be_bytes(entropy)))
    }

    /// A boundary that a peer chose.
    ///
    /// # Errors
    /// [`ContentTypeError::BadBoundary`] when it has a bad length or character.
    pub fn parse(text: &str) -> Result<Self, ContentTypeError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
        if (1..=MOST_BOUNDARY).contains(&text.len()) && text.bytes().all(legal) && !text.ends_with(' ') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ContentTypeError::BadBoundary)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `Content-Type` of a multipart/related message whose parts have the media type `root`, such
    /// as `application/dicom`.
    ///
    /// # Errors
    /// When `root` has characters that no header field takes.
    pub fn related(&self, root: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = String::from("multipart/related; type=");
        push_quoted(&mut value, root);
        value.push_str("; boundary=");
        push_quoted(&mut value, &self.0);
        HeaderValue::from_str(&value)
    }

    /// `Content-Type` of a multipart/x-mixed-replace message: each part replaces the one before,
    /// which is how browsers show a moving picture without script.
    ///
    /// # Errors
    /// Never for a boundary from [`Boundary::parse`] or [`Boundary::from_entropy`].
    pub fn mixed_replace(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        // Unquoted where possible: some viewers take the quotes for a part of the boundary.
        let mut value = String::from("multipart/x-mixed-replace; boundary=");
        if self.0.bytes().all(is_token) {
            value.push_str(&self.0)
        } else {
            push_quoted(&mut value, &self.0)
        }
        HeaderValue::from_str(&value)
    }
}

/// token characters (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn push_quoted(value: &mut String, text: &str) {
    value.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
}

/// The header fields of one part. The field types cannot hold a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// Media type of the part; mandatory (PS3.18 §8.6.1.2).
    pub content_type: HeaderValue,
    /// Octets of the part, when known; spares the receiver the search for the delimiter.
    pub content_length: Option<u64>,
    /// URL under which the part is a resource of its own.
    pub content_location: Option<HeaderValue>,
}

/// Where a [`Writer`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing is written.
    Start,
    /// A head is written; octets follow.
    InPart,
    /// The boundary after a part is written, without what says whether another part comes.
    AfterPart,
}

/// Makes the bytes between the octets of the parts, from the first delimiter to the closing one.
#[derive(Debug)]
pub struct Writer {
    boundary: Boundary,
    place: Place,
}

impl Writer {
    /// A writer at the start of a body.
    pub fn new(boundary: Boundary) -> Self {
        Self { boundary, place: Place::Start }
    }

    /// What comes before the octets of the next part: the end of the previous one, if any, the
    /// delimiter line, the header fields and the blank line.
    pub fn part(&mut self, head: &PartHead) -> Bytes {
        let mut bytes = BytesMut::with_capacity(256);
        self.delimiter(&mut bytes);
        bytes.put_slice(b"\r\nContent-Type: ");
        bytes.put_slice(head.content_type.as_bytes());
        if let Some(length) = head.content_length {
            // Writing to a growing buffer cannot fail.
            let _ = write!(bytes, "\r\nContent-Length: {length}");
        }
        if let Some(location) = &head.content_location {
            bytes.put_slice(b"\r\nContent-Location: ");
            bytes.put_slice(location.as_bytes());
        }
        bytes.put_slice(b"\r\n\r\n");
        self.place = Place::InPart;
        bytes.freeze()
    }

    /// The delimiter that ends the part just written, ahead of whatever comes next. Optional: it
    /// is for live bodies, where a receiver that looks for the delimiter would else have the
    /// part's end only with the next part. The body is the same with and without.
    pub fn end_part(&mut self) -> Bytes {
        let mut bytes = BytesMut::new();
        if self.place == Place::InPart {
            self.delimiter(&mut bytes);
            self.place = Place::AfterPart;
        }
        bytes.freeze()
    }

    /// The end of the last part and the closing delimiter.
    pub fn close(mut self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(MAX_BOUNDARY + 8);
        self.delimiter(&mut bytes);
        bytes.put_slice(b"--\r\n");
        bytes.freeze()
    }

    /// Everything of a delimiter up to the boundary's end that is not written yet.
    fn delimiter(&mut self, bytes: &mut BytesMut) {
        match self.place {
            Place::Start => bytes.put_slice(b"--"),
            // This CRLF belongs to the delimiter, not to the part (RFC 2046 §5.1.1).
            Place::InPart => bytes.put_slice(b"\r\n--"),
            Place::AfterPart => return,
        }
        bytes.put_slice(self.boundary.0.as_bytes());
    }
}

/// What a multipart message's `Content-Type` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// Media type without parameters, in lower case, such as `multipart/related`.
    pub media_type: String,
    /// Delimiter of the parts.
    pub boundary: Boundary,
    /// The `type` parameter in lower case: media type of the parts. Mandatory for
    /// multipart/related; some peers leave it out.
    pub root: Option<String>,
}

/// Why a `Content-Type` is not that of a multipart message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// Another media type.
    #[error("the media type is not multipart")]
    NotMultipart,
    /// A parameter that cannot be read, or one given twice.
    #[error("the parameters of the media type are malformed")]
    BadParameter,
    /// No `boundary` parameter.
    #[error("the media type has no boundary parameter")]
    NoBoundary,
    /// A boundary with a bad length or character.
    #[error("the boundary is not 1 to {MOST_BOUNDARY} of the characters of RFC 2046")]
    BadBoundary,
}

impl ContentType {
    /// Reads a `Content-Type` value. `boundary` and `type` may be quoted or not, in any order,
    /// among other parameters.
    ///
    /// # Errors
    /// [`ContentTypeError`].
    pub fn parse(value: &str) -> Result<Self, ContentTypeError> {
        let (media_type, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let media_type = media_type.trim().to_ascii_lowercase();
        if !media_type.starts_with("multipart/") {
            return Err(ContentTypeError::NotMultipart);
        }
        let (mut boundary, mut root) = (None, None);
        while let Some((name, value)) = next_parameter(&mut rest)? {
            let slot = match name.as_str() {
                "boundary" => &mut boundary,
                "type" => &mut root,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(ContentTypeError::BadParameter);
            }
        }
        let boundary = Boundary::parse(&boundary.ok_or(ContentTypeError::NoBoundary)?)?;
        Ok(Self { media_type, boundary, root: root.map(|root| root.to_ascii_lowercase()) })
    }
}

/// Takes one `name=value` and the semicolon after it off `rest`; the name in lower case.
fn next_parameter(rest: &mut &str) -> Result<Option<(String, String)>, ContentTypeError> {
    const BAD: ContentTypeError = ContentTypeError::BadParameter;
    let text = rest.trim_start_matches([' ', '\t', ';']);
    if text.is_empty() {
        *rest = text;
        return Ok(None);
    }
    let (name, text) = text.split_once('=').ok_or(BAD)?;
    let name = name.trim_end();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(BAD);
    }
    let text = text.trim_start();
    let (value, after) = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted).ok_or(BAD)?,
        None => {
            // More than a token: an unquoted type has a slash.
            let (value, after) = text.split_at(text.find(';').unwrap_or(text.len()));
            let value = value.trim_end();
            if value.is_empty() || value.contains(['"', ' ', '\t']) {
                return Err(BAD);
            }
            (value.to_owned(), after)
        }
    };
    let after = after.trim_start();
    if !(after.is_empty() || after.starts_with(';')) {
        return Err(BAD);
    }
    *rest = after;
    Ok(Some((name.to_ascii_lowercase(), value)))
}

/// The value of a quoted-string after its opening quote, and what follows the closing one.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(length: Option<u64>, location: Option<&'static str>) -> PartHead {
        PartHead {
            content_type: HeaderValue::from_static("application/dicom"),
            content_length: length,
            content_location: location.map(HeaderValue::from_static),
        }
    }

    #[test]
    fn a_body_is_written_as_rfc_2046_has_it() {
        let mut writer = Writer::new(Boundary::parse("b").unwrap());
        let mut body = Vec::new();
        body.extend(writer.part(&head(Some(3), Some("https://box/1"))));
        body.extend(b"one");
        body.extend(writer.part(&head(None, None)));
        body.extend(b"two");
        body.extend(writer.close());
        let expected = "--b\r\nContent-Type: application/dicom\r\nContent-Length: 3\r\n\
                        Content-Location: https://box/1\r\n\r\none\
                        \r\n--b\r\nContent-Type: application/dicom\r\n\r\ntwo\r\n--b--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn an_early_end_of_part_leaves_the_body_the_same() {
        let body = |early: bool| {
            let mut writer = Writer::new(Boundary::parse("b").unwrap());
            let mut body = Vec::new();
            for octets in [b"one", b"two"] {
                body.extend(writer.part(&head(None, None)));
                body.extend(octets);
                if early {
                    body.extend(writer.end_part());
                    assert!(body.ends_with(b"\r\n--b"));
                    assert!(writer.end_part().is_empty());
                }
            }
            body.extend(writer.close());
            body
        };
        assert_eq!(body(true), body(false));
    }

    #[test]
    fn a_body_without_parts_is_only_closed() {
        let mut writer = Writer::new(Boundary::parse("b").unwrap());
        assert!(writer.end_part().is_empty());
        assert_eq!(writer.close(), "--b--\r\n");
    }

    #[test]
    fn our_boundaries_are_legal_and_keep_all_their_entropy() {
        let boundary = Boundary::from_entropy([0; 16]);
        assert_eq!(boundary.as_str(), format!("framegate-{}", "0".repeat(32)));
        assert_ne!(boundary, Boundary::from_entropy([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(Boundary::parse(boundary.as_str()), Ok(boundary));
    }

    #[test]
    fn content_types_are_quoted_where_they_must_be() {
        let boundary = Boundary::parse("a=b").unwrap();
        let related = boundary.related("application/dicom").unwrap();
        assert_eq!(related, r#"multipart/related; type="application/dicom"; boundary="a=b""#);
        assert_eq!(boundary.mixed_replace().unwrap(), r#"multipart/x-mixed-replace; boundary="a=b""#);
        let plain = Boundary::parse("ab").unwrap();
        assert_eq!(plain.mixed_replace().unwrap(), "multipart/x-mixed-replace; boundary=ab");
        assert!(boundary.related("a\r\nb").is_err());
    }

    #[test]
    fn content_types_of_peers_are_read() {
        for value in [
            r#"multipart/related; type="application/dicom"; boundary="b:1""#,
            "multipart/related; type=application/dicom; boundary=b:1",
            "Multipart/Related;BOUNDARY=b:1;Type=\"APPLICATION/dicom\"",
            r#"multipart/related ; boundary = "b\:1" ; start="<a;b@c>" ; type=application/dicom;"#,
            "multipart/related; transfer-syntax=*; type=application/dicom ; boundary=b:1 ;",
        ] {
            let read = ContentType::parse(value).unwrap();
            assert_eq!(read.media_type, "multipart/related", "{value}");
            assert_eq!(read.boundary.as_str(), "b:1", "{value}");
            assert_eq!(read.root.as_deref(), Some("application/dicom"), "{value}");
        }
        assert_eq!(ContentType::parse("multipart/mixed; boundary=b").unwrap().root, None);
    }

    #[test]
    fn bad_content_types_are_refused() {
        use ContentTypeError::{BadBoundary, BadParameter, NoBoundary, NotMultipart};
        let too_long = format!("multipart/related; boundary={}", "b".repeat(MOST_BOUNDARY + 1));
        for (value, error) in [
            ("", NotMultipart),
            ("application/dicom; boundary=b", NotMultipart),
            ("multipart/related", NoBoundary),
            ("multipart/related; type=application/dicom", NoBoundary),
            ("multipart/related; boundary", BadParameter),
            ("multipart/related; boundary=", BadParameter),
            ("multipart/related; boundary=\"b", BadParameter),
            ("multipart/related; boundary=\"b\"x", BadParameter),
            ("multipart/related; boundary=b c", BadParameter),
            ("multipart/related; boundary=b; boundary=c", BadParameter),
            ("multipart/related; boundary=\"\"", BadBoundary),
            ("multipart/related; boundary=\"b \"", BadBoundary),
            ("multipart/related; boundary=b@", BadBoundary),
            (&too_long, BadBoundary),
        ] {
            assert_eq!(ContentType::parse(value), Err(error), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_content_type_that_we_write_is_read_back(
            boundary in "[0-9A-Za-z'()+_,./:=?-]{1,70}", root in "[a-z]{1,9}/[a-z+\\\\\"]{1,9}",
        ) {
            let boundary = Boundary::parse(&boundary).unwrap();
            for (value, root) in [
                (boundary.related(&root).unwrap(), Some(root)), (boundary.mixed_replace().unwrap(), None),
            ] {
                let read = ContentType::parse(value.to_str().unwrap()).unwrap();
                prop_assert_eq!(&read.boundary, &boundary);
                prop_assert_eq!(read.root, root);
            }
        }

        #[test]
        fn any_content_type_is_read_or_refused(value in "(multipart/related)?([;=\" \\\\]|boundary|type|.){0,20}") {
            let _ = ContentType::parse(&value);
        }
    }
}
