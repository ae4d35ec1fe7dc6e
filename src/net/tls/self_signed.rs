//! A certificate made at the start, for the demo: the key lives in memory only and is gone with the
//! process. Clients are handed the certificate as the one root to trust.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

use super::{Loaded, TlsError, Validity, provider};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DAYS: u32 = 30;

/// A TLS configuration with a certificate of its own making.
#[derive(Debug, Clone)]
pub struct SelfSigned {
    /// What the listener serves.
    pub loaded: Loaded,
    /// The certificate as PEM text, for clients to trust.
    pub certificate_pem: String,
}

/// Makes an ECDSA P-256 certificate for `names` (DNS names or IP addresses), valid from the day
/// before `now`, so that a client's clock may be behind, for 30 days.
///
/// # Errors
/// [`TlsError::SelfSigned`] if a name is neither a DNS name nor an IP address.
pub fn self_signed(names: &[&str], alpn: &[&[u8]], now: SystemTime) -> Result<SelfSigned, TlsError> {
    let refused = |error: rcgen::Error| TlsError::SelfSigned { reason: error.to_string() };
    let not_before = now.checked_sub(DAY).unwrap_or(now);
    let valid = Validity { not_before, not_after: not_before + DAY * DAYS };
    let params = server_params("framegate demo", names, valid).map_err(refused)?;
    let pair = KeyPair::generate().map_err(refused)?;
    let made = params.self_signed(&pair).map_err(refused)?;
    let certificate: CertificateDer<'static> = made.der().clone();
    let broken = |reason: String| TlsError::SelfSigned { reason };
    let validity = Validity::of(&certificate).ok_or_else(|| broken("it cannot be read back".to_owned()))?;
    let provider = Arc::new(provider());
    let key = PrivateKeyDer::try_from(pair.serialize_der()).map_err(|reason| broken(reason.to_owned()))?;
    let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &provider)
        .map_err(|error| broken(error.to_string()))?;
    let loaded = Loaded::new(provider, certified, certificate, validity, None, alpn)?;
    Ok(SelfSigned { loaded, certificate_pem: made.pem() })
}

/// What a server's certificate, or a request for one, is made from: `names` are DNS names or IP addresses.
///
/// # Errors
/// If a name is neither.
pub fn server_params(
    common_name: &str,
    names: &[&str],
    valid: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.not_before = valid.not_before.into();
    params.not_after = valid.not_after.into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::super::{DICOM_ALPN, ValidityState};
    use super::*;

    #[test]
    fn it_is_valid_from_yesterday_for_thirty_days() {
        let now = SystemTime::now();
        let made = self_signed(&["localhost", "127.0.0.1", "::1"], DICOM_ALPN, now).unwrap();
        let validity = made.loaded.validity;
        assert_eq!(validity.state(now - DAY / 2), ValidityState::Valid);
        assert_eq!(validity.state(now - DAY * 2), ValidityState::NotYetValid);
        assert_eq!(validity.state(now + DAY * 28), ValidityState::Valid);
        assert_eq!(validity.state(now + DAY * 30), ValidityState::Expired);
        assert!(made.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(!made.certificate_pem.contains("PRIVATE KEY"));
    }

    #[test]
    fn a_name_that_is_no_name_is_refused() {
        assert!(matches!(
            self_signed(&["naïve"], DICOM_ALPN, SystemTime::now()),
            Err(TlsError::SelfSigned { .. })
        ));
    }
}
