//! `/rendered` of DICOMweb (PS3.18 §8.7.4, §8.3.5): an object → JPEG, PNG or GIF.
//!
//! Decode ([`super::transcode`]), make visible ([`super::display`]), cut out and scale, encode. The
//! parameters are a plain struct here; the query they come from is parsed where HTTP is.

use std::borrow::Cow;
use std::io::Cursor;

use dicom_dictionary_std::tags;
use dicom_object::DefaultDicomObject;
use dicom_pixeldata::{VoiLutFunction, WindowLevel, WindowLevelTransform};
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ExtendedColorType, ImageError};

use super::ImagePixelError;
use super::display;
use super::image_pixel::ImagePixel;
use super::transcode::{TranscodeError, to_explicit_little_endian};

/// The rendered media types (PS3.18 §8.7.4) for single frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderedType {
    /// `image/jpeg`, the default.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/gif`.
    Gif,
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RenderParameters {
    /// JPEG quality from 1 to 100; other media types are lossless and take no notice.
    pub quality: u8,
    /// What to show, and how large; `None` shows everything at its own size.
    pub viewport: Option<Viewport>,
    /// In place of the object's own window; colour takes no notice.
    pub window: Option<Window>,
}

impl Default for RenderParameters {
    fn default() -> Self {
        Self { quality: 90, viewport: None, window: None }
    }
}

/// The `viewport` parameter (PS3.18 §8.3.5.1.3): the picture is scaled to fit into it with its aspect
/// kept, so that one side at least is met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Viewport {
    /// Pixels, 1 to [`LARGEST_SIDE`].
    pub width: u32,
    /// Pixels, 1 to [`LARGEST_SIDE`].
    pub height: u32,
    /// The part of the image to show; `None` for all of it.
    pub region: Option<Region>,
}

/// A part of the image, in its pixels from the top left. What lies outside the image is not shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left side.
    pub x: f64,
    /// Top side.
    pub y: f64,
    /// A negative width flips the picture horizontally.
    pub width: f64,
    /// A negative height flips the picture vertically.
    pub height: f64,
}

/// The `window` parameter (PS3.18 §8.3.5.1.4), in units of the Modality LUT's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Window Center.
    pub center: f64,
    /// Window Width, above 0.
    pub width: f64,
    /// VOI LUT Function.
    pub function: WindowFunction,
}

/// VOI LUT Function (PS3.3 §C.11.2.1.2, §C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowFunction {
    /// `LINEAR`
    #[default]
    Linear,
    /// `LINEAR_EXACT`
    LinearExact,
    /// `SIGMOID`
    Sigmoid,
}

impl Window {
    pub(super) fn transform(self) -> WindowLevelTransform {
        let function = match self.function {
            WindowFunction::Linear => VoiLutFunction::Linear,
            WindowFunction::LinearExact => VoiLutFunction::LinearExact,
            WindowFunction::Sigmoid => VoiLutFunction::Sigmoid,
        };
        WindowLevelTransform::new(function, WindowLevel { center: self.center, width: self.width })
    }
}

/// The largest side of a viewport (pixels): scaling holds up to 12 bytes for every pixel of it.
pub const LARGEST_SIDE: u32 = 4096;

