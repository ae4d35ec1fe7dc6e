//! What the machine says of itself: memory, load, sensors, file systems, addresses. Read from /proc and /sys, bounded,
//! and with another way where the unit hides a file (ProcSubset=pid). A value that cannot be had is left empty.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::sys::sysinfo::{SysInfo, sysinfo};

use crate::config::profile::{BoxFacts, OWN_PROFILES, Profiles, Thermal};
use crate::net::file;
use crate::status::{DiskStatus, SystemStatus, TemperatureStatus};

/// Most bytes of a file that are read.
const MOST: u64 = 1 << 20;
/// Most sensors.
const SENSORS: usize = 64;
/// Most addresses.
const ADDRESSES: usize = 64;
/// Which sensors a machine of ours has where.
const HWMON: &str = "/sys/class/hwmon";
const THERMAL: &str = "/sys/class/thermal";

/// A small text file, trimmed; empty where there is none.
pub(super) fn text(path: impl AsRef<Path>) -> String {
    let read = file::read(path.as_ref(), MOST).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&read).trim_matches(['\0', '\n', ' ']).to_owned()
}

/// What does not change while the machine runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    still: SystemStatus,
    thermal: Option<Thermal>,
}

impl Machine {
    /// Reads it.
    pub(super) fn read() -> Self {
        // A profile that is faulty is told by those who need it.
        let profiles = Profiles::load(Some(Path::new(OWN_PROFILES))).ok();
        let facts = facts();
        let profile = profiles.as_ref().and_then(|profiles| profiles.box_for(&facts)).map(|(found, _)| found);
        let still = SystemStatus {
            device_id: text("/etc/framegate/identity/device-id"),
            image_version: image_version(),
            slot: slot(&text("/proc/cmdline"), &text("/run/framegate-units/slot")),
            profile: profile.map(|profile| profile.name.clone()).unwrap_or_default(),
            ..SystemStatus::default()
        };
        Self { still, thermal: profile.and_then(|profile| profile.thermal.clone()) }
    }

    /// How it is now; `disks` are the file systems that we write to, by what is on them.
    pub(super) fn now(&self, disks: &[(&'static str, PathBuf)]) -> SystemStatus {
        let said = sysinfo().ok();
        let processors = thread::available_parallelism().map_or(1, usize::from) as f64;
        let load = said.as_ref().map_or(0.0, |said| said.load_average().0) / processors;
        let memory = text("/proc/meminfo");
        let memory = |key| kibibytes(&memory, key);
        let free = || said.as_ref().map(SysInfo::ram_unused);
        let all = || said.as_ref().map(SysInfo::ram_total);
        SystemStatus {
            uptime_seconds: said.map_or(Duration::ZERO, |said| said.uptime()).as_secs(),
            load: (load * 100.0).round() / 100.0,
            memory_available_bytes: memory("MemAvailable:").or_else(free).unwrap_or_default(),
            memory_bytes: memory("MemTotal:").or_else(all).unwrap_or_default(),
            temperatures: temperatures(Path::new(HWMON), Path::new(THERMAL), self.thermal.as_ref()),
            disks: disks.iter().filter_map(|(name, place)| disk(name, place)).collect(),
            ..self.still.clone()
        }
    }
}

/// What kind of box it is.
pub fn facts() -> BoxFacts {
    let compatible = file::read(Path::new("/sys/firmware/devicetree/base/compatible"), MOST).ok().flatten();
    let compatible = compatible.unwrap_or_default();
    let compatible = String::from_utf8_lossy(&compatible);
    BoxFacts {
        vendor: text("/sys/class/dmi/id/sys_vendor"),
        product: text("/sys/class/dmi/id/product_name"),
        compatible: compatible.split('\0').filter(|text| !text.is_empty()).map(str::to_owned).collect(),
    }
}

/// The version of the image that we are part of; empty where it is none of ours.
pub(in crate::service) fn image_version() -> String {
    image_version_in(&text("/etc/os-release"))
}

/// `IMAGE_VERSION` of an image of ours (os-release(5)).
fn image_version_in(release: &str) -> String {
    let of = |key: &str| {
        let mut lines = release.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.next().map(|value| value.trim_matches('"').to_owned())
    };
    of("IMAGE_VERSION").filter(|_| of("IMAGE_ID").as_deref() == Some("framegate")).unwrap_or_default()
}

/// `rauc.slot=` of the kernel's command line, or what was noted of it where that is hidden.
fn slot(command_line: &str, noted: &str) -> String {
    let mut words = command_line.split_whitespace();
    words.find_map(|word| word.strip_prefix("rauc.slot=")).unwrap_or(noted).to_owned()
}

/// `MemTotal:  16316412 kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn disk(name: &str, place: &Path) -> Option<DiskStatus> {
    let said = statvfs(place).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(said.fragment_size());
    Some(DiskStatus {
        name: name.to_owned(),
        free_bytes: bytes(said.blocks_available()),
        bytes: bytes(said.blocks()),
    })
}

/// The entries of a folder, in their order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).into_iter().flatten().take(4 * SENSORS);
    let mut found: Vec<_> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}

