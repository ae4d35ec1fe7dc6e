//! The open-ended body: what the ring holds, then each instance as its own part as it comes, the
//! closing boundary when the series (or the study) ends.
//!
//! A body is pulled by its connection: nothing is prepared for a client that does not read, and
//! such a client only loses instances from the ring. What it missed is counted; in the stream it
//! shows as a gap in Instance Number, as does what the source had lost. A subscription may steer it while
//! it runs ([`super::steering`]), and is told of both.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::counters::DicomwebCounters;
use super::representation::{Representation, part};
use super::routes::Urls;
use super::steering::Steering;
use crate::audit::Transfers;
use crate::hub::{Cursor, Cursors, Going, Item, LiveSeries, Sink, Stages};
use crate::instance::Instance;
use crate::net::counters::Open;
use crate::net::http::{Body, BodyError};
use crate::net::multipart::Writer;
use crate::sink::workers::Workers;

/// What a stream reads from.
#[derive(Debug)]
pub(super) enum Reader {
    Series(Cursor),
    Study(Cursors),
}

impl Reader {
    /// Safe to drop while it waits.
    async fn next(&mut self) -> (Option<Arc<LiveSeries>>, Item) {
        match self {
            Self::Series(cursor) => {
                let item = cursor.next().await;
                (Some(cursor.series().clone()), item)
            }
            Self::Study(cursors) => cursors.next().await,
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
    pub(super) steering: Steering,
    /// Only the newest instance matters: what came in between is passed over.
    pub(super) newest_only: bool,
    pub(super) urls: Urls,
    pub(super) workers: Workers,
    pub(super) counters: DicomwebCounters,
    /// What the audit trail is told of it.
    pub(super) transfers: Transfers,
    pub(super) stages: Stages,
}

impl Live {
    /// The body that writes it.
    pub(super) fn into_body(self) -> Body {
        let open = Open::new(&self.counters.streams);
        let sink = match self.representation {
            Representation::Rendered(..) => Sink::Rendered,
            _ => Sink::Retrieve,
        };
        let (queue, since) = (VecDeque::with_capacity(5), Instant::now());
        let state = State { live: self, queue, sink, since, going: None, _open: open };
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
    sink: Sink,
    /// When the reader came.
    since: Instant,
    /// What is in the queue.
    going: Option<Going>,
    _open: Open,
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                return Some(chunk);
            }
            if let Some(gone) = self.going.take() {
                self.live.stages.gone(gone);
            }
            self.live.writer.as_ref()?;
            self.live.steering.go().await;
            if self.live.newest_only
                && let Reader::Series(cursor) = &mut self.live.reader
            {
                cursor.skip_to_latest();
            }
            let (series, item) = tokio::select! {
                biased;
                () = self.live.steering.changed() => continue,
                next = self.live.reader.next() => next,
            };
            match item {
                Item::Instance(instance) => self.take(&instance, series.as_deref()).await,
                Item::Missed(missed) => {
                    // What the source lost is counted there, and not once more for each reader.
                    self.live.counters.missed.inc_by(missed.left);
                    self.live.steering.missed(series.as_ref(), missed.total());
                }
                Item::End(_) => {
                    self.queue.extend(self.live.writer.take().map(Writer::close));
                }
            }
        }
    }

    async fn take(&mut self, instance: &Arc<Instance>, series: Option<&LiveSeries>) {
        let live = &mut self.live;
        let Some(writer) = &mut live.writer else { return };
        if !live.steering.admits(instance) {
            return;
        }
        match part(&live.representation, instance, &live.urls, &live.workers).await {
            Ok(part) => {
                let context = || series.map(|series| series.context().clone());
                live.transfers.note(instance.identity(), context);
                live.counters.sent.inc();
                live.counters.sent_bytes.inc_by(part.len() as u64);
                self.going = live.stages.goes(self.sink, instance.way(), self.since);
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
