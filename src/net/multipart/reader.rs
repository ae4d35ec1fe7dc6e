//! Takes a multipart body apart while it arrives (RFC 2046 §5.1, PS3.18 §8.6).
//!
//! The caller hands in chunks of any size and gets [`Event`]s out; octets of parts come as slices
//! of those chunks, never copied and never held back, so that a part of any size costs no memory
//! here. A part with a Content-Length is not searched at all: its octets are counted and the
//! delimiter must follow. In a part without one, each octet is looked at once.
//!
//! What is kept between chunks is how many octets of a delimiter have matched, and at most one
//! part head. Everything that a peer could stretch (preamble, head, number of fields, part,
//! epilogue) has a limit.

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use memchr::{memmem, memrchr};

use super::{Boundary, PartHead};

/// Most octets of a preamble, and of an epilogue.
pub const MAX_SURROUNDINGS: usize = 8 << 10;

/// Most octets of a part head.
pub const MAX_HEAD: usize = 8 << 10;

/// Most header fields of a part.
pub const MAX_FIELDS: usize = 16;

/// Most spaces and tabs after a boundary (RFC 2046 §5.1.1, transport padding).
const MAX_PADDING: usize = 64;

/// What the next octets of a body are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    PartHead(PartHead),
    /// Some octets of it; never none.
    PartData(Bytes),
    /// It has ended; its delimiter was seen.
    PartEnd,
    /// The closing delimiter was seen: no part follows.
    Close,
}

/// Why a body is no valid multipart body. Holds nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Over [`MAX_SURROUNDINGS`] octets came without a first delimiter.
    #[error("no delimiter in the first {MAX_SURROUNDINGS} bytes of the multipart body")]
    PreambleTooLong,
    /// Over [`MAX_SURROUNDINGS`] octets came after the closing delimiter.
    #[error("more than {MAX_SURROUNDINGS} bytes after the end of the multipart body")]
    EpilogueTooLong,
    /// A boundary is followed by neither a line end nor the closing hyphens.
    #[error("malformed delimiter line in the multipart body")]
    BadDelimiter,
    /// A part head is longer than [`MAX_HEAD`] or has more than [`MAX_FIELDS`] fields.
    #[error("a part head exceeds {MAX_HEAD} bytes or {MAX_FIELDS} fields")]
    HeadTooLong,
    /// A line of a part head is no header field, or one that counts is given twice.
    #[error("a part head is malformed")]
    BadHead,
    /// A part has no Content-Type (mandatory, PS3.18 §8.6.1.2).
    #[error("a part has no Content-Type")]
    NoContentType,
    /// A Content-Transfer-Encoding that changes the octets.
    #[error("a part has a Content-Transfer-Encoding other than binary, 8bit or 7bit")]
    TransferEncoding,
    /// A Content-Length that is no number.
    #[error("the Content-Length of a part is malformed")]
    BadLength,
    /// No delimiter follows the octets that Content-Length announced.
    #[error("the Content-Length of a part does not match its octets")]
    LengthMismatch,
    /// A part is longer than the reader's limit (bytes).
    #[error("a part exceeds {0} bytes")]
    PartTooLong(u64),
    /// The body ended before its closing delimiter.
    #[error("the multipart body ended before its closing delimiter")]
    Truncated,
}

/// What the next octet belongs to.
#[derive(Debug)]
enum State {
    /// What precedes the first delimiter; so many octets are dropped.
    Preamble { dropped: usize },
    /// The rest of a delimiter line.
    Delimiter(Line),
    /// A part head: what has come of it, after the line end before it.
    Head(Vec<u8>),
    /// Octets of a part without Content-Length; so many are out.
    Searched { out: u64 },
    /// Octets of a part with Content-Length; so many are missing.
    Counted { missing: u64 },
    /// What follows the closing delimiter; so many octets are dropped.
    Epilogue { dropped: usize },
    /// Nothing is read after an error.
    Failed(ReadError),
}

/// How far a delimiter line is read after its boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Boundary,
    Hyphen,
    Padding(usize),
    CarriageReturn,
}

/// What a look for the delimiter found.
enum Found {
    /// Octets before it, or before what may become it.
    Octets(Bytes),
    /// The delimiter, now taken.
    Delimiter,
    /// Nothing yet; the input is used up.
    Nothing,
}

