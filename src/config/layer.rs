//! A layer is what one file, or the environment, sets: a typed fragment, and the place of every
//! key in it. Layers are merged in order, the later one winning key by key.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::fragment::Fragment;
use super::keys::{KEYS, Key};
use super::origin::Origin;

/// One key as a layer sets it; the value has passed the key's check.
pub(super) struct Entry {
    /// Dotted path, with the section's name where the table of keys has a `*`.
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// One file, or the environment.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) fragment: Fragment,
    /// By dotted path; exactly the keys that the fragment sets, and the named sections that it has.
    pub(super) origins: Origins,
}

/// Where keys and named sections are set, by dotted path.
pub(super) type Origins = BTreeMap<String, Origin>;

impl Layer {
    /// Types the entries. `sections` are the paths of the named sections, which may be empty. An error
    /// means that the table of keys and the fragment disagree.
    pub(super) fn new(entries: Vec<Entry>, sections: Vec<(String, Origin)>) -> Result<Self, toml::de::Error> {
        let mut table = Table::new();
        let mut origins = Origins::new();
        for (path, origin) in sections {
            insert(&mut table, &path, Value::Table(Table::new()));
            origins.insert(path, origin);
        }
        for Entry { path, value, origin } in entries {
            insert(&mut table, &path, value);
            origins.insert(path, origin);
        }
        Ok(Self { fragment: table.try_into()?, origins })
    }

    /// The first layer, below these others; see [`Fragment::built_in`]. Nothing in it has an origin.
    pub(super) fn built_in(self_signed: bool, others: &[Self]) -> Self {
        let others: Vec<_> = others.iter().map(|layer| &layer.fragment).collect();
        Self { fragment: Fragment::built_in(self_signed, &others), origins: Origins::new() }
    }
}

/// Lays the layers over one another, the last on top.
pub(super) fn merge(layers: Vec<Layer>) -> Result<Layer, MergeError> {
    let mut stack = ::config::Config::builder();
    let mut origins = Origins::new();
    for layer in layers {
        let text = toml::to_string(&layer.fragment)?;
        stack = stack.add_source(::config::File::from_str(&text, ::config::FileFormat::Toml));
        origins.extend(layer.origins);
    }
    Ok(Layer { fragment: stack.build()?.try_deserialize()?, origins })
}

/// Checked layers that cannot be merged: a fault of ours, not of the configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum MergeError {
    /// A fragment cannot be written as TOML.
    #[error("the layers cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
    /// The merged values do not make a fragment.
    #[error("the layers cannot be merged: {0}")]
    Merge(#[from] ::config::ConfigError),
}

/// The values that a fragment sets, with their dotted paths: section by section in the order of the
/// table, those that are named alike by name.
pub(super) fn values(fragment: &Fragment) -> Result<Vec<(&'static Key, String, Value)>, toml::ser::Error> {
    let table = Table::try_from(fragment)?;
    let mut values = Vec::new();
    let mut add = |key: &'static Key, path: String| {
        if let Some(value) = lookup(&table, &path) {
            values.push((key, path, value.clone()));
        }
    };
    for section in KEYS.chunk_by(|a, b| a.section() == b.section()) {
        match section.first().and_then(Key::named) {
            Some(kind) => {
                let names = table.get(kind).and_then(Value::as_table);
                for name in names.into_iter().flat_map(Table::keys) {
                    section.iter().for_each(|key| add(key, key.at(name)));
                }
            }
            None => section.iter().for_each(|key| add(key, key.path.to_owned())),
        }
    }
    Ok(values)
}

