//! Asks a worklist over the web: the search transaction of PS3.18 §14.4, in DICOM JSON. One connection for
//! all stations, closed afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};

use super::found::Found;
use super::query::Query;
use crate::config::settings::{HttpVersion, WebPeer};
use crate::instance::json::read::{self, JsonError, ReadLimits};
use crate::net::client::token::{self, TokenError};
use crate::net::client::{BadUrl, ConnectError, Connection, Peer, SendError};
use crate::net::http::Body;
use crate::net::tls::Trust;

/// For all of it.
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of one answer.
const BODY_BYTES: usize = 32 << 20;
/// Entries of one answer, whatever was asked for.
const MOST: usize = 10_000;
/// Bounds on one entry: what Table K.6-1 has in all is far less.
const LIMITS: ReadLimits = ReadLimits { elements: 2000, nesting: 8 };
const DICOM_JSON: &str = "application/dicom+json";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Send(#[from] SendError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("no request can be made of its url: {0}")]
    Url(#[from] http::Error),
    #[error("it does not answer in {WHOLE:?}")]
    Timeout,
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer is not in {DICOM_JSON}")]
    MediaType,
    #[error("its answer broke off, or has more than {BODY_BYTES} bytes")]
    Body,
    #[error("its answer is not what it should be: {0}")]
    Json(#[from] JsonError),
}

/// An origin server with a worklist.
#[derive(Debug)]
pub(super) struct Web {
    peer: Arc<Peer>,
    settings: WebPeer,
}

impl Web {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// When the URL is none.
    pub(super) fn new(settings: WebPeer) -> Result<Self, BadUrl> {
        let trust = Trust { ca: settings.ca.clone(), identity: settings.identity.clone() };
        let peer = Arc::new(Peer::new(&settings.url, trust, HttpVersion::Auto)?);
        Ok(Self { peer, settings })
    }

    /// At most `most` entries.
    ///
    /// # Errors
    /// When it does not answer, or not as it should.
    pub(super) async fn find(&self, query: &Query, most: usize) -> Result<Found, WebError> {
        tokio::time::timeout(WHOLE, Box::pin(self.ask(query, most))).await.unwrap_or(Err(WebError::Timeout))
    }

    async fn ask(&self, query: &Query, most: usize) -> Result<Found, WebError> {
        let mut found = Found::default();
        let mut connection = Connection::open(&self.peer).await?;
        // One more than is kept shows whether there are more.
        for target in query.targets(most.saturating_add(1)) {
            if !connection.ready().await {
                connection = Connection::open(&self.peer).await?;
            }
            let mut request = Request::builder()
                .method(Method::GET)
                .uri(self.peer.target(&target)?)
                .header(header::ACCEPT, DICOM_JSON)
                .header(header::USER_AGENT, concat!("framegate/", env!("CARGO_PKG_VERSION")))
                .body(Body::new(Empty::new().map_err(|never| match never {})))?;
            if let Some(file) = &self.settings.token {
                let token = token::authorization(file.clone()).await?;
                request.headers_mut().insert(header::AUTHORIZATION, token);
            }
            let response = connection.send(request).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NO_CONTENT => continue,
                status => return Err(WebError::Status(status)),
            }
            let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if !kind.is_some_and(is_json) {
                return Err(WebError::MediaType);
            }
            let body = Limited::new(response.into_body(), BODY_BYTES).collect().await;
            let body = body.map_err(|_| WebError::Body)?.to_bytes();
            // Parsing megabytes is no work for the threads that move frames.
            let parsed = tokio::task::spawn_blocking(move || {
                take(&body, most, &mut found)?;
                Ok::<_, JsonError>(found)
            });
            found = parsed.await.map_err(|_| WebError::Body)??;
            if found.more {
                break;
            }
        }
        Ok(found)
    }
}

/// Takes the entries of one answer (PS3.18 §14.4.3.3).
fn take(body: &Bytes, most: usize, found: &mut Found) -> Result<(), JsonError> {
    if body.is_empty() {
        return Ok(());
    }
    for text in read::data_sets(body, MOST)? {
        if found.looked_at() == most {
            found.more = true;
            break;
        }
        found.take(read::data_set(&text, LIMITS, &mut |_| None));
    }
    Ok(())
}

/// Some servers leave the `dicom+` out.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    [DICOM_JSON, "application/json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(text: &str, most: usize) -> Result<Found, JsonError> {
        let mut found = Found::default();
        take(&Bytes::copy_from_slice(text.as_bytes()), most, &mut found)?;
        Ok(found)
    }

    fn entries(count: usize) -> String {
        let one = |n| format!(r#"{{"0020000D":{{"vr":"UI","Value":["1.2.{n}"]}}}}"#);
        format!("[{}]", (0..count).map(one).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn entries_are_taken_up_to_the_bound() {
        let found = taken(&entries(3), 3).unwrap();
        assert_eq!((found.entries.len(), found.more), (3, false));
        let found = taken(&entries(4), 3).unwrap();
        assert_eq!((found.entries.len(), found.more), (3, true));
    }

    #[test]
    fn an_entry_that_cannot_be_read_does_not_hide_the_others() {
        let found =
            taken(r#"[{"0020000D":{"vr":"??"}},{"00100020":{"vr":"LO","Value":["A"]}},7]"#, 9).unwrap();
        assert_eq!((found.entries.len(), found.unreadable), (1, 2));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        assert!(matches!(taken("{}", 9), Err(JsonError::Shape)));
        assert!(matches!(taken("<html>", 9), Err(JsonError::Shape)));
        assert_eq!(taken("", 9).unwrap().looked_at(), 0);
    }

    #[test]
    fn media_types_are_told_by_their_essence() {
        assert!(is_json("application/dicom+json; charset=utf-8") && is_json("Application/JSON"));
        assert!(!is_json("text/html") && !is_json(""));
    }

    proptest! {
        #[test]
        fn arbitrary_answers_never_panic(text in "\\PC{0,200}", json in r#"\[(\{"00[0-9A-F]{6}":\{"vr":"(SQ|UI|PN|DS)","Value":\[[0-9\[\]{}", ]{0,20}\]\}\},?){0,3}\]"#) {
            let _ = taken(&text, 5);
            let _ = taken(&json, 5);
        }
    }
}
