//! TLS towards peers that we connect to: the same profile as for our own listeners, roots from a PEM
//! file, and our certificate where the peer asks for one. The files can be replaced while we run
//! ([`ClientTls`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::super::file::Stamp;
use super::{TlsError, VERSIONS, provider, read_certificates, read_key};
use crate::config::settings::PeerTls;

/// Whom we trust, and who we are to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Roots that the peer's certificate must chain to (PEM).
    pub ca: PathBuf,
    /// Our certificate chain, leaf first, and its private key (PEM), for a peer that asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Reads the PEM files of `trust` and makes a client configuration that offers `alpn`, in that order of
/// preference. Reads files: call it where blocking is allowed.
///
/// # Errors
/// [`TlsError`] names the file, what is wrong with it and how to mend it.
pub fn client_config(trust: &Trust, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    configured(roots(&trust.ca)?, trust, alpn).map(Arc::new)
}

fn configured(roots: RootCertStore, trust: &Trust, alpn: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Profile { reason: error.to_string() })?
        .with_root_certificates(roots);
    let mut config = match &trust.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(read_certificates(certificate)?, read_key(key)?)
            .map_err(|error| unusable(certificate, key, &error))?,
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.require_ems = true;
    Ok(config)
}

/// A bundle of public roots may hold one that the library does not understand; the others count.
fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(read_certificates(file)?);
    if usable == 0 {
        let reason = "none of them is an X.509 certificate".to_owned();
        return Err(TlsError::BadCertificate { file: file.to_owned(), reason });
    }
    Ok(roots)
}

fn unusable(certificate: &Path, key: &Path, error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        error => TlsError::BadKey { file: key.to_owned(), reason: error.to_string() },
    }
}

/// A client configuration that follows its files: whoever connects gets what they hold now.
#[derive(Debug)]
pub struct ClientTls {
    trust: Trust,
    alpn: &'static [&'static [u8]],
    verified: bool,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    stamps: Vec<Option<Stamp>>,
    config: Arc<ClientConfig>,
}

/// The host of `host:port`, an IPv6 address without its brackets: what the peer's certificate has to name.
pub fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl ClientTls {
    /// Towards a peer of the configuration. Reads nothing yet.
    pub fn of(peer: &PeerTls, alpn: &'static [&'static [u8]]) -> Self {
        Self::new(Trust { ca: peer.ca.clone(), identity: peer.identity.clone() }, alpn)
    }

    /// Reads nothing yet.
    pub fn new(trust: Trust, alpn: &'static [&'static [u8]]) -> Self {
        Self { trust, alpn, verified: true, known: Mutex::new(None) }
    }

    /// Takes any certificate, and reads no roots: for trials, by the word of whoever runs them. The
    /// connection is encrypted, but nobody knows to whom.
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.verified = false;
        self
    }

    /// The configuration for a new connection, read again where a file has changed. Reads files: call
    /// it where blocking is allowed.
    ///
    /// # Errors
    /// As [`client_config`]. What was good before is not used any longer: a root or a certificate that
    /// somebody took away is to be gone.
    pub fn current(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Stamped before reading: a file that changes meanwhile shows as changed again.
        let stamps = self.stamps();
        if let Some(known) = known.as_ref().filter(|known| known.stamps == stamps) {
            return Ok(known.config.clone());
        }
        *known = None;
        let config = if self.verified {
            client_config(&self.trust, self.alpn)?
        } else {
            let mut config = configured(RootCertStore::empty(), &self.trust, self.alpn)?;
            config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate));
            Arc::new(config)
        };
        *known = Some(Known { stamps, config: config.clone() });
        Ok(config)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let identity = self.trust.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        std::iter::once(&self.trust.ca).chain(identity).map(|file| Stamp::of(file)).collect()
    }
}

