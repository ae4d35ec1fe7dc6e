//! One frame as one SOP Instance, ready for the wire.
//!
//! An [`Instance`] is immutable and is made of a few shared byte slices: the **head** (Part 10
//! preamble, File Meta Information and the data set up to the value of Pixel Data), the
//! **pixels** (the value) and the **tail** (padding, sequence delimiter, what followed). A reader
//! costs a reference count and no copy. The head is written once by the DICOM library
//! ([`encode`]); the pixels are the bytes that came from the socket or the capture buffer.
//!
//! [`assemble`] makes instances out of an encoded data set while it is still arriving, with the
//! help of [`scan`] (where is Pixel Data, without decoding) and [`split`] (the data set of one
//! frame of a multi-frame object).

pub mod assemble;
pub mod encode;
pub mod json;
pub mod metadata;
pub mod part10;
pub(crate) mod pool;
pub mod scan;
pub mod secondary_capture;
pub mod split;
pub mod uid;
pub mod video;
mod way;
pub mod xml;

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::{FileDicomObject, InMemDicomObject};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use self::encode::{EncodeError, PixelValue};
use self::scan::{Encoding, HeadLimits, ScanError, Scanner};
pub use self::way::{Source, Way};

/// The decoder recurses; this depth fits any thread's stack.
const MAX_NESTING: usize = 64;
/// Elements of a command set; PS3.7 Annex E has some thirty in all.
const MAX_FLAT: usize = 256;

/// A decoded data set.
pub type Dataset = InMemDicomObject;

/// A UID (PS3.5 §9): digits and dots, at most 64 characters.
pub type Uid = Arc<str>;

/// Whether this may stand as a UID (PS3.5 §9.1).
pub(crate) fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Implicit VR Little Endian, the transfer syntax of command sets and the default of DIMSE.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian, the transfer syntax that DICOMweb takes as default.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// The four UIDs that say which instance of which series this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Study Instance UID (0020,000D).
    pub study: Uid,
    /// Series Instance UID (0020,000E).
    pub series: Uid,
    /// SOP Class UID (0008,0016).
    pub sop_class: Uid,
    /// SOP Instance UID (0008,0018).
    pub sop_instance: Uid,
}

/// What the Pixel Data element of an instance holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelForm {
    /// The object has no Pixel Data (a report, a presentation state).
    Absent,
    /// Native pixels under this tag and VR (Pixel Data, Float or Double Float Pixel Data).
    Native(Tag, VR),
    /// Items: a Basic Offset Table and fragments (PS3.5 §A.4).
    Encapsulated,
}

/// One SOP Instance as it goes on the wire. Immutable; cheap to share.
pub struct Instance {
    pieces: Pieces,
    available: SystemTime,
    arrived: Instant,
    way: Option<Way>,
}

/// The pieces an [`Instance`] is made of.
pub(crate) struct Pieces {
    pub(crate) identity: Identity,
    pub(crate) number: Option<i32>,
    pub(crate) transfer_syntax: Uid,
    pub(crate) head: Bytes,
    /// Where in `head` the data set starts (after File Meta Information).
    pub(crate) dataset_start: usize,
    /// Where in `head` the data set without Pixel Data ends.
    pub(crate) dataset_end: usize,
    pub(crate) form: PixelForm,
    pub(crate) pixels: Bytes,
    pub(crate) tail: Bytes,
}

/// An instance's own bytes could not be decoded (they came from a peer and were forwarded as they are).
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The transfer syntax is none that the library can read.
    #[error("transfer syntax {0} cannot be decoded here")]
    TransferSyntax(Uid),
    /// The bytes are not a data set.
    #[error("the data set cannot be decoded: {0}")]
    Dataset(String),
}

impl std::fmt::Debug for Instance {
    /// Shows what it is of; the data set and the pixels are PHI.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("identity", &self.pieces.identity)
            .field("number", &self.pieces.number)
            .field("transfer_syntax", &self.pieces.transfer_syntax)
            .field("bytes", &self.len())
            .finish_non_exhaustive()
    }
}

impl Instance {
    pub(crate) fn new(pieces: Pieces) -> Self {
        debug_assert!(pieces.dataset_start <= pieces.dataset_end && pieces.dataset_end <= pieces.head.len());
        Self { pieces, available: SystemTime::now(), arrived: Instant::now(), way: None }
    }

    /// The same, with what it comes from and when that was begun, so that its stages are measured.
    pub fn coming_from(mut self, source: Source, begun: Instant) -> Self {
        self.way = Some(Way { source, begun, built: self.arrived, published: self.arrived });
        self
    }

