//! (i) A capture, from the card's buffer to an application: a clip that is played as a card would, at
//! 1920×1080.
//!
//! A frame's latency runs from its Acquisition DateTime, which is when its buffer was filled, to the
//! moment the last byte of its part has been deciphered. Both are of this host's CLOCK_REALTIME. A clip's
//! frames lie in memory, as those that a card has written do.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::Plan;
use crate::child::Gateway;
use crate::convert::{self, noise};
use crate::reader::{READ, Session};
use crate::report::{Report, Target, quantile};
use crate::tls::{client_config, server_name};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// Frames of the clip: more than a cache holds of which this machine has its own.
const CLIP: usize = 24;
/// Half a second of grey frames at 60 a second, and full before anything is measured.
const BUDGET: u64 = 64 << 20;
/// Frames at the start that are not counted.
const WARM: usize = 60;
const PATIENCE: Duration = Duration::from_secs(20);
/// Acquisition DateTime (0008,002A) in Explicit VR Little Endian, up to its length.
const ACQUISITION_DATE_TIME: &[u8] = b"\x08\x00\x2a\x00DT";

/// Instance Number (0020,0013), likewise.
const INSTANCE_NUMBER: &[u8] = b"\x20\x00\x13\x00IS";

pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.heading(
        "(i) card's buffer filled -> last byte of its part at a TLS reader; 1920x1080 YUYV, one pass over the pixels",
    );
    let seconds = if plan.quick { 2 } else { 20 };
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("clip.raw"), noise(WIDTH * HEIGHT * 2 * CLIP, 1))?;
    for (name, rate, pixels) in
        [("1080p60-grey", 60, "grey"), ("1080p30-grey", 30, "grey"), ("1080p30-rgb", 30, "color")]
    {
        let run = Run::measure(folder.path(), rate, pixels, rate * seconds)?;
        let id = format!("i.capture.{name}");
        let judged = rate == 60;
        let mut tell = |what: &str, share, most| {
            let (id, value) = (format!("{id}.{what}"), quantile(&run.latencies, share));
            if judged {
                report.judge(id, "ms", value, Target::AtMost(most));
            } else {
                report.add(id, "ms", value);
            }
        };
        tell("p50", 0.5, 3.0);
        tell("p99", 0.99, 8.0);
        report.add(format!("{id}.max"), "ms", quantile(&run.latencies, 1.0));
        if name == "1080p30-grey" {
            report.judge(format!("{id}.cores"), "cores", run.cores, Target::AtMost(0.5));
        } else {
            report.add(format!("{id}.cores"), "cores", run.cores);
        }
        report.add(format!("{id}.dequeued-to-converted.mean"), "ms", run.converted_ms);
        report.add(format!("{id}.dequeued-to-published.mean"), "ms", run.published_ms);
        let mean = run.latencies.iter().sum::<f64>() / run.latencies.len() as f64;
        report.add(format!("{id}.published-to-reader.mean"), "ms", mean - run.published_ms);
        // Below 1 there is no room for a second pass over the pixels.
        let copy = convert::copy_ms(WIDTH * HEIGHT * if pixels == "color" { 3 } else { 1 });
        let beside = (run.published_ms - run.converted_ms) / copy;
        report.add(format!("{id}.converted-to-published.of-a-copy"), "times", beside);
        report.add(format!("{id}.frames"), "frames", run.latencies.len() as f64);
        report.add(format!("{id}.missed"), "frames", run.missed);
    }
    Ok(())
}

struct Run {
    /// Of all frames (ms).
    latencies: Vec<f64>,
    /// Processor time of the gateway, capture and TLS to the one reader.
    cores: f64,
    /// Means over the whole run (ms).
    published_ms: f64,
    converted_ms: f64,
    /// Frames that are missing between the first and the last that were read.
    missed: f64,
}

