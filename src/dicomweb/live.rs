//! The open-ended body: what the ring holds, then each instance as its own part as it comes, the
//! closing boundary when the series (or the study) ends.
//!
//! A body is pulled by its connection: nothing is prepared for a client that does not read, and
//! such a client only loses instances from the ring. What it missed is counted; in the stream it
//! shows as a gap in Instance Number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::counters::DicomwebCounters;
use super::multipart::Writer;
use super::representation::{Representation, part};
use super::routes::Urls;
use super::workers::Workers;
use crate::hub::{Cursor, Item, StudyCursor};
use crate::instance::Instance;
use crate::net::counters::Open;
use crate::net::http::{Body, BodyError};

/// What a stream reads from.
#[derive(Debug)]
pub(super) enum Reader {
    Series(Cursor),
    Study(StudyCursor),
}

impl Reader {
    async fn next(&mut self) -> Item {
        match self {
            Self::Series(cursor) => cursor.next().await,
            Self::Study(cursor) => cursor.next().await,
        }
    }
}

/// Even decimation to a rate, by the time at which instances became available, so that it gives
/// the same instances to a reader that catches up as to one that keeps pace.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: f64) -> Self {
        Self { period: Duration::from_secs_f64(1.0 / rate), due: None }
    }

    /// Whether the instance that became available at `time` goes out.
    fn admits(&mut self, time: Instant) -> bool {
        match self.due {
            // Some grace keeps a source at about the same rate from losing frames to jitter.
            Some(due) if time + self.period / 8 < due => false,
            Some(due) => {
                // After a pause the grid starts again rather than letting a burst through.
                self.due = Some((due + self.period).max(time + self.period / 2));
                true
            }
            None => {
                self.due = Some(time + self.period);
                true
            }
        }
    }
}

/// Everything a stream needs.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) reader: Reader,
    pub(super) representation: Representation,
    /// Gone once the closing delimiter is written.
    pub(super) writer: Option<Writer>,
    pub(super) pace: Option<Pace>,
    /// Only the newest instance matters: what came in between is passed over.
    pub(super) newest_only: bool,
    pub(super) urls: Urls,
    pub(super) workers: Workers,
    pub(super) counters: DicomwebCounters,
}

impl Live {
    /// The body that writes it.
    pub(super) fn into_body(self) -> Body {
        let open = Open::new(&self.counters.streams);
        let state = State { live: self, queue: VecDeque::with_capacity(5), _open: open };
        let chunks = stream::unfold(state, |mut state| async move {
            let chunk = state.next().await?;
            Some((Ok::<_, BodyError>(Frame::data(chunk)), state))
        });
        StreamBody::new(chunks).boxed_unsync()
    }
}

struct State {
    live: Live,
    queue: VecDeque<Bytes>,
    _open: Open,
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                return Some(chunk);
            }
            self.live.writer.as_ref()?;
            if self.live.newest_only
                && let Reader::Series(cursor) = &mut self.live.reader
            {
                cursor.skip_to_latest();
            }
            match self.live.reader.next().await {
                Item::Instance(instance) => self.take(&instance).await,
                Item::Missed(count) => {
                    self.live.counters.missed.inc_by(count);
                }
                Item::End(_) => {
                    self.queue.extend(self.live.writer.take().map(Writer::close));
                }
            }
        }
    }

    async fn take(&mut self, instance: &Arc<Instance>) {
        let live = &mut self.live;
        let Some(writer) = &mut live.writer else { return };
        if live.pace.as_mut().is_some_and(|pace| !pace.admits(instance.arrived())) {
            return;
        }
        match part(&live.representation, instance, &live.urls, &live.workers).await {
            Ok(part) => {
                live.counters.sent.inc();
                live.counters.sent_bytes.inc_by(part.len() as u64);
                self.queue.push_back(writer.part(&part.head));
                self.queue.extend(part.content);
                // So that a reader who looks for the delimiter has the part now.
                self.queue.push_back(writer.end_part());
            }
            Err(_) => {
                live.counters.unsuitable.inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of `count` frames at `fps` go out at `rate`.
    fn kept(fps: f64, rate: f64, count: u32) -> Vec<u32> {
        let mut pace = Pace::new(rate);
        let start = Instant::now();
        (0..count).filter(|&n| pace.admits(start + Duration::from_secs_f64(f64::from(n) / fps))).collect()
    }

    #[test]
    fn decimation_is_even() {
        assert_eq!(kept(30.0, 30.0, 10), (0..10).collect::<Vec<_>>());
        assert_eq!(kept(30.0, 100.0, 10), (0..10).collect::<Vec<_>>());
        assert_eq!(kept(30.0, 10.0, 12), [0, 3, 6, 9]);
        let seven = kept(30.0, 7.0, 300);
        assert!((69..=72).contains(&seven.len()), "{}", seven.len());
        assert!(seven.windows(2).all(|pair| (3..=5).contains(&(pair[1] - pair[0]))), "{seven:?}");
    }

    #[test]
    fn a_pause_is_followed_by_no_burst() {
        let mut pace = Pace::new(10.0);
        let start = Instant::now();
        assert!(pace.admits(start));
        let later = start + Duration::from_secs(60);
        let burst = (0..30).filter(|&n| pace.admits(later + Duration::from_millis(n))).count();
        assert!(burst <= 2, "{burst}");
    }
}
