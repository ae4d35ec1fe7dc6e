//! What of a [`Status`] somebody must act on: a table of rules over plain values, each with what is wrong and how to mend
//! it. The worst come first.

use crate::status::{Finding, Severity, Status};

/// Of a spool or the descriptors: from this part on it is filling, and from the next it is all but full.
const FILLING: f64 = 0.8;
const FULL: f64 = 0.95;
/// Of a file system or the memory: below this part it is short, and below the next it is all but used up.
const SHORT: f64 = 0.05;
const USED_UP: f64 = 0.01;
/// How near to what is critical a temperature is worth a warning (degrees Celsius).
const NEAR_CRITICAL: f64 = 10.0;
/// Rings that hold less than this of what comes in are small (seconds).
const LEAST_HELD: f64 = 5.0;
/// Objects that wait in a spool for longer are a warning by themselves (seconds).
const WAITS_LONG: u64 = 60 * 60;
/// Days before a certificate expires from which on it is noted, a warning, an error.
const EXPIRES: [(i64, Severity); 3] = [(7, Severity::Error), (30, Severity::Warning), (60, Severity::Note)];

/// What is wrong, worst first; the findings of the status itself are not looked at.
pub fn findings(status: &Status) -> Vec<Finding> {
    let mut found = Found::default();
    service(status, &mut found);
    captures(status, &mut found);
    hub(status, &mut found);
    destinations(status, &mut found);
    relays(status, &mut found);
    ris(status, &mut found);
    audit(status, &mut found);
    network(status, &mut found);
    system(status, &mut found);
    let Found(mut found) = found;
    found.sort_by(|one, other| (one.severity, &one.place).cmp(&(other.severity, &other.place)));
    found
}

#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn add(
        &mut self,
        severity: Severity,
        place: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.0.push(Finding { severity, place: place.into(), what: what.into(), mend: mend.into() });
    }
}

fn part(of: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { of as f64 / all as f64 }
}

/// `used` of `all` as a finding would have it: how bad, and in percent.
fn fullness(used: u64, all: u64) -> Option<(Severity, u32)> {
    let part = part(used, all);
    let severity = if part >= FULL { Severity::Error } else { Severity::Warning };
    (part >= FILLING).then_some((severity, (part * 100.0) as u32))
}

/// The same of what is left.
fn shortness(free: u64, all: u64) -> Option<Severity> {
    let part = part(free, all);
    let severity = if part < USED_UP { Severity::Error } else { Severity::Warning };
    (all > 0 && part < SHORT).then_some(severity)
}

fn service(status: &Status, found: &mut Found) {
    let service = &status.service;
    if let Some(failed) = service.self_test.as_ref().and_then(|test| test.failed.as_ref()) {
        let mend = "it is tried again; if it stays so, restart the service and see journalctl -u framegate";
        found.add(Severity::Error, "self-test", failed, mend);
    }
    if let Some((severity, percent)) = fullness(service.descriptors, service.descriptor_limit) {
        let what = format!("{percent} % of {} descriptors are open", service.descriptor_limit);
        let mend =
            "see who holds connections (dicomweb.limits, dimse.limits), or raise LimitNOFILE= of the unit";
        found.add(severity, "service", what, mend);
    }
}

fn captures(status: &Status, found: &mut Found) {
    for capture in &status.captures {
        let place = format!("capture {}", capture.name);
        let severity = match capture.state.as_str() {
            "" | "starting" | "streaming" => None,
            // The equipment may be off.
            "no-signal" | "no-lock" => Some(Severity::Warning),
            _ => Some(Severity::Error),
        };
        if let Some(severity) = severity {
            found.add(severity, &place, format!("no picture: {}", capture.state), &capture.advice);
        }
        for warning in &capture.warnings {
            found.add(
                Severity::Warning,
                &place,
                warning,
                "say again who is imaged, or take the patient away",
            );
        }
    }
}

