//! Walks an encoded data set while it arrives, without decoding it.
//!
//! The scanner reads element headers only: it finds where Pixel Data begins, remembers where the
//! few values stand that say which instance this is, and holds the bounds (bytes, elements,
//! nesting) that keep the decoder, which recurses, safe from hostile input. It never looks beyond
//! the bytes it is given, and says how many more it needs.
//!
//! Encoding: PS3.5 §7.1 (elements), §7.5 (sequences), §A (transfer syntaxes).

mod found;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

pub use self::found::{Found, Key};

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// How element headers are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The VR stands in the header.
    pub explicit: bool,
    /// Most significant byte first (retired Explicit VR Big Endian).
    pub big_endian: bool,
}

impl Encoding {
    /// The encoding of a transfer syntax: all but three are Explicit VR Little Endian.
    pub fn of(transfer_syntax: &str) -> Self {
        Self {
            explicit: transfer_syntax != "1.2.840.10008.1.2",
            big_endian: transfer_syntax == "1.2.840.10008.1.2.2",
        }
    }
}

/// Bounds on a data set outside Pixel Data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes before the value of Pixel Data.
    pub bytes: usize,
    /// Elements, nested ones counted.
    pub elements: usize,
    /// Depth of sequences in sequences.
    pub nesting: usize,
}

/// Why a data set cannot be walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// More bytes before Pixel Data than allowed.
    #[error("the data set has more than {0} bytes outside Pixel Data")]
    TooLong(usize),
    /// More elements than allowed.
    #[error("the data set has more than {0} elements")]
    TooManyElements(usize),
    /// Sequences nest deeper than allowed.
    #[error("sequences nest deeper than {0}")]
    TooDeep(usize),
    /// A header that cannot be one.
    #[error("not a data element at byte {at}: {what}")]
    Malformed {
        /// Offset in the data set (bytes).
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The data set ended inside an element.
    #[error("the data set ends inside the element that starts before byte {0}")]
    Truncated(usize),
}

/// Where Pixel Data stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelElement {
    /// Pixel Data, Float Pixel Data or Double Float Pixel Data.
    pub tag: Tag,
    /// Its VR; OW where the encoding is implicit.
    pub vr: VR,
    /// Length of the value (bytes); `None` means items up to a delimiter.
    pub length: Option<u32>,
    /// Offset of the element's tag.
    pub start: usize,
    /// Offset of the value.
    pub value: usize,
}

/// What the scanner wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The data set must be at least this long (bytes) before there is more to see.
    More(usize),
    /// Pixel Data begins.
    PixelData(PixelElement),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
    /// Encapsulated Pixel Data inside an item (an icon image).
    Fragments,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    kind: Kind,
    /// Offset where it ends; `None` until its delimiter.
    end: Option<usize>,
    /// Encoding of what is inside: a UN of undefined length holds Implicit VR LE (PS3.5 §6.2.2).
    encoding: Encoding,
}

/// The walk over one data set.
#[derive(Debug)]
pub struct Scanner {
    encoding: Encoding,
    limits: HeadLimits,
    position: usize,
    levels: Vec<Level>,
    elements: usize,
    found: Found,
    /// The highest tag outside of sequences.
    highest: Option<Tag>,
}

/// An element header as read.
struct Header {
    tag: Tag,
    vr: VR,
    length: u32,
    value: usize,
}

impl Scanner {
    /// A walk from the first byte of a data set.
    pub fn new(encoding: Encoding, limits: HeadLimits) -> Self {
        Self {
            encoding,
            limits,
            position: 0,
            levels: Vec::new(),
            elements: 0,
            found: Found::default(),
            highest: None,
        }
    }

    /// Where the identifying values stand, as far as the walk has come.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Goes on as far as `dataset`, which is everything from its first byte on, allows.
    ///
    /// # Errors
    /// When the bytes are no data set or break a bound.
    pub fn advance(&mut self, dataset: &[u8]) -> Result<Scan, ScanError> {
        loop {
            self.close_finished()?;
            if self.position > self.limits.bytes {
                return Err(ScanError::TooLong(self.limits.bytes));
            }
            let Some(header) = self.header(dataset)? else {
                // 8 bytes hold every short header; a long one asks again.
                let seen = dataset.len().saturating_sub(self.position);
                return Ok(Scan::More(self.position + if seen < 8 { 8 } else { 12 }));
            };
            self.elements += 1;
            if self.elements > self.limits.elements {
                return Err(ScanError::TooManyElements(self.limits.elements));
            }
            if self.levels.is_empty() {
                if matches!(
                    header.tag,
                    tags::PIXEL_DATA | tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA
                ) {
                    // Elsewhere a wrong order does no harm, and senders are known for it.
                    if self.highest >= Some(header.tag) {
                        return Err(self.malformed("Pixel Data stands behind an element with a higher tag"));
                    }
                    return Ok(Scan::PixelData(PixelElement {
                        tag: header.tag,
                        vr: header.vr,
                        length: (header.length != UNDEFINED).then_some(header.length),
                        start: self.position,
                        value: header.value,
                    }));
                }
                let lowest = self.found.lowest_group.get_or_insert(u16::MAX);
                *lowest = header.tag.group().min(*lowest);
                self.highest = self.highest.max(Some(header.tag));
                // A decoder would believe the last of several, and we have believed the first.
                if let Some(slot) = self.found.slot(header.tag)
                    && header.length != UNDEFINED
                    && slot.replace(header.value..header.value + header.length as usize).is_some()
                {
                    return Err(self.malformed("an identifying element stands twice"));
                }
            }
            self.enter(&header)?;
        }
    }

