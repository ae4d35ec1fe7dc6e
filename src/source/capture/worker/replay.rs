//! A capture whose device is a clip: the worker without anything that can be plugged, lost or healed.

use std::path::Path;

use super::{Fault, WAIT, Worker};
use crate::config::profile::DeviceFacts;
use crate::source::capture::log_events;
use crate::source::capture::plan;
use crate::source::capture::replay::{NAME, Replay, ReplayError};
use crate::source::capture::signal::State;
use crate::source::capture::stamp::Reading;

impl Worker {
    /// Plays a clip until we are to stop.
    pub(super) fn replay(&mut self, clip: &Path) -> Result<(), Fault> {
        let unplayable = |error: ReplayError| Fault::Configuration(error.to_string());
        let mut replay = Replay::open(clip).map_err(unplayable)?;
        let profiles = self.capture.profiles.clone();
        let facts = DeviceFacts { driver: NAME.to_owned(), card: NAME.to_owned(), ..DeviceFacts::default() };
        let (profile, why) =
            plan::profile_of(&self.capture.settings, &profiles, || facts).map_err(Fault::Configuration)?;
        self.report.device = format!("{} ({NAME})", clip.display());
        self.report.profile = format!("{} ({why})", profile.name);
        self.begin(replay.video(), None, profile, NAME)?;
        log_events::FramesOfFile { capture: &self.capture.name }.tell();
        self.enter(State::Starting, "");
        while !self.stopped() {
            let mut frame = match replay.at(Reading::now().monotonic) {
                Ok(frame) => frame,
                Err(wait) => {
                    self.pause(wait.min(WAIT));
                    continue;
                }
            };
            let picture = self.capture.frames.take(&mut frame);
            self.streamed = true;
            self.saw(picture, profile);
        }
        Ok(())
    }
}
