//! Files that are whole or not there, whenever the power fails: written beside, synced, and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::IdentityError;

/// Of what an identity is made of nothing is nearly as large (bytes).
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// An error of the operating system with the path that it is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError + use<> {
    let path = path.to_owned();
    |error| IdentityError::Io { path, error }
}

/// `path` with `.new` after its name.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Makes `path`, which nobody may have made before, with exactly this mode, and syncs it.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // Whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// Syncs a directory, so that the names in it are on the disk.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Puts `bytes` in the place of `path` at once, with the owner, group and mode of `like`.
pub(super) fn replace(path: &Path, bytes: &[u8], like: &fs::Metadata) -> io::Result<()> {
    let part = beside(path);
    // Left by somebody who did not get to its end.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = write_new(&part, bytes, like.mode() & 0o777)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    fs::rename(&part, path)?;
    sync(path.parent().unwrap_or(Path::new("/")))
}
