//! The data sets of a Modality Performed Procedure Step: what an N-CREATE and the final N-SET have to say by
//! PS3.4 Table F.7.2-1. What the table wants as type 2 and nobody knows stands empty, since only what an
//! N-CREATE has may be set later.
//!
//! Dates and times are local, as a RIS shows them, and the N-CREATE says how far that is from UTC.

use std::time::SystemTime;

use dicom_core::chrono::{DateTime, Local};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::context::Series;
use crate::context::order::{Code, Request};
use crate::context::own_steps::OwnStep;
use crate::dimse::element::{sequence, text};
use crate::hub::Hub;
use crate::instance::{Dataset, Uid};

/// Instances that one step lists (each about 120 bytes), oldest first.
const MOST_IMAGES: usize = 10_000;

/// SOP Class and SOP Instance UIDs of a step's instances, by series. Taken when the step ends, while the hub
/// still knows them: a RIS that is away may hear of them hours later.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Images {
    by_series: Vec<Vec<(Uid, Uid)>>,
    /// Instances that are there and not listed.
    pub(super) left_out: usize,
}

impl Images {
    /// Whether the hub knows of no series of the step that is still growing: the last frames may be on their
    /// way when a step ends.
    pub(super) fn are_complete(step: &OwnStep, hub: &Hub) -> bool {
        let live = step.series.iter().filter_map(|series| hub.find(&step.study, &series.instance_uid));
        live.into_iter().all(|live| live.end().is_some())
    }

    /// What the rings of the step's series hold.
    pub(super) fn of(step: &OwnStep, hub: &Hub) -> Self {
        let mut images = Self::default();
        let mut room = MOST_IMAGES;
        for series in &step.series {
            let live = hub.find(&step.study, &series.instance_uid);
            let instances = live.map(|live| live.instances()).unwrap_or_default();
            let listed: Vec<_> = instances
                .iter()
                .take(room)
                .map(|instance| {
                    let identity = instance.identity();
                    (identity.sop_class.clone(), identity.sop_instance.clone())
                })
                .collect();
            room -= listed.len();
            images.left_out += instances.len() - listed.len();
            images.by_series.push(listed);
        }
        images
    }
}

/// The attribute list of the N-CREATE: the step is in progress. `station` is our AE title.
pub(super) fn create(step: &OwnStep, station: &str) -> Dataset {
    let began = DateTime::<Local>::from(step.began);
    let order = step.order.as_deref();
    let of_order = |get: fn(&crate::context::order::Order) -> &String| order.map_or("", |order| get(order));
    let request = order.and_then(|order| order.requests.first());
    let mut dataset = InMemDicomObject::from_element_iter([
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, &began.format("%z").to_string()),
        // Relationship.
        sequence(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, scheduled(step)),
        text(tags::PATIENT_NAME, VR::PN, &step.patient.name),
        text(tags::PATIENT_ID, VR::LO, &step.patient.id),
        text(tags::PATIENT_BIRTH_DATE, VR::DA, &step.patient.birth_date),
        text(tags::PATIENT_SEX, VR::CS, &step.patient.sex),
        sequence(tags::REFERENCED_PATIENT_SEQUENCE, Vec::new()),
        // Information.
        text(tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, &step.id),
        text(tags::PERFORMED_STATION_AE_TITLE, VR::AE, station),
        text(tags::PERFORMED_STATION_NAME, VR::SH, ""),
        text(tags::PERFORMED_LOCATION, VR::SH, ""),
        text(tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, &date(began)),
        text(tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, &time(began)),
        text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "IN PROGRESS"),
        text(
            tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION,
            VR::LO,
            request.map_or("", |request| &request.step_description),
        ),
        text(tags::PERFORMED_PROCEDURE_TYPE_DESCRIPTION, VR::LO, ""),
        sequence(tags::PROCEDURE_CODE_SEQUENCE, Vec::new()),
        text(tags::PERFORMED_PROCEDURE_STEP_END_DATE, VR::DA, ""),
        text(tags::PERFORMED_PROCEDURE_STEP_END_TIME, VR::TM, ""),
        sequence(tags::PERFORMED_PROCEDURE_STEP_DISCONTINUATION_REASON_CODE_SEQUENCE, Vec::new()),
        // Image acquisition results.
        text(tags::MODALITY, VR::CS, &step.modality),
        text(tags::STUDY_ID, VR::SH, of_order(|order| &order.study_id)),
        sequence(tags::PERFORMED_PROTOCOL_CODE_SEQUENCE, request.map(protocol).unwrap_or_default()),
        sequence(tags::PERFORMED_SERIES_SEQUENCE, Vec::new()),
    ]);
    for (tag, value) in [
        (tags::ISSUER_OF_PATIENT_ID, step.patient.issuer.as_str()),
        (tags::ADMISSION_ID, of_order(|order| &order.admission_id)),
    ] {
        if !value.is_empty() {
            dataset.put(text(tag, VR::LO, value));
        }
    }
    dataset
}

