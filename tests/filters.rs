//! One table of filters, run through both entrances of the match engine: as a search over a hub that
//! holds a series (QIDO-RS), and as a subscription to what comes (section 4 of the live profile), each in
//! both spellings. The verdict must be the same everywhere, since a subscription is a search that has not
//! happened yet.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of an integration test do not count as tests for clippy.toml"
)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use framegate::config::settings::{HubSettings, SubscriptionSettings};
use framegate::dicomweb::routes::Urls;
use framegate::dicomweb::search;
use framegate::hub::{From, Hub, LiveSeries};
use framegate::instance::{Dataset, Instance};
use framegate::subscription::described;
use framegate::subscription::query::Query;
use framegate::subscription::registry::{
    Delivery, Form, Options, Registry, Request, Subscriber, Subscription,
};
use framegate::subscription::scope::{Level, Scope};

/// The data set that a row is about.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// An angiogram of an ordered procedure.
    Xa,
    /// An ultrasound image of an encounter without an order: many attributes are empty or absent.
    Us,
}
use Of::{Us, Xa};

/// Matching type (PS3.4 §C.2.2.2), match keys as in a query, data set, and whether it matches.
const TABLE: &[(&str, &str, Of, bool)] = &[
    // Patient
    ("single", "PatientID=4711", Xa, true),
    ("single", "PatientID=4711", Us, false),
    ("single", "PatientID=04711", Xa, false),
    ("single", "00100020=4711", Xa, true),
    ("name", "PatientName=Meier^Anna^Lena", Xa, true),
    ("name", "PatientName=meier^anna^lena", Xa, true),
    ("name", "PatientName=Meier", Xa, false),
    ("name", "PatientName=M%C3%BCller%5EJos%C3%A9", Us, true),
    ("wildcard", "PatientName=Mei*", Xa, true),
    ("wildcard", "PatientName=*Anna*", Xa, true),
    ("wildcard", "PatientName=M%3F%3Fer*", Xa, true),
    ("wildcard", "PatientName=M?er*", Xa, false),
    ("wildcard", "PatientName=M%3F%3F%3Fer*", Us, true),
    ("wildcard", "PatientName=Mei*", Us, false),
    ("fuzzy", "PatientName=anna&fuzzymatching=true", Xa, true),
    ("fuzzy", "PatientName=lena+mei&fuzzymatching=true", Xa, true),
    ("fuzzy", "PatientName=lena+smith&fuzzymatching=true", Xa, false),
    ("fuzzy", "PatientName=muller&fuzzymatching=true", Us, true),
    ("fuzzy", "PatientName=muller&fuzzymatching=false", Us, false),
    // Modality, SOP class
    ("single", "Modality=XA", Xa, true),
    ("single", "Modality=xa", Xa, false),
    ("single", "Modality=XA", Us, false),
    ("wildcard", "Modality=X*", Xa, true),
    ("wildcard", "Modality=%3FS", Us, true),
    ("multiple", "Modality=XA%5CUS", Xa, true),
    ("multiple", "Modality=XA%5CUS", Us, true),
    ("multiple", "Modality=CT%5CMR", Xa, false),
    ("uid", "SOPClassUID=1.2.840.10008.5.1.4.1.1.12.1", Xa, true),
    ("uid", "SOPClassUID=1.2.840.10008.5.1.4.1.1.12.1", Us, false),
    ("uid list", "SOPClassUID=1.2.840.10008.5.1.4.1.1.6.1,1.2.840.10008.5.1.4.1.1.12.1", Xa, true),
    ("uid list", "SOPClassUID=1.2.840.10008.5.1.4.1.1.6.1%5C1.2.840.10008.5.1.4.1.1.12.1", Us, true),
    ("uid list", "SOPClassUID=1.2.3,1.2.4", Xa, false),
    ("uid list", "StudyInstanceUID=1.2.3,2.25.1", Xa, true),
    ("uid", "SeriesInstanceUID=2.25.2", Xa, true),
    ("uid", "SeriesInstanceUID=2.25.3", Xa, false),
    // Order and procedure
    ("single", "AccessionNumber=A-17", Xa, true),
    ("wildcard", "AccessionNumber=A-*", Us, false),
    ("single", "PerformedProcedureStepID=PPS1", Xa, true),
    ("wildcard", "PerformedProcedureStepDescription=*angio*", Xa, true),
    ("wildcard", "PerformedProcedureStepDescription=*Angio*", Xa, false),
    ("date range", "PerformedProcedureStepStartDate=20260301-20260331", Xa, true),
    ("time range", "PerformedProcedureStepStartTime=100000-110000", Xa, true),
    ("time range", "PerformedProcedureStepStartTime=110000-", Xa, false),
    ("sequence", "PerformedProtocolCodeSequence.CodeValue=PROT-1", Xa, true),
    ("sequence", "RequestAttributesSequence.RequestedProcedureID=RP1", Xa, true),
    ("sequence", "RequestAttributesSequence.RequestedProcedureID=RP1", Us, false),
    ("sequence", "RequestAttributesSequence.ScheduledProcedureStepID=SPS2", Xa, true),
    (
        "sequence",
        "RequestAttributesSequence.RequestedProcedureID=RP1&RequestAttributesSequence.ScheduledProcedureStepID=SPS1",
        Xa,
        true,
    ),
    (
        "sequence",
        "RequestAttributesSequence.RequestedProcedureID=RP1&RequestAttributesSequence.ScheduledProcedureStepID=SPS2",
        Xa,
        false,
    ),
    ("sequence", "RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue=P5-*", Xa, true),
    ("sequence", "00400275.00321064.00080100=P5-0034B", Xa, true),
    ("sequence", "RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue=SP-9", Xa, true),
    ("sequence", "RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue=SP-8", Xa, false),
    (
        "sequence",
        "RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue=SP-9\
         &RequestAttributesSequence.ScheduledProtocolCodeSequence.CodingSchemeDesignator=99LAB",
        Xa,
        true,
    ),
    ("sequence", "ProcedureCodeSequence.CodeMeaning=Coronary*", Xa, true),
    ("empty", "RequestAttributesSequence=%22%22", Us, true),
    ("empty", "RequestAttributesSequence=%22%22", Xa, false),
    // Equipment
    ("single", "StationName=CATHLAB2", Xa, true),
    ("wildcard", "StationName=CATHLAB%3F", Xa, true),
    ("empty", "StationName=%22%22", Us, true),
    ("empty", "StationName=%22%22", Xa, false),
    ("single", "Manufacturer=ACME+Imaging", Xa, true),
    ("wildcard", "Manufacturer=*Imag*", Us, false),
    ("single", "DeviceSerialNumber=SN-0042", Xa, true),
    ("multiple", "DeviceSerialNumber=SN-0041%5CSN-0042", Xa, true),
    ("wildcard", "InstitutionName=North*", Xa, true),
    // Dates and times
    ("date", "StudyDate=20260314", Xa, true),
    ("date", "StudyDate=20260315", Xa, false),
    ("date range", "StudyDate=20260314-20260314", Xa, true),
    ("date range", "StudyDate=20260101-", Xa, true),
    ("date range", "StudyDate=-20260313", Xa, false),
    ("date range", "StudyDate=-20260313", Us, false),
    ("time", "StudyTime=101530", Xa, true),
    ("time", "StudyTime=101531", Xa, false),
    ("time range", "StudyTime=-10", Xa, true),
    ("time range", "StudyTime=1016-", Xa, false),
    ("date and time range", "AcquisitionDateTime=20260314101500-20260314102000", Xa, true),
    ("date and time range", "AcquisitionDateTime=20260314102000-", Xa, false),
    // Numbers
    ("number", "SeriesNumber=3", Xa, true),
    ("number", "SeriesNumber=03", Xa, true),
    ("number", "SeriesNumber=4", Xa, false),
    ("number", "KVP=80.0", Xa, true),
    ("number", "KVP=80", Us, false),
    ("number", "Rows=2", Xa, true),
    ("number", "Rows=512", Xa, false),
    ("multiple", "SeriesNumber=2%5C3", Xa, true),
    // Several values in the data set
    ("multiple", "ImageType=PRIMARY", Xa, true),
    ("multiple", "ImageType=SECONDARY", Xa, false),
    ("multiple", "ImageType=ORIGINAL%5CDERIVED", Xa, true),
    ("multiple", "ImageType=ORIGINAL%5CDERIVED&multiplevaluematching=true", Xa, false),
    ("multiple", "ImageType=ORIGINAL%5CPRIMARY&multiplevaluematching=true", Xa, true),
    // Universal
    ("universal", "PatientID=", Us, true),
    ("universal", "PatientID=*", Us, true),
    ("universal", "StudyDate=", Us, true),
    ("universal", "RequestAttributesSequence=", Us, true),
    ("wildcard", "StudyDescription=%3F*", Us, false),
    // Empty value
    ("empty", "StudyDate=%22%22", Us, true),
    ("empty", "StudyDate=%22%22", Xa, false),
    ("empty", "PatientID=%22%22", Us, true),
    ("empty", "KVP=%22%22", Us, true),
    ("empty", "ReferringPhysicianName=%22%22", Xa, true),
    // Private attributes
    ("private", "00211001=left", Xa, true),
    ("private", "00211001=LEFT", Xa, false),
    ("private", "00211001=le*", Xa, true),
    ("private", "00211002=7", Xa, true),
    ("private", "00211002=8", Xa, false),
    ("private", "00211001=left", Us, false),
    // Several keys
    ("and", "Modality=XA&PatientName=Mei*&StudyDate=202603", Xa, true),
    ("and", "Modality=XA&PatientName=Mei*&StudyDate=202604", Xa, false),
    ("and", "Modality=US&PatientName=Mei*", Us, false),
    ("none", "", Us, true),
];

