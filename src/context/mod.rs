//! Who and what is being imaged: patient, study, series and equipment, for frames that do not come as
//! DICOM and so bring no answer of their own.
//!
//! ```text
//!  operator, MPPS, objects, worklist ─► Order ─► desk: what is true when ─► Told ─► Context of a series
//!                                     (order)    (timeline)              (told)
//! ```
//!
//! A [`Context`] belongs to one series. What several [`Provider`]s say of it is kept by the [`desk`], with the
//! moment from which it holds, and made one by their precedence without mixing two patients ([`told`]). What
//! nobody says is generated for the encounter ([`Context::encounter`]): identifiers that are unique and plainly
//! ours, and empty values where the truth is not known. A context knows of each attribute where it is from
//! ([`Origin`]). [`Context::dataset`] writes the Patient, General Study, General Series and General Equipment
//! modules (PS3.3 §C.7.1–C.7.5); what differs from frame to frame is the business of [`crate::instance`].

pub mod desk;
pub(crate) mod events;
pub mod heard;
mod operator;
pub mod order;
pub mod own_steps;
mod timeline;
pub mod told;
mod value;
pub mod warning;
pub mod worklist;
mod write;

pub use self::heard::Heard;
pub use self::operator::OrderError;
pub use self::order::Order;
pub use crate::config::settings::Provider;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use dicom_core::chrono::{DateTime, Timelike, Utc};
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;

use self::order::{Performed, Request};
use self::told::Told;
use self::write::text;

/// Tells what is generated in one second apart, for all captures of this process.
static ENCOUNTERS: AtomicU32 = AtomicU32::new(0);

/// Where the value of an attribute is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody has said so.
    Told(Provider),
    /// The configuration has it.
    Configuration,
    /// It was made for the encounter, since nobody says otherwise.
    Generated,
}

impl Origin {
    /// In one word, as the operations resource has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Told(provider) => provider.word(),
            Self::Configuration => "configuration",
            Self::Generated => "generated",
        }
    }
}

/// Who and what one series is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// Who is imaged.
    pub patient: Patient,
    /// The study, and the order it fulfils.
    pub study: Study,
    /// The series.
    pub series: Series,
    /// What makes the images.
    pub equipment: Equipment,
    /// Where the attributes of patient, study and series are from that have a value.
    pub origins: BTreeMap<Tag, Origin>,
}

/// The patient. `Debug` shows no value, so that none gets into a log.
#[derive(Clone, PartialEq, Default)]
pub struct Patient {
    /// Patient's Name (0010,0010), PN with `^` between the components.
    pub name: String,
    /// Patient ID (0010,0020), LO, at most 64 characters.
    pub id: String,
    /// Issuer of Patient ID (0010,0021), LO; empty when unknown.
    pub issuer: String,
    /// Patient's Birth Date (0010,0030), DA `YYYYMMDD`; empty when unknown.
    pub birth_date: String,
    /// Patient's Sex (0010,0040): `M`, `F`, `O`; empty when unknown.
    pub sex: String,
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patient(withheld)")
    }
}

/// The study, and the order it fulfils. `Debug` shows the UID and the start alone.
#[derive(Clone, PartialEq)]
pub struct Study {
    /// Study Instance UID (0020,000D).
    pub instance_uid: String,
    /// When the study began: Study Date (0008,0020) and Study Time (0008,0030), written in UTC.
    pub started: SystemTime,
    /// Study ID (0020,0010), SH, at most 16 characters.
    pub id: String,
    /// Accession Number (0008,0050), SH, of the order; empty without one.
    pub accession_number: String,
    /// Referring Physician's Name (0008,0090), PN; empty when unknown.
    pub referring_physician: String,
    /// Study Description (0008,1030), LO; left out when empty.
    pub description: String,
    /// Admission ID (0038,0010), LO, of the visit; left out when empty.
    pub admission_id: String,
    /// The requests that it fulfils: Request Attributes Sequence (0040,0275) of its series.
    pub requests: Vec<Request>,
    /// The performed step that its series are of, where there is one.
    pub performed: Option<Performed>,
}

impl fmt::Debug for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Study")
            .field("instance_uid", &self.instance_uid)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

