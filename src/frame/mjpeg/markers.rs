//! The markers of a JPEG picture (ISO/IEC 10918-1 Annex B), walked once and with every length checked.

use super::{MjpegError, tables};

/// Components of a frame at most.
const MOST_COMPONENTS: usize = 3;

/// The frame header (§B.2.2).
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) rows: u16,
    pub(super) columns: u16,
    components: [Component; MOST_COMPONENTS],
    count: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Component {
    id: u8,
    /// Horizontal sampling factor, 1 to 4.
    pub(super) across: u8,
    /// Vertical sampling factor, 1 to 4.
    pub(super) down: u8,
    quantization: u8,
    /// A scan has it.
    scanned: bool,
}

impl Frame {
    pub(super) fn components(&self) -> &[Component] {
        self.components.get(..self.count).unwrap_or_default()
    }

    fn parse(body: &[u8]) -> Result<Self, MjpegError> {
        let Some((&[precision, y1, y0, x1, x0, count], specifications)) = body.split_first_chunk() else {
            return Err(MjpegError::Nonsense("a short frame header"));
        };
        if precision != 8 {
            return Err(MjpegError::NotBaseline("samples of other than 8 bits"));
        }
        let count = usize::from(count);
        if !matches!(count, 1 | 3) {
            return Err(MjpegError::Nonsense("neither one component nor three"));
        }
        if specifications.len() != 3 * count {
            return Err(MjpegError::Nonsense("a frame header of another length"));
        }
        let (rows, columns) = (u16::from_be_bytes([y1, y0]), u16::from_be_bytes([x1, x0]));
        if rows == 0 || columns == 0 {
            return Err(MjpegError::Nonsense("no rows or no columns"));
        }
        let mut components = [Component::default(); MOST_COMPONENTS];
        for (place, &[id, factors, quantization]) in components.iter_mut().zip(specifications.as_chunks().0) {
            let (across, down) = (factors >> 4, factors & 15);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(MjpegError::Nonsense("a sampling factor outside 1 to 4"));
            }
            *place = Component { id, across, down, quantization, scanned: false };
        }
        Ok(Self { rows, columns, components, count })
    }

    /// The component of this identifier, which a scan may have once.
    fn scan(&mut self, id: u8) -> Option<Component> {
        let component = self.components.iter_mut().take(self.count).find(|component| component.id == id)?;
        let scanned = std::mem::replace(&mut component.scanned, true);
        (!scanned).then_some(*component)
    }
}

/// What the walk found.
pub(super) struct Markers {
    /// Where the end of image ends.
    pub(super) end: usize,
    /// Where the first start of scan stands.
    pub(super) first_scan: usize,
    /// Which tables of [`tables::STANDARD`] scans use that were not there before them.
    pub(super) lacking: [bool; tables::STANDARD.len()],
    pub(super) frame: Frame,
    /// Three components are red, green and blue.
    pub(super) rgb: bool,
}

/// What is known so far.
#[derive(Default)]
struct Walk {
    frame: Option<Frame>,
    first_scan: Option<usize>,
    /// Quantization tables, by identifier.
    quantization: [bool; 4],
    /// Huffman tables that are there, and those that were not when they were used.
    huffman: [bool; tables::STANDARD.len()],
    lacking: [bool; tables::STANDARD.len()],
    adobe_transform: Option<u8>,
}

impl Markers {
    pub(super) fn walk(bytes: &[u8]) -> Result<Self, MjpegError> {
        if bytes.is_empty() {
            return Err(MjpegError::Truncated);
        }
        if !bytes.starts_with(&[0xFF, 0xD8]) {
            return Err(MjpegError::Nonsense("no start of image"));
        }
        let (mut walk, mut at) = (Walk::default(), 2);
        loop {
            let (marker, after) = marker_at(bytes, at)?;
            match marker {
                0xD9 => return walk.finish(after),
                // Where the rest was lost, the next picture may stand.
                0xD8 => return Err(MjpegError::Truncated),
                0x00..=0xBF | 0xD0..=0xD7 => return Err(MjpegError::Nonsense("a stray marker")),
                _ => {}
            }
            let rest = bytes.get(after..).unwrap_or_default();
            let (length, _) = rest.split_first_chunk().ok_or(MjpegError::Truncated)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length < 2 {
                return Err(MjpegError::Nonsense("a segment of no length"));
            }
            let body = rest.get(2..length).ok_or(MjpegError::Truncated)?;
            walk.segment(marker, body)?;
            if marker == 0xDA {
                walk.first_scan.get_or_insert(at);
                at = after_entropy_coded(bytes, after + length)?;
            } else {
                at = after + length;
            }
        }
    }
}

