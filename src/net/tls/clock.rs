//! The least that the time can be. A box without a battery for its clock comes up in the past, and would refuse
//! the client certificate of the very engineer who is there to mend it, as not valid yet. What we hold was dated by
//! others, and those dates have passed: the beginnings of our own certificate chain and of the roots of our
//! clients, the last revocation lists, and the day that this program was built. The clock that client certificates
//! and TLS sessions are judged by is never before the latest of them.
//!
//! This moves the time forwards only, so that nobody is let in who would be refused at the right time, but for those
//! whose certificate has expired since.

use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Seconds since 1970 of the sources that this was built from, where the build has said so
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
const BUILT: Option<&str> = option_env!("SOURCE_DATE_EPOCH");

/// The clock of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    least: SystemTime,
}

impl Clock {
    /// The clock that is not before any of `passed`, nor before this program was built.
    pub(super) fn not_before(passed: impl IntoIterator<Item = SystemTime>) -> Self {
        let built = BUILT.and_then(|text| text.parse().ok()).unwrap_or(0);
        let built = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(built));
        let least = passed.into_iter().chain(built).max().unwrap_or(SystemTime::UNIX_EPOCH);
        Self { least }
    }

    /// The time to judge by when the system's clock shows `now`.
    pub(super) fn at(self, now: SystemTime) -> UnixTime {
        let since_epoch = now.max(self.least).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixTime::since_unix_epoch(since_epoch)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.at(SystemTime::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::client::{ClientTls, Trust};
    use super::super::testing::{Authority, day};
    use super::super::{DICOM_ALPN, load};
    use super::*;

    #[test]
    fn it_is_never_before_what_has_passed() {
        let now = SystemTime::now();
        let clock = Clock::not_before([day(now, -700), day(now, -1), day(now, -30)]);
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(clock.at(SystemTime::UNIX_EPOCH).as_secs(), seconds(day(now, -1)));
        assert_eq!(clock.at(day(now, -2)).as_secs(), seconds(day(now, -1)));
        assert_eq!(clock.at(now).as_secs(), seconds(now), "a clock that may be right is believed");
        assert!(clock.current_time().unwrap().as_secs() >= seconds(now));
    }
    /// Our certificate is from tomorrow, the client's from half a day before: the clock is behind.
    #[tokio::test]
    async fn a_handshake_goes_by_it() {
        let now = SystemTime::now();
        let half = Duration::from_secs(12 * 60 * 60);
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let write = |name: &str, from, to| {
            authority.write_identity_valid(folder.path(), name, &["localhost"], from, to)
        };
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &authority.certificate_pem).unwrap();
        let mut server = write("server", day(now, 1), day(now, 90));
        server.client_ca = Some(ca.clone());
        let config = load(&server, DICOM_ALPN).unwrap().config;
        for (name, from, to, expected) in [
            ("early", now + half, day(now, 30), true),
            ("later", day(now, 2), day(now, 30), false),
            ("over", day(now, -30), now + half, false),
        ] {
            let client = write(name, from, to);
            let trust = Trust { ca: ca.clone(), identity: Some((client.certificate, client.key)) };
            let client = ClientTls::new(trust, DICOM_ALPN).unverified().current().unwrap();
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let connect =
                tokio_rustls::TlsConnector::from(client).connect("localhost".try_into().unwrap(), theirs);
            let accept = tokio_rustls::TlsAcceptor::from(Arc::clone(&config)).accept(ours);
            let (_, accepted) = tokio::join!(connect, accept);
            assert_eq!(accepted.is_ok(), expected, "{name}: {:?}", accepted.err());
        }
    }
}
