//! What is scheduled: the entries of the modality worklists that somebody queries for us, to choose from.
//!
//! An operator chooses an entry by its keys, or with a barcode; a capture chooses by itself only where its
//! configuration lists `worklist`, and only while exactly one entry is due at its station. Each source of
//! entries replaces its own as a whole; the last few states of each are kept, so that a frame that has waited
//! finds what was scheduled at its own moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::heard::{Heard, Reader, items, moment};
use super::order::{Order, STUDY};
use super::value::{LONG, MAX_UID, SHORT, is_date, is_text};
use super::write;

/// Most entries of one source; more are left out.
pub const MOST_ENTRIES: usize = 1000;
/// Longest barcode (characters): the longest value that an entry is chosen by.
const MAX_BARCODE: usize = LONG;
/// Most sources; what more say is left out.
const MOST_SOURCES: usize = 32;
/// Most states of one source that are remembered.
const MOST_STATES: usize = 8;
/// Most stations of one entry.
const MOST_STATIONS: usize = 16;
/// An entry is due from this long before its time.
const EARLY: Duration = Duration::from_secs(30 * 60);
/// An entry is due until this long after its time.
const LATE: Duration = Duration::from_secs(2 * 60 * 60);
/// Nothing is chosen from entries that were fetched longer ago.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// A scheduled procedure step. `Debug` shows no value.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// Who is to be imaged, and why.
    pub order: Arc<Order>,
    /// Scheduled Station AE Title (0040,0001).
    pub ae_titles: Vec<String>,
    /// Scheduled Station Name (0040,0010).
    pub station_names: Vec<String>,
    /// Modality (0008,0060) of the step, CS; empty when unknown.
    pub modality: String,
    /// Scheduled Procedure Step Start Date (0040,0002) and Time (0040,0003), as they were written.
    pub start: (String, String),
    /// The same in UTC, by the zone of the entry or of this machine; `None` when it is not said.
    pub due: Option<SystemTime>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(withheld)")
    }
}

impl Entry {
    /// Reads it from the data set of a C-FIND-RSP, or of a search by PS3.18 §14. Values that cannot be used
    /// are dropped, and returned by their attributes.
    pub fn read(dataset: &InMemDicomObject) -> (Self, Vec<Tag>) {
        let Heard { order, dropped } = Order::from_worklist(dataset);
        let mut entry = Self {
            order: Arc::new(order),
            ae_titles: Vec::new(),
            station_names: Vec::new(),
            modality: String::new(),
            start: Default::default(),
            due: None,
        };
        let mut reader = Reader { dropped };
        let steps = items(dataset, tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).take(MOST_STATIONS);
        for (nth, step) in steps.enumerate() {
            entry.ae_titles.extend(several(step, tags::SCHEDULED_STATION_AE_TITLE));
            entry.station_names.extend(several(step, tags::SCHEDULED_STATION_NAME));
            if nth > 0 {
                continue;
            }
            entry.modality = reader.text(step, tags::MODALITY, |text| is_text(text, SHORT));
            let (date, time) =
                (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, tags::SCHEDULED_PROCEDURE_STEP_START_TIME);
            entry.start =
                (reader.text(step, date, is_date), reader.text(step, time, |text| is_text(text, SHORT)));
            entry.due = moment(step, date, time, dataset);
        }
        entry.ae_titles.truncate(MOST_STATIONS);
        entry.station_names.truncate(MOST_STATIONS);
        (entry, reader.dropped)
    }

