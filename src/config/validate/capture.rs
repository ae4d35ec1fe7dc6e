//! Video outputs: devices that two sections want, masks that promise what they cannot keep, and pictures
//! that are to go out as they are and changed at once.

use std::collections::BTreeMap;

use super::super::fragment::{Capture, Fragment, Withheld};
use super::super::settings::{CaptureSettings, Compression, PixelChoice, SeriesPolicy};
use super::super::text;
use super::{Validation, bounds};

/// Most masks of one picture; each costs time on every frame.
const MOST_MASKS: usize = 32;

/// Most AE titles of one modality; each message that passes is compared with them.
const MOST_AE_TITLES: usize = 16;

/// The slowest rate (frames per second) that is not "all of them".
const SLOWEST: f64 = 0.001;

impl Validation<'_> {
    pub(super) fn captures(&mut self, fragment: &Fragment) -> BTreeMap<String, CaptureSettings> {
        let sections = fragment.capture.iter();
        let captures = sections.map(|(name, section)| (name.clone(), self.capture(name, section))).collect();
        self.devices(&captures);
        captures
    }

    fn capture(&mut self, name: &str, section: &Capture) -> CaptureSettings {
        let default = CaptureSettings::default();
        let at = |key: &str| format!("capture.{name}.{key}");
        let crop = section.crop.as_deref().unwrap_or_default();
        let size = section.picture_size.as_deref().unwrap_or_default();
        let spacing = section.pixel_spacing.as_deref().unwrap_or_default();
        let masks = section.masks.iter().flatten();
        let text = |text: &Option<String>, default: String| text.clone().unwrap_or(default);
        let capture = CaptureSettings {
            device: text(&section.device, default.device),
            profile: text(&section.profile, default.profile),
            input: text(&section.input, default.input),
            sop_class: section.sop_class.unwrap_or(default.sop_class),
            modality: text(&section.modality, default.modality),
            pixels: section.pixels.unwrap_or(default.pixels),
            compression: section.compression.unwrap_or(default.compression),
            jpeg_quality: section.jpeg_quality.unwrap_or(default.jpeg_quality),
            matrix: section.matrix.unwrap_or(default.matrix),
            range: section.range.unwrap_or(default.range),
            deinterlace: section.deinterlace.unwrap_or(default.deinterlace),
            crop: self.typed(&at("crop"), text::rectangle_or_none(crop)).flatten(),
            masks: masks.filter_map(|mask| self.typed(&at("masks"), text::rectangle(mask))).collect(),
            masks_cover_identity: section.masks_cover_identity.unwrap_or(default.masks_cover_identity),
            picture_size: self.typed(&at("picture_size"), text::size(size)).flatten(),
            rate: section.rate.filter(|rate| *rate > 0.0),
            changes_only: section.changes_only.unwrap_or(default.changes_only),
            keep_alive: bounds::milliseconds(section.keep_alive_ms, default.keep_alive),
            series: section.series.unwrap_or(default.series),
            activity_quiet: bounds::seconds(section.activity_quiet_seconds, default.activity_quiet),
            activity_threshold: section.activity_threshold.unwrap_or(default.activity_threshold),
            patient_name: match &section.patient_name {
                Some(Withheld(name)) => name.clone(),
                None => default.patient_name,
            },
            study_description: text(&section.study_description, default.study_description),
            series_description: text(&section.series_description, default.series_description),
            body_part: text(&section.body_part, default.body_part),
            manufacturer: text(&section.manufacturer, default.manufacturer),
            model_name: text(&section.model_name, default.model_name),
            serial_number: text(&section.serial_number, default.serial_number),
            station_name: text(&section.station_name, default.station_name),
            pixel_spacing: self.typed(&at("pixel_spacing"), text::pixel_spacing(spacing)).flatten(),
            precedence: match &section.precedence {
                Some(words) => {
                    let who = words.iter().map(|word| text::provider(word));
                    who.filter_map(|who| self.typed(&at("precedence"), who)).collect()
                }
                None => default.precedence,
            },
            modality_ae_titles: section.modality_ae_titles.clone().unwrap_or_default(),
            stale: bounds::minutes(section.stale_minutes, default.stale),
            emergency_name: match &section.emergency_name {
                Some(Withheld(name)) => name.clone(),
                None => default.emergency_name,
            },
            mpps: text(&section.mpps, default.mpps),
        };
        self.believed(name, &capture);
        self.picture(name, &capture);
        self.pace(name, &capture);
        capture
    }

    /// What crop and masks promise, and what leaves pictures as they are.
    fn picture(&mut self, name: &str, capture: &CaptureSettings) {
        let at = |key: &str| format!("capture.{name}.{key}");
        if capture.masks.len() > MOST_MASKS {
            let what = format!("has {} masks", capture.masks.len());
            self.report(&[&at("masks")], what, format!("at most {MOST_MASKS}"));
        }
        if capture.masks_cover_identity && capture.masks.is_empty() && capture.crop.is_none() {
            self.report(
                &[&at("masks_cover_identity")],
                "promises that crop and masks cover every identity, and there are none",
                format!("{} or {} with it, or false", at("masks"), at("crop")),
            );
        }
        if capture.masks_cover_identity && capture.picture_size.is_none() {
            self.report(
                &[&at("masks_cover_identity")],
                "promises something of pictures of any size",
                format!("{} with it, or false", at("picture_size")),
            );
        }
        if capture.compression != Compression::AsCaptured {
            return;
        }
        let changed = [
            ("crop", capture.crop.is_some(), "no crop"),
            ("masks", !capture.masks.is_empty(), "no masks"),
            ("pixels", capture.pixels == PixelChoice::Grey, "pixels = \"color\""),
            ("series", capture.series == SeriesPolicy::Activity, "another series than \"activity\""),
        ];
        for (key, _, instead) in changed.into_iter().filter(|(_, set, _)| *set) {
            self.report(
                &[&at(key), &at("compression")],
                format!("looks into pictures, and {} passes them on unread", at("compression")),
                format!("another compression than \"as-captured\", or {instead}"),
            );
        }
    }

    /// Who says who is imaged.
    fn believed(&mut self, name: &str, capture: &CaptureSettings) {
        let at = |key: &str| format!("capture.{name}.{key}");
        let (mut once, mut listed) = (capture.precedence.clone(), capture.precedence.len());
        once.sort();
        once.dedup();
        if once.len() < listed {
            let accepted = "each of operator, mpps, association and worklist at most once";
            self.report(&[&at("precedence")], "lists one of them twice", accepted);
        }
        listed = capture.modality_ae_titles.len();
        if listed > MOST_AE_TITLES {
            let what = format!("has {listed} AE titles");
            self.report(&[&at("modality_ae_titles")], what, format!("at most {MOST_AE_TITLES}"));
        }
    }

    fn pace(&mut self, name: &str, capture: &CaptureSettings) {
        let at = |key: &str| format!("capture.{name}.{key}");
        if capture.rate.is_some_and(|rate| rate < SLOWEST) {
            let accepted = format!("{SLOWEST} to 1000 frames per second, or 0 for all of them");
            self.report(&[&at("rate")], "is too slow for video", accepted);
        }
    }

    /// Each capture has a device of its own, as far as the names tell.
    fn devices(&mut self, captures: &BTreeMap<String, CaptureSettings>) {
        let mut owners = BTreeMap::new();
        for (name, capture) in captures {
            // A section that leaves its device out has a place all the same.
            let (section, key) = (format!("capture.{name}"), format!("capture.{name}.device"));
            if capture.device == "auto" {
                if captures.len() > 1 {
                    let what = format!("{key} is \"auto\" beside other captures");
                    self.report(&[&key, &section], what, "the name of a device in each section");
                }
                continue;
            }
            // A file can be played to as many as like.
            if capture.device.starts_with("replay:") {
                continue;
            }
            let device = match capture.device.strip_prefix("usb:") {
                Some(ids) => format!("usb:{}", ids.to_ascii_lowercase()),
                None => capture.device.clone(),
            };
            if let Some(owner) = owners.insert(device, name) {
                let there = format!("capture.{owner}.device");
                let what = format!("is the device of {there} too");
                self.report(&[&key, &there], what, "a device of its own for each capture");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::load;
    use super::super::super::settings::{
        Deinterlace, MatrixChoice, Provider, RangeChoice, Rectangle, VideoSopClass,
    };
    use super::*;

    /// The captures of a file with a self-signed certificate; the first line of `text` is the second.
    fn captures(text: &str) -> Result<BTreeMap<String, CaptureSettings>, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f.toml");
        std::fs::write(&file, format!("dicomweb.tls.self_signed = true\n{text}")).unwrap();
        let place = format!("{}/", directory.path().display());
        load(Some(&file), std::iter::empty()).map(|loaded| loaded.settings.captures).map_err(|errors| {
            errors.problems.iter().map(|problem| problem.to_string().replace(&place, "")).collect()
        })
    }

    /// The one capture that these keys make.
    fn room(keys: &str) -> Result<CaptureSettings, Vec<String>> {
        captures(&format!("[capture.room]\n{keys}")).map(|captures| captures["room"].clone())
    }

    fn refused(keys: &str, problem: &str) {
        assert_eq!(room(keys).unwrap_err(), [problem], "{keys}");
    }

    #[test]
    fn without_a_section_there_is_none_and_an_empty_one_is_the_default() {
        assert!(captures("").unwrap().is_empty());
        assert_eq!(room("").unwrap(), CaptureSettings::default());
        assert_eq!(CaptureSettings::default().patient_name, "Unidentified^");
    }

    #[test]
    fn a_capture_is_taken_as_it_is_written() {
        let text = "device = '/dev/video2'\nprofile = 'cam-link-4k'\ninput = 'HDMI 0'\nsop_class = 'vl-endoscopic'\n\
                    modality = 'ES'\npixels = 'grey'\ncompression = 'jpeg-ls'\njpeg_quality = 71\nmatrix = 'bt709'\n\
                    range = 'limited'\ndeinterlace = 'bob'\ncrop = '320,0,1280,1080'\n\
                    masks = ['0,0,640,48', '0, 1032, 640, 48']\nmasks_cover_identity = true\npicture_size = '1920x1080'\nrate = 7.5\n\
                    changes_only = true\nkeep_alive_ms = 10\nseries = 'activity'\nactivity_quiet_seconds = 3\n\
                    activity_threshold = 0.5\npatient_name = 'Room^One'\nstudy_description = 'a'\n\
                    series_description = 'b'\nbody_part = 'COLON'\nmanufacturer = 'c'\nmodel_name = 'd'\n\
                    serial_number = 'e'\nstation_name = 'f'\npixel_spacing = '0.2,0.25'\n\
                    precedence = ['mpps', 'worklist']\nmodality_ae_titles = ['XA1', 'XA2']\nstale_minutes = 7\n\
                    emergency_name = 'Unknown^'\nmpps = 'ris'\n\
                    [mpps.ris]\naddress = 'ris.example:104'\nae_title = 'RIS'\n";
        let expected = CaptureSettings {
            device: "/dev/video2".into(),
            profile: "cam-link-4k".into(),
            input: "HDMI 0".into(),
            sop_class: VideoSopClass::VlEndoscopic,
            modality: "ES".into(),
            pixels: PixelChoice::Grey,
            compression: Compression::JpegLs,
            jpeg_quality: 71,
            matrix: MatrixChoice::Bt709,
            range: RangeChoice::Limited,
            deinterlace: Deinterlace::Bob,
            crop: Some(Rectangle { x: 320, y: 0, width: 1280, height: 1080 }),
            masks: vec![
                Rectangle { x: 0, y: 0, width: 640, height: 48 },
                Rectangle { x: 0, y: 1032, width: 640, height: 48 },
            ],
            masks_cover_identity: true,
            picture_size: Some((1920, 1080)),
            rate: Some(7.5),
            changes_only: true,
            keep_alive: Duration::from_millis(10),
            series: SeriesPolicy::Activity,
            activity_quiet: Duration::from_secs(3),
            activity_threshold: 0.5,
            patient_name: "Room^One".into(),
            study_description: "a".into(),
            series_description: "b".into(),
            body_part: "COLON".into(),
            manufacturer: "c".into(),
            model_name: "d".into(),
            serial_number: "e".into(),
            station_name: "f".into(),
            pixel_spacing: Some([0.2, 0.25]),
            precedence: vec![Provider::Mpps, Provider::Worklist],
            modality_ae_titles: vec!["XA1".into(), "XA2".into()],
            stale: Some(Duration::from_secs(420)),
            emergency_name: "Unknown^".into(),
            mpps: "ris".into(),
        };
        assert_eq!(room(text).unwrap(), expected);
    }

    #[test]
    fn debug_withholds_the_patients_name_and_nothing_else() {
        let shown = format!("{:?}", room("patient_name = 'Doe4711^Jane'\nmodel_name = 'M7'").unwrap());
        assert!(!shown.contains("4711"), "{shown}");
        assert!(shown.contains("named: true") && shown.contains("model_name: \"M7\""), "{shown}");
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_where_it_stands() {
        refused(
            "modality = 'xa'",
            "f.toml:3:12: capture.room.modality: \"xa\" is not up to 16 capital letters, digits, spaces and _; \
             accepted: 1 to 16 capital letters, digits, spaces and _ (CS), for instance \"XA\"",
        );
        refused(
            "crop = '0,0,0,48'",
            "f.toml:3:8: capture.room.crop: \"0,0,0,48\" has no area; \
             accepted: \"X,Y,WIDTH,HEIGHT\" (pixels, up to 16384), or \"\" for all of the picture",
        );
        for (keys, part) in [
            ("device = '/dev/../etc/passwd'", "device: \"/dev/../etc/passwd\" names no capture device"),
            ("profile = '../x'", "profile: \"../x\" is not a name"),
            ("input = 'a name of more than 31 characters'", "is longer than a driver's name"),
            ("sop_class = 'xa'", "sop_class: unknown \"xa\"; accepted: \"secondary-capture\" or"),
            ("modality = 'SEVENTEEN_LETTERS'", "is not up to 16 capital letters"),
            ("jpeg_quality = 0", "0 is out of range; accepted: integer, 1 to 100"),
            ("jpeg_quality = 101", "101 is out of range"),
            ("precedence = ['mpps', 'oracle']", "precedence: \"oracle\" says nothing of patients"),
            ("precedence = ['mpps', 'mpps']", "precedence: lists one of them twice"),
            ("modality_ae_titles = ['a\\b']", "modality_ae_titles: "),
            ("stale_minutes = 10081", "10081 is out of range"),
            ("mpps = '../x'", "mpps: \"../x\" is not a name"),
            ("masks = ['0,0,16385,1']", "reaches beyond 16384 pixels"),
            ("masks = [[0, 0, 1, 1]]", "wrong type, a list in a list of strings"),
            ("rate = 1000.5", "1000.5 is out of range"),
            ("rate = -1", "-1 is out of range"),
            ("keep_alive_ms = 9", "9 is out of range; accepted: integer, 10 to 600000 milliseconds"),
            ("activity_quiet_seconds = 0", "0 is out of range"),
            ("activity_threshold = 1.5", "1.5 is out of range"),
            ("activity_threshold = 0", "0 is out of range"),
            (
                "patient_name = 'a=b=c=d'",
                "patient_name: has more than three groups; accepted: name of a person",
            ),
            ("study_description = 'a\\b'", "has a backslash"),
            ("body_part = 'heart'", "is not up to 16 capital letters"),
            ("station_name = 'seventeen letters'", "is longer than 16 characters"),
            ("manufacturer = \"a\\tb\"", "holds a control character"),
            ("pixel_spacing = '0,0.2'", "is out of range"),
        ] {
            let problems = room(keys).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(part), "{problems:?}");
        }
    }

    #[test]
    fn masks_are_bounded_and_keep_what_they_promise() {
        let masks = |count| format!("masks = [{}]\n", vec!["'0,0,8,8'"; count].join(", "));
        assert_eq!(room(&masks(32)).unwrap().masks.len(), 32);
        refused(&masks(33), "f.toml:3:9: capture.room.masks: has 33 masks; accepted: at most 32");
        refused(
            "masks_cover_identity = true\npicture_size = '8x8'",
            "f.toml:3:24: capture.room.masks_cover_identity: promises that crop and masks cover every identity, \
             and there are none; accepted: capture.room.masks or capture.room.crop with it, or false",
        );
        for with in ["crop = '0,0,8,8'", "masks = ['0,0,8,8']"] {
            let with = format!("masks_cover_identity = true\n{with}");
            assert!(room(&format!("{with}\npicture_size = '8x8'")).unwrap().masks_cover_identity);
            assert!(room(&with).unwrap_err()[0].contains("pictures of any size"));
        }
    }

    #[test]
    fn what_goes_out_as_captured_is_not_changed() {
        let as_captured = "compression = 'as-captured'\n";
        refused(
            &format!("{as_captured}crop = '0,0,8,8'"),
            "f.toml:4:8: capture.room.crop: looks into pictures, and capture.room.compression passes them on \
             unread; accepted: another compression than \"as-captured\", or no crop",
        );
        let all = "crop = '0,0,8,8'\nmasks = ['0,0,8,8']\npixels = 'grey'\nseries = 'activity'";
        let problems = room(&format!("{as_captured}{all}")).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[2].ends_with("or pixels = \"color\""), "{problems:?}");
        assert!(room(&format!("compression = 'jpeg'\n{all}")).is_ok());
        for class in ["secondary-capture", "vl-photographic", "vl-endoscopic", "ultrasound"] {
            assert!(
                room(&format!("{as_captured}sop_class = '{class}'\nchanges_only = true")).is_ok(),
                "{class}"
            );
        }
    }

    #[test]
    fn a_rate_is_one_of_video() {
        assert_eq!(room("rate = 0").unwrap().rate, None);
        assert_eq!(room("rate = 1000").unwrap().rate, Some(1000.0));
        refused(
            "rate = 1e-300",
            "f.toml:3:8: capture.room.rate: is too slow for video; \
             accepted: 0.001 to 1000 frames per second, or 0 for all of them",
        );
    }

    #[test]
    fn each_capture_has_a_device_of_its_own() {
        let two = |a: &str, b: &str| captures(&format!("[capture.a]\n{a}\n[capture.b]\n{b}\n"));
        let problems = two("device = '/dev/video0'", "device = '/dev/video0'").unwrap_err();
        assert_eq!(
            problems,
            ["f.toml:5:10: capture.b.device: is the device of capture.a.device too; \
              accepted: a device of its own for each capture"]
        );
        assert_eq!(two("device = 'usb:0FD9:0066'", "device = 'usb:0fd9:0066'").unwrap_err().len(), 1);
        assert_eq!(two("device = '/dev/video0'", "device = '/dev/video1'").unwrap().len(), 2);
        assert_eq!(two("device = 'replay:/a.toml'", "device = 'replay:/a.toml'").unwrap().len(), 2);
        assert_eq!(
            two("", "device = '/dev/video1'").unwrap_err(),
            ["f.toml:2:10: capture.a: capture.a.device is \"auto\" beside other captures; \
              accepted: the name of a device in each section"]
        );
        assert_eq!(two("device = 'auto'", "").unwrap_err().len(), 2);
    }
}
