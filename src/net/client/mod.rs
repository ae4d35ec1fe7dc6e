//! One HTTP connection of ours to a peer. It is made with a deadline, over TLS with the profile of
//! [`super::tls`], as HTTP/1.1 or HTTP/2. A peer that takes none of the bytes on offer is given up, by the
//! same two watches as in the server ([`super::progress`], [`super::socket`]). An answer that comes while
//! the request is still being sent is seen at once.
//!
//! [`Peer`] says whom to connect to, [`Connection::open`] connects, [`Connection::send`] asks. There is no
//! pool, no retry, no redirect: those who ask know what may be asked twice.

mod drive;
mod error;
pub mod reach;
pub mod token;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::drive::{Driver, Tasks};
pub use self::error::{BadUrl, ConnectError, SendError};
use super::http::Body;
use super::progress::{Activity, Watched};
use super::socket::{Socket, tune};
use super::tls::{ClientTls, Trust};
use crate::config::settings::HttpVersion;

/// What of a request HTTP/2 may hold back until the peer grants window (bytes). Little, so that what is
/// not yet sent is still in the ring rather than here.
const SEND_BUFFER: usize = 256 << 10;
/// Receive windows of HTTP/2 (bytes): responses are small, but a client may also read instances.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Bytes of a response's header fields.
const HEADER_BYTES: usize = 64 << 10;
/// A silent HTTP/2 connection is asked whether it is still there, and may take this long to say so.
const PING_AFTER: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Whom to connect to, and how.
#[derive(Debug)]
pub struct Peer {
    scheme: Scheme,
    authority: Authority,
    base: String,
    http: HttpVersion,
    tls: ClientTls,
    allow_plain: bool,
    connect: Duration,
    send_timeout: Duration,
}

impl Peer {
    /// A peer at `url`, such as `https://pacs.example/dicom-web`: its scheme, host and port, and the path
    /// that all requests begin with. `trust` is not looked at for `http`, which is only for this machine
    /// unless [`Peer::allow_plain`].
    ///
    /// # Errors
    /// When the URL is none of those.
    pub fn new(url: &str, trust: Trust, http: HttpVersion) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|_| BadUrl::Unreadable)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(BadUrl::Unreadable);
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(BadUrl::Scheme);
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() || authority.as_str().contains('@') {
            return Err(BadUrl::More);
        }
        let alpn: &[&[u8]] = match http {
            HttpVersion::Auto => &[b"h2", b"http/1.1"],
            HttpVersion::Http1 => &[b"http/1.1"],
            HttpVersion::Http2 => &[b"h2"],
        };
        Ok(Self {
            scheme,
            authority,
            base: path.path().trim_end_matches('/').to_owned(),
            http,
            tls: ClientTls::new(trust, alpn),
            allow_plain: false,
            connect: Duration::from_secs(5),
            send_timeout: Duration::from_secs(10),
        })
    }

    /// Takes any certificate of the peer; see [`ClientTls::unverified`].
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.tls = self.tls.unverified();
        self
    }

    /// Whether plain HTTP may go to other machines.
    #[must_use]
    pub fn allow_plain(mut self, allow: bool) -> Self {
        self.allow_plain = allow;
        self
    }

    /// How long `connect` (name, TCP and TLS together) may take, and for how long a peer may take no byte
    /// of what is on offer.
    #[must_use]
    pub fn deadlines(mut self, connect: Duration, send_timeout: Duration) -> Self {
        (self.connect, self.send_timeout) = (connect, send_timeout);
        self
    }

    /// The target of a request: the path of the base URL, and `path` behind it.
    ///
    /// # Errors
    /// When `path` cannot stand in a URL.
    pub fn target(&self, path: &str) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base))
            .build()
    }

    /// Host and port, for messages.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    fn unreached(&self, error: std::io::Error) -> ConnectError {
        ConnectError::Tcp { authority: self.authority.to_string(), error }
    }

    /// Where it is, by the host's name.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let port = self.authority.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 });
        let found = lookup_host((self.host(), port)).await.map_err(|error| self.unreached(error))?;
        Ok(found.collect())
    }

    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let is_here = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        if !self.is_tls() && !self.allow_plain && !addresses.iter().all(is_here) {
            return Err(ConnectError::Plain { authority: self.authority.to_string() });
        }
        let stream = TcpStream::connect(addresses).await.map_err(|error| self.unreached(error))?;
        tune(&stream, self.send_timeout).map_err(|error| self.unreached(error))?;
        Ok(stream)
    }

    /// The TLS handshake.
    async fn secure(self: &Arc<Self>, socket: Socket) -> Result<TlsStream<Socket>, ConnectError> {
        let refused = |error| ConnectError::Handshake { authority: self.authority.to_string(), error };
        let name = ServerName::try_from(self.host().to_owned())
            .map_err(|error| refused(std::io::Error::other(error)))?;
        let files = self.clone();
        let config = tokio::task::spawn_blocking(move || files.tls.current())
            .await
            .map_err(|error| refused(std::io::Error::other(error)))??;
        TlsConnector::from(config).connect(name, socket).await.map_err(refused)
    }
}

