//! What is to be done with one device: what the configuration asks for, and what the hardware profile knows
//! of it where the configuration says `auto`.

use super::device::Device;
use super::find;
use super::format::Wanted;
use super::stream::Memory;
use crate::config::profile::{self, CaptureProfile, Conversion, DeviceFacts, Profiles};
use crate::config::settings::{
    CaptureSettings, Compression, Deinterlace, MatrixChoice, PixelChoice, RangeChoice, VideoSopClass,
};
use crate::context::Equipment;
use crate::frame::compress::Encoding;
use crate::frame::convert::{Options, Rectangle};
use crate::frame::video::{Matrix, Range, VideoDescription, VideoFormat};
use crate::instance::video::{SopClass, VideoSource};

/// The profile of a device of which these `facts` are known, and why it is that one.
///
/// # Errors
/// When the configuration names a profile that there is none of.
pub fn profile_of<'p>(
    settings: &CaptureSettings,
    profiles: &'p Profiles,
    facts: impl FnOnce() -> DeviceFacts,
) -> Result<(&'p CaptureProfile, String), String> {
    if settings.profile != "auto" {
        let named = profiles.capture(&settings.profile).map(|named| (named, "the configuration".to_owned()));
        return named.ok_or_else(|| {
            format!(
                "there is no hardware profile {:?}; `framegate devices` shows which fits",
                settings.profile
            )
        });
    }
    let fitting = profiles.capture_for(&facts());
    fitting
        .map(|(profile, why)| (profile, why.to_string()))
        .ok_or_else(|| "no hardware profile fits; name one in capture.*.profile".to_owned())
}

/// What profiles are matched by.
pub fn facts(device: &Device) -> DeviceFacts {
    let capabilities = device.capabilities();
    let found = find::devices().into_iter().find(|found| found.path == device.path());
    DeviceFacts {
        driver: capabilities.driver.clone(),
        card: capabilities.card.clone(),
        bus: capabilities.bus.clone(),
        usb: found.and_then(|found| found.usb),
        pci: None,
    }
}

/// Formats in the order in which they are to be asked for: as the profile prefers, but grey formats last
/// where colour is wanted, and JPEG first where it is to go out as it is.
pub fn formats(settings: &CaptureSettings, profile: &CaptureProfile) -> Vec<Wanted> {
    let mut formats: Vec<Wanted> =
        profile.formats.iter().filter_map(|fourcc| super::format::named(fourcc)).collect();
    let is_grey = |wanted: &Wanted| {
        matches!(wanted.format, VideoFormat::Grey | VideoFormat::Y10 | VideoFormat::Y12 | VideoFormat::Y16)
    };
    if settings.pixels == PixelChoice::Color {
        formats.sort_by_key(is_grey);
    }
    if settings.compression == Compression::AsCaptured {
        formats.sort_by_key(|wanted| wanted.format != VideoFormat::Mjpeg);
    }
    formats
}

/// Whether pictures have the size that crop, masks and spacing were made for.
///
/// # Errors
/// When they have not: nobody knows what masks cover then.
pub fn check_size(settings: &CaptureSettings, video: &VideoDescription) -> Result<(), String> {
    let (width, height) = (video.width, video.height);
    match settings.picture_size {
        Some((w, h)) if (w, h) != (width, height) => Err(format!(
            "pictures of {width}x{height} do not go out: crop, masks and pixel_spacing are for {w}x{h}; set the \
             modality's output to that, or capture.*.picture_size with them"
        )),
        _ => Ok(()),
    }
}

/// What frames are compressed to, if they are.
pub fn encoding(settings: &CaptureSettings, profile: &CaptureProfile) -> Option<Encoding> {
    let encoding = match settings.compression {
        Compression::None | Compression::AsCaptured => return None,
        Compression::Rle => Encoding::Rle,
        Compression::JpegLs => Encoding::JpegLs,
        Compression::Jpeg => Encoding::Jpeg { quality: settings.jpeg_quality },
    };
    let allows = |allowed: &Vec<Compression>| allowed.contains(&settings.compression);
    profile.cpu.compressions.as_ref().is_none_or(allows).then_some(encoding)
}

/// What an operator should know of a capture that streams well, how to mend it included; empty for nothing.
pub fn advice(settings: &CaptureSettings, profile: &CaptureProfile) -> &'static str {
    let wanted = !matches!(settings.compression, Compression::None | Compression::AsCaptured);
    if wanted && encoding(settings, profile).is_none() {
        return "frames go out uncompressed: the hardware profile (cpu.compressions) has no time for \
                capture.*.compression";
    }
    ""
}

/// What becomes of the pictures.
pub fn options(settings: &CaptureSettings, profile: &CaptureProfile) -> Options {
    let part = |part: &crate::config::settings::Rectangle| Rectangle {
        x: part.x,
        y: part.y,
        width: part.width,
        height: part.height,
    };
    let matrix = match (settings.matrix, profile.matrix) {
        (MatrixChoice::Bt601, _) | (MatrixChoice::Auto, MatrixChoice::Bt601) => Some(Matrix::Bt601),
        (MatrixChoice::Bt709, _) | (MatrixChoice::Auto, MatrixChoice::Bt709) => Some(Matrix::Bt709),
        (MatrixChoice::Auto, MatrixChoice::Auto) => None,
    };
    let range = match (settings.range, profile.range) {
        (RangeChoice::Limited, _) | (RangeChoice::Auto, RangeChoice::Limited) => Some(Range::Limited),
        (RangeChoice::Full, _) | (RangeChoice::Auto, RangeChoice::Full) => Some(Range::Full),
        (RangeChoice::Auto, RangeChoice::Auto) => None,
    };
    Options {
        color: settings.pixels == PixelChoice::Color,
        matrix,
        range,
        bob: settings.deinterlace == Deinterlace::Bob,
        crop: settings.crop.as_ref().map(part),
        masks: settings.masks.iter().map(part).collect(),
    }
}

