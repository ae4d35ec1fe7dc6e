//! Query parameters of Retrieve (PS3.18 §8.3): `accept`, and those of the live profile: `from` (where
//! in the ring a stream starts), `rate` (instances a second, evenly decimated) and `subscription` (what
//! steers it, see [`super::steering`]).

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::hub::From;
use crate::subscription::options;

/// Parameters in one request; more are a mistake or worse.
const MAX_PARAMETERS: usize = 64;

/// The parameters of one request, decoded.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a query string. `+` stands for itself, as in RFC 3986.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(|text| text.into_owned()).map_err(|_| Problem::bad_parameter("query", "UTF-8 text"))
        };
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PARAMETERS {
                return Err(Problem::bad_parameter("query", "at most 64 parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// Names and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of one parameter.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// `from=oldest|latest|N`; `default` where it is absent.
    pub(super) fn from(&self, default: From) -> Result<From, Problem> {
        match self.values("from").next() {
            None => Ok(default),
            Some(value) => begin(value),
        }
    }

    /// `rate=` in instances a second.
    pub(super) fn rate(&self) -> Result<Option<f64>, Problem> {
        self.values("rate").next().map(rate).transpose()
    }
}

/// The value of `from`.
pub(super) fn begin(value: &str) -> Result<From, Problem> {
    options::begin(value)
        .ok_or_else(|| Problem::bad_parameter("from", "oldest, latest or an Instance Number"))
}

/// The value of `rate`.
pub(super) fn rate(value: &str) -> Result<f64, Problem> {
    options::rate(value)
        .ok_or_else(|| Problem::bad_parameter("rate", "instances a second, from 0.001 to 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn live_parameters_are_read_and_held_to_their_bounds() {
        let parse = |query| Parameters::parse(query).unwrap();
        assert_eq!(parse("").from(From::Oldest).unwrap(), From::Oldest);
        assert_eq!(parse("from=latest").from(From::Oldest).unwrap(), From::Latest);
        assert_eq!(parse("a=b&from=17").from(From::Oldest).unwrap(), From::Number(17));
        assert!(parse("from=now").from(From::Oldest).is_err());
        assert_eq!(parse("rate=7.5").rate().unwrap(), Some(7.5));
        for bad in ["rate=0", "rate=-1", "rate=NaN", "rate=inf", "rate=x", "rate=1001", "rate=1e-300"] {
            assert!(parse(bad).rate().is_err(), "{bad}");
        }
        assert_eq!(
            parse("accept=application/dicom%2Bjson").values("accept").next(),
            Some("application/dicom+json")
        );
        assert!(Parameters::parse(&"a=b&".repeat(65)).is_err());
        assert!(Parameters::parse("a=%FF").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_queries_never_panic(query in ".{0,200}") {
            if let Ok(parameters) = Parameters::parse(&query) {
                let _ = (parameters.from(From::Oldest), parameters.rate());
            }
        }
    }
}
