//! The gateway under load, on the machine this runs on: one process makes the load and reads the
//! results, the gateway and what it is compared with run as children. `benches/run` builds
//! everything and starts it.
//!
//! | group | what is measured |
//! |---|---|
//! | a | C-STORE: images/s and processor time, beside DCMTK and dicom-rs |
//! | b | latency from a C-STORE to a reader of the growing series |
//! | c | the same for the frames of a multi-frame object |
//! | d | one series to many readers: latency, processor time, memory |
//! | e | ceilings of the machine |
//! | f | pushes to a destination, beside Orthanc as a forwarder |
//! | g | notifications |
//! | h | conversion of captured pictures |
//! | i | a capture, from the card to a reader |
//! | j | the relay: latency and throughput beside the direct path |

mod capture;
mod ceiling;
mod child;
mod convert;
mod live;
mod notify;
mod object;
mod parts;
mod push;
mod reader;
mod relay;
mod report;
mod sender;
mod sink;
mod store;
mod tls;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};

use self::report::{Report, print};

/// Measures framegate.
#[derive(Debug, Parser)]
struct Options {
    /// Groups to measure
    #[arg(long, value_delimiter = ',', default_value = "a,b,c,d,e,f,g,h,i,j")]
    only: Vec<String>,
    /// Fewer and shorter rounds: to see that all of it works
    #[arg(long)]
    quick: bool,
    /// File for the results
    #[arg(long)]
    output: Option<PathBuf>,
    /// The date that the results carry
    #[arg(long, default_value = "")]
    date: String,
    /// dicom-rs's storescp; without it that comparison is left out
    #[arg(long)]
    dicom_rs: Option<PathBuf>,
    /// Whether Orthanc is there; without it that comparison is left out
    #[arg(long)]
    orthanc: bool,
    /// Only serves the stream that (e) measures
    #[arg(long, hide = true)]
    serve: Option<SocketAddr>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// How thoroughly, and with what.
#[derive(Debug)]
struct Plan {
    quick: bool,
    dicom_rs: Option<PathBuf>,
    orthanc: bool,
}

impl Plan {
    /// Rounds of which the median counts.
    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(address) = options.serve {
        return ceiling::serve(address);
    }
    let plan = Plan { quick: options.quick, dicom_rs: options.dicom_rs, orthanc: options.orthanc };
    let machine = machine();
    print(&format!("{machine}"));
    let mut report = Report::default();
    for group in &options.only {
        match group.as_str() {
            "a" => store::run(&plan, &mut report)?,
            "b" => live::latency(&plan, &mut report)?,
            "c" => live::cut_through(&plan, &mut report)?,
            "d" => live::fan_out(&plan, &mut report)?,
            "e" => ceiling::run(&plan, &mut report)?,
            "f" => push::run(&plan, &mut report)?,
            "g" => notify::run(&plan, &mut report)?,
            "h" => convert::run(&plan, &mut report)?,
            "i" => capture::run(&plan, &mut report)?,
            "j" => relay::run(&plan, &mut report)?,
            other => anyhow::bail!("no group {other:?}: a, b, c, d, e, f, g, h, i, j"),
        }
    }
    match &options.output {
        Some(file) => report.write(file, &machine, &options.date, plan.quick),
        None => Ok(()),
    }
}

/// What the figures are true of.
fn machine() -> Value {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cpu": model.map_or("", |(_, model)| model),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    })
}
