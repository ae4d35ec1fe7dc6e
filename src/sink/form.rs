//! Other forms of an instance than the bytes that it came in: decoded to Explicit VR Little Endian, its
//! native pixels alone, or a picture. All of it is heavy work ([`Workers`]), unlike sending an
//! instance as it is.

use std::sync::Arc;

use bytes::Bytes;

use super::workers::Workers;
use crate::frame::render::{self, RenderParameters, RenderedType};
use crate::frame::transcode;
use crate::instance::{Instance, PixelForm};

/// Decoded pixels of one frame may be this large (bytes); headers lie.
const DECODED_LIMIT: usize = 256 << 20;

/// Why an instance cannot be had in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// It has no pixels, or not of the kind asked for.
    #[error("the instance has no such representation")]
    Form,
    /// The pixels cannot be decoded.
    #[error("the pixels cannot be decoded: {0}")]
    Codec(String),
}

/// The whole object in Explicit VR Little Endian.
///
/// # Errors
/// When the pixels cannot be decoded.
pub async fn decoded(instance: &Arc<Instance>, workers: &Workers) -> Result<Bytes, Unsuitable> {
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
///
/// # Errors
/// When there are none, or they cannot be decoded.
pub async fn native_pixels(instance: &Arc<Instance>, workers: &Workers) -> Result<Bytes, Unsuitable> {
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
///
/// # Errors
/// When there are no pixels, or they cannot be decoded.
pub async fn rendered(
    instance: &Arc<Instance>,
    format: RenderedType,
    parameters: &RenderParameters,
    workers: &Workers,
) -> Result<Bytes, Unsuitable> {
    if instance.form() == PixelForm::Absent {
        return Err(Unsuitable::Form);
    }
    let (instance, parameters) = (instance.clone(), *parameters);
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
