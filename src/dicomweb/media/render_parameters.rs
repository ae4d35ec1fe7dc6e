//! The query parameters of rendered resources: `quality`, `viewport`, `window` (PS3.18 §8.3.5.1).
//!
//! Only their text is judged here. What depends on the image (a region outside it) is for the renderer.

use http::StatusCode;

/// Largest width and height of a viewport, in pixels.
pub const MAX_VIEWPORT: u16 = 4096;
/// Largest coordinate of a source region, in pixels: Rows and Columns are 16-bit values.
const MAX_COORDINATE: f64 = 65_535.0;

/// How an image is to be rendered. What is `None` was not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RenderParameters {
    /// Quality of a lossy encoding, 1 to 100 (best).
    pub quality: Option<u8>,
    /// The size of the result, and what part of the image fills it.
    pub viewport: Option<Viewport>,
    /// The VOI windowing that takes the place of that of the instance.
    pub window: Option<Window>,
}

/// The rectangle into which the image is scaled, keeping its aspect ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Viewport {
    /// Width in pixels, 1 to [`MAX_VIEWPORT`].
    pub width: u16,
    /// Height in pixels, 1 to [`MAX_VIEWPORT`].
    pub height: u16,
    /// The part of the image that is shown; `None` is all of it.
    pub region: Option<SourceRegion>,
}

/// A part of the source image, in its pixels from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceRegion {
    /// Left edge, from 0.
    pub x: f64,
    /// Upper edge, from 0.
    pub y: f64,
    /// Width, above 0; `None` reaches to the right edge of the image.
    pub width: Option<f64>,
    /// Height, above 0; `None` reaches to the lower edge of the image.
    pub height: Option<f64>,
}

/// A VOI window (PS3.3 §C.11.2.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Window Center, in units of the modality LUT's output.
    pub center: f64,
    /// Window Width: at least 1 for [`VoiLutFunction::Linear`], above 0 otherwise.
    pub width: f64,
    /// The shape of the transformation.
    pub function: VoiLutFunction,
}

/// VOI LUT Function (0028,1056).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiLutFunction {
    /// LINEAR, which is also meant when a request names none.
    Linear,
    /// LINEAR_EXACT
    LinearExact,
    /// SIGMOID
    Sigmoid,
}

/// A rendering parameter that cannot be followed. Names the parameter, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("query parameter {parameter} takes {expected}")]
pub struct RenderParameterError {
    /// The name of the parameter.
    pub parameter: &'static str,
    /// What it takes instead.
    pub expected: &'static str,
}

impl RenderParameterError {
    /// The status code of the response: 400 (Bad Request).
    pub fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

impl RenderParameters {
    /// Picks the rendering parameters out of a query's names and percent-decoded values; others are
    /// ignored.
    ///
    /// # Errors
    /// The first parameter that is malformed, out of bounds or present twice.
    pub fn parse<'q>(
        query: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Self, RenderParameterError> {
        let mut parsed = Self::default();
        for (name, value) in query {
            match name {
                "quality" => set(&mut parsed.quality, "quality", quality(value))?,
                "viewport" => set(&mut parsed.viewport, "viewport", viewport(value))?,
                "window" => set(&mut parsed.window, "window", window(value))?,
                _ => {}
            }
        }
        Ok(parsed)
    }
}

fn set<T>(
    slot: &mut Option<T>,
    parameter: &'static str,
    value: Result<T, &'static str>,
) -> Result<(), RenderParameterError> {
    let value = value.map_err(|expected| RenderParameterError { parameter, expected })?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(RenderParameterError { parameter, expected: "one value" }),
    }
}

fn quality(value: &str) -> Result<u8, &'static str> {
    match integer(value) {
        Some(quality @ 1..=100) => u8::try_from(quality).map_err(|_| QUALITY),
        _ => Err(QUALITY),
    }
}

const QUALITY: &str = "an integer from 1 to 100";

/// `vw,vh[,sx[,sy[,sw[,sh]]]]`, where each of the last four may be left empty.
fn viewport(value: &str) -> Result<Viewport, &'static str> {
    let mut parts = value.split(',');
    let mut side = || match parts.next().and_then(integer) {
        Some(side @ 1..=MAX_VIEWPORT) => Ok(side),
        _ => Err("a width and a height that are integers from 1 to 4096"),
    };
    let (width, height) = (side()?, side()?);

    let mut coordinate = || match parts.next() {
        None | Some("") => Ok(None),
        Some(text) => match decimal(text) {
            Some(negative) if negative < 0.0 => {
                Err("a source region without negative numbers: flips are not supported")
            }
            Some(pixels) if pixels <= MAX_COORDINATE => Ok(Some(pixels)),
            _ => Err("a source region of decimal numbers from 0 to 65535"),
        },
    };
    let (x, y, region_width, region_height) = (coordinate()?, coordinate()?, coordinate()?, coordinate()?);
    if parts.next().is_some() {
        return Err("six numbers at most");
    }
    if region_width == Some(0.0) || region_height == Some(0.0) {
        return Err("a source region that is not empty");
    }
    let region = [x, y, region_width, region_height].iter().any(Option::is_some).then(|| SourceRegion {
        x: x.unwrap_or(0.0),
        y: y.unwrap_or(0.0),
        width: region_width,
        height: region_height,
    });
    Ok(Viewport { width, height, region })
}