fn item(elements: impl IntoIterator<Item = (Tag, VR, &'static str)>) -> Dataset {
    Dataset::from_element_iter(elements.into_iter().map(|(tag, vr, value)| DataElement::new(tag, vr, value)))
}

fn sequence(dataset: &mut Dataset, tag: Tag, items: Vec<Dataset>) {
    dataset.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

fn code(value: &'static str, scheme: &'static str, meaning: &'static str) -> Dataset {
    item([
        (tags::CODE_VALUE, VR::SH, value),
        (tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme),
        (tags::CODE_MEANING, VR::LO, meaning),
    ])
}

/// What every instance has: two pixels of two rows, and the UIDs of its series.
fn image(sop_class: &'static str, modality: &'static str) -> Dataset {
    let mut dataset = item([
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        (tags::SOP_CLASS_UID, VR::UI, sop_class),
        (tags::SOP_INSTANCE_UID, VR::UI, "2.25.9"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "2.25.1"),
        (tags::SERIES_INSTANCE_UID, VR::UI, "2.25.2"),
        (tags::MODALITY, VR::CS, modality),
        (tags::INSTANCE_NUMBER, VR::IS, "1"),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
    ]);
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, 2),
        (tags::COLUMNS, 1),
        (tags::BITS_ALLOCATED, 8),
        (tags::BITS_STORED, 8),
        (tags::HIGH_BIT, 7),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        dataset.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16)));
    }
    dataset
}

