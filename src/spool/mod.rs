//! Keeps objects on the disk until they can be passed on: what was committed here may be acknowledged to whoever
//! sent it, and is given out later, in the order of commits. It is for the sites whose modality must be able to
//! store while the archive is away. Objects are bytes to the spool, and what has to be known to deliver one is
//! bytes beside it; it knows nothing of DICOM. All of it blocks, and is for threads that may.
//!
//! ```text
//!  Spool::begin ─► Writer::write… ─► commit ─► file of the next number ─► Spool::next ─► Entry::read
//!                                                       ▲                                  │
//!                                                       ├──────── dropped ─────────────────┤
//!                                                       └── retried ◄── set aside ◄────────┤
//!                                                                         removed ◄── done ┘
//! ```
//!
//! `directory.rs` has the files and their names, `format.rs` what is in them and how it is encrypted, `key.rs` the
//! key, `index.rs` in memory what there is, `recover.rs` what is made of files that were left, `writer.rs` and
//! `entry.rs` the way in and out, `stats.rs` the numbers.
//!
//! # What survives what
//!
//! An object is committed when its file is synced, has its final name, and the directory is synced. So what was
//! committed survives the end of the process at any moment, `kill -9` included, and power loss where the disk does
//! as it is told. The key decides what that is worth: a transient one lies in memory and does not survive a
//! reboot, so that after one all that waited is lost, and is counted, logged and removed; a sealed one is there
//! again. (Who changes from a transient key to a sealed one should do so while the spool is empty.) An object is given
//! out at least once: a crash while it is being delivered gives it out again.
//!
//! Nothing that was committed is removed to make room. Over a bound, or with a disk that is full, new objects are
//! refused. What is older than [`Bounds::max_age`] is removed, with an error in the log. Age is counted by a clock
//! that is not set, while the spool is open; over a restart by the times of the files, and a time that cannot be
//! true (in the future, or before this program was written: the clock of the box was not set) counts as just now.
//!
//! What has been altered or cut short is found before or while it is read, is counted as lost, and holds up nothing.
//! An object under a sealed key which is not the one at hand is not lost: the right key may come back. Such objects
//! are locked: kept, counted against the bounds, and removed only for age. The same goes for objects that another
//! release has written in a form that this one does not know.
//!
//! # Who learns what
//!
//! A thief of the disk learns how many objects there are, how long each is, when it was written and if it was set
//! aside with what code, and nothing of what is in them or of the data beside them; file names are numbers. With a
//! transient key, switched off is as good as wiped, provided that the tmpfs of the key is not swapped to a disk.
//! With a sealed key, it is as good as whoever seals it. Somebody who can write to the disk can remove objects, and put
//! back files that were removed: such an object is delivered again. They cannot alter, cut, exchange or make objects
//! unnoticed. Root on the running box can read the key, and everything.

mod directory;
mod entry;
mod error;
pub(crate) mod events;
mod format;
mod index;
mod key;
mod recover;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;

pub use entry::{Entry, Reader};
pub use error::{Bound, KeyError, OpenError, ReadError, SpoolError};
pub use format::MAX_META;
pub use key::{Key, is_volatile};
pub use stats::{Lost, SetAside, Stats};
pub use writer::Writer;

use directory::{Directory, Name};
use format::{Beginning, Header, Opener};
use index::{Index, Why};
use stats::Counts;

/// The reason for [`Entry::set_aside`] of an object that the disk does not give.
pub const UNREADABLE: u16 = 0;

/// How much a spool may hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of all files together, those being written and those set aside included. A file counts for whole
    /// blocks of 4096 bytes.
    pub max_bytes: u64,
    /// Objects, likewise.
    pub max_objects: usize,
    /// How old an object may get.
    pub max_age: Duration,
    /// What must stay free of the file system.
    pub keep_free: KeepFree,
}

/// Space of a file system that the spool leaves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepFree {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of its size.
    Percent(u8),
}

impl KeepFree {
    fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => whole.saturating_mul(percent.into()) / 100,
        }
    }
}

/// A spool: one directory, and the only owner of it. Cheap to clone; the directory is free for others when the last
/// clone, writer, and entry is gone. Readers may go on.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spool").field(&self.0.directory).finish()
    }
}

/// What writers and entries share. No lock is held while the disk is busy.
struct Shared {
    directory: Directory,
    key: Key,
    keep_free: KeepFree,
    index: Mutex<Index>,
    /// The next number for a temporary name.
    parts: AtomicU64,
    counts: Counts,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Why an object is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Damaged,
    WithoutKey,
}

