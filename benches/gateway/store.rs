//! (a) How fast C-STOREs are taken, and what one costs: ours, DCMTK's `storescp` and dicom-rs's side
//! by side, each from the same sender, in rounds that take turns so that a change of the machine's
//! mood meets all of them. Reported is the median of the rounds.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::Plan;
use crate::child::{Gateway, Process, free_address};
use crate::object::Object;
use crate::report::{Report, Target, median};
use crate::sender::{Acknowledge, Sender};

/// Objects of a round: at least so many however slow the receiver is.
const LEAST: u32 = 8;
const SIZES: [(&str, u16); 2] = [("0.5MB", 512), ("1MB", 1024)];
/// Largest PDU that sender and receivers agree on: what DCMTK takes unless told otherwise, and the
/// most that it can be told.
const PDUS: [(&str, u32); 2] = [("pdu16K", 16384), ("pdu128K", 131_072)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Framegate,
    DcmtkIgnore,
    Dcmtk,
    DicomRs,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Framegate => "framegate",
            Self::DcmtkIgnore => "dcmtk-ignore",
            Self::Dcmtk => "dcmtk",
            Self::DicomRs => "dicom-rs",
        }
    }
}

/// Something that takes C-STOREs.
struct Receiver {
    kind: Kind,
    process: Process,
    address: SocketAddr,
}

impl Receiver {
    fn start(kind: Kind, pdu: u32, plan: &Plan) -> anyhow::Result<Self> {
        let address = free_address()?;
        let (port, pdu) = (address.port().to_string(), pdu.to_string());
        // The objects of those that write files stay in memory, where there is a place for that.
        let folder = memory_folder()?;
        let mut command = match kind {
            Kind::Framegate => {
                let Gateway { process, dimse, .. } = Gateway::start(512 << 20)?;
                return Ok(Self { kind, process, address: dimse });
            }
            Kind::DcmtkIgnore | Kind::Dcmtk => Command::new("storescp"),
            Kind::DicomRs => Command::new(plan.dicom_rs.as_ref().context("no dicom-storescp")?),
        };
        match kind {
            Kind::DcmtkIgnore => command.args(["--ignore", "--max-pdu", &pdu, &port]),
            Kind::Dcmtk => command.args(["--max-pdu", &pdu, &port]),
            _ => command.args(["--promiscuous", "--max-pdu-length", &pdu, "-p", &port]),
        };
        let process = Process::start(command, folder, &[address])?;
        Ok(Self { kind, process, address })
    }

    /// Throws away what it has stored.
    fn clean(&self) -> anyhow::Result<()> {
        if self.kind == Kind::Framegate {
            return Ok(());
        }
        for entry in fs::read_dir(self.process.folder())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != "log") && path.is_file() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn memory_folder() -> std::io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// What our sender sends, and how.
#[derive(Debug, Clone, Copy)]
struct Load {
    object: Object,
    pdu: u32,
    acknowledge: Acknowledge,
}

/// What a round came to.
#[derive(Debug, Clone, Copy)]
struct Round {
    images_per_second: f64,
    cpu_ms_per_image: f64,
}

/// All rounds of one receiver.
#[derive(Debug, Default)]
struct Rounds(Vec<Round>);

impl Rounds {
    fn rate(&self) -> f64 {
        median(&self.0.iter().map(|round| round.images_per_second).collect::<Vec<_>>())
    }

    fn cpu(&self) -> f64 {
        median(&self.0.iter().map(|round| round.cpu_ms_per_image).collect::<Vec<_>>())
    }
}

fn timed(receiver: &Receiver, send: impl FnOnce() -> anyhow::Result<u32>) -> anyhow::Result<Round> {
    let (begun, cpu) = (Instant::now(), receiver.process.cpu()?);
    let images = send()?;
    let (took, cpu) = (begun.elapsed(), receiver.process.cpu()? - cpu);
    Ok(Round {
        images_per_second: f64::from(images) / took.as_secs_f64(),
        cpu_ms_per_image: cpu.as_secs_f64() * 1e3 / f64::from(images),
    })
}

pub(crate) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.heading("(a) C-STORE, one association, our sender: TCP_NODELAY, one write per PDU, quick ACKs");
    for (size, rows) in SIZES {
        for (pdu_name, pdu) in PDUS {
            let object = Object { series: 1, rows, columns: 1024, frames: 1 };
            let load = Load { object, pdu, acknowledge: Acknowledge::AtOnce };
            from_our_sender(plan, report, load, &format!("a.store.{size}.{pdu_name}"))?;
        }
    }
    report.heading("(a) the same, ACKs delayed as the kernel likes");
    let object = Object { series: 1, rows: 1024, columns: 1024, frames: 1 };
    let load = Load { object, pdu: 16384, acknowledge: Acknowledge::Delayed };
    from_our_sender(plan, report, load, "a.store-delayed-ack.1MB.pdu16K")?;
    report.heading("(a) C-STORE from stock DCMTK storescu, the whole run of the program");
    for (size, rows) in SIZES {
        let object = Object { series: 2, rows, columns: 1024, frames: 1 };
        from_storescu(plan, report, object, &format!("a.storescu.{size}"))?;
    }
    Ok(())
}