/// Believes every certificate, but has the peer prove that it holds the key of the one it shows.
#[derive(Debug)]
pub(super) struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Authority;
    use super::super::{DICOM_ALPN, HTTP_ALPN, TlsError};
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
        trust: Trust,
    }

    fn files() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ours = authority.write_identity(folder.path(), "client", &["framegate"]);
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, &authority.certificate_pem).unwrap();
        Files { folder, trust: Trust { ca, identity: Some((ours.certificate, ours.key)) } }
    }

    #[test]
    fn the_profile_is_that_of_the_listeners() {
        let files = files();
        let config = client_config(&files.trust, HTTP_ALPN).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(config.require_ems);
        let suites = |provider: &rustls::crypto::CryptoProvider| {
            provider.cipher_suites.iter().map(|suite| suite.suite()).collect::<Vec<_>>()
        };
        assert_eq!(suites(config.crypto_provider()), suites(&provider()));
        assert!(config.client_auth_cert_resolver.has_certs());
        let alone = Trust { identity: None, ..files.trust };
        assert!(!client_config(&alone, HTTP_ALPN).unwrap().client_auth_cert_resolver.has_certs());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let files = files();
        let other = Authority::new().write_identity(files.folder.path(), "other", &["framegate"]);
        let (certificate, key) = files.trust.identity.clone().unwrap();
        let with = |trust: Trust| client_config(&trust, HTTP_ALPN).unwrap_err();
        assert!(matches!(
            with(Trust { identity: Some((certificate.clone(), other.key)), ..files.trust.clone() }),
            TlsError::KeyMismatch { .. }
        ));
        assert!(matches!(with(Trust { ca: key, ..files.trust.clone() }), TlsError::NoCertificate { .. }));
        let junk = files.folder.path().join("junk.pem");
        fs::write(&junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(with(Trust { ca: junk, ..files.trust.clone() }), TlsError::BadCertificate { .. }));
        let absent = files.folder.path().join("absent.pem");
        assert!(matches!(with(Trust { ca: absent, ..files.trust }), TlsError::Unreadable { .. }));
    }

    #[test]
    fn a_root_that_nobody_understands_does_not_shut_out_the_others() {
        let files = files();
        let mut bundle = fs::read_to_string(&files.trust.ca).unwrap();
        bundle.push_str("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        fs::write(&files.trust.ca, bundle).unwrap();
        client_config(&files.trust, HTTP_ALPN).unwrap();
    }

    #[test]
    fn changed_files_are_read_again_and_only_these() {
        let files = files();
        let tls = ClientTls::new(files.trust.clone(), HTTP_ALPN);
        let first = tls.current().unwrap();
        assert!(Arc::ptr_eq(&first, &tls.current().unwrap()));
        fs::write(&files.trust.ca, Authority::new().certificate_pem).unwrap();
        let second = tls.current().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        fs::write(&files.trust.ca, "").unwrap();
        assert!(matches!(tls.current(), Err(TlsError::NoCertificate { .. })));
        assert!(tls.current().is_err(), "what was there before is not used");
    }

    #[tokio::test]
    async fn only_those_who_say_so_take_a_certificate_of_unknown_origin() {
        let files = files();
        let stranger = Authority::new().write_identity(files.folder.path(), "stranger", &["localhost"]);
        let server = crate::net::tls::load(&stranger, DICOM_ALPN).unwrap().config;
        let attempt = async |tls: ClientTls| {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let name = ServerName::try_from("localhost").unwrap();
            let connect = tokio_rustls::TlsConnector::from(tls.current().unwrap()).connect(name, ours);
            let (connected, _) =
                tokio::join!(connect, tokio_rustls::TlsAcceptor::from(server.clone()).accept(theirs));
            connected.is_ok()
        };
        let trust = Trust { identity: None, ..files.trust.clone() };
        assert!(!attempt(ClientTls::new(trust.clone(), DICOM_ALPN)).await);
        assert!(attempt(ClientTls::new(trust, DICOM_ALPN).unverified()).await);
    }
}
