//! Whether the clock of the box follows a reference, asked of those who keep it.
//!
//! The Synchronization module (PS3.3 §C.7.4.2) says Y only when one of them says that it is so, with what
//! it follows: ptp4l (by `pmc`), chrony (by `chronyc`) or systemd-timesyncd (by the file that it touches
//! with every answer of a server). They are asked every few seconds on a thread of its own; a frame takes
//! the last answer.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::log_events;
use crate::instance::video::ClockState;

/// How often they are asked.
const PERIOD: Duration = Duration::from_secs(10);
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most of an answer that is read (bytes).
const MOST: u64 = 16 << 10;
/// timesyncd asks its server at least every 2048 s; twice as long without an answer is too long.
const TIMESYNCD_FRESH: Duration = Duration::from_secs(2 * 2048);
/// A PTP clock is synchronised while it is no further from its master than this (ns).
const PTP_OFFSET: i64 = 1_000_000;

/// The last answer. Stops asking when dropped.
#[derive(Debug)]
pub struct Clock {
    state: Arc<ArcSwap<ClockState>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Begins to ask. Until the first answer nothing is known.
    pub fn start() -> Self {
        let state = Arc::new(ArcSwap::from_pointee(ClockState::Unknown));
        let stop = Arc::new(AtomicBool::new(false));
        let (told, stopped) = (state.clone(), stop.clone());
        let run = move || {
            while !stopped.load(Ordering::Relaxed) {
                let now = ask();
                if **told.load() != now {
                    log_events::Clock { clock: describe(&now) }.tell();
                    told.store(Arc::new(now));
                }
                thread::park_timeout(PERIOD);
            }
        };
        // Without a thread nothing is ever known, which is what the instances then say.
        let thread = thread::Builder::new().name("clock".to_owned()).spawn(run).ok();
        Self { state, stop, thread }
    }

    /// Where the answers can be read.
    pub fn state(&self) -> Arc<ArcSwap<ClockState>> {
        self.state.clone()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
        }
    }
}

fn describe(state: &ClockState) -> &'static str {
    match state {
        ClockState::Unknown => "nobody who keeps it is known: neither ptp4l, chrony nor timesyncd answers",
        ClockState::Free => "not synchronised",
        ClockState::Synchronized { protocol: "PTP", .. } => "synchronised by PTP",
        ClockState::Synchronized { .. } => "synchronised by NTP",
    }
}

/// What is known now: the best answer of those who keep clocks.
///
/// Asks programs, which may take seconds.
pub fn ask() -> ClockState {
    let ptp = run("pmc", &["-u", "-b", "0", "GET TIME_STATUS_NP"]).and_then(|text| ptp(&text));
    let chrony = || run("chronyc", &["-n", "-c", "tracking"]).and_then(|text| chrony(&text));
    let timesyncd = || {
        let touched = std::fs::metadata("/run/systemd/timesync/synchronized").ok()?.modified().ok()?;
        Some(timesyncd(touched, SystemTime::now()))
    };
    let answers = [ptp, chrony(), timesyncd()];
    let synchronized = |state: &&ClockState| matches!(state, ClockState::Synchronized { .. });
    let known = || answers.iter().flatten();
    known().find(synchronized).or_else(|| known().next()).cloned().unwrap_or_default()
}

/// What a program prints; `None` when it is not there, fails, or takes too long.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output.take(MOST).read_to_string(&mut text).ok().map(|_| text)
    });
    let step = Duration::from_millis(20);
    let mut left = PATIENCE;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if !left.is_zero() => {
                thread::park_timeout(step);
                left = left.saturating_sub(step);
            }
            _ => break None,
        }
    };
    if ended.is_none() {
        // It is gone, or will not listen; either way it is not waited for again.
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = reader.join().ok().flatten()?;
    ended.filter(std::process::ExitStatus::success).map(|_| text)
}

/// `chronyc -n -c tracking`: one line of fields parted by commas. The second is the address of the source
/// (or the name of a local one), the last the leap status.
fn chrony(text: &str) -> Option<ClockState> {
    let fields: Vec<&str> = text.lines().next()?.split(',').collect();
    let (source, leap) = (*fields.get(1)?, *fields.get(13)?);
    if leap == "Not synchronised" {
        return Some(ClockState::Free);
    }
    if !matches!(leap, "Normal" | "Insert second" | "Delete second") {
        return None;
    }
    let address = source.parse::<std::net::IpAddr>().map(|address| address.to_string()).unwrap_or_default();
    // A reference clock on the box itself (GPS, PPS, PHC0) has a name and no address.
    let source = if address.is_empty() { name(source) } else { "NTP server".to_owned() };
    Some(ClockState::Synchronized { protocol: "NTP", source, address })
}

