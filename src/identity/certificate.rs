//! What an X.509 certificate or a request for one says (RFC 5280, RFC 2986), as far as an identity asks.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use crate::net::tls::Validity;

/// A certificate that could be read. Nothing of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// Whose it is, a distinguished name for people to read.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// DNS names and IP addresses of its Subject Alternative Name.
    pub names: Vec<String>,
    /// When it is valid.
    pub validity: Validity,
    /// Whether it may be a server's by its Extended Key Usage, which it need not have.
    pub for_servers: bool,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    public_key: Vec<u8>,
}

/// Whether one certificate has signed another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    Yes,
    No,
    /// By an algorithm that is not known here.
    Perhaps,
}

impl Certificate {
    /// Reads one; `None` if `der` is none, or goes on after it.
    pub fn of(der: CertificateDer<'static>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let names = parsed.subject_alternative_name().ok()?;
        let purposes = parsed.extended_key_usage().ok()?;
        Some(Self {
            subject: shown(parsed.subject()),
            issuer: shown(parsed.issuer()),
            names: names
                .map_or_else(Vec::new, |names| names.value.general_names.iter().filter_map(name).collect()),
            validity: Validity::of(&der)?,
            for_servers: purposes.is_none_or(|purposes| purposes.value.server_auth),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            public_key: parsed.public_key().raw.to_vec(),
            der,
        })
    }

    /// In DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// As a PEM section (RFC 7468).
    pub fn pem(&self) -> String {
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        let text = BASE64_STANDARD.encode(&self.der);
        for (at, character) in text.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        pem
    }

    /// SHA-256 of it, as `openssl x509 -fingerprint -sha256` shows it.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.der);
        let mut shown = String::new();
        for byte in digest.as_ref() {
            let colon = if shown.is_empty() { "" } else { ":" };
            // Into a string, which does not fail.
            let _ = write!(shown, "{colon}{byte:02X}");
        }
        shown
    }

    /// The public key, as a SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject_der == self.issuer_der
    }

    /// Whether its own key has signed it.
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.signed_by(self) == Signed::Yes
    }

    /// Whether `other` is named as its issuer.
    pub(super) fn names_as_issuer(&self, other: &Self) -> bool {
        self.issuer_der == other.subject_der
    }

    /// Whether the key of `issuer` has signed it.
    pub(super) fn signed_by(&self, issuer: &Self) -> Signed {
        let read = |der| X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed);
        let (Some(signed), Some(issuer)) = (read(&self.der), read(&issuer.der)) else { return Signed::No };
        match signed.verify_signature(Some(issuer.public_key())) {
            Ok(()) => Signed::Yes,
            Err(X509Error::SignatureUnsupportedAlgorithm) => Signed::Perhaps,
            Err(_) => Signed::No,
        }
    }

    /// Whether it is for the host `hostname`, under whichever domain.
    pub(super) fn is_for(&self, hostname: &str) -> bool {
        self.names.iter().any(|name| {
            let first = name.split('.').next().unwrap_or_default();
            first == "*" || first.eq_ignore_ascii_case(hostname)
        })
    }
}

/// The public key in a request (DER), as a SubjectPublicKeyInfo in DER.
pub(super) fn key_of_request(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509CertificationRequest::from_der(der).ok()?;
    Some(parsed.certification_request_info.subject_pki.raw.to_vec())
}

/// `moment` as RFC 3339 writes it, in UTC.
pub(super) fn stamp(moment: SystemTime) -> String {
    let seconds = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let Ok(time) =
        i64::try_from(seconds).map_err(drop).and_then(|s| ASN1Time::from_timestamp(s).map_err(drop))
    else {
        return "beyond the calendar".to_owned();
    };
    let time = time.to_datetime();
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

/// A name from outside, fit for a terminal and a log.
fn shown(name: &X509Name<'_>) -> String {
    let text: String =
        name.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.is_empty() { "(no name)".to_owned() } else { text }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => {
            Some(name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
        }
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}
