//! Handing over, by [`super::send`] or [`super::store`], and what is common to both: a request's head, what
//! is counted of an answer, and what a failure means for what comes next.
//!
//! | what happened | what is pushed next | when |
//! |---|---|---|
//! | 200, 202, 409 | what follows; failures that are listed are final | at once |
//! | 429, 503, other 5xx, broken, no answer | Store: the same; Send: from what may not have arrived | after `Retry-After` or a growing pause |
//! | the peer did not look at the request | the same | at once, then as above |
//! | 400, 413 | what follows: the same would be refused again | after a growing pause |
//! | 404, 405, 415, 501 to Send, if allowed | the same, with Store | at once |
//! | 401, 403, redirects, and those four otherwise | the same | after the longest pause |

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::time::timeout;

use super::answer::{Verdict, judge, reason_word, remedy};
use super::destination::Transaction;
use super::events;
use super::exchange::Answer;
use super::feed::Taken;
use super::part::media_type;
use super::pusher::{Outage, Pusher};
use crate::net::client::SendError;
use crate::net::multipart::Boundary;
use crate::subscription::registry::Form;

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
    pub(super) async fn head(
        &mut self,
        transaction: Transaction,
        boundary: &Boundary,
    ) -> Result<Request<()>, Outage> {
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

    /// Gives back what has not gone out.
    pub(super) fn put_back(&mut self, taken: &Taken) {
        if let (Some(feed), Taken::Instance(_, mark)) = (&mut self.feed, taken) {
            feed.put_back(mark.as_ref());
        }
    }

    /// Counts what an answer says of single instances. Returns how many failed.
    pub(super) fn account(&self, transaction: Transaction, answer: &Answer, instances: u64) -> u64 {
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

    /// No answer came.
    pub(super) fn late(&mut self) -> Result<(), Outage> {
        let patience = self.destination.settings.response;
        self.complain(&format!(
            "no answer within {patience:?}; check the peer, or raise response_seconds if it is merely slow"
        ));
        self.pauses()
    }

    /// The connection broke, or was never of use.
    pub(super) fn broken(&mut self, error: &SendError) -> Result<(), Outage> {
        self.complain(&error.to_string());
        // The peer asks for nothing but another connection. Once: it may say so for ever.
        if *error == SendError::Unprocessed && std::mem::replace(&mut self.at_once, false) {
            return Ok(());
        }
        self.pauses()
    }

    /// After a failure of which nothing else is known.
    pub(super) fn pauses(&mut self) -> Result<(), Outage> {
        self.proven = false;
        Err(Outage { pause: self.backoff.pause(), refused: false })
    }

    /// After a status that says that nothing, or not everything, was taken.
    pub(super) fn fails(
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
            events::FallsBack { destination, status }.tell();
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
pub(super) fn judge_alone(status: StatusCode) -> Verdict {
    judge(status, &HeaderMap::new(), SystemTime::UNIX_EPOCH)
}

/// Waits for the answer to a request that is out.
pub(super) async fn await_answer(
    answer: &mut (impl Future<Output = Result<Answer, SendError>> + Unpin),
    patience: Duration,
) -> Outcome {
    match timeout(patience, answer).await {
        Ok(Ok(answer)) => Outcome::Answered(answer),
        Ok(Err(error)) => Outcome::Broken(error),
        Err(_) => Outcome::Late,
    }
}
