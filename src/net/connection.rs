//! The life of one connection: TLS handshake, HTTP, and the watch that ends it when the client
//! leaves us waiting.
//!
//! A client that does not take what it asked for loses the whole connection, on HTTP/2 too, although
//! one stream could be reset: hyper keeps a body's bytes until there is window for them without
//! asking the body, so there is nothing to make it let go, and one slow stream can hold up its
//! siblings by the connection's shared window (hyperium/hyper#2899).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::counters::NetCounters;
use super::events;
use super::http::{Handler, Kept, PeerInfo, Refusal, Shared};
use super::limits::{Limits, Permit};
use super::progress::{Activity, InFlight, Verdict, Watched};
use super::socket::{Socket, tune};
use super::tls::{Admission, refusal};
use crate::config::settings::HttpLimits;

/// Header fields of one HTTP/1.1 request. On HTTP/2 the size bounds them: each counts at least 32 bytes
/// (RFC 9113 §6.5.2).
const HEADERS: usize = 100;
/// Receive windows of HTTP/2 (bytes): what a client may send before a handler reads it. A stream may
/// have all of its connection's window: instances that are sent at 30 MB/s need that much where the
/// peer is up to 30 ms away (RFC 9113 §5.2), and handlers never let a body wait.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// HTTP/2 PING after this much silence, and how long its answer may take.
const PING_AFTER: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client without a request under way has to close its side.
const GOODBYE: Duration = Duration::from_secs(1);
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 68\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks HTTPS; use https:// instead of http:// in the URL.\n";
/// Bytes of a plain HTTP request that are read so that our answer is not lost to a TCP reset.
const PLAIN_HTTP_REQUEST: u64 = 64 << 10;

/// Serves an accepted connection until it ends. One that needs no permit is our own.
pub(super) async fn run<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    permit: Option<Permit>,
    limits: Arc<Limits>,
    shared: Arc<Shared<H>>,
    mut closing: watch::Receiver<bool>,
) {
    let http = limits.http();
    let own = permit.is_none();
    if let Err(error) = tune(&stream, http.send_timeout) {
        events::GoneAtOnce { peer: address, error: &error }.tell();
        return;
    }
    let activity = Arc::new(Activity::new());
    // Taken before the handshake: a reload meanwhile has this client judged again at its end.
    let admission = shared.parts.tls.admission();
    let config = if own { admission.config_for_us() } else { admission.config() };
    let handshake = handshake(stream, address, permit, http, &shared, &activity, config);
    let stream = tokio::select! {
        stream = handshake => stream,
        () = told(&mut closing) => None,
    };
    let Some(mut stream) = stream else { return };

    let (socket, session) = stream.get_mut();
    let client_certificate = session.peer_certificates().and_then(|chain| {
        socket.cut_when(withdrawn(admission, chain, address, Arc::clone(&shared.parts.counters)));
        chain.first().map(|leaf| Bytes::copy_from_slice(leaf))
    });
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let peer = PeerInfo { address, client_certificate, own, kept: Kept::default() };
    activity.begin(!is_h2);
    let watch = Watch { peer: address, activity: &activity, http, counters: &shared.parts.counters };
    let service = service_fn(|request| {
        let in_flight = activity.request();
        answer(request, peer.clone(), in_flight, Arc::clone(&shared), Arc::clone(&activity))
    });
    let io = TokioIo::new(stream);
    if is_h2 {
        let connection = http2_builder(http).serve_connection(io, service);
        watch.drive(connection, http2::Connection::graceful_shutdown, closing).await;
    } else {
        let connection = http1_builder(http).serve_connection(io, service).with_upgrades();
        watch.drive(connection, http1::UpgradeableConnection::graceful_shutdown, closing).await;
    }
}

/// Waits until the service stops.
async fn told(closing: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone, which is the same.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Completes when the client that showed `chain` is no longer admitted, which is then counted.
fn withdrawn(
    admission: Admission,
    chain: &[CertificateDer<'_>],
    peer: SocketAddr,
    counters: Arc<NetCounters>,
) -> impl Future<Output = ()> + Send + 'static {
    let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
    async move {
        let error = admission.withdrawn(chain).await;
        counters.alarms.raise(peer, &format!("its certificate is no longer accepted: {error}"));
        counters.revoked.note(|suppressed| {
            events::Withdrawn { peer, error: &error, suppressed }.tell();
        });
    }
}

/// `None` if it came to nothing, which is then counted.
async fn handshake<H>(
    mut stream: TcpStream,
    peer: SocketAddr,
    permit: Option<Permit>,
    http: &HttpLimits,
    shared: &Shared<H>,
    activity: &Arc<Activity>,
    config: Arc<ServerConfig>,
) -> Option<TlsStream<Socket>> {
    let counters = &shared.parts.counters;
    let deadline = Instant::now() + http.header_timeout;
    let late = || {
        counters.tls_timeout.note(|suppressed| {
            events::HandshakeLate { peer, suppressed, within: http.header_timeout }.tell();
        });
    };
    let mut first = [0];
    match timeout_at(deadline, stream.peek(&mut first)).await {
        // Opened and closed: a port scan or a load balancer's check.
        Ok(Ok(0) | Err(_)) => return None,
        Ok(Ok(_)) => {}
        Err(_) => {
            late();
            return None;
        }
    }
    // A TLS record begins with its type, 22 for a handshake (RFC 8446 §5.1), an HTTP request with a
    // method.
    if first.iter().all(u8::is_ascii_uppercase) {
        counters.plain_http.note(|suppressed| {
            events::PlainHttp { peer, suppressed }.tell();
        });
        let _ = timeout_at(deadline, answer_plain_http(&mut stream)).await;
        return None;
    }
    let socket =
        Socket::new(stream, http.send_timeout, permit, Arc::clone(activity), stalled(peer, http, counters));
    match timeout_at(deadline, TlsAcceptor::from(config).accept(socket)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            if let Some(error) = refusal(&error) {
                counters.alarms.raise(peer, &format!("its TLS handshake failed: {error}"));
            }
            counters.tls_failed.note(|suppressed| {
                events::HandshakeFailed { peer, error: &error, suppressed }.tell();
            });
            None
        }
        Err(_) => {
            late();
            None
        }
    }
}

