//! The body of a Send request: open-ended, pulled by its connection, one instance at a time. Nothing is
//! prepared for a destination that does not take bytes; such a one only loses instances from the ring.
//!
//! The body owns the feed while it is sent, and gives it back with its end, or when the connection lets
//! go of it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::feed::{Feed, Taken};
use super::part::part;
use crate::hub::{Going, Sink};
use crate::net::http::{Body, BodyError};
use crate::net::multipart::Writer;

/// When a request is ended, to be followed by another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    /// At this time.
    pub(super) time: Instant,
    /// With this many octets of instances.
    pub(super) bytes: u64,
    /// What went out longer ago need not be remembered.
    pub(super) memory: Duration,
}

/// What comes back of a body.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) feed: Feed,
    /// Instances in it.
    pub(super) instances: u64,
    /// Whether it was pulled to its end, so that the request is whole.
    pub(super) whole: bool,
}

/// Makes a body that begins with `first`. It is closed at `until`, when all series have ended, when the
/// subscription is suspended or over, and when `end` turns true.
pub(super) fn body(
    feed: Feed,
    first: Taken,
    writer: Writer,
    until: Until,
    end: watch::Receiver<bool>,
) -> (Body, oneshot::Receiver<Back>) {
    let (back, given_back) = oneshot::channel();
    let flow = Flow {
        feed: Some(feed),
        back: Some(back),
        first: Some(first),
        writer: Some(writer),
        queue: VecDeque::with_capacity(6),
        going: None,
        instances: 0,
        bytes: 0,
        until,
        end,
    };
    let chunks = stream::unfold(Box::new(flow), |mut flow| async move {
        let chunk = flow.next().await?;
        Some((Ok::<_, BodyError>(Frame::data(chunk)), flow))
    });
    (StreamBody::new(chunks).boxed_unsync(), given_back)
}

struct Flow {
    feed: Option<Feed>,
    back: Option<oneshot::Sender<Back>>,
    first: Option<Taken>,
    /// Gone once the closing delimiter is written.
    writer: Option<Writer>,
    queue: VecDeque<Bytes>,
    /// What is in the queue.
    going: Option<Going>,
    instances: u64,
    bytes: u64,
    until: Until,
    end: watch::Receiver<bool>,
}

impl Flow {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                return Some(chunk);
            }
            let feed = self.feed.as_mut()?;
            if let Some(gone) = self.going.take() {
                feed.stages().gone(gone);
            }
            let is_first = self.first.is_some();
            let taken = match self.first.take() {
                Some(taken) => taken,
                None if self.bytes >= self.until.bytes => Taken::Dry,
                None => tokio::select! {
                    biased;
                    // An error means that nobody waits for the answer any more.
                    _ = self.end.wait_for(|&end| end) => Taken::Dry,
                    () = sleep_until(self.until.time) => Taken::Dry,
                    taken = feed.take() => taken,
                },
            };
            match taken {
                Taken::Instance(instance, _) if !is_first && !feed.admits(&instance).await => {}
                Taken::Instance(instance, mark) => {
                    let made = part(feed.subscription().request(), &instance, feed.workers()).await;
                    // Whatever becomes of it, it is this one that went out.
                    feed.goes_out(mark, self.until.memory);
                    let (Ok(part), Some(writer)) = (made, &mut self.writer) else {
                        feed.tally().failed("unsuitable", 1);
                        continue;
                    };
                    feed.hands_over(&instance);
                    self.going = feed.stages().goes(Sink::Push, instance.way(), feed.since());
                    feed.tally().sent(1);
                    feed.tally().bytes(part.len());
                    self.instances += 1;
                    self.bytes += part.len();
                    self.queue.push_back(writer.part(&part.head));
                    self.queue.extend(part.content);
                    // So that a peer which looks for the delimiter has the instance now.
                    self.queue.push_back(writer.end_part());
                }
                Taken::Dry | Taken::Stopped => {
                    self.queue.extend(self.writer.take().map(Writer::close));
                    self.give_back(true);
                }
            }
        }
    }

    fn give_back(&mut self, whole: bool) {
        if let (Some(feed), Some(back)) = (self.feed.take(), self.back.take()) {
            // Nobody waits where the service stops.
            let _ = back.send(Back { feed, instances: self.instances, whole });
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.give_back(false);
    }
}
