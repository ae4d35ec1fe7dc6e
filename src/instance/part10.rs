//! Reads the beginning of a Part 10 file while it arrives: preamble, prefix and File Meta
//! Information (PS3.10 §7.1). What follows is the data set, for an
//! [`Assembler`](super::assemble::Assembler), which needs to know its transfer syntax first.
//!
//! File Meta Information Group Length is not relied upon: files are known in which it is wrong or
//! absent. Elements of group 0002 are read for as long as there are any. Nor need there be a preamble:
//! pydicom, and with it dicomweb-client, leaves it and the prefix out for a data set that never had one.

use bytes::{Buf, Bytes, BytesMut};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::Uid;
use super::scan::has_long_header;

/// Most bytes of preamble, prefix and File Meta Information; real ones have a few hundred.
pub const MAX_META: usize = 64 << 10;

const PREAMBLE: usize = 128;
const PREFIX: &[u8] = b"DICM";
const GROUP: u16 = 0x0002;
/// File Meta Information Group Length, up to its length: what stands first in a file without preamble.
const GROUP_LENGTH: &[u8] = b"\x02\0\0\0UL";

/// What File Meta Information says of the data set behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileMeta {
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax: Option<Uid>,
    /// Media Storage SOP Class UID (0002,0002).
    pub sop_class: Option<Uid>,
    /// Media Storage SOP Instance UID (0002,0003).
    pub sop_instance: Option<Uid>,
    /// Source Application Entity Title (0002,0016), where it is one.
    pub source_ae_title: Option<String>,
}

/// Why bytes are not the beginning of a Part 10 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Neither `DICM` after 128 bytes nor File Meta Information at the beginning.
    #[error("it is no Part 10 file: there is no DICM after 128 bytes")]
    NoPrefix,
    /// An element that cannot be one of Explicit VR Little Endian, which this group always is in.
    #[error("File Meta Information is malformed")]
    Malformed,
    /// Longer than [`MAX_META`].
    #[error("File Meta Information is longer than {MAX_META} bytes")]
    TooLong,
    /// A value that is no UID, or one that stands twice.
    #[error("{0} is malformed or stands twice")]
    Value(&'static str),
    /// The file ended inside of it.
    #[error("it ends inside File Meta Information")]
    Truncated,
}

/// What stands at a place in the bytes.
enum Place {
    /// An element of the group: tag, where its value is.
    Element(Tag, std::ops::Range<usize>),
    /// Something else: the data set begins.
    DataSet,
    /// More bytes are needed to tell.
    More,
}

/// An incremental reader of one file's beginning.
#[derive(Debug, Default)]
pub struct MetaReader {
    come: BytesMut,
    /// Whether the preamble is behind us.
    begun: bool,
    /// Where the element that is being read starts.
    position: usize,
    /// Where the group ends by its own word.
    announced_end: Option<usize>,
    meta: FileMeta,
}

impl MetaReader {
    /// Takes bytes off the front of `input`. Gives what was found, and leaves the data set in
    /// `input`, once its first bytes tell that File Meta Information is over; `None` when all of
    /// `input` is taken.
    ///
    /// # Errors
    /// When this is no Part 10 file.
    pub fn read(&mut self, input: &mut Bytes) -> Result<Option<FileMeta>, MetaError> {
        let old = self.come.len();
        let room = MAX_META.saturating_sub(old).min(input.len());
        self.come.extend_from_slice(input.get(..room).unwrap_or_default());
        if !self.walk()? {
            input.advance(room);
            return if self.come.len() >= MAX_META { Err(MetaError::TooLong) } else { Ok(None) };
        }
        // What was taken with an earlier piece belongs to the data set all the same.
        if self.position < old {
            let mut early = self.come.split_off(self.position);
            early.truncate(old - self.position);
            early.extend_from_slice(input);
            *input = early.freeze();
        } else {
            input.advance(self.position - old);
        }
        Ok(Some(std::mem::take(&mut self.meta)))
    }

    /// The file has ended without a data set that could be told from File Meta Information.
    pub fn end(&self) -> MetaError {
        if self.come.len() < PREAMBLE + PREFIX.len() { MetaError::NoPrefix } else { MetaError::Truncated }
    }

