//! (h) Conversion of captured pictures, against copying the same source bytes.
//!
//! What is counted on both sides is the bytes of the source, so that a ratio of 1 is a conversion that
//! takes as long as `memcpy` takes to move the picture as it came. A conversion may write less than it
//! reads (grey of YUYV: half) or more (RGB of YUYV: one and a half); a copy writes what it reads. Copies
//! and conversions take turns, pass by pass over one set of pictures that does not fit the caches, into
//! buffers that are touched before.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use framegate::frame::convert::{Converter, Options};
use framegate::frame::video::{Field, Fields, Matrix, Range, VideoDescription, VideoFormat};

use crate::Plan;
use crate::report::{Report, Target, median};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
/// The set of source pictures is larger than the last cache, up to this (bytes): machines of the cloud
/// show the cache of a whole host, of which they get a part.
const MOST: usize = 384 << 20;
/// And at least this.
const LEAST: usize = 64 << 20;

/// A format of a device and what becomes of it.
struct Case {
    name: &'static str,
    format: VideoFormat,
    color: bool,
    range: Range,
    /// Bytes of a line of the first plane.
    stride: u32,
    /// Lines of such length in a picture.
    lines: u32,
    target: Option<f64>,
}

const fn case(name: &'static str, format: VideoFormat, color: bool, range: Range, bytes: u32) -> Case {
    Case { name, format, color, range, stride: WIDTH * bytes, lines: HEIGHT, target: None }
}

const CASES: &[Case] = &[
    Case { target: Some(0.5), ..case("yuyv-to-grey", VideoFormat::Yuyv, false, Range::Limited, 2) },
    Case { target: Some(0.25), ..case("yuyv-to-rgb", VideoFormat::Yuyv, true, Range::Limited, 2) },
    case("yuyv-full-range-to-grey", VideoFormat::Yuyv, false, Range::Full, 2),
    case("uyvy-to-grey", VideoFormat::Uyvy, false, Range::Limited, 2),
    case("uyvy-to-rgb", VideoFormat::Uyvy, true, Range::Limited, 2),
    Case { lines: HEIGHT * 3 / 2, ..case("nv12-to-rgb", VideoFormat::Nv12, true, Range::Limited, 1) },
    case("bgr24-to-rgb", VideoFormat::Bgr24, true, Range::Full, 3),
    case("xr24-to-grey", VideoFormat::Xbgr32, false, Range::Full, 4),
    // Bits above the ten are cleared: it is a pass all the same.
    case("y10-to-y10", VideoFormat::Y10, false, Range::Full, 2),
];

pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let set = if plan.quick { LEAST } else { (last_cache() * 5 / 4).clamp(LEAST, MOST) };
    report.heading(&format!(
        "(h) conversion of 1920x1080, one core, against memcpy of the same source bytes; {} MB of sources",
        set >> 20
    ));
    for case in CASES {
        let measured = measure(case, set, if plan.quick { 3 } else { 9 })?;
        let id = format!("h.convert.{}", case.name);
        match case.target {
            Some(least) => {
                report.judge(format!("{id}.of-memcpy"), "times", measured.ratio, Target::AtLeast(least))
            }
            None => report.add(format!("{id}.of-memcpy"), "times", measured.ratio),
        }
        report.add(format!("{id}.source"), "GB/s", measured.bytes as f64 / 1e6 / measured.convert_ms);
        report.add(format!("{id}.frame"), "ms", measured.convert_ms);
        report.add(format!("{id}.memcpy"), "ms", measured.copy_ms);
    }
    Ok(())
}

/// What copying so many bytes once takes (ms), through more memory than a core's own caches hold.
pub(crate) fn copy_ms(bytes: usize) -> f64 {
    let count = LEAST.div_ceil(bytes);
    let source = vec![vec![1_u8; bytes]; count];
    let mut target = vec![vec![0_u8; bytes]; count];
    let mut took = Vec::new();
    for _ in 0..3 {
        for (from, to) in source.iter().zip(&mut target) {
            let begun = Instant::now();
            to.copy_from_slice(from);
            black_box(to);
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    median(&took)
}

struct Measured {
    /// Speed of converting over speed of copying, both in source bytes.
    ratio: f64,
    /// Of one source picture.
    bytes: usize,
    convert_ms: f64,
    copy_ms: f64,
}

fn measure(case: &Case, set: usize, rounds: usize) -> anyhow::Result<Measured> {
    let bytes = (case.stride * case.lines) as usize;
    let video = VideoDescription {
        format: case.format,
        width: WIDTH,
        height: HEIGHT,
        strides: vec![case.stride],
        sizes: vec![case.stride * case.lines],
        matrix: Matrix::Bt709,
        range: case.range,
        fields: Fields::Progressive,
        frame_rate: None,
    };
    let mut converter = Converter::new(&video, &Options { color: case.color, ..Options::default() })?;
    let out = converter.description().frame_bytes();
    let count = set.div_ceil(bytes);
    let sources: Vec<Vec<u8>> = (0..count).map(|seed| noise(bytes, seed as u32)).collect();
    let mut copies = vec![vec![1_u8; bytes]; count];
    let mut frames = vec![vec![1_u8; out]; count];
    let (mut ratios, mut converting, mut copying) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        for (source, copy) in sources.iter().zip(&mut copies) {
            copy.copy_from_slice(source);
            black_box(copy);
        }
        let copied = begun.elapsed();
        let begun = Instant::now();
        for (source, frame) in sources.iter().zip(&mut frames) {
            converter.convert(&[source], Field::Both, 0, frame)?;
            black_box(frame);
        }
        let converted = begun.elapsed();
        let each = |took: Duration| took.as_secs_f64() * 1e3 / count as f64;
        ratios.push(copied.as_secs_f64() / converted.as_secs_f64());
        converting.push(each(converted));
        copying.push(each(copied));
    }
    Ok(Measured { ratio: median(&ratios), bytes, convert_ms: median(&converting), copy_ms: median(&copying) })
}

/// Bytes without a pattern that a branch or a cache could profit from.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(2))
        .flat_map(|_| {
            let [a, b, ..] = next();
            [a, b]
        })
        .collect();
    bytes.truncate(length);
    bytes
}

/// Size of the largest cache that the kernel tells of (bytes); 0 where it tells of none.
fn last_cache() -> usize {
    let size = |index| {
        let text =
            fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()?;
        text.trim().strip_suffix('K')?.parse::<usize>().ok()
    };
    (0..8).filter_map(size).max().unwrap_or_default() << 10
}
