//! The arithmetic of conversion, a run of pixels at a time.
//!
//! The loops are written so that the compiler can make vector code of them, once for each of a few
//! generations of processors (`multiversion`). The crate `yuv` was tried for RGB: it is up to 1.2 code
//! values off, and not by the same at the end of a line as in its middle.
#![expect(clippy::indexing_slicing, reason = "constants, below the length of the arrays that they index")]

use multiversion::multiversion;

use super::super::video::{Matrix, Range};

/// The equations from YCbCr to RGB in 1/65536.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colours {
    black: i32,
    luma: i32,
    red_cr: i32,
    green_cb: i32,
    green_cr: i32,
    blue_cb: i32,
}

impl Colours {
    pub(super) fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = match matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match range {
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0, 1.0, 1.0),
        };
        let fixed = |value: f64| (value * 65536.0).round() as i32;
        let kg = 1.0 - kr - kb;
        Self {
            black,
            luma: fixed(luma),
            red_cr: fixed(2.0 * (1.0 - kr) * chroma),
            green_cb: fixed(-2.0 * (1.0 - kb) * kb / kg * chroma),
            green_cr: fixed(-2.0 * (1.0 - kr) * kr / kg * chroma),
            blue_cb: fixed(2.0 * (1.0 - kb) * chroma),
        }
    }

    #[inline(always)]
    fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let y = (i32::from(y) - self.black) * self.luma + 32768;
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let value = |sum: i32| (sum >> 16).clamp(0, 255) as u8;
        [
            value(y + self.red_cr * cr),
            value(y + self.green_cb * cb + self.green_cr * cr),
            value(y + self.blue_cb * cb),
        ]
    }
}

/// Packed 4:2:2 with the first luma, Cb, the second luma and Cr at these places of each four bytes.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn packed_to_rgb<const Y0: usize, const CB: usize, const Y1: usize, const CR: usize>(
    source: &[u8],
    colours: &Colours,
    target: &mut [u8],
) {
    let (quads, _) = source.as_chunks::<4>();
    let (pixels, _) = target.as_chunks_mut::<6>();
    for (pixels, quad) in pixels.iter_mut().zip(quads) {
        let [r0, g0, b0] = colours.rgb(quad[Y0], quad[CB], quad[CR]);
        let [r1, g1, b1] = colours.rgb(quad[Y1], quad[CB], quad[CR]);
        *pixels = [r0, g0, b0, r1, g1, b1];
    }
}

/// Luma, and a pair of Cb and Cr for each two of it; the last one may stand alone.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn planar_to_rgb(luma: &[u8], chroma: &[u8], colours: &Colours, target: &mut [u8]) {
    let (pairs, _) = chroma.as_chunks::<2>();
    let (both, last) = luma.as_chunks::<2>();
    let (pixels, _) = target.as_chunks_mut::<6>();
    for ((pixels, luma), pair) in pixels.iter_mut().zip(both).zip(pairs) {
        let [r0, g0, b0] = colours.rgb(luma[0], pair[0], pair[1]);
        let [r1, g1, b1] = colours.rgb(luma[1], pair[0], pair[1]);
        *pixels = [r0, g0, b0, r1, g1, b1];
    }
    let at = both.len();
    let pixel = target.get_mut(at * 6..at * 6 + 3);
    if let (Some(luma), Some(pair), Some(pixel)) = (last.first(), pairs.get(at), pixel) {
        pixel.copy_from_slice(&colours.rgb(*luma, pair[0], pair[1]));
    }
}

/// 16–235 to 0–255, rounded. `v · 255 / 219` is `v + v · 12 / 73`; the latter is rounded as
/// `⌊(24 v + 73) / 146⌋`, and 57457 / 2²³ is near enough to 1 / 146 for all 220 values (a test tries them).
/// All of it fits 16 bits, of which a vector holds twice as many as of 32.
#[inline(always)]
fn expand(value: u8) -> u8 {
    let v = u16::from(value.saturating_sub(16).min(219));
    let part = ((u32::from(v * 24 + 73) * 57457) >> 16) as u16 >> 7;
    (v + part) as u8
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn grey(source: &[u8], limited: bool, target: &mut [u8]) {
    if limited {
        for (out, value) in target.iter_mut().zip(source) {
            *out = expand(*value);
        }
    } else {
        for (out, value) in target.iter_mut().zip(source) {
            *out = *value;
        }
    }
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn luma<const AT: usize>(source: &[u8], limited: bool, target: &mut [u8]) {
    let (pairs, _) = source.as_chunks::<2>();
    if limited {
        for (out, pair) in target.iter_mut().zip(pairs) {
            *out = expand(pair[AT]);
        }
    } else {
        for (out, pair) in target.iter_mut().zip(pairs) {
            *out = pair[AT];
        }
    }
}

/// Little-endian words to little-endian words; of limited range when the number of bits is given.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn deep(source: &[u8], mask: u16, limited_bits: Option<u32>, target: &mut [u8]) {
    let (words, _) = source.as_chunks::<2>();
    let (out, _) = target.as_chunks_mut::<2>();
    match limited_bits {
        None => {
            for (out, word) in out.iter_mut().zip(words) {
                *out = (u16::from_le_bytes(*word) & mask).to_le_bytes();
            }
        }
        Some(bits) => {
            let unit = 1_u64 << bits.saturating_sub(8);
            let (black, reach) = (16 * unit, 219 * unit);
            for (out, word) in out.iter_mut().zip(words) {
                let value = u64::from(u16::from_le_bytes(*word) & mask).saturating_sub(black).min(reach);
                *out = (((value * u64::from(mask) + reach / 2) / reach) as u16).to_le_bytes();
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn rgb<const N: usize, const R: usize, const G: usize, const B: usize>(
    source: &[u8],
    limited: bool,
    target: &mut [u8],
) {
    let (pixels, _) = source.as_chunks::<N>();
    let (out, _) = target.as_chunks_mut::<3>();
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = [pixel[R], pixel[G], pixel[B]];
    }
    if limited {
        for value in target.iter_mut() {
            *value = expand(*value);
        }
    }
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
pub(super) fn weighed<const N: usize, const R: usize, const G: usize, const B: usize>(
    source: &[u8],
    weights: [u32; 3],
    limited: bool,
    target: &mut [u8],
) {
    let (pixels, _) = source.as_chunks::<N>();
    for (out, pixel) in target.iter_mut().zip(pixels) {
        let [r, g, b] = weights;
        let sum = r * u32::from(pixel[R]) + g * u32::from(pixel[G]) + b * u32::from(pixel[B]);
        *out = ((sum + 32768) >> 16) as u8;
    }
    if limited {
        for value in target.iter_mut() {
            *value = expand(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_range_is_expanded_exactly() {
        for value in 0..=255_u8 {
            let exact = (f64::from(value) - 16.0) * 255.0 / 219.0;
            assert_eq!(expand(value), exact.round().clamp(0.0, 255.0) as u8, "{value}");
        }
    }
}
