//! Taking an object in. It is written to a file of a temporary name, chunk by chunk as it comes, and becomes an
//! object with [`Writer::commit`], or leaves no trace.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::directory::Name;
use super::error::{Bound, SpoolError};
use super::events;
use super::format::{CHUNK, Header, MAX_META, Sealer, TAG};
use super::index::{Record, charge};

/// An object on its way into the spool. It holds 64 KiB of it. Dropped before it is committed, it is gone.
#[must_use = "what is not committed is not kept"]
pub struct Writer {
    shared: Arc<Shared>,
    part: Name,
    file: File,
    /// `None` once a write has failed.
    sealer: Option<Sealer>,
    /// Not encrypted yet.
    chunk: Vec<u8>,
    /// Length of the file.
    written: u64,
    /// What of the bound is reserved for it.
    charged: u64,
    committed: bool,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("part", &self.part)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn begin(shared: Arc<Shared>, meta: &[u8]) -> Result<Self, SpoolError> {
        if meta.len() > MAX_META {
            return Err(SpoolError::Meta { length: meta.len() });
        }
        shared.expire(Instant::now());
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| std::io::Error::other("no random numbers"))?;
        let header =
            Header { sealed: shared.key.is_sealed(), key_id: shared.key.id(), salt, meta: meta.len() };
        let (sealer, beginning) = Sealer::begin(shared.key.of_file(&salt)?, &header, meta)?;

        shared.room(beginning.len())?;
        let charged = charge(beginning.len() as u64);
        shared.index().begin(charged).map_err(SpoolError::Full)?;
        let part = Name::Part(shared.parts.fetch_add(1, Ordering::Relaxed));
        let file = match shared.directory.make(part) {
            Ok(file) => file,
            Err(error) => {
                shared.index().abandon(charged);
                return Err(error.into());
            }
        };
        // From here on, dropping it cleans up.
        let chunk = Vec::with_capacity(CHUNK + TAG);
        let mut writer =
            Self { shared, part, file, sealer: Some(sealer), chunk, written: 0, charged, committed: false };
        writer.put(&beginning)?;
        Ok(writer)
    }

    /// Takes the next bytes of the object, as many as there are. Blocks while they are written.
    ///
    /// # Errors
    /// [`SpoolError::Full`] if a bound is reached, [`SpoolError::Disk`] if the disk fails. The object cannot be
    /// committed after that.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), SpoolError> {
        while !bytes.is_empty() {
            let room = CHUNK.saturating_sub(self.chunk.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.flush().inspect_err(|error| self.shared.count(error))?;
            }
        }
        Ok(())
    }

    /// Ends the object and makes it last. With `Ok` it may be acknowledged: it will be there after `kill -9`, and
    /// after power loss if the disk obeys and the key is sealed. Returns its number.
    ///
    /// # Errors
    /// As [`Writer::write`]; then it is gone. (After power loss it may be there all the same: it was whole, and
    /// only that this was not certain was the error.)
    pub fn commit(mut self) -> Result<u64, SpoolError> {
        let number = self.finish().inspect_err(|error| self.shared.count(error))?;
        self.shared.counts.committed.fetch_add(1, Ordering::Relaxed);
        (self.shared.wake)();
        Ok(number)
    }

    fn finish(&mut self) -> Result<u64, SpoolError> {
        if !self.chunk.is_empty() {
            self.flush()?;
        }
        let sealer = self.sealer.take().ok_or(SpoolError::Failed)?;
        // Those that are committed at the same time come in the order of these numbers.
        let number = self.shared.index().number();
        let end = sealer.finish(number)?;
        self.put(&end)?;
        self.file.sync_all()?;
        let name = Name::Object(number);
        self.shared.directory.rename(self.part, name)?;
        self.part = name;
        self.shared.directory.sync()?;
        let record = Record { charge: self.charged, age: Duration::ZERO, since: Instant::now() };
        self.shared.index().commit(number, record);
        self.committed = true;
        Ok(number)
    }

    /// Encrypts and writes what of a chunk there is.
    fn flush(&mut self) -> Result<(), SpoolError> {
        // It is put back only if all goes well: what was lost in between can never be committed.
        let mut sealer = self.sealer.take().ok_or(SpoolError::Failed)?;
        let mut chunk = std::mem::take(&mut self.chunk);
        sealer.seal(&mut chunk)?;
        self.put(&chunk)?;
        chunk.clear();
        self.chunk = chunk;
        self.sealer = Some(sealer);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let length = self.written.saturating_add(bytes.len() as u64);
        let more = charge(length).saturating_sub(self.charged);
        if more > 0 {
            self.shared.room(bytes.len())?;
            self.shared.index().reserve(more).map_err(SpoolError::Full)?;
            self.charged += more;
        }
        self.file.write_all(bytes)?;
        self.written = length;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // The file may be gone with its directory; if it stays, the next opening removes it.
        if let Err(error) = self.shared.directory.remove(self.part) {
            events::PartNotRemoved { error: &error }.tell();
        }
        self.shared.index().abandon(self.charged);
    }
}

impl Shared {
    /// Whether the file system has room for so many bytes more.
    fn room(&self, more: usize) -> Result<(), SpoolError> {
        let space = self.directory.space()?;
        if space.free < self.keep_free.of(space.whole).saturating_add(more as u64) {
            return Err(SpoolError::Full(Bound::KeepFree));
        }
        Ok(())
    }
}
