//! The server against real clients over loopback. Waiting is for events, with [`PATIENCE`] only so
//! that a failure ends; the server's own timeouts are short where a test is about them.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::header::{CONNECTION, RETRY_AFTER, UPGRADE};
use http::{HeaderValue, Version};
use http_body_util::{Empty, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::settings::{HttpLimits, loopback_networks};
use crate::net::tls::testing::{Authority, client, day};
use crate::net::tls::{HTTP_ALPN, self_signed};

const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(800);
const H1: &[&[u8]] = &[b"http/1.1"];
const H2: &[&[u8]] = &[b"h2"];

mod clients;

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it took too long")
}

/// Timeouts that no test reaches, to be shortened one at a time.
fn unhurried() -> HttpLimits {
    let long = PATIENCE * 4;
    HttpLimits { header_timeout: long, idle: long, send_timeout: long, ..HttpLimits::default() }
}

type Live = mpsc::Sender<Bytes>;

/// Answers by path; hands the sender of every `/live` body to the test.
struct Pages {
    live: Mutex<mpsc::UnboundedSender<Live>>,
}

/// A body from a channel.
struct Channel(mpsc::Receiver<Bytes>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Handler for Pages {
    async fn handle(&self, request: Request<Incoming>, peer: PeerInfo) -> Response<Body> {
        Response::new(match request.uri().path() {
            "/version" => full(format!("{:?}", request.version())),
            "/who" => full(format!("{}", peer.client_certificate.is_some())),
            "/large" => full(vec![7; 8 << 20]),
            "/endless" => {
                let chunk = Bytes::from(vec![7; 64 << 10]);
                let frames =
                    futures_util::stream::repeat_with(move || Ok(http_body::Frame::data(chunk.clone())));
                StreamBody::new(frames).boxed_unsync()
            }
            "/live" => {
                let (sender, receiver) = mpsc::channel(4);
                self.live.lock().unwrap().send(sender).unwrap();
                Channel(receiver).boxed_unsync()
            }
            "/upgrade" => {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(request).await.unwrap();
                    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                let mut response = Response::new(full(""));
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
                response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
                return response;
            }
            _ => panic!("a handler with a fault"),
        })
    }

    fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let Refusal::TooManyRequests { retry_after } = refusal;
        assert!(retry_after > Duration::ZERO);
        let mut response = Response::new(full("problem"));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
    }
}

struct Server {
    address: SocketAddr,
    root: String,
    tls: Arc<Reloading>,
    limits: Arc<ArcSwap<Limits>>,
    connections: Connections,
    own: OwnConnections,
    counters: Arc<NetCounters>,
    live: mpsc::UnboundedReceiver<Live>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<usize>,
}

impl Server {
    async fn start(http: HttpLimits) -> Self {
        let made = self_signed(&["localhost", "127.0.0.1"], HTTP_ALPN, SystemTime::now()).unwrap();
        Self::with(http, Reloading::fixed(made.loaded), made.certificate_pem, PATIENCE).await
    }

    async fn with(http: HttpLimits, tls: Reloading, root: String, drain: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Arc::new(tls);
        let limits = Arc::new(ArcSwap::from_pointee(Limits::new(loopback_networks(), http)));
        let (connections, own) = (Connections::new(), OwnConnections::default());
        let counters = Arc::new(NetCounters::default());
        let parts = ServerParts {
            tls: Arc::clone(&tls),
            limits: Arc::clone(&limits),
            connections: connections.clone(),
            own: own.clone(),
            counters: Arc::clone(&counters),
            drain,
        };
        let (sender, live) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let pages = Pages { live: Mutex::new(sender) };
        let ended = tokio::spawn(serve(listener, parts, pages, async move {
            let _ = stopped.await;
        }));
        Self { address, root, tls, limits, connections, own, counters, live, stop, ended }
    }

