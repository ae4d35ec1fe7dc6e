//! The wall inside the process: Landlock (landlock(7)), which takes from a process, for good, what it will not need.
//!
//! The unit forbids much the same from outside, by namespaces and mounts. This holds too where there is no unit, and
//! where somebody loosens one. What stays: reading the system's own folders and those that the configuration names,
//! writing the state, using devices, and running the two programs that know about the clock.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};

use super::{events, spool};
use crate::config::Loaded;

/// What we speak of; an older kernel enforces what it knows of it.
const KNOWN: ABI = ABI::V6;
/// Read, whatever the configuration: libraries, name resolution, time zones, what devices say of themselves.
const SYSTEM: &[&str] = &["/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sys", "/usr"];
/// Executed: what says whether the clock is right, and the loader of either.
const PROGRAMS: &[&str] = &[
    "/usr/bin/chronyc",
    "/usr/sbin/pmc",
    "/usr/lib64/ld-linux-x86-64.so.2",
    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
    "/usr/lib/ld-linux-x86-64.so.2",
    "/usr/lib/ld-linux-aarch64.so.1",
];

/// Which folders a configuration needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Folders {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

/// Confines the calling thread and all that it starts from now on, so it has to be called before any other thread
/// runs. `file` is the configuration's own path.
///
/// Without `service.landlock`, or on a kernel without Landlock, nothing happens but a line in the log.
///
/// # Errors
/// When the kernel has Landlock and refuses the rules.
pub fn confine(loaded: &Loaded, file: &Path) -> Result<(), RulesetError> {
    if !loaded.settings.service.landlock {
        events::Unconfined {}.tell();
        return Ok(());
    }
    let folders = Folders::of(loaded, file);
    if let Some(directory) = &loaded.settings.spool.directory {
        // A rule is about a folder that is there. What prevents it is told when the spool is opened.
        let _ = spool::make(directory);
    }
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let devices = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let state = AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(&folders.read, read))?
        .add_rules(path_beneath_rules(["/dev"], devices))?
        // Where a USB device is switched off and on again.
        .add_rules(path_beneath_rules(["/sys/devices"], AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&folders.write, state))?
        .add_rules(path_beneath_rules(PROGRAMS, read | AccessFs::Execute))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced => events::NoLandlock {}.tell(),
        RulesetStatus::FullyEnforced => events::Confined { kernel: "all of it" }.tell(),
        RulesetStatus::PartiallyEnforced => events::Confined { kernel: "what this kernel knows" }.tell(),
    }
    Ok(())
}

impl Folders {
    fn of(loaded: &Loaded, file: &Path) -> Self {
        let texts = loaded.values.iter().flat_map(|value| match &value.value {
            toml::Value::String(text) => vec![text.as_str()],
            toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_str).collect(),
            _ => Vec::new(),
        });
        // Files are replaced by renaming, so it is the folder that counts.
        let mut read: Vec<_> = texts.filter_map(folder).chain(folder(&file.to_string_lossy())).collect();
        read.sort();
        read.dedup();
        let write =
            loaded.settings.spool.directory.iter().cloned().chain([spool::runtime_directory()]).collect();
        Self { read, write }
    }
}

/// The folder of a file that is named, if this is the name of one.
fn folder(text: &str) -> Option<PathBuf> {
    let text = text.strip_prefix("replay:").unwrap_or(text);
    let folder = Path::new(text).parent()?;
    if folder.as_os_str().is_empty() {
        return Path::new(text).is_file().then(|| PathBuf::from("."));
    }
    folder.is_dir().then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config;

    #[test]
    fn what_the_configuration_names_may_be_read_and_only_the_state_written() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = place.path().join(name);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let (etc, tls, spool) = (folder("etc"), folder("tls"), folder("spool"));
        let file = etc.join("framegate.toml");
        let text = format!(
            "[dicomweb]\nlisten = \"[::1]:8443\"\ntls.certificate = \"{0}/a.pem\"\ntls.key = \"{0}/a.key\"\n\
             cors_origins = [\"https://viewer.example\"]\n[spool]\ndirectory = \"{1}\"\n",
            tls.display(),
            spool.display()
        );
        fs::write(&file, text).unwrap();
        let loaded = config::load(Some(&file), std::iter::empty()).unwrap();
        let folders = Folders::of(&loaded, &file);
        assert_eq!(folders.read, [place.path().to_owned(), etc, tls]);
        assert!(folders.write.contains(&spool) && folders.write.len() == 2, "{:?}", folders.write);
    }

    #[test]
    fn names_of_files_are_told_from_other_text() {
        assert_eq!(folder("replay:/usr/clip.toml"), Some("/usr".into()));
        for none in
            ["", "FRAMEGATE", "1.2.840.10008.1.1", "https://gate.example/x", "Modality=XA", "/no/such/file"]
        {
            assert_eq!(folder(none), None, "{none}");
        }
    }
}
