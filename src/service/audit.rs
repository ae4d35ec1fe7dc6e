//! The audit trail of the service: begun before anything listens, ended after everything else, told of starts and stops,
//! and of another version.
//!
//! Nothing is written to disk for it. So the version that ran before is known from the runtime directory alone, which a
//! reboot empties: after one it is the version in each start that tells of an update.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::capture::host;
use super::metrics::Counters;
use super::status::machine::image_version;
use crate::audit::{Alert, Audit, Occurrence, Outcome, events};
use crate::config::settings::Settings;
use crate::net::counters::NetCounters;

/// Where the version that runs is left for the next start, in the runtime directory.
const VERSION: &str = "version";

/// See the module.
#[derive(Debug)]
pub(super) struct Trail {
    audit: Audit,
    version: String,
    sending: JoinHandle<()>,
}

impl Trail {
    /// Begins it, with the alarms of all listeners. Must be called within the runtime.
    pub(super) fn start(settings: &Settings, counters: &Counters) -> Self {
        let (title, version, counted) = (&settings.dimse.ae_title, version(), counters.audit.clone());
        let audit = Audit::new(settings.audit.clone(), &host(), title, &version, counted);
        counters.listeners.values().for_each(|listener| listen(&audit, listener));
        let sending = tokio::spawn(audit.clone().send());
        Self { audit, version, sending }
    }

    /// Where occurrences are recorded.
    pub(super) fn audit(&self) -> Audit {
        self.audit.clone()
    }

    /// The service is ready. `runtime` is its runtime directory, if it has one.
    pub(super) fn started(&self, runtime: Option<&Path>) {
        self.audit.record(Occurrence::ApplicationStarted);
        if let Some(said) = runtime.and_then(|runtime| updated(runtime, &self.version)) {
            self.audit.record(Occurrence::SecurityAlert {
                alert: Alert::SoftwareConfiguration,
                outcome: Outcome::Success,
                peer: None,
                user: None,
                said,
            });
        }
    }

    /// The service begins to stop.
    pub(super) fn stops(&self) {
        self.audit.record(Occurrence::ApplicationStopped);
    }

    /// Nothing more happens: what waits may go out for so long.
    pub(super) async fn end(self, patience: Duration) {
        self.audit.close();
        let Self { audit, mut sending, .. } = self;
        if timeout(patience, &mut sending).await.is_err() {
            sending.abort();
            let waiting = audit.state().waiting;
            events::LostAtEnd { waiting }.tell();
        }
    }
}

/// Records who is turned away by the listener that counts so.
fn listen(audit: &Audit, counters: &NetCounters) {
    let audit = audit.clone();
    counters.alarms.tell(move |peer, why| {
        audit.record(Occurrence::SecurityAlert {
            alert: Alert::NodeAuthentication,
            outcome: Outcome::MinorFailure,
            peer: Some(peer.ip()),
            user: None,
            said: format!("HTTPS: {why}"),
        });
    });
}

/// Name and version of the program, and of the image that it is part of.
fn version() -> String {
    let program = concat!("framegate ", env!("CARGO_PKG_VERSION"));
    let image = image_version();
    if image.is_empty() { program.to_owned() } else { format!("{program}, image {image}") }
}

/// Leaves the version that runs, and says so where it was another before.
fn updated(runtime: &Path, version: &str) -> Option<String> {
    let file = runtime.join(VERSION);
    let before = fs::read_to_string(&file).ok();
    if before.as_deref() == Some(version) {
        return None;
    }
    if let Err(error) = fs::write(&file, version) {
        events::VersionNotLeft { error: &error }.tell();
    }
    before.map(|before| format!("the version is {version} now, and was {before}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(updated(folder.path(), "framegate 1"), None, "nobody knows what was before");
        assert_eq!(updated(folder.path(), "framegate 1"), None);
        let said = updated(folder.path(), "framegate 2").unwrap();
        assert_eq!(said, "the version is framegate 2 now, and was framegate 1");
        assert_eq!(updated(folder.path(), "framegate 2"), None);
        assert!(version().starts_with("framegate "));
    }
}
