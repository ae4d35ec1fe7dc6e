//! Round trips: what is compressed here comes out of our own decoders as it was.

use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::super::samples::{Shape, encapsulated, grey};
use super::super::transcode::to_explicit_little_endian;
use super::*;

const LIMIT: usize = 1 << 26;

fn shape(pixels: &PixelDescription, photometric: &'static str) -> Shape {
    let PixelDescription { rows, columns, bits_allocated, bits_stored, .. } = *pixels;
    let shape = grey(rows, columns, bits_allocated, bits_stored);
    Shape { photometric, samples: pixels.samples, ..shape }
}

fn description(rows: u16, columns: u16, bits: u16, rgb: bool) -> PixelDescription {
    PixelDescription {
        rows,
        columns,
        samples: if rgb { 3 } else { 1 },
        bits_allocated: if bits > 8 { 16 } else { 8 },
        bits_stored: bits,
        photometric: if rgb { Photometric::Rgb } else { Photometric::Monochrome2 },
    }
}

/// What our own decoder makes of a compressed frame, without the padding.
fn decoded(encoding: Encoding, pixels: &PixelDescription, compressed: &Compressed) -> Vec<u8> {
    let object = encapsulated(
        shape(pixels, compressed.photometric),
        encoding.transfer_syntax(),
        &[&compressed.codestream],
    );
    let object = to_explicit_little_endian(object, LIMIT).unwrap();
    let mut native = object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
    native.truncate(pixels.frame_bytes());
    native
}

/// A frame of a kind: noise, a ramp, a flat field with a few spots.
fn frame(pixels: &PixelDescription, kind: u8, seed: u32) -> Vec<u8> {
    let most = (1_u32 << pixels.bits_stored) - 1;
    let samples = pixels.frame_bytes() / usize::from(pixels.bits_allocated / 8);
    let values = (0..samples as u32).map(|n| {
        let noise = (n ^ seed).wrapping_mul(0x9E37_79B1).rotate_left(13).wrapping_mul(0x85EB_CA6B) >> 7;
        match kind {
            0 => noise & most,
            1 => (n + seed) & most,
            _ if noise.is_multiple_of(50) => most,
            _ => seed & most,
        }
    });
    if pixels.bits_allocated == 8 {
        values.map(|value| value as u8).collect()
    } else {
        values.flat_map(|value| (value as u16).to_le_bytes()).collect()
    }
}

proptest! {
    #[test]
    fn lossless_encodings_lose_nothing(
        (rows, columns) in prop_oneof![(1_u16..9, 1_u16..9), (1_u16..70, 1_u16..300)],
        bits in prop_oneof![Just(8_u16), Just(10), Just(12), Just(16)],
        rgb in any::<bool>(),
        kind in 0..3_u8,
        seed in any::<u32>(),
    ) {
        let pixels = description(rows, columns, bits, rgb);
        let native = frame(&pixels, kind, seed);
        for encoding in [Encoding::Rle, Encoding::JpegLs] {
            let compressed = match Compressor::new(encoding, pixels).unwrap().compress(&native) {
                // Noise of all bits may come out longer.
                Err(CompressError::Incompressible) if kind == 0 => continue,
                compressed => compressed.unwrap(),
            };
            prop_assert_eq!(compressed.lossy, None);
            prop_assert_eq!(compressed.photometric, pixels.photometric.as_str());
            prop_assert!(decoded(encoding, &pixels, &compressed) == native, "{encoding}");
        }
    }
}

#[test]
fn a_compressor_takes_frame_after_frame() {
    let pixels = description(20, 33, 8, true);
    for encoding in [Encoding::Rle, Encoding::JpegLs, Encoding::Jpeg { quality: 90 }] {
        let mut compressor = Compressor::new(encoding, pixels).unwrap();
        let first = compressor.compress(&frame(&pixels, 2, 40)).unwrap();
        let second = compressor.compress(&frame(&pixels, 1, 7)).unwrap();
        assert_ne!(first, second, "{encoding}");
        assert_eq!(compressor.compress(&frame(&pixels, 2, 40)).unwrap(), first, "{encoding}");
        let short = compressor.compress(&frame(&pixels, 2, 40)[1..]);
        assert_eq!(short, Err(CompressError::Length { expected: 1980, got: 1979 }));
    }
}

