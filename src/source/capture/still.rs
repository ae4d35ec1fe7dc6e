//! Pictures that do not change: those that need not go out again, and those that are no picture at all.
//!
//! A device that cannot tell of its signal shows the loss of it in what it delivers: its maker's splash, or
//! the last picture for ever. Which of the two is said by the hardware profile, and nothing is concluded
//! from a still picture elsewhere: a monitor may hold its last image for minutes.

use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

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
    /// A splash as it was converted, once it has been recognised: it is known at first sight then.
    splash: Option<Bytes>,
    /// The standing picture is a splash; `None` while nobody has looked.
    is_splash: Option<bool>,
}

impl Stillness {
    /// Whether anything is to be known of pictures, by the profile.
    pub(super) fn tells_of_signal(profile: &CaptureProfile) -> bool {
        matches!(profile.no_signal, NoSignal::Splash | NoSignal::Frozen)
    }

    /// Looks at a picture of the `nth` field (0 for whole ones). `buffer` gives the bytes that the device
    /// delivered, plane by plane; it is asked once for a picture that stands still.
    pub(super) fn look(
        &mut self,
        pixels: &Bytes,
        nth: usize,
        profile: &CaptureProfile,
        now: Instant,
        buffer: impl FnOnce() -> Vec<u8>,
    ) -> Look {
        let Some(place) = self.before.get_mut(nth.min(1)) else { return Look::Changed(None) };
        // Pictures that move differ in their first bytes already.
        let same = place.as_ref().is_some_and(|before| before == pixels);
        let before = place.replace(pixels.clone());
        if profile.no_signal == NoSignal::Splash && self.splash.as_ref() == Some(pixels) {
            return Look::NoSignal;
        }
        if !same {
            if nth == 0 {
                self.since = None;
                self.is_splash = None;
            }
            return Look::Changed(before);
        }
        let since = *self.since.get_or_insert(now);
        let lost = match profile.no_signal {
            NoSignal::Frozen => now.saturating_duration_since(since) >= profile.stall,
            NoSignal::Splash => *self.is_splash.get_or_insert_with(|| {
                let sum = digest(&SHA256, &buffer());
                // For whoever writes the profile: what stands still without a cable is the splash.
                tracing::info!(sha256 = hex(sum.as_ref()), "the picture stands still");
                let known = profile.splash.iter().any(|splash| splash.sha256 == sum.as_ref());
                if known {
                    self.splash = Some(pixels.clone());
                }
                known
            }),
            NoSignal::Event | NoSignal::Stall => false,
        };
        if lost { Look::NoSignal } else { Look::Same }
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
            still.look(&Bytes::from_static(picture), 0, profile, now, || picture.to_vec())
        };
        pictures.iter().map(look).collect()
    }

    fn changed(before: Option<&'static [u8]>) -> Look {
        Look::Changed(before.map(Bytes::from_static))
    }

    #[test]
    fn a_splash_is_recognised_when_it_stands_and_at_first_sight_from_then_on() {
        let profile = profile(NoSignal::Splash, b"splash");
        let seen = looks(
            &profile,
            &[
                (b"a", 0),
                (b"a", 1),
                (b"splash", 2),
                (b"splash", 3),
                (b"splash", 4),
                (b"b", 5),
                (b"splash", 6),
                (b"b", 7),
                (b"b", 8),
            ],
        );
        let wanted = [
            changed(None),
            Look::Same,
            changed(Some(b"a")),
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
            still.look(&Bytes::from_static(picture), nth, &profile, now, Vec::new)
        };
        assert_eq!(look(b"top", 0), changed(None));
        assert_eq!(look(b"bottom", 1), changed(None));
        assert_eq!(look(b"top", 0), Look::Same);
        assert_eq!(look(b"bottom", 1), Look::Same);
    }
}
