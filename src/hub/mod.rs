//! The hub: the registry of live series and the feed of their events.
//!
//! A source opens a series and gets a [`Publisher`]; a sink finds the [`LiveSeries`] and reads it
//! through a [`Cursor`]. Invariants:
//!
//! - The publisher never waits: [`Publisher::publish`] takes two short locks, whatever readers do.
//! - One budget bounds the bytes of all rings together; an instance is let in only after enough
//!   of the oldest ones, of whatever series, have left.
//! - No reader sees an instance twice or out of order; what it missed is counted exactly, and what its
//!   source had lost is told apart from what left before it was read.
//! - Readers cost no copy: everybody shares one [`Instance`].
//!
//! Lock order: the hub's state before a series' own. Instances are dropped outside of both.

mod cursor;
mod reader;
mod ring;
mod series;
mod stages;
mod state;
mod unlisted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, watch};

pub use self::cursor::{Cursor, Cursors, Item, Mark, Missed};
pub use self::reader::{Progress, Reader, Standing};
pub use self::series::{End, From, LiveSeries};
pub use self::stages::{Going, Sink, Stages, Times};
use self::state::{Entry, State};
use crate::config::settings::HubSettings;
use crate::instance::{Dataset, Instance, Uid};

/// Events that a slow listener may be behind before it is told that it lagged.
const EVENTS: usize = 1024;

/// Something happened to a live series.
#[derive(Debug, Clone)]
pub enum HubEvent {
    /// It was opened, or opened again.
    Opened(Arc<LiveSeries>),
    /// An instance with this SOP Instance UID came, and so many before it were lost at the source. (Not
    /// the instance itself: a listener that is behind must not keep pixels alive.)
    Available(Arc<LiveSeries>, Uid, u32),
    /// It ended.
    Ended(Arc<LiveSeries>, End),
}

/// Why a series cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// The bound on series is reached.
    #[error("{0} series are live or still readable already (hub.max_series)")]
    Full(usize),
    /// We are shutting down.
    #[error("the service is shutting down")]
    Draining,
    /// The data set for the context could not be had.
    #[error(transparent)]
    Context(E),
}

/// Why an instance cannot be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It alone is larger than the budget of all rings.
    #[error("the instance is larger than hub.budget_bytes ({0})")]
    TooLarge(u64),
}

/// What became of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is in the ring.
    Accepted,
    /// The ring holds this SOP Instance UID already; it was not published again.
    Duplicate,
}

/// Sizes for telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Bytes in all rings.
    pub bytes: u64,
    /// Instances in all rings.
    pub instances: usize,
    /// Series that are live or still readable.
    pub series: usize,
    /// Instances that left a ring, since the start.
    pub evicted: u64,
}

/// The registry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ArcSwap<HubSettings>,
    clock: fn() -> Instant,
    state: Mutex<State>,
    events: broadcast::Sender<HubEvent>,
    /// Changes when a series opens, ends or leaves.
    changed: watch::Sender<()>,
    stages: Stages,
}

impl Hub {
    /// An empty hub on the monotonic clock.
    pub fn new(settings: HubSettings) -> Self {
        Self::with_clock(settings, Instant::now)
    }

