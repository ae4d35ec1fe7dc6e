//! One instance as one part of a request body, in the form that the subscription asks for.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::frame::render::{RenderParameters, RenderedType};
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Instance};
use crate::net::multipart::PartHead;
use crate::sink::form::{Unsuitable, decoded, rendered};
use crate::sink::workers::Workers;
use crate::subscription::registry::{Form, Request};

/// A part: its header fields, and its octets as shared slices.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) head: PartHead,
    pub(super) content: Vec<Bytes>,
}

impl Part {
    /// Octets.
    pub(super) fn len(&self) -> u64 {
        self.content.iter().map(|bytes| bytes.len() as u64).sum()
    }
}

/// Media type of the parts of a request for `form`.
///
/// Without the transfer syntax, which each file says itself: Orthanc's plugin (1.7) passes over parts with
/// any parameter, and answers 200.
pub(super) fn media_type(form: &Form) -> &'static str {
    match form {
        Form::AsTheyAre | Form::Native => "application/dicom",
        Form::Rendered => "image/jpeg",
    }
}

/// Makes the part of an instance.
///
/// # Errors
/// When it cannot be had in that form.
pub(super) async fn part(
    request: &Request,
    instance: &Arc<Instance>,
    workers: &Workers,
) -> Result<Part, Unsuitable> {
    let mut location = None;
    let mut content = match request.form {
        Form::Native if **instance.transfer_syntax() != *EXPLICIT_VR_LITTLE_ENDIAN => {
            vec![decoded(instance, workers).await?]
        }
        Form::AsTheyAre | Form::Native => instance.part10().to_vec(),
        Form::Rendered => {
            // A picture does not say what it is of.
            let uids = instance.identity();
            let url = format!(
                "{}/studies/{}/series/{}/instances/{}/rendered",
                request.base, uids.study, uids.series, uids.sop_instance
            );
            location = HeaderValue::from_str(&url).ok();
            vec![rendered(instance, RenderedType::Jpeg, &RenderParameters::default(), workers).await?]
        }
    };
    content.retain(|bytes| !bytes.is_empty());
    let length = content.iter().map(|bytes| bytes.len() as u64).sum();
    let head = PartHead {
        content_type: HeaderValue::from_static(media_type(&request.form)),
        content_length: Some(length),
        content_location: location,
    };
    Ok(Part { head, content })
}
