//! A TLS configuration that can be replaced while connections live on. New connections take the
//! newest; those already open keep the one they were made with.
//!
//! The whole configuration is replaced, session store included. If only the certificate or the
//! list of client roots were, a client that these no longer admit could resume its old session
//! without showing its certificate again (RFC 8446 §2.2).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::{Loaded, TlsError, Validity, load};
use crate::config::settings::TlsIdentity;

/// The current TLS configuration of one listener.
#[derive(Debug)]
pub struct Reloading {
    files: Option<Files>,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Files {
    identity: TlsIdentity,
    alpn: Vec<&'static [u8]>,
    /// How the files looked when they were last tried, good or bad.
    tried: Mutex<Vec<Option<Stamp>>>,
}

/// What changes when a file is rewritten or replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Reloading {
    /// Loads `identity` and keeps its paths for [`Reloading::reload`].
    ///
    /// # Errors
    /// As [`load`]: there is nothing to serve with yet.
    pub fn from_files(identity: &TlsIdentity, alpn: &[&'static [u8]]) -> Result<Self, TlsError> {
        let stamps = stamps(identity);
        let current = ArcSwap::from_pointee(load(identity, alpn)?);
        let files = Files { identity: identity.clone(), alpn: alpn.to_vec(), tried: Mutex::new(stamps) };
        Ok(Self { files: Some(files), current })
    }

    /// A configuration without files, such as the self-signed one: it never changes.
    pub fn fixed(loaded: Loaded) -> Self {
        Self { files: None, current: ArcSwap::from_pointee(loaded) }
    }

    /// The configuration for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// When the certificate being served is valid.
    pub fn validity(&self) -> Validity {
        self.current.load().validity
    }

    /// Reads the files again and serves what they hold from now on. Returns the validity of the
    /// certificate that is served. Reads files: call it where blocking is allowed.
    ///
    /// # Errors
    /// As [`load`]; the old certificate stays in service.
    pub fn reload(&self) -> Result<Validity, TlsError> {
        if let Some(files) = &self.files {
            // Stamped before reading: a file that changes meanwhile shows as changed again.
            *files.tried.lock().unwrap_or_else(PoisonError::into_inner) = stamps(&files.identity);
            self.current.store(Arc::new(load(&files.identity, &files.alpn)?));
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
}

fn stamps(identity: &TlsIdentity) -> Vec<Option<Stamp>> {
    [Some(&identity.certificate), Some(&identity.key), identity.client_ca.as_ref()]
        .into_iter()
        .flatten()
        .map(|file| stamp(file))
        .collect()
}

pub(super) fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, day};
    use super::super::{HTTP_ALPN, self_signed};
    use super::*;
    use std::time::SystemTime;

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
}
