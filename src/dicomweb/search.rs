//! Search (QIDO-RS, PS3.18 §10.6): the six resources over what is live or still in a ring.
//!
//! A study or series is matched, and described, by the data set that opened it; an instance by its
//! own. Beside those stand the attributes that only we can know: how much there is, and where.

use std::sync::Arc;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::{PrimitiveValue, Value};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::routes::{Level, Urls};
use crate::hub::{Hub, LiveSeries};
use crate::instance::{Dataset, Uid};
use crate::subscription::query::{Include, Query};

/// Study attributes of a result (PS3.18 Table 10.6.3-3).
const STUDY: &[Tag] = &[
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::ACCESSION_NUMBER,
    tags::MODALITIES_IN_STUDY,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::TIMEZONE_OFFSET_FROM_UTC,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_INSTANCE_UID,
    tags::STUDY_ID,
    tags::STUDY_DESCRIPTION,
    tags::NUMBER_OF_STUDY_RELATED_SERIES,
    tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
];
/// Series attributes of a result (PS3.18 Table 10.6.3-4).
const SERIES: &[Tag] = &[
    tags::MODALITY,
    tags::TIMEZONE_OFFSET_FROM_UTC,
    tags::SERIES_DESCRIPTION,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_START_TIME,
    tags::REQUEST_ATTRIBUTES_SEQUENCE,
];
/// Instance attributes of a result (PS3.18 Table 10.6.3-5).
const INSTANCE: &[Tag] = &[
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::TIMEZONE_OFFSET_FROM_UTC,
    tags::INSTANCE_NUMBER,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::NUMBER_OF_FRAMES,
];
/// On every result.
const ALWAYS: &[Tag] = &[tags::SPECIFIC_CHARACTER_SET, tags::INSTANCE_AVAILABILITY, tags::RETRIEVE_URL];

/// What a search found.
#[derive(Debug)]
pub(super) struct Results {
    /// At most as many as were asked for.
    pub(super) datasets: Vec<Dataset>,
    /// How many more there are.
    pub(super) more: usize,
}

/// The resource that is searched.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) level: Level,
    pub(super) study: Option<Uid>,
    pub(super) series: Option<Uid>,
}

/// Searches; `most` bounds the results.
pub(super) fn search(hub: &Hub, urls: &Urls, scope: &Scope, query: &Query, most: usize) -> Results {
    let wanted = |live: &Arc<LiveSeries>| {
        scope.study.as_ref().is_none_or(|study| live.study() == study)
            && scope.series.as_ref().is_none_or(|series| live.series() == series)
    };
    let series: Vec<_> = hub.series().into_iter().filter(wanted).collect();
    let limit = query.limit.map_or(most, |limit| limit.min(most));
    let mut page = Page { offset: query.offset, limit, seen: 0, datasets: Vec::new() };
    let tags = wanted_tags(scope);
    match scope.level {
        Level::Studies => {
            let mut studies: Vec<Vec<Arc<LiveSeries>>> = Vec::new();
            for live in series {
                let known =
                    studies.iter_mut().find(|known| known.iter().any(|other| other.study() == live.study()));
                match known {
                    Some(known) => known.push(live),
                    None => studies.push(vec![live]),
                }
            }
            for members in studies {
                // Whatever series of it matches, the study does.
                let described = members.iter().map(|live| study_dataset(live, &members, urls));
                page.offer(query, &tags, described);
            }
        }
        Level::Series => {
            for live in &series {
                page.offer(query, &tags, [series_dataset(live, hub, urls)]);
            }
        }
        Level::Instances => {
            for live in &series {
                for instance in live.instances() {
                    let Ok(mut dataset) = instance.dataset() else { continue };
                    let identity = instance.identity();
                    let url = urls.instance(&identity.study, &identity.series, &identity.sop_instance);
                    add_available(&mut dataset, url);
                    page.offer(query, &tags, [dataset]);
                }
            }
        }
    }
    Results {
        more: page.seen.saturating_sub(page.offset.saturating_add(page.datasets.len())),
        datasets: page.datasets,
    }
}

/// The part of the results that was asked for.
struct Page {
    offset: usize,
    limit: usize,
    seen: usize,
    datasets: Vec<Dataset>,
}

