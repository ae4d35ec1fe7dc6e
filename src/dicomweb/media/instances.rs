//! Representations of instances: a study, a series or one instance (PS3.18 §10.4, §8.7.3.1–8.7.3.2).

use super::accept::Resource;
use super::select::{Offer, select};
use super::{Accept, Alternative, Extent, MediaError, TransferSyntaxWish};
use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;

/// How instances are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceMedia {
    /// `multipart/related; type="application/dicom"`: one PS3.10 file per part.
    DicomMultipart,
    /// `multipart/related; type="application/octet-stream"`: the bulk data of the instances, one Pixel
    /// Data value per part, uncompressed and little endian.
    OctetStreamMultipart,
    /// `application/dicom`: the PS3.10 file alone. One instance only.
    DicomSingle,
}

const SERVED: &[&str] = &[
    r#"multipart/related; type="application/dicom""#,
    r#"multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1"#,
    "application/dicom (one instance)",
];

/// A wildcard has named no media type, hence not meant its default transfer syntax: what cannot be
/// decoded here may go out as it is.
const DEFAULT_THEN_ANY: &[TransferSyntaxWish] = &[TransferSyntaxWish::Absent, TransferSyntaxWish::Any];

const OFFERS: [Offer<InstanceMedia>; 3] = [
    Offer {
        media: InstanceMedia::DicomMultipart,
        essence: "multipart/related",
        part_type: Some("application/dicom"),
        unnamed: DEFAULT_THEN_ANY,
    },
    Offer {
        media: InstanceMedia::OctetStreamMultipart,
        essence: "multipart/related",
        part_type: Some("application/octet-stream"),
        unnamed: &[TransferSyntaxWish::Absent],
    },
    Offer {
        media: InstanceMedia::DicomSingle,
        essence: "application/dicom",
        part_type: None,
        unnamed: DEFAULT_THEN_ANY,
    },
];

