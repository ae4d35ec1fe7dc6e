//! Finds the ends of parts in a live multipart response, by what the part heads announce.

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use framegate::net::multipart::ContentType;
use framegate::net::multipart::reader::{Event, Reader};
use memchr::memmem;

const MAX_PART: u64 = 1 << 30;
const MAX_HEAD: usize = 16 << 10;
/// What of a part is kept.
const FRONT: usize = 4 << 10;

/// A multipart body.
#[derive(Debug)]
pub(crate) struct Parts {
    reader: Reader,
    /// Bytes of the current part that are missing.
    missing: u64,
    /// Parts that are whole.
    pub(crate) whole: usize,
    /// Bytes of the body after the end of the last whole part.
    pub(crate) since_whole: usize,
    /// The beginning of the part that is coming.
    coming: Vec<u8>,
    /// That of the last whole one.
    pub(crate) front: Vec<u8>,
}

impl Parts {
    /// A body of this Content-Type.
    pub(crate) fn new(content_type: &str) -> anyhow::Result<Self> {
        let content_type = ContentType::parse(content_type)?;
        let reader = Reader::new(&content_type.boundary, MAX_PART);
        Ok(Self { reader, missing: 0, whole: 0, since_whole: 0, coming: Vec::new(), front: Vec::new() })
    }

    /// Takes more of the body.
    pub(crate) fn feed(&mut self, mut body: Bytes) -> anyhow::Result<()> {
        while let Some(event) = self.reader.read(&mut body)? {
            match event {
                Event::PartHead(head) => {
                    self.missing = head.content_length.context("a part without Content-Length")?;
                    self.coming.clear();
                }
                Event::PartData(data) => {
                    let room = FRONT.saturating_sub(self.coming.len()).min(data.len());
                    self.coming.extend_from_slice(data.get(..room).unwrap_or_default());
                    self.missing -= data.len() as u64;
                    if self.missing == 0 {
                        self.whole += 1;
                        std::mem::swap(&mut self.front, &mut self.coming);
                        self.since_whole = body.len();
                    }
                }
                Event::PartEnd => {}
                Event::Close => bail!("the live response ended"),
            }
        }
        Ok(())
    }
}

/// An HTTP/1.1 response with a chunked body (RFC 9112 §7.1).
#[derive(Debug)]
pub(crate) struct Response {
    input: BytesMut,
    state: State,
    pub(crate) parts: Option<Parts>,
    /// Bytes of the response after the end of the last whole part.
    pub(crate) since_whole: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Size,
    Data(usize),
    DataEnd,
}

impl Response {
    pub(crate) fn new() -> Self {
        Self { input: BytesMut::new(), state: State::Head, parts: None, since_whole: 0 }
    }

    /// Parts that are whole.
    pub(crate) fn whole(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.whole)
    }

    /// Where the next bytes of the response are to be appended, `more` of them.
    pub(crate) fn room(&mut self, more: usize) -> &mut [u8] {
        let used = self.input.len();
        self.input.resize(used + more, 0);
        self.input.get_mut(used..).unwrap_or_default()
    }

    /// Reads what has been appended.
    pub(crate) fn advance(&mut self, added: usize) -> anyhow::Result<()> {
        self.since_whole += added;
        while !self.input.is_empty() {
            match self.state {
                State::Head => {
                    let Some(end) = memmem::find(&self.input, b"\r\n\r\n") else {
                        ensure!(self.input.len() < MAX_HEAD, "a long response head");
                        return Ok(());
                    };
                    let head = self.input.split_to(end + 4);
                    self.parts = Some(Parts::new(content_type(&head)?)?);
                    self.state = State::Size;
                }
                State::Size => {
                    let Some(end) = memmem::find(&self.input, b"\r\n") else { return Ok(()) };
                    let line = self.input.split_to(end + 2);
                    let digits = std::str::from_utf8(line.get(..end).unwrap_or_default())?;
                    self.state = State::Data(usize::from_str_radix(digits, 16)?);
                }
                State::Data(0) => self.state = State::DataEnd,
                State::Data(left) => {
                    let data = self.input.split_to(left.min(self.input.len())).freeze();
                    self.state = State::Data(left - data.len());
                    let parts = self.parts.as_mut().context("no head")?;
                    let before = parts.whole;
                    parts.feed(data)?;
                    if parts.whole > before {
                        self.since_whole = self.input.len() + parts.since_whole;
                    }
                }
                State::DataEnd => {
                    if self.input.len() < 2 {
                        return Ok(());
                    }
                    self.input.advance(2);
                    self.state = State::Size;
                }
            }
        }
        Ok(())
    }
}

fn content_type(head: &[u8]) -> anyhow::Result<&str> {
    let head = std::str::from_utf8(head)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{}", head.lines().next().unwrap_or_default());
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let field = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    Ok(field.context("no Content-Type")?.1)
}
