//! (b), (c) and (d): from the modality to the applications, while the run is being acquired.
//!
//! A frame's latency runs from the moment its last byte has been written to the C-STORE's socket to
//! the moment a reader has the last byte of its part.

use std::thread;
use std::time::{Duration, Instant};

use crate::Plan;
use crate::child::Gateway;
use crate::object::Object;
use crate::reader::{Form, LEARNED, Readers};
use crate::report::{Report, Target, median, ms, quantile};
use crate::sender::{Acknowledge, Sender, Sent, Write};

const FRAME: Duration = Duration::from_nanos(33_333_333);
/// What the modality writes at once.
const PDU: u32 = 131_072;
/// 1 MB, single-frame.
const IMAGE: Object = Object { series: 1, rows: 1024, columns: 1024, frames: 1 };
const FRAMES_OF_A_RUN: u32 = 150;
/// Small enough to be full before anything is measured.
const BUDGET: u64 = 128 << 20;
/// Frames at the start that are not counted.
const WARM: usize = 10;

/// A live series at 30 frames per second, read by some.
struct Run {
    sent: Vec<Sent>,
    /// For each reader, for each frame.
    arrived: Vec<Vec<Instant>>,
    cores: f64,
    resident: u64,
    /// Processor time of the gateway while it is measured, for each megabyte delivered.
    cpu_ms_per_mb: f64,
}

impl Run {
    fn measure(gateway: &Gateway, frames: u32, forms: Vec<Form>) -> anyhow::Result<Self> {
        let mut sender = Sender::connect(gateway.dimse, PDU, Acknowledge::AtOnce)?;
        // The rings are full of another series, so that memory stands still.
        let mut message = Object { series: 2, ..IMAGE }.message(sender.pdu, false)?;
        for number in 0..(BUDGET >> 20) as u32 + 16 {
            message.renumber(number);
            sender.store(&message)?;
        }
        let mut message = IMAGE.message(sender.pdu, false)?;
        let mut sent = vec![sender.store(&message)?];
        let readers = forms.len();
        let reading = Readers::start(gateway.dicomweb, IMAGE, frames as usize, forms);
        reading.ready()?;

        let start = Instant::now();
        let (mut from, mut cpu) = (start, Duration::ZERO);
        let (mut cores, mut resident, mut cpu_ms_per_mb) = (0.0, 0, 0.0);
        for number in 1..frames {
            message.renumber(number);
            wait_until(start + FRAME * number);
            if number as usize == WARM {
                (from, cpu) = (Instant::now(), gateway.process.cpu()?);
            }
            if number == frames - 1 {
                // While all readers are there.
                let used = (gateway.process.cpu()? - cpu).as_secs_f64();
                cores = used / from.elapsed().as_secs_f64();
                resident = gateway.process.resident()?;
                let delivered = (number as usize - WARM) * readers * IMAGE.frame_bytes();
                cpu_ms_per_mb = used * 1e3 / (delivered as f64 / 1e6);
            }
            sent.push(sender.store(&message)?);
        }
        let arrived = reading.finish()?;
        sender.release()?;
        Ok(Self { sent, arrived, cores, resident, cpu_ms_per_mb })
    }

    /// Latencies (ms) of all frames at all readers, from the end of the C-STORE's writing or from
    /// its begin.
    fn latencies(&self, from: fn(&Sent) -> Instant) -> Vec<f64> {
        let warm = WARM.max(LEARNED);
        let frames = |times: &Vec<Instant>| -> Vec<f64> {
            times.iter().zip(&self.sent).skip(warm).map(|(&at, sent)| since(at, from(sent))).collect()
        };
        self.arrived.iter().flat_map(frames).collect()
    }
}

/// Milliseconds from `earlier` to `later`; negative where it is the other way round.
fn since(later: Instant, earlier: Instant) -> f64 {
    ms(later.saturating_duration_since(earlier)) - ms(earlier.saturating_duration_since(later))
}

fn wait_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}

/// (b)
pub(crate) fn latency(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.heading(
        "(b) last byte of a C-STORE written -> last byte of its part read; 1 MB, 30 fps, one reader",
    );
    let frames = if plan.quick { 60 } else { 320 };
    for (name, form) in [("http1", Form::Http1), ("h2", Form::Http2)] {
        let gateway = Gateway::start(BUDGET)?;
        let run = Run::measure(&gateway, frames, vec![form])?;
        let latencies = run.latencies(|sent| sent.written);
        let id = format!("b.latency.{name}");
        report.judge(format!("{id}.p50"), "ms", quantile(&latencies, 0.5), Target::AtMost(2.0));
        report.judge(format!("{id}.p99"), "ms", quantile(&latencies, 0.99), Target::AtMost(5.0));
        report.add(format!("{id}.max"), "ms", quantile(&latencies, 1.0));
        let whole = run.latencies(|sent| sent.begun);
        report.add(format!("{id}.from-first-byte.p50"), "ms", quantile(&whole, 0.5));
        report.add(format!("{id}.frames"), "frames", latencies.len() as f64);
    }
    Ok(())
}

