//! A standing filter of the configuration: match keys, and nothing else.
//!
//! A search passes over what it does not know. A filter must not: what is passed over restricts nothing,
//! and would show more than was meant.

use super::query::{Include, Query, QueryError};

/// Why a text is no filter. Names parameters, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is no query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A part of it that is no parameter at all; not named, since it may be a value.
    #[error("part {0} has no =; a filter holds match keys, as keyword=value")]
    NoParameter(usize),
    /// A part of it that matches nothing.
    #[error("{0} is no attribute to match; a filter holds match keys only, as keyword=value")]
    NotAKey(String),
    /// It has no match key.
    #[error("there is no match key in it; a filter holds match keys, as keyword=value")]
    NoKey,
}

/// Reads a filter. The empty text is the filter that lets everything through.
///
/// # Errors
/// When anything in the text does not restrict what is seen.
pub fn filter(text: &str) -> Result<Query, FilterError> {
    let mut parts = text.split('&').filter(|part| !part.is_empty());
    if let Some(at) = parts.position(|part| !part.contains('=')) {
        return Err(FilterError::NoParameter(at + 1));
    }
    let query = Query::parse(text, &[])?;
    if let Some(name) = not_a_key(&query) {
        return Err(FilterError::NotAKey(name.to_owned()));
    }
    if query.keys().is_empty() && !text.is_empty() { Err(FilterError::NoKey) } else { Ok(query) }
}

/// The name of a parameter that says nothing of what matches: one that is not known, or one of a search's
/// results. How values are compared (`fuzzymatching`) says something.
pub fn not_a_key(query: &Query) -> Option<&str> {
    let of_results = [
        ("limit", query.limit.is_some()),
        ("offset", query.offset > 0),
        ("includefield", query.include != Include::Attributes(Vec::new())),
    ];
    let of_results = of_results.into_iter().find(|(_, given)| *given).map(|(name, _)| name);
    query.unknown.first().map(String::as_str).or(of_results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_keys_are_a_filter_and_nothing_else_is() {
        assert!(filter("").unwrap().keys().is_empty());
        for good in
            ["Modality=XA", "PatientName=Doe*&fuzzymatching=true", "filter=Modality=XA,StudyDate=20260101-"]
        {
            assert!(!filter(good).unwrap().keys().is_empty(), "{good}");
        }
        let error = |text: &str| {
            let error = filter(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("Doe"), "{error}");
            error.to_string()
        };
        for (text, named) in [
            ("Modalty=XA", "Modalty"),
            ("Modality=XA&PatientNme=Doe", "PatientNme"),
            ("limit=1&PatientName=Doe", "limit"),
            ("offset=1&PatientName=Doe", "offset"),
            ("includefield=all&PatientName=Doe", "includefield"),
            ("StudyDate=Doe", "StudyDate"),
            ("Modality=XA&Doe", "part 2"),
            ("&Doe^Jane", "part 1"),
            ("fuzzymatching=true", "no match key"),
            ("&", "no match key"),
        ] {
            assert!(error(text).contains(named), "{text}: {}", error(text));
        }
    }
}
