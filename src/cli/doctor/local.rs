//! What is to be looked at on this machine itself: ports, certificates, the clock, disk, memory and temperature.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::check::Check;
use crate::config::Loaded;
use crate::config::settings::{HttpTls, Settings, TlsIdentity};
use crate::identity::{Certificate, Chain, Note};
use crate::instance::video::ClockState;
use crate::net::{file, tls};
use crate::service::status::{certificates_in_files, findings, of_machine};
use crate::source::capture::clock;
use crate::status::{ClockStatus, ListenerStatus, NetworkStatus, Severity, Status};

/// Most bytes of a file of certificates.
const MOST: u64 = 1 << 20;

/// Whether each address that is listened on is the service's, or free.
pub(super) fn ports(loaded: &Loaded, ours: &[ListenerStatus]) -> Vec<Check> {
    let listeners = loaded.values.iter().filter(|value| value.key.ends_with("listen"));
    let addresses = listeners.filter_map(|value| {
        let address: SocketAddr = value.value.as_str()?.parse().ok()?;
        Some((value.key.clone(), address))
    });
    addresses.map(|(key, address)| port(&key, address, ours)).collect()
}

fn port(key: &str, address: SocketAddr, ours: &[ListenerStatus]) -> Check {
    let check = Check::of("ports", format!("{key} {address}"));
    if ours.iter().any(|one| one.address == address.to_string()) {
        return check.ok("the service listens there");
    }
    match TcpListener::bind(address) {
        Ok(_) => check.ok("it is free"),
        Err(error) => match error.kind() {
            io::ErrorKind::AddrInUse => {
                let said = if ours.is_empty() {
                    "somebody listens there: the service, if it runs, or another program"
                } else {
                    "another program listens there"
                };
                let mend = format!("see who (ss -ltnp), and end that program or change {key}");
                if ours.is_empty() { check.warning(said, mend) } else { check.error(said, mend) }
            }
            io::ErrorKind::AddrNotAvailable => {
                let mend = format!("give this machine the address, or change {key}");
                check.error("the address is not one of this machine", mend)
            }
            io::ErrorKind::PermissionDenied => {
                check.skipped("only root, or systemd for the service, may listen there")
            }
            _ => check.error(error.to_string(), format!("change {key}")),
        },
    }
}

/// The certificates that are served: chain, key, names; and the dates of all that the configuration names.
pub(super) fn certificates(settings: &Settings) -> Vec<Check> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let now = SystemTime::now();
    let mut checks = Vec::new();
    match &settings.dicomweb.tls {
        HttpTls::Files(identity) => checks.push(served("dicomweb.tls", identity, &host, now)),
        HttpTls::SelfSigned => checks.push(
            Check::of("certificates", "dicomweb.tls")
                .warning("it is made at each start, for trials", "set dicomweb.tls.certificate and key"),
        ),
    }
    if let Some(tls) = &settings.dimse.tls {
        checks.push(served("dimse.tls", &tls.identity, &host, now));
    }
    let certificates = certificates_in_files(settings);
    let names: Vec<_> = certificates.iter().map(|one| (one.name.clone(), one.days_left)).collect();
    let found = findings(&status(NetworkStatus { certificates, ..NetworkStatus::default() }));
    for (name, days) in names {
        let place = format!("certificate {name}");
        let check = Check::of("certificates", &*name);
        checks.push(match found.iter().find(|one| one.place == place) {
            Some(one) if one.severity == Severity::Error => check.error(&*one.what, &*one.mend),
            Some(one) if one.severity == Severity::Warning => check.warning(&*one.what, &*one.mend),
            _ => check.ok(format!("for another {days} days")),
        });
    }
    checks
}

/// One that a listener serves.
fn served(section: &str, identity: &TlsIdentity, host: &str, now: SystemTime) -> Check {
    let check = Check::of("certificates", section);
    let key_is_there = match file::read(&identity.key, MOST) {
        Ok(_) => true,
        // Sealed, or for the service alone.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            false
        }
        Err(_) => true,
    };
    if key_is_there && let Err(error) = tls::load(identity, &[]) {
        return check.error(error.to_string(), "correct the file that it names");
    }
    let bytes = match file::read(&identity.certificate, MOST) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return check.error("the file of the certificate is too large", "it needs the chain, in PEM");
        }
        Err(error) => {
            let said = format!("{}: {error}", identity.certificate.display());
            return check.error(said, "put the chain there, in PEM; framegate identity makes one");
        }
    };
    let leaf = CertificateDer::pem_slice_iter(&bytes).find_map(Result::ok).and_then(Certificate::of);
    let Some(leaf) = leaf else {
        return check.error("there is no certificate in the file", "put the chain there, in PEM");
    };
    // Dates are looked at for all files alike.
    let chain = match Chain::of(&bytes, leaf.public_key(), host, now, true) {
        Ok(chain) => chain,
        Err(error) => return check.error(error.to_string(), "have the chain issued again, and import it"),
    };
    let doubts: Vec<_> = chain
        .notes
        .iter()
        .filter(|note| !matches!(note, Note::Expired { .. } | Note::NotYetValid { .. }))
        .map(ToString::to_string)
        .collect();
    if !doubts.is_empty() {
        return check.warning(
            doubts.join("; "),
            "clients may refuse it: see whether they know its issuer and its names",
        );
    }
    let key = if key_is_there { "the key is its own" } else { "the key may be read by the service alone" };
    check.ok(format!("{} certificates in order, {key}", chain.certificates.len()))
}

