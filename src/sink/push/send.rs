//! One Send request, from its head to what its answer means.
//!
//! A peer that is not yet known to take Send requests is sent a short one first, and its answer awaited:
//! some refuse only after the last byte (Orthanc does), and what they were sent until then has to be still
//! in memory. From then on the next request begins while the last one's answer is awaited, on HTTP/2 on
//! the same connection, on HTTP/1.1 on a second one, so that rotation leaves no gap.

use std::pin::Pin;
use std::time::Duration;

use http::{StatusCode, Version};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::Verdict;
use super::body::{self, Back, Until};
use super::deliver::{Outcome, await_answer, judge_alone};
use super::destination::{Transaction, with_body};
use super::exchange::{Answer, exchange};
use super::feed::{Feed, Taken};
use super::pusher::{Outage, Pusher};
use crate::net::client::{Connection, SendError};
use crate::net::multipart::{Boundary, Writer};

/// How long a peer that has refused may take to read the end of what we send, and to say why.
const HURRY: Duration = Duration::from_secs(1);

/// A request whose answer is awaited while the next one is under way.
pub(super) struct Detached {
    outcome: Outcome,
    instances: u64,
    /// When its last instance went out, at the latest.
    ended: Instant,
    /// That of an HTTP/1.1 request, free again.
    connection: Option<Connection>,
}

/// A request under way.
struct Sending {
    answer: Pin<Box<dyn Future<Output = Result<Answer, SendError>> + Send>>,
    /// The answer's status, when it begins.
    head: oneshot::Receiver<StatusCode>,
    /// The feed, when the body is at its end or was let go of.
    given_back: oneshot::Receiver<Back>,
    /// Ends the body.
    end: watch::Sender<bool>,
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// How a request stands when its body was let go of, or it was answered.
#[derive(Default)]
struct Over {
    back: Option<Back>,
    answered: Option<Result<Answer, SendError>>,
    /// The answer's status, where it has begun.
    status: Option<StatusCode>,
    /// The connection is not for a further request.
    is_closing: bool,
    /// The destination has changed, or the subscription is suspended or over.
    is_steered: bool,
}

impl Pusher {
    /// Pushes `first` and what follows it.
    pub(super) async fn send(&mut self, first: Taken) -> Result<(), Outage> {
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
        let (body, given_back) = body::body(feed, first, Writer::new(boundary), until, end.subscribe());
        let (head_seen, seen) = oneshot::channel();
        let mut sending = Sending {
            answer: Box::pin(exchange(connection, with_body(head, body), head_seen)),
            head: seen,
            given_back,
            end,
            closing: Box::pin(connection.closing()),
        };
        let mut over = self.until_over(&mut sending).await;
        let may_overlap = self.proven && !self.is_stopping() && self.answers.is_empty() && !over.is_steered;
        if may_overlap
            && over.answered.is_none()
            && let Some(back) = over.back.take_if(|back| back.whole)
        {
            self.take_back(back.feed);
            self.detach(sending.answer, back.instances, over.is_closing);
            return Ok(());
        }
        let (outcome, back) = self.outcome(sending, over).await;
        let instances = back.as_ref().map_or(0, |back| back.instances);
        if let Some(back) = back {
            self.take_back(back.feed);
        }
        // A peer that has answered before the end may have lost count of what it still got of the body
        // (hypercorn has): what comes next goes over a fresh connection.
        if !matches!(&outcome, Outcome::Answered(answer) if answer.status.is_success()) {
            self.connection = None;
        }
        let everything = (!self.proven).then_some(began);
        self.conclude(outcome, instances, Instant::now(), everything)
    }

    /// Looks after a request until its body was let go of, or it is answered.
    async fn until_over(&mut self, sending: &mut Sending) -> Over {
        let (mut steered, mut time_is_up) = (Box::pin(self.steered()), Box::pin(self.time_is_up()));
        let mut over = Over::default();
        let mut hurry = None;
        loop {
            tokio::select! {
                biased;
                back = &mut sending.given_back => {
                    over.back = back.ok();
                    return over;
                }
                answered = &mut sending.answer => {
                    over.answered = Some(answered);
                    return over;
                }
                status = &mut sending.head, if over.status.is_none() => {
                    // An error goes before that of the answer.
                    let status = status.unwrap_or(StatusCode::OK);
                    over.status = Some(status);
                    if !status.is_success() {
                        sending.end.send_replace(true);
                        hurry = Some(Instant::now() + HURRY);
                    }
                }
                () = sleep_until(hurry.unwrap_or_else(Instant::now)), if hurry.is_some() => return over,
                () = &mut sending.closing, if !over.is_closing => {
                    over.is_closing = true;
                    sending.end.send_replace(true);
                }
                () = &mut steered, if !over.is_steered => {
                    over.is_steered = true;
                    sending.end.send_replace(true);
                }
                () = &mut time_is_up, if !*sending.end.borrow() => {
                    sending.end.send_replace(true);
                }
                done = self.answers.join_next(), if !self.answers.is_empty() => {
                    self.conclude_detached(done.and_then(Result::ok));
                    if self.doubtful_since.is_some() {
                        sending.end.send_replace(true);
                    }
                }
            }
        }
    }

    /// What comes of a request that is over, and what its body gives back.
    async fn outcome(&mut self, mut sending: Sending, over: Over) -> (Outcome, Option<Back>) {
        let is_whole = over.back.as_ref().is_some_and(|back| back.whole);
        let outcome = match over.answered {
            Some(Ok(answer)) => Outcome::Early(answer.status, Some(answer)),
            Some(Err(error)) => Outcome::Broken(error),
            None if is_whole => await_answer(&mut sending.answer, self.destination.settings.response).await,
            None => match (timeout(HURRY, &mut sending.answer).await, over.status) {
                (Ok(Ok(answer)), _) => Outcome::Early(answer.status, Some(answer)),
                (Ok(Err(error)), _) => Outcome::Broken(error),
                (Err(_), Some(status)) => Outcome::Early(status, None),
                (Err(_), None) => Outcome::Broken(SendError::Stalled),
            },
        };
        drop(sending.answer);
        let back = match over.back {
            Some(back) => Some(back),
            // An answer may just have overtaken the news that the body is at its end.
            None => match sending.given_back.try_recv() {
                Ok(back) => Some(back),
                Err(_) => {
                    // Without its connection it is let go of.
                    self.connection = None;
                    sending.given_back.await.ok()
                }
            },
        };
        match (outcome, back) {
            (Outcome::Early(_, Some(answer)), Some(back)) if back.whole => {
                (Outcome::Answered(answer), Some(back))
            }
            other => other,
        }
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
        mut answer: Pin<Box<dyn Future<Output = Result<Answer, SendError>> + Send>>,
        instances: u64,
        is_closing: bool,
    ) {
        let is_h2 =
            self.connection.as_ref().is_some_and(|connection| connection.version() == Version::HTTP_2);
        // It has to stay open for its answer; a new one is made for what comes next.
        let mut connection = if is_h2 && !is_closing { None } else { self.connection.take() };
        let (patience, ended) = (self.destination.settings.response, Instant::now());
        self.answers.spawn(async move {
            let outcome = await_answer(&mut answer, patience).await;
            if is_closing || !matches!(outcome, Outcome::Answered(_)) {
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
        let _ = self.conclude(outcome, instances, ended, None);
    }

    /// What comes of a request that ended at `ended`. `everything` is when it began, if nothing of it
    /// can be taken for arrived.
    fn conclude(
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
}
