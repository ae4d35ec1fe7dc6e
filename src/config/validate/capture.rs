//! `[capture.NAME]`: what one capture wants must not contradict itself, and no two may want one device.

use std::collections::BTreeMap;

use super::super::fragment::{Capture, Fragment};
use super::super::settings::{CaptureSettings, Compression, PixelChoice};
use super::super::text;
use super::{Validation, bounds};

/// Most masks of one picture.
const MOST_MASKS: usize = 32;

impl Validation<'_> {
    pub(super) fn captures(&mut self, fragment: &Fragment) -> BTreeMap<String, CaptureSettings> {
        let mut captures: BTreeMap<String, CaptureSettings> = BTreeMap::new();
        for (name, section) in &fragment.capture {
            let capture = self.capture(name, section);
            let rival = captures.iter().find(|(_, other)| {
                other.device == capture.device || other.device == "auto" || capture.device == "auto"
            });
            if let Some((other, _)) = rival {
                let keys = [format!("capture.{name}.device"), format!("capture.{other}.device")];
                self.report(
                    &[&keys[0], &keys[1]],
                    format!("may be the same device as {}", keys[1]),
                    "a device of its own for each capture, and \"auto\" only where there is one capture",
                );
            }
            captures.insert(name.clone(), capture);
        }
        captures
    }

    fn capture(&mut self, name: &str, section: &Capture) -> CaptureSettings {
        let default = CaptureSettings::default();
        let at = |key: &str| format!("capture.{name}.{key}");
        let text_of = |text: &Option<String>| text.clone().unwrap_or_default();
        let crop = section.crop.as_deref().unwrap_or_default();
        let spacing = section.pixel_spacing.as_deref().unwrap_or_default();
        let masks = section.masks.as_deref().unwrap_or_default();
        if masks.len() > MOST_MASKS {
            let what = format!("has {} rectangles", masks.len());
            self.report(&[&at("masks")], what, format!("at most {MOST_MASKS}"));
        }
        let capture = CaptureSettings {
            device: section.device.clone().unwrap_or(default.device),
            profile: section.profile.clone().unwrap_or(default.profile),
            input: text_of(&section.input),
            sop_class: section.sop_class.unwrap_or(default.sop_class),
            modality: section.modality.clone().unwrap_or(default.modality),
            pixels: section.pixels.unwrap_or(default.pixels),
            compression: section.compression.unwrap_or(default.compression),
            jpeg_quality: section.jpeg_quality.unwrap_or(default.jpeg_quality),
            matrix: section.matrix.unwrap_or(default.matrix),
            range: section.range.unwrap_or(default.range),
            deinterlace: section.deinterlace.unwrap_or(default.deinterlace),
            crop: self.typed(&at("crop"), text::rectangle_or_none(crop)).flatten(),
            masks: masks.iter().filter_map(|mask| self.typed(&at("masks"), text::rectangle(mask))).collect(),
            masks_cover_identity: section.masks_cover_identity.unwrap_or(default.masks_cover_identity),
            rate: section.rate.filter(|rate| *rate > 0.0),
            changes_only: section.changes_only.unwrap_or(default.changes_only),
            keep_alive: bounds::milliseconds(section.keep_alive_ms, default.keep_alive),
            series: section.series.unwrap_or(default.series),
            activity_quiet: bounds::seconds(section.activity_quiet_seconds, default.activity_quiet),
            activity_threshold: section.activity_threshold.unwrap_or(default.activity_threshold),
            patient_name: section.patient_name.as_ref().map_or(default.patient_name, |name| name.0.clone()),
            study_description: text_of(&section.study_description),
            series_description: text_of(&section.series_description),
            body_part: text_of(&section.body_part),
            manufacturer: text_of(&section.manufacturer),
            model_name: text_of(&section.model_name),
            serial_number: text_of(&section.serial_number),
            station_name: text_of(&section.station_name),
            pixel_spacing: self.typed(&at("pixel_spacing"), text::pixel_spacing(spacing)).flatten(),
        };
        self.consistent(&capture, &at);
        capture
    }

    fn consistent(&mut self, capture: &CaptureSettings, at: &dyn Fn(&str) -> String) {
        let untouched = capture.crop.is_none() && capture.masks.is_empty();
        if capture.masks_cover_identity && untouched {
            self.report(
                &[&at("masks_cover_identity")],
                "stands without a mask or a crop",
                "true only where masks or a crop take every name and number out of the picture",
            );
        }
        let grey = capture.pixels == PixelChoice::Grey;
        if capture.compression == Compression::AsCaptured && (!untouched || grey) {
            self.report(
                &[&at("compression"), &at("masks"), &at("crop"), &at("pixels")],
                "\"as-captured\" sends the pictures of the device as they are, and so without mask, crop or grey",
                "another compression, or none of these",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::settings::Settings;

    fn from(sections: &str) -> Result<Settings, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        std::fs::write(&file, format!("dicomweb.tls.self_signed = true\n{sections}")).unwrap();
        load(Some(&file), std::iter::empty())
            .map(|loaded| loaded.settings)
            .map_err(|errors| errors.problems.iter().map(ToString::to_string).collect())
    }

    fn refused(sections: &str, part: &str) {
        let problems = from(sections).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(part), "{problems:?}");
    }

    #[test]
    fn each_capture_has_a_device_of_its_own() {
        let two = |first: &str, second: &str| {
            format!("[capture.a]\ndevice = \"{first}\"\n[capture.b]\ndevice = \"{second}\"\n")
        };
        let settings = from(&two("/dev/video0", "usb:0fd9:0066")).unwrap();
        assert_eq!(settings.captures["b"].device, "usb:0fd9:0066");
        refused(&two("/dev/video0", "/dev/video0"), "capture.b.device");
        refused(&two("auto", "/dev/video0"), "may be the same device");
        assert_eq!(from("[capture.a]\n").unwrap().captures["a"].device, "auto");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        refused("[capture.a]\nmasks_cover_identity = true", "without a mask or a crop");
        refused("[capture.a]\ncompression = \"as-captured\"\npixels = \"grey\"", "as they are");
        refused("[capture.a]\ncompression = \"as-captured\"\nmasks = [\"0,0,9,9\"]", "as they are");
        let many = format!("[capture.a]\nmasks = [{}]", "\"0,0,9,9\",".repeat(33));
        refused(&many, "at most 32");
        refused("[capture.a]\nmasks = [\"0,0,9\"]", "four whole numbers");
        assert!(from("[capture.a]\nmasks_cover_identity = true\nmasks = [\"0,0,9,9\"]").is_ok());
    }

    #[test]
    fn a_name_is_shown_to_nobody() {
        let settings = from("[capture.a]\npatient_name = \"Doe^Jane\"").unwrap();
        assert_eq!(settings.captures["a"].patient_name, "Doe^Jane");
        assert!(!format!("{settings:?}").contains("Doe"));
    }
}
