//! A data set that came as DICOM JSON, and how it becomes the bytes that an assembler reads: the
//! same way into the hub as that of a file, so that what holds there holds here.
//!
//! Only the text is kept until its bulk data is here; it is read twice. The first reading finds out
//! which object it is and what it waits for.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::{TransferSyntax, TransferSyntaxIndex};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::failure::Failure;
use super::report::Reference;
use crate::instance::assemble::AssembleError;
use crate::instance::encode::{self, EMPTY_OFFSET_TABLE, PixelValue, SEQUENCE_DELIMITER};
use crate::instance::json::read::{self, BulkRef, ReadLimits};
use crate::instance::{Dataset, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Uid, is_uid};
use crate::source::refused::Refused;

const PIXELS: [Tag; 3] = [tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA, tags::PIXEL_DATA];

/// A data set that waits for its bulk data.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) of: Reference,
    text: Bytes,
    /// Bulk data outside of Pixel Data by its URI, as far as it has come.
    pub(super) others: HashMap<String, Option<Bytes>>,
    pub(super) pixels: Option<PixelRef>,
    /// Pixels that came before something else that stands ahead of them.
    pub(super) held: Option<(Encoded, Bytes)>,
    /// Taken or refused: nothing more is done about it.
    pub(super) is_done: bool,
}

/// Pixel Data that stands elsewhere.
#[derive(Debug, Clone)]
pub(super) struct PixelRef {
    pub(super) uri: String,
    tag: Tag,
    vr: VR,
}

/// How pixels of a part stand in Pixel Data.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) transfer_syntax: Uid,
    pub(super) is_encapsulated: bool,
}

impl Encoded {
    /// Those of a part in this transfer syntax. `None` where it is none that pixels alone can be in.
    pub(super) fn of(transfer_syntax: Uid) -> Option<Self> {
        match &*transfer_syntax {
            // Native pixels are the same in both.
            IMPLICIT_VR_LITTLE_ENDIAN | EXPLICIT_VR_LITTLE_ENDIAN => Some(Self::native()),
            other => {
                let known = TransferSyntaxRegistry.get(other);
                let is_encapsulated = known.is_some_and(TransferSyntax::is_encapsulated_pixel_data);
                is_encapsulated.then_some(Self { transfer_syntax, is_encapsulated })
            }
        }
    }

    fn native() -> Self {
        Self { transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN.into(), is_encapsulated: false }
    }

    /// What stands between the head and `length` bytes of pixels, and what behind them: encapsulated
    /// ones are one fragment.
    pub(super) fn around(&self, length: u32) -> (Vec<u8>, Vec<u8>) {
        let padding = vec![0; usize::from(!length.is_multiple_of(2))];
        if !self.is_encapsulated {
            return (Vec::new(), padding);
        }
        let (item, _) = EMPTY_OFFSET_TABLE.split_at(4);
        let length = length.next_multiple_of(2).to_le_bytes();
        ([&EMPTY_OFFSET_TABLE, item, &length].concat(), [&padding[..], &SEQUENCE_DELIMITER].concat())
    }
}

impl Described {
    /// Reads what a data set is and what it waits for.
    pub(super) fn new(text: Bytes, limits: ReadLimits) -> Result<Self, Failure> {
        let (mut others, mut pixels, mut twice) = (HashMap::new(), None, false);
        let dataset = read::data_set(&text, limits, &mut |BulkRef { uri, tag, vr, is_top }| {
            if is_top && PIXELS.contains(&tag) {
                twice |= pixels.replace(PixelRef { uri: uri.to_owned(), tag, vr }).is_some();
            } else {
                twice |= others.insert(uri.to_owned(), None).is_some();
            }
            None
        })?;
        if twice || pixels.as_ref().is_some_and(|pixels| others.contains_key(&pixels.uri)) {
            return Err(Failure::SameUri);
        }
        let uid = |tag| {
            let element = dataset.get(tag)?;
            let text = element.to_str().ok()?;
            let text = text.trim_matches(['\0', ' ']);
            is_uid(text).then(|| Uid::from(text))
        };
        let sop_class = uid(tags::SOP_CLASS_UID).ok_or(Failure::Unnamed)?;
        let sop_instance = uid(tags::SOP_INSTANCE_UID).ok_or(Failure::Unnamed)?;
        let of = Reference { sop_class, sop_instance };
        Ok(Self { of, text, others, pixels, held: None, is_done: false })
    }

