//! TLS for every listener and towards every peer: one security profile, certificates from PEM files that
//! can be replaced while we run ([`Reloading`], [`ClientTls`]), or a self-signed one for the demo
//! ([`self_signed`]).
//!
//! The profile is BCP 195 (RFC 9325), which PS3.15 Annex B.12 asks of DICOM over TLS: TLS 1.2 and
//! 1.3 only, ephemeral elliptic-curve key exchange, AEAD ciphers, and the extended master secret in
//! TLS 1.2. This folder is the only place that names the cryptographic provider.

mod chain;
mod client;
mod clients;
mod clock;
mod error;
mod own;
mod peer;
mod reload;
mod self_signed;
#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion};

use self::clients::Clients;
use self::clock::Clock;
use super::file;
use crate::config::settings::TlsIdentity;

pub use chain::verify_served;
pub use client::{ClientTls, Trust, client_config, host};
pub use error::TlsError;
pub use own::own_client;
pub use peer::{refusal, subject};
pub use reload::{Admission, Reloading};
pub use self_signed::{SelfSigned, self_signed, server_params};

/// ALPN protocols of the HTTPS listener, in our order of preference (RFC 7301, RFC 9113 §3.2).
pub const HTTP_ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];
/// ALPN of a DICOM listener: none is registered.
pub const DICOM_ALPN: &[&[u8]] = &[];

/// The largest PEM file that is read (bytes). A chain is a few KiB, a bundle of public roots 250 KiB.
const PEM_BYTES: u64 = 1 << 20;
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// A TLS server configuration and how long its certificate is good for.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration, with a session store of its own.
    pub config: Arc<ServerConfig>,
    /// The same without a client certificate, with another session store: for connections of our own.
    for_us: Arc<ServerConfig>,
    /// The leaf certificate.
    certificate: CertificateDer<'static>,
    /// When all of the chain is valid.
    pub validity: Validity,
    /// How clients are judged; `None` if none is asked for a certificate.
    clients: Option<Clients>,
}

/// The validity of a certificate (RFC 5280 §4.1.2.5). A certificate outside of it is served all the
/// same, so that a box whose clock is wrong or whose renewal failed can still be reached and says so;
/// clients decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not valid before this.
    pub not_before: SystemTime,
    /// Not valid after this.
    pub not_after: SystemTime,
}

/// What [`Validity::state`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidityState {
    /// Clients that trust the issuer accept it.
    Valid,
    /// Either the certificate is for later or our clock is behind.
    NotYetValid,
    /// Clients refuse it.
    Expired,
}

impl Validity {
    /// Whether the certificate is valid at `now`.
    pub fn state(&self, now: SystemTime) -> ValidityState {
        if now < self.not_before {
            ValidityState::NotYetValid
        } else if now > self.not_after {
            ValidityState::Expired
        } else {
            ValidityState::Valid
        }
    }

    /// Whole days until the certificate expires, negative after it.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let days = |span: Duration| i64::try_from(span.as_secs() / (24 * 60 * 60)).unwrap_or(i64::MAX);
        self.not_after.duration_since(now).map_or_else(|passed| -days(passed.duration()), days)
    }

    /// Of one certificate; `None` if it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let time = |at: x509_parser::time::ASN1Time| match u64::try_from(at.timestamp()) {
            Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
            Err(_) => Some(SystemTime::UNIX_EPOCH),
        };
        let validity = parsed.validity();
        Some(Self { not_before: time(validity.not_before)?, not_after: time(validity.not_after)? })
    }

    /// When all certificates of `chain` are valid at once; `None` if there are none, or one is no certificate.
    pub fn of_all(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (first, rest) = chain.split_first()?;
        rest.iter().try_fold(Self::of(first)?, |all, one| {
            let one = Self::of(one)?;
            Some(Self {
                not_before: all.not_before.max(one.not_before),
                not_after: all.not_after.min(one.not_after),
            })
        })
    }
}

/// When all certificates of the PEM file `file` are valid at once. Reads the file: call it where blocking is allowed.
///
/// # Errors
/// [`TlsError`] as [`load`].
pub fn validity(file: &Path) -> Result<Validity, TlsError> {
    let bad =
        || TlsError::BadCertificate { file: file.to_owned(), reason: "not an X.509 certificate".to_owned() };
    Validity::of_all(&read_certificates(file)?).ok_or_else(bad)
}