/// An incremental reader of one body.
#[derive(Debug)]
pub struct Reader {
    /// CRLF, two hyphens, the boundary: a CR stands only at its start, since no boundary has one.
    delimiter: Bytes,
    /// Octets of the delimiter that have matched so far.
    matched: usize,
    part_limit: u64,
    state: State,
}

impl Reader {
    /// A reader at the start of a body. No part may have more than `part_limit` bytes.
    pub fn new(boundary: &Boundary, part_limit: u64) -> Self {
        let delimiter = Bytes::from(["\r\n--", boundary.as_str()].concat());
        // The first delimiter needs no line end before it: count that as seen.
        Self { delimiter, matched: 2, part_limit, state: State::Preamble { dropped: 0 } }
    }

    /// The next event, taking what it needs off the front of `input`. `None` when all of `input`
    /// is taken and more is needed; call again with the next chunk.
    ///
    /// # Errors
    /// [`ReadError`], and the same again on every later call.
    pub fn read(&mut self, input: &mut Bytes) -> Result<Option<Event>, ReadError> {
        self.step(input).inspect_err(|error| self.state = State::Failed(*error))
    }

    /// To be asked when the message has ended.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] before the closing delimiter, or the error that reading ended with.
    pub fn finish(&self) -> Result<(), ReadError> {
        match self.state {
            State::Epilogue { .. } => Ok(()),
            State::Failed(error) => Err(error),
            _ => Err(ReadError::Truncated),
        }
    }

    fn step(&mut self, input: &mut Bytes) -> Result<Option<Event>, ReadError> {
        while !input.is_empty() {
            match &mut self.state {
                State::Preamble { dropped } => match find(&self.delimiter, &mut self.matched, input) {
                    Found::Octets(octets) => {
                        *dropped = dropped.saturating_add(octets.len());
                        if *dropped > MAX_SURROUNDINGS {
                            return Err(ReadError::PreambleTooLong);
                        }
                    }
                    Found::Delimiter => self.state = State::Delimiter(Line::Boundary),
                    Found::Nothing => {}
                },
                State::Delimiter(line) => {
                    *line = match (*line, input.get_u8()) {
                        (Line::Boundary, b'-') => Line::Hyphen,
                        (Line::Hyphen, b'-') => {
                            self.state = State::Epilogue { dropped: 0 };
                            return Ok(Some(Event::Close));
                        }
                        (Line::Boundary, b' ' | b'\t') => Line::Padding(1),
                        (Line::Padding(seen), b' ' | b'\t') if seen < MAX_PADDING => Line::Padding(seen + 1),
                        (Line::Boundary | Line::Padding(_), b'\r') => Line::CarriageReturn,
                        (Line::CarriageReturn, b'\n') => {
                            self.state = State::Head(b"\r\n".to_vec());
                            continue;
                        }
                        _ => return Err(ReadError::BadDelimiter),
                    };
                }
                State::Head(come) => {
                    if let Some(head) = take_head(come, input)? {
                        if head.content_length.is_some_and(|length| length > self.part_limit) {
                            return Err(ReadError::PartTooLong(self.part_limit));
                        }
                        self.state = match head.content_length {
                            Some(missing) => State::Counted { missing },
                            None => State::Searched { out: 0 },
                        };
                        self.matched = 0;
                        return Ok(Some(Event::PartHead(head)));
                    }
                }
                State::Searched { out } => match find(&self.delimiter, &mut self.matched, input) {
                    Found::Octets(octets) => {
                        *out = out.saturating_add(octets.len() as u64);
                        if *out > self.part_limit {
                            return Err(ReadError::PartTooLong(self.part_limit));
                        }
                        return Ok(Some(Event::PartData(octets)));
                    }
                    Found::Delimiter => return Ok(Some(self.part_end())),
                    Found::Nothing => {}
                },
                State::Counted { missing: 0 } => {
                    match continue_match(&self.delimiter, &mut self.matched, input) {
                        Continued::Whole => return Ok(Some(self.part_end())),
                        Continued::Partial => {}
                        Continued::Mismatch => return Err(ReadError::LengthMismatch),
                    }
                }
                State::Counted { missing } => {
                    let take = usize::try_from(*missing).unwrap_or(usize::MAX).min(input.len());
                    *missing -= take as u64;
                    return Ok(Some(Event::PartData(input.split_to(take))));
                }
                State::Epilogue { dropped } => {
                    *dropped = dropped.saturating_add(input.len());
                    if *dropped > MAX_SURROUNDINGS {
                        return Err(ReadError::EpilogueTooLong);
                    }
                    input.clear();
                }
                State::Failed(error) => return Err(*error),
            }
        }
        match self.state {
            State::Failed(error) => Err(error),
            _ => Ok(None),
        }
    }

