//! Whether the service can serve, and why not: for `/readyz`, the status and whoever balances load. It can where it has
//! started, is not stopping, and has tried itself at its own listeners lately, with success. A cable that is out or a
//! destination that is dead makes nobody unready: everybody else is served, and the status says what is wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::health::{Health, since_boot};
use super::progress::Progress;

/// How far the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
}

/// See the module. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    phase: Arc<Mutex<Phase>>,
    progress: Progress,
    /// The last self-test.
    last: Arc<ArcSwapOption<Health>>,
}

impl Readiness {
    /// Of a service that starts.
    pub(super) fn new(progress: Progress) -> Self {
        Self { phase: Arc::new(Mutex::new(Phase::Starting)), progress, last: Arc::default() }
    }

    /// Where the self-test leaves what it finds.
    pub(super) fn last(&self) -> Arc<ArcSwapOption<Health>> {
        self.last.clone()
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Everything runs.
    pub(super) fn running(&self) {
        self.enter(Phase::Running);
    }

    /// The service stops.
    pub(super) fn stopping(&self) {
        self.enter(Phase::Stopping);
    }

    /// Why the service cannot serve; none where it can.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.reasons_at(Instant::now(), since_boot())
    }

    fn reasons_at(&self, now: Instant, since_boot: Duration) -> Vec<String> {
        let phase = match self.phase() {
            Phase::Starting => Some("the service is starting"),
            Phase::Running => None,
            Phase::Stopping => Some("the service is stopping"),
        };
        let stuck = (!self.progress.is_made(now)).then_some("no frame gets through the hub to a reader");
        let test = match &*self.last.load() {
            None => Some("no self-test has ended yet".to_owned()),
            Some(health) => health.verdict(since_boot).err().map(|why| why.to_string()),
        };
        phase.into_iter().chain(stuck).map(str::to_owned).chain(test).collect()
    }

    /// Why the process does not get on; `None` where it does.
    pub(super) fn hangs(&self) -> Option<String> {
        let age = self.progress.age(Instant::now());
        (!self.progress.is_made(Instant::now()))
            .then(|| format!("no frame has got through the hub to a reader for {} s", age.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(ok: bool) -> Health {
        Health {
            ok,
            at: String::new(),
            boottime_microseconds: 100_000_000,
            started_microseconds: 1,
            good_for_seconds: Some(150),
            checks: Vec::new(),
            failed: (!ok).then(|| "the frame is lost".to_owned()),
        }
    }

    #[test]
    fn a_service_is_ready_once_it_runs_and_works_and_until_it_stops() {
        let now = Instant::now();
        let ready = Readiness::new(Progress::new(now));
        let tested = |ok| ready.last().store(Some(Arc::new(health(ok))));
        let at = |seconds: u64| ready.reasons_at(now, Duration::from_secs(seconds));
        assert_eq!(at(100), ["the service is starting", "no self-test has ended yet"]);
        tested(true);
        assert_eq!(at(100), ["the service is starting"]);
        ready.running();
        assert!(at(100).is_empty() && at(249).is_empty());
        assert!(at(250).concat().contains("150 s ago"), "{:?}", at(250));
        tested(false);
        assert_eq!(at(101), ["the self-test fails: the frame is lost"]);
        tested(true);
        let late = ready.reasons_at(now + Duration::from_secs(60), Duration::from_secs(101));
        assert_eq!(late, ["no frame gets through the hub to a reader"]);
        ready.stopping();
        assert_eq!(at(101), ["the service is stopping"]);
    }
}
