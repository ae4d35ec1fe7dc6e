//! The signal's own thread: waits for the events of a device, or asks its timings again and again where it
//! has none, and tells the capture thread that there is something to look at.
//!
//! It tells by raising a number that the capture thread compares with every frame, so a change is known
//! before the first frame of noise is published, and asking a slow receiver (over I²C it takes tens of
//! milliseconds) holds up no frame.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::device::Device;
use super::error::CaptureError;
use super::events::{DeviceEvent, Events};
use super::timings::{self, NoTimings, Timings};

/// How long one wait for an event is: as long as stopping may take.
const WAIT: Duration = Duration::from_millis(100);
/// How often timings are asked of a device that has no events.
const POLL: Duration = Duration::from_millis(500);

/// A device whose signal is watched, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    changes: AtomicU64,
    stop: AtomicBool,
}

impl Watch {
    /// Begins to watch. The calling thread is unparked with every change.
    ///
    /// # Errors
    /// When the device cannot be opened once more.
    pub fn start(path: &Path, input: u32) -> Result<Self, CaptureError> {
        let shared = Arc::new(Shared::default());
        let events = Events::subscribe(path, input)?;
        // Without events the device is asked, on a descriptor of its own.
        let asked = if events.is_none() { Some(Device::open(path)?) } else { None };
        let (watching, capture) = (shared.clone(), thread::current());
        let run = move || {
            let told = || {
                watching.changes.fetch_add(1, Ordering::Release);
                capture.unpark();
            };
            match (events, asked) {
                (Some(events), _) => wait(&events, &watching.stop, told),
                (None, Some(device)) => poll(&device, &watching.stop, told),
                (None, None) => {}
            }
        };
        // Without a thread changes are still seen, late: a stream that has stopped is looked at.
        let thread = thread::Builder::new().name("signal".to_owned()).spawn(run).ok();
        Ok(Self { shared, thread })
    }

    /// How often something has changed so far.
    pub fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that could panic, and there would be nothing to do about it.
            let _ = thread.join();
        }
    }
}

fn wait(events: &Events, stop: &AtomicBool, told: impl Fn()) {
    while !stop.load(Ordering::Relaxed) {
        match events.wait(WAIT) {
            Ok(Some(DeviceEvent::SourceChange)) => told(),
            Ok(Some(DeviceEvent::Other) | None) => {}
            // The capture thread finds out what it is.
            Err(_) => return told(),
        }
    }
}

fn poll(device: &Device, stop: &AtomicBool, told: impl Fn()) {
    let mut before: Option<Result<Timings, NoTimings>> = None;
    while !stop.load(Ordering::Relaxed) {
        let now = timings::query(device);
        if now == Err(NoTimings::Unsupported) {
            return;
        }
        if before.replace(now).is_some_and(|before| before != now) {
            told();
        }
        thread::park_timeout(POLL);
    }
}
