//! The way from the layers to the settings: read and check all of them, merge, validate.

use std::fmt;
use std::path::Path;

use toml::Value;

use super::kind::{Kind, WITHHELD};
use super::layer::{self, Layer};
use super::origin::{ConfigErrors, Origin, Problem, printable};
use super::settings::Settings;
use super::{environment, file, validate};

/// A configuration that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What the house is built from.
    pub settings: Settings,
    /// Every key, in the order of the sections, as it stands after the last layer. Those of named
    /// sections are there for each section that any layer has.
    pub values: Vec<EffectiveValue>,
}

/// One key as it stands after the last layer. Filters may name a patient, and names of
/// persons do: `Debug` withholds them.
#[derive(Clone, PartialEq)]
pub struct EffectiveValue {
    /// Dotted path: sections and name.
    pub key: String,
    /// The value as a file would spell it; for people, [`EffectiveValue::shown`].
    pub value: Value,
    /// The topmost layer that sets it.
    pub origin: Origin,
    is_withheld: bool,
}

impl EffectiveValue {
    /// The value as it may be shown: in TOML, a filter or a patient's name that somebody has set as
    /// `"(set)"`. That is not accepted for one, so that a configuration copied from what is shown does not
    /// lack it unnoticed.
    pub fn shown(&self) -> String {
        let is_empty = self.value.as_str() == Some("");
        if self.is_withheld && self.origin != Origin::BuiltIn && !is_empty {
            Value::String(WITHHELD.to_owned()).to_string()
        } else {
            self.value.to_string()
        }
    }
}

impl fmt::Debug for EffectiveValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} # {}", self.key, self.shown(), self.origin)
    }
}

/// Loads the built-in defaults, then `file` and its drop-ins if there is one, then the
/// `FRAMEGATE_*` variables among `env` (others are ignored).
///
/// Without a file the DICOMweb server gets a self-signed certificate, unless a variable says
/// something about `dicomweb.tls`.
///
/// # Errors
/// All problems of all layers at once; if each layer is right in itself, all problems that show
/// when they are seen together. Files that certificates are named by are not opened here.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    load_layers(file, None, env)
}

/// As [`load`], with a drop-in of `file` called `name` as `text` has it, whatever it is on the disk: what a
/// change of it would come to.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    file: &Path,
    (name, text): (&str, &str),
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    load_layers(Some(file), Some((name, text)), env)
}