    /// Whether the data set begins at `position`.
    fn walk(&mut self) -> Result<bool, MetaError> {
        if !self.begun {
            match self.come.get(PREAMBLE..PREAMBLE + PREFIX.len()) {
                None => return Ok(false),
                Some(PREFIX) => self.position = PREAMBLE + PREFIX.len(),
                Some(_) if self.come.starts_with(GROUP_LENGTH) => {}
                Some(_) => return Err(MetaError::NoPrefix),
            }
            self.begun = true;
        }
        loop {
            match self.place()? {
                Place::More => return Ok(false),
                Place::DataSet => return Ok(true),
                Place::Element(tag, value) => {
                    if value.end > MAX_META {
                        return Err(MetaError::TooLong);
                    }
                    let Some(bytes) = self.come.get(value.clone()) else { return Ok(false) };
                    note(&mut self.meta, tag, bytes)?;
                    if let (Tag(GROUP, 0), Some(&length)) = (tag, bytes.first_chunk::<4>()) {
                        self.announced_end =
                            Some(value.end.saturating_add(u32::from_le_bytes(length) as usize));
                    }
                    self.position = value.end;
                }
            }
        }
    }

    fn place(&self) -> Result<Place, MetaError> {
        let rest = self.come.get(self.position..).unwrap_or_default();
        let Some((&[g0, g1, e0, e1, v0, v1, l0, l1], behind)) = rest.split_first_chunk::<8>() else {
            return Ok(match rest.first_chunk::<2>() {
                Some(&group) if u16::from_le_bytes(group) != GROUP => Place::DataSet,
                _ => Place::More,
            });
        };
        if u16::from_le_bytes([g0, g1]) != GROUP {
            return Ok(Place::DataSet);
        }
        let Some(vr) = VR::from_binary([v0, v1]) else {
            // A deflated data set may begin with anything.
            let is_end = self.announced_end == Some(self.position);
            return if is_end { Ok(Place::DataSet) } else { Err(MetaError::Malformed) };
        };
        let tag = Tag(GROUP, u16::from_le_bytes([e0, e1]));
        let short = self.position + 8;
        if !has_long_header(vr) {
            let length = usize::from(u16::from_le_bytes([l0, l1]));
            return Ok(Place::Element(tag, short..short + length));
        }
        let Some(&length) = behind.first_chunk::<4>() else { return Ok(Place::More) };
        let length = u32::from_le_bytes(length);
        if vr == VR::SQ || length == u32::MAX {
            return Err(MetaError::Malformed);
        }
        Ok(Place::Element(tag, short + 4..(short + 4).saturating_add(length as usize)))
    }
}

