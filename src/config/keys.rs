//! The table of keys: for every key its dotted path, its type and range, and whether a change
//! takes effect without a restart. Checks, messages, names of environment variables and reload all
//! read this one table; `fragment` has the same keys as typed fields, and a test holds the two
//! together.

use toml::Value;

use super::origin::shortened;
use super::text;

/// What environment variables of ours begin with.
pub(super) const VARIABLE_PREFIX: &str = "FRAMEGATE_";

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be offered for the other. High
/// enough to keep strangers apart, low enough to join `max_age` and `max_age_seconds`.
const ALIKE: f64 = 0.85;

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Sections and name, joined by dots.
    pub(super) path: &'static str,
    /// Which values it takes.
    pub(super) kind: Kind,
    /// Whether a new value holds without a restart.
    pub(super) reloads: bool,
}

/// The type and range of a key's value.
#[derive(Debug)]
pub(super) enum Kind {
    Bool,
    Integer { min: i64, max: i64, unit: &'static str },
    OneInteger(&'static [i64]),
    Number { min: f64, max: f64, unit: &'static str },
    OneText(&'static [&'static str]),
    Text { form: &'static str, check: Check },
    List { form: &'static str, check: Check },
}

type Check = fn(&str) -> Result<(), String>;

const fn live(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, reloads: true }
}

const fn fixed(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, reloads: false }
}

const fn count(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "" }
}

const fn bytes(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "bytes" }
}

const fn seconds(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "seconds" }
}

const fn milliseconds(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "milliseconds" }
}

const fn pixels(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "pixels" }
}

const DAY: i64 = 86_400;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

const LISTENER: Kind = Kind::Text {
    form: "\"IP:PORT\", for instance \"127.0.0.1:11112\", or \"\" to close the listener",
    check: |text| text::listener(text).map(drop),
};
const NETWORKS: Kind = Kind::List {
    form: "list of networks, for instance [\"192.168.10.0/24\", \"10.1.2.3\"]",
    check: |text| text::network(text).map(drop),
};
const PEM_FILE: Kind = Kind::Text { form: "path of a PEM file, or \"\" for none", check: |_| Ok(()) };

