//! Reads what peers say of who is imaged: entries of a worklist, performed procedure steps, and the heads
//! of objects that a modality sends.
//!
//! Peers are what they are, so that nothing here fails: spaces and NULs around a value do not count, and a
//! value that its VR forbids (PS3.5 §6.2) is dropped and named in [`Heard::dropped`], never mended by
//! guessing. A Patient ID or Study Instance UID that is dropped makes the order doubtful: it is not taken
//! for silence, which others might fill.

use std::time::SystemTime;

use dicom_core::chrono::{FixedOffset, Local, NaiveDate, NaiveTime, TimeZone};
use dicom_core::value::Value;
use dicom_core::{PrimitiveValue, Tag};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::Patient;
use super::order::{Code, MOST_CODES, MOST_REQUESTS, Order, Performed, Request};
use super::value::{LONG, MAX_UID, SHORT, is_date, is_name, is_sex, is_text};

/// Most names of dropped attributes that are kept.
const MOST_DROPPED: usize = 32;

/// What a data set says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// What could be used.
    pub order: Order,
    /// Attributes whose values could not; each once.
    pub dropped: Vec<Tag>,
}

impl Order {
    /// Reads an entry of a worklist: the data set of a C-FIND-RSP (PS3.4 Table K.6-1), or of a search by
    /// PS3.18 §14. It has one request for each scheduled step, mostly one.
    pub fn from_worklist(entry: &InMemDicomObject) -> Heard {
        let mut reader = Reader::default();
        let mut order = reader.patient(entry);
        order.study_instance_uid = reader.study(entry, &mut order.doubtful);
        order.accession_number = reader.text(entry, tags::ACCESSION_NUMBER, short);
        order.referring_physician = reader.text(entry, tags::REFERRING_PHYSICIAN_NAME, is_name);
        order.study_description = reader.text(entry, tags::STUDY_DESCRIPTION, long);
        if order.study_description.is_empty() {
            order.study_description = reader.text(entry, tags::REQUESTED_PROCEDURE_DESCRIPTION, long);
        }
        let requested = reader.request(entry);
        let steps = items(entry, tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).take(MOST_REQUESTS);
        order.requests = steps
            .map(|step| Request {
                accession_number: requested.accession_number.clone(),
                procedure_id: requested.procedure_id.clone(),
                procedure_description: requested.procedure_description.clone(),
                ..reader.request(step)
            })
            .collect();
        reader.heard(order)
    }

    /// Reads a performed procedure step: the data set of an N-CREATE or N-SET of Modality Performed Procedure
    /// Step (PS3.4 Table F.7.2-1). The SOP Instance UID of the step is in the command, not here.
    pub fn from_performed(step: &InMemDicomObject) -> Heard {
        let mut reader = Reader::default();
        let mut order = reader.patient(step);
        order.study_id = reader.text(step, tags::STUDY_ID, short);
        let mut studies = Vec::new();
        for item in items(step, tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE).take(MOST_REQUESTS) {
            studies.push(reader.study(item, &mut order.doubtful));
            order.requests.push(reader.request(item));
        }
        // Several orders may be one step; which of their studies the images go to is not said then.
        order.study_instance_uid = match studies.split_first() {
            Some((first, rest)) if rest.iter().all(|study| study == first) => first.clone(),
            Some(_) => {
                reader.drop(tags::STUDY_INSTANCE_UID);
                None
            }
            None => None,
        };
        if let Some((first, rest)) = order.requests.split_first()
            && rest.iter().all(|request| request.accession_number == first.accession_number)
        {
            order.accession_number = first.accession_number.clone();
        }
        let described = reader.text(step, tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION, long);
        let mut requested = order.requests.iter().map(|request| &request.procedure_description);
        order.study_description = requested.find(|text| !text.is_empty()).cloned().unwrap_or(described);
        order.performed = reader.performed(step, String::new());
        reader.heard(order)
    }

