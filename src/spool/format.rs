//! How an object lies in its file, and how it is encrypted: AES-256-GCM in the STREAM construction (Hoang,
//! Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance",
//! CRYPTO 2015), under a key that no other file has.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 7 | `FGSPOOL` |
//! | 7 | 1 | version of this format, 1 |
//! | 8 | 1 | `S` if the master key was sealed, `T` if transient |
//! | 9 | 3 | zero |
//! | 12 | 4 | *m*, length of the meta data, big endian, at most 65536 |
//! | 16 | 16 | which master key: HKDF-Expand(master, `framegate spool key id`, 16) |
//! | 32 | 32 | salt, random |
//! | 64 | *m* + 16 | chunk 0: the meta data; authenticated with it, the 64 bytes before |
//! | 80 + *m* | *n* + 16 × *c* | chunks 1 to *c*: the object's *n* bytes, 65536 in each but the last, none of them empty |
//! | | 24 | last chunk, number *c* + 1: the number that names the file, 8 bytes, big endian |
//!
//! Every chunk is ciphertext of the length of the plaintext and a tag of 16 bytes. The key of a file is
//! HKDF-Expand(master, `framegate spool file` ‖ salt, 32) with SHA-256 (RFC 5869); the nonce of a chunk is 7 zero
//! bytes, its number in 4 bytes, big endian, and a byte that is 1 in the last chunk and else 0. So a chunk can
//! stand only in its own place of its own file, the end cannot be cut off, and a file cannot take another's name.
//! *n* and *c* follow from the length of the file; if that is not the right one, the last chunk is not where it
//! is looked for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::error::ReadError;

/// Plaintext in each chunk of an object but the last of them.
pub(super) const CHUNK: usize = 64 * 1024;
/// What the tag adds to a chunk.
pub(super) const TAG: usize = 16;
/// Longest meta data, in bytes.
pub const MAX_META: usize = CHUNK;

const MAGIC: &[u8; 7] = b"FGSPOOL";
const VERSION: u8 = 1;
const HEADER: usize = 64;
const LAST: usize = 8 + TAG;

/// The name of a master key, which tells nothing of it.
pub(super) type KeyId = [u8; 16];

/// The beginning of a file, in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the master key was a sealed one.
    pub(super) sealed: bool,
    pub(super) key_id: KeyId,
    pub(super) salt: [u8; 32],
    pub(super) meta: usize,
}

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It is of this version of the format.
    Ours(Header),
    /// It is of another version: some other release will read it.
    OtherVersion,
}

impl Header {
    pub(super) fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let meta = u32::try_from(self.meta).unwrap_or(u32::MAX).to_be_bytes();
        let fields: [&[u8]; 6] = [
            MAGIC,
            &[VERSION],
            &[if self.sealed { b'S' } else { b'T' }, 0, 0, 0],
            &meta,
            &self.key_id,
            &self.salt,
        ];
        for (to, from) in bytes.iter_mut().zip(fields.iter().copied().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads the beginning of `file`.
    pub(super) fn read(file: &File) -> Result<Beginning, ReadError> {
        let mut bytes = [0; HEADER];
        file.read_exact_at(&mut bytes, 0)?;
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8; HEADER]) -> Result<Beginning, ReadError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ReadError::Damaged)?;
        let (&version, rest) = rest.split_first().ok_or(ReadError::Damaged)?;
        if version != VERSION {
            return Ok(Beginning::OtherVersion);
        }
        let (kind, rest) = rest.split_first_chunk::<4>().ok_or(ReadError::Damaged)?;
        let (meta, rest) = rest.split_first_chunk().ok_or(ReadError::Damaged)?;
        let (key_id, rest) = rest.split_first_chunk().ok_or(ReadError::Damaged)?;
        let salt = rest.first_chunk().ok_or(ReadError::Damaged)?;
        let sealed = match kind {
            [b'S', 0, 0, 0] => true,
            [b'T', 0, 0, 0] => false,
            _ => return Err(ReadError::Damaged),
        };
        let meta = usize::try_from(u32::from_be_bytes(*meta)).unwrap_or(usize::MAX);
        if meta > MAX_META {
            return Err(ReadError::Damaged);
        }
        Ok(Beginning::Ours(Self { sealed, key_id: *key_id, salt: *salt, meta }))
    }
}

/// Where in a file a chunk stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: u32,
    last: bool,
}

/// The key of one file.
pub(super) struct FileKey(pub(super) LessSafeKey);

impl FileKey {
    fn nonce(place: Place) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let [.., a, b, c, d, last] = &mut nonce;
        [*a, *b, *c, *d] = place.number.to_be_bytes();
        *last = u8::from(place.last);
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, place: Place, beside: &[u8], chunk: &mut Vec<u8>) -> io::Result<()> {
        self.0
            .seal_in_place_append_tag(Self::nonce(place), Aad::from(beside), chunk)
            .map_err(|_| io::Error::other("encryption failed"))
    }

    /// Leaves the plaintext in `chunk`.
    fn open(&self, place: Place, beside: &[u8], chunk: &mut Vec<u8>) -> Result<(), ReadError> {
        let length = self
            .0
            .open_in_place(Self::nonce(place), Aad::from(beside), chunk)
            .map_err(|_| ReadError::Damaged)?
            .len();
        chunk.truncate(length);
        Ok(())
    }
}