    /// The entry as a data set: what is said of it here, in the places of a C-FIND-RSP.
    pub fn dataset(&self) -> InMemDicomObject {
        let order = &self.order;
        let mut dataset = InMemDicomObject::new_empty();
        let put = |dataset: &mut InMemDicomObject, tag, vr, value: &str| {
            if !value.is_empty() {
                dataset.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
            }
        };
        write::patient(&order.patient, &mut dataset);
        for text in STUDY {
            put(&mut dataset, text.tag, write::vr(text.tag), (text.get)(order));
        }
        put(
            &mut dataset,
            tags::STUDY_INSTANCE_UID,
            VR::UI,
            order.study_instance_uid.as_deref().unwrap_or(""),
        );
        let mut steps = Vec::new();
        for request in &order.requests {
            put(&mut dataset, tags::REQUESTED_PROCEDURE_ID, VR::SH, &request.procedure_id);
            put(&mut dataset, tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, &request.procedure_description);
            let mut step = InMemDicomObject::new_empty();
            write::step(request, &mut step);
            put(&mut step, tags::MODALITY, VR::CS, &self.modality);
            put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, &self.start.0);
            put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, &self.start.1);
            for (tag, vr, values) in [
                (tags::SCHEDULED_STATION_AE_TITLE, VR::AE, &self.ae_titles),
                (tags::SCHEDULED_STATION_NAME, VR::SH, &self.station_names),
            ] {
                if !values.is_empty() {
                    let values = PrimitiveValue::Strs(values.iter().cloned().collect());
                    step.put(DataElement::new(tag, vr, values));
                }
            }
            steps.push(step);
        }
        let steps = DataSetSequence::from(steps);
        dataset.put(DataElement::new(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, VR::SQ, steps));
        dataset
    }

    /// Whether it is scheduled at a station with one of these AE titles, or of this name, and due at `date`.
    fn is_due(&self, station: &Station<'_>, date: SystemTime) -> bool {
        let is_here = self.ae_titles.iter().any(|title| station.ae_titles.contains(title))
            || (!station.name.is_empty() && self.station_names.iter().any(|name| name == station.name));
        let Some(due) = self.due.filter(|_| is_here) else { return false };
        match date.duration_since(due) {
            Ok(late) => late < LATE,
            Err(early) => early.duration() <= EARLY,
        }
    }
}

/// The values of an attribute that may have several, without those that are no values.
fn several(dataset: &InMemDicomObject, tag: Tag) -> Vec<String> {
    let element = dataset.element_opt(tag).ok().flatten();
    let Some(values) = element.and_then(|element| element.to_multi_str().ok()) else { return Vec::new() };
    let trimmed = values.iter().map(|text| text.trim_matches([' ', '\0']));
    trimmed
        .filter(|text| !text.is_empty() && is_text(text, SHORT))
        .take(MOST_STATIONS)
        .map(str::to_owned)
        .collect()
}

/// Where a capture takes its pictures from, as a worklist names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station<'a> {
    pub(super) ae_titles: &'a [String],
    /// Station Name; empty for none.
    pub(super) name: &'a str,
}

/// What identifies an entry. `Debug` shows no value.
#[derive(Clone, PartialEq)]
pub enum Keys {
    /// Values of attributes, all of which it has to have.
    Attributes(Vec<(Tag, String)>),
    /// What a barcode says, which one of the attributes that entries are chosen by has to have.
    Barcode(String),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(withheld)")
    }
}

/// What an entry can be chosen by, with the VR and the longest value (characters) of each.
const KEYS: [(Tag, VR, usize); 6] = [
    (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, SHORT),
    (tags::ACCESSION_NUMBER, VR::SH, SHORT),
    (tags::PATIENT_ID, VR::LO, LONG),
    (tags::REQUESTED_PROCEDURE_ID, VR::SH, SHORT),
    (tags::STUDY_INSTANCE_UID, VR::UI, MAX_UID),
    (tags::ADMISSION_ID, VR::LO, LONG),
];

