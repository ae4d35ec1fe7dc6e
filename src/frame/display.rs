//! Native pixels → what a screen shows: 8-bit grey or RGB.
//!
//! The grey chain is that of PS3.4 §N.2: stored value → Modality LUT → VOI LUT → polarity. It is worked
//! out once for every stored value there can be, and a frame is then one lookup a pixel. The library's
//! own chain (`dicom-pixeldata`) is not used but for its window functions: it stretches 8-bit frames
//! that have no window, knows neither palettes nor a High Bit out of place, and takes RLE for RGB.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_pixeldata::{Rescale, VoiLutFunction, WindowLevel, WindowLevelTransform};
use image::{DynamicImage, GrayImage, RgbImage};

use super::image_pixel::ImagePixel;
use super::render::{RenderError, Window};

/// Makes the native `pixels` of `dataset` visible. `window` replaces the object's own VOI and concerns
/// grey images only.
pub(super) fn show(
    dataset: &InMemDicomObject,
    image: &ImagePixel,
    pixels: &[u8],
    window: Option<Window>,
) -> Result<DynamicImage, RenderError> {
    let (columns, rows) = (image.columns as u32, image.rows as u32);
    let wrong_length = || RenderError::Pixels;
    match (image.photometric.as_str(), image.samples) {
        ("MONOCHROME1" | "MONOCHROME2", 1) => {
            let stored = stored_values(image, pixels)?;
            let table = grey_table(dataset, image, &stored, window)?;
            let grey = look_up(&stored, &table);
            GrayImage::from_raw(columns, rows, grey).ok_or_else(wrong_length).map(DynamicImage::from)
        }
        ("PALETTE COLOR", 1) => {
            let stored = stored_values(image, pixels)?;
            let palette = palette(dataset, image)?;
            let rgb =
                stored.iter().flat_map(|value| palette.get(usize::from(*value)).copied().unwrap_or_default());
            RgbImage::from_raw(columns, rows, rgb.collect()).ok_or_else(wrong_length).map(DynamicImage::from)
        }
        (_, 3) => {
            let rgb = colour(image, pixels)?;
            RgbImage::from_raw(columns, rows, rgb).ok_or_else(wrong_length).map(DynamicImage::from)
        }
        (other, samples) => Err(RenderError::Unsupported(format!(
            "Photometric Interpretation {other} with {samples} samples"
        ))),
    }
}

/// The stored values (PS3.5 §8.1.1) of a one-sample frame, without the bits beside them and not yet
/// sign-extended.
fn stored_values(image: &ImagePixel, pixels: &[u8]) -> Result<Vec<u16>, RenderError> {
    let pixels = pixels.get(..image.frame_bytes()).ok_or(RenderError::Pixels)?;
    let shift = image.high_bit + 1 - image.bits_stored;
    let mask = u16::MAX.checked_shr(16_u32.saturating_sub(image.bits_stored)).unwrap_or(0);
    let value = |word: u16| word.checked_shr(shift).unwrap_or(0) & mask;
    match image.bits_allocated {
        1 => {
            let bits = pixels.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
            Ok(bits.take(image.pixels()).collect())
        }
        8 => Ok(pixels.iter().map(|byte| value(u16::from(*byte))).collect()),
        16 => Ok(pixels.as_chunks().0.iter().map(|word| value(u16::from_le_bytes(*word))).collect()),
        other => Err(RenderError::Unsupported(format!("{other} Bits Allocated"))),
    }
}

fn look_up(stored: &[u16], table: &[u8]) -> Vec<u8> {
    stored.iter().map(|value| table.get(usize::from(*value)).copied().unwrap_or(0)).collect()
}

/// What a stored value means as a number.
fn signed_value(image: &ImagePixel, stored: u16) -> i32 {
    let value = i32::from(stored);
    let sign = 1_i32 << (image.bits_stored.clamp(1, 16) - 1);
    if image.signed && value & sign != 0 { value - 2 * sign } else { value }
}

/// The grey level of every stored value.
fn grey_table(
    dataset: &InMemDicomObject,
    image: &ImagePixel,
    stored: &[u16],
    window: Option<Window>,
) -> Result<Vec<u8>, RenderError> {
    let count = 1_u32 << image.bits_stored.min(16);
    let modality = Modality::of(dataset)?;
    let values: Vec<f64> =
        (0..count).map(|value| modality.apply(signed_value(image, value as u16))).collect();
    let voi = match window {
        Some(window) => Voi::Window(window.transform()),
        None => Voi::of(dataset, image, stored, &values)?,
    };
    let inverse = image.photometric == "MONOCHROME1";
    Ok(values
        .into_iter()
        .map(|value| {
            let level = (voi.apply(value) + 0.5).clamp(0.0, 255.0) as u8;
            if inverse { 255 - level } else { level }
        })
        .collect())
}