/// The profile. Suites and groups stand here by name, so that an update of the library does not
/// widen them.
fn provider() -> CryptoProvider {
    use aws_lc_rs::{cipher_suite as suite, kx_group as group};
    CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![group::X25519MLKEM768, group::X25519, group::SECP256R1, group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// Reads the PEM files of `identity` and makes a server configuration that offers `alpn`.
///
/// With `identity.client_ca` a client must show a certificate that chains to one of those roots, or may
/// come without one if that is optional; one that `identity.client_crl` revokes is refused. Reads files:
/// call it where blocking is allowed.
///
/// # Errors
/// [`TlsError`] names the file, what is wrong with it and how to mend it.
pub fn load(identity: &TlsIdentity, alpn: &[&[u8]]) -> Result<Loaded, TlsError> {
    let chain = read_certificates(&identity.certificate)?;
    let key = read_key(&identity.key)?;
    let unusable = |reason: String| TlsError::BadCertificate { file: identity.certificate.clone(), reason };
    let validity = Validity::of_all(&chain).ok_or_else(|| unusable("not an X.509 certificate".to_owned()))?;
    let provider = provider();
    let signer = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsError::BadKey { file: identity.key.clone(), reason: error.to_string() })?;
    let certificate = chain.first().cloned().ok_or_else(|| unusable("the file holds none".to_owned()))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(TlsError::KeyMismatch {
                certificate: identity.certificate.clone(),
                key: identity.key.clone(),
            });
        }
        Err(error) => return Err(unusable(error.to_string())),
    }
    let provider = Arc::new(provider);
    let clients = Clients::load(identity, &provider, validity.not_before)?;
    Loaded::new(provider, certified, certificate, validity, clients, alpn)
}

impl Loaded {
    fn new(
        provider: Arc<CryptoProvider>,
        certified: CertifiedKey,
        certificate: CertificateDer<'static>,
        validity: Validity,
        clients: Option<Clients>,
        alpn: &[&[u8]],
    ) -> Result<Self, TlsError> {
        let clock = Clock::not_before([validity.not_before]);
        let for_us =
            server_config(Arc::clone(&provider), clock, Arc::new(NoClientAuth), certified.clone(), alpn)?;
        let config = match &clients {
            Some(clients) => server_config(provider, clients.clock(), clients.verifier(), certified, alpn)?,
            None => Arc::clone(&for_us),
        };
        Ok(Self { config, for_us, certificate, validity, clients })
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    clock: Clock,
    clients: Arc<dyn ClientCertVerifier>,
    certified: CertifiedKey,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(clock))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Profile { reason: error.to_string() })?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.require_ems = true;
    Ok(Arc::new(config))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| not_pem(file, &error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { file: file.to_owned() });
    }
    Ok(chain)
}

/// The private key in the PEM file `file`. Reads the file: call it where blocking is allowed.
///
/// # Errors
/// [`TlsError`] as [`load`].
pub fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(file)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if contains(&bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            Err(TlsError::EncryptedKey { file: file.to_owned() })
        }
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { file: file.to_owned() }),
        Err(error) => Err(not_pem(file, &error)),
    }
}

