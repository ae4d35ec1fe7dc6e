//! Pictures of a capture device become DICOM pixels, in one pass.
//!
//! A [`Converter`] is made for one negotiated format and writes each picture, line by line, straight into
//! the buffer that is published: stride and padding skipped, fields woven or bobbed, limited range made
//! full, colour made grey or RGB, identities masked. After a frame has been checked for length nothing in
//! it is indexed unchecked, so a driver that delivers too little is an error and not a crash.
//!
//! Grey is luma: for monochrome pictures on a colour signal, as of an X-ray monitor, it is the value that
//! was drawn, exactly. Chroma of subsampled formats is repeated, not interpolated: a pixel never takes
//! colour from beyond its own pair.

mod kernels;
mod line;
#[cfg(test)]
mod tests;

use std::ops::Range as Span;

use self::line::Line;
use super::video::{Field, Fields, Matrix, Range, VideoDescription, VideoFormat};
use super::{Photometric, PixelDescription};

/// A part of the picture (pixels from the top left of the whole picture).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What becomes of the pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// RGB instead of MONOCHROME2, where the format has colour.
    pub color: bool,
    /// Colour equations, instead of what the driver says.
    pub matrix: Option<Matrix>,
    /// Code values, instead of what the driver says.
    pub range: Option<Range>,
    /// Each field becomes a frame, with its lines doubled, instead of both one.
    pub bob: bool,
    /// What is kept; `None` for all.
    pub crop: Option<Rectangle>,
    /// What is blackened.
    pub masks: Vec<Rectangle>,
}

/// Why pictures cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The pictures are JPEG; they are decoded, not converted.
    #[error("JPEG pictures are no native pixels")]
    Compressed,
    /// The part to keep is not within the picture.
    #[error("the crop is not within the picture of {width}×{height}")]
    Crop {
        /// Columns of the picture (pixels).
        width: u32,
        /// Rows of the picture (pixels).
        height: u32,
    },
    /// The picture has no size, or one that DICOM has no room for, or lines that overlap.
    #[error("the description of the picture makes no sense")]
    Description,
    /// A buffer holds less than a picture.
    #[error("the picture is cut off: {got} of {needed} bytes")]
    Truncated {
        /// Bytes that came.
        got: usize,
        /// Bytes of a picture.
        needed: usize,
    },
    /// The buffer for the pixels has not the length of a frame.
    #[error("the buffer for the pixels has not the length of a frame")]
    Length,
}

/// What is in the buffer for the pixels now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converted {
    /// A whole frame.
    Frame,
    /// One field of a frame; call again with the other one and the same buffer.
    Half,
    /// One field, and before it the other one was missing: what came earlier is no frame. Call again with
    /// the other field and the same buffer.
    HalfAgain,
}

/// Converts the pictures of one format.
#[derive(Debug)]
pub struct Converter {
    video: VideoDescription,
    description: PixelDescription,
    crop: Rectangle,
    /// Within the crop (pixels).
    masks: Vec<Rectangle>,
    bob: bool,
    line: Line,
    /// Bytes that each plane of a buffer must hold.
    needed: Vec<usize>,
    /// The field that is in the buffer already.
    have: Option<Field>,
}

impl Converter {
    /// A converter for pictures of this kind.
    ///
    /// # Errors
    /// When the format is compressed, the description contradicts itself, or the crop lies outside.
    pub fn new(video: &VideoDescription, options: &Options) -> Result<Self, ConvertError> {
        if video.format == VideoFormat::Mjpeg {
            return Err(ConvertError::Compressed);
        }
        let whole = Rectangle { x: 0, y: 0, width: video.width, height: video.height };
        let crop = options.crop.unwrap_or(whole);
        let outside = |at: u32, length: u32, side: u32| {
            length == 0 || at.checked_add(length).is_none_or(|end| end > side)
        };
        if outside(crop.x, crop.width, video.width) || outside(crop.y, crop.height, video.height) {
            return Err(ConvertError::Crop { width: video.width, height: video.height });
        }
        let side = |length: u32| u16::try_from(length).map_err(|_| ConvertError::Description);
        let has_color = !matches!(
            video.format,
            VideoFormat::Grey | VideoFormat::Y10 | VideoFormat::Y12 | VideoFormat::Y16
        );
        let rgb = options.color && has_color;
        let bits = match video.format {
            VideoFormat::Y10 => 10,
            VideoFormat::Y12 => 12,
            VideoFormat::Y16 => 16,
            _ => 8,
        };
        let description = PixelDescription {
            rows: side(crop.height)?,
            columns: side(crop.width)?,
            samples: if rgb { 3 } else { 1 },
            bits_allocated: if bits > 8 { 16 } else { 8 },
            bits_stored: bits,
            photometric: if rgb { Photometric::Rgb } else { Photometric::Monochrome2 },
        };
        // Deeper grey than 8 bits comes from sensors and not from monitors: full range unless told.
        let told = if bits > 8 { Range::Full } else { video.range };
        let line = Line::new(
            video,
            options.matrix.unwrap_or(video.matrix),
            options.range.unwrap_or(told),
            rgb,
            crop.x as usize..(crop.x + crop.width) as usize,
        )
        .ok_or(ConvertError::Description)?;
        let lines = if video.fields == Fields::Alternate { video.height / 2 } else { video.height };
        Ok(Self {
            description,
            masks: options.masks.iter().filter_map(|mask| within(mask, &crop)).collect(),
            crop,
            bob: options.bob && video.fields != Fields::Progressive,
            needed: line.needed(lines as usize),
            line,
            video: video.clone(),
            have: None,
        })
    }

    /// The pictures that go in.
    pub fn video(&self) -> &VideoDescription {
        &self.video
    }

