//! What a spool does with the files that its former owner has left, whatever ended it.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::directory::{Found, Name};
use super::error::ReadError;
use super::format::{Beginning, Header};
use super::index::{Record, Why, charge};
use super::{Loss, Shared, events};

/// Clocks that show a time before 2026 are not set.
const NOT_BEFORE: Duration = Duration::from_secs(1_767_225_600);

impl Shared {
    /// Finds what a former owner has left.
    pub(super) fn recover(&self, now: SystemTime) -> io::Result<()> {
        let mut locked = 0_u64;
        let mut found = self.directory.files()?;
        found.sort_unstable_by_key(|found| match found.name {
            Name::Object(number) | Name::Aside(number, _) | Name::Part(number) => number,
        });
        for Found { name, bytes, written } in found {
            let (number, reason) = match name {
                Name::Part(_) => {
                    self.directory.remove(name)?;
                    continue;
                }
                Name::Object(number) => (number, None),
                Name::Aside(number, reason) => (number, Some(reason)),
            };
            let why =
                match self.directory.read(name).map_err(ReadError::from).and_then(|file| Header::read(&file))
                {
                    Ok(Beginning::Ours(header)) if header.key_id == self.key.id() => reason.map(Why::Aside),
                    Ok(Beginning::Ours(header)) if !header.sealed => {
                        self.index().pass(number);
                        self.discard(name, number, Loss::WithoutKey);
                        continue;
                    }
                    Ok(_) => {
                        locked += 1;
                        Some(Why::Locked(reason))
                    }
                    Err(ReadError::Damaged) => {
                        self.index().pass(number);
                        self.discard(name, number, Loss::Damaged);
                        continue;
                    }
                    // What is wrong shows when it is its turn.
                    Err(ReadError::Disk(_)) => reason.map(Why::Aside),
                };
            let record = Record { charge: charge(bytes), age: age(written, now), since: Instant::now() };
            self.index().found(number, record, why);
        }
        let without_key = self.counts.without_key.load(Ordering::Relaxed);
        if without_key > 0 {
            events::KeyGone { objects: without_key }.tell();
        }
        if locked > 0 {
            events::Locked { objects: locked }.tell();
        }
        Ok(())
    }
}

/// How old a file is; one whose time cannot be true is new.
fn age(written: SystemTime, now: SystemTime) -> Duration {
    if written < SystemTime::UNIX_EPOCH + NOT_BEFORE {
        return Duration::ZERO;
    }
    now.duration_since(written).unwrap_or_default()
}
