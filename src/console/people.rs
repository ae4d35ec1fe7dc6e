//! Who is imaged, and who is scheduled: the only answers of the console that may name a patient, and do so only in
//! a session that was unlocked by somebody who may see it. Nothing is kept; each answer is read where it stands,
//! the desk or the data set of the series.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use aws_lc_rs::hmac;
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use serde::Serialize;

use super::random::{NoRandom, bytes, hex};
use crate::context::desk::Desk;
use crate::context::order::Order;
use crate::context::told::Told;
use crate::context::worklist::{Entry, Worklist};
use crate::dicomweb::operations::as_imaged;
use crate::hub::LiveSeries;
use crate::instance::Dataset;
use crate::instance::json::to_json;
use crate::instance::metadata::BulkData;
use crate::subscription::query::Query;

/// Who and what is imaged. `Debug` shows no value.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    /// Whether the values are withheld.
    masked: bool,
    patient_name: Option<String>,
    patient_id: Option<String>,
    accession_number: Option<String>,
    study_description: Option<String>,
    scheduled_procedure_step_id: Option<String>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("masked", &self.masked).finish_non_exhaustive()
    }
}

impl Shown {
    /// That there is somebody, and no more.
    pub(super) fn masked() -> Self {
        Self { masked: true, ..Self::default() }
    }

    /// As the object that opened a series says.
    pub(super) fn of_series(series: &LiveSeries) -> Self {
        let dataset = series.context();
        let request = dataset.element_opt(tags::REQUEST_ATTRIBUTES_SEQUENCE).ok().flatten();
        let request = request.and_then(|sequence| sequence.items()).and_then(<[_]>::first);
        Self {
            masked: false,
            patient_name: text(dataset, tags::PATIENT_NAME),
            patient_id: text(dataset, tags::PATIENT_ID),
            accession_number: text(dataset, tags::ACCESSION_NUMBER),
            study_description: text(dataset, tags::STUDY_DESCRIPTION),
            scheduled_procedure_step_id: request
                .and_then(|item| text(item, tags::SCHEDULED_PROCEDURE_STEP_ID)),
        }
    }

    /// As the next series of a capture would have it, by what is said now.
    pub(super) fn of_capture(desk: &Desk, name: &str) -> Self {
        let said = desk.at(name, Instant::now(), SystemTime::now()).said;
        Told::of(&said).map(|told| Self::of_order(&told.order)).unwrap_or_default()
    }

    fn of_order(order: &Order) -> Self {
        let step = order.requests.first().map(|request| request.step_id.as_str());
        Self {
            masked: false,
            patient_name: some(&order.patient.name),
            patient_id: some(&order.patient.id),
            accession_number: some(&order.accession_number),
            study_description: some(&order.study_description),
            scheduled_procedure_step_id: step.and_then(some),
        }
    }
}

fn text(dataset: &Dataset, tag: Tag) -> Option<String> {
    let element = dataset.element_opt(tag).ok().flatten()?;
    some(element.to_str().ok()?.trim_matches([' ', '\0']))
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What is scheduled. `Debug` shows no value.
#[derive(Serialize)]
pub(super) struct Scheduled {
    masked: bool,
    entries: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    id: String,
    start: String,
    modality: String,
    station: String,
    description: String,
    patient_name: Option<String>,
    patient_id: Option<String>,
    accession_number: Option<String>,
}

/// Gives entries of the worklist names that say nothing, and that no other process knows.
#[derive(Clone)]
pub(super) struct Tickets(hmac::Key);

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(withheld)")
    }
}

impl Tickets {
    /// Those of this process.
    pub(super) fn new() -> Result<Self, NoRandom> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes::<32>()?)))
    }

    fn of(&self, entry: &Entry) -> Option<String> {
        let written = to_json(&entry.dataset(), &BulkData::inline()).ok()?.to_string();
        let tag = hmac::sign(&self.0, written.as_bytes());
        tag.as_ref().get(..16).map(hex)
    }

    /// The entry of this name, of those that `filter` lets be seen.
    pub(super) fn find(&self, worklist: &Worklist, id: &str, filter: Option<&Query>) -> Option<Arc<Order>> {
        let mut entries = worklist.entries().into_iter().filter(|entry| sees(entry, filter));
        entries.find(|entry| self.of(entry).as_deref() == Some(id)).map(|entry| entry.order)
    }

    /// What is scheduled, in the order of its beginning, as far as `filter` lets it be seen.
    pub(super) fn list(&self, worklist: &Worklist, filter: Option<&Query>, masked: bool) -> Scheduled {
        let entries = worklist.entries().into_iter().filter(|entry| sees(entry, filter));
        let mut entries: Vec<_> =
            entries.filter_map(|entry| Some(Line::of(self.of(&entry)?, &entry, masked))).collect();
        entries.sort_by(|one, other| one.start.cmp(&other.start));
        Scheduled { masked, entries }
    }
}

