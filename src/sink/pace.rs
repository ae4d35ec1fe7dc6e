//! Even decimation of a stream to a rate that its reader can take.

use std::time::{Duration, Instant};

/// Even decimation to a rate, by the time at which instances became available, so that it gives
/// the same instances to a reader that catches up as to one that keeps pace.
#[derive(Debug)]
pub struct Pace {
    period: Duration,
    due: Option<Instant>,
}

impl Pace {
    /// At most `rate` instances a second (above 0).
    pub fn new(rate: f64) -> Self {
        Self { period: Duration::from_secs_f64(1.0 / rate), due: None }
    }

    /// Whether the instance that became available at `time` goes out.
    pub fn admits(&mut self, time: Instant) -> bool {
        match self.due {
            // Some grace keeps a source at about the same rate from losing frames to jitter.
            Some(due) if time + self.period / 8 < due => false,
            Some(due) => {
                // After a pause the grid starts again rather than letting a burst through.
                self.due = Some((due + self.period).max(time + self.period / 2));
                true
            }
            None => {
                self.due = Some(time + self.period);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of `count` frames at `fps` go out at `rate`.
    fn kept(fps: f64, rate: f64, count: u32) -> Vec<u32> {
        let mut pace = Pace::new(rate);
        let start = Instant::now();
        (0..count).filter(|&n| pace.admits(start + Duration::from_secs_f64(f64::from(n) / fps))).collect()
    }

    #[test]
    fn decimation_is_even() {
        assert_eq!(kept(30.0, 30.0, 10), (0..10).collect::<Vec<_>>());
        assert_eq!(kept(30.0, 100.0, 10), (0..10).collect::<Vec<_>>());
        assert_eq!(kept(30.0, 10.0, 12), [0, 3, 6, 9]);
        let seven = kept(30.0, 7.0, 300);
        assert!((69..=72).contains(&seven.len()), "{}", seven.len());
        assert!(seven.windows(2).all(|pair| (3..=5).contains(&(pair[1] - pair[0]))), "{seven:?}");
    }

    #[test]
    fn a_pause_is_followed_by_no_burst() {
        let mut pace = Pace::new(10.0);
        let start = Instant::now();
        assert!(pace.admits(start));
        let later = start + Duration::from_secs(60);
        let burst = (0..30).filter(|&n| pace.admits(later + Duration::from_millis(n))).count();
        assert!(burst <= 2, "{burst}");
    }
}