fn load_layers(
    file: Option<&Path>,
    wanted: Option<(&str, &str)>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    if let Some(file) = file {
        layers.extend(file::layer(file, &mut problems));
        let wanted =
            wanted.map(|(name, text)| (file.with_file_name("framegate.d").join(name), text.to_owned()));
        match file::drop_ins(file) {
            Ok(mut paths) => {
                if let Some((path, _)) = &wanted
                    && let Err(place) = paths.binary_search(path)
                {
                    paths.insert(place, path.clone());
                }
                layers.extend(paths.iter().filter_map(|path| match &wanted {
                    Some((ours, text)) if ours == path => file::layer_of(path, text, &mut problems),
                    _ => file::layer(path, &mut problems),
                }));
            }
            Err(problem) => problems.push(problem),
        }
    }
    layers.extend(environment::layer(env, &mut problems));
    if !problems.is_empty() {
        return Err(ConfigErrors { problems });
    }
    let names_tls = |layer: &Layer| layer.origins.keys().any(|key| key.starts_with("dicomweb.tls."));
    let self_signed = file.is_none() && !layers.iter().any(names_tls);
    layers.insert(0, Layer::built_in(self_signed, &layers));

    let whole = file.map_or_else(|| "environment".to_owned(), |path| printable(&path.to_string_lossy()));
    let ours = |what: String| ConfigErrors {
        problems: vec![Problem { at: whole.clone(), key: None, what, accepted: None }],
    };
    let merged = layer::merge(layers).map_err(|error| ours(error.to_string()))?;
    let settings = validate::settings(&merged, &whole).map_err(|problems| ConfigErrors { problems })?;
    let values = layer::values(&merged.fragment).map_err(|error| ours(error.to_string()))?;
    let effective = |(key, path, value): (&'static super::keys::Key, String, Value)| {
        let origin = merged.origins.get(&path).cloned().unwrap_or(Origin::BuiltIn);
        EffectiveValue {
            key: path,
            value,
            origin,
            is_withheld: matches!(key.kind, Kind::Filter | Kind::Person),
        }
    };
    Ok(Loaded { settings, values: values.into_iter().map(effective).collect() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::EXAMPLE;
    use super::super::fragment::Fragment;
    use super::super::keys::{self, find};
    use super::super::layer::values;
    use super::super::settings::{HttpTls, Settings};
    use super::*;

    const TRIAL: &str = "dicomweb.tls.self_signed = true\n";

    fn env(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let owned: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        owned.into_iter()
    }

    /// A file and its drop-ins in a directory of their own.
    fn written(file: &str, drop_ins: &[(&str, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("framegate.toml");
        std::fs::write(&path, file).unwrap();
        std::fs::create_dir(directory.path().join("framegate.d")).unwrap();
        for (name, text) in drop_ins {
            std::fs::write(directory.path().join("framegate.d").join(name), text).unwrap();
        }
        (directory, path)
    }

    #[test]
    fn a_drop_in_is_tried_without_being_written() {
        let fps = |loaded: &Loaded| loaded.settings.pattern.fps;
        let (_directory, path) =
            written(TRIAL, &[("50-a.toml", "pattern.fps = 5.0\n"), ("90-z.toml", "pattern.fps = 9.0\n")]);
        assert_eq!(fps(&load(Some(&path), env(&[])).unwrap()), 9.0);
        let with = |name, text| load_with(&path, (name, text), env(&[]));
        assert_eq!(fps(&with("90-z.toml", "pattern.fps = 7.0\n").unwrap()), 7.0);
        assert_eq!(fps(&with("90-z.toml", "").unwrap()), 5.0);
        assert_eq!(fps(&with("60-new.toml", "pattern.fps = 6.0\n").unwrap()), 9.0, "the later name wins");
        assert_eq!(fps(&with("95-new.toml", "pattern.fps = 6.0\n").unwrap()), 6.0);
        let refused = with("95-new.toml", "pattern.speed = 6.0\n").unwrap_err();
        assert!(refused.problems[0].at.contains("95-new.toml"), "{refused:?}");
        assert!(with("95-new.toml", &"#".repeat(1 << 21)).is_err());
    }

    fn origin(loaded: &Loaded, key: &str) -> String {
        let full = loaded.values.iter().find(|value| value.key == key).unwrap().origin.to_string();
        full.rsplit('/').next().unwrap().to_owned()
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let loaded = load(None, env(&[])).unwrap();
        assert_eq!(loaded.settings, Settings::default());
        assert_eq!(loaded.settings.dicomweb.tls, HttpTls::SelfSigned);
        assert_eq!(loaded.values.len(), keys::KEYS.iter().filter(|key| key.named().is_none()).count());
        assert!(loaded.values.iter().all(|value| value.origin == Origin::BuiltIn));
    }

    #[test]
    fn a_file_must_name_its_certificate() {
        let (_directory, path) = written("", &[]);
        let errors = load(Some(&path), env(&[])).unwrap_err();
        assert_eq!(errors.problems.len(), 1);
        assert_eq!(errors.problems[0].key.as_deref(), Some("dicomweb.tls.certificate"));
        assert_eq!(errors.problems[0].at, path.to_string_lossy());
        let (_directory, path) = written(TRIAL, &[]);
        assert_eq!(load(Some(&path), env(&[])).unwrap().settings, Settings::default());
        assert!(load(None, env(&[("FRAMEGATE_DICOMWEB__TLS__SELF_SIGNED", "false")])).is_err());
    }

    #[test]
    fn each_layer_wins_over_the_one_before() {
        let file = "dicomweb.tls.self_signed = true\n[hub]\nmax_age_seconds = 11\nquiet_seconds = 12\n\
                    linger_ms = 13\nbudget_bytes = 1000000000\n";
        let drop_ins = [
            ("20.toml", "[hub]\nlinger_ms = 33\nbudget_bytes = 1000000003\n"),
            ("10.toml", "\n[hub]\nquiet_seconds = 22\nlinger_ms = 23\nbudget_bytes = 1000000002\n"),
        ];
        let (_directory, path) = written(file, &drop_ins);
        let loaded = load(Some(&path), env(&[("FRAMEGATE_HUB__BUDGET_BYTES", "1000000004")])).unwrap();
        let hub = &loaded.settings.hub;
        assert_eq!(hub.max_age, Duration::from_secs(11));
        assert_eq!(hub.quiet, Duration::from_secs(22));
        assert_eq!(hub.linger, Duration::from_millis(33));
        assert_eq!(hub.budget_bytes, 1_000_000_004);
        assert_eq!(origin(&loaded, "hub.max_series"), "built-in");
        assert_eq!(origin(&loaded, "hub.max_age_seconds"), "framegate.toml:3");
        assert_eq!(origin(&loaded, "hub.quiet_seconds"), "10.toml:3");
        assert_eq!(origin(&loaded, "hub.linger_ms"), "20.toml:2");
        assert_eq!(origin(&loaded, "hub.budget_bytes"), "FRAMEGATE_HUB__BUDGET_BYTES");
    }

    #[test]
    fn lists_are_replaced_whole() {
        let file = "dicomweb.tls.self_signed = true\ndimse.calling_ae_titles = [\"A\", \"B\", \"C\"]\n\
                    dimse.private_sop_classes = [\"1.2\"]";
        let drop_ins =
            [("1.toml", "dimse.calling_ae_titles = [\"D\"]"), ("2.toml", "dimse.private_sop_classes = []")];
        let (_directory, path) = written(file, &drop_ins);
        let loaded = load(Some(&path), env(&[])).unwrap();
        assert_eq!(loaded.settings.dimse.calling_ae_titles, ["D"]);
        assert!(loaded.settings.dimse.private_sop_classes.is_empty());
    }

    #[test]
    fn private_sop_classes_are_one_list_for_all_ways_in() {
        let text = "dicomweb.tls.self_signed = true\ndimse.private_sop_classes = [\"1.2\"]";
        let (_directory, path) = written(text, &[]);
        let settings = load(Some(&path), env(&[])).unwrap().settings;
        assert_eq!(settings.dimse.private_sop_classes, ["1.2"]);
        assert_eq!(settings.send.private_sop_classes, settings.dimse.private_sop_classes);
    }

    #[test]
    fn problems_of_all_layers_come_together() {
        let (_directory, path) = written("hub.x = 1\nhub.y = 2", &[("1.toml", "dimse.ae_title = \"\\\\\"")]);
        let errors =
            load(Some(&path), env(&[("FRAMEGATE_X", ""), ("FRAMEGATE_PATTERN__FPS", "0")])).unwrap_err();
        let lines: Vec<_> = errors.problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 5);
        for (line, part) in lines.iter().zip([
            "hub.x",
            "hub.y",
            "1.toml:1:18: dimse.ae_title",
            "FRAMEGATE_PATTERN__FPS",
            "FRAMEGATE_X",
        ]) {
            assert!(line.contains(part), "{line}");
        }
        assert_eq!(errors.to_string(), lines.join("\n"));
    }

    #[test]
    fn an_empty_drop_in_or_one_that_is_dev_null_sets_nothing() {
        let (directory, path) = written(TRIAL, &[("1.toml", "")]);
        std::os::unix::fs::symlink("/dev/null", directory.path().join("framegate.d/2.toml")).unwrap();
        assert_eq!(load(Some(&path), env(&[])).unwrap().settings, Settings::default());
    }

    #[test]
    fn a_named_section_has_every_key_and_its_origin() {
        let file = "dicomweb.tls.self_signed = true\n[destination.pacs]\nurl = \"https://pacs.example/\"\n\
                    batch = 2\n[principal.viewer]\nfilter = \"PatientID=4711\"\n";
        let (_directory, path) = written(file, &[("1.toml", "destination.pacs.batch = 3")]);
        let loaded = load(Some(&path), env(&[])).unwrap();
        let pacs = &loaded.settings.destinations["pacs"];
        assert_eq!((pacs.url.as_str(), pacs.batch, pacs.connections), ("https://pacs.example", 3, 8));
        assert_eq!(origin(&loaded, "destination.pacs.url"), "framegate.toml:3");
        assert_eq!(origin(&loaded, "destination.pacs.batch"), "1.toml:1");
        assert_eq!(origin(&loaded, "destination.pacs.mode"), "built-in");
        let shown = format!("{:?}", loaded.values);
        assert!(!shown.contains("4711") && shown.contains("principal.viewer.filter = \"(set)\""), "{shown}");
        let settings = format!("{:?}", loaded.settings);
        assert!(!settings.contains("4711"), "{settings}");
        assert_eq!(loaded.settings.access.principals["viewer"].rights.filter, "PatientID=4711");
    }

    #[test]
    fn a_patients_name_is_withheld_and_the_default_is_not() {
        let file = "dicomweb.tls.self_signed = true\n[capture.a]\ndevice = \"/dev/video0\"\n\
                    patient_name = \"Doe4711^Jane\"\n[capture.b]\ndevice = \"/dev/video1\"\n";
        let (_directory, path) = written(file, &[("1.toml", "capture.b.patient_name = \"\"")]);
        let loaded = load(Some(&path), env(&[])).unwrap();
        assert_eq!(loaded.settings.captures["a"].patient_name, "Doe4711^Jane");
        let shown =
            |loaded: &Loaded, key: &str| loaded.values.iter().find(|value| value.key == key).unwrap().shown();
        assert_eq!(shown(&loaded, "capture.a.patient_name"), "\"(set)\"");
        assert_eq!(shown(&loaded, "capture.b.patient_name"), "\"\"");
        let everything = format!("{loaded:?}");
        assert!(!everything.contains("4711"), "{everything}");
        let (_directory, path) = written("dicomweb.tls.self_signed = true\n[capture.a]\n", &[]);
        let loaded = load(Some(&path), env(&[])).unwrap();
        assert_eq!(shown(&loaded, "capture.a.patient_name"), "\"Unidentified^\"");
    }

    /// Keys and named sections in the example stand behind a bare `#`, prose behind `# `.
    fn uncommented() -> String {
        let key = |line: &'static str| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
        };
        EXAMPLE.lines().map(|line| key(line).unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    fn example_layer(text: &str) -> Layer {
        let (_directory, path) = written(text, &[]);
        let mut problems = Vec::new();
        let layer = file::layer(&path, &mut problems);
        assert_eq!(problems, []);
        layer.unwrap()
    }

    /// One section of each kind, all keys in it; those that must be set with a value to go by.
    #[test]
    fn the_example_sets_nothing_and_uncommented_is_exactly_the_defaults() {
        assert_eq!(example_layer(EXAMPLE).fragment, Fragment::default());
        let example = example_layer(&uncommented());
        let defaults = Layer::built_in(false, std::slice::from_ref(&example));
        let shown = values(&example.fragment).unwrap();
        let of_table: Vec<_> = keys::KEYS.iter().map(|key| key.path).collect();
        assert_eq!(shown.iter().map(|(key, ..)| key.path).collect::<Vec<_>>(), of_table);
        for ((key, path, example), (.., default)) in shown.iter().zip(values(&defaults.fragment).unwrap()) {
            assert_eq!(*example == default, !key.required, "{path}");
        }
    }

    /// Every key of the example says in the line above it why it is there, and its range.
    #[test]
    fn the_example_explains_every_key() {
        let lines: Vec<_> = EXAMPLE.lines().collect();
        let mut section = String::new();
        for (at, line) in lines.iter().enumerate() {
            if let Some(name) = line.trim_start_matches('#').strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            }
            let Some((name, _)) = line.strip_prefix('#').and_then(|rest| rest.split_once(" = ")) else {
                continue;
            };
            if name.starts_with(' ') {
                continue;
            }
            assert!(lines[at - 1].starts_with("# "), "{line}");
            let key = find(&format!("{section}.{name}")).unwrap();
            if let Kind::Integer { min, max, unit } = key.kind {
                let range = format!("{min} to {max} {unit}");
                let mut prose = lines[..at].iter().rev().take_while(|line| line.starts_with("# "));
                assert!(prose.any(|line| line.contains(range.trim_end())), "{}: {range}", key.path);
            }
        }
    }
}
