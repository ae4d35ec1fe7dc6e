//! Fourccs and the format that is agreed with a driver.
//!
//! A driver may answer `VIDIOC_S_FMT` with something else than was asked. What it answers is checked for
//! sense before a buffer is believed to hold it, and the colour defaults are resolved as the kernel
//! documents them (`userspace-api/media/v4l/colorspaces-defs.rst`).

#![allow(non_upper_case_globals, reason = "constants are named as in the kernel")]

use std::iter;

use v4l::sys::*;

use super::device::{Device, refused};
use super::error::CaptureError;
use super::sys::{self, RawFormat};
use crate::frame::video::{Fields, Matrix, Range, VideoDescription, VideoFormat};

/// The longest side of a picture (pixels).
const LONGEST_SIDE: u32 = 8192;
/// The most that one plane of a buffer may have (bytes).
const MOST_BYTES: u32 = 128 << 20;

/// Every fourcc that we can read; the first of a format is the one that is asked for.
const FOURCCS: &[(&[u8; 4], VideoFormat)] = &[
    (b"GREY", VideoFormat::Grey),
    (b"Y10 ", VideoFormat::Y10),
    (b"Y12 ", VideoFormat::Y12),
    (b"Y16 ", VideoFormat::Y16),
    (b"YUYV", VideoFormat::Yuyv),
    (b"UYVY", VideoFormat::Uyvy),
    (b"NV12", VideoFormat::Nv12),
    (b"NM12", VideoFormat::Nv12),
    (b"NV16", VideoFormat::Nv16),
    (b"NM16", VideoFormat::Nv16),
    (b"RGB3", VideoFormat::Rgb24),
    (b"BGR3", VideoFormat::Bgr24),
    (b"XR24", VideoFormat::Xbgr32),
    (b"BX24", VideoFormat::Xrgb32),
    (b"MJPG", VideoFormat::Mjpeg),
    (b"JPEG", VideoFormat::Mjpeg),
];

/// The format of a fourcc.
pub(super) fn known(fourcc: u32) -> Option<VideoFormat> {
    let fourcc = fourcc.to_le_bytes();
    FOURCCS.iter().find(|(code, _)| **code == fourcc).map(|(_, format)| *format)
}

/// A fourcc as people write it, without anything unprintable.
pub(super) fn fourcc_text(fourcc: u32) -> String {
    fourcc
        .to_le_bytes()
        .map(|byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' })
        .iter()
        .collect()
}

/// The fourcc that a format is shown by.
pub fn fourcc_of(format: VideoFormat) -> &'static str {
    let code = FOURCCS.iter().find(|(_, known)| *known == format).map(|(code, _)| *code);
    code.and_then(|code| std::str::from_utf8(code).ok()).unwrap_or_default().trim_end()
}

/// A fourcc that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its four characters, the first one lowest.
    pub fourcc: u32,
    /// What it is to us.
    pub format: VideoFormat,
}

/// The format of a fourcc in text, such as `YUYV`; blanks at its end may be left out.
pub fn named(fourcc: &str) -> Option<Wanted> {
    let same =
        |code: &&[u8; 4]| std::str::from_utf8(*code).is_ok_and(|code| code.trim_end() == fourcc.trim_end());
    let found = FOURCCS.iter().find(|(code, _)| same(code));
    found.map(|(code, format)| Wanted { fourcc: u32::from_le_bytes(**code), format: *format })
}

/// What to ask for, the first one first: each that is wanted, and after it what differs from it in the
/// number of its planes alone (NV12 and NM12).
fn in_order(wanted: &[Wanted]) -> impl Iterator<Item = u32> {
    let alike = |format| FOURCCS.iter().filter(move |(_, known)| *known == format);
    wanted.iter().flat_map(move |wanted| {
        iter::once(wanted.fourcc).chain(alike(wanted.format).map(|(code, _)| u32::from_le_bytes(**code)))
    })
}

/// Agrees with the driver on the first of `wanted` that it offers, in pictures of `size` (pixels) or, by
/// default, the size that the driver has now. For a device that has DV timings that is the signal's.
///
/// # Errors
/// [`CaptureError::Unsupported`] when it offers none of them; [`CaptureError::Inconsistent`] when what it
/// answers cannot be.
pub fn agree(
    device: &Device,
    wanted: &[Wanted],
    size: Option<(u32, u32)>,
    frame_rate: Option<f64>,
) -> Result<VideoDescription, CaptureError> {
    let offered = device.formats();
    let code = in_order(wanted)
        .find(|&code| offered.iter().any(|offered| offered.fourcc == fourcc_text(code)))
        .ok_or(CaptureError::Unsupported("it offers no format that is wanted and that we can read"))?;
    let mut raw = RawFormat::default().encode(device.kind());
    sys::get_format(device, &mut raw).map_err(|errno| refused("VIDIOC_G_FMT", errno))?;
    let current = RawFormat::decode(&raw);
    let (width, height) = size.unwrap_or((current.width, current.height));
    let asked = RawFormat { width, height, fourcc: code, ..RawFormat::default() };
    let mut raw = asked.encode(device.kind());
    sys::set_format(device, &mut raw).map_err(|errno| refused("VIDIOC_S_FMT", errno))?;
    let agreed = RawFormat::decode(&raw);
    if agreed.fourcc != code {
        return Err(CaptureError::Inconsistent("it offers a format and then sets another"));
    }
    describe(&agreed, frame_rate)
}

