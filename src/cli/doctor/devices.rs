//! Capture devices: those that the configuration asks for, and those that nobody has asked for.

use std::path::Path;

use super::check::Check;
use crate::config::settings::{CaptureSettings, Settings};
use crate::source::capture::device::{Device, SignalHint};
use crate::source::capture::find;
use crate::source::capture::replay::{PREFIX, Replay};
use crate::source::capture::timings::{self, NoTimings};

/// A block of an EDID, and how the first begins (VESA E-EDID 1.4 §3.1).
const BLOCK: usize = 128;
const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];

/// Each configured capture, and how many devices nobody uses.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks: Vec<_> =
        settings.captures.iter().flat_map(|(name, capture)| capture_checks(name, capture)).collect();
    if checks.is_empty() {
        let found = find::devices().len();
        let said =
            format!("no [capture.NAME] is configured; {found} video nodes are there (framegate devices)");
        checks.push(Check::of("devices", "captures").skipped(said));
    }
    checks
}

fn capture_checks(name: &str, settings: &CaptureSettings) -> Vec<Check> {
    let check = || Check::of("devices", format!("capture {name}"));
    if let Some(file) = settings.device.strip_prefix(PREFIX) {
        return vec![match Replay::open(Path::new(file)) {
            Ok(_) => check().ok("the recorded frames can be played"),
            Err(error) => {
                check().error(error.to_string(), format!("correct the file, or capture.{name}.device"))
            }
        }];
    }
    let device = match find::open(&settings.device) {
        Ok(device) => device,
        Err(error) => {
            let mend = "is the card plugged in, and its driver loaded? framegate devices lists what there is";
            return vec![check().error(error.to_string(), mend)];
        }
    };
    let capabilities = device.capabilities();
    let found = format!("{}, {} ({})", device.path().display(), capabilities.card, capabilities.driver);
    let input =
        settings.input.parse().ok().or_else(|| device.input().map(|input| input.index)).unwrap_or_default();
    vec![check().ok(found), signal(name, &device), edid(name, &device, input)]
}

fn signal(name: &str, device: &Device) -> Check {
    let check = Check::of("devices", format!("signal of capture {name}"));
    match timings::query(device) {
        Ok(timings) => check.ok(timings.to_string()),
        Err(NoTimings::Unsupported) => match device.input().map(|input| input.signal) {
            Some(SignalHint::NoSignal) => {
                check.warning("no signal", "is the cable plugged in at both ends, and the output on?")
            }
            Some(SignalHint::NoLock) => {
                check.warning("unstable signal", "try another cable, or a shorter one")
            }
            Some(SignalHint::Good) | None => check.skipped("the device does not say; frames will show"),
        },
        Err(error) => {
            check.warning(error.to_string(), "is the cable plugged in at both ends, and the output on?")
        }
    }
}

fn edid(name: &str, device: &Device, input: u32) -> Check {
    let check = Check::of("devices", format!("EDID of capture {name}"));
    match device.edid(input) {
        None => check.skipped("the device keeps its own, and shows none"),
        Some(edid) => match judged(&edid) {
            Ok(who) => check.ok(who),
            Err(what) => check.warning(
                what,
                "name an edid in a hardware profile: a modality that reads none may send nothing, or another mode",
            ),
        },
    }
}

/// Whom an EDID names, if it is whole.
fn judged(edid: &[u8]) -> Result<String, &'static str> {
    if edid.is_empty() {
        return Err("there is none");
    }
    if !edid.starts_with(&HEADER) {
        return Err("it is none: its header is wrong");
    }
    let sums = edid.chunks(BLOCK).map(|block| block.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
    if !edid.len().is_multiple_of(BLOCK) || sums.into_iter().any(|sum| sum != 0) {
        return Err("its checksum is wrong");
    }
    let [first, second] = [edid.get(8), edid.get(9)].map(|byte| u16::from(byte.copied().unwrap_or_default()));
    let id = first << 8 | second;
    let letter = |shift: u16| char::from(b'@' + u8::try_from(id >> shift & 0x1f).unwrap_or_default());
    Ok(format!("{} blocks, of {}{}{}", edid.len() / BLOCK, letter(10), letter(5), letter(0)))
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn an_edid_is_whole_or_not() {
        let mut edid = vec![0_u8; BLOCK];
        assert!(judged(&edid).is_err() && judged(&[]).is_err());
        edid.splice(..8, HEADER);
        (edid[8], edid[9]) = (0x31, 0xd8);
        let sum = edid.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        edid[127] = 0_u8.wrapping_sub(sum);
        assert_eq!(judged(&edid).unwrap(), "1 blocks, of LNX");
        edid[20] = 1;
        assert_eq!(judged(&edid), Err("its checksum is wrong"));
    }

    #[test]
    fn a_capture_without_its_device_is_an_error_and_none_is_none() {
        let mut settings = Settings::default();
        assert_eq!(
            checks(&settings).iter().map(|check| check.outcome).collect::<Vec<_>>(),
            [Outcome::Skipped]
        );
        for device in ["/dev/no-such-video", "replay:/no/such/clip.toml"] {
            let capture = CaptureSettings { device: device.to_owned(), ..CaptureSettings::default() };
            settings.captures.insert("xa".to_owned(), capture);
            let [check] = &checks(&settings)[..] else { panic!("one check") };
            assert!(check.outcome == Outcome::Error && !check.mend.is_empty(), "{check:?}");
        }
    }
}
