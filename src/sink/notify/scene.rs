//! What is to be told of one thing that happened, made once for all who are told and only if somebody
//! is: the data set that a series is matched by, and the events themselves. Also who those are.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;

use super::event::{Kind, News};
use crate::frame::transcode;
use crate::hub::{End, Hub, LiveSeries};
use crate::instance::{Dataset, EXPLICIT_VR_LITTLE_ENDIAN, Instance};
use crate::subscription::described;
use crate::subscription::scope::Level;

/// Orders subscriptions by when they were made.
pub(super) type Key = u64;

/// A series that is live, and whom it concerns.
pub(super) struct Watched {
    pub(super) live: Arc<LiveSeries>,
    /// In order.
    pub(super) concerns: Vec<Key>,
}

impl Watched {
    pub(super) fn new(live: Arc<LiveSeries>) -> Self {
        Self { live, concerns: Vec::new() }
    }

    /// Notes whether it concerns this one.
    pub(super) fn set(&mut self, key: Key, concerned: bool) {
        match (self.concerns.binary_search(&key), concerned) {
            (Err(index), true) => self.concerns.insert(index, key),
            (Ok(index), false) => drop(self.concerns.remove(index)),
            _ => {}
        }
    }

    /// Whether it concerns this one.
    pub(super) fn has(&self, key: Key) -> bool {
        self.concerns.binary_search(&key).is_ok()
    }
}

/// A series that opens, is open, or ends.
pub(super) struct Scene {
    hub: Hub,
    live: Arc<LiveSeries>,
    members: OnceLock<Vec<Arc<LiveSeries>>>,
    now: SystemTime,
    described: OnceLock<Dataset>,
    study: OnceLock<Arc<News>>,
    series: OnceLock<Arc<News>>,
}

impl Scene {
    pub(super) fn new(hub: &Hub, live: &Arc<LiveSeries>) -> Self {
        Self {
            hub: hub.clone(),
            live: Arc::clone(live),
            members: OnceLock::new(),
            now: SystemTime::now(),
            described: OnceLock::new(),
            study: OnceLock::new(),
            series: OnceLock::new(),
        }
    }

    fn members(&self) -> &[Arc<LiveSeries>] {
        self.members.get_or_init(|| self.hub.study(self.live.study()))
    }

    /// What subscriptions are matched against.
    pub(super) fn described(&self) -> &Dataset {
        self.described.get_or_init(|| described::series(&self.live, self.members()))
    }

    /// It becomes available, as a subscription at this level is told.
    pub(super) fn opened(&self, level: Level) -> Arc<News> {
        let news = match level {
            Level::Studies => self.study.get_or_init(|| {
                let dataset = with_syntaxes(described::study(&self.live, self.members()), &self.live, None);
                Arc::new(News::study(&self.live, dataset, self.now))
            }),
            Level::Series | Level::Instances => {
                self.series.get_or_init(|| self.of_series(Kind::SeriesBecomingAvailable))
            }
        };
        Arc::clone(news)
    }

    /// It has ended.
    pub(super) fn ended(&self, end: End) -> Arc<News> {
        let kind = match end {
            End::Completed => Kind::SeriesCompleted,
            End::Aborted => Kind::SeriesAborted,
        };
        Arc::clone(self.series.get_or_init(|| self.of_series(kind)))
    }

    fn of_series(&self, kind: Kind) -> Arc<News> {
        let dataset = with_syntaxes(self.described().clone(), &self.live, None);
        Arc::new(News::series(kind, &self.live, dataset, self.now))
    }
}

/// An instance that has come.
pub(super) struct Arrival {
    live: Arc<LiveSeries>,
    instance: Arc<Instance>,
    dataset: OnceLock<Option<Arc<Dataset>>>,
    news: OnceLock<Arc<News>>,
}

impl Arrival {
    pub(super) fn new(live: &Arc<LiveSeries>, instance: Arc<Instance>) -> Self {
        Self { live: Arc::clone(live), instance, dataset: OnceLock::new(), news: OnceLock::new() }
    }

    /// The instance.
    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Its data set; `None` where it cannot be decoded.
    pub(super) fn dataset(&self) -> Option<Arc<Dataset>> {
        self.dataset.get_or_init(|| self.instance.dataset().ok().map(Arc::new)).clone()
    }

    /// It is in memory.
    pub(super) fn news(&self, hub: &Hub) -> Arc<News> {
        let news = self.news.get_or_init(|| {
            // One that cannot be decoded is told with what is known of its series.
            let dataset = self.dataset().unwrap_or_else(|| Arc::clone(self.live.context()));
            let members = hub.study(self.live.study());
            let dataset = described::instance((*dataset).clone(), &self.live, &members);
            let dataset = with_syntaxes(dataset, &self.live, Some(&self.instance));
            Arc::new(News::instance(self.instance.identity(), dataset, self.instance.available()))
        });
        Arc::clone(news)
    }
}

/// Available Transfer Syntax UID: what the instance is in, or those of the series that are in memory;
/// before the first of them, what the source said when it opened the series.
fn with_syntaxes(mut dataset: Dataset, live: &LiveSeries, instance: Option<&Instance>) -> Dataset {
    let tag = tags::AVAILABLE_TRANSFER_SYNTAX_UID;
    let mut syntaxes: Vec<String> = Vec::new();
    let mut add = |uid: &str| {
        if !uid.is_empty() && !syntaxes.iter().any(|known| known == uid) {
            syntaxes.push(uid.to_owned());
        }
    };
    match instance {
        Some(instance) => add(instance.transfer_syntax()),
        None => live.instances().iter().for_each(|instance| add(instance.transfer_syntax())),
    }
    if syntaxes.is_empty()
        && let Some(announced) = live.context().get(tag).and_then(|element| element.to_str().ok())
    {
        syntaxes = announced.split('\\').map(|uid| uid.trim_matches(['\0', ' ']).to_owned()).collect();
    }
    let native = EXPLICIT_VR_LITTLE_ENDIAN;
    if syntaxes.iter().any(|uid| transcode::is_supported(uid)) && !syntaxes.iter().any(|uid| uid == native) {
        syntaxes.push(native.to_owned());
    }
    dataset.remove_element(tag);
    if !syntaxes.is_empty() {
        dataset.put(DataElement::new(tag, VR::UI, PrimitiveValue::Strs(syntaxes.into())));
    }
    dataset
}