/// What a format means, if it can be.
pub(super) fn describe(raw: &RawFormat, frame_rate: Option<f64>) -> Result<VideoDescription, CaptureError> {
    let format = known(raw.fourcc).ok_or(CaptureError::Unsupported("its format"))?;
    let fields = fields(raw)?;
    // Of fields that come one by one, V4L2 gives the height of one.
    let height = if fields == Fields::Alternate { raw.height.saturating_mul(2) } else { raw.height };
    if raw.width == 0 || height == 0 || raw.width > LONGEST_SIDE || height > LONGEST_SIDE {
        return Err(CaptureError::Inconsistent("the size of its pictures"));
    }
    if raw.planes.iter().any(|&(_, size)| size == 0 || size > MOST_BYTES) || raw.planes.is_empty() {
        return Err(CaptureError::Inconsistent("sizeimage"));
    }
    for (plane, (least_stride, lines)) in
        least(format, raw.width, raw.height, raw.planes.len()).iter().enumerate()
    {
        let Some(&(stride, size)) = raw.planes.get(plane) else {
            return Err(CaptureError::Inconsistent("the number of planes"));
        };
        if stride < *least_stride {
            return Err(CaptureError::Inconsistent("bytesperline is less than a line"));
        }
        if u64::from(stride) * u64::from(*lines) > u64::from(size) {
            return Err(CaptureError::Inconsistent("sizeimage is less than a picture"));
        }
    }
    // What is no YCbCr has all code values unless the driver says otherwise.
    let full =
        !matches!(format, VideoFormat::Yuyv | VideoFormat::Uyvy | VideoFormat::Nv12 | VideoFormat::Nv16);
    Ok(VideoDescription {
        format,
        width: raw.width,
        height,
        strides: raw.planes.iter().map(|(stride, _)| *stride).collect(),
        sizes: raw.planes.iter().map(|(_, size)| *size).collect(),
        matrix: matrix(raw),
        range: range(raw, full),
        fields,
        frame_rate,
    })
}

/// Least bytes of a line, and lines, of each plane.
pub(super) fn least(format: VideoFormat, width: u32, lines: u32, planes: usize) -> Vec<(u32, u32)> {
    let even = width.next_multiple_of(2);
    let half = lines.div_ceil(2);
    match format {
        VideoFormat::Grey => vec![(width, lines)],
        VideoFormat::Y10 | VideoFormat::Y12 | VideoFormat::Y16 => vec![(width * 2, lines)],
        VideoFormat::Yuyv | VideoFormat::Uyvy => vec![(even * 2, lines)],
        VideoFormat::Nv12 if planes > 1 => vec![(width, lines), (even, half)],
        VideoFormat::Nv12 => vec![(width, lines + half)],
        VideoFormat::Nv16 if planes > 1 => vec![(width, lines), (even, lines)],
        VideoFormat::Nv16 => vec![(width, lines * 2)],
        VideoFormat::Rgb24 | VideoFormat::Bgr24 => vec![(width * 3, lines)],
        VideoFormat::Xbgr32 | VideoFormat::Xrgb32 => vec![(width * 4, lines)],
        VideoFormat::Mjpeg => vec![(0, 0)],
    }
}

/// How the fields lie. Without a word on the order, 60 Hz standard definition (NTSC) has the bottom field
/// first and all else the top one (kernel doc `field-order.rst`).
fn fields(raw: &RawFormat) -> Result<Fields, CaptureError> {
    let top_first = raw.height != 480;
    Ok(match raw.field {
        v4l2_field_V4L2_FIELD_NONE | v4l2_field_V4L2_FIELD_ANY => Fields::Progressive,
        v4l2_field_V4L2_FIELD_INTERLACED => Fields::Interlaced { top_first },
        v4l2_field_V4L2_FIELD_INTERLACED_TB => Fields::Interlaced { top_first: true },
        v4l2_field_V4L2_FIELD_INTERLACED_BT => Fields::Interlaced { top_first: false },
        v4l2_field_V4L2_FIELD_SEQ_TB => Fields::Sequential { top_first: true },
        v4l2_field_V4L2_FIELD_SEQ_BT => Fields::Sequential { top_first: false },
        v4l2_field_V4L2_FIELD_ALTERNATE => Fields::Alternate,
        // Half the lines of a picture, and never the others: a low, but progressive picture.
        v4l2_field_V4L2_FIELD_TOP | v4l2_field_V4L2_FIELD_BOTTOM => Fields::Progressive,
        _ => return Err(CaptureError::Inconsistent("the order of its fields")),
    })
}

