//! Judges what a certificate authority has sent: finds our certificate in it and puts its issuers behind it, whatever
//! the order was; refuses what clients would refuse, and notes what they may stumble over.

use std::fmt;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::certificate::{Certificate, Signed, stamp};
use super::error::ChainError;
use super::files::MOST_BYTES;
use crate::net::tls::{ValidityState, verify_served};

/// More certificates are in no chain, nor in a bundle for one.
const MOST: usize = 16;
/// signedData (RFC 5652 §5.1), 1.2.840.113549.1.7.2, as a DER object identifier.
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// Version 3 of a PFX (RFC 7292 §4).
const PFX: &[u8] = &[0x02, 0x01, 0x03];

/// A chain that is fit to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Leaf first, each followed by its issuer.
    pub certificates: Vec<Certificate>,
    /// What is worth knowing of it.
    pub notes: Vec<Note>,
}

/// What somebody who imports a chain is told, though it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The file had another order.
    Reordered,
    /// Certificates that do not belong to the chain.
    LeftOut {
        /// How many.
        certificates: usize,
    },
    /// There was a private key in the file.
    PrivateKey,
    /// The leaf has an issuer that is not there.
    NoIssuer {
        /// Its name.
        issuer: String,
    },
    /// No name is that of this box.
    OtherNames {
        /// The host name of this box.
        hostname: String,
    },
    /// One of the certificates is for later, if the clock is right.
    NotYetValid {
        /// Whose.
        subject: String,
        /// From when on it is valid.
        from: String,
        /// What our clock says.
        clock: String,
    },
    /// One of the certificates has expired, and that was waived.
    Expired {
        /// Whose.
        subject: String,
        /// When.
        until: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reordered => f.write_str("the certificates were not in the order that TLS asks for, leaf first; now they are"),
            Self::LeftOut { certificates } => {
                write!(f, "certificates that do not belong to the chain were left out: {certificates}")
            }
            Self::PrivateKey => f.write_str(
                "the file holds a private key, which was not taken: the key of this box never leaves it; remove it from the file",
            ),
            Self::NoIssuer { issuer } => write!(
                f,
                "the issuer's certificate ({issuer}) is not in the file; clients have to know it already, or refuse the chain"
            ),
            Self::OtherNames { hostname } => {
                write!(f, "no name of the certificate is that of this box, {hostname}; clients must use one that is in it")
            }
            Self::NotYetValid { subject, from, clock } => write!(
                f,
                "the certificate of {subject} is valid from {from}, and our clock says {clock}: is it behind?"
            ),
            Self::Expired { subject, until } => {
                write!(f, "the certificate of {subject} has expired on {until}; clients will refuse it")
            }
        }
    }
}

impl Chain {
    /// The chain for the public key `key` (a SubjectPublicKeyInfo in DER) in `bytes`, PEM text from outside, judged at
    /// `now` by our clock. With `force`, one that has expired is taken too.
    ///
    /// # Errors
    /// [`ChainError`] says why it is not taken.
    pub fn of(
        bytes: &[u8],
        key: &[u8],
        hostname: &str,
        now: SystemTime,
        force: bool,
    ) -> Result<Self, ChainError> {
        let sent = read(bytes)?;
        let certificates = ordered(sent.clone(), key)?;
        let mut notes = Vec::new();
        if has_section(bytes, "PRIVATE KEY") {
            notes.push(Note::PrivateKey);
        }
        if !certificates.iter().eq(sent.iter().filter(|one| certificates.contains(one))) {
            notes.push(Note::Reordered);
        }
        if sent.len() > certificates.len() {
            notes.push(Note::LeftOut { certificates: sent.len() - certificates.len() });
        }
        notes.extend(judge(&certificates, hostname, now, force)?);
        Ok(Self { certificates, notes })
    }

    /// The chain as PEM text.
    pub fn pem(&self) -> String {
        self.certificates.iter().map(Certificate::pem).collect()
    }
}

/// The certificates in the order of the file, each once.
fn read(bytes: &[u8]) -> Result<Vec<Certificate>, ChainError> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(ChainError::TooLarge);
    }
    let mut found: Vec<Certificate> = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(bytes).enumerate() {
        if index == MOST {
            return Err(ChainError::TooMany { most: MOST });
        }
        let der = der.map_err(|_| ChainError::NotPem)?;
        let one = Certificate::of(der).ok_or(ChainError::NotX509 { number: index + 1 })?;
        if !found.contains(&one) {
            found.push(one);
        }
    }
    if found.is_empty() { Err(something_else(bytes)) } else { Ok(found) }
}

