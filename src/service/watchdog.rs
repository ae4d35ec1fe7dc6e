//! Tells systemd that the service lives, where the unit has `WatchdogSec=` (sd_watchdog_enabled(3)). It is told by
//! whoever keeps the hub in order, when that is done, and only while frames get through ([`Progress`]): a lock that is
//! never given back, and threads of the runtime that do not come back, end the service, and systemd starts it again.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::progress::Progress;

/// How many times within the unit's time it is told.
const TIMES: u32 = 3;

/// When systemd is to be told next.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// `None` where systemd does not ask.
    every: Option<Duration>,
    told: Option<Instant>,
}

impl Watchdog {
    /// As the unit wants it.
    pub(super) fn of_unit() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|within| within / TIMES), told: None }
    }

    /// The hub is in order; says whether systemd is told now that the service lives.
    pub(super) fn alive(&mut self, now: Instant, progress: &Progress) -> bool {
        let Some(every) = self.every else { return false };
        if !progress.is_made(now) {
            return false;
        }
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < every) {
            return false;
        }
        self.told = Some(now);
        super::notify(&[NotifyState::Watchdog]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_in_time_and_not_more_often() {
        let mut watchdog = Watchdog { every: Some(Duration::from_secs(1)), told: None };
        let now = Instant::now();
        let progress = Progress::new(now);
        let told: Vec<_> =
            (0..25).filter(|at| watchdog.alive(now + Duration::from_millis(100) * *at, &progress)).collect();
        assert_eq!(told, [0, 10, 20]);
    }

    #[test]
    fn where_no_frame_gets_through_systemd_is_told_nothing() {
        let mut watchdog = Watchdog { every: Some(Duration::from_secs(1)), told: None };
        let now = Instant::now();
        let progress = Progress::new(now);
        let last = (0..100).filter(|at| watchdog.alive(now + Duration::from_secs(1) * *at, &progress)).max();
        assert_eq!(last, Some(4), "the probe has hung since it began");
        progress.made(now + Duration::from_secs(200));
        assert!(watchdog.alive(now + Duration::from_secs(201), &progress), "it has come back");
    }

    #[test]
    fn who_is_not_asked_says_nothing() {
        let now = Instant::now();
        assert!(!Watchdog { every: None, told: None }.alive(now, &Progress::new(now)));
    }
}