    fn client(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        client(&self.root, alpn, None)
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn tls(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        secure(self.tcp().await, self.client(alpn)).await.unwrap()
    }

    async fn h1(&self) -> http1::SendRequest<Empty<Bytes>> {
        h1_over(self.tls(H1).await).await
    }

    async fn h2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let io = TokioIo::new(self.tls(H2).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn sender(&self, alpn: &[&[u8]]) -> Sender {
        if alpn == H1 { Sender::H1(self.h1().await) } else { Sender::H2(self.h2().await) }
    }

    /// The sender of the `/live` body that was asked for last.
    async fn live(&mut self) -> Live {
        patiently(self.live.recv()).await.unwrap()
    }
}

/// A client of either version.
enum Sender {
    H1(http1::SendRequest<Empty<Bytes>>),
    H2(http2::SendRequest<Empty<Bytes>>),
}

impl Sender {
    async fn get(&mut self, path: &str) -> Response<Incoming> {
        match self {
            Sender::H1(sender) => patiently(sender.send_request(get(path))).await.unwrap(),
            Sender::H2(sender) => patiently(sender.send_request(get(path))).await.unwrap(),
        }
    }
}

async fn secure(tcp: TcpStream, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    patiently(TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), tcp)).await
}

async fn h1_over(stream: TlsStream<TcpStream>) -> http1::SendRequest<Empty<Bytes>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = patiently(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Reads until the server has closed the connection; how it does so is not the point.
async fn gone(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut bytes = Vec::new();
    let _ = patiently(stream.read_to_end(&mut bytes)).await;
    assert!(!bytes.starts_with(b"HTTP/1.1 200"), "an answer instead of an end");
}

#[tokio::test]
async fn the_version_is_chosen_by_alpn() {
    let server = Server::start(unhurried()).await;
    let mut h1 = server.h1().await;
    let mut h2 = server.h2().await;
    let answer = patiently(h1.send_request(get("/version"))).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_11);
    assert_eq!(text(answer).await, "HTTP/1.1");
    let answer = patiently(h2.send_request(get("/version"))).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(text(answer).await, "HTTP/2.0");
    let without = server.tls(&[]).await;
    let answer = patiently(h1_over(without).await.send_request(get("/version"))).await.unwrap();
    assert_eq!(text(answer).await, "HTTP/1.1");
    assert_eq!(server.counters.accepted.get(), 3);
}

