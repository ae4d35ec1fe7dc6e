//! What can go wrong with an identity. Every message says what, where, and how to mend it; none quotes a key.

use std::io;
use std::path::PathBuf;

use crate::net::tls::TlsError;

/// Why an identity could not be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is one already, which peers may trust by now.
    #[error("{} is there already, and an identity is made once; to begin anew, remove it", .directory.display())]
    Exists {
        /// Where.
        directory: PathBuf,
    },
    /// The file for the private key is there already.
    #[error("{} is there already, and no key is overwritten; remove it if nothing needs it", .file.display())]
    KeyExists {
        /// The file.
        file: PathBuf,
    },
    /// The private key would be written to a disk.
    #[error("{} is not on a tmpfs, so the private key would be on the disk in the clear; name a file in /run", .file.display())]
    NotVolatile {
        /// The file.
        file: PathBuf,
    },
    /// A file or directory cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file of the identity is not what it is to be.
    #[error("{} is damaged: {reason}", .file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host name is none.
    #[error("a host name has 1 to 63 of a to z, 0 to 9 and the hyphen, and begins and ends with no hyphen")]
    Hostname,
    /// The name for a certificate is neither a DNS name nor an IP address.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    Name {
        /// As it was given.
        name: String,
    },
    /// The file with the key of a request.
    #[error(transparent)]
    Key(#[from] TlsError),
    /// The cryptographic library fails.
    #[error("no certificate or request could be made: {reason}")]
    Generate {
        /// What it says.
        reason: String,
    },
    /// What is to be imported.
    #[error("{}: {error}", .file.display())]
    Chain {
        /// The file.
        file: PathBuf,
        /// Why it is not taken.
        error: ChainError,
    },
}

/// Why certificates are not taken as ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Larger than anybody's chain.
    #[error("it is larger than 1 MiB; it has to be the certificates of this box and its issuers only")]
    TooLarge,
    /// More certificates than in anybody's chain.
    #[error("it holds more than {most} certificates; it has to be those of this box and its issuers only")]
    TooMany {
        /// The bound.
        most: usize,
    },
    /// PKCS #7 (CMS), as `.p7b` files are.
    #[error("it is PKCS #7; convert it: openssl pkcs7 {inform}-print_certs -in FILE -out chain.pem")]
    Pkcs7 {
        /// What openssl has to be told of its form.
        inform: &'static str,
    },
    /// PKCS #12: a certificate with a key that somebody else has made.
    #[error("it is PKCS #12, which comes with a key that is not ours; have server.csr of this box signed")]
    Pkcs12,
    /// One certificate in DER.
    #[error(
        "it is DER; convert it: openssl x509 -inform DER -in FILE -out leaf.pem, then append its issuers"
    )]
    Der,
    /// Our own request, or another.
    #[error(
        "it holds a request and no certificate; give it to the certificate authority, and import the answer"
    )]
    Request,
    /// Nothing of use.
    #[error("it holds no CERTIFICATE section; it has to be PEM text (RFC 7468)")]
    NoCertificate,
    /// PEM that is broken.
    #[error("it is broken PEM text; was it cut short or edited?")]
    NotPem,
    /// One of the sections.
    #[error("certificate {number} of it is no X.509 certificate")]
    NotX509 {
        /// From 1, in the order of the file.
        number: usize,
    },
    /// For another box, or made from another request.
    #[error(
        "none of its certificates is for the key of this box; have server.csr of this box signed (framegate identity csr)"
    )]
    NotOurs,
    /// An issuer of the right name has another key.
    #[error(
        "the certificate of {subject} was not signed by the certificate of {issuer} that is beside it; ask for the issuer's current certificate"
    )]
    Broken {
        /// Whose.
        subject: String,
        /// By whom it ought to be.
        issuer: String,
    },
    /// Extended Key Usage without id-kp-serverAuth (RFC 5280 §4.2.1.12).
    #[error(
        "the certificate is not for servers; ask for one with the extended key usage TLS Web Server Authentication"
    )]
    NotForServers,
    /// Without Subject Alternative Name.
    #[error(
        "the certificate names no host in its Subject Alternative Name, where clients look; ask for one that does"
    )]
    NoNames,
    /// Too late.
    #[error(
        "the certificate of {subject} has expired on {until}, and our clock says {clock}; ask for a new one, or set the clock (--force takes it all the same)"
    )]
    Expired {
        /// Whose.
        subject: String,
        /// When.
        until: String,
        /// Our time.
        clock: String,
    },
    /// For another reason.
    #[error("a client that trusts its issuer would refuse it: {reason}")]
    Refused {
        /// What the client would say.
        reason: String,
    },
}
