//! The names in a client certificate by which a principal may be known: the subject's common names (RFC
//! 5280 §4.1.2.6) and, of the Subject Alternative Name (§4.2.1.6), DNS names, URIs and e-mail addresses.
//! They are compared as they stand, without wildcards; only DNS names without regard to case.

use x509_parser::extensions::GeneralName;

/// One name. It has no `Debug`, so as to be in no log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Common(String),
    /// In lower case.
    Dns(String),
    Uri(String),
    Email(String),
}

impl Name {
    /// Reads a name as the configuration writes it: `CN=`, `DNS:`, `URI:` or `email:`, and the name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_at_checked(text.find(['=', ':'])? + 1)?;
        let make = match kind {
            "CN=" => Self::Common,
            "DNS:" => Self::dns,
            "URI:" => Self::Uri,
            "email:" => Self::Email,
            _ => return None,
        };
        (!name.is_empty()).then(|| make(name.to_owned()))
    }

    fn dns(name: String) -> Self {
        Self::Dns(name.to_ascii_lowercase())
    }
}

/// The names in a certificate (DER); `None` if it cannot be read.
pub(super) fn names(certificate: &[u8]) -> Option<Vec<Name>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let common = parsed.subject().iter_common_name();
    // A common name in an encoding of the last century is no name to us.
    let common = common.filter_map(|name| name.as_str().ok()).map(|name| Name::Common(name.to_owned()));
    let mut names: Vec<Name> = common.collect();
    if let Some(alternative) = parsed.subject_alternative_name().ok()? {
        names.extend(alternative.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(Name::dns((*name).to_owned())),
            GeneralName::URI(name) => Some(Name::Uri((*name).to_owned())),
            GeneralName::RFC822Name(name) => Some(Name::Email((*name).to_owned())),
            _ => None,
        }));
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_configuration_writes_them() {
        assert!(Name::parse("CN=Viewer 1: east=west") == Some(Name::Common("Viewer 1: east=west".into())));
        assert!(Name::parse("DNS:WS1.example") == Name::parse("DNS:ws1.EXAMPLE"));
        assert!(Name::parse("URI:urn:x") != Name::parse("URI:urn:X"));
        assert!(Name::parse("email:a@b") == Some(Name::Email("a@b".into())));
        for bad in ["", "CN", "CN=", "DNS:", "cn=a", "CN:a", "dns:a", "O=a", "viewer", " CN=a"] {
            assert!(Name::parse(bad).is_none(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = names(&bytes);
        }

        #[test]
        fn any_text_is_a_name_or_not(text in ".{0,40}") {
            let _ = Name::parse(&text);
        }
    }
}
