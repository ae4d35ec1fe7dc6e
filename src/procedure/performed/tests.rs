//! The whole way from a step at the desk to a peer that was told of it.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dicom_core::{DataElement, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::*;
use crate::config::settings::HubSettings;
use crate::context::order::{Code, Order, Request};
use crate::context::{Patient, Series};
use crate::instance::{Dataset, Instance};
use crate::procedure::testing::{Ris, Talk, element, value};

const UID: &str = "2.25.7";

fn patient() -> Patient {
    Patient { name: "Demo^Patient".into(), id: "P1".into(), ..Patient::default() }
}

fn order() -> Order {
    let code =
        Code { value: "A1".into(), scheme: "99X".into(), meaning: "Coronary".into(), ..Code::default() };
    let request = Request {
        accession_number: "ACC".into(),
        procedure_id: "RP1".into(),
        step_id: "SPS1".into(),
        step_description: "Left heart".into(),
        protocol: vec![code],
        ..Request::default()
    };
    Order { patient: patient(), requests: vec![request], ..Order::default() }
}

fn step(uid: &str, order: Option<Order>) -> OwnStep {
    OwnStep {
        capture: "room".into(),
        mpps: "ris".into(),
        uid: uid.into(),
        id: "PPS1".into(),
        order: order.map(Arc::new),
        patient: patient(),
        study: "1.2".into(),
        modality: "XA".into(),
        began: SystemTime::now(),
        ended: None,
        discontinued: false,
        series: Vec::new(),
    }
}

fn series(uid: &str) -> Series {
    Series {
        instance_uid: uid.into(),
        started: SystemTime::now(),
        number: 1,
        modality: "XA".into(),
        description: String::new(),
        unpaired_body_part: String::new(),
    }
}