    /// The frames that come out.
    pub fn description(&self) -> PixelDescription {
        self.description
    }

    /// Whether a buffer of the device is the frame already, byte for byte, in its first bytes.
    pub fn is_identity(&self) -> bool {
        let whole = (self.crop.width, self.crop.height) == (self.video.width, self.video.height);
        whole
            && self.masks.is_empty()
            && !self.bob
            && matches!(self.video.fields, Fields::Progressive | Fields::Interlaced { .. })
            && self.line.is_identity()
    }

    /// Frames that one buffer becomes: 2 where both fields of it are bobbed.
    pub fn frames_per_buffer(&self) -> usize {
        let both = matches!(self.video.fields, Fields::Interlaced { .. } | Fields::Sequential { .. });
        if self.bob && both { 2 } else { 1 }
    }

    /// Whether each buffer holds one field, and each becomes a frame.
    pub fn fields_apart(&self) -> bool {
        self.bob && self.video.fields == Fields::Alternate
    }

    /// Forgets a field that waits for the other one: what comes next is from another stream.
    pub fn reset(&mut self) {
        self.have = None;
    }

    /// Converts the `nth` frame (from 0, below [`Self::frames_per_buffer`], the older field first) of a
    /// buffer that holds `field`. `out` has exactly the bytes of a frame; after [`Converted::Half`] it must
    /// be the same again.
    ///
    /// # Errors
    /// When a plane or `out` is too short; `out` then holds nothing of worth.
    pub fn convert(
        &mut self,
        planes: &[&[u8]],
        field: Field,
        nth: usize,
        out: &mut [u8],
    ) -> Result<Converted, ConvertError> {
        for (at, &needed) in self.needed.iter().enumerate() {
            let got = planes.get(at).map_or(0, |plane| plane.len());
            if got < needed {
                return Err(ConvertError::Truncated { got, needed });
            }
        }
        if out.len() != self.description.frame_bytes() {
            return Err(ConvertError::Length);
        }
        match (self.video.fields, self.bob) {
            (Fields::Progressive | Fields::Interlaced { .. }, false) => self.lines(planes, out, Some),
            (Fields::Sequential { top_first }, false) => {
                let height = self.video.height;
                self.lines(planes, out, |row| Some(sequential(row, top_first, height)));
            }
            (Fields::Alternate, false) => return Ok(self.weave(planes, field, out)),
            (Fields::Interlaced { top_first }, true) => {
                let parity = u32::from((nth == 0) != top_first);
                let last = self.video.height.saturating_sub(1);
                self.lines(planes, out, |row| Some(((row & !1) + parity).min(last)));
            }
            (Fields::Sequential { top_first }, true) => {
                let parity = u32::from((nth == 0) != top_first);
                let height = self.video.height;
                self.lines(planes, out, |row| Some(sequential((row & !1) + parity, top_first, height)));
            }
            (Fields::Alternate | Fields::Progressive, true) => self.lines(planes, out, |row| Some(row / 2)),
        }
        Ok(Converted::Frame)
    }

    /// Writes the lines of one field between those of the other.
    fn weave(&mut self, planes: &[&[u8]], field: Field, out: &mut [u8]) -> Converted {
        let parity = u32::from(field == Field::Bottom);
        self.lines(planes, out, |row| (row % 2 == parity).then_some(row / 2));
        match self.have {
            Some(other) if other != field => {
                self.have = None;
                Converted::Frame
            }
            Some(_) => Converted::HalfAgain,
            None => {
                self.have = Some(field);
                Converted::Half
            }
        }
    }

    /// Fills the rows of `out` for which `line_of` names a line of the buffer; both are counted from the
    /// top of the whole picture.
    fn lines(&mut self, planes: &[&[u8]], out: &mut [u8], line_of: impl Fn(u32) -> Option<u32>) {
        let bytes = self.description.frame_bytes() / usize::from(self.description.rows).max(1);
        for (row, target) in (self.crop.y..).zip(out.chunks_exact_mut(bytes.max(1))) {
            let Some(line) = line_of(row) else { continue };
            self.line.convert(planes, line as usize, self.video.fields, target);
            blacken(
                &self.masks,
                row - self.crop.y,
                bytes / usize::from(self.description.columns).max(1),
                target,
            );
        }
    }
}

/// The line of a buffer with one field after the other that is shown as `row`. Of an odd number of lines
/// the top field has one more.
fn sequential(row: u32, top_first: bool, height: u32) -> u32 {
    let is_top = row.is_multiple_of(2);
    let first_field = if top_first { height.div_ceil(2) } else { height / 2 };
    let line = if is_top == top_first { row / 2 } else { first_field + row / 2 };
    line.min(height.saturating_sub(1))
}

/// What of `mask` lies in `crop`, counted from the crop's corner.
fn within(mask: &Rectangle, crop: &Rectangle) -> Option<Rectangle> {
    let span = |at: u32, length: u32, from: u32, most: u32| {
        let start = at.max(from);
        let end = at.saturating_add(length).min(from.saturating_add(most));
        (start < end).then(|| (start - from, end - start))
    };
    let (x, width) = span(mask.x, mask.width, crop.x, crop.width)?;
    let (y, height) = span(mask.y, mask.height, crop.y, crop.height)?;
    Some(Rectangle { x, y, width, height })
}

/// Blackens what of one row is masked.
fn blacken(masks: &[Rectangle], row: u32, pixel_bytes: usize, target: &mut [u8]) {
    for mask in masks.iter().filter(|mask| (mask.y..mask.y + mask.height).contains(&row)) {
        let span: Span<usize> = mask.x as usize * pixel_bytes..(mask.x + mask.width) as usize * pixel_bytes;
        if let Some(covered) = target.get_mut(span) {
            covered.fill(0);
        }
    }
}