    /// Reads the head of an object that a modality has made.
    pub fn from_instance(head: &InMemDicomObject) -> Heard {
        let mut reader = Reader::default();
        let mut order = reader.patient(head);
        order.study_instance_uid = reader.study(head, &mut order.doubtful);
        order.study_id = reader.text(head, tags::STUDY_ID, short);
        order.accession_number = reader.text(head, tags::ACCESSION_NUMBER, short);
        order.referring_physician = reader.text(head, tags::REFERRING_PHYSICIAN_NAME, is_name);
        order.study_description = reader.text(head, tags::STUDY_DESCRIPTION, long);
        let requests = items(head, tags::REQUEST_ATTRIBUTES_SEQUENCE).take(MOST_REQUESTS);
        order.requests = requests.map(|request| reader.request(request)).collect();
        let step = items(head, tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE).find(|step| {
            // Retired classes of steps are referenced here too.
            let mut asked = Reader::default();
            asked.uid(step, tags::REFERENCED_SOP_CLASS_UID)
                == Some(uids::MODALITY_PERFORMED_PROCEDURE_STEP.to_owned())
        });
        let uid = step.and_then(|step| reader.uid(step, tags::REFERENCED_SOP_INSTANCE_UID));
        order.performed = reader.performed(head, uid.unwrap_or_default());
        reader.heard(order)
    }
}

/// When a scheduled or performed step began or is to begin, by its date and time attributes. They are of
/// the zone that Timezone Offset From UTC (0008,0201) says, else of this machine's.
pub(super) fn moment(
    dataset: &InMemDicomObject,
    date: Tag,
    time: Tag,
    zone: &InMemDicomObject,
) -> Option<SystemTime> {
    let mut reader = Reader::default();
    let date = reader.text(dataset, date, is_date);
    let date = NaiveDate::parse_from_str(&date, "%Y%m%d").ok()?;
    let time = reader.text(dataset, time, |_| true);
    let clock = date.and_time(clock(&time)?);
    let offset = offset(&reader.text(zone, tags::TIMEZONE_OFFSET_FROM_UTC, |_| true));
    match offset {
        Some(offset) => offset.from_local_datetime(&clock).earliest().map(Into::into),
        None => Local.from_local_datetime(&clock).earliest().map(Into::into),
    }
}

/// TM: `HH`, `HHMM`, `HHMMSS` or that with a fraction. Without any it is midnight.
fn clock(time: &str) -> Option<NaiveTime> {
    let two = |at: usize| match time.get(at..at + 2) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
        None => Some(0),
    };
    if time.len() < 6 && !time.len().is_multiple_of(2) {
        return None;
    }
    let micros: u32 = match time.get(6..) {
        None | Some("") => 0,
        Some(fraction) => {
            let digits = fraction.strip_prefix('.')?;
            if digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            format!("{digits:0<6}").parse().ok()?
        }
    };
    NaiveTime::from_hms_micro_opt(two(0)?, two(2)?, two(4)?.min(59), micros)
}

/// Such as `+0100`.
fn offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i32 = digits.parse().ok()?;
    FixedOffset::east_opt(sign * (digits / 100 * 3600 + digits % 100 * 60))
}

fn long(text: &str) -> bool {
    is_text(text, LONG)
}

fn short(text: &str) -> bool {
    is_text(text, SHORT)
}

/// As tolerant as an archive: with leading zeros in a component it is still what the modality says.
fn is_like_a_uid(text: &str) -> bool {
    text.len() <= MAX_UID
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The items of a sequence; none where it is something else.
pub(super) fn items(dataset: &InMemDicomObject, tag: Tag) -> impl Iterator<Item = &InMemDicomObject> {
    let element = dataset.element_opt(tag).ok().flatten();
    element.and_then(|element| element.items()).unwrap_or_default().iter()
}

/// Reads values and remembers what it drops.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) dropped: Vec<Tag>,
}

impl Reader {
    fn heard(self, order: Order) -> Heard {
        Heard { order, dropped: self.dropped }
    }

    fn drop(&mut self, tag: Tag) {
        if self.dropped.len() < MOST_DROPPED && !self.dropped.contains(&tag) {
            self.dropped.push(tag);
        }
    }