/// Encrypts the chunks of one file in their order.
pub(super) struct Sealer {
    key: FileKey,
    /// Chunks sealed so far, that with the meta data included.
    chunks: u32,
}

impl Sealer {
    /// The sealer, and the beginning of the file: header and meta data.
    pub(super) fn begin(key: FileKey, header: &Header, meta: &[u8]) -> io::Result<(Self, Vec<u8>)> {
        let header = header.to_bytes();
        let mut chunk = meta.to_vec();
        key.seal(Place { number: 0, last: false }, &header, &mut chunk)?;
        Ok((Self { key, chunks: 1 }, [&header[..], &chunk].concat()))
    }

    /// Encrypts the next chunk of the object, which has [`CHUNK`] bytes, or fewer if it is the last one.
    pub(super) fn seal(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let place = Place { number: self.chunks, last: false };
        self.chunks = self.chunks.checked_add(1).ok_or_else(|| io::Error::other("the object is too long"))?;
        self.key.seal(place, &[], chunk)
    }

    /// The end of the file that is to be named by `number`.
    pub(super) fn finish(self, number: u64) -> io::Result<Vec<u8>> {
        let mut chunk = number.to_be_bytes().to_vec();
        self.key.seal(Place { number: self.chunks, last: true }, &[], &mut chunk)?;
        Ok(chunk)
    }
}

/// Decrypts the chunks of one file.
pub(super) struct Opener {
    file: File,
    key: FileKey,
    meta: usize,
    /// Bytes of the object, in plain.
    size: u64,
}

impl Opener {
    /// Opens the file that `number` names and looks at both its ends. Returns the meta data too.
    pub(super) fn new(
        file: File,
        key: FileKey,
        header: &Header,
        number: u64,
    ) -> Result<(Self, Vec<u8>), ReadError> {
        let start = start(header.meta);
        let length = file.metadata()?.len();
        let chunks = length.checked_sub(start + LAST as u64).ok_or(ReadError::Damaged)?;
        let count = chunks.div_ceil((CHUNK + TAG) as u64);
        let size = chunks.checked_sub(count * TAG as u64).ok_or(ReadError::Damaged)?;
        if size.div_ceil(CHUNK as u64) != count {
            return Err(ReadError::Damaged);
        }

        let mut end = vec![0; LAST];
        file.read_exact_at(&mut end, start + chunks)?;
        let last =
            count.checked_add(1).and_then(|last| u32::try_from(last).ok()).ok_or(ReadError::Damaged)?;
        key.open(Place { number: last, last: true }, &[], &mut end)?;
        if end != number.to_be_bytes() {
            return Err(ReadError::Damaged);
        }

        let mut meta = vec![0; header.meta + TAG];
        file.read_exact_at(&mut meta, HEADER as u64)?;
        key.open(Place { number: 0, last: false }, &header.to_bytes(), &mut meta)?;
        Ok((Self { file, key, meta: header.meta, size }, meta))
    }

    /// Bytes of the object.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads the object's chunk `index`, counted from 0, into `buffer`; `false` if there is none any more.
    pub(super) fn chunk(&self, index: u32, buffer: &mut Vec<u8>) -> Result<bool, ReadError> {
        let before = u64::from(index) * CHUNK as u64;
        let Some(rest @ 1..) = self.size.checked_sub(before) else { return Ok(false) };
        let length = usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK);
        // What the chunk before has left is overwritten: clearing it would cost as much as decrypting.
        buffer.resize(length + TAG, 0);
        let offset = start(self.meta) + u64::from(index) * (CHUNK + TAG) as u64;
        self.file.read_exact_at(buffer, offset)?;
        let number = index.checked_add(1).ok_or(ReadError::Damaged)?;
        self.key.open(Place { number, last: false }, &[], buffer)?;
        Ok(true)
    }
}

/// Where the object's first chunk begins.
fn start(meta: usize) -> u64 {
    (HEADER + meta + TAG) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(sealed: bool, key_id: [u8; 16], salt: [u8; 32], meta in 0..=MAX_META) {
            let header = Header { sealed, key_id, salt, meta };
            prop_assert_eq!(Header::parse(&header.to_bytes()).unwrap(), Beginning::Ours(header));
        }

        #[test]
        fn what_is_no_header_is_told_and_no_panic(
            mut bytes in prop::collection::vec(any::<u8>(), HEADER),
            like in 0..16_usize,
        ) {
            let model = Header { sealed: true, key_id: [0; 16], salt: [0; 32], meta: 1 }.to_bytes();
            bytes[..like].copy_from_slice(&model[..like]);
            if let Ok(Beginning::Ours(header)) = Header::parse(bytes.first_chunk().unwrap()) {
                prop_assert_eq!(&header.to_bytes()[..], &bytes[..]);
            }
        }
    }
}