/// The series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Series Instance UID (0020,000E).
    pub instance_uid: String,
    /// When the series began: Series Date (0008,0021) and Series Time (0008,0031), written in UTC.
    pub started: SystemTime,
    /// Series Number (0020,0011).
    pub number: i32,
    /// Modality (0008,0060), a defined term such as `XA`.
    pub modality: String,
    /// Series Description (0008,103E), LO; left out when empty.
    pub description: String,
    /// Body Part Examined (0018,0015), CS, of an unpaired body part; empty when unknown, and then
    /// Laterality (0020,0060) stands empty too, for the part might be a paired one.
    pub unpaired_body_part: String,
}

/// The equipment that makes the images: the General Equipment module (PS3.3 §C.7.5.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Equipment {
    /// Manufacturer (0008,0070), LO.
    pub manufacturer: String,
    /// Manufacturer's Model Name (0008,1090), LO.
    pub model_name: String,
    /// Device Serial Number (0018,1000), LO; left out when empty.
    pub serial_number: String,
    /// Software Versions (0018,1020), LO.
    pub software_versions: String,
    /// Station Name (0008,1010), SH, at most 16 characters; left out when empty.
    pub station_name: String,
}

impl Equipment {
    /// This gateway. `serial_number` and `station_name` come from the machine (board serial, host name)
    /// and are cut to what their VRs hold.
    pub fn framegate(serial_number: &str, station_name: &str) -> Self {
        Self {
            manufacturer: "framegate".to_owned(),
            model_name: env!("CARGO_PKG_NAME").to_owned(),
            serial_number: fit(serial_number, 64),
            software_versions: env!("CARGO_PKG_VERSION").to_owned(),
            station_name: fit(station_name, 16),
        }
    }
}

/// Cuts `value` to `most` characters of what LO and SH may hold (PS3.5 §6.2: no control characters and
/// no backslash, which parts values).
fn fit(value: &str, most: usize) -> String {
    value.trim().chars().filter(|c| !c.is_control() && *c != '\\').take(most).collect()
}

impl Context {
    /// A context for an encounter that nobody announced: a fresh study with one fresh series, begun
    /// `now`, of a patient with a generated Patient ID `FG-<date>-<number>`. `number` tells the
    /// encounters of a day apart.
    pub fn encounter(
        patient_name: &str,
        modality: &str,
        now: SystemTime,
        number: u32,
        equipment: Equipment,
    ) -> Self {
        let patient = Patient {
            name: patient_name.to_owned(),
            id: format!("FG-{}-{number}", date(now)),
            ..Patient::default()
        };
        let study = Study {
            instance_uid: new_uid(),
            started: now,
            id: number.to_string(),
            accession_number: String::new(),
            referring_physician: String::new(),
            description: String::new(),
            admission_id: String::new(),
            requests: Vec::new(),
            performed: None,
        };
        let series = Series {
            instance_uid: new_uid(),
            started: now,
            number: 1,
            modality: modality.to_owned(),
            description: String::new(),
            unpaired_body_part: String::new(),
        };
        let generated = [tags::PATIENT_ID, tags::STUDY_INSTANCE_UID, tags::STUDY_ID];
        let mut origins: BTreeMap<_, _> = generated.map(|tag| (tag, Origin::Generated)).into();
        if !patient_name.is_empty() {
            origins.insert(tags::PATIENT_NAME, Origin::Configuration);
        }
        Self { patient, study, series, equipment, origins }
    }

    /// This context of what is configured and generated, where what is told takes the place of that. A patient
    /// who is told has nothing of the generated one but the ID, and that only if none is told.
    pub fn told(&self, told: &Told) -> Self {
        let mut context = self.clone();
        let Told { order, from, .. } = told;
        let patient = &mut context.patient;
        let generated = std::mem::replace(patient, order.patient.clone());
        if patient.id.is_empty() {
            patient.id = generated.id;
            patient.issuer.clear();
        }
        let study = &mut context.study;
        for (told, ours) in [
            (&order.study_id, &mut study.id),
            (&order.accession_number, &mut study.accession_number),
            (&order.referring_physician, &mut study.referring_physician),
            (&order.study_description, &mut study.description),
            (&order.admission_id, &mut study.admission_id),
        ] {
            if !told.is_empty() {
                ours.clone_from(told);
            }
        }
        if let Some(uid) = &order.study_instance_uid {
            study.instance_uid.clone_from(uid);
        }
        study.requests.clone_from(&order.requests);
        study.performed.clone_from(&order.performed);
        context.origins.remove(&tags::PATIENT_NAME);
        context.origins.extend(from.iter().map(|(tag, provider)| (*tag, Origin::Told(*provider))));
        context
    }

