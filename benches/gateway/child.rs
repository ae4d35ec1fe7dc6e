//! The programs that are measured, each a child process of its own, so that what they cost is read
//! from `/proc` without what the load costs.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(20);

/// A running program and its folder. Both are gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts `command` in a folder of its own and waits until it listens.
    pub(crate) fn start(
        mut command: Command,
        folder: TempDir,
        listens: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let log = File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(folder.path());
        // Some of them would gather a backtrace for each of their errors.
        command.env_remove("RUST_BACKTRACE");
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let mut this = Self { child, folder };
        let deadline = Instant::now() + START;
        while !listens.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if this.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("{:?} does not listen:\n{}", command.get_program(), this.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(this)
    }

    /// Its folder, where it runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written to standard output and error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Processor time that its threads have used so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the two looks.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Its resident memory (bytes).
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on this host where nobody listens now.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) dimse: SocketAddr,
    pub(crate) dicomweb: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

impl Gateway {
    /// Starts it; its rings may hold `budget_bytes` together.
    pub(crate) fn start(budget_bytes: u64) -> anyhow::Result<Self> {
        Self::start_with(budget_bytes, "")
    }

    /// The same with further sections in its configuration.
    pub(crate) fn start_with(budget_bytes: u64, sections: &str) -> anyhow::Result<Self> {
        let (dimse, dicomweb, metrics) = (free_address()?, free_address()?, free_address()?);
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("framegate.toml");
        let config = format!(
            "[hub]\nbudget_bytes = {budget_bytes}\n\
             [dimse]\nlisten = \"{dimse}\"\n\
             [dicomweb]\nlisten = \"{dicomweb}\"\n\
             [dicomweb.tls]\nself_signed = true\n\
             [access]\nanonymous = [\"search\", \"retrieve\", \"send\", \"subscribe\"]\n\
             [service]\nlog = \"warn\"\n\n[metrics]\nlisten = \"{metrics}\"\n\
             {sections}"
        );
        fs::write(&file, config)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_framegate"));
        command.arg("run").arg("--config").arg(&file);
        for (name, _) in std::env::vars_os() {
            // No setting of the caller's may leak in.
            if name.to_string_lossy().starts_with("FRAMEGATE_") {
                command.env_remove(name);
            }
        }
        let process = Process::start(command, folder, &[dimse, dicomweb, metrics])?;
        Ok(Self { process, dimse, dicomweb, metrics })
    }
}
