//! The query parameters of a search or a subscription (PS3.18 §8.3.4), parsed and compiled.
//!
//! `&` parts the parameters and the first `=` the name from the value; both are percent-decoded only
//! then. `+` is read as a space, as forms write it. A parameter that is neither an attribute nor
//! known is ignored, as the standard asks, but its name is kept so that the answer can carry a
//! `Warning`. A bad value of a known parameter is an error, which names the parameter and never the
//! value: values identify patients and errors end up in logs.
//!
//! Keys may also come as UPS writes them (§11.10), in one parameter: `filter=a=b,c=d`. There a comma
//! begins the next pair when what follows it, up to the next `=`, could be an attribute's name
//! (letters, digits and dots), and belongs to the value when not: `filter=StudyInstanceUID=1.2,1.3,Modality=XA`
//! is two keys. A comma or `=` that is percent-encoded is always the value's own. A client that
//! encodes the whole list, `=` and all, is understood too: without a plain `=` it is decoded first.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::attribute::{AttributePath, AttributePathError};
use super::matching::{BadMatchValue, MatchKey, MatchOptions, all_match};
use crate::instance::Dataset;

/// Bytes of a raw query string.
pub const MAX_QUERY: usize = 64 * 1024;
/// Parameters of a query, known and unknown together.
pub const MAX_PARAMETERS: usize = 512;
/// Match keys of a query.
pub const MAX_KEYS: usize = 64;
/// Bytes of one key's decoded value.
pub const MAX_VALUE: usize = 1024;
/// Attributes asked for by `includefield`.
pub const MAX_INCLUDED: usize = 256;
/// Names of ignored parameters that are kept for the answer.
pub const MAX_UNKNOWN: usize = 16;

/// The attributes an answer shall hold beyond those it always holds (§8.3.4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// `includefield=all`, whatever else was named.
    All,
    /// Those named; none when the query has no `includefield`.
    Attributes(Vec<AttributePath>),
}

/// A compiled query.
#[derive(Clone)]
pub struct Query {
    keys: Vec<MatchKey>,
    canonical: Arc<str>,
    /// What the answer shall hold.
    pub include: Include,
    /// The most results the client wants; `None` when it did not say.
    pub limit: Option<usize>,
    /// How many results to pass over.
    pub offset: usize,
    /// `fuzzymatching=true`. Already compiled into the keys.
    pub fuzzy: bool,
    /// Name and decoded value of the parameters that the caller declared as its own, in their order.
    pub extra: Vec<(String, String)>,
    /// Names of the parameters that were ignored, at most [`MAX_UNKNOWN`], reduced to letters,
    /// digits, spaces and `.-_` so that they can stand in a header.
    pub unknown: Vec<String>,
}

/// Why a query is a bad request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A match key whose value the attribute's VR does not allow.
    #[error("parameter {parameter}: {reason}")]
    Match {
        /// The attribute, by keyword where it has one.
        parameter: String,
        /// What is wrong with the value.
        reason: BadMatchValue,
    },
    /// A parameter that names an attribute in a way that cannot be searched.
    #[error("parameter {parameter}: {reason}")]
    Attribute {
        /// The name, reduced as in [`Query::unknown`].
        parameter: String,
        /// What is wrong with it.
        reason: AttributePathError,
    },
    /// A value that is not of the form the parameter has.
    #[error("parameter {parameter}: {expected} expected")]
    Value {
        /// The parameter.
        parameter: String,
        /// The form it has.
        expected: &'static str,
    },
    /// A parameter, or an attribute under any of its names, that comes more than once.
    #[error("parameter {parameter}: more than once")]
    Repeated {
        /// The parameter.
        parameter: String,
    },
    /// More of something than is accepted.
    #[error("{what}: more than {limit}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much of it is accepted.
        limit: usize,
    },
}

