//! Bounds how often alerts and failed logins are told: a port scan must neither fill the repository nor push what matters
//! out of the spool. Everything else comes in step with what the service does, and is bounded by that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::occurrence::{Alert, Occurrence, Outcome};

/// So many of one kind in so much time.
const MOST: u32 = 5;
const WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Alert(Alert),
    Login,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    told: u32,
    untold: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    windows: HashMap<Kind, Window>,
}

impl Pace {
    /// Lets an occurrence through, or counts it for the next of its kind.
    pub(super) fn admit(&mut self, mut occurrence: Occurrence, now: Instant) -> Option<Occurrence> {
        let kind = match &occurrence {
            Occurrence::SecurityAlert { alert, .. } => Kind::Alert(*alert),
            Occurrence::UserAuthenticated { outcome, .. } if *outcome != Outcome::Success => Kind::Login,
            _ => return Some(occurrence),
        };
        let window = self.windows.entry(kind).or_insert(Window { since: now, told: 0, untold: 0 });
        if now.saturating_duration_since(window.since) >= WITHIN {
            (window.since, window.told) = (now, 0);
        }
        if window.told == MOST {
            window.untold += 1;
            return None;
        }
        window.told += 1;
        let untold = std::mem::take(&mut window.untold);
        if let Occurrence::SecurityAlert { said, .. } = &mut occurrence
            && untold > 0
        {
            said.push_str(&format!(" (and {untold} more of the kind, not told)"));
        }
        Some(occurrence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_a_few_times_a_second_with_its_size() {
        let mut pace = Pace::default();
        let alert = || Occurrence::SecurityAlert {
            alert: Alert::NodeAuthentication,
            outcome: Outcome::MinorFailure,
            peer: None,
            user: None,
            said: "no".to_owned(),
        };
        let start = Instant::now();
        let told = (0..100).filter_map(|_| pace.admit(alert(), start)).count();
        assert_eq!(told, 5);
        assert!(pace.admit(Occurrence::ApplicationStarted, start).is_some());
        let Some(Occurrence::SecurityAlert { said, .. }) = pace.admit(alert(), start + WITHIN) else {
            panic!("not told")
        };
        assert_eq!(said, "no (and 95 more of the kind, not told)");
        assert_eq!(pace.admit(alert(), start + WITHIN), Some(alert()));
    }
}
