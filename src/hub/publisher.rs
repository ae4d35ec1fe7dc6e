//! What a source holds of a series that it publishes into: instances go through it into the ring, and the series ends
//! with the last one of these.

use std::sync::Arc;
use std::time::Duration;

use super::{End, Hub, HubEvent, LiveSeries, PublishError, Published};
use crate::instance::Instance;

/// A source's right to publish into one series. Dropping it without [`Publisher::complete`] says
/// that the source died.
#[derive(Debug)]
pub struct Publisher {
    pub(super) hub: Hub,
    pub(super) series: Arc<LiveSeries>,
    pub(super) left: bool,
    /// Whether the hub tells of it.
    pub(super) listed: bool,
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
    /// see [`Missed`](super::Missed). What was lost before one that is refused belongs to the next. Never waits.
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