    fn part_end(&mut self) -> Event {
        self.state = State::Delimiter(Line::Boundary);
        Event::PartEnd
    }
}

enum Continued {
    Whole,
    Partial,
    Mismatch,
}

/// Compares the next octets with what is missing of the delimiter, and takes them if they agree.
fn continue_match(delimiter: &Bytes, matched: &mut usize, input: &mut Bytes) -> Continued {
    let missing = delimiter.get(*matched..).unwrap_or_default();
    let length = missing.len().min(input.len());
    if missing.get(..length) != input.get(..length) {
        return Continued::Mismatch;
    }
    input.advance(length);
    if length == missing.len() {
        *matched = 0;
        Continued::Whole
    } else {
        *matched += length;
        Continued::Partial
    }
}

/// Takes the octets before the delimiter, or else the delimiter.
fn find(delimiter: &Bytes, matched: &mut usize, input: &mut Bytes) -> Found {
    if *matched > 0 {
        return match continue_match(delimiter, matched, input) {
            Continued::Whole => Found::Delimiter,
            Continued::Partial => Found::Nothing,
            // The octets that had matched are gone with an earlier chunk, but known. None of them
            // but the first is a CR, so no delimiter starts among the others.
            Continued::Mismatch => Found::Octets(delimiter.slice(..std::mem::take(matched))),
        };
    }
    let before = match memmem::find(input, delimiter) {
        Some(at) => at,
        None => partial_at(delimiter, input).unwrap_or(input.len()),
    };
    if before > 0 {
        return Found::Octets(input.split_to(before));
    }
    match continue_match(delimiter, matched, input) {
        Continued::Whole => Found::Delimiter,
        Continued::Partial | Continued::Mismatch => Found::Nothing,
    }
}

/// Where the start of a delimiter stands at the end of `input`.
fn partial_at(delimiter: &[u8], input: &[u8]) -> Option<usize> {
    // Only the last CR can start it, since the delimiter has no second one.
    let from = input.len().saturating_sub(delimiter.len() - 1);
    let at = from + memrchr(b'\r', input.get(from..)?)?;
    delimiter.starts_with(input.get(at..)?).then_some(at)
}

/// Moves octets of a part head from `input` to `come`, up to the blank line that ends it.
fn take_head(come: &mut Vec<u8>, input: &mut Bytes) -> Result<Option<PartHead>, ReadError> {
    const END: &[u8] = b"\r\n\r\n";
    let old = come.len();
    let room = (MAX_HEAD + 2 * END.len()).saturating_sub(old).min(input.len());
    come.extend_from_slice(input.get(..room).unwrap_or_default());
    // The blank line may have begun before this chunk; nothing earlier is looked at again.
    let from = old.saturating_sub(END.len() - 1);
    match memmem::find(come.get(from..).unwrap_or_default(), END) {
        Some(at) if from + at <= MAX_HEAD => {
            let end = from + at;
            input.advance(end + END.len() - old);
            parse_head(come.get(..end).unwrap_or_default()).map(Some)
        }
        None if come.len() <= MAX_HEAD + END.len() => {
            input.advance(room);
            Ok(None)
        }
        _ => Err(ReadError::HeadTooLong),
    }
}

/// The header fields of a part, each after a line end. Folded lines are refused, as HTTP does.
fn parse_head(head: &[u8]) -> Result<PartHead, ReadError> {
    let (mut content_type, mut content_length, mut content_location) = (None, None, None);
    let text = head.strip_prefix(b"\r\n").unwrap_or_default();
    let mut rest = (!text.is_empty()).then_some(text);
    let mut fields = 0;
    while let Some(text) = rest {
        let line = match memmem::find(text, b"\r\n") {
            Some(at) => {
                rest = text.get(at + 2..);
                text.get(..at).unwrap_or_default()
            }
            None => {
                rest = None;
                text
            }
        };
        fields += 1;
        if fields > MAX_FIELDS {
            return Err(ReadError::HeadTooLong);
        }
        let colon = memchr::memchr(b':', line).ok_or(ReadError::BadHead)?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).map_err(|_| ReadError::BadHead)?;
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        let value = HeaderValue::from_bytes(value).map_err(|_| ReadError::BadHead)?;
        let slot = if name == CONTENT_TYPE {
            &mut content_type
        } else if name == CONTENT_LENGTH {
            &mut content_length
        } else if name == CONTENT_LOCATION {
            &mut content_location
        } else {
            if name == "content-transfer-encoding" && !is_identity(&value) {
                return Err(ReadError::TransferEncoding);
            }
            continue;
        };
        if slot.replace(value).is_some() {
            return Err(ReadError::BadHead);
        }
    }
    Ok(PartHead {
        content_type: content_type.filter(|value| !value.is_empty()).ok_or(ReadError::NoContentType)?,
        content_length: content_length.map(|value| length(&value)).transpose()?,
        content_location,
    })
}

