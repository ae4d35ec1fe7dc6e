//! Handing over: one Send request, or one Store request, from its head to what its answer means.
//!
//! A peer that is not yet known to take Send requests is sent a short one first, and its answer awaited:
//! some refuse only after the last byte (Orthanc does), and what they were sent until then has to be still
//! in memory. From then on the next request begins while the last one's answer is awaited, on HTTP/2 on
//! the same connection, on HTTP/1.1 on a second one, so that rotation leaves no gap.
//!
//! | what happened | what is pushed next | when |
//! |---|---|---|
//! | 200, 202, 409 | what follows; failures that are listed are final | at once |
//! | 429, 503, other 5xx, broken, no answer | Store: the same; Send: from what may not have arrived | after `Retry-After` or a growing pause |
//! | the peer did not look at the request | the same | at once, then as above |
//! | 400, 413 | what follows: the same would be refused again | after a growing pause |
//! | 404, 405, 415, 501 to Send, if allowed | the same, with Store | at once |
//! | 401, 403, redirects, and those four otherwise | the same | after the longest pause |

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderValue, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::answer::{Verdict, reason_word, remedy};
use super::destination::{Transaction, with_body};
use super::exchange::{Answer, exchange};
use super::feed::{Feed, Taken};
use super::part::{Part, media_type, part};
use super::pusher::{Outage, Pusher};
use super::send::{self, Back, Until};
use crate::net::client::{Connection, SendError};
use crate::net::http::BodyError;
use crate::net::multipart::{Boundary, Writer};
use crate::subscription::registry::Form;

/// How long a peer that has refused may take to read the end of what we send, and to say why.
const HURRY: Duration = Duration::from_secs(1);
/// Octets of instances in one Store request of several.
const BATCH_BYTES: u64 = 64 << 20;

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// With an answer, after its last byte.
    Answered(Answer),
    /// With an answer before its last byte.
    Early(StatusCode, Option<Answer>),
    /// Without one in time.
    Late,
    /// With the connection.
    Broken(SendError),
}

/// A Send request that was awaited while the next one was under way.
pub(super) struct Detached {
    outcome: Outcome,
    instances: u64,
    /// When its last instance went out, at the latest.
    ended: Instant,
    /// That of an HTTP/1.1 request, free again.
    connection: Option<Connection>,
}

impl Pusher {
    /// Pushes `first` and what follows it, in one request.
    pub(super) async fn deliver(&mut self, first: Taken) -> Result<(), Outage> {
        match self.destination.transaction() {
            Transaction::Send => Box::pin(self.send(first)).await,
            Transaction::Store if self.subscription.request().form == Form::Rendered => {
                self.complain(
                    "pictures can only be sent, not stored: let mode be \"send\", or subscribe to instances",
                );
                self.put_back(&first);
                Err(Outage { pause: self.backoff.longest(), refused: true })
            }
            Transaction::Store => Box::pin(self.store(first)).await,
        }
    }

    /// A request's head.
    async fn head(&mut self, transaction: Transaction, boundary: &Boundary) -> Result<Request<()>, Outage> {
        let content_type = boundary
            .related(media_type(&self.subscription.request().form))
            .unwrap_or_else(|_| HeaderValue::from_static("multipart/related"));
        match self.destination.request(transaction, content_type).await {
            Ok(head) => Ok(head),
            Err(error) => {
                self.complain(&error.to_string());
                Err(Outage { pause: self.backoff.pause(), refused: false })
            }
        }
    }

    fn put_back(&mut self, taken: &Taken) {
        if let (Some(feed), Taken::Instance(_, mark)) = (&mut self.feed, taken) {
            feed.put_back(mark.as_ref());
        }
    }

