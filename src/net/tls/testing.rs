//! Certificates and TLS clients for tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::{TlsIdentity, VERSIONS, provider};

/// `days` from `at`, back in time if negative.
pub(crate) fn day(at: SystemTime, days: i32) -> SystemTime {
    let span = Duration::from_secs(86_400) * days.unsigned_abs();
    if days < 0 { at - span } else { at + span }
}

/// What a listener without client certificates is configured with.
pub(crate) fn pair(certificate: &Path, key: &Path) -> TlsIdentity {
    TlsIdentity::new(certificate.to_owned(), key.to_owned(), None)
}

/// A certificate authority in memory.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate_pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("test authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate_pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate_pem }
    }

    /// Writes `name`.pem and `name`.key for `names`, valid today.
    pub(crate) fn write_identity(&self, folder: &Path, name: &str, names: &[&str]) -> TlsIdentity {
        let now = SystemTime::now();
        self.write_identity_valid(folder, name, names, day(now, -1), day(now, 30))
    }

    pub(crate) fn write_identity_valid(
        &self,
        folder: &Path,
        name: &str,
        names: &[&str],
        from: SystemTime,
        to: SystemTime,
    ) -> TlsIdentity {
        let (certificate, key) = self.issue(names, from, to);
        let identity =
            TlsIdentity::new(folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")), None);
        fs::write(&identity.certificate, certificate).unwrap();
        fs::write(&identity.key, key).unwrap();
        identity
    }

    /// A client's certificate and key as PEM.
    pub(crate) fn client(&self, subject: &str, names: Vec<SanType>, serial: u64) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.subject_alt_names = names;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A revocation list in PEM that names `serials` and is due for replacement at `until`.
    pub(crate) fn revoke(&self, serials: &[u64], until: SystemTime) -> String {
        let this_update = day(until, -30).into();
        let revoked_certs = serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: this_update,
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update,
            next_update: until.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A leaf certificate and its key as PEM.
    pub(crate) fn issue(&self, names: &[&str], from: SystemTime, to: SystemTime) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (from.into(), to.into());
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A client that trusts `root_pem`, offers `alpn`, and shows `identity` (certificate and key PEM).
pub(crate) fn client(
    root_pem: &str,
    alpn: &[&[u8]],
    identity: Option<(String, String)>,
) -> Arc<ClientConfig> {
    client_of(VERSIONS, root_pem, alpn, identity)
}

/// The same, with a choice of TLS versions.
pub(crate) fn client_of(
    versions: &[&'static SupportedProtocolVersion],
    root_pem: &str,
    alpn: &[&[u8]],
    identity: Option<(String, String)>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}
