//! Data sets as DICOM JSON (PS3.18 Annex F) or XML (PS3.19 Annex A): `/metadata` and the results of
//! searches. Values that are large stay where they are and are pointed at by BulkDataURI.

use std::sync::Arc;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use http::{HeaderValue, Response};

use super::events;
use super::media::DatasetMedia;
use super::problem::Problem;
use super::retrieve::{boundary, respond_full};
use super::routes::Urls;
use crate::instance::metadata::BulkData;
use crate::instance::{Dataset, Instance, PixelForm, json, xml};
use crate::net::http::Body;
use crate::net::multipart::{PartHead, Writer};

/// One data set and where its large values are.
pub(super) struct Entry {
    dataset: Dataset,
    /// The instance it is of; `None` for a search result.
    instance: Option<Arc<Instance>>,
}

impl Entry {
    /// A search result.
    pub(super) fn result(dataset: Dataset) -> Self {
        Self { dataset, instance: None }
    }

    /// The metadata of an instance.
    pub(super) fn metadata(instance: Arc<Instance>) -> Option<Self> {
        let dataset = instance.dataset().ok()?;
        Some(Self { dataset, instance: Some(instance) })
    }

    /// Calls `write` with where the large values are.
    fn with_bulk<T>(&self, urls: &Urls, write: impl FnOnce(&Dataset, &BulkData<'_>) -> T) -> T {
        let Some(instance) = &self.instance else { return write(&self.dataset, &BulkData::inline()) };
        let identity = instance.identity();
        let uri =
            |path: &str| Some(urls.bulkdata(&identity.study, &identity.series, &identity.sop_instance, path));
        let vr = match instance.form() {
            PixelForm::Native(tags::PIXEL_DATA, vr) => Some(vr),
            PixelForm::Encapsulated => Some(VR::OB),
            PixelForm::Native(..) | PixelForm::Absent => None,
        };
        let pixel_data = vr.and_then(|vr| Some((vr, uri("7FE00010")?)));
        write(&self.dataset, &BulkData { uri: &uri, pixel_data })
    }
}

/// Writes data sets in the form that was chosen.
pub(super) fn respond(
    entries: &[Entry],
    media: DatasetMedia,
    urls: &Urls,
) -> Result<Response<Body>, Problem> {
    let fail = |error| {
        events::MetadataUnwritable { error: &error }.tell();
        Problem::internal()
    };
    if media == DatasetMedia::DicomXmlMultipart {
        let kind = "application/dicom+xml";
        let boundary = boundary();
        let message = boundary.related(kind).map_err(|_| Problem::internal())?;
        let mut writer = Writer::new(boundary);
        let mut content = Vec::new();
        for entry in entries {
            let document = entry.with_bulk(urls, xml::to_xml).map_err(fail)?;
            let head = PartHead {
                content_type: HeaderValue::from_static(kind),
                content_length: Some(document.len() as u64),
                content_location: None,
            };
            content.extend_from_slice(&writer.part(&head));
            content.extend_from_slice(&document);
        }
        content.extend_from_slice(&writer.close());
        return Ok(respond_full(message, content));
    }
    let models =
        entries.iter().map(|entry| entry.with_bulk(urls, json::to_json)).collect::<Result<Vec<_>, _>>();
    let content = serde_json::to_vec(&models.map_err(fail)?).map_err(|_| Problem::internal())?;
    Ok(respond_full(HeaderValue::from_static(media.essence()), content))
}