impl Run {
    fn measure(folder: &Path, rate: usize, pixels: &str, frames: usize) -> anyhow::Result<Self> {
        let clip = folder.join("clip.toml");
        let text = format!(
            "file = \"clip.raw\"\nformat = \"YUYV\"\nwidth = {WIDTH}\nheight = {HEIGHT}\nrate = {rate}.0\n"
        );
        fs::write(&clip, text)?;
        let capture = format!("[capture.b]\ndevice = \"replay:{}\"\npixels = \"{pixels}\"\n", clip.display());
        let gateway = Gateway::start_with(BUDGET, &capture)?;
        let path = series(gateway.dicomweb)?;
        let mut reader = Reader::open(gateway.dicomweb, &format!("{path}?from=latest"))?;
        let mut read = Vec::with_capacity(frames);
        for _ in 0..WARM {
            reader.next()?;
        }
        let (begun, cpu) = (Instant::now(), gateway.process.cpu()?);
        for _ in 0..frames {
            read.push(reader.next()?);
        }
        let cores = (gateway.process.cpu()? - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
        let metrics = scrape(gateway.metrics)?;
        let numbers = || read.iter().map(|frame| frame.number);
        let spanned = numbers().max().unwrap_or_default() - numbers().min().unwrap_or_default() + 1;
        Ok(Self {
            latencies: read.iter().map(Frame::latency_ms).collect(),
            cores,
            published_ms: mean_ms(&metrics, "publish_seconds").context("no publish_seconds")?,
            converted_ms: mean_ms(&metrics, "convert_seconds").context("no convert_seconds")?,
            missed: f64::from(spanned) - read.len() as f64,
        })
    }
}

/// A frame that was read.
struct Frame {
    /// Instance Number.
    number: i32,
    captured: SystemTime,
    arrived: SystemTime,
}

impl Frame {
    fn latency_ms(&self) -> f64 {
        // Negative where a clock was set meanwhile, so that it shows.
        match self.arrived.duration_since(self.captured) {
            Ok(later) => later.as_secs_f64() * 1e3,
            Err(earlier) => -earlier.duration().as_secs_f64() * 1e3,
        }
    }
}

/// An application that reads a growing series over TLS, HTTP/1.1.
struct Reader {
    stream: TcpStream,
    session: Session,
    buffer: Vec<u8>,
}

impl Reader {
    fn open(origin: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let session = Session::new(client_config(b"http/1.1")?, path, origin)?;
        Ok(Self { stream: connect(origin)?, session, buffer: vec![0; READ] })
    }

    /// The next whole part.
    fn next(&mut self) -> anyhow::Result<Frame> {
        let before = self.session.response.whole();
        while self.session.response.whole() == before {
            let out = self.session.out()?;
            if !out.is_empty() {
                self.stream.write_all(&out)?;
            }
            let read = self.stream.read(&mut self.buffer)?;
            ensure!(read > 0, "the gateway closed the connection");
            self.session.take(self.buffer.get(..read).unwrap_or_default(), usize::MAX)?;
        }
        let arrived = SystemTime::now();
        ensure!(self.session.response.whole() == before + 1, "parts came too fast to be told apart");
        let front = self.session.response.parts.as_ref().map_or(&[][..], |parts| &parts.front);
        let captured = element(front, ACQUISITION_DATE_TIME).context("no Acquisition DateTime")?;
        let number = element(front, INSTANCE_NUMBER).context("no Instance Number")?;
        Ok(Frame { number: number.trim().parse()?, captured: moment(captured)?, arrived })
    }
}

/// The value of an element with a short length (Explicit VR Little Endian) that begins so.
fn element<'a>(front: &'a [u8], begin: &[u8]) -> Option<&'a str> {
    let at = memchr::memmem::find(front, begin)? + begin.len();
    let (length, rest) = front.get(at..)?.split_first_chunk::<2>()?;
    std::str::from_utf8(rest.get(..usize::from(u16::from_le_bytes(*length)))?).ok()
}

/// DT of the form `YYYYMMDDHHMMSS.FFFFFF+0000` (PS3.5 §6.2), which is what captures write.
fn moment(text: &str) -> anyhow::Result<SystemTime> {
    let text = text.trim().strip_suffix("+0000").context("not UTC")?;
    let (whole, fraction) = text.split_once('.').context("no fraction of a second")?;
    let time = dicom_core::chrono::NaiveDateTime::parse_from_str(whole, "%Y%m%d%H%M%S")?;
    ensure!(fraction.len() == 6, "not to the microsecond");
    let since = Duration::from_secs(time.and_utc().timestamp().try_into()?);
    Ok(UNIX_EPOCH + since + Duration::from_micros(fraction.parse()?))
}

/// Path of the series that the capture has open, waiting for it.
fn series(origin: SocketAddr) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(origin, "/dicomweb/series", "application/dicom+json")?;
        let answer = String::from_utf8_lossy(&answer);
        let found = answer.find('[').zip(answer.rfind(']')).and_then(|(from, to)| answer.get(from..=to));
        let found = found.and_then(|found| serde_json::from_str::<Value>(found).ok());
        let uid = |tag: &str| found.as_ref()?.get(0)?.get(tag)?.get("Value")?.get(0)?.as_str();
        if let Some((study, series)) = uid("0020000D").zip(uid("0020000E")) {
            return Ok(format!("/dicomweb/studies/{study}/series/{series}"));
        }
        ensure!(Instant::now() < deadline, "the capture opens no series: {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The whole answer to a GET over TLS.
fn get(origin: SocketAddr, path: &str, accept: &str) -> anyhow::Result<Vec<u8>> {
    let tls = ClientConnection::new(client_config(b"http/1.1")?, server_name()?)?;
    let mut stream = StreamOwned::new(tls, connect(origin)?);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {origin}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn scrape(metrics: SocketAddr) -> anyhow::Result<String> {
    let mut stream = connect(metrics)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The mean of a histogram of the captures.
fn mean_ms(metrics: &str, name: &str) -> Option<f64> {
    let value = |what: &str| -> Option<f64> {
        let begin = format!("framegate_capture_{name}_{what}{{");
        let line = metrics.lines().find(|line| line.starts_with(&begin))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    Some(value("sum")? / value("count")? * 1e3)
}