/// Why a data set does not say which entry is meant. Names the attribute, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// An attribute that entries are not chosen by.
    #[error(
        "the attribute {0} is none that an entry is chosen by, which are ScheduledProcedureStepID, AccessionNumber, \
         PatientID, RequestedProcedureID, StudyInstanceUID and AdmissionID"
    )]
    Attribute(Tag),
    /// A value that the attribute cannot have.
    #[error("the attribute {0} takes one text of at most {1} characters, in the VR that PS3.6 has for it")]
    Value(Tag, usize),
    /// A barcode that is none.
    #[error("a barcode is one line of at most {MAX_BARCODE} characters")]
    Barcode,
    /// Nothing to choose by.
    #[error("nothing is said to choose by")]
    Empty,
}

impl Keys {
    /// Reads them from a data set of any of Scheduled Procedure Step ID, Accession Number, Patient ID, Requested
    /// Procedure ID, Study Instance UID and Admission ID. An entry has to match all that have a value.
    ///
    /// # Errors
    /// On any other attribute, a value that the attribute cannot have, and where there is none.
    pub fn from_dataset(dataset: &InMemDicomObject) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for element in dataset {
            let tag = element.header().tag;
            if tag == tags::SPECIFIC_CHARACTER_SET {
                continue;
            }
            let key = KEYS.iter().find(|(key, ..)| *key == tag);
            let (_, vr, most) = key.ok_or(KeysError::Attribute(tag))?;
            let mut reader = Reader::default();
            let text = reader.text(dataset, tag, |_| true);
            if element.header().vr != *vr || !reader.dropped.is_empty() || !is_text(&text, *most) {
                return Err(KeysError::Value(tag, *most));
            }
            if !text.is_empty() {
                keys.push((tag, text));
            }
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self::Attributes(keys)) }
    }

    /// Takes what a scanner has typed, which ends a line where it is set to.
    ///
    /// # Errors
    /// Where that is nothing, or longer than any value that an entry is chosen by.
    pub fn from_barcode(typed: &str) -> Result<Self, KeysError> {
        let code = typed.trim();
        if code.is_empty() {
            return Err(KeysError::Empty);
        }
        if is_text(code, MAX_BARCODE) { Ok(Self::Barcode(code.to_owned())) } else { Err(KeysError::Barcode) }
    }

    fn fit(&self, order: &Order) -> bool {
        match self {
            Self::Attributes(keys) => keys.iter().all(|(tag, value)| has(order, *tag, value)),
            Self::Barcode(code) => KEYS.iter().any(|(tag, ..)| has(order, *tag, code)),
        }
    }
}

/// Whether an order has this value of one of [`KEYS`].
fn has(order: &Order, tag: Tag, value: &str) -> bool {
    let requests = || order.requests.iter();
    match tag {
        tags::SCHEDULED_PROCEDURE_STEP_ID => requests().any(|request| request.step_id == value),
        tags::REQUESTED_PROCEDURE_ID => requests().any(|request| request.procedure_id == value),
        tags::ACCESSION_NUMBER => {
            order.accession_number == value || requests().any(|request| request.accession_number == value)
        }
        tags::PATIENT_ID => order.patient.id == value,
        tags::STUDY_INSTANCE_UID => order.study_instance_uid.as_deref() == Some(value),
        tags::ADMISSION_ID => order.admission_id == value,
        _ => false,
    }
}

/// Which entry is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This one.
    One(Entry),
    /// None that is known.
    None,
    /// So many.
    Several(usize),
}

/// What is scheduled, by all sources. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Worklist {
    sources: Arc<Mutex<BTreeMap<String, States>>>,
}

/// The last states of one source, by the date of each.
type States = VecDeque<(SystemTime, Arc<Vec<Entry>>)>;

impl Worklist {
    fn sources(&self) -> MutexGuard<'_, BTreeMap<String, States>> {
        // Nothing that runs under this lock can panic half way through a change.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all that `source` (the name of a section of the configuration) has scheduled, as it was at `at`.
    /// Of more than [`MOST_ENTRIES`] the last are left out. To be called with every answer, changed or not.
    pub fn replace(&self, source: &str, mut entries: Vec<Entry>, at: SystemTime) {
        entries.truncate(MOST_ENTRIES);
        let mut sources = self.sources();
        if sources.len() >= MOST_SOURCES && !sources.contains_key(source) {
            return;
        }
        let states = sources.entry(source.to_owned()).or_default();
        let place = states.partition_point(|(date, _)| *date <= at);
        states.insert(place, (at, Arc::new(entries)));
        if states.len() > MOST_STATES {
            states.pop_front();
        }
    }

