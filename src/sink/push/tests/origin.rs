//! A destination in this process: does what its script says, request by request, and tells what it sees.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::net::multipart::ContentType;
use crate::net::multipart::reader::{Event, Reader};

/// What is done with one request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Take all, say so.
    Good,
    /// Read all, then answer this.
    Answer(u16, Option<(&'static str, &'static str)>, &'static str),
    /// Answer this before reading a byte.
    Early(u16),
    /// Read so many parts, then close the connection.
    Break(usize),
    /// Read so many parts, then say GOAWAY, and go on as if good.
    Goodbye(usize),
    /// Read nothing, answer nothing.
    Never,
    /// Read all, answer nothing.
    Silent,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A connection was accepted.
    Connected,
    /// A request began: its path.
    Began(String),
    /// A part is here, whole.
    Part(String),
    /// A request is over: whether its body had a proper end, and how many parts.
    Over(bool, usize),
}

pub(super) struct Origin {
    pub(super) address: SocketAddr,
    pub(super) told: mpsc::UnboundedReceiver<Told>,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    script: Mutex<VecDeque<Act>>,
    /// When the script is at its end.
    otherwise: Mutex<Act>,
    told: mpsc::UnboundedSender<Told>,
    headers: Mutex<Vec<HeaderMap>>,
    connections: AtomicUsize,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Origin {
    pub(super) async fn new(script: &[Act], is_h2: bool, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            script: Mutex::new(script.iter().cloned().collect()),
            otherwise: Mutex::new(Act::Good),
            told: tell,
            headers: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, state.clone(), is_h2, tls));
        Self { address, told, state, accepting }
    }

    pub(super) async fn http1(script: &[Act]) -> Self {
        Self::new(script, false, None).await
    }

    pub(super) async fn http2(script: &[Act]) -> Self {
        Self::new(script, true, None).await
    }

    /// What happens from now on when the script is at its end.
    pub(super) fn otherwise(&self, act: Act) {
        *self.state.otherwise.lock().unwrap() = act;
    }

    /// Header fields of the requests so far.
    pub(super) fn headers(&self) -> Vec<HeaderMap> {
        self.state.headers.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits for so many parts and returns them in the order of arrival, among all requests.
    pub(super) async fn parts(&mut self, count: usize) -> Vec<String> {
        let mut parts = Vec::new();
        while parts.len() < count {
            if let Told::Part(part) = self.next().await {
                parts.push(part);
            }
        }
        parts
    }

    /// Waits until a request is over.
    pub(super) async fn over(&mut self) -> (bool, usize) {
        loop {
            if let Told::Over(whole, parts) = self.next().await {
                return (whole, parts);
            }
        }
    }

    /// Waits until a request begins.
    pub(super) async fn began(&mut self) -> String {
        loop {
            if let Told::Began(path) = self.next().await {
                return path;
            }
        }
    }

    pub(super) async fn next(&mut self) -> Told {
        super::patiently(self.told.recv()).await.expect("the origin is gone")
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, is_h2: bool, tls: Option<Arc<ServerConfig>>) {
    // Ends its connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, tls) = (state.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, state, is_h2).await,
                Some(tls) => {
                    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    serve(stream, state, is_h2).await;
                }
            }
        });
    }
}

async fn serve<S>(stream: S, state: Arc<State>, is_h2: bool)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let _ = state.told.send(Told::Connected);
    let (kill, goodbye) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (killed, bid) = (kill.clone(), goodbye.clone());
    let service = service_fn(move |request| {
        let (state, kill, goodbye) = (state.clone(), kill.clone(), goodbye.clone());
        async move { Ok::<_, Infallible>(answer(request, &state, &kill, &goodbye).await) }
    });
    if is_h2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = killed.notified() => return,
                () = bid.notified() => connection.as_mut().graceful_shutdown(),
            }
        }
    }
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = killed.notified() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    state: &State,
    kill: &Notify,
    goodbye: &Notify,
) -> Response<Full<Bytes>> {
    let act = state.script.lock().unwrap().pop_front();
    let act = act.unwrap_or_else(|| state.otherwise.lock().unwrap().clone());
    let (parts, mut body) = request.into_parts();
    state.headers.lock().unwrap().push(parts.headers.clone());
    let _ = state.told.send(Told::Began(parts.uri.path().to_owned()));
    match act {
        Act::Never => std::future::pending().await,
        Act::Early(status) => return response(status, None, String::new()),
        _ => {}
    }
    let kind = ContentType::parse(parts.headers[header::CONTENT_TYPE].to_str().unwrap()).unwrap();
    let mut reader = Reader::new(&kind.boundary, 1 << 30);
    let (mut part, mut seen) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { break };
        let Ok(mut data) = frame.into_data() else { continue };
        while let Some(event) = reader.read(&mut data).unwrap() {
            match event {
                Event::PartData(octets) => part.extend_from_slice(&octets),
                Event::PartEnd => {
                    // A label, then filling.
                    let label = part.split(|&b| b == b';').next().unwrap();
                    let label = String::from_utf8(label.to_vec()).unwrap();
                    part.clear();
                    let _ = state.told.send(Told::Part(label.clone()));
                    seen.push(label);
                    match act {
                        Act::Break(after) if seen.len() == after => {
                            kill.notify_one();
                            std::future::pending::<()>().await;
                        }
                        Act::Goodbye(after) if seen.len() == after => goodbye.notify_one(),
                        _ => {}
                    }
                }
                Event::PartHead(_) | Event::Close => {}
            }
        }
    }
    let whole = reader.finish().is_ok();
    let _ = state.told.send(Told::Over(whole, seen.len()));
    match act {
        Act::Answer(status, field, body) => response(status, field, body.to_owned()),
        Act::Silent => std::future::pending().await,
        _ => {
            let items: Vec<_> = seen.iter().map(|_| "{}").collect();
            let body = format!(r#"{{"00081199":{{"vr":"SQ","Value":[{}]}}}}"#, items.join(","));
            response(200, None, body)
        }
    }
}

fn response(status: u16, field: Option<(&'static str, &'static str)>, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some((name, value)) = field {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