fn angiogram() -> Dataset {
    let mut dataset = image("1.2.840.10008.5.1.4.1.1.12.1", "XA");
    for element in item([
        (tags::PATIENT_NAME, VR::PN, "Meier^Anna^Lena"),
        (tags::PATIENT_ID, VR::LO, "4711"),
        (tags::STUDY_DATE, VR::DA, "20260314"),
        (tags::STUDY_TIME, VR::TM, "101530"),
        (tags::ACQUISITION_DATE_TIME, VR::DT, "20260314101700"),
        (tags::ACCESSION_NUMBER, VR::SH, "A-17"),
        (tags::STUDY_DESCRIPTION, VR::LO, "Coronary angiography"),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, ""),
        (tags::SERIES_NUMBER, VR::IS, "3"),
        (tags::KVP, VR::DS, "80"),
        (tags::STATION_NAME, VR::SH, "CATHLAB2"),
        (tags::MANUFACTURER, VR::LO, "ACME Imaging"),
        (tags::DEVICE_SERIAL_NUMBER, VR::LO, "SN-0042"),
        (tags::INSTITUTION_NAME, VR::LO, "North Hospital"),
        (tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, "PPS1"),
        (tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION, VR::LO, "Cor. angiography"),
        (tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, "20260314"),
        (tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, "101000"),
        (Tag(0x0021, 0x0010), VR::LO, "ACME"),
        (Tag(0x0021, 0x1001), VR::LO, "left"),
    ]) {
        dataset.put(element);
    }
    dataset.put(DataElement::new(Tag(0x0021, 0x1002), VR::US, PrimitiveValue::from(7_u16)));
    dataset.put(DataElement::new(tags::IMAGE_TYPE, VR::CS, dicom_value!(Strs, ["ORIGINAL", "PRIMARY"])));
    let mut first = item([
        (tags::REQUESTED_PROCEDURE_ID, VR::SH, "RP1"),
        (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "SPS1"),
    ]);
    let procedure = code("P5-0034B", "SRT", "Coronary angiography");
    sequence(&mut first, tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![procedure.clone()]);
    let mut second = item([
        (tags::REQUESTED_PROCEDURE_ID, VR::SH, "RP2"),
        (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "SPS2"),
    ]);
    let scheduled = code("SP-9", "99LAB", "Two planes");
    sequence(&mut second, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, vec![scheduled]);
    sequence(&mut dataset, tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![first, second]);
    sequence(&mut dataset, tags::PROCEDURE_CODE_SEQUENCE, vec![procedure]);
    sequence(&mut dataset, tags::PERFORMED_PROTOCOL_CODE_SEQUENCE, vec![code("PROT-1", "99LAB", "Standard")]);
    dataset
}

