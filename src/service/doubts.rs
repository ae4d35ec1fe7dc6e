//! Watches what is doubtful in what is said of the patients of captures, and says so: in the log, in a metric, and
//! to the subscribers of the series that is open. A doubt comes with time or with what a peer says, and not with a
//! frame, so that no frame could be waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::context::desk::{Desk, Report};
use crate::context::warning::Warning;
use crate::sink::notify::Notifier;
use crate::source::capture::counters::CaptureCounters;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// What was told of one capture.
#[derive(Debug, Clone, Default, PartialEq)]
struct Told {
    warnings: Vec<Warning>,
    /// Series Instance UID of the open series.
    series: String,
}

/// Watches until `stopping` turns true.
pub(super) async fn watch(
    desk: Desk,
    notifier: Notifier,
    counters: CaptureCounters,
    mut stopping: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(LOOK);
    let mut watch = Watch { desk, notifier, counters, told: BTreeMap::new() };
    loop {
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            _ = tick.tick() => watch.look(Instant::now(), SystemTime::now()),
        }
    }
}

struct Watch {
    desk: Desk,
    notifier: Notifier,
    counters: CaptureCounters,
    told: BTreeMap<String, Told>,
}

impl Watch {
    fn look(&mut self, moment: Instant, date: SystemTime) {
        for (name, _, Report { study, series, .. }) in self.desk.reports() {
            let warnings = self.desk.warnings(&name, moment, date);
            let before = self.told.entry(name.clone()).or_default();
            if before.warnings != warnings {
                let words: Vec<_> = warnings.iter().map(|warning| warning.word()).collect();
                self.counters.doubtful(&name, &Warning::WORDS, &words);
                for warning in warnings.iter().filter(|warning| !before.warnings.contains(warning)) {
                    tracing::warn!(capture = name, "who is imaged is doubtful: {warning}");
                }
            }
            let now = Told { warnings, series };
            // Of a series that begins without doubt nobody needs to know.
            let is_news = *before != now
                && !now.series.is_empty()
                && (!now.warnings.is_empty() || (before.series == now.series && !before.warnings.is_empty()));
            let words = || now.warnings.iter().map(|warning| warning.short()).collect();
            if !is_news || self.notifier.doubtful(&study, &now.series, words()) {
                *before = now;
            }
        }
    }
}
