//! One TOML file becomes one layer. The file is parsed with its spans, walked against the table of
//! keys, and everything that does not belong there is reported with line and column. A file that
//! is not TOML at all is reported as far as the parser can recover, and not walked: what is missing
//! because of a slip in the syntax would only be noise.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::layer::{Entry, Layer};
use super::origin::{Origin, Problem, printable, shortened};
use super::text;

/// Largest configuration file (bytes).
const FILE_BYTES: u64 = 1 << 20;

/// Most drop-ins that are read.
const DROP_INS: usize = 256;

/// The drop-ins of a configuration file: `*.toml` in `framegate.d` beside it, in the order of
/// their names (bytewise). Hidden files are left out; no directory means no drop-ins.
pub(super) fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, Problem> {
    let directory = file.with_file_name("framegate.d");
    let failed = |error: std::io::Error| about(&directory, format!("cannot be read: {error}"));
    let listing = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        if found.len() == DROP_INS {
            return Err(about(&directory, format!("holds more than {DROP_INS} drop-ins")));
        }
        found.push(path);
    }
    found.sort();
    Ok(found)
}

/// Reads and checks a file. Pushes what is wrong; a layer comes back only when nothing is.
pub(super) fn layer(path: &Path, problems: &mut Vec<Problem>) -> Option<Layer> {
    match read(path) {
        Ok(text) => parse(path, &text, problems),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Checks `text` as if it stood in the file at `path`. Pushes what is wrong, as [`layer`] does.
pub(super) fn layer_of(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Option<Layer> {
    if text.len() as u64 > FILE_BYTES {
        problems.push(about(path, format!("is larger than {FILE_BYTES} bytes")));
        return None;
    }
    parse(path, text, problems)
}

fn about(path: &Path, what: String) -> Problem {
    Problem { at: printable(&path.to_string_lossy()), key: None, what, accepted: None }
}

fn read(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| about(path, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(about(path, format!("is larger than {FILE_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let place = place(path, &String::from_utf8_lossy(valid), valid.len());
        Problem { at: place.precise(), key: None, what: "is not UTF-8".to_owned(), accepted: None }
    })
}

fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Option<Layer> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut walk = Walk { path, text, entries: Vec::new(), named: Vec::new(), problems: Vec::new() };
    if errors.is_empty() {
        walk.section("", document.get_ref());
    }
    for error in errors {
        let what = error.message().replace('\n', ", ");
        walk.report(error.span().unwrap_or(0..0), None, what, None);
    }
    walk.problems.sort_by_key(|(offset, _)| *offset);
    if walk.problems.is_empty() {
        match Layer::new(walk.entries, walk.named) {
            Ok(layer) => return Some(layer),
            Err(error) => problems.push(about(path, error.message().to_owned())),
        }
    }
    problems.extend(walk.problems.into_iter().map(|(_, problem)| problem));
    None
}

/// The way through one file.
struct Walk<'f> {
    path: &'f Path,
    text: &'f str,
    entries: Vec<Entry>,
    /// Paths and places of the named sections.
    named: Vec<(String, Origin)>,
    /// With the byte offset, to report them in the order of the file.
    problems: Vec<(usize, Problem)>,
}

impl Walk<'_> {
    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        if keys::is_named(section) && table.len() > keys::MOST_NAMED {
            let first = table.keys().map(|name| name.span()).min_by_key(|span| span.start);
            let what = format!("has {} sections", table.len());
            self.report(first.unwrap_or(0..0), Some(section), what, Some(keys::at_most_named(section)));
            return;
        }
        for (name, value) in table {
            let path = match section {
                "" => name.get_ref().to_string(),
                section => format!("{section}.{}", name.get_ref()),
            };
            if keys::is_named(section) {
                self.named_section(section, path, name, value);
                continue;
            }
            // A quoted name may hold a dot, and would then read like the path of another key.
            let known = keys::members(section).contains(&name.get_ref().as_ref());
            match (known, keys::find(&path), value.get_ref()) {
                (true, Some(key), _) => self.leaf(key, path, value),
                (true, None, DeValue::Table(inner)) => self.section(&path, inner),
                (true, None, _) => {
                    let section = if keys::is_named(&path) { format!("{path}.NAME") } else { path.clone() };
                    let accepted = format!("a section, [{section}]");
                    self.report(value.span(), Some(&path), "wrong type".to_owned(), Some(accepted));
                }
                (false, ..) => self.unknown(section, &path, name, value),
            }
        }
    }

    /// A section whose name is the operator's.
    fn named_section(
        &mut self,
        kind: &str,
        path: String,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        if let Err(what) = text::name(name.get_ref()) {
            let accepted = format!("[{kind}.NAME], the name 1 to 64 letters, digits, _ or -");
            self.report(name.span(), Some(&shortened(&path)), what, Some(accepted));
            return;
        }
        let DeValue::Table(inner) = value.get_ref() else {
            let accepted = format!("a section, [{kind}.NAME]");
            self.report(value.span(), Some(&path), "wrong type".to_owned(), Some(accepted));
            return;
        };
        self.section(&path, inner);
        self.named.push((path, place(self.path, self.text, name.span().start)));
    }

    fn leaf(&mut self, key: &'static keys::Key, path: String, value: &Spanned<DeValue<'_>>) {
        let span = value.span();
        let plain = toml::Value::deserialize(toml::de::ValueDeserializer::from(value.clone()))
            .map_err(|error| key.kind.unreadable(error.message()));
        match plain.and_then(|plain| key.kind.check(&plain).map(|()| plain)) {
            Ok(value) => {
                let origin = place(self.path, self.text, span.start);
                self.entries.push(Entry { path, value, origin });
            }
            Err(what) => self.report(span, Some(&path), what, Some(key.kind.accepted())),
        }
    }

    fn unknown(
        &mut self,
        section: &str,
        path: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let known = keys::members(section);
        let noun = if value.get_ref().is_table() { "section" } else { "key" };
        let what = match keys::nearest(name.get_ref(), known.iter()) {
            Some(near) => format!("unknown {noun}; did you mean {near}?"),
            None => format!("unknown {noun}"),
        };
        self.report(name.span(), Some(&shortened(path)), what, Some(known.join(", ")));
    }

    fn report(&mut self, span: Range<usize>, key: Option<&str>, what: String, accepted: Option<String>) {
        let at = place(self.path, self.text, span.start).precise();
        self.problems.push((span.start, Problem { at, key: key.map(str::to_owned), what, accepted }));
    }
}

/// The place of a byte offset.
fn place(path: &Path, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    Origin::File {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let layer = parse(Path::new("f.toml"), text, &mut problems);
        assert_eq!(layer.is_none(), !problems.is_empty());
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unknown_key_names_its_place_the_known_ones_and_the_nearest() {
        assert_eq!(
            problems("[hub]\n  max_age = 3\n"),
            ["f.toml:2:3: hub.max_age: unknown key; did you mean max_age_seconds?; \
              accepted: budget_bytes, max_age_seconds, quiet_seconds, linger_ms, max_series"]
        );
        assert_eq!(
            problems("[dimze]\nlisten = \"\"\n"),
            ["f.toml:1:2: dimze: unknown section; did you mean dimse?; \
              accepted: hub, dimse, dicomweb, console, access, principal, send, subscriptions, destination, \
              subscription, availability, relay, spool, worklist, mpps, audit, capture, pattern, service, metrics"]
        );
        assert_eq!(
            problems("[dicomweb.bogus]"),
            [
                "f.toml:1:11: dicomweb.bogus: unknown section; accepted: listen, allow, cors_origins, tls, limits"
            ]
        );
    }

    #[test]
    fn a_quoted_name_with_dots_is_not_a_path() {
        let found = problems("\"hub.max_series\" = 3");
        assert!(found[0].contains("unknown key"), "{found:?}");
        let found = problems("[dimse]\n\"limits.frames\" = 3");
        assert!(found[0].contains("unknown key"), "{found:?}");
    }

    #[test]
    fn a_wrong_type_names_what_is_accepted() {
        assert_eq!(
            problems("[dimse.limits]\nassociations = \"7\""),
            [
                "f.toml:2:16: dimse.limits.associations: wrong type, the string \"7\"; accepted: integer, 1 to 4096"
            ]
        );
        assert_eq!(
            problems("pattern.enabled = 1"),
            ["f.toml:1:19: pattern.enabled: wrong type, the integer 1; accepted: true or false"]
        );
        assert_eq!(
            problems("[pattern]\nrows = 512.0"),
            ["f.toml:2:8: pattern.rows: wrong type, the float 512.0; accepted: integer, 64 to 4096 pixels"]
        );
        assert_eq!(
            problems("dimse.limits = 3"),
            ["f.toml:1:16: dimse.limits: wrong type; accepted: a section, [dimse.limits]"]
        );
        assert_eq!(
            problems("[[service]]\nlog = \"info\""),
            ["f.toml:1:1: service: wrong type; accepted: a section, [service]"]
        );
    }

    #[test]
    fn a_value_out_of_range_names_the_range() {
        assert_eq!(
            problems("[hub]\nquiet_seconds = 0"),
            ["f.toml:2:17: hub.quiet_seconds: 0 is out of range; accepted: integer, 1 to 86400 seconds"]
        );
        assert_eq!(
            problems("[pattern]\nbits = 10"),
            ["f.toml:2:8: pattern.bits: 10 is out of range; accepted: 8 or 12 or 16"]
        );
        assert_eq!(
            problems("[service]\nlog_format = \"xml\""),
            ["f.toml:2:14: service.log_format: unknown \"xml\"; accepted: \"text\" or \"json\""]
        );
        assert_eq!(
            problems("[dimse]\nallow = [\"::1\", \"10.1.2.3/8\"]"),
            [
                "f.toml:2:9: dimse.allow: \"10.1.2.3/8\" has bits set behind its prefix; the network is 10.0.0.0/8; \
              accepted: list of networks, for instance [\"192.168.10.0/24\", \"10.1.2.3\"]"
            ]
        );
        let found = problems("[hub]\nbudget_bytes = 99999999999999999999");
        assert!(found[0].starts_with("f.toml:2:16: hub.budget_bytes: "), "{found:?}");
    }

    #[test]
    fn all_problems_are_reported_in_the_order_of_the_file() {
        let found = problems("[service]\ndrain = 1\n[hub]\nlinger_ms = true\nbogus = 1\n");
        let places: Vec<_> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(places, ["f.toml:2:1:", "f.toml:4:13:", "f.toml:5:1:"]);
    }

    #[test]
    fn a_named_section_has_a_name_and_known_keys() {
        let name = "accepted: [destination.NAME], the name 1 to 64 letters, digits, _ or -";
        for text in ["[destination.\"a.b\"]", "[destination.\"\"]", "[destination.\"*\"]"] {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(" is not a name; ") && found[0].ends_with(name), "{found:?}");
        }
        let long = "n".repeat(64);
        assert!(problems(&format!("[principal.{long}]")).is_empty());
        assert_eq!(problems(&format!("[principal.{long}n]")).len(), 1);
        assert_eq!(
            problems(&format!("[principal.{long}]\nmay = ['read']")),
            [format!(
                "f.toml:2:7: principal.{long}.may: \"read\" is not a right; accepted: \
                 list of \"search\", \"retrieve\", \"subscribe\", \"push-to\", \"send\", \"operate\", \"console\", \"phi\""
            )]
        );
        assert_eq!(
            problems("[destination]\nurl = 'https://pacs.example'\n"),
            ["f.toml:2:7: destination.url: wrong type; accepted: a section, [destination.NAME]"]
        );
        assert_eq!(
            problems("[[destination]]\nurl = 'https://pacs.example'\n"),
            ["f.toml:1:1: destination: wrong type; accepted: a section, [destination.NAME]"]
        );
        let found = problems("[destination.pacs]\nurls = ''\n");
        assert!(
            found[0].starts_with("f.toml:2:1: destination.pacs.urls: unknown key; did you mean url?"),
            "{found:?}"
        );
    }

    #[test]
    fn what_may_name_a_patient_is_never_repeated() {
        for value in ["4711", "[4711]", "{ a = 4711 }", "'(set)'", "\"4711\\n\"", "99999999999999999999"] {
            for key in [
                "principal.a.filter",
                "subscription.a.filter",
                "access.anonymous_filter",
                "capture.a.patient_name",
            ] {
                let found = problems(&format!("{key} = {value}"));
                assert_eq!(found.len(), 1, "{found:?}");
                let told = found[0].split("; accepted").next().unwrap();
                assert!(
                    !told.contains("4711") && !told.contains("9999") && !told.contains("(set)"),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_toml_names_every_place() {
        let found = problems("[hub]\nquiet_seconds = \nlinger_ms = = 3\n");
        assert!(found.iter().any(|line| line.starts_with("f.toml:2:")), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("f.toml:3:")), "{found:?}");
        let found = problems("[hub]\nlinger_ms = 1\nlinger_ms = 2\n");
        assert!(found[0].starts_with("f.toml:3:1: "), "{found:?}");
    }

    #[test]
    fn unreadable_files_are_problems() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("framegate.toml");
        let read_problem = || read(&path).unwrap_err().to_string();
        assert!(read_problem().contains("cannot be read"));
        std::fs::write(&path, b"[hub]\n# \xff\n").unwrap();
        assert!(read_problem().ends_with(":2:3: is not UTF-8"), "{}", read_problem());
        std::fs::write(&path, vec![b'#'; FILE_BYTES as usize + 1]).unwrap();
        assert!(read_problem().contains("larger"));
    }

    #[test]
    fn drop_ins_come_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("any-name.toml");
        assert!(drop_ins(&file).unwrap().is_empty());
        let beside = directory.path().join("framegate.d");
        std::fs::create_dir(&beside).unwrap();
        for name in ["20-b.toml", "10-z.toml", ".hidden.toml", "10-a.toml~", "README", "9.toml"] {
            std::fs::write(beside.join(name), "").unwrap();
        }
        let names: Vec<_> =
            drop_ins(&file).unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["10-z.toml", "20-b.toml", "9.toml"]);
    }

    proptest! {
        #[test]
        fn any_text_ends_in_a_layer_or_in_problems_with_a_place(text in "\\PC*(\n\\PC*){0,4}") {
            for problem in problems(&text) {
                prop_assert!(problem.starts_with("f.toml:"), "{}", problem);
                prop_assert!(!problem.contains('\n'));
            }
        }

        #[test]
        fn any_value_of_any_key_is_judged(at in 0..keys::KEYS.len(), value in any::<i64>(), text in ".*") {
            let path = keys::KEYS[at].at("a");
            problems(&format!("{path} = {value}"));
            problems(&format!("{path} = {}", toml::Value::String(text)));
        }
    }
}
