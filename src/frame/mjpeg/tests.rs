//! Pictures of libjpeg-turbo, whole and spoilt.

use proptest::prelude::*;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::*;
use crate::frame::Photometric;

const COLUMNS: usize = 37;
const ROWS: usize = 21;

/// A picture as a camera would send it, tables and all.
fn jpeg(sampling: Subsamp) -> Vec<u8> {
    let pixels: Vec<u8> = (0..ROWS * COLUMNS * 3).map(|n| (n * n / 97 % 251) as u8).collect();
    let image = Image {
        pixels: &pixels[..],
        width: COLUMNS,
        pitch: COLUMNS * 3,
        height: ROWS,
        format: PixelFormat::RGB,
    };
    let mut encoder = Compressor::new().unwrap();
    encoder.set_subsamp(sampling).unwrap();
    encoder.compress_to_vec(image).unwrap()
}

/// Where segments of this marker stand before the first scan, and how long they are.
fn segments(stream: &[u8], wanted: u8) -> Vec<(usize, usize)> {
    let (mut at, mut found) = (2, Vec::new());
    loop {
        let length = 2 + usize::from(u16::from_be_bytes([stream[at + 2], stream[at + 3]]));
        if stream[at + 1] == wanted {
            found.push((at, length));
        }
        if stream[at + 1] == 0xDA {
            return found;
        }
        at += length;
    }
}

fn without(mut stream: Vec<u8>, marker: u8) -> Vec<u8> {
    for (at, length) in segments(&stream, marker).into_iter().rev() {
        stream.drain(at..at + length);
    }
    stream
}

/// `stream` with a segment before its frame header.
fn with(mut stream: Vec<u8>, marker: u8, body: &[u8]) -> Vec<u8> {
    let (at, _) = segments(&stream, 0xC0)[0];
    let length = (body.len() as u16 + 2).to_be_bytes();
    stream.splice(at..at, [&[0xFF, marker], &length[..], body].concat());
    stream
}

fn decoded(stream: &[u8], photometric: Photometric) -> Vec<u8> {
    let picture = Picture::parse(stream).unwrap();
    let mut native = vec![0; Decoder::frame_bytes(&picture, photometric)];
    Decoder::new().unwrap().decode(&picture, photometric, &mut native).unwrap();
    native
}

fn error(stream: &[u8]) -> MjpegError {
    Picture::parse(stream).unwrap_err()
}

#[test]
fn reads_what_the_frame_header_says() {
    for (sampling, factors, photometric) in [
        (Subsamp::Gray, &[(1, 1)][..], "MONOCHROME2"),
        (Subsamp::None, &[(1, 1), (1, 1), (1, 1)], "YBR_FULL_422"),
        (Subsamp::Sub2x1, &[(2, 1), (1, 1), (1, 1)], "YBR_FULL_422"),
        (Subsamp::Sub2x2, &[(2, 2), (1, 1), (1, 1)], "YBR_FULL_422"),
    ] {
        let stream = jpeg(sampling);
        let picture = Picture::parse(&stream).unwrap();
        assert_eq!((picture.rows(), picture.columns()), (21, 37));
        assert_eq!(picture.sampling().collect::<Vec<_>>(), factors);
        assert_eq!(picture.photometric(), photometric);
        assert_eq!(usize::from(picture.samples()), factors.len());
        let ratio = (ROWS * COLUMNS * factors.len()) as f64 / stream.len() as f64;
        assert!((picture.ratio() - ratio).abs() < 1e-9);
    }
}

#[test]
fn a_complete_picture_is_not_copied_and_loses_what_follows() {
    let stream = jpeg(Subsamp::Sub2x1);
    let padded = [&stream[..], &[0xFF, 0xD9, 0, 0, 0]].concat();
    let complete = Picture::parse(&padded).unwrap().complete();
    assert!(matches!(complete, Cow::Borrowed(_)));
    assert_eq!(complete, stream);
}

#[test]
fn lacking_tables_are_put_in_and_they_are_the_standard_ones() {
    for sampling in [Subsamp::Gray, Subsamp::Sub2x1] {
        // libjpeg writes the standard tables, in the order of ours.
        let whole = jpeg(sampling);
        let cut = without(whole.clone(), 0xC4);
        assert!(cut.len() < whole.len());
        let complete = Picture::parse(&cut).unwrap().complete();
        assert!(segments(&complete, 0xC4).len() >= 2);
        let tables = |stream: &[u8]| {
            let mut tables: Vec<Vec<u8>> = segments(stream, 0xC4)
                .into_iter()
                .map(|(at, length)| stream[at + 4..at + length].to_vec())
                .collect();
            tables.sort();
            tables
        };
        assert_eq!(tables(&complete), tables(&whole));
        assert_eq!(complete.len(), whole.len());
        let rgb = decoded(&whole, Photometric::Rgb);
        assert_eq!(decoded(&complete, Photometric::Rgb), rgb);
        assert_eq!(decoded(&cut, Photometric::Rgb), rgb);
        let again = Picture::parse(&complete).unwrap();
        assert!(matches!(again.complete(), Cow::Borrowed(_)));
    }
}

