//! Media types of parts, and the transfer syntaxes that they stand for (PS3.18 §8.7.3.3).

use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Uid, is_uid};

/// The media type of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartType {
    /// `type/subtype` in lower case.
    pub(super) essence: String,
    /// The `transfer-syntax` parameter, where it is a UID.
    pub(super) transfer_syntax: Option<Uid>,
}

impl PartType {
    /// Reads a `Content-Type` value; what is no parameter is left out.
    pub(super) fn parse(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let mut pieces = text.split(';');
        let essence = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let transfer_syntax = pieces.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let uid = value.trim().trim_matches('"');
            (name.trim().eq_ignore_ascii_case("transfer-syntax") && is_uid(uid)).then(|| uid.into())
        });
        Self { essence, transfer_syntax }
    }

    /// The transfer syntax that pixels in a part of this type are in: the one that is named, or the
    /// default of the media type.
    pub(super) fn of_pixels(&self) -> Option<Uid> {
        if let Some(named) = &self.transfer_syntax {
            return Some(named.clone());
        }
        let default = match &*self.essence {
            "application/octet-stream" => EXPLICIT_VR_LITTLE_ENDIAN,
            "image/jpeg" => "1.2.840.10008.1.2.4.70",
            "image/jls" => "1.2.840.10008.1.2.4.80",
            "image/jp2" => "1.2.840.10008.1.2.4.90",
            "image/jpx" => "1.2.840.10008.1.2.4.92",
            "image/jph" => "1.2.840.10008.1.2.4.201",
            "image/jxl" => "1.2.840.10008.1.2.4.110",
            "image/dicom-rle" => "1.2.840.10008.1.2.5",
            "video/mpeg" => "1.2.840.10008.1.2.4.100",
            "video/mp4" => "1.2.840.10008.1.2.4.102",
            _ => return None,
        };
        Some(default.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transfer_syntax_is_the_named_one_or_the_default() {
        let pixels = |value: &str| PartType::parse(value.as_bytes()).of_pixels();
        let uid = |uid: &str| Some(Uid::from(uid));
        assert_eq!(pixels("application/octet-stream"), uid(EXPLICIT_VR_LITTLE_ENDIAN));
        assert_eq!(pixels("Image/JPEG"), uid("1.2.840.10008.1.2.4.70"));
        assert_eq!(
            pixels("image/jpeg; q=1; Transfer-Syntax=\"1.2.840.10008.1.2.4.50\""),
            uid("1.2.840.10008.1.2.4.50")
        );
        assert_eq!(pixels("image/jpeg;transfer-syntax=*"), uid("1.2.840.10008.1.2.4.70"));
        assert_eq!(pixels("image/png"), None);
        assert_eq!(pixels(""), None);
        assert_eq!(PartType::parse(b"application/dicom ; x").essence, "application/dicom");
    }
}
