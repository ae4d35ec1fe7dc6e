//! What the last self-test found, as a file in the runtime directory that `framegate health` reads. It is as old as
//! the boot-time clock says, which nobody sets and which goes on while the machine sleeps; the wall time in it is
//! for people. No value in it is PHI.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use dicom_core::chrono::{DateTime, SecondsFormat, Utc};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::net::file;

/// Name of the file.
pub(super) const FILE: &str = "health.json";
/// Where it is written before it gets its name.
const DRAFT: &str = "health.json.new";
/// Most bytes of it that are read.
const MOST: u64 = 64 << 10;

/// The result of one self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether all of it went well.
    pub ok: bool,
    /// When it ended (RFC 3339, UTC).
    pub at: String,
    /// The same since boot (microseconds, CLOCK_BOOTTIME).
    pub boottime_microseconds: u64,
    /// When the service began, since boot: tells one process from the next.
    pub started_microseconds: u64,
    /// For how long it says anything, since the next is to come sooner; `None` is for ever.
    pub good_for_seconds: Option<u64>,
    /// What was tried.
    pub checks: Vec<Check>,
    /// What is wrong and how to mend it.
    pub failed: Option<String>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which listener: `dicomweb`, `dimse` or `dimse_tls`.
    pub name: String,
    /// Whether it went well.
    pub ok: bool,
    /// How long it took.
    pub microseconds: u64,
    /// What was not tried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// Why the service is not known to work.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// There is no result.
    #[error(
        "{0} holds no result of a self-test; is the service running (systemctl status framegate), with this as its runtime directory?"
    )]
    Absent(String),
    /// The file cannot be read.
    #[error("the result of the self-test cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is not such a file.
    #[error("the result of the self-test is not of this version of framegate; restart the service")]
    Malformed,
    /// The last one failed.
    #[error("the self-test fails: {0}")]
    Failed(String),
    /// The last one is too long ago.
    #[error(
        "the last self-test was {age} s ago, and another was due: the service hangs or has died; see journalctl -u framegate and restart it"
    )]
    Old {
        /// Seconds.
        age: u64,
    },
}

/// The time since boot.
pub fn since_boot() -> Duration {
    // This clock is there since Linux 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// Whole microseconds.
pub(super) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// As RFC 3339 has it.
pub(super) fn wall(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Health {
    /// Replaces the file in `directory`, for everybody to read.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let draft = directory.join(DRAFT);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
        // The unit's UMask= takes the right of others away.
        fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.write_all(b"\n")?;
        fs::rename(&draft, directory.join(FILE))
    }

    /// Takes the file away: of a service that has not begun or has ended nobody knows that it works.
    pub(super) fn withdraw(directory: &Path) {
        // Most likely there is none.
        let _ = fs::remove_file(directory.join(FILE));
    }

    /// Reads the file in `directory`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(directory: &Path) -> Result<Self, Unwell> {
        let text = file::read(&directory.join(FILE), MOST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unwell::Absent(directory.display().to_string()),
            _ => Unwell::Unreadable(error),
        })?;
        serde_json::from_slice(&text.ok_or(Unwell::Malformed)?).map_err(|_| Unwell::Malformed)
    }

    /// How old it is at `now`, since boot; `None` where it is of a time before the boot.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        now.checked_sub(Duration::from_micros(self.boottime_microseconds))
    }

    /// Whether the service works at `now`, since boot.
    ///
    /// # Errors
    /// Why not, and how to mend it.
    pub fn verdict(&self, now: Duration) -> Result<(), Unwell> {
        let age = self.age(now);
        let limit = self.good_for_seconds.map_or(Duration::MAX, Duration::from_secs);
        if age.is_none_or(|age| age >= limit) {
            return Err(Unwell::Old { age: age.unwrap_or(now).as_secs() });
        }
        if !self.ok {
            return Err(Unwell::Failed(self.failed.clone().unwrap_or_default()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn good() -> Health {
        let check = Check { name: "dicomweb".to_owned(), ok: true, microseconds: 1234, note: None };
        Health {
            ok: true,
            at: wall(SystemTime::UNIX_EPOCH),
            boottime_microseconds: 100_000_000,
            started_microseconds: 1,
            good_for_seconds: Some(150),
            checks: vec![check],
            failed: None,
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Health::read(folder.path()), Err(Unwell::Absent(_))));
        let mut health = good();
        health.write(folder.path()).unwrap();
        assert_eq!(Health::read(folder.path()).unwrap(), health);
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        (health.ok, health.failed) = (false, Some("x".repeat(3000)));
        health.write(folder.path()).unwrap();
        good().write(folder.path()).unwrap();
        assert_eq!(Health::read(folder.path()).unwrap(), good());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(r#""at":"1970-01-01T00:00:00.000Z""#) && !text.contains("note"), "{text}");
        Health::withdraw(folder.path());
        Health::withdraw(folder.path());
        assert!(matches!(Health::read(folder.path()), Err(Unwell::Absent(_))));
    }

    #[test]
    fn what_is_old_failed_or_of_another_boot_is_not_well() {
        let health = good();
        let at = |seconds| health.verdict(Duration::from_secs(seconds));
        assert!(at(100).is_ok() && at(249).is_ok());
        assert!(matches!(at(250), Err(Unwell::Old { age: 150 })));
        assert!(matches!(at(99), Err(Unwell::Old { .. })), "of a boot before");
        let once = Health { good_for_seconds: None, ..good() };
        assert!(once.verdict(Duration::from_secs(1_000_000)).is_ok());
        let failed = Health { ok: false, failed: Some("mend it".to_owned()), ..good() };
        let said = failed.verdict(Duration::from_secs(101)).unwrap_err().to_string();
        assert_eq!(said, "the self-test fails: mend it");
    }

    #[test]
    fn the_clock_goes_on() {
        let before = since_boot();
        assert!(before > Duration::ZERO && since_boot() >= before);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), bytes).unwrap();
            let refused = matches!(Health::read(folder.path()), Err(Unwell::Malformed));
            prop_assert!(refused);
        }
    }
}
