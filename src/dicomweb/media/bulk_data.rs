//! Representations of frames and other bulk data (PS3.18 §8.7.3.3, tables of single-frame images).

use super::accept::Resource;
use super::select::{Offer, select};
use super::{Accept, Alternative, Extent, MediaError, TransferSyntaxWish};
use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;

/// The media type of bulk data: uncompressed, or one family of compressed transfer syntaxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkDataType {
    /// `application/octet-stream`: uncompressed, little endian.
    OctetStream,
    /// `image/jpeg`: JPEG baseline, extended and lossless.
    Jpeg,
    /// `image/jls`: JPEG-LS.
    Jls,
    /// `image/jp2`: JPEG 2000.
    Jp2,
    /// `image/jph`: High-Throughput JPEG 2000.
    Jph,
    /// `image/dicom-rle`: RLE Lossless.
    DicomRle,
    /// `image/jxl`: JPEG XL.
    Jxl,
}

impl BulkDataType {
    /// All of them, the default first.
    pub const ALL: [Self; 7] =
        [Self::OctetStream, Self::Jpeg, Self::Jls, Self::Jp2, Self::Jph, Self::DicomRle, Self::Jxl];

    /// The media type of data in this transfer syntax (a UID), or `None` where the web has none for it.
    pub fn of_transfer_syntax(uid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.transfer_syntaxes().contains(&uid))
    }

    /// `type/subtype`.
    pub const fn essence(self) -> &'static str {
        match self {
            Self::OctetStream => "application/octet-stream",
            Self::Jpeg => "image/jpeg",
            Self::Jls => "image/jls",
            Self::Jp2 => "image/jp2",
            Self::Jph => "image/jph",
            Self::DicomRle => "image/dicom-rle",
            Self::Jxl => "image/jxl",
        }
    }

    /// The UIDs of the transfer syntaxes that the media type stands for.
    pub const fn transfer_syntaxes(self) -> &'static [&'static str] {
        match self {
            Self::OctetStream => &[EXPLICIT_VR_LITTLE_ENDIAN],
            Self::Jpeg => &[
                "1.2.840.10008.1.2.4.50",
                "1.2.840.10008.1.2.4.51",
                "1.2.840.10008.1.2.4.57",
                "1.2.840.10008.1.2.4.70",
            ],
            Self::Jls => &["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"],
            Self::Jp2 => &["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"],
            Self::Jph => &["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"],
            Self::DicomRle => &["1.2.840.10008.1.2.5"],
            Self::Jxl => &["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"],
        }
    }

    /// The UID of the transfer syntax that is meant when a request names the media type alone.
    pub const fn default_transfer_syntax(self) -> &'static str {
        match self {
            Self::OctetStream => EXPLICIT_VR_LITTLE_ENDIAN,
            Self::Jpeg => "1.2.840.10008.1.2.4.70",
            Self::Jls => "1.2.840.10008.1.2.4.80",
            Self::Jp2 => "1.2.840.10008.1.2.4.90",
            Self::Jph => "1.2.840.10008.1.2.4.201",
            Self::DicomRle => "1.2.840.10008.1.2.5",
            Self::Jxl => "1.2.840.10008.1.2.4.110",
        }
    }
}

/// Whether bulk data fills the response or one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// `multipart/related`, one value per part.
    Multipart,
    /// The value alone.
    Single,
}

/// How frames or bulk data are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkDataMedia {
    /// The media type of the data.
    pub media_type: BulkDataType,
    /// Multipart or single part.
    pub packaging: Packaging,
}

const SERVED: &[&str] = &[
    r#"multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1"#,
    "multipart/related of the media type and transfer syntax that the data has",
    "the same media types single part (one frame)",
];

/// The acceptable representations of frames or of a bulkdata resource, best first; [`Extent::Many`]
/// where more than one frame is asked for.
///
/// A compressed alternative is for data that is already compressed so, or that the handler is willing
/// to compress: [`TransferSyntaxWish::admits`] with [`BulkDataType::default_transfer_syntax`] tells.
///
/// # Errors
/// [`MediaError::NotAcceptable`], [`MediaError::Mixed`].
pub fn bulk_data(accept: &Accept, extent: Extent) -> Result<Vec<Alternative<BulkDataMedia>>, MediaError> {
    accept.refuse_mixed(Resource::BulkData)?;
    let mut offers = Vec::with_capacity(2 * BulkDataType::ALL.len());
    for media_type in BulkDataType::ALL {
        offers.push(offer(media_type, Packaging::Multipart));
        if extent == Extent::One {
            offers.push(offer(media_type, Packaging::Single));
        }
    }
    let makes = |media: BulkDataMedia, wish: &TransferSyntaxWish| {
        let default = media.media_type.default_transfer_syntax();
        media.media_type.transfer_syntaxes().iter().any(|uid| wish.admits(uid, default))
    };
    select(accept, &offers, makes, SERVED)
}