fn is_identity(encoding: &HeaderValue) -> bool {
    ["binary", "8bit", "7bit"].iter().any(|known| encoding.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
}

/// Digits only: `u64::from_str` alone would take a sign.
fn length(value: &HeaderValue) -> Result<u64, ReadError> {
    let text = value.to_str().map_err(|_| ReadError::BadLength)?;
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| ReadError::BadLength)
    } else {
        Err(ReadError::BadLength)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const LIMIT: u64 = 1 << 20;

    fn reader(limit: u64) -> Reader {
        Reader::new(&Boundary::parse("b-b").unwrap(), limit)
    }

    fn read_all(
        reader: &mut Reader,
        chunks: impl IntoIterator<Item = Bytes>,
    ) -> Result<Vec<Event>, ReadError> {
        let mut events = Vec::new();
        for mut chunk in chunks {
            while let Some(event) = reader.read(&mut chunk)? {
                events.push(event);
            }
            assert!(chunk.is_empty());
        }
        reader.finish()?;
        Ok(events)
    }

    /// What a body in one chunk and octet by octet reads as; both must agree.
    fn read(body: &[u8], limit: u64) -> Result<Vec<(PartHead, Vec<u8>)>, ReadError> {
        let whole = read_all(&mut reader(limit), [Bytes::copy_from_slice(body)]).map(parts);
        let single = read_all(&mut reader(limit), body.chunks(1).map(Bytes::copy_from_slice)).map(parts);
        assert_eq!(whole, single);
        whole
    }

    /// Joins the events of each part, and holds their order.
    fn parts(events: Vec<Event>) -> Vec<(PartHead, Vec<u8>)> {
        let mut parts = Vec::new();
        let mut open: Option<(PartHead, Vec<u8>)> = None;
        let mut closed = false;
        for event in events {
            assert!(!closed, "nothing follows Close");
            match event {
                Event::PartHead(head) => assert!(open.replace((head, Vec::new())).is_none()),
                Event::PartData(data) => {
                    assert!(!data.is_empty());
                    open.as_mut().unwrap().1.extend_from_slice(&data);
                }
                Event::PartEnd => parts.push(open.take().unwrap()),
                Event::Close => closed = true,
            }
        }
        assert!(closed && open.is_none());
        parts
    }

    fn head(length: Option<u64>) -> PartHead {
        PartHead {
            content_type: HeaderValue::from_static("application/dicom"),
            content_length: length,
            content_location: None,
        }
    }

    #[test]
    fn surroundings_padding_and_field_names_in_any_case_are_read() {
        let body = b"preamble\r\n--b-b \t\r\ncontent-TYPE:application/dicom \r\nX-Other: 1\r\n\
                     Content-Location: https://box/1\r\nContent-Transfer-Encoding: Binary\r\n\r\n\
                     one\r\n--b-b--\r\nepilogue\r\n--b-b\r\n";
        let expected =
            PartHead { content_location: Some(HeaderValue::from_static("https://box/1")), ..head(None) };
        assert_eq!(read(body, LIMIT), Ok(vec![(expected, b"one".to_vec())]));
        assert_eq!(read(b"--b-b--", LIMIT), Ok(vec![]));
    }

    #[test]
    fn octets_are_slices_of_the_chunk() {
        let chunk = Bytes::from_static(b"--b-b\r\nContent-Type: a/b\r\n\r\nlong\r\n--b-b--");
        let events = read_all(&mut reader(LIMIT), [chunk.clone()]).unwrap();
        let Event::PartData(data) = &events[1] else { panic!("{events:?}") };
        assert!(chunk.as_ptr_range().contains(&data.as_ptr()));
    }

    #[test]
    fn a_part_ends_with_its_delimiter_and_not_only_with_the_next_part() {
        let mut reader = reader(LIMIT);
        let mut chunk = Bytes::from_static(b"--b-b\r\nContent-Type: a/b\r\n\r\nx\r\n--b-b");
        let mut last = None;
        while let Some(event) = reader.read(&mut chunk).unwrap() {
            last = Some(event);
        }
        assert_eq!(last, Some(Event::PartEnd));
        assert_eq!(reader.finish(), Err(ReadError::Truncated));
    }

    #[test]
    fn octets_with_a_length_may_look_like_a_delimiter() {
        let body = b"--b-b\r\nContent-Type: application/dicom\r\nContent-Length: 9\r\n\r\n\
                     \r\n--b-b\r\n\r\n--b-b--";
        assert_eq!(read(body, LIMIT), Ok(vec![(head(Some(9)), b"\r\n--b-b\r\n".to_vec())]));
    }

    #[test]
    fn invalid_bodies_are_refused_with_their_reason() {
        let part = |head: &str| format!("--b-b\r\n{head}\r\n\r\none\r\n--b-b--");
        let fields = |n: usize| format!("Content-Type: a/b{}", "\r\nX: 1".repeat(n - 1));
        for (body, error) in [
            (String::new(), ReadError::Truncated),
            ("--b-b".to_owned(), ReadError::Truncated),
            ("--b-b\r\nContent-Type: a/b\r\n\r\none\r\n--b-b-".to_owned(), ReadError::Truncated),
            ("--b-bc\r\n".to_owned(), ReadError::BadDelimiter),
            ("--b-b\n".to_owned(), ReadError::BadDelimiter),
            ("--b-b- -".to_owned(), ReadError::BadDelimiter),
            (format!("--b-b{}\r\n", " ".repeat(65)), ReadError::BadDelimiter),
            ("--b-b\r\n\r\none\r\n--b-b--".to_owned(), ReadError::NoContentType),
            (part("X: 1"), ReadError::NoContentType),
            (part("Content-Type: "), ReadError::NoContentType),
            (part("Content-Type"), ReadError::BadHead),
            (part("Content-Type: a/b\r\nContent-Type: a/b"), ReadError::BadHead),
            (part("Content-Type: a/b;\r\n folded=1"), ReadError::BadHead),
            (part("Content-Type: a/b\nX: 1"), ReadError::BadHead),
            (part("Content Type: a/b"), ReadError::BadHead),
            (part("Content-Type: a/b\r\nContent-Length: +3"), ReadError::BadLength),
            (part("Content-Type: a/b\r\nContent-Length: 3, 3"), ReadError::BadLength),
            (part("Content-Type: a/b\r\nContent-Length: 18446744073709551616"), ReadError::BadLength),
            (part("Content-Type: a/b\r\nContent-Length: 2"), ReadError::LengthMismatch),
            (part("Content-Type: a/b\r\nContent-Length: 4"), ReadError::LengthMismatch),
            (part("Content-Type: a/b\r\nContent-Transfer-Encoding: base64"), ReadError::TransferEncoding),
            (part(&fields(MAX_FIELDS + 1)), ReadError::HeadTooLong),
        ] {
            assert_eq!(read(body.as_bytes(), LIMIT), Err(error), "{body:?}");
        }
        assert!(read(part(&fields(MAX_FIELDS)).as_bytes(), LIMIT).is_ok());
    }

    #[test]
    fn everything_that_a_peer_could_stretch_has_its_limit() {
        let preamble = |n: usize| format!("{}\r\n--b-b--", "p".repeat(n));
        assert!(read(preamble(MAX_SURROUNDINGS - 2).as_bytes(), LIMIT).is_ok());
        assert_eq!(read(preamble(MAX_SURROUNDINGS + 1).as_bytes(), LIMIT), Err(ReadError::PreambleTooLong));

        let epilogue = |n: usize| format!("--b-b--{}", "e".repeat(n));
        assert!(read(epilogue(MAX_SURROUNDINGS).as_bytes(), LIMIT).is_ok());
        assert_eq!(read(epilogue(MAX_SURROUNDINGS + 1).as_bytes(), LIMIT), Err(ReadError::EpilogueTooLong));

        // A line end, the field's name and its value make up the head.
        let long = |n: usize| {
            let field = format!("Content-Type: {}", "a".repeat(n - 16));
            format!("--b-b\r\n{field}\r\n\r\n\r\n--b-b--")
        };
        assert!(read(long(MAX_HEAD).as_bytes(), LIMIT).is_ok());
        assert_eq!(read(long(MAX_HEAD + 1).as_bytes(), LIMIT), Err(ReadError::HeadTooLong));
        let endless = format!("--b-b\r\n{}", "a".repeat(3 * MAX_HEAD));
        assert_eq!(read(endless.as_bytes(), LIMIT), Err(ReadError::HeadTooLong));

        let part = |length: &str, n: usize| {
            format!("--b-b\r\nContent-Type: a/b{length}\r\n\r\n{}\r\n--b-b--", "x".repeat(n))
        };
        assert!(read(part("", 5).as_bytes(), 5).is_ok());
        assert_eq!(read(part("", 6).as_bytes(), 5), Err(ReadError::PartTooLong(5)));
        assert!(read(part("\r\nContent-Length: 5", 5).as_bytes(), 5).is_ok());
        // Refused by what it announces, before any octet.
        assert_eq!(read(part("\r\nContent-Length: 6", 0).as_bytes(), 5), Err(ReadError::PartTooLong(5)));
    }

    #[test]
    fn an_error_stays() {
        let mut reader = reader(LIMIT);
        assert_eq!(reader.read(&mut Bytes::from_static(b"--b-bx")), Err(ReadError::BadDelimiter));
        assert_eq!(reader.read(&mut Bytes::from_static(b"--b-b--")), Err(ReadError::BadDelimiter));
        assert_eq!(reader.read(&mut Bytes::new()), Err(ReadError::BadDelimiter));
        assert_eq!(reader.finish(), Err(ReadError::BadDelimiter));
    }

    /// Octets rich in pieces of the delimiter.
    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(&b"\r"[..]),
            Just(&b"\n"[..]),
            Just(&b"\r\n"[..]),
            Just(&b"-"[..]),
            Just(&b"\r\n--"[..]),
            Just(&b"\r\n--b-"[..]),
            Just(&b"--b-b"[..]),
            Just(&b"b"[..]),
            Just(&b"\0pixels"[..]),
        ];
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_of_any_body_gives_its_parts(
            octets in vec((octets(), any::<bool>(), any::<bool>()), 0..5),
            preamble in octets(),
            cuts in vec(1_usize..24, 1..40),
        ) {
            let boundary = Boundary::parse("b-b").unwrap();
            let mut writer = Writer::new(boundary);
            // A preamble ends its last line, and holds no delimiter of its own.
            let is_preamble = !preamble.is_empty() && memmem::find(&preamble, b"--b-b").is_none();
            let mut body = if is_preamble { [&preamble[..], b"\r\n"].concat() } else { Vec::new() };
            let mut expected = Vec::new();
            for (data, counted, early) in octets {
                // Only its length lets a part hold what looks like its delimiter.
                let counted = counted || memmem::find(&data, b"\r\n--b-b").is_some();
                let head = head(counted.then_some(data.len() as u64));
                body.extend(writer.part(&head));
                body.extend(&data);
                if early {
                    body.extend(writer.end_part());
                }
                expected.push((head, data));
            }
            body.extend(writer.close());

            let mut rest = Bytes::from(body);
            let mut cuts = cuts.into_iter().cycle();
            let mut chunks = Vec::new();
            while !rest.is_empty() {
                chunks.push(rest.split_to(cuts.next().unwrap().min(rest.len())));
            }
            let events = read_all(&mut reader(LIMIT), chunks).unwrap();
            prop_assert_eq!(parts(events), expected);
        }

        #[test]
        fn arbitrary_octets_are_read_or_refused_alike_in_any_chunking(
            octets in vec(prop_oneof![
                octets(),
                vec(any::<u8>(), 0..8),
                Just(b"\r\n--b-b\r\nContent-Type: a/b\r\n\r\n".to_vec()),
                Just(b"--b-b\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n".to_vec()),
                Just(b"\r\n--b-b--".to_vec()),
            ], 0..12),
            cut in 1_usize..40,
        ) {
            let body = octets.concat();
            let whole = read_all(&mut reader(6), [Bytes::copy_from_slice(&body)]).map(parts);
            let cut = read_all(&mut reader(6), body.chunks(cut).map(Bytes::copy_from_slice)).map(parts);
            prop_assert_eq!(whole, cut);
        }
    }
}