    async fn send(&mut self, first: Taken) -> Result<(), Outage> {
        let boundary = Boundary::from_entropy(*uuid::Uuid::new_v4().as_bytes());
        let head = match self.head(Transaction::Send, &boundary).await {
            Ok(head) => head,
            Err(outage) => {
                self.put_back(&first);
                return Err(outage);
            }
        };
        let began = Instant::now();
        let settings = &self.destination.settings;
        let rotate = if self.proven { settings.rotate } else { settings.rotate.min(self.times.trial) };
        let until =
            Until { time: began + rotate, bytes: settings.rotate_bytes, memory: self.destination.memory() };
        let (Some(feed), Some(connection)) = (self.feed.take(), &mut self.connection) else { return Ok(()) };
        let end = watch::Sender::new(false);
        let (body, mut given_back) = send::body(feed, first, Writer::new(boundary), until, end.subscribe());
        let (head_seen, mut seen) = oneshot::channel();
        let mut answer = Box::pin(exchange(connection, with_body(head, body), head_seen));
        let mut closing = Box::pin(connection.closing());
        let mut steered = Box::pin(self.steered());
        let mut time_is_up = Box::pin(self.time_is_up());
        let (mut head_is_here, mut is_closing, mut is_steered) = (None, false, false);
        let mut hurry = None;
        // The request is over when its body was let go of, or when it is answered.
        let (back, answered) = loop {
            tokio::select! {
                biased;
                back = &mut given_back => break (back.ok(), None),
                answered = &mut answer => break (None, Some(answered)),
                status = &mut seen, if head_is_here.is_none() => {
                    let status = status.unwrap_or(StatusCode::OK);
                    head_is_here = Some(status);
                    if !status.is_success() {
                        end.send_replace(true);
                        hurry = Some(Instant::now() + HURRY);
                    }
                }
                () = sleep_until(hurry.unwrap_or_else(Instant::now)), if hurry.is_some() => break (None, None),
                () = &mut closing, if !is_closing => {
                    is_closing = true;
                    end.send_replace(true);
                }
                () = &mut steered, if !is_steered => {
                    is_steered = true;
                    end.send_replace(true);
                }
                () = &mut time_is_up, if !*end.borrow() => {
                    end.send_replace(true);
                }
                done = self.answers.join_next(), if !self.answers.is_empty() => {
                    self.conclude_detached(done.and_then(Result::ok));
                    if self.doubtful_since.is_some() {
                        end.send_replace(true);
                    }
                }
            }
        };
        let is_whole = back.as_ref().is_some_and(|back| back.whole);
        let may_overlap = self.proven && !self.is_stopping() && self.answers.is_empty();
        if is_whole && may_overlap && answered.is_none() && !is_steered {
            let Some(Back { feed, instances, .. }) = back else { return Ok(()) };
            self.take_back(feed);
            self.detach(answer, instances, is_closing);
            return Ok(());
        }
        let outcome = match (answered, is_whole) {
            (Some(Ok(answer)), _) => Outcome::Early(answer.status, Some(answer)),
            (Some(Err(error)), _) => Outcome::Broken(error),
            (None, true) => await_answer(&mut answer, self.destination.settings.response).await,
            (None, false) => match (timeout(HURRY, &mut answer).await, head_is_here) {
                (Ok(Ok(answer)), _) => Outcome::Early(answer.status, Some(answer)),
                (Ok(Err(error)), _) => Outcome::Broken(error),
                (Err(_), Some(status)) => Outcome::Early(status, None),
                (Err(_), None) => Outcome::Broken(SendError::Stalled),
            },
        };
        drop(answer);
        let back = match back {
            Some(back) => Some(back),
            None => {
                // An answer may just have overtaken the news that the body is at its end.
                match given_back.try_recv() {
                    Ok(back) if back.whole => Some(back),
                    other => {
                        self.connection = None;
                        match other {
                            Ok(back) => Some(back),
                            Err(_) => given_back.await.ok(),
                        }
                    }
                }
            }
        };
        let outcome = match (outcome, &back) {
            (Outcome::Early(_, Some(answer)), Some(back)) if back.whole => Outcome::Answered(answer),
            (outcome, _) => outcome,
        };
        let instances = back.as_ref().map_or(0, |back| back.instances);
        if let Some(back) = back {
            self.take_back(back.feed);
        }
        let everything = (!self.proven).then_some(began);
        self.conclude_send(outcome, instances, Instant::now(), everything)
    }

    /// The feed is in our hands again.
    fn take_back(&mut self, feed: Feed) {
        self.feed = Some(feed);
        if let Some(since) = self.doubtful_since.take() {
            self.doubt(since);
        }
    }

    /// Awaits an answer while the next request is under way.
    fn detach(
        &mut self,
        mut answer: std::pin::Pin<Box<impl Future<Output = Result<Answer, SendError>> + Send + 'static>>,
        instances: u64,
        is_closing: bool,
    ) {
        let is_http1 =
            self.connection.as_ref().is_some_and(|connection| connection.version() < http::Version::HTTP_2);
        // It has to stay open for its answer; a new one is made for what comes next.
        let mut connection = if is_http1 || is_closing { self.connection.take() } else { None };
        let (patience, ended) = (self.destination.settings.response, Instant::now());
        self.answers.spawn(async move {
            let outcome = await_answer(&mut answer, patience).await;
            if !matches!(outcome, Outcome::Answered(_)) || is_closing {
                connection = None;
            }
            Detached { outcome, instances, ended, connection }
        });
    }

