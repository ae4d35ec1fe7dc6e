//! Writes what stands before the pixels: the Part 10 preamble, File Meta Information and the data
//! set up to the value of Pixel Data (PS3.10 §7.1, PS3.5 §A.2 and §A.4).
//!
//! The DICOM library serialises; the pixels are never handed to it. That rests on Pixel Data
//! being the last element, which [`head`] asserts by leaving out what would follow.

use bytes::{BufMut, Bytes, BytesMut};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::FileMetaTableBuilder;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::{Dataset, EXPLICIT_VR_LITTLE_ENDIAN};

/// Implementation Class UID (0002,0012) of framegate.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.43280747284120107757023361360262359890";
/// Implementation Version Name (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("FRAMEGATE_", env!("CARGO_PKG_VERSION"));

/// An empty Basic Offset Table: an item of length 0 (PS3.5 §A.4).
pub const EMPTY_OFFSET_TABLE: [u8; 8] = [0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0];
/// The tag of an Item (FFFE,E000).
const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
/// The Sequence Delimitation Item that closes encapsulated Pixel Data.
pub const SEQUENCE_DELIMITER: [u8; 8] = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];

/// A data set could not be written; the library's words.
#[derive(Debug, thiserror::Error)]
#[error("the data set cannot be encoded: {0}")]
pub struct EncodeError(String);

impl EncodeError {
    fn of(error: impl std::error::Error) -> Self {
        Self(super::chain(&error))
    }

    /// An element that the instance cannot do without.
    pub(super) fn missing(tag: Tag) -> Self {
        Self(format!("{tag} is absent or unusable"))
    }
}

/// The value of Pixel Data that is to follow a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelValue {
    /// No Pixel Data.
    None,
    /// A native value of this many bytes, made even by the tail.
    Native(Tag, VR, u32),
    /// Items up to a delimiter.
    Encapsulated,
}

/// What follows a native value of this many bytes: a zero where it is odd (PS3.5 §8.1.1).
pub fn native_tail(length: u32) -> Bytes {
    Bytes::from_static(if length.is_multiple_of(2) { &[] } else { &[0] })
}

/// The value of Pixel Data that is a whole frame in one fragment, made even by a zero: an empty Basic
/// Offset Table and the fragment's item (PS3.5 §A.4), without the delimiter.
///
/// # Errors
/// When the codestream is longer than an item can be.
pub fn single_fragment(codestream: &[u8]) -> Result<Bytes, EncodeError> {
    let length = u32::try_from(codestream.len()).ok().and_then(|length| length.checked_next_multiple_of(2));
    let length = length.ok_or(EncodeError::missing(tags::PIXEL_DATA))?;
    let mut items = BytesMut::with_capacity(EMPTY_OFFSET_TABLE.len() + 8 + length as usize);
    items.put_slice(&EMPTY_OFFSET_TABLE);
    items.put_slice(&ITEM);
    items.put_u32_le(length);
    items.put_slice(codestream);
    items.put_bytes(0, length as usize - codestream.len());
    Ok(items.freeze())
}

/// A head and where the data set in it stands.
#[derive(Debug)]
pub struct Head {
    /// Preamble, File Meta Information, data set, header of Pixel Data.
    pub bytes: BytesMut,
    /// Offset of the data set.
    pub dataset_start: usize,
    /// Offset of Pixel Data's element header, or the end.
    pub dataset_end: usize,
}

/// Preamble and File Meta Information; the data set follows directly.
///
/// # Errors
/// When a UID is none.
pub fn file_meta(
    transfer_syntax: &str,
    sop_class: &str,
    sop_instance: &str,
    source_ae_title: Option<&str>,
) -> Result<BytesMut, EncodeError> {
    let mut builder = FileMetaTableBuilder::new()
        .transfer_syntax(transfer_syntax)
        .media_storage_sop_class_uid(sop_class)
        .media_storage_sop_instance_uid(sop_instance)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name(IMPLEMENTATION_VERSION_NAME);
    if let Some(title) = source_ae_title {
        builder = builder.source_application_entity_title(title);
    }
    let meta = builder.build().map_err(EncodeError::of)?;
    let mut bytes = BytesMut::with_capacity(4096);
    bytes.put_bytes(0, 128);
    bytes.put_slice(b"DICM");
    let mut writer = bytes.writer();
    meta.write(&mut writer).map_err(EncodeError::of)?;
    Ok(writer.into_inner())
}

/// Appends `dataset` in Explicit VR Little Endian, and the element header of `pixels`, to what
/// [`file_meta`] gave. Elements at and after Pixel Data must have been removed.
///
/// # Errors
/// When the library cannot encode a value.
pub fn head(meta: BytesMut, dataset: &Dataset, pixels: PixelValue) -> Result<Head, EncodeError> {
    debug_assert!(
        pixels == PixelValue::None || dataset.tags().all(|tag| tag < tags::PIXEL_DATA),
        "Pixel Data is last"
    );
    let dataset_start = meta.len();
    let syntax = TransferSyntaxRegistry
        .get(EXPLICIT_VR_LITTLE_ENDIAN)
        .ok_or_else(|| EncodeError("Explicit VR Little Endian is not in the registry".to_owned()))?;
    let mut writer = meta.writer();
    dataset.write_dataset_with_ts(&mut writer, syntax).map_err(EncodeError::of)?;
    let mut bytes = writer.into_inner();
    let dataset_end = bytes.len();
    let (tag, vr, length) = match pixels {
        PixelValue::None => return Ok(Head { bytes, dataset_start, dataset_end }),
        PixelValue::Native(tag, vr, length) => (tag, vr, length.next_multiple_of(2)),
        PixelValue::Encapsulated => (tags::PIXEL_DATA, VR::OB, u32::MAX),
    };
    bytes.put_u16_le(tag.group());
    bytes.put_u16_le(tag.element());
    bytes.put_slice(&vr.to_bytes());
    bytes.put_u16_le(0);
    bytes.put_u32_le(length);
    Ok(Head { bytes, dataset_start, dataset_end })
}

/// Group Length elements (gggg,0000) are retired and wrong after re-encoding.
pub(super) fn drop_group_lengths(dataset: &mut Dataset) {
    let lengths: Vec<Tag> = dataset.tags().filter(|tag| tag.element() == 0).collect();
    for tag in lengths {
        dataset.remove_element(tag);
    }
}