fn lookup<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    match path.split_once('.') {
        Some((section, rest)) => lookup(table.get(section)?.as_table()?, rest),
        None => table.get(path),
    }
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
        None => {
            table.insert(path.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::kind::Kind;
    use super::*;

    fn leaves(prefix: &str, table: &Table, found: &mut Vec<String>) {
        for (name, value) in table {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) => leaves(&path, inner, found),
                _ => found.push(path),
            }
        }
    }

    /// One section of each kind, named `a`, without a key.
    fn one_of_each() -> Layer {
        let kinds: BTreeSet<_> = KEYS.iter().filter_map(Key::named).collect();
        let sections = kinds.iter().map(|kind| (format!("{kind}.a"), Origin::BuiltIn)).collect();
        Layer::new(Vec::new(), sections).unwrap()
    }

    /// The table of keys and the fragment's fields are the same set, and no key stands twice.
    #[test]
    fn table_and_fragment_have_the_same_keys() {
        let built_in = Layer::built_in(true, &[one_of_each()]).fragment;
        let mut fields = Vec::new();
        leaves("", &Table::try_from(&built_in).unwrap(), &mut fields);
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.at("a")).collect();
        let shown: Vec<_> = values(&built_in).unwrap().into_iter().map(|(_, path, _)| path).collect();
        assert_eq!(shown, keys);
        fields.sort();
        keys.sort();
        assert_eq!(fields, keys);
    }

    /// Every default passes its own check, but for those that a named section must replace.
    #[test]
    fn defaults_are_accepted() {
        let built_in = Layer::built_in(false, &[one_of_each()]).fragment;
        for (key, path, value) in values(&built_in).unwrap() {
            assert_eq!(key.kind.check(&value).is_err(), key.required, "{path}");
        }
    }

    #[test]
    fn named_sections_are_merged_key_by_key_and_told_apart_by_case() {
        let layer = |keys: &[(&str, &str)]| {
            let entry = |(path, text): &(&str, &str)| Entry {
                path: (*path).to_owned(),
                value: Value::String((*text).to_owned()),
                origin: Origin::Environment((*text).to_owned()),
            };
            Layer::new(keys.iter().map(entry).collect(), Vec::new()).unwrap()
        };
        let first =
            layer(&[("destination.a.url", "1"), ("destination.a.token", "1"), ("destination.A.url", "2")]);
        let second = layer(&[("destination.a.url", "3"), ("destination.a-0.url", "4")]);
        let built_in = Layer::built_in(false, &[one_of_each()]);
        let merged = merge(vec![built_in, first, second]).unwrap();
        let sections = &merged.fragment.destination;
        assert_eq!(sections.keys().collect::<Vec<_>>(), ["A", "a", "a-0"]);
        assert_eq!(sections["a"].url.as_deref(), Some("3"));
        assert_eq!(sections["a"].token.as_deref(), Some("1"));
        assert_eq!(sections["a"].connections, Some(8));
        assert_eq!(sections["A"].url.as_deref(), Some("2"));
        assert_eq!(merged.origins["destination.a.url"], Origin::Environment("3".into()));
        assert_eq!(merged.origins["destination.a.token"], Origin::Environment("1".into()));
    }

    /// What the table accepts fits the field, at both ends of its range.
    #[test]
    fn ranges_fit_their_fields() {
        for key in KEYS {
            let ends = match &key.kind {
                Kind::Bool => vec![Value::Boolean(false), Value::Boolean(true)],
                Kind::Integer { min, max, .. } => vec![Value::Integer(*min), Value::Integer(*max)],
                Kind::OneInteger(choices) => choices.iter().map(|n| Value::Integer(*n)).collect(),
                Kind::Number { min, max, .. } => vec![Value::Float(*min), Value::Integer(*max as i64)],
                Kind::OneText(choices) => choices.iter().map(|t| Value::String((*t).into())).collect(),
                Kind::Text { .. } | Kind::Filter | Kind::Person => vec![Value::String(String::new())],
                Kind::List { .. } => vec![Value::Array(Vec::new())],
            };
            for value in ends {
                let entry = Entry { path: key.at("a"), value: value.clone(), origin: Origin::BuiltIn };
                let layer = Layer::new(vec![entry], Vec::new()).unwrap();
                let merged = merge(vec![Layer::built_in(true, std::slice::from_ref(&layer)), layer]).unwrap();
                let (.., effective) =
                    values(&merged.fragment).unwrap().into_iter().find(|(k, ..)| k.path == key.path).unwrap();
                let same = effective == value
                    || matches!((&effective, &value), (Value::Float(f), Value::Integer(i)) if *f == *i as f64);
                assert!(same, "{}: {value} became {effective}", key.path);
            }
        }
    }
}