    /// It comes into a ring.
    pub(crate) fn enters_ring(&mut self, now: Instant) {
        if let Some(way) = &mut self.way {
            way.published = now;
        }
    }

    /// An instance in Explicit VR Little Endian from a whole data set without Pixel Data, and its
    /// native pixels (OW where Bits Allocated is above 8, else OB).
    ///
    /// # Errors
    /// When the data set lacks one of its UIDs or cannot be encoded.
    pub fn native(dataset: &Dataset, pixels: Bytes) -> Result<Self, EncodeError> {
        let bits = dataset.get(tags::BITS_ALLOCATED).and_then(|element| element.to_int::<i32>().ok());
        let vr = if bits > Some(8) { VR::OW } else { VR::OB };
        let length = u32::try_from(pixels.len()).map_err(|_| EncodeError::missing(tags::PIXEL_DATA))?;
        let value = PixelValue::Native(tags::PIXEL_DATA, vr, length);
        Self::of(dataset, EXPLICIT_VR_LITTLE_ENDIAN, value, pixels, encode::native_tail(length))
    }

    /// An instance in `transfer_syntax`, one with encapsulated pixels, from a whole data set without
    /// Pixel Data, and the codestream of its only frame, which becomes one fragment (PS3.5 §A.4). The
    /// codestream is copied once; the attributes must be those of the codestream already.
    ///
    /// # Errors
    /// When the data set lacks one of its UIDs or cannot be encoded, and when the codestream is longer
    /// than a fragment can be (4 GiB).
    pub fn encapsulated(
        dataset: &Dataset,
        transfer_syntax: &str,
        codestream: impl AsRef<[u8]>,
    ) -> Result<Self, EncodeError> {
        let items = encode::single_fragment(codestream.as_ref())?;
        let tail = Bytes::from_static(&encode::SEQUENCE_DELIMITER);
        Self::of(dataset, transfer_syntax, PixelValue::Encapsulated, items, tail)
    }

    fn of(
        dataset: &Dataset,
        transfer_syntax: &str,
        value: PixelValue,
        pixels: Bytes,
        tail: Bytes,
    ) -> Result<Self, EncodeError> {
        let text = |tag| {
            let value = dataset.get(tag).and_then(|element| element.to_str().ok());
            value.map(|text| Uid::from(text.trim_matches(['\0', ' ']))).ok_or(EncodeError::missing(tag))
        };
        let identity = Identity {
            study: text(tags::STUDY_INSTANCE_UID)?,
            series: text(tags::SERIES_INSTANCE_UID)?,
            sop_class: text(tags::SOP_CLASS_UID)?,
            sop_instance: text(tags::SOP_INSTANCE_UID)?,
        };
        let meta = encode::file_meta(transfer_syntax, &identity.sop_class, &identity.sop_instance, None)?;
        let head = encode::head(meta, dataset, value)?;
        Ok(Self::new(Pieces {
            identity,
            number: dataset.get(tags::INSTANCE_NUMBER).and_then(|element| element.to_int().ok()),
            transfer_syntax: transfer_syntax.into(),
            head: head.bytes.freeze(),
            dataset_start: head.dataset_start,
            dataset_end: head.dataset_end,
            form: match value {
                PixelValue::None => PixelForm::Absent,
                PixelValue::Native(tag, vr, _) => PixelForm::Native(tag, vr),
                PixelValue::Encapsulated => PixelForm::Encapsulated,
            },
            pixels,
            tail,
        }))
    }

    /// Study, series, class and instance UID.
    pub fn identity(&self) -> &Identity {
        &self.pieces.identity
    }

    /// Instance Number (0020,0013), where the object has a readable one.
    pub fn number(&self) -> Option<i32> {
        self.pieces.number
    }

    /// Transfer Syntax UID (0002,0010) that the bytes are in.
    pub fn transfer_syntax(&self) -> &Uid {
        &self.pieces.transfer_syntax
    }

    /// When its last byte was in (wall clock).
    pub fn available(&self) -> SystemTime {
        self.available
    }

    /// When its last byte was in (monotonic clock, which nobody sets).
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Where it comes from and when it got how far; `None` of what is not measured.
    pub fn way(&self) -> Option<Way> {
        self.way
    }

    /// What kind of Pixel Data it has.
    pub fn form(&self) -> PixelForm {
        self.pieces.form
    }

    /// Length of the Part 10 file (bytes).
    pub fn len(&self) -> usize {
        self.pieces.head.len() + self.pieces.pixels.len() + self.pieces.tail.len()
    }

    /// Never true: an instance has at least its File Meta Information.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The Part 10 file (PS3.10 §7) as consecutive slices; none is copied.
    pub fn part10(&self) -> [Bytes; 3] {
        [self.pieces.head.clone(), self.pieces.pixels.clone(), self.pieces.tail.clone()]
    }

