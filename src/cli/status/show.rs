//! A status as text for 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::status::*;

/// How wide a terminal is taken to be (characters).
const WIDTH: usize = 80;

/// Whether and how text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Paint(bool);

impl Paint {
    /// Colours are for people at a terminal who have not asked for none (no-color.org).
    pub(in super::super) fn of(is_terminal: bool, no_color: bool) -> Self {
        Self(is_terminal && !no_color)
    }

    pub(in super::super) fn text(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Bold, red, yellow, green, faint.
pub(in super::super) const BOLD: &str = "1";
pub(in super::super) const RED: &str = "1;31";
pub(in super::super) const YELLOW: &str = "33";
pub(in super::super) const GREEN: &str = "32";

/// The whole of it.
pub(super) fn show(status: &Status, paint: Paint) -> String {
    let mut out = Out { text: String::new(), paint };
    out.head(status);
    out.findings(&status.findings);
    out.sources(status);
    out.series(status);
    out.destinations(status);
    out.peers(status);
    out.network(&status.network);
    out.system(status);
    out.text
}

/// `text` in lines of at most [`WIDTH`] characters, each indented by so many.
pub(in super::super) fn wrapped(text: &str, indent: usize) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(lines, "{:indent$}{line}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(lines, "{:indent$}{line}", "");
    }
    lines
}

/// In words, roughly.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| bytes >= *unit as f64);
    fits.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{:.1} {name}", bytes / unit as f64))
}