/// (c)
pub(crate) fn cut_through(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let frames = if plan.quick { 30 } else { FRAMES_OF_A_RUN };
    report.heading(&format!(
        "(c) one object of {frames} frames of 1 MB -> its frames, one part each, at one HTTP/1.1 reader"
    ));
    let rounds = if plan.quick { 1 } else { 9 };
    let object = Object { frames, ..IMAGE };
    let mut first = Vec::new();
    let mut fraction = Vec::new();
    let mut rate = Vec::new();
    for _ in 0..rounds {
        let run = multi_frame(object, None)?;
        first.extend(run.latencies.first());
        fraction.push(run.first_fraction);
        rate.push(f64::from(frames) / run.took.as_secs_f64());
    }
    report.judge("c.full-speed.first-frame", "ms", median(&first), Target::AtMost(2.0));
    report.add("c.full-speed.first-frame.of-transfer", "fraction", median(&fraction));
    report.add("c.full-speed.frames", "frames/s", median(&rate));
    let run = multi_frame(object, Some(FRAME))?;
    let mut first: Vec<_> = run.latencies.first().copied().into_iter().collect();
    // What counts is the begin: short objects give more of it.
    for _ in 1..rounds {
        first.extend(multi_frame(Object { frames: 6, ..object }, Some(FRAME))?.latencies.first());
    }
    let paced = run.latencies;
    report.judge("c.paced.first-frame", "ms", median(&first), Target::AtMost(2.0));
    report.add("c.paced.first-frame.of-transfer", "fraction", run.first_fraction);
    report.add("c.paced.all-frames.p50", "ms", quantile(&paced, 0.5));
    report.add("c.paced.all-frames.p99", "ms", quantile(&paced, 0.99));
    Ok(())
}

struct MultiFrame {
    /// For each frame (ms).
    latencies: Vec<f64>,
    /// When the first frame was at the reader, as a share of the time that sending took.
    first_fraction: f64,
    took: Duration,
}

fn multi_frame(object: Object, period: Option<Duration>) -> anyhow::Result<MultiFrame> {
    let gateway = Gateway::start(512 << 20)?;
    let mut sender = Sender::connect(gateway.dimse, PDU, Acknowledge::AtOnce)?;
    let single = IMAGE.message(sender.pdu, false)?;
    let message = object.message(sender.pdu, period.is_some())?;
    // One object ahead, so that there is a series to be read.
    sender.store(&single)?;
    let reading = Readers::start(gateway.dicomweb, IMAGE, object.frames as usize + 1, vec![Form::Http1]);
    reading.ready()?;

    let mut written = Vec::with_capacity(object.frames as usize);
    // The first frame begins behind the command set, each further one behind the frame before.
    let begins: Vec<_> = std::iter::once(1).chain(message.frame_pdus().iter().map(|last| last + 1)).collect();
    let start = Instant::now();
    sender.store_with(&message, |pdu, write| {
        let frame = written.len();
        match (write, period) {
            (Write::Due, Some(period)) if begins.get(frame) == Some(&pdu) => {
                wait_until(start + period * frame as u32);
            }
            (Write::Due, _) => {}
            (Write::Done, _) => {
                let whole = message.frame_pdus().iter().skip(frame).take_while(|&&last| last == pdu).count();
                written.resize(frame + whole, Instant::now());
            }
        }
    })?;
    let took = start.elapsed();
    let arrived = reading.finish()?;
    sender.release()?;
    let arrived: Vec<_> = arrived.into_iter().flatten().skip(1).collect();
    let latencies: Vec<_> = arrived.iter().zip(&written).map(|(&at, &from)| since(at, from)).collect();
    anyhow::ensure!(latencies.len() == object.frames as usize, "frames are missing");
    let first = arrived.first().map_or(f64::NAN, |at| at.duration_since(start).as_secs_f64());
    Ok(MultiFrame { latencies, first_fraction: first / took.as_secs_f64(), took })
}

/// (d)
pub(crate) fn fan_out(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.heading("(d) one series, 1 MB at 30 fps, to many TLS readers that count (all but the last row: those decipher)");
    let frames = if plan.quick { 45 } else { 240 };
    let mut alone = None;
    for readers in [1_usize, 4, 16, 64] {
        let run = fan_out_to(report, readers, Form::Http1Counting, frames)?;
        let of_one = *alone.get_or_insert(run.resident) as f64;
        if readers == 64 {
            let ratio = run.resident as f64 / of_one;
            report.judge("d.fan-out.rss-64-to-1", "times", ratio, Target::AtMost(1.1));
        }
    }
    fan_out_to(report, 16, Form::Http1, frames)?;
    Ok(())
}

fn fan_out_to(report: &mut Report, readers: usize, form: Form, frames: u32) -> anyhow::Result<Run> {
    let gateway = Gateway::start(BUDGET)?;
    let run = Run::measure(&gateway, frames, vec![form; readers])?;
    let latencies = run.latencies(|sent| sent.written);
    let deciphering = if form == Form::Http1 { ".deciphering" } else { "" };
    let id = format!("d.fan-out.{readers}{deciphering}");
    let targets = (readers == 16)
        .then_some(())
        .map(|()| (Target::AtMost(5.0), Target::AtMost(15.0), Target::AtMost(0.35)));
    let mut tell = |what: &str, unit, value, target| match target {
        Some(target) => report.judge(format!("{id}.{what}"), unit, value, target),
        None => report.add(format!("{id}.{what}"), unit, value),
    };
    tell("p50", "ms", quantile(&latencies, 0.5), targets.map(|(p50, _, _)| p50));
    tell("p99", "ms", quantile(&latencies, 0.99), targets.map(|(_, p99, _)| p99));
    tell("cores", "cores", run.cores, targets.map(|(_, _, cores)| cores));
    tell("cpu", "ms/MB", run.cpu_ms_per_mb, None);
    tell("rss", "MB", run.resident as f64 / 1e6, None);
    Ok(run)
}