impl Walk {
    fn segment(&mut self, marker: u8, body: &[u8]) -> Result<(), MjpegError> {
        match marker {
            0xC0 if self.frame.is_some() => Err(MjpegError::Nonsense("a second frame header")),
            0xC0 => {
                self.frame = Some(Frame::parse(body)?);
                Ok(())
            }
            0xC4 => self.huffman_tables(body),
            0xCC => Err(MjpegError::NotBaseline("arithmetic coding")),
            0xC1 | 0xC5 | 0xC9 | 0xCD => Err(MjpegError::NotBaseline("an extended process")),
            0xC2 | 0xC6 | 0xCA | 0xCE => Err(MjpegError::NotBaseline("a progressive process")),
            0xC3 | 0xC7 | 0xC8 | 0xCB | 0xCF | 0xF7 => Err(MjpegError::NotBaseline("a lossless process")),
            0xDE | 0xDF => Err(MjpegError::NotBaseline("a hierarchical process")),
            0xDA => self.scan(body),
            0xDB => self.quantization_tables(body),
            0xEE if body.starts_with(b"Adobe") => {
                self.adobe_transform = body.get(11).copied();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// §B.2.4.1.
    fn quantization_tables(&mut self, mut body: &[u8]) -> Result<(), MjpegError> {
        while let Some((head, rest)) = body.split_first() {
            if head >> 4 != 0 {
                return Err(MjpegError::NotBaseline("quantization by more than 8 bits"));
            }
            let known = self.quantization.get_mut(usize::from(head & 15));
            *known.ok_or(MjpegError::Nonsense("a fifth quantization table"))? = true;
            body = rest.get(64..).ok_or(MjpegError::Nonsense("a short quantization table"))?;
        }
        Ok(())
    }

    /// §B.2.4.2.
    fn huffman_tables(&mut self, mut body: &[u8]) -> Result<(), MjpegError> {
        while let Some((&[head, counts @ ..], rest)) = body.split_first_chunk::<17>() {
            let known = tables::index(head).and_then(|index| self.huffman.get_mut(index));
            *known.ok_or(MjpegError::NotBaseline("a third Huffman table of a kind"))? = true;
            let values = counts.iter().map(|count| usize::from(*count)).sum::<usize>();
            body = rest.get(values..).ok_or(MjpegError::Nonsense("a short Huffman table"))?;
        }
        if body.is_empty() { Ok(()) } else { Err(MjpegError::Nonsense("a short Huffman table")) }
    }

    /// §B.2.3.
    fn scan(&mut self, body: &[u8]) -> Result<(), MjpegError> {
        let frame = self.frame.as_mut().ok_or(MjpegError::Nonsense("a scan before the frame header"))?;
        let wrong = MjpegError::Nonsense("a scan header of another length");
        let (&count, rest) = body.split_first().ok_or_else(|| wrong.clone())?;
        let (selectors, &[from, to, approximation]) = rest.split_last_chunk().ok_or_else(|| wrong.clone())?;
        let count = usize::from(count);
        if count == 0 || selectors.len() != 2 * count {
            return Err(wrong);
        }
        if (from, to, approximation) != (0, 63, 0) {
            return Err(MjpegError::NotBaseline("a scan of a part of the coefficients"));
        }
        for &[id, used] in selectors.as_chunks().0 {
            let component =
                frame.scan(id).ok_or(MjpegError::Nonsense("a scan of a component that is not due"))?;
            if self.quantization.get(usize::from(component.quantization)) != Some(&true) {
                return Err(MjpegError::Nonsense("a quantization table is not there"));
            }
            for head in [used >> 4, 0x10 | (used & 15)] {
                let index =
                    tables::index(head).ok_or(MjpegError::NotBaseline("a third Huffman table of a kind"))?;
                if let (Some(false), Some(lacking)) = (self.huffman.get(index), self.lacking.get_mut(index)) {
                    *lacking = true;
                }
            }
        }
        Ok(())
    }

    fn finish(self, end: usize) -> Result<Markers, MjpegError> {
        let frame = self.frame.ok_or(MjpegError::Nonsense("no frame header"))?;
        let first_scan = self.first_scan.ok_or(MjpegError::Nonsense("no scan"))?;
        if frame.components().iter().any(|component| !component.scanned) {
            return Err(MjpegError::Nonsense("a component without a scan"));
        }
        let named_rgb = frame.components().iter().map(|component| component.id).eq(*b"RGB");
        // In the order of trust of `frame::codec`, which is that of libjpeg for all but JFIF in RGB.
        let rgb = self.adobe_transform.map_or(named_rgb, |transform| transform == 0);
        Ok(Markers { end, first_scan, lacking: self.lacking, frame, rgb })
    }
}

/// The code of the marker at `at`, which fill bytes may precede, and where it ends (§B.1.1.2).
fn marker_at(bytes: &[u8], at: usize) -> Result<(u8, usize), MjpegError> {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first() {
        None => return Err(MjpegError::Truncated),
        Some(0xFF) => {}
        Some(_) => return Err(MjpegError::Nonsense("no marker where one is due")),
    }
    let fill = rest.iter().position(|byte| *byte != 0xFF).ok_or(MjpegError::Truncated)?;
    let code = rest.get(fill).ok_or(MjpegError::Truncated)?;
    Ok((*code, at + fill + 1))
}

/// Where the marker stands that ends entropy-coded data: no stuffed zero (§B.1.1.5), no restart.
fn after_entropy_coded(bytes: &[u8], mut at: usize) -> Result<usize, MjpegError> {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let start = at + memchr::memchr(0xFF, rest).ok_or(MjpegError::Truncated)?;
        let (code, after) = marker_at(bytes, start)?;
        if !matches!(code, 0x00 | 0xD0..=0xD7) {
            return Ok(start);
        }
        at = after;
    }
}