/// `name 3, other 4`, without those that are none.
fn listed(counts: &BTreeMap<String, u64>) -> String {
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

struct Out {
    text: String,
    paint: Paint,
}

impl Out {
    fn title(&mut self, title: &str) {
        let title = self.paint.text(BOLD, title);
        let _ = writeln!(self.text, "\n{title}");
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.text.push_str(&wrapped(text, indent));
    }

    /// A line that begins with a word for how it is.
    fn entry(&mut self, is_well: bool, name: &str, state: &str, rest: &str) {
        let state = if is_well { self.paint.text(GREEN, state) } else { self.paint.text(YELLOW, state) };
        let _ = writeln!(self.text, "  {name} {state}");
        self.line(4, rest);
    }

    fn head(&mut self, status: &Status) {
        let service = &status.service;
        let host = &status.network.host_name;
        let on = if host.is_empty() { String::new() } else { format!(" on {host}") };
        let ready = if service.ready { "ready" } else { "not ready" };
        let line = format!("framegate {}{on}, up {}, {ready}", service.version, span(service.uptime_seconds));
        let line = self.paint.text(BOLD, &line);
        let _ = writeln!(self.text, "{line}");
    }

    fn findings(&mut self, findings: &[Finding]) {
        if findings.is_empty() {
            let well = self.paint.text(GREEN, "nothing is wrong");
            let _ = writeln!(self.text, "{well}");
        }
        for finding in findings {
            let (word, color) = match finding.severity {
                Severity::Error => ("error", RED),
                Severity::Warning => ("warning", YELLOW),
                Severity::Note => ("note", BOLD),
            };
            let word = self.paint.text(color, word);
            let _ = writeln!(self.text, "\n{word}  {}", finding.place);
            self.line(2, &finding.what);
            self.line(2, &format!("-> {}", finding.mend));
        }
    }

    fn sources(&mut self, status: &Status) {
        if status.captures.is_empty() && status.dimse.is_none() {
            return;
        }
        self.title("Sources");
        for capture in &status.captures {
            let rest = [
                format!("{:.1} frames/s", capture.frames_per_second),
                format!("{} published", capture.published),
                format!("{} lost", capture.lost),
                format!("{} dropped", capture.dropped.values().sum::<u64>()),
                capture.format.clone(),
                capture.device.clone(),
            ];
            let rest: Vec<_> = rest.into_iter().filter(|text| !text.is_empty()).collect();
            let is_well = capture.state == "streaming";
            self.entry(is_well, &format!("capture {}", capture.name), &capture.state, &rest.join(", "));
            if capture.running == Some(false) {
                self.line(4, "stopped by an operator");
            }
        }
        if let Some(dimse) = &status.dimse {
            let stored = listed(&dimse.stored);
            let refused = listed(&dimse.refused);
            let mut line = format!("DIMSE {}, {} associations open", dimse.ae_title, dimse.associations);
            for (name, counts) in [("C-STORE", stored), ("refused", refused)] {
                if !counts.is_empty() {
                    let _ = write!(line, "; {name}: {counts}");
                }
            }
            self.line(2, &line);
        }
    }

    fn series(&mut self, status: &Status) {
        let hub = &status.hub;
        self.title(&format!(
            "Series: {} of {} in memory, {} instances",
            size(hub.bytes),
            size(hub.budget_bytes),
            hub.instances
        ));
        for series in &status.series {
            self.entry(series.state == "live", &series.series, &series.state, "");
            let pixels = series.size.map(|(rows, columns)| format!(", {columns}x{rows}")).unwrap_or_default();
            self.line(
                4,
                &format!(
                    "{} from {}{pixels}, {:.1} instances/s, {} in memory ({}), {} gone",
                    series.modality,
                    series.source,
                    series.instances_per_second,
                    series.instances,
                    size(series.bytes),
                    series.evicted
                ),
            );
            for reader in &series.readers {
                let missed =
                    if reader.missed > 0 { format!(", {} missed", reader.missed) } else { String::new() };
                self.line(4, &format!("{} {}: {} behind{missed}", reader.kind, reader.peer, reader.behind));
            }
        }
    }

    fn destinations(&mut self, status: &Status) {
        if status.destinations.is_empty() && status.subscriptions.is_empty() {
            return;
        }
        self.title("Destinations and subscriptions");
        for one in &status.destinations {
            let rest = format!(
                "{}, {:.1} instances/s, {} sent ({}), {} failed, {} missed",
                one.address,
                one.instances_per_second,
                one.sent,
                size(one.bytes),
                one.failed,
                one.missed
            );
            self.entry(one.last_error.is_none(), &format!("destination {}", one.name), &one.state, &rest);
        }
        for one in &status.subscriptions {
            let to = one.destination.as_ref().map(|name| format!(", pushed to {name}")).unwrap_or_default();
            let paused = if one.paused { ", paused" } else { "" };
            self.line(
                2,
                &format!(
                    "{}: {}{to}, {}{paused}, {} sent, {} failed, {} missed",
                    one.subscriber, one.level, one.state, one.sent, one.failed, one.missed
                ),
            );
        }
    }

    fn peers(&mut self, status: &Status) {
        if status.relays.is_empty() && status.worklists.is_empty() && status.mpps.is_empty() {
            return;
        }
        self.title("Relays and RIS");
        for relay in &status.relays {
            let state = if relay.last_error.is_none() { "well" } else { "away" };
            let mut rest = format!("{}, {} open; {}", relay.address, relay.open, listed(&relay.associations));
            if let Some(spool) = &relay.spool {
                let _ = write!(rest, "; spool: {} objects, {}", spool.objects, size(spool.bytes));
            }
            self.entry(relay.last_error.is_none(), &format!("relay {}", relay.name), state, &rest);
        }
        for one in &status.worklists {
            let age = one.age_seconds.map_or("never".to_owned(), |age| format!("{} ago", span(age)));
            let state = if one.last_error.is_none() { "answers" } else { "silent" };
            let rest = format!("{}, {} entries, last answer {age}", one.address, one.entries);
            self.entry(one.last_error.is_none(), &format!("worklist {}", one.name), state, &rest);
        }
        for one in &status.mpps {
            let state = if one.last_error.is_none() { "well" } else { "failing" };
            let rest = format!("{}, {} told, {} failed", one.address, one.told, one.failed);
            self.entry(one.last_error.is_none(), &format!("mpps {}", one.name), state, &rest);
        }
    }

    fn network(&mut self, network: &NetworkStatus) {
        self.title("Network");
        self.line(2, &format!("addresses: {}", network.addresses.join(", ")));
        for one in &network.listeners {
            let tls = if one.tls { " (TLS)" } else { "" };
            self.line(2, &format!("{} {}{tls}", one.name, one.address));
        }
        for one in &network.certificates {
            self.line(2, &format!("{}: {} days left", one.name, one.days_left));
        }
        let clock = &network.clock;
        let by = match clock.source.as_str() {
            "" | "free" => String::new(),
            source => format!(" by {source}"),
        };
        let state = if clock.synchronized { "synchronised" } else { "not synchronised" };
        self.line(2, &format!("clock: {state}{by}"));
    }

    fn system(&mut self, status: &Status) {
        let (system, service) = (&status.system, &status.service);
        self.title("System");
        let named = [
            ("box", &system.device_id),
            ("image", &system.image_version),
            ("slot", &system.slot),
            ("profile", &system.profile),
        ];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        let named: Vec<_> = named.map(|(name, value)| format!("{name} {value}")).collect();
        self.line(2, &named.join(", "));
        self.line(
            2,
            &format!(
                "up {}, load {:.2} a processor, memory {} free of {}, service {}, {} descriptors",
                span(system.uptime_seconds),
                system.load,
                size(system.memory_available_bytes),
                size(system.memory_bytes),
                size(service.memory_bytes),
                service.descriptors
            ),
        );
        for disk in &system.disks {
            self.line(
                2,
                &format!("disk {}: {} free of {}", disk.name, size(disk.free_bytes), size(disk.bytes)),
            );
        }
        let hot: Vec<_> =
            system.temperatures.iter().map(|one| format!("{} {:.0} °C", one.name, one.celsius)).collect();
        self.line(2, &hot.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Status {
        let finding = Finding {
            severity: Severity::Error,
            place: "destination pacs".to_owned(),
            what: "cannot connect to pacs.example:8443: Connection refused (os error 111); is it up, and is the \
                   address right?"
                .to_owned(),
            mend: "look at it".to_owned(),
        };
        let reader = ReaderStatus { kind: "push".to_owned(), peer: "pacs".to_owned(), behind: 3, missed: 4 };
        let series = SeriesStatus {
            series: "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345678".to_owned(),
            readers: vec![reader],
            ..SeriesStatus::default()
        };
        Status {
            findings: vec![finding],
            captures: vec![CaptureStatus { name: "xa".to_owned(), ..CaptureStatus::default() }],
            dimse: Some(DimseStatus::default()),
            series: vec![series],
            destinations: vec![DestinationStatus { name: "pacs".to_owned(), ..DestinationStatus::default() }],
            subscriptions: vec![SubscriptionStatus::default()],
            relays: vec![RelayStatus { spool: Some(SpoolStatus::default()), ..RelayStatus::default() }],
            worklists: vec![WorklistStatus::default()],
            mpps: vec![MppsStatus::default()],
            ..Status::default()
        }
    }

    #[test]
    fn it_fits_into_80_columns_and_says_what_is_wrong_first() {
        let text = show(&full(), Paint::of(false, false));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        let order = ["error  destination pacs", "-> look at it", "Sources", "Series:", "Network", "System"];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
        assert!(text.contains("push pacs: 3 behind, 4 missed"), "{text}");
    }

    #[test]
    fn colours_are_for_terminals_whose_users_want_them() {
        assert!(show(&full(), Paint::of(true, false)).contains("\x1b[1;31merror"));
        for plain in [Paint::of(true, true), Paint::of(false, false)] {
            assert!(!show(&full(), plain).contains('\x1b'));
        }
        assert!(show(&Status::default(), Paint::of(false, false)).contains("nothing is wrong"));
    }

    #[test]
    fn spans_and_sizes_are_readable() {
        assert_eq!([59, 60, 3700, 90_000].map(span), ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
        assert_eq!([0, 1536, 5 << 30].map(size), ["0 B", "1.5 KiB", "5.0 GiB"]);
    }
}
