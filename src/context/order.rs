//! What one provider has said of who is imaged and why, and when two of them speak of the same patient and
//! the same study.
//!
//! An [`Order`] holds what the Patient, Patient Study, General Study and General Series modules take from
//! an order or a performed step. It is read strictly from an operator ([`super::operator`]) and tolerantly
//! from peers ([`super::heard`]). An empty text is what nobody has said.

use std::fmt;
use std::time::SystemTime;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{Patient, date, encounter_number, new_uid};

/// Most requests that one order may fulfil; more are left out.
pub const MOST_REQUESTS: usize = 8;
/// Most protocol codes of one request; more are left out.
pub const MOST_CODES: usize = 8;

/// What a provider has said of the encounter. `Debug` shows no value.
#[derive(Clone, PartialEq, Default)]
pub struct Order {
    /// Who is imaged.
    pub patient: Patient,
    /// Study Instance UID (0020,000D) to use; `None` for a fresh one.
    pub study_instance_uid: Option<String>,
    /// Study ID (0020,0010), SH; empty for a generated one.
    pub study_id: String,
    /// Accession Number (0008,0050), SH; empty without one.
    pub accession_number: String,
    /// Referring Physician's Name (0008,0090), PN; empty when unknown.
    pub referring_physician: String,
    /// Study Description (0008,1030), LO; empty for that of the configuration.
    pub study_description: String,
    /// Admission ID (0038,0010), LO; empty when unknown.
    pub admission_id: String,
    /// The requested procedures and their scheduled steps; at most [`MOST_REQUESTS`].
    pub requests: Vec<Request>,
    /// The step that is performed, where one is known.
    pub performed: Option<Performed>,
    /// A Patient ID or a Study Instance UID was said that cannot be used. It is somebody, but nobody knows
    /// who, and what others say of theirs is not taken for it.
    pub doubtful: bool,
}

/// One requested procedure and its scheduled step: an item of Request Attributes Sequence (0040,0275).
/// `Debug` shows no value.
#[derive(Clone, PartialEq, Default)]
pub struct Request {
    /// Accession Number (0008,0050), SH.
    pub accession_number: String,
    /// Requested Procedure ID (0040,1001), SH.
    pub procedure_id: String,
    /// Requested Procedure Description (0032,1060), LO.
    pub procedure_description: String,
    /// Scheduled Procedure Step ID (0040,0009), SH.
    pub step_id: String,
    /// Scheduled Procedure Step Description (0040,0007), LO.
    pub step_description: String,
    /// Scheduled Protocol Code Sequence (0040,0008); at most [`MOST_CODES`].
    pub protocol: Vec<Code>,
}

/// A coded concept (PS3.3 §8). `Debug` shows no value.
#[derive(Clone, PartialEq, Default)]
pub struct Code {
    /// Code Value (0008,0100), SH.
    pub value: String,
    /// Coding Scheme Designator (0008,0102), SH.
    pub scheme: String,
    /// Coding Scheme Version (0008,0103), SH; empty without one.
    pub version: String,
    /// Code Meaning (0008,0104), LO.
    pub meaning: String,
}

/// A performed procedure step: of General Series, PS3.3 §C.7.3.1. `Debug` shows no value.
#[derive(Clone, PartialEq, Default)]
pub struct Performed {
    /// SOP Instance UID of the Modality Performed Procedure Step; empty when it is not known.
    pub instance_uid: String,
    /// Performed Procedure Step ID (0040,0253), SH.
    pub id: String,
    /// Performed Procedure Step Start Date (0040,0244) and Time (0040,0245), written in UTC.
    pub started: Option<SystemTime>,
}

/// What is another in an order that follows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Somebody else is imaged, or nobody knows who.
    Patient,
    /// The same patient, for another study.
    Study,
    /// The same study, in another step or for another request.
    Step,
    /// More, or something else, is said of the same study.
    Attributes,
}

impl Change {
    /// In one word, for the audit trail.
    pub fn word(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Study => "study",
            Self::Step => "step",
            Self::Attributes => "attributes",
        }
    }

    /// Whether another study begins, and not only another series.
    pub fn is_of_study(self) -> bool {
        matches!(self, Self::Patient | Self::Study)
    }
}

macro_rules! withheld {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(withheld)"))
            }
        }
    )*};
}

withheld!(Order, Request, Code, Performed);

/// One text of an order.
pub(super) struct Text {
    pub(super) tag: Tag,
    pub(super) get: fn(&Order) -> &String,
    pub(super) place: fn(&mut Order) -> &mut String,
}