#[test]
fn jpeg_comes_close_and_says_what_it_lost() {
    // Waves that 4:2:2 and the DCT hold well.
    let wave = |x: u32, y: u32, k: u32| (128.0 + 100.0 * (f64::from(x * (k + 1) + y) / 40.0).sin()) as u8;
    for (rgb, photometric) in [(false, "MONOCHROME2"), (true, "YBR_FULL_422")] {
        let pixels = description(64, 101, 8, rgb);
        let samples = u32::from(pixels.samples);
        let native: Vec<u8> = (0..64_u32)
            .flat_map(|y| (0..101).flat_map(move |x| (0..samples).map(move |k| wave(x, y, k))))
            .collect();
        let encoding = Encoding::Jpeg { quality: 95 };
        let compressed = Compressor::new(encoding, pixels).unwrap().compress(&native).unwrap();
        assert_eq!(compressed.photometric, photometric);
        let ratio = native.len() as f64 / compressed.codestream.len() as f64;
        assert!(ratio > 2.0 && compressed.lossy == Some(ratio), "{ratio} {:?}", compressed.lossy);
        let decoded = decoded(encoding, &pixels, &compressed);
        assert_eq!(decoded.len(), native.len());
        let error: u32 = decoded.iter().zip(&native).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = f64::from(error) / native.len() as f64;
        assert!(mean < 3.0, "{photometric}: {mean}");
        let coarse = Compressor::new(Encoding::Jpeg { quality: 20 }, pixels).unwrap();
        let coarse = { coarse }.compress(&native).unwrap();
        assert!(coarse.codestream.len() < compressed.codestream.len());
    }
}

#[test]
fn noise_is_better_sent_as_it_is() {
    let pixels = description(200, 300, 8, false);
    let noise = frame(&pixels, 0, 1);
    let mut compressor = Compressor::new(Encoding::JpegLs, pixels).unwrap();
    assert_eq!(compressor.compress(&noise), Err(CompressError::Incompressible));
    let flat = compressor.compress(&vec![7; noise.len()]).unwrap();
    assert!(flat.codestream.len() < 100);
}

#[test]
fn what_an_encoding_cannot_hold_is_refused_at_the_start() {
    let refused = |encoding, pixels| {
        matches!(Compressor::new(encoding, pixels), Err(CompressError::Unsupported { .. }))
    };
    let jpeg = Encoding::Jpeg { quality: 90 };
    let good = description(4, 4, 8, false);
    for encoding in [Encoding::Rle, Encoding::JpegLs, jpeg] {
        assert!(!refused(encoding, good), "{encoding}");
        for wrong in [
            PixelDescription { rows: 0, ..good },
            PixelDescription { columns: 0, ..good },
            PixelDescription { samples: 3, ..good },
            PixelDescription { bits_allocated: 32, ..good },
            PixelDescription { bits_stored: 9, ..good },
            PixelDescription { bits_stored: 0, ..good },
        ] {
            assert!(refused(encoding, wrong), "{encoding} {wrong:?}");
        }
    }
    assert!(refused(jpeg, description(4, 4, 16, false)));
    assert!(refused(jpeg, PixelDescription { rows: 65_501, ..good }));
    assert!(refused(Encoding::Jpeg { quality: 0 }, good));
    assert!(refused(Encoding::Jpeg { quality: 101 }, good));
    assert!(refused(Encoding::JpegLs, PixelDescription { bits_allocated: 16, ..good }));
}

#[test]
fn a_compressor_can_go_to_its_thread() {
    fn goes<T: Send>() {}
    goes::<Compressor>();
}
