//! A TLS configuration that can be replaced while connections live on. New connections take the
//! newest; those already open keep the one they were made with, unless their client certificate is no
//! longer accepted: an [`Admission`] says when.
//!
//! The whole configuration is replaced, session store included. If only the certificate, the list of
//! client roots or the revocation lists were, a client that these no longer admit could resume its old
//! session without showing its certificate again (RFC 8446 §2.2).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::{Loaded, TlsError, Validity, load};
use crate::config::settings::TlsIdentity;
use crate::net::events;
use crate::net::file::Stamp;

/// The current TLS configuration of one listener.
#[derive(Debug)]
pub struct Reloading {
    files: Option<Files>,
    current: watch::Sender<Arc<Loaded>>,
    /// Whether it was said already that a revocation list is overdue.
    said_old: AtomicBool,
}

#[derive(Debug)]
struct Files {
    identity: TlsIdentity,
    alpn: Vec<&'static [u8]>,
    /// How the files looked when they were last tried, good or bad.
    tried: Mutex<Vec<Option<Stamp>>>,
}

/// The configuration that one connection is made with, and word of those that replace it.
#[derive(Debug)]
pub struct Admission {
    loaded: Arc<Loaded>,
    newer: watch::Receiver<Arc<Loaded>>,
}

impl Admission {
    /// The configuration for the handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.config)
    }

    /// The configuration for a handshake with ourselves: the same but for the client certificate, which is not
    /// asked for.
    pub fn config_for_us(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.for_us)
    }

    /// Whether others are asked for a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.loaded.clients.is_some()
    }

    /// Waits until a newer configuration no longer accepts the client that showed `chain`, leaf first,
    /// because it is revoked, has expired or its issuer is out; completes with the reason.
    pub async fn withdrawn(mut self, chain: Vec<CertificateDer<'static>>) -> rustls::Error {
        loop {
            if self.newer.changed().await.is_err() {
                // The listener is gone; nothing will replace the configuration any more.
                return std::future::pending().await;
            }
            let loaded = Arc::clone(&self.newer.borrow_and_update());
            let Some(clients) = &loaded.clients else { continue };
            if let Err(error) = clients.admits(&chain, SystemTime::now()) {
                return error;
            }
        }
    }
}

impl Reloading {
    /// Loads `identity` and keeps its paths for [`Reloading::reload`].
    ///
    /// # Errors
    /// As [`load`]: there is nothing to serve with yet.
    pub fn from_files(identity: &TlsIdentity, alpn: &[&'static [u8]]) -> Result<Self, TlsError> {
        let stamps = stamps(identity);
        let loaded = load(identity, alpn)?;
        let files = Files { identity: identity.clone(), alpn: alpn.to_vec(), tried: Mutex::new(stamps) };
        Ok(Self::with(Some(files), loaded))
    }

    /// A configuration without files, such as the self-signed one: it never changes.
    pub fn fixed(loaded: Loaded) -> Self {
        Self::with(None, loaded)
    }

    fn with(files: Option<Files>, loaded: Loaded) -> Self {
        Self { files, current: watch::Sender::new(Arc::new(loaded)), said_old: AtomicBool::new(false) }
    }

    /// The configuration for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.borrow().config)
    }

    /// The configuration for a new connection whose client certificate is to be judged again with every
    /// reload.
    pub fn admission(&self) -> Admission {
        let mut newer = self.current.subscribe();
        let loaded = Arc::clone(&newer.borrow_and_update());
        Admission { loaded, newer }
    }

    /// The certificate being served.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.current.borrow().certificate.clone()
    }

    /// When the certificate being served is valid.
    pub fn validity(&self) -> Validity {
        self.current.borrow().validity
    }

    /// Reads the files again and serves what they hold from now on. Returns the validity of the
    /// certificate that is served. Reads files: call it where blocking is allowed.
    ///
    /// # Errors
    /// As [`load`]; the old configuration stays in service.
    pub fn reload(&self) -> Result<Validity, TlsError> {
        if let Some(files) = &self.files {
            // Stamped before reading: a file that changes meanwhile shows as changed again.
            *files.tried.lock().unwrap_or_else(PoisonError::into_inner) = stamps(&files.identity);
            self.current.send_replace(Arc::new(load(&files.identity, &files.alpn)?));
        }
        Ok(self.validity())
    }

    /// Whether a file has changed since it was last tried. A bad file is reported by one
    /// [`Reloading::reload`], then not again until someone touches it. Cheap enough to ask every
    /// half minute.
    pub fn changed_on_disk(&self) -> bool {
        self.files.as_ref().is_some_and(|files| {
            *files.tried.lock().unwrap_or_else(PoisonError::into_inner) != stamps(&files.identity)
        })
    }

    /// Logs once that a revocation list is overdue at `now`, and once that it no longer is.
    pub fn mind_revocation_lists(&self, now: SystemTime) {
        let Some(files) = &self.files else { return };
        let old = self.current.borrow().clients.as_ref().is_some_and(|clients| clients.lists_are_old(now));
        if self.said_old.swap(old, Ordering::Relaxed) == old {
            return;
        }
        let file = files.identity.client_crl.as_deref().unwrap_or(&files.identity.certificate).display();
        if old {
            events::RevocationsOld { file: &file }.tell();
        } else {
            events::RevocationsFresh { file: &file }.tell();
        }
    }
}

