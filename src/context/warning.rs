//! What is doubtful in a context: it was said long ago, or somebody else names another patient. A warning
//! changes nothing of what is published; it is there to be seen by somebody who knows the room.

use std::fmt;
use std::time::{Duration, Instant};

use super::Provider;
use super::told::Said;

/// One doubt. Holds no PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Who decides has said so longer ago than `capture.NAME.stale_minutes`.
    Stale(Provider),
    /// Another one, heard since then, names another patient.
    Contradicted {
        /// Who decides.
        decides: Provider,
        /// Who says otherwise.
        otherwise: Provider,
    },
}

impl Warning {
    /// The kinds of warnings, as a metric names them.
    pub const WORDS: [&str; 2] = ["stale", "contradicted"];

    /// One of [`Warning::WORDS`].
    pub fn word(self) -> &'static str {
        let [stale, contradicted] = Self::WORDS;
        match self {
            Self::Stale(_) => stale,
            Self::Contradicted { .. } => contradicted,
        }
    }

    /// The kind and who it is about, as an event tells it; at most 64 characters (LO).
    pub fn short(self) -> String {
        match self {
            Self::Stale(provider) => format!("{} {}", self.word(), provider.word()),
            Self::Contradicted { decides, otherwise } => {
                format!("{} {} by {}", self.word(), decides.word(), otherwise.word())
            }
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale(provider) => {
                write!(f, "stale: {} was said longer ago than stale_minutes", provider.word())
            }
            Self::Contradicted { decides, otherwise } => write!(
                f,
                "contradicted: {} names another patient than {}, which decides",
                otherwise.word(),
                decides.word()
            ),
        }
    }
}

/// The doubts in what is said, the first to be believed first, at `moment`. Words that are older than `stale`
/// are doubtful themselves and contradict nobody.
pub(super) fn of(said: &[Said], stale: Option<Duration>, moment: Instant) -> Vec<Warning> {
    let is_stale = |said: &Said| stale.is_some_and(|stale| moment.saturating_duration_since(said.at) > stale);
    let Some((first, rest)) = said.split_first() else { return Vec::new() };
    let decides = first.provider;
    let mut warnings = Vec::new();
    if is_stale(first) {
        warnings.push(Warning::Stale(decides));
    }
    let others = rest.iter().filter(|other| !is_stale(other));
    let others = others.filter(|other| first.order.patient.is_another(&other.order.patient));
    warnings.extend(others.map(|other| Warning::Contradicted { decides, otherwise: other.provider }));
    warnings
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Patient;
    use super::super::order::Order;
    use super::*;

    #[test]
    fn what_was_said_long_ago_or_is_contradicted_is_doubtful() {
        let start = Instant::now();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let said = |provider, id: &str, at| {
            let patient = Patient { id: id.to_owned(), ..Patient::default() };
            Said { provider, order: Arc::new(Order { patient, ..Order::default() }), at: minutes(at) }
        };
        let said = |other: &str| {
            [
                said(Provider::Operator, "1", 0),
                said(Provider::Mpps, other, 30),
                said(Provider::Worklist, "", 30),
            ]
        };
        let stale = Some(Duration::from_secs(3600));
        let contradicted = Warning::Contradicted { decides: Provider::Operator, otherwise: Provider::Mpps };
        assert_eq!(of(&said("1"), stale, minutes(60)), []);
        assert_eq!(of(&said("2"), stale, minutes(60)), [contradicted]);
        assert_eq!(of(&said("2"), stale, minutes(61)), [Warning::Stale(Provider::Operator), contradicted]);
        assert_eq!(of(&said("2"), stale, minutes(91)), [Warning::Stale(Provider::Operator)]);
        assert_eq!(of(&said("2"), None, minutes(9000)), [contradicted]);
        assert_eq!(of(&[], stale, minutes(0)), []);
        for warning in [contradicted, Warning::Stale(Provider::Mpps)] {
            assert!(warning.to_string().starts_with(warning.word()));
            assert!(warning.short().starts_with(warning.word()) && warning.short().len() <= 64);
        }
    }
}