impl Query {
    /// Parses a query string, without its `?`, as it stands in the request.
    ///
    /// `extra_known` names further parameters that the caller reads itself, from [`Query::extra`].
    ///
    /// # Errors
    /// See [`QueryError`]; each is a 400 (Bad Request).
    pub fn parse(raw_query: &str, extra_known: &[&str]) -> Result<Self, QueryError> {
        at_most(raw_query.len(), MAX_QUERY, "bytes of query")?;
        let mut parts = Parts::default();
        for (index, pair) in raw_query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            at_most(index + 1, MAX_PARAMETERS, "query parameters")?;
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(raw_name, "a parameter name")?;
            if name == "filter" {
                parts.add_filter(raw_value)?;
                continue;
            }
            let value = decode(raw_value, &name)?;
            match name.as_str() {
                "limit" => once(&mut parts.limit, "limit", number("limit", &value)?)?,
                "offset" => once(&mut parts.offset, "offset", number("offset", &value)?)?,
                "fuzzymatching" => {
                    once(&mut parts.fuzzy, "fuzzymatching", boolean("fuzzymatching", &value)?)?
                }
                "multiplevaluematching" => {
                    let parameter = "multiplevaluematching";
                    once(&mut parts.all_values, parameter, boolean(parameter, &value)?)?;
                }
                // `""` is always understood, so this one says nothing new; it must still be well formed.
                "emptyvaluematching" => {
                    boolean("emptyvaluematching", &value)?;
                }
                "includefield" => parts.add_include(&value)?,
                name if extra_known.contains(&name) => parts.extra.push((name.to_owned(), value)),
                name => parts.add_key(name, value)?,
            }
        }
        parts.compile()
    }

    /// The match keys, sorted by attribute.
    pub fn keys(&self) -> &[MatchKey] {
        &self.keys
    }

    /// The match keys, and how they are to be read, as one text that is the same for two queries that
    /// ask the same: attributes by their shortest name, sorted, values decoded and without padding. Holds
    /// the values, which may identify a patient.
    pub fn canonical(&self) -> &Arc<str> {
        &self.canonical
    }

    /// Whether the dataset meets every key. A query without keys matches everything.
    pub fn matches(&self, dataset: &Dataset) -> bool {
        all_match(&self.keys, dataset)
    }
}

impl fmt::Debug for Query {
    /// Shows what is asked, but no value: those of `keys` and `extra` may identify a patient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("keys", &self.keys)
            .field("include", &self.include)
            .field("limit", &self.limit)
            .field("offset", &self.offset)
            .field("fuzzy", &self.fuzzy)
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}

/// What has been read of a query. Keys are compiled last: `fuzzymatching` may follow them.
#[derive(Default)]
struct Parts {
    keys: Vec<(AttributePath, String)>,
    included: Vec<AttributePath>,
    include_all: bool,
    limit: Option<usize>,
    offset: Option<usize>,
    fuzzy: Option<bool>,
    all_values: Option<bool>,
    extra: Vec<(String, String)>,
    unknown: Vec<String>,
}

impl Parts {
    fn add_key(&mut self, name: &str, value: String) -> Result<(), QueryError> {
        let path = match AttributePath::parse(name) {
            Ok(path) => path,
            Err(AttributePathError::Unknown) => {
                self.add_unknown(name);
                return Ok(());
            }
            Err(reason) => return Err(QueryError::Attribute { parameter: shown(name), reason }),
        };
        at_most(self.keys.len() + 1, MAX_KEYS, "match keys")?;
        at_most(value.len(), MAX_VALUE, "bytes in the value of a match key")?;
        if self.keys.iter().any(|(known, _)| *known == path) {
            return Err(QueryError::Repeated { parameter: path.to_string() });
        }
        self.keys.push((path, value));
        Ok(())
    }