fn status(network: NetworkStatus) -> Status {
    Status { network, ..Status::default() }
}

/// Whether the clock follows a reference, and whose.
pub(super) fn clock() -> Vec<Check> {
    let check = Check::of("clock", "synchronised");
    let state = clock::ask();
    if let ClockState::Synchronized { protocol, source, address } = &state {
        let said = [*protocol, source, address].map(str::to_owned).join(" ");
        return vec![check.ok(said.trim().to_owned())];
    }
    let free = ClockStatus {
        source: if state == ClockState::Free { "free".to_owned() } else { String::new() },
        ..ClockStatus::default()
    };
    let network = NetworkStatus { host_name: "here".to_owned(), clock: free, ..NetworkStatus::default() };
    let found = findings(&status(network));
    found.into_iter().map(|one| Check::of("clock", "synchronised").warning(one.what, one.mend)).collect()
}

/// Disk, memory, temperature.
pub(super) fn machine(settings: &Settings, runtime: &Path) -> Vec<Check> {
    let system = of_machine(settings, runtime);
    let found = findings(&Status { system: system.clone(), ..Status::default() });
    let judged = |place: String, well: String| {
        let check = Check::of("machine", &*place);
        match found.iter().find(|one| one.place == place) {
            Some(one) if one.severity == Severity::Error => check.error(&*one.what, &*one.mend),
            Some(one) => check.warning(&*one.what, &*one.mend),
            None => check.ok(well),
        }
    };
    let mut checks =
        vec![judged("memory".to_owned(), format!("{} MiB are left", system.memory_available_bytes >> 20))];
    for disk in &system.disks {
        checks.push(judged(
            format!("disk {}", disk.name),
            format!("{} MiB of {} MiB are free", disk.free_bytes >> 20, disk.bytes >> 20),
        ));
    }
    if system.temperatures.is_empty() {
        checks.push(
            Check::of("machine", "temperature").skipped("this machine has no sensor that the kernel shows"),
        );
    }
    for sensor in &system.temperatures {
        checks.push(judged(format!("temperature {}", sensor.name), format!("{:.0} °C", sensor.celsius)));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn a_port_is_ours_free_or_somebodys() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let ours = |address: SocketAddr| {
            vec![ListenerStatus { address: address.to_string(), ..ListenerStatus::default() }]
        };
        let outcome = |ours: &[ListenerStatus], address| port("dimse.listen", address, ours).outcome;
        assert_eq!(outcome(&ours(address), address), Outcome::Ok);
        assert_eq!(outcome(&[], address), Outcome::Warning);
        assert_eq!(outcome(&ours("127.0.0.1:1".parse().unwrap()), address), Outcome::Error);
        assert_eq!(outcome(&[], "203.0.113.77:11112".parse().unwrap()), Outcome::Error);
        drop(held);
        assert_eq!(outcome(&[], address), Outcome::Ok);
    }

    #[test]
    fn a_certificate_that_cannot_be_served_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pem");
        let identity = TlsIdentity::new(file.clone(), folder.path().join("a.key"), None);
        let check = |host: &str| served("dicomweb.tls", &identity, host, SystemTime::now());
        assert_eq!(check("box").outcome, Outcome::Error);
        std::fs::write(&file, "nothing").unwrap();
        assert!(check("box").said.contains("no certificate"));
        let made = rcgen::generate_simple_self_signed(vec!["box".to_owned()]).unwrap();
        std::fs::write(&file, made.cert.pem()).unwrap();
        assert!(check("box").said.contains("the service alone"), "{:?}", check("box"));
        std::fs::write(&identity.key, made.signing_key.serialize_pem()).unwrap();
        assert!(check("box").said.contains("its own"), "{:?}", check("box"));
        assert_eq!(check("other").outcome, Outcome::Warning);
        let other = rcgen::generate_simple_self_signed(vec!["box".to_owned()]).unwrap();
        std::fs::write(&identity.key, other.signing_key.serialize_pem()).unwrap();
        assert_eq!(check("box").outcome, Outcome::Error, "the key is another's");
    }
}
