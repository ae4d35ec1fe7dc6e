//! TLS towards a listener of our own, for the service to try itself: believed is the certificate that this listener
//! serves and no other, whatever names it has, whoever issued it and whenever it is valid. Whether others believe
//! it is their affair.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::client::AnyCertificate;
use super::{Reloading, TlsError, VERSIONS, provider};

/// A client configuration for one connection to `listener` that offers `alpn`.
///
/// # Errors
/// [`TlsError::Profile`] when the library does not take the profile.
pub fn own_client(listener: &Arc<Reloading>, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = Ours { before: listener.certificate(), listener: Arc::clone(listener) };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Profile { reason: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.require_ems = true;
    // A session that is resumed shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Believes the certificate that a listener of ours serves, or served just before: it may be replaced while we
/// connect.
#[derive(Debug)]
struct Ours {
    listener: Arc<Reloading>,
    before: CertificateDer<'static>,
}

impl ServerCertVerifier for Ours {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *certificate == self.before || *certificate == self.listener.certificate() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        AnyCertificate.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        AnyCertificate.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        AnyCertificate.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::super::HTTP_ALPN;
    use super::super::testing::Authority;
    use super::*;

    /// Whether `config` takes what `listener` serves to us.
    async fn connects(config: Arc<ClientConfig>, listener: &Reloading) -> bool {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let name = ServerName::try_from("self-test").unwrap();
        let server = TlsAcceptor::from(listener.admission().config_for_us());
        let (connected, accepted) =
            tokio::join!(TlsConnector::from(config).connect(name, ours), server.accept(theirs));
        assert_eq!(connected.is_ok(), accepted.is_ok());
        connected.is_ok()
    }

    #[tokio::test]
    async fn only_the_certificate_of_this_listener_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut identity = authority.write_identity(folder.path(), "server", &["gate.example"]);
        let roots = folder.path().join("clients.pem");
        fs::write(&roots, &authority.certificate_pem).unwrap();
        identity.client_ca = Some(roots);
        let listener = Arc::new(Reloading::from_files(&identity, HTTP_ALPN).unwrap());
        let early = own_client(&listener, HTTP_ALPN).unwrap();
        assert!(connects(Arc::clone(&early), &listener).await, "and no client certificate is asked for");

        let other = authority.write_identity(folder.path(), "other", &["gate.example"]);
        let other = Arc::new(Reloading::from_files(&other, HTTP_ALPN).unwrap());
        assert!(!connects(early, &other).await, "of the same issuer and name, and not ours");

        let early = own_client(&listener, HTTP_ALPN).unwrap();
        authority.write_identity(folder.path(), "server", &["gate.example"]);
        listener.reload().unwrap();
        assert!(connects(early, &listener).await, "replaced while we connect");
    }

    #[test]
    fn what_others_get_still_asks_for_their_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut identity = authority.write_identity(folder.path(), "server", &["gate.example"]);
        let open = Reloading::from_files(&identity, HTTP_ALPN).unwrap().admission();
        assert!(Arc::ptr_eq(&open.config(), &open.config_for_us()));
        let roots = folder.path().join("clients.pem");
        fs::write(&roots, &authority.certificate_pem).unwrap();
        identity.client_ca = Some(roots);
        let closed = Reloading::from_files(&identity, HTTP_ALPN).unwrap().admission();
        assert!(!Arc::ptr_eq(&closed.config(), &closed.config_for_us()), "no session is shared either");
    }
}