    fn add_filter(&mut self, raw: &str) -> Result<(), QueryError> {
        let decoded = decode(raw, "filter")?;
        // Decoding is done pair by pair, unless the whole list was encoded as one value.
        let encoded = raw.contains('=');
        let list = if encoded { raw } else { decoded.as_str() };
        let mut rest = list;
        while !rest.is_empty() {
            let end = end_of_pair(rest);
            let (pair, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = after.strip_prefix(',').unwrap_or(after);
            let Some((name, value)) = pair.split_once('=') else {
                return Err(QueryError::Value {
                    parameter: "filter".to_owned(),
                    expected: "attribute=value",
                });
            };
            match encoded {
                true => self.add_key(&decode(name, "filter")?, decode(value, "filter")?)?,
                false => self.add_key(name, value.to_owned())?,
            }
        }
        Ok(())
    }

    fn add_include(&mut self, list: &str) -> Result<(), QueryError> {
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match AttributePath::parse(name) {
                _ if name == "all" => self.include_all = true,
                Ok(path) if self.included.contains(&path) => {}
                Ok(path) => {
                    at_most(self.included.len() + 1, MAX_INCLUDED, "includefield attributes")?;
                    self.included.push(path);
                }
                Err(AttributePathError::Unknown) => self.add_unknown(name),
                Err(reason) => return Err(QueryError::Attribute { parameter: shown(name), reason }),
            }
        }
        Ok(())
    }

    fn add_unknown(&mut self, name: &str) {
        let name = shown(name);
        if self.unknown.len() < MAX_UNKNOWN && !self.unknown.contains(&name) {
            self.unknown.push(name);
        }
    }

    fn compile(self) -> Result<Query, QueryError> {
        let fuzzy = self.fuzzy.unwrap_or(false);
        let options = MatchOptions { fuzzy, all_values: self.all_values.unwrap_or(false) };
        let mut written = self.keys;
        written.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut canonical = format!("fuzzy={} all={}", options.fuzzy, options.all_values);
        let mut keys = Vec::with_capacity(written.len());
        for (path, value) in written {
            // No value holds a control character. Writing to a String cannot fail.
            let _ = write!(canonical, "\n{path}={}", value.trim_matches(' '));
            let parameter = path.to_string();
            let key = MatchKey::new(path, &value, options);
            keys.push(key.map_err(|reason| QueryError::Match { parameter, reason })?);
        }
        let include = match self.include_all {
            true => Include::All,
            false => Include::Attributes(self.included),
        };
        Ok(Query {
            keys,
            canonical: canonical.into(),
            include,
            limit: self.limit,
            offset: self.offset.unwrap_or(0),
            fuzzy,
            extra: self.extra,
            unknown: self.unknown,
        })
    }
}

/// Where the first pair of a filter list ends: at a comma that a name and `=` follow, or at the end.
fn end_of_pair(list: &str) -> usize {
    let begins_pair = |text: &str| {
        text.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        })
    };
    let mut commas = list.match_indices(',').map(|(at, _)| at);
    commas.find(|&at| list.get(at + 1..).is_some_and(begins_pair)).unwrap_or(list.len())
}

fn at_most(count: usize, limit: usize, what: &'static str) -> Result<(), QueryError> {
    if count > limit {
        return Err(QueryError::TooMuch { what, limit });
    }
    Ok(())
}

fn once<T>(slot: &mut Option<T>, parameter: &str, value: T) -> Result<(), QueryError> {
    match slot.replace(value) {
        Some(_) => Err(QueryError::Repeated { parameter: parameter.to_owned() }),
        None => Ok(()),
    }
}

fn number(parameter: &str, text: &str) -> Result<usize, QueryError> {
    let bad = || QueryError::Value { parameter: parameter.to_owned(), expected: "an unsigned integer" };
    // The standard library would take a leading `+` as well.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    text.parse().map_err(|_| bad())
}

fn boolean(parameter: &str, text: &str) -> Result<bool, QueryError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(QueryError::Value { parameter: parameter.to_owned(), expected: "true or false" }),
    }
}

fn decode(raw: &str, parameter: &str) -> Result<String, QueryError> {
    let spaced = raw.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    match text.ok().filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => Ok(text.into_owned()),
        None => Err(QueryError::Value {
            parameter: shown(parameter),
            expected: "UTF-8 text without control characters",
        }),
    }
}

