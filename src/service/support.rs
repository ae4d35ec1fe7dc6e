//! A support bundle: one compressed archive with what somebody elsewhere needs to know of a box, and nothing of a patient.
//! The service puts its own part together ([`bundle`]), for the console and the control socket; `framegate
//! support-bundle` adds what it finds out itself.
//!
//! Nothing in it is PHI: the status has none, the configuration is what `framegate check` prints, with filters and names
//! withheld, and the log never holds any. All of it is bounded.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::health::wall;
use super::spool::given_directory;
use super::status::Collector;
use crate::config::{self, EffectiveValue};
use crate::event;
use crate::net::file;

/// Most bytes of one file of it.
const MOST: u64 = 8 << 20;
/// Most files.
const FILES: usize = 64;
/// Log entries: all that are kept.
const ENTRIES: usize = 2000;
/// What it holds, by name, in itself.
pub const MANIFEST: &str = "MANIFEST";
/// What each file is.
const KNOWN: &[(&str, &str)] = &[
    ("configuration.toml", "the effective configuration; filters, names of patients and keys are left out"),
    ("doctor.txt", "what framegate doctor found"),
    ("health.json", "the last self-test"),
    ("journal.jsonl", "the newest log entries of the service"),
    ("proc.txt", "memory, load and limits, as the kernel tells them"),
    ("service-proc.txt", "memory, limits, mounts and network counters of the process"),
    ("status.json", "what framegate status shows"),
    ("units.txt", "how the units of systemd stand"),
    ("version.txt", "versions, and when this was made"),
];

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Part {
    /// A file of this name; what is beyond the bound is cut off.
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes = bytes.into();
        bytes.truncate(usize::try_from(MOST).unwrap_or(usize::MAX));
        Self { name: name.to_owned(), bytes }
    }

    /// What it is.
    pub fn is(&self) -> &'static str {
        KNOWN.iter().find(|(name, _)| *name == self.name).map_or("", |(_, what)| what)
    }
}

/// The service's own part, as an archive. Call it where blocking is allowed.
///
/// # Errors
/// When it cannot be written, which memory alone decides.
pub fn bundle(collector: &Collector) -> io::Result<Vec<u8>> {
    let mut parts = vec![
        version(),
        Part::new("status.json", serde_json::to_vec_pretty(&collector.collect())?),
        configuration(&collector.loaded().values)?,
        journal()?,
        listing(
            "service-proc.txt",
            &["/proc/self/status", "/proc/self/limits", "/proc/self/mountinfo", "/proc/self/net/dev"],
        ),
    ];
    parts.extend(given_directory().and_then(|directory| health(&directory)));
    archive(parts)
}

/// Which program made it, and when.
pub fn version() -> Part {
    let now = wall(SystemTime::now());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let (version, kernel) = (env!("CARGO_PKG_VERSION"), kernel.trim());
    Part::new("version.txt", format!("framegate {version}\nmade {now}\nkernel {kernel}\n\n{release}"))
}

/// The configuration, as `framegate check` prints it.
///
/// # Errors
/// Memory is all that it writes to.
pub fn configuration(values: &[EffectiveValue]) -> io::Result<Part> {
    let mut text = Vec::new();
    config::print(values, &mut text)?;
    Ok(Part::new("configuration.toml", text))
}

/// The last self-test, where there is one.
pub fn health(directory: &Path) -> Option<Part> {
    let bytes = file::read(&directory.join(super::health::FILE), MOST).ok()??;
    Some(Part::new("health.json", bytes))
}

fn journal() -> io::Result<Part> {
    let mut text = Vec::new();
    for entry in event::recent().after(0, ENTRIES) {
        serde_json::to_writer(&mut text, &entry)?;
        text.push(b'\n');
    }
    Ok(Part::new("journal.jsonl", text))
}

/// Small files of the kernel's, one after the other; those that cannot be read are left out.
pub fn listing(name: &str, files: &[&str]) -> Part {
    let mut text = String::new();
    for path in files {
        if let Ok(Some(bytes)) = file::read(Path::new(path), MOST) {
            text.push_str(&format!("==> {path}\n{}\n", String::from_utf8_lossy(&bytes)));
        }
    }
    Part::new(name, text)
}

/// What is in an archive of these, one line a file: name, bytes, what it is.
pub fn manifest(parts: &[Part]) -> String {
    parts.iter().map(|part| format!("{:<20} {:>9}  {}\n", part.name, part.bytes.len(), part.is())).collect()
}

/// Puts them into one archive, in the order of their names, with a list of what it holds.
///
/// # Errors
/// When it cannot be written, which memory alone decides.
pub fn archive(mut parts: Vec<Part>) -> io::Result<Vec<u8>> {
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    parts.truncate(FILES);
    let manifest = Part::new(MANIFEST, manifest(&parts));
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    for part in std::iter::once(&manifest).chain(&parts) {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("framegate-support/{}", part.name), &*part.bytes)?;
    }
    let mut compressed = archive.into_inner()?;
    compressed.flush()?;
    compressed.finish()
}

/// What is in an archive of ours, but for its list.
///
/// # Errors
/// When it is none.
pub fn parts(archive: &[u8]) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries()?.take(FILES + 1) {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = name.to_owned();
        let mut bytes = Vec::new();
        entry.take(MOST).read_to_end(&mut bytes)?;
        if name != MANIFEST {
            parts.push(Part { name, bytes });
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_with_a_list_of_it() {
        let one = Part::new("version.txt", "1");
        let two = Part::new("configuration.toml", "[hub]\n");
        let archive = archive(vec![one.clone(), two.clone()]).unwrap();
        assert_eq!(parts(&archive).unwrap(), [two.clone(), one.clone()]);
        let list = manifest(&[two, one]);
        assert!(list.starts_with("configuration.toml           6  the effective configuration"), "{list}");
        assert_eq!(list.lines().count(), 2);
        assert!(parts(b"no archive").is_err());
    }

    #[test]
    fn every_file_is_bounded_and_has_its_line() {
        assert_eq!(Part::new("status.json", vec![b'x'; 9 << 20]).bytes.len() as u64, MOST);
        for (name, what) in KNOWN {
            assert!(!what.is_empty() && Part::new(name, "").is() == *what);
        }
    }
}
