//! Takes the answer of a certificate authority in the place of the certificate that was there. The running service
//! sees the new file within half a minute; connections that are open go on with the old one.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::files::{MOST_BYTES, at, replace};
use super::show::{hostname, request_key};
use super::{CERTIFICATE, Chain, ChainError, IdentityError, PREVIOUS};
use crate::net::file;

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What is served from now on.
    pub chain: Chain,
    /// Whether it is another one than before.
    pub changed: bool,
}

/// Takes the chain in `answer` (PEM) into the identity in `directory`, judged by our clock at `now`; one that has
/// expired only with `force`. Keeps the old one as `server.pem.previous`.
///
/// # Errors
/// [`IdentityError`]; the old chain is in place then.
pub fn import(
    answer: &Path,
    directory: &Path,
    now: SystemTime,
    force: bool,
) -> Result<Imported, IdentityError> {
    let refused = |error| IdentityError::Chain { file: answer.to_owned(), error };
    let key = request_key(directory)?;
    let bytes = file::read(answer, MOST_BYTES).map_err(at(answer))?;
    let bytes = bytes.ok_or_else(|| refused(ChainError::TooLarge))?;
    let chain = Chain::of(&bytes, &key, &hostname(directory)?, now, force).map_err(refused)?;
    let served = directory.join(CERTIFICATE);
    let like = fs::metadata(&served).map_err(at(&served))?;
    let (old, new) = (fs::read(&served).map_err(at(&served))?, chain.pem().into_bytes());
    let changed = old != new;
    if changed {
        let previous = directory.join(PREVIOUS);
        replace(&previous, &old, &like).map_err(at(&previous))?;
        replace(&served, &new, &like).map_err(at(&served))?;
    }
    Ok(Imported { chain, changed })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::super::Identity;
    use super::super::testing::{Hospital, Made};
    use super::*;
    use crate::net::tls::testing::pair;
    use crate::net::tls::{HTTP_ALPN, Reloading};

    #[test]
    fn the_answer_takes_the_place_of_the_certificate_and_is_noticed() {
        let Some(made) = Made::new(Some("room7")) else { return };
        let (hospital, now) = (Hospital::new(), SystemTime::now());
        let served = made.directory.join(CERTIFICATE);
        fs::set_permissions(&served, fs::Permissions::from_mode(0o644)).unwrap();
        let tls = Reloading::from_files(&pair(&served, &made.key), HTTP_ALPN).unwrap();
        let old = fs::read(&served).unwrap();
        let file = made.folder.path().join("answer.pem");
        let leaf = hospital.sign(&made.key_pair(), (-1, 90), |_| ());
        fs::write(&file, [&*hospital.intermediate, &leaf].concat()).unwrap();

        let imported = import(&file, &made.directory, now, false).unwrap();
        assert!(imported.changed && imported.chain.certificates.len() == 2);
        assert_eq!(fs::read_to_string(&served).unwrap(), imported.chain.pem());
        assert_eq!(fs::metadata(&served).unwrap().mode() & 0o777, 0o644, "as it was before");
        assert_eq!(fs::read(made.directory.join(PREVIOUS)).unwrap(), old);
        let identity = Identity::read(&made.directory).unwrap();
        assert!(identity.key_matches_request && !identity.certificate.is_self_signed());
        assert!(tls.changed_on_disk());
        assert_eq!(tls.reload().unwrap().not_after, identity.certificate.validity.not_after);

        assert!(!import(&file, &made.directory, now, false).unwrap().changed);
        assert_eq!(fs::read(made.directory.join(PREVIOUS)).unwrap(), old, "the one before is still that");
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let Some(made) = Made::new(None) else { return };
        let files = || {
            let mut names: Vec<_> =
                fs::read_dir(&made.directory).unwrap().map(|one| one.unwrap().path()).collect();
            names.sort();
            names.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
        };
        let before = files();
        let file = made.folder.path().join("answer.pem");
        let attempt = || import(&file, &made.directory, SystemTime::now(), false).unwrap_err();
        assert!(matches!(attempt(), IdentityError::Io { .. }));
        fs::write(&file, Hospital::new().root).unwrap();
        let error = attempt();
        assert!(matches!(error, IdentityError::Chain { error: ChainError::NotOurs, .. }), "{error}");
        assert!(error.to_string().contains("answer.pem"), "{error}");
        assert_eq!(files(), before);
        fs::write(made.directory.join("server.csr"), "").unwrap();
        assert!(matches!(attempt(), IdentityError::Damaged { .. }));
    }
}
