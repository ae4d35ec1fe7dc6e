//! What changes, as it changes: Server-Sent Events (HTML §9.2) with the state of everything, and what is logged.
//!
//! Nobody polls. Once a second one look is taken at the state, for all who listen together, and whoever has
//! not got it yet is told; where nothing has changed, every 15 seconds all the same, so that a page knows that it is
//! not looking at the past.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Collect;
use crate::event::recent;
use crate::net::http::{Body, BodyError};
use crate::status::Status;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest silence.
const SILENCE: Duration = Duration::from_secs(15);
/// Log entries that are told at once; more come with the next look.
const ENTRIES: usize = 200;

/// The state of everything, looked at once for all who ask within a moment.
pub(super) struct Feed {
    collect: Collect,
    latest: Mutex<Option<(Instant, Arc<Status>)>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl Feed {
    /// From where the state is collected.
    pub(super) fn new(collect: Collect) -> Self {
        Self { collect, latest: Mutex::new(None) }
    }

    /// How everything is, or was less than a second ago.
    pub(super) fn now(&self) -> Arc<Status> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, status)) = &*latest
            && at.elapsed() < PERIOD * 9 / 10
        {
            return status.clone();
        }
        let status = Arc::new((self.collect)());
        *latest = Some((Instant::now(), status.clone()));
        status
    }
}

/// The response that goes on until `over` completes, and is whole then: a browser that finds it cut short says so to
/// whoever has logged out. `after` is the number of the log entry that the client had last.
pub(super) fn respond(
    feed: Arc<Feed>,
    after: Option<u64>,
    over: impl Future<Output = ()> + Send + 'static,
) -> Response<Body> {
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = State { feed, tick, told: None, entry: after.unwrap_or_else(|| recent().newest()) };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.next().await;
        Some((Ok::<_, BodyError>(Frame::data(chunk)), state))
    });
    let mut response = Response::new(StreamBody::new(chunks.take_until(Box::pin(over))).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

struct State {
    feed: Arc<Feed>,
    tick: Interval,
    /// What was told last, and when.
    told: Option<(Instant, Status)>,
    /// Number of the log entry that was told last.
    entry: u64,
}

impl State {
    /// The next events; waits until there are any.
    async fn next(&mut self) -> Bytes {
        loop {
            self.tick.tick().await;
            let mut text = String::new();
            let status = self.feed.now();
            self.tell(&status, &mut text);
            let entries = recent().after(self.entry, ENTRIES);
            if let Some(last) = entries.last() {
                self.entry = last.sequence;
                event("journal", Some(self.entry), &entries, &mut text);
            }
            if !text.is_empty() {
                return text.into();
            }
        }
    }

    fn tell(&mut self, status: &Status, text: &mut String) {
        let steady = steady(status);
        let known =
            self.told.as_ref().is_some_and(|(at, told)| *told == steady && at.elapsed() < SILENCE - PERIOD);
        if !known {
            self.told = Some((Instant::now(), steady));
            event("status", None, status, text);
        }
    }
}

fn event(name: &str, id: Option<u64>, data: &impl serde::Serialize, text: &mut String) {
    use std::fmt::Write as _;
    // JSON has no line breaks of its own, and plain values are always written.
    let Ok(data) = serde_json::to_string(data) else { return };
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let _ = write!(text, "event: {name}\n{id}data: {data}\n\n");
}

/// A state without what changes by itself from second to second and is no news.
fn steady(status: &Status) -> Status {
    let mut steady = status.clone();
    steady.at.clear();
    steady.service.uptime_seconds = 0;
    steady.service.memory_bytes = 0;
    let system = &mut steady.system;
    (system.uptime_seconds, system.load, system.memory_available_bytes) = (0, 0.0, 0);
    steady.network.clock.error_microseconds = None;
    steady
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    async fn chunk(body: &mut Body) -> String {
        let frame = body.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_within_a_second_and_silence_is_broken() {
        let bytes = Arc::new(AtomicU64::new(1));
        let seen = bytes.clone();
        let looks = Arc::new(AtomicU64::new(0));
        let counted = looks.clone();
        let feed = Arc::new(Feed::new(Arc::new(move || {
            let nth = counted.fetch_add(1, Ordering::Relaxed);
            let mut status = Status { at: nth.to_string(), ..Status::default() };
            status.hub.bytes = seen.load(Ordering::Relaxed);
            status
        })));
        let (end, ended) = oneshot::channel::<()>();
        let over = async move { drop(ended.await) };
        let mut body = respond(feed.clone(), Some(u64::MAX), over).into_body();
        let mut other = respond(feed, Some(u64::MAX), future::pending()).into_body();
        let first = chunk(&mut body).await;
        assert!(first.starts_with("event: status\ndata: {") && first.ends_with("}\n\n"), "{first}");
        assert_eq!(first.lines().count(), 3, "{first}");
        assert_eq!(chunk(&mut other).await, first);
        assert_eq!(looks.load(Ordering::Relaxed), 1, "one look for all");
        let began = Instant::now();
        bytes.store(2, Ordering::Relaxed);
        assert!(chunk(&mut body).await.contains("\"bytes\":2"));
        assert!(began.elapsed() <= PERIOD, "{:?}", began.elapsed());
        let quiet = Instant::now();
        chunk(&mut body).await;
        assert!(quiet.elapsed() > PERIOD * 10 && quiet.elapsed() <= SILENCE, "{:?}", quiet.elapsed());
        end.send(()).unwrap();
        assert!(body.frame().await.is_none(), "it ends as a whole");
    }
}