    /// All that is scheduled, of each source the latest; what several sources say alike is there once.
    pub fn entries(&self) -> Vec<Entry> {
        let latest: Vec<_> = self.sources().values().filter_map(|states| states.back().cloned()).collect();
        distinct(latest.iter().flat_map(|(_, entries)| entries.iter()))
    }

    /// When each source was last heard.
    pub fn heard(&self) -> Vec<(String, SystemTime)> {
        let sources = self.sources();
        let heard = |(name, states): (&String, &States)| states.back().map(|(at, _)| (name.clone(), *at));
        sources.iter().filter_map(heard).collect()
    }

    /// The entry that fits, of those that `sees` lets be seen.
    pub fn choose(&self, keys: &Keys, sees: impl Fn(&Entry) -> bool) -> Choice {
        let entries = self.entries().into_iter();
        let mut found: Vec<_> = entries.filter(|entry| keys.fit(&entry.order) && sees(entry)).collect();
        match (found.pop(), found.len()) {
            (None, _) => Choice::None,
            (Some(entry), 0) => Choice::One(entry),
            (Some(_), others) => Choice::Several(others + 1),
        }
    }

    /// The only entry that is due at a station at `date`, by what was scheduled then, and since when its source
    /// had said so.
    pub(super) fn due(&self, station: &Station<'_>, date: SystemTime) -> Option<(SystemTime, Arc<Order>)> {
        let states: Vec<_> = {
            let sources = self.sources();
            let then = sources.values().filter_map(|states| {
                let place = states.partition_point(|(at, _)| *at <= date);
                states.get(place.checked_sub(1)?).cloned()
            });
            then.filter(|(at, _)| date.duration_since(*at).is_ok_and(|age| age <= FRESH)).collect()
        };
        let mut due: Option<(SystemTime, &Entry)> = None;
        for (at, entries) in &states {
            for entry in entries.iter().filter(|entry| entry.is_due(station, date)) {
                match due {
                    Some((_, other)) if other == entry => {}
                    Some(_) => return None,
                    None => due = Some((*at, entry)),
                }
            }
        }
        due.map(|(at, entry)| (at, entry.order.clone()))
    }
}

