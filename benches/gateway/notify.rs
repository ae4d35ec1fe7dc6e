//! (g) Notifications: from a C-STORE's last byte to the event at a client, while a thousand
//! subscriptions stand.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, HOST, LOCATION};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::Plan;
use crate::child::Gateway;
use crate::object::Object;
use crate::report::{Report, Target, ms, quantile};
use crate::sender::{Acknowledge, Sender};
use crate::tls::{client_config, server_name};

const PDU: u32 = 131_072;
const BUDGET: u64 = 64 << 20;
const SUBSCRIPTIONS: usize = 1000;
const FRAME: Duration = Duration::from_millis(20);
const WARM: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// Small: what is measured is the event.
const IMAGE: Object = Object { series: 40, rows: 64, columns: 64, frames: 1 };

async fn connect(origin: SocketAddr) -> anyhow::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(origin).await?;
    stream.set_nodelay(true)?;
    Ok(TlsConnector::from(client_config(b"http/1.1")?).connect(server_name()?, stream).await?)
}

/// Registers `count` subscriptions to instances, each of a subscriber of its own, and returns their
/// notification connections' URLs. Of those beyond `matching` none will ever match.
async fn register(origin: SocketAddr, count: usize, matching: usize) -> anyhow::Result<Vec<String>> {
    let (mut requests, connection) = http1::handshake(TokioIo::new(connect(origin).await?)).await?;
    tokio::spawn(connection);
    let mut channels = Vec::with_capacity(count);
    for number in 0..count {
        let id = if number < matching { "BENCH".to_owned() } else { format!("NOBODY{number}") };
        let path = format!("/dicomweb/instances/subscribers/S{number}?PatientID={id}&Modality=XA");
        let request = http::Request::post(path).header(HOST, origin.to_string()).header(CONTENT_LENGTH, 0);
        let response = requests.send_request(request.body(Empty::<bytes::Bytes>::new())?).await?;
        ensure!(response.status() == 201, "registration: {}", response.status());
        let location = response.headers().get(LOCATION).context("no Location")?.to_str()?.to_owned();
        http_body_util::BodyExt::collect(response.into_body()).await?;
        channels.push(location);
    }
    Ok(channels)
}

/// Reads events until `count` Instance Available have come; when each was there.
async fn listen(
    origin: SocketAddr,
    url: String,
    count: usize,
    ready: mpsc::Sender<()>,
) -> anyhow::Result<Vec<Instant>> {
    let url = url.replacen("wss://", "ws://", 1);
    let (mut socket, _) = tokio_tungstenite::client_async(url, connect(origin).await?).await?;
    // The other side waits for all.
    let _ = ready.send(());
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let message = socket.next().await.context("the channel was closed")??;
        let now = Instant::now();
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text)?;
        if event.pointer("/00001002/Value/0") == Some(&Value::from(3)) {
            times.push(now);
        }
    }
    Ok(times)
}

/// (g)
pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.heading(&format!(
        "(g) last byte of a small C-STORE written -> event at the client, {SUBSCRIPTIONS} subscriptions"
    ));
    for (clients, judged) in [(1, true), (16, false)] {
        let latencies = measure(plan, clients)?;
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let id = format!("g.notify.{clients}-listening.{name}");
            let value = quantile(&latencies, share);
            if judged && name == "p99" {
                report.judge(id, "ms", value, Target::AtMost(2.0));
            } else {
                report.add(id, "ms", value);
            }
        }
    }
    Ok(())
}

/// Latencies (ms) of all events at all `clients`.
fn measure(plan: &Plan, clients: usize) -> anyhow::Result<Vec<f64>> {
    let frames = if plan.quick { 50 } else { 500 };
    let gateway = Gateway::start_with(
        BUDGET,
        "[dicomweb.limits]\nrequests_per_second = 100000\nrequest_burst = 100000\n",
    )?;
    let origin = gateway.dicomweb;
    let (tell, ready) = mpsc::channel();
    let listening = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let channels = register(origin, SUBSCRIPTIONS, clients).await?;
            let clients = channels.into_iter().take(clients);
            let clients = clients.map(|url| tokio::spawn(listen(origin, url, frames, tell.clone())));
            let clients: Vec<_> = clients.collect();
            let mut all = Vec::new();
            for client in clients {
                all.push(tokio::time::timeout(PATIENCE * 2, client).await???);
            }
            anyhow::Ok(all)
        })
    });
    for _ in 0..clients {
        if ready.recv_timeout(PATIENCE).is_err() {
            let failed = listening.join().map_err(|_| anyhow::anyhow!("the clients panicked"))?;
            anyhow::bail!("the clients do not listen: {failed:?}");
        }
    }
    let mut sender = Sender::connect(gateway.dimse, PDU, Acknowledge::AtOnce)?;
    let mut message = IMAGE.message(sender.pdu, false)?;
    let mut written = Vec::with_capacity(frames);
    let start = Instant::now();
    for number in 0..frames as u32 {
        message.renumber(number);
        thread::sleep((start + FRAME * number).saturating_duration_since(Instant::now()));
        written.push(sender.store(&message)?.written);
    }
    let arrived = listening.join().map_err(|_| anyhow::anyhow!("the clients panicked"))??;
    sender.release()?;
    let late = |(&at, &from): (&Instant, &Instant)| {
        ms(at.saturating_duration_since(from)) - ms(from.saturating_duration_since(at))
    };
    Ok(arrived.iter().flat_map(|times| times.iter().zip(&written).skip(WARM).map(late)).collect())
}
