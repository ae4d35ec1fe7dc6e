//! `framegate devices`: what capture devices there are, what each offers and sees, which hardware profile
//! fits and why, and what is wrong. For an engineer in front of the box; changes nothing on a device.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::config::profile::{OWN_PROFILES, Profiles};
use crate::service::status::box_facts;
use crate::source::capture::device::{Device, SignalHint};
use crate::source::capture::error::CaptureError;
use crate::source::capture::find::{self, Found};
use crate::source::capture::plan;
use crate::source::capture::timings::{self, NoTimings};

/// Options of `framegate devices`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All that is found.
#[derive(Debug, Serialize)]
struct Listing {
    #[serde(rename = "box")]
    machine: Machine,
    devices: Vec<Entry>,
}

#[derive(Debug, Default, Serialize)]
struct Machine {
    vendor: String,
    product: String,
    compatible: Vec<String>,
    profile: Option<Fitting>,
}

#[derive(Debug, Serialize)]
struct Fitting {
    name: String,
    why: String,
}

#[derive(Debug, Default, Serialize)]
struct Entry {
    path: String,
    driver: String,
    card: String,
    bus: String,
    usb: Option<String>,
    profile: Option<Fitting>,
    inputs: Vec<String>,
    signal: String,
    formats: Vec<String>,
    /// What is wrong and how to mend it; empty when all is well.
    advice: String,
}

/// Lists them.
pub(super) fn devices(options: Options) -> anyhow::Result<()> {
    let profiles = Profiles::load(Some(Path::new(OWN_PROFILES))).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("hardware profiles: {}", errors.join("; "))
    })?;
    let devices = find::devices().iter().filter_map(|found| entry(found, &profiles)).collect();
    let listing = Listing { machine: machine(&profiles), devices };
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer_pretty(&mut out, &listing)?;
        writeln!(out)?;
    } else {
        show(&mut out, &listing)?;
    }
    Ok(())
}

fn machine(profiles: &Profiles) -> Machine {
    let facts = box_facts();
    let profile = profiles
        .box_for(&facts)
        .map(|(profile, why)| Fitting { name: profile.name.clone(), why: why.to_string() });
    Machine { vendor: facts.vendor, product: facts.product, compatible: facts.compatible, profile }
}

/// `None` for a node that captures no video.
fn entry(found: &Found, profiles: &Profiles) -> Option<Entry> {
    let usb = found.usb.map(|(vendor, product)| format!("{vendor:04x}:{product:04x}"));
    let mut entry = Entry {
        path: found.path.display().to_string(),
        driver: found.driver.clone(),
        card: found.name.clone(),
        usb,
        ..Entry::default()
    };
    let device = match Device::open(&found.path) {
        Ok(device) => device,
        Err(CaptureError::Unsupported(_)) => return None,
        Err(error) => {
            entry.advice = error.to_string();
            return Some(entry);
        }
    };
    let capabilities = device.capabilities();
    entry.driver.clone_from(&capabilities.driver);
    entry.card.clone_from(&capabilities.card);
    entry.bus.clone_from(&capabilities.bus);
    entry.profile = profiles
        .capture_for(&plan::facts(&device))
        .map(|(profile, why)| Fitting { name: profile.name.clone(), why: why.to_string() });
    let current = device.input().map(|input| input.index);
    entry.inputs = device
        .inputs()
        .iter()
        .map(|input| {
            let mark = if Some(input.index) == current { "*" } else { "" };
            let signal = match input.signal {
                SignalHint::Good => "",
                SignalHint::NoSignal => " (no signal)",
                SignalHint::NoLock => " (no lock)",
            };
            format!("{}{mark} {}{signal}", input.index, input.name)
        })
        .collect();
    (entry.signal, entry.advice) = match timings::query(&device) {
        Ok(timings) => (timings.to_string(), String::new()),
        Err(NoTimings::Unsupported) => {
            ("the input has no timings; frames will show".to_owned(), String::new())
        }
        Err(error) => ("none".to_owned(), error.to_string()),
    };
    entry.formats = device
        .formats()
        .iter()
        .map(|offered| {
            let sizes: Vec<String> =
                offered.sizes.iter().take(8).map(|(width, height)| format!("{width}x{height}")).collect();
            let more = if offered.sizes.len() > sizes.len() { " …" } else { "" };
            let read = if offered.format.is_some() { "" } else { " (cannot be read)" };
            format!("{}{read} {}{more}", offered.fourcc.trim_end(), sizes.join(" ")).trim_end().to_owned()
        })
        .collect();
    Some(entry)
}

fn show(out: &mut impl Write, listing: &Listing) -> io::Result<()> {
    let Listing { machine, devices } = listing;
    let known = [machine.vendor.as_str(), machine.product.as_str()];
    let mut name = known.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    if name.is_empty() {
        name = machine.compatible.first().cloned().unwrap_or_else(|| "unknown".to_owned());
    }
    writeln!(out, "box: {name}")?;
    show_profile(out, machine.profile.as_ref())?;
    if devices.is_empty() {
        writeln!(out, "no capture device: is the card plugged in, and its driver loaded?")?;
    }
    for entry in devices {
        writeln!(out)?;
        writeln!(out, "{}: {}", entry.path, entry.card)?;
        show_profile(out, entry.profile.as_ref())?;
        let usb = entry.usb.as_ref().map(|usb| format!(", usb:{usb}")).unwrap_or_default();
        writeln!(out, "  driver: {}, bus:{}{usb}", entry.driver, entry.bus)?;
        for (title, lines) in [("inputs", &entry.inputs), ("formats", &entry.formats)] {
            if !lines.is_empty() {
                writeln!(out, "  {title}: {}", lines.join(", "))?;
            }
        }
        if !entry.signal.is_empty() {
            writeln!(out, "  signal: {}", entry.signal)?;
        }
        if !entry.advice.is_empty() {
            writeln!(out, "  to do: {}", entry.advice)?;
        }
    }
    Ok(())
}

fn show_profile(out: &mut impl Write, profile: Option<&Fitting>) -> io::Result<()> {
    match profile {
        Some(Fitting { name, why }) => writeln!(out, "  profile: {name} ({why})"),
        None => writeln!(out, "  profile: none fits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_listed_with_what_to_do() {
        let profiles = Profiles::load(None).unwrap();
        let found = Found {
            path: "/dev/no-such-video".into(),
            name: "Card".to_owned(),
            index: 0,
            usb: Some((0x0fd9, 0x66)),
            driver: "uvcvideo".to_owned(),
        };
        let devices = vec![entry(&found, &profiles).unwrap()];
        assert!(entry(&Found { path: "/dev/null".into(), ..found }, &profiles).is_none());
        let mut out = Vec::new();
        show(&mut out, &Listing { machine: Machine::default(), devices }).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("/dev/no-such-video: Card"), "{text}");
        assert!(text.contains("usb:0fd9:0066") && text.contains("to do: the device is gone"), "{text}");
    }

    #[test]
    fn nothing_found_is_said_plainly() {
        let mut out = Vec::new();
        show(&mut out, &Listing { machine: Machine::default(), devices: Vec::new() }).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("no capture device"));
    }
}