    /// Walks a data set that is all there. Gives Pixel Data where it has it, at which the walk stops.
    ///
    /// # Errors
    /// As [`Scanner::advance`] and [`Scanner::finish`].
    pub fn walk(mut self, dataset: &[u8]) -> Result<Option<PixelElement>, ScanError> {
        match self.advance(dataset)? {
            Scan::More(_) => self.finish(dataset.len()).map(|()| None),
            Scan::PixelData(pixels) => Ok(Some(pixels)),
        }
    }

    /// The data set ended after `length` bytes without Pixel Data.
    ///
    /// # Errors
    /// When it ended inside an element, an item or a sequence.
    pub fn finish(&mut self, length: usize) -> Result<(), ScanError> {
        self.close_finished()?;
        if self.position == length && self.levels.is_empty() {
            Ok(())
        } else {
            Err(ScanError::Truncated(self.position))
        }
    }

    fn malformed(&self, what: &'static str) -> ScanError {
        ScanError::Malformed { at: self.position, what }
    }

    /// Leaves every container whose defined length is used up.
    fn close_finished(&mut self) -> Result<(), ScanError> {
        while let Some(end) = self.levels.last().and_then(|level| level.end) {
            match self.position.cmp(&end) {
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Equal => drop(self.levels.pop()),
                std::cmp::Ordering::Greater => return Err(self.malformed("it reaches beyond its sequence")),
            }
        }
        Ok(())
    }

    fn header(&self, dataset: &[u8]) -> Result<Option<Header>, ScanError> {
        let encoding = self.levels.last().map_or(self.encoding, |level| level.encoding);
        let Some((first, rest)) = dataset.get(self.position..).and_then(|rest| rest.split_first_chunk::<8>())
        else {
            return Ok(None);
        };
        let [g0, g1, e0, e1, b4, b5, b6, b7] = *first;
        let u16_of = if encoding.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        let u32_of = if encoding.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        let tag = Tag(u16_of([g0, g1]), u16_of([e0, e1]));
        let short = self.position + 8;
        if tag.group() == 0xFFFE || !encoding.explicit {
            let vr = if tag.group() == 0xFFFE { VR::UN } else { implicit_vr(tag) };
            return Ok(Some(Header { tag, vr, length: u32_of([b4, b5, b6, b7]), value: short }));
        }
        let Some(vr) = VR::from_binary([b4, b5]) else {
            return Err(self.malformed("an explicit VR is expected"));
        };
        if !has_long_header(vr) {
            return Ok(Some(Header { tag, vr, length: u16_of([b6, b7]).into(), value: short }));
        }
        Ok(rest.first_chunk::<4>().map(|&length| Header {
            tag,
            vr,
            length: u32_of(length),
            value: short + 4,
        }))
    }

