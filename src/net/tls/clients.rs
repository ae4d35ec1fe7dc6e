//! Which client certificates are accepted: those that chain to the configured roots and that no
//! revocation list (RFC 5280 §5) names.
//!
//! With lists configured, every certificate of a client's chain must be covered by a list of its issuer;
//! a status that nobody can tell counts as revoked. So that a list that was forgotten, or that a broken
//! download dropped, does not lock out a ward, a file without a list for each configured root is no
//! configuration at all: at the start it is an error, at a reload the lists in force stay. A list whose
//! next update is overdue is used all the same, with a warning: what it revokes stays revoked, and the
//! clients it does not name can go on working while somebody mends the download.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::{Clock, TlsError, Validity, not_pem, read_certificates};
use crate::config::settings::TlsIdentity;
use crate::net::file;

/// The largest file of revocation lists that is read (bytes): some 300 000 revoked certificates.
const LIST_BYTES: u64 = 16 << 20;

/// Judges client certificates.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    /// When the first of the revocation lists is due to be replaced.
    lists_until: Option<SystemTime>,
    /// By which they are judged.
    clock: Clock,
}

/// What of a revocation list is of interest here.
struct List {
    der: CertificateRevocationListDer<'static>,
    /// Distinguished name in DER.
    issuer: Vec<u8>,
    this_update: SystemTime,
    next_update: Option<SystemTime>,
}

impl Clients {
    /// Reads roots and lists; `None` where no client is asked for a certificate. `passed` is a time that has certainly
    /// passed, whatever the clock says.
    ///
    /// # Errors
    /// When a file cannot be used, or the lists leave a root uncovered.
    pub(super) fn load(
        identity: &TlsIdentity,
        provider: &Arc<CryptoProvider>,
        passed: SystemTime,
    ) -> Result<Option<Self>, TlsError> {
        let Some(file) = &identity.client_ca else { return Ok(None) };
        let bad = |reason: String| TlsError::BadCertificate { file: file.clone(), reason };
        let certificates = read_certificates(file)?;
        let lists = match &identity.client_crl {
            Some(crl) => lists_for(&certificates, crl)?,
            None => Vec::new(),
        };
        let dated = certificates.iter().filter_map(|root| Some(Validity::of(root)?.not_before));
        let clock = Clock::not_before(dated.chain(lists.iter().map(|list| list.this_update)).chain([passed]));
        let mut roots = RootCertStore::empty();
        for root in certificates {
            roots.add(root).map_err(|error| bad(error.to_string()))?;
        }
        let lists_until = lists.iter().filter_map(|list| list.next_update).min();
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(lists.into_iter().map(|list| list.der));
        if identity.client_certificate_optional {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| match &identity.client_crl {
            // What else it may find was found above.
            Some(crl) => TlsError::BadRevocationList {
                file: crl.clone(),
                reason: format!("{error} (it takes whole lists of version 2, with their extensions)"),
            },
            None => bad(error.to_string()),
        })?;
        Ok(Some(Self { verifier, lists_until, clock }))
    }

    /// For a handshake.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// By which they are judged in a handshake.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether a client with this chain, leaf first, would be let in when the system's clock shows
    /// `now`.
    pub(super) fn admits(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), rustls::Error> {
        let Some((leaf, issuers)) = chain.split_first() else {
            let optional = !self.verifier.client_auth_mandatory();
            return optional.then_some(()).ok_or(rustls::Error::NoCertificatesPresented);
        };
        self.verifier.verify_client_cert(leaf, issuers, self.clock.at(now)).map(|_| ())
    }

    /// Whether a revocation list is overdue at `now`.
    pub(super) fn lists_are_old(&self, now: SystemTime) -> bool {
        self.lists_until.is_some_and(|until| until < now)
    }
}

