//! Store (STOW-RS, PS3.18 §10.5) and Send: the HTTP side of the [send source](crate::source::send).
//! A body is fed on chunk by chunk as the connection gives it; nothing of it is kept here.

mod response;

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::timeout;

use super::access::Caller;
use super::media::{self, Accept};
use super::problem::Problem;
use super::retrieve::respond_full;
use super::{Answer, BACK_SOON, Origin};
use crate::config::settings::Right;
use crate::instance::Uid;
use crate::net::multipart::{ContentType, ContentTypeError};
use crate::source::send::report::End;
use crate::source::send::{Intake, Of, Refusal};

/// When there may be room again.
const BUSY: Duration = Duration::from_secs(1);
/// What is read of a body that nobody wants any more. A client that is still sending would lose the
/// response: over HTTP/1.1 to a TCP reset, over HTTP/2 since some (libcurl) take RST_STREAM, even
/// without an error, for the end of everything.
const LINGER_BYTES: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Takes the instances of a request; `study` is the only one that they may be of, if given.
pub(super) async fn store(
    origin: &Origin,
    request: Request<Incoming>,
    caller: &Caller,
    study: Option<Uid>,
) -> Answer {
    let (parts, mut body) = request.into_parts();
    let is_h1 = parts.version < Version::HTTP_2;
    let begun = begin(origin, &parts.headers, caller, study);
    let (mut intake, media) = match begun {
        Ok(begun) => begun,
        Err(problem) => {
            // A client that waits to be told to go on must not be, as a look at the body would.
            if !parts.headers.contains_key(EXPECT) {
                linger(&mut body).await;
            }
            return Err(problem);
        }
    };
    let mut stopping = origin.stopping.clone();
    let Some(end) = read(&mut body, &mut intake, &mut stopping).await else {
        // Most likely there is nobody to answer. The intake, dropped, tells the hub.
        return Err(Problem::bad_body("The body ended early."));
    };
    let report = intake.finish(end);
    if report.end == End::Malformed {
        linger(&mut body).await;
    }
    let status = response::status(&report);
    let (content_type, content) = response::payload(&report, media)?;
    let mut response = respond_full(content_type, content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let wait = if report.end == End::Stopping { BACK_SOON } else { BUSY };
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    if is_h1 && report.end != End::Body {
        // What the client sends on is no request.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Everything that can be told before the first byte of the body.
fn begin(
    origin: &Origin,
    headers: &HeaderMap,
    caller: &Caller,
    study: Option<Uid>,
) -> Result<(Intake, media::DatasetMedia), Problem> {
    caller.may(Right::Send)?;
    let coded = headers.get_all(CONTENT_ENCODING).iter();
    if coded.into_iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "The body must not be compressed; frames are, by their transfer syntax.";
        // RFC 9110 §12.5.3: says that it is the coding.
        return Err(Problem::unsupported_media_type(detail)
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let accept = Accept::parse(headers, std::iter::empty::<&str>())?;
    let media = media::datasets(&accept)?.first().copied().ok_or_else(Problem::internal)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content = ContentType::parse(content_type.unwrap_or_default()).map_err(|error| match error {
        ContentTypeError::NotMultipart => Problem::unsupported_media_type(sentence(&Refusal::MediaType)),
        _ => Problem::bad_body(sentence(&error)),
    })?;
    let request = Of { study, principal: caller.name() };
    let intake = origin.send.begin(&content, request).map_err(|refusal| match refusal {
        Refusal::MediaType => Problem::unsupported_media_type(sentence(&refusal)),
        Refusal::Full(_) => Problem::busy(BUSY),
    })?;
    Ok((intake, media))
}

/// An error's text as the sentence that a problem's detail is.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// Reads a body to its end. Says how it ended; `None` where the client is gone.
async fn read(body: &mut Incoming, intake: &mut Intake, stopping: &mut watch::Receiver<bool>) -> Option<End> {
    loop {
        let settings = intake.settings();
        let patience = if intake.is_in_part() { settings.stall } else { settings.idle };
        let frame = tokio::select! {
            biased;
            // An error means that the service is gone, which is the same.
            _ = stopping.wait_for(|&stopping| stopping) => return Some(End::Stopping),
            frame = timeout(patience, body.frame()) => frame,
        };
        match frame {
            Err(_) => return Some(End::Stalled),
            Ok(None) => return Some(End::Body),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "the client of a Send or Store is gone");
                return None;
            }
            // Trailers say nothing that we ask for.
            Ok(Some(Ok(frame))) => {
                let chunk: Bytes = frame.into_data().unwrap_or_default();
                if intake.feed(chunk).await.is_err() {
                    return Some(End::Malformed);
                }
            }
        }
    }
}

/// Reads on for a while what nobody wants.
async fn linger(body: &mut Incoming) {
    let rest = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whoever sends longer than that has been told all the same.
    let _ = timeout(LINGER, rest).await;
}