/// The library's error is named by kind only: its text may quote the file, and the file may be a key.
fn not_pem(file: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line; the file is cut short",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "a section is malformed",
    };
    TlsError::NotPem { file: file.to_owned(), reason }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    match file::read(file, PEM_BYTES) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(TlsError::NotPem { file: file.to_owned(), reason: "it is larger than 1 MiB" }),
        Err(source) => Err(TlsError::Unreadable { file: file.to_owned(), source }),
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rustls::{CipherSuite, NamedGroup};

    use super::testing::{Authority, day};
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
        identity: TlsIdentity,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let identity = Authority::new().write_identity(folder.path(), "server", &["localhost"]);
            Self { folder, identity }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let file = self.folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        }

        fn error(&self) -> TlsError {
            load(&self.identity, HTTP_ALPN).unwrap_err()
        }
    }

    #[test]
    fn the_profile_is_ephemeral_and_aead_only() {
        let provider = provider();
        for suite in &provider.cipher_suites {
            let name = format!("{:?}", suite.suite());
            assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
            assert!(name.contains("GCM") || name.contains("POLY1305"), "{name}");
        }
        assert!(provider.cipher_suites.iter().any(|s| s.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256));
        assert!(provider.kx_groups.iter().any(|group| group.name() == NamedGroup::secp256r1));
    }

    #[test]
    fn loads_a_chain_and_its_key() {
        let loaded = load(&Files::new().identity, HTTP_ALPN).unwrap();
        assert_eq!(loaded.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(loaded.config.require_ems);
        assert_eq!(loaded.validity.state(SystemTime::now()), ValidityState::Valid);
    }

    #[test]
    fn a_certificate_outside_its_validity_loads_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let at = SystemTime::now();
        for (from, to, state) in [
            (-20, -10, ValidityState::Expired),
            (10, 20, ValidityState::NotYetValid),
            (-1, 1, ValidityState::Valid),
        ] {
            let identity = authority.write_identity_valid(
                folder.path(),
                "server",
                &["localhost"],
                day(at, from),
                day(at, to),
            );
            assert_eq!(load(&identity, DICOM_ALPN).unwrap().validity.state(at), state);
        }
    }

    #[test]
    fn a_missing_file_is_unreadable() {
        let mut files = Files::new();
        files.identity.key = files.folder.path().join("absent.key");
        assert!(matches!(files.error(), TlsError::Unreadable { file, .. } if file.ends_with("absent.key")));
    }

    #[test]
    fn files_given_the_wrong_way_round_are_told_apart() {
        let mut files = Files::new();
        let identity = &mut files.identity;
        std::mem::swap(&mut identity.certificate, &mut identity.key);
        assert!(matches!(files.error(), TlsError::NoCertificate { .. }));
        files.identity.certificate = files.identity.key.clone();
        assert!(matches!(files.error(), TlsError::NoKey { .. }));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let mut files = Files::new();
        files.identity.key = Files::new().identity.key;
        assert!(matches!(files.error(), TlsError::Unreadable { .. }), "its folder is gone");
        let other = Authority::new().write_identity(files.folder.path(), "other", &["localhost"]);
        files.identity.key = other.key;
        let text = files.error().to_string();
        assert!(matches!(files.error(), TlsError::KeyMismatch { .. }));
        assert!(text.contains("server.pem") && text.contains("other.key"), "{text}");
    }

    #[test]
    fn broken_files_are_named_and_never_quoted() {
        let mut files = Files::new();
        let whole = fs::read_to_string(&files.identity.key).unwrap();
        let secret = whole.lines().nth(1).unwrap().to_owned();
        let broken = [
            ("cut.key", whole.replace("-----END PRIVATE KEY-----", "")),
            ("odd.key", whole.replace(&secret, &format!("{secret}*"))),
            ("short.key", format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")),
            ("large.key", "x".repeat(PEM_BYTES as usize + 1)),
            ("encrypted.key", whole.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
        ];
        for (name, text) in broken {
            files.identity.key = files.write(name, &text);
            let error = files.error();
            let said = format!("{error} {error:?}");
            assert!(said.contains(name), "{said}");
            assert!(!said.contains(&secret), "{said}");
            assert_eq!(matches!(error, TlsError::EncryptedKey { .. }), name == "encrypted.key");
        }
    }

    #[test]
    fn a_certificate_file_without_x509_is_refused() {
        let mut files = Files::new();
        files.identity.certificate =
            files.write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(matches!(files.error(), TlsError::BadCertificate { .. }));
        files.identity.certificate = files.write("empty.pem", "");
        assert!(matches!(files.error(), TlsError::NoCertificate { .. }));
    }

    #[test]
    fn client_roots_must_hold_a_certificate() {
        let mut files = Files::new();
        files.identity.client_ca = Some(files.identity.key.clone());
        assert!(matches!(files.error(), TlsError::NoCertificate { .. }));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_load_or_fail(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("any.pem");
            let mut text = b"-----BEGIN CERTIFICATE-----\n".to_vec();
            text.extend(&bytes);
            fs::write(&file, text).unwrap();
            proptest::prop_assert!(read_certificates(&file).is_err());
            proptest::prop_assert!(read_key(&file).is_err());
            let _ = Validity::of(&CertificateDer::from(bytes));
        }
    }
}