    /// Takes the answer of a request that was awaited meanwhile.
    pub(super) fn conclude_detached(&mut self, detached: Option<Detached>) {
        let Some(Detached { outcome, instances, ended, connection }) = detached else { return };
        if self.connection.is_none() {
            self.connection = connection.filter(Connection::is_open);
        }
        // A pause is for the next request to find out.
        let _ = self.conclude_send(outcome, instances, ended, None);
    }

    /// What comes of a Send request that ended at `ended`. `everything` is when it began, if nothing of it
    /// can be taken for arrived.
    fn conclude_send(
        &mut self,
        outcome: Outcome,
        instances: u64,
        ended: Instant,
        everything: Option<Instant>,
    ) -> Result<(), Outage> {
        let of_late = ended.checked_sub(self.times.doubt).unwrap_or(ended);
        let doubtful = everything.unwrap_or(of_late);
        let longer = ended.checked_sub(self.destination.memory()).unwrap_or(ended);
        let status = match &outcome {
            Outcome::Answered(answer) => answer.status.as_u16(),
            Outcome::Early(status, _) => status.as_u16(),
            Outcome::Late | Outcome::Broken(_) => 0,
        };
        self.tally.answered(Transaction::Send.word(), status);
        let doubtful = match &outcome {
            Outcome::Broken(SendError::Unprocessed | SendError::Stalled) => doubtful.min(longer),
            _ => doubtful,
        };
        match outcome {
            Outcome::Answered(answer) if answer.verdict == Verdict::Done => {
                let failed = self.account(Transaction::Send, &answer, instances);
                self.succeeded(&answer, failed);
                Ok(())
            }
            Outcome::Answered(answer) | Outcome::Early(_, Some(answer))
                if answer.verdict == Verdict::Content =>
            {
                let listed = answer.report.as_ref().map_or(0, |report| report.failed.len() as u64);
                self.account(Transaction::Send, &answer, 0);
                let taken = answer.report.as_ref().map_or(0, |report| report.taken as u64);
                let unknown = self.feed.as_mut().map_or(0, |feed| feed.out_since(doubtful));
                self.tally.failed("content", unknown.saturating_sub(listed + taken));
                if let Some(feed) = &mut self.feed {
                    feed.arrived();
                }
                self.fails(Transaction::Send, answer.status, answer.verdict)
            }
            Outcome::Answered(answer) => {
                self.doubt(doubtful);
                self.fails(Transaction::Send, answer.status, answer.verdict)
            }
            Outcome::Early(status, answer) => {
                self.doubt(doubtful);
                let verdict = answer.map_or_else(|| judge_alone(status), |answer| answer.verdict);
                if verdict == Verdict::Done {
                    self.complain("the peer answered before the request was at its end, as if it had been whole; let mode be \"store\"");
                    return self.pauses();
                }
                self.fails(Transaction::Send, status, verdict)
            }
            Outcome::Late => {
                self.doubt(doubtful);
                self.late()
            }
            Outcome::Broken(error) => {
                self.doubt(doubtful);
                self.broken(&error)
            }
        }
    }

    /// What went out since then may not have arrived: it goes out again.
    fn doubt(&mut self, since: Instant) {
        match &mut self.feed {
            Some(feed) => {
                let again = feed.go_back(since);
                self.tally.repeats(again);
            }
            None => {
                self.doubtful_since = Some(self.doubtful_since.map_or(since, |known| known.min(since)));
            }
        }
    }

