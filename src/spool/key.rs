//! The master key of a spool. Either it is sealed: kept by somebody else, such as systemd, who gives it to the
//! service as a file (`LoadCredentialEncrypted=`, bound to the TPM), and it outlives a reboot. Or it is transient:
//! made here, in memory, and gone with a reboot, whoever takes the box away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, Prk};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::format::{FileKey, KeyId};

const LENGTH: usize = 32;
/// Of a transient key, in the directory given.
const NAME: &str = "spool.key";

/// A master key: 32 bytes, from which the key of each file is derived. Dropped, it is wiped from memory.
pub struct Key {
    master: Prk,
    id: KeyId,
    sealed: bool,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// For HKDF, a number of bytes.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Key {
    /// The sealed key in `file`: exactly 32 random bytes, which nobody but the owner may read. (Its group may,
    /// since an access control list, with which systemd grants a credential, shows as that.)
    ///
    /// # Errors
    /// [`KeyError`] if the file cannot be read, is not 32 bytes long, or is open to others.
    pub fn from_file(file: &Path) -> Result<Self, KeyError> {
        Self::read(file, 0o027, true).map_err(|error| error.of(file))
    }

    /// The transient key in `directory`, a tmpfs such as `/run/framegate`; made there if there is none yet. It
    /// survives the service, if systemd has `RuntimeDirectoryPreserve=yes`, but no reboot.
    ///
    /// # Errors
    /// [`KeyError`] if the directory is no tmpfs, or the key there cannot be read or made or is open to others.
    pub fn transient(directory: &Path) -> Result<Self, KeyError> {
        let file = directory.join(NAME);
        if !is_volatile(directory).map_err(|error| Fault::Io(error).of(directory))? {
            return Err(KeyError::NotVolatile { directory: directory.to_owned() });
        }
        match Self::read(&file, 0o077, false) {
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                make(directory, &file)?;
                Self::read(&file, 0o077, false)
            }
            other => other,
        }
        .map_err(|error| error.of(&file))
    }

    fn read(file: &Path, closed: u32, sealed: bool) -> Result<Self, Fault> {
        let mut content = Zeroizing::new([0; LENGTH + 1]);
        let mut opened = File::open(file).map_err(Fault::Io)?;
        let metadata = opened.metadata().map_err(Fault::Io)?;
        if !metadata.is_file() {
            return Err(Fault::Length);
        }
        let mode = metadata.mode() & 0o777;
        if mode & closed != 0 {
            return Err(Fault::Open(mode));
        }
        let mut length = 0;
        while let Some(rest @ [_, ..]) = content.get_mut(length..) {
            match opened.read(rest).map_err(Fault::Io)? {
                0 => break,
                more => length += more,
            }
        }
        match content.first_chunk() {
            Some(bytes) if length == LENGTH => Self::new(bytes, sealed).ok_or(Fault::Random),
            _ => Err(Fault::Length),
        }
    }

    /// `None` if the library fails, which it does for no input of these lengths.
    pub(super) fn new(bytes: &[u8; LENGTH], sealed: bool) -> Option<Self> {
        let master = Prk::new_less_safe(HKDF_SHA256, bytes);
        let mut id = KeyId::default();
        master.expand(&[b"framegate spool key id"], Length(id.len())).ok()?.fill(&mut id).ok()?;
        Some(Self { master, id, sealed })
    }

    /// Whether it outlives a reboot.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// The key of the file with this `salt`.
    pub(super) fn of_file(&self, salt: &[u8; 32]) -> io::Result<FileKey> {
        let info: [&[u8]; 2] = [b"framegate spool file", salt];
        let key = self.master.expand(&info, &AES_256_GCM).map_err(|_| io::Error::other("no key derived"))?;
        Ok(FileKey(LessSafeKey::new(UnboundKey::from(key))))
    }
}

/// Whether what is written into `directory` is in memory only, and gone with a reboot.
///
/// # Errors
/// If there is no such directory.
pub fn is_volatile(directory: &Path) -> io::Result<bool> {
    Ok(statfs(directory)?.filesystem_type() == TMPFS_MAGIC)
}

/// Makes a key. Under its name it appears whole or not at all, and one that another process has made meanwhile
/// stays.
fn make(directory: &Path, file: &Path) -> Result<(), KeyError> {
    let (mut name, mut key) = ([0; 8], Zeroizing::new([0; LENGTH]));
    aws_lc_rs::rand::fill(&mut name).map_err(|_| KeyError::Random)?;
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| KeyError::Random)?;
    let part = directory.join(format!("{NAME}.{:016x}", u64::from_be_bytes(name)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut opened| opened.write_all(key.as_slice()))
        .and_then(|()| fs::hard_link(&part, file));
    let removed = fs::remove_file(&part);
    match written.and(removed) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Fault::Io(error).of(file)),
        _ => Ok(()),
    }
}

/// A [`KeyError`] without the file.
enum Fault {
    Io(io::Error),
    Length,
    Open(u32),
    Random,
}

impl Fault {
    fn of(self, file: &Path) -> KeyError {
        let file = file.to_owned();
        match self {
            Self::Io(error) => KeyError::File { file, error },
            Self::Length => KeyError::Length { file },
            Self::Open(mode) => KeyError::Open { file, mode },
            Self::Random => KeyError::Random,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(bytes: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        (directory, file)
    }

    #[test]
    fn a_sealed_key_is_32_bytes_that_nobody_else_reads() {
        for (length, mode, fits) in [
            (32, 0o400, true),
            (32, 0o600, true),
            (32, 0o440, true),
            (32, 0o444, false),
            (32, 0o420, false),
            (32, 0o402, false),
            (31, 0o400, false),
            (33, 0o400, false),
            (0, 0o400, false),
        ] {
            let (_directory, file) = written(&vec![7; length], mode);
            let key = Key::from_file(&file);
            assert_eq!(key.is_ok(), fits, "{length} bytes, mode {mode:o}: {key:?}");
            assert!(key.is_ok_and(|key| key.is_sealed()) || !fits);
        }
        let missing = Key::from_file(Path::new("/nonexistent/key")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/key"), "{missing}");
    }

    #[test]
    fn nothing_shows_a_key() {
        let key = Key::new(&[0x5a; 32], true).unwrap();
        assert_eq!(format!("{key:?}"), "Key { sealed: true, .. }");
        assert_ne!(key.id(), Key::new(&[0x5b; 32], true).unwrap().id());
    }

    #[test]
    fn a_transient_key_is_made_once_and_only_in_memory() {
        let disk = tempfile::tempdir().unwrap();
        if is_volatile(disk.path()).unwrap() {
            println!("skipped: the temporary directory is a tmpfs, so no other kind can be tried");
        } else {
            assert!(matches!(Key::transient(disk.path()), Err(KeyError::NotVolatile { .. })));
        }
        let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
            println!("skipped: no tmpfs at /dev/shm");
            return;
        };
        let first = Key::transient(memory.path()).unwrap();
        assert!(!first.is_sealed());
        assert_eq!(first.id(), Key::transient(memory.path()).unwrap().id());
        let names: Vec<_> =
            fs::read_dir(memory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [NAME], "nothing is left over");
        let file = memory.path().join(NAME);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        make(memory.path(), &file).unwrap();
        assert_eq!(first.id(), Key::transient(memory.path()).unwrap().id(), "a key is never replaced");

        fs::remove_file(&file).unwrap();
        assert_ne!(first.id(), Key::transient(memory.path()).unwrap().id());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Key::transient(memory.path()), Err(KeyError::Open { mode: 0o640, .. })));
    }
}
