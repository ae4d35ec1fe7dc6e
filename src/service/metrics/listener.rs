//! The listener that monitoring asks: `/metrics`, for whoever shows the token, and without one `/livez` (does the process
//! get on?) and `/readyz` (can it serve?), both 200 or 503 with the reasons, one a line. GET and HEAD only, and none of
//! it with anything secret. Over TLS it is a server like DICOMweb's, with narrower limits; plain, which is for this
//! machine only, it answers one request a connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::super::listening::Sockets;
use super::super::readiness::Readiness;
use super::super::{ServiceError, events};
use super::{Counters, Exposed};
use crate::config::settings::{HttpTls, MetricsSettings};
use crate::net::client::token::authorization;
use crate::net::counters::NetCounters;
use crate::net::events::NetworkRefused;
use crate::net::http::{self as server, ServerParts};
use crate::net::limits::{Connections, Limits, allows};
use crate::net::own::OwnConnections;
use crate::net::tls::{HTTP_ALPN, Reloading};

/// Connections at once, plain.
const CONNECTIONS: usize = 8;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole plain connection: one request and its answer.
const DEADLINE: Duration = Duration::from_secs(15);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections may take to end when the service stops.
const DRAIN: Duration = Duration::from_millis(250);
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The listener, before it answers.
#[derive(Debug)]
pub(in crate::service) struct Door {
    settings: MetricsSettings,
    listener: TcpListener,
    address: SocketAddr,
    /// `None` where it is plain.
    tls: Option<Arc<Reloading>>,
}

/// Listens, if the configuration wants it. `web` is the TLS of DICOMweb, for a certificate that was made at the start.
///
/// # Errors
/// When its address or its certificate cannot be used.
pub(in crate::service) fn bind(
    settings: &MetricsSettings,
    sockets: &mut Sockets,
    web: &Arc<Reloading>,
) -> Result<Option<Door>, ServiceError> {
    let Some(address) = settings.listen else { return Ok(None) };
    let fail = |error| ServiceError::Tls { what: "metrics", error };
    let tls = match &settings.tls {
        None => None,
        Some(HttpTls::SelfSigned) => Some(web.clone()),
        Some(HttpTls::Files(identity)) => {
            Some(Arc::new(Reloading::from_files(identity, HTTP_ALPN).map_err(fail)?))
        }
    };
    let (listener, address) = sockets.listen(address, "metrics.listen")?;
    Ok(Some(Door { settings: settings.clone(), listener, address, tls }))
}

impl Door {
    /// Where it is.
    pub(in crate::service) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its TLS, by its section.
    pub(in crate::service) fn secured(&self) -> Option<(&'static str, Arc<Reloading>)> {
        Some(("metrics", self.tls.clone()?))
    }

