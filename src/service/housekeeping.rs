//! What is done ten times a second: the hub and the subscriptions are kept in order, and systemd is told that the
//! service lives, as long as frames get through. And what is waited for at the end.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::progress::Progress;
use super::watchdog::Watchdog;
use crate::dicomweb::DicomwebCounters;
use crate::hub::Hub;
use crate::subscription::registry::Registry;

const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Waits until no open-ended response is being written.
pub(super) async fn streams_ended(counters: &DicomwebCounters) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    while counters.streams.get() > 0 {
        look.tick().await;
    }
}

/// Goes on until `stopping` turns true.
pub(super) async fn housekeeping(
    hub: Hub,
    registry: Registry,
    progress: Progress,
    mut stopping: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    let mut watchdog = Watchdog::of_unit();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            _ = tick.tick() => {
                hub.tick();
                registry.tick();
                watchdog.alive(Instant::now(), &progress);
            }
        }
    }
}
