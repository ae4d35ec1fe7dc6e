//! Writes what arrives into a folder: `{study}/{series}/{instance}.dcm`. UIDs are all that a path is made
//! of, and they are checked, since a peer chose them. A thread of its own writes, so that a slow disk
//! holds up nothing but its own queue. A disk that is full ends the saving and nothing else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::report::Report;
use super::statistics::Arrival;
use crate::instance::uid::is_plausible;

/// Files that wait for the disk. They hold on to the memory of their instances.
const QUEUE: usize = 16;

/// One file to be.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) study: Arc<str>,
    pub(super) series: Arc<str>,
    pub(super) instance: Arc<str>,
    /// `dcm`, or `jpg` for pictures.
    pub(super) extension: &'static str,
    pub(super) content: Vec<Bytes>,
}

impl Saved {
    /// An instance under its UIDs.
    pub(super) fn of(arrival: &Arrival, extension: &'static str, content: Vec<Bytes>) -> Self {
        let Arrival { study, series, instance, .. } = arrival;
        Self { study: study.clone(), series: series.clone(), instance: instance.clone(), extension, content }
    }
}

/// The folder and the thread that writes into it.
#[derive(Debug)]
pub(super) struct Saver {
    queue: mpsc::Sender<Saved>,
    failure: Arc<OnceLock<String>>,
    told: bool,
    written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Saver {
    /// Makes the folder, if need be, and starts the thread.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Self> {
        make_folder(folder).map_err(|error| {
            anyhow::anyhow!(
                "cannot save into {}: {error}; does it exist, and may we write there?",
                folder.display()
            )
        })?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let written = Arc::new(AtomicU64::new(0));
        let (folder, failed, count) = (folder.to_owned(), failure.clone(), written.clone());
        let thread = thread::Builder::new()
            .name("save".to_owned())
            .spawn(move || write_all(&folder, jobs, &failed, &count))?;
        Ok(Self { queue, failure, told: false, written, thread })
    }

    /// Queues a file; waits while the disk is behind. After a failure it does nothing.
    pub(super) async fn save(&self, saved: Saved) {
        // The thread is gone after a failure.
        let _ = self.queue.send(saved).await;
    }

    /// Why nothing is saved any more; told once.
    pub(super) fn new_failure(&mut self) -> Option<String> {
        if self.told {
            return None;
        }
        let failure = self.failure.get().cloned();
        self.told = failure.is_some();
        failure
    }

    /// Waits until all is written. Gives the number of files, and what went wrong if that was not told yet.
    async fn finish(self) -> (u64, Option<String>) {
        drop(self.queue);
        let thread = self.thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        let failure = self.failure.get().filter(|_| !self.told).cloned();
        (self.written.load(Ordering::Relaxed), failure)
    }
}

/// Waits until all is written, and tells of a failure. Gives the number of files, where any were wanted.
pub(super) async fn finish(saver: Option<Saver>, report: &mut Report<impl Write>) -> io::Result<Option<u64>> {
    let Some(saver) = saver else { return Ok(None) };
    let (saved, failure) = saver.finish().await;
    if let Some(failure) = failure {
        report.not_saving(&failure)?;
    }
    Ok(Some(saved))
}

fn write_all(folder: &Path, mut jobs: mpsc::Receiver<Saved>, failed: &OnceLock<String>, count: &AtomicU64) {
    while let Some(job) = jobs.blocking_recv() {
        match write(folder, &job) {
            Ok(()) => {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "the disk is full".to_owned()
                    }
                    _ => error.to_string(),
                };
                // Set once: the thread ends here.
                let _ = failed.set(format!("{}: {why}", folder.display()));
                return;
            }
        }
    }
}

/// Writes one file under another name first, so that whoever looks into the folder sees whole files only.
fn write(folder: &Path, job: &Saved) -> io::Result<()> {
    let Some(path) = path(folder, job) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an identifier of the instance is no UID"));
    };
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    let unfinished = path.with_extension("part");
    let written = open(&unfinished).and_then(|mut file| {
        job.content.iter().try_for_each(|piece| file.write_all(piece))?;
        fs::rename(&unfinished, &path)
    });
    if written.is_err() {
        // What is left of it only takes room; if it cannot be removed, the error told is the first one.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// For nobody but the owner: patients' images.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// `None` where one of the names is no UID, and so may be anything.
fn path(folder: &Path, job: &Saved) -> Option<PathBuf> {
    let names = [&job.study, &job.series, &job.instance];
    names.iter().all(|name| is_plausible(name)).then(|| {
        folder.join(&*job.study).join(&*job.series).join(format!("{}.{}", job.instance, job.extension))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn job(instance: &str) -> Saved {
        Saved {
            study: "1.2".into(),
            series: "1.2.3".into(),
            instance: instance.into(),
            extension: "dcm",
            content: vec![Bytes::from_static(b"one "), Bytes::from_static(b"file")],
        }
    }

    #[tokio::test]
    async fn files_stand_under_their_uids() {
        let folder = tempfile::tempdir().unwrap();
        let saver = Saver::start(&folder.path().join("new")).unwrap();
        saver.save(job("1.2.3.4")).await;
        saver.save(job("1.2.3.5")).await;
        assert_eq!(saver.finish().await, (2, None));
        let series = folder.path().join("new/1.2/1.2.3");
        assert_eq!(fs::read(series.join("1.2.3.4.dcm")).unwrap(), b"one file");
        assert_eq!(fs::read_dir(&series).unwrap().count(), 2, "nothing unfinished is left");
        assert_eq!(fs::metadata(series.join("1.2.3.5.dcm")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn nothing_but_uids_becomes_a_path() {
        let folder = Path::new("/save");
        for bad in ["..", "../x", "/etc/passwd", "", "1.2/3", "1..2", "a", "1.2\0", &"1".repeat(65)] {
            let mut one = job("1.2");
            for slot in 0..3 {
                match slot {
                    0 => (one.study, one.series, one.instance) = (bad.into(), "1".into(), "1".into()),
                    1 => (one.study, one.series, one.instance) = ("1".into(), bad.into(), "1".into()),
                    _ => (one.study, one.series, one.instance) = ("1".into(), "1".into(), bad.into()),
                }
                assert_eq!(path(folder, &one), None, "{bad}");
            }
        }
        assert_eq!(path(folder, &job("1.2")), Some(PathBuf::from("/save/1.2/1.2.3/1.2.dcm")));
    }

    #[tokio::test]
    async fn a_failure_is_told_once_and_ends_the_saving_only() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder of the study should be.
        fs::write(folder.path().join("1.2"), b"").unwrap();
        let mut saver = Saver::start(folder.path()).unwrap();
        saver.save(job("1.2.3.4")).await;
        saver.queue.closed().await;
        assert!(saver.new_failure().is_some());
        assert_eq!(saver.new_failure(), None);
        for _ in 0..2 * QUEUE {
            saver.save(job("1.2.3.5")).await;
        }
        assert_eq!(saver.finish().await, (0, None));
    }
}
