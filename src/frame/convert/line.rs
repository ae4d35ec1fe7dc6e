//! One line of a picture, from the format of the device to DICOM pixels.
//!
//! Which bytes of which plane belong to a line, and which of the [kernels](super::kernels) makes pixels of
//! them.

use std::ops::Range as Span;

use super::super::video::{Fields, Matrix, Range, VideoDescription, VideoFormat};
use super::kernels::{Colours, deep, grey, luma, packed_to_rgb, planar_to_rgb, rgb, weighed};

/// Converts single lines.
#[derive(Debug)]
pub(super) struct Line {
    format: VideoFormat,
    width: usize,
    /// Lines of a whole buffer, which is where the chroma of a single plane begins.
    lines: usize,
    strides: Vec<usize>,
    matrix: Matrix,
    range: Range,
    rgb: bool,
    colours: Colours,
    columns: Span<usize>,
    /// A line of RGB that is wider than what is kept.
    wide: Vec<u8>,
}

impl Line {
    /// `None` when the strides do not fit the width.
    pub(super) fn new(
        video: &VideoDescription,
        matrix: Matrix,
        range: Range,
        rgb: bool,
        columns: Span<usize>,
    ) -> Option<Self> {
        let width = video.width as usize;
        let strides: Vec<usize> = video.strides.iter().map(|&stride| stride as usize).collect();
        let line = Self {
            format: video.format,
            width,
            lines: (if video.fields == Fields::Alternate { video.height / 2 } else { video.height }) as usize,
            strides,
            matrix,
            range,
            rgb,
            colours: Colours::new(matrix, range),
            columns,
            wide: Vec::new(),
        };
        let first = *line.strides.first()?;
        let chroma_fits = line.strides.get(1).is_none_or(|&stride| stride >= width.next_multiple_of(2));
        (first >= line.line_bytes() && chroma_fits && line.lines > 0).then_some(line)
    }

    /// Whether lines follow each other without padding and are pixels already. (Of 10 and 12 bits the upper
    /// bits of a word are not known to be zero.)
    pub(super) fn is_identity(&self) -> bool {
        let same = match self.format {
            VideoFormat::Grey | VideoFormat::Y16 => true,
            VideoFormat::Rgb24 => self.rgb,
            _ => false,
        };
        same && self.range == Range::Full && self.strides.first() == Some(&self.line_bytes())
    }

    /// Bytes of a line of the first plane.
    fn line_bytes(&self) -> usize {
        match self.format {
            VideoFormat::Grey | VideoFormat::Nv12 | VideoFormat::Nv16 | VideoFormat::Mjpeg => self.width,
            VideoFormat::Y10 | VideoFormat::Y12 | VideoFormat::Y16 => self.width * 2,
            VideoFormat::Yuyv | VideoFormat::Uyvy => self.width.next_multiple_of(2) * 2,
            VideoFormat::Rgb24 | VideoFormat::Bgr24 => self.width * 3,
            VideoFormat::Xbgr32 | VideoFormat::Xrgb32 => self.width * 4,
        }
    }

    fn chroma_lines(&self) -> usize {
        match self.format {
            VideoFormat::Nv12 => self.lines.div_ceil(2),
            VideoFormat::Nv16 => self.lines,
            _ => 0,
        }
    }

    /// Bytes that each plane must hold for `lines` lines; of the last line its padding may be missing.
    pub(super) fn needed(&self, lines: usize) -> Vec<usize> {
        let stride = self.strides.first().copied().unwrap_or_default();
        let last = |stride: usize, lines: usize, bytes: usize| stride * lines.saturating_sub(1) + bytes;
        let chroma = self.chroma_lines();
        let even = self.width.next_multiple_of(2);
        match (chroma, self.strides.get(1)) {
            (0, _) => vec![last(stride, lines, self.line_bytes())],
            // Grey looks at no chroma, but a picture without it is cut off all the same.
            (_, Some(&other)) => vec![last(stride, lines, self.width), last(other, chroma, even)],
            (_, None) => vec![stride * lines + last(stride, chroma, even.min(stride))],
        }
    }

