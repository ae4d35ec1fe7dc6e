//! The whole way from a worklist to the entries that are kept of it.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::*;
use crate::dimse::element::sequence;
use crate::instance::Dataset;
use crate::procedure::testing::{Ris, element, value};

fn settings(ris: &Ris, stations: &[&str], entries: usize) -> WorklistSettings {
    WorklistSettings {
        peer: WorklistPeer::Dimse(ris.peer()),
        station_ae_titles: stations.iter().map(|&title| title.to_owned()).collect(),
        modality: "XA".to_owned(),
        days_before: 1,
        days_after: 0,
        refresh: Duration::from_secs(3600),
        entries,
    }
}

fn entry(id: &str) -> Dataset {
    let step = InMemDicomObject::from_element_iter([element(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, id)]);
    InMemDicomObject::from_element_iter([
        element(tags::PATIENT_ID, VR::LO, id),
        element(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3"),
        sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]),
    ])
}

fn patients(worklist: &Worklist) -> Vec<String> {
    worklist.entries().iter().map(|entry| entry.order.patient.id.clone()).collect()
}

fn asker(settings: WorklistSettings, worklist: &Worklist) -> Asker {
    Asker::new("ris".into(), settings, worklist.clone(), ProcedureCounters::default()).unwrap()
}

#[tokio::test]
async fn entries_of_all_stations_are_kept_once_and_replaced_as_a_whole() {
    let ris = Ris::new(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND).await;
    let worklist = Worklist::default();
    let mut asker = asker(settings(&ris, &["XA1", "XA2"], 10), &worklist);
    let answer = async {
        let mut talk = ris.accept().await;
        for (station, ids) in [("XA1", &["A", "B"][..]), ("XA2", &["B", "C"])] {
            let asked = talk.next().await.unwrap();
            assert_eq!(asked.field, 0x0020);
            let identifier = asked.dataset.as_ref().unwrap();
            let step = identifier.element(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap().items().unwrap();
            assert_eq!(value(&step[0], tags::SCHEDULED_STATION_AE_TITLE), station);
            assert_eq!(value(&step[0], tags::MODALITY), "XA");
            assert_eq!(value(&step[0], tags::SCHEDULED_PROCEDURE_STEP_START_DATE).len(), 17);
            for id in ids {
                talk.answer(&asked, 0xFF00, None, Some(&entry(id))).await;
            }
            // One that is no data set: an element that claims more bytes than there are.
            talk.answer_garbage(&asked, &[0x10, 0, 0x20, 0, b'L', b'O', 0xFF, 0xFF]).await;
            talk.answer(&asked, 0x0000, None, None).await;
        }
        assert!(talk.next().await.is_none(), "the gateway releases");
    };
    let (found, ()) = tokio::join!(asker.ask(), answer);
    let found = found.unwrap();
    assert_eq!((found.unreadable, found.more), (2, false));
    asker.take(found, SystemTime::now());
    assert_eq!(patients(&worklist), ["A", "B", "C"]);

    // The next answer has one of them: the others are gone.
    let answer = async {
        let mut talk = ris.accept().await;
        for id in ["C", "C"] {
            let asked = talk.next().await.unwrap();
            talk.answer(&asked, 0xFF01, None, Some(&entry(id))).await;
            talk.answer(&asked, 0x0000, None, None).await;
        }
        talk.next().await;
    };
    let (found, ()) = tokio::join!(asker.ask(), answer);
    asker.take(found.unwrap(), SystemTime::now());
    assert_eq!(patients(&worklist), ["C"]);
}

#[tokio::test]
async fn what_is_beyond_the_bound_is_cancelled() {
    let ris = Ris::new(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND).await;
    let asker = asker(settings(&ris, &[], 2), &Worklist::default());
    let answer = async {
        let mut talk = ris.accept().await;
        let asked = talk.next().await.unwrap();
        for id in ["A", "B", "C"] {
            talk.answer(&asked, 0xFF00, None, Some(&entry(id))).await;
        }
        let cancel = talk.next().await.unwrap();
        assert_eq!((cancel.field, cancel.message), (0x0FFF, asked.message));
        // One was under way.
        talk.answer(&asked, 0xFF00, None, Some(&entry("D"))).await;
        talk.answer(&asked, 0xFE00, None, None).await;
        assert!(talk.next().await.is_none());
    };
    let (found, ()) = tokio::join!(asker.ask(), answer);
    let found = found.unwrap();
    assert_eq!((found.entries.len(), found.more), (2, true));
}

#[tokio::test]
async fn a_worklist_that_fails_keeps_its_entries_and_is_said_once() {
    let ris = Ris::new(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND).await;
    let worklist = Worklist::default();
    let mut asker = asker(settings(&ris, &[], 5), &worklist);
    let mut found = Found::default();
    found.take(Ok::<_, ()>(entry("A")));
    asker.take(found, SystemTime::now());
    let answer = async {
        let mut talk = ris.accept().await;
        let asked = talk.next().await.unwrap();
        talk.answer(&asked, 0xA700, None, None).await;
    };
    let (failed, ()) = tokio::join!(asker.ask(), answer);
    let error = failed.unwrap_err();
    assert!(error.to_string().contains("A700H") && error.is_lasting());
    asker.fail(&error);
    assert_eq!(patients(&worklist), ["A"], "the last answer stays");
    let said = Said::Fails(error.to_string());
    assert_eq!(asker.said, said);
    drop(ris);
    let error = asker.ask().await.unwrap_err();
    assert!(!error.is_lasting(), "{error}");
    asker.fail(&error);
    assert_ne!(asker.said, said, "another failure is news");
}
