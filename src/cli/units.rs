//! `framegate units`: the walls around the service, as its configuration wants them.
//!
//! The units of an appliance let nobody in and the service nowhere out. Who may is in the configuration, so from that
//! are made: a drop-in for the service (whom it may exchange packets with), one for each socket unit (where it
//! listens, who may reach it), and rules for nftables. An administrator's shell, or `prepare` at boot and at a reload,
//! puts them in force. Nothing here holds PHI.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use ipnet::IpNet;

use crate::config::Loaded;
use crate::config::settings::{MetricsSettings, Settings};

/// The name of each drop-in: late, so that it beats those of the image, early enough to be beaten by hand.
const DROP_IN: &str = "50-configuration.conf";

/// Options of `framegate units`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", default_value = "/etc/framegate/framegate.toml")]
    config: PathBuf,
    /// Where drop-ins are written, for instance /run/systemd/system; without it they are printed
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Where rules for nftables are written
    #[arg(long, value_name = "FILE")]
    nftables: Option<PathBuf>,
}

/// Writes or prints them.
pub(super) fn units(options: &Options) -> anyhow::Result<()> {
    let loaded = super::load(Some(&options.config))?;
    let Walls { drop_ins, nftables } = Walls::of(&loaded);
    let Some(directory) = &options.directory else {
        let mut out = io::stdout().lock();
        for (unit, text) in &drop_ins {
            writeln!(out, "# {unit}.d/{DROP_IN}\n{text}")?;
        }
        write!(out, "{nftables}")?;
        return Ok(out.flush()?);
    };
    for (unit, text) in &drop_ins {
        replace(&directory.join(format!("{unit}.d")).join(DROP_IN), text)?;
    }
    options.nftables.iter().try_for_each(|file| replace(file, &nftables))
}

/// Puts `text` in the place of `file`, whole.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let written = || {
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        let new = file.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, file)
    };
    written().with_context(|| format!("cannot write {}", file.display()))
}

/// What is made of a configuration.
#[derive(Debug)]
struct Walls {
    /// Unit, and the text of its drop-in.
    drop_ins: Vec<(&'static str, String)>,
    nftables: String,
}

impl Walls {
    fn of(loaded: &Loaded) -> Self {
        let settings = &loaded.settings;
        let (dimse, dicomweb, console) = (&settings.dimse, &settings.dicomweb, &settings.console);
        let rules = modalities(settings).into_iter().map(|address| admitting(address, &dimse.allow));
        let page = console.listen.map(|address| admitting(address, &console.allow));
        let asked = monitoring(settings).map(|(address, networks)| admitting(address, networks));
        let rules = rules.chain([admitting(dicomweb.listen, &dicomweb.allow)]).chain(page).chain(asked);
        let rules = rules.collect::<String>();
        Self {
            drop_ins: vec![
                ("framegate.service", service(loaded)),
                ("framegate-dimse.socket", socket("dimse", dimse.listen, &dimse.allow)),
                ("framegate-dicomweb.socket", socket("dicomweb", Some(dicomweb.listen), &dicomweb.allow)),
            ],
            nftables: format!(
                "# Made from the configuration of framegate; nftables.conf includes it.\n\
                 table inet framegate {{\n    chain listeners {{\n{rules}    }}\n}}\n"
            ),
        }
    }
}

/// Packets of the service go to and come from whoever the configuration names, and this host.
fn service(loaded: &Loaded) -> String {
    let settings = &loaded.settings;
    let mut text = "# Made from the configuration.\n[Service]\n".to_owned();
    let console = &settings.console;
    let page = console.listen.iter().flat_map(|_| &console.allow);
    allow(&mut text, settings.dimse.allow.iter().chain(&settings.dicomweb.allow).chain(page));
    monitoring(settings).into_iter().for_each(|(_, networks)| allow(&mut text, networks.iter()));
    modalities(settings)
        .into_iter()
        .chain([settings.dicomweb.listen])
        .chain(monitoring(settings).map(|(address, _)| address))
        .chain(console.listen)
        .for_each(|address| own(&mut text, address));
    for (key, peer) in peers(loaded) {
        // Writing to a string does not fail.
        let _ = match peer {
            Peer::Address(address) => writeln!(text, "# {key}\nIPAddressAllow={address}"),
            Peer::Name => writeln!(
                text,
                "# {key} names a host, whose address may change: name it by address, or there is no wall.\n\
                 IPAddressAllow=any"
            ),
        };
    }
    text
}

/// Where a socket unit listens, and who may reach it.
fn socket(name: &str, listen: Option<SocketAddr>, networks: &[IpNet]) -> String {
    let Some(address) = listen else {
        return format!("# {name}.listen is closed.\n[Unit]\nConditionPathExists=!/\n");
    };
    let mut text =
        format!("# Made from the configuration.\n[Socket]\nListenStream=\nListenStream={address}\n");
    allow(&mut text, networks.iter());
    own(&mut text, address);
    text
}

/// Where modalities connect to.
fn modalities(settings: &Settings) -> Vec<SocketAddr> {
    let (dimse, relays) = (&settings.dimse, settings.relays.values().filter_map(|relay| relay.listen));
    dimse.listen.into_iter().chain(dimse.tls.as_ref().map(|tls| tls.listen)).chain(relays).collect()
}

/// Where monitoring connects to, and from where; `None` where that is this host only, which is let through anyhow.
fn monitoring(settings: &Settings) -> Option<(SocketAddr, &[IpNet])> {
    let MetricsSettings { listen, allow, .. } = &settings.metrics;
    Some(((*listen)?, allow.as_slice())).filter(|(address, _)| !address.ip().is_loopback())
}

/// The service tests itself where it listens, from that address.
fn own(text: &mut String, address: SocketAddr) {
    if !address.ip().is_unspecified() && !address.ip().is_loopback() {
        let _ = writeln!(text, "IPAddressAllow={}", address.ip());
    }
}

fn allow<'n>(text: &mut String, networks: impl Iterator<Item = &'n IpNet>) {
    for network in networks {
        let _ = writeln!(text, "IPAddressAllow={network}");
    }
}

