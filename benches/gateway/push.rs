//! (f) From the modality to a destination: C-STORE in, Send or Store out, beside Orthanc as a forwarder.
//!
//! A frame's latency runs from the moment its last byte has been written to the C-STORE's socket to
//! the moment the sink has the last byte of its part.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::Plan;
use crate::child::{Gateway, Process, free_address};
use crate::object::Object;
use crate::report::{Report, Target, ms, quantile};
use crate::sender::{Acknowledge, Sender};
use crate::sink::Sink;

const FRAME: Duration = Duration::from_nanos(33_333_333);
/// What Orthanc takes: DCMTK's default.
const PDU: u32 = 16384;
/// Small enough to be full before anything is measured.
const BUDGET: u64 = 128 << 20;
/// Frames at the start that are not counted.
const WARM: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(20);
const SIZES: [(&str, u16); 2] = [("0.5MB", 512), ("1MB", 1024)];
/// Where Debian has Orthanc's DICOMweb plugin.
const PLUGIN: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Send,
    Store,
    Orthanc,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Store => "store",
            Self::Orthanc => "orthanc",
        }
    }
}

/// Something that takes C-STOREs and pushes them on.
struct Forwarder {
    process: Process,
    dimse: SocketAddr,
}

impl Forwarder {
    fn start(kind: Kind, sink: &Sink) -> anyhow::Result<Self> {
        match kind {
            Kind::Send | Kind::Store => Self::framegate(kind.name(), sink),
            Kind::Orthanc => Self::orthanc(sink),
        }
    }

    fn framegate(mode: &str, sink: &Sink) -> anyhow::Result<Self> {
        let certificates = tempfile::tempdir()?;
        let ca = certificates.path().join("sink.pem");
        let mut destination = format!("[destination.sink]\nmode = \"{mode}\"\n");
        destination += &match &sink.certificate_pem {
            None => format!("url = \"http://{}\"\n", sink.address),
            Some(pem) => {
                fs::write(&ca, pem)?;
                format!("url = \"https://{}\"\nca = \"{}\"\n", sink.address, ca.display())
            }
        };
        let standing =
            "[subscription.sink]\nsearch = \"/series\"\nsubscriber = \"SINK\"\ndestination = \"sink\"\n";
        let gateway = Gateway::start_with(BUDGET, &format!("{destination}{standing}"))?;
        // Read at the start and at every connection; the folder may go with the process.
        let _ = certificates.keep();
        Ok(Self { process: gateway.process, dimse: gateway.dimse })
    }

    /// Orthanc as its documentation tunes it for forwarding: many jobs, no Nagle's algorithm, storage in
    /// memory.
    fn orthanc(sink: &Sink) -> anyhow::Result<Self> {
        let (dimse, http) = (free_address()?, free_address()?);
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let scheme = if sink.certificate_pem.is_some() { "https" } else { "http" };
        let script = "function OnStoredInstance(id, tags, metadata, origin)\n  \
             RestApiPost('/dicom-web/servers/sink/stow', '{\"Resources\":[\"' .. id .. '\"],\"Synchronous\":false}', false)\n\
             end\n";
        fs::write(path("forward.lua"), script)?;
        fs::write(path("sink.pem"), sink.certificate_pem.as_deref().unwrap_or_default())?;
        let config = json!({
            "StorageDirectory": path("storage"),
            "IndexDirectory": path("storage"),
            "HttpPort": http.port(),
            "DicomPort": dimse.port(),
            "DicomAet": "FRAMEGATE",
            "DicomAlwaysAllowStore": true,
            "UnknownSopClassAccepted": true,
            "RemoteAccessAllowed": false,
            "ConcurrentJobs": 20,
            "JobsHistorySize": 10,
            "SaveJobs": false,
            "HttpsVerifyPeers": sink.certificate_pem.is_some(),
            "HttpsCACertificates": path("sink.pem"),
            "Plugins": [PLUGIN],
            "LuaScripts": [path("forward.lua")],
            "DicomWeb": { "Enable": true, "Servers": { "sink": {
                "Url": format!("{scheme}://{}/", sink.address), "HasDelete": false, "ChunkedTransfers": false,
            } } },
        });
        fs::write(path("orthanc.json"), config.to_string())?;
        let mut command = Command::new("Orthanc");
        command.arg(path("orthanc.json")).env("TCP_NODELAY", "1");
        let process = Process::start(command, folder, &[dimse, http])?;
        Ok(Self { process, dimse })
    }
}

