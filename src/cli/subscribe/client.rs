//! What of HTTP the subscriber needs: a service's URL, credentials, one question with its answer, and
//! responses that stay open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::config::settings::HttpVersion;
use crate::net::client::{Connection, Peer};
use crate::net::http::Body;
use crate::net::tls::Trust;

/// For the head of a response, and for the whole of one that is not open-ended.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of a response that is not open-ended.
const ANSWER_BYTES: usize = 1 << 20;

/// The root of a DICOMweb service, such as `https://host:8443/dicomweb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ServiceUrl {
    /// Scheme, host and port.
    origin: String,
    /// Path without a slash at its end; may be empty.
    path: String,
}

impl ServiceUrl {
    /// Whether it is `https`.
    pub(in crate::cli) fn is_tls(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

impl std::str::FromStr for ServiceUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trust = Trust { ca: PathBuf::new(), identity: None };
        Peer::new(text, trust, HttpVersion::Http1).map_err(|error| error.to_string())?;
        let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("not an absolute URL".to_owned());
        };
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Whom the service is to trust, and whom we are to.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    pub(super) trust: Trust,
    /// Any certificate will do.
    pub(super) insecure: bool,
    /// File with a bearer token; read for every request, so that it can be renewed.
    pub(super) token: Option<PathBuf>,
}

/// A client of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    peer: Arc<Peer>,
    path: Arc<str>,
    token: Option<PathBuf>,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Client {
    /// Connects to nothing yet.
    pub(super) fn new(url: &ServiceUrl, credentials: Credentials) -> anyhow::Result<Self> {
        // One response at a time is read on each connection: HTTP/1.1 has no windows to grant.
        let mut peer = Peer::new(&url.origin, credentials.trust, HttpVersion::Http1)?;
        if credentials.insecure {
            peer = peer.unverified();
        }
        Ok(Self { peer: Arc::new(peer), path: url.path.as_str().into(), token: credentials.token })
    }

    /// The absolute path of a resource of the service; `resource` begins with a slash.
    pub(super) fn path(&self, resource: &str) -> String {
        format!("{}{resource}", self.path)
    }

    /// The path and query of a URL that the service gave us. Another host in it is not asked: the service
    /// is where we found it, and our credentials are for that place alone.
    pub(super) fn path_of(&self, url: &str) -> Option<String> {
        let uri: Uri = url.parse().ok()?;
        uri.path_and_query().map(|path| path.as_str().to_owned()).filter(|path| path.starts_with('/'))
    }

    /// A request with our credentials.
    pub(super) fn request(&self, method: Method, path: &str) -> anyhow::Result<Request<Body>> {
        let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(empty);
        if method == Method::POST {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *request.method_mut() = method;
        *request.uri_mut() = self.peer.target(path).context("the service's path cannot be asked for")?;
        if let Some(file) = &self.token {
            let token = std::fs::read_to_string(file)
                .with_context(|| format!("the token in {} cannot be read", file.display()))?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .with_context(|| format!("{} holds no bearer token", file.display()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Sends a request on a connection of its own, and gives both once the head of the response is there.
    pub(super) async fn open(
        &self,
        request: Request<Body>,
    ) -> anyhow::Result<(Connection, Response<Incoming>)> {
        let mut connection = Box::pin(Connection::open(&self.peer)).await?;
        let sent = timeout(PATIENCE, connection.send(request)).await;
        let response = sent.map_err(|_| anyhow!("{} does not answer", self.peer.authority()))??;
        Ok((connection, response))
    }

    /// Asks something that has a short answer.
    pub(super) async fn ask(&self, method: Method, path: &str) -> anyhow::Result<Answer> {
        let mut request = self.request(method, path)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (_connection, response) = self.open(request).await?;
        Answer::read(response).await
    }
}

impl Answer {
    /// Reads a response to its end.
    pub(super) async fn read(response: Response<Incoming>) -> anyhow::Result<Self> {
        let (head, body) = response.into_parts();
        let whole = timeout(PATIENCE, Limited::new(body, ANSWER_BYTES).collect()).await;
        let whole = whole.map_err(|_| anyhow!("the answer does not end"))?;
        let body = whole.map_err(|error| anyhow!("the answer cannot be read: {error}"))?.to_bytes().to_vec();
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    /// Where the answer points to.
    pub(super) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// Makes an error of it, with the service's own words (RFC 9457).
    pub(super) fn refused<T>(&self, what: &str) -> anyhow::Result<T> {
        let words = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let detail = words.as_ref().and_then(|words| words.get("detail").or_else(|| words.get("title")));
        let status = self.status;
        match detail.and_then(serde_json::Value::as_str) {
            Some(detail) => {
                let detail: String = detail.chars().filter(|c| !c.is_control()).take(500).collect();
                bail!("{what}: {status}: {detail}")
            }
            None => bail!("{what}: {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        let trust = Trust { ca: PathBuf::new(), identity: None };
        Client::new(&url.parse().unwrap(), Credentials { trust, insecure: true, token: None }).unwrap()
    }

    #[test]
    fn the_root_of_a_service_is_an_absolute_url_and_nothing_more() {
        for bad in ["", "host", "/dicomweb", "ftp://host/", "https://host/?a=b", "https://me@host/"] {
            assert!(bad.parse::<ServiceUrl>().is_err(), "{bad}");
        }
        let url: ServiceUrl = "https://gate.example:8443/dicomweb/".parse().unwrap();
        assert_eq!((url.origin.as_str(), url.path.as_str()), ("https://gate.example:8443", "/dicomweb"));
        assert_eq!(client("https://gate.example").path("/series"), "/series");
    }

    #[test]
    fn what_the_service_names_is_asked_for_at_the_service() {
        let client = client("https://gate.example:8443/dicomweb");
        let path = client.path_of("wss://other.example/dicomweb/subscribers/A?channel=1").unwrap();
        assert_eq!(path, "/dicomweb/subscribers/A?channel=1");
        let request = client.request(Method::GET, &path).unwrap();
        assert_eq!(request.uri().host(), Some("gate.example"));
        assert_eq!(client.path_of("no url"), None);
    }

    #[test]
    fn a_token_goes_along_and_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc.def\n").unwrap();
        let mut client = client("https://gate.example");
        client.token = Some(file.path().to_owned());
        let request = client.request(Method::GET, "/").unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer abc.def");
        assert!(!format!("{request:?}").contains("abc.def"));
    }
}