fn stamps(identity: &TlsIdentity) -> Vec<Option<Stamp>> {
    [
        Some(&identity.certificate),
        Some(&identity.key),
        identity.client_ca.as_ref(),
        identity.client_crl.as_ref(),
    ]
    .into_iter()
    .flatten()
    .map(|file| Stamp::of(file))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, day};
    use super::super::{HTTP_ALPN, self_signed};
    use super::*;
    use futures_util::FutureExt as _;
    use rustls::pki_types::pem::PemObject as _;
    use std::fs;

    #[test]
    fn a_replaced_pair_is_noticed_and_served_with_a_fresh_session_store() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let identity = authority.write_identity(folder.path(), "server", &["localhost"]);
        let tls = Reloading::from_files(&identity, HTTP_ALPN).unwrap();
        let (before, until) = (tls.current(), tls.validity());
        assert!(!tls.changed_on_disk());

        let now = SystemTime::now();
        authority.write_identity_valid(folder.path(), "server", &["localhost"], day(now, -1), day(now, 90));
        assert!(tls.changed_on_disk());
        assert_eq!(tls.validity(), until, "nothing changes before the reload");
        assert_ne!(tls.reload().unwrap(), until);
        assert!(!tls.changed_on_disk());
        assert!(!Arc::ptr_eq(&before.session_storage, &tls.current().session_storage));
    }

    #[test]
    fn a_bad_pair_keeps_the_old_one_and_is_tried_once() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Authority::new().write_identity(folder.path(), "server", &["localhost"]);
        let tls = Reloading::from_files(&identity, HTTP_ALPN).unwrap();
        let before = tls.current();

        fs::remove_file(&identity.key).unwrap();
        assert!(tls.changed_on_disk());
        assert!(matches!(tls.reload(), Err(TlsError::Unreadable { .. })));
        assert!(!tls.changed_on_disk());
        assert!(Arc::ptr_eq(&before, &tls.current()));
    }

    #[test]
    fn a_fixed_configuration_never_changes() {
        let made = self_signed(&["localhost"], HTTP_ALPN, SystemTime::now()).unwrap();
        let tls = Reloading::fixed(made.loaded);
        let before = tls.current();
        assert!(!tls.changed_on_disk());
        tls.reload().unwrap();
        assert!(Arc::ptr_eq(&before, &tls.current()));
    }

    /// A handshake that was begun before a reload ends after it: the client is judged again all the same.
    #[tokio::test]
    async fn a_client_that_is_revoked_during_its_handshake_is_withdrawn_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut identity = authority.write_identity(folder.path(), "server", &["localhost"]);
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            Some(folder.path().join(name))
        };
        let until = day(SystemTime::now(), 1);
        identity.client_ca = file("clients.pem", &authority.certificate_pem);
        identity.client_crl = file("clients.crl", &authority.revoke(&[], until));
        let tls = Reloading::from_files(&identity, HTTP_ALPN).unwrap();
        let chain = |serial| {
            let (pem, _) = authority.client("client", vec![], serial);
            vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()]
        };
        let (bad, good) = (tls.admission(), tls.admission());
        assert!(Arc::ptr_eq(&bad.config(), &tls.current()));
        file("clients.crl", &authority.revoke(&[7], until));
        assert!(tls.changed_on_disk(), "the list is watched");
        tls.reload().unwrap();
        let error = bad.withdrawn(chain(7)).now_or_never().expect("at once");
        assert!(error.to_string().contains("Revoked"), "{error}");
        assert!(good.withdrawn(chain(8)).now_or_never().is_none());
    }
}