/// Sensors of chips, and zones that no chip has; `known` says what is critical in zones that the profile names.
fn temperatures(hwmon: &Path, thermal: &Path, known: Option<&Thermal>) -> Vec<TemperatureStatus> {
    let degrees = |path: PathBuf| text(path).parse::<f64>().ok().map(|milli| milli / 1000.0);
    let mut found = Vec::new();
    for chip in entries(hwmon) {
        let name = text(chip.join("name"));
        for input in entries(&chip) {
            let file = input.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let Some(sensor) = file.strip_suffix("_input").filter(|file| file.starts_with("temp")) else {
                continue;
            };
            let Some(celsius) = degrees(input) else { continue };
            let label = text(chip.join(format!("{sensor}_label")));
            let critical = degrees(chip.join(format!("{sensor}_crit")));
            found.push(TemperatureStatus {
                name: format!("{name} {}", if label.is_empty() { sensor } else { &label }),
                celsius,
                critical_celsius: critical.filter(|&critical| critical > 0.0 && critical < 200.0),
            });
        }
    }
    for zone in entries(thermal) {
        let Some(celsius) = degrees(zone.join("temp")) else { continue };
        let name = text(zone.join("type"));
        let critical = (0..8).find_map(|nth| {
            let kind = text(zone.join(format!("trip_point_{nth}_type")));
            (kind == "critical").then(|| degrees(zone.join(format!("trip_point_{nth}_temp")))).flatten()
        });
        let profile =
            known.filter(|known| known.zones.contains(&name)).map(|known| f64::from(known.critical_c));
        found.push(TemperatureStatus { name, celsius, critical_celsius: profile.or(critical) });
    }
    found.truncate(SENSORS);
    found
}

/// Addresses of this machine but for loopback and link-local ones. Asked of /proc, since the unit has no netlink.
pub(super) fn addresses() -> Vec<String> {
    let v4 = text("/proc/self/net/fib_trie");
    let v6 = text("/proc/self/net/if_inet6");
    let mut found: Vec<String> = ipv4(&v4).iter().map(ToString::to_string).collect();
    found.extend(v6.lines().filter_map(ipv6).map(|address| address.to_string()));
    found.truncate(ADDRESSES);
    found
}

/// Of fib_trie: an address stands in the line before `/32 host LOCAL`.
fn ipv4(text: &str) -> BTreeSet<Ipv4Addr> {
    let (mut found, mut last) = (BTreeSet::new(), None);
    for line in text.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(last.filter(|address| !address.is_loopback() && !address.is_link_local()));
        }
    }
    found
}

/// Of if_inet6: 32 hex digits, index, prefix, scope, flags, name.
fn ipv6(line: &str) -> Option<Ipv6Addr> {
    let number = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
    let address = Ipv6Addr::from(number);
    (!address.is_loopback() && !address.is_unicast_link_local()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(
            kibibytes("MemTotal:       16316412 kB\nMemAvailable:   1 kB\n", "MemAvailable:"),
            Some(1024)
        );
        assert_eq!(kibibytes("MemTotal: x kB", "MemTotal:"), None);
        let release = "ID=debian\nIMAGE_ID=framegate\nIMAGE_VERSION=1.2.3\n";
        assert_eq!(image_version_in(release), "1.2.3");
        assert_eq!(image_version_in(&release.replace("framegate", "other")), "");
        assert_eq!((slot("a rauc.slot=B c", ""), slot("", "A")), ("B".to_owned(), "A".to_owned()));
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        \
                    /32 host LOCAL\n     |-- 192.0.2.0\n        /24 link UNICAST\n";
        assert_eq!(ipv4(trie).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(
            ipv6("20010db8000000000000000000000001 02 40 00 80 eth0").unwrap().to_string(),
            "2001:db8::1"
        );
        assert_eq!(ipv6("fe800000000000000000000000000001 02 40 20 80 eth0"), None);
    }

    #[test]
    fn sensors_are_those_of_chips_and_zones() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("hwmon/hwmon0/name", "coretemp\n");
        write("hwmon/hwmon0/temp1_input", "41000\n");
        write("hwmon/hwmon0/temp1_label", "Package id 0\n");
        write("hwmon/hwmon0/temp1_crit", "100000\n");
        write("hwmon/hwmon0/temp2_input", "broken\n");
        write("hwmon/hwmon0/fan1_input", "900\n");
        write("thermal/thermal_zone0/type", "soc");
        write("thermal/thermal_zone0/temp", "55500");
        let found = temperatures(&folder.path().join("hwmon"), &folder.path().join("thermal"), None);
        let seen: Vec<_> =
            found.iter().map(|one| (one.name.as_str(), one.celsius, one.critical_celsius)).collect();
        assert_eq!(seen, [("coretemp Package id 0", 41.0, Some(100.0)), ("soc", 55.5, None)]);
        let known = Thermal { zones: vec!["soc".to_owned()], warn_c: 70, critical_c: 85 };
        let found = temperatures(Path::new("/no"), &folder.path().join("thermal"), Some(&known));
        assert_eq!(found[0].critical_celsius, Some(85.0));
    }

    #[test]
    fn a_disk_has_room() {
        let disk = disk("runtime", Path::new("/")).unwrap();
        assert!(disk.bytes >= disk.free_bytes && disk.bytes > 0);
        assert!(super::disk("spool", Path::new("/no/such/place")).is_none());
    }
}
