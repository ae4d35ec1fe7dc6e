//! The defaults of the peers that we talk DIMSE with, and of what waits for them.

use super::super::fragment::{Audit, Availability, Mpps, Relay, Spool, Worklist};
use super::super::settings::{AuditSettings, RelaySettings, SpoolSettings, WorklistSettings};

impl Availability {
    /// Plain; address and AE title must be set.
    pub(super) fn built_in() -> Self {
        Self {
            address: Some(String::new()),
            ae_title: Some(String::new()),
            calling_ae_title: Some(String::new()),
            retrieve_url: Some(String::new()),
            ca: Some(String::new()),
            certificate: Some(String::new()),
            key: Some(String::new()),
        }
    }
}

impl From<&RelaySettings> for Relay {
    /// AE titles, listener and TLS come out unset; called AE title and address must be set.
    fn from(relay: &RelaySettings) -> Self {
        Self {
            called_ae_title: Some(String::new()),
            calling_ae_titles: Some(Vec::new()),
            address: Some(String::new()),
            upstream_called_ae_title: Some(String::new()),
            upstream_calling_ae_title: Some(String::new()),
            listen: Some(String::new()),
            ca: Some(String::new()),
            certificate: Some(String::new()),
            key: Some(String::new()),
            stream: Some(relay.stream),
            when_unreachable: Some(relay.when_unreachable),
            connect_seconds: Some(relay.connect.as_secs()),
            idle_seconds: Some(relay.idle.as_secs()),
        }
    }
}

impl Worklist {
    /// Today, every 30 seconds; address and AE title, or URL, must be set.
    pub(super) fn built_in() -> Self {
        Self {
            address: Some(String::new()),
            ae_title: Some(String::new()),
            calling_ae_title: Some(String::new()),
            url: Some(String::new()),
            ca: Some(String::new()),
            certificate: Some(String::new()),
            key: Some(String::new()),
            token: Some(String::new()),
            station_ae_titles: Some(Vec::new()),
            modality: Some(String::new()),
            days_before: Some(WorklistSettings::DAYS_BEFORE),
            days_after: Some(WorklistSettings::DAYS_AFTER),
            refresh_seconds: Some(WorklistSettings::REFRESH.as_secs()),
            entries: Some(WorklistSettings::ENTRIES),
        }
    }
}

impl From<&SpoolSettings> for Spool {
    /// Directory and key come out unset.
    fn from(spool: &SpoolSettings) -> Self {
        Self {
            directory: Some(String::new()),
            key_file: Some(String::new()),
            max_bytes: Some(spool.max_bytes),
            free_bytes: Some(spool.free_bytes),
            max_age_hours: Some(spool.max_age.as_secs() / 3600),
        }
    }
}

impl Mpps {
    /// Plain; address and AE title must be set.
    pub(super) fn built_in() -> Self {
        Self {
            address: Some(String::new()),
            ae_title: Some(String::new()),
            calling_ae_title: Some(String::new()),
            ca: Some(String::new()),
            certificate: Some(String::new()),
            key: Some(String::new()),
        }
    }
}

impl From<&AuditSettings> for Audit {
    /// Receiver and files come out unset.
    fn from(audit: &AuditSettings) -> Self {
        Self {
            receiver: Some(String::new()),
            ca: Some(String::new()),
            certificate: Some(String::new()),
            key: Some(String::new()),
            queue: Some(audit.queue),
        }
    }
}
