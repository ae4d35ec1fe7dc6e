//! Any Transfer Syntax that we can decode → Explicit VR Little Endian with native pixels.
//!
//! DICOMweb answers in 1.2.840.10008.1.2.1 when a client asks for nothing else (PS3.18 §8.7.3.5.2), and
//! [`super::render`] starts from it. Lossless frames come out sample for sample; lossy ones are marked
//! as lossy ever after (PS3.3 §C.7.6.1.1.5).

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::TransferSyntaxIndex;
use dicom_object::DefaultDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;

use super::ImagePixelError;
use super::codec::{self, Decoded};
use super::image_pixel::ImagePixel;

/// Why an object could not be given native pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranscodeError {
    /// The attributes describe no image.
    #[error(transparent)]
    ImagePixel(#[from] ImagePixelError),
    /// There is no Pixel Data, or it is no sequence of fragments though the Transfer Syntax says so.
    #[error("there is no Pixel Data of this Transfer Syntax")]
    NoPixelData,
    /// Number of Frames is above one.
    #[error("the object has {frames} frames, not one")]
    NotSingleFrame {
        /// Number of Frames (0028,0008).
        frames: u32,
    },
    /// The frame would be larger than the caller allows.
    #[error("the frame takes {bytes} bytes, above the limit of {limit}")]
    TooLarge {
        /// Bytes of the native frame by its attributes.
        bytes: usize,
        /// What the caller allows.
        limit: usize,
    },
    /// No decoder for this Transfer Syntax, or for this use of it, is built in.
    #[error("no decoder for {what}")]
    Unsupported {
        /// The Transfer Syntax UID, or the feature of the codestream.
        what: String,
    },
    /// The codestream is of another image than the attributes describe.
    #[error("the codestream contradicts the attributes: {0}")]
    Contradiction(&'static str),
    /// The codestream is damaged.
    #[error("the codestream cannot be decoded: {reason}")]
    Decode {
        /// The decoder's words.
        reason: String,
    },
}

/// Whether encapsulated frames of this Transfer Syntax can be decoded. A codestream may still use a
/// feature that its decoder lacks (12-bit lossy JPEG, for instance).
pub fn is_supported(transfer_syntax: &str) -> bool {
    codec::Family::of(transfer_syntax).is_some()
}

/// Returns `object`, a single-frame one, in Explicit VR Little Endian with native pixels. An object
/// that is native already only changes its Transfer Syntax, and `limit` (bytes of the decoded frame)
/// does not concern it, for nothing is allocated.
///
/// Photometric Interpretation, Planar Configuration and the Lossy Image Compression attributes follow
/// the pixels; Bits Allocated, Bits Stored and Pixel Representation never change.
///
/// Decoding takes milliseconds to a second of CPU: call it on a thread that may block.
///
/// # Errors
/// [`TranscodeError`]; the object is gone then, and the caller still has the bytes it was read from.
pub fn to_explicit_little_endian(
    mut object: DefaultDicomObject,
    limit: usize,
) -> Result<DefaultDicomObject, TranscodeError> {
    let uid = object.meta().transfer_syntax().to_owned();
    let syntax = TransferSyntaxRegistry
        .get(&uid)
        .ok_or_else(|| TranscodeError::Unsupported { what: format!("Transfer Syntax {uid}") })?;
    if syntax.is_encapsulated_pixel_data() {
        let image = ImagePixel::of(&object)?;
        let frames =
            object.get(tags::NUMBER_OF_FRAMES).and_then(|element| element.to_int::<u32>().ok()).unwrap_or(1);
        if frames > 1 {
            return Err(TranscodeError::NotSingleFrame { frames });
        }
        // Before any decoder sees the stream: these numbers size its buffers.
        let bytes = image.frame_bytes();
        if bytes > limit {
            return Err(TranscodeError::TooLarge { bytes, limit });
        }
        let compressed: usize = object
            .get(tags::PIXEL_DATA)
            .and_then(|element| element.fragments())
            .ok_or(TranscodeError::NoPixelData)?
            .iter()
            .map(Vec::len)
            .sum();
        let decoded = codec::decode(&uid, &object, &image)?;
        put_native(&mut object, &image, decoded, compressed);
    }
    object.update_meta(|meta| meta.set_transfer_syntax(&EXPLICIT_VR_LITTLE_ENDIAN));
    Ok(object)
}

/// Puts the decoded frame in the place of the `compressed` bytes, and the attributes right that depend
/// on it.
fn put_native(object: &mut DefaultDicomObject, image: &ImagePixel, decoded: Decoded, compressed: usize) {
    let native = decoded.pixels.len();
    let mut pixels = decoded.pixels;
    if pixels.len() % 2 == 1 {
        pixels.push(0);
    }
    // PS3.5 §A.2: OW above 8 bits; the bytes are little-endian already.
    let vr = if image.bits_allocated > 8 { VR::OW } else { VR::OB };
    object.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::from(pixels)));
    // These describe fragments, of which there are none now.
    for tag in [
        tags::EXTENDED_OFFSET_TABLE,
        tags::EXTENDED_OFFSET_TABLE_LENGTHS,
        tags::ENCAPSULATED_PIXEL_DATA_VALUE_TOTAL_LENGTH,
    ] {
        object.remove_element(tag);
    }
    if let Some(photometric) = decoded.photometric {
        object.put(DataElement::new(
            tags::PHOTOMETRIC_INTERPRETATION,
            VR::CS,
            PrimitiveValue::from(photometric),
        ));
    }
    if decoded.interleaved && image.samples > 1 {
        object.put(DataElement::new(tags::PLANAR_CONFIGURATION, VR::US, PrimitiveValue::from(0_u16)));
    }
    let marked = object
        .get(tags::LOSSY_IMAGE_COMPRESSION)
        .and_then(|element| element.to_str().ok())
        .is_some_and(|value| value.trim() == "01");
    if let (Some(method), false) = (decoded.lossy_method, marked) {
        let ratio = format!("{:.2}", native as f64 / compressed.max(1) as f64);
        for (tag, vr, value) in [
            (tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01"),
            (tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, ratio.as_str()),
            (tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, method),
        ] {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use charls::{CharLS, FrameInfo, InterleaveMode};
    use dicom_core::Tag;
    use dicom_dictionary_std::uids;
    use dicom_pixeldata::Transcode;
    use dicom_transfer_syntax_registry::entries::{IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE};
    use proptest::prelude::*;

    use super::super::samples::{self, Shape, colour, encapsulated, grey, jpeg_lossless, native, rle, words};
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn pixels(object: &DefaultDicomObject) -> Vec<u8> {
        object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned()
    }

    fn value(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
        Some(object.get(tag)?.to_str().unwrap().trim().to_owned())
    }

    fn transcoded(object: DefaultDicomObject) -> DefaultDicomObject {
        let object = to_explicit_little_endian(object, LIMIT).unwrap();
        assert_eq!(object.meta().transfer_syntax(), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        // What was made must be what a reader gets.
        let mut file = Vec::new();
        object.write_all(&mut file).unwrap();
        dicom_object::from_reader(&file[..]).unwrap()
    }

    fn ramp16() -> Vec<u16> {
        (0..35_u32).map(|n| (n * 7919 % 65_536) as u16).collect()
    }

    #[test]
    fn a_native_object_keeps_its_pixels() {
        let mut object = native(grey(2, 2, 16, 12), &words(&[1, 2, 3, 4095]));
        object.update_meta(|meta| meta.set_transfer_syntax(&IMPLICIT_VR_LITTLE_ENDIAN));
        assert_eq!(pixels(&transcoded(object)), words(&[1, 2, 3, 4095]));
    }

    #[test]
    fn what_is_supported_is_what_has_a_decoder() {
        for uid in [
            uids::JPEG_BASELINE8_BIT,
            uids::JPEG_LOSSLESS_SV1,
            uids::JPEG2000_LOSSLESS,
            uids::HTJ2K_LOSSLESS,
            uids::JPEGLS_LOSSLESS,
            uids::RLE_LOSSLESS,
            uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN,
        ] {
            assert!(is_supported(uid), "{uid}");
        }
    }

    #[test]
    fn fragments_of_native_pixels_are_joined() {
        let uid = uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN;
        let object = encapsulated(grey(2, 3, 8, 8), uid, &[&[1, 2, 3, 4], &[5, 6]]);
        assert_eq!(pixels(&transcoded(object)), [1, 2, 3, 4, 5, 6]);
        let object = encapsulated(grey(2, 3, 8, 8), uid, &[&[1, 2, 3, 4]]);
        to_explicit_little_endian(object, LIMIT).unwrap_err();
    }

    #[test]
    fn rle_is_exact_in_every_width() {
        let bytes: Vec<u8> = (0..35_u8).map(|n| if n < 20 { 7 } else { n * 5 }).collect();
        let object = encapsulated(grey(5, 7, 8, 8), uids::RLE_LOSSLESS, &[&rle(&bytes, 1, 1)]);
        let object = transcoded(object);
        // An odd frame is padded.
        assert_eq!(pixels(&object), [&bytes[..], &[0]].concat());
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION), None);

        let object = encapsulated(grey(5, 7, 16, 16), uids::RLE_LOSSLESS, &[&rle(&words(&ramp16()), 1, 2)]);
        assert_eq!(pixels(&transcoded(object)), words(&ramp16()));

        let rgb: Vec<u8> = (0..2 * 300 * 3).map(|n| (n / 500 * 40) as u8).collect();
        let mut shape = colour(2, 300, "YBR_FULL");
        shape.planar = 1;
        let object = transcoded(encapsulated(shape, uids::RLE_LOSSLESS, &[&rle(&rgb, 3, 1)]));
        assert_eq!(pixels(&object), rgb);
        assert_eq!(value(&object, tags::PLANAR_CONFIGURATION).as_deref(), Some("0"));
        assert_eq!(value(&object, tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some("YBR_FULL"));
    }

    #[test]
    fn a_frame_in_several_fragments_is_one() {
        let stream = rle(&words(&ramp16()), 1, 2);
        let (head, tail) = stream.split_at(70);
        let object = encapsulated(grey(5, 7, 16, 16), uids::RLE_LOSSLESS, &[head, tail]);
        assert_eq!(pixels(&transcoded(object)), words(&ramp16()));
    }

    #[test]
    fn rle_that_lies_is_an_error() {
        let stream = rle(&[9; 35], 1, 1);
        for (rows, damage) in [(6, &stream[..]), (5, &stream[..64]), (5, &stream[..30]), (5, &[0xFF; 80])] {
            let object = encapsulated(grey(rows, 700, 8, 8), uids::RLE_LOSSLESS, &[damage]);
            to_explicit_little_endian(object, LIMIT).unwrap_err();
        }
        let object = encapsulated(grey(5, 7, 16, 16), uids::RLE_LOSSLESS, &[&stream]);
        let error = to_explicit_little_endian(object, LIMIT).unwrap_err();
        assert!(matches!(error, TranscodeError::Contradiction(_)), "{error}");
    }

    #[test]
    fn jpeg_lossless_is_exact() {
        for bits in [12, 16] {
            let samples: Vec<u16> = ramp16().iter().map(|sample| sample >> (16 - bits)).collect();
            let stream = jpeg_lossless(&samples, 1, 5, 7, bits);
            let object = encapsulated(grey(5, 7, 16, u16::from(bits)), uids::JPEG_LOSSLESS_SV1, &[&stream]);
            let object = transcoded(object);
            assert_eq!(pixels(&object), words(&samples), "{bits} bits");
            assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION), None);
        }
        // 8-bit samples in 16-bit words, and RGB that nobody may take for YCbCr.
        let samples: Vec<u16> = ramp16().iter().map(|sample| sample >> 8).collect();
        let stream = jpeg_lossless(&samples, 1, 5, 7, 8);
        let object = encapsulated(grey(5, 7, 16, 8), uids::JPEG_LOSSLESS, &[&stream]);
        assert_eq!(pixels(&transcoded(object)), words(&samples));
        let samples: Vec<u16> = (0..5 * 4 * 3).map(|n| n * 37 % 256).collect();
        let stream = jpeg_lossless(&samples, 3, 5, 4, 8);
        let object = transcoded(encapsulated(colour(5, 4, "RGB"), uids::JPEG_LOSSLESS_SV1, &[&stream]));
        assert_eq!(pixels(&object), samples.iter().map(|sample| *sample as u8).collect::<Vec<_>>());
        assert_eq!(value(&object, tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some("RGB"));
    }

    fn baseline() -> (Vec<u8>, DefaultDicomObject) {
        let rgb: Vec<u8> = (0..16 * 16).flat_map(|n| [200, 40 + n as u8 / 4, 30]).collect();
        let mut object = native(colour(16, 16, "RGB"), &rgb);
        object.transcode(&JPEG_BASELINE.erased()).unwrap();
        (rgb, object)
    }

    #[test]
    fn jpeg_baseline_comes_out_as_rgb_and_marked_lossy() {
        let (rgb, mut object) = baseline();
        for tag in [tags::LOSSY_IMAGE_COMPRESSION, tags::LOSSY_IMAGE_COMPRESSION_METHOD] {
            object.remove_element(tag);
        }
        let object = transcoded(object);
        let worst = pixels(&object).iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst < 12, "{worst}");
        assert_eq!(value(&object, tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some("RGB"));
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION).as_deref(), Some("01"));
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_10918_1"));
        assert!(object.get(tags::ENCAPSULATED_PIXEL_DATA_VALUE_TOTAL_LENGTH).is_none());
    }

    #[test]
    fn what_an_object_says_of_its_loss_stays() {
        let (_, mut object) = baseline();
        samples::put(&mut object, tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
        samples::put(&mut object, tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, "17");
        assert_eq!(value(&transcoded(object), tags::LOSSY_IMAGE_COMPRESSION_RATIO).as_deref(), Some("17"));
    }

    #[test]
    fn a_codestream_of_another_size_is_refused_before_it_is_decoded() {
        for (tag, other) in [(tags::ROWS, 8_u16), (tags::COLUMNS, 17), (tags::SAMPLES_PER_PIXEL, 1)] {
            let (_, mut object) = baseline();
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(other)));
            let error = to_explicit_little_endian(object, LIMIT).unwrap_err();
            assert!(matches!(error, TranscodeError::Contradiction(_)), "{error}");
        }
    }

    #[test]
    fn the_limit_comes_before_the_decoder() {
        let object = encapsulated(grey(60_000, 60_000, 16, 16), uids::RLE_LOSSLESS, &[&[0; 64]]);
        assert_eq!(
            to_explicit_little_endian(object, LIMIT).unwrap_err(),
            TranscodeError::TooLarge { bytes: 7_200_000_000, limit: LIMIT }
        );
    }

    #[test]
    fn what_we_cannot_decode_is_named() {
        for uid in [uids::JPEGXL, uids::MPEG4HP41, "1.2.3.4"] {
            let object = encapsulated(grey(5, 7, 8, 8), uid, &[&[0; 64]]);
            let error = to_explicit_little_endian(object, LIMIT).unwrap_err();
            assert!(matches!(&error, TranscodeError::Unsupported { what } if what.contains(uid)), "{error}");
            assert!(!is_supported(uid), "{uid}");
        }
        let mut object = encapsulated(grey(5, 7, 8, 8), uids::RLE_LOSSLESS, &[&[0; 64]]);
        samples::put(&mut object, tags::NUMBER_OF_FRAMES, VR::IS, "3");
        let error = to_explicit_little_endian(object, LIMIT).unwrap_err();
        assert_eq!(error, TranscodeError::NotSingleFrame { frames: 3 });
        let mut object = encapsulated(grey(5, 7, 8, 8), uids::RLE_LOSSLESS, &[&[0; 64]]);
        object.put(DataElement::new(tags::BITS_STORED, VR::US, PrimitiveValue::from(9_u16)));
        let error = to_explicit_little_endian(object, LIMIT).unwrap_err();
        assert_eq!(error, TranscodeError::ImagePixel(ImagePixelError::Invalid("Bits Stored")));
    }

    /// Codestreams of OpenJPEG: 6 × 5, two resolutions.
    const RGB_REVERSIBLE: &str = concat!(
        "ff4fff51002f0000000000060000000500000000000000000000000600000005000000000000000000030701",
        "01070101070101ff52000c00000001010104040001ff5c00074040484850ff90000a0000000000560001ff93",
        "cfb428074597f64a9175e3ecefdf80580be28246299202d697bd87df80580be86388b830779d645947c0f901",
        "4011c008c015920cff7f0cff7fc07c22001588c91fc1f38300158ab8ffd9",
    );
    const RGB_IRREVERSIBLE: &str = concat!(
        "ff4fff51002f0000000000060000000500000000000000000000000600000005000000000000000000030701",
        "01070101070101ff52000c00000001010104040000ff5c000b42482457d357d35762ff90000a00000000005d",
        "0001ff93c7da1607436197c858afb0349977cfc02c0e310500f644b5b726acdfcfc02c0e5b6aad95efeb13aa",
        "0c7fc07c81201f0860158f6624007e5fc008a00e84095f09a6c07c81a00e84158f6618603f09a6ffd9",
    );
    const GREY16_REVERSIBLE: &str = concat!(
        "ff4fff5100290000000000060000000500000000000000000000000600000005000000000000000000010f01",
        "01ff52000c00000001000104040001ff5c00074080888890ff90000a0000000000310001ff93dff890a006b7",
        "d27777ec7ad986889b7cc9e66bf2b7432bd0c0ff0070158bd035feef5fffd9",
    );

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn rgb_of_the_codestreams() -> Vec<u8> {
        let pixel = |x: u32, y: u32| [x * 29 + y * 7, x * 3 + y * 31 + 90, x * x + y].map(|v| v as u8);
        (0..5).flat_map(|y| (0..6).flat_map(move |x| pixel(x, y))).collect()
    }

    #[test]
    fn jpeg2000_reversible_is_exact() {
        let object = encapsulated(colour(5, 6, "YBR_RCT"), uids::JPEG2000_LOSSLESS, &[&hex(RGB_REVERSIBLE)]);
        let object = transcoded(object);
        assert_eq!(pixels(&object), rgb_of_the_codestreams());
        assert_eq!(value(&object, tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some("RGB"));
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION), None);

        let object = encapsulated(grey(5, 6, 16, 16), uids::JPEG2000_LOSSLESS, &[&hex(GREY16_REVERSIBLE)]);
        let expected: Vec<u16> =
            (0..5_u32).flat_map(|y| (0..6).map(move |x| (x * 4001 + y * 9001) as u16)).collect();
        assert_eq!(pixels(&transcoded(object)), words(&expected));
    }

    #[test]
    fn jpeg2000_irreversible_is_marked_lossy() {
        let object = encapsulated(colour(5, 6, "YBR_ICT"), uids::JPEG2000, &[&hex(RGB_IRREVERSIBLE)]);
        let object = transcoded(object);
        let worst = pixels(&object).iter().zip(rgb_of_the_codestreams()).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst.unwrap() < 6, "{worst:?}");
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION).as_deref(), Some("01"));
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_15444_1"));
    }

    /// JPEG-LS by CharLS.
    fn jpegls(pixels: &[u8], components: i32, bits: i32, near: i32, mode: InterleaveMode) -> Vec<u8> {
        let mut encoder = CharLS::default();
        encoder.set_interleave_mode(mode).unwrap();
        let frame = FrameInfo { width: 6, height: 5, bits_per_sample: bits, component_count: components };
        encoder.encode(frame, near, pixels).unwrap()
    }

    #[test]
    fn jpegls_colour_comes_out_by_pixel_however_it_lies() {
        let rgb = rgb_of_the_codestreams();
        let planes: Vec<u8> = (0..3).flat_map(|k| rgb.iter().copied().skip(k).step_by(3)).collect();
        for (mode, source) in
            [(InterleaveMode::None, &planes), (InterleaveMode::Line, &rgb), (InterleaveMode::Sample, &rgb)]
        {
            let shape = Shape { planar: 1, ..colour(5, 6, "RGB") };
            let stream = jpegls(source, 3, 8, 0, mode);
            let object = transcoded(encapsulated(shape, uids::JPEGLS_LOSSLESS, &[&stream, &[0]]));
            assert_eq!(pixels(&object), rgb, "{mode:?}");
            assert_eq!(value(&object, tags::PLANAR_CONFIGURATION).as_deref(), Some("0"));
            assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION), None);
        }
    }

    #[test]
    fn jpegls_near_lossless_is_marked_lossy() {
        let samples: Vec<u16> = (0..30).map(|n| n * 131).collect();
        let stream = jpegls(&words(&samples), 1, 12, 2, InterleaveMode::None);
        let object = encapsulated(grey(5, 6, 16, 12), uids::JPEGLS_NEAR_LOSSLESS, &[&stream]);
        let object = transcoded(object);
        let decoded = pixels(&object);
        let decoded = decoded.as_chunks().0.iter().map(|word| u16::from_le_bytes(*word));
        let worst = decoded.zip(samples).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!((1..=2).contains(&worst), "{worst}");
        assert_eq!(value(&object, tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_14495_1"));
    }

    /// A decoder that expects a marker there would not come back.
    #[test]
    fn jpegls_that_ends_in_zeros_is_damaged() {
        let noise: Vec<u8> = (0..30_u32).map(|n| ((n * n * 7919) >> 3) as u8).collect();
        let stream = jpegls(&noise, 1, 8, 0, InterleaveMode::None);
        for kept in 26..stream.len() {
            for zeros in 0..5 {
                let mut cut = stream[..kept].to_vec();
                cut.resize(kept + zeros, 0);
                let object = encapsulated(grey(5, 6, 8, 8), uids::JPEGLS_LOSSLESS, &[&cut]);
                let _ = to_explicit_little_endian(object, LIMIT);
            }
        }
        let cut = [&stream[..30], &[0; 4]].concat();
        let object = encapsulated(grey(5, 6, 8, 8), uids::JPEGLS_LOSSLESS, &[&cut]);
        let error = to_explicit_little_endian(object, LIMIT).unwrap_err();
        assert!(matches!(error, TranscodeError::Decode { .. }), "{error}");
    }

    #[test]
    fn jpegls_of_another_image_is_refused() {
        let stream = jpegls(&[7; 30], 1, 8, 0, InterleaveMode::None);
        let refused = |shape| {
            to_explicit_little_endian(encapsulated(shape, uids::JPEGLS_LOSSLESS, &[&stream]), LIMIT)
                .unwrap_err()
        };
        assert_eq!(refused(grey(6, 5, 8, 8)), TranscodeError::Contradiction("Rows or Columns"));
        assert_eq!(refused(colour(5, 6, "RGB")), TranscodeError::Contradiction("Samples per Pixel"));
        let wide = encapsulated(grey(5, 6, 16, 8), uids::JPEGLS_LOSSLESS, &[&stream]);
        assert_eq!(pixels(&transcoded(wide)), words(&[7; 30]));
    }

    proptest! {
        #[test]
        fn any_rle_stream_decodes_or_fails(
            mut stream in proptest::collection::vec(any::<u8>(), 0..200),
            framed in any::<bool>(),
        ) {
            if framed {
                stream.splice(0..0, rle(&[0; 35], 1, 1).into_iter().take(64));
            }
            let object = encapsulated(grey(5, 7, 8, 8), uids::RLE_LOSSLESS, &[&stream]);
            if let Ok(object) = to_explicit_little_endian(object, LIMIT) {
                prop_assert_eq!(pixels(&object).len(), 36);
            }
        }

        #[test]
        fn damaged_codestreams_end_in_a_result(
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            kind in 0..4,
        ) {
            let (shape, uid, mut stream) = match kind {
                0 => (colour(5, 6, "RGB"), uids::JPEG2000, hex(RGB_REVERSIBLE)),
                1 => {
                    let stream = jpegls(&rgb_of_the_codestreams(), 3, 8, 0, InterleaveMode::Line);
                    (colour(5, 6, "RGB"), uids::JPEGLS_LOSSLESS, stream)
                }
                2 => (grey(5, 7, 16, 16), uids::JPEG_LOSSLESS_SV1, jpeg_lossless(&ramp16(), 1, 5, 7, 16)),
                _ => {
                    let (_, object) = baseline();
                    let element = object.element(tags::PIXEL_DATA).unwrap();
                    (colour(16, 16, "RGB"), uids::JPEG_BASELINE8_BIT, element.fragments().unwrap().concat())
                }
            };
            *place.get_mut(&mut stream) = byte;
            let _ = to_explicit_little_endian(encapsulated(shape, uid, &[&stream]), LIMIT);
        }
    }
}
