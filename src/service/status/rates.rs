//! How fast counts grow: each against what it was at the look before, a second or so ago.

use std::collections::HashMap;
use std::time::Instant;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// Instances published into a series, by its Series Instance UID.
    Series(String),
    /// Frames of a capture.
    Capture(String),
    /// Instances that a destination has taken.
    Destination(String),
}

/// The last look, and what had grown by then.
#[derive(Debug, Default)]
pub(super) struct Rates {
    at: Option<Instant>,
    known: HashMap<Of, (u64, f64)>,
}

impl Rates {
    /// Takes the counts as they are at `now`. What is not among them is forgotten.
    pub(super) fn look(&mut self, now: Instant, counts: impl IntoIterator<Item = (Of, u64)>) {
        let seconds = self.at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        let before = std::mem::take(&mut self.known);
        let rate = |of: &Of, count: u64| match before.get(of) {
            Some((then, _)) if seconds > 0.0 => count.saturating_sub(*then) as f64 / seconds,
            // What has begun since the look before has done all of it since.
            None if seconds > 0.0 => count as f64 / seconds,
            _ => 0.0,
        };
        self.known = counts.into_iter().map(|(of, count)| (of.clone(), (count, rate(&of, count)))).collect();
        self.at = Some(now);
    }

    /// How much this has grown, a second; to a tenth.
    pub(super) fn of(&self, of: &Of) -> f64 {
        self.known.get(of).map_or(0.0, |(_, rate)| (rate * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_is_what_has_come_since_the_look_before() {
        let (mut rates, begun) = (Rates::default(), Instant::now());
        let xa = || Of::Capture("xa".to_owned());
        rates.look(begun, [(xa(), 100)]);
        assert_eq!(rates.of(&xa()), 0.0, "nobody knows since when");
        rates.look(begun + Duration::from_secs(2), [(xa(), 130), (Of::Series("1.2".to_owned()), 3)]);
        assert_eq!((rates.of(&xa()), rates.of(&Of::Series("1.2".to_owned()))), (15.0, 1.5));
        rates.look(begun + Duration::from_secs(3), [(xa(), 130)]);
        assert_eq!((rates.of(&xa()), rates.of(&Of::Series("1.2".to_owned()))), (0.0, 0.0));
    }
}
