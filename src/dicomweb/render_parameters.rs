//! From the query of a rendered resource to what the renderer takes.

use super::media;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::frame::render::{Region, RenderParameters, Viewport, Window, WindowFunction};

const DEFAULT_QUALITY: u8 = 90;
/// No image is larger (pixels): Rows and Columns have 16 bits.
const FAR: f64 = 65_536.0;

/// Reads `quality`, `viewport` and `window` (PS3.18 §8.3.5).
pub(super) fn read(parameters: &Parameters) -> Result<RenderParameters, Problem> {
    let asked = media::RenderParameters::parse(parameters.iter())
        .map_err(|error| Problem::bad_parameter(error.parameter, error.expected))?;
    Ok(RenderParameters {
        quality: asked.quality.unwrap_or(DEFAULT_QUALITY),
        viewport: asked.viewport.map(|viewport| Viewport {
            width: viewport.width.into(),
            height: viewport.height.into(),
            region: viewport.region.map(|region| Region {
                x: region.x,
                y: region.y,
                // What is left out reaches to the far side of the image.
                width: region.width.unwrap_or(FAR),
                height: region.height.unwrap_or(FAR),
            }),
        }),
        window: asked.window.map(|window| Window {
            center: window.center,
            width: window.width,
            function: match window.function {
                media::VoiLutFunction::Linear => WindowFunction::Linear,
                media::VoiLutFunction::LinearExact => WindowFunction::LinearExact,
                media::VoiLutFunction::Sigmoid => WindowFunction::Sigmoid,
            },
        }),
    })
}