fn offer(media_type: BulkDataType, packaging: Packaging) -> Offer<BulkDataMedia> {
    let (essence, part_type) = match packaging {
        Packaging::Multipart => ("multipart/related", Some(media_type.essence())),
        Packaging::Single => (media_type.essence(), None),
    };
    // A wildcard has not meant the default transfer syntax of a media type that it did not name.
    let unnamed: &[TransferSyntaxWish] = match media_type {
        BulkDataType::OctetStream => &[TransferSyntaxWish::Absent],
        _ => &[TransferSyntaxWish::Any],
    };
    Offer { media: BulkDataMedia { media_type, packaging }, essence, part_type, unnamed }
}

#[cfg(test)]
mod tests {
    use super::super::accept::tests::accept;
    use super::BulkDataType::{Jls, Jp2, Jpeg, OctetStream};
    use super::Packaging::{Multipart, Single};
    use super::*;

    fn negotiate(header: &[&str], extent: Extent) -> Result<Vec<(BulkDataType, Packaging)>, MediaError> {
        let found = bulk_data(&accept(header, &[]), extent)?;
        Ok(found.into_iter().map(|choice| (choice.media.media_type, choice.media.packaging)).collect())
    }

    #[test]
    fn the_table_reads_both_ways() {
        for media in BulkDataType::ALL {
            assert!(media.transfer_syntaxes().contains(&media.default_transfer_syntax()), "{media:?}");
            for uid in media.transfer_syntaxes() {
                assert_eq!(BulkDataType::of_transfer_syntax(uid), Some(media), "{uid}");
            }
        }
        assert_eq!(BulkDataType::of_transfer_syntax("1.2.840.10008.1.2"), None);
        assert_eq!(
            BulkDataType::of_transfer_syntax("1.2.840.10008.1.2.4.201").unwrap().essence(),
            "image/jph"
        );
    }

    #[test]
    fn the_default_is_uncompressed_multipart_and_a_wildcard_takes_what_is_there() {
        for header in [
            &[][..],
            &["*/*"],
            &["multipart/related"],
            &["multipart/related; type=\"*/*\""],
            &["multipart/*;q=0.3"],
        ] {
            for extent in [Extent::One, Extent::Many] {
                let found = bulk_data(&accept(header, &[]), extent).unwrap();
                let (first, others) = found.split_first().unwrap();
                assert_eq!(
                    first.media,
                    BulkDataMedia { media_type: OctetStream, packaging: Multipart },
                    "{header:?}"
                );
                assert_eq!(first.transfer_syntax, TransferSyntaxWish::Absent);
                let jls = others.iter().find(|choice| choice.media.media_type == Jls).unwrap();
                assert_eq!(jls.transfer_syntax, TransferSyntaxWish::Any);
                let single = others.iter().any(|choice| choice.media.packaging == Single);
                assert!(!single || extent == Extent::One);
            }
        }
    }

    #[test]
    fn spellings_of_known_user_agents() {
        for (header, expected) in [
            // OHIF
            (
                "multipart/related; type=application/octet-stream; transfer-syntax=*",
                &[(OctetStream, Multipart)][..],
            ),
            // dicomweb-client: what it can decode, in order
            (
                r#"multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80, multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90, multipart/related; type="application/octet-stream"; transfer-syntax=*"#,
                &[(Jls, Multipart), (Jp2, Multipart), (OctetStream, Multipart)],
            ),
            // dcm4che
            (
                "multipart/related;type=image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.50,multipart/related;type=application/octet-stream;q=0.5",
                &[(Jpeg, Multipart), (OctetStream, Multipart)],
            ),
            ("application/octet-stream", &[(OctetStream, Single)]),
            (r#"image/jpeg; transfer-syntax="1.2.840.10008.1.2.4.70""#, &[(Jpeg, Single)]),
            ("image/jpeg, application/octet-stream;q=0.5", &[(Jpeg, Single), (OctetStream, Single)]),
        ] {
            assert_eq!(negotiate(&[header], Extent::One), Ok(expected.to_vec()), "{header}");
        }
        assert!(negotiate(&["application/octet-stream"], Extent::Many).is_err());
    }

    #[test]
    fn a_media_type_is_served_in_its_own_transfer_syntaxes() {
        for header in [
            "multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.90",
            "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2",
            "multipart/related; type=application/dicom",
            "image/png",
        ] {
            assert_eq!(negotiate(&[header], Extent::One), Err(MediaError::NotAcceptable(SERVED)), "{header}");
        }
        assert_eq!(negotiate(&["application/octet-stream, image/png"], Extent::One), Err(MediaError::Mixed));
    }
}