/// Why an object was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The request asks for what cannot be: a client's fault.
    #[error("{0} is out of range")]
    Parameter(&'static str),
    /// The pixels could not be decoded.
    #[error(transparent)]
    Transcode(#[from] TranscodeError),
    /// The attributes describe no image.
    #[error(transparent)]
    ImagePixel(#[from] ImagePixelError),
    /// Pixel Data is missing or shorter than the attributes say.
    #[error("Pixel Data is missing or too short")]
    Pixels,
    /// A lookup table of the object contradicts its descriptor.
    #[error("a lookup table of the object is damaged")]
    Table,
    /// A form of pixels that we do not show.
    #[error("no rendering of {0}")]
    Unsupported(String),
    /// The encoder refused, for instance a side that the format does not hold.
    #[error("the picture cannot be encoded: {0}")]
    Encode(#[from] ImageError),
}

/// Renders the single-frame `object` as `media`. `limit` bounds the decoded frame (bytes).
///
/// It takes tens of milliseconds of CPU: call it on a thread that may block.
///
/// # Errors
/// [`RenderError`]; only [`RenderError::Parameter`] is the request's fault.
pub fn render(
    object: DefaultDicomObject,
    media: RenderedType,
    parameters: &RenderParameters,
    limit: usize,
) -> Result<Vec<u8>, RenderError> {
    check(parameters)?;
    let object = to_explicit_little_endian(object, limit)?;
    let description = ImagePixel::of(&object)?;
    // The display takes up to three bytes a pixel whatever the samples.
    if description.frame_bytes().max(description.pixels().saturating_mul(3)) > limit.saturating_mul(3) {
        return Err(TranscodeError::TooLarge { bytes: description.frame_bytes(), limit }.into());
    }
    let element = object.get(tags::PIXEL_DATA).ok_or(RenderError::Pixels)?;
    let pixels: Cow<'_, [u8]> = element.to_bytes().map_err(|_| RenderError::Pixels)?;
    let mut picture = display::show(&object, &description, &pixels, parameters.window)?;
    if let Some(viewport) = parameters.viewport {
        picture = fit(picture, viewport)?;
    }
    encode(&picture, media, parameters.quality)
}

fn check(parameters: &RenderParameters) -> Result<(), RenderError> {
    if !(1..=100).contains(&parameters.quality) {
        return Err(RenderError::Parameter("quality"));
    }
    if let Some(window) = parameters.window
        && !(window.center.is_finite() && window.width.is_finite() && window.width > 0.0)
    {
        return Err(RenderError::Parameter("window"));
    }
    if let Some(viewport) = parameters.viewport {
        let sides = 1..=LARGEST_SIDE;
        let finite = viewport.region.is_none_or(|region| {
            [region.x, region.y, region.width, region.height].into_iter().all(f64::is_finite)
        });
        if !sides.contains(&viewport.width) || !sides.contains(&viewport.height) || !finite {
            return Err(RenderError::Parameter("viewport"));
        }
    }
    Ok(())
}

/// Cuts the region out and scales it into the viewport.
fn fit(picture: DynamicImage, viewport: Viewport) -> Result<DynamicImage, RenderError> {
    let mut picture = picture;
    if let Some(region) = viewport.region {
        // Whole pixels, within the image; the casts saturate.
        let span = |start: f64, length: f64, side: u32| {
            let from = (start.max(0.0).round() as u32).min(side);
            let to = ((start + length.abs()).max(0.0).round() as u32).min(side);
            (from, to.saturating_sub(from))
        };
        let (x, width) = span(region.x, region.width, picture.width());
        let (y, height) = span(region.y, region.height, picture.height());
        if width == 0 || height == 0 {
            return Err(RenderError::Parameter("viewport"));
        }
        picture = picture.crop_imm(x, y, width, height);
        if region.width < 0.0 {
            picture = picture.fliph();
        }
        if region.height < 0.0 {
            picture = picture.flipv();
        }
    }
    // Triangle averages when it shrinks and interpolates when it enlarges.
    Ok(picture.resize(viewport.width, viewport.height, FilterType::Triangle))
}

fn encode(picture: &DynamicImage, media: RenderedType, quality: u8) -> Result<Vec<u8>, RenderError> {
    let mut bytes = Vec::new();
    match media {
        RenderedType::Jpeg => {
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))?
        }
        RenderedType::Png => picture.write_with_encoder(PngEncoder::new(&mut Cursor::new(&mut bytes)))?,
        RenderedType::Gif => {
            let rgba = picture.to_rgba8();
            let (width, height) = rgba.dimensions();
            // 10: the fast palette search; up to 256 colours, grey among them, are exact anyway.
            GifEncoder::new_with_speed(&mut bytes, 10).encode(
                &rgba,
                width,
                height,
                ExtendedColorType::Rgba8,
            )?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, PrimitiveValue, VR};
    use dicom_object::InMemDicomObject;
    use image::ImageFormat;

    use super::super::samples::{colour, encapsulated, grey, native, put, rle, words};
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn parameters() -> RenderParameters {
        RenderParameters::default()
    }

    /// Renders as PNG and gives back the levels.
    fn levels_with(object: DefaultDicomObject, parameters: &RenderParameters) -> Vec<u8> {
        let png = render(object, RenderedType::Png, parameters, LIMIT).unwrap();
        image::load_from_memory_with_format(&png, ImageFormat::Png).unwrap().into_bytes()
    }

    fn levels(object: DefaultDicomObject) -> Vec<u8> {
        levels_with(object, &parameters())
    }

    fn window(center: f64, width: f64, function: WindowFunction) -> RenderParameters {
        RenderParameters { window: Some(Window { center, width, function }), ..parameters() }
    }

    #[test]
    fn eight_bits_without_a_window_show_as_they_are() {
        assert_eq!(levels(native(grey(2, 2, 8, 8), &[10, 20, 30, 200])), [10, 20, 30, 200]);
        let mut shape = grey(2, 2, 8, 8);
        shape.photometric = "MONOCHROME1";
        assert_eq!(levels(native(shape, &[10, 20, 30, 200])), [245, 235, 225, 55]);
        shape.signed = true;
        shape.photometric = "MONOCHROME2";
        assert_eq!(levels(native(shape, &[0x80, 0xFF, 0, 0x7F])), [0, 127, 128, 255]);
    }

    #[test]
    fn more_bits_without_a_window_show_from_minimum_to_maximum() {
        assert_eq!(levels(native(grey(1, 3, 16, 12), &words(&[1000, 1500, 2000]))), [0, 128, 255]);
        let mut shape = grey(1, 3, 16, 16);
        shape.signed = true;
        let pixels = words(&[-1000_i16 as u16, 0, 1000]);
        assert_eq!(levels(native(shape, &pixels)), [0, 128, 255]);
        // The padding is no part of the range.
        let mut object = native(shape, &words(&[-2000_i16 as u16, 0, 1000]));
        object.put(DataElement::new(tags::PIXEL_PADDING_VALUE, VR::SS, PrimitiveValue::from(-2000_i16)));
        assert_eq!(levels(object), [0, 0, 255]);
    }

    #[test]
    fn bits_beside_the_stored_ones_do_not_show() {
        // Bits Stored 12 in the upper part of the word, an overlay in the lower.
        let mut object = native(grey(1, 2, 16, 12), &words(&[0x000F, 0xFFF3]));
        object.put(DataElement::new(tags::HIGH_BIT, VR::US, PrimitiveValue::from(15_u16)));
        put(&mut object, tags::WINDOW_CENTER, VR::DS, "2048");
        put(&mut object, tags::WINDOW_WIDTH, VR::DS, "4096");
        assert_eq!(levels(object), [0, 255]);
    }

    #[test]
    fn the_object_s_window_counts_after_rescaling() {
        let mut object = native(grey(1, 4, 16, 12), &words(&[0, 1024, 1124, 4095]));
        put(&mut object, tags::RESCALE_INTERCEPT, VR::DS, "-1024");
        put(&mut object, tags::RESCALE_SLOPE, VR::DS, "1");
        // The first of two windows.
        for (tag, values) in [(tags::WINDOW_CENTER, ["50.5", "1000"]), (tags::WINDOW_WIDTH, ["101", "2000"])]
        {
            let values = PrimitiveValue::Strs(values.map(String::from).into_iter().collect());
            object.put(DataElement::new(tag, VR::DS, values));
        }
        assert_eq!(
            levels(object),
            [0, 1, 255, 255].map(|level: u8| level.saturating_sub(u8::from(level == 1)))
        );
    }

    #[test]
    fn the_request_s_window_replaces_it() {
        let pixels = words(&[0, 1000, 2000, 3000]);
        let shown = |function| {
            let mut object = native(grey(1, 4, 16, 12), &pixels);
            put(&mut object, tags::WINDOW_CENTER, VR::DS, "1");
            put(&mut object, tags::WINDOW_WIDTH, VR::DS, "2");
            levels_with(object, &window(1500.0, 2000.0, function))
        };
        assert_eq!(shown(WindowFunction::LinearExact), [0, 64, 191, 255]);
        assert_eq!(shown(WindowFunction::Linear), [0, 64, 191, 255]);
        let sigmoid = shown(WindowFunction::Sigmoid);
        assert_eq!(sigmoid[0], 12);
        assert_eq!(sigmoid[3], 243);
    }

    fn table(count: u16, first: i16, bits: u16, entries: &[u16]) -> InMemDicomObject {
        InMemDicomObject::from_element_iter([
            DataElement::new(
                tags::LUT_DESCRIPTOR,
                VR::SS,
                PrimitiveValue::I16([count as i16, first, bits as i16].into_iter().collect()),
            ),
            DataElement::new(tags::LUT_DATA, VR::OW, PrimitiveValue::U16(entries.iter().copied().collect())),
        ])
    }

    fn put_table(object: &mut DefaultDicomObject, tag: dicom_core::Tag, item: InMemDicomObject) {
        object.put(DataElement::new(tag, VR::SQ, dicom_core::value::DataSetSequence::from(vec![item])));
    }

    #[test]
    fn lookup_tables_are_applied_and_clamp() {
        let mut object = native(grey(1, 4, 16, 12), &words(&[0, 10, 11, 4000]));
        put_table(&mut object, tags::VOILUT_SEQUENCE, table(3, 10, 12, &[0, 2048, 4095]));
        assert_eq!(levels(object), [0, 0, 128, 255]);
        let mut object = native(grey(1, 4, 8, 8), &[0, 1, 2, 3]);
        put_table(&mut object, tags::MODALITY_LUT_SEQUENCE, table(4, 0, 16, &[300, 200, 100, 0]));
        put(&mut object, tags::WINDOW_CENTER, VR::DS, "150");
        put(&mut object, tags::WINDOW_WIDTH, VR::DS, "300");
        put(&mut object, tags::VOILUT_FUNCTION, VR::CS, "LINEAR_EXACT");
        assert_eq!(levels(object), [255, 170, 85, 0]);
        let mut object = native(grey(1, 1, 16, 12), &words(&[0]));
        put_table(&mut object, tags::VOILUT_SEQUENCE, table(5, 10, 12, &[0, 2048]));
        let error = render(object, RenderedType::Png, &parameters(), LIMIT).unwrap_err();
        assert!(matches!(error, RenderError::Table), "{error}");
    }

    #[test]
    fn rgb_shows_in_either_planar_configuration() {
        let expected = [255, 0, 10, 0, 200, 20];
        assert_eq!(levels(native(colour(1, 2, "RGB"), &expected)), expected);
        let mut planes = colour(1, 2, "RGB");
        planes.planar = 1;
        assert_eq!(levels(native(planes, &[255, 0, 0, 200, 10, 20])), expected);
        let mut deep = colour(1, 2, "RGB");
        (deep.bits_allocated, deep.bits_stored) = (16, 16);
        assert_eq!(
            levels(native(deep, &words(&expected.map(|level| u16::from(level) << 8 | 0x7F)))),
            expected
        );
    }

    #[test]
    fn ybr_becomes_rgb() {
        // Pure red, green and blue by the equations of PS3.3 §C.7.6.3.1.2.
        let ybr = [76, 85, 255, 150, 44, 21, 29, 255, 107];
        let shown = levels(native(colour(1, 3, "YBR_FULL"), &ybr));
        for (level, wanted) in shown.iter().zip([255, 0, 0, 0, 255, 0, 0, 0, 255_u8]) {
            assert!(level.abs_diff(wanted) <= 2, "{shown:?}");
        }
        // Two pixels share their chrominance.
        let shown = levels(native(colour(1, 2, "YBR_FULL_422"), &[76, 40, 128, 128]));
        assert_eq!(shown, [76, 76, 76, 40, 40, 40]);
        // RLE leaves YBR as it is.
        let object = encapsulated(
            colour(1, 3, "YBR_FULL"),
            dicom_dictionary_std::uids::RLE_LOSSLESS,
            &[&rle(&ybr, 3, 1)],
        );
        assert!(levels(object)[0] >= 253);
    }

    #[test]
    fn a_palette_gives_colour() {
        let mut shape = grey(1, 3, 8, 8);
        shape.photometric = "PALETTE COLOR";
        let mut object = native(shape, &[4, 5, 6]);
        for (descriptor, data, entries) in [
            (
                tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                [0xFFFF_u16, 0],
            ),
            (
                tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                [0, 0x8080],
            ),
            (
                tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                [0x1010, 0],
            ),
        ] {
            let descriptor_values = PrimitiveValue::U16([2, 4, 16].into_iter().collect());
            object.put(DataElement::new(descriptor, VR::US, descriptor_values));
            object.put(DataElement::new(data, VR::OW, PrimitiveValue::U16(entries.into_iter().collect())));
        }
        assert_eq!(levels(object), [255, 0, 16, 0, 128, 0, 0, 128, 0]);
    }

    #[test]
    fn every_media_type_is_what_it_says() {
        for (media, format) in [
            (RenderedType::Jpeg, ImageFormat::Jpeg),
            (RenderedType::Png, ImageFormat::Png),
            (RenderedType::Gif, ImageFormat::Gif),
        ] {
            let pixels: Vec<u8> = (0..=255).collect();
            let bytes = render(native(grey(16, 16, 8, 8), &pixels), media, &parameters(), LIMIT).unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), format);
            let shown = image::load_from_memory(&bytes).unwrap().to_luma8();
            let worst = shown.iter().zip(&pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= if media == RenderedType::Jpeg { 12 } else { 0 }, "{media:?}: {worst}");
        }
    }

    #[test]
    fn quality_trades_size() {
        let pixels: Vec<u8> = (0..64_u32 * 64).map(|n| ((n * n * 31) >> 5) as u8).collect();
        let size = |quality| {
            let parameters = RenderParameters { quality, ..parameters() };
            render(native(grey(64, 64, 8, 8), &pixels), RenderedType::Jpeg, &parameters, LIMIT).unwrap().len()
        };
        assert!(size(10) * 2 < size(95));
    }

    #[test]
    fn a_viewport_keeps_the_aspect_and_cuts_out_its_region() {
        let pixels: Vec<u8> = (0..40 * 20_u32).map(|n| if n % 40 < 20 { 10 } else { 200 }).collect();
        let shown = |viewport| {
            let parameters = RenderParameters { viewport: Some(viewport), ..parameters() };
            let png = render(native(grey(20, 40, 8, 8), &pixels), RenderedType::Png, &parameters, LIMIT)?;
            Ok::<_, RenderError>(image::load_from_memory(&png).unwrap().to_luma8())
        };
        let all = shown(Viewport { width: 100, height: 100, region: None }).unwrap();
        assert_eq!(all.dimensions(), (100, 50));
        assert_eq!((all.get_pixel(10, 10).0, all.get_pixel(90, 10).0), ([10], [200]));
        let part = |x, width| Viewport {
            width: 10,
            height: 10,
            region: Some(Region { x, y: 0.0, width, height: 10.0 }),
        };
        assert!(shown(part(25.0, 10.0)).unwrap().iter().all(|level| *level == 200));
        let flipped = shown(part(10.0, -20.0)).unwrap();
        assert_eq!((flipped.dimensions(), flipped.get_pixel(0, 0).0), ((10, 5), [200]));
        // Outside there is nothing to show.
        assert!(matches!(shown(part(40.0, 10.0)), Err(RenderError::Parameter("viewport"))));
        let huge = Viewport { width: LARGEST_SIDE + 1, height: 10, region: None };
        assert!(matches!(shown(huge), Err(RenderError::Parameter("viewport"))));
        assert!(matches!(shown(part(f64::NAN, 10.0)), Err(RenderError::Parameter("viewport"))));
    }

    #[test]
    fn impossible_parameters_and_short_pixels_are_told_apart() {
        let object = || native(grey(2, 2, 8, 8), &[1, 2, 3, 4]);
        let refused = |parameters: RenderParameters| {
            let error = render(object(), RenderedType::Png, &parameters, LIMIT).unwrap_err();
            matches!(error, RenderError::Parameter(_))
        };
        assert!(refused(RenderParameters { quality: 0, ..parameters() }));
        assert!(refused(RenderParameters { quality: 101, ..parameters() }));
        assert!(refused(window(0.0, 0.0, WindowFunction::Linear)));
        assert!(refused(window(f64::NAN, 1.0, WindowFunction::Linear)));
        for shape in [grey(2, 3, 8, 8), grey(2, 2, 16, 12), colour(2, 2, "RGB"), colour(2, 2, "YBR_FULL_422")]
        {
            let error =
                render(native(shape, &[1, 2, 3, 4]), RenderedType::Png, &parameters(), LIMIT).unwrap_err();
            assert!(matches!(error, RenderError::Pixels), "{error}");
        }
    }
}