macro_rules! texts {
    ($($tag:ident => $($field:ident).+),* $(,)?) => {[$(
        Text { tag: tags::$tag, get: |order| &order.$($field).+, place: |order| &mut order.$($field).+ }
    ),*]};
}

/// What is told of a patient beside Patient ID and its issuer.
pub(super) const PATIENT: [Text; 3] = texts![
    PATIENT_NAME => patient.name,
    PATIENT_BIRTH_DATE => patient.birth_date,
    PATIENT_SEX => patient.sex,
];

/// Patient ID and its issuer, which belong together.
pub(super) const IDENTITY: [Text; 2] = texts![
    PATIENT_ID => patient.id,
    ISSUER_OF_PATIENT_ID => patient.issuer,
];

/// What is told of a study beside its UID, the requests and the performed step.
pub(super) const STUDY: [Text; 5] = texts![
    STUDY_ID => study_id,
    ACCESSION_NUMBER => accession_number,
    REFERRING_PHYSICIAN_NAME => referring_physician,
    STUDY_DESCRIPTION => study_description,
    ADMISSION_ID => admission_id,
];

impl Patient {
    /// Whether this is for certain the same patient: Patient ID and Issuer of Patient ID are equal, and
    /// there is an ID.
    pub fn is(&self, other: &Self) -> bool {
        !self.id.is_empty() && self.id == other.id && self.issuer == other.issuer
    }

    /// Whether this is for certain another patient: another ID, or another issuer of it.
    pub fn is_another(&self, other: &Self) -> bool {
        let differ = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
        differ(&self.id, &other.id)
            || (!self.id.is_empty() && !other.id.is_empty() && differ(&self.issuer, &other.issuer))
    }

    /// Whether nothing says who it is.
    fn is_nobody(&self) -> bool {
        self.id.is_empty() && self.name.is_empty()
    }
}

impl Order {
    /// An emergency patient, of whom nothing is known at `now`: a name by rule, a Patient ID of the form
    /// `FG-E-<date>-<number>` that no other encounter has, and a study of their own.
    pub fn emergency(name: &str, now: SystemTime) -> Self {
        let number = encounter_number(now);
        let id = format!("FG-E-{}-{number:08}", date(now));
        let patient = Patient { name: name.to_owned(), id, ..Patient::default() };
        let study_id = format!("E{number:08}");
        Self { patient, study_instance_uid: Some(new_uid()), study_id, ..Self::default() }
    }

    /// Whether it says anything of who is imaged, or for which study.
    pub(super) fn speaks(&self) -> bool {
        self.doubtful
            || !self.patient.is_nobody()
            || self.study_instance_uid.is_some()
            || !self.accession_number.is_empty()
    }

    /// Whether nothing is said of the study.
    fn is_without_study(&self) -> bool {
        self.study_instance_uid.is_none()
            && self.requests.is_empty()
            && self.performed.is_none()
            && STUDY.iter().all(|text| (text.get)(self).is_empty())
    }

    /// Whether `other`, which is of the same patient, may be taken for the same study: by Study Instance
    /// UID, else by Accession Number. Where this one says nothing of a study, any study is its own.
    pub(super) fn may_be_of_study(&self, other: &Self) -> bool {
        match (&self.study_instance_uid, &other.study_instance_uid) {
            (Some(one), Some(other)) => one == other,
            _ if !self.accession_number.is_empty() && !other.accession_number.is_empty() => {
                self.accession_number == other.accession_number
            }
            _ => self.is_without_study(),
        }
    }

    /// Whether instances under `next` may go on in the study that was begun under this one: all that stands
    /// for the whole of a patient or study is the same. A study whose UID is told goes on for as long as it
    /// is told, whatever else is said of the same patient.
    pub(super) fn goes_on_as(&self, next: &Self) -> bool {
        match (&self.study_instance_uid, &next.study_instance_uid) {
            (Some(one), Some(other)) => one == other && self.is_of_patient(next),
            (None, None) => {
                self.patient == next.patient
                    && self.doubtful == next.doubtful
                    && STUDY.iter().all(|text| (text.get)(self) == (text.get)(next))
            }
            _ => false,
        }
    }

    fn is_of_patient(&self, next: &Self) -> bool {
        self.patient.is(&next.patient) || self.patient == next.patient
    }

    /// What is another under `next`.
    pub fn change(&self, next: &Self) -> Change {
        if !self.is_of_patient(next) {
            Change::Patient
        } else if !self.goes_on_as(next) {
            Change::Study
        } else if self.performed != next.performed || self.requests != next.requests {
            Change::Step
        } else {
            Change::Attributes
        }
    }