impl Page {
    /// Takes the first of `candidates` that matches, if its turn has come.
    fn offer(&mut self, query: &Query, tags: &[Tag], candidates: impl IntoIterator<Item = Dataset>) {
        let Some(dataset) = candidates.into_iter().find(|dataset| query.matches(dataset)) else { return };
        self.seen += 1;
        if self.seen > self.offset && self.datasets.len() < self.limit {
            self.datasets.push(project(dataset, tags, query));
        }
    }
}

/// The attributes of a result: its own level's, and those of the levels above that the path does
/// not name (PS3.18 §10.6.3.3).
fn wanted_tags(scope: &Scope) -> Vec<Tag> {
    let mut tags = ALWAYS.to_vec();
    if scope.level == Level::Studies || scope.study.is_none() {
        tags.extend(STUDY);
    }
    if scope.level == Level::Series || (scope.level == Level::Instances && scope.series.is_none()) {
        tags.extend(SERIES);
    }
    if scope.level == Level::Instances {
        tags.extend(INSTANCE);
    }
    tags.extend([tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID].iter().take(match scope.level {
        Level::Studies => 1,
        Level::Series | Level::Instances => 2,
    }));
    tags
}

/// What a result shows of a data set: the level's attributes (empty where it has none), those that
/// were matched on, and those asked for.
fn project(dataset: Dataset, tags: &[Tag], query: &Query) -> Dataset {
    let named = match &query.include {
        Include::All => return dataset,
        Include::Attributes(named) => named.iter(),
    };
    let named = named.chain(query.keys().iter().map(|key| key.path()));
    let named = named.filter_map(|path| path.tags().first().copied());
    let mut result = Dataset::new_empty();
    let mut source = dataset;
    for tag in tags.iter().copied().chain(named) {
        if let Some(element) = source.take(tag) {
            result.put(element);
        } else if result.get(tag).is_none() && REQUIRED.contains(&tag) {
            let vr = StandardDataDictionary.by_tag(tag).map_or(VR::LO, |entry| entry.vr().relaxed());
            result.put(DataElement::new(tag, vr, Value::Primitive(PrimitiveValue::Empty)));
        }
    }
    result
}

/// Attributes that a result has even if they are empty.
const REQUIRED: &[Tag] = &[
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_ID,
    tags::MODALITY,
    tags::SERIES_NUMBER,
    tags::INSTANCE_NUMBER,
];

fn series_dataset(live: &LiveSeries, hub: &Hub, urls: &Urls) -> Dataset {
    let members = hub.study(live.study());
    let mut dataset = study_dataset(live, &members, urls);
    put_count(&mut dataset, tags::NUMBER_OF_SERIES_RELATED_INSTANCES, live.len());
    put_text(&mut dataset, tags::RETRIEVE_URL, VR::UR, &urls.series(live.study(), live.series()));
    dataset
}

/// The data set that opened `live`, and what is known of its study.
fn study_dataset(live: &LiveSeries, members: &[Arc<LiveSeries>], urls: &Urls) -> Dataset {
    let mut dataset = (**live.context()).clone();
    let several = |tag| {
        let mut values: Vec<String> = members
            .iter()
            .filter_map(|live| live.context().get(tag)?.to_str().ok())
            .map(|text| text.trim_matches(['\0', ' ']).to_owned())
            .collect();
        values.sort_unstable();
        values.dedup();
        values.join("\\")
    };
    put_text(&mut dataset, tags::MODALITIES_IN_STUDY, VR::CS, &several(tags::MODALITY));
    put_text(&mut dataset, tags::SOP_CLASSES_IN_STUDY, VR::UI, &several(tags::SOP_CLASS_UID));
    put_count(&mut dataset, tags::NUMBER_OF_STUDY_RELATED_SERIES, members.len());
    let instances = members.iter().map(|live| live.len()).sum();
    put_count(&mut dataset, tags::NUMBER_OF_STUDY_RELATED_INSTANCES, instances);
    add_available(&mut dataset, urls.study(live.study()));
    dataset
}

fn add_available(dataset: &mut Dataset, url: String) {
    put_text(dataset, tags::INSTANCE_AVAILABILITY, VR::CS, "ONLINE");
    put_text(dataset, tags::RETRIEVE_URL, VR::UR, &url);
}

fn put_text(dataset: &mut Dataset, tag: Tag, vr: VR, text: &str) {
    let values = text.split('\\').map(str::to_owned).collect();
    dataset.put(DataElement::new(tag, vr, PrimitiveValue::Strs(values)));
}

fn put_count(dataset: &mut Dataset, tag: Tag, count: usize) {
    put_text(dataset, tag, VR::IS, &count.to_string());
}