    /// The context of the synthetic angiogram ([`crate::source::pattern`]).
    pub fn pattern(now: SystemTime, number: u32, equipment: Equipment) -> Self {
        let mut context = Self::encounter("Demo^Angiogram", "XA", now, number, equipment);
        context.study.description = "Synthetic angiogram".to_owned();
        context.series.description = "Synthetic coronary run".to_owned();
        context.series.unpaired_body_part = "HEART".to_owned();
        context
    }

    /// The series is of this step of ours, whatever the modality performs beside it.
    pub fn performs(&mut self, step: Performed) {
        self.study.performed = Some(step);
        self.origins.insert(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Origin::Generated);
    }

    /// The next series of the same study: after a change of the frame format or a restart, when the old
    /// one may not go on.
    pub fn next_series(&self, now: SystemTime) -> Self {
        let mut next = self.clone();
        next.series.instance_uid = new_uid();
        next.series.started = now;
        next.series.number = self.series.number.saturating_add(1);
        next
    }

    /// Where the attributes are from that have a value, by keyword.
    pub fn provenance(&self) -> BTreeMap<&'static str, Origin> {
        self.origins.iter().map(|(tag, origin)| (keyword(*tag), *origin)).collect()
    }

    /// The attributes that all instances of the series share, with the Specific Character Set
    /// (0008,0005) `ISO_IR 192` and the Timezone Offset From UTC (0008,0201) `+0000` that every date
    /// and time in it is meant in.
    pub fn dataset(&self) -> InMemDicomObject {
        let Self { patient, study, series, equipment, origins: _ } = self;
        let mut dataset = InMemDicomObject::from_element_iter([
            text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0000"),
            text(tags::STUDY_INSTANCE_UID, VR::UI, &study.instance_uid),
            text(tags::STUDY_DATE, VR::DA, &date(study.started)),
            text(tags::STUDY_TIME, VR::TM, &time(study.started)),
            text(tags::STUDY_ID, VR::SH, &study.id),
            text(tags::ACCESSION_NUMBER, VR::SH, &study.accession_number),
            text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, &study.referring_physician),
            text(tags::SERIES_INSTANCE_UID, VR::UI, &series.instance_uid),
            text(tags::SERIES_DATE, VR::DA, &date(series.started)),
            text(tags::SERIES_TIME, VR::TM, &time(series.started)),
            text(tags::SERIES_NUMBER, VR::IS, &series.number.to_string()),
            text(tags::MODALITY, VR::CS, &series.modality),
            text(tags::MANUFACTURER, VR::LO, &equipment.manufacturer),
            text(tags::MANUFACTURER_MODEL_NAME, VR::LO, &equipment.model_name),
            text(tags::SOFTWARE_VERSIONS, VR::LO, &equipment.software_versions),
        ]);
        write::patient(patient, &mut dataset);
        write::requests(&study.requests, &mut dataset);
        if let Some(performed) = &study.performed {
            write::performed(performed, &mut dataset);
        }
        dataset.put(if series.unpaired_body_part.is_empty() {
            text(tags::LATERALITY, VR::CS, "")
        } else {
            text(tags::BODY_PART_EXAMINED, VR::CS, &series.unpaired_body_part)
        });
        // Type 3: present only when there is something to say.
        for (tag, vr, value) in [
            (tags::STUDY_DESCRIPTION, VR::LO, &study.description),
            (tags::ADMISSION_ID, VR::LO, &study.admission_id),
            (tags::SERIES_DESCRIPTION, VR::LO, &series.description),
            (tags::DEVICE_SERIAL_NUMBER, VR::LO, &equipment.serial_number),
            (tags::STATION_NAME, VR::SH, &equipment.station_name),
        ] {
            if !value.is_empty() {
                dataset.put(text(tag, vr, value));
            }
        }
        dataset
    }
}

