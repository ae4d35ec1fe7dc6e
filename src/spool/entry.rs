//! Giving an object out: whoever delivers it holds an [`Entry`], and says what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::directory::Name;
use super::error::{ReadError, SpoolError};
use super::format::Opener;
use super::{Loss, Shared};

/// An object in the hands of one who delivers it. Dropped, it goes back to its place in the queue, to be had
/// again with the next [`Spool::next`](super::Spool::next).
///
/// An object is given out at least once. It comes again after a crash between its delivery and
/// [`Entry::done`], and may come again after power loss soon behind that.
#[must_use = "dropped, it goes back to the queue"]
pub struct Entry {
    shared: Arc<Shared>,
    number: u64,
    meta: Vec<u8>,
    opener: Arc<Opener>,
    /// Whether a reader found it damaged.
    damaged: Arc<AtomicBool>,
    /// Whether it was said what became of it.
    settled: bool,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Entry {
    pub(super) fn new(shared: Arc<Shared>, number: u64, opener: Opener, meta: Vec<u8>) -> Self {
        let damaged = Arc::new(AtomicBool::new(false));
        Self { shared, number, meta, opener: Arc::new(opener), damaged, settled: false }
    }

    /// Its number, as [`Writer::commit`](super::Writer::commit) returned it: fit for a log.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What was given beside the object to [`Spool::begin`](super::Spool::begin).
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// Bytes of the object.
    pub fn size(&self) -> u64 {
        self.opener.size()
    }

    /// Reads the object from its beginning. That neither end of it is missing is known already; a fault in the
    /// middle is found when it comes to it.
    pub fn read(&self) -> Reader {
        Reader {
            opener: Arc::clone(&self.opener),
            next: 0,
            buffer: Vec::new(),
            damaged: Arc::clone(&self.damaged),
        }
    }

    /// It is delivered: removes it.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if it cannot be removed: then it may come again when the spool is opened anew.
    pub fn done(mut self) -> Result<(), SpoolError> {
        self.settled = true;
        let removed = self.shared.directory.remove(Name::Object(self.number));
        self.shared.counts.delivered.fetch_add(1, Ordering::Relaxed);
        let drained = {
            let mut index = self.shared.index();
            index.remove(self.number);
            index.is_drained()
        };
        // Otherwise, the next commit sees to it.
        if drained {
            self.shared.directory.sync_if_needed();
        }
        Ok(removed?)
    }

    /// It is refused for good: keeps it out of the queue, until
    /// [`Spool::retry_set_aside`](super::Spool::retry_set_aside) or its age. `reason` is a code that means
    /// something to the caller and stands in the file's name; it is [`UNREADABLE`](super::UNREADABLE) if that is why.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if its file cannot be renamed: then it may be in the queue again when the spool is
    /// opened anew.
    pub fn set_aside(mut self, reason: u16) -> Result<(), SpoolError> {
        // One that is damaged is not kept: no other attempt would make it whole.
        if self.damaged.load(Ordering::Acquire) {
            return Ok(());
        }
        self.settled = true;
        Ok(self.shared.set_aside(self.number, reason)?)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.settled {
        } else if self.damaged.load(Ordering::Acquire) {
            self.shared.lose(self.number, Loss::Damaged);
        } else {
            self.shared.index().put_back(self.number);
        }
    }
}

/// Reads an object, 64 KiB at a time. Independent of its [`Entry`], to be used on another thread.
pub struct Reader {
    opener: Arc<Opener>,
    next: u32,
    buffer: Vec<u8>,
    damaged: Arc<AtomicBool>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Reader {
    /// The next bytes, verified; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if they are not what was written; the object is then counted as lost and removed
    /// when its entry is dropped. [`ReadError::Disk`] if the disk fails.
    pub fn chunk(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let read = self.opener.chunk(self.next, &mut self.buffer).inspect_err(|error| {
            if matches!(error, ReadError::Damaged) {
                self.damaged.store(true, Ordering::Release);
            }
        })?;
        self.next = self.next.saturating_add(u32::from(read));
        Ok(read.then_some(self.buffer.as_slice()))
    }
}