    /// An empty hub on a clock of the caller's.
    pub fn with_clock(settings: HubSettings, clock: fn() -> Instant) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings: ArcSwap::from_pointee(settings),
                clock,
                state: Mutex::default(),
                events: broadcast::Sender::new(EVENTS),
                changed: watch::Sender::new(()),
                stages: Stages::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can panic half way through a change.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changed bounds; they hold from the next instance or tick on.
    pub fn reload(&self, settings: HubSettings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// Opens a series for publishing, or joins it. `context` is asked for its data set only where
    /// the series is new.
    ///
    /// # Errors
    /// When there are too many series, when we are shutting down, or when `context` fails.
    pub fn open<E>(
        &self,
        study: &Uid,
        series: &Uid,
        context: impl FnOnce() -> Result<Dataset, E>,
    ) -> Result<Publisher, OpenError<E>> {
        let now = (self.shared.clock)();
        // Decoding runs outside of the lock; a second source that opens the same series meanwhile
        // decodes in vain, and joins.
        let fresh = match self.find(study, series) {
            Some(_) => None,
            None => Some(Arc::new(context().map_err(OpenError::Context)?)),
        };
        let max = self.shared.settings.load().max_series;
        let mut state = self.state();
        if state.draining {
            return Err(OpenError::Draining);
        }
        let known =
            state.series.iter().find(|live| live.study() == study && live.series() == series).cloned();
        let mut left = Vec::new();
        if known.is_none() && state.series.len() >= max {
            state.forget_oldest_ended(&mut left);
        }
        let live = match (known, fresh) {
            (Some(live), _) => live,
            (None, _) if state.series.len() >= max => return Err(OpenError::Full(max)),
            (None, Some(context)) => {
                let live = Arc::new(LiveSeries::new(study.clone(), series.clone(), context, now));
                state.series.push(live.clone());
                live
            }
            // It left between the look and the lock: the caller's next try finds it gone.
            (None, None) => return Err(OpenError::Full(max)),
        };
        let opens = live.join(now);
        drop(state);
        if opens {
            self.tell(HubEvent::Opened(live.clone()));
        }
        Ok(Publisher { hub: self.clone(), series: live, left: false, listed: true })
    }

    /// The series that are live or still readable, oldest first.
    pub fn series(&self) -> Vec<Arc<LiveSeries>> {
        self.state().series.clone()
    }

    /// One series.
    pub fn find(&self, study: &str, series: &str) -> Option<Arc<LiveSeries>> {
        let state = self.state();
        state.series.iter().find(|live| **live.study() == *study && **live.series() == *series).cloned()
    }

    /// The series of one study, oldest first.
    pub fn study(&self, study: &str) -> Vec<Arc<LiveSeries>> {
        self.state().series.iter().filter(|live| **live.study() == *study).cloned().collect()
    }

    /// Whether a study (or one series of it) was here and has left.
    pub fn was_here(&self, study: &str, series: Option<&str>) -> bool {
        let state = self.state();
        state.gone.iter().any(|(a, b)| **a == *study && series.is_none_or(|series| **b == *series))
    }

    /// The feed of events from now on.
    pub fn events(&self) -> broadcast::Receiver<HubEvent> {
        self.shared.events.subscribe()
    }

    /// Changes whenever a series opens, ends or leaves.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// How long frames take, for sinks to go on with.
    pub fn stages(&self) -> &Stages {
        &self.shared.stages
    }

    /// How a series of it stands, for people who look.
    pub fn standing(&self, live: &LiveSeries) -> Standing {
        live.standing((self.shared.clock)())
    }

    /// How many bytes may be in all rings.
    pub fn budget_bytes(&self) -> u64 {
        self.shared.settings.load().budget_bytes
    }

    /// How full it is.
    pub fn occupancy(&self) -> Occupancy {
        let state = self.state();
        Occupancy {
            bytes: state.bytes,
            instances: state.order.len(),
            series: state.series.len(),
            evicted: state.evicted,
        }
    }

    /// Housekeeping, to be called a few times a second: ends series whose time has come, lets old
    /// instances leave, forgets series that have ended and are empty.
    pub fn tick(&self) {
        let now = (self.shared.clock)();
        let settings = self.shared.settings.load();
        for live in self.series() {
            if let Some(end) = live.expire(settings.linger, settings.quiet, now) {
                self.tell(HubEvent::Ended(live, end));
            }
        }
        let mut left = Vec::new();
        let mut state = self.state();
        while state
            .order
            .front()
            .is_some_and(|entry| now.saturating_duration_since(entry.at) > settings.max_age)
        {
            left.extend(state.evict());
        }
        state.make_room(0, settings.budget_bytes, &mut left);
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut state.series)
            .into_iter()
            .partition(|live| live.end().is_none() || !live.is_empty());
        state.series = kept;
        for live in &gone {
            state.remember(live);
        }
        drop(state);
        if !gone.is_empty() {
            self.shared.changed.send_replace(());
        }
    }

