//! Files that are read again when they change: certificates, revocation lists, token keys. A [`Stamp`]
//! tells cheaply whether one did, and [`read`] takes no more of it than was thought of.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when a file is rewritten or replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// How a file looks now; `None` if it cannot be looked at.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Reads a file of at most `most` bytes; `None` if it is larger. Call it where blocking is allowed.
///
/// # Errors
/// What the operating system says.
pub fn read(file: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let size = File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((size as u64 <= most).then_some(bytes))
}
