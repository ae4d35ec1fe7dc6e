//! What a handshake tells of the peer: the name that its certificate gives it, and whether it is security that a failure
//! is about, or only a connection that went away.

use std::io;

/// The subject of a certificate (DER), in the form of RFC 4514; `None` where it cannot be read, or is empty.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.subject().to_string()).filter(|subject| !subject.is_empty())
}

/// Why TLS itself failed; `None` where the connection broke.
pub fn refusal(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Authority;
    use super::*;

    #[test]
    fn a_certificate_names_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Authority::new().write_identity(folder.path(), "xa1", &["xa1.example"]);
        let chain = crate::net::tls::read_certificates(&identity.certificate).unwrap();
        let named = subject(&chain[0]).unwrap();
        assert!(named.starts_with("CN="), "{named}");
        assert_eq!(subject(b"no certificate"), None);
    }

    #[test]
    fn what_breaks_is_no_refusal() {
        let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(refusal(&error), Some(&rustls::Error::DecryptError));
        assert!(refusal(&io::ErrorKind::UnexpectedEof.into()).is_none());
    }
}
