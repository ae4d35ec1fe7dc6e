//! How long to wait after a failure: from a first pause, doubling, up to a longest one, each varied by
//! half so that many who failed together do not come back together.

use std::time::Duration;

/// The pauses of one row of failures.
#[derive(Debug)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl BackOff {
    /// `first` is the pause after one failure, `longest` the longest one.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first.min(longest) }
    }

    /// One more failure: how long to wait.
    pub fn pause(&mut self) -> Duration {
        let pause = self.vary(self.next);
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }

    /// The longest pause, for what will hardly mend by itself.
    pub fn longest(&self) -> Duration {
        self.vary(self.longest)
    }

    /// It works again.
    pub fn reset(&mut self) {
        self.next = self.first.min(self.longest);
    }

    fn vary(&self, pause: Duration) -> Duration {
        let [a, b, ..] = uuid::Uuid::new_v4().into_bytes();
        let share = f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX);
        pause.mul_f64(0.5 + share).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_half_and_start_again_after_success() {
        let mut backoff = BackOff::new(Duration::from_millis(100), Duration::from_secs(30));
        for expected in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            let pause = backoff.pause().as_millis();
            assert!(
                (expected / 2..=(expected * 3 / 2).min(30_000)).contains(&pause),
                "{pause} of {expected}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(150));
        assert!((15..=30).contains(&backoff.longest().as_secs()));
    }

    #[test]
    fn pauses_differ() {
        let mut backoff = BackOff::new(Duration::from_secs(10), Duration::from_secs(10));
        let first = backoff.pause();
        assert!((0..20).any(|_| backoff.pause() != first));
    }
}
