//! Pictures that do not change: those that need not go out again, and those that are no picture at all.
//!
//! A device that cannot tell of its signal shows the loss of it in what it delivers: its maker's splash, or
//! the last picture for ever. Which of the two is said by the hardware profile, and nothing is concluded
//! from a still picture elsewhere: a monitor may hold its last image for minutes.

use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::log_events;
use crate::config::profile::{CaptureProfile, NoSignal};

/// What a picture is beside those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// A picture that differs from the one before; that one, if there was one.
    Changed(Option<Bytes>),
    /// The same as the one before.
    Same,
    /// The device's own, or its last one: there is no signal.
    NoSignal,
}

/// Remembers the pictures before.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    /// The last one; of fields that become a frame each, that of each.
    before: [Option<Bytes>; 2],
    /// Since when it has been the same.
    since: Option<Instant>,
    /// Splashes as they were converted, once they have been recognised by their sum: to compare them costs
    /// next to nothing, since pictures differ in their first bytes already.
    splashes: Vec<Bytes>,
}

impl Stillness {
    /// Whether anything is to be known of pictures, by the profile.
    pub(super) fn tells_of_signal(profile: &CaptureProfile) -> bool {
        matches!(profile.no_signal, NoSignal::Splash | NoSignal::Frozen)
    }

    /// Looks at a picture of the `nth` field (0 for whole ones). `buffer` gives the bytes that the device
    /// delivered, plane by plane.
    pub(super) fn look(
        &mut self,
        capture: &str,
        pixels: &Bytes,
        nth: usize,
        profile: &CaptureProfile,
        now: Instant,
        buffer: impl FnOnce() -> Vec<u8>,
    ) -> Look {
        let Some(place) = self.before.get_mut(nth.min(1)) else { return Look::Changed(None) };
        let same = place.as_ref().is_some_and(|before| before == pixels);
        let before = place.replace(pixels.clone());
        let began = !same || self.since.is_none();
        if !same && nth == 0 {
            self.since = None;
        }
        if same {
            self.since.get_or_insert(now);
        }
        let stands = self.since.map(|since| now.saturating_duration_since(since));
        let lost = match profile.no_signal {
            NoSignal::Frozen => stands.is_some_and(|stands| stands >= profile.stall),
            NoSignal::Splash => self.is_splash(capture, pixels, profile, same, began, buffer),
            NoSignal::Event | NoSignal::Stall => false,
        };
        match (lost, same) {
            (true, _) => Look::NoSignal,
            (false, true) => Look::Same,
            (false, false) => Look::Changed(before),
        }
    }

    /// Whether the device's maker drew it. `began`: it differs from the one before, or stands for the first
    /// time.
    fn is_splash(
        &mut self,
        capture: &str,
        pixels: &Bytes,
        profile: &CaptureProfile,
        same: bool,
        began: bool,
        buffer: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        if self.splashes.contains(pixels) {
            return true;
        }
        // Until all are known every new picture may be one. What stands without a cable is told to whoever
        // writes the profile.
        if !began || (!same && self.splashes.len() >= profile.splash.len()) {
            return false;
        }
        let sum = digest(&SHA256, &buffer());
        if profile.splash.iter().any(|splash| splash.sha256 == sum.as_ref()) {
            self.splashes.push(pixels.clone());
            return true;
        }
        if same {
            log_events::StandsStill { capture, sha256: &hex(sum.as_ref()) }.tell();
        }
        false
    }

    /// Another stream begins: nothing before it counts.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::profile::{Profiles, Splash};

    fn profile(no_signal: NoSignal, splash: &[u8]) -> CaptureProfile {
        let mut profile = Profiles::load(None).unwrap().capture("generic-uvc").unwrap().clone();
        profile.no_signal = no_signal;
        profile.stall = Duration::from_millis(500);
        let sha256 = digest(&SHA256, splash).as_ref().try_into().unwrap();
        profile.splash = vec![Splash { sha256, seen: "here".to_owned() }];
        profile
    }

    fn looks(profile: &CaptureProfile, pictures: &[(&'static [u8], u64)]) -> Vec<Look> {
        let start = Instant::now();
        let mut still = Stillness::default();
        let look = |&(picture, at): &(&'static [u8], u64)| {
            let now = start + Duration::from_millis(at);
            still.look("room", &Bytes::from_static(picture), 0, profile, now, || picture.to_vec())
        };
        pictures.iter().map(look).collect()
    }

    fn changed(before: Option<&'static [u8]>) -> Look {
        Look::Changed(before.map(Bytes::from_static))
    }

    #[test]
    fn a_splash_is_recognised_at_first_sight() {
        let profile = profile(NoSignal::Splash, b"splash");
        let seen = looks(
            &profile,
            &[
                (b"a", 0),
                (b"a", 1),
                (b"splash", 2),
                (b"splash", 3),
                (b"b", 4),
                (b"splash", 5),
                (b"b", 6),
                (b"b", 7),
            ],
        );
        let wanted = [
            changed(None),
            Look::Same,
            Look::NoSignal,
            Look::NoSignal,
            changed(Some(b"splash")),
            Look::NoSignal,
            changed(Some(b"splash")),
            Look::Same,
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn no_sum_is_made_once_every_splash_is_known() {
        let profile = profile(NoSignal::Splash, b"splash");
        let mut still = Stillness::default();
        let (now, sums) = (Instant::now(), std::cell::Cell::new(0));
        let mut look = |picture: &'static [u8]| {
            still.look("room", &Bytes::from_static(picture), 0, &profile, now, || {
                sums.set(sums.get() + 1);
                picture.to_vec()
            })
        };
        look(b"a");
        look(b"splash");
        assert_eq!(sums.get(), 2);
        look(b"b");
        look(b"c");
        assert_eq!(look(b"splash"), Look::NoSignal);
        assert_eq!(sums.get(), 2);
    }

    #[test]
    fn a_frozen_picture_means_no_signal_only_after_a_while_and_only_where_the_profile_says_so() {
        let pictures: [(&'static [u8], u64); 5] =
            [(b"a", 0), (b"a", 100), (b"a", 599), (b"a", 600), (b"b", 616)];
        let frozen = looks(&profile(NoSignal::Frozen, b""), &pictures);
        let wanted = [changed(None), Look::Same, Look::Same, Look::NoSignal, changed(Some(b"a"))];
        assert_eq!(frozen, wanted);
        let event = looks(&profile(NoSignal::Event, b"a"), &pictures);
        assert!(!event.contains(&Look::NoSignal));
    }

    #[test]
    fn fields_are_held_against_fields_of_their_kind() {
        let profile = profile(NoSignal::Event, b"");
        let mut still = Stillness::default();
        let now = Instant::now();
        let mut look = |picture: &'static [u8], nth| {
            still.look("room", &Bytes::from_static(picture), nth, &profile, now, Vec::new)
        };
        assert_eq!(look(b"top", 0), changed(None));
        assert_eq!(look(b"bottom", 1), changed(None));
        assert_eq!(look(b"top", 0), Look::Same);
        assert_eq!(look(b"bottom", 1), Look::Same);
    }
}
