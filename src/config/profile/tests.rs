//! The built-in profiles as they are, and files with every kind of fault.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;

use super::*;

const WHOLE: &str = r#"kind = "capture"
name = "tried"
summary = "A card"
formats = ["YUYV"]
timings = "none"
no_signal = "stall"
[match]
driver = ["tried"]
[facts]
documents = []
seen_on_device = []
"#;

fn with(name: &str, text: &str) -> Result<Profiles, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    Profiles::load(Some(folder.path())).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn every_file_of_the_folder_is_built_in_and_loads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/hw-profiles");
    let listed = |folder: &str, ending: &str| -> BTreeSet<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(ending)).collect()
    };
    let built_in: BTreeSet<_> = built_in::PROFILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed(folder, ".toml"), built_in);
    let edids: BTreeSet<_> =
        built_in::EDIDS.iter().map(|(name, _)| name.strip_prefix("edid/").unwrap().to_owned()).collect();
    assert_eq!(listed(&format!("{folder}/edid"), ".hex"), edids);
    let profiles = Profiles::load(None).unwrap();
    assert_eq!(profiles.captures().count() + profiles.boxes().count(), built_in.len());
}

#[test]
fn nothing_claims_to_have_been_tried_on_a_device() {
    let profiles = Profiles::load(None).unwrap();
    for (_, profile) in profiles.captures() {
        assert_eq!(profile.validated, None, "{}", profile.name);
        let tried = ["vivid", "generic-uvc"].contains(&profile.name.as_str());
        assert_eq!(profile.facts.seen_on_device.is_empty(), !tried, "{}", profile.name);
        // Whatever was seen, was seen in a virtual machine.
        assert!(profile.facts.seen_on_device.iter().all(|seen| seen.contains("virtual machine")));
    }
    assert!(profiles.boxes().all(|(_, profile)| profile.facts.seen_on_device.is_empty()));
}

#[test]
fn devices_and_boxes_find_their_profiles() {
    let profiles = Profiles::load(None).unwrap();
    let device = |driver: &str, card: &str, usb| DeviceFacts {
        driver: driver.to_owned(),
        card: card.to_owned(),
        usb,
        ..DeviceFacts::default()
    };
    for (facts, name, why) in [
        (
            device("uvcvideo", "Cam Link 4K: Cam Link 4K", Some((0x0fd9, 0x66))),
            "elgato-cam-link-4k",
            "usb 0fd9:0066",
        ),
        (device("uvcvideo", "AV.io HD: AV.io HD", None), "epiphan-avio", "card *AV.io*"),
        (device("uvcvideo", "USB Capture HDMI+", None), "magewell-usb-capture", "card *USB Capture HDMI*"),
        (device("uvcvideo", "Webcam", Some((1, 2))), "generic-uvc", "driver uvcvideo"),
        (device("vivid", "vivid", None), "vivid", "driver vivid"),
        (device("something", "new", None), "generic-v4l2", "nothing more specific fits"),
    ] {
        let (profile, found) = profiles.capture_for(&facts).unwrap();
        assert_eq!((profile.name.as_str(), found.to_string().as_str()), (name, why));
    }
    let board = |compatible: &[&str]| BoxFacts {
        compatible: compatible.iter().map(|&text| text.to_owned()).collect(),
        ..BoxFacts::default()
    };
    let found = profiles.box_for(&board(&["raspberrypi,4-compute-module", "brcm,bcm2711"])).unwrap();
    assert_eq!(found.0.name, "raspberry-pi-cm4");
    let nuc =
        BoxFacts { vendor: "Intel(R) Client Systems".into(), product: "NUC11".into(), compatible: vec![] };
    assert_eq!(profiles.box_for(&nuc).unwrap().0.name, "intel-nuc");
    assert_eq!(profiles.box_for(&BoxFacts::default()), None);
}

#[test]
fn an_operators_file_wins_over_the_built_in_one_of_its_name() {
    let text = WHOLE.replace("\"tried\"", "\"vivid\"");
    let profiles = with("vivid", &text).unwrap();
    assert_eq!(profiles.capture("vivid").unwrap().summary, "A card");
}

#[test]
fn a_fault_is_told_with_its_place_and_what_to_write() {
    assert!(with("tried", WHOLE).is_ok());
    for (from, to, told) in [
        ("formats = [\"YUYV\"]", "formats = []", "at least one fourcc"),
        ("timings = \"none\"", "timings = \"sometimes\"", "events"),
        ("summary = \"A card\"\n", "", "summary"),
        ("[match]", "colour = 1\n[match]", "colour"),
        ("[match]", "buffers = 1\n[match]", "2 to 32"),
        ("[match]", "edid = \"none\"\n[match]", "there is no edid/none.hex"),
        ("\"tried\"\nsummary", "\"other\"\nsummary", "name the file other.toml"),
        ("driver = [\"tried\"]", "usb = [\"1:2\"]", "no id"),
    ] {
        let errors = with("tried", &WHOLE.replacen(from, to, 1)).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains(told), "{errors:?}");
        assert!(errors[0].contains("tried.toml"), "{errors:?}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(start in 0..WHOLE.len(), text in "[ -~\n]{0,40}", length in 0..60_usize) {
        let mut broken: Vec<u8> = WHOLE.bytes().collect();
        let end = (start + length).min(broken.len());
        broken.splice(start..end, text.bytes());
        let _ = with("tried", &String::from_utf8_lossy(&broken));
    }
}
