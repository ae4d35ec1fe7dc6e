//! Whether frames get through. Every second one of our own goes the way of all others: it is published into a series
//! that is listed nowhere, and a reader on a task of its own is woken and reads it to the end. What hangs on that way (a
//! lock that is never given back, threads of the runtime that do not come back) stops the probe, and with it
//! everything that says that the service lives: the watchdog ([`super::watchdog`]), `/livez`, a metric.
//!
//! Devices are not on this way. A driver that hangs keeps its own capture thread ([`super::heartbeats`]), and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use crate::context::{Context, Equipment};
use crate::frame::PixelDescription;
use crate::hub::{Cursor, End, From, Hub, Item};
use crate::instance::{Dataset, Instance, Uid, secondary_capture, uid};
use crate::source::pattern::Angiogram;

/// How often a frame is sent on its way.
const EVERY: Duration = Duration::from_secs(1);
/// After so long without one that has arrived nothing gets through.
const STALE: Duration = Duration::from_secs(5);
/// Rows and columns of the frame (pixels): the smallest that the pattern has.
const SIDE: u16 = 64;

/// When a frame last got through. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    base: Instant,
    /// Milliseconds since `base`.
    last: Arc<AtomicU64>,
}

impl Progress {
    /// One that counts as having got through at `now`, so that a start has its time.
    pub(super) fn new(now: Instant) -> Self {
        Self { base: now, last: Arc::default() }
    }

    /// One has got through.
    pub(super) fn made(&self, now: Instant) {
        let since = now.saturating_duration_since(self.base).as_millis();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago that was.
    pub(super) fn age(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.base).saturating_sub(last)
    }

    /// Whether frames get through.
    pub(super) fn is_made(&self, now: Instant) -> bool {
        self.age(now) < STALE
    }
}

/// Sends frames on their way until `stopping` turns true.
pub(super) async fn probe(hub: Hub, progress: Progress, mut stopping: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let Some(frame) = frame() else { return };
    loop {
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            _ = every.tick() => {}
        }
        // What hangs is not given up: nothing would be gained by it.
        let through = tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            through = send(&hub, &frame) => through,
        };
        if through {
            progress.made(Instant::now());
        }
    }
}

/// The data set and the pixels of a frame.
fn frame() -> Option<(Dataset, Bytes)> {
    let angiogram = Angiogram::new(SIDE, SIDE, 8, false, 1).ok()?;
    let description: PixelDescription = angiogram.description();
    let context = Context::pattern(SystemTime::now(), 1, Equipment::framegate("probe", "FRAMEGATE"));
    let dataset = secondary_capture::dataset(&context, &description, 1, SystemTime::now(), &uid::random());
    Some((dataset, Bytes::from(vec![0; description.frame_bytes()])))
}

/// Whether it arrives, whole and as the only one.
async fn send(hub: &Hub, (dataset, pixels): &(Dataset, Bytes)) -> bool {
    let Ok(instance) = Instance::native(dataset, pixels.clone()) else { return false };
    let (study, series): (Uid, Uid) = (instance.identity().study.clone(), instance.identity().series.clone());
    let Ok(publisher) = hub.open_unlisted(study, series, Dataset::new_empty()) else { return false };
    let mut reader = Cursor::new(publisher.series().clone(), From::Oldest);
    // A task of its own, so that it has to be woken.
    let reads = tokio::spawn(async move {
        let first = reader.next().await;
        let last = reader.next().await;
        matches!((first, last), (Item::Instance(_), Item::End(End::Completed)))
    });
    let published = publisher.publish(instance).is_ok();
    publisher.complete();
    reads.await.unwrap_or(false) && published
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::HubSettings;

    #[tokio::test]
    async fn a_frame_gets_through_and_nobody_notices() {
        let hub = Hub::new(HubSettings::default());
        let mut events = hub.events();
        assert!(send(&hub, &frame().unwrap()).await);
        assert!(send(&hub, &frame().unwrap()).await);
        assert!(events.try_recv().is_err());
        let occupancy = hub.occupancy();
        assert_eq!((occupancy.bytes, occupancy.instances, occupancy.evicted), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_hub_that_takes_nothing_is_no_progress() {
        let hub = Hub::new(HubSettings { budget_bytes: 1, ..HubSettings::default() });
        assert!(!send(&hub, &frame().unwrap()).await, "a frame that is larger than the budget");
        hub.shutdown();
        assert!(!send(&hub, &frame().unwrap()).await);
    }

    #[tokio::test]
    async fn the_probe_says_so_until_it_stops() {
        let begun = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let (progress, (stop, stopping)) = (Progress::new(begun), watch::channel(false));
        assert!(!progress.is_made(Instant::now()));
        let running = tokio::spawn(probe(Hub::new(HubSettings::default()), progress.clone(), stopping));
        while !progress.is_made(Instant::now()) {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
        running.await.unwrap();
        assert!(progress.is_made(Instant::now()));
        assert!(!progress.is_made(Instant::now() + STALE));
    }
}