    /// Ends every series, so that streams get their end, and opens no more.
    pub fn shutdown(&self) {
        let mut state = self.state();
        state.draining = true;
        let series = state.series.clone();
        drop(state);
        for live in series {
            if live.abort() {
                self.tell(HubEvent::Ended(live, End::Aborted));
            }
        }
        self.shared.changed.send_replace(());
    }

    fn publish(
        &self,
        series: &Arc<LiveSeries>,
        instance: Instance,
        lost: u32,
        listed: bool,
    ) -> Result<Published, PublishError> {
        let budget = self.shared.settings.load().budget_bytes;
        let bytes = instance.len() as u64;
        if bytes > budget {
            return Err(PublishError::TooLarge(budget));
        }
        let mut instance = Arc::new(instance);
        let uid = instance.identity().sop_instance.clone();
        let mut left = Vec::new();
        let mut state = self.state();
        if series.instance(&uid).is_some() {
            return Ok(Published::Duplicate);
        }
        state.make_room(bytes, budget, &mut left);
        let now = (self.shared.clock)();
        // Nobody else has it yet.
        if let Some(instance) = Arc::get_mut(&mut instance) {
            instance.enters_ring(now);
        }
        let way = instance.way();
        if series.push(instance, lost, now).is_none() {
            return Ok(Published::Duplicate);
        }
        state.bytes += bytes;
        state.order.push_back(Entry { series: series.clone(), bytes, at: now });
        drop(state);
        if let Some(way) = way {
            self.shared.stages.published(&way);
        }
        if listed {
            // Nobody listening is no failure.
            let _ = self.shared.events.send(HubEvent::Available(series.clone(), uid, lost));
        }
        Ok(Published::Accepted)
    }

    fn tell(&self, event: HubEvent) {
        // Nobody listening is no failure.
        let _ = self.shared.events.send(event);
        self.shared.changed.send_replace(());
    }
}

/// A source's right to publish into one series. Dropping it without [`Publisher::complete`] says
/// that the source died.
#[derive(Debug)]
pub struct Publisher {
    hub: Hub,
    series: Arc<LiveSeries>,
    left: bool,
    /// Whether the hub tells of it.
    listed: bool,
}

impl Publisher {
    /// Says which source publishes, in one word, for people who look at the series.
    #[must_use]
    pub fn by(self, source: &'static str) -> Self {
        self.series.comes_from(source);
        self
    }

    /// The series.
    pub fn series(&self) -> &Arc<LiveSeries> {
        &self.series
    }

    /// Hands an instance over. Never waits.
    ///
    /// # Errors
    /// When the instance alone is larger than the budget.
    pub fn publish(&self, instance: Instance) -> Result<Published, PublishError> {
        self.publish_after(0, instance)
    }

    /// Hands an instance over before which the source lost so many, for whatever reason: readers are told,
    /// see [`Missed`]. What was lost before one that is refused belongs to the next. Never waits.
    ///
    /// # Errors
    /// When the instance alone is larger than the budget.
    pub fn publish_after(&self, lost: u32, instance: Instance) -> Result<Published, PublishError> {
        self.hub.publish(&self.series, instance, lost, self.listed)
    }

    /// Sets `count` Instance Numbers aside for the frames of one object, above all that the series
    /// has had, and returns the first.
    pub fn reserve_numbers(&self, count: u32) -> i32 {
        self.series.reserve_numbers(count)
    }

    /// The source has ended properly. The series ends when its last source has, after the linger
    /// time.
    pub fn complete(mut self) {
        self.leave(End::Completed);
    }

    fn leave(&mut self, how: End) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let linger = if self.listed { self.hub.shared.settings.load().linger } else { Duration::ZERO };
        let end = self.series.leave(how, linger, (self.hub.shared.clock)());
        match end {
            Some(end) if self.listed => self.hub.tell(HubEvent::Ended(self.series.clone(), end)),
            Some(_) => drop(self.hub.state().take(&self.series)),
            None => {}
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.leave(End::Aborted);
    }
}

#[cfg(test)]
mod tests;
