//! What a standing search matches against, and what a search shows: a study or series by the data set
//! that opened it, and by what can only be known from the hub, namely how much there is of it. (An
//! instance is described by its own data set.)

use std::sync::Arc;

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;

use crate::hub::LiveSeries;
use crate::instance::Dataset;

/// Study attributes of a result (PS3.18 Table 10.6.3-3).
pub const STUDY: &[Tag] = &[
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
pub const SERIES: &[Tag] = &[
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
pub const INSTANCE: &[Tag] = &[
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::TIMEZONE_OFFSET_FROM_UTC,
    tags::INSTANCE_NUMBER,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::NUMBER_OF_FRAMES,
];

/// The data set that opened `live`, and what is known of its study, whose series are `members`.
pub fn study(live: &LiveSeries, members: &[Arc<LiveSeries>]) -> Dataset {
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
    put_counts_of_study(&mut dataset, members);
    dataset
}

/// The data set that opened `live`, and what is known of it and of its study, whose series are
/// `members`.
pub fn series(live: &LiveSeries, members: &[Arc<LiveSeries>]) -> Dataset {
    let mut dataset = study(live, members);
    put_count(&mut dataset, tags::NUMBER_OF_SERIES_RELATED_INSTANCES, live.len());
    dataset
}

/// The data set of an instance of `live`, and how much there is of its series and study.
pub fn instance(mut dataset: Dataset, live: &LiveSeries, members: &[Arc<LiveSeries>]) -> Dataset {
    put_counts_of_study(&mut dataset, members);
    put_count(&mut dataset, tags::NUMBER_OF_SERIES_RELATED_INSTANCES, live.len());
    dataset
}

fn put_counts_of_study(dataset: &mut Dataset, members: &[Arc<LiveSeries>]) {
    put_count(dataset, tags::NUMBER_OF_STUDY_RELATED_SERIES, members.len());
    let instances = members.iter().map(|live| live.len()).sum();
    put_count(dataset, tags::NUMBER_OF_STUDY_RELATED_INSTANCES, instances);
}

fn put_text(dataset: &mut Dataset, tag: Tag, vr: VR, text: &str) {
    let values = text.split('\\').map(str::to_owned).collect();
    dataset.put(DataElement::new(tag, vr, PrimitiveValue::Strs(values)));
}

fn put_count(dataset: &mut Dataset, tag: Tag, count: usize) {
    put_text(dataset, tag, VR::IS, &count.to_string());
}