/// Keeps the values that somebody asks for.
fn note(meta: &mut FileMeta, tag: Tag, bytes: &[u8]) -> Result<(), MetaError> {
    let text = std::str::from_utf8(bytes).map(|text| text.trim_matches(['\0', ' ']));
    let (slot, name) = match tag {
        tags::MEDIA_STORAGE_SOP_CLASS_UID => (&mut meta.sop_class, "Media Storage SOP Class UID"),
        tags::MEDIA_STORAGE_SOP_INSTANCE_UID => (&mut meta.sop_instance, "Media Storage SOP Instance UID"),
        tags::TRANSFER_SYNTAX_UID => (&mut meta.transfer_syntax, "Transfer Syntax UID"),
        tags::SOURCE_APPLICATION_ENTITY_TITLE => {
            // For information only: one that is none is left out.
            let is_title = |c: char| c.is_ascii_graphic() || c == ' ';
            meta.source_ae_title = text
                .ok()
                .filter(|title| (1..=16).contains(&title.len()) && title.chars().all(is_title))
                .map(str::to_owned);
            return Ok(());
        }
        _ => return Ok(()),
    };
    match text {
        Ok(uid) if super::is_uid(uid) && slot.is_none() => *slot = Some(uid.into()),
        _ => return Err(MetaError::Value(name)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::instance::encode::file_meta;

    const SYNTAX: &str = "1.2.840.10008.1.2.1";

    fn file() -> Vec<u8> {
        file_meta(SYNTAX, "1.2.3", "1.2.3.4", Some("XA1")).unwrap().to_vec()
    }

    fn read(bytes: &[u8], step: usize) -> Result<(FileMeta, Vec<u8>), MetaError> {
        let mut reader = MetaReader::default();
        let mut chunks = bytes.chunks(step);
        while let Some(chunk) = chunks.next() {
            let mut chunk = Bytes::copy_from_slice(chunk);
            if let Some(meta) = reader.read(&mut chunk)? {
                let rest = chunks.flatten().copied();
                return Ok((meta, chunk.into_iter().chain(rest).collect()));
            }
            assert!(chunk.is_empty());
        }
        Err(reader.end())
    }

    fn expected() -> FileMeta {
        FileMeta {
            transfer_syntax: Some(SYNTAX.into()),
            sop_class: Some("1.2.3".into()),
            sop_instance: Some("1.2.3.4".into()),
            source_ae_title: Some("XA1".to_owned()),
        }
    }

    #[test]
    fn a_file_without_preamble_is_read_as_well() {
        let data_set = [8, 0, 5, 0, b'C', b'S', 2, 0, b'1', b' '];
        let whole = [&file()[PREAMBLE + PREFIX.len()..], &data_set].concat();
        for step in [1, 7, 133, whole.len()] {
            assert_eq!(read(&whole, step), Ok((expected(), data_set.to_vec())), "{step}");
        }
        assert_eq!(read(&whole[12..], 9), Err(MetaError::NoPrefix), "it begins with the group's length");
    }

    #[test]
    fn the_data_set_is_left_whole_however_the_file_is_cut() {
        for data_set in [&b"\x08\x00\x16\x00UI\x04\x001.2\0"[..], b"\x08\x00"] {
            let bytes = [&file()[..], data_set].concat();
            for step in 1..=bytes.len() {
                assert_eq!(read(&bytes, step), Ok((expected(), data_set.to_vec())), "{step}");
            }
        }
    }

    #[test]
    fn a_group_length_that_is_absent_or_wrong_does_not_matter() {
        let data_set = b"\x08\x00\x16\x00UI\x04\x001.2\0";
        let whole = file();
        let without = [&whole[..132], &whole[144..]].concat();
        for mut file in
            [without, whole.clone(), whole.clone()].into_iter().enumerate().map(|(n, mut file)| {
                if n > 0 {
                    file[140] = if n == 1 { 3 } else { 255 };
                }
                file
            })
        {
            file.extend(data_set);
            assert_eq!(read(&file, 7), Ok((expected(), data_set.to_vec())));
        }
    }

    #[test]
    fn a_deflated_data_set_may_begin_like_the_group() {
        let bytes = [&file()[..], &[2, 0, 0xFF, 0xFE, 1, 2, 3, 4]].concat();
        assert_eq!(read(&bytes, 9).unwrap().1, [2, 0, 0xFF, 0xFE, 1, 2, 3, 4]);
    }

    #[test]
    fn what_is_no_part_10_file_is_refused() {
        let mut no_prefix = file();
        no_prefix[130] = b'X';
        assert_eq!(read(&no_prefix, 64), Err(MetaError::NoPrefix));
        assert_eq!(read(&file()[128..], 64), Err(MetaError::NoPrefix));
        assert_eq!(read(&file(), 64), Err(MetaError::Truncated));
        let element = |tag: [u8; 2], vr: &[u8], value: &[u8]| {
            [&[2, 0, tag[0], tag[1]], vr, &(value.len() as u16).to_le_bytes(), value].concat()
        };
        let with = |more: Vec<u8>| [file(), more, b"\x08\x00\x16\x00UI\0\0".to_vec()].concat();
        assert!(read(&with(element([0x12, 1], b"UI", b"")), 64).is_ok());
        let mut no_vr = with(element([0x12, 1], b"\0\0", b"1.2\0"));
        no_vr[140] += 1;
        assert_eq!(read(&no_vr, 64), Err(MetaError::Malformed));
        assert_eq!(
            read(&with(element([0x10, 0], b"UI", b"1.2\0")), 64),
            Err(MetaError::Value("Transfer Syntax UID"))
        );
        let long = |length: u32| {
            let mut bytes = with(vec![]);
            bytes.truncate(file().len());
            bytes.extend(b"\x02\x00\x02\x01OB\0\0");
            bytes.extend(length.to_le_bytes());
            bytes.resize(bytes.len() + MAX_META, 0);
            bytes
        };
        assert_eq!(read(&long(1 << 20), 999), Err(MetaError::TooLong));
        assert_eq!(read(&long(u32::MAX), 999), Err(MetaError::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_in_any_chunking(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            keep in 0usize..400,
            step in 1usize..50,
        ) {
            let mut bytes = file();
            bytes.truncate(keep);
            bytes.extend(noise);
            prop_assert_eq!(read(&bytes, step), read(&bytes, usize::MAX));
        }
    }
}