/// The acceptable representations of the instances of a study or series ([`Extent::Many`]) or of one
/// instance ([`Extent::One`]), best first.
///
/// # Errors
/// [`MediaError::NotAcceptable`], [`MediaError::Mixed`].
pub fn instances(accept: &Accept, extent: Extent) -> Result<Vec<Alternative<InstanceMedia>>, MediaError> {
    accept.refuse_mixed(Resource::Dataset)?;
    let makes = |media, wish: &TransferSyntaxWish| match media {
        InstanceMedia::DicomSingle if extent == Extent::Many => false,
        InstanceMedia::DicomSingle | InstanceMedia::DicomMultipart => !wish.is_forbidden(),
        InstanceMedia::OctetStreamMultipart => {
            wish.admits(EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
        }
    };
    select(accept, &OFFERS, makes, SERVED)
}

#[cfg(test)]
mod tests {
    use super::super::accept::tests::accept;
    use super::InstanceMedia::{DicomMultipart, DicomSingle, OctetStreamMultipart};
    use super::*;

    /// The alternatives, with the transfer syntax as `-` (absent), `*` or the end of its UID.
    fn one(header: &[&str]) -> Result<Vec<(InstanceMedia, String)>, MediaError> {
        Ok(instances(&accept(header, &[]), Extent::One)?.into_iter().map(short).collect())
    }

    fn many(header: &[&str]) -> Result<Vec<(InstanceMedia, String)>, MediaError> {
        Ok(instances(&accept(header, &[]), Extent::Many)?.into_iter().map(short).collect())
    }

    fn short(choice: Alternative<InstanceMedia>) -> (InstanceMedia, String) {
        let wish = match choice.transfer_syntax {
            TransferSyntaxWish::Absent => "-".to_owned(),
            TransferSyntaxWish::Any => "*".to_owned(),
            TransferSyntaxWish::Uid(uid) => uid.trim_start_matches("1.2.840.10008.1.2.").to_owned(),
        };
        (choice.media, wish)
    }

    fn list(expected: &[(InstanceMedia, &str)]) -> Result<Vec<(InstanceMedia, String)>, MediaError> {
        Ok(expected.iter().map(|&(media, wish)| (media, wish.to_owned())).collect())
    }

    const CHROME_PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
    const JAVA: &str = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";

    #[test]
    fn whoever_names_nothing_gets_the_default() {
        let default = list(&[(DicomMultipart, "-"), (DicomMultipart, "*"), (OctetStreamMultipart, "-")]);
        for header in [
            &[][..],
            &["*/*"],
            &["multipart/related"],
            &["multipart/*"],
            &[CHROME_PAGE],
            &[JAVA],
            &["*/*", "*/*"],
        ] {
            assert_eq!(many(header), default, "{header:?}");
        }
        for header in [&[][..], &["*/*"], &["application/json, text/plain, */*"]] {
            let first = one(header).unwrap().into_iter().next();
            assert_eq!(first, Some((DicomMultipart, "-".to_owned())), "{header:?}");
        }
        assert_eq!(one(&["application/*"]), list(&[(DicomSingle, "-"), (DicomSingle, "*")]));
    }

    #[test]
    fn spellings_of_known_user_agents() {
        for (header, expected) in [
            // dicomweb-client, OHIF
            (
                r#"multipart/related; type="application/dicom"; transfer-syntax=*"#,
                &[(DicomMultipart, "*")][..],
            ),
            // Orthanc, older ones without quotes
            (r#"multipart/related; type="application/dicom""#, &[(DicomMultipart, "-")]),
            ("multipart/related; type=application/dicom", &[(DicomMultipart, "-")]),
            // dcm4che
            (
                "multipart/related;type=application/dicom;transfer-syntax=1.2.840.10008.1.2.1",
                &[(DicomMultipart, "1")],
            ),
            // the example of PS3.18 §8.7.3.5.2
            (
                r#"multipart/related; type="application/dicom";transfer-syntax=1.2.840.10008.1.2.4.57;q=0.5;boundary=**, multipart/related; type="application/dicom";transfer-syntax=1.2.840.10008.1.2.4.50;boundary=**"#,
                &[(DicomMultipart, "4.50"), (DicomMultipart, "4.57")],
            ),
            // one weight: in the order of the request
            (
                r#"multipart/related; type="application/dicom"; transfer-syntax="1.2.840.10008.1.2.4.90", multipart/related; type="application/dicom"; transfer-syntax="1.2.840.10008.1.2.1""#,
                &[(DicomMultipart, "4.90"), (DicomMultipart, "1")],
            ),
            (
                r#"multipart/related; type="application/octet-stream", multipart/related; type="application/dicom"; q=0.9"#,
                &[(OctetStreamMultipart, "-"), (DicomMultipart, "-")],
            ),
            (
                r#"multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1"#,
                &[(OctetStreamMultipart, "1")],
            ),
            ("multipart/related; transfer-syntax=*", &[(DicomMultipart, "*"), (OctetStreamMultipart, "*")]),
        ] {
            assert_eq!(many(&[header]), list(expected), "{header}");
            assert_eq!(one(&[header]), list(expected), "{header}");
        }
    }

    #[test]
    fn single_part_is_for_one_instance() {
        assert_eq!(one(&["application/dicom"]), list(&[(DicomSingle, "-")]));
        assert_eq!(
            one(&["application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"]),
            list(&[(DicomSingle, "4.80")])
        );
        assert_eq!(many(&["application/dicom"]), Err(MediaError::NotAcceptable(SERVED)));
        assert_eq!(
            many(&[r#"application/dicom, multipart/related; type="application/dicom"; q=0.1"#]),
            list(&[(DicomMultipart, "-")])
        );
    }

    #[test]
    fn what_is_not_served_is_not_acceptable() {
        for header in [
            "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2",
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.2",
            "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50",
            "multipart/related; type=image/jp2",
            "application/dicom+json",
            "image/png",
            "*/*;q=0",
        ] {
            assert_eq!(one(&[header]), Err(MediaError::NotAcceptable(SERVED)), "{header}");
            assert_eq!(one(&[header]).unwrap_err().status(), 406);
        }
    }

    #[test]
    fn a_wildcard_helps_where_the_named_transfer_syntax_does_not_exist() {
        let header =
            "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2, */*;q=0.1";
        assert_eq!(many(&[header]).unwrap().first(), list(&[(DicomMultipart, "-")]).unwrap().first());
    }

    #[test]
    fn a_weight_of_zero_excludes_from_a_wildcard() {
        let header = "multipart/related; type=application/dicom; q=0, */*";
        assert_eq!(many(&[header]), list(&[(OctetStreamMultipart, "-")]));
    }

    #[test]
    fn dicom_and_rendered_types_do_not_mix() {
        for header in [
            "multipart/related; type=application/dicom, image/png",
            "application/dicom, image/jpeg;q=0.1",
            "multipart/x-mixed-replace, application/dicom",
        ] {
            assert_eq!(one(&[header]), Err(MediaError::Mixed), "{header}");
            assert_eq!(MediaError::Mixed.status(), 400);
        }
        for header in ["application/dicom, image/png;q=0", "application/dicom, text/plain, */*"] {
            assert!(one(&[header]).is_ok(), "{header}");
        }
    }

    #[test]
    fn the_query_parameter_comes_first_and_the_header_fills_in() {
        let select = |header: &[&str], query: &[&str]| {
            instances(&accept(header, query), Extent::One).map(|found| found.into_iter().map(short).collect())
        };
        let octets = "multipart/related; type=application/octet-stream";
        assert_eq!(
            select(&[octets], &["application/dicom;q=0.1"]),
            list(&[(DicomSingle, "-"), (OctetStreamMultipart, "-")])
        );
        assert_eq!(select(&[octets], &["application/pdf"]), list(&[(OctetStreamMultipart, "-")]));
        assert_eq!(select(&[], &["application/pdf"]), Err(MediaError::NotAcceptable(SERVED)));
        // the header of a browser's <img> cannot be helped, and is not held against its query parameter
        let image = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5";
        assert_eq!(select(&[image], &["application/dicom"]).unwrap()[0], (DicomSingle, "-".to_owned()));
    }
}
