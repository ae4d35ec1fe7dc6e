//! The `transfer-syntax` parameter of a DICOM media type (PS3.18 §8.7.3.5).

use super::MediaError;

/// Transfer syntaxes that PS3.18 §8.7.3 forbids on the web.
const FORBIDDEN: [&str; 2] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2"];

/// What a user agent says about the transfer syntax of the representation that it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferSyntaxWish {
    /// Nothing. The default of the media type is meant: Explicit VR Little Endian for
    /// `application/dicom` and `application/octet-stream`. Pixel data that exists only in a lossy
    /// compressed form may go out in that form all the same (PS3.18 §8.7.3).
    Absent,
    /// `*`: any, so that nothing need be transcoded.
    Any,
    /// This Transfer Syntax UID (valid by form, not necessarily known).
    Uid(String),
}

impl TransferSyntaxWish {
    /// Whether data in `transfer_syntax` (a UID) fulfils the wish, `default` being the default
    /// transfer syntax of the media type. The exception for data that is lossy is the caller's to make.
    pub fn admits(&self, transfer_syntax: &str, default: &str) -> bool {
        match self {
            Self::Absent => transfer_syntax == default,
            Self::Any => !FORBIDDEN.contains(&transfer_syntax),
            Self::Uid(uid) => transfer_syntax == uid,
        }
    }

    /// Whether the wish is for one of the transfer syntaxes that may not be used on the web.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Uid(uid) if FORBIDDEN.contains(&uid.as_str()))
    }

    /// Reads the value of the parameter: one UID or `*`.
    pub(super) fn parse(value: String) -> Result<Self, MediaError> {
        if value == "*" {
            return Ok(Self::Any);
        }
        let component = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit())
                && !part.is_empty()
                && (part == "0" || !part.starts_with('0'))
        };
        // PS3.5 §9.1
        if value.len() <= 64 && value.split('.').all(component) {
            Ok(Self::Uid(value))
        } else {
            Err(MediaError::Malformed("transfer-syntax is neither a UID nor \"*\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;

    #[test]
    fn only_a_uid_or_a_star_is_a_value() {
        assert_eq!(TransferSyntaxWish::parse("*".into()), Ok(TransferSyntaxWish::Any));
        assert!(matches!(TransferSyntaxWish::parse("1.2.840.0".into()), Ok(TransferSyntaxWish::Uid(_))));
        for bad in ["", "1..2", ".1", "1.", "1.02", "1.2,1.3", "1.a", "**", &"1.".repeat(40)] {
            assert!(TransferSyntaxWish::parse(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn absent_means_the_default_and_any_never_what_is_forbidden() {
        let uid = TransferSyntaxWish::Uid("1.2.840.10008.1.2.4.50".into());
        assert!(TransferSyntaxWish::Absent.admits(EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN));
        assert!(!TransferSyntaxWish::Absent.admits("1.2.840.10008.1.2.4.50", EXPLICIT_VR_LITTLE_ENDIAN));
        assert!(TransferSyntaxWish::Any.admits("1.2.840.10008.1.2.4.50", EXPLICIT_VR_LITTLE_ENDIAN));
        assert!(!TransferSyntaxWish::Any.admits("1.2.840.10008.1.2", EXPLICIT_VR_LITTLE_ENDIAN));
        assert!(uid.admits("1.2.840.10008.1.2.4.50", EXPLICIT_VR_LITTLE_ENDIAN));
        assert!(!uid.admits(EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN));
    }
}