/// What a forwarder did with a series at 30 frames per second.
struct Run {
    /// For each frame (ms).
    latencies: Vec<f64>,
    cpu_ms_per_frame: f64,
    resident: u64,
}

fn measure(kind: Kind, tls: bool, object: Object, frames: u32) -> anyhow::Result<Run> {
    let sink = Sink::start(tls)?;
    let forwarder = Forwarder::start(kind, &sink)?;
    let mut sender = Sender::connect(forwarder.dimse, PDU, Acknowledge::AtOnce)?;
    let mut message = object.message(sender.pdu, false)?;
    if kind != Kind::Orthanc {
        // The ring is full of another series, so that memory stands still.
        let mut other = Object { series: object.series + 1, ..object }.message(sender.pdu, false)?;
        for number in 0..(BUDGET / object.frame_bytes() as u64) as u32 + 16 {
            other.renumber(number);
            sender.store(&other)?;
        }
        let last = Object { series: object.series + 1, ..object };
        sink.arrival(&last.sop_instance_uid((BUDGET / object.frame_bytes() as u64) as u32 + 15), PATIENCE)?;
    }
    let mut written = Vec::with_capacity(frames as usize);
    let mut cpu = Duration::ZERO;
    let start = Instant::now();
    for number in 0..frames {
        message.renumber(number);
        thread::sleep((start + FRAME * number).saturating_duration_since(Instant::now()));
        if number == WARM {
            cpu = forwarder.process.cpu()?;
        }
        written.push(sender.store(&message)?.written);
    }
    let mut latencies = Vec::with_capacity(frames as usize);
    for (number, written) in (0..frames).zip(written) {
        let arrived = sink
            .arrival(&object.sop_instance_uid(number), PATIENCE)
            .with_context(|| forwarder.process.log())?;
        if number >= WARM {
            let early = ms(written.saturating_duration_since(arrived));
            latencies.push(ms(arrived.saturating_duration_since(written)) - early);
        }
    }
    let used = forwarder.process.cpu()?.checked_sub(cpu).context("processor time ran backwards")?;
    let resident = forwarder.process.resident()?;
    sender.release()?;
    Ok(Run { latencies, cpu_ms_per_frame: used.as_secs_f64() * 1e3 / f64::from(frames - WARM), resident })
}

/// (f)
pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let frames = if plan.quick { 60 } else { 310 };
    let mut kinds = vec![Kind::Send, Kind::Store];
    kinds.extend(plan.orthanc.then_some(Kind::Orthanc));
    for tls in [false, true] {
        let (security, p50, p99) = if tls { ("tls", 3.0, 6.0) } else { ("plain", 2.0, 5.0) };
        report.heading(&format!(
            "(f) last byte of a C-STORE written -> last byte at the destination; 30 fps, {security}"
        ));
        for (size, rows) in SIZES {
            let object = Object { series: 30, rows, columns: 1024, frames: 1 };
            let mut ours = Vec::new();
            for &kind in &kinds {
                let run = measure(kind, tls, object, frames)
                    .with_context(|| format!("{} to a {security} sink", kind.name()))?;
                let id = format!("f.push.{security}.{size}.{}", kind.name());
                let latency = |share| quantile(&run.latencies, share);
                if kind == Kind::Orthanc {
                    report.add(format!("{id}.p50"), "ms", latency(0.5));
                    report.add(format!("{id}.p99"), "ms", latency(0.99));
                } else {
                    report.judge(format!("{id}.p50"), "ms", latency(0.5), Target::AtMost(p50));
                    report.judge(format!("{id}.p99"), "ms", latency(0.99), Target::AtMost(p99));
                }
                report.add(format!("{id}.cpu"), "ms/frame", run.cpu_ms_per_frame);
                if kind == Kind::Orthanc {
                    report.add(format!("{id}.rss"), "MB", run.resident as f64 / 1e6);
                    for (mode, cpu) in &ours {
                        let id = format!("f.push.{security}.{size}.{mode}.cpu-orthanc-to-ours");
                        report.judge(id, "times", run.cpu_ms_per_frame / cpu, Target::AtLeast(3.0));
                    }
                } else {
                    let beside_ring = run.resident.saturating_sub(BUDGET) as f64 / 1e6;
                    report.judge(format!("{id}.rss-beside-ring"), "MB", beside_ring, Target::AtMost(30.0));
                    ours.push((kind.name(), run.cpu_ms_per_frame));
                }
            }
        }
    }
    Ok(())
}
