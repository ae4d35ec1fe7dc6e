//! Streams of CharLS, whole and damaged.

use charls::{CharLS, FrameInfo, InterleaveMode};
use proptest::prelude::*;

use super::*;

fn image(rows: usize, columns: usize, samples: usize, bits: u32) -> ImagePixel {
    ImagePixel {
        rows,
        columns,
        samples,
        bits_allocated: if bits > 8 { 16 } else { 8 },
        bits_stored: bits,
        high_bit: bits - 1,
        signed: false,
        photometric: if samples == 3 { "RGB" } else { "MONOCHROME2" }.to_owned(),
        planar: false,
    }
}

/// Samples of a kind, little-endian: noise, a ramp, spots on a field, waves in noise.
fn samples(image: &ImagePixel, kind: u8, seed: u32) -> Vec<u8> {
    let most = (1_u32 << image.bits_stored) - 1;
    let count = (image.rows * image.columns * image.samples) as u32;
    let sample = |n: u32| {
        let noise = (n ^ seed).wrapping_mul(0x9E37_79B1).rotate_left(13).wrapping_mul(0x85EB_CA6B) >> 7;
        match kind {
            0 => noise & most,
            1 => n.wrapping_mul(3).wrapping_add(seed) & most,
            2 if noise.is_multiple_of(50) => most,
            2 => seed & most,
            _ => (seed % most / 2 + n / 7 % 3 + noise % 2) & most,
        }
    };
    let bytes = image.sample_bytes();
    (0..count).flat_map(|n| sample(n).to_le_bytes().into_iter().take(bytes)).collect()
}

/// `None` where noise outgrows the wrapper's buffer.
fn encoded(image: &ImagePixel, source: &[u8], near: i32, mode: InterleaveMode) -> Option<Vec<u8>> {
    let mut encoder = CharLS::default();
    encoder.set_interleave_mode(mode).unwrap();
    let frame = FrameInfo {
        width: image.columns as u32,
        height: image.rows as u32,
        bits_per_sample: image.bits_stored as i32,
        component_count: image.samples as i32,
    };
    encoder.encode(frame, near, source).ok()
}

/// Pixels of a stream with samples of 8 bits.
fn pixels(stream: &[u8], image: &ImagePixel) -> Vec<u8> {
    decode(stream, image).unwrap().pixels
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn reads_what_charls_writes_and_comes_back_from_what_is_damaged(
        (rows, columns) in prop_oneof![(1_usize..6, 1_usize..6), (1_usize..40, 1_usize..70)],
        (rgb, mode) in (any::<bool>(), 0..3_u8),
        bits in prop_oneof![Just(8), 2..17_u32],
        (near, kind, seed) in (0..4_i32, 0..4_u8, any::<u32>()),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        (kept, zeros) in (any::<prop::sample::Index>(), 0..9_usize),
    ) {
        let image = image(rows, columns, if rgb { 3 } else { 1 }, bits);
        let near = near.min((1 << bits >> 2) - 1);
        let mode = match mode {
            _ if !rgb => InterleaveMode::None,
            0 => InterleaveMode::None,
            1 => InterleaveMode::Line,
            _ => InterleaveMode::Sample,
        };
        let source = samples(&image, kind, seed);
        let Some(mut stream) = encoded(&image, &source, near, mode) else { return Ok(()) };
        let mut expected = CharLS::default().decode(&stream).unwrap();
        if near == 0 {
            prop_assert!(expected == source);
        }
        if rgb && mode == InterleaveMode::None {
            // Plane by plane.
            let bytes = image.sample_bytes();
            let plane = rows * columns * bytes;
            let sample = |pixel: usize, k: usize| expected[k * plane + pixel * bytes..][..bytes].to_vec();
            expected = (0..rows * columns).flat_map(|n| (0..3).flat_map(move |k| [(n, k)]))
                .flat_map(|(n, k)| sample(n, k))
                .collect();
        }
        let decoded = decode(&stream, &image).unwrap();
        prop_assert!(decoded.pixels == expected, "{mode:?} {bits} {near} {kind}");
        prop_assert_eq!(decoded.lossy_method.is_some(), near > 0);

        for (place, byte) in damage {
            *place.get_mut(&mut stream) ^= byte;
        }
        let _ = decode(&stream, &image);
        stream.truncate(kept.index(stream.len()));
        stream.resize(stream.len() + zeros, 0);
        let _ = decode(&stream, &image);
    }

    #[test]
    fn any_bytes_end_in_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let image = image(5, 6, 1, 8);
        let _ = decode(&bytes, &image);
        let head = [0xFF, 0xD8, 0xFF, 0xF7, 0, 11, 8, 0, 5, 0, 6, 1, 1, 0x11, 0];
        let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0];
        let _ = decode(&[&head[..], &bytes].concat(), &image);
        let _ = decode(&[&head[..], &scan, &bytes].concat(), &image);
    }
}

/// ISO/IEC 14495-1 §H.3: a picture, its codestream and every step between.
#[test]
fn decodes_the_example_of_the_standard() {
    let stream = [
        0xFF, 0xD8, 0xFF, 0xF7, 0x00, 0x0B, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xDA,
        0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0,
        0x00, 0x00, 0x57, 0x40, 0x00, 0x00, 0x6E, 0xE6, 0x00, 0x00, 0x01, 0xBC, 0x18, 0x00, 0x00, 0x05, 0xD8,
        0x00, 0x00, 0x91, 0x60, 0xFF, 0xD9,
    ];
    let expected = [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145];
    assert_eq!(pixels(&stream, &image(4, 4, 1, 8)), expected);
}

#[test]
fn a_stream_of_another_image_is_refused_before_anything_is_set_aside() {
    let grey = image(5, 6, 1, 8);
    let stream = encoded(&grey, &[7; 30], 0, InterleaveMode::None).unwrap();
    assert_eq!(pixels(&stream, &grey), [7; 30]);
    let refused = |image: &ImagePixel| decode(&stream, image).unwrap_err();
    assert_eq!(refused(&image(6, 5, 1, 8)), TranscodeError::Contradiction("Rows or Columns"));
    assert_eq!(refused(&image(5, 6, 3, 8)), TranscodeError::Contradiction("Samples per Pixel"));
    let deep = image(5, 6, 1, 12);
    let stream = encoded(&deep, &[7; 60], 0, InterleaveMode::None).unwrap();
    assert_eq!(decode(&stream, &grey).unwrap_err(), TranscodeError::Contradiction("Bits Allocated"));
}

#[test]
fn what_is_not_supported_is_named() {
    let grey = image(5, 6, 1, 8);
    let stream = encoded(&grey, &[7; 30], 0, InterleaveMode::None).unwrap();
    for segment in [
        &[0xFF, 0xDD, 0, 4, 0, 1][..],
        &[0xFF, 0xF8, 0, 6, 2, 1, 1, 0],
        &[0xFF, 0xE8, 0, 7, b'm', b'r', b'f', b'x', 1],
    ] {
        let with = [&stream[..2], segment, &stream[2..]].concat();
        let error = decode(&with, &grey).unwrap_err();
        assert!(matches!(&error, TranscodeError::Unsupported { .. }), "{error}");
    }
    // A preset that says what the defaults are changes nothing.
    let preset = [0xFF, 0xF8, 0, 13, 1, 0, 255, 0, 3, 0, 7, 0, 21, 0, 64];
    let with = [&stream[..2], &preset, &stream[2..]].concat();
    assert_eq!(pixels(&with, &grey), [7; 30]);
}