/// The modification list of the N-SET that ends the step at `ended`.
pub(super) fn set(step: &OwnStep, ended: SystemTime, images: &Images) -> Dataset {
    let at = DateTime::<Local>::from(ended);
    let status = if step.discontinued { "DISCONTINUED" } else { "COMPLETED" };
    let none = Vec::new();
    let series = step.series.iter().enumerate().map(|(nth, series)| {
        let images = images.by_series.get(nth).unwrap_or(&none);
        performed(step, series, images)
    });
    InMemDicomObject::from_element_iter([
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, status),
        text(tags::PERFORMED_PROCEDURE_STEP_END_DATE, VR::DA, &date(at)),
        text(tags::PERFORMED_PROCEDURE_STEP_END_TIME, VR::TM, &time(at)),
        sequence(tags::PERFORMED_SERIES_SEQUENCE, series.collect()),
    ])
}

/// An item for each request that the step fulfils; one with nothing but the study where it is unscheduled.
fn scheduled(step: &OwnStep) -> Vec<Dataset> {
    let unscheduled = [Request::default()];
    let order = step.order.as_deref();
    let requests = order.map(|order| order.requests.as_slice()).filter(|requests| !requests.is_empty());
    let accession = order.map_or("", |order| &order.accession_number);
    let item = |request: &Request| {
        let accession =
            if request.accession_number.is_empty() { accession } else { &request.accession_number };
        InMemDicomObject::from_element_iter([
            text(tags::STUDY_INSTANCE_UID, VR::UI, &step.study),
            sequence(tags::REFERENCED_STUDY_SEQUENCE, Vec::new()),
            text(tags::ACCESSION_NUMBER, VR::SH, accession),
            text(tags::REQUESTED_PROCEDURE_ID, VR::SH, &request.procedure_id),
            text(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, &request.procedure_description),
            text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, &request.step_id),
            text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, &request.step_description),
            sequence(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, protocol(request)),
        ])
    };
    requests.unwrap_or(&unscheduled).iter().map(item).collect()
}

fn protocol(request: &Request) -> Vec<Dataset> {
    let code = |code: &Code| {
        let mut item = InMemDicomObject::from_element_iter([
            text(tags::CODE_VALUE, VR::SH, &code.value),
            text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &code.scheme),
            text(tags::CODE_MEANING, VR::LO, &code.meaning),
        ]);
        if !code.version.is_empty() {
            item.put(text(tags::CODING_SCHEME_VERSION, VR::SH, &code.version));
        }
        item
    };
    request.protocol.iter().map(code).collect()
}

/// An item of Performed Series Sequence (0040,0340). Nothing can be retrieved from us by DIMSE, so that
/// Retrieve AE Title (0008,0054), type 2, stands empty.
fn performed(step: &OwnStep, series: &Series, images: &[(Uid, Uid)]) -> Dataset {
    let empty = |tag: Tag, vr| DataElement::empty(tag, vr);
    // Type 1, and captures have no protocol: what the series is called, or else which capture made it.
    let name = if series.description.is_empty() { &step.capture } else { &series.description };
    let images = images.iter().map(|(class, instance)| {
        InMemDicomObject::from_element_iter([
            text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class),
            text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance),
        ])
    });
    InMemDicomObject::from_element_iter([
        empty(tags::PERFORMING_PHYSICIAN_NAME, VR::PN),
        text(tags::PROTOCOL_NAME, VR::LO, name),
        empty(tags::OPERATORS_NAME, VR::PN),
        text(tags::SERIES_INSTANCE_UID, VR::UI, &series.instance_uid),
        text(tags::SERIES_DESCRIPTION, VR::LO, &series.description),
        empty(tags::RETRIEVE_AE_TITLE, VR::AE),
        sequence(tags::REFERENCED_IMAGE_SEQUENCE, images.collect()),
        sequence(tags::REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE, Vec::new()),
    ])
}

/// DA.
fn date(at: DateTime<Local>) -> String {
    at.format("%Y%m%d").to_string()
}

/// TM, to the second.
fn time(at: DateTime<Local>) -> String {
    at.format("%H%M%S").to_string()
}