fn hub(status: &Status, found: &mut Found) {
    let bytes_per_second: f64 = status
        .series
        .iter()
        .filter(|series| series.instances > 0)
        .map(|series| series.instances_per_second * series.bytes as f64 / series.instances as f64)
        .sum();
    let held = status.hub.budget_bytes as f64 / bytes_per_second;
    if bytes_per_second > 0.0 && held < LEAST_HELD {
        let what = format!(
            "memory holds {held:.1} s of what comes in; a reader that pauses for longer misses instances"
        );
        found.add(Severity::Warning, "hub", what, "raise hub.budget_bytes, or let less come in");
    }
    for series in &status.series {
        for reader in series.readers.iter().filter(|reader| reader.missed > 0) {
            let what =
                format!("{} {} has missed {} instances of a series", reader.kind, reader.peer, reader.missed);
            let mend = "it reads more slowly than instances come: look at it and the network to it, let it ask for fewer \
                        (rate), or raise hub.budget_bytes";
            found.add(Severity::Warning, format!("series {}", series.series), what, mend);
        }
    }
}

fn destinations(status: &Status, found: &mut Found) {
    for destination in &status.destinations {
        let place = format!("destination {}", destination.name);
        let Some(error) = &destination.last_error else { continue };
        let severity = if destination.state == "retrying" { Severity::Error } else { Severity::Warning };
        found.add(severity, place, error, destination.advice.clone().unwrap_or_default());
    }
}

fn relays(status: &Status, found: &mut Found) {
    for relay in &status.relays {
        let place = format!("relay {}", relay.name);
        if let Some(error) = &relay.last_error {
            let severity =
                if relay.when_unreachable == "spool" { Severity::Warning } else { Severity::Error };
            let what = format!("the upstream {} could not be reached: {error}", relay.address);
            let mend = "is it running, and does the network between let us through? framegate doctor sends it a C-ECHO";
            found.add(severity, &place, what, mend);
        }
        let Some(spool) = &relay.spool else { continue };
        if let Some((severity, percent)) = fullness(spool.bytes, spool.budget_bytes) {
            let what = format!("the spool is {percent} % full: {} objects wait", spool.objects);
            let mend =
                "let the upstream take them; beyond spool.max_bytes the modality is told to keep its objects";
            found.add(severity, &place, what, mend);
        }
        if spool.oldest_seconds >= WAITS_LONG {
            let what = format!("an object has waited for {} min for the upstream", spool.oldest_seconds / 60);
            found.add(
                Severity::Warning,
                &place,
                what,
                "see to the upstream; what is older than spool.max_age is lost",
            );
        }
        if spool.set_aside > 0 {
            let what = format!(
                "{} objects were refused for good, or are under another key, and were set aside",
                spool.set_aside
            );
            found.add(
                Severity::Error,
                &place,
                what,
                "see to the upstream, then restart the service to have them sent again",
            );
        }
        if spool.lost > 0 {
            let what = format!("{} objects that had been acknowledged are lost", spool.lost);
            found.add(
                Severity::Error,
                &place,
                what,
                "send them again from the modality; the log says why each was lost",
            );
        }
    }
}

fn ris(status: &Status, found: &mut Found) {
    for worklist in &status.worklists {
        let Some(error) = &worklist.last_error else { continue };
        let kept = match worklist.age_seconds {
            Some(age) => format!("its {} entries of {age} s ago stay", worklist.entries),
            None => "it has not given any entries yet".to_owned(),
        };
        let mend = format!(
            "look at [worklist.{}], and at the peer's configuration for our AE title; framegate doctor asks it",
            worklist.name
        );
        found.add(Severity::Error, format!("worklist {}", worklist.name), format!("{error}; {kept}"), mend);
    }
    for mpps in &status.mpps {
        let Some(error) = &mpps.last_error else { continue };
        let mend = format!(
            "messages wait and are told later; look at [mpps.{}], and at the peer's configuration for our AE title",
            mpps.name
        );
        found.add(Severity::Error, format!("mpps {}", mpps.name), error, mend);
    }
}

