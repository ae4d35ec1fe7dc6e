//! What the identity of a box is now.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};

use super::certificate::{Certificate, key_of_request, stamp};
use super::files::{MOST_BYTES, at};
use super::{CERTIFICATE, DEVICE_ID, HOSTNAME, IdentityError, REQUEST};
use crate::net::file;

/// An identity, as its directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// 12 hexadecimal digits.
    pub device_id: String,
    /// Of the box.
    pub hostname: String,
    /// The first certificate of the chain, which is the box's.
    pub certificate: Certificate,
    /// Whether the request is for the same key as the certificate.
    pub key_matches_request: bool,
}

impl Identity {
    /// Reads the identity in `directory`. Reads files: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`IdentityError`] if a file is not there, or is not what it is to be.
    pub fn read(directory: &Path) -> Result<Self, IdentityError> {
        let file = directory.join(CERTIFICATE);
        let damaged = || IdentityError::Damaged { file: file.clone(), reason: "it is no certificate in PEM" };
        let der = CertificateDer::from_pem_slice(&bytes(&file)?).map_err(|_| damaged())?;
        let certificate = Certificate::of(der).ok_or_else(damaged)?;
        Ok(Self {
            device_id: word(directory, DEVICE_ID)?,
            hostname: hostname(directory)?,
            key_matches_request: request_key(directory)? == certificate.public_key(),
            certificate,
        })
    }

    /// The AE title that the box has until it is given another: `FG` and the last 6 digits of its id, in upper case.
    pub fn ae_title(&self) -> String {
        format!("FG{}", self.device_id.get(6..).unwrap_or_default().to_ascii_uppercase())
    }

    /// From when to when its certificate is valid (RFC 3339).
    pub fn valid(&self) -> (String, String) {
        let validity = self.certificate.validity;
        (stamp(validity.not_before), stamp(validity.not_after))
    }
}

/// The host name in `directory`.
pub(super) fn hostname(directory: &Path) -> Result<String, IdentityError> {
    word(directory, HOSTNAME)
}

/// The public key of the request in `directory` (a SubjectPublicKeyInfo in DER): that of the box.
pub(super) fn request_key(directory: &Path) -> Result<Vec<u8>, IdentityError> {
    let file = directory.join(REQUEST);
    let request = CertificateSigningRequestDer::from_pem_slice(&bytes(&file)?).ok();
    request
        .and_then(|request| key_of_request(&request))
        .ok_or(IdentityError::Damaged { file, reason: "it is no certificate request in PEM" })
}

/// A file of one word.
fn word(directory: &Path, name: &str) -> Result<String, IdentityError> {
    let file = directory.join(name);
    let fits = |word: &&str| {
        (1..=63).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let text = String::from_utf8(bytes(&file)?).ok();
    text.as_deref()
        .map(str::trim_end)
        .filter(fits)
        .map(str::to_owned)
        .ok_or(IdentityError::Damaged { file, reason: "it is to hold one word" })
}

fn bytes(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let large = || IdentityError::Damaged { file: path.to_owned(), reason: "it is larger than 1 MiB" };
    file::read(path, MOST_BYTES).map_err(at(path))?.ok_or_else(large)
}