fn ultrasound() -> Dataset {
    let mut dataset = image("1.2.840.10008.5.1.4.1.1.6.1", "US");
    for element in item([
        (tags::PATIENT_NAME, VR::PN, "Müller^José"),
        (tags::PATIENT_ID, VR::LO, ""),
        (tags::STUDY_DATE, VR::DA, ""),
        (tags::STATION_NAME, VR::SH, ""),
        (tags::MANUFACTURER, VR::LO, "Other"),
    ]) {
        dataset.put(element);
    }
    dataset
}

/// A hub that holds one live series with one instance of a data set.
struct Room {
    hub: Hub,
    live: Arc<LiveSeries>,
    instance: Arc<Instance>,
    _publisher: framegate::hub::Publisher,
}

fn room(of: Of) -> Room {
    let dataset = match of {
        Xa => angiogram(),
        Us => ultrasound(),
    };
    let hub = Hub::new(HubSettings::default());
    let context = dataset.clone();
    let publisher = hub.open(&"2.25.1".into(), &"2.25.2".into(), || Ok::<_, Infallible>(context)).unwrap();
    publisher.publish(Instance::native(&dataset, Bytes::from_static(&[1, 2])).unwrap()).unwrap();
    let live = publisher.series().clone();
    let instance = live.instances().remove(0);
    Room { hub, live, instance, _publisher: publisher }
}

const LEVELS: [Level; 3] = [Level::Studies, Level::Series, Level::Instances];

