//! The directory of a spool: the names of its files, what is done with them, and what makes that last. A name
//! says a number and a state, and nothing of what is in the file:
//!
//! | name | what |
//! |---|---|
//! | `00000000000000000012.object` | object 12, committed |
//! | `00000000000000000012.aside-a700` | object 12, set aside for the reason a700 |
//! | `00000000000000000003.part` | being written; of no object yet |
//!
//! Files of other names are not ours and are left alone.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::error::OpenError;
use super::events;

/// Numbers from here on are not ours: counting on would never reach them.
const TOO_HIGH: u64 = 1 << 62;

/// The name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A committed object.
    Object(u64),
    /// One that is set aside, and why.
    Aside(u64, u16),
    /// One that is being written.
    Part(u64),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(number) => write!(f, "{number:020}.object"),
            Self::Aside(number, reason) => write!(f, "{number:020}.aside-{reason:04x}"),
            Self::Part(number) => write!(f, "{number:020}.part"),
        }
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let (number, state) = text.split_once('.')?;
        let number = number.parse().ok().filter(|&number| number < TOO_HIGH)?;
        let name = match state.strip_prefix("aside-") {
            Some(reason) => Self::Aside(number, u16::from_str_radix(reason, 16).ok()?),
            None if state == "object" => Self::Object(number),
            None => Self::Part(number),
        };
        // Only what we would write ourselves, to the letter.
        (name.to_string() == text).then_some(name)
    }
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Name,
    /// Its length.
    pub(super) bytes: u64,
    /// When it was written.
    pub(super) written: SystemTime,
}

/// Space of the file system, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    pub(super) whole: u64,
    /// What others than root may still take.
    pub(super) free: u64,
}

/// The directory, and the lock on it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    handle: File,
    /// Whether a file was removed or renamed and power loss may undo it.
    unsynced: AtomicBool,
}

impl Directory {
    /// Makes it if need be, and takes the lock, which a process that is killed leaves to the next one.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let fault = |error| OpenError::Directory { directory: path.to_owned(), error };
        let made = match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fault(error)),
            made => made.is_ok(),
        };
        // Its own entry has to survive power loss too, also if a process died before it came to here.
        match parent(path).and_then(|parent| parent.sync_all()) {
            Err(error) if made => return Err(fault(error)),
            _ => {}
        }
        let flags = OFlag::O_DIRECTORY.bits();
        let handle = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fault)?;
        let mode = handle.metadata().map_err(fault)?.mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(OpenError::Open { directory: path.to_owned(), mode });
        }
        match handle.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { directory: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
        Ok(Self { path: path.to_owned(), handle, unsynced: AtomicBool::new(false) })
    }

    /// All files that are ours.
    pub(super) fn files(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().and_then(Name::parse) else { continue };
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                found.push(Found { name, bytes: metadata.len(), written: metadata.modified()? });
            }
        }
        Ok(found)
    }

    /// A new file to write to.
    pub(super) fn make(&self, name: Name) -> io::Result<File> {
        self.open_file(name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// A file to read.
    pub(super) fn read(&self, name: Name) -> io::Result<File> {
        self.open_file(name, OFlag::O_RDONLY)
    }

    /// Gives a file another name. Before [`Directory::sync`], power loss may undo it.
    pub(super) fn rename(&self, from: Name, to: Name) -> io::Result<()> {
        renameat(&self.handle, from.to_string().as_str(), &self.handle, to.to_string().as_str())?;
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Removes a file. Before [`Directory::sync`], power loss may bring it back.
    pub(super) fn remove(&self, name: Name) -> io::Result<()> {
        unlinkat(&self.handle, name.to_string().as_str(), UnlinkatFlags::NoRemoveDir)?;
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes all names last.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Marked before, so that what changes meanwhile is not taken for synced.
        self.unsynced.store(false, Ordering::Release);
        self.handle.sync_all().inspect_err(|_| self.unsynced.store(true, Ordering::Release))
    }

    /// The same, if there is anything that would not.
    pub(super) fn sync_if_needed(&self) {
        if self.unsynced.load(Ordering::Acquire)
            && let Err(error) = self.sync()
        {
            events::NotSynced { error: &error }.tell();
        }
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        let space = fstatvfs(&self.handle)?;
        // Of types that differ between platforms.
        #[allow(clippy::useless_conversion)]
        let [unit, whole, free] =
            [space.fragment_size().into(), space.blocks().into(), space.blocks_available().into()];
        let bytes = |blocks: u64| blocks.saturating_mul(unit);
        Ok(Space { whole: bytes(whole), free: bytes(free) })
    }

    /// Not by its path: under that there may be another directory by now, if a disk was unmounted, and what is not
    /// in that one is not lost.
    fn open_file(&self, name: Name, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(openat(&self.handle, name.to_string().as_str(), flags, mode).map(File::from)?)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.sync_if_needed();
        // Closing alone would leave the lock to a child process that is just being started and has a copy of the
        // handle until it runs its own program.
        if let Err(error) = self.handle.unlock() {
            events::NotUnlocked { error: &error }.tell();
        }
    }
}

fn parent(path: &Path) -> io::Result<File> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent),
        _ => File::open("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_directory_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let first = Directory::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let second = Directory::open(&path).unwrap_err();
        assert!(matches!(second, OpenError::InUse { .. }), "{second}");
        assert!(second.to_string().contains("in use by another process"), "{second}");
        drop(first);
        Directory::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(Directory::open(&path), Err(OpenError::Open { mode: 0o770, .. })));
        let missing = Directory::open(&folder.path().join("a/b")).unwrap_err();
        assert!(matches!(missing, OpenError::Directory { .. }), "{missing}");
    }

    #[test]
    fn only_files_of_ours_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        for name in ["README", "12.object", "00000000000000000012.object~", "99999999999999999999.object"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("00000000000000000013.object")).unwrap();
        fs::write(folder.path().join("00000000000000000014.object"), "12345").unwrap();
        let found = directory.files().unwrap();
        let found: Vec<_> = found.iter().map(|found| (found.name, found.bytes)).collect();
        assert_eq!(found, [(Name::Object(14), 5)]);
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(number in 0..TOO_HIGH, reason: u16) {
            for name in [Name::Object(number), Name::Aside(number, reason), Name::Part(number)] {
                prop_assert_eq!(Name::parse(&name.to_string()), Some(name));
            }
        }

        #[test]
        fn what_is_no_name_of_ours_is_none(text in "[0-9+]{0,22}\\.(object|part|aside-[0-9a-fA-F+]{0,5}|.{0,8})|.*") {
            if let Some(name) = Name::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
