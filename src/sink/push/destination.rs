//! A configured destination, as those who push there share it: whom to connect to, how to ask, and that a
//! peer was found not to know Send.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, Request, header};
use tokio::time::Instant;

use crate::config::settings::{DestinationSettings, PushMode};
use crate::net::client::token::{self, TokenError};
use crate::net::client::{BadUrl, Peer};
use crate::net::http::Body;
use crate::net::tls::Trust;

/// A peer that did not know Send is asked again on the first connection after this long.
const SEND_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// Why a request could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The token file.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The URL.
    #[error("no request can be made of the destination's url: {0}")]
    Url(#[from] http::Error),
}

/// The two transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// `POST /instances`, open-ended.
    Send,
    /// `POST /studies` (STOW-RS, PS3.18 §10.5).
    Store,
}

impl Transaction {
    /// The word for it in metrics and log.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Store => "store",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Send => "/instances",
            Self::Store => "/studies",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) name: String,
    pub(super) settings: DestinationSettings,
    pub(super) peer: Arc<Peer>,
    /// Since when it is known not to know Send.
    knows_no_send: Mutex<Option<Instant>>,
}

impl Destination {
    pub(super) fn new(name: &str, settings: DestinationSettings) -> Result<Self, BadUrl> {
        let trust = Trust { ca: settings.ca.clone(), identity: settings.identity.clone() };
        let peer = Peer::new(&settings.url, trust, settings.http)?
            .allow_plain(settings.allow_plain)
            .deadlines(settings.connect, settings.send_timeout);
        Ok(Self { name: name.to_owned(), settings, peer: Arc::new(peer), knows_no_send: Mutex::new(None) })
    }

    /// Which transaction the peer is to be asked.
    pub(super) fn transaction(&self) -> Transaction {
        let no_send = self.knows_no_send.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        match self.settings.mode {
            PushMode::Store => Transaction::Store,
            PushMode::SendThenStore if no_send => Transaction::Store,
            PushMode::Send | PushMode::SendThenStore => Transaction::Send,
        }
    }

    /// The peer does not know Send. Says whether it can be asked Store instead.
    pub(super) fn falls_back(&self) -> bool {
        let may = self.settings.mode == PushMode::SendThenStore;
        if may {
            *self.knows_no_send.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        may
    }

    /// A new connection is there: what was found long ago need not hold any more.
    pub(super) fn reconnected(&self) {
        let mut since = self.knows_no_send.lock().unwrap_or_else(PoisonError::into_inner);
        *since = since.filter(|since| since.elapsed() < SEND_AGAIN_AFTER);
    }

    /// How long what went out is remembered: until the kernel would have given up on the peer.
    pub(super) fn memory(&self) -> Duration {
        self.settings.send_timeout.saturating_mul(2) + Duration::from_secs(1)
    }

    /// A request without its body. The token is read now, so that one that was renewed is used.
    pub(super) async fn request(
        self: &Arc<Self>,
        transaction: Transaction,
        content_type: HeaderValue,
    ) -> Result<Request<()>, RequestError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.peer.target(transaction.path())?)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/dicom+json")
            .header(header::USER_AGENT, concat!("framegate/", env!("CARGO_PKG_VERSION")))
            .body(())?;
        if let Some(file) = &self.settings.token {
            let token = token::authorization(file.clone()).await?;
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        Ok(request)
    }
}

/// Gives a request its body.
pub(super) fn with_body(request: Request<()>, body: Body) -> Request<Body> {
    request.map(|()| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(settings: DestinationSettings) -> Arc<Destination> {
        Arc::new(Destination::new("pacs", settings).unwrap())
    }

    fn at(url: &str) -> DestinationSettings {
        DestinationSettings { url: url.to_owned(), ..DestinationSettings::default() }
    }

    #[tokio::test]
    async fn a_request_says_where_what_and_who() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "  abc.def-1\n").unwrap();
        let settings =
            DestinationSettings { token: Some(token.clone()), ..at("https://pacs:8443/dicom-web/") };
        let pacs = destination(settings);
        let kind = HeaderValue::from_static("multipart/related");
        let request = pacs.request(Transaction::Send, kind.clone()).await.unwrap();
        assert_eq!(request.uri(), "https://pacs:8443/dicom-web/instances");
        assert_eq!(request.headers()["accept"], "application/dicom+json");
        assert_eq!(request.headers()["authorization"], "Bearer abc.def-1");
        assert!(!format!("{request:?}").contains("abc"), "a token is not for logs");

        std::fs::write(&token, "renewed").unwrap();
        let request = pacs.request(Transaction::Store, kind.clone()).await.unwrap();
        assert_eq!(request.uri(), "https://pacs:8443/dicom-web/studies");
        assert_eq!(request.headers()["authorization"], "Bearer renewed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_without_send_is_asked_again_on_a_connection_after_an_hour() {
        let pacs = destination(at("https://pacs"));
        assert_eq!(pacs.transaction(), Transaction::Send);
        assert!(pacs.falls_back());
        pacs.reconnected();
        assert_eq!(pacs.transaction(), Transaction::Store);
        tokio::time::advance(SEND_AGAIN_AFTER).await;
        assert_eq!(pacs.transaction(), Transaction::Store, "the connection that is open goes on");
        pacs.reconnected();
        assert_eq!(pacs.transaction(), Transaction::Send);

        let strict = destination(DestinationSettings { mode: PushMode::Send, ..at("https://pacs") });
        assert!(!strict.falls_back());
        assert_eq!(strict.transaction(), Transaction::Send);
    }
}
