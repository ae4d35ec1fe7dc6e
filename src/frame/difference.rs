//! How much of a picture has changed since the one before.
//!
//! A cable or a converter makes noise: a sample counts as changed only when it is off by more than a
//! sixteenth of its range. What is sent is decided by the operator's threshold on the part that changed
//! (`capture.*.activity_threshold`), and never pixel by pixel.

use multiversion::multiversion;

use super::PixelDescription;

/// The part of the samples (0 to 1) that differ by more than noise between two frames of this kind; 1 where
/// they are not of one length.
pub fn changed(before: &[u8], now: &[u8], pixels: &PixelDescription) -> f64 {
    if before.len() != now.len() || now.is_empty() {
        return 1.0;
    }
    if pixels.bits_allocated > 8 {
        let noise = 1_u16.checked_shl(u32::from(pixels.bits_stored.saturating_sub(4))).unwrap_or(u16::MAX);
        words(before, now, noise) as f64 / (now.len() / 2).max(1) as f64
    } else {
        bytes(before, now) as f64 / now.len() as f64
    }
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
fn bytes(before: &[u8], now: &[u8]) -> u64 {
    const NOISE: u8 = 16;
    // Sums of a byte each, so that the compiler can keep one in every lane; 255 of them fit.
    before
        .chunks(255)
        .zip(now.chunks(255))
        .map(|(before, now)| {
            let differs = |(a, b): (&u8, &u8)| u8::from(a.abs_diff(*b) > NOISE);
            u64::from(before.iter().zip(now).map(differs).fold(0_u8, u8::wrapping_add))
        })
        .sum()
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1", "aarch64+neon"))]
fn words(before: &[u8], now: &[u8], noise: u16) -> u64 {
    let ((before, _), (now, _)) = (before.as_chunks::<2>(), now.as_chunks::<2>());
    let differs = |(a, b): (&[u8; 2], &[u8; 2])| {
        u64::from(u16::from_le_bytes(*a).abs_diff(u16::from_le_bytes(*b)) > noise)
    };
    before.iter().zip(now).map(differs).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Photometric;
    use super::*;

    fn pixels(bits_stored: u16) -> PixelDescription {
        PixelDescription {
            rows: 1,
            columns: 1,
            samples: 1,
            bits_allocated: if bits_stored > 8 { 16 } else { 8 },
            bits_stored,
            photometric: Photometric::Monochrome2,
        }
    }

    #[test]
    fn noise_is_no_change() {
        let before = [100_u8; 1000];
        let noisy: Vec<u8> = (0..1000).map(|at| 100 - 16 + (at % 33) as u8).collect();
        assert_eq!(changed(&before, &noisy, &pixels(8)), 0.0);
        let mut moved = before;
        moved[..10].fill(200);
        assert_eq!(changed(&before, &moved, &pixels(8)), 0.01);
        // 64 of 1023 is the sixteenth of ten bits.
        let word = |value: u16| value.to_le_bytes().repeat(100);
        assert_eq!(changed(&word(500), &word(564), &pixels(10)), 0.0);
        assert_eq!(changed(&word(500), &word(565), &pixels(10)), 1.0);
        assert_eq!(changed(&word(0), &word(u16::MAX), &pixels(16)), 1.0);
    }

    #[test]
    fn pictures_of_two_sizes_have_nothing_in_common() {
        assert_eq!(changed(&[0; 4], &[0; 6], &pixels(8)), 1.0);
        assert_eq!(changed(&[], &[], &pixels(8)), 1.0);
    }

    proptest! {
        #[test]
        fn every_sample_counts_once(pairs in prop::collection::vec(any::<(u8, u8)>(), 1..2000)) {
            let (before, now): (Vec<u8>, Vec<u8>) = pairs.iter().copied().unzip();
            let wanted = pairs.iter().filter(|(a, b)| a.abs_diff(*b) > 16).count();
            prop_assert_eq!(changed(&before, &now, &pixels(8)), wanted as f64 / pairs.len() as f64);
        }
    }
}
