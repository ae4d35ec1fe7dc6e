//! The service under test: the built binary, with small bounds, on ports of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::{dimse, tls};

/// More than any answer needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// What a table of hostile inputs may leave behind: the allocator keeps some of what it gave back.
const MEMORY_ALLOWANCE: u64 = 32 << 20;

/// Bounds that a table can break with little, and no bound on the rate of requests.
const SETTINGS: &str = "
[hub]
budget_bytes = 4194304
linger_ms = 0
[dimse.limits]
associations = 8
associations_per_peer = 8
pdu_bytes = 65536
head_bytes = 262144
frame_bytes = 1048576
frames = 64
elements = 2000
nesting = 8
[dicomweb.limits]
requests_per_second = 1000000
request_burst = 1000000
[access]
anonymous = [\"search\", \"retrieve\", \"send\", \"subscribe\"]
[send.limits]
head_bytes = 262144
frame_bytes = 1048576
frames = 64
elements = 2000
nesting = 8
[service]
log = \"warn\"
";

pub struct Service {
    process: Child,
    pub dimse: SocketAddr,
    pub https: SocketAddr,
    metrics: SocketAddr,
    log: Arc<Mutex<String>>,
    _directory: tempfile::TempDir,
    before: Option<Usage>,
}

#[derive(Debug, Clone, Copy)]
struct Usage {
    memory: u64,
    descriptors: usize,
}

impl Service {
    /// Starts one, with `changes` (key and value in one section each) over the settings above, and
    /// warms it up.
    pub fn start(changes: &[(&str, &str, &str)]) -> Self {
        // Held until all are known, so that they differ; then the service takes them.
        let held: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let [dimse, https, metrics] = [0, 1, 2].map(|index: usize| held[index].local_addr().unwrap());
        drop(held);
        let mut settings: toml::Table = toml::from_str(SETTINGS).unwrap();
        let mut set = |section: &str, key: &str, value: toml::Value| {
            let mut table = &mut settings;
            for name in section.split('.') {
                let inner = table.entry(name).or_insert_with(|| toml::Table::new().into());
                table = inner.as_table_mut().unwrap();
            }
            table.insert(key.to_owned(), value);
        };
        set("dimse", "listen", dimse.to_string().into());
        set("dicomweb", "listen", https.to_string().into());
        set("dicomweb.tls", "self_signed", true.into());
        set("metrics", "listen", metrics.to_string().into());
        for (section, key, value) in changes {
            let value: toml::Table = toml::from_str(&format!("value = {value}")).unwrap();
            set(section, key, value["value"].clone());
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        fs::write(&file, toml::to_string(&settings).unwrap()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_framegate"))
            .args(["run", "--config"])
            .arg(&file)
            .current_dir(directory.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(process.stderr.take().unwrap()), log.clone());
        thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&String::from_utf8_lossy(&line));
                kept.push('\n');
            }
        });
        let mut service = Self { process, dimse, https, metrics, log, _directory: directory, before: None };
        service.wait("the service to listen", |service| {
            let up = |address| TcpStream::connect(address).is_ok();
            up(service.metrics) && up(service.https) && up(service.dimse)
        });
        for _ in 0..10 {
            service.answers("at the start");
        }
        service.before = Some(service.settled());
        service
    }

    /// Waits until `done`, looking every few milliseconds.
    pub fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "waited too long for {what}:\n{}", self.log());
            assert!(self.process.try_wait().unwrap().is_none(), "the service ended:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last that it has logged.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Whoever behaves is still served: C-ECHO, and a search over HTTPS.
    pub fn answers(&mut self, after: &str) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("{after}: the service ended with {status}:\n{}", self.log());
        }
        // The places of the connections before this one may be about to be free.
        let start = Instant::now();
        while let Err(why) = dimse::echo(self.dimse) {
            assert!(start.elapsed() < PATIENCE, "{after}: no C-ECHO: {why}\n{}", self.log());
        }
        let response = tls::get(self.https, "/dicomweb/studies");
        assert!(
            response.as_ref().is_some_and(|response| matches!(response.status, 200 | 204)),
            "{after}: {response:?}"
        );
    }

    /// One sample of `/metrics`, by its name and labels; 0 where there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: metrics\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Its use of memory and descriptors, once what was closed is closed.
    fn settled(&mut self) -> Usage {
        self.wait("the connections to close", |service| service.connections() == 0);
        self.usage()
    }

    fn usage(&self) -> Usage {
        let of = format!("/proc/{}", self.process.id());
        let status = fs::read_to_string(format!("{of}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let memory: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
        let descriptors = fs::read_dir(format!("{of}/fd")).unwrap().count();
        Usage { memory: memory << 10, descriptors }
    }

    /// Connections that it has not closed, from the kernel's table (proc(5), /proc/net/tcp).
    fn connections(&self) -> usize {
        const LISTEN: &str = "0A";
        let ports = [self.dimse, self.https, self.metrics].map(|address| format!(":{:04X}", address.port()));
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let ours = table.lines().skip(1).filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            // A socket that nobody holds any more has no inode.
            ports.iter().any(|port| fields[1].ends_with(port)) && fields[3] != LISTEN && fields[9] != "0"
        });
        ours.count()
    }

    /// Ends it: it has leaked nothing, nothing in it panicked, and SIGTERM stops it.
    pub fn end(mut self) {
        let before = self.before.unwrap();
        // A connection that was reset leaves the kernel's table a moment before its descriptor goes.
        self.wait("descriptors to be what they were at the start", |service| {
            service.connections() == 0 && service.usage().descriptors <= before.descriptors
        });
        let after = self.usage();
        assert!(
            after.memory <= before.memory + MEMORY_ALLOWANCE,
            "memory went from {} to {} KiB",
            before.memory >> 10,
            after.memory >> 10
        );
        assert_eq!(self.metric("framegate_http_panics_total{listener=\"dicomweb\"}"), 0.0);
        let log = self.log.lock().unwrap().clone();
        assert!(!log.contains("panicked at src/"), "something panicked:\n{log}");
        let stop = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(stop.success());
        let start = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "SIGTERM does not stop it");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(self.process.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone, unless a test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