    /// Steps over a value or into a container.
    fn enter(&mut self, header: &Header) -> Result<(), ScanError> {
        let inside = self.levels.last().map(|level| level.kind);
        let encoding = self.levels.last().map_or(self.encoding, |level| level.encoding);
        let defined = (header.length != UNDEFINED).then(|| header.value + header.length as usize);
        match (header.tag, inside) {
            (ITEM, Some(Kind::Sequence)) => {
                self.position = header.value;
                self.push(Kind::Item, defined, encoding)
            }
            (ITEM, Some(Kind::Fragments)) => self.skip_to(defined),
            (ITEM_END, Some(Kind::Item)) | (SEQUENCE_END, Some(Kind::Sequence | Kind::Fragments)) => {
                if self.levels.last().is_some_and(|level| level.end.is_some()) {
                    return Err(self.malformed("a delimiter closes something of defined length"));
                }
                self.levels.pop();
                self.position = header.value;
                Ok(())
            }
            (Tag(0xFFFE, _), _) => Err(self.malformed("an item or delimiter has no place here")),
            (_, Some(Kind::Sequence | Kind::Fragments)) => Err(self.malformed("an item is expected")),
            _ if header.vr == VR::SQ => {
                self.position = header.value;
                self.push(Kind::Sequence, defined, encoding)
            }
            // A decoder takes whole numbers only, and what is left over it takes for the next header.
            _ if defined.is_some() && !header.length.is_multiple_of(unit(header.vr)) => {
                Err(self.malformed("its length is no multiple of its VR's size"))
            }
            _ if defined.is_some() => self.skip_to(defined),
            _ if header.vr == VR::UN || !encoding.explicit => {
                self.position = header.value;
                self.push(Kind::Sequence, None, Encoding { explicit: false, big_endian: encoding.big_endian })
            }
            // Under any other tag a decoder reads data sets in the items, which nobody has walked.
            _ if matches!(header.vr, VR::OB | VR::OW) && header.tag == tags::PIXEL_DATA => {
                self.position = header.value;
                self.push(Kind::Fragments, None, encoding)
            }
            _ => Err(self.malformed("this VR has no undefined length")),
        }
    }

    fn skip_to(&mut self, end: Option<usize>) -> Result<(), ScanError> {
        let Some(end) = end else { return Err(self.malformed("a fragment needs a length")) };
        self.check_inside(end)?;
        self.position = end;
        Ok(())
    }

    fn push(&mut self, kind: Kind, end: Option<usize>, encoding: Encoding) -> Result<(), ScanError> {
        if let Some(end) = end {
            self.check_inside(end)?;
        }
        self.levels.push(Level { kind, end, encoding });
        let depth = self.levels.iter().filter(|level| level.kind != Kind::Item).count();
        if depth > self.limits.nesting {
            return Err(ScanError::TooDeep(self.limits.nesting));
        }
        Ok(())
    }

    /// A length that reaches over the nearest container of defined length is a lie.
    fn check_inside(&self, end: usize) -> Result<(), ScanError> {
        match self.levels.iter().rev().find_map(|level| level.end) {
            Some(limit) if end > limit => Err(self.malformed("it reaches beyond its sequence")),
            _ => Ok(()),
        }
    }
}

/// VRs whose explicit header has two reserved bytes and a 32-bit length (PS3.5 §7.1.2).
pub(super) fn has_long_header(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    )
}

/// Bytes of one value of a binary VR (PS3.5 §6.2); 1 where any length is right.
fn unit(vr: VR) -> u32 {
    match vr {
        VR::SS | VR::US | VR::OW => 2,
        VR::AT | VR::FL | VR::SL | VR::UL | VR::OF | VR::OL => 4,
        VR::FD | VR::SV | VR::UV | VR::OD | VR::OV => 8,
        _ => 1,
    }
}