#[test]
fn only_what_is_lacking_is_put_in() {
    let whole = jpeg(Subsamp::Sub2x1);
    let (at, length) = segments(&whole, 0xC4)[1];
    let mut cut = whole.clone();
    cut.drain(at..at + length);
    let complete = Picture::parse(&cut).unwrap().complete().into_owned();
    assert_eq!(complete.len(), whole.len());
    assert_eq!(decoded(&complete, Photometric::Rgb), decoded(&whole, Photometric::Rgb));
}

#[test]
fn all_standard_tables_are_as_long_as_promised() {
    let mut stream = Vec::new();
    tables::STANDARD.iter().for_each(|table| table.write(&mut stream));
    assert_eq!(stream.len(), tables::MOST_BYTES);
}

#[test]
fn a_cut_picture_is_known_at_every_length() {
    // A thumbnail, whole with its own end of image, is not the picture's end.
    let thumbnail = jpeg(Subsamp::Gray);
    let stream = with(jpeg(Subsamp::Sub2x2), 0xE1, &thumbnail);
    Picture::parse(&stream).unwrap();
    for length in 0..stream.len() {
        if length != 1 {
            assert_eq!(error(&stream[..length]), MjpegError::Truncated, "{length}");
        }
    }
    // The buffer's rest is zeros, or the next picture.
    let cut = &stream[..stream.len() - 40];
    assert_eq!(error(&[cut, &[0; 100]].concat()), MjpegError::Truncated);
    assert_eq!(error(&[cut, &stream].concat()), MjpegError::Truncated);
}

#[test]
fn other_processes_are_no_baseline() {
    let stream = jpeg(Subsamp::Sub2x1);
    let (frame, _) = segments(&stream, 0xC0)[0];
    let changed = |place: usize, byte: u8| {
        let mut stream = stream.clone();
        stream[place] = byte;
        error(&stream)
    };
    for marker in (0xC1..=0xCF).filter(|marker| *marker != 0xC4) {
        assert!(matches!(changed(frame + 1, marker), MjpegError::NotBaseline(_)), "{marker:02X}");
    }
    assert!(matches!(changed(frame + 4, 12), MjpegError::NotBaseline(_)));
    let mut encoder = Compressor::new().unwrap();
    encoder.set_progressive(true).unwrap();
    let image = Image { pixels: &[9; 300][..], width: 10, pitch: 30, height: 10, format: PixelFormat::RGB };
    let progressive = encoder.compress_to_vec(image).unwrap();
    assert!(matches!(error(&progressive), MjpegError::NotBaseline(_)));
}

#[test]
fn nonsense_is_called_so() {
    let stream = jpeg(Subsamp::Sub2x1);
    let (frame, _) = segments(&stream, 0xC0)[0];
    let (scan, _) = segments(&stream, 0xDA)[0];
    // Rows, components, a sampling factor, an identifier, a quantization table; and of the scan.
    for (place, byte) in
        [(frame + 6, 0), (frame + 9, 4), (frame + 11, 0x51), (frame + 10, 9), (frame + 12, 3), (scan + 5, 2)]
    {
        let mut stream = stream.clone();
        stream[place] = byte;
        assert!(matches!(error(&stream), MjpegError::Nonsense(_)), "{place}");
    }
    for stream in [
        b"GIF89a".to_vec(),
        vec![0xFF, 0xD8, 0xFF, 0xD9],
        without(stream.clone(), 0xDB),
        with(stream.clone(), 0xC0, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0]),
    ] {
        assert!(matches!(error(&stream), MjpegError::Nonsense(_)), "{stream:?}");
    }
}

