//! Instances made of our own frames, native and compressed, and what others read in them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dicom_dictionary_std::uids;

use super::video::{ClockState, Lossy, SopClass, VideoFrame, VideoSource};
use super::*;
use crate::context::{Context, Equipment};
use crate::frame::compress::{Compressor, Encoding};
use crate::frame::{Photometric, PixelDescription};

fn description(bits: u16, rgb: bool) -> PixelDescription {
    PixelDescription {
        rows: 48,
        columns: 63,
        samples: if rgb { 3 } else { 1 },
        bits_allocated: if bits > 8 { 16 } else { 8 },
        bits_stored: bits,
        photometric: if rgb { Photometric::Rgb } else { Photometric::Monochrome2 },
    }
}

/// Waves with a little noise.
fn frame(pixels: &PixelDescription) -> Vec<u8> {
    let scale = f64::from((1_u32 << pixels.bits_stored) - 1);
    let samples = u32::from(pixels.samples);
    let sample = |y: u32, x: u32, k: u32| {
        let wave = (f64::from(x * (k + 2) + y) / 30.0).sin() * 0.4 + 0.5;
        (wave * scale) as u16 + (x * y + k) as u16 % 3
    };
    let pixel = |y| (0..63).flat_map(move |x| (0..samples).map(move |k| sample(y, x, k)));
    let values = (0..48).flat_map(pixel);
    if pixels.bits_allocated == 8 {
        values.map(|value| value as u8).collect()
    } else {
        values.flat_map(u16::to_le_bytes).collect()
    }
}

fn dataset(pixels: PixelDescription, photometric: Option<&'static str>, lossy: Option<f64>) -> Dataset {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_323_199);
    let equipment = Equipment::framegate("0815", "cathlab-2");
    let context = Context::encounter("Unidentified^", "XA", moment, 1, equipment);
    let source = VideoSource {
        sop_class: SopClass::SecondaryCapture,
        analog: false,
        behind: None,
        burned_in: true,
        pixel_spacing: None,
        card: "vivid".to_owned(),
    };
    let lossy: Vec<Lossy> =
        lossy.map(|ratio| Lossy { method: "ISO_10918_1", ratio: Some(ratio) }).into_iter().collect();
    let frame = VideoFrame {
        number: 3,
        captured: moment,
        sop_instance_uid: "2.25.4711",
        pixels,
        photometric,
        lossy: &lossy,
    };
    video::dataset(&context, &source, &ClockState::Unknown, &frame)
}

fn file(instance: &Instance) -> Vec<u8> {
    instance.part10().concat()
}

#[test]
fn an_encapsulated_instance_is_one_fragment_after_an_empty_table() {
    let dataset = dataset(description(8, false), None, None);
    for codestream in [&[0xFF, 0xD8, 0xFF, 0xD9][..], &[0xFF, 0xD8, 1, 0xFF, 0xD9]] {
        let instance = Instance::encapsulated(&dataset, uids::JPEG_BASELINE8_BIT, codestream).unwrap();
        let mut even = codestream.to_vec();
        even.resize(codestream.len().next_multiple_of(2), 0);
        assert_eq!(instance.fragments(), [Bytes::from(even.clone())]);
        assert_eq!(instance.number(), Some(3));
        assert_eq!(instance.form(), PixelForm::Encapsulated);
        assert_eq!(&**instance.transfer_syntax(), uids::JPEG_BASELINE8_BIT);
        let written = file(&instance);
        assert_eq!(written.len(), instance.len());
        for object in [dicom_object::from_reader(&written[..]).unwrap(), instance.object().unwrap()] {
            assert_eq!(object.meta().transfer_syntax(), uids::JPEG_BASELINE8_BIT);
            let pixels = object.element(tags::PIXEL_DATA).unwrap();
            assert_eq!(pixels.fragments().unwrap(), [even.clone()]);
            assert_eq!(object.element(tags::ROWS).unwrap().to_int::<u16>().unwrap(), 48);
        }
        let tags: Vec<Tag> = dataset.tags().collect();
        assert_eq!(instance.dataset().unwrap().tags().collect::<Vec<_>>(), tags);
    }
}