/// What is said of a client that the socket gave up on.
fn stalled(
    peer: SocketAddr,
    http: &HttpLimits,
    counters: &Arc<NetCounters>,
) -> impl Fn() + Send + Sync + 'static {
    let (send_timeout, counters) = (http.send_timeout, Arc::clone(counters));
    move || {
        counters.stalled_dropped.note(|suppressed| {
            events::TakesNothing { peer, suppressed, within: send_timeout }.tell();
        });
    }
}

async fn answer_plain_http(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PLAIN_HTTP_ANSWER).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(PLAIN_HTTP_REQUEST), &mut tokio::io::sink()).await?;
    Ok(())
}

fn http1_builder(http: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Ours tells a request that is late from a connection that is idle; hyper's does not.
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_header_size(http.header_bytes);
    builder
}

fn http2_builder(http: &HttpLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(http.streams)
        .max_header_list_size(u32::try_from(http.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

async fn answer<H: Handler>(
    request: Request<Incoming>,
    peer: PeerInfo,
    in_flight: InFlight,
    shared: Arc<Shared<H>>,
    activity: Arc<Activity>,
) -> Result<Response<Watched>, Infallible> {
    let taken = if peer.own { Ok(()) } else { shared.parts.limits.load().take_request(peer.address.ip()) };
    let response = match taken {
        Ok(()) => shared.handler.handle(request, peer).await,
        Err(retry_after) => {
            shared.parts.counters.rate_limited.note(|suppressed| {
                events::TooManyRequests { peer: peer.address, suppressed }.tell();
            });
            let mut response = shared.handler.refuse(Refusal::TooManyRequests { retry_after });
            // Whole seconds, and never "at once" (RFC 9110 §10.2.3).
            let seconds = retry_after.as_secs().saturating_add(1);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
    };
    Ok(response.map(|body| activity.watch(body, in_flight)))
}

/// Watches over a connection that is being served.
struct Watch<'a> {
    peer: SocketAddr,
    activity: &'a Activity,
    http: &'a HttpLimits,
    counters: &'a NetCounters,
}

impl Watch<'_> {
    /// Drives `connection` to its end, or drops it. `finish` makes it end after the requests it is at.
    async fn drive<C>(&self, connection: C, finish: fn(Pin<&mut C>), mut closing: watch::Receiver<bool>)
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = pin!(connection);
        let shortest = self.http.send_timeout.min(self.http.header_timeout).min(self.http.idle);
        let mut check = interval((shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1)));
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        events::EndedEarly { peer: self.peer, error: &error }.tell();
                    }
                    return;
                }
                () = told(&mut closing) => {
                    finish(connection.as_mut());
                    break;
                }
                _ = check.tick() => match self.activity.verdict(self.http) {
                    Verdict::Fine => {}
                    Verdict::Idle => {
                        self.counters.idle_closed.add(1);
                        finish(connection.as_mut());
                        break;
                    }
                    verdict => return self.drop_for(verdict),
                },
            }
        }
        // Its requests may take their time, but not for want of a reader; and a client that has none
        // under way may leave the goodbye unanswered, or not even have begun to speak HTTP/2.
        let goodbye = Instant::now() + GOODBYE;
        let parting = HttpLimits { idle: GOODBYE, ..self.http.clone() };
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = check.tick() => match self.activity.verdict(&parting) {
                    Verdict::Fine => {}
                    Verdict::Idle if Instant::now() < goodbye => {}
                    Verdict::Idle => return,
                    verdict => return self.drop_for(verdict),
                },
            }
        }
    }

    fn drop_for(&self, verdict: Verdict) {
        let peer = self.peer;
        if verdict == Verdict::Stalled {
            self.counters.stalled_dropped.note(|suppressed| {
                events::ResponseNotTaken { peer, suppressed, within: self.http.send_timeout }.tell();
            });
        } else {
            self.counters.slow_head.note(|suppressed| {
                events::RequestLate { peer, suppressed, within: self.http.header_timeout }.tell();
            });
        }
    }
}
