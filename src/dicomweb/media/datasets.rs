//! Representations of datasets as text (metadata, search results: PS3.18 §8.7.3.2, Annex F) and of the
//! service's capabilities (§8.9).

use super::accept::Resource;
use super::select::{Offer, select};
use super::{Accept, MediaError, TransferSyntaxWish};

/// How metadata or search results are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetMedia {
    /// `application/dicom+json`: one array of DICOM JSON datasets.
    DicomJson,
    /// The same array labelled `application/json`, for agents that accept only that.
    Json,
    /// `multipart/related; type="application/dicom+xml"`: one Native DICOM Model document per part.
    DicomXmlMultipart,
}

impl DatasetMedia {
    /// `type/subtype` of the response, or of its parts where it is multipart.
    pub const fn essence(self) -> &'static str {
        match self {
            Self::DicomJson => "application/dicom+json",
            Self::Json => "application/json",
            Self::DicomXmlMultipart => "application/dicom+xml",
        }
    }
}

/// How the capabilities description is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapabilitiesMedia {
    /// `application/vnd.sun.wadl+xml`.
    Wadl,
    /// `application/json`.
    Json,
    /// The same document labelled `application/dicom+json`.
    DicomJson,
}

impl CapabilitiesMedia {
    /// `type/subtype` of the response.
    pub const fn essence(self) -> &'static str {
        match self {
            Self::Wadl => "application/vnd.sun.wadl+xml",
            Self::Json => "application/json",
            Self::DicomJson => "application/dicom+json",
        }
    }
}

/// The acceptable representations of metadata and of search results, best first.
///
/// # Errors
/// [`MediaError::NotAcceptable`], [`MediaError::Mixed`].
pub fn datasets(accept: &Accept) -> Result<Vec<DatasetMedia>, MediaError> {
    const OFFERS: [Offer<DatasetMedia>; 3] = [
        single(DatasetMedia::DicomJson, DatasetMedia::DicomJson.essence()),
        single(DatasetMedia::Json, DatasetMedia::Json.essence()),
        Offer {
            media: DatasetMedia::DicomXmlMultipart,
            essence: "multipart/related",
            part_type: Some(DatasetMedia::DicomXmlMultipart.essence()),
            unnamed: NO_TRANSFER_SYNTAX,
        },
    ];
    accept.refuse_mixed(Resource::Dataset)?;
    media_only(
        accept,
        &OFFERS,
        &["application/dicom+json", r#"multipart/related; type="application/dicom+xml""#],
    )
}

/// The acceptable representations of the capabilities description, best first.
///
/// # Errors
/// [`MediaError::NotAcceptable`].
pub fn capabilities(accept: &Accept) -> Result<Vec<CapabilitiesMedia>, MediaError> {
    const OFFERS: [Offer<CapabilitiesMedia>; 3] = [
        single(CapabilitiesMedia::Wadl, CapabilitiesMedia::Wadl.essence()),
        single(CapabilitiesMedia::Json, CapabilitiesMedia::Json.essence()),
        single(CapabilitiesMedia::DicomJson, CapabilitiesMedia::DicomJson.essence()),
    ];
    media_only(accept, &OFFERS, &["application/vnd.sun.wadl+xml", "application/json"])
}

const NO_TRANSFER_SYNTAX: &[TransferSyntaxWish] = &[TransferSyntaxWish::Absent];

const fn single<M: Copy>(media: M, essence: &'static str) -> Offer<M> {
    Offer { media, essence, part_type: None, unnamed: NO_TRANSFER_SYNTAX }
}

/// Text has no transfer syntax: whatever the request says of one is ignored.
fn media_only<M: Copy + PartialEq>(
    accept: &Accept,
    offers: &[Offer<M>],
    served: &'static [&'static str],
) -> Result<Vec<M>, MediaError> {
    let mut media = Vec::with_capacity(offers.len());
    for alternative in select(accept, offers, |_, _| true, served)? {
        if !media.contains(&alternative.media) {
            media.push(alternative.media);
        }
    }
    Ok(media)
}

#[cfg(test)]
mod tests {
    use super::super::accept::tests::accept;
    use super::DatasetMedia::{DicomJson, DicomXmlMultipart, Json};
    use super::*;

    #[test]
    fn metadata_and_search_results() {
        for (header, expected) in [
            ("", &[DicomJson, Json, DicomXmlMultipart][..]),
            ("*/*", &[DicomJson, Json, DicomXmlMultipart]),
            ("application/dicom+json", &[DicomJson]),
            ("application/dicom+json; charset=utf-8; transfer-syntax=*", &[DicomJson]),
            ("application/json", &[Json]),
            ("application/dicom+json, application/json;q=0.9", &[DicomJson, Json]),
            ("application/json, text/plain, */*", &[Json, DicomJson, DicomXmlMultipart]),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                &[DicomJson, Json, DicomXmlMultipart],
            ),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", &[DicomJson, Json, DicomXmlMultipart]),
            (r#"multipart/related; type="application/dicom+xml""#, &[DicomXmlMultipart]),
            (
                "multipart/related;type=application/dicom+xml, application/dicom+json;q=0.5",
                &[DicomXmlMultipart, DicomJson],
            ),
            ("multipart/related", &[DicomXmlMultipart]),
            ("application/*, application/dicom+json;q=0", &[Json]),
        ] {
            assert_eq!(datasets(&accept(&[header], &[])), Ok(expected.to_vec()), "{header}");
        }
        for header in ["application/dicom+xml", "application/dicom", "text/html", "application/json;q=0"] {
            assert_eq!(datasets(&accept(&[header], &[])).unwrap_err().status(), 406, "{header}");
        }
        assert_eq!(datasets(&accept(&["application/dicom+json, image/jpeg"], &[])), Err(MediaError::Mixed));
    }

    #[test]
    fn the_query_parameter_outranks_the_header() {
        let found = datasets(&accept(&["*/*"], &["application/json"])).unwrap();
        assert_eq!(found.first(), Some(&Json));
    }

    #[test]
    fn capabilities_descriptions() {
        for (header, expected) in [
            ("", CapabilitiesMedia::Wadl),
            ("*/*", CapabilitiesMedia::Wadl),
            ("application/vnd.sun.wadl+xml", CapabilitiesMedia::Wadl),
            ("application/json", CapabilitiesMedia::Json),
            ("application/dicom+json", CapabilitiesMedia::DicomJson),
            ("application/vnd.sun.wadl+xml;q=0.5, application/json", CapabilitiesMedia::Json),
        ] {
            let found = capabilities(&accept(&[header], &[])).unwrap();
            assert_eq!(found.first(), Some(&expected), "{header}");
        }
        assert_eq!(capabilities(&accept(&["text/plain"], &[])).unwrap_err().status(), 406);
    }
}
