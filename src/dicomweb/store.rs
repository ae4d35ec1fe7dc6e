//! Store (STOW-RS, PS3.18 §10.5) and Send: the HTTP side of the [send source](crate::source::send).
//! A body is fed on chunk by chunk as the connection gives it; nothing of it is kept here.

mod response;

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::access::Caller;
use super::content::linger;
use super::media::{self, Accept};
use super::problem::Problem;
use super::retrieve::respond_full;
use super::{Answer, BACK_SOON, Origin, events};
use crate::config::settings::Right;
use crate::instance::Uid;
use crate::net::multipart::{ContentType, ContentTypeError};
use crate::source::send::report::End;
use crate::source::send::{Intake, Of, Refusal};

/// When there may be room again.
const BUSY: Duration = Duration::from_secs(1);
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
    let Some(end) = read(&mut body, &mut intake, ended(origin, caller)).await else {
        // Most likely there is nobody to answer. The intake, dropped, tells the hub.
        return Err(Problem::bad_body("The body ended early."));
    };
    let report = intake.finish(end);
    if matches!(report.end, End::Malformed | End::Withdrawn) {
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
    let request = Of { study, principal: caller.name(), transfers: caller.visitor().sends() };
    let intake = origin.send.begin(&content, request).map_err(|refusal| match refusal {
        Refusal::MediaType => Problem::unsupported_media_type(sentence(&refusal)),
        Refusal::Full(_) => Problem::busy(BUSY),
    })?;
    Ok((intake, media))
}

/// An error's text as the sentence that a problem's detail is.
fn sentence(error: &dyn Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// Waits until a request is ended by something else than its body.
async fn ended(origin: &Origin, caller: &Caller) -> End {
    let mut stopping = origin.stopping.clone();
    tokio::select! {
        // An error means that the service is gone, which is the same.
        _ = stopping.wait_for(|&stopping| stopping) => End::Stopping,
        () = caller.lost(Right::Send) => End::Withdrawn,
    }
}

/// Reads a body to its end, or until `ended`. Says how it ended; `None` where the client is gone.
async fn read<B>(body: &mut B, intake: &mut Intake, ended: impl Future<Output = End>) -> Option<End>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut ended = pin!(ended);
    loop {
        let settings = intake.settings();
        let patience = if intake.is_in_part() { settings.stall } else { settings.idle };
        let frame = tokio::select! {
            biased;
            end = &mut ended => return Some(end),
            frame = timeout(patience, body.frame()) => frame,
        };
        match frame {
            Err(_) => return Some(End::Stalled),
            Ok(None) => return Some(End::Body),
            Ok(Some(Err(error))) => {
                events::SenderGone { error: &error }.tell();
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use arc_swap::ArcSwap;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::config::settings::{HubSettings, SendSettings};
    use crate::hub::Hub;
    use crate::source::send::{SendCounters, SendSource};

    fn intake() -> Intake {
        let settings = Arc::new(ArcSwap::from_pointee(SendSettings::default()));
        let hub = Hub::new(HubSettings::default());
        let source = SendSource::new(hub, settings, SendCounters::default());
        let content = ContentType::parse("multipart/related; boundary=b").unwrap();
        source.begin(&content, Of::default()).unwrap()
    }

    #[tokio::test]
    async fn an_open_request_ends_with_the_right_to_it() {
        let (chunks, mut coming) = mpsc::channel(1);
        let mut body =
            StreamBody::new(futures_util::stream::poll_fn(move |context| coming.poll_recv(context)));
        let (end, ended) = oneshot::channel();
        let mut intake = intake();
        let reading = tokio::spawn(async move {
            let ended = async { ended.await.unwrap_or(End::Stopping) };
            let end = read(&mut body, &mut intake, ended).await;
            (end, intake.is_in_part())
        });
        let head = Bytes::from_static(b"--b\r\nContent-Type: application/dicom\r\n\r\n");
        chunks.send(Ok::<_, Infallible>(Frame::data(head))).await.unwrap();
        // There is room again when the first chunk has been taken.
        drop(chunks.reserve().await.unwrap());
        assert!(!reading.is_finished());
        end.send(End::Withdrawn).unwrap();
        assert_eq!(reading.await.unwrap(), (Some(End::Withdrawn), true));
    }
}
