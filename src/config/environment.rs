//! The environment as the topmost layer: `FRAMEGATE_<SECTION>__<KEY>`, for instance
//! `FRAMEGATE_DIMSE__LIMITS__ASSOCIATIONS=8`. The text is read by the type of the key: integers,
//! numbers and booleans as TOML spells them, strings as they are, lists as a TOML array or
//! separated by commas. Named sections, such as `[destination.NAME]`, come from files only. The prefix is
//! ours alone, so that a slip in a name is an error and not a setting without effect.

use toml::Value;

use super::keys::{self, KEYS, VARIABLE_PREFIX};
use super::kind::Kind;
use super::layer::{Entry, Layer};
use super::origin::{Origin, Problem, shortened};

/// The variables of this process that are ours. Bytes that are not UTF-8 become replacement
/// characters, which [`load`](super::load) refuses.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        name.starts_with(VARIABLE_PREFIX).then(|| (name, value.to_string_lossy().into_owned()))
    })
}

/// Checks the variables of ours among these; leaves the others alone. Pushes what is wrong; a
/// layer comes back only when nothing is.
pub(super) fn layer(
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) -> Option<Layer> {
    let before = problems.len();
    let mut variables: Vec<_> =
        variables.filter(|(variable, _)| variable.starts_with(VARIABLE_PREFIX)).collect();
    variables.sort();
    let mut entries = Vec::new();
    for (variable, text) in variables {
        match entry(&variable, &text) {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.len() > before {
        return None;
    }
    match Layer::new(entries, Vec::new()) {
        Ok(layer) => Some(layer),
        Err(error) => {
            let what = error.message().to_owned();
            problems.push(Problem { at: "environment".to_owned(), key: None, what, accepted: None });
            None
        }
    }
}

fn entry(variable: &str, text: &str) -> Result<Entry, Problem> {
    let at = shortened(variable);
    let Some(key) = KEYS.iter().find(|key| key.variable().as_deref() == Some(variable)) else {
        if let Some(kind) = named(variable) {
            let what = "sets a named section, which only a file can".to_owned();
            let accepted = Some(format!("[{kind}.NAME] in a configuration file"));
            return Err(Problem { at, key: None, what, accepted });
        }
        // The prefix is common to all, and would make any name look like any other.
        let name = |variable: &str| variable.trim_start_matches(VARIABLE_PREFIX).to_owned();
        let known = KEYS.iter().filter_map(|key| Some(name(&key.variable()?)));
        let what = match keys::nearest(&name(variable), known) {
            Some(near) => format!("unknown variable; did you mean {VARIABLE_PREFIX}{near}?"),
            None => "unknown variable".to_owned(),
        };
        let accepted = format!("{VARIABLE_PREFIX}<SECTION>__<KEY> of a known key");
        return Err(Problem { at, key: None, what, accepted: Some(accepted) });
    };
    match value(&key.kind, text).and_then(|value| key.kind.check(&value).map(|()| value)) {
        Ok(value) => {
            Ok(Entry { path: key.path.to_owned(), value, origin: Origin::Environment(variable.to_owned()) })
        }
        Err(what) => {
            Err(Problem { at, key: Some(key.path.to_owned()), what, accepted: Some(key.kind.accepted()) })
        }
    }
}

/// Checks a text that is meant for the key of this path (as the table has it, with its `*`), such as one of a
/// command line: what a variable would take is right.
///
/// # Errors
/// What is wrong with it, and what would be accepted.
pub fn check_text(path: &str, text: &str) -> Result<(), String> {
    let key = KEYS.iter().find(|key| key.path == path).ok_or_else(|| "no such key".to_owned())?;
    value(&key.kind, text)
        .and_then(|value| key.kind.check(&value))
        .map_err(|what| format!("{what}; accepted: {}", key.kind.accepted()))
}

/// The kind of named section that a variable would be for.
fn named(variable: &str) -> Option<&'static str> {
    let (section, _) = variable.strip_prefix(VARIABLE_PREFIX)?.split_once("__")?;
    keys::members("").into_iter().find(|kind| keys::is_named(kind) && section.eq_ignore_ascii_case(kind))
}

/// Reads the text as this kind of value would be written.
fn value(kind: &Kind, text: &str) -> Result<Value, String> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err("is not UTF-8".to_owned());
    }
    let as_toml = || text.parse::<Value>().map_err(|_| format!("\"{}\" cannot be read", shortened(text)));
    match kind {
        Kind::Text { .. } | Kind::OneText(_) | Kind::Filter | Kind::Person => {
            Ok(Value::String(text.to_owned()))
        }
        Kind::List { .. } if text.trim_start().starts_with('[') => as_toml(),
        Kind::List { .. } if text.trim().is_empty() => Ok(Value::Array(Vec::new())),
        Kind::List { .. } => {
            Ok(Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect()))
        }
        Kind::Bool | Kind::Integer { .. } | Kind::OneInteger(_) | Kind::Number { .. } => as_toml(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(variable: &str, text: &str) -> Result<Layer, String> {
        let mut problems = Vec::new();
        layer([(variable.to_owned(), text.to_owned())].into_iter(), &mut problems)
            .ok_or_else(|| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_text_of_the_command_line_is_held_against_the_same_table() {
        assert_eq!(check_text("capture.*.pixels", "grey"), Ok(()));
        let refused = check_text("capture.*.pixels", "gray").unwrap_err();
        assert!(refused.contains("accepted: \"grey\" or \"color\""), "{refused}");
        assert!(check_text("capture.*.device", "video0").is_err());
        assert!(check_text("capture.*.nothing", "x").is_err());
    }

    #[test]
    fn values_are_read_by_the_type_of_the_key() {
        let layer = one("FRAMEGATE_DIMSE__LIMITS__ASSOCIATIONS", "8").unwrap();
        assert_eq!(layer.fragment.dimse.limits.associations, Some(8));
        assert_eq!(
            layer.origins["dimse.limits.associations"],
            Origin::Environment("FRAMEGATE_DIMSE__LIMITS__ASSOCIATIONS".into())
        );
        assert_eq!(one("FRAMEGATE_PATTERN__ENABLED", "true").unwrap().fragment.pattern.enabled, Some(true));
        assert_eq!(one("FRAMEGATE_PATTERN__FPS", "7.5").unwrap().fragment.pattern.fps, Some(7.5));
        let title = one("FRAMEGATE_DIMSE__AE_TITLE", "12").unwrap().fragment.dimse.ae_title;
        assert_eq!(title.as_deref(), Some("12"));
        let listen = one("FRAMEGATE_DIMSE__LISTEN", "").unwrap().fragment.dimse.listen;
        assert_eq!(listen.as_deref(), Some(""));
    }

    #[test]
    fn lists_are_arrays_or_comma_separated() {
        let allow = |text| one("FRAMEGATE_DIMSE__ALLOW", text).unwrap().fragment.dimse.allow.unwrap();
        assert_eq!(allow("10.0.0.0/8, ::1"), ["10.0.0.0/8", "::1"]);
        assert_eq!(allow(r#"["10.0.0.0/8", "::1"]"#), ["10.0.0.0/8", "::1"]);
        assert!(allow("").is_empty());
        assert!(one("FRAMEGATE_DIMSE__ALLOW", "10.0.0.0/8,").is_err());
        assert!(one("FRAMEGATE_DIMSE__ALLOW", "[10]").is_err());
    }

    #[test]
    fn errors_name_the_variable_and_the_key() {
        assert_eq!(
            one("FRAMEGATE_PATTERN__ENABLED", "yes").unwrap_err(),
            "FRAMEGATE_PATTERN__ENABLED: pattern.enabled: \"yes\" cannot be read; accepted: true or false"
        );
        assert_eq!(
            one("FRAMEGATE_DIMSE__LIMITS__ASSOCIATIONS", "1.7").unwrap_err(),
            "FRAMEGATE_DIMSE__LIMITS__ASSOCIATIONS: dimse.limits.associations: \
             wrong type, the float 1.7; accepted: integer, 1 to 4096"
        );
        assert_eq!(
            one("FRAMEGATE_DIMSE__AE_TITLE", "\u{FFFD}").unwrap_err().split(';').next(),
            Some("FRAMEGATE_DIMSE__AE_TITLE: dimse.ae_title: is not UTF-8")
        );
    }

    #[test]
    fn an_unknown_variable_of_ours_is_an_error() {
        let error = one("FRAMEGATE_DIMSE_LISTEN", "").unwrap_err();
        assert!(error.starts_with("FRAMEGATE_DIMSE_LISTEN: unknown variable"), "{error}");
        assert!(error.contains("FRAMEGATE_DIMSE__LISTEN?"), "{error}");
        let error = one("FRAMEGATE_CONFIG", "").unwrap_err();
        assert!(error.starts_with("FRAMEGATE_CONFIG: unknown variable; accepted"), "{error}");
        assert!(one("FRAMEGATE_dimse__listen", "").is_err());
        assert!(one("FRAMEGATE_DIMSE__LIMITS", "").is_err());
        assert!(one("PATH", "/bin").is_ok());
    }

    #[test]
    fn named_sections_are_for_files() {
        assert_eq!(
            one("FRAMEGATE_DESTINATION__PACS__URL", "https://pacs.example").unwrap_err(),
            "FRAMEGATE_DESTINATION__PACS__URL: sets a named section, which only a file can; \
             accepted: [destination.NAME] in a configuration file"
        );
        assert!(one("FRAMEGATE_DESTINATION__*__URL", "https://pacs.example").is_err());
        assert!(one("FRAMEGATE_SUBSCRIPTIONS__TOTAL", "7").is_ok());
    }

    #[test]
    fn a_filter_is_never_repeated() {
        let filter = one("FRAMEGATE_ACCESS__ANONYMOUS_FILTER", "PatientID=4711").unwrap().fragment.access;
        assert_eq!(filter.anonymous_filter.unwrap().0, "PatientID=4711");
        let error = one("FRAMEGATE_ACCESS__ANONYMOUS_FILTER", "PatientID=4711\n").unwrap_err();
        assert!(!error.contains("4711") && error.contains("control character"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_judged(at in 0..KEYS.len(), text in ".*") {
            let _ = one(&KEYS[at].variable().unwrap_or_default(), &text);
        }
    }
}
