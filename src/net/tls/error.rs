//! What can be wrong with the files of a TLS identity. Every message stands alone in the journal:
//! the file, what is wrong with it, and how to mend it. None quotes a file's content.

use std::io;
use std::path::PathBuf;

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is not there or may not be read.
    #[error("cannot read {}: {source}; check that the file exists and that framegate's user may read it", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is no PEM file (RFC 7468).
    #[error("{} is not PEM: {reason}; write it again as PEM text (openssl x509 or openssl pkey with -outform PEM)", .file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file holds no certificate.
    #[error("{} holds no CERTIFICATE section; are the certificate and key files swapped, or is it DER (openssl x509 -inform DER)?", .file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A certificate of the file cannot be used.
    #[error("{} holds a certificate that cannot be used: {reason}; put the leaf first, then its issuers", .file.display())]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file holds no private key.
    #[error("{} holds no PRIVATE KEY section; are the certificate and key files swapped, or is it DER (openssl pkey -inform DER)?", .file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The key asks for a password, which a box that boots alone cannot give.
    #[error("the key in {} is encrypted; store it decrypted and readable by framegate's user only (openssl pkey -in … -out …)", .file.display())]
    EncryptedKey {
        /// The file.
        file: PathBuf,
    },
    /// The key is of a kind or size that the profile does not take.
    #[error("the key in {} cannot be used: {reason}; use an ECDSA P-256, P-384, Ed25519 or RSA key of 2048 bits or more", .file.display())]
    BadKey {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key is not the one that the leaf certificate was made for.
    #[error("the key in {} does not belong to the first certificate in {}; put the leaf certificate first, or install the pair that was issued together", .key.display(), .certificate.display())]
    KeyMismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The revocation lists cannot be used.
    #[error("{} cannot be used as revocation lists: {reason}; put a current PEM list of every issuer of client certificates into it (openssl crl -inform DER -outform PEM)", .file.display())]
    BadRevocationList {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No certificate could be generated.
    #[error("cannot make a self-signed certificate: {reason}")]
    SelfSigned {
        /// What is wrong.
        reason: String,
    },
    /// The library refuses our own profile: a fault of this build.
    #[error("this build cannot offer its TLS profile: {reason}")]
    Profile {
        /// What is wrong.
        reason: String,
    },
}
