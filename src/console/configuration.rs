//! The configuration of the room, changed at the console. The service may write none: it checks what is wanted, as a
//! start would, and leaves it in its runtime directory, where `systemd/configure` finds it, with root's rights. That
//! puts it in force, and takes it back unless the gateway works with it and whoever wanted it comes back here, in time,
//! to confirm it. So nobody locks themselves out for good.
//!
//! What is changed is one drop-in, which beats the files that the box began with; they stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{self, Answer, done};
use super::events;
use crate::config;
use crate::dicomweb::problem::Problem;
use crate::net::file;

/// The drop-in.
const DROP_IN: &str = "90-console.toml";
/// Below the runtime directory.
const FOLDER: &str = "configuration";
/// What puts it in force.
const HELPER: &str = "/usr/lib/framegate/configure";
/// Most bytes of a drop-in.
pub(super) const MOST: usize = 256 << 10;

/// Where the configuration is, and where what is wanted of it is left.
#[derive(Debug, Clone)]
pub struct Configuring {
    file: PathBuf,
    folder: PathBuf,
    helper: PathBuf,
}

/// What became of the last change.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outcome {
    /// `refused`, `trying`, `waiting` (to be confirmed), `kept` or `taken-back`.
    state: String,
    /// Why, or for how many seconds it is waited.
    said: String,
}

/// What is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    text: String,
}

impl Configuring {
    /// Of the configuration at `file`, by way of the runtime directory.
    pub fn new(file: &Path, runtime: &Path) -> Self {
        Self { file: file.to_owned(), folder: runtime.join(FOLDER), helper: PathBuf::from(HELPER) }
    }

    fn drop_in(&self) -> PathBuf {
        self.file.with_file_name("framegate.d").join(DROP_IN)
    }

    /// Whether this machine has what puts a change in force.
    fn is_possible(&self) -> bool {
        self.helper.exists()
    }

    fn outcome(&self) -> Option<Outcome> {
        let line = file::read(&self.folder.join("result"), 4096).ok().flatten()?;
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        let (state, said) = line.split_once(' ').unwrap_or((&line, ""));
        Some(Outcome { state: state.to_owned(), said: said.to_owned() })
    }

    /// `GET /api/configuration`: the drop-in as it is, and what became of the last change.
    pub(super) fn show(&self) -> Answer {
        let text = match file::read(&self.drop_in(), MOST as u64) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(&error)),
        };
        answer::json(&json!({
            "possible": self.is_possible(),
            "text": String::from_utf8_lossy(&text),
            "outcome": self.outcome(),
        }))
    }

    /// `POST /api/configuration`: checks what is wanted and leaves it to be put in force; the keys that change.
    pub(super) fn want(&self, content: &[u8], user: &str) -> Answer {
        let wanted: Wanted = serde_json::from_slice(content).map_err(|_| {
            Problem::bad_body("A configuration is {\"text\":\"…\"}, the text of a drop-in in TOML.")
        })?;
        let new = config::load_with(&self.file, (DROP_IN, &wanted.text), config::process_environment())
            .map_err(|errors| refused(errors.to_string()))?;
        crate::dicomweb::access::Access::check(&new.settings.access)
            .map_err(|error| refused(error.to_string()))?;
        let old = config::load(Some(&self.file), config::process_environment())
            .map_err(|errors| refused(errors.to_string()))?;
        let changes = config::changes(&old, &new);
        let keys: Vec<_> = changes.applied.into_iter().chain(changes.needs_restart).collect();
        if !keys.is_empty() {
            if !self.is_possible() {
                return Err(impossible());
            }
            self.leave(&wanted.text).map_err(|error| failed(&error))?;
            events::ConfigurationWanted { user, keys: keys.len() }.tell();
        }
        answer::json(&json!({ "changes": keys }))
    }

    fn leave(&self, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for old in ["result", "confirmed"] {
            match fs::remove_file(self.folder.join(old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let draft = self.folder.join("draft.toml");
        fs::write(&draft, text)?;
        fs::rename(draft, self.folder.join("wanted.toml"))
    }

    /// `POST /api/configuration/confirm`: who wanted it has come back.
    pub(super) fn confirm(&self, user: &str) -> Answer {
        if self.outcome().is_none_or(|outcome| outcome.state != "waiting") {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "urn:framegate:problem:nothing-to-confirm",
                "Nothing to confirm",
                "No change of the configuration waits to be confirmed.",
            ));
        }
        fs::write(self.folder.join("confirmed"), "").map_err(|error| failed(&error))?;
        events::ConfigurationConfirmed { user }.tell();
        Ok(done())
    }
}

