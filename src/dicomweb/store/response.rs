//! The response to Store and Send (PS3.18 §10.5.3 and Annex I): which objects were taken, and why
//! the others were not.

use bytes::Bytes;
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use http::{HeaderValue, StatusCode};

use crate::dicomweb::events;
use crate::dicomweb::media::DatasetMedia;
use crate::dicomweb::problem::Problem;
use crate::dicomweb::retrieve::boundary;
use crate::instance::metadata::BulkData;
use crate::instance::{Dataset, json, xml};
use crate::net::multipart::{PartHead, Writer};
use crate::source::send::report::{End, Reference, Report};

/// Warning Reason: coercion of data elements.
const SPLIT: u16 = 0xB000;

/// The status that says it in one word (`docs/live-profile.md`, section 7).
pub(super) fn status(report: &Report) -> StatusCode {
    match report.end {
        End::Malformed => return StatusCode::BAD_REQUEST,
        End::Stalled => return StatusCode::REQUEST_TIMEOUT,
        End::Withdrawn => return StatusCode::FORBIDDEN,
        End::Stopping if report.taken_count == 0 => return StatusCode::SERVICE_UNAVAILABLE,
        End::Body | End::Stopping => {}
    }
    if report.failed_count == 0 && report.split_count == 0 {
        StatusCode::OK
    } else if report.taken_count > 0 {
        StatusCode::ACCEPTED
    } else if report.no_room {
        StatusCode::SERVICE_UNAVAILABLE
    } else if report.too_large {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::CONFLICT
    }
}

/// The payload and its media type.
pub(super) fn payload(report: &Report, media: DatasetMedia) -> Result<(HeaderValue, Bytes), Problem> {
    let dataset = dataset(report);
    let fail = |error: &dyn std::fmt::Display| {
        events::ResponseUnwritable { error }.tell();
        Problem::internal()
    };
    let essence = HeaderValue::from_static(media.essence());
    if media == DatasetMedia::DicomXmlMultipart {
        let boundary = boundary();
        let message = boundary.related(media.essence()).map_err(|error| fail(&error))?;
        let document = xml::to_xml(&dataset, &BulkData::inline()).map_err(|error| fail(&error))?;
        let mut writer = Writer::new(boundary);
        let head = PartHead {
            content_type: essence,
            content_length: Some(document.len() as u64),
            content_location: None,
        };
        let content = [&writer.part(&head)[..], &document, &writer.close()].concat();
        return Ok((message, content.into()));
    }
    // One object, not an array: there is one result, and clients rely on it.
    let model = json::to_json(&dataset, &BulkData::inline()).map_err(|error| fail(&error))?;
    let content = serde_json::to_vec(&model).map_err(|error| fail(&error))?;
    Ok((essence, content.into()))
}

/// The Store Instances Response Module (Table I.1-1). Nothing is stored, so there is no URL to
/// retrieve it from.
fn dataset(report: &Report) -> Dataset {
    let mut dataset = Dataset::new_empty();
    dataset.put(DataElement::new(tags::RETRIEVE_URL, VR::UR, PrimitiveValue::Empty));
    let taken = report.taken.iter().map(|taken| {
        let mut item = reference(&taken.of);
        item.put(DataElement::new(tags::RETRIEVE_URL, VR::UR, PrimitiveValue::Empty));
        if taken.split {
            item.put(reason(tags::WARNING_REASON, SPLIT));
        }
        item
    });
    put(&mut dataset, tags::REFERENCED_SOP_SEQUENCE, taken.collect());
    let failed = report.failed.iter().map(|(of, cause)| {
        let mut item = reference(of);
        item.put(reason(tags::FAILURE_REASON, cause.code()));
        item
    });
    put(&mut dataset, tags::FAILED_SOP_SEQUENCE, failed.collect());
    let others = report.unidentified.iter();
    let others = others.map(|cause| Dataset::from_element_iter([reason(tags::FAILURE_REASON, cause.code())]));
    put(&mut dataset, tags::OTHER_FAILURES_SEQUENCE, others.collect());
    dataset
}

