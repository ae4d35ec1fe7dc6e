//! What a key takes: the type and range of its value. The table of keys names a kind for every key;
//! a value is held against it where it stands, and the message says what is wrong and what would be
//! accepted. A filter may name a patient, and a person's name does, so that no message repeats any of either.

use toml::Value;

use super::origin::shortened;

/// Longest filter (bytes).
const FILTER_BYTES: usize = 4096;

/// What is shown in the place of a filter. Not itself a filter, so that a configuration in which it
/// stands is refused and does not let anybody see more than before.
pub(super) const WITHHELD: &str = "(set)";

/// The type and range of a key's value.
#[derive(Debug)]
pub(super) enum Kind {
    Bool,
    Integer {
        min: i64,
        max: i64,
        unit: &'static str,
    },
    OneInteger(&'static [i64]),
    Number {
        min: f64,
        max: f64,
        unit: &'static str,
    },
    OneText(&'static [&'static str]),
    Text {
        form: &'static str,
        check: Check,
    },
    List {
        form: &'static str,
        check: Check,
    },
    /// Match keys in QIDO-RS syntax, which may hold PHI.
    Filter,
    /// The name of a person (PN).
    Person,
}

/// Says what is wrong with a text.
pub(super) type Check = fn(&str) -> Result<(), String>;

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
            Self::Filter => format!(
                "match keys in QIDO-RS syntax, for instance \"Modality=XA\", at most {FILTER_BYTES} bytes; \"\" for none"
            ),
            Self::Person => {
                "name of a person (PN): at most 3 groups of 64 characters with = between them, 5 \
                             components of each with ^ between them; \"\" for none"
                    .to_owned()
            }
        }
    }

    /// A message about a value that is none, without what must not be repeated.
    pub(super) fn unreadable(&self, message: &str) -> String {
        match self {
            Self::Filter | Self::Person => "cannot be read".to_owned(),
            _ => message.to_owned(),
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
            (Self::Filter, Value::String(text)) => check_filter(text),
            (Self::Person, Value::String(text)) => check_person(text),
            (Self::Filter | Self::Person, _) => Err("wrong type".to_owned()),
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

/// Only what makes it unfit for a configuration: its keys and values are read by those who use it.
fn check_filter(text: &str) -> Result<(), String> {
    if text.len() > FILTER_BYTES {
        return Err(format!("is {} bytes long", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character".to_owned());
    }
    if text == WITHHELD {
        return Err("is the word that stands for a filter which is not shown".to_owned());
    }
    Ok(())
}

/// PN (PS3.5 §6.2): the groups are alphabetic, ideographic and phonetic.
fn check_person(text: &str) -> Result<(), String> {
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err("holds a character that a name cannot have".to_owned());
    }
    if text.split('=').count() > 3 {
        return Err("has more than three groups".to_owned());
    }
    if text.split('=').any(|group| group.chars().count() > 64) {
        return Err("has a group of more than 64 characters".to_owned());
    }
    if text.split('=').any(|group| group.split('^').count() > 5) {
        return Err("has more than five components".to_owned());
    }
    if text == WITHHELD {
        return Err("is the word that stands for a name which is not shown".to_owned());
    }
    Ok(())
}

/// What was found, for messages. `@` and `?` may come with credentials, in a URL that has no place for
/// them: then no more than the scheme is repeated.
fn quoted(text: &str) -> String {
    let scheme = || text.split_once("://").map_or("", |(scheme, _)| scheme);
    match text.contains(['@', '?']) {
        true if scheme().contains(['@', '?']) || scheme().is_empty() => "\"…\"".to_owned(),
        true => format!("\"{}://…\"", shortened(scheme())),
        false => format!("\"{}\"", shortened(text)),
    }
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
    use super::super::text;
    use super::*;

    const LISTENER: Kind = Kind::Text { form: "listener", check: |text| text::listener(text).map(drop) };
    const NETWORKS: Kind = Kind::List { form: "networks", check: |text| text::network(text).map(drop) };

    #[test]
    fn nothing_is_coerced() {
        let integer = Kind::Integer { min: 1, max: 10, unit: "" };
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

    #[test]
    fn credentials_are_not_repeated() {
        for text in ["https://u:word@h", "https://h/?t=word", "https://u:wo?rd@h", "u:word@h", "u:word@h://"]
        {
            let told = quoted(text);
            assert!(!told.contains("wo") && told.contains('…'), "{told}");
        }
        assert_eq!(quoted("https://u@h"), "\"https://…\"");
        assert_eq!(quoted("https://h"), "\"https://h\"");
    }

    #[test]
    fn a_persons_name_has_groups_and_components_and_is_never_repeated() {
        let long = "Doe^".repeat(4) + &"e".repeat(48);
        for good in ["", "Unidentified^", "Doe^Jane^^Dr.^", "Yamada^Tarou=山田^太郎=やまだ^たろう", &long]
        {
            assert!(Kind::Person.check(&Value::String(good.into())).is_ok(), "{good}");
        }
        for wrong in ["Doe\\Roe", "Doe=Do=D=o", "Doe\n", "Doe^a^b^c^d^e", &format!("D={long}e"), WITHHELD] {
            let what = Kind::Person.check(&Value::String(wrong.into())).unwrap_err();
            assert!(!what.contains("Doe"), "{what}");
        }
        for wrong in [Value::Integer(4711), Value::Array(vec![Value::Integer(4711)])] {
            assert_eq!(Kind::Person.check(&wrong).unwrap_err(), "wrong type");
        }
    }

    #[test]
    fn a_filter_is_never_repeated() {
        assert!(Kind::Filter.check(&Value::String(String::new())).is_ok());
        assert!(Kind::Filter.check(&Value::String("PatientID=4711&Modality=XA".into())).is_ok());
        let wrong = ["4711\n", "4711\u{7f}", WITHHELD, &"4711".repeat(2000)];
        for value in wrong
            .map(|text| Value::String(text.into()))
            .into_iter()
            .chain([Value::Integer(4711), Value::Array(vec![Value::Integer(4711)])])
        {
            let what = Kind::Filter.check(&value).unwrap_err();
            assert!(!what.contains("4711"), "{what}");
        }
    }
}