    /// The one value, without what pads it; empty where there is none, or it is no value of its VR.
    pub(super) fn text(&mut self, dataset: &InMemDicomObject, tag: Tag, check: fn(&str) -> bool) -> String {
        let Ok(Some(element)) = dataset.element_opt(tag) else { return String::new() };
        let text = match element.value() {
            Value::Primitive(PrimitiveValue::Empty) => Some(""),
            Value::Primitive(PrimitiveValue::Str(text)) => Some(text.as_str()),
            Value::Primitive(PrimitiveValue::Strs(texts)) => match texts.as_slice() {
                [] => Some(""),
                [text] => Some(text.as_str()),
                _ => None,
            },
            _ => None,
        };
        let trimmed = text.map(|text| text.trim_matches([' ', '\0']));
        match trimmed {
            Some(text) if text.is_empty() || check(text) => text.to_owned(),
            _ => {
                self.drop(tag);
                String::new()
            }
        }
    }

    fn uid(&mut self, dataset: &InMemDicomObject, tag: Tag) -> Option<String> {
        Some(self.text(dataset, tag, is_like_a_uid)).filter(|uid| !uid.is_empty())
    }

    /// Study Instance UID; one that cannot be used makes the order doubtful.
    fn study(&mut self, dataset: &InMemDicomObject, doubtful: &mut bool) -> Option<String> {
        let mut reader = Self::default();
        let study = reader.uid(dataset, tags::STUDY_INSTANCE_UID);
        *doubtful |= !reader.dropped.is_empty();
        reader.dropped.into_iter().for_each(|tag| self.drop(tag));
        study
    }

    /// What stands at the top of every one of these data sets.
    fn patient(&mut self, dataset: &InMemDicomObject) -> Order {
        let id = self.text(dataset, tags::PATIENT_ID, long);
        let doubtful = self.dropped.contains(&tags::PATIENT_ID);
        let patient = Patient {
            name: self.text(dataset, tags::PATIENT_NAME, is_name),
            // Without its ID the issuer says nothing.
            issuer: if id.is_empty() {
                String::new()
            } else {
                self.text(dataset, tags::ISSUER_OF_PATIENT_ID, long)
            },
            id,
            birth_date: self.text(dataset, tags::PATIENT_BIRTH_DATE, is_date),
            sex: self.text(dataset, tags::PATIENT_SEX, is_sex),
        };
        let admission_id = self.text(dataset, tags::ADMISSION_ID, long);
        Order { patient, admission_id, doubtful, ..Order::default() }
    }

    fn request(&mut self, dataset: &InMemDicomObject) -> Request {
        let codes = items(dataset, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE).take(MOST_CODES);
        Request {
            accession_number: self.text(dataset, tags::ACCESSION_NUMBER, short),
            procedure_id: self.text(dataset, tags::REQUESTED_PROCEDURE_ID, short),
            procedure_description: self.text(dataset, tags::REQUESTED_PROCEDURE_DESCRIPTION, long),
            step_id: self.text(dataset, tags::SCHEDULED_PROCEDURE_STEP_ID, short),
            step_description: self.text(dataset, tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, long),
            protocol: codes.filter_map(|code| self.code(code)).collect(),
        }
    }

    /// A code without value, scheme or meaning is none (PS3.3 Table 8.8-1).
    fn code(&mut self, item: &InMemDicomObject) -> Option<Code> {
        let code = Code {
            value: self.text(item, tags::CODE_VALUE, short),
            scheme: self.text(item, tags::CODING_SCHEME_DESIGNATOR, short),
            version: self.text(item, tags::CODING_SCHEME_VERSION, short),
            meaning: self.text(item, tags::CODE_MEANING, long),
        };
        let is_whole = [&code.value, &code.scheme, &code.meaning].iter().all(|text| !text.is_empty());
        is_whole.then_some(code)
    }