#[test]
fn colour_is_what_the_picture_says() {
    let stream = jpeg(Subsamp::None);
    let adobe = |transform| with(stream.clone(), 0xEE, &[&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat());
    assert_eq!(Picture::parse(&adobe(0)).unwrap().photometric(), "RGB");
    assert_eq!(Picture::parse(&adobe(1)).unwrap().photometric(), "YBR_FULL_422");
    let mut named = stream.clone();
    let (frame, _) = segments(&stream, 0xC0)[0];
    let (scan, _) = segments(&stream, 0xDA)[0];
    for (index, name) in b"RGB".iter().enumerate() {
        named[frame + 10 + 3 * index] = *name;
        named[scan + 5 + 2 * index] = *name;
    }
    assert_eq!(Picture::parse(&named).unwrap().photometric(), "RGB");
}

/// Two blocks of mid grey with a restart between them, by the tables that are not there.
#[test]
fn restarts_and_fill_bytes_end_no_picture() {
    let quantization = [&[0xFF, 0xDB, 0, 67, 0][..], &[1; 64]].concat();
    let headers = [
        &[0xFF, 0xDD, 0, 4, 0, 1][..],
        &[0xFF, 0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 16, 1, 1, 0x11, 0],
        &[0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0],
    ];
    // Of each block: no difference (00), end of block (1010), filled up with ones.
    let data = [0x2B, 0xFF, 0xD0, 0x2B, 0xFF, 0xD9];
    let stream = [&[0xFF, 0xD8][..], &quantization, &headers.concat(), &data].concat();
    assert_eq!(decoded(&stream, Photometric::Monochrome2), [128; 128]);
    let picture = Picture::parse(&stream).unwrap();
    assert_eq!(decoded(&picture.complete(), Photometric::Monochrome2), [128; 128]);
}

#[test]
fn grey_is_the_luma_as_coded() {
    // What the library makes of a picture that has nothing but the same luma.
    let colour = decoded(&jpeg(Subsamp::Sub2x1), Photometric::Monochrome2);
    let stream = jpeg(Subsamp::Gray);
    let grey = decoded(&stream, Photometric::Monochrome2);
    assert_eq!(colour, grey);
    let rgb = decoded(&stream, Photometric::Rgb);
    assert!(rgb.as_chunks::<3>().0.iter().zip(&grey).all(|(pixel, luma)| *pixel == [*luma; 3]));
}

#[test]
fn damage_inside_a_picture_is_told() {
    let mut stream = jpeg(Subsamp::Sub2x1);
    let (scan, length) = segments(&stream, 0xDA)[0];
    let end = stream.len() - 2;
    stream.drain(scan + length + 40..end);
    let picture = Picture::parse(&stream).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut native = vec![0; Decoder::frame_bytes(&picture, Photometric::Rgb)];
    let error = decoder.decode(&picture, Photometric::Rgb, &mut native).unwrap_err();
    assert!(matches!(error, MjpegError::Decode { .. }), "{error}");
    let error = decoder.decode(&picture, Photometric::Rgb, &mut native[1..]).unwrap_err();
    assert!(matches!(error, MjpegError::Decode { .. }), "{error}");
    let whole = jpeg(Subsamp::Sub2x1);
    decoder.decode(&Picture::parse(&whole).unwrap(), Photometric::Rgb, &mut native).unwrap();
    assert_eq!(native, decoded(&whole, Photometric::Rgb));
}

/// Whatever parses is complete, and reads the same again.
fn check(bytes: &[u8]) {
    let Ok(picture) = Picture::parse(bytes) else { return };
    let complete = picture.complete();
    assert!(complete.ends_with(&[0xFF, 0xD9]) && complete.len() <= bytes.len() + tables::MOST_BYTES);
    let again = Picture::parse(&complete).unwrap();
    assert!(matches!(again.complete(), Cow::Borrowed(whole) if whole.len() == complete.len()));
    assert_eq!(again.photometric(), picture.photometric());
    assert_eq!((again.rows(), again.columns()), (picture.rows(), picture.columns()));
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
        check(&[&[0xFF, 0xD8, 0xFF][..], &bytes].concat());
    }

    #[test]
    fn spoilt_pictures_end_in_a_result(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        tables in any::<bool>(),
    ) {
        let mut stream = if tables { jpeg(Subsamp::Sub2x1) } else { without(jpeg(Subsamp::Sub2x1), 0xC4) };
        // The headers are where it counts.
        let headers = stream.len().min(700);
        for (place, byte) in places {
            *place.get_mut(&mut stream[..headers]) = byte;
        }
        check(&stream);
        if let Ok(picture) = Picture::parse(&stream)
            && Decoder::frame_bytes(&picture, Photometric::Rgb) < 1 << 22
        {
            let mut native = vec![0; Decoder::frame_bytes(&picture, Photometric::Rgb)];
            let _ = Decoder::new().unwrap().decode(&picture, Photometric::Rgb, &mut native);
        }
    }
}