/// The VR that the dictionary gives, and the decoder takes.
fn implicit_vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1 << 20, elements: 1000, nesting: 8 };
    const EXPLICIT: Encoding = Encoding { explicit: true, big_endian: false };
    const IMPLICIT: Encoding = Encoding { explicit: false, big_endian: false };

    fn short(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(tag.group().to_le_bytes());
        bytes.extend(tag.element().to_le_bytes());
        bytes.extend(vr.as_bytes());
        bytes.extend((value.len() as u16).to_le_bytes());
        bytes.extend(value);
        bytes
    }

    fn long(tag: Tag, vr: &str, length: u32) -> Vec<u8> {
        let mut bytes = short(tag, vr, &[]);
        bytes.extend(length.to_le_bytes());
        bytes
    }

    fn bare(tag: Tag, length: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(tag.group().to_le_bytes());
        bytes.extend(tag.element().to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes
    }

    #[test]
    fn finds_pixel_data_byte_by_byte_and_remembers_identity() {
        let mut head = short(tags::SOP_CLASS_UID, "UI", b"1.2\0");
        head.extend(long(Tag(0x0008, 0x1140), "SQ", UNDEFINED));
        head.extend(bare(ITEM, UNDEFINED));
        head.extend(short(tags::SOP_INSTANCE_UID, "UI", b"9.9\0"));
        head.extend(bare(ITEM_END, 0));
        head.extend(bare(SEQUENCE_END, 0));
        head.extend(short(tags::NUMBER_OF_FRAMES, "IS", b"12"));
        let start = head.len();
        head.extend(long(tags::PIXEL_DATA, "OW", 100));
        let mut scanner = Scanner::new(EXPLICIT, LIMITS);
        for length in 0..head.len() {
            assert!(matches!(scanner.advance(&head[..length]), Ok(Scan::More(more)) if more > length));
        }
        let Ok(Scan::PixelData(pixels)) = scanner.advance(&head) else { panic!("no pixel data") };
        assert_eq!((pixels.start, pixels.value, pixels.length), (start, head.len(), Some(100)));
        assert_eq!(scanner.found().text(Key::SopClass, &head), Some("1.2"));
        assert_eq!(scanner.found().text(Key::NumberOfFrames, &head), Some("12"));
        assert_eq!(scanner.found().text(Key::SopInstance, &head), None, "nested ones do not count");
    }

    #[test]
    fn nesting_bombs_are_refused_in_either_length_form() {
        for length in [UNDEFINED, 0x00FF_0000] {
            let mut bomb = Vec::new();
            for _ in 0..100 {
                bomb.extend(long(Tag(0x0008, 0x1140), "SQ", length));
                bomb.extend(bare(ITEM, length));
            }
            let error = Scanner::new(EXPLICIT, LIMITS).advance(&bomb).unwrap_err();
            assert!(matches!(error, ScanError::TooDeep(8) | ScanError::Malformed { .. }), "{error:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let mut many = Vec::new();
        for _ in 0..1001 {
            many.extend(short(Tag(0x0010, 0x0010), "PN", b""));
        }
        assert_eq!(Scanner::new(EXPLICIT, LIMITS).advance(&many), Err(ScanError::TooManyElements(1000)));
        let huge = long(Tag(0x0042, 0x0011), "OB", 2 << 20);
        assert_eq!(Scanner::new(EXPLICIT, LIMITS).advance(&huge), Err(ScanError::TooLong(1 << 20)));
    }

    #[test]
    fn a_child_may_not_outgrow_its_parent() {
        let mut bytes = long(Tag(0x0008, 0x1140), "SQ", 16);
        bytes.extend(bare(ITEM, 400));
        assert!(matches!(Scanner::new(EXPLICIT, LIMITS).advance(&bytes), Err(ScanError::Malformed { .. })));
    }

    #[test]
    fn what_readers_would_read_differently_is_refused() {
        let twice = short(tags::STUDY_INSTANCE_UID, "UI", b"1.2\0").repeat(2);
        let mut beyond = short(Tag(0x7FE0, 0x0011), "LO", b"");
        beyond.extend(long(tags::PIXEL_DATA, "OW", 4));
        let half = short(Tag(0x0028, 0x0009), "AT", &[1, 0]);
        let mut fragments = long(Tag(0x7FE0, 0x0000), "OB", UNDEFINED);
        fragments.extend(bare(ITEM, 8));
        for bytes in [twice, beyond, half, fragments] {
            let scan = Scanner::new(EXPLICIT, LIMITS).advance(&bytes);
            assert!(matches!(scan, Err(ScanError::Malformed { .. })), "{scan:?}");
        }
    }

    #[test]
    fn implicit_sequences_are_entered() {
        let mut bytes = bare(Tag(0x0008, 0x1140), UNDEFINED);
        bytes.extend(bare(ITEM, 0));
        bytes.extend(bare(SEQUENCE_END, 0));
        bytes.extend(bare(tags::PIXEL_DATA, 4));
        let scan = Scanner::new(IMPLICIT, LIMITS).advance(&bytes);
        assert!(matches!(scan, Ok(Scan::PixelData(_))), "{scan:?}");
    }

    #[test]
    fn an_end_inside_an_element_is_told() {
        let bytes = short(Tag(0x0010, 0x0020), "LO", b"1234");
        let mut scanner = Scanner::new(EXPLICIT, LIMITS);
        assert!(scanner.advance(&bytes[..10]).is_ok());
        assert!(scanner.finish(10).is_err());
        let mut scanner = Scanner::new(EXPLICIT, LIMITS);
        assert!(scanner.advance(&bytes).is_ok());
        assert_eq!(scanner.finish(bytes.len()), Ok(()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), explicit: bool, big_endian: bool) {
            let mut scanner = Scanner::new(Encoding { explicit, big_endian }, LIMITS);
            let _ = scanner.advance(&bytes);
            let _ = scanner.finish(bytes.len());
        }

        #[test]
        fn chunking_does_not_matter(cuts in proptest::collection::vec(0usize..200, 0..8), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = Scanner::new(EXPLICIT, LIMITS).advance(&bytes);
            let mut scanner = Scanner::new(EXPLICIT, LIMITS);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut last = Ok(Scan::More(0));
            for cut in cuts.into_iter().chain([bytes.len()]) {
                last = scanner.advance(&bytes[..cut]);
                if !matches!(last, Ok(Scan::More(_))) { break; }
            }
            prop_assert_eq!(last, whole);
        }
    }
}
