//! The line that `systemctl status` shows (STATUS= of sd_notify(3)): what the service does, and then what is wrong, the
//! worst first. It is made of the status that everybody else sees too, and told when it has changed.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::notify;
use super::readiness::Readiness;
use super::status::Collector;
use crate::status::Status;

/// How often it is made.
const EVERY: Duration = Duration::from_secs(3);
/// Things that are wrong and find room in it.
const MOST: usize = 6;
/// Letters of one thing.
const LETTERS: usize = 160;
/// A certificate that has so many days is not worth a word.
const DAYS: i64 = 30;

/// Tells it until `stopping` turns true.
pub(super) async fn tell(collector: Collector, readiness: Readiness, mut stopping: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(EVERY);
    let mut told = String::new();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            _ = tick.tick() => {}
        }
        let line = line(&readiness.reasons(), &collector.collect());
        if line != told {
            notify(&[NotifyState::Status(&line)]);
            told = line;
        }
    }
}

/// The line; `reasons` are why the service cannot serve.
fn line(reasons: &[String], status: &Status) -> String {
    let live: Vec<_> = status.series.iter().filter(|series| series.state == "live").collect();
    let readers = live.iter().map(|series| series.readers.len()).sum();
    let does = match live.len() {
        0 => "no series is live".to_owned(),
        series => format!("streaming {series} series to {}", counted(readers, "reader")),
    };
    let mut wrong: Vec<String> = reasons.iter().map(|reason| format!("not ready: {reason}")).collect();
    let captures =
        status.captures.iter().filter(|capture| !matches!(&*capture.state, "streaming" | "starting"));
    wrong.extend(captures.map(|capture| {
        let state = if capture.state.is_empty() { "not looked for yet" } else { &capture.state };
        format!("capture {}: {}", capture.name, state.replace('-', " "))
    }));
    let destinations =
        status.destinations.iter().filter(|there| !matches!(&*there.state, "idle" | "sending" | ""));
    wrong.extend(destinations.map(|there| format!("destination {}: {}", there.name, there.state)));
    for relay in &status.relays {
        if let Some(waiting) = relay.spool.as_ref().map(|spool| spool.objects).filter(|&objects| objects > 0)
        {
            wrong.push(format!("relay {}: {} in the spool", relay.name, counted(waiting as usize, "object")));
        }
    }
    let certificates = status.network.certificates.iter().filter(|held| held.days_left <= DAYS);
    wrong.extend(certificates.map(|held| match held.days_left {
        ..0 => format!("certificate {} has expired", held.name),
        days => {
            format!("certificate {} expires in {}", held.name, counted(days.unsigned_abs() as usize, "day"))
        }
    }));
    let more = wrong.len().saturating_sub(MOST);
    let more = (more > 0).then(|| format!("and {more} more"));
    let wrong = wrong.into_iter().take(MOST).map(|what| what.chars().take(LETTERS).collect());
    std::iter::once(does).chain(wrong).chain(more).collect::<Vec<String>>().join("; ").replace('\n', " ")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{
        CaptureStatus, CertificateStatus, DestinationStatus, ReaderStatus, RelayStatus, SeriesStatus,
        SpoolStatus,
    };

    fn series(state: &str, readers: usize) -> SeriesStatus {
        let readers = vec![ReaderStatus::default(); readers];
        SeriesStatus { state: state.to_owned(), readers, ..SeriesStatus::default() }
    }

    fn capture(name: &str, state: &str) -> CaptureStatus {
        CaptureStatus { name: name.to_owned(), state: state.to_owned(), ..CaptureStatus::default() }
    }

    fn certificate(days_left: i64) -> CertificateStatus {
        CertificateStatus { name: "dicomweb".to_owned(), days_left, ..CertificateStatus::default() }
    }

    #[test]
    fn it_says_what_is_done_and_what_is_wrong() {
        let mut status = Status::default();
        assert_eq!(line(&[], &status), "no series is live");
        status.series = vec![series("live", 4), series("live", 1), series("completed", 7)];
        status.captures = vec![capture("us", "streaming"), capture("xa", "no-signal")];
        assert_eq!(line(&[], &status), "streaming 2 series to 5 readers; capture xa: no signal");
        let there = |name: &str, state: &str| DestinationStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            ..DestinationStatus::default()
        };
        status.destinations = vec![there("ai", "sending"), there("nav", "retrying")];
        let spool = Some(SpoolStatus { objects: 1, ..SpoolStatus::default() });
        status.relays = vec![RelayStatus { name: "pacs".to_owned(), spool, ..RelayStatus::default() }];
        status.network.certificates = vec![certificate(31), certificate(12), certificate(-1)];
        let reasons = ["the self-test fails: the frame\nis lost".to_owned()];
        assert_eq!(
            line(&reasons, &status),
            "streaming 2 series to 5 readers; not ready: the self-test fails: the frame is lost; capture xa: no signal; \
             destination nav: retrying; relay pacs: 1 object in the spool; certificate dicomweb expires in 12 days; \
             certificate dicomweb has expired"
        );
    }

    #[test]
    fn it_stays_short() {
        let captures = (0..100).map(|number| capture(&format!("{number}"), "absent")).collect();
        let status = Status { captures, ..Status::default() };
        let said = line(&["x".repeat(1000)], &status);
        assert!(said.len() < 400 && said.ends_with("; and 95 more"), "{said}");
    }
}
