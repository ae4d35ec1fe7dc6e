//! Search (QIDO-RS, PS3.18 §10.6): the six resources over what is live or still in a ring.
//!
//! A study or series is matched, and described, by the data set that opened it; an instance by its
//! own. Beside those stand the attributes that only we can know: how much there is, and where.

use std::sync::Arc;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::{PrimitiveValue, Value};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::routes::Urls;
use crate::hub::{Hub, LiveSeries};
use crate::instance::Dataset;
use crate::subscription::described;
use crate::subscription::query::{Include, Query};
use crate::subscription::scope::{Level, Scope};

/// On every result.
const ALWAYS: &[Tag] = &[tags::SPECIFIC_CHARACTER_SET, tags::INSTANCE_AVAILABILITY, tags::RETRIEVE_URL];

/// What a search found.
#[derive(Debug)]
pub struct Results {
    /// At most as many as were asked for.
    pub datasets: Vec<Dataset>,
    /// How many more there are.
    pub more: usize,
}

/// Searches what the caller sees, by `sees`; `most` bounds the results.
pub fn search(
    hub: &Hub,
    sees: impl Fn(&LiveSeries) -> bool,
    urls: &Urls,
    scope: &Scope,
    query: &Query,
    most: usize,
) -> Results {
    // Of the whole study, since results tell how much there is of it; what the caller does not see does
    // not count.
    let mut seen = hub.series();
    seen.retain(|live| scope.study.as_ref().is_none_or(|study| live.study() == study) && sees(live));
    let series: Vec<_> = seen.iter().filter(|live| scope.holds(live)).cloned().collect();
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
                let described = members
                    .iter()
                    .map(|live| with_url(described::study(live, &members), urls.study(live.study())));
                page.offer(query, &tags, described);
            }
        }
        Level::Series => {
            for live in &series {
                let members: Vec<_> =
                    seen.iter().filter(|other| other.study() == live.study()).cloned().collect();
                let dataset = described::series(live, &members);
                page.offer(query, &tags, [with_url(dataset, urls.series(live.study(), live.series()))]);
            }
        }
        Level::Instances => {
            for live in &series {
                for instance in live.instances() {
                    let Ok(dataset) = instance.dataset() else { continue };
                    let identity = instance.identity();
                    let url = urls.instance(&identity.study, &identity.series, &identity.sop_instance);
                    page.offer(query, &tags, [with_url(dataset, url)]);
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
        tags.extend(described::STUDY);
    }
    if scope.level == Level::Series || (scope.level == Level::Instances && scope.series.is_none()) {
        tags.extend(described::SERIES);
    }
    if scope.level == Level::Instances {
        tags.extend(described::INSTANCE);
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

/// What only the server knows of a result: where it can be had.
fn with_url(mut dataset: Dataset, url: String) -> Dataset {
    let available = DataElement::new(tags::INSTANCE_AVAILABILITY, VR::CS, PrimitiveValue::from("ONLINE"));
    dataset.put(available);
    dataset.put(DataElement::new(tags::RETRIEVE_URL, VR::UR, PrimitiveValue::from(url)));
    dataset
}
