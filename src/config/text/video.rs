//! Texts of `[capture.NAME]`: which device, which input, and parts of its picture.

use super::super::settings::Rectangle;
use super::Parsed;

/// Largest coordinate of a picture (pixels).
const MOST_PIXELS: u32 = 16_384;

/// Longest name that a driver gives a card, a bus or an input: 32 bytes with the zero that ends it
/// (`struct v4l2_capability`, `struct v4l2_input`).
const DRIVER_BYTES: usize = 31;

/// Smallest and largest pixel spacing (mm).
const SPACING: std::ops::RangeInclusive<f64> = 0.0001..=1000.0;

/// Which device: `auto`, a path below `/dev`, `usb:VVVV:PPPP`, `bus:BUS_INFO` or `card:NAME`. A path is
/// spelt in one way only, so that two sections with the same one can be told.
pub(in crate::config) fn device(text: &str) -> Parsed<()> {
    if text == "auto" {
        return Ok(());
    }
    if text.starts_with('/') {
        let Some(below) = text.strip_prefix("/dev/") else { return Err("is not below /dev".to_owned()) };
        let plain = below.split('/').all(|part| !matches!(part, "" | "." | ".."));
        return if plain { Ok(()) } else { Err("is not a plain path, without . or .. or //".to_owned()) };
    }
    match text.split_once(':') {
        Some(("usb", ids)) => {
            let id = |id: &str| id.len() == 4 && id.bytes().all(|b| b.is_ascii_hexdigit());
            match ids.split_once(':') {
                Some((vendor, product)) if id(vendor) && id(product) => Ok(()),
                _ => Err("has no vendor and product of 4 hexadecimal digits each".to_owned()),
            }
        }
        Some(("bus" | "card", "")) => Err("names nothing".to_owned()),
        Some(("bus" | "card", name)) => driver_name(name),
        _ => Err("does not say which device".to_owned()),
    }
}

/// A name as a driver gives it, or nothing.
pub(in crate::config) fn driver_name(text: &str) -> Parsed<()> {
    if text.len() <= DRIVER_BYTES {
        Ok(())
    } else {
        Err(format!("is longer than a driver's name can be, {DRIVER_BYTES} bytes"))
    }
}

/// A part of the picture: `X,Y,WIDTH,HEIGHT`.
pub(in crate::config) fn rectangle(text: &str) -> Parsed<Rectangle> {
    let number = |part: &str| {
        let part = part.trim();
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let numbers: Option<Vec<u32>> = text.split(',').map(number).collect();
    let Some(&[x, y, width, height]) = numbers.as_deref() else {
        return Err("is not four whole numbers".to_owned());
    };
    if width == 0 || height == 0 {
        return Err("has no area".to_owned());
    }
    let inside = |start: u32, length: u32| start.checked_add(length).is_some_and(|end| end <= MOST_PIXELS);
    if !inside(x, width) || !inside(y, height) {
        return Err(format!("reaches beyond {MOST_PIXELS} pixels"));
    }
    Ok(Rectangle { x, y, width, height })
}

/// A [`rectangle`], or nothing.
pub(in crate::config) fn rectangle_or_none(text: &str) -> Parsed<Option<Rectangle>> {
    if text.is_empty() { Ok(None) } else { rectangle(text).map(Some) }
}

/// Pixel Spacing (0028,0030): `ROW,COLUMN` (mm), or nothing.
pub(in crate::config) fn spacing_or_none(text: &str) -> Parsed<Option<[f64; 2]>> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = |part: &str| part.trim().parse().ok();
    let numbers: Option<Vec<f64>> = text.split(',').map(number).collect();
    let Some(&[row, column]) = numbers.as_deref() else { return Err("is not two numbers".to_owned()) };
    if SPACING.contains(&row) && SPACING.contains(&column) {
        Ok(Some([row, column]))
    } else {
        Err("is out of range".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_is_named_in_one_of_five_ways() {
        for right in [
            "auto",
            "/dev/video0",
            "/dev/v4l/by-id/usb-Elgato_Cam_Link_4K-video-index0",
            "usb:0fd9:0066",
            "usb:0FD9:0066",
            "bus:usb-0000:00:14.0-3",
            "card:Cam Link 4K: Cam Link 4K",
        ] {
            assert!(device(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "video0",
            "Auto",
            "/video0",
            "/dev",
            "/dev/",
            "/dev/../etc/passwd",
            "/dev/./video0",
            "/dev//video0",
            "/device/video0",
            "usb:fd9:0066",
            "usb:0fd9",
            "usb:0fd9:006g",
            "usb:0fd9:0066:1",
            "bus:",
            "card:",
            "pci:1",
            "card:a name of more than 31 characters",
        ] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rectangles_have_an_area_within_the_picture() {
        assert_eq!(rectangle("0, 8,640 ,48").unwrap(), Rectangle { x: 0, y: 8, width: 640, height: 48 });
        assert!(rectangle("16383,16383,1,1").is_ok());
        assert!(rectangle("0,0,16384,16384").is_ok());
        for wrong in
            ["", "0,0,640", "0,0,640,48,1", "0,0,640,", "-1,0,640,48", "+1,0,640,48", "0.5,0,640,48", "0x640"]
        {
            assert_eq!(rectangle(wrong).unwrap_err(), "is not four whole numbers", "{wrong}");
        }
        assert_eq!(rectangle("0,0,0,48").unwrap_err(), "has no area");
        assert_eq!(rectangle("0,0,48,0").unwrap_err(), "has no area");
        for wrong in ["16384,0,1,1", "0,16000,1,385", "4294967295,0,1,1", "0,4294967295,1,4294967295"] {
            assert_eq!(rectangle(wrong).unwrap_err(), "reaches beyond 16384 pixels", "{wrong}");
        }
        assert_eq!(rectangle_or_none("").unwrap(), None);
        assert!(rectangle_or_none("1").is_err());
    }

    #[test]
    fn spacing_is_row_and_column() {
        assert_eq!(spacing_or_none("0.2, 0.25").unwrap(), Some([0.2, 0.25]));
        assert_eq!(spacing_or_none("").unwrap(), None);
        for wrong in ["0.2", "0.2,0.2,0.2", "0.2;0.2", "0,0.2", "0.2,-1", "inf,1", "1,NaN", "1,2000", ","] {
            assert!(spacing_or_none(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,40}", numbers in "[0-9,+-]{0,24}") {
            for text in [&text, &numbers] {
                let _ = (device(text), rectangle(text), spacing_or_none(text));
                let _ = (device(&format!("/dev/{text}")), device(&format!("usb:{text}")));
            }
        }
    }
}