/// The lists of a file, at least one of every root's.
fn lists_for(roots: &[CertificateDer<'_>], path: &Path) -> Result<Vec<List>, TlsError> {
    let bad = |reason: &str| TlsError::BadRevocationList { file: path.to_owned(), reason: reason.to_owned() };
    let bytes = file::read(path, LIST_BYTES)
        .map_err(|source| TlsError::Unreadable { file: path.to_owned(), source })?
        .ok_or_else(|| bad("it is larger than 16 MiB"))?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&bytes)
        .map(|der| {
            List::new(der.map_err(|error| not_pem(path, &error))?).ok_or_else(|| bad("it is not a list"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if lists.is_empty() {
        return Err(bad("it holds no X509 CRL section"));
    }
    for root in roots {
        let (_, parsed) = x509_parser::parse_x509_certificate(root)
            .map_err(|_| bad("a root of client_ca cannot be read to compare with"))?;
        let name = parsed.subject().as_raw();
        if !lists.iter().any(|list| list.issuer == name) {
            return Err(bad("it holds no list of one of the issuers in client_ca"));
        }
    }
    Ok(lists)
}

impl List {
    fn new(der: CertificateRevocationListDer<'static>) -> Option<Self> {
        let (_, parsed) = CertificateRevocationList::from_der(&der).ok()?;
        let issuer = parsed.issuer().as_raw().to_vec();
        let time = |at: ASN1Time| {
            let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let (this_update, next_update) = (time(parsed.last_update()), parsed.next_update().map(time));
        Some(Self { issuer, this_update, next_update, der })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::provider;
    use super::super::testing::{Authority, day};
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
        identity: TlsIdentity,
    }

    impl Files {
        /// Whose clients are those of `authorities`, less what `lists` revoke.
        fn new(authorities: &[&Authority], lists: &[String]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = |name: &str, text: String| {
                let file = folder.path().join(name);
                fs::write(&file, text).unwrap();
                file
            };
            let roots = authorities.iter().map(|one| one.certificate_pem.as_str()).collect();
            let identity = TlsIdentity {
                client_crl: Some(file("clients.crl", lists.concat())),
                ..TlsIdentity::new("none".into(), "none".into(), Some(file("clients.pem", roots)))
            };
            Self { folder, identity }
        }

        fn load(&self) -> Result<Clients, TlsError> {
            Clients::load(&self.identity, &Arc::new(provider()), SystemTime::UNIX_EPOCH).map(Option::unwrap)
        }

        fn reason(&self) -> String {
            self.load().unwrap_err().to_string()
        }
    }

    fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()]
    }

    #[test]
    fn a_client_is_admitted_until_a_list_names_it() {
        let now = SystemTime::now();
        let authority = Authority::new();
        let (good, bad) = (authority.client("good", vec![], 1), authority.client("bad", vec![], 2));
        let clients = Files::new(&[&authority], &[authority.revoke(&[2], day(now, 1))]).load().unwrap();
        clients.admits(&chain(&good.0), now).unwrap();
        let refused = clients.admits(&chain(&bad.0), now).unwrap_err().to_string();
        assert!(refused.contains("Revoked"), "{refused}");
        let stranger = Authority::named("stranger").client("good", vec![], 1);
        clients.admits(&chain(&stranger.0), now).unwrap_err();
        assert!(clients.admits(&[], now).is_err());
    }

    #[test]
    fn an_overdue_list_stays_in_force_and_is_told() {
        let now = SystemTime::now();
        let authority = Authority::new();
        let clients = Files::new(&[&authority], &[authority.revoke(&[2], day(now, -1))]).load().unwrap();
        assert!(clients.lists_are_old(now) && !clients.lists_are_old(day(now, -2)));
        clients.admits(&chain(&authority.client("good", vec![], 1).0), now).unwrap();
        clients.admits(&chain(&authority.client("bad", vec![], 2).0), now).unwrap_err();
    }

    #[test]
    fn every_root_needs_a_list() {
        let until = day(SystemTime::now(), 1);
        let (one, other) = (Authority::named("one"), Authority::named("other"));
        let reason = Files::new(&[&one, &other], &[one.revoke(&[], until)]).reason();
        assert!(
            reason.contains("clients.crl") && reason.contains("no list of one of the issuers"),
            "{reason}"
        );
        let both = Files::new(&[&one, &other], &[one.revoke(&[], until), other.revoke(&[7], until)]);
        let clients = both.load().unwrap();
        clients.admits(&chain(&one.client("x", vec![], 7).0), SystemTime::now()).unwrap();
        clients.admits(&chain(&other.client("x", vec![], 7).0), SystemTime::now()).unwrap_err();
    }

    #[test]
    fn files_that_hold_no_lists_are_refused() {
        let authority = Authority::new();
        let mut files = Files::new(&[&authority], &[]);
        assert!(files.reason().contains("no X509 CRL section"), "{}", files.reason());
        fs::write(
            files.folder.path().join("clients.crl"),
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        )
        .unwrap();
        assert!(files.reason().contains("it is not a list"), "{}", files.reason());
        files.identity.client_crl = Some(files.folder.path().join("absent.crl"));
        assert!(
            matches!(files.load(), Err(TlsError::Unreadable { file, .. }) if file.ends_with("absent.crl"))
        );
    }

    #[test]
    fn a_certificate_may_be_optional() {
        let authority = Authority::new();
        let mut files = Files::new(&[&authority], &[authority.revoke(&[], day(SystemTime::now(), 1))]);
        assert!(files.load().unwrap().verifier().client_auth_mandatory());
        files.identity.client_certificate_optional = true;
        let clients = files.load().unwrap();
        assert!(clients.verifier().offer_client_auth() && !clients.verifier().client_auth_mandatory());
        clients.admits(&[], SystemTime::now()).unwrap();
    }

    /// Of a client whose certificate is a week old.
    #[test]
    fn a_clock_that_is_behind_keeps_no_client_out() {
        let now = SystemTime::now();
        let authority = Authority::new();
        let (pem, _) = authority.issue(&["engineer"], day(now, -7), day(now, 30));
        let client = chain(&pem);
        let files = Files::new(&[&authority], &[]);
        let identity = TlsIdentity { client_crl: None, ..files.identity.clone() };
        let judged_by = |passed| Clients::load(&identity, &Arc::new(provider()), passed).unwrap().unwrap();
        let in_2020 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        for wrong in [SystemTime::UNIX_EPOCH, in_2020] {
            let refused = judged_by(SystemTime::UNIX_EPOCH).admits(&client, wrong).unwrap_err();
            assert!(refused.to_string().contains("not valid yet"), "{refused}");
            judged_by(day(now, -1)).admits(&client, wrong).unwrap();
        }
        judged_by(day(now, -1)).admits(&client, day(now, 31)).unwrap_err();
        // A revocation list has a date too.
        let files = Files::new(&[&authority], &[authority.revoke(&[], day(now, 25))]);
        files.load().unwrap().admits(&client, in_2020).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_list_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = List::new(bytes.into());
        }
    }
}