    /// Converts line `line` of a buffer into `target`, which has the bytes of a row. Lines that are not there
    /// leave it as it is; [`Self::needed`] has been asked before.
    pub(super) fn convert(&mut self, planes: &[&[u8]], line: usize, fields: Fields, target: &mut [u8]) {
        let stride = self.strides.first().copied().unwrap_or_default();
        let bytes = self.line_bytes();
        let Some(source) = planes.first().and_then(|plane| plane.get(line * stride..line * stride + bytes))
        else {
            return;
        };
        let columns = self.columns.clone();
        let cut = |size: usize| source.get(columns.start * size..columns.end * size).unwrap_or_default();
        let limited = self.range == Range::Limited;
        match self.format {
            VideoFormat::Grey | VideoFormat::Nv12 | VideoFormat::Nv16 if !self.rgb => {
                grey(cut(1), limited, target);
            }
            VideoFormat::Yuyv if !self.rgb => luma::<0>(cut(2), limited, target),
            VideoFormat::Uyvy if !self.rgb => luma::<1>(cut(2), limited, target),
            VideoFormat::Y10 => deep(cut(2), 0x03ff, limited.then_some(10), target),
            VideoFormat::Y12 => deep(cut(2), 0x0fff, limited.then_some(12), target),
            VideoFormat::Y16 => deep(cut(2), 0xffff, limited.then_some(16), target),
            VideoFormat::Rgb24 => self.packed::<3>(cut(3), [0, 1, 2], target),
            VideoFormat::Bgr24 => self.packed::<3>(cut(3), [2, 1, 0], target),
            VideoFormat::Xbgr32 => self.packed::<4>(cut(4), [2, 1, 0], target),
            VideoFormat::Xrgb32 => self.packed::<4>(cut(4), [1, 2, 3], target),
            _ => self.color(planes, source, line, fields, target),
        }
    }

    /// Pixels of `N` bytes with R, G and B at `order`.
    fn packed<const N: usize>(&self, source: &[u8], order: [usize; 3], target: &mut [u8]) {
        let limited = self.range == Range::Limited;
        if self.rgb {
            match order {
                [0, 1, 2] => rgb::<N, 0, 1, 2>(source, limited, target),
                [1, 2, 3] => rgb::<N, 1, 2, 3>(source, limited, target),
                _ => rgb::<N, 2, 1, 0>(source, limited, target),
            }
        } else {
            let weights = match self.matrix {
                // Kr, Kg, Kb in 1/65536; their sum is 65536, so that equal values stay what they are.
                Matrix::Bt601 => [19595, 38470, 7471],
                Matrix::Bt709 => [13933, 46871, 4732],
            };
            match order {
                [0, 1, 2] => weighed::<N, 0, 1, 2>(source, weights, limited, target),
                [1, 2, 3] => weighed::<N, 1, 2, 3>(source, weights, limited, target),
                _ => weighed::<N, 2, 1, 0>(source, weights, limited, target),
            }
        }
    }

    /// YCbCr of any subsampling to RGB.
    fn color(&mut self, planes: &[&[u8]], source: &[u8], line: usize, fields: Fields, target: &mut [u8]) {
        // A pair of columns shares its chroma: convert whole pairs, and keep what is wanted of them.
        let from = self.columns.start & !1;
        let to = self.columns.end.next_multiple_of(2).min(self.width.next_multiple_of(2));
        let whole = from == self.columns.start && to == self.columns.end;
        let mut wide = std::mem::take(&mut self.wide);
        {
            let out = if whole {
                &mut *target
            } else {
                wide.resize((to - from) * 3, 0);
                wide.as_mut_slice()
            };
            self.pairs(planes, source, line, fields, from..to, out);
        }
        if !whole {
            let skip = (self.columns.start - from) * 3;
            if let Some(kept) = wide.get(skip..skip + target.len()) {
                target.copy_from_slice(kept);
            }
        }
        self.wide = wide;
    }

    fn pairs(
        &self,
        planes: &[&[u8]],
        source: &[u8],
        line: usize,
        fields: Fields,
        columns: Span<usize>,
        out: &mut [u8],
    ) {
        let colours = &self.colours;
        match self.format {
            VideoFormat::Yuyv | VideoFormat::Uyvy => {
                let packed = source.get(columns.start * 2..columns.end * 2).unwrap_or_default();
                if self.format == VideoFormat::Yuyv {
                    packed_to_rgb::<0, 1, 2, 3>(packed, colours, out);
                } else {
                    packed_to_rgb::<1, 0, 3, 2>(packed, colours, out);
                }
            }
            _ => {
                let chroma = self.chroma(planes, line, fields, &columns);
                let luma = source.get(columns.start..columns.end.min(source.len())).unwrap_or_default();
                planar_to_rgb(luma, chroma, colours, out);
            }
        }
    }

    /// The Cb Cr pairs of these columns for this line.
    fn chroma<'a>(
        &self,
        planes: &[&'a [u8]],
        line: usize,
        fields: Fields,
        columns: &Span<usize>,
    ) -> &'a [u8] {
        let row = match (self.format, fields) {
            (VideoFormat::Nv12, Fields::Interlaced { .. }) => line / 4 * 2 + line % 2,
            (VideoFormat::Nv12, _) => line / 2,
            _ => line,
        };
        let row = row.min(self.chroma_lines().saturating_sub(1));
        let (plane, start) = match self.strides.get(1) {
            Some(stride) => (planes.get(1), row * stride),
            None => {
                let stride = self.strides.first().copied().unwrap_or_default();
                (planes.first(), (self.lines + row) * stride)
            }
        };
        plane.and_then(|plane| plane.get(start + columns.start..start + columns.end)).unwrap_or_default()
    }
}