    /// All URIs that it waits for.
    pub(super) fn uris(&self) -> impl Iterator<Item = &String> {
        self.others.keys().chain(self.pixels.iter().map(|pixels| &pixels.uri))
    }

    /// Whether everything that stands ahead of the pixels is here.
    pub(super) fn has_head(&self) -> bool {
        self.others.values().all(Option::is_some)
    }

    /// Whether everything is here.
    pub(super) fn is_complete(&self) -> bool {
        self.has_head() && (self.pixels.is_none() || self.held.is_some())
    }

    /// Lets go of what it holds, and gives the number of bytes: of pixels, and of everything else.
    pub(super) fn close(&mut self) -> (usize, usize) {
        self.is_done = true;
        let others = self.others.drain().filter_map(|(_, bytes)| bytes).map(|bytes| bytes.len()).sum();
        (self.held.take().map_or(0, |(_, bytes)| bytes.len()), others)
    }

    /// What is needed to write its head, for another thread: its pixels are `length` bytes.
    pub(super) fn recipe(&self, pixels: Option<(&Encoded, u32)>, limits: ReadLimits) -> Recipe {
        let others = self.others.iter();
        let others = others.filter_map(|(uri, bytes)| Some((uri.clone(), bytes.clone()?))).collect();
        let pixels = self.pixels.as_ref().zip(pixels).map(|(place, (encoded, length))| {
            let value = match encoded.is_encapsulated {
                true => PixelValue::Encapsulated,
                false => PixelValue::Native(place.tag, native_vr(place.tag, place.vr), length),
            };
            (place.tag, value)
        });
        Recipe { text: self.text.clone(), others, pixels, limits }
    }
}

fn native_vr(tag: Tag, vr: VR) -> VR {
    match (tag, vr) {
        (tags::FLOAT_PIXEL_DATA, _) => VR::OF,
        (tags::DOUBLE_FLOAT_PIXEL_DATA, _) => VR::OD,
        (_, VR::OB) => VR::OB,
        _ => VR::OW,
    }
}

/// What a head is written from.
#[derive(Debug)]
pub(super) struct Recipe {
    text: Bytes,
    others: HashMap<String, Bytes>,
    pixels: Option<(Tag, PixelValue)>,
    limits: ReadLimits,
}

/// A data set in Explicit VR Little Endian up to the value of Pixel Data.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: BytesMut,
    /// Pixels that stood in the metadata itself.
    pub(super) inline: Option<Vec<u8>>,
}

impl Recipe {
    /// Writes the head. Takes its time.
    pub(super) fn write(self) -> Result<Head, Failure> {
        let mut others = self.others;
        let mut dataset =
            read::data_set(&self.text, self.limits, &mut |bulk: BulkRef<'_>| others.remove(bulk.uri))?;
        let (mut pixels, mut inline) = (self.pixels, None);
        if pixels.is_none()
            && let Some((tag, vr, bytes)) = inline_pixels(&mut dataset)
        {
            let length = u32::try_from(bytes.len()).map_err(|_| Failure::Internal)?;
            pixels = Some((tag, PixelValue::Native(tag, vr, length)));
            inline = Some(bytes);
        }
        if let Some((tag, _)) = pixels {
            // Padding, and signatures that hold no longer.
            let behind: Vec<Tag> = dataset.tags().filter(|&behind| behind >= tag).collect();
            for tag in behind {
                dataset.remove_element(tag);
            }
        }
        let value = pixels.map_or(PixelValue::None, |(_, value)| value);
        let head = encode::head(BytesMut::new(), &dataset, value);
        let bytes = head.map_err(|error| Refused::Object(AssembleError::Encode(error)))?.bytes;
        Ok(Head { bytes, inline })
    }
}

fn inline_pixels(dataset: &mut Dataset) -> Option<(Tag, VR, Vec<u8>)> {
    let tag = PIXELS.into_iter().find(|&tag| dataset.get(tag).is_some())?;
    let element = dataset.take(tag)?;
    let vr = native_vr(tag, element.vr());
    Some((tag, vr, element.value().primitive()?.to_bytes().into_owned()))
}