/// Rules that let `networks` reach `address`.
fn admitting(address: SocketAddr, networks: &[IpNet]) -> String {
    let mut text = String::new();
    for network in networks {
        let family = if matches!(network, IpNet::V4(_)) { "ip" } else { "ip6" };
        let _ =
            writeln!(text, "        {family} saddr {} tcp dport {} accept", network.trunc(), address.port());
    }
    text
}

/// Somebody whom the service connects to.
#[derive(Debug, PartialEq, Eq)]
enum Peer {
    Address(IpAddr),
    /// Known by name only.
    Name,
}

/// Every peer of the configuration, with the key that names it.
fn peers(loaded: &Loaded) -> Vec<(&str, Peer)> {
    let is_peer = |key: &str| key.ends_with(".address") || key.ends_with(".url") || key == "audit.receiver";
    let named = loaded.values.iter().filter(|value| is_peer(&value.key));
    named
        .filter_map(|value| {
            let text = value.value.as_str().filter(|text| !text.is_empty())?;
            let host = match text.split_once("://") {
                Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
                None => text,
            };
            Some((value.key.as_str(), Peer::of(host)))
        })
        // This host is let through anyhow.
        .filter(|(_, peer)| !matches!(peer, Peer::Address(address) if address.is_loopback()))
        .collect()
}

impl Peer {
    /// Of `HOST` or `HOST:PORT`.
    fn of(host: &str) -> Self {
        if host.split(':').next() == Some("localhost") {
            return Self::Address(Ipv4Addr::LOCALHOST.into());
        }
        let address = host.parse::<SocketAddr>().map(|address| address.ip());
        let address = address.or_else(|_| host.trim_start_matches('[').trim_end_matches(']').parse());
        address.map_or(Self::Name, Self::Address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn walls(text: &str) -> Walls {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("framegate.toml");
        fs::write(&file, text).unwrap();
        Walls::of(&config::load(Some(&file), std::iter::empty()).unwrap())
    }

    fn drop_in<'w>(walls: &'w Walls, unit: &str) -> &'w str {
        walls.drop_ins.iter().find(|(name, _)| *name == unit).map(|(_, text)| text.as_str()).unwrap()
    }

    const BASE: &str = "[dicomweb]\nlisten = \"192.0.2.1:443\"\nallow = [\"198.51.100.0/24\", \"2001:db8::/32\"]\n\
                        tls.self_signed = true\n";