fn put(dataset: &mut Dataset, tag: Tag, items: Vec<Dataset>) {
    if !items.is_empty() {
        dataset.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
    }
}

fn reference(of: &Reference) -> Dataset {
    Dataset::from_element_iter([
        DataElement::new(tags::REFERENCED_SOP_CLASS_UID, VR::UI, PrimitiveValue::from(&*of.sop_class)),
        DataElement::new(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from(&*of.sop_instance)),
    ])
}

fn reason(tag: Tag, code: u16) -> dicom_object::mem::InMemElement {
    DataElement::new(tag, VR::US, dicom_value!(U16, [code]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::source::refused::Cause;

    fn of(instance: &str) -> Reference {
        Reference { sop_class: "1.2".into(), sop_instance: instance.into() }
    }

    #[test]
    fn the_status_says_it_in_one_word() {
        use Cause::{CannotUnderstand, OutOfResources};
        let case = |taken: &[bool], failed: &[(Cause, bool)], end: End| {
            let mut report = Report::new(9);
            taken.iter().for_each(|&split| report.take(of("1"), split));
            failed.iter().for_each(|&(cause, for_now)| report.fail(None, cause, for_now));
            report.end = end;
            status(&report).as_u16()
        };
        let large = (OutOfResources, false);
        let full = (OutOfResources, true);
        let broken = (CannotUnderstand, false);
        assert_eq!(case(&[], &[], End::Body), 200);
        assert_eq!(case(&[false, false], &[], End::Body), 200);
        assert_eq!(case(&[false, true], &[], End::Body), 202);
        assert_eq!(case(&[false], &[broken, large, full], End::Body), 202);
        assert_eq!(case(&[], &[broken], End::Body), 409);
        assert_eq!(case(&[], &[broken, large], End::Body), 413);
        assert_eq!(case(&[], &[broken, large, full], End::Body), 503);
        assert_eq!(case(&[false], &[broken], End::Malformed), 400);
        assert_eq!(case(&[false], &[], End::Stalled), 408);
        assert_eq!(case(&[false], &[], End::Withdrawn), 403);
        assert_eq!(case(&[false], &[], End::Stopping), 200);
        assert_eq!(case(&[], &[], End::Stopping), 503);
    }

    #[test]
    fn the_payload_is_that_of_annex_i() {
        let mut report = Report::new(9);
        report.take(of("1"), false);
        report.take(of("2"), true);
        report.fail(Some(of("3")), Cause::TransferSyntaxNotSupported, false);
        report.fail(None, Cause::CannotUnderstand, false);
        let (kind, content) = payload(&report, DatasetMedia::DicomJson).unwrap();
        assert_eq!(kind, "application/dicom+json");
        let uid = |value: &str| json!({"vr": "UI", "Value": [value]});
        let item = |instance: &str, more: Value| {
            let mut item = json!({"00081150": uid("1.2"), "00081155": uid(instance)});
            item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            item
        };
        let url = json!({"vr": "UR"});
        let code = |value: u16| json!({"vr": "US", "Value": [value]});
        let expected = json!({
            "00081190": url,
            "00081198": {"vr": "SQ", "Value": [item("3", json!({"00081197": code(49442)}))]},
            "00081199": {"vr": "SQ", "Value": [
                item("1", json!({"00081190": url})),
                item("2", json!({"00081190": url, "00081196": code(45056)})),
            ]},
            "0008119A": {"vr": "SQ", "Value": [{"00081197": code(49152)}]},
        });
        assert_eq!(serde_json::from_slice::<Value>(&content).unwrap(), expected);

        let (kind, content) = payload(&report, DatasetMedia::DicomXmlMultipart).unwrap();
        assert!(kind.to_str().unwrap().starts_with("multipart/related; type=\"application/dicom+xml\""));
        let text = String::from_utf8(content.to_vec()).unwrap();
        assert!(text.contains("keyword=\"FailedSOPSequence\"") && text.contains("49442"));
    }

    #[test]
    fn nothing_is_a_payload_too() {
        let (_, content) = payload(&Report::new(9), DatasetMedia::Json).unwrap();
        assert_eq!(&content[..], br#"{"00081190":{"vr":"UR"}}"#);
    }
}
