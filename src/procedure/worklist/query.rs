//! What a worklist is asked: the match keys and return keys of PS3.4 Table K.6-1, as a C-FIND identifier and
//! as the query of a search over the web (PS3.18 §14.4). Match keys are the station, the modality and the day;
//! none of them is PHI, so that they may stand in a URL.

use std::fmt::Write as _;

use dicom_core::chrono::{Days, NaiveDate};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::settings::WorklistSettings;
use crate::dimse::element::{sequence, text};
use crate::instance::Dataset;

/// The resource (PS3.18 Table 14.1.1-1).
const RESOURCE: &str = "/modality-scheduled-procedure-steps";

/// Return keys beside those of the Scheduled Procedure Step Sequence: whose it is, for which order, study
/// and visit.
const KEYS: [(Tag, VR); 16] = [
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::REQUESTING_PHYSICIAN, VR::PN),
    (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO),
    (tags::ADMISSION_ID, VR::LO),
    (tags::CURRENT_PATIENT_LOCATION, VR::LO),
    (tags::REQUESTED_PROCEDURE_ID, VR::SH),
    (tags::REQUESTED_PROCEDURE_PRIORITY, VR::SH),
];

/// Return keys of the Scheduled Procedure Step Sequence that are no match keys of ours.
const STEP_KEYS: [(Tag, VR); 7] = [
    (tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM),
    (tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME, VR::PN),
    (tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO),
    (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH),
    (tags::SCHEDULED_STATION_NAME, VR::SH),
    (tags::SCHEDULED_PROCEDURE_STEP_LOCATION, VR::SH),
    (tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS),
];

/// Of a code (PS3.3 Table 8.8-1).
const CODE_KEYS: [(Tag, VR); 4] = [
    (tags::CODE_VALUE, VR::SH),
    (tags::CODING_SCHEME_DESIGNATOR, VR::SH),
    (tags::CODING_SCHEME_VERSION, VR::SH),
    (tags::CODE_MEANING, VR::LO),
];

/// Of a reference (PS3.3 Table 10-11).
const REFERENCE_KEYS: [(Tag, VR); 2] =
    [(tags::REFERENCED_SOP_CLASS_UID, VR::UI), (tags::REFERENCED_SOP_INSTANCE_UID, VR::UI)];

/// What one worklist is asked on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// One request each; the empty title asks for every station. Matching knows no list of titles (PS3.4
    /// Table K.6-1: single value matching).
    stations: Vec<String>,
    modality: String,
    days: String,
}

impl Query {
    /// The questions of `settings` on this day, the local one.
    pub(super) fn of(settings: &WorklistSettings, today: NaiveDate) -> Self {
        let day = |date: Option<NaiveDate>| date.unwrap_or(today).format("%Y%m%d").to_string();
        let first = day(today.checked_sub_days(Days::new(settings.days_before.into())));
        let last = day(today.checked_add_days(Days::new(settings.days_after.into())));
        let stations = match settings.station_ae_titles.as_slice() {
            [] => vec![String::new()],
            titles => titles.to_vec(),
        };
        let days = if first == last { first } else { format!("{first}-{last}") };
        Self { stations, modality: settings.modality.clone(), days }
    }

    /// The identifiers of its C-FINDs.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = Dataset> {
        self.stations.iter().map(|station| self.identifier(station))
    }

    fn identifier(&self, station: &str) -> Dataset {
        let mut step = all_of(&STEP_KEYS);
        step.put(text(tags::SCHEDULED_STATION_AE_TITLE, VR::AE, station));
        step.put(text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, &self.days));
        step.put(text(tags::MODALITY, VR::CS, &self.modality));
        step.put(sequence(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, vec![all_of(&CODE_KEYS)]));
        let mut identifier = all_of(&KEYS);
        identifier.put(sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]));
        identifier.put(sequence(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![all_of(&CODE_KEYS)]));
        identifier.put(sequence(tags::REFERENCED_STUDY_SEQUENCE, vec![all_of(&REFERENCE_KEYS)]));
        identifier.put(sequence(tags::REFERENCED_PATIENT_SEQUENCE, vec![all_of(&REFERENCE_KEYS)]));
        identifier
    }

    /// The paths, below the base URL, of its searches, each for at most `most` entries.
    pub(super) fn targets(&self, most: usize) -> impl Iterator<Item = String> {
        self.stations.iter().map(move |station| self.target(station, most))
    }

    fn target(&self, station: &str, most: usize) -> String {
        let keys = [
            (tags::SCHEDULED_STATION_AE_TITLE, station),
            (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, &*self.days),
            (tags::MODALITY, &*self.modality),
        ];
        let mut target = format!("{RESOURCE}?includefield=all&limit={most}");
        for (tag, value) in keys.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            // Writing to a text does not fail.
            let _ = write!(target, "&{}.{}={value}", hex(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE), hex(tag));
        }
        target
    }
}

