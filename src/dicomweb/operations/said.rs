//! Reads what an operator says of who is imaged: the patient in words, or which entry of the worklist it is, by
//! its keys or as a scanner types its barcode. No problem repeats a value.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use super::super::problem::Problem;
use crate::context::Order;
use crate::context::worklist::{Keys, KeysError};
use crate::instance::Dataset;
use crate::instance::json::read::{self, JsonError, ReadLimits};

/// What data sets come as (PS3.18 Annex F).
pub(super) const DICOM_JSON: &str = "application/dicom+json";
/// What a scanner types.
const TEXT: &str = "text/plain";
/// Beyond any order; what exceeds them would be refused for its attributes.
const LIMITS: ReadLimits = ReadLimits { elements: 256, nesting: 4 };

/// Reads who is imaged.
pub(super) fn order(headers: &HeaderMap, content: &Bytes) -> Result<Order, Problem> {
    if !essence(headers)?.eq_ignore_ascii_case(DICOM_JSON) {
        return Err(Problem::unsupported_media_type(format!("A patient comes as {DICOM_JSON}.")));
    }
    Ok(Order::from_dataset(&dataset(content)?)?)
}

/// Reads which entry of the worklist is meant.
pub(super) fn keys(headers: &HeaderMap, content: &Bytes) -> Result<Keys, Problem> {
    let essence = essence(headers)?;
    if essence.eq_ignore_ascii_case(TEXT) {
        let typed = std::str::from_utf8(content).map_err(|_| KeysError::Barcode)?;
        return Ok(Keys::from_barcode(typed)?);
    }
    if !essence.eq_ignore_ascii_case(DICOM_JSON) {
        let what = format!("An entry is named by its keys as {DICOM_JSON}, or by a barcode as {TEXT}.");
        return Err(Problem::unsupported_media_type(what));
    }
    Ok(Keys::from_dataset(&dataset(content)?)?)
}

/// The media type, without its parameters, of content that is not compressed.
fn essence(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_media_type("The content must not be compressed.")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(media.split(';').next().unwrap_or_default().trim())
}

fn dataset(content: &Bytes) -> Result<Dataset, Problem> {
    let mut elsewhere = None;
    let read = read::data_set(content, LIMITS, &mut |bulk| {
        elsewhere = Some(bulk.tag);
        None
    });
    let dataset = read.map_err(|error| {
        Problem::bad_body(match error {
            JsonError::Attribute(tag) => format!(
                "The attribute {tag} is malformed; a text is written {{\"vr\": \"LO\", \"Value\": [\"text\"]}} with the \
                 VR of the attribute, a name {{\"vr\": \"PN\", \"Value\": [{{\"Alphabetic\": \"Family^Given\"}}]}}."
            ),
            _ => "The content is not one DICOM JSON object of a few attributes (PS3.18 Annex F).".to_owned(),
        })
    })?;
    if let Some(tag) = elsewhere {
        return Err(Problem::bad_body(format!("The attribute {tag} takes a Value, not bulk data.")));
    }
    Ok(dataset)
}
