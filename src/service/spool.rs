//! The spools of the process: opened at the start, where the configuration has a directory for them, with their key.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use tokio::sync::Notify;

use super::events;
use crate::config::settings::SpoolSettings;
use crate::spool::{Bounds, KeepFree, Key, KeyError, OpenError, Spool};

/// Objects that may wait: beyond it looking through them would take its time.
const MOST_OBJECTS: usize = 1_000_000;
/// The runtime directory of a service that systemd did not give one.
const RUNTIME_DIRECTORY: &str = "/run/framegate";

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolStartError {
    /// Its key.
    #[error("spool.key_file: {0}")]
    Key(#[from] KeyError),
    /// The directory that all of them are in.
    #[error("spool.directory: {}: {error}; give the service a directory that it may write to", directory.display())]
    Folder {
        /// Which.
        directory: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The folder of a relay in it.
    #[error("spool.directory: {0}")]
    Directory(#[from] OpenError),
}

/// The spool of one relay, and what is notified of every object that is put there.
pub(super) type Opened = (Spool, Arc<Notify>);

/// Opens a spool for each relay, in a folder of its own, so that an upstream that is away holds up no other.
///
/// # Errors
/// When the key or a directory cannot be used.
pub(super) fn open<'r>(
    settings: &SpoolSettings,
    relays: impl Iterator<Item = &'r String>,
) -> Result<BTreeMap<String, Opened>, SpoolStartError> {
    let Some(directory) = &settings.directory else { return Ok(BTreeMap::new()) };
    let failed = |error| SpoolStartError::Folder { directory: directory.clone(), error };
    make(directory).map_err(failed)?;
    let mut opened = BTreeMap::new();
    for name in relays {
        let key = match &settings.key_file {
            Some(file) => Key::from_file(file)?,
            None => Key::transient(&runtime_directory())?,
        };
        let bounds = Bounds {
            max_bytes: settings.max_bytes,
            max_objects: MOST_OBJECTS,
            max_age: settings.max_age,
            keep_free: KeepFree::Bytes(settings.free_bytes),
        };
        let committed = Arc::new(Notify::new());
        let wake = Arc::clone(&committed);
        let spool = Spool::open(&directory.join(name), key, bounds, move || wake.notify_one())?;
        // What was refused for good may have been mended meanwhile.
        let again = spool.retry_set_aside();
        let waiting = spool.stats().objects;
        events::SpoolOpen { relay: name, waiting, again }.tell();
        opened.insert(name.clone(), (spool, committed));
    }
    let others = fs::read_dir(directory)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in others.filter(|name| !opened.contains_key(name)) {
        events::SpoolOrphaned { folder: &name }.tell();
    }
    Ok(opened)
}

/// The directory that all of them are in, for nobody but us.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    if directory.exists() { Ok(()) } else { fs::DirBuilder::new().mode(0o700).create(directory) }
}

/// The runtime directory that systemd has made for us, the first where it names several (systemd.exec(5)).
pub(super) fn given_directory() -> Option<PathBuf> {
    let named = std::env::var_os("RUNTIME_DIRECTORY")?;
    let first = named.to_str().and_then(|text| text.split(':').next())?;
    Some(first).filter(|first| !first.is_empty()).map(PathBuf::from)
}

/// The same, or where it would be.
pub(super) fn runtime_directory() -> PathBuf {
    given_directory().unwrap_or_else(|| Path::new(RUNTIME_DIRECTORY).to_owned())
}
