//! Every format against a reference in floating point.

use proptest::prelude::*;

use super::*;

const WIDTH: usize = 38;
const HEIGHT: usize = 12;

fn video(format: VideoFormat, strides: &[usize], fields: Fields) -> VideoDescription {
    VideoDescription {
        format,
        width: WIDTH as u32,
        height: HEIGHT as u32,
        strides: strides.iter().map(|&stride| stride as u32).collect(),
        sizes: strides.iter().map(|&stride| (stride * HEIGHT * 2) as u32).collect(),
        matrix: Matrix::Bt709,
        range: Range::Limited,
        fields,
        frame_rate: None,
    }
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn convert(video: &VideoDescription, options: &Options, planes: &[&[u8]]) -> Vec<u8> {
    let mut converter = Converter::new(video, options).unwrap();
    let mut out = vec![0xAA; converter.description().frame_bytes()];
    assert_eq!(converter.convert(planes, Field::Both, 0, &mut out).unwrap(), Converted::Frame);
    out
}

/// The exact colour of (Y, Cb, Cr), not yet rounded.
fn reference(ycc: [u8; 3], matrix: Matrix, range: Range) -> [f64; 3] {
    let (kr, kb) = if matrix == Matrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
    let (black, luma, chroma) =
        if range == Range::Limited { (16.0, 219.0, 224.0) } else { (0.0, 255.0, 255.0) };
    let y = (f64::from(ycc[0]) - black) / luma;
    let (cb, cr) = ((f64::from(ycc[1]) - 128.0) / chroma, (f64::from(ycc[2]) - 128.0) / chroma);
    let r = y + 2.0 * (1.0 - kr) * cr;
    let b = y + 2.0 * (1.0 - kb) * cb;
    let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
    [r, g, b].map(|value| (value * 255.0).clamp(0.0, 255.0))
}

/// Planes of one format, and the (Y, Cb, Cr) of each pixel in them.
fn made(format: VideoFormat, ycc: impl Fn(usize, usize) -> [u8; 3]) -> (Vec<usize>, Vec<u8>) {
    let mut bytes = Vec::new();
    let pad = |bytes: &mut Vec<u8>, stride: usize| bytes.resize(bytes.len().next_multiple_of(stride), 0xEE);
    let stride = match format {
        VideoFormat::Yuyv | VideoFormat::Uyvy => WIDTH * 2 + 12,
        _ => WIDTH + 10,
    };
    match format {
        VideoFormat::Yuyv | VideoFormat::Uyvy => {
            for y in 0..HEIGHT {
                for x in (0..WIDTH).step_by(2) {
                    let ([y0, cb, cr], [y1, ..]) = (ycc(x, y), ycc(x + 1, y));
                    let quad = if format == VideoFormat::Yuyv { [y0, cb, y1, cr] } else { [cb, y0, cr, y1] };
                    bytes.extend(quad);
                }
                pad(&mut bytes, stride);
            }
        }
        _ => {
            for y in 0..HEIGHT {
                bytes.extend((0..WIDTH).map(|x| ycc(x, y)[0]));
                pad(&mut bytes, stride);
            }
            let step = if format == VideoFormat::Nv12 { 2 } else { 1 };
            for y in (0..HEIGHT).step_by(step) {
                for x in (0..WIDTH).step_by(2) {
                    bytes.extend(&ycc(x, y)[1..]);
                }
                pad(&mut bytes, stride);
            }
        }
    }
    (vec![stride], bytes)
}

const SUBSAMPLED: [VideoFormat; 4] =
    [VideoFormat::Yuyv, VideoFormat::Uyvy, VideoFormat::Nv12, VideoFormat::Nv16];

/// A colour for each block of 2×2 pixels, so that every subsampling holds it whole.
fn patch(x: usize, y: usize, noise: &[u8]) -> [u8; 3] {
    let at = (y / 2 * WIDTH + x / 2) * 3;
    [noise[at], noise[at + 1], noise[at + 2]]
}

#[test]
fn colour_is_within_one_code_value_and_grey_stays_grey() {
    let colours = noise(WIDTH * HEIGHT * 3, 7);
    for format in SUBSAMPLED {
        for matrix in [Matrix::Bt601, Matrix::Bt709] {
            for range in [Range::Limited, Range::Full] {
                let options =
                    Options { color: true, matrix: Some(matrix), range: Some(range), ..Options::default() };
                let (strides, bytes) = made(format, |x, y| patch(x, y, &colours));
                let out = convert(&video(format, &strides, Fields::Progressive), &options, &[&bytes]);
                for (at, pixel) in out.chunks_exact(3).enumerate() {
                    let (x, y) = (at % WIDTH, at / WIDTH);
                    let exact = reference(patch(x, y, &colours), matrix, range);
                    for (got, exact) in pixel.iter().zip(exact) {
                        let off = (f64::from(*got) - exact).abs();
                        assert!(off <= 1.0, "{format:?} {matrix:?} {range:?} {x},{y}: {got} is not {exact}");
                    }
                }
                let (strides, bytes) = made(format, |x, y| [(x * 6 + y) as u8, 128, 128]);
                let out = convert(&video(format, &strides, Fields::Progressive), &options, &[&bytes]);
                for (at, pixel) in out.chunks_exact(3).enumerate() {
                    let exact = reference([((at % WIDTH) * 6 + at / WIDTH) as u8, 128, 128], matrix, range);
                    assert_eq!(pixel, [exact[0].round() as u8; 3], "{format:?} {range:?}");
                }
            }
        }
    }
}

#[test]
fn grey_is_the_luma_exactly() {
    let values = noise(WIDTH * HEIGHT * 3, 9);
    for format in SUBSAMPLED {
        let (strides, bytes) = made(format, |x, y| patch(x, y, &values));
        for range in [Range::Limited, Range::Full] {
            let options = Options { range: Some(range), ..Options::default() };
            let out = convert(&video(format, &strides, Fields::Progressive), &options, &[&bytes]);
            for (at, got) in out.iter().enumerate() {
                let luma = patch(at % WIDTH, at / WIDTH, &values)[0];
                let exact = match range {
                    Range::Full => luma,
                    Range::Limited => {
                        ((f64::from(luma) - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0).round() as u8
                    }
                };
                assert_eq!(*got, exact, "{format:?} {range:?}");
            }
        }
    }
}

#[test]
fn every_order_of_rgb_is_put_right_and_its_greys_are_exact() {
    let orders: [(VideoFormat, usize, [usize; 3]); 4] = [
        (VideoFormat::Rgb24, 3, [0, 1, 2]),
        (VideoFormat::Bgr24, 3, [2, 1, 0]),
        (VideoFormat::Xbgr32, 4, [2, 1, 0]),
        (VideoFormat::Xrgb32, 4, [1, 2, 3]),
    ];
    for (format, size, order) in orders {
        let stride = WIDTH * size + 6;
        let bytes = noise(stride * HEIGHT, 3);
        let description =
            VideoDescription { range: Range::Full, ..video(format, &[stride], Fields::Progressive) };
        let out = convert(&description, &Options { color: true, ..Options::default() }, &[&bytes]);
        for (at, pixel) in out.chunks_exact(3).enumerate() {
            let start = at / WIDTH * stride + at % WIDTH * size;
            assert_eq!(pixel, order.map(|part| bytes[start + part]), "{format:?}");
        }
        let flat: Vec<u8> = (0..HEIGHT).flat_map(|y| vec![y as u8 * 21; stride]).collect();
        let out = convert(&description, &Options::default(), &[&flat]);
        assert!(out.iter().enumerate().all(|(at, value)| *value == (at / WIDTH) as u8 * 21), "{format:?}");
    }
}

#[test]
fn deep_grey_keeps_its_bits_and_no_more() {
    for (format, bits) in [(VideoFormat::Y10, 10), (VideoFormat::Y12, 12), (VideoFormat::Y16, 16)] {
        let stride = WIDTH * 2 + 4;
        let bytes = noise(stride * HEIGHT, 5);
        let description = video(format, &[stride], Fields::Progressive);
        let converter = Converter::new(&description, &Options::default()).unwrap();
        assert_eq!(converter.description().bits_stored, bits);
        assert_eq!(converter.description().bits_allocated, 16);
        let out = convert(&description, &Options { color: true, ..Options::default() }, &[&bytes]);
        let mask = (0xffff_u32 >> (16 - bits)) as u16;
        for (at, word) in out.chunks_exact(2).enumerate() {
            let start = at / WIDTH * stride + at % WIDTH * 2;
            let raw = u16::from_le_bytes([bytes[start], bytes[start + 1]]);
            assert_eq!(u16::from_le_bytes([word[0], word[1]]), raw & mask, "{format:?}");
        }
        let limited = Options { range: Some(Range::Limited), ..Options::default() };
        let white: Vec<u8> = (235_u16 << (bits - 8)).to_le_bytes().repeat(stride * HEIGHT / 2);
        assert!(
            convert(&description, &limited, &[&white]).chunks_exact(2).all(|word| word == mask.to_le_bytes())
        );
        let black: Vec<u8> = (16_u16 << (bits - 8)).to_le_bytes().repeat(stride * HEIGHT / 2);
        assert!(convert(&description, &limited, &[&black]).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_crop_and_masks_fall_where_they_should_also_between_pairs() {
    let colours = noise(WIDTH * HEIGHT * 3, 11);
    for format in SUBSAMPLED {
        for color in [false, true] {
            let (strides, bytes) = made(format, |x, y| patch(x, y, &colours));
            let description = video(format, &strides, Fields::Progressive);
            let whole = convert(&description, &Options { color, ..Options::default() }, &[&bytes]);
            let crop = Rectangle { x: 5, y: 3, width: 20, height: 7 };
            let mask = Rectangle { x: 0, y: 4, width: 8, height: 2 };
            let options = Options { color, crop: Some(crop), masks: vec![mask], ..Options::default() };
            let out = convert(&description, &options, &[&bytes]);
            let samples = if color { 3 } else { 1 };
            for y in 0..7 {
                for x in 0..20 {
                    let masked = (4..6).contains(&(y + 3)) && x + 5 < 8;
                    for sample in 0..samples {
                        let got = out[(y * 20 + x) * samples + sample];
                        let before = whole[((y + 3) * WIDTH + x + 5) * samples + sample];
                        assert_eq!(got, if masked { 0 } else { before }, "{format:?} {color} {x},{y}");
                    }
                }
            }
        }
    }
}

#[test]
fn fields_are_woven_and_bobbed_in_the_right_order() {
    let shown: Vec<u8> = (0..HEIGHT).flat_map(|y| vec![y as u8 + 1; WIDTH]).collect();
    let line = |out: &[u8]| -> Vec<u8> { out.chunks_exact(WIDTH).map(|row| row[0]).collect() };
    let field = |parity: usize| -> Vec<u8> {
        (0..HEIGHT).filter(|y| y % 2 == parity).flat_map(|y| vec![y as u8 + 1; WIDTH]).collect()
    };
    let full = |fields| VideoDescription { range: Range::Full, ..video(VideoFormat::Grey, &[WIDTH], fields) };
    let (top, bottom) = (field(0), field(1));
    let doubled =
        |parity: usize| -> Vec<u8> { (0..HEIGHT).map(|y| (y / 2 * 2 + parity) as u8 + 1).collect() };

    for top_first in [true, false] {
        let buffer = if top_first { [&*top, &*bottom].concat() } else { [&*bottom, &*top].concat() };
        let sequential = full(Fields::Sequential { top_first });
        assert_eq!(convert(&sequential, &Options::default(), &[&buffer]), shown);
        for (fields, buffer) in [(sequential, &buffer), (full(Fields::Interlaced { top_first }), &shown)] {
            let mut bob = Converter::new(&fields, &Options { bob: true, ..Options::default() }).unwrap();
            assert_eq!(bob.frames_per_buffer(), 2);
            for nth in 0..2 {
                let mut out = vec![0; WIDTH * HEIGHT];
                bob.convert(&[buffer], Field::Both, nth, &mut out).unwrap();
                assert_eq!(line(&out), doubled(usize::from((nth == 0) != top_first)), "{fields:?} {nth}");
            }
        }
    }

    let mut weave = Converter::new(&full(Fields::Alternate), &Options::default()).unwrap();
    let mut out = vec![0; WIDTH * HEIGHT];
    assert_eq!(weave.convert(&[&top], Field::Top, 0, &mut out), Ok(Converted::Half));
    assert_eq!(weave.convert(&[&top], Field::Top, 0, &mut out), Ok(Converted::HalfAgain));
    assert_eq!(weave.convert(&[&bottom], Field::Bottom, 0, &mut out), Ok(Converted::Frame));
    assert_eq!(out, shown);
    let mut bob =
        Converter::new(&full(Fields::Alternate), &Options { bob: true, ..Options::default() }).unwrap();
    assert_eq!(bob.convert(&[&bottom], Field::Bottom, 0, &mut out), Ok(Converted::Frame));
    assert_eq!(line(&out), doubled(1));
}

#[test]
fn what_is_cut_off_or_lies_outside_is_an_error() {
    let (strides, bytes) = made(VideoFormat::Nv12, |_, _| [1, 2, 3]);
    let description = video(VideoFormat::Nv12, &strides, Fields::Progressive);
    let mut converter = Converter::new(&description, &Options { color: true, ..Options::default() }).unwrap();
    let mut out = vec![0; converter.description().frame_bytes()];
    let short = &bytes[..bytes.len() - 20];
    let error = converter.convert(&[short], Field::Both, 0, &mut out).unwrap_err();
    assert!(matches!(error, ConvertError::Truncated { .. }), "{error}");
    assert_eq!(converter.convert(&[&bytes], Field::Both, 0, &mut out[1..]), Err(ConvertError::Length));
    let crop = Some(Rectangle { x: 30, y: 0, width: 9, height: 4 });
    let outside = Converter::new(&description, &Options { crop, ..Options::default() }).unwrap_err();
    assert!(matches!(outside, ConvertError::Crop { .. }));
    let mjpeg = video(VideoFormat::Mjpeg, &[], Fields::Progressive);
    assert_eq!(Converter::new(&mjpeg, &Options::default()).unwrap_err(), ConvertError::Compressed);
}

fn any_format() -> impl Strategy<Value = VideoFormat> {
    prop::sample::select(vec![
        VideoFormat::Grey,
        VideoFormat::Y10,
        VideoFormat::Yuyv,
        VideoFormat::Uyvy,
        VideoFormat::Nv12,
        VideoFormat::Nv16,
        VideoFormat::Rgb24,
        VideoFormat::Xrgb32,
    ])
}

proptest! {
    /// Whatever a driver says and delivers, there is a frame or an error.
    #[test]
    fn nothing_that_a_driver_delivers_is_a_panic(
        format in any_format(),
        (width, height) in (0_u32..40, 0_u32..20),
        strides in prop::collection::vec(0_u32..200, 0..3),
        lengths in prop::collection::vec(0_usize..4000, 0..3),
        fields in prop::sample::select(vec![
            Fields::Progressive,
            Fields::Interlaced { top_first: true },
            Fields::Sequential { top_first: false },
            Fields::Alternate,
        ]),
        (color, bob, nth) in (any::<bool>(), any::<bool>(), 0_usize..2),
        (x, y, w, h) in (0_u32..20, 0_u32..20, 0_u32..20, 0_u32..20),
        cropped in any::<bool>(),
    ) {
        let video = VideoDescription {
            format, width, height, strides, sizes: Vec::new(),
            matrix: Matrix::Bt601, range: Range::Limited, fields, frame_rate: None,
        };
        let part = Rectangle { x, y, width: w, height: h };
        let options = Options { color, bob, crop: cropped.then_some(part), masks: vec![part], ..Options::default() };
        if let Ok(mut converter) = Converter::new(&video, &options) {
            let mut out = vec![0; converter.description().frame_bytes()];
            let planes: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![77; length]).collect();
            let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            let _ = converter.convert(&planes, Field::Top, nth, &mut out);
        }
    }
}
