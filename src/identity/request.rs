//! A request for a certificate (PKCS #10, RFC 2986) with the key that the box has, and with names of the hospital's
//! choice.

use std::path::Path;
use std::time::SystemTime;

use rcgen::KeyPair;
use rustls::pki_types::ServerName;

use super::IdentityError;
use crate::net::tls::{Validity, read_key, server_params};

/// The longest common name (X.520 ub-common-name).
const COMMON_NAME: usize = 64;

/// A request, as PEM text, for `names`: DNS names or IP addresses, of which the first is the common name too. The key is
/// in the file `key` (PKCS #8 in PEM).
///
/// # Errors
/// [`IdentityError`] if a name is no name, there is none, or the key cannot be used.
pub fn request(key: &Path, names: &[&str]) -> Result<String, IdentityError> {
    for name in names {
        ServerName::try_from(*name).map_err(|_| IdentityError::Name { name: (*name).to_owned() })?;
    }
    let first = names.first().ok_or_else(|| IdentityError::Name { name: String::new() })?;
    let failed = |error: rcgen::Error| IdentityError::Generate { reason: error.to_string() };
    let pair = KeyPair::try_from(&read_key(key)?).map_err(failed)?;
    // A request has no validity.
    let any = Validity { not_before: SystemTime::UNIX_EPOCH, not_after: SystemTime::UNIX_EPOCH };
    let mut params = server_params(first, names, any).map_err(failed)?;
    if first.len() > COMMON_NAME {
        params.distinguished_name = rcgen::DistinguishedName::new();
    }
    params.serialize_request(&pair).and_then(|request| request.pem()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateSigningRequestDer;
    use rustls::pki_types::pem::PemObject;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::extensions::ParsedExtension;
    use x509_parser::prelude::FromDer;

    use super::super::certificate::key_of_request;
    use super::super::testing::Made;
    use super::*;

    #[test]
    fn a_request_has_our_key_and_the_names_that_were_asked_for() {
        let Some(made) = Made::new(None) else { return };
        let long = format!("{}.example", "a".repeat(60));
        for first in ["room7.hospital.example", &long] {
            let pem = request(&made.key, &[first, "192.0.2.7", "::1"]).unwrap();
            let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap();
            assert_eq!(key_of_request(&der).unwrap(), made.identity.certificate.public_key());
            let (_, parsed) = X509CertificationRequest::from_der(&der).unwrap();
            parsed.verify_signature().unwrap();
            let names = parsed.requested_extensions().unwrap().find_map(|extension| match extension {
                ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.len()),
                _ => None,
            });
            assert_eq!(names, Some(3));
            let subject = parsed.certification_request_info.subject.to_string();
            let expected = if first.len() > COMMON_NAME { String::new() } else { format!("CN={first}") };
            assert_eq!(subject, expected);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let Some(made) = Made::new(None) else { return };
        for wrong in ["", "a b", "naïve", "https://a", "a:104"] {
            let error = request(&made.key, &["a", wrong]).unwrap_err();
            assert!(matches!(error, IdentityError::Name { .. }), "{wrong}: {error}");
        }
        assert!(matches!(request(&made.key, &[]), Err(IdentityError::Name { .. })));
        let certificate = made.directory.join("server.pem");
        assert!(matches!(request(&certificate, &["a"]), Err(IdentityError::Key(_))));
    }
}