/// An open connection. Dropping it closes it, with whatever is under way.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    activity: Arc<Activity>,
    scheme: Scheme,
    authority: Authority,
    /// Turns true when no further request can be made.
    closing: watch::Receiver<bool>,
    tasks: Tasks,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Watched>),
    Http2(http2::SendRequest<Watched>),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`] says what did not work and how to mend it.
    pub async fn open(peer: &Arc<Peer>) -> Result<Self, ConnectError> {
        let late = |_| ConnectError::Late { authority: peer.authority.to_string(), limit: peer.connect };
        // On the heap: the state of a TLS handshake is large.
        timeout(peer.connect, Box::pin(Self::open_unbounded(peer))).await.map_err(late)?
    }

    async fn open_unbounded(peer: &Arc<Peer>) -> Result<Self, ConnectError> {
        let activity = Arc::new(Activity::new());
        let stream = peer.tcp(&peer.addresses().await?).await?;
        let socket = Socket::new(stream, peer.send_timeout, None, activity.clone(), || {});
        if !peer.is_tls() {
            return Self::begin(peer, socket, activity, peer.http == HttpVersion::Http2).await;
        }
        let stream = peer.secure(socket).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if peer.http == HttpVersion::Http2 && !is_h2 {
            return Err(ConnectError::Version { authority: peer.authority.to_string() });
        }
        Self::begin(peer, stream, activity, is_h2).await
    }

    async fn begin<S>(
        peer: &Peer,
        stream: S,
        activity: Arc<Activity>,
        is_h2: bool,
    ) -> Result<Self, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let fail = |error: hyper::Error| ConnectError::Http {
            authority: peer.authority.to_string(),
            reason: error::chain(&error),
        };
        let (tasks, closing) = (Tasks::new(), watch::Sender::new(false));
        let seen = closing.subscribe();
        let driver = Driver::new(activity.clone(), peer.send_timeout, closing, &tasks);
        let io = TokioIo::new(stream);
        let sender = if is_h2 {
            let (sender, connection) = http2::Builder::new(tasks.executor())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(HEADER_BYTES as u32)
                .max_send_buf_size(SEND_BUFFER)
                .keep_alive_interval(PING_AFTER)
                .keep_alive_timeout(PING_TIMEOUT)
                .keep_alive_while_idle(true)
                .handshake(io)
                .await
                .map_err(fail)?;
            tokio::spawn(driver.drive(connection));
            Sender::Http2(sender)
        } else {
            let (sender, connection) =
                http1::Builder::new().max_buf_size(HEADER_BYTES).handshake(io).await.map_err(fail)?;
            tokio::spawn(driver.drive(connection.with_upgrades()));
            Sender::Http1(sender)
        };
        Ok(Self {
            sender,
            activity,
            scheme: peer.scheme.clone(),
            authority: peer.authority.clone(),
            closing: seen,
            tasks,
        })
    }

    /// HTTP/1.1 or HTTP/2: whether there may be more than one request at once.
    pub fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::HTTP_11,
            Sender::Http2(_) => Version::HTTP_2,
        }
    }

    /// Whether a request may be made, as far as we know.
    pub fn is_open(&self) -> bool {
        !*self.closing.borrow()
            && match &self.sender {
                Sender::Http1(sender) => !sender.is_closed(),
                Sender::Http2(sender) => !sender.is_closed(),
            }
    }

    /// Waits until a request can be made, which on HTTP/1.1 is when the last response was read to its end.
    /// False where none can be made any more.
    pub async fn ready(&mut self) -> bool {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        ready.is_ok() && self.is_open()
    }

    /// Completes when no further request can be made: the peer has closed the connection or, on HTTP/2,
    /// said that it will (GOAWAY, RFC 9113 §6.8), which is noticed within a second. Requests under way
    /// may still be answered.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.closing.clone();
        async move {
            // An error means that the task of the connection is gone, which is the same.
            let _ = closing.wait_for(|&closing| closing).await;
        }
    }

    /// Sends a request; its target is one of [`Peer::target`]. The future yields the response's head, be
    /// the request's body at its end or not. To stop sending, drop the future and end the body with an
    /// error, or drop the connection.
    ///
    /// On HTTP/1.1 only one request at a time: see [`Connection::ready`].
    pub fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + Send + use<> {
        self.address(&mut request);
        let in_flight = self.activity.request();
        let request = request.map(|body| self.activity.watch(body, in_flight));
        let sent = match &mut self.sender {
            Sender::Http1(sender) => futures_util::future::Either::Left(sender.try_send_request(request)),
            Sender::Http2(sender) => futures_util::future::Either::Right(sender.try_send_request(request)),
        };
        let given_up = self.tasks.given_up();
        async move {
            sent.await.map_err(|error| {
                if given_up.is_set() {
                    SendError::Stalled
                } else if error.message().is_some() {
                    SendError::Unprocessed
                } else {
                    SendError::of(error.error())
                }
            })
        }
    }

    /// HTTP/1.1 has the host in a field and only the path in its first line (RFC 9112 §3.2), HTTP/2 has
    /// everything in pseudo-header fields (RFC 9113 §8.3.1).
    fn address<B>(&self, request: &mut Request<B>) {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        match self.sender {
            Sender::Http1(_) => {
                *request.version_mut() = Version::HTTP_11;
                *request.uri_mut() = Uri::from(path);
                if let Ok(host) = HeaderValue::from_str(self.authority.as_str()) {
                    request.headers_mut().insert(header::HOST, host);
                }
            }
            Sender::Http2(_) => {
                *request.version_mut() = Version::HTTP_2;
                let whole = Uri::builder()
                    .scheme(self.scheme.clone())
                    .authority(self.authority.clone())
                    .path_and_query(path)
                    .build();
                if let Ok(whole) = whole {
                    *request.uri_mut() = whole;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