/// 422: it cannot be used; line by line why. Values of filters are never quoted there.
fn refused(lines: String) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "urn:framegate:problem:faulty-configuration",
        "Faulty configuration",
        lines,
    )
}

/// 409: this is no box.
pub(super) fn impossible() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "urn:framegate:problem:no-configuring",
        "Not changed here",
        "This machine lacks framegate-configure.path; its configuration is changed in its files.",
    )
}

fn failed(error: &io::Error) -> Problem {
    events::ConfigurationStuck { error }.tell();
    Problem::internal()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    const FILE: &str = "dicomweb.tls.self_signed = true\n[pattern]\nfps = 5.0\n";

    fn place() -> (tempfile::TempDir, Configuring) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("framegate.toml");
        fs::write(&file, FILE).unwrap();
        fs::create_dir(directory.path().join("framegate.d")).unwrap();
        let mut configuring = Configuring::new(&file, &directory.path().join("run"));
        configuring.helper.clone_from(&file);
        (directory, configuring)
    }

    async fn content(answer: Answer) -> Value {
        let bytes = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn wanted(text: &str) -> Vec<u8> {
        json!({ "text": text }).to_string().into_bytes()
    }

    #[tokio::test]
    async fn what_holds_is_left_and_told_by_its_keys() {
        let (_directory, configuring) = place();
        let shown = content(configuring.show()).await;
        assert_eq!(shown, json!({ "possible": true, "text": "", "outcome": null }));
        let text = "[pattern]\nfps = 9.0\n";
        let answer = content(configuring.want(&wanted(text), "it")).await;
        assert_eq!(answer, json!({ "changes": ["pattern.fps"] }));
        assert_eq!(fs::read_to_string(configuring.folder.join("wanted.toml")).unwrap(), text);
        assert!(configuring.confirm("it").is_err(), "not tried yet");
        fs::write(configuring.folder.join("result"), "waiting 180\n").unwrap();
        let shown = content(configuring.show()).await;
        assert_eq!(shown["outcome"], json!({ "state": "waiting", "said": "180" }));
        assert_eq!(configuring.confirm("it").unwrap().status(), StatusCode::NO_CONTENT);
        assert!(configuring.folder.join("confirmed").exists());
    }

    #[tokio::test]
    async fn what_does_not_hold_or_changes_nothing_is_not_left() {
        let (_directory, mut configuring) = place();
        let refused = configuring.want(&wanted("[pattern]\nfsp = 9.0\n"), "it").unwrap_err();
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.detail.contains("90-console.toml:2") && refused.detail.contains("fsp"), "{refused}");
        let filter = "[access]\nanonymous = [\"search\"]\nanonymous_filter = \"PatientNmae=Doe\"\n";
        let refused = configuring.want(&wanted(filter), "it").unwrap_err();
        assert!(!refused.detail.contains("Doe"), "{refused}");
        assert!(configuring.want(b"{}", "it").is_err() && configuring.want(b"\xff", "it").is_err());
        let same = content(configuring.want(&wanted("pattern.fps = 5.0\n"), "it")).await;
        assert_eq!(same, json!({ "changes": [] }));
        configuring.helper = configuring.file.join("none");
        let refused = configuring.want(&wanted("pattern.fps = 6.0\n"), "it").unwrap_err();
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(!configuring.folder.join("wanted.toml").exists());
    }
}
