//! In which form an instance goes to a client: as it is, in Explicit VR Little Endian, as bulk
//! data, or rendered.
//!
//! As it is costs nothing. Everything that decodes or encodes pixels is heavy work ([`Workers`]).

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::media::{Alternative, ImageFormat, InstanceMedia, TransferSyntaxWish};
use super::routes::Urls;
use crate::frame::render::{RenderParameters, RenderedType};
use crate::frame::transcode;
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Instance, PixelForm};
use crate::net::multipart::PartHead;
use crate::sink::form;
pub(super) use crate::sink::form::{Unsuitable, decoded, native_pixels};
use crate::sink::workers::Workers;

/// One body part: its header fields and its content.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) head: PartHead,
    pub(super) content: Vec<Bytes>,
}

impl Part {
    /// A part that has all its header fields.
    pub(super) fn new(
        content_type: &str,
        location: &str,
        mut content: Vec<Bytes>,
    ) -> Result<Self, Unsuitable> {
        content.retain(|bytes| !bytes.is_empty());
        let length = content.iter().map(|bytes| bytes.len() as u64).sum();
        let head = PartHead {
            content_type: HeaderValue::from_str(content_type).map_err(|_| Unsuitable::Form)?,
            content_length: Some(length),
            content_location: HeaderValue::from_str(location).ok(),
        };
        Ok(Self { head, content })
    }

    /// Length of the content (bytes).
    pub(super) fn len(&self) -> usize {
        self.content.iter().map(Bytes::len).sum()
    }
}

/// The form of the instances of one response.
#[derive(Debug, Clone)]
pub(super) enum Representation {
    /// DICOM or bulk data, by what the client accepts, best first.
    Instances(Arc<[Alternative<InstanceMedia>]>),
    /// An image that anybody can show.
    Rendered(ImageFormat, RenderParameters),
}

/// What is done to an instance for one alternative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    AsItIs,
    Decode,
}

/// What it takes to give `instance` as `alternative`; `None` where that is impossible.
fn plan(alternative: &Alternative<InstanceMedia>, instance: &Instance) -> Option<Plan> {
    let syntax = instance.transfer_syntax();
    let wish = &alternative.transfer_syntax;
    let wants_native = match wish {
        TransferSyntaxWish::Absent | TransferSyntaxWish::Any => true,
        TransferSyntaxWish::Uid(uid) => uid == EXPLICIT_VR_LITTLE_ENDIAN,
    };
    let decodable =
        instance.form() == PixelForm::Encapsulated && wants_native && transcode::is_supported(syntax);
    match alternative.media {
        InstanceMedia::DicomMultipart | InstanceMedia::DicomSingle => {
            if wish.admits(syntax, EXPLICIT_VR_LITTLE_ENDIAN) {
                Some(Plan::AsItIs)
            } else {
                decodable.then_some(Plan::Decode)
            }
        }
        InstanceMedia::OctetStreamMultipart => match instance.form() {
            PixelForm::Native(..) if wants_native => Some(Plan::AsItIs),
            _ => decodable.then_some(Plan::Decode),
        },
    }
}

/// The first alternative that this instance can be given as.
pub(super) fn choose<'a>(
    alternatives: &'a [Alternative<InstanceMedia>],
    instance: &Instance,
) -> Option<&'a Alternative<InstanceMedia>> {
    alternatives.iter().find(|alternative| plan(alternative, instance).is_some())
}

/// Makes the body part of an instance.
pub(super) async fn part(
    representation: &Representation,
    instance: &Arc<Instance>,
    urls: &Urls,
    workers: &Workers,
) -> Result<Part, Unsuitable> {
    let identity = instance.identity();
    match representation {
        Representation::Instances(alternatives) => {
            let alternative = choose(alternatives, instance).ok_or(Unsuitable::Form)?;
            let plan = plan(alternative, instance).ok_or(Unsuitable::Form)?;
            let url = urls.instance(&identity.study, &identity.series, &identity.sop_instance);
            if alternative.media == InstanceMedia::OctetStreamMultipart {
                let pixels = native_pixels(instance, workers).await?;
                let url =
                    urls.bulkdata(&identity.study, &identity.series, &identity.sop_instance, "7FE00010");
                return Part::new("application/octet-stream", &url, vec![pixels]);
            }
            let (content, syntax) = match plan {
                Plan::AsItIs => (instance.part10().to_vec(), &**instance.transfer_syntax()),
                Plan::Decode => (vec![decoded(instance, workers).await?], EXPLICIT_VR_LITTLE_ENDIAN),
            };
            Part::new(&format!("application/dicom; transfer-syntax={syntax}"), &url, content)
        }
        Representation::Rendered(format, parameters) => {
            let image = form::rendered(instance, rendered_type(*format), parameters, workers).await?;
            let url = urls.rendered(&identity.study, &identity.series, &identity.sop_instance);
            Part::new(format.essence(), &url, vec![image])
        }
    }
}

fn rendered_type(format: ImageFormat) -> RenderedType {
    match format {
        ImageFormat::Jpeg => RenderedType::Jpeg,
        ImageFormat::Png => RenderedType::Png,
        ImageFormat::Gif => RenderedType::Gif,
    }
}