fn audit(status: &Status, found: &mut Found) {
    let Some(audit) = &status.audit else { return };
    if let Some(error) = audit.last_error.as_ref().filter(|_| !audit.connected) {
        let what = format!("{error}; {} messages wait", audit.waiting);
        found.add(
            Severity::Error,
            "audit",
            what,
            "look at [audit], and at the receiver; framegate_audit_* has numbers",
        );
    }
    if audit.lost > 0 {
        let what = format!("{} messages were lost while the receiver was away", audit.lost);
        found.add(
            Severity::Warning,
            "audit",
            what,
            "the journal has them without patients; raise audit.queue",
        );
    }
}

fn network(status: &Status, found: &mut Found) {
    let network = &status.network;
    for certificate in &network.certificates {
        let (name, until) = (&certificate.name, &certificate.not_after);
        let place = format!("certificate {name}");
        if certificate.not_yet_valid {
            found.add(
                Severity::Error,
                place,
                "it is not valid yet",
                "is the clock of this box behind? Else have it issued again",
            );
        } else if certificate.days_left < 0 {
            let mend =
                "have it renewed (framegate identity request, import), or set the clock if that is ahead";
            found.add(
                Severity::Error,
                place,
                format!("it has expired on {until}, and peers refuse it"),
                mend,
            );
        } else if let Some(&(_, severity)) = EXPIRES.iter().find(|(days, _)| certificate.days_left < *days) {
            let what = format!("it expires in {} days, on {until}", certificate.days_left);
            found.add(severity, place, what, "have it renewed (framegate identity request, import)");
        }
    }
    // Before the first look nothing is known of it.
    if !network.host_name.is_empty() && !network.clock.synchronized {
        let what = if network.clock.source.is_empty() {
            "nobody who keeps the clock is known"
        } else {
            "the clock follows no reference"
        };
        let mend = "let chrony, systemd-timesyncd or ptp4l reach a time server; times of frames and certificates depend on it";
        found.add(Severity::Warning, "clock", what, mend);
    }
}

fn system(status: &Status, found: &mut Found) {
    let system = &status.system;
    for sensor in &system.temperatures {
        let Some(critical) = sensor.critical_celsius else { continue };
        let severity = if sensor.celsius >= critical { Severity::Error } else { Severity::Warning };
        if sensor.celsius >= critical - NEAR_CRITICAL {
            let what = format!("{:.0} °C, and {critical:.0} °C is critical", sensor.celsius);
            let mend = "is the fan free, and the air around the box cool enough?";
            found.add(severity, format!("temperature {}", sensor.name), what, mend);
        }
    }
    for disk in &system.disks {
        if let Some(severity) = shortness(disk.free_bytes, disk.bytes) {
            let what = format!("{} MiB of {} MiB are free", disk.free_bytes >> 20, disk.bytes >> 20);
            found.add(
                severity,
                format!("disk {}", disk.name),
                what,
                "make room there, or give it a larger file system",
            );
        }
    }
    if let Some(severity) = shortness(system.memory_available_bytes, system.memory_bytes) {
        let what = format!("{} MiB of memory are left", system.memory_available_bytes >> 20);
        found.add(severity, "memory", what, "lower hub.budget_bytes, or give the box more memory");
    }
}

#[cfg(test)]
mod tests {
    use crate::status::*;

    use super::*;

    fn seen(status: &Status) -> Vec<(Severity, String)> {
        findings(status).into_iter().map(|one| (one.severity, one.place)).collect()
    }

    fn well() -> Status {
        let clock = ClockStatus { synchronized: true, ..ClockStatus::default() };
        let network = NetworkStatus { host_name: "box".to_owned(), clock, ..NetworkStatus::default() };
        Status { network, ..Status::default() }
    }