fn scope(level: Level) -> Scope {
    Scope { level, study: None, series: None }
}

/// Whether a search at this level finds something in the room.
fn is_found(room: &Room, level: Level, query: &Query) -> bool {
    let urls = Urls::new("https://box:8443/dicomweb");
    search::search(&room.hub, |_| true, &urls, &scope(level), query, 10).datasets.len() == 1
}

/// The subscription that a search at this level makes.
fn subscribed(level: Level, query: Query) -> Arc<Subscription> {
    let request = Request {
        subscriber: Subscriber::parse("VIEWER").unwrap(),
        owner: None,
        scope: scope(level),
        keys: query.canonical().clone(),
        query,
        restriction: None,
        delivery: Delivery::Notification,
        from: From::Oldest,
        form: Form::AsTheyAre,
        options: Options { rate: None, paused: false },
        lease: None,
        base: "https://box:8443/dicomweb".into(),
    };
    Registry::new(SubscriptionSettings::default()).subscribe(request).unwrap().0
}

/// Whether what is in the room concerns a subscription at this level.
fn is_told(room: &Room, level: Level, query: Query) -> bool {
    let subscription = subscribed(level, query);
    let members = room.hub.study("2.25.1");
    let described = match level {
        Level::Studies => described::study(&room.live, &members),
        Level::Series | Level::Instances => described::series(&room.live, &members),
    };
    subscription.matches_series(&room.live, &described)
        && subscription.matches_instance(|| room.instance.dataset().ok().map(Arc::new))
}

/// The other spelling: the same keys in one `filter`, what is no key as it was.
fn as_filter(plain: &str) -> String {
    let is_key = |pair: &&str| !pair.contains("matching=") && !pair.is_empty();
    let (keys, rest): (Vec<_>, Vec<_>) = plain.split('&').partition(is_key);
    std::iter::once(format!("filter={}", keys.join(",")))
        .chain(rest.into_iter().map(str::to_owned))
        .collect::<Vec<_>>()
        .join("&")
}

#[test]
fn a_search_and_a_subscription_agree_on_every_row() {
    let rooms = [room(Xa), room(Us)];
    let mut wrong = Vec::new();
    for (kind, plain, of, expected) in TABLE {
        let room = match of {
            Xa => &rooms[0],
            Us => &rooms[1],
        };
        for raw in [(*plain).to_owned(), as_filter(plain)] {
            let query = Query::parse(&raw, &[]).unwrap_or_else(|error| panic!("{kind}: {raw}: {error}"));
            assert!(query.unknown.is_empty(), "{kind}: {raw}: {:?}", query.unknown);
            for level in LEVELS {
                let verdicts = (is_found(room, level, &query), is_told(room, level, query.clone()));
                if verdicts != (*expected, *expected) {
                    wrong.push(format!("{kind}: {raw} of {of:?}, {level:?}: (found, told) {verdicts:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} verdicts are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_has_a_row_for_every_matching_type() {
    let kinds: BTreeSet<_> = TABLE.iter().map(|(kind, ..)| *kind).collect();
    for kind in [
        "single",
        "uid",
        "uid list",
        "universal",
        "wildcard",
        "date range",
        "time range",
        "date and time range",
        "sequence",
        "empty",
        "multiple",
        "fuzzy",
        "name",
        "number",
        "private",
    ] {
        assert!(kinds.contains(kind), "{kind}");
    }
    assert!(TABLE.len() >= 60, "{}", TABLE.len());
    // A row whose verdict does not depend on the data set proves little; each kind must tell two apart.
    for kind in kinds.into_iter().filter(|kind| !matches!(*kind, "universal" | "none")) {
        let verdicts: BTreeSet<_> = TABLE.iter().filter(|row| row.0 == kind).map(|row| row.3).collect();
        assert_eq!(verdicts.len(), 2, "{kind} has matches only, or none");
    }
}
