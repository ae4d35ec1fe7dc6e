//! Hardware profiles: what has to be known of a capture device or a box that it does not say itself.
//!
//! One TOML file each. Those of `hw-profiles/` are part of the program; an operator's own, from a folder
//! (by default [`OWN_PROFILES`]), win over built-in ones of the same name. A file that is faulty in any way
//! makes the loading fail: a profile that is silently left out would show as a black picture in a cath lab.
//!
//! ```text
//! hw-profiles/*.toml (built in) ─┐            ┌─ capture_for(DeviceFacts) → profile, why
//! DIR/*.toml (the operator's)  ──┴─ Profiles ─┼─ box_for(BoxFacts)        → profile, why
//!                                             └─ capture(name), edid(name)
//! ```
//!
//! A [`Clip`] stands in for a device: frames of a file.
//!
//! Nothing here looks at hardware: what is known of a device comes in as plain data.

mod boxes;
mod built_in;
mod capture;
mod clip;
mod edid;
mod facts;
mod load;
mod matching;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use boxes::{BoxProfile, Storage, Thermal, Tpm, Watchdog};
pub use capture::{
    CaptureProfile, Conversion, Cpu, Limits, Memory, NoSignal, Quirk, Splash, Stamp, TimingsSource, UsbReset,
};
pub use clip::{Clip, ClipFields};
pub use facts::{Facts, Validated};
pub use load::ProfileError;
pub use matching::{BoxFacts, BoxMatch, CaptureMatch, DeviceFacts, DeviceId, Dmi, Key, Pattern, Why};

use self::matching::Fit;

/// Where an operator's own profiles are, unless told otherwise. It need not be there.
pub const OWN_PROFILES: &str = "/etc/framegate/hw-profiles";

/// Where a profile comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// It is part of the program.
    BuiltIn,
    /// It is the operator's.
    Own,
}

/// All profiles that hold here, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiles {
    captures: BTreeMap<String, (Provenance, CaptureProfile)>,
    boxes: BTreeMap<String, (Provenance, BoxProfile)>,
    edids: BTreeMap<String, Vec<u8>>,
}

impl Profiles {
    /// The capture profile of this name.
    pub fn capture(&self, name: &str) -> Option<&CaptureProfile> {
        self.captures.get(name).map(|(_, profile)| profile)
    }

    /// The box profile of this name.
    pub fn by_box_name(&self, name: &str) -> Option<&BoxProfile> {
        self.boxes.get(name).map(|(_, profile)| profile)
    }

    /// All capture profiles with where they come from, by name.
    pub fn captures(&self) -> impl Iterator<Item = (Provenance, &CaptureProfile)> {
        self.captures.values().map(|(provenance, profile)| (*provenance, profile))
    }

    /// All box profiles with where they come from, by name.
    pub fn boxes(&self) -> impl Iterator<Item = (Provenance, &BoxProfile)> {
        self.boxes.values().map(|(provenance, profile)| (*provenance, profile))
    }

    /// The EDID that a profile names: 128 or 256 bytes with right checksums. There is one for each name that
    /// a loaded profile has.
    pub fn edid(&self, name: &str) -> Option<&[u8]> {
        self.edids.get(name).map(Vec::as_slice)
    }

    /// The capture profile that fits a device best, and what it went by. `None` only where no profile fits
    /// anything (`match.any`), which the built-in `generic-v4l2` does.
    pub fn capture_for(&self, facts: &DeviceFacts) -> Option<(&CaptureProfile, Why)> {
        best(self.captures.values(), |profile| profile.matches.fit(facts))
    }

    /// The box profile that fits a box best, and what it went by.
    pub fn box_for(&self, facts: &BoxFacts) -> Option<(&BoxProfile, Why)> {
        best(self.boxes.values(), |profile| profile.matches.fit(facts))
    }
}

/// The best fit; of equal ones the operator's, and then the first by name.
fn best<'p, P>(
    profiles: impl Iterator<Item = &'p (Provenance, P)>,
    fit: impl Fn(&P) -> Option<Fit>,
) -> Option<(&'p P, Why)> {
    let fits = profiles.filter_map(|(provenance, profile)| Some((*provenance, profile, fit(profile)?)));
    let better = fits.reduce(|best, next| {
        let rank = |(provenance, _, fit): &(Provenance, &P, Fit)| (fit.rank(), *provenance);
        if rank(&next) > rank(&best) { next } else { best }
    });
    better.map(|(_, profile, fit)| (profile, fit.why))
}