    async fn store(&mut self, first: Taken) -> Result<(), Outage> {
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
        let (body, length, bytes) = whole_body(Writer::new(boundary), batch);
        let (out, is_out) = oneshot::channel::<()>();
        let chunks = stream::unfold((body.into_iter(), out), |(mut body, out)| async move {
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
    async fn batch(&mut self, first: Taken) -> Vec<Part> {
        let (most, memory) = (self.destination.settings.batch.max(1), self.destination.memory());
        let most = if self.one_by_one > 0 { 1 } else { most };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        let mut parts: Vec<Part> = Vec::new();
        let Some(feed) = &mut self.feed else { return parts };
        feed.arrived();
        let mut next = Some(first);
        while let Some(Taken::Instance(instance, mark)) = next {
            feed.goes_out(mark, memory);
            match part(feed.subscription().request(), &instance, feed.workers()).await {
                Ok(part) => parts.push(part),
                Err(_) => self.tally.failed("unsuitable", 1),
            }
            let bytes: u64 = parts.iter().map(Part::len).sum();
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

    /// Counts what an answer says of single instances. Returns how many failed.
    fn account(&self, transaction: Transaction, answer: &Answer, instances: u64) -> u64 {
        let Some(report) = &answer.report else {
            // 409 says that none was taken (PS3.18 §10.5.3.1).
            let failed = if answer.status == StatusCode::CONFLICT { instances } else { 0 };
            self.tally.failed("unnamed", failed);
            return failed;
        };
        let (taken, listed) = (report.taken as u64, report.failed.len() as u64);
        for &reason in &report.failed {
            self.tally.failed(reason_word(reason), 1);
        }
        self.tally.warned(report.warnings as u64);
        // A long list may be cut short; one that is empty says that the peer understood nothing.
        let unnamed = match transaction {
            Transaction::Store if report.lists => instances.saturating_sub(taken + listed),
            Transaction::Send if report.lists && taken + listed == 0 => instances,
            _ => 0,
        };
        self.tally.failed("unnamed", unnamed);
        listed + unnamed
    }

    fn late(&mut self) -> Result<(), Outage> {
        self.connection = None;
        let patience = self.destination.settings.response;
        self.complain(&format!(
            "no answer within {patience:?}; check the peer, or raise response_seconds if it is merely slow"
        ));
        self.pauses()
    }

    fn broken(&mut self, error: &SendError) -> Result<(), Outage> {
        self.connection = None;
        self.complain(&error.to_string());
        // The peer asks for nothing but another connection. Once: it may say so for ever.
        if *error == SendError::Unprocessed && std::mem::replace(&mut self.at_once, false) {
            return Ok(());
        }
        self.pauses()
    }

    /// After a failure of which nothing else is known.
    fn pauses(&mut self) -> Result<(), Outage> {
        self.proven = false;
        Err(Outage { pause: self.backoff.pause(), refused: false })
    }

    /// After a status that says that nothing, or not everything, was taken.
    fn fails(
        &mut self,
        transaction: Transaction,
        status: StatusCode,
        verdict: Verdict,
    ) -> Result<(), Outage> {
        self.proven = false;
        let can_be_stored = self.subscription.request().form != Form::Rendered;
        if verdict == Verdict::Unknown
            && transaction == Transaction::Send
            && can_be_stored
            && self.destination.falls_back()
        {
            let (destination, status) = (&self.destination.name, status.as_u16());
            tracing::info!(destination, status, "the peer does not know Send; it is asked to Store instead");
            return Ok(());
        }
        self.complain(&format!("the peer answered {} to {}: {}", status, transaction.word(), remedy(status)));
        let (pause, refused) = match verdict {
            Verdict::Later(Some(asked)) => (asked.max(self.backoff.pause()), false),
            Verdict::Later(None) | Verdict::Done => (self.backoff.pause(), false),
            Verdict::Content => (self.backoff.pause(), true),
            Verdict::Unknown | Verdict::Refused => (self.backoff.longest(), true),
        };
        Err(Outage { pause, refused })
    }
}

/// Of a status whose body did not come.
fn judge_alone(status: StatusCode) -> Verdict {
    super::answer::judge(status, &http::HeaderMap::new(), std::time::SystemTime::UNIX_EPOCH)
}

async fn await_answer(
    answer: &mut (impl Future<Output = Result<Answer, SendError>> + Unpin),
    patience: Duration,
) -> Outcome {
    match timeout(patience, answer).await {
        Ok(Ok(answer)) => Outcome::Answered(answer),
        Ok(Err(error)) => Outcome::Broken(error),
        Err(_) => Outcome::Late,
    }
}

/// The slices of a whole body, their octets, and those of the instances among them.
fn whole_body(mut writer: Writer, parts: Vec<Part>) -> (Vec<Bytes>, u64, u64) {
    let bytes = parts.iter().map(Part::len).sum();
    let mut chunks = Vec::with_capacity(parts.len() * 4 + 1);
    for part in parts {
        chunks.push(writer.part(&part.head));
        chunks.extend(part.content);
    }
    chunks.push(writer.close());
    let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    (chunks, length, bytes)
}