/// Keyword of a standard attribute (PS3.6).
fn keyword(tag: Tag) -> &'static str {
    StandardDataDictionary.by_tag(tag).map_or("", |entry| entry.alias())
}

/// A number for what is generated at `now`: the time of day, and what tells those of one second apart.
pub fn encounter_number(now: SystemTime) -> u32 {
    let time = utc(now);
    let clock = time.hour() * 10_000 + time.minute() * 100 + time.second();
    clock * 100 + ENCOUNTERS.fetch_add(1, Ordering::Relaxed) % 100
}

/// A UID under the root for UUIDs (PS3.5 §B.2): `2.25.` and the UUID as a decimal number.
pub fn new_uid() -> String {
    format!("2.25.{}", uuid::Uuid::new_v4().as_u128())
}

/// `moment` in UTC. A clock beyond what the calendar holds, which no system has, shows as the epoch.
pub(crate) fn utc(moment: SystemTime) -> DateTime<Utc> {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs())
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, since.subsec_nanos()))
        .unwrap_or_default()
}

/// DA (PS3.5 §6.2) in UTC.
pub(crate) fn date(moment: SystemTime) -> String {
    utc(moment).format("%Y%m%d").to_string()
}

/// TM (PS3.5 §6.2) in UTC, to the microsecond.
pub(crate) fn time(moment: SystemTime) -> String {
    utc(moment).format("%H%M%S%.6f").to_string()
}

