//! The HTTPS server: accepts connections, turns away those that have no business here, and gives
//! every request to a [`Handler`]. HTTP/1.1 and HTTP/2 are told apart by ALPN (RFC 9113 §3.2).
//!
//! The handler owns everything about a request from its head on: routing, methods (HEAD included),
//! how long it reads a request body, and ending its live responses when the service stops.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::connection;
use super::counters::NetCounters;
use super::events;
use super::limits::{Connections, Full as NoRoom, Limits};
use super::own::OwnConnections;
use super::tls::Reloading;

/// A response body. Not `Sync`, so that a live stream may be one.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;
/// Why a response body ends before its end. The client sees an HTTP/1.1 message cut short or an
/// HTTP/2 stream reset, never the text.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// After an `accept` that failed for want of descriptors or memory: time for others to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Address and port of the client.
    pub address: SocketAddr,
    /// DER of the certificate that the client has shown, verified; `None` if it has shown none.
    pub client_certificate: Option<Bytes>,
    /// The service itself, which tries whether it works.
    pub own: bool,
    /// What the handler keeps for as long as the connection is open, or anything that was begun on it.
    pub kept: Kept,
}

/// A handler's own values that belong to one connection, one of each type.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Extensions>>);

impl Kept {
    /// The value of this type, which is the default where there was none.
    pub fn get<T: Clone + Default + Send + Sync + 'static>(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default::<T>().clone()
    }
}

/// Why the server answers a request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The address has used up its requests (429, RFC 6585 §4).
    TooManyRequests {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What answers requests. Any `Fn(Request<Incoming>, PeerInfo) -> impl Future<Output = Response<Body>>`
/// is one.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. The future is dropped when the client goes away.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: PeerInfo,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Words a refusal: status and text are the handler's, the server adds `Retry-After`.
    fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let Refusal::TooManyRequests { .. } = refusal;
        let text = Full::from("Too many requests from this address.\n");
        let mut response = Response::new(text.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
    }
}

impl<F, A> Handler for F
where
    F: Fn(Request<Incoming>, PeerInfo) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send,
{
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: PeerInfo,
    ) -> impl Future<Output = Response<Body>> + Send {
        self(request, peer)
    }
}

/// What a server is made of, beside its handler.
#[derive(Debug)]
pub struct ServerParts {
    /// Certificate; read at every accept, so that a reload serves new connections. One that no longer
    /// accepts the client of an open connection closes it.
    pub tls: Arc<Reloading>,
    /// Policy; a connection keeps the timeouts that held when it was accepted, while request rates
    /// follow a reload at once.
    pub limits: Arc<ArcSwap<Limits>>,
    /// What is open. Upgraded connections count until they close.
    pub connections: Connections,
    /// Connections of our own, which allow list, connection limits and request rates do not hold for, and
    /// which show no client certificate.
    pub own: OwnConnections,
    /// What is counted.
    pub counters: Arc<NetCounters>,
    /// How long connections may take to end once the shutdown is signalled.
    pub drain: Duration,
}

/// What all connections of a server share.
pub(super) struct Shared<H> {
    pub(super) parts: ServerParts,
    pub(super) handler: H,
}

/// Serves `listener` until `shutdown` completes, then closes it, lets every connection finish the
/// request it is at, and drops those that are still open after the drain time. An upgraded
/// connection belongs to the handler: it is waited for, not dropped.
///
/// Returns how many connections were open when the drain time was over.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    parts: ServerParts,
    handler: H,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let shared = Arc::new(Shared { parts, handler });
    let (closing, _) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, &shared, &closing, &mut tasks),
                Err(error) => {
                    note_accept_failure(&shared.parts.counters, &error);
                    if !concerns_one_connection(&error) {
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if ended.is_err() {
                    note_panic(&shared.parts.counters);
                }
            }
            _ = housekeeping.tick() => shared.parts.limits.load().forget_idle(),
        }
    }
    drop(listener);
    drain(&shared.parts, &closing, tasks).await
}

fn admit<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<H>>,
    closing: &watch::Sender<bool>,
    tasks: &mut JoinSet<()>,
) {
    let ServerParts { counters, limits, connections, own, .. } = &shared.parts;
    let limits = limits.load_full();
    let ip = peer.ip();
    if own.holds(peer) {
        let connection = connection::run(stream, peer, None, limits, Arc::clone(shared), closing.subscribe());
        tasks.spawn(Box::pin(connection));
        return;
    }
    counters.accepted.add(1);
    if !limits.allows(ip) {
        let why = format!("its address is in no network of {}.allow", limits.section());
        counters.alarms.raise(peer, &why);
        counters.refused_network.note(|suppressed| {
            events::NetworkRefused { peer, suppressed, section: limits.section() }.tell();
        });
        return;
    }
    let http = limits.http();
    match connections.admit(ip, http.connections, http.connections_per_peer) {
        Ok(permit) => {
            let connection =
                connection::run(stream, peer, Some(permit), limits, Arc::clone(shared), closing.subscribe());
            // On the heap: the state of a whole HTTP connection is some KiB.
            tasks.spawn(Box::pin(connection));
        }
        Err(NoRoom::Total) => counters.refused_connections.note(|suppressed| {
            events::TooManyConnections { peer, suppressed, limit: http.connections }.tell();
        }),
        Err(NoRoom::Peer) => counters.refused_peer_connections.note(|suppressed| {
            events::TooManyOfPeer { peer, suppressed, limit: http.connections_per_peer }.tell();
        }),
    }
}

async fn drain(parts: &ServerParts, closing: &watch::Sender<bool>, mut tasks: JoinSet<()>) -> usize {
    closing.send_replace(true);
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            if ended.is_err() {
                note_panic(&parts.counters);
            }
        }
        parts.connections.closed().await;
    };
    if timeout(parts.drain, ended).await.is_ok() {
        return 0;
    }
    let open = parts.connections.len();
    parts.counters.drain_dropped.add(open as u64);
    events::DrainOver { open, within: parts.drain }.tell();
    tasks.shutdown().await;
    open
}

/// Whether `accept` failed because of the connection it was about to return (accept(2)), so that
/// the next one may well succeed.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn note_accept_failure(counters: &NetCounters, error: &io::Error) {
    counters.accept_failed.note(|suppressed| {
        events::AcceptFailed { error, suppressed }.tell();
    });
}

fn note_panic(counters: &NetCounters) {
    counters.panicked.note(|suppressed| {
        events::Panicked { suppressed }.tell();
    });
}

#[cfg(test)]
mod tests;
