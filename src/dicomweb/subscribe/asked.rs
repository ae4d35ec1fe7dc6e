//! What the query of a registration asks for, read strictly: a parameter that is not known, comes twice
//! or has another value than it takes is an error that names it, and never its value.

use std::time::Duration;

use crate::dicomweb::parameters;
use crate::dicomweb::problem::Problem;
use crate::hub::From;
use crate::subscription::query::{Query, QueryError};
use crate::subscription::registry::{Changes, Form};
use crate::subscription::{filter, options};

/// Says that a running subscription is to be changed, not another one registered.
const UPDATE: &str = "update";
/// Names one of a subscriber's subscriptions by its identifier.
const SUBSCRIPTION: &str = "subscription";
/// How a search is to be delivered.
const REGISTRATION: &[&str] =
    &["destination", "rate", "from", "transfer-syntax", "representation", "lease", "paused"];
/// What can be changed later.
const CHANGES: &[&str] = &[UPDATE, SUBSCRIPTION, "rate", "paused", "lease"];

/// What a POST of a subscriber's resource asks for.
#[derive(Debug)]
pub(super) enum Posted {
    /// Another subscription, or its renewal.
    Registration(Box<Registration>),
    /// A change of all subscriptions, or of the one with this identifier.
    Update(Option<String>, Changes),
}

/// A search and how its results are to be delivered.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) query: Query,
    pub(super) destination: Option<String>,
    pub(super) rate: Option<f64>,
    pub(super) from: From,
    pub(super) form: Form,
    pub(super) lease: Option<Duration>,
    pub(super) paused: bool,
}

/// Reads the query of a POST.
pub(super) fn posted(raw: &str) -> Result<Posted, Problem> {
    let asked = Asked::parse(raw)?;
    if asked.value(UPDATE).is_none() {
        asked.takes(REGISTRATION)?;
        return asked.registration().map(|registration| Posted::Registration(Box::new(registration)));
    }
    asked.takes(CHANGES)?;
    asked.takes_no_key()?;
    asked.read(UPDATE, "no value", |value| matches!(value, "" | "true").then_some(()))?;
    let changes = Changes { rate: asked.changed_rate()?, paused: asked.paused()?, lease: asked.lease()? };
    Ok(Posted::Update(asked.value(SUBSCRIPTION).map(str::to_owned), changes))
}

/// Reads the query of a request about subscriptions that are there: the identifier of one, if it names one.
pub(super) fn selected(raw: &str) -> Result<Option<String>, Problem> {
    let asked = Asked::parse(raw)?;
    asked.takes(&[SUBSCRIPTION])?;
    asked.takes_no_key()?;
    Ok(asked.value(SUBSCRIPTION).map(str::to_owned))
}

/// A query that holds nothing but match keys and known options, each once.
struct Asked(Query);

impl Asked {
    fn parse(raw: &str) -> Result<Self, Problem> {
        let mut known = vec!["accept", UPDATE, SUBSCRIPTION];
        known.extend(REGISTRATION);
        let query = Query::parse(raw, &known).map_err(|error| Problem::bad_search(&error))?;
        if let Some(name) = filter::not_a_key(&query) {
            return Err(Problem::unexpected_parameter(name));
        }
        let twice = |name: &str| query.extra.iter().filter(|(other, _)| other == name).count() > 1;
        if let Some((parameter, _)) = query.extra.iter().find(|(name, _)| twice(name)) {
            return Err(Problem::bad_search(&QueryError::Repeated { parameter: parameter.clone() }));
        }
        Ok(Self(query))
    }

    fn takes(&self, options: &[&str]) -> Result<(), Problem> {
        let is_taken = |name: &str| name == "accept" || options.contains(&name);
        match self.0.extra.iter().find(|(name, _)| !is_taken(name)) {
            Some((name, _)) => Err(Problem::unexpected_parameter(name)),
            None => Ok(()),
        }
    }

    fn takes_no_key(&self) -> Result<(), Problem> {
        match self.0.keys().first() {
            Some(key) => Err(Problem::unexpected_parameter(&key.path().to_string())),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.extra.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// An option's value, if it is given; `expected` says what `read` takes.
    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.value(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Problem::bad_parameter(name, expected))
    }

    fn registration(self) -> Result<Registration, Problem> {
        let name = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let rendered =
            self.read("representation", "rendered", |value| (value == "rendered").then_some(()))?.is_some();
        let expected = "the UID of Explicit VR Little Endian, and not together with representation=rendered";
        let syntax = self.read("transfer-syntax", expected, |uid| options::form(Some(uid), rendered))?;
        let form = syntax.or_else(|| options::form(None, rendered)).unwrap_or(Form::AsTheyAre);
        Ok(Registration {
            destination: self.read("destination", "the name of a destination", name)?,
            rate: self.value("rate").map(parameters::rate).transpose()?,
            from: self.value("from").map(parameters::begin).transpose()?.unwrap_or(From::Oldest),
            form,
            lease: self.lease()?,
            paused: self.paused()?.unwrap_or(false),
            query: self.0,
        })
    }

    /// 0 takes the limit away.
    fn changed_rate(&self) -> Result<Option<Option<f64>>, Problem> {
        let Some(value) = self.value("rate") else { return Ok(None) };
        let is_zero = value.contains('0') && value.bytes().all(|b| matches!(b, b'0' | b'.'));
        if is_zero { Ok(Some(None)) } else { parameters::rate(value).map(|rate| Some(Some(rate))) }
    }

    fn lease(&self) -> Result<Option<Duration>, Problem> {
        self.read("lease", "whole seconds from 1", |value| {
            let seconds: u64 = value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok())??;
            (seconds > 0).then(|| Duration::from_secs(seconds))
        })
    }