/// Stored value → what the modality measured (PS3.3 §C.11.1).
enum Modality {
    Table(Table),
    Rescale(Rescale),
}

impl Modality {
    fn of(dataset: &InMemDicomObject) -> Result<Self, RenderError> {
        if let Some(table) = Table::first(dataset, tags::MODALITY_LUT_SEQUENCE)? {
            return Ok(Self::Table(table));
        }
        let slope = decimal(dataset, tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0).unwrap_or(1.0);
        let intercept = decimal(dataset, tags::RESCALE_INTERCEPT).unwrap_or(0.0);
        Ok(Self::Rescale(Rescale::new(slope, intercept)))
    }

    fn apply(&self, value: i32) -> f64 {
        match self {
            Self::Table(table) => f64::from(table.at(value)),
            Self::Rescale(rescale) => rescale.apply(f64::from(value)),
        }
    }
}

/// Measured value → grey level from 0 to 255 (PS3.3 §C.11.2).
enum Voi {
    Window(WindowLevelTransform),
    Table(Table),
    /// From black at the first to white at the second.
    Range(f64, f64),
}

impl Voi {
    /// What the object asks for: its first window, else its first table; without either, the whole
    /// range of up to 8 bits, and above that the range of the values that occur.
    fn of(
        dataset: &InMemDicomObject,
        image: &ImagePixel,
        stored: &[u16],
        values: &[f64],
    ) -> Result<Self, RenderError> {
        let window = decimal(dataset, tags::WINDOW_CENTER).zip(decimal(dataset, tags::WINDOW_WIDTH));
        if let Some((center, width)) = window.filter(|(_, width)| *width > 0.0) {
            let name = dataset.get(tags::VOILUT_FUNCTION).and_then(|element| element.to_str().ok());
            let function =
                name.and_then(|name| VoiLutFunction::try_from(name.trim()).ok()).unwrap_or_default();
            return Ok(Self::Window(WindowLevelTransform::new(function, WindowLevel { center, width })));
        }
        if let Some(table) = Table::first(dataset, tags::VOILUT_SEQUENCE)? {
            return Ok(Self::Table(table));
        }
        let extremes = |range: &mut dyn Iterator<Item = f64>| {
            range.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        if image.bits_stored <= 8 {
            let (low, high) = extremes(&mut values.iter().copied());
            return Ok(Self::Range(low, high));
        }
        // Padding around the picture is no part of it (PS3.3 §C.7.5.1.1.2).
        let padding = dataset.get(tags::PIXEL_PADDING_VALUE).and_then(|element| element.to_int::<i32>().ok());
        let mut seen = vec![false; values.len()];
        for value in stored {
            if let Some(flag) = seen.get_mut(usize::from(*value)) {
                *flag = true;
            }
        }
        let mut occurring = values
            .iter()
            .zip(seen)
            .enumerate()
            .filter(|(value, (_, seen))| *seen && Some(signed_value(image, *value as u16)) != padding)
            .map(|(_, (measured, _))| *measured);
        let (low, high) = extremes(&mut occurring);
        Ok(Self::Range(low, high))
    }

    fn apply(&self, value: f64) -> f64 {
        match self {
            Self::Window(window) => window.apply(value, 255.0),
            Self::Table(table) => table.level(table.at(value.round() as i32)),
            Self::Range(low, high) if high > low => (value - low) / (high - low) * 255.0,
            // One value only, or none: mid grey shows that there is a picture.
            Self::Range(..) => 127.0,
        }
    }
}

/// A lookup table: descriptor and data (PS3.3 §C.11.1.1.1, C.7.6.3.1.5).
struct Table {
    /// The value that the first entry is for.
    first: i32,
    /// Bits of an entry.
    bits: u32,
    entries: Vec<u16>,
}

impl Table {
    /// The table in the first item of a sequence, if the sequence is there.
    fn first(dataset: &InMemDicomObject, sequence: Tag) -> Result<Option<Self>, RenderError> {
        let item = dataset.get(sequence).and_then(|element| element.items()).and_then(|items| items.first());
        item.map(|item| Self::read(item, tags::LUT_DESCRIPTOR, tags::LUT_DATA)).transpose()
    }

