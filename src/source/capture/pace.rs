//! Fewer frames than there are: those that keep an even rate are let through.

use std::time::Duration;

/// Lets through at most so many frames a second, as evenly as they come.
#[derive(Debug)]
pub struct Pace {
    /// From frame to frame; `None` lets all through.
    period: Option<Duration>,
    due: Option<Duration>,
}

impl Pace {
    /// At most `rate` frames a second; `None` for all.
    pub fn new(rate: Option<f64>) -> Self {
        let period = rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self { period: period.filter(|period| !period.is_zero()), due: None }
    }

    /// Whether the frame captured at `at` (`CLOCK_MONOTONIC`) goes out.
    pub fn lets_through(&mut self, at: Duration) -> bool {
        let Some(period) = self.period else { return true };
        match self.due {
            // Frames come a little early and late; half a frame of a doubled rate is more than that. A due
            // time further off than a period is of another clock.
            Some(due) if at + period / 4 < due && due - at <= period => false,
            // From where it was due, so that jitter does not add up, unless nothing came for long.
            Some(due) if at >= due && at - due < period => {
                self.due = Some(due + period);
                true
            }
            Some(due) if at < due && due - at <= period => {
                self.due = Some(due + period);
                true
            }
            _ => {
                self.due = Some(at + period);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(rate: f64, frames_a_second: u64, jitter_us: u64) -> usize {
        let mut pace = Pace::new(Some(rate));
        let stamp = |number: u64| {
            let shake = if number.is_multiple_of(2) { jitter_us } else { 0 };
            Duration::from_micros(5_000_000 + number * 1_000_000 / frames_a_second + shake)
        };
        (0..frames_a_second * 10).filter(|&number| pace.lets_through(stamp(number))).count()
    }

    #[test]
    fn a_rate_is_kept_in_spite_of_jitter() {
        for (rate, of, jitter, about) in [(15.0, 60, 0, 150), (30.0, 60, 2000, 300), (10.0, 25, 3000, 100)] {
            let kept = through(rate, of, jitter);
            assert!(kept.abs_diff(about) <= about / 50, "{rate} of {of}: {kept}");
        }
        assert_eq!(through(60.0, 30, 3000), 300);
    }

    #[test]
    fn no_rate_lets_all_through_and_a_stamp_of_another_clock_is_not_waited_for() {
        assert!(Pace::new(None).lets_through(Duration::ZERO));
        let mut pace = Pace::new(Some(1.0));
        assert!(pace.lets_through(Duration::from_secs(1_000_000)));
        assert!(pace.lets_through(Duration::from_secs(3)));
        assert!(!pace.lets_through(Duration::from_millis(3100)));
    }
}
