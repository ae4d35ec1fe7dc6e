//! A layer is what one file, or the environment, sets: a typed fragment, and the place of every
//! key in it. Layers are merged in order, the later one winning key by key.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::fragment::Fragment;
use super::keys::{KEYS, Key};
use super::origin::Origin;

/// One key as a layer sets it; the value has passed the key's check.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// One file, or the environment.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) fragment: Fragment,
    /// By dotted key; exactly the keys that the fragment sets.
    pub(super) origins: Origins,
}

/// Where keys are set, by dotted key.
pub(super) type Origins = BTreeMap<&'static str, Origin>;

impl Layer {
    /// Types the entries. An error means that the table of keys and the fragment disagree.
    pub(super) fn new(entries: Vec<Entry>) -> Result<Self, toml::de::Error> {
        let mut table = Table::new();
        let mut origins = Origins::new();
        for Entry { key, value, origin } in entries {
            insert(&mut table, key.path, value);
            origins.insert(key.path, origin);
        }
        Ok(Self { fragment: table.try_into()?, origins })
    }

    /// The first layer; see [`Fragment::built_in`].
    pub(super) fn built_in(self_signed: bool) -> Self {
        let origins = KEYS.iter().map(|key| (key.path, Origin::BuiltIn)).collect();
        Self { fragment: Fragment::built_in(self_signed), origins }
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

/// The values that a fragment sets, by dotted key in the order of the table.
pub(super) fn values(fragment: &Fragment) -> Result<Vec<(&'static Key, Value)>, toml::ser::Error> {
    let table = Table::try_from(fragment)?;
    Ok(KEYS.iter().filter_map(|key| Some((key, lookup(&table, key.path)?.clone()))).collect())
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
    use super::super::keys::Kind;
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

    /// The table of keys and the fragment's fields are the same set, and no key stands twice.
    #[test]
    fn table_and_fragment_have_the_same_keys() {
        let mut fields = Vec::new();
        leaves("", &Table::try_from(Fragment::built_in(true)).unwrap(), &mut fields);
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        fields.sort();
        keys.sort();
        assert_eq!(fields, keys);
    }

    /// Every default passes its own check.
    #[test]
    fn defaults_are_accepted() {
        for (key, value) in values(&Fragment::built_in(false)).unwrap() {
            assert_eq!(key.kind.check(&value), Ok(()), "{}", key.path);
        }
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
                Kind::Text { .. } => vec![Value::String(String::new())],
                Kind::List { .. } => vec![Value::Array(Vec::new())],
            };
            for value in ends {
                let layer = Layer::new(vec![Entry { key, value: value.clone(), origin: Origin::BuiltIn }]);
                let merged = merge(vec![Layer::built_in(true), layer.unwrap()]).unwrap();
                let (_, effective) =
                    values(&merged.fragment).unwrap().into_iter().find(|(k, _)| k.path == key.path).unwrap();
                let same = effective == value
                    || matches!((&effective, &value), (Value::Float(f), Value::Integer(i)) if *f == *i as f64);
                assert!(same, "{}: {value} became {effective}", key.path);
            }
        }
    }
}