    /// This one with what a later word of the same provider on the same step adds or changes. One of
    /// another patient takes its place altogether.
    pub(super) fn with(&self, later: &Self) -> Self {
        if later.doubtful || self.patient.is_another(&later.patient) {
            return later.clone();
        }
        let mut merged = self.clone();
        for text in PATIENT.iter().chain(&STUDY) {
            if !(text.get)(later).is_empty() {
                (text.place)(&mut merged).clone_from((text.get)(later));
            }
        }
        if !later.patient.id.is_empty() {
            merged.patient.id.clone_from(&later.patient.id);
            merged.patient.issuer.clone_from(&later.patient.issuer);
        }
        if later.study_instance_uid.is_some() {
            merged.study_instance_uid.clone_from(&later.study_instance_uid);
        }
        if !later.requests.is_empty() {
            merged.requests.clone_from(&later.requests);
        }
        if let Some(later) = &later.performed {
            let performed = merged.performed.get_or_insert_default();
            for (said, place) in
                [(&later.instance_uid, &mut performed.instance_uid), (&later.id, &mut performed.id)]
            {
                if !said.is_empty() {
                    place.clone_from(said);
                }
            }
            performed.started = later.started.or(performed.started);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(id: &str, issuer: &str) -> Patient {
        Patient { id: id.to_owned(), issuer: issuer.to_owned(), ..Patient::default() }
    }

    fn study(uid: Option<&str>, accession_number: &str) -> Order {
        Order {
            patient: patient("1", ""),
            study_instance_uid: uid.map(str::to_owned),
            accession_number: accession_number.to_owned(),
            ..Order::default()
        }
    }

    #[test]
    fn the_same_patient_has_the_same_id_of_the_same_issuer() {
        for (one, other, same, another) in [
            (("1", ""), ("1", ""), true, false),
            (("1", "A"), ("1", "A"), true, false),
            (("1", "A"), ("1", "B"), false, true),
            (("1", "A"), ("1", ""), false, false),
            (("1", ""), ("2", ""), false, true),
            (("", ""), ("", ""), false, false),
            (("", ""), ("1", ""), false, false),
            (("", "A"), ("", "B"), false, false),
        ] {
            let (one, other) = (patient(one.0, one.1), patient(other.0, other.1));
            assert_eq!((one.is(&other), one.is_another(&other)), (same, another), "{}/{}", one.id, other.id);
            assert_eq!((other.is(&one), other.is_another(&one)), (same, another));
        }
    }

    #[test]
    fn the_same_study_has_the_same_uid_or_accession_number() {
        for (one, other, same) in [
            (study(Some("1.2"), ""), study(Some("1.2"), "A"), true),
            (study(Some("1.2"), "A"), study(Some("1.3"), "A"), false),
            (study(Some("1.2"), "A"), study(None, "A"), true),
            (study(None, "A"), study(None, "B"), false),
            (study(Some("1.2"), ""), study(None, "A"), false),
            (study(None, ""), study(Some("1.2"), "A"), true),
        ] {
            assert_eq!(one.may_be_of_study(&other), same);
        }
    }

    #[test]
    fn a_study_goes_on_while_all_that_stands_for_the_whole_of_it_is_the_same() {
        let step = |order: Order| Order { performed: Some(Performed::default()), ..order };
        let described = |order: Order| Order { study_description: "x".to_owned(), ..order };
        let other = |order: Order| Order { patient: patient("2", ""), ..order };
        for (one, next, goes_on) in [
            (study(None, "A"), step(study(None, "A")), true),
            (study(None, "A"), described(study(None, "A")), false),
            (study(Some("1.2"), "A"), described(study(Some("1.2"), "A")), true),
            (study(Some("1.2"), "A"), study(Some("1.3"), "A"), false),
            (study(Some("1.2"), "A"), study(None, "A"), false),
            (study(Some("1.2"), "A"), other(study(Some("1.2"), "A")), false),
        ] {
            assert_eq!(one.goes_on_as(&next), goes_on);
        }
    }

    #[test]
    fn a_later_word_on_a_step_adds_to_the_first_unless_it_is_of_somebody_else() {
        let first = study(Some("1.2"), "A");
        let more = Order { study_description: "x".to_owned(), ..Order::default() };
        let merged = first.with(&more);
        assert_eq!(merged.study_instance_uid.as_deref(), Some("1.2"));
        assert_eq!((merged.patient.id.as_str(), merged.study_description.as_str()), ("1", "x"));
        let other = Order { patient: patient("2", ""), ..Order::default() };
        assert!(first.with(&other) == other);
    }
}