#[tokio::test]
async fn a_closure_is_a_handler() {
    let made = self_signed(&["localhost"], HTTP_ALPN, SystemTime::now()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap());
    let parts = ServerParts {
        tls: Arc::new(Reloading::fixed(made.loaded)),
        limits: Arc::new(ArcSwap::from_pointee(Limits::new(
            loopback_networks(),
            HttpLimits { request_burst: 1, requests_per_second: 1, ..unhurried() },
        ))),
        connections: Connections::new(),
        own: OwnConnections::default(),
        counters: Arc::default(),
        drain: PATIENCE,
    };
    let handler = |_: Request<Incoming>, _: PeerInfo| async { Response::new(full("closure")) };
    tokio::spawn(serve(listener, parts, handler, std::future::pending()));
    let stream = secure(tcp.await.unwrap(), client(&made.certificate_pem, H1, None)).await.unwrap();
    let mut sender = h1_over(stream).await;
    assert_eq!(text(patiently(sender.send_request(get("/"))).await.unwrap()).await, "closure");
    patiently(sender.ready()).await.unwrap();
    let refused = patiently(sender.send_request(get("/"))).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_or_does_not_end_is_given_up() {
    let server = Server::start(HttpLimits { header_timeout: SHORT, ..unhurried() }).await;
    gone(&mut server.tcp().await).await;
    let mut begun = server.tcp().await;
    begun.write_all(&[22, 3, 1]).await.unwrap();
    gone(&mut begun).await;
    assert_eq!(server.counters.tls_timeout.get(), 2);
}

#[tokio::test]
async fn what_is_no_tls_fails_the_handshake() {
    let server = Server::start(unhurried()).await;
    let mut stream = server.tcp().await;
    stream.write_all(&[0; 64]).await.unwrap();
    gone(&mut stream).await;
    assert_eq!(server.counters.tls_failed.get(), 1);
}

#[tokio::test]
async fn plain_http_is_told_to_use_https() {
    let server = Server::start(unhurried()).await;
    let mut stream = server.tcp().await;
    stream.write_all(b"GET /studies?PatientName=X HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
    assert!(body.contains("https://"), "{answer}");
    drop(stream);
    patiently(server.connections.closed()).await;
    assert_eq!(server.counters.plain_http.get(), 1);
}

#[tokio::test]
async fn a_late_request_head_ends_the_connection() {
    let server = Server::start(HttpLimits { header_timeout: SHORT, ..unhurried() }).await;
    let mut begun = server.tls(H1).await;
    begun.write_all(b"GET /version HTTP/1.1\r\nHost: ").await.unwrap();
    gone(&mut begun).await;
    for alpn in [H1, H2] {
        gone(&mut server.tls(alpn).await).await;
    }
    let mut second = server.tls(H1).await;
    second.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    patiently(second.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    second.write_all(b"GET /ver").await.unwrap();
    gone(&mut second).await;
    assert_eq!(server.counters.slow_head.get(), 4);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let server = Server::start(HttpLimits { idle: SHORT, ..unhurried() }).await;
    let mut h1 = server.h1().await;
    text(patiently(h1.send_request(get("/version"))).await.unwrap()).await;
    let mut h2 = server.h2().await;
    text(patiently(h2.send_request(get("/version"))).await.unwrap()).await;
    patiently(server.connections.closed()).await;
    assert_eq!(server.counters.idle_closed.get(), 2);
}

#[tokio::test]
async fn too_large_a_head_is_answered_with_431() {
    let server = Server::start(HttpLimits { header_bytes: 8 << 10, ..unhurried() }).await;
    let long = "x".repeat(9 << 10);
    let request = || Request::get("https://localhost/version").header("x", &long).body(Empty::new()).unwrap();
    let answer = patiently(server.h1().await.send_request(request())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = patiently(server.h2().await.send_request(request())).await;
    assert!(answer.is_err() || answer.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn connections_beyond_the_limits_are_closed_at_once() {
    let server = Server::start(HttpLimits { connections: 2, connections_per_peer: 1, ..unhurried() }).await;
    let mut first = server.h1().await;
    text(patiently(first.send_request(get("/version"))).await.unwrap()).await;
    gone(&mut server.tcp().await).await;
    assert_eq!(server.counters.refused_peer_connections.get(), 1);

    let from = |address: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket.connect(server.address)
    };
    let other = secure(from("127.0.0.2").await.unwrap(), server.client(H1)).await.unwrap();
    gone(&mut from("127.0.0.3").await.unwrap()).await;
    assert_eq!(server.counters.refused_connections.get(), 1);

    drop((first, other));
    patiently(server.connections.closed()).await;
    text(patiently(server.h1().await.send_request(get("/version"))).await.unwrap()).await;
}

#[tokio::test]
async fn the_allow_list_holds_and_follows_a_reload() {
    let server = Server::start(unhurried()).await;
    let mut before = server.h1().await;
    server.limits.store(Arc::new(Limits::new(vec!["10.0.0.0/8".parse().unwrap()], unhurried())));
    gone(&mut server.tcp().await).await;
    assert_eq!(server.counters.refused_network.get(), 1);
    text(patiently(before.send_request(get("/version"))).await.unwrap()).await;
    server.limits.store(Arc::new(Limits::new(loopback_networks(), unhurried())));
    text(patiently(server.h1().await.send_request(get("/version"))).await.unwrap()).await;
}

#[tokio::test]
async fn requests_beyond_the_rate_are_answered_with_429_in_the_handlers_words() {
    let server = Server::start(HttpLimits { requests_per_second: 1, request_burst: 2, ..unhurried() }).await;
    let (mut h1, mut h2) = (server.h1().await, server.h2().await);
    assert_eq!(patiently(h1.send_request(get("/version"))).await.unwrap().status(), StatusCode::OK);
    assert_eq!(patiently(h2.send_request(get("/version"))).await.unwrap().status(), StatusCode::OK);
    let refused = patiently(h2.send_request(get("/version"))).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert_eq!(text(refused).await, "problem");
    assert_eq!(server.counters.rate_limited.get(), 1);

    server.limits.store(Arc::new(Limits::new(loopback_networks(), unhurried())));
    assert_eq!(patiently(h2.send_request(get("/version"))).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_connection_of_our_own_is_beside_all_limits_and_takes_nobodys_place() {
    let none = HttpLimits {
        connections: 1,
        connections_per_peer: 1,
        requests_per_second: 1,
        request_burst: 1,
        ..unhurried()
    };
    let server = Server::start(none.clone()).await;
    let mut other = server.h1().await;
    text(patiently(other.send_request(get("/version"))).await.unwrap()).await;
    server.limits.store(Arc::new(Limits::new(Vec::new(), none)));
    let (stream, _known) = server.own.connect(server.address).await.unwrap();
    let mut own = h1_over(secure(stream, server.client(H1)).await.unwrap()).await;
    for _ in 0..3 {
        let answer = patiently(own.send_request(get("/version"))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        text(answer).await;
    }
    assert_eq!((server.connections.len(), server.counters.accepted.get()), (1, 1), "the other one");
    gone(&mut server.tcp().await).await;
}

/// How a client may fail to take what it asked for.
#[derive(Debug, Clone, Copy)]
enum Stall {
    /// HTTP/1.1, and does not read the socket.
    H1Socket,
    /// HTTP/2 with large windows, and does not read the socket.
    H2Socket,
    /// HTTP/2, reads the socket, but grants the stream no more window.
    H2Window,
    /// The same with a body whose one chunk was handed over whole.
    H2WindowAtEnd,
}

/// Begins to read a response and stops; what it returns holds the connection open.
async fn stall(server: &Server, how: Stall) -> Box<dyn std::any::Any> {
    match how {
        Stall::H1Socket => {
            let mut stream = server.tls(H1).await;
            stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut head = [0; 12];
            patiently(stream.read_exact(&mut head)).await.unwrap();
            Box::new(stream)
        }
        Stall::H2Socket => {
            let io = TokioIo::new(server.tls(H2).await);
            let (mut sender, mut connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(i32::MAX as u32)
                .initial_connection_window_size(i32::MAX as u32)
                .handshake(io)
                .await
                .unwrap();
            let response = tokio::select! {
                response = patiently(sender.send_request(get("/endless"))) => response.unwrap(),
                _ = &mut connection => panic!("the connection ended"),
            };
            Box::new((sender, connection, response))
        }
        Stall::H2Window | Stall::H2WindowAtEnd => {
            let io = TokioIo::new(server.tls(H2).await);
            let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(64 << 10)
                .handshake(io)
                .await
                .unwrap();
            tokio::spawn(connection);
            let path = if matches!(how, Stall::H2Window) { "/endless" } else { "/large" };
            let response = patiently(sender.send_request(get(path))).await.unwrap();
            Box::new((sender, response))
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped_and_the_others_go_on() {
    for how in [Stall::H1Socket, Stall::H2Socket, Stall::H2Window, Stall::H2WindowAtEnd] {
        let mut server = Server::start(HttpLimits { send_timeout: SHORT, ..unhurried() }).await;
        // Two live streams that have nothing to say meanwhile: silence is no stall.
        let mut h1 = server.h1().await;
        let mut on_h1 = patiently(h1.send_request(get("/live"))).await.unwrap();
        let to_h1 = server.live().await;
        let mut h2 = server.h2().await;
        let mut on_h2 = patiently(h2.send_request(get("/live"))).await.unwrap();
        let to_h2 = server.live().await;

        let stalled = stall(&server, how).await;
        patiently(server.connections.at_most(2)).await;
        assert_eq!(server.counters.stalled_dropped.get(), 1, "{how:?}");
        drop(stalled);

        for (sender, response) in [(to_h1, &mut on_h1), (to_h2, &mut on_h2)] {
            sender.send(Bytes::from_static(b"frame")).await.unwrap();
            let frame = patiently(response.body_mut().frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "frame", "{how:?}");
        }
        assert_eq!(server.counters.stalled_dropped.get(), 1, "{how:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_live_body() {
    let mut server = Server::start(unhurried()).await;
    let mut h1 = server.h1().await;
    let on_h1 = patiently(h1.send_request(get("/live"))).await.unwrap();
    let to_h1 = server.live().await;
    let mut h2 = server.h2().await;
    let on_h2 = patiently(h2.send_request(get("/live"))).await.unwrap();
    let to_h2 = server.live().await;
    drop((h1, on_h1, h2, on_h2));
    patiently(to_h1.closed()).await;
    patiently(to_h2.closed()).await;
    patiently(server.connections.closed()).await;
}

#[tokio::test]
async fn a_reload_serves_new_connections_while_old_streams_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.write_identity(folder.path(), "server", &["localhost"]);
    let tls = Reloading::from_files(&identity, HTTP_ALPN).unwrap();
    let mut server = Server::with(unhurried(), tls, authority.certificate_pem.clone(), PATIENCE).await;

    let old = server.tls(H1).await;
    let old_leaf = old.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut sender = h1_over(old).await;
    let mut response = patiently(sender.send_request(get("/live"))).await.unwrap();
    let live = server.live().await;

    let now = SystemTime::now();
    authority.write_identity_valid(folder.path(), "server", &["localhost"], day(now, -1), day(now, 60));
    assert!(server.tls.changed_on_disk());
    server.tls.reload().unwrap();
    let new = server.tls(H1).await;
    assert_ne!(new.get_ref().1.peer_certificates().unwrap()[0], old_leaf);

    live.send(Bytes::from_static(b"frame")).await.unwrap();
    let frame = patiently(response.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "frame");
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_lets_responses_end() {
    for alpn in [H1, H2] {
        let mut server = Server::start(unhurried()).await;
        let _fresh = server.tls(alpn).await;
        let _silent = server.tcp().await;
        let (mut idle, mut busy) = (server.sender(alpn).await, server.sender(alpn).await);
        text(idle.get("/version").await).await;
        let mut response = busy.get("/live").await;
        let live = server.live().await;
        server.stop.send(()).unwrap();
        patiently(server.connections.at_most(1)).await;
        assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");

        live.send(Bytes::from_static(b"last")).await.unwrap();
        drop(live);
        let frame = patiently(response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "last");
        assert_eq!(patiently(server.ended).await.unwrap(), 0);
        assert_eq!(server.counters.drain_dropped.get(), 0);
    }
}

#[tokio::test]
async fn what_is_open_after_the_drain_time_is_dropped() {
    let made = self_signed(&["localhost"], HTTP_ALPN, SystemTime::now()).unwrap();
    let tls = Reloading::fixed(made.loaded);
    let mut server = Server::with(unhurried(), tls, made.certificate_pem, SHORT).await;
    let mut h1 = server.h1().await;
    let _on_h1 = patiently(h1.send_request(get("/live"))).await.unwrap();
    let to_h1 = server.live().await;
    let mut h2 = server.h2().await;
    let _on_h2 = patiently(h2.send_request(get("/live"))).await.unwrap();
    let to_h2 = server.live().await;
    server.stop.send(()).unwrap();
    assert_eq!(patiently(server.ended).await.unwrap(), 2);
    patiently(to_h1.closed()).await;
    patiently(to_h2.closed()).await;
    assert_eq!(server.counters.drain_dropped.get(), 2);
}

#[tokio::test]
async fn an_upgraded_connection_counts_until_it_closes_and_keeps_its_send_deadline() {
    let server = Server::start(HttpLimits { send_timeout: SHORT, ..unhurried() }).await;
    let mut sender = server.h1().await;
    let mut request = get("/upgrade");
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    let response = patiently(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut upgraded = TokioIo::new(patiently(hyper::upgrade::on(response)).await.unwrap());
    upgraded.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    patiently(upgraded.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo, b"ping");
    assert_eq!(server.connections.len(), 1);

    // The echo is not read: once all buffers are full, the server gives up.
    let flood = vec![7; 64 << 10];
    patiently(async { while upgraded.write_all(&flood).await.is_ok() {} }).await;
    patiently(server.connections.closed()).await;
    assert_eq!(server.counters.stalled_dropped.get(), 1);
}

#[tokio::test]
async fn a_panic_in_a_handler_costs_its_connection_only() {
    let server = Server::start(unhurried()).await;
    let mut other = server.h1().await;
    assert!(patiently(server.h1().await.send_request(get("/fault"))).await.is_err());
    text(patiently(other.send_request(get("/version"))).await.unwrap()).await;
    patiently(server.connections.at_most(1)).await;
    assert_eq!(server.counters.panicked.get(), 1);
}

#[test]
fn only_errors_of_one_connection_go_on_without_a_pause() {
    assert!(concerns_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    const EMFILE: i32 = 24;
    assert!(!concerns_one_connection(&io::Error::from_raw_os_error(EMFILE)));
}
