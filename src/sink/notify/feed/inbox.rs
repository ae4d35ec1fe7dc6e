//! Where the feed gets its work from: the hub, connections that open, and whoever watches what is said of the
//! patients of captures.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{broadcast, mpsc};

use super::super::event::News;
use super::super::listener::Opening;
use super::super::scene::Scene;
use super::Feed;
use crate::hub::HubEvent;
use crate::instance::Uid;

/// What the feed waits for.
pub(in super::super) struct Inbox {
    pub(in super::super) events: broadcast::Receiver<HubEvent>,
    pub(in super::super) openings: mpsc::Receiver<Opening>,
    pub(in super::super) doubts: mpsc::Receiver<Doubts>,
}

/// What is doubtful in the context of a series, in few fixed words; nothing any more, without any.
#[derive(Debug)]
pub(in super::super) struct Doubts {
    pub(in super::super) study: Uid,
    pub(in super::super) series: Uid,
    pub(in super::super) words: Vec<String>,
}

impl Feed {
    /// Tells everybody whom a series concerns what is doubtful in its context. Of one that is no longer live
    /// nobody needs to know.
    pub(super) async fn doubt(&mut self, doubts: Doubts) {
        self.follow_registry().await;
        let Doubts { study, series, words } = doubts;
        let is_meant =
            |live: &&Arc<_>| *crate::hub::LiveSeries::study(live) == study && *live.series() == series;
        let Some(live) = self.series.iter().map(|watched| &watched.live).find(is_meant).cloned() else {
            return;
        };
        let scene = Scene::new(&self.shared.hub, &live);
        let news = Arc::new(News::doubtful(&live, &words, SystemTime::now()));
        for key in self.concerned(&live, &scene) {
            if let Some(follower) = self.followers.get(&key) {
                follower.push(Arc::clone(&news), &self.shared);
            }
            self.breathe().await;
        }
    }
}
