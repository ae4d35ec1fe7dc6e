//! Where a search looks, and what it gives one result for: the six search resources of PS3.18 §10.6.1
//! and the identifiers in their paths.

use crate::hub::LiveSeries;
use crate::instance::Uid;

/// What a search returns one result for (PS3.18 §10.6.1), and a subscription is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Studies.
    Studies,
    /// Series.
    Series,
    /// Instances.
    Instances,
}

/// A search resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// One result for each of these.
    pub level: Level,
    /// Only in this study (Study Instance UID).
    pub study: Option<Uid>,
    /// Only in this series (Series Instance UID); never without the study.
    pub series: Option<Uid>,
}

impl Scope {
    /// Whether a series is of what the path names.
    pub fn holds(&self, live: &LiveSeries) -> bool {
        self.study.as_ref().is_none_or(|study| live.study() == study)
            && self.series.as_ref().is_none_or(|series| live.series() == series)
    }
}
