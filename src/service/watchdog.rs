//! Tells systemd that the service lives, where the unit has `WatchdogSec=` (sd_watchdog_enabled(3)). It is told by
//! whoever keeps the hub in order, when that is done: a hub whose lock is never given back, and threads of the
//! runtime that do not come back, end the service, and systemd starts it again.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

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

    /// The service lives; says whether systemd is told so now.
    pub(super) fn alive(&mut self, now: Instant) -> bool {
        let Some(every) = self.every else { return false };
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
        let told: Vec<_> =
            (0..25).filter(|at| watchdog.alive(now + Duration::from_millis(100) * *at)).collect();
        assert_eq!(told, [0, 10, 20]);
    }

    #[test]
    fn who_is_not_asked_says_nothing() {
        assert!(!Watchdog { every: None, told: None }.alive(Instant::now()));
    }
}
