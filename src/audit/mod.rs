//! The audit trail: who was let in, who got or gave which study, who asked, whose picture is taken, and what went wrong
//! with that, as messages of DICOM (PS3.15 §A.5) for the hospital's audit record repository.
//!
//! ```text
//!   rooms ── record ──► journal   (a line of the log, without patients)
//!                  └──► message ──► xml ──► syslog ──► spool ──► sender ══ TLS ══► receiver
//! ```
//!
//! A room says what has happened ([`Occurrence`]) and never waits; [`transfers`] makes two occurrences of all the
//! instances of a study that one stream carries. The receiver is a syslog server over TLS (RFC 5425) that the
//! configuration names; while it is away messages wait in memory, bounded. Without one there is the journal alone.
//!
//! This is the only place, but for the streams themselves, where names of patients leave the service.

pub mod counters;
pub(crate) mod events;
mod journal;
mod message;
mod occurrence;
mod pace;
mod sender;
mod spool;
mod syslog;
mod transfers;
mod xml;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, watch};

use self::counters::AuditCounters;
use self::message::{Message, Source};
pub use self::occurrence::{Alert, How, Occurrence, Outcome, Party, Patient, Study, Transfer, Withheld};
use self::pace::Pace;
use self::spool::Spool;
pub use self::transfers::Transfers;
use crate::config::settings::AuditSettings;

/// Where occurrences are recorded. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    shared: Option<Arc<Shared>>,
}

/// How the trail stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `host:port` of the receiver; `None` where none is configured.
    pub receiver: Option<String>,
    /// Whether there is a connection to it.
    pub is_connected: bool,
    /// Messages that wait for it.
    pub waiting: usize,
    /// Messages that were lost, since the start.
    pub lost: u64,
    /// Why there is no connection, and how to mend it.
    pub complaint: Option<String>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    settings: watch::Sender<AuditSettings>,
    spool: Mutex<Spool>,
    /// There is something new in the spool.
    filled: Notify,
    /// Turns true when nothing more is recorded.
    closing: watch::Sender<bool>,
    pace: Mutex<Pace>,
    counters: AuditCounters,
    complaint: Mutex<Option<String>>,
}

impl Audit {
    /// A trail that nobody keeps: for trials, and for what serves nobody but ourselves.
    pub fn none() -> Self {
        Self::default()
    }

    /// The trail of a service on `host`, by its AE title, and by its name and version.
    pub fn new(
        settings: AuditSettings,
        host: &str,
        ae_title: &str,
        program: &str,
        counters: AuditCounters,
    ) -> Self {
        let source = Source {
            host: host.to_owned(),
            ae_title: ae_title.to_owned(),
            process: std::process::id().to_string(),
            program: program.to_owned(),
        };
        let shared = Shared {
            source,
            spool: Mutex::new(Spool::new(settings.queue)),
            settings: watch::Sender::new(settings),
            filled: Notify::new(),
            closing: watch::Sender::new(false),
            pace: Mutex::default(),
            counters,
            complaint: Mutex::default(),
        };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Whether somebody keeps it.
    pub fn is_kept(&self) -> bool {
        self.shared.is_some()
    }

    /// Says that something has happened, now. Never waits: a message that finds no room is lost, counted and told
    /// of later. Alerts and failed logins of one kind are told a few times a second, with how many there were.
    pub fn record(&self, occurrence: Occurrence) {
        let Some(shared) = &self.shared else { return };
        let paced =
            shared.pace.lock().unwrap_or_else(PoisonError::into_inner).admit(occurrence, Instant::now());
        let Some(occurrence) = paced else { return };
        journal::tell(&occurrence, &shared.source.program);
        if shared.settings.borrow().receiver.is_some() {
            shared.put(&occurrence, SystemTime::now());
        }
    }

    /// Takes changed settings. Without a receiver nothing waits any longer.
    pub fn reload(&self, settings: &AuditSettings) {
        let Some(shared) = &self.shared else { return };
        let mut spool = shared.spool();
        spool.resize(settings.queue);
        if settings.receiver.is_none() {
            let lost = spool.clear();
            shared.counters.lost.inc_by(lost);
            shared.counters.waiting.set(0);
        }
        drop(spool);
        shared.settings.send_if_modified(|known| {
            let differs = known != settings;
            known.clone_from(settings);
            differs
        });
    }

    /// Sends until [`Audit::close`], and then what is left, which may take for ever: the caller is to end it.
    pub async fn send(self) {
        if let Some(shared) = self.shared {
            sender::run(shared).await;
        }
    }

    /// Nothing more will be recorded.
    pub fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.closing.send_replace(true);
        }
    }

    /// How it stands.
    pub fn state(&self) -> State {
        let Some(shared) = &self.shared else {
            return State { receiver: None, is_connected: false, waiting: 0, lost: 0, complaint: None };
        };
        State {
            receiver: shared.settings.borrow().receiver.as_ref().map(|receiver| receiver.address.clone()),
            is_connected: shared.counters.connected.get() == 1,
            waiting: shared.spool().len(),
            lost: shared.counters.lost.get(),
            complaint: shared.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Shared {
    fn spool(&self) -> MutexGuard<'_, Spool> {
        // Nothing that runs under this lock can panic half way through a change.
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the message that tells of `occurrence` into the spool.
    fn put(&self, occurrence: &Occurrence, at: SystemTime) {
        let message = Message::of(occurrence, at, &self.source);
        let Ok(document) = xml::write(&message, &self.source) else { return };
        let frame = syslog::frame(&document, at, message.is_failure(), &self.source);
        let mut spool = self.spool();
        let lost = spool.put(frame.into());
        self.counters.waiting.set(i64::try_from(spool.len()).unwrap_or(i64::MAX));
        drop(spool);
        self.counters.lost.inc_by(lost);
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests;
