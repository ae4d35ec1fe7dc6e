//! One Store request (STOW-RS, PS3.18 §10.5), from its head to what its answer means.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::answer::Verdict;
use super::deliver::Outcome;
use super::destination::{Transaction, with_body};
use super::exchange::exchange;
use super::feed::Taken;
use super::part::{Part, part};
use super::pusher::{Outage, Pusher};
use crate::hub::{Going, Sink, Stages};
use crate::instance::Way;
use crate::net::http::BodyError;
use crate::net::multipart::{Boundary, Writer};

/// Octets of instances in one request of several.
const BATCH_BYTES: u64 = 64 << 20;

impl Pusher {
    /// Pushes `first`, and others that are waiting if a batch is allowed.
    pub(super) async fn store(&mut self, first: Taken) -> Result<(), Outage> {
        let batch = self.batch(first).await;
        if batch.is_empty() {
            return Ok(());
        }
        let instances = batch.len();
        let boundary = Boundary::from_entropy(*uuid::Uuid::new_v4().as_bytes());
        let head = match self.head(Transaction::Store, &boundary).await {
            Ok(head) => head,
            Err(outage) => {
                self.again();
                return Err(outage);
            }
        };
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let Some(feed) = &self.feed else { return Ok(()) };
        let (stages, since) = (feed.stages().clone(), feed.since());
        let (pieces, length, bytes) = whole_body(Writer::new(boundary), batch);
        let body = Whole { pieces, queue: VecDeque::new(), going: None, stages, since };
        let (out, is_out) = oneshot::channel::<()>();
        let chunks = stream::unfold((body, out), |(mut body, out)| async move {
            let chunk = body.next()?;
            Some((Ok::<_, BodyError>(Frame::data(chunk)), (body, out)))
        });
        let mut request = with_body(head, StreamBody::new(chunks).boxed_unsync());
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let (head_seen, _) = oneshot::channel();
        let answer = exchange(connection, request, head_seen);
        let time_is_up = self.time_is_up();
        let patience = self.destination.settings.response;
        let outcome = tokio::select! {
            answer = answer => match answer {
                Ok(answer) => Outcome::Answered(answer),
                Err(error) => Outcome::Broken(error),
            },
            () = async { let _ = is_out.await; sleep(patience).await } => Outcome::Late,
            () = time_is_up => Outcome::Late,
        };
        if !matches!(outcome, Outcome::Answered(_)) {
            self.connection = None;
        }
        self.conclude_store(outcome, instances as u64, bytes)
    }

    /// `first`, and what of others is waiting, up to the bound on a batch.
    async fn batch(&mut self, first: Taken) -> Vec<(Part, Option<Way>)> {
        let most = if self.one_by_one > 0 { 1 } else { self.destination.settings.batch.max(1) };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        let mut parts: Vec<(Part, Option<Way>)> = Vec::new();
        let Some(feed) = &mut self.feed else { return parts };
        feed.arrived();
        let mut next = Some(first);
        while let Some(Taken::Instance(instance, mark)) = next {
            feed.goes_out(mark, Duration::MAX);
            match part(feed.subscription().request(), &instance, feed.workers()).await {
                Ok(part) => {
                    feed.hands_over(&instance);
                    parts.push((part, instance.way()));
                }
                Err(_) => self.tally.failed("unsuitable", 1),
            }
            let bytes: u64 = parts.iter().map(|(part, _)| part.len()).sum();
            next = None;
            while parts.len() < most && bytes < BATCH_BYTES {
                next = feed.take().now_or_never();
                match &next {
                    Some(Taken::Instance(instance, _)) if !feed.admits(instance).await => {}
                    _ => break,
                }
            }
        }
        parts
    }

    fn conclude_store(&mut self, outcome: Outcome, instances: u64, bytes: u64) -> Result<(), Outage> {
        let status = match &outcome {
            Outcome::Answered(answer) => answer.status.as_u16(),
            _ => 0,
        };
        self.tally.answered(Transaction::Store.word(), status);
        match outcome {
            Outcome::Answered(answer) => match answer.verdict {
                Verdict::Done => {
                    let failed = self.account(Transaction::Store, &answer, instances);
                    self.tally.sent(instances.saturating_sub(failed));
                    self.tally.bytes(bytes);
                    self.settled();
                    self.succeeded(&answer, failed);
                    Ok(())
                }
                Verdict::Content if instances > 1 => {
                    // One of them, or all together.
                    self.again();
                    self.one_by_one = usize::try_from(instances).unwrap_or(usize::MAX);
                    Ok(())
                }
                Verdict::Content => {
                    self.tally.failed("content", instances);
                    self.settled();
                    self.fails(Transaction::Store, answer.status, answer.verdict)
                }
                verdict => {
                    self.again();
                    self.fails(Transaction::Store, answer.status, verdict)
                }
            },
            Outcome::Broken(error) => {
                self.again();
                self.broken(&error)
            }
            Outcome::Late | Outcome::Early(..) => {
                self.again();
                self.late()
            }
        }
    }

    /// The instances of the Store request go out again.
    fn again(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.go_back_to_all();
        }
    }

    /// Those of the Store request are done with.
    fn settled(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.arrived();
        }
    }
}

/// The slices of one instance with its delimiter, or those that close the body, and whose they are.
type Piece = (Option<Way>, Vec<Bytes>);

/// A whole body on its way out.
struct Whole {
    pieces: VecDeque<Piece>,
    queue: VecDeque<Bytes>,
    /// What is in the queue.
    going: Option<Going>,
    stages: Stages,
    since: Instant,
}

impl Whole {
    fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                return Some(chunk);
            }
            if let Some(gone) = self.going.take() {
                self.stages.gone(gone);
            }
            let (way, chunks) = self.pieces.pop_front()?;
            self.going = self.stages.goes(Sink::Push, way, self.since);
            self.queue = chunks.into();
        }
    }
}

/// The pieces of a whole body, their octets, and those of the instances among them.
fn whole_body(mut writer: Writer, parts: Vec<(Part, Option<Way>)>) -> (VecDeque<Piece>, u64, u64) {
    let bytes = parts.iter().map(|(part, _)| part.len()).sum();
    let mut pieces = VecDeque::with_capacity(parts.len() + 1);
    for (part, way) in parts {
        let mut chunks = Vec::with_capacity(part.content.len() + 1);
        chunks.push(writer.part(&part.head));
        chunks.extend(part.content);
        pieces.push_back((way, chunks));
    }
    pieces.push_back((None, vec![writer.close()]));
    let length = pieces.iter().flat_map(|(_, chunks)| chunks).map(|chunk| chunk.len() as u64).sum();
    (pieces, length, bytes)
}