fn from_our_sender(plan: &Plan, report: &mut Report, load: Load, id: &str) -> anyhow::Result<()> {
    let Load { object, pdu, acknowledge } = load;
    let mut kinds = vec![Kind::Framegate, Kind::DcmtkIgnore];
    kinds.extend(plan.dicom_rs.is_some().then_some(Kind::DicomRs));
    let receivers: Vec<_> =
        kinds.iter().map(|&kind| Receiver::start(kind, pdu, plan)).collect::<Result<_, _>>()?;
    let mut message = object.message(pdu, false)?;
    let lasts = Duration::from_millis(if plan.quick { 200 } else { 700 });
    let mut all: Vec<_> = kinds.iter().map(|_| Rounds::default()).collect();
    let mut number = 0;
    // The first turn is for warming up.
    for turn in 0..=plan.rounds() {
        for (receiver, rounds) in receivers.iter().zip(&mut all) {
            let mut sender = Sender::connect(receiver.address, pdu, acknowledge)
                .with_context(|| format!("{} takes no association", receiver.kind.name()))?;
            anyhow::ensure!(sender.pdu == pdu, "{} takes {} bytes a PDU", receiver.kind.name(), sender.pdu);
            let round = timed(receiver, || {
                let (begun, first) = (Instant::now(), number);
                while begun.elapsed() < lasts || number - first < LEAST {
                    message.renumber(number);
                    number += 1;
                    sender.store(&message)?;
                }
                Ok(number - first)
            })?;
            sender.release()?;
            receiver.clean()?;
            if turn > 0 {
                rounds.0.push(round);
            }
        }
    }
    let results: Vec<_> = receivers.iter().map(|receiver| receiver.kind).zip(all).collect();
    tell(report, id, &results);
    let of = |kind| results.iter().find(|(one, _)| *one == kind).map(|(_, rounds)| rounds.rate());
    let ours = of(Kind::Framegate).unwrap_or(f64::NAN);
    for (kind, least) in [(Kind::DcmtkIgnore, 1.0), (Kind::DicomRs, 5.0)] {
        if let Some(theirs) = of(kind) {
            let id = format!("{id}.ratio-to-{}", kind.name());
            report.judge(id, "times", ours / theirs, Target::AtLeast(least));
        }
    }
    Ok(())
}

fn tell(report: &mut Report, id: &str, results: &[(Kind, Rounds)]) {
    for (kind, rounds) in results {
        report.add(format!("{id}.{}", kind.name()), "images/s", rounds.rate());
        report.add(format!("{id}.{}.cpu", kind.name()), "ms/image", rounds.cpu());
    }
}

fn from_storescu(plan: &Plan, report: &mut Report, object: Object, id: &str) -> anyhow::Result<()> {
    let files = if plan.quick { 20 } else { 200 };
    let folder = memory_folder()?;
    let paths = write_files(folder.path(), object, files)?;
    // Those that make a stock sender wait 44 ms for each object get fewer objects: the figure is per
    // second, and a run of theirs lasts seconds all the same.
    let few = memory_folder()?;
    let few_files = files.min(60);
    for path in paths.iter().take(few_files as usize) {
        fs::hard_link(path, few.path().join(path.file_name().unwrap_or_default()))?;
    }
    let kinds = [Kind::Framegate, Kind::DcmtkIgnore, Kind::Dcmtk];
    let receivers: Vec<_> =
        kinds.iter().map(|&kind| Receiver::start(kind, 16384, plan)).collect::<Result<_, _>>()?;
    let mut all: Vec<_> = kinds.iter().map(|_| Rounds::default()).collect();
    for turn in 0..=plan.rounds() {
        for (receiver, rounds) in receivers.iter().zip(&mut all) {
            let (folder, files) = match receiver.kind {
                Kind::Framegate => (folder.path(), files),
                _ if turn == 0 => continue,
                _ => (few.path(), few_files),
            };
            let round = timed(receiver, || storescu(receiver.address, folder).map(|()| files))?;
            receiver.clean()?;
            if turn > 0 {
                rounds.0.push(round);
            }
        }
    }
    let results: Vec<_> = kinds.into_iter().zip(all).collect();
    tell(report, id, &results);
    let of =
        |kind| results.iter().find(|(one, _)| *one == kind).map_or(f64::NAN, |(_, rounds)| rounds.rate());
    for kind in [Kind::Dcmtk, Kind::DcmtkIgnore] {
        let ratio = of(Kind::Framegate) / of(kind);
        report.judge(format!("{id}.ratio-to-{}", kind.name()), "times", ratio, Target::AtLeast(10.0));
    }
    Ok(())
}

fn write_files(folder: &Path, object: Object, files: u32) -> anyhow::Result<Vec<PathBuf>> {
    (0..files)
        .map(|number| {
            let path = folder.join(format!("{number:04}.dcm"));
            fs::write(&path, object.file(number)?)?;
            Ok(path)
        })
        .collect()
}

/// Sends a folder as anybody would: no option but the one that names it.
fn storescu(peer: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let status = Command::new("storescu")
        .args(["-aec", "FRAMEGATE", "+sd", &Ipv4Addr::LOCALHOST.to_string(), &peer.port().to_string()])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot start storescu")?;
    anyhow::ensure!(status.success(), "storescu: {status}");
    Ok(())
}