/// Every key, section by section, in the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    live("hub.budget_bytes", bytes(MIB, 1024 * GIB)),
    live("hub.max_age_seconds", seconds(1, DAY)),
    live("hub.quiet_seconds", seconds(1, DAY)),
    live("hub.linger_ms", milliseconds(0, 600_000)),
    fixed("hub.max_series", count(1, 65_536)),
    fixed("dimse.listen", LISTENER),
    live("dimse.ae_title", Kind::Text { form: AE_TITLE, check: text::ae_title }),
    live("dimse.accept_any_called_ae_title", Kind::Bool),
    live("dimse.calling_ae_titles", Kind::List { form: "list of AE titles", check: text::ae_title }),
    live("dimse.allow", NETWORKS),
    live(
        "dimse.private_sop_classes",
        Kind::List { form: "list of UIDs (digits and dots, at most 64 characters)", check: text::uid },
    ),
    fixed("dimse.tls.listen", LISTENER),
    fixed("dimse.tls.certificate", PEM_FILE),
    fixed("dimse.tls.key", PEM_FILE),
    fixed("dimse.tls.client_ca", PEM_FILE),
    live("dimse.limits.associations", count(1, 4096)),
    live("dimse.limits.associations_per_peer", count(1, 4096)),
    live("dimse.limits.pdu_bytes", bytes(4096, 131_072 * 64)),
    live("dimse.limits.head_bytes", bytes(4096, GIB)),
    live("dimse.limits.frame_bytes", bytes(4096, GIB)),
    live("dimse.limits.frames", count(1, 1_000_000)),
    live("dimse.limits.elements", count(100, 10_000_000)),
    live("dimse.limits.nesting", count(1, 64)),
    live("dimse.limits.handshake_seconds", seconds(1, 300)),
    live("dimse.limits.idle_seconds", seconds(1, DAY)),
    live("dimse.limits.stall_seconds", seconds(1, 3600)),
    fixed(
        "dicomweb.listen",
        Kind::Text {
            form: "\"IP:PORT\", for instance \"127.0.0.1:8443\"",
            check: |text| text::address(text).map(drop),
        },
    ),
    live("dicomweb.allow", NETWORKS),
    live(
        "dicomweb.cors_origins",
        Kind::List {
            form: "list of origins, for instance [\"https://viewer.example:8443\"], or [\"*\"]",
            check: text::origin,
        },
    ),
    fixed("dicomweb.tls.certificate", PEM_FILE),
    fixed("dicomweb.tls.key", PEM_FILE),
    fixed("dicomweb.tls.client_ca", PEM_FILE),
    fixed("dicomweb.tls.self_signed", Kind::Bool),
    live("dicomweb.limits.connections", count(1, 65_536)),
    live("dicomweb.limits.connections_per_peer", count(1, 65_536)),
    live("dicomweb.limits.streams", count(1, 1024)),
    live("dicomweb.limits.requests_per_second", count(1, 1_000_000)),
    live("dicomweb.limits.request_burst", count(1, 1_000_000)),
    live("dicomweb.limits.header_bytes", bytes(8 * KIB, MIB)),
    live("dicomweb.limits.header_timeout_seconds", seconds(1, 300)),
    live("dicomweb.limits.idle_seconds", seconds(1, DAY)),
    live("dicomweb.limits.send_timeout_ms", milliseconds(100, 600_000)),
    live("dicomweb.limits.search_results", count(1, 100_000)),
    fixed("pattern.enabled", Kind::Bool),
    fixed("pattern.rows", pixels(64, 4096)),
    fixed("pattern.columns", pixels(64, 4096)),
    fixed("pattern.bits", Kind::OneInteger(&[8, 12, 16])),
    fixed("pattern.color", Kind::Bool),
    fixed("pattern.fps", Kind::Number { min: 1.0, max: 240.0, unit: "frames per second" }),
    fixed("service.drain_seconds", seconds(1, 300)),
    live(
        "service.log",
        Kind::Text {
            form: "log filter, for instance \"info\" or \"info,framegate=debug\"",
            check: text::log_filter,
        },
    ),
    fixed("service.log_format", Kind::OneText(&["text", "json"])),
    fixed(
        "service.metrics_listen",
        Kind::Text {
            form: "loopback \"IP:PORT\", for instance \"127.0.0.1:9100\", or \"\" to close the listener",
            check: |text| text::loopback_listener(text).map(drop),
        },
    ),
];

const AE_TITLE: &str = "AE title: 1 to 16 printable ASCII characters, no backslash, no space at the ends";

/// The key of this dotted path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// What stands in a section, keys and subsections; the empty path is the top of the file. Empty
/// when there is no such section.
pub(super) fn members(section: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let inside = if section.is_empty() {
            Some(key.path)
        } else {
            key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        if let Some(name) = inside.and_then(|rest| rest.split('.').next())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// The name that is most like `name`, if one is like it at all.
pub(super) fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known.as_ref()), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

impl Key {
    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "__").to_ascii_uppercase())
    }
}