    /// The value of Pixel Data as encoded: native pixels, or items from the Basic Offset Table to
    /// the last fragment, without the sequence delimiter.
    pub fn pixels(&self) -> &Bytes {
        &self.pieces.pixels
    }

    /// Decodes the data set without Pixel Data.
    ///
    /// # Errors
    /// When the bytes, which a peer may have sent, are not a data set.
    pub fn dataset(&self) -> Result<Dataset, DecodeError> {
        let bytes = self.pieces.head.slice(self.pieces.dataset_start..self.pieces.dataset_end);
        decode(&bytes, &self.pieces.transfer_syntax)
    }

    /// Decodes the object up to and with Pixel Data (copied), for rendering and transcoding. What
    /// follows is left out: padding, and signatures that would be void.
    ///
    /// # Errors
    /// When the bytes, which a peer may have sent, are not a Part 10 object.
    pub fn object(&self) -> Result<FileDicomObject<Dataset>, DecodeError> {
        let tail = self.pieces.tail.get(..self.pixel_end()).unwrap_or(&self.pieces.tail);
        let stream =
            Cursor::new(&self.pieces.head).chain(Cursor::new(&self.pieces.pixels)).chain(Cursor::new(tail));
        FileDicomObject::from_reader(stream).map_err(|error| DecodeError::Dataset(chain(&error)))
    }

    /// How much of the tail belongs to Pixel Data (bytes): the delimiter, or the padding of an odd length.
    fn pixel_end(&self) -> usize {
        match self.pieces.form {
            PixelForm::Absent => 0,
            PixelForm::Encapsulated => encode::SEQUENCE_DELIMITER.len(),
            // The head ends with the length of the value.
            PixelForm::Native(..) => self.pieces.head.last_chunk().map_or(0, |&length| {
                (u32::from_le_bytes(length) as usize).saturating_sub(self.pieces.pixels.len())
            }),
        }
    }

    /// The fragments of encapsulated Pixel Data without item headers and without the offset table;
    /// nothing for native ones.
    pub fn fragments(&self) -> Vec<Bytes> {
        if self.pieces.form != PixelForm::Encapsulated {
            return Vec::new();
        }
        let mut fragments = Vec::new();
        let mut rest = self.pieces.pixels.clone();
        while let Some((header, _)) = rest.split_first_chunk::<8>() {
            let [.., a, b, c, d] = *header;
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            if rest.len() < 8 + length {
                break;
            }
            let mut item = rest.split_to(8 + length);
            fragments.push(item.split_off(8));
        }
        if !fragments.is_empty() {
            fragments.remove(0);
        }
        fragments
    }
}

/// Decodes a data set, without Pixel Data, from its bytes. It is walked first, since the library
/// believes lengths: it would set aside 4 GB for an element that says so.
///
/// # Errors
/// When the transfer syntax is unknown or the bytes are not a data set in it.
pub fn decode(bytes: &[u8], transfer_syntax: &str) -> Result<Dataset, DecodeError> {
    decode_within(bytes, transfer_syntax, usize::MAX, MAX_NESTING)
}

/// Decodes a data set of few elements and no sequence, such as a command set.
///
/// # Errors
/// As [`decode`], and when there is a sequence or too much.
pub fn decode_flat(bytes: &[u8], transfer_syntax: &str) -> Result<Dataset, DecodeError> {
    decode_within(bytes, transfer_syntax, MAX_FLAT, 0)
}

fn decode_within(
    bytes: &[u8],
    transfer_syntax: &str,
    elements: usize,
    nesting: usize,
) -> Result<Dataset, DecodeError> {
    // The data set of an encapsulated or deflated syntax is Explicit VR LE once it is inflated,
    // which the assembler has done.
    let syntax = TransferSyntaxRegistry
        .get(transfer_syntax)
        .ok_or_else(|| DecodeError::TransferSyntax(transfer_syntax.into()))?;
    let limits = HeadLimits { bytes: bytes.len(), elements, nesting };
    let walked = match Scanner::new(Encoding::of(transfer_syntax), limits).walk(bytes) {
        Ok(None) => Ok(()),
        Ok(Some(pixels)) => Err(ScanError::Truncated(pixels.start)),
        Err(error) => Err(error),
    };
    walked.map_err(|error| DecodeError::Dataset(error.to_string()))?;
    InMemDicomObject::read_dataset_with_ts(bytes, syntax).map_err(|error| DecodeError::Dataset(chain(&error)))
}

/// An error and its causes in one line. Messages of the DICOM library name tags and lengths, not values.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests;
