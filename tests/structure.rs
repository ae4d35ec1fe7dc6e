//! Holds the order of the house that ARCHITECTURE.md describes: which module may know which, how
//! long a file may get, what must not stand in the source, and that the documents name things that
//! exist. Every failure names the file, the line and the rule, so that it can be mended without
//! reading this test.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of an integration test do not count as tests for clippy.toml"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use framegate::config::EXAMPLE;

/// Each top-level module of `src/` and those that it may name, beside itself. A line here is a
/// decision about the architecture: change ARCHITECTURE.md with it.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("event", &[]),
    ("net", &["config", "event"]),
    ("spool", &["event"]),
    ("status", &[]),
    ("identity", &["net", "spool"]),
    ("context", &["config", "event"]),
    ("frame", &[]),
    ("instance", &["context", "frame"]),
    ("dimse", &["config", "event", "instance", "net"]),
    ("hub", &["config", "instance"]),
    ("audit", &["config", "event", "hub", "instance", "net"]),
    ("subscription", &["config", "hub", "instance"]),
    ("sink", &["audit", "config", "dimse", "event", "frame", "hub", "instance", "net", "subscription"]),
    ("procedure", &["audit", "config", "context", "dimse", "event", "hub", "instance", "net"]),
    ("source", &["audit", "config", "context", "dimse", "event", "frame", "hub", "instance", "net", "spool"]),
    (
        "dicomweb",
        &[
            "audit",
            "config",
            "context",
            "event",
            "frame",
            "hub",
            "instance",
            "net",
            "sink",
            "source",
            "subscription",
        ],
    ),
    (
        "console",
        &[
            "audit",
            "config",
            "context",
            "dicomweb",
            "event",
            "hub",
            "instance",
            "net",
            "sink",
            "status",
            "subscription",
        ],
    ),
    (
        "service",
        &[
            "audit",
            "config",
            "console",
            "context",
            "dicomweb",
            "dimse",
            "event",
            "frame",
            "hub",
            "instance",
            "net",
            "procedure",
            "sink",
            "source",
            "spool",
            "status",
            "subscription",
        ],
    ),
    (
        "cli",
        &[
            "audit",
            "config",
            "context",
            "dicomweb",
            "dimse",
            "event",
            "frame",
            "hub",
            "identity",
            "instance",
            "net",
            "procedure",
            "service",
            "sink",
            "source",
            "status",
            "subscription",
        ],
    ),
];

/// What stands beside the rooms of `src/source/` for all of them, and knows none.
const BESIDE_ROOMS: &[&str] = &["claims", "refused", "sop_class"];

/// Edges that only a unit test may have, and why.
const TESTS_MAY_KNOW: &[(&str, &str, &str)] = &[(
    "src/instance/secondary_capture.rs",
    "source",
    "the head is tried on the frames that it is made for, those of the pattern source",
)];

/// Crates that a module must not name, by the beginning of their name: `net` and `config` know
/// nothing of DICOM, and what makes and holds instances knows nothing of HTTP or TLS.
const MUST_NOT_USE: &[(&str, &[&str])] = &[
    ("config", &["dicom_", "hyper", "rustls", "tokio"]),
    ("net", &["dicom_"]),
    ("spool", &["dicom_", "hyper", "http", "rustls", "tokio"]),
    ("status", &["dicom_", "hyper", "http", "rustls", "tokio"]),
    ("event", &["dicom_", "hyper", "http", "rustls", "tokio"]),
    ("identity", &["dicom_", "hyper", "tokio"]),
    ("context", &["hyper", "http", "rustls", "tokio"]),
    ("frame", &["hyper", "http", "rustls", "tokio"]),
    ("instance", &["hyper", "http", "rustls", "tokio"]),
    ("dimse", &["hyper", "http"]),
    ("hub", &["hyper", "http", "rustls"]),
    ("subscription", &["hyper", "http", "rustls"]),
    ("source", &["hyper", "http"]),
];