    #[test]
    fn all_is_well_where_nothing_is_wrong() {
        assert_eq!(findings(&well()), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_said_and_the_worst_first() {
        let certificate = |name: &str, days_left| CertificateStatus {
            name: name.to_owned(),
            days_left,
            ..CertificateStatus::default()
        };
        let capture = |name: &str, state: &str| CaptureStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            ..CaptureStatus::default()
        };
        let mut status = well();
        status.network.clock.synchronized = false;
        status.network.certificates = vec![
            certificate("a", 61),
            certificate("b", 59),
            certificate("c", 29),
            certificate("d", 6),
            certificate("e", -1),
        ];
        status.captures =
            vec![capture("xa", "streaming"), capture("us", "no-signal"), capture("en", "absent")];
        status.destinations = vec![DestinationStatus {
            name: "pacs".to_owned(),
            state: "retrying".to_owned(),
            last_error: Some("cannot connect".to_owned()),
            ..DestinationStatus::default()
        }];
        use Severity::{Error, Note, Warning};
        let expected = [
            (Error, "capture en"),
            (Error, "certificate d"),
            (Error, "certificate e"),
            (Error, "destination pacs"),
            (Warning, "capture us"),
            (Warning, "certificate c"),
            (Warning, "clock"),
            (Note, "certificate b"),
        ];
        assert_eq!(seen(&status), expected.map(|(severity, place)| (severity, place.to_owned())));
    }

    #[test]
    fn what_fills_up_is_said_in_time() {
        let mut status = well();
        let spool =
            |bytes, set_aside| SpoolStatus { bytes, budget_bytes: 100, set_aside, ..SpoolStatus::default() };
        let relay =
            |spool| RelayStatus { name: "r".to_owned(), spool: Some(spool), ..RelayStatus::default() };
        for (spool, expected) in [
            (spool(79, 0), None),
            (spool(80, 0), Some(Severity::Warning)),
            (spool(95, 0), Some(Severity::Error)),
            (spool(0, 1), Some(Severity::Error)),
        ] {
            status.relays = vec![relay(spool)];
            assert_eq!(findings(&status).first().map(|one| one.severity), expected);
        }
        status.relays.clear();
        status.system.disks = vec![DiskStatus { name: "spool".to_owned(), free_bytes: 4, bytes: 100 }];
        assert_eq!(seen(&status), [(Severity::Warning, "disk spool".to_owned())]);
        status.system.disks.clear();
        (status.service.descriptors, status.service.descriptor_limit) = (96, 100);
        assert_eq!(seen(&status), [(Severity::Error, "service".to_owned())]);
    }

    #[test]
    fn memory_that_holds_little_of_what_comes_in_is_said() {
        let mut status = well();
        status.hub.budget_bytes = 1000;
        let series =
            SeriesStatus { instances: 10, bytes: 1000, instances_per_second: 1.9, ..SeriesStatus::default() };
        status.series = vec![series.clone()];
        assert_eq!(findings(&status), []);
        let reader = ReaderStatus { kind: "push".to_owned(), peer: "pacs".to_owned(), behind: 3, missed: 4 };
        status.series = vec![SeriesStatus { instances_per_second: 2.1, readers: vec![reader], ..series }];
        let found = findings(&status);
        assert_eq!(found.len(), 2);
        assert!(
            found[0].what.contains("4.8 s") && found[1].what.contains("push pacs has missed 4"),
            "{found:?}"
        );
    }

    #[test]
    fn heat_is_said_before_it_is_critical() {
        let mut status = well();
        let sensor =
            |celsius| TemperatureStatus { name: "cpu".to_owned(), celsius, critical_celsius: Some(100.0) };
        for (celsius, expected) in
            [(89.0, None), (90.0, Some(Severity::Warning)), (100.0, Some(Severity::Error))]
        {
            status.system.temperatures = vec![sensor(celsius)];
            assert_eq!(findings(&status).first().map(|one| one.severity), expected);
        }
    }
}