    /// Answers until `closing` turns true. `secured` are the listeners whose certificates are shown.
    pub(in crate::service) fn serve(
        self,
        counters: &Counters,
        secured: &[(&'static str, Arc<Reloading>)],
        readiness: Readiness,
        closing: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Self { settings, listener, tls, .. } = self;
        let (exposed, counters) = (counters.exposed(secured), counters.of_listener("metrics"));
        Listener { settings, exposed, readiness, counters }.serve(listener, tls, closing)
    }
}

/// What answers.
#[derive(Debug)]
struct Listener {
    settings: MetricsSettings,
    exposed: Exposed,
    readiness: Readiness,
    counters: Arc<NetCounters>,
}

impl Listener {
    async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<Reloading>>,
        mut closing: watch::Receiver<bool>,
    ) {
        let this = Arc::new(self);
        let Some(tls) = tls else { return plain(this, listener, closing).await };
        let limits = Limits::new(this.settings.allow.clone(), MetricsSettings::limits()).of("metrics");
        let parts = ServerParts {
            tls,
            limits: Arc::new(ArcSwap::from_pointee(limits)),
            connections: Connections::new(),
            own: OwnConnections::default(),
            counters: this.counters.clone(),
            drain: DRAIN,
        };
        let handler = move |request: Request<Incoming>, _| {
            let this = this.clone();
            async move {
                let answer = this.answer(request.method(), request.uri().path(), request.headers()).await;
                answer.map(|body| body.map_err(|never| match never {}).boxed_unsync())
            }
        };
        server::serve(listener, parts, handler, async move {
            // An error means that the service itself is gone, which is the same.
            let _ = closing.wait_for(|&down| down).await;
        })
        .await;
    }

    async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if !matches!(path, "/metrics" | "/livez" | "/readyz") {
            return said(
                method,
                StatusCode::NOT_FOUND,
                TEXT,
                "here are /metrics, /livez and /readyz\n".to_owned(),
            );
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let text = "GET and HEAD only\n".to_owned();
            let mut response = said(method, StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/livez" => judged(method, self.readiness.hangs().into_iter().collect()),
            "/readyz" => judged(method, self.readiness.reasons()),
            _ => self.metrics(method, headers).await,
        }
    }

    async fn metrics(&self, method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if let Some(file) = &self.settings.token {
            let wanted = match authorization(file.clone()).await {
                Ok(wanted) => wanted,
                Err(error) => {
                    events::MetricsToken { error: &error }.tell();
                    let text = "the token of this service cannot be read; its log says why\n".to_owned();
                    return said(method, StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
                }
            };
            if !is_shown(headers, &wanted) {
                let text = "show the bearer token of metrics.token\n".to_owned();
                let mut response = said(method, StatusCode::UNAUTHORIZED, TEXT, text);
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return response;
            }
        }
        match self.exposed.text() {
            Ok(text) => said(method, StatusCode::OK, OPEN_METRICS, text),
            Err(_) => said(method, StatusCode::INTERNAL_SERVER_ERROR, TEXT, String::new()),
        }
    }
}

/// Whether the client shows the token of `wanted`, `Bearer` and a token. Takes as long for a wrong one as for another.
fn is_shown(headers: &HeaderMap, wanted: &HeaderValue) -> bool {
    let token = |value: &HeaderValue| {
        let text = value.to_str().ok()?;
        let (scheme, token) = text.split_once(' ')?;
        // RFC 9110 §11.1: schemes in any case.
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    };
    let (Some(wanted), Some(shown)) = (token(wanted), headers.get(AUTHORIZATION).and_then(token)) else {
        return false;
    };
    verify_slices_are_equal(wanted.as_bytes(), shown.as_bytes()).is_ok()
}

/// 200, or 503 with the reasons.
fn judged(method: &Method, reasons: Vec<String>) -> Response<Full<Bytes>> {
    if reasons.is_empty() {
        return said(method, StatusCode::OK, TEXT, "ok\n".to_owned());
    }
    let text = reasons.into_iter().map(|reason| reason.replace('\n', " ") + "\n").collect();
    said(method, StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
}

fn said(method: &Method, status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(text.len());
    let body = if method == Method::HEAD { Full::default() } else { Full::from(text) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Serves without TLS.
async fn plain(this: Arc<Listener>, listener: TcpListener, mut closing: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = closing.wait_for(|&down| down) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // No descriptors or no memory, most likely: others need time to close.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        this.counters.accepted.note(|_| {});
        if !allows(&this.settings.allow, peer.ip()) {
            this.counters
                .refused_network
                .note(|suppressed| NetworkRefused { peer, suppressed, section: "metrics" }.tell());
            continue;
        }
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            this.counters.refused_connections.note(|_| {});
            continue;
        };
        let this = this.clone();
        tokio::spawn(async move {
            // What a scraper does wrong is its own affair.
            let _ = timeout(DEADLINE, Box::pin(converse(&this, stream))).await;
            drop(slot);
        });
    }
}

async fn converse(this: &Listener, stream: TcpStream) {
    let answer = service_fn(|request: Request<Incoming>| async move {
        let answer = this.answer(request.method(), request.uri().path(), request.headers()).await;
        Ok::<_, Infallible>(answer)
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Instant, SystemTime};

    use prometheus_client::registry::Registry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::super::health::{Health, microseconds, since_boot, wall};
    use super::super::super::progress::Progress;
    use super::*;

    struct Room {
        address: SocketAddr,
        readiness: Readiness,
        counters: Arc<NetCounters>,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn room(progress: Progress, token: Option<&Path>, allow: &str) -> Room {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, stopping)) = (listener.local_addr().unwrap(), watch::channel(false));
        let settings = MetricsSettings {
            listen: Some(address),
            token: token.map(Into::into),
            allow: vec![allow.parse().unwrap()],
            ..MetricsSettings::default()
        };
        let (readiness, counters) = (Readiness::new(progress), Arc::<NetCounters>::default());
        let answers = Listener {
            settings,
            exposed: Exposed { ours: Registry::default(), process: Registry::default() },
            readiness: readiness.clone(),
            counters: counters.clone(),
        };
        let task = tokio::spawn(answers.serve(listener, None, stopping));
        Room { address, readiness, counters, stop, task }
    }

    impl Room {
        async fn ask(&self, line: &str, fields: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
            let mut text = String::new();
            // A peer that is refused may find that out while it writes.
            if stream.write_all(request.as_bytes()).await.is_ok() {
                let _ = stream.read_to_string(&mut text).await;
            }
            text
        }
    }

    fn status(answer: &str) -> &str {
        answer.get(9..12).unwrap_or_default()
    }

    #[tokio::test]
    async fn only_metrics_ask_for_the_token_which_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let room = room(Progress::new(Instant::now()), Some(&file), "127.0.0.0/8").await;
        let shows = |token: &str| format!("Authorization: {token}\r\n");
        assert_eq!(status(&room.ask("GET /metrics", &shows("Bearer abc")).await), "503", "no such file");
        std::fs::write(&file, "abc\n").unwrap();
        assert_eq!(status(&room.ask("GET /metrics", &shows("Bearer abc")).await), "200");
        assert_eq!(status(&room.ask("GET /metrics", &shows("bearer abc")).await), "200");
        for wrong in ["Bearer abd", "Bearer ab", "Bearer abcd", "Basic abc", "abc", "Bearer"] {
            let answer = room.ask("GET /metrics", &shows(wrong)).await;
            assert!(
                status(&answer) == "401" && answer.contains("www-authenticate: Bearer"),
                "{wrong}: {answer}"
            );
        }
        assert_eq!(status(&room.ask("GET /metrics", "").await), "401");
        std::fs::write(&file, "other").unwrap();
        assert_eq!(status(&room.ask("GET /metrics", &shows("Bearer abc")).await), "401");
        assert_eq!(status(&room.ask("GET /metrics", &shows("Bearer other")).await), "200");
        assert_eq!(status(&room.ask("GET /livez", "").await), "200");
        assert_eq!(status(&room.ask("GET /readyz", "").await), "503");
        room.stop.send(true).unwrap();
        room.task.await.unwrap();
    }

    #[tokio::test]
    async fn health_is_told_with_its_reasons() {
        let room = room(Progress::new(Instant::now()), None, "127.0.0.0/8").await;
        let starting = room.ask("GET /readyz", "").await;
        assert!(
            starting.ends_with("\r\n\r\nthe service is starting\nno self-test has ended yet\n"),
            "{starting}"
        );
        assert!(starting.contains("cache-control: no-store"), "{starting}");
        room.readiness.running();
        room.readiness.last().store(Some(Arc::new(Health {
            ok: true,
            at: wall(SystemTime::now()),
            boottime_microseconds: microseconds(since_boot()),
            started_microseconds: 0,
            good_for_seconds: None,
            checks: Vec::new(),
            failed: None,
        })));
        let ready = room.ask("GET /readyz", "").await;
        assert!(status(&ready) == "200" && ready.ends_with("\r\n\r\nok\n"), "{ready}");
        let head = room.ask("HEAD /readyz", "").await;
        assert!(
            status(&head) == "200" && head.contains("content-length: 3") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        let post = room.ask("POST /livez", "Content-Length: 0\r\n").await;
        assert!(status(&post) == "405" && post.contains("allow: GET, HEAD"), "{post}");
        assert_eq!(status(&room.ask("GET /other", "").await), "404");
    }

    #[tokio::test]
    async fn a_process_that_does_not_get_on_is_not_alive() {
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let room = room(Progress::new(long_ago), None, "127.0.0.0/8").await;
        let answer = room.ask("GET /livez", "").await;
        assert!(status(&answer) == "503" && answer.contains("no frame has got through"), "{answer}");
    }

    #[tokio::test]
    async fn networks_that_are_not_allowed_are_turned_away() {
        let room = room(Progress::new(Instant::now()), None, "127.9.9.9/32").await;
        assert_eq!(room.ask("GET /livez", "").await, "");
        assert_eq!(room.counters.refused_network.get(), 1);
    }
}
