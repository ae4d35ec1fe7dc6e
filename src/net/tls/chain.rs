//! Would a client take this chain from a server? For certificates that are about to be installed, judged by the same
//! library that the applications of this program use.

use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;

use super::provider;

/// Whether a client that trusts the last certificate of `chain` (leaf first) takes the leaf for a server's at the time
/// `at`: signatures, purposes and constraints (RFC 5280 §6), with the algorithms of our profile. A chain of one
/// says nothing of its issuer and passes.
///
/// # Errors
/// What the client would say.
pub fn verify_served(chain: &[CertificateDer<'_>], at: SystemTime) -> Result<(), rustls::Error> {
    let [leaf, issuers @ .., root] = chain else { return Ok(()) };
    let mut roots = RootCertStore::empty();
    roots.add(root.clone().into_owned())?;
    let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &roots,
        issuers,
        UnixTime::since_unix_epoch(at),
        provider().signature_verification_algorithms.all,
    )
}