    fn performed(&mut self, dataset: &InMemDicomObject, instance_uid: String) -> Option<Performed> {
        let (date, time) =
            (tags::PERFORMED_PROCEDURE_STEP_START_DATE, tags::PERFORMED_PROCEDURE_STEP_START_TIME);
        let performed = Performed {
            instance_uid,
            id: self.text(dataset, tags::PERFORMED_PROCEDURE_STEP_ID, short),
            started: moment(dataset, date, time, dataset),
        };
        Some(performed).filter(|performed| *performed != Performed::default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, VR};
    use proptest::prelude::*;

    use super::*;

    fn of(elements: &[(Tag, VR, &str)]) -> InMemDicomObject {
        let elements =
            elements.iter().map(|(tag, vr, value)| DataElement::new(*tag, *vr, PrimitiveValue::from(*value)));
        InMemDicomObject::from_element_iter(elements)
    }

    fn with(mut dataset: InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) -> InMemDicomObject {
        dataset.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        dataset
    }

    fn person() -> InMemDicomObject {
        of(&[
            (tags::PATIENT_NAME, VR::PN, "Doe^Jane "),
            (tags::PATIENT_ID, VR::LO, " 4711\0"),
            (tags::ISSUER_OF_PATIENT_ID, VR::LO, "HOSP"),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19600229"),
            (tags::PATIENT_SEX, VR::CS, "F "),
            (tags::ADMISSION_ID, VR::LO, "V1"),
        ])
    }

    fn step(number: &str) -> InMemDicomObject {
        let code = of(&[
            (tags::CODE_VALUE, VR::SH, "C1"),
            (tags::CODING_SCHEME_DESIGNATOR, VR::SH, "99X"),
            (tags::CODE_MEANING, VR::LO, "Coronary angiography"),
        ]);
        let item = of(&[
            (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, number),
            (tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, "Left heart"),
        ]);
        with(
            item,
            tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE,
            vec![code, of(&[(tags::CODE_VALUE, VR::SH, "C2")])],
        )
    }

    fn referenced(study: &str, accession: &str) -> InMemDicomObject {
        let mut item = step("S1");
        item.put(DataElement::new(tags::STUDY_INSTANCE_UID, VR::UI, PrimitiveValue::from(study)));
        item.put(DataElement::new(tags::ACCESSION_NUMBER, VR::SH, PrimitiveValue::from(accession)));
        item
    }

    #[test]
    fn an_entry_of_a_worklist_is_an_order() {
        let mut entry = person();
        for (tag, vr, value) in [
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3\0"),
            (tags::ACCESSION_NUMBER, VR::SH, "A1"),
            (tags::REQUESTED_PROCEDURE_ID, VR::SH, "R1"),
            (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, "Coronary"),
        ] {
            entry.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        }
        let entry = with(entry, tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step("S1")]);
        let Heard { order, dropped } = Order::from_worklist(&entry);
        assert_eq!(dropped, []);
        let Patient { name, id, issuer, birth_date, sex } = &order.patient;
        assert_eq!([name, id, issuer, birth_date, sex], ["Doe^Jane", "4711", "HOSP", "19600229", "F"]);
        assert_eq!(order.study_instance_uid.as_deref(), Some("1.2.3"));
        assert_eq!((order.admission_id.as_str(), order.study_description.as_str()), ("V1", "Coronary"));
        let [request] = &order.requests[..] else { panic!() };
        assert_eq!(
            [&request.accession_number, &request.procedure_id, &request.step_id, &request.step_description],
            ["A1", "R1", "S1", "Left heart"]
        );
        let [code] = &request.protocol[..] else { panic!("half a code is none") };
        assert_eq!([&code.value, &code.scheme, &code.meaning], ["C1", "99X", "Coronary angiography"]);
        assert!(!order.doubtful && order.performed.is_none());
    }

    #[test]
    fn a_performed_step_is_of_the_study_that_all_its_orders_are_of() {
        let performed = |studies: [&str; 2]| {
            let mut step = person();
            for (tag, vr, value) in [
                (tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, "P1"),
                (tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, "20260228"),
                (tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, "0130"),
                (tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0130"),
            ] {
                step.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
            }
            let items = studies.iter().map(|study| referenced(study, "A1")).collect();
            Order::from_performed(&with(step, tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, items))
        };
        let Heard { order, dropped } = performed(["1.2", "1.2"]);
        assert_eq!((order.study_instance_uid.as_deref(), order.requests.len()), (Some("1.2"), 2));
        assert_eq!((order.accession_number.as_str(), dropped), ("A1", vec![]));
        let step = order.performed.unwrap();
        assert_eq!(step.id, "P1");
        let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_236_800);
        assert_eq!(step.started, Some(midnight));
        let Heard { order, dropped } = performed(["1.2", "1.3"]);
        assert_eq!((order.study_instance_uid, dropped), (None, vec![tags::STUDY_INSTANCE_UID]));
    }