/// A tag as match keys name it (PS3.18 §8.3.1.1).
fn hex(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.group(), tag.element())
}

/// These keys, each without a value: universal matching.
fn all_of(keys: &[(Tag, VR)]) -> Dataset {
    InMemDicomObject::from_element_iter(keys.iter().map(|&(tag, vr)| DataElement::empty(tag, vr)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{DimsePeer, WorklistPeer};

    fn settings(stations: &[&str], days_before: u32, days_after: u32) -> WorklistSettings {
        WorklistSettings {
            peer: WorklistPeer::Dimse(DimsePeer {
                address: String::new(),
                ae_title: String::new(),
                calling_ae_title: String::new(),
                tls: None,
            }),
            station_ae_titles: stations.iter().map(|&title| title.to_owned()).collect(),
            modality: "XA".to_owned(),
            days_before,
            days_after,
            refresh: std::time::Duration::from_secs(1),
            entries: 10,
        }
    }

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2027, 1, 1).unwrap()
    }

    fn step(identifier: &Dataset) -> Dataset {
        identifier.element(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap().items().unwrap()[0].clone()
    }

    fn value(dataset: &Dataset, tag: Tag) -> String {
        dataset.element(tag).unwrap().to_str().unwrap().into_owned()
    }

    #[test]
    fn each_station_is_asked_for_by_itself() {
        let query = Query::of(&settings(&["XA1", "XA2"], 1, 2), today());
        let steps: Vec<_> = query.identifiers().map(|identifier| step(&identifier)).collect();
        let titles: Vec<_> = steps.iter().map(|step| value(step, tags::SCHEDULED_STATION_AE_TITLE)).collect();
        assert_eq!(titles, ["XA1", "XA2"]);
        assert_eq!(value(&steps[0], tags::SCHEDULED_PROCEDURE_STEP_START_DATE), "20261231-20270103");
        assert_eq!(value(&steps[0], tags::MODALITY), "XA");
        let targets: Vec<_> = query.targets(11).collect();
        assert_eq!(
            targets[1],
            "/modality-scheduled-procedure-steps?includefield=all&limit=11&00400100.00400001=XA2\
             &00400100.00400002=20261231%2D20270103&00400100.00080060=XA"
        );
    }

    #[test]
    fn without_a_station_every_one_is_asked_for() {
        let query = Query::of(&settings(&[], 0, 0), today());
        let identifiers: Vec<_> = query.identifiers().collect();
        assert_eq!(identifiers.len(), 1);
        assert_eq!(value(&step(&identifiers[0]), tags::SCHEDULED_STATION_AE_TITLE), "");
        assert_eq!(value(&step(&identifiers[0]), tags::SCHEDULED_PROCEDURE_STEP_START_DATE), "20270101");
        assert!(query.targets(1).all(|target| !target.contains("00400001")));
    }

    #[test]
    fn all_keys_that_a_context_needs_are_asked_for_without_a_value() {
        let query = Query::of(&settings(&[], 0, 0), today());
        let identifier = query.identifiers().next().unwrap();
        for tag in [
            tags::PATIENT_NAME,
            tags::PATIENT_ID,
            tags::ISSUER_OF_PATIENT_ID,
            tags::STUDY_INSTANCE_UID,
            tags::ACCESSION_NUMBER,
            tags::ADMISSION_ID,
            tags::REQUESTED_PROCEDURE_ID,
        ] {
            assert_eq!(value(&identifier, tag), "", "{tag}");
        }
        let codes = |set: &Dataset, tag| set.element(tag).unwrap().items().unwrap()[0].clone();
        let requested = codes(&identifier, tags::REQUESTED_PROCEDURE_CODE_SEQUENCE);
        assert_eq!(value(&requested, tags::CODE_VALUE), "");
        let protocol = codes(&step(&identifier), tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE);
        assert_eq!(value(&protocol, tags::CODING_SCHEME_DESIGNATOR), "");
        assert!(identifier.get(tags::SPECIFIC_CHARACTER_SET).is_none(), "all values are ASCII");
    }
}
