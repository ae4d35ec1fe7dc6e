//! Watches what is doubtful in what is said of the patients of captures, and says so: in the log, in a metric, and
//! to the subscribers of the series that is open. A doubt comes with time or with what a peer says, and not with a
//! frame, so that no frame could be waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::events;
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
                    events::Doubtful { capture: &name, warning }.tell();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::registry::Registry as Metrics;

    use super::*;
    use crate::config::settings::{CaptureSettings, HubSettings, SubscriptionSettings};
    use crate::context::desk::Rules;
    use crate::context::{Order, Patient};
    use crate::hub::Hub;
    use crate::subscription::registry::Registry;

    #[test]
    fn a_doubt_shows_in_the_metrics_while_there_is_one() {
        let settings =
            CaptureSettings { modality_ae_titles: vec!["XA".to_owned()], ..CaptureSettings::default() };
        let desk = Desk::by([("room".to_owned(), Rules::of(&settings))]);
        let registry = Registry::new(SubscriptionSettings::default());
        let notifier =
            Notifier::new(Hub::new(HubSettings::default()), registry, |_, _, _, _, _| String::new());
        let counters = CaptureCounters::default();
        let mut metrics = Metrics::default();
        counters.register(&mut metrics);
        let mut watch = Watch { desk: desk.clone(), notifier, counters, told: BTreeMap::new() };
        let mut look = |moment: Instant| {
            watch.look(moment, SystemTime::now());
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
            let line = |reason| format!("context_doubtful{{capture=\"room\",reason=\"{reason}\"}} 1");
            Warning::WORDS.map(|word| text.contains(&line(word)))
        };
        let order = |id: &str| {
            let patient = Patient { id: id.to_owned(), ..Patient::default() };
            Arc::new(Order { patient, ..Order::default() })
        };
        let now = Instant::now();
        let later = |minutes: u64| now + Duration::from_secs(minutes * 60);
        desk.wish_at("room", now, |wanted| wanted.order = Some(order("1"))).unwrap();
        assert_eq!(look(now), [false, false]);
        desk.performing("XA", "1.2", order("2"), later(200));
        assert_eq!(look(later(200)), [false, true]);
        assert_eq!(look(later(241)), [true, true]);
        desk.performed("XA", "1.2", later(242));
        assert_eq!(look(later(242)), [true, false]);
        desk.wish_at("room", later(243), |wanted| wanted.order = None).unwrap();
        assert_eq!(look(later(243)), [false, false]);
    }
}
