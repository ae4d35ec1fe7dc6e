//! One request and its answer, from head to last byte, within bounds of time and size.

use std::time::{Duration, SystemTime};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::{MOST, Report, Verdict, judge, report};
use crate::net::client::{Connection, SendError};
use crate::net::http::Body;

/// The body of an answer that is here already may take this long.
const BODY: Duration = Duration::from_secs(10);

/// What a destination answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) verdict: Verdict,
    /// What it says of single instances; `None` where it says nothing that we can read.
    pub(super) report: Option<Report>,
}

/// Sends `request` and reads the answer, however early it comes. `head` is told its status as soon as it
/// is here. There is no bound on the time until then: who sends an open-ended body knows when it is over.
pub(super) fn exchange(
    connection: &mut Connection,
    request: Request<Body>,
    head: oneshot::Sender<StatusCode>,
) -> impl Future<Output = Result<Answer, SendError>> + Send + use<> {
    let response = connection.send(request);
    async move {
        let (parts, body) = response.await?.into_parts();
        // Nobody asks where the request is at its end.
        let _ = head.send(parts.status);
        let verdict = judge(parts.status, &parts.headers, SystemTime::now());
        let is_json = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_none_or(|value| value.to_ascii_lowercase().contains("json"));
        // Read to its end in any case, which lets HTTP/1.1 use the connection again. What is too long,
        // too late or cut short is left: the status stands.
        let bytes = timeout(BODY, Limited::new(body, MOST).collect()).await;
        let bytes = bytes.ok().and_then(Result::ok).map(|body| body.to_bytes());
        let report = bytes.filter(|_| is_json).and_then(|bytes| report(&bytes));
        Ok(Answer { status: parts.status, verdict, report })
    }
}