    #[test]
    fn an_object_says_whose_it_is_and_which_step_made_it() {
        let mut head = person();
        head.put(DataElement::new(tags::STUDY_INSTANCE_UID, VR::UI, PrimitiveValue::from("1.2")));
        let step = of(&[
            (tags::REFERENCED_SOP_CLASS_UID, VR::UI, uids::MODALITY_PERFORMED_PROCEDURE_STEP),
            (tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.9"),
        ]);
        let head = with(head, tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, vec![step]);
        let order = Order::from_instance(&head).order;
        assert_eq!(order.patient.id, "4711");
        assert_eq!(order.performed.unwrap().instance_uid, "1.2.9");
    }

    #[test]
    fn what_its_vr_forbids_is_dropped_by_name_and_an_identity_becomes_doubtful() {
        let long = "x".repeat(65);
        for (tag, vr, value, doubtful) in [
            (tags::PATIENT_ID, VR::LO, long.as_str(), true),
            (tags::PATIENT_ID, VR::LO, "4\u{7}", true),
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.x", true),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "29.02.1960", false),
            (tags::PATIENT_SEX, VR::CS, "female", false),
            (tags::ACCESSION_NUMBER, VR::SH, "12345678901234567", false),
        ] {
            let Heard { order, dropped } = Order::from_instance(&of(&[(tag, vr, value)]));
            assert_eq!((dropped, order.doubtful), (vec![tag], doubtful), "{tag}");
            assert_eq!(Order { doubtful: false, ..order }, Order::default());
        }
        let two = PrimitiveValue::Strs(["1".to_owned(), "2".to_owned()].into_iter().collect());
        let two = InMemDicomObject::from_element_iter([DataElement::new(tags::PATIENT_ID, VR::LO, two)]);
        assert!(Order::from_instance(&two).order.doubtful, "two IDs are of nobody");
    }

    #[test]
    fn times_are_read_as_their_vr_writes_them() {
        let time = |text| clock(text).map(|time| time.to_string());
        assert_eq!(time("").as_deref(), Some("00:00:00"));
        assert_eq!(time("14").as_deref(), Some("14:00:00"));
        assert_eq!(time("143059.5").as_deref(), Some("14:30:59.500"));
        assert_eq!(time("143060").as_deref(), Some("14:30:59"), "a leap second");
        for wrong in ["1", "143", "1x", "25", "14:30", "143059.1234567", "143059x"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        assert_eq!(offset("-0330").map(|zone| zone.local_minus_utc()), Some(-12_600));
        for wrong in ["", "0100", "+1", "+01x0", "+9900", "é100"] {
            assert_eq!(offset(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded_and_keeps_the_rules_of_an_operator(
            texts in proptest::collection::vec(".{0,80}", 6), sequences in any::<bool>()
        ) {
            let tags = [
                tags::PATIENT_ID, tags::PATIENT_NAME, tags::STUDY_INSTANCE_UID, tags::ACCESSION_NUMBER,
                tags::PERFORMED_PROCEDURE_STEP_START_DATE, tags::PERFORMED_PROCEDURE_STEP_START_TIME,
            ];
            let elements: Vec<_> =
                tags.iter().zip(&texts).map(|(tag, text)| (*tag, VR::LO, text.as_str())).collect();
            let mut dataset = of(&elements);
            if sequences {
                for tag in [tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, tags::REQUEST_ATTRIBUTES_SEQUENCE] {
                    dataset = with(dataset.clone(), tag, vec![dataset.clone(); 20]);
                }
            }
            for heard in [
                Order::from_worklist(&dataset), Order::from_performed(&dataset), Order::from_instance(&dataset),
            ] {
                let Heard { order, dropped } = heard;
                prop_assert!(order.patient.id.chars().count() <= LONG && !order.patient.id.contains('\\'));
                prop_assert!(order.accession_number.chars().count() <= SHORT);
                prop_assert!(order.requests.len() <= MOST_REQUESTS && dropped.len() <= MOST_DROPPED);
                prop_assert_eq!(dropped.contains(&tags::PATIENT_ID), order.doubtful && order.patient.id.is_empty()
                    && dropped.contains(&tags::PATIENT_ID));
            }
        }
    }
}