impl Spool {
    /// Opens the spool in `directory`, which is made if only its last part is missing. What was being written when
    /// the last owner ended is removed; what was committed is there again. `wake` is called whenever there is
    /// something new for [`Spool::next`], by the thread that brought it, and must not block.
    ///
    /// # Errors
    /// [`OpenError`] if the directory is in use, is open to others, or cannot be read or written.
    pub fn open(
        directory: &Path,
        key: Key,
        bounds: Bounds,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let Bounds { max_bytes, max_objects, max_age, keep_free } = bounds;
        let shared = Shared {
            directory: Directory::open(directory)?,
            key,
            keep_free,
            index: Mutex::new(Index::new(max_bytes, max_objects, max_age)),
            parts: AtomicU64::new(0),
            counts: Counts::default(),
            wake: Box::new(wake),
        };
        shared
            .recover(SystemTime::now())
            .map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })?;
        shared.expire(Instant::now());
        Ok(Self(Arc::new(shared)))
    }

    /// Begins to take an object. `meta` is what has to be known to deliver it, at most [`MAX_META`] bytes; it is
    /// encrypted like the object.
    ///
    /// # Errors
    /// [`SpoolError::Full`] if there is no room for more, [`SpoolError::Disk`] if the disk fails,
    /// [`SpoolError::Meta`] if `meta` is too long.
    pub fn begin(&self, meta: &[u8]) -> Result<Writer, SpoolError> {
        Writer::begin(Arc::clone(&self.0), meta).inspect_err(|error| self.0.count(error))
    }

    /// The oldest object that nobody has in hands; `None` if there is none. Objects that turn out to be damaged are
    /// passed over and removed, those that the disk does not give are set aside as [`UNREADABLE`].
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if no object can be had, through no fault of this one, such as with too many open
    /// files. It stays in its place; try again later.
    pub fn next(&self) -> Result<Option<Entry>, SpoolError> {
        self.0.expire(Instant::now());
        loop {
            let taken = self.0.index().take();
            let Some(number) = taken else { return Ok(None) };
            match self.0.open(number) {
                Ok((opener, meta)) => {
                    return Ok(Some(Entry::new(Arc::clone(&self.0), number, opener, meta)));
                }
                Err(ReadError::Damaged) => self.0.lose(number, Loss::Damaged),
                Err(ReadError::Disk(error)) if is_of_one_file(&error) => {
                    events::Unreadable { number, error: &error }.tell();
                    // In memory it is aside whether its file can be renamed or not.
                    if let Err(error) = self.0.set_aside(number, UNREADABLE) {
                        events::NotRenamed { number, error: &error }.tell();
                    }
                }
                Err(ReadError::Disk(error)) => {
                    self.0.index().put_back(number);
                    return Err(SpoolError::Disk(error));
                }
            }
        }
    }

    /// Puts all that was set aside back into the queue, each in its old place. Returns how many.
    pub fn retry_set_aside(&self) -> usize {
        let mut count = 0;
        let all = self.0.index().take_aside();
        for (number, reason) in all {
            match self.0.directory.rename(Name::Aside(number, reason), Name::Object(number)) {
                Ok(()) => {
                    self.0.index().put_back(number);
                    count += 1;
                }
                Err(error) => {
                    events::NotHadBack { number, error: &error }.tell();
                    self.0.index().put_aside(number, reason);
                }
            }
        }
        if count > 0 {
            (self.0.wake)();
        }
        count
    }

    /// Removes what has become too old. Other calls do that too; call it every few minutes so that it is done where
    /// there are none.
    pub fn expire(&self) {
        self.0.expire(Instant::now());
    }

    /// Those that are set aside, in the order of commits, `most` at most.
    pub fn set_aside(&self, most: usize) -> Vec<SetAside> {
        let now = Instant::now();
        let index = self.0.index();
        index
            .aside()
            .filter_map(|(number, record, why)| match why {
                Why::Aside(reason) => {
                    Some(SetAside { number, reason, bytes: record.charge, age: record.age_at(now) })
                }
                Why::Locked(_) => None,
            })
            .take(most)
            .collect()
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file of an object that waits.
    fn open(&self, number: u64) -> Result<(Opener, Vec<u8>), ReadError> {
        let file = match self.directory.read(Name::Object(number)) {
            // Somebody has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Damaged),
            other => other?,
        };
        let Beginning::Ours(header) = Header::read(&file)? else { return Err(ReadError::Damaged) };
        let key = self.key.of_file(&header.salt)?;
        Opener::new(file, key, &header, number)
    }

    /// Puts an object that was taken out of the queue.
    fn set_aside(&self, number: u64, reason: u16) -> io::Result<()> {
        let renamed = self.directory.rename(Name::Object(number), Name::Aside(number, reason));
        self.index().put_aside(number, reason);
        renamed
    }

    /// An object that was taken turned out to be lost.
    fn lose(&self, number: u64, loss: Loss) {
        self.discard(Name::Object(number), number, loss);
        self.index().remove(number);
    }

    fn discard(&self, name: Name, number: u64, loss: Loss) {
        match loss {
            Loss::Damaged => {
                self.counts.damaged.fetch_add(1, Ordering::Relaxed);
                events::Damaged { number }.tell();
            }
            // Told once for all of them.
            Loss::WithoutKey => drop(self.counts.without_key.fetch_add(1, Ordering::Relaxed)),
        }
        self.erase(name, number);
    }

    /// Removes what is too old at `now`.
    fn expire(&self, now: Instant) {
        let gone = self.index().expire(now);
        let (Some((first, _)), Some((last, _))) = (gone.first(), gone.last()) else { return };
        events::Expired { objects: gone.len(), first: *first, last: *last }.tell();
        for (number, why) in gone {
            let name = match why {
                Some(Why::Aside(reason) | Why::Locked(Some(reason))) => Name::Aside(number, reason),
                Some(Why::Locked(None)) | None => Name::Object(number),
            };
            self.erase(name, number);
            self.counts.expired.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn erase(&self, name: Name, number: u64) {
        match self.directory.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                events::NotRemoved { number, error: &error }.tell();
            }
            _ => {}
        }
    }
}

/// Whether a disk failed in the place where one file is, rather than everything.
fn is_of_one_file(error: &io::Error) -> bool {
    // Media errors, as they come from block devices and file systems.
    let media = [Errno::EIO, Errno::ENODATA, Errno::EILSEQ, Errno::EUCLEAN, Errno::EBADMSG];
    error.raw_os_error().is_some_and(|code| media.contains(&Errno::from_raw(code)))
}