/// What a file without certificates in PEM may be.
fn something_else(bytes: &[u8]) -> ChainError {
    let begins_with = |what: &[u8]| bytes.get(..64.min(bytes.len())).is_some_and(|head| contains(head, what));
    if has_section(bytes, "PKCS7") || has_section(bytes, "CMS") {
        ChainError::Pkcs7 { inform: "" }
    } else if has_section(bytes, "CERTIFICATE REQUEST") {
        ChainError::Request
    } else if bytes.first() != Some(&0x30) {
        ChainError::NoCertificate
    } else if begins_with(SIGNED_DATA) {
        ChainError::Pkcs7 { inform: "-inform DER " }
    } else if X509Certificate::from_der(bytes).is_ok() {
        ChainError::Der
    } else if bytes.get(..8).is_some_and(|head| contains(head, PFX)) {
        ChainError::Pkcs12
    } else {
        ChainError::NoCertificate
    }
}

/// Our certificate and its issuers, as far as they are there.
fn ordered(mut rest: Vec<Certificate>, key: &[u8]) -> Result<Vec<Certificate>, ChainError> {
    // The newest, if the one that is to be replaced is there as well.
    let ours = (0..rest.len())
        .filter(|&at| rest.get(at).is_some_and(|one| one.public_key() == key))
        .max_by_key(|&at| rest.get(at).map(|one| one.validity.not_before))
        .ok_or(ChainError::NotOurs)?;
    let mut chain = vec![rest.remove(ours)];
    while let Some(last) = chain.last().filter(|last| !last.is_self_issued()) {
        let signed = |wanted: Signed| {
            rest.iter().position(|one| last.names_as_issuer(one) && last.signed_by(one) == wanted)
        };
        match signed(Signed::Yes).or_else(|| signed(Signed::Perhaps)) {
            Some(at) => chain.push(rest.remove(at)),
            None if rest.iter().any(|one| last.names_as_issuer(one)) => {
                return Err(ChainError::Broken {
                    subject: last.subject.clone(),
                    issuer: last.issuer.clone(),
                });
            }
            None => break,
        }
    }
    Ok(chain)
}

fn judge(
    chain: &[Certificate],
    hostname: &str,
    now: SystemTime,
    force: bool,
) -> Result<Vec<Note>, ChainError> {
    let Some(leaf) = chain.first() else { return Err(ChainError::NotOurs) };
    if !leaf.for_servers {
        return Err(ChainError::NotForServers);
    }
    if leaf.names.is_empty() {
        return Err(ChainError::NoNames);
    }
    let mut notes = Vec::new();
    for one in chain {
        let subject = || one.subject.clone();
        match one.validity.state(now) {
            ValidityState::Valid => {}
            ValidityState::NotYetValid => notes.push(Note::NotYetValid {
                subject: subject(),
                from: stamp(one.validity.not_before),
                clock: stamp(now),
            }),
            ValidityState::Expired if force => {
                notes.push(Note::Expired { subject: subject(), until: stamp(one.validity.not_after) });
            }
            ValidityState::Expired => {
                return Err(ChainError::Expired {
                    subject: subject(),
                    until: stamp(one.validity.not_after),
                    clock: stamp(now),
                });
            }
        }
    }
    if let [alone] = chain
        && !alone.is_self_issued()
    {
        notes.push(Note::NoIssuer { issuer: alone.issuer.clone() });
    }
    if !leaf.is_for(hostname) {
        notes.push(Note::OtherNames { hostname: hostname.to_owned() });
    }
    // Dates were judged above, by a clock that may be wrong: here they are not to count.
    let begins = chain.iter().map(|one| one.validity.not_before).max().unwrap_or(now);
    let whole: Vec<_> = chain.iter().map(|one| one.der().clone()).collect();
    match verify_served(&whole, begins) {
        Err(error) if !(force && is_of_dates(&error)) => {
            Err(ChainError::Refused { reason: error.to_string() })
        }
        _ => Ok(notes),
    }
}

/// When certificates of a chain were never valid at the same time.
fn is_of_dates(error: &rustls::Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext};
    matches!(error, rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }))
}