/// `pmc … GET TIME_STATUS_NP`: lines of a name and a value.
fn ptp(text: &str) -> Option<ClockState> {
    let value = |wanted: &str| {
        let mut found = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
        found.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim())
    };
    let offset = value("master_offset")?.parse::<i64>().ok()?;
    if value("gmPresent")? != "true" || offset.unsigned_abs() > PTP_OFFSET.unsigned_abs() {
        return Some(ClockState::Free);
    }
    let source = name(value("gmIdentity").unwrap_or_default());
    Some(ClockState::Synchronized { protocol: "PTP", source, address: String::new() })
}

/// The file is touched with every answer of a server. timesyncd speaks Simple NTP (RFC 4330).
fn timesyncd(touched: SystemTime, now: SystemTime) -> ClockState {
    let age = now.duration_since(touched).unwrap_or_default();
    if age > TIMESYNCD_FRESH {
        return ClockState::Free;
    }
    ClockState::Synchronized {
        protocol: "SNTP",
        source: "systemd-timesyncd".chars().take(16).collect(),
        address: String::new(),
    }
}

/// A name as SH holds it.
fn name(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() && *c != '\\').take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACKING: &str = "C0000201,192.0.2.1,3,1772323199.000042,0.000001,-0.000002,0.000003,-1.5,0.001,\
                            0.02,0.012,0.0005,64.5,Normal\n";

    #[test]
    fn chrony_says_what_it_follows() {
        let followed = ClockState::Synchronized {
            protocol: "NTP",
            source: "NTP server".into(),
            address: "192.0.2.1".into(),
        };
        assert_eq!(chrony(TRACKING), Some(followed));
        let free = TRACKING.replace("Normal", "Not synchronised");
        assert_eq!(chrony(&free), Some(ClockState::Free));
        let local = TRACKING.replace("192.0.2.1", "PPS");
        let followed =
            ClockState::Synchronized { protocol: "NTP", source: "PPS".into(), address: String::new() };
        assert_eq!(chrony(&local), Some(followed));
        for odd in ["", "506 Cannot talk to daemon", "a,b,c", &TRACKING.replace("Normal", "?")] {
            assert_eq!(chrony(odd), None, "{odd}");
        }
    }

    #[test]
    fn ptp_is_synchronised_while_there_is_a_grandmaster_and_it_is_near() {
        let status = "sending: GET TIME_STATUS_NP\n\t68e8a6.fffe.123456-0 seq 0 RESPONSE MANAGEMENT TIME_STATUS_NP\n\
                      \t\tmaster_offset              -23\n\t\tingress_time               1\n\
                      \t\tgmPresent                  true\n\t\tgmIdentity                 001122.fffe.334455\n";
        let source = "001122.fffe.3344".to_owned();
        let followed = ClockState::Synchronized { protocol: "PTP", source, address: String::new() };
        assert_eq!(ptp(status), Some(followed));
        assert_eq!(ptp(&status.replace("true", "false")), Some(ClockState::Free));
        assert_eq!(ptp(&status.replace("-23", "-23000000")), Some(ClockState::Free));
        assert_eq!(ptp(&status.replace("-23", &i64::MIN.to_string())), Some(ClockState::Free));
        assert_eq!(ptp("sending: GET TIME_STATUS_NP\n"), None);
    }

    #[test]
    fn timesyncd_is_believed_for_as_long_as_it_is_answered() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_323_199);
        let synchronized = |age| {
            let touched = now - Duration::from_secs(age);
            matches!(timesyncd(touched, now), ClockState::Synchronized { protocol: "SNTP", .. })
        };
        assert!(synchronized(0) && synchronized(2048) && !synchronized(5000));
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_says_nothing() {
        assert_eq!(run("/no/such/program", &[]), None);
        assert_eq!(run("false", &[]), None);
        assert_eq!(run("echo", &["well"]).as_deref(), Some("well\n"));
    }
}
