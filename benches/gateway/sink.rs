//! A destination of pushes: takes Send and Store over HTTP/1.1, plain or TLS, and notes when the last
//! byte of each instance is there. It runs on a thread of this process, so that its times and the
//! sender's come from one clock.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use framegate::net::multipart::ContentType;
use framegate::net::multipart::reader::{Event, Reader};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use memchr::memmem;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::object::SOP_CLASS;

/// SOP Instance UID (0008,0018) in Explicit VR Little Endian, up to its length.
const SOP_INSTANCE_UID: &[u8] = b"\x08\x00\x18\x00UI";
/// What of a part is kept to look for its UID.
const FRONT: usize = 4 << 10;
const MAX_PART: u64 = 1 << 30;

/// What has arrived.
#[derive(Debug, Default)]
struct Arrivals {
    /// By SOP Instance UID.
    at: Mutex<HashMap<String, Instant>>,
    more: Condvar,
}

/// A destination at work.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its certificate, for those who push to trust; `None` where it is plain.
    pub(crate) certificate_pem: Option<String>,
    arrivals: Arc<Arrivals>,
}

impl Sink {
    /// Starts it.
    pub(crate) fn start(tls: bool) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Arrivals::default());
        let (acceptor, certificate_pem) = if tls {
            let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
            let made = rcgen::generate_simple_self_signed(names)?;
            (Some(acceptor(&made)?), Some(made.cert.pem()))
        } else {
            (None, None)
        };
        let noted = Arc::clone(&arrivals);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { serve(TcpListener::from_std(listener)?, acceptor, noted).await })
        });
        Ok(Self { address, certificate_pem, arrivals })
    }

    /// When the instance of this UID was there, waiting for it.
    pub(crate) fn arrival(&self, uid: &str, patience: Duration) -> anyhow::Result<Instant> {
        let at = self.arrivals.at.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |at: &mut HashMap<String, Instant>| !at.contains_key(uid);
        let waited = self.arrivals.more.wait_timeout_while(at, patience, missing);
        let (at, _) = waited.unwrap_or_else(PoisonError::into_inner);
        at.get(uid).copied().context("an instance did not arrive")
    }
}

fn acceptor(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> anyhow::Result<TlsAcceptor> {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    arrivals: Arc<Arrivals>,
) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, arrivals) = (acceptor.clone(), Arc::clone(&arrivals));
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&arrivals)));
            let builder = http1::Builder::new();
            // A peer that only looks whether we listen, or leaves, ends here.
            let _ = match acceptor {
                None => builder.serve_connection(TokioIo::new(stream), service).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
                    Err(_) => return,
                },
            };
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    arrivals: Arc<Arrivals>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, response) = match take(request, &arrivals).await {
        Ok(uids) => (200, stored(&uids)),
        Err(error) => (400, json!({ "error": error.to_string() })),
    };
    let mut response = Response::new(Full::from(response.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/dicom+json"));
    Ok(response)
}

/// A Store Instances Response (PS3.18 Annex I).
fn stored(uids: &[String]) -> Value {
    let items: Vec<_> = uids
        .iter()
        .map(|uid| {
            json!({
                "00081150": { "vr": "UI", "Value": [SOP_CLASS] },
                "00081155": { "vr": "UI", "Value": [uid] },
                "00081190": { "vr": "UR" },
            })
        })
        .collect();
    json!({ "00081190": { "vr": "UR" }, "00081199": { "vr": "SQ", "Value": items } })
}

async fn take(request: Request<Incoming>, arrivals: &Arrivals) -> anyhow::Result<Vec<String>> {
    let content_type = request.headers().get(CONTENT_TYPE).context("no Content-Type")?.to_str()?;
    let content_type = ContentType::parse(content_type)?;
    let mut reader = Reader::new(&content_type.boundary, MAX_PART);
    let mut body = request.into_body();
    let (mut front, mut missing, mut uids) = (Vec::new(), None, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(mut chunk) = frame?.into_data() else { continue };
        while let Some(event) = reader.read(&mut chunk)? {
            let whole = match event {
                Event::PartHead(head) => {
                    front.clear();
                    missing = head.content_length;
                    false
                }
                Event::PartData(data) => {
                    let room = FRONT.saturating_sub(front.len()).min(data.len());
                    front.extend_from_slice(data.get(..room).unwrap_or_default());
                    missing = missing.map(|missing| missing - data.len() as u64);
                    missing == Some(0)
                }
                // Where no length was announced, the delimiter tells.
                Event::PartEnd => missing.is_none(),
                Event::Close => false,
            };
            if whole {
                let now = Instant::now();
                let uid = sop_instance_uid(&front).context("a part without SOP Instance UID")?;
                let mut at = arrivals.at.lock().unwrap_or_else(PoisonError::into_inner);
                at.entry(uid.clone()).or_insert(now);
                arrivals.more.notify_all();
                uids.push(uid);
            }
        }
    }
    Ok(uids)
}

fn sop_instance_uid(front: &[u8]) -> Option<String> {
    let at = memmem::find(front, SOP_INSTANCE_UID)? + SOP_INSTANCE_UID.len();
    let (length, rest) = front.get(at..)?.split_first_chunk::<2>()?;
    let value = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
    Some(std::str::from_utf8(value).ok()?.trim_end_matches(['\0', ' ']).to_owned())
}
