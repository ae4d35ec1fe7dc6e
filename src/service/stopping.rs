//! The end of the service: everything that runs is told, in an order that loses nothing, and is waited for as long as
//! `service.drain_seconds` says.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::audit::Trail;
use super::housekeeping::streams_ended;
use super::metrics::Counters;
use super::pattern::PatternSource;
use super::readiness::Readiness;
use super::{Captures, LAST_WORDS, events, notify};
use crate::hub::Hub;
use crate::sink::notify::Notifier;

/// What has to be stopped.
pub(super) struct Running {
    pub(super) pattern: Option<PatternSource>,
    pub(super) captures: Captures,
    pub(super) hub: Hub,
    pub(super) notifier: Notifier,
    pub(super) counters: Counters,
    pub(super) readiness: Readiness,
    pub(super) trail: Trail,
    /// Turned true, nothing new is begun.
    pub(super) stop: watch::Sender<bool>,
    /// Turned true, listeners of HTTP close their connections.
    pub(super) close: watch::Sender<bool>,
    /// Everything else, which ends by itself then.
    pub(super) tasks: JoinSet<()>,
    /// How long it may take.
    pub(super) drain: Duration,
}

impl Running {
    /// Stops it; at the end only what was not waited for is left.
    pub(super) async fn stop(self) {
        let Self {
            pattern,
            captures,
            hub,
            notifier,
            counters,
            readiness,
            trail,
            stop,
            close,
            mut tasks,
            drain,
        } = self;
        readiness.stopping();
        notify(&[NotifyState::Stopping, NotifyState::Status("stopping: what is under way may finish")]);
        events::Stopping { drain }.tell();
        trail.stops();
        let over = Instant::now() + drain;
        if let Some(pattern) = pattern {
            pattern.stop();
        }
        // Before the hub, so that their series end as complete. A driver that hangs is not waited for.
        let stopped = tokio::task::spawn_blocking(move || captures.stop());
        if tokio::time::timeout(drain / 4, stopped).await.is_err() {
            events::CaptureHangs {}.tell();
        }
        let _ = stop.send(true);
        hub.shutdown();
        // After the hub, so that the ends of all series are still told.
        notifier.stop();
        let all = async {
            // Streams first, then connections: some HTTP/2 clients take a GOAWAY for the end of the
            // streams they are reading.
            let ended = streams_ended(&counters.dicomweb);
            let _ = tokio::time::timeout(drain / 2, ended).await;
            let _ = close.send(true);
            while tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(drain, all).await.is_err() {
            events::DrainOver {}.tell();
        }
        trail.end(over.saturating_duration_since(Instant::now()).max(LAST_WORDS)).await;
        events::Stopped {}.tell();
    }
}