/// `center,width,function`. The function may be missing, as it may be in an instance.
fn window(value: &str) -> Result<Window, &'static str> {
    let mut parts = value.split(',');
    let mut number = || parts.next().and_then(decimal).ok_or("a center and a width that are decimal numbers");
    let (center, width) = (number()?, number()?);
    // PS3.18 spells them linear, linear-exact and sigmoid; PS3.3 LINEAR, LINEAR_EXACT and SIGMOID
    let function = match parts.next().map(|name| name.to_ascii_lowercase().replace('_', "-")).as_deref() {
        None | Some("linear") => VoiLutFunction::Linear,
        Some("linear-exact") => VoiLutFunction::LinearExact,
        Some("sigmoid") => VoiLutFunction::Sigmoid,
        Some(_) => return Err("LINEAR, LINEAR_EXACT or SIGMOID as its third value"),
    };
    if parts.next().is_some() {
        return Err("three values at most");
    }
    match function {
        VoiLutFunction::Linear if width < 1.0 => Err("a width of at least 1 with the function LINEAR"),
        _ if width <= 0.0 => Err("a width above 0"),
        _ => Ok(Window { center, width, function }),
    }
}

fn integer(text: &str) -> Option<u16> {
    // `parse` alone would take a plus sign
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A decimal number as VR DS spells it: at most 16 characters, no `inf`, no `nan`.
fn decimal(text: &str) -> Option<f64> {
    let spelled = text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|number: &f64| spelled && number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(name: &str, value: &str) -> Result<RenderParameters, RenderParameterError> {
        RenderParameters::parse([("annotation", "patient"), (name, value)])
    }

    #[test]
    fn all_three_and_none() {
        let query = [("quality", "85"), ("viewport", "512,256"), ("window", "40,400.5,SIGMOID"), ("x", "y")];
        let expected = RenderParameters {
            quality: Some(85),
            viewport: Some(Viewport { width: 512, height: 256, region: None }),
            window: Some(Window { center: 40.0, width: 400.5, function: VoiLutFunction::Sigmoid }),
        };
        assert_eq!(RenderParameters::parse(query), Ok(expected));
        assert_eq!(RenderParameters::parse([]), Ok(RenderParameters::default()));
    }

    #[test]
    fn viewports() {
        let region = |x, y, width, height| Some(SourceRegion { x, y, width, height });
        for (value, expected) in [
            ("1,4096", None),
            ("8,8,1,2,3.5,4", region(1.0, 2.0, Some(3.5), Some(4.0))),
            ("8,8,,,100,50", region(0.0, 0.0, Some(100.0), Some(50.0))),
            ("8,8,7", region(7.0, 0.0, None, None)),
            ("8,8,,,,", None),
        ] {
            let viewport = parse("viewport", value).unwrap().viewport.unwrap();
            assert_eq!(viewport.region, expected, "{value}");
        }
    }

    #[test]
    fn window_functions_in_both_spellings() {
        for (value, expected) in [
            ("40,400", VoiLutFunction::Linear),
            ("40,400,linear", VoiLutFunction::Linear),
            ("-600,1,LINEAR", VoiLutFunction::Linear),
            ("40,.5,linear-exact", VoiLutFunction::LinearExact),
            ("40,4e2,LINEAR_EXACT", VoiLutFunction::LinearExact),
        ] {
            assert_eq!(parse("window", value).unwrap().window.unwrap().function, expected, "{value}");
        }
    }

    #[test]
    fn bad_values_name_the_parameter_and_are_not_repeated() {
        for (name, value) in [
            ("quality", "777"),
            ("quality", "0"),
            ("quality", "+85"),
            ("quality", "8.5"),
            ("quality", ""),
            ("viewport", "777"),
            ("viewport", "0,777"),
            ("viewport", "777,4097"),
            ("viewport", "777,-777"),
            ("viewport", "777,777,-7"),
            ("viewport", "777,777,0,0,-777,7"),
            ("viewport", "777,777,0,0,0,777"),
            ("viewport", "777,777,0,0,nan,777"),
            ("viewport", "777,777,65536"),
            ("viewport", "777,777,1,2,3,4,5"),
            ("window", "777"),
            ("window", "777,0"),
            ("window", "777,0.5,LINEAR"),
            ("window", "777,-1,SIGMOID"),
            ("window", "inf,777"),
            ("window", "1e999,777"),
            ("window", "777,777,CUBIC"),
            ("window", "777,777,LINEAR,1"),
        ] {
            let error = parse(name, value).unwrap_err();
            assert_eq!(error.parameter, name, "{value}");
            assert_eq!(error.status(), 400);
            assert!(!error.to_string().contains("777") && !error.to_string().contains("CUBIC"), "{error}");
        }
        assert!(RenderParameters::parse([("quality", "1"), ("quality", "1")]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_values_never_panic_and_results_are_in_bounds(value in "[-+0-9.,eE]{0,20}|\\PC*") {
            for name in ["quality", "viewport", "window"] {
                let Ok(parsed) = parse(name, &value) else { continue };
                prop_assert!(parsed.quality.is_none_or(|q| (1..=100).contains(&q)));
                prop_assert!(parsed.viewport.is_none_or(|v| v.width <= MAX_VIEWPORT && v.height <= MAX_VIEWPORT));
                prop_assert!(parsed.window.is_none_or(|w| w.width > 0.0 && w.center.is_finite()));
            }
        }
    }
}