/// A name from outside, fit for a header, a log line and an error.
fn shown(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || " .-_".contains(*c)).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::{DataElement, VR};
    use proptest::prelude::*;

    fn parse(raw: &str) -> Query {
        Query::parse(raw, &["rate"]).unwrap_or_else(|error| panic!("{raw}: {error}"))
    }

    fn error(raw: &str) -> QueryError {
        match Query::parse(raw, &["rate"]) {
            Ok(_) => panic!("{raw} was accepted"),
            Err(error) => error,
        }
    }

    fn key_names(query: &Query) -> Vec<String> {
        query.keys().iter().map(|key| key.path().to_string()).collect()
    }

    fn names(raw: &str) -> Vec<String> {
        key_names(&parse(raw))
    }

    fn patient(name: &str, id: &str) -> Dataset {
        Dataset::from_element_iter([
            DataElement::new(dicom_dictionary_std::tags::PATIENT_NAME, VR::PN, name),
            DataElement::new(dicom_dictionary_std::tags::PATIENT_ID, VR::LO, id),
        ])
    }

    #[test]
    fn an_empty_query_asks_for_everything() {
        let query = parse("");
        assert!(query.keys().is_empty() && query.matches(&Dataset::new_empty()));
        assert_eq!(query.include, Include::Attributes(vec![]));
        assert_eq!((query.limit, query.offset, query.fuzzy), (None, 0, false));
    }

    #[test]
    fn every_parameter_has_its_place() {
        let query = parse(
            "PatientID=4711&limit=10&offset=5&fuzzymatching=true&includefield=StudyID,00081030\
             &includefield=RequestAttributesSequence.RequestedProcedureID&rate=2%2F3&emptyvaluematching=true",
        );
        assert_eq!(key_names(&query), ["PatientID"]);
        assert_eq!((query.limit, query.offset, query.fuzzy), (Some(10), 5, true));
        let Include::Attributes(included) = &query.include else { panic!() };
        let included: Vec<_> = included.iter().map(ToString::to_string).collect();
        let procedure = "RequestAttributesSequence.RequestedProcedureID";
        assert_eq!(included, ["StudyID", "StudyDescription", procedure]);
        assert_eq!(query.extra, [("rate".to_owned(), "2/3".to_owned())]);
        assert!(query.unknown.is_empty());
        assert_eq!(parse("includefield=StudyID&includefield=all").include, Include::All);
    }

    #[test]
    fn decoding_comes_after_splitting() {
        let query = parse("PatientName=Doe%5EJane&PatientID=a%26b%3Dc");
        assert!(query.matches(&patient("DOE^JANE", "a&b=c")));
        assert!(!query.matches(&patient("DOE^JANE", "a")));
        assert!(parse("PatientName=Doe%5EAnna+Lena").matches(&patient("Doe^Anna Lena", "")));
        assert!(parse("PatientName=M%C3%BCller").matches(&patient("Müller", "")));
    }

    #[test]
    fn fuzzymatching_holds_wherever_it_stands() {
        let doe = patient("Doe^Jane", "1");
        assert!(parse("PatientName=jan&fuzzymatching=true").matches(&doe));
        assert!(parse("fuzzymatching=true&PatientName=jan").matches(&doe));
        assert!(!parse("PatientName=jan&fuzzymatching=false").matches(&doe));
    }

    #[test]
    fn a_filter_list_is_several_keys() {
        assert_eq!(names("filter=PatientID=1,Modality=XA"), ["Modality", "PatientID"]);
        let list = parse("filter=StudyInstanceUID=1.2,1.3,Modality=XA");
        assert_eq!(key_names(&list), ["Modality", "StudyInstanceUID"]);
        let study = |uid: &str| {
            Dataset::from_element_iter([
                DataElement::new(dicom_dictionary_std::tags::STUDY_INSTANCE_UID, VR::UI, uid),
                DataElement::new(dicom_dictionary_std::tags::MODALITY, VR::CS, "XA"),
            ])
        };
        assert!(list.matches(&study("1.3")) && !list.matches(&study("1.4")));
        // Encoded delimiters are the value's own; a list encoded as a whole is a list all the same.
        assert!(parse("filter=PatientID=a%2CModality%3Db").matches(&patient("", "a,Modality=b")));
        assert_eq!(names("filter=PatientID%3D1%2CModality%3DXA"), ["Modality", "PatientID"]);
        assert_eq!(names("filter=PatientID=1&filter=Modality=XA"), ["Modality", "PatientID"]);
        assert_eq!(parse("filter=PatientID=1,Modalty=XA").unknown, ["Modalty"]);
        assert_eq!(error("filter=PatientID").to_string(), "parameter filter: attribute=value expected");
        assert!(matches!(error("PatientID=1&filter=00100020=2"), QueryError::Repeated { .. }));
    }

    #[test]
    fn the_canonical_text_is_the_same_for_the_same_search_alone() {
        let canonical = |raw: &str| parse(raw).canonical().clone();
        let one = canonical("PatientName=Doe%5EJane&Modality=XA");
        for same in [
            "Modality=XA&PatientName=Doe^Jane",
            "00080060=XA&00100010=Doe^Jane",
            "filter=PatientName=Doe^Jane,Modality=XA",
            "Modality=+XA&PatientName=Doe^Jane&limit=5&rate=3&fuzzymatching=false&includefield=all",
        ] {
            assert_eq!(canonical(same), one, "{same}");
        }
        for other in [
            "Modality=XA",
            "Modality=XA&PatientName=Doe^Jan",
            "Modality=XA&PatientName=doe^jane",
            "Modality=XA&PatientName=Doe^Jane&StudyDate=",
            "Modality=XA&PatientName=Doe^Jane&fuzzymatching=true",
            "Modality=XA&PatientName=Doe^Jane&multiplevaluematching=true",
            "Modality=XA&ReferringPhysicianName=Doe^Jane",
        ] {
            assert_ne!(canonical(other), one, "{other}");
        }
        // No value can pass for another key.
        assert_ne!(canonical("PatientID=a%5CModality=b"), canonical("PatientID=a&Modality=b"));
    }

    #[test]
    fn what_is_not_known_is_ignored_and_named() {
        let query = parse(
            "orderby=x&PatientNmae=y&Patient%0ANmae=z&orderby=q&includefield=Foo"
                .replace("%0A", "%20")
                .as_str(),
        );
        assert_eq!(query.unknown, ["orderby", "PatientNmae", "Patient Nmae", "Foo"]);
        assert!(query.keys().is_empty());
        let many: Vec<_> = (0..100).map(|n| format!("x{n}=1")).collect();
        assert_eq!(parse(&many.join("&")).unknown.len(), MAX_UNKNOWN);
    }

    #[test]
    fn a_bad_value_is_an_error_that_does_not_show_it() {
        for (raw, message) in [
            ("limit=zzz", "parameter limit: an unsigned integer expected"),
            ("limit=%2B7", "parameter limit: an unsigned integer expected"),
            ("limit=", "parameter limit: an unsigned integer expected"),
            ("offset=-1", "parameter offset: an unsigned integer expected"),
            ("limit=99999999999999999999999", "parameter limit: an unsigned integer expected"),
            ("limit=1&limit=2", "parameter limit: more than once"),
            ("fuzzymatching=zzz", "parameter fuzzymatching: true or false expected"),
            ("multiplevaluematching=zzz", "parameter multiplevaluematching: true or false expected"),
            ("emptyvaluematching=zzz", "parameter emptyvaluematching: true or false expected"),
            ("00100020=zzz&PatientID=zzz", "parameter PatientID: more than once"),
            ("StudyDate=zzz", "parameter StudyDate: neither a date or time nor a range of them"),
            (
                "StudyDate=20260102-20260101",
                "parameter StudyDate: neither a date or time nor a range of them",
            ),
            ("InstanceNumber=zzz", "parameter InstanceNumber: not a number"),
            ("InstanceNumber=inf", "parameter InstanceNumber: not a number"),
            ("StudyInstanceUID=zzz", "parameter StudyInstanceUID: not a UID"),
            ("FrameIncrementPointer=zzz", "parameter FrameIncrementPointer: not a tag"),
            (
                "RequestAttributesSequence=zzz",
                "parameter RequestAttributesSequence: an attribute of this VR has no value to match",
            ),
            ("PixelData=zzz", "parameter PixelData: an attribute of this VR has no value to match"),
            ("Modality=%5C", "parameter Modality: a list without a value"),
            (
                "PatientID.PatientName=zzz",
                "parameter PatientID.PatientName: a step before the last is not a sequence",
            ),
            ("PatientID=%ff", "parameter PatientID: UTF-8 text without control characters expected"),
            ("PatientID=zzz%00zzz", "parameter PatientID: UTF-8 text without control characters expected"),
            ("%ff=zzz", "parameter a parameter name: UTF-8 text without control characters expected"),
        ] {
            let text = error(raw).to_string();
            assert_eq!(text, message, "{raw}");
            assert!(!text.contains("zzz"));
        }
    }

    #[test]
    fn everything_is_bounded() {
        let steps = |count: usize| vec!["00400275"; count].join(".");
        let keys = |count: usize| (0..count).map(|n| format!("0009{:04x}=1", n + 0x1000)).collect::<Vec<_>>();
        let fields = |count: usize| keys(count).join(",").replace("=1", "");
        assert_eq!(parse(&keys(MAX_KEYS).join("&")).keys().len(), MAX_KEYS);
        assert!(matches!(error(&keys(MAX_KEYS + 1).join("&")), QueryError::TooMuch { .. }));
        assert!(matches!(
            error(&format!("filter={}", keys(MAX_KEYS + 1).join(","))),
            QueryError::TooMuch { .. }
        ));
        parse(&format!("PatientID={}", "x".repeat(MAX_VALUE)));
        assert!(matches!(
            error(&format!("PatientID={}", "x".repeat(MAX_VALUE + 1))),
            QueryError::TooMuch { .. }
        ));
        parse(&format!("{}=", steps(8)));
        assert!(matches!(error(&format!("{}=", steps(9))), QueryError::Attribute { .. }));
        parse(&format!("includefield={}", fields(MAX_INCLUDED)));
        assert!(matches!(
            error(&format!("includefield={}", fields(MAX_INCLUDED + 1))),
            QueryError::TooMuch { .. }
        ));
        assert!(matches!(error(&"x&".repeat(MAX_PARAMETERS + 1)), QueryError::TooMuch { .. }));
        assert!(matches!(error(&"x".repeat(MAX_QUERY + 1)), QueryError::TooMuch { .. }));
    }

    #[test]
    fn debug_output_keeps_values_to_itself() {
        let shown = format!("{:?}", parse("PatientName=Doe&rate=Doe&fuzzymatching=true"));
        assert!(shown.contains("PatientName") && !shown.contains("Doe"), "{shown}");
    }

    proptest! {
        #[test]
        fn takes_any_text(raw in any::<String>(), like in "([A-Za-z0-9=&%,.+\\\\*?\"-]|PatientName=|StudyDate=|filter=|limit=|includefield=|RequestAttributesSequence\\.){0,40}") {
            let dataset = patient("Doe^Jane", "4711");
            for raw in [raw, like] {
                if let Ok(query) = Query::parse(&raw, &["rate"]) {
                    query.matches(&dataset);
                }
            }
        }

        #[test]
        fn an_encoded_value_comes_out_as_it_went_in(id in "[^*?\\\\\"\\p{Cc} ]{1,40}") {
            let encoded = percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC);
            let plain = parse(&format!("PatientID={encoded}"));
            let filtered = parse(&format!("filter=PatientID={encoded}"));
            let dataset = patient("", &id);
            prop_assert!(plain.matches(&dataset) && filtered.matches(&dataset));
        }
    }
}