/// Lines of one file, unit tests and all.
const MOST_LINES: usize = 700;
/// Lines of one file without its unit tests.
const MOST_CODE: usize = 400;
/// Files that have more code, and why they are still one idea.
const LONG: &[(&str, &str)] = &[
    ("src/config/keys.rs", "every key stands in one table, to be looked through in one go"),
    ("src/dicomweb/routes.rs", "recognising and expanding URLs share one table and must not disagree"),
    ("src/source/capture/sys.rs", "all unsafe code stands in one file, to be read in one go"),
];
/// The only file that may hold unsafe code: requests to a driver, and memory shared with it.
const UNSAFE: &str = "src/source/capture/sys.rs";

/// One file of `src/`, read for structure.
struct Source {
    /// Such as `src/hub/ring.rs`.
    name: String,
    /// Such as `["hub", "ring"]`.
    module: Vec<String>,
    text: String,
    /// `text` with comments, strings and characters blanked out; the same lines.
    code: String,
    /// Whether all of it is compiled for unit tests only.
    only_tests: bool,
    /// Line ranges (from 0, end excluded) under `#[cfg(test)]`.
    tests: Vec<(usize, usize)>,
}

impl Source {
    fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    fn is_test(&self, line: usize) -> bool {
        self.only_tests || self.tests.iter().any(|(from, to)| (*from..*to).contains(&line))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the files below `directory` that end in one of `endings`, sorted.
fn files(directory: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let last = name.rsplit('/').next().unwrap_or_default();
            let hidden = last.starts_with(['.', '_']) || last == "target";
            if path.is_dir() && !hidden {
                open.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// Every file of `src/`.
fn sources() -> Vec<Source> {
    let mut all: Vec<Source> = files("src", &[".rs"])
        .into_iter()
        .map(|name| {
            let text = read(&name);
            let code = blank(&text);
            let inner = name.trim_start_matches("src/").trim_end_matches(".rs");
            let inner = inner.strip_suffix("/mod").unwrap_or(inner);
            let module = if matches!(inner, "lib" | "main") {
                Vec::new()
            } else {
                inner.split('/').map(str::to_owned).collect()
            };
            let tests = test_ranges(&code);
            Source { name, module, text, code, only_tests: false, tests }
        })
        .collect();
    assert!(all.len() > 50, "src/ was not found");
    // `#[cfg(test)] mod name;` makes a whole file a test.
    let mut only_tests = BTreeSet::new();
    for source in &all {
        for (from, to) in &source.tests {
            let item: Vec<&str> = source.code.lines().skip(*from).take(to - from).collect();
            let item = item.join(" ");
            let Some((_, rest)) = item.split_once("mod ") else { continue };
            if let Some(child) = rest.trim().strip_suffix(';') {
                let mut module = source.module.clone();
                module.push(child.trim().to_owned());
                only_tests.insert(module);
            }
        }
    }
    for source in &mut all {
        source.only_tests = only_tests.iter().any(|module| source.module.starts_with(module));
    }
    all
}

/// Blanks out comments, string and character literals, and keeps every line where it is.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| bytes[at..].starts_with(what.as_bytes());
    while at < bytes.len() {
        let end = if starts(at, "//") {
            text[at..].find('\n').map_or(bytes.len(), |length| at + length)
        } else if starts(at, "/*") {
            end_of_comment(bytes, at)
        } else if let Some(end) = end_of_raw_string(text, at) {
            end
        } else if bytes[at] == b'"' {
            end_of_quoted(bytes, at)
        } else if bytes[at] == b'\'' {
            end_of_character(text, at)
        } else {
            out.push(bytes[at]);
            at += 1;
            continue;
        };
        out.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8(out).unwrap()
}

fn end_of_comment(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// `r"…"`, `r#"…"#` and so on, if one begins here.
fn end_of_raw_string(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    // The `b` of `br"…"` is no word of its own.
    let byte_string = at > 0 && bytes[at - 1] == b'b';
    if bytes[at] != b'r' || (word_before && !byte_string) {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|&&byte| byte == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let start = at + 2 + hashes;
    Some(text[start..].find(&close).map_or(text.len(), |length| start + length + close.len()))
}

fn end_of_quoted(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal; of a lifetime only the quote.
fn end_of_character(text: &str, at: usize) -> usize {
    let rest = &text[at + 1..];
    if let Some(escaped) = rest.strip_prefix('\\') {
        // The escaped character may be the quote itself.
        let skip = escaped.chars().next().map_or(0, char::len_utf8);
        return escaped[skip..].find('\'').map_or(text.len(), |length| at + 2 + skip + length + 1);
    }
    let length = rest.chars().next().map_or(0, char::len_utf8);
    if rest[length..].starts_with('\'') { at + 1 + length + 1 } else { at + 1 }
}

/// The lines of every item under `#[cfg(test)]`.
fn test_ranges(code: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let line = |at: usize| code[..at].matches('\n').count();
        let item = start + "#[cfg(test)]".len();
        let Some(length) = code[item..].find([';', '{']) else { continue };
        let mut end = item + length;
        if code.as_bytes()[end] == b'{' {
            let mut depth = 0;
            for (offset, byte) in code[end..].bytes().enumerate() {
                match byte {
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    end += offset;
                    break;
                }
            }
        }
        ranges.push((line(start), line(end) + 1));
    }
    ranges
}

/// A word, `::`, or one other character, with its line from 0.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            let (token, after) = rest.split_at(length);
            if !first.is_whitespace() {
                tokens.push((line, token));
            }
            rest = after;
        }
    }
    tokens
}

/// Every module of the crate that a file names: line from 0, and up to two segments from the root.
/// `use crate::…`, inline `crate::…` and `super::…` count alike.
fn named_modules(source: &Source) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(&source.code);
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| *token);
    let mut named = Vec::new();
    let (mut depth, mut inline) = (0, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match token(at) {
            "mod" if token(at + 2) == "{" => {
                depth += 1;
                inline.push(depth);
                at += 3;
                continue;
            }
            "{" => depth += 1,
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
                depth -= 1;
            }
            "crate" | "super" if token(at + 1) == "::" && (at == 0 || token(at - 1) != "::") => {
                let line = tokens[at].0;
                let mut base = source.module.clone();
                base.extend(inline.iter().map(|_| "(inline)".to_owned()));
                if token(at) == "crate" {
                    base.clear();
                    at += 2;
                }
                while token(at) == "super" && token(at + 1) == "::" {
                    base.pop();
                    at += 2;
                }
                for path in heads(&tokens[at..]) {
                    named.push((line, base.iter().cloned().chain(path).collect()));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    named
}

/// The first two segments of a path, or of each path in a group, that begins here.
fn heads(tokens: &[(usize, &str)]) -> Vec<Vec<String>> {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| *token);
    if token(0) != "{" {
        let second = if token(1) == "::" { token(2) } else { "" };
        let segments = [token(0), second].into_iter().filter(|segment| !segment.is_empty());
        return vec![segments.map(str::to_owned).collect()];
    }
    let (mut depth, mut found, mut begins) = (0, Vec::new(), false);
    for at in 0..tokens.len() {
        match token(at) {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if begins && depth == 1 => found.extend(heads(&tokens[at..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        begins = depth == 1 && matches!(token(at), "{" | ",");
    }
    found
}

fn fail_if_any(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn every_module_knows_only_what_is_below_it() {
    let order: BTreeMap<_, _> = MAY_KNOW.iter().copied().collect();
    let mut broken = Vec::new();
    let mut used_exceptions = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.module.is_empty()) {
        let top = source.top();
        let Some(allowed) = order.get(top) else {
            broken.push(format!("{}: the module {top} has no line in MAY_KNOW", source.name));
            continue;
        };
        for (line, path) in named_modules(source) {
            let Some(target) = path.first().map(String::as_str) else { continue };
            let place = format!("{}:{}", source.name, line + 1);
            if target == top {
                // Sources live in rooms of their own: adding or removing one touches no other.
                let room = |path: &[String]| path.get(1).cloned().unwrap_or_default();
                let is_other = room(&path) != room(&source.module) && source.module.len() > 1;
                if top == "source" && is_other && !BESIDE_ROOMS.contains(&&*room(&path)) {
                    broken.push(format!(
                        "{place}: source::{} knows {}",
                        room(&source.module),
                        path.join("::")
                    ));
                }
            } else if !allowed.contains(&target) {
                let exception = TESTS_MAY_KNOW
                    .iter()
                    .position(|(file, module, _)| *file == source.name && *module == target);
                match exception {
                    Some(index) if source.is_test(line) => {
                        used_exceptions.insert(index);
                    }
                    _ => broken.push(format!("{place}: {top} may not know {target} ({})", path.join("::"))),
                }
            }
        }
    }
    fail_if_any(&broken, "edges against the order of the modules");
    assert_eq!(used_exceptions.len(), TESTS_MAY_KNOW.len(), "TESTS_MAY_KNOW lists what no longer is");
}

#[test]
fn no_module_uses_a_library_that_is_not_its_business() {
    let mut broken = Vec::new();
    for source in sources() {
        let forbidden = MUST_NOT_USE.iter().find(|(top, _)| *top == source.top()).map_or(&[][..], |(_, f)| f);
        let tokens = tokens(&source.code);
        for (at, (line, token)) in tokens.iter().enumerate() {
            let is_path = tokens.get(at + 1).is_some_and(|(_, next)| *next == "::")
                && (at == 0 || tokens[at - 1].1 != "::");
            if is_path && forbidden.iter().any(|prefix| token.starts_with(prefix)) {
                broken.push(format!("{}:{}: {} may not use {token}", source.name, line + 1, source.top()));
            }
        }
    }
    fail_if_any(&broken, "libraries in the wrong place");
}

#[test]
fn unsafe_code_is_in_one_file() {
    let mut broken = Vec::new();
    for name in ["src", "tests", "benches", "fuzz"].iter().flat_map(|folder| files(folder, &[".rs"])) {
        if name == UNSAFE {
            continue;
        }
        let code = blank(&read(&name));
        let tokens = tokens(&code);
        for (at, (line, token)) in tokens.iter().enumerate() {
            let lifted =
                *token == "unsafe_code" && at >= 2 && matches!(tokens[at - 2].1, "allow" | "expect" | "warn");
            if *token == "unsafe" || lifted {
                broken.push(format!("{name}:{}: {token}", line + 1));
            }
        }
    }
    fail_if_any(&broken, "unsafe code, or leave to write it (Cargo.toml denies it; see CONTRIBUTING.md)");
}

/// What is logged is a type of a room's list, and the catalogue has all lists.
#[test]
fn every_log_event_is_in_the_catalogue() {
    let catalogue = read("src/service/catalogue.rs");
    let (mut broken, mut rooms) = (Vec::new(), 0);
    for source in sources().iter().filter(|source| source.top() != "event") {
        let tokens = tokens(&source.code);
        for (at, (line, token)) in tokens.iter().enumerate() {
            let place = format!("{}:{}", source.name, line + 1);
            let is_macro = tokens.get(at + 1).is_some_and(|(_, next)| *next == "!");
            if is_macro && matches!(*token, "error" | "warn" | "info" | "debug" | "trace" | "event") {
                broken.push(format!("{place}: {token}!; declare it in the room's events.rs, by events!"));
            }
            if is_macro && *token == "events" {
                rooms += 1;
                let list = format!("{}::KINDS", source.module.join("::"));
                if !catalogue.contains(&list) {
                    broken.push(format!("{place}: src/service/catalogue.rs does not list {list}"));
                }
            }
        }
    }
    fail_if_any(&broken, "log events that nobody would find in docs/events.md");
    assert!(rooms > 10, "the lists were not found");
}

#[test]
fn nothing_is_left_unfinished() {
    let me = file!();
    let mut broken = Vec::new();
    let all = ["src", "tests", "benches", "fuzz"]
        .iter()
        .flat_map(|folder| files(folder, &[".rs", ".py", ".sh", ".toml"]))
        .filter(|name| name != me);
    for name in all {
        let text = read(&name);
        for (line, words) in text.lines().enumerate() {
            let place = format!("{name}:{}", line + 1);
            for marker in ["TODO", "FIXME", "XXX"] {
                for (start, _) in words.match_indices(marker) {
                    let number = words[start + marker.len()..].strip_prefix("(#");
                    if !number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                        broken
                            .push(format!("{place}: {marker} without an issue number, as in {marker}(#12)"));
                    }
                }
            }
        }
        if !name.ends_with(".rs") {
            continue;
        }
        let code = blank(&text);
        let tokens = tokens(&code);
        for pair in tokens.windows(2) {
            if matches!(pair[0].1, "todo" | "unimplemented" | "dbg") && pair[1].1 == "!" {
                broken.push(format!("{name}:{}: {}!", pair[0].0 + 1, pair[0].1));
            }
        }
    }
    fail_if_any(&broken, "left unfinished");
}

#[test]
fn a_file_is_one_idea() {
    let mut broken = Vec::new();
    let mut listed = BTreeSet::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            broken.push(format!("{}: {lines} lines, at most {MOST_LINES}", source.name));
        }
        let code = (0..lines).filter(|&line| !source.is_test(line)).count();
        if code > MOST_CODE {
            if LONG.iter().any(|(name, _)| *name == source.name) {
                listed.insert(source.name.clone());
            } else {
                broken.push(format!("{}: {code} lines of code, at most {MOST_CODE}", source.name));
            }
        }
    }
    fail_if_any(&broken, "files that are too long; part them, or give a reason in LONG");
    assert_eq!(listed.len(), LONG.len(), "LONG lists a file that is no longer long; it has {listed:?}");
}

#[test]
fn every_module_opens_with_its_purpose() {
    let broken: Vec<_> = sources()
        .iter()
        .filter(|source| !source.only_tests && !source.text.starts_with("//! "))
        .map(|source| format!("{}:1: does not begin with `//! `", source.name))
        .collect();
    fail_if_any(&broken, "modules without a word on what they are for");
}

#[test]
fn the_changelog_knows_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = read("CHANGELOG.md");
    assert!(
        changelog.lines().any(|line| line.starts_with(&format!("## [{version}]"))),
        "CHANGELOG.md has no heading ## [{version}], which is the version in Cargo.toml"
    );
    assert!(changelog.contains("## [Unreleased]"), "CHANGELOG.md has no heading ## [Unreleased]");
}

/// Dotted keys of the example file, in its order. A named section stands there commented out, with a
/// name to go by; its keys have a `*` in its place.
fn example_keys() -> Vec<String> {
    let (mut keys, mut section) = (Vec::new(), String::new());
    for line in EXAMPLE.lines() {
        let header = |line: &'static str| line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = header(line) {
            section = name.to_owned();
        } else if let Some(name) = line.strip_prefix('#').and_then(header) {
            section = format!("{}.*", name.split_once('.').expect("a named section").0);
        } else if let Some((name, _)) = line.strip_prefix('#').and_then(|rest| rest.split_once(" = "))
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        {
            keys.push(format!("{section}.{name}"));
        }
    }
    assert!(keys.len() > 40, "the example file was not understood");
    keys
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_readme_lists_every_key_under_its_section() {
    let readme = read("README.md");
    let example = example_keys();
    // Rows of the table: | `[section]` | `key`, `key` … |
    let listed: Vec<String> = readme
        .lines()
        .filter(|line| line.starts_with("| `["))
        .flat_map(|line| {
            let mut words = quoted(line);
            let section = words.next().unwrap_or_default().trim_matches(['[', ']']).replace(".NAME", ".*");
            words.map(move |key| format!("{section}.{key}")).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(listed, example, "README.md (left) and src/config/framegate.toml (right) list other keys");
}

#[test]
fn documents_name_keys_that_exist() {
    let example = example_keys();
    // A document may say `destination.*.url`, or give a section a name of its own.
    let stands_for = |key: &str, word: &str| {
        let (mut key, mut word) = (key.split('.'), word.split('.'));
        word.all(|segment| key.next().is_some_and(|known| known == segment || known == "*"))
    };
    let known = |word: &str| example.iter().any(|key| stands_for(key, word));
    let sections: BTreeSet<_> =
        example.iter().map(|key| format!("{}.", key.split('.').next().unwrap())).collect();
    let mut broken = Vec::new();
    for name in documents() {
        for (line, text) in read(&name).lines().enumerate() {
            for word in quoted(text) {
                let word = word.split(" = ").next().unwrap_or_default();
                let is_key = sections.iter().any(|section| word.starts_with(section.as_str()))
                    && word.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'.' | b'*'))
                    && !word.ends_with(".rs");
                if is_key && !known(word) {
                    broken.push(format!("{name}:{}: {word} is no key", line + 1));
                }
            }
        }
    }
    fail_if_any(&broken, "keys that no configuration has");
}

fn documents() -> Vec<String> {
    let mut all: Vec<String> = ["README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"]
        .iter()
        .map(|name| format!("{name}.md"))
        .collect();
    all.extend(files("docs", &[".md"]));
    all
}

#[test]
fn documents_link_to_what_is_there() {
    let mut broken = Vec::new();
    for name in documents() {
        let folder = Path::new(&name).parent().unwrap().to_owned();
        for (line, text) in read(&name).lines().enumerate() {
            let links = text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next());
            let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
            let links = links.map(|link| folder.join(link.split('#').next().unwrap_or_default()));
            // Paths of the source are named without being links.
            let paths =
                quoted(text).filter(|word| word.starts_with("src/") && !word.contains([' ', '{', '*']));
            for target in links.chain(paths.map(PathBuf::from)) {
                if !root().join(&target).exists() {
                    broken.push(format!("{name}:{}: {} is not there", line + 1, target.display()));
                }
            }
        }
    }
    fail_if_any(&broken, "links that lead nowhere");
}

#[test]
fn the_architecture_has_a_chapter_for_every_module() {
    let architecture = read("ARCHITECTURE.md");
    for (module, _) in MAY_KNOW {
        let heading = format!("### `src/{module}/`");
        assert!(architecture.lines().any(|line| line.starts_with(&heading)), "no heading {heading}");
    }
}

#[test]
fn the_two_commands_of_the_readme_exist() {
    let readme = read("README.md");
    for command in
        ["apt-get install -y build-essential cmake nasm && cargo run --release -- demo", "tests/run"]
    {
        assert!(
            readme.lines().any(|line| line.trim() == command),
            "README.md does not give the line {command}"
        );
    }
    let mode = fs::metadata(root().join("tests/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "tests/run is not executable");
    for words in quoted(&readme).filter_map(|word| word.strip_prefix("framegate ")) {
        let subcommand = words.split(' ').next().unwrap();
        let help =
            Command::new(env!("CARGO_BIN_EXE_framegate")).args([subcommand, "--help"]).output().unwrap();
        assert!(help.status.success(), "README.md names `framegate {words}`, but there is no {subcommand}");
        for option in words.split(' ').filter(|word| word.starts_with("--")) {
            let text = String::from_utf8_lossy(&help.stdout);
            assert!(text.contains(option), "`framegate {words}`: {subcommand} has no {option}");
        }
    }
}

/// The reader of this test is tried on what it must see and what it must not.
#[test]
fn the_reader_sees_paths_and_nothing_else() {
    let text = "//! crate::comment\nuse crate::{hub::Hub, net::{self, tls}, config};\n\
                fn a<'a>(x: &'a str) { let _ = ('\"', \"crate::string\", r#\"\"crate::raw\"#, '\\''); crate::frame::b() }\n\
                use super::super::cli;\npub(crate) struct S;\n\
                #[cfg(test)]\nmod tests {\n    use super::super::super::source::pattern;\n    use super::*;\n}\n";
    let code = blank(text);
    let source = Source {
        name: "src/dicomweb/x.rs".to_owned(),
        module: vec!["dicomweb".to_owned(), "x".to_owned()],
        text: text.to_owned(),
        tests: test_ranges(&code),
        code,
        only_tests: false,
    };
    assert_eq!(source.tests, [(5, 10)]);
    let named: Vec<_> =
        named_modules(&source).into_iter().map(|(line, path)| (line, path.join("::"))).collect();
    let expected = [
        (1, "hub::Hub"),
        (1, "net"),
        (1, "config"),
        (2, "frame::b"),
        (3, "cli"),
        (7, "source::pattern"),
        (8, "dicomweb::x::*"),
    ];
    let named: Vec<_> = named.iter().map(|(line, path)| (*line, path.trim_end_matches("::{"))).collect();
    assert_eq!(named, expected);
}
