//! In which form an instance goes to a client: as it is, in Explicit VR Little Endian, as bulk
//! data, or rendered.
//!
//! As it is costs nothing. Everything that decodes or encodes pixels is heavy work ([`Workers`]).

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::media::{Alternative, ImageFormat, InstanceMedia, TransferSyntaxWish};
use super::multipart::PartHead;
use super::routes::Urls;
use super::workers::Workers;
use crate::frame::render::{self, RenderParameters, RenderedType};
use crate::frame::transcode;
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Instance, PixelForm};

/// Decoded pixels of one frame may be this large (bytes); headers lie.
const DECODED_LIMIT: usize = 256 << 20;

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

/// Why an instance cannot be had in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsuitable {
    /// It has no pixels, or not of the kind asked for.
    #[error("the instance has no such representation")]
    Form,
    /// The pixels cannot be decoded.
    #[error("the pixels cannot be decoded: {0}")]
    Codec(String),
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
            let image = rendered(instance, *format, parameters, workers).await?;
            let url = urls.rendered(&identity.study, &identity.series, &identity.sop_instance);
            Part::new(format.essence(), &url, vec![image])
        }
    }
}

/// The whole object in Explicit VR Little Endian.
async fn decoded(instance: &Arc<Instance>, workers: &Workers) -> Result<Bytes, Unsuitable> {
    let instance = instance.clone();
    let done = workers
        .run(move || {
            let object = instance.object().map_err(codec)?;
            let object = transcode::to_explicit_little_endian(object, DECODED_LIMIT).map_err(codec)?;
            let mut bytes = Vec::with_capacity(instance.len());
            object.write_all(&mut bytes).map_err(codec)?;
            Ok(Bytes::from(bytes))
        })
        .await;
    done.unwrap_or_else(lost)
}

/// Native pixels, little endian, without padding.
pub(super) async fn native_pixels(instance: &Arc<Instance>, workers: &Workers) -> Result<Bytes, Unsuitable> {
    match instance.form() {
        PixelForm::Native(..) => Ok(instance.pixels().clone()),
        PixelForm::Absent => Err(Unsuitable::Form),
        PixelForm::Encapsulated => {
            let instance = instance.clone();
            let done = workers
                .run(move || {
                    let object = instance.object().map_err(codec)?;
                    let object =
                        transcode::to_explicit_little_endian(object, DECODED_LIMIT).map_err(codec)?;
                    let pixels = object.element(dicom_dictionary_std::tags::PIXEL_DATA).map_err(codec)?;
                    Ok(Bytes::from(pixels.to_bytes().map_err(codec)?.into_owned()))
                })
                .await;
            done.unwrap_or_else(lost)
        }
    }
}

/// An image that anybody can show.
pub(super) async fn rendered(
    instance: &Arc<Instance>,
    format: ImageFormat,
    parameters: &RenderParameters,
    workers: &Workers,
) -> Result<Bytes, Unsuitable> {
    if instance.form() == PixelForm::Absent {
        return Err(Unsuitable::Form);
    }
    let (instance, parameters) = (instance.clone(), *parameters);
    let format = match format {
        ImageFormat::Jpeg => RenderedType::Jpeg,
        ImageFormat::Png => RenderedType::Png,
        ImageFormat::Gif => RenderedType::Gif,
    };
    let done = workers
        .run(move || {
            let object = instance.object().map_err(codec)?;
            let image = render::render(object, format, &parameters, DECODED_LIMIT).map_err(codec)?;
            Ok(Bytes::from(image))
        })
        .await;
    done.unwrap_or_else(lost)
}

/// The work panicked, or we are stopping.
fn lost<T>() -> Result<T, Unsuitable> {
    Err(Unsuitable::Codec("the work was given up".to_owned()))
}

fn codec(error: impl std::fmt::Display) -> Unsuitable {
    Unsuitable::Codec(error.to_string())
}