/// Puts `count` instances of a series of study 1.2 into the hub.
fn publish(hub: &Hub, series: &str, count: u32) {
    let head = |number: u32| {
        InMemDicomObject::from_element_iter([
            element(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
            element(tags::SOP_INSTANCE_UID, VR::UI, &format!("{series}.{number}")),
            element(tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
            element(tags::SERIES_INSTANCE_UID, VR::UI, series),
            DataElement::new(tags::BITS_ALLOCATED, VR::US, dicom_value!(U16, 8)),
        ])
    };
    let open = || Ok::<_, std::convert::Infallible>(head(1));
    let publisher = hub.open(&"1.2".into(), &series.into(), open).unwrap();
    for number in 1..=count {
        publisher.publish(Instance::native(&head(number), Bytes::from_static(&[0; 4])).unwrap()).unwrap();
    }
    publisher.complete();
}

/// A teller with its desk and hub.
fn teller(ris: &Ris) -> (Teller, Desk, Hub) {
    let (desk, hub) = (
        Desk::new(["room".to_owned()]),
        Hub::new(HubSettings { linger: Duration::ZERO, ..HubSettings::default() }),
    );
    let settings = MppsSettings { peer: ris.peer() };
    let counters = ProcedureCounters::default();
    (Teller::new("ris".into(), settings, desk.clone(), hub.clone(), counters), desk, hub)
}

async fn ris() -> Ris {
    Ris::new(uids::MODALITY_PERFORMED_PROCEDURE_STEP).await
}

async fn round(teller: &mut Teller) -> Result<(), ScuError> {
    let steps = teller.look(SystemTime::now());
    teller.tell(&steps).await
}

/// Takes one message, which must be this one, and answers it.
async fn take(talk: &mut Talk, field: u16, uid: &str, status: u16, error: Option<u16>) -> Dataset {
    let asked = talk.next().await.unwrap();
    assert_eq!((asked.field, asked.instance.as_str()), (field, uid));
    talk.answer(&asked, status, error.map(|error| (tags::ERROR_ID, error)), None).await;
    asked.dataset.unwrap()
}

const CREATE: u16 = 0x0140;
const SET: u16 = 0x0120;

fn items(dataset: &Dataset, tag: dicom_core::Tag) -> Vec<Dataset> {
    dataset.element(tag).unwrap().items().unwrap().to_vec()
}

#[tokio::test]
async fn a_step_is_told_when_it_begins_and_when_it_ends() {
    let ris = ris().await;
    let (mut teller, desk, hub) = teller(&ris);
    desk.own_step_begins(step(UID, Some(order())));
    let answer = async {
        let mut talk = ris.accept().await;
        let created = take(&mut talk, CREATE, UID, 0, None).await;
        assert!(talk.next().await.is_none());
        created
    };
    let (told, created) = tokio::join!(round(&mut teller), answer);
    told.unwrap();
    assert_eq!(value(&created, tags::PERFORMED_PROCEDURE_STEP_STATUS), "IN PROGRESS");
    assert_eq!(value(&created, tags::PATIENT_NAME), "Demo^Patient");
    assert_eq!(value(&created, tags::PERFORMED_STATION_AE_TITLE), "XA1");
    assert_eq!(value(&created, tags::PERFORMED_PROCEDURE_STEP_ID), "PPS1");
    let scheduled = items(&created, tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE);
    assert_eq!(value(&scheduled[0], tags::STUDY_INSTANCE_UID), "1.2");
    assert_eq!(value(&scheduled[0], tags::SCHEDULED_PROCEDURE_STEP_ID), "SPS1");
    assert_eq!(value(&scheduled[0], tags::ACCESSION_NUMBER), "ACC");
    let protocol = items(&scheduled[0], tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE);
    assert_eq!(value(&protocol[0], tags::CODE_VALUE), "A1");
    assert!(items(&created, tags::PERFORMED_SERIES_SEQUENCE).is_empty());
    assert!(!teller.has_news(&teller.desk.own_steps()), "nothing more to tell");

    publish(&hub, "1.3", 2);
    desk.own_step_series(UID, series("1.3"));
    desk.own_step_ends(UID, SystemTime::now(), false);
    let answer = async {
        let mut talk = ris.accept().await;
        let set = take(&mut talk, SET, UID, 0, None).await;
        talk.next().await;
        set
    };
    let (told, set) = tokio::join!(round(&mut teller), answer);
    told.unwrap();
    assert_eq!(value(&set, tags::PERFORMED_PROCEDURE_STEP_STATUS), "COMPLETED");
    assert_eq!(value(&set, tags::PERFORMED_PROCEDURE_STEP_END_DATE).len(), 8);
    assert!(set.get(tags::PATIENT_NAME).is_none(), "not allowed in an N-SET");
    let performed = items(&set, tags::PERFORMED_SERIES_SEQUENCE);
    assert_eq!(value(&performed[0], tags::SERIES_INSTANCE_UID), "1.3");
    assert_eq!(value(&performed[0], tags::PROTOCOL_NAME), "room");
    let images = items(&performed[0], tags::REFERENCED_IMAGE_SEQUENCE);
    let uids: Vec<_> = images.iter().map(|item| value(item, tags::REFERENCED_SOP_INSTANCE_UID)).collect();
    assert_eq!(uids, ["1.3.1", "1.3.2"]);
    assert!(desk.own_steps().is_empty(), "told to its end");
}

/// Every attribute that Table F.7.2-1 wants of an SCU as type 1 or 2, at each level.
#[test]
fn the_table_is_met_without_an_order_too() {
    let created = message::create(&step(UID, None), "XA1");
    for (tag, has_value) in [
        (tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, true),
        (tags::PATIENT_NAME, true),
        (tags::PATIENT_ID, true),
        (tags::PATIENT_BIRTH_DATE, false),
        (tags::PATIENT_SEX, false),
        (tags::REFERENCED_PATIENT_SEQUENCE, false),
        (tags::PERFORMED_PROCEDURE_STEP_ID, true),
        (tags::PERFORMED_STATION_AE_TITLE, true),
        (tags::PERFORMED_STATION_NAME, false),
        (tags::PERFORMED_LOCATION, false),
        (tags::PERFORMED_PROCEDURE_STEP_START_DATE, true),
        (tags::PERFORMED_PROCEDURE_STEP_START_TIME, true),
        (tags::PERFORMED_PROCEDURE_STEP_STATUS, true),
        (tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION, false),
        (tags::PERFORMED_PROCEDURE_TYPE_DESCRIPTION, false),
        (tags::PROCEDURE_CODE_SEQUENCE, false),
        (tags::PERFORMED_PROCEDURE_STEP_END_DATE, false),
        (tags::PERFORMED_PROCEDURE_STEP_END_TIME, false),
        (tags::MODALITY, true),
        (tags::STUDY_ID, false),
        (tags::PERFORMED_PROTOCOL_CODE_SEQUENCE, false),
        (tags::PERFORMED_SERIES_SEQUENCE, false),
    ] {
        let found = created.element(tag).unwrap_or_else(|_| panic!("{tag}"));
        let empty = found.items().map_or_else(|| found.to_str().unwrap().is_empty(), <[_]>::is_empty);
        assert_eq!(!empty, has_value, "{tag}");
    }
    let scheduled = items(&created, tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE);
    assert_eq!(scheduled.len(), 1);
    for tag in [
        tags::STUDY_INSTANCE_UID,
        tags::REFERENCED_STUDY_SEQUENCE,
        tags::ACCESSION_NUMBER,
        tags::REQUESTED_PROCEDURE_ID,
        tags::REQUESTED_PROCEDURE_DESCRIPTION,
        tags::SCHEDULED_PROCEDURE_STEP_ID,
        tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION,
        tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE,
    ] {
        assert!(scheduled[0].get(tag).is_some(), "{tag}");
    }
    let mut ended = step(UID, None);
    (ended.series, ended.discontinued) = (vec![series("1.3")], true);
    let set = message::set(&ended, SystemTime::now(), &Images::default());
    assert_eq!(value(&set, tags::PERFORMED_PROCEDURE_STEP_STATUS), "DISCONTINUED");
    let performed = items(&set, tags::PERFORMED_SERIES_SEQUENCE);
    for tag in [
        tags::PERFORMING_PHYSICIAN_NAME,
        tags::PROTOCOL_NAME,
        tags::OPERATORS_NAME,
        tags::SERIES_INSTANCE_UID,
        tags::SERIES_DESCRIPTION,
        tags::RETRIEVE_AE_TITLE,
        tags::REFERENCED_IMAGE_SEQUENCE,
        tags::REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE,
    ] {
        assert!(performed[0].get(tag).is_some(), "{tag}");
    }
}

#[tokio::test]
async fn a_failure_keeps_the_order_and_the_uid() {
    let ris = ris().await;
    let (mut teller, desk, _hub) = teller(&ris);
    desk.own_step_begins(step("1.1", None));
    desk.own_step_begins(step("1.2", None));
    desk.own_step_ends("1.1", SystemTime::now(), false);
    // The peer cannot now: nothing else is told before the first was.
    let answer = async {
        let mut talk = ris.accept().await;
        take(&mut talk, CREATE, "1.1", 0x0110, None).await;
        assert!(talk.next().await.is_none());
    };
    let (told, ()) = tokio::join!(round(&mut teller), answer);
    assert!(matches!(told, Err(ScuError::Status { status: 0x0110, .. })));
    // It had arrived all the same (duplicate); what follows is told, and lost with the connection.
    let answer = async {
        let mut talk = ris.accept().await;
        take(&mut talk, CREATE, "1.1", 0x0111, None).await;
        assert_eq!(talk.next().await.unwrap().field, SET);
    };
    let (told, ()) = tokio::join!(round(&mut teller), answer);
    assert!(matches!(told, Err(ScuError::Connect(_))), "{told:?}");
    // The answer to the N-SET was lost, so that it cannot be made again: it is told.
    let answer = async {
        let mut talk = ris.accept().await;
        take(&mut talk, SET, "1.1", 0x0110, Some(NO_LONGER_UPDATED)).await;
        take(&mut talk, CREATE, "1.2", 0x0000, None).await;
        talk.next().await;
    };
    let (told, ()) = tokio::join!(round(&mut teller), answer);
    told.unwrap();
    let left: Vec<_> = desk.own_steps().into_iter().map(|step| step.uid).collect();
    assert_eq!(left, ["1.2"]);
}

#[tokio::test]
async fn what_is_refused_for_good_does_not_stop_the_next() {
    let ris = ris().await;
    let (mut teller, desk, _hub) = teller(&ris);
    desk.own_step_begins(step("1.1", None));
    desk.own_step_begins(step("1.2", None));
    let answer = async {
        let mut talk = ris.accept().await;
        take(&mut talk, CREATE, "1.1", 0x0106, None).await;
        take(&mut talk, CREATE, "1.2", 0x0000, None).await;
        talk.next().await;
    };
    let (told, ()) = tokio::join!(round(&mut teller), answer);
    told.unwrap();
    let left: Vec<_> = desk.own_steps().into_iter().map(|step| step.uid).collect();
    assert_eq!(left, ["1.2"]);
}

#[tokio::test]
async fn the_ends_are_told_when_the_service_stops() {
    let ris = ris().await;
    let (mut teller, desk, _hub) = teller(&ris);
    desk.own_step_begins(step(UID, None));
    let answer = async {
        let mut talk = ris.accept().await;
        take(&mut talk, CREATE, UID, 0, None).await;
        talk.next().await;
    };
    let (told, ()) = tokio::join!(round(&mut teller), answer);
    told.unwrap();
    desk.own_step_ends(UID, SystemTime::now(), true);
    let (_stop, stopping) = watch::channel(true);
    let task = tokio::spawn(teller.serve(stopping));
    let mut talk = ris.accept().await;
    let set = take(&mut talk, SET, UID, 0, None).await;
    assert_eq!(value(&set, tags::PERFORMED_PROCEDURE_STEP_STATUS), "DISCONTINUED");
    talk.next().await;
    task.await.unwrap();
    assert!(desk.own_steps().is_empty());
}

#[test]
fn the_last_frames_of_a_step_are_waited_for() {
    let hub = Hub::new(HubSettings { linger: Duration::ZERO, ..HubSettings::default() });
    let mut ended = step(UID, None);
    ended.series = vec![series("1.3"), series("1.4")];
    assert!(Images::are_complete(&ended, &hub), "nothing is there that could grow");
    publish(&hub, "1.3", 1);
    assert!(Images::are_complete(&ended, &hub));
    let open = || Ok::<_, std::convert::Infallible>(InMemDicomObject::new_empty());
    let publisher = hub.open(&"1.2".into(), &"1.4".into(), open).unwrap();
    assert!(!Images::are_complete(&ended, &hub));
    publisher.complete();
    assert!(Images::are_complete(&ended, &hub));
}

#[tokio::test]
async fn steps_of_other_peers_are_left_alone() {
    let ris = ris().await;
    let (mut teller, desk, _hub) = teller(&ris);
    desk.own_step_begins(OwnStep { mpps: "other".into(), ..step(UID, None) });
    let steps = teller.look(SystemTime::now());
    assert!(steps.is_empty() && !teller.has_news(&steps));
    assert_eq!(desk.own_steps().len(), 1);
}
