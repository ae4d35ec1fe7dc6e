//! (j) What the relay costs: the same C-STOREs to the same upstream, directly and with the relay between, in rounds
//! that take turns. The upstream is a second framegate, which leaves nothing to Nagle's algorithm, or DCMTK's
//! `storescp`; the modality is our own sender, or a stock `storescu`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::Plan;
use crate::child::{Gateway, Process, free_address};
use crate::object::{Message, Object};
use crate::report::{Report, Target, median};
use crate::sender::{Acknowledge, Sender};

/// Largest PDU (bytes): what DCMTK takes unless told otherwise, and the most that it can be told.
const PDUS: [(&str, u32); 2] = [("pdu16K", 16384), ("pdu128K", 131_072)];
const SIZES: [(&str, u16); 2] = [("0.5MB", 512), ("1MB", 1024)];
/// Pause between two objects whose latency is measured, as at 30 frames a second.
const PACE: Duration = Duration::from_millis(33);

/// A relay to `upstream` for everything that our senders send, streaming what passes.
fn relay(upstream: SocketAddr) -> anyhow::Result<Gateway> {
    let section = format!("[relay.bench]\ncalled_ae_title = \"FRAMEGATE\"\naddress = \"{upstream}\"\n");
    Gateway::start_with(512 << 20, &section)
}

fn storescp(ignore: bool, pdu: u32) -> anyhow::Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let mut command = Command::new("storescp");
    if ignore {
        command.arg("--ignore");
    }
    command.args(["--max-pdu", &pdu.to_string(), &address.port().to_string()]);
    Ok((Process::start(command, folder, &[address])?, address))
}

pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    for (pdu_name, pdu) in PDUS {
        report.heading(&format!(
            "(j) C-STORE to a second framegate, directly and through the relay, {pdu_name}"
        ));
        let upstream = Gateway::start_with(512 << 20, &format!("[dimse.limits]\npdu_bytes = {pdu}\n"))?;
        for (size, rows) in SIZES {
            compare(plan, report, upstream.dimse, pdu, rows, &format!("j.relay.{size}.{pdu_name}"))?;
        }
    }
    report.heading("(j) the same with DCMTK storescp --ignore as the upstream");
    for (pdu_name, pdu) in PDUS {
        let (_process, upstream) = storescp(true, pdu)?;
        compare(plan, report, upstream, pdu, 512, &format!("j.relay-dcmtk.0.5MB.{pdu_name}"))?;
    }
    report.heading("(j) the same with DCMTK storescp as the upstream, which stores: on a disk in memory");
    let (_process, upstream) = storescp(false, 131_072)?;
    compare(plan, report, upstream, 131_072, 512, "j.relay-dcmtk-stores.0.5MB.pdu128K")?;
    report.heading("(j) stock DCMTK storescu to stock storescp, the whole run of the program");
    stock(plan, report)
}

fn compare(
    plan: &Plan,
    report: &mut Report,
    upstream: SocketAddr,
    pdu: u32,
    rows: u16,
    id: &str,
) -> anyhow::Result<()> {
    let relay = relay(upstream)?;
    let mut message = Object { series: 1, rows, columns: 1024, frames: 1 }.message(pdu, false)?;
    let mut number = 0;
    let ways = [("direct", upstream), ("relayed", relay.dimse)];
    let (mut rates, mut latencies) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    // The first turn is for warming up.
    for turn in 0..=plan.rounds() {
        for (at, (_, address)) in ways.iter().enumerate() {
            let mut sender = Sender::connect(*address, pdu, Acknowledge::AtOnce)?;
            anyhow::ensure!(sender.pdu == pdu, "{} bytes a PDU are taken", sender.pdu);
            let rate = full_speed(plan, &mut sender, &mut message, &mut number)?;
            let paced = paced(plan, &mut sender, &mut message, &mut number)?;
            sender.release()?;
            if turn > 0 {
                if let Some(rates) = rates.get_mut(at) {
                    rates.push(rate);
                }
                if let Some(latencies) = latencies.get_mut(at) {
                    latencies.extend(paced);
                }
            }
        }
    }
    let rates = rates.map(|rates| median(&rates));
    let latencies = latencies.map(|latencies| median(&latencies));
    for ((name, _), (rate, latency)) in ways.iter().zip(rates.iter().zip(latencies)) {
        report.add(format!("{id}.{name}"), "images/s", *rate);
        report.add(format!("{id}.{name}.p50"), "ms", latency);
    }
    let [direct, relayed] = rates;
    report.judge(format!("{id}.ratio-to-direct"), "times", relayed / direct, Target::AtLeast(0.9));
    let [direct, relayed] = latencies;
    report.judge(format!("{id}.added-p50"), "ms", relayed - direct, Target::AtMost(0.3));
    Ok(())
}

/// Images a second, one C-STORE after the other.
fn full_speed(
    plan: &Plan,
    sender: &mut Sender,
    message: &mut Message,
    number: &mut u32,
) -> anyhow::Result<f64> {
    let lasts = Duration::from_millis(if plan.quick { 200 } else { 1000 });
    let (begun, first) = (Instant::now(), *number);
    while begun.elapsed() < lasts {
        message.renumber(*number);
        *number += 1;
        sender.store(message)?;
    }
    Ok(f64::from(*number - first) / begun.elapsed().as_secs_f64())
}

/// From the first byte of each C-STORE to its response (ms), at 30 a second.
fn paced(
    plan: &Plan,
    sender: &mut Sender,
    message: &mut Message,
    number: &mut u32,
) -> anyhow::Result<Vec<f64>> {
    let count = if plan.quick { 10 } else { 60 };
    (0..count)
        .map(|_| {
            thread::sleep(PACE);
            message.renumber(*number);
            *number += 1;
            let begun = Instant::now();
            sender.store(message)?;
            Ok(begun.elapsed().as_secs_f64() * 1e3)
        })
        .collect()
}

fn stock(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let files = if plan.quick { 10 } else { 40 };
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let object = Object { series: 2, rows: 512, columns: 1024, frames: 1 };
    for number in 0..files {
        fs::write(folder.path().join(format!("{number:04}.dcm")), object.file(number)?)?;
    }
    let (_process, upstream) = storescp(false, 16384)?;
    let relay = relay(upstream)?;
    let ways = [("direct", upstream), ("relayed", relay.dimse)];
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..plan.rounds() {
        for ((_, address), rates) in ways.iter().zip(&mut rates) {
            let begun = Instant::now();
            let status = Command::new("storescu")
                .args(["-aec", "FRAMEGATE", "+sd", &Ipv4Addr::LOCALHOST.to_string()])
                .arg(address.port().to_string())
                .arg(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .context("cannot start storescu")?;
            anyhow::ensure!(status.success(), "storescu: {status}");
            rates.push(f64::from(files) / begun.elapsed().as_secs_f64());
        }
    }
    let [direct, relayed] = rates.map(|rates| median(&rates));
    report.add("j.relay-stock.0.5MB.direct", "images/s", direct);
    report.add("j.relay-stock.0.5MB.relayed", "images/s", relayed);
    report.judge("j.relay-stock.0.5MB.ratio-to-direct", "times", relayed / direct, Target::AtLeast(1.0));
    Ok(())
}
