//! Files become [`Profiles`]: the built-in ones first, then an operator's, which replace those of the same
//! name. All faults of all files are told at once, with file, line, column and what to write.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::boxes::BoxProfile;
use super::built_in;
use super::capture::CaptureProfile;
use super::{Profiles, Provenance, edid, value};
use crate::config::origin::{printable, shortened};

/// Largest file (bytes).
const FILE_BYTES: u64 = 64 << 10;
/// Most files of one folder that are read.
const FILES: usize = 256;

/// What is wrong with a profile, or with a clip. Displays on one line, as `FILE:LINE:COLUMN: what; what to do`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", Place(*place))]
pub struct ProfileError {
    /// The file or folder; of a built-in one, its name below the source.
    pub file: String,
    /// Line and column (characters), from 1; `None` when it is about the whole file.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what to do about it.
    pub what: String,
}

struct Place(Option<(usize, usize)>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
    }
}

/// What is read of every profile first, to know what it is.
#[derive(Deserialize)]
struct Kind {
    kind: KindName,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindName {
    Box,
    Capture,
}

impl Profiles {
    /// The built-in profiles, and over them those of a folder: `*.toml`, and `edid/*.hex` below it. A folder
    /// that is not there has none.
    ///
    /// # Errors
    /// Everything that is wrong, at least one thing. The built-in profiles alone load always; a test tries.
    pub fn load(dir: Option<&Path>) -> Result<Self, Vec<ProfileError>> {
        let mut loading = Loading::default();
        for (name, text) in built_in::EDIDS {
            loading.edid(&format!("hw-profiles/{name}"), stem(name), text);
        }
        for (name, text) in built_in::PROFILES {
            loading.profile(Provenance::BuiltIn, &format!("hw-profiles/{name}"), stem(name), text);
        }
        if let Some(dir) = dir {
            loading.folder(&dir.join("edid"), "hex", |loading, file, stem, text| {
                loading.edid(file, stem, text);
            });
            loading.folder(dir, "toml", |loading, file, stem, text| {
                loading.profile(Provenance::Own, file, stem, text);
            });
        }
        loading.finish()
    }
}

fn stem(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once('.').map_or(last, |(stem, _)| stem)
}

/// What has been read so far.
#[derive(Default)]
struct Loading {
    captures: BTreeMap<String, (Provenance, CaptureProfile)>,
    boxes: BTreeMap<String, (Provenance, BoxProfile)>,
    edids: BTreeMap<String, Vec<u8>>,
    /// The file of each profile, to tell of what it names that is not there.
    files: BTreeMap<String, String>,
    errors: Vec<ProfileError>,
}

impl Loading {
    fn error(&mut self, file: &str, place: Option<(usize, usize)>, what: String) {
        self.errors.push(ProfileError { file: file.to_owned(), place, what });
    }

    /// Reads the files of a folder whose names end so, in their order. Hidden files are left out.
    fn folder(&mut self, dir: &Path, ending: &str, take: impl Fn(&mut Self, &str, &str, &str)) {
        let shown = printable(&dir.to_string_lossy());
        let listing = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.error(&shown, None, format!("cannot be read: {error}")),
            Ok(listing) => listing,
        };
        let mut paths = Vec::new();
        for entry in listing {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => return self.error(&shown, None, format!("cannot be read: {error}")),
            };
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden || path.extension().is_none_or(|found| found != ending) {
                continue;
            }
            if paths.len() == FILES {
                return self.error(&shown, None, format!("holds more than {FILES} files; remove some"));
            }
            paths.push(path);
        }
        paths.sort();
        for path in paths {
            let file = printable(&path.to_string_lossy());
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            match read(&path) {
                Ok(text) => take(self, &file, &stem, &text),
                Err(what) => self.error(&file, None, what),
            }
        }
    }

    fn edid(&mut self, file: &str, stem: &str, text: &str) {
        if !value::is_name(stem) {
            return self.error(file, None, "has a name that no profile can name; rename it".to_owned());
        }
        match edid::parse(text) {
            Ok(edid) => {
                self.edids.insert(stem.to_owned(), edid);
            }
            Err(what) => self.error(file, None, what),
        }
    }

    fn profile(&mut self, provenance: Provenance, file: &str, stem: &str, text: &str) {
        let read: Result<String, _> = toml::from_str::<Kind>(text).and_then(|found| match found.kind {
            KindName::Box => toml::from_str::<BoxProfile>(text).map(|profile| {
                let name = profile.name.clone();
                self.boxes.insert(name.clone(), (provenance, profile));
                name
            }),
            KindName::Capture => toml::from_str::<CaptureProfile>(text).map(|profile| {
                let name = profile.name.clone();
                self.captures.insert(name.clone(), (provenance, profile));
                name
            }),
        });
        match read {
            Ok(name) if name == stem => {
                self.files.insert(name, file.to_owned());
            }
            Ok(name) => {
                let what =
                    format!("has the name {name:?}; name the file {name}.toml, or the profile as the file");
                self.error(file, None, what);
            }
            Err(error) => self.errors.push(told(file, text, error)),
        }
    }

    /// Profiles, if each thing that one names is there.
    fn finish(mut self) -> Result<Profiles, Vec<ProfileError>> {
        let mut missing = Vec::new();
        for (name, (_, profile)) in &self.captures {
            if let Some(edid) = profile.edid.as_ref().filter(|edid| !self.edids.contains_key(*edid)) {
                missing
                    .push((name, format!("edid: there is no edid/{edid}.hex; add it, or leave the key out")));
            }
        }
        for (name, (_, profile)) in &self.boxes {
            for capture in profile.capture.iter().filter(|capture| !self.captures.contains_key(*capture)) {
                let capture = shortened(capture);
                missing.push((
                    name,
                    format!("capture: there is no capture profile {capture:?}; add it, or leave it out"),
                ));
            }
        }
        let missing = missing.into_iter().map(|(name, what)| ProfileError {
            file: self.files.get(name).cloned().unwrap_or_default(),
            place: None,
            what,
        });
        let missing: Vec<_> = missing.collect();
        // What a faulty file would have brought is missing for no other fault.
        if self.errors.is_empty() {
            self.errors = missing;
        }
        if self.errors.is_empty() {
            Ok(Profiles { captures: self.captures, boxes: self.boxes, edids: self.edids })
        } else {
            Err(self.errors)
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let about = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe would keep us waiting.
    if !fs::metadata(path).map_err(about)?.is_file() {
        return Err("is no file; remove it".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(about)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(format!("is larger than {FILE_BYTES} bytes; shorten it"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8; save it as UTF-8".to_owned())
}

/// One file that is nothing but a `T`.
pub(super) fn one<T: DeserializeOwned>(path: &Path) -> Result<T, ProfileError> {
    let file = printable(&path.to_string_lossy());
    match read(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| told(&file, &text, error)),
        Err(what) => Err(ProfileError { file, place: None, what }),
    }
}

fn told(file: &str, text: &str, mut error: toml::de::Error) -> ProfileError {
    let place = error.span().map(|span| place(text, span.start));
    // Without the text the error is told without a drawing of it.
    error.set_input(None);
    let what: Vec<&str> = error.message().lines().map(str::trim).collect();
    ProfileError { file: file.to_owned(), place, what: printable(&what.join(" ")) }
}

/// Line and column of a byte offset, from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