impl Kind {
    /// What it takes, for messages.
    pub(super) fn accepted(&self) -> String {
        let joined = |choices: Vec<String>| choices.join(" or ");
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max, unit } => {
                format!("integer, {min} to {max} {unit}").trim_end().to_owned()
            }
            Self::Number { min, max, unit } => format!("number, {min} to {max} {unit}"),
            Self::OneInteger(choices) => joined(choices.iter().map(ToString::to_string).collect()),
            Self::OneText(choices) => joined(choices.iter().map(|choice| format!("{choice:?}")).collect()),
            Self::Text { form, .. } | Self::List { form, .. } => (*form).to_owned(),
        }
    }

    /// Says what is wrong with a value, if anything is. Nothing is coerced, but a whole number
    /// is a number.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let out_of_range = || Err(format!("{value} is out of range"));
        match (self, value) {
            (Self::Bool, Value::Boolean(_)) => Ok(()),
            (Self::Integer { min, max, .. }, Value::Integer(number)) => {
                if (min..=max).contains(&number) {
                    Ok(())
                } else {
                    out_of_range()
                }
            }
            (Self::OneInteger(choices), Value::Integer(number)) => {
                if choices.contains(number) {
                    Ok(())
                } else {
                    out_of_range()
                }
            }
            (Self::Number { min, max, .. }, Value::Float(number)) => {
                if (min..=max).contains(&number) {
                    Ok(())
                } else {
                    out_of_range()
                }
            }
            (Self::Number { min, max, .. }, Value::Integer(number)) => {
                // What the conversion rounds is far out of any range.
                if (*min..=*max).contains(&(*number as f64)) { Ok(()) } else { out_of_range() }
            }
            (Self::OneText(choices), Value::String(text)) => {
                if choices.contains(&text.as_str()) {
                    Ok(())
                } else {
                    Err(format!("unknown {}", quoted(text)))
                }
            }
            (Self::Text { check, .. }, Value::String(text)) => check_text(text, *check),
            (Self::List { check, .. }, Value::Array(items)) => items.iter().try_for_each(|item| match item {
                Value::String(text) => check_text(text, *check),
                other => Err(format!("wrong type, {} in a list of strings", described(other))),
            }),
            (_, value) => Err(format!("wrong type, {}", described(value))),
        }
    }
}

/// Control characters have no place in any of our strings, and would break the lines they are
/// printed on.
fn check_text(text: &str, check: Check) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err(format!("{} holds a control character", quoted(text)));
    }
    check(text).map_err(|what| format!("{} {what}", quoted(text)))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text))
}

/// A value and its TOML type, for messages.
fn described(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the string {}", quoted(text)),
        Value::Integer(number) => format!("the integer {number}"),
        Value::Float(_) => format!("the float {value}"),
        Value::Boolean(answer) => format!("the boolean {answer}"),
        Value::Datetime(_) => "a date or time".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a section".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("max_age", members("hub")), Some("max_age_seconds"));
        assert_eq!(nearest("asociations", members("dimse.limits")), Some("associations"));
        assert_eq!(nearest("dimze", members("")), Some("dimse"));
        assert_eq!(nearest("bogus", members("hub")), None);
    }

    #[test]
    fn members_are_keys_and_subsections() {
        assert_eq!(members(""), ["hub", "dimse", "dicomweb", "pattern", "service"]);
        assert_eq!(members("dimse.tls"), ["listen", "certificate", "key", "client_ca"]);
        assert!(members("dimse").contains(&"limits"));
        assert!(members("dim").is_empty());
        assert!(members("hub.max_series").is_empty());
    }

    #[test]
    fn nothing_is_coerced() {
        let integer = count(1, 10);
        assert!(integer.check(&Value::Integer(10)).is_ok());
        for wrong in [Value::Float(1.7), Value::Boolean(true), Value::String("7".into()), Value::Integer(11)]
        {
            assert!(integer.check(&wrong).is_err(), "{wrong}");
        }
        assert!(LISTENER.check(&Value::Integer(5)).is_err());
        assert!(Kind::Bool.check(&Value::Integer(1)).is_err());
        assert!(NETWORKS.check(&Value::String("10.0.0.0/8".into())).is_err());
        assert!(NETWORKS.check(&Value::Array(vec![Value::Integer(10)])).is_err());
        let number = Kind::Number { min: 1.0, max: 240.0, unit: "" };
        assert!(number.check(&Value::Integer(15)).is_ok());
        for wrong in [f64::NAN, f64::INFINITY, 0.5] {
            assert!(number.check(&Value::Float(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_stay_on_one_line() {
        let problem = LISTENER.check(&Value::String("a\nb".repeat(1000))).unwrap_err();
        assert!(!problem.contains('\n'));
        assert!(problem.chars().count() < 120, "{problem}");
    }
}