fn matrix(raw: &RawFormat) -> Matrix {
    match raw.encoding {
        v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_601
        | v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_XV601
        | v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_SYCC => Matrix::Bt601,
        v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT => match raw.colorspace {
            v4l2_colorspace_V4L2_COLORSPACE_REC709 | v4l2_colorspace_V4L2_COLORSPACE_DCI_P3 => Matrix::Bt709,
            // Nobody says anything: what is usual for the size.
            v4l2_colorspace_V4L2_COLORSPACE_DEFAULT if raw.height > 576 => Matrix::Bt709,
            _ => Matrix::Bt601,
        },
        _ => Matrix::Bt709,
    }
}

fn range(raw: &RawFormat, full: bool) -> Range {
    match raw.quantization {
        v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE => Range::Full,
        v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE => Range::Limited,
        _ if full || raw.colorspace == v4l2_colorspace_V4L2_COLORSPACE_JPEG => Range::Full,
        _ => Range::Limited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(fourcc: &[u8; 4], width: u32, height: u32, planes: &[(u32, u32)]) -> RawFormat {
        RawFormat {
            width,
            height,
            fourcc: u32::from_le_bytes(*fourcc),
            field: v4l2_field_V4L2_FIELD_NONE,
            planes: planes.to_vec(),
            ..RawFormat::default()
        }
    }

    #[test]
    fn stride_and_padding_are_honoured_and_too_little_of_them_is_refused() {
        let padded = describe(&raw(b"YUYV", 1918, 1080, &[(3840, 3840 * 1080)]), None).unwrap();
        assert_eq!((padded.strides, padded.sizes), (vec![3840], vec![3840 * 1080]));
        for (stride, size) in [(3834, 3836 * 1080), (3836, 3836 * 1080 - 1), (3836, 0), (3836, u32::MAX)] {
            assert!(describe(&raw(b"YUYV", 1918, 1080, &[(stride, size)]), None).is_err(), "{stride} {size}");
        }
        assert!(describe(&raw(b"YUYV", 0, 1080, &[(3836, 3836 * 1080)]), None).is_err());
        assert!(describe(&raw(b"YUYV", 9000, 16, &[(18000, 18000 * 16)]), None).is_err());
        assert!(describe(&raw(b"NM12", 640, 480, &[(640, 640 * 480), (640, 640 * 240)]), None).is_ok());
        assert!(describe(&raw(b"NV12", 640, 480, &[(640, 640 * 480)]), None).is_err());
        assert!(describe(&raw(b"GREY", 640, 480, &[]), None).is_err());
    }

    #[test]
    fn colour_defaults_are_those_of_the_kernel_documents() {
        let mut hd = raw(b"YUYV", 1920, 1080, &[(3840, 3840 * 1080)]);
        assert_eq!((matrix(&hd), range(&hd, false)), (Matrix::Bt709, Range::Limited));
        hd.colorspace = v4l2_colorspace_V4L2_COLORSPACE_SMPTE170M;
        assert_eq!(matrix(&hd), Matrix::Bt601);
        hd.encoding = v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709;
        hd.quantization = v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE;
        assert_eq!((matrix(&hd), range(&hd, false)), (Matrix::Bt709, Range::Full));
        let described =
            |fourcc, bytes: u32| describe(&raw(fourcc, 64, 64, &[(64 * bytes, 64 * 64 * bytes)]), None);
        assert_eq!(described(b"GREY", 1).unwrap().range, Range::Full);
        assert_eq!(described(b"YUYV", 2).unwrap().range, Range::Limited);
        assert_eq!(range(&raw(b"RGB3", 2, 2, &[]), true), Range::Full);
    }

    #[test]
    fn a_field_buffer_has_half_the_lines_of_the_picture() {
        let mut alternate = raw(b"YUYV", 720, 288, &[(1440, 1440 * 288)]);
        alternate.field = v4l2_field_V4L2_FIELD_ALTERNATE;
        let described = describe(&alternate, None).unwrap();
        assert_eq!((described.height, described.fields), (576, Fields::Alternate));
    }

    #[test]
    fn planes_are_as_many_as_the_profile_wants_where_the_driver_has_both() {
        let asked = |names: &[&str]| -> Vec<String> {
            let wanted: Vec<Wanted> = names.iter().filter_map(|name| named(name)).collect();
            let mut codes: Vec<String> = in_order(&wanted).map(fourcc_text).collect();
            codes.dedup();
            codes
        };
        assert_eq!(asked(&["NM12", "YUYV"]), ["NM12", "NV12", "NM12", "YUYV"]);
        assert_eq!(asked(&["NV12", "YUYV"]), ["NV12", "NM12", "YUYV"]);
    }

    #[test]
    fn formats_have_names() {
        assert_eq!(named("YUYV").unwrap().format, VideoFormat::Yuyv);
        assert_eq!(named("Y10").unwrap().fourcc, u32::from_le_bytes(*b"Y10 "));
        assert_eq!(named("H264"), None);
        assert_eq!(fourcc_text(u32::from_le_bytes(*b"Y10 ")), "Y10 ");
    }
}