/// What all instances of the device say of where they come from.
pub fn video_source(settings: &CaptureSettings, profile: &CaptureProfile, card: &str) -> VideoSource {
    let named =
        [&settings.manufacturer, &settings.model_name, &settings.serial_number, &settings.station_name];
    let behind = named.iter().any(|text| !text.is_empty()).then(|| Equipment {
        manufacturer: settings.manufacturer.clone(),
        model_name: settings.model_name.clone(),
        serial_number: settings.serial_number.clone(),
        software_versions: String::new(),
        station_name: settings.station_name.clone(),
    });
    VideoSource {
        sop_class: match settings.sop_class {
            VideoSopClass::SecondaryCapture => SopClass::SecondaryCapture,
            VideoSopClass::VlPhotographic => SopClass::VlPhotographic,
            VideoSopClass::VlEndoscopic => SopClass::VlEndoscopic,
            VideoSopClass::Ultrasound => SopClass::Ultrasound,
        },
        analog: profile.conversion == Conversion::DigitizedVideo,
        behind,
        burned_in: !settings.masks_cover_identity,
        pixel_spacing: settings.pixel_spacing,
        card: card.to_owned(),
    }
}

/// Where the bytes of frames lie.
pub fn memory(profile: &CaptureProfile) -> Memory {
    match profile.memory {
        profile::Memory::Mmap => Memory::Mmap,
        profile::Memory::Userptr => Memory::UserPtr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_that_a_profile_prefers_can_be_read() {
        for (_, profile) in Profiles::load(None).unwrap().captures() {
            for fourcc in &profile.formats {
                assert!(super::super::format::named(fourcc).is_some(), "{}: {fourcc}", profile.name);
            }
        }
    }

    #[test]
    fn colour_is_not_asked_of_a_grey_format_while_there_is_another() {
        let profiles = Profiles::load(None).unwrap();
        let profile = profiles.capture("generic-v4l2").unwrap();
        let color = CaptureSettings { pixels: PixelChoice::Color, ..CaptureSettings::default() };
        let asked = formats(&color, profile);
        assert_ne!(asked.first().unwrap().format, VideoFormat::Grey);
        assert!(asked.iter().any(|wanted| wanted.format == VideoFormat::Grey));
    }

    #[test]
    fn pictures_that_are_to_stay_as_they_are_are_asked_for_first() {
        let profiles = Profiles::load(None).unwrap();
        let profile = profiles.capture("generic-v4l2").unwrap();
        let settings = CaptureSettings { compression: Compression::AsCaptured, ..CaptureSettings::default() };
        assert_eq!(formats(&settings, profile).first().unwrap().format, VideoFormat::Mjpeg);
        assert_eq!(encoding(&settings, profile), None);
    }

    #[test]
    fn what_the_profile_has_no_time_for_is_not_compressed_and_somebody_is_told() {
        let profiles = Profiles::load(None).unwrap();
        let mut profile = profiles.capture("generic-v4l2").unwrap().clone();
        let settings = CaptureSettings { compression: Compression::Rle, ..CaptureSettings::default() };
        assert_eq!(encoding(&settings, &profile), Some(Encoding::Rle));
        assert_eq!(advice(&settings, &profile), "");
        profile.cpu.compressions = Some(vec![Compression::Jpeg]);
        assert_eq!(encoding(&settings, &profile), None);
        assert_ne!(advice(&settings, &profile), "");
        assert_eq!(advice(&CaptureSettings::default(), &profile), "");
    }

    #[test]
    fn the_configuration_says_more_than_the_profile() {
        let profiles = Profiles::load(None).unwrap();
        let mut profile = profiles.capture("generic-v4l2").unwrap().clone();
        (profile.range, profile.matrix) = (RangeChoice::Full, MatrixChoice::Bt601);
        let settings = CaptureSettings { range: RangeChoice::Limited, ..CaptureSettings::default() };
        let options = options(&settings, &profile);
        assert_eq!((options.range, options.matrix), (Some(Range::Limited), Some(Matrix::Bt601)));
    }

    #[test]
    fn nobody_is_behind_the_card_until_somebody_says_so() {
        let profiles = Profiles::load(None).unwrap();
        let profile = profiles.capture("generic-v4l2").unwrap();
        let mut settings = CaptureSettings::default();
        let source = video_source(&settings, profile, "card");
        assert!(source.behind.is_none() && source.burned_in && !source.analog);
        settings.station_name = "ROOM1".to_owned();
        settings.masks_cover_identity = true;
        let source = video_source(&settings, profile, "card");
        assert_eq!(source.behind.unwrap().station_name, "ROOM1");
        assert!(!source.burned_in);
    }
}