fn distinct<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Entry> {
    let mut distinct: Vec<Entry> = Vec::new();
    for entry in entries {
        if !distinct.contains(entry) {
            distinct.push(entry.clone());
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Patient;
    use super::super::order::Request;
    use super::*;

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + minutes * 60)
    }

    /// An entry for a patient, due at that minute at station XA1.
    fn entry(id: &str, step: &str, due: u64) -> Entry {
        let patient = Patient { id: id.to_owned(), ..Patient::default() };
        let request =
            Request { step_id: step.to_owned(), procedure_id: "R1".to_owned(), ..Request::default() };
        let order = Order {
            patient,
            study_instance_uid: Some(format!("1.2.{due}")),
            accession_number: format!("A{id}"),
            requests: vec![request],
            ..Order::default()
        };
        Entry {
            order: Arc::new(order),
            ae_titles: vec!["XA1".to_owned()],
            station_names: vec!["LAB1".to_owned()],
            modality: "XA".to_owned(),
            start: ("20260228".to_owned(), "0130".to_owned()),
            due: Some(at(due)),
        }
    }

    fn due(worklist: &Worklist, title: &str, name: &str, minute: u64) -> Option<String> {
        let ae_titles = [title.to_owned()];
        let due = worklist.due(&Station { ae_titles: &ae_titles, name }, at(minute));
        due.map(|(_, order)| order.patient.id.clone())
    }

    fn keys(values: &[(Tag, VR, &str)]) -> Result<Keys, KeysError> {
        let elements =
            values.iter().map(|(tag, vr, value)| DataElement::new(*tag, *vr, PrimitiveValue::from(*value)));
        Keys::from_dataset(&InMemDicomObject::from_element_iter(elements))
    }

    #[test]
    fn an_entry_is_read_back_as_it_is_shown() {
        let known = entry("1", "S1", 0);
        let mut shown = known.dataset();
        shown.put(write::text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0000"));
        let (read, dropped) = Entry::read(&shown);
        assert_eq!(dropped, []);
        assert!(read.order.requests[0].step_id == "S1" && read.order.patient == known.order.patient);
        assert_eq!((read.ae_titles, read.station_names), (known.ae_titles, known.station_names));
        assert_eq!((read.modality, read.start), (known.modality, known.start));
        assert_eq!(read.due, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_242_200)));
    }

    #[test]
    fn one_entry_is_chosen_by_all_keys_or_one_barcode() {
        let worklist = Worklist::default();
        worklist.replace("ris", vec![entry("1", "S1", 0), entry("2", "S2", 1), entry("2", "S3", 2)], at(0));
        worklist.replace("web", vec![entry("1", "S1", 0)], at(0));
        let chosen = |keys: Keys| match worklist.choose(&keys, |_| true) {
            Choice::One(entry) => entry.order.requests[0].step_id.clone(),
            Choice::None => "none".to_owned(),
            Choice::Several(count) => format!("{count}"),
        };
        let id = (tags::PATIENT_ID, VR::LO, "2");
        let step = (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "S3");
        for (found, values) in [
            ("2", &[id][..]),
            ("S3", &[id, step]),
            ("none", &[(tags::PATIENT_ID, VR::LO, "1"), step]),
            ("S1", &[(tags::ACCESSION_NUMBER, VR::SH, "A1"), (tags::REQUESTED_PROCEDURE_ID, VR::SH, "R1")]),
            ("S2", &[(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.1"), (tags::ADMISSION_ID, VR::LO, "")]),
        ] {
            assert_eq!(chosen(keys(values).unwrap()), found);
        }
        for (typed, found) in [("S2\r\n", "S2"), (" A1 ", "S1"), ("2", "2"), ("9", "none"), ("R1", "3")] {
            assert_eq!(chosen(Keys::from_barcode(typed).unwrap()), found, "{typed}");
        }
        let barcode = Keys::from_barcode("S2").unwrap();
        assert_eq!(worklist.choose(&barcode, |_| false), Choice::None, "who does not see it has none");
    }

    #[test]
    fn keys_are_those_and_no_others() {
        let long = "1".repeat(17);
        assert_eq!(keys(&[(tags::MODALITY, VR::CS, "XA")]), Err(KeysError::Attribute(tags::MODALITY)));
        let accession = tags::ACCESSION_NUMBER;
        assert_eq!(keys(&[(accession, VR::SH, &long)]), Err(KeysError::Value(accession, 16)));
        assert_eq!(keys(&[(accession, VR::LO, "1")]), Err(KeysError::Value(accession, 16)));
        assert_eq!(keys(&[(accession, VR::SH, " ")]), Err(KeysError::Empty));
        assert_eq!(Keys::from_barcode("\r\n"), Err(KeysError::Empty));
        assert_eq!(Keys::from_barcode("1\n2"), Err(KeysError::Barcode));
        assert_eq!(Keys::from_barcode(&"1".repeat(65)), Err(KeysError::Barcode));
    }

    #[test]
    fn a_station_chooses_by_itself_only_what_alone_is_due_and_fresh() {
        let worklist = Worklist::default();
        assert_eq!(due(&worklist, "XA1", "", 60), None);
        worklist.replace("ris", vec![entry("1", "S1", 60), entry("2", "S2", 160)], at(50));
        assert_eq!(due(&worklist, "XA1", "", 49), None, "nobody had said so yet");
        assert_eq!(due(&worklist, "XA1", "", 60).as_deref(), Some("1"));
        assert_eq!(due(&worklist, "XA2", "LAB1", 60).as_deref(), Some("1"));
        assert_eq!(due(&worklist, "XA2", "", 60), None);
        assert_eq!(due(&worklist, "XA1", "", 111), None, "too long ago");
        for (minute, who) in [(129, Some("1")), (130, None), (179, None), (180, Some("2")), (280, None)] {
            worklist.replace("ris", vec![entry("1", "S1", 60), entry("2", "S2", 160)], at(minute));
            assert_eq!(due(&worklist, "XA1", "", minute).as_deref(), who, "{minute}");
        }
        worklist.replace("web", vec![entry("2", "S2", 160)], at(200));
        worklist.replace("ris", vec![entry("2", "S2", 160)], at(200));
        assert_eq!(due(&worklist, "XA1", "", 200).as_deref(), Some("2"), "said twice, it is one");
        worklist.replace("web", vec![], at(210));
        worklist.replace("ris", vec![], at(210));
        assert_eq!(due(&worklist, "XA1", "", 205).as_deref(), Some("2"), "as it was then");
        assert_eq!(due(&worklist, "XA1", "", 210), None);
    }

    proptest! {
        #[test]
        fn whatever_a_peer_schedules_is_shown_as_it_was_understood(texts in proptest::collection::vec(".{0,70}", 12)) {
            let of = |tags: &[Tag], texts: &[String]| {
                let elements = tags.iter().zip(texts);
                let element = |(tag, text): (&Tag, &String)| write::text(*tag, write::vr(*tag), text);
                InMemDicomObject::from_element_iter(elements.map(element))
            };
            let (whole, step) = texts.split_at(6);
            let mut dataset = of(
                &[
                    tags::PATIENT_NAME, tags::PATIENT_ID, tags::ISSUER_OF_PATIENT_ID, tags::STUDY_INSTANCE_UID,
                    tags::ACCESSION_NUMBER, tags::REQUESTED_PROCEDURE_ID,
                ],
                whole,
            );
            let step = of(
                &[
                    tags::SCHEDULED_STATION_AE_TITLE, tags::SCHEDULED_STATION_NAME, tags::MODALITY,
                    tags::SCHEDULED_PROCEDURE_STEP_START_DATE, tags::SCHEDULED_PROCEDURE_STEP_START_TIME,
                    tags::SCHEDULED_PROCEDURE_STEP_ID,
                ],
                step,
            );
            let steps = DataSetSequence::from(vec![step]);
            dataset.put(DataElement::new(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, VR::SQ, steps));
            let (entry, dropped) = Entry::read(&dataset);
            let (again, none) = Entry::read(&entry.dataset());
            prop_assert!(none.is_empty());
            prop_assert!(entry.order.doubtful == [tags::PATIENT_ID, tags::STUDY_INSTANCE_UID]
                .iter().any(|tag| dropped.contains(tag)));
            let order = Arc::new(Order { doubtful: false, ..Order::clone(&entry.order) });
            let understood = Entry { order, ..entry };
            prop_assert!(again == understood);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let worklist = Worklist::default();
        for number in 0..100 {
            let many = (0..10).map(|_| entry("1", "S1", 0)).collect();
            worklist.replace(&format!("source {number}"), many, at(number));
            worklist.replace("source 0", vec![entry("1", "S1", 0); MOST_ENTRIES + 1], at(number));
        }
        let sources = worklist.sources();
        assert_eq!((sources.len(), sources["source 0"].len()), (MOST_SOURCES, MOST_STATES));
        assert_eq!(sources["source 0"].back().unwrap().1.len(), MOST_ENTRIES);
    }
}