    #[test]
    fn the_sockets_are_where_the_configuration_listens() {
        let walls = walls(&format!("{BASE}[dimse]\nlisten = \"\"\n"));
        let web = drop_in(&walls, "framegate-dicomweb.socket");
        assert!(web.contains("ListenStream=\nListenStream=192.0.2.1:443\n"), "{web}");
        for allowed in ["198.51.100.0/24", "2001:db8::/32", "192.0.2.1"] {
            assert!(web.contains(&format!("IPAddressAllow={allowed}\n")), "{allowed}: {web}");
        }
        let dimse = drop_in(&walls, "framegate-dimse.socket");
        assert!(dimse.contains("ConditionPathExists=!/") && !dimse.contains("ListenStream"), "{dimse}");
    }

    #[test]
    fn whoever_is_named_is_let_through_and_nobody_else() {
        let walls = walls(&format!(
            "{BASE}[dimse]\nallow = [\"192.0.2.20/32\"]\n\
             [relay.pacs]\ncalled_ae_title = \"PACS\"\naddress = \"192.0.2.9:104\"\nlisten = \"[::]:10104\"\n\
             [destination.ai]\nurl = \"https://[2001:db8::7]:8443/x\"\n\
             [audit]\nreceiver = \"192.0.2.30:6514\"\nca = \"/a\"\n"
        ));
        let service = drop_in(&walls, "framegate.service");
        for allowed in ["198.51.100.0/24", "192.0.2.20/32", "192.0.2.9", "2001:db8::7", "192.0.2.30"] {
            assert!(service.contains(&format!("IPAddressAllow={allowed}\n")), "{allowed}: {service}");
        }
        assert!(!service.contains("any"), "{service}");
        for rule in
            ["ip saddr 192.0.2.20/32 tcp dport 10104 accept", "ip6 saddr 2001:db8::/32 tcp dport 443 accept"]
        {
            assert!(walls.nftables.contains(rule), "{}", walls.nftables);
        }
        assert!(!walls.nftables.contains("192.0.2.20/32 tcp dport 443"), "{}", walls.nftables);
    }

    #[test]
    fn the_console_lets_in_its_own_networks_and_none_while_it_is_closed() {
        let console = "[console]\nallow = [\"203.0.113.0/24\"]\n";
        let closed = walls(&format!("{BASE}{console}"));
        let open = walls(&format!("{BASE}{console}listen = \"192.0.2.1:9443\"\n"));
        for (walls, is_open) in [(closed, false), (open, true)] {
            let service = drop_in(&walls, "framegate.service");
            assert_eq!(service.contains("IPAddressAllow=203.0.113.0/24\n"), is_open, "{service}");
            let rule = "ip saddr 203.0.113.0/24 tcp dport 9443 accept";
            assert_eq!(walls.nftables.contains(rule), is_open, "{}", walls.nftables);
            assert!(!walls.nftables.contains("203.0.113.0/24 tcp dport 443"), "{}", walls.nftables);
        }
    }

    #[test]
    fn monitoring_is_let_in_where_it_is_not_on_this_host() {
        let listens = |address: &str| {
            walls(&format!(
                "{BASE}[metrics]\nlisten = \"{address}\"\nallow = [\"203.0.113.5\"]\ntoken = \"/etc/framegate/token\"\n"
            ))
        };
        let there = listens("192.0.2.1:9100");
        assert!(
            there.nftables.contains("ip saddr 203.0.113.5/32 tcp dport 9100 accept"),
            "{}",
            there.nftables
        );
        assert!(drop_in(&there, "framegate.service").contains("IPAddressAllow=203.0.113.5/32\n"));
        let here = listens("127.0.0.1:9100");
        assert!(!here.nftables.contains("9100"), "{}", here.nftables);
        assert!(!drop_in(&here, "framegate.service").contains("203.0.113.5"));
    }

    #[test]
    fn a_peer_that_is_known_by_name_opens_the_wall_and_is_told() {
        let walls = walls(&format!("{BASE}[destination.ai]\nurl = \"https://ai.example/dicomweb\"\n"));
        let service = drop_in(&walls, "framegate.service");
        assert!(service.contains("# destination.ai.url names a host"), "{service}");
        assert!(service.contains("IPAddressAllow=any"), "{service}");
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        for (text, address) in [
            ("192.0.2.9:104", "192.0.2.9"),
            ("192.0.2.9", "192.0.2.9"),
            ("[2001:db8::7]:8443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("localhost:104", "127.0.0.1"),
        ] {
            assert_eq!(Peer::of(text), Peer::Address(address.parse().unwrap()), "{text}");
        }
        for name in ["pacs.example:104", "pacs", ""] {
            assert_eq!(Peer::of(name), Peer::Name, "{name}");
        }
    }
}
