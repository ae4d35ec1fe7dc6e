//! All kinds of log events, by the room that tells them. docs/events.md is made from this: the test below holds it
//! against the code, and writes it with `FRAMEGATE_WRITE_DOCS=1 cargo test --lib service::catalogue`.

use crate::event::Kind;
use crate::{audit, console, context, dicomweb, dimse, net, procedure, service, sink, source, spool};

/// What a reader knows a room by, and its kinds of events.
pub type Room = (&'static str, &'static [Kind]);

/// Every room that logs, from the sources to the service.
pub const ROOMS: &[Room] = &[
    ("Capture", source::capture::log_events::KINDS),
    ("Context: who is imaged", context::events::KINDS),
    ("DIMSE: associations that we answer", source::dimse::events::KINDS),
    ("DIMSE: associations of ours", dimse::events::KINDS),
    ("Relay", source::dimse::relay::events::KINDS),
    ("Spool", spool::events::KINDS),
    ("Send and Store", source::send::events::KINDS),
    ("DICOMweb", dicomweb::events::KINDS),
    ("Connections, TLS and credentials", net::events::KINDS),
    ("Console", console::events::KINDS),
    ("Notification", sink::notify::events::KINDS),
    ("Push", sink::push::events::KINDS),
    ("Instance Availability Notification", sink::availability::events::KINDS),
    ("Worklist", procedure::worklist::events::KINDS),
    ("Performed procedure steps", procedure::performed::events::KINDS),
    ("Audit trail", audit::events::KINDS),
    ("Service", service::events::KINDS),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;
    use std::{env, fs};

    use super::*;
    use crate::event::message_id;

    const HEAD: &str = "# Log events\n\n\
        Every line that framegate logs is one of these events. Made from the code; do not edit \
        (`FRAMEGATE_WRITE_DOCS=1 cargo test --lib service::catalogue`).\n\n\
        An event is known by its name, which stays when its text changes: the field `event` of a line, \
        `FRAMEGATE_EVENT` in the system's journal, where each name also has a `MESSAGE_ID`. \
        What stands in braces differs from one line to the next. A field `suppressed` says how many such events were \
        counted and not logged since the last line. None of them holds a name or an identifier of a patient.\n\n\
        `service.log` filters by level and by target, which is the path of the room in the source, such as \
        `info,framegate::source::dimse=debug`.\n";

    fn document() -> String {
        let mut text = HEAD.to_owned();
        for (room, kinds) in ROOMS {
            let _ = write!(
                text,
                "\n## {room}\n\n| event | level | text | fields | metric | what it means, and what to do |\n|---|---|---|---|---|---|\n"
            );
            for kind in *kinds {
                let code = |word: &&str| format!("`{word}`");
                let fields: Vec<_> = kind.fields.iter().map(code).collect();
                let metric = kind.metric.as_ref().map(code).unwrap_or_default();
                let Kind { name, level, meaning, .. } = kind;
                let _ = writeln!(
                    text,
                    "| {name} | {level} | `{}` | {} | {metric} | {} |",
                    kind.text,
                    fields.join(" "),
                    meaning.trim()
                );
            }
        }
        text
    }

    #[test]
    fn the_document_is_that_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
        if env::var_os("FRAMEGATE_WRITE_DOCS").is_some() {
            fs::write(&path, document()).unwrap();
        }
        let written = fs::read_to_string(path).unwrap();
        let stale = "docs/events.md is stale: FRAMEGATE_WRITE_DOCS=1 cargo test --lib service::catalogue";
        assert!(written == document(), "{stale}");
    }

    #[test]
    fn every_event_has_a_name_of_its_own_and_says_what_to_do() {
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for kind in ROOMS.iter().flat_map(|(_, kinds)| *kinds) {
            let name = kind.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(numbers.insert(message_id(name)), "{name} has the number of another");
            let word = |word: &str| {
                !word.is_empty()
                    && word.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'0'..=b'9'))
            };
            assert!(
                name.split('.').count() == 2 && name.split('.').all(word),
                "{name} is not ROOM.WHAT_HAPPENS"
            );
            assert!(kind.meaning.ends_with('.') && !kind.meaning.contains('|'), "{name}: {}", kind.meaning);
            assert!(!kind.text.is_empty() && !kind.text.contains(['|', '`', '\n']), "{name}: {}", kind.text);
        }
    }
}