/// Whether PEM text has a section of this kind.
fn has_section(bytes: &[u8], kind: &str) -> bool {
    contains(bytes, format!("{kind}-----").as_bytes())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use rcgen::{ExtendedKeyUsagePurpose, KeyPair};

    use super::super::testing::Hospital;
    use super::*;

    /// A hospital and the key of a box.
    struct Case {
        hospital: Hospital,
        key: KeyPair,
    }

    impl Case {
        fn new() -> Self {
            Self { hospital: Hospital::new(), key: KeyPair::generate().unwrap() }
        }

        fn leaf(&self) -> String {
            self.hospital.sign(&self.key, (-1, 90), |_| ())
        }

        fn judged(&self, parts: &[&str], force: bool) -> Result<Chain, ChainError> {
            let key = {
                use rcgen::PublicKeyData as _;
                self.key.subject_public_key_info()
            };
            Chain::of(parts.concat().as_bytes(), &key, "room7", SystemTime::now(), force)
        }

        fn refused(&self, parts: &[&str]) -> ChainError {
            self.judged(parts, false).unwrap_err()
        }
    }

    fn subjects(chain: &Chain) -> Vec<&str> {
        chain.certificates.iter().map(|one| one.subject.as_str()).collect()
    }

    #[test]
    fn every_order_becomes_that_of_tls() {
        let case = Case::new();
        let (leaf, middle, root) = (case.leaf(), &case.hospital.intermediate, &case.hospital.root);
        let right = case.judged(&[&leaf, middle, root], false).unwrap();
        assert_eq!(subjects(&right), ["CN=room 7", "CN=Hospital Devices", "CN=Hospital Root"]);
        assert_eq!(right.notes, []);
        assert_eq!(right.certificates[0].names, ["room7.hospital.example", "192.0.2.7"]);
        assert_eq!(right.pem().replace("\r\n", "\n"), [&*leaf, middle, root].concat().replace("\r\n", "\n"));
        for order in
            [[root, middle, &leaf], [middle, &leaf, root], [root, &leaf, middle], [&leaf, root, middle]]
        {
            let chain = case.judged(&order.map(String::as_str), false).unwrap();
            assert_eq!((&chain.certificates, &*chain.notes), (&right.certificates, &[Note::Reordered][..]));
        }
        let twice = case.judged(&[&leaf, middle, middle, &leaf, root], false).unwrap();
        assert_eq!(twice, right);
    }

    #[test]
    fn what_does_not_belong_to_it_is_left_out_and_what_lacks_is_told() {
        let case = Case::new();
        let (leaf, others) = (case.leaf(), Hospital::new());
        let chain = case.judged(&[&others.root, &leaf], false).unwrap();
        assert_eq!(subjects(&chain), ["CN=room 7"]);
        let issuer = "CN=Hospital Devices".to_owned();
        assert_eq!(chain.notes, [Note::LeftOut { certificates: 1 }, Note::NoIssuer { issuer }]);
        // A root of the same name with another key, as after a renewal, does not hide the right one.
        let roots =
            case.judged(&[&leaf, &case.hospital.intermediate, &others.root, &case.hospital.root], false);
        assert_eq!(roots.unwrap().notes, [Note::LeftOut { certificates: 1 }]);
        let secret = case.key.serialize_pem();
        let chain = case.judged(&[&leaf, &case.hospital.intermediate, &secret], false).unwrap();
        assert_eq!(chain.notes, [Note::PrivateKey]);
        assert!(!chain.pem().contains("PRIVATE"));
    }

    #[test]
    fn a_chain_is_ours_and_holds_together() {
        let case = Case::new();
        let stranger = case.hospital.sign(&KeyPair::generate().unwrap(), (-1, 90), |_| ());
        assert_eq!(case.refused(&[&stranger, &case.hospital.intermediate]), ChainError::NotOurs);
        let others = Hospital::new();
        let broken = case.refused(&[&case.leaf(), &others.intermediate]);
        assert!(
            matches!(&broken, ChainError::Broken { issuer, .. } if issuer == "CN=Hospital Devices"),
            "{broken}"
        );
        // The old one is there too, as some authorities send it.
        let (old, new) = (case.hospital.sign(&case.key, (-300, 10), |_| ()), case.leaf());
        let chain = case.judged(&[&old, &new, &case.hospital.intermediate], false).unwrap();
        assert_eq!(chain.certificates[0].pem().trim(), new.replace("\r\n", "\n").trim());
    }

    #[test]
    fn what_clients_would_refuse_is_refused() {
        let case = Case::new();
        let middle = &case.hospital.intermediate;
        let client = case.hospital.sign(&case.key, (-1, 90), |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        assert_eq!(case.refused(&[&client, middle]), ChainError::NotForServers);
        let any = case.hospital.sign(&case.key, (-1, 90), |params| params.extended_key_usages.clear());
        assert_eq!(case.judged(&[&any, middle], false).unwrap().notes, []);
        let nameless = case.hospital.sign(&case.key, (-1, 90), |params| params.subject_alt_names.clear());
        assert_eq!(case.refused(&[&nameless, middle]), ChainError::NoNames);
        let authority = case.hospital.sign(&case.key, (-1, 90), |params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        });
        let refused = case.refused(&[&authority, middle]);
        assert!(matches!(refused, ChainError::Refused { .. }), "{refused}");
        let other = case.hospital.sign(&case.key, (-1, 90), |params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName("other.example".try_into().unwrap())];
        });
        let hostname = "room7".to_owned();
        assert_eq!(case.judged(&[&other, middle], false).unwrap().notes, [Note::OtherNames { hostname }]);
    }

    #[test]
    fn dates_are_judged_by_a_clock_that_may_be_behind() {
        let case = Case::new();
        let middle = &case.hospital.intermediate;
        let over = case.hospital.sign(&case.key, (-90, -1), |_| ());
        let refused = case.refused(&[&over, middle]);
        assert!(
            matches!(&refused, ChainError::Expired { subject, .. } if subject == "CN=room 7"),
            "{refused}"
        );
        let forced = case.judged(&[&over, middle], true).unwrap();
        assert!(matches!(forced.notes[..], [Note::Expired { .. }]), "{:?}", forced.notes);
        let later = case.hospital.sign(&case.key, (700, 800), |_| ());
        let taken = case.judged(&[&later, middle], false).unwrap();
        assert!(matches!(taken.notes[..], [Note::NotYetValid { .. }]), "{:?}", taken.notes);
        assert!(taken.notes[0].to_string().contains("our clock says 20"), "{}", taken.notes[0]);
    }

    #[test]
    fn what_is_not_pem_is_told_apart() {
        let of = |bytes: &[u8]| Chain::of(bytes, &[], "room7", SystemTime::now(), false).unwrap_err();
        let case = Case::new();
        let leaf = case.leaf();
        let der = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
        assert_eq!(of(&der), ChainError::Der);
        let section = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        assert_eq!(of(section("PKCS7").as_bytes()), ChainError::Pkcs7 { inform: "" });
        let signed_data = [&[0x30, 0x80][..], SIGNED_DATA, &[0xa0, 0x80]].concat();
        let p7b = of(&signed_data);
        assert!(p7b.to_string().contains("openssl pkcs7 -inform DER -print_certs"), "{p7b}");
        assert_eq!(of(&[&[0x30, 0x82, 0x01, 0x00][..], PFX, &[0x30]].concat()), ChainError::Pkcs12);
        assert_eq!(of(section("CERTIFICATE REQUEST").as_bytes()), ChainError::Request);
        assert_eq!(of(section("CERTIFICATE").as_bytes()), ChainError::NotX509 { number: 1 });
        assert_eq!(of(b"hello"), ChainError::NoCertificate);
        assert_eq!(of(b""), ChainError::NoCertificate);
        assert_eq!(of(leaf.replace("-----END CERTIFICATE-----", "").as_bytes()), ChainError::NotPem);
        assert_eq!(of(&vec![b' '; MOST_BYTES as usize + 1]), ChainError::TooLarge);
        let many: String = (0..=MOST).map(|_| case.leaf()).collect();
        assert_eq!(of(many.as_bytes()), ChainError::TooMany { most: MOST });
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn any_bytes_are_a_chain_or_not(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
            at in 0_usize..2000,
            flip in 1_u8..,
        ) {
            let case = Case::new();
            let whole = [case.leaf(), case.hospital.intermediate.clone()].concat();
            let of = |text: &[u8]| Chain::of(text, &[], "room7", SystemTime::now(), false).is_err();
            proptest::prop_assert!(of(&bytes));
            let text = [b"-----BEGIN CERTIFICATE-----\n", &*bytes].concat();
            proptest::prop_assert!(of(&text));
            let mut der = CertificateDer::from_pem_slice(whole.as_bytes()).unwrap().to_vec();
            let at = at % der.len();
            der[at] ^= flip;
            // Whatever was changed, nothing panics; a certificate that reads is no proof of anything.
            let _ = Certificate::of(der.clone().into()).map(|one| (one.signed_by(&one), one.is_self_signed()));
            let mut text = whole.into_bytes();
            let at = at % text.len();
            text[at] ^= flip;
            let _ = case.judged(&[&String::from_utf8_lossy(&text)], false);
        }
    }
}