/// DT (PS3.5 §6.2) in UTC, to the microsecond, with the offset.
pub(crate) fn date_time(moment: SystemTime) -> String {
    utc(moment).format("%Y%m%d%H%M%S%.6f+0000").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn moment() -> SystemTime {
        // 2026-02-28 23:59:59.000042 UTC
        SystemTime::UNIX_EPOCH + Duration::from_micros(1_772_323_199_000_042)
    }

    fn context() -> Context {
        Context::pattern(moment(), 3, Equipment::framegate("0815", "cath\\lab-2\u{7}-left-of-the-door"))
    }

    fn value(dataset: &InMemDicomObject, tag: dicom_core::Tag) -> String {
        dataset.element(tag).unwrap().to_str().unwrap().into_owned()
    }

    #[test]
    fn dates_and_times_are_utc_to_the_microsecond() {
        assert_eq!(date(moment()), "20260228");
        assert_eq!(time(moment()), "235959.000042");
        assert_eq!(date_time(moment()), "20260228235959.000042+0000");
    }

    #[test]
    fn an_encounter_names_itself() {
        let dataset = context().dataset();
        assert_eq!(value(&dataset, tags::PATIENT_ID), "FG-20260228-3");
        assert_eq!(value(&dataset, tags::PATIENT_NAME), "Demo^Angiogram");
        assert_eq!(value(&dataset, tags::SPECIFIC_CHARACTER_SET), "ISO_IR 192");
        assert_eq!(value(&dataset, tags::MODALITY), "XA");
        assert_eq!(value(&dataset, tags::STATION_NAME), "cathlab-2-left-o");
        for tag in [
            tags::PATIENT_BIRTH_DATE,
            tags::PATIENT_SEX,
            tags::ACCESSION_NUMBER,
            tags::REFERRING_PHYSICIAN_NAME,
        ] {
            assert_eq!(value(&dataset, tag), "", "Type 2 {tag}");
        }
    }

    #[test]
    fn laterality_is_open_only_while_the_body_part_is() {
        let known = context();
        assert_eq!(value(&known.dataset(), tags::BODY_PART_EXAMINED), "HEART");
        assert!(known.dataset().element(tags::LATERALITY).is_err());
        let unknown = Context::encounter("", "XA", moment(), 1, Equipment::framegate("", ""));
        assert_eq!(value(&unknown.dataset(), tags::LATERALITY), "");
        assert!(unknown.dataset().element(tags::STATION_NAME).is_err());
    }

    #[test]
    fn uids_are_fresh_valid_and_of_the_uuid_root() {
        let (one, other) = (context(), context());
        let uids = [
            &one.study.instance_uid,
            &one.series.instance_uid,
            &other.study.instance_uid,
            &other.series.instance_uid,
        ];
        for (number, uid) in uids.iter().enumerate() {
            assert!(uid.len() <= 64 && uid.starts_with("2.25.") && !uid.starts_with("2.25.0"), "{uid}");
            assert!(!uids[..number].contains(uid));
        }
    }

    #[test]
    fn the_next_series_stays_in_the_study() {
        let first = context();
        let next = first.next_series(moment() + Duration::from_secs(1));
        assert_eq!(next.study, first.study);
        assert_eq!(next.series.number, 2);
        assert_ne!(next.series.instance_uid, first.series.instance_uid);
        assert_eq!(value(&next.dataset(), tags::SERIES_TIME), "000000.000042");
    }

    #[test]
    fn what_is_told_takes_the_place_of_what_is_generated_and_says_by_whom() {
        let request = Request {
            procedure_id: "R1".to_owned(),
            step_id: "S1".to_owned(),
            protocol: vec![order::Code { value: "C1".to_owned(), ..order::Code::default() }],
            ..Request::default()
        };
        let order = Order {
            patient: Patient { id: "4711".to_owned(), issuer: "HOSP".to_owned(), ..Patient::default() },
            admission_id: "V1".to_owned(),
            requests: vec![request, Request::default()],
            performed: Some(Performed {
                instance_uid: "1.2.9".to_owned(),
                id: "P1".to_owned(),
                started: Some(moment()),
            }),
            ..Order::default()
        };
        let said = told::Said {
            provider: Provider::Mpps,
            order: std::sync::Arc::new(order),
            at: std::time::Instant::now(),
        };
        let told = context().told(&Told::of(&[said]).unwrap());
        let dataset = told.dataset();
        assert_eq!(value(&dataset, tags::PATIENT_NAME), "", "and not that of the generated one");
        assert_eq!(value(&dataset, tags::ISSUER_OF_PATIENT_ID), "HOSP");
        assert_eq!(value(&dataset, tags::ADMISSION_ID), "V1");
        assert_eq!(value(&dataset, tags::PERFORMED_PROCEDURE_STEP_ID), "P1");
        assert_eq!(value(&dataset, tags::PERFORMED_PROCEDURE_STEP_START_DATE), "20260228");
        assert_eq!(value(&dataset, tags::PERFORMED_PROCEDURE_STEP_START_TIME), "235959.000042");
        let items = |tag| dataset.element(tag).unwrap().items().unwrap();
        let [request] = items(tags::REQUEST_ATTRIBUTES_SEQUENCE) else { panic!("an empty one is left out") };
        assert_eq!(value(request, tags::REQUESTED_PROCEDURE_ID), "R1");
        assert_eq!(value(request, tags::SCHEDULED_PROCEDURE_STEP_ID), "S1");
        let code = &request.element(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE).unwrap().items().unwrap()[0];
        assert_eq!(value(code, tags::CODE_VALUE), "C1");
        let [step] = items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE) else { panic!() };
        assert_eq!(value(step, tags::REFERENCED_SOP_CLASS_UID), "1.2.840.10008.3.1.2.3.3");
        assert_eq!(value(step, tags::REFERENCED_SOP_INSTANCE_UID), "1.2.9");
        let words: Vec<_> =
            told.provenance().into_iter().map(|(keyword, origin)| (keyword, origin.word())).collect();
        let expected = [
            ("AdmissionID", "mpps"),
            ("IssuerOfPatientID", "mpps"),
            ("PatientID", "mpps"),
            ("ReferencedPerformedProcedureStepSequence", "mpps"),
            ("RequestAttributesSequence", "mpps"),
            ("StudyID", "generated"),
            ("StudyInstanceUID", "generated"),
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn debug_withholds_the_patient_and_the_order() {
        let mut context = context();
        context.study.accession_number = "ACC4711".to_owned();
        let shown = format!("{context:?}");
        for secret in ["Demo", "FG-2026", "ACC4711"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