    fn paused(&self) -> Result<Option<bool>, Problem> {
        self.read("paused", "true or false", |value| match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registration(raw: &str) -> Registration {
        match posted(raw) {
            Ok(Posted::Registration(registration)) => *registration,
            other => panic!("{raw}: {other:?}"),
        }
    }

    fn update(raw: &str) -> (Option<String>, Changes) {
        match posted(raw) {
            Ok(Posted::Update(id, changes)) => (id, changes),
            other => panic!("{raw}: {other:?}"),
        }
    }

    #[test]
    fn every_option_has_its_place() {
        let plain = registration("Modality=XA");
        assert_eq!(plain.query.keys().len(), 1);
        assert_eq!((plain.destination, plain.rate, plain.from), (None, None, From::Oldest));
        assert_eq!((plain.form, plain.lease, plain.paused), (Form::AsTheyAre, None, false));
        let full = registration(
            "filter=Modality=XA,PatientID=1&destination=pacs&rate=7.5&from=latest&lease=60&paused=true\
             &transfer-syntax=1.2.840.10008.1.2.1&fuzzymatching=true&accept=application/json",
        );
        assert_eq!((full.query.keys().len(), full.query.fuzzy), (2, true));
        assert_eq!((full.destination.as_deref(), full.rate), (Some("pacs"), Some(7.5)));
        assert_eq!((full.from, full.form, full.paused), (From::Latest, Form::Native, true));
        assert_eq!(full.lease, Some(Duration::from_secs(60)));
        assert_eq!(registration("representation=rendered").form, Form::Rendered);
        assert_eq!(registration("from=17").from, From::Number(17));
    }

    #[test]
    fn an_update_changes_what_it_names() {
        assert_eq!(update("update"), (None, Changes::default()));
        let (id, changes) = update("update=true&rate=7.5&paused=false&lease=5&subscription=0f6d");
        assert_eq!(id.as_deref(), Some("0f6d"));
        let lease = Some(Duration::from_secs(5));
        assert_eq!(changes, Changes { rate: Some(Some(7.5)), paused: Some(false), lease });
        for none in ["update&rate=0", "rate=0.0&update"] {
            assert_eq!(update(none).1.rate, Some(None), "{none}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_and_not_repeated() {
        for (raw, parameter) in [
            ("rate=zzz", "rate"),
            ("rate=0", "rate"),
            ("rate=1001", "rate"),
            ("rate=", "rate"),
            ("from=zzz", "from"),
            ("lease=0", "lease"),
            ("lease=zzz", "lease"),
            ("lease=-1", "lease"),
            ("lease=%2B1", "lease"),
            ("lease=", "lease"),
            ("lease=1.5", "lease"),
            ("lease=99999999999999999999", "lease"),
            ("paused=zzz", "paused"),
            ("paused=", "paused"),
            ("representation=zzz", "representation"),
            ("transfer-syntax=zzz", "transfer-syntax"),
            ("transfer-syntax=1.2.840.10008.1.2.4.50", "transfer-syntax"),
            ("transfer-syntax=1.2.840.10008.1.2.1&representation=rendered", "transfer-syntax"),
            ("destination=", "destination"),
            ("rate=1&rate=2", "rate"),
            ("StudyDate=zzz", "StudyDate"),
            ("PatientID=1&00100020=zzz", "PatientID"),
            ("PatientNmae=zzz", "PatientNmae"),
            ("filter=PatientNmae=zzz", "PatientNmae"),
            ("deletionlock=zzz", "deletionlock"),
            ("limit=3", "limit"),
            ("offset=3", "offset"),
            ("includefield=all", "includefield"),
            ("subscription=zzz", "subscription"),
            ("update=zzz", "update"),
            ("update=false", "update"),
            ("update&rate=zzz", "rate"),
            ("update&rate=.", "rate"),
            ("update&destination=zzz", "destination"),
            ("update&from=latest", "from"),
            ("update&PatientName=zzz", "PatientName"),
            ("update&update", "update"),
        ] {
            let problem = posted(raw).unwrap_err();
            assert_eq!(problem.status, 400, "{raw}");
            assert!(problem.detail.contains(&format!("parameter {parameter}")), "{raw}: {}", problem.detail);
            assert!(!problem.detail.contains("zzz"), "{raw}");
        }
    }

    #[test]
    fn a_selection_takes_an_identifier_and_nothing_else() {
        assert_eq!(selected("").unwrap(), None);
        assert_eq!(selected("subscription=0f6d&accept=application/json").unwrap().as_deref(), Some("0f6d"));
        for bad in ["Modality=XA", "rate=1", "update", "sub=1", "subscription=1&subscription=2"] {
            assert_eq!(selected(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_is_a_problem(
            raw in any::<String>(),
            like in "((update|subscription|rate|from|lease|paused|destination|transfer-syntax|representation|PatientName|x)(=[a-z0-9.%+^]{0,6})?&){0,8}",
        ) {
            for raw in [raw, like] {
                let (posted, selected) = (posted(&raw), selected(&raw));
                for problem in [posted.err(), selected.err()].into_iter().flatten() {
                    prop_assert_eq!(problem.status, 400);
                }
            }
        }
    }
}