#[test]
fn a_native_instance_is_its_pixels() {
    for (bits, vr) in [(8, VR::OB), (12, VR::OW)] {
        let pixels = description(bits, false);
        let native = Bytes::from(frame(&pixels));
        let instance = Instance::native(&dataset(pixels, None, None), native.clone()).unwrap();
        assert_eq!(instance.form(), PixelForm::Native(tags::PIXEL_DATA, vr));
        assert_eq!(instance.pixels().as_ptr(), native.as_ptr());
        let object = dicom_object::from_reader(&file(&instance)[..]).unwrap();
        assert_eq!(object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap(), &native[..]);
    }
}

/// What a tool of DCMTK makes of a file's pixels; `None` where it is not installed.
fn decoded_by(tool: &str, arguments: &[&str], compressed: &Path) -> Option<Vec<u8>> {
    let native = compressed.with_extension("native");
    let verdict = match Command::new(tool).args(arguments).arg(compressed).arg(&native).output() {
        Ok(verdict) => verdict,
        Err(_) => {
            eprintln!("{tool} is not installed: not verified");
            return None;
        }
    };
    assert!(verdict.status.success(), "{tool}: {}", String::from_utf8_lossy(&verdict.stderr));
    let object = dicom_object::open_file(&native).unwrap();
    Some(object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned())
}

/// DCMTK reads the pixels, and `dciodvfy` (dicom3tools) judges the head, where they are installed.
#[test]
fn others_read_what_we_compress() {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = Encoding::Jpeg { quality: 95 };
    for (encoding, bits, rgb, tool, arguments) in [
        (Encoding::Rle, 8, false, "dcmdrle", &[][..]),
        (Encoding::Rle, 16, false, "dcmdrle", &[]),
        (Encoding::Rle, 8, true, "dcmdrle", &[]),
        (Encoding::JpegLs, 8, false, "dcmdjpls", &[]),
        (Encoding::JpegLs, 10, false, "dcmdjpls", &[]),
        (Encoding::JpegLs, 12, false, "dcmdjpls", &[]),
        (Encoding::JpegLs, 16, false, "dcmdjpls", &[]),
        (Encoding::JpegLs, 8, true, "dcmdjpls", &["+px"]),
        (jpeg, 8, false, "dcmdjpeg", &[]),
        (jpeg, 8, true, "dcmdjpeg", &["+cl"]),
    ] {
        let pixels = description(bits, rgb);
        let native = frame(&pixels);
        let compressed = Compressor::new(encoding, pixels).unwrap().compress(&native).unwrap();
        let dataset = dataset(pixels, Some(compressed.photometric), compressed.lossy);
        let instance =
            Instance::encapsulated(&dataset, encoding.transfer_syntax(), &compressed.codestream).unwrap();
        let path = folder.path().join("compressed.dcm");
        std::fs::write(&path, file(&instance)).unwrap();
        let what = format!("{encoding}, {bits} bits, RGB {rgb}");
        if let Some(mut decoded) = decoded_by(tool, arguments, &path) {
            decoded.truncate(native.len());
            assert_eq!(decoded.len(), native.len(), "{what}");
            if compressed.lossy.is_none() {
                assert!(decoded == native, "{what}");
            } else {
                let error: u32 = decoded.iter().zip(&native).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                assert!(error < 4 * native.len() as u32, "{what}: {error}");
            }
        }
        if let Ok(verdict) = Command::new("dciodvfy").arg("-new").arg(&path).output() {
            let text = String::from_utf8_lossy(&verdict.stderr).into_owned();
            let found: Vec<&str> = text.lines().filter(|line| line.contains("Error")).collect();
            assert!(found.is_empty() && text.contains("SCImage"), "{what}: {text}");
        }
    }
}