    fn read(dataset: &InMemDicomObject, descriptor: Tag, data: Tag) -> Result<Self, RenderError> {
        let numbers = dataset.get(descriptor).and_then(|element| element.to_multi_int::<i32>().ok());
        let Some([count, first, bits]) = numbers.as_deref() else { return Err(RenderError::Table) };
        // 0 stands for 65536, and a signed VR turns the larger half negative.
        let count = match count & 0xFFFF {
            0 => 65_536,
            count => count as usize,
        };
        if !(8..=16).contains(bits) {
            return Err(RenderError::Table);
        }
        let bytes =
            dataset.get(data).and_then(|element| element.to_bytes().ok()).ok_or(RenderError::Table)?;
        let entries: Vec<u16> = if *bits == 8 && bytes.len() < 2 * count {
            // 8-bit entries may be packed two to a word.
            bytes.iter().take(count).map(|byte| u16::from(*byte)).collect()
        } else {
            bytes.as_chunks().0.iter().take(count).map(|word| u16::from_le_bytes(*word)).collect()
        };
        if entries.len() < count {
            return Err(RenderError::Table);
        }
        Ok(Self { first: *first, bits: *bits as u32, entries })
    }

    /// The entry for a value; values outside the table get its nearest end.
    fn at(&self, value: i32) -> u16 {
        let last = self.entries.len().saturating_sub(1);
        let index = i64::from(value) - i64::from(self.first);
        let index = usize::try_from(index).unwrap_or(0).min(last);
        self.entries.get(index).copied().unwrap_or(0)
    }

    /// An entry on the scale of 0 to 255.
    fn level(&self, entry: u16) -> f64 {
        f64::from(entry) * 255.0 / f64::from((1_u32 << self.bits) - 1)
    }
}

/// RGB of every stored value of a PALETTE COLOR image.
fn palette(dataset: &InMemDicomObject, image: &ImagePixel) -> Result<Vec<[u8; 3]>, RenderError> {
    let table = |descriptor, data| Table::read(dataset, descriptor, data);
    let red =
        table(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
    let green = table(
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    )?;
    let blue =
        table(tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
    let count = 1_u32 << image.bits_stored.min(16);
    Ok((0..count)
        .map(|stored| {
            let value = signed_value(image, stored as u16);
            [&red, &green, &blue].map(|table| (table.level(table.at(value)) + 0.5) as u8)
        })
        .collect())
}

/// Interleaved 8-bit RGB of a three-sample frame.
fn colour(image: &ImagePixel, pixels: &[u8]) -> Result<Vec<u8>, RenderError> {
    let unsupported = |what: &str| Err(RenderError::Unsupported(what.to_owned()));
    if image.photometric == "YBR_FULL_422" && image.bits_allocated == 8 && !image.planar {
        return Ok(to_rgb(upsample(image, pixels)?));
    }
    let pixels = pixels.get(..image.frame_bytes()).ok_or(RenderError::Pixels)?;
    let narrow = image.high_bit.saturating_sub(7);
    let samples: Vec<u8> = match image.bits_allocated {
        8 if image.bits_stored == 8 => pixels.to_vec(),
        16 if image.bits_stored > 8 => {
            pixels.as_chunks().0.iter().map(|word| (u16::from_le_bytes(*word) >> narrow) as u8).collect()
        }
        _ => return unsupported("colour of such Bits Stored"),
    };
    let samples = if image.planar { interleave(&samples, image.pixels()) } else { samples };
    match image.photometric.as_str() {
        "RGB" => Ok(samples),
        "YBR_FULL" => Ok(to_rgb(samples)),
        other => unsupported(&format!("Photometric Interpretation {other}")),
    }
}

fn interleave(planes: &[u8], pixels: usize) -> Vec<u8> {
    let mut planes = planes.chunks_exact(pixels);
    let mut plane = || planes.next().unwrap_or_default();
    let (red, green, blue) = (plane(), plane(), plane());
    red.iter().zip(green).zip(blue).flat_map(|((red, green), blue)| [*red, *green, *blue]).collect()
}

/// YBR_FULL from native YBR_FULL_422, whose pixels lie in pairs `Y Y CB CR` (PS3.3 §C.7.6.3.1.2).
fn upsample(image: &ImagePixel, pixels: &[u8]) -> Result<Vec<u8>, RenderError> {
    let pixels = pixels.get(..image.pixels().div_ceil(2) * 4).ok_or(RenderError::Pixels)?;
    let pairs = pixels.as_chunks().0.iter();
    let full = pairs.flat_map(|&[first, second, blue, red]| [first, blue, red, second, blue, red]);
    Ok(full.take(image.pixels() * 3).collect())
}

/// RGB from YBR_FULL (PS3.3 §C.7.6.3.1.2), in place.
fn to_rgb(mut samples: Vec<u8>) -> Vec<u8> {
    for pixel in samples.as_chunks_mut::<3>().0 {
        let [y, cb, cr] = pixel.map(f32::from);
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        *pixel = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
            .map(|value| (value + 0.5).clamp(0.0, 255.0) as u8);
    }
    samples
}

/// The first value of a DS attribute, if it is a finite number.
fn decimal(dataset: &InMemDicomObject, tag: Tag) -> Option<f64> {
    let values = dataset.get(tag)?.to_multi_float64().ok()?;
    values.first().copied().filter(|value| value.is_finite())
}
