//! (e) What this machine could do at most, measured in the same run, so that the other figures can
//! be judged: memory copies, the cipher alone, and the least that an HTTPS stream costs with the
//! libraries that the gateway is made of.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Plan;
use crate::child::{Process, free_address};
use crate::report::Report;
use crate::tls::{client_config, server_name};

const MB: usize = 1 << 20;
/// Content of a full TLS record.
const RECORD: usize = 16 << 10;

pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.heading("(e) ceilings of this machine, one core each");
    let lasts = Duration::from_millis(if plan.quick { 200 } else { 1000 });
    report.add("e.memcpy", "GB/s", memory(lasts));
    let cipher = cipher(lasts)?;
    report.add("e.aes-128-gcm", "GB/s", cipher);
    let (rate, cpu) = https(lasts * 2)?;
    report.add("e.minimal-https-stream", "MB/s", rate);
    report.add("e.minimal-https-stream.cpu", "ms/MB", cpu);
    // What (d) asks for, by the same libraries with nothing else to do, and by the cipher alone.
    let megabytes = 16.0 * 30.0 * MB as f64 / 1e6;
    report.add("e.16-readers.minimal-https-stream", "cores", megabytes * cpu / 1e3);
    report.add("e.16-readers.aes-128-gcm", "cores", megabytes / 1e3 / cipher);
    Ok(())
}

/// Copies frames through more memory than the caches hold.
fn memory(lasts: Duration) -> f64 {
    let source = vec![1_u8; 128 * MB];
    let mut target = vec![0_u8; 128 * MB];
    let (begun, mut copied) = (Instant::now(), 0);
    while begun.elapsed() < lasts {
        for (from, to) in source.chunks(MB).zip(target.chunks_mut(MB)) {
            to.copy_from_slice(from);
            copied += from.len();
        }
        std::hint::black_box(&mut target);
    }
    copied as f64 / 1e9 / begun.elapsed().as_secs_f64()
}

/// Enciphers full TLS records in place.
fn cipher(lasts: Duration) -> anyhow::Result<f64> {
    let failed = |_| anyhow::anyhow!("the cipher failed");
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(failed)?);
    let mut frame = vec![0_u8; MB];
    let (begun, mut done, mut counter) = (Instant::now(), 0, 0_u64);
    while begun.elapsed() < lasts {
        for record in frame.chunks_mut(RECORD) {
            counter += 1;
            let mut nonce = [0; 12];
            nonce.iter_mut().zip(counter.to_le_bytes()).for_each(|(to, from)| *to = from);
            let nonce = Nonce::assume_unique_for_key(nonce);
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from([0; 5]), record).map_err(failed)?;
            let _ = std::hint::black_box(tag);
            done += record.len();
        }
    }
    Ok(done as f64 / 1e9 / begun.elapsed().as_secs_f64())
}

/// MB/s that one reader gets, and what a megabyte costs the server (ms).
fn https(lasts: Duration) -> anyhow::Result<(f64, f64)> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--serve").arg(address.to_string());
    let server = Process::start(command, tempfile::tempdir()?, &[address])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(client_config(b"http/1.1")?);
        let mut stream = connector.connect(server_name()?, stream).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        let mut buffer = vec![0; 256 << 10];
        let (mut begun, mut cpu, mut read) = (Instant::now(), Duration::ZERO, 0);
        let warm = begun + lasts / 4;
        let mut measuring = false;
        loop {
            let more = stream.read(&mut buffer).await?;
            anyhow::ensure!(more > 0, "the stream ended");
            read += more;
            if !measuring && Instant::now() > warm {
                (begun, cpu, read, measuring) = (Instant::now(), server.cpu()?, 0, true);
            }
            if measuring && begun.elapsed() > lasts {
                let used = server.cpu()? - cpu;
                let megabytes = read as f64 / 1e6;
                return Ok((megabytes / begun.elapsed().as_secs_f64(), used.as_secs_f64() * 1e3 / megabytes));
            }
        }
    })
}

/// The child process of the above: streams the same megabyte for ever, to whoever connects.
pub(crate) fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.context("cannot listen")?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Whoever only looks whether we listen does not shake hands.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
                let _ = served.await;
            });
        }
    })
}

type Endless = StreamBody<stream::Iter<std::iter::RepeatWith<fn() -> Result<Frame<Bytes>, Infallible>>>>;

async fn answer(_: Request<Incoming>) -> Result<Response<Endless>, Infallible> {
    static FRAME: [u8; MB] = [0x5A; MB];
    let next: fn() -> _ = || Ok(Frame::data(Bytes::from_static(&FRAME)));
    Ok(Response::new(StreamBody::new(stream::iter(std::iter::repeat_with(next)))))
}
