//! Looks whether capture threads get on, and says so in their stead where one does not: a driver that hangs in a request
//! keeps its thread, which can then report nothing. The capture is `hung` until the thread beats again.
//!
//! That is a fault of this capture and of no other part: the service goes on, and the watchdog is fed. A restart would
//! end every stream, and could not free a thread that hangs in the kernel; systemd would wait for it in vain.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::events;
use crate::context::desk::{Desk, Report};
use crate::source::capture::counters::Counters;
use crate::source::capture::signal::State;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// After so long without a beat a thread hangs. Opening a slow USB device takes two or three seconds.
const HANGS: Duration = Duration::from_secs(10);

/// Watches until `stopping` turns true. `captures` are the names and what each counts with.
pub(super) async fn watch(
    desk: Desk,
    captures: Vec<(String, Counters)>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(LOOK);
    let mut watch = Watch::new(desk, captures);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            _ = tick.tick() => watch.look(Instant::now()),
        }
    }
}

struct Watch {
    desk: Desk,
    captures: Vec<Watched>,
}

struct Watched {
    name: String,
    counters: Counters,
    /// What it had reported before it hung.
    before: Option<Report>,
}

impl Watch {
    fn new(desk: Desk, captures: Vec<(String, Counters)>) -> Self {
        let watched = |(name, counters)| Watched { name, counters, before: None };
        Self { desk, captures: captures.into_iter().map(watched).collect() }
    }

    fn look(&mut self, now: Instant) {
        for Watched { name, counters, before } in &mut self.captures {
            let age = counters.heartbeat.age(now);
            match (age >= HANGS, before.take()) {
                (true, None) => {
                    self.desk.amend(name, |report| {
                        *before = Some(report.clone());
                        report.state = State::Hung.as_str();
                        State::Hung.advice().clone_into(&mut report.advice);
                    });
                    counters.state(State::Hung);
                    counters.fault("hung");
                    let (seconds, advice) = (age.as_secs(), State::Hung.advice());
                    events::CaptureHung { capture: name, seconds, advice }.tell();
                }
                (true, known) => *before = known,
                (false, Some(known)) => {
                    let was = State::ALL.into_iter().find(|state| state.as_str() == known.state);
                    self.desk.amend(name, |report| {
                        // What the thread has said since goes before it.
                        if report.state == State::Hung.as_str() {
                            *report = known;
                            counters.state(was.unwrap_or_default());
                        }
                    });
                    events::CaptureBack { capture: name }.tell();
                }
                (false, None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::capture::counters::CaptureCounters;

    fn state(desk: &Desk) -> (String, String) {
        let reports = desk.reports();
        let (_, _, report) = reports.iter().find(|(name, ..)| name == "xa").unwrap();
        (report.state.to_owned(), report.advice.clone())
    }

    #[test]
    fn a_thread_that_hangs_is_told_of_until_it_gets_on() {
        let desk = Desk::new(["xa".to_owned(), "us".to_owned()]);
        let counters = CaptureCounters::default();
        let (xa, us) = (counters.of("xa"), counters.of("us"));
        let streaming =
            Report { state: State::Streaming.as_str(), format: "PAL".to_owned(), ..Report::default() };
        desk.report("xa", streaming.clone());
        desk.report("us", streaming.clone());
        let mut registry = prometheus_client::registry::Registry::default();
        counters.register(&mut registry);
        let shows = |line: &str| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text.contains(line)
        };
        let mut watch = Watch::new(desk.clone(), vec![("xa".to_owned(), xa.clone()), ("us".to_owned(), us)]);
        let later = Instant::now() + HANGS;
        watch.look(Instant::now());
        assert_eq!(state(&desk).0, "streaming");
        watch.look(later);
        watch.look(later);
        let (said, advice) = state(&desk);
        assert!(said == "hung" && advice.contains("unplug"), "{said}: {advice}");
        assert!(shows("capture_faults_total{capture=\"xa\",reason=\"hung\"} 1"), "told once");
        assert!(shows("capture_state{capture=\"xa\",state=\"hung\"} 1"));
        // The thread is back, and had nothing new to report.
        xa.heartbeat.beat();
        watch.look(Instant::now());
        assert_eq!(desk.reports()[1].2, streaming);
        assert!(shows("capture_state{capture=\"xa\",state=\"streaming\"} 1"));
        assert!(shows("capture_state{capture=\"xa\",state=\"hung\"} 0"));
        // It hangs again, and comes back with a report of its own.
        watch.look(later);
        let gone = Report { state: State::Absent.as_str(), ..Report::default() };
        desk.report("xa", gone.clone());
        xa.heartbeat.beat();
        watch.look(Instant::now());
        assert_eq!(desk.reports()[1].2, gone);
    }
}