fn sees(entry: &Entry, filter: Option<&Query>) -> bool {
    filter.is_none_or(|filter| filter.matches(&as_imaged(entry)))
}

impl Line {
    fn of(id: String, entry: &Entry, masked: bool) -> Self {
        let Shown { patient_name, patient_id, accession_number, .. } =
            if masked { Shown::masked() } else { Shown::of_order(&entry.order) };
        let request = entry.order.requests.first();
        let stations = if entry.station_names.is_empty() { &entry.ae_titles } else { &entry.station_names };
        Self {
            id,
            start: start(&entry.start.0, &entry.start.1),
            modality: entry.modality.clone(),
            station: stations.join(", "),
            description: request.map(|request| request.step_description.clone()).unwrap_or_default(),
            patient_name,
            patient_id,
            accession_number,
        }
    }
}

/// A DA and a TM (PS3.5 §6.2) as ISO 8601, in the zone that they were written in; empty where there is no date.
fn start(date: &str, time: &str) -> String {
    let part = |text: &str, from: usize, to: usize| {
        let digits = text.get(from..to).filter(|part| part.bytes().all(|digit| digit.is_ascii_digit()));
        digits.map(str::to_owned)
    };
    let day = || Some(format!("{}-{}-{}", part(date, 0, 4)?, part(date, 4, 6)?, part(date, 6, 8)?));
    let clock = || Some(format!("{}:{}", part(time, 0, 2)?, part(time, 2, 4)?));
    match (day(), clock()) {
        (Some(day), Some(clock)) => format!("{day}T{clock}"),
        (Some(day), None) => day,
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Patient;
    use crate::context::order::Request;

    fn entry(name: &str, time: &str) -> Entry {
        let patient = Patient { name: name.to_owned(), id: format!("ID-{name}"), ..Patient::default() };
        let request = Request {
            step_id: "S1".to_owned(),
            step_description: "Coronary".to_owned(),
            ..Request::default()
        };
        Entry {
            order: Arc::new(Order {
                patient,
                accession_number: "ACC-7".to_owned(),
                requests: vec![request],
                ..Order::default()
            }),
            ae_titles: vec!["XA1".to_owned()],
            station_names: Vec::new(),
            modality: "XA".to_owned(),
            start: ("20261126".to_owned(), time.to_owned()),
            due: None,
        }
    }

    fn worklist() -> Worklist {
        let worklist = Worklist::default();
        worklist.replace(
            "ris",
            vec![entry("Doe^Late", "1530"), entry("Doe^Early", "0830")],
            SystemTime::now(),
        );
        worklist
    }

    #[test]
    fn a_locked_list_names_nobody_and_its_entries_can_be_chosen_all_the_same() {
        let (tickets, worklist) = (Tickets::new().unwrap(), worklist());
        let locked = tickets.list(&worklist, None, true);
        let written = serde_json::to_string(&locked).unwrap();
        assert!(!written.contains("Doe") && !written.contains("ACC-7"), "{written}");
        assert!(written.contains("\"patient_name\":null") && written.contains("Coronary"), "{written}");
        let first = &locked.entries[0];
        assert_eq!((first.start.as_str(), first.station.as_str()), ("2026-11-26T08:30", "XA1"));
        let chosen = tickets.find(&worklist, &first.id, None).unwrap();
        assert_eq!(chosen.patient.name, "Doe^Early");
        assert!(tickets.find(&worklist, "", None).is_none());
        assert!(Tickets::new().unwrap().find(&worklist, &first.id, None).is_none(), "another process");
    }

    #[test]
    fn an_unlocked_list_names_them() {
        let shown = Tickets::new().unwrap().list(&worklist(), None, false);
        assert_eq!(shown.entries[1].patient_name.as_deref(), Some("Doe^Late"));
        assert_eq!(shown.entries[1].accession_number.as_deref(), Some("ACC-7"));
    }

    #[test]
    fn a_filter_hides_entries_from_being_seen_and_chosen() {
        let (tickets, worklist) = (Tickets::new().unwrap(), worklist());
        let filter = crate::subscription::filter::filter("PatientID=ID-Doe^Late").unwrap();
        let seen = tickets.list(&worklist, Some(&filter), false);
        assert_eq!(seen.entries.len(), 1);
        let hidden = tickets.list(&worklist, None, true);
        assert!(tickets.find(&worklist, &hidden.entries[0].id, Some(&filter)).is_none());
        assert!(tickets.find(&worklist, &hidden.entries[1].id, Some(&filter)).is_some());
    }

    #[test]
    fn times_are_readable_and_what_is_none_stays_away() {
        for (date, time, readable) in [
            ("20261126", "083000.5", "2026-11-26T08:30"),
            ("20261126", "08", "2026-11-26"),
            ("20261126", "", "2026-11-26"),
            ("2026", "0830", ""),
            ("", "", ""),
            ("ääääää", "ää", ""),
        ] {
            assert_eq!(start(date, time), readable, "{date} {time}");
        }
    }
}
