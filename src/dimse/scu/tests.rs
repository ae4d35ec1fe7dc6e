//! Peers that do what they may not.

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_ul::association::server::{AsyncServerAssociation, ServerAssociationOptions};
use tokio::net::TcpListener;

use super::*;
use crate::dimse::element::{number, text};

const CLASS: SopClass =
    SopClass { uid: uids::MODALITY_PERFORMED_PROCEDURE_STEP, name: "Modality Performed Procedure Step" };
const CREATE: Operation<'_> = Operation::Create("1.2.3");

#[test]
fn the_host_of_an_address_is_what_tls_names() {
    assert_eq!(host("ris.example:2762"), "ris.example");
    assert_eq!(host("192.0.2.1:104"), "192.0.2.1");
    assert_eq!(host("[2001:db8::1]:104"), "2001:db8::1");
}

fn peer(listener: &TcpListener) -> Peer {
    Peer::new(DimsePeer {
        address: listener.local_addr().unwrap().to_string(),
        ae_title: "RIS".into(),
        calling_ae_title: "GATE".into(),
        tls: None,
    })
}

/// Accepts one association of `class`, called RIS.
async fn accept(listener: &TcpListener, class: &'static str) -> Option<AsyncServerAssociation<TcpStream>> {
    let (stream, _) = listener.accept().await.unwrap();
    let options =
        ServerAssociationOptions::new().accept_called_ae_title().ae_title("RIS").with_abstract_syntax(class);
    options.establish_async(stream).await.ok()
}

fn value(context: u8, value_type: PDataValueType, is_last: bool, data: Vec<u8>) -> Pdu {
    Pdu::PData { data: vec![PDataValue { presentation_context_id: context, value_type, is_last, data }] }
}

/// A response's command set.
fn response(field: u16, message: u16, data_set: u16) -> Vec<u8> {
    let set = InMemDicomObject::command_from_element_iter([
        number(tags::COMMAND_FIELD, field),
        number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message),
        number(tags::COMMAND_DATA_SET_TYPE, data_set),
        number(tags::STATUS, 0),
    ]);
    encoded(&set, IMPLICIT_VR_LITTLE_ENDIAN).unwrap()
}

/// What comes of an N-CREATE that is answered with what `answers` makes of the context's ID.
async fn answered(answers: impl Fn(u8) -> Vec<Pdu>) -> Result<Answer, ScuError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = peer(&listener);
    let ask = async {
        let mut association = peer.associate(&[CLASS]).await?;
        let list = InMemDicomObject::from_element_iter([text(tags::PATIENT_ID, VR::LO, "1")]);
        assert_eq!(association.ask(CLASS, CREATE, Some(&list)).await?, 1);
        association.answer(CREATE).await
    };
    let answer = async {
        let mut association = accept(&listener, CLASS.uid).await.unwrap();
        let context = association.presentation_contexts()[0].id;
        // Command set and attribute list.
        for _ in 0..2 {
            association.receive().await.unwrap();
        }
        for pdu in answers(context) {
            // The gateway may have hung up already.
            let _ = association.send(&pdu).await;
        }
        association
    };
    tokio::join!(ask, answer).0
}

#[tokio::test]
async fn a_response_with_its_data_set_is_put_together_from_its_fragments() {
    let list = InMemDicomObject::from_element_iter([text(tags::PATIENT_ID, VR::LO, "1")]);
    let answer = answered(|context| {
        let command = response(0x8140, 1, 1);
        let (front, back) = command.split_at(20);
        let list = encoded(&list, crate::instance::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        vec![
            value(context, PDataValueType::Command, false, front.to_vec()),
            value(context, PDataValueType::Command, true, back.to_vec()),
            value(context, PDataValueType::Data, false, list[..3].to_vec()),
            value(context, PDataValueType::Data, true, list[3..].to_vec()),
        ]
    });
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, answer.error_id, answer.is_pending()), (0, None, false));
    let explicit = |dataset: &Dataset| encoded(dataset, crate::instance::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(explicit(&answer.dataset().unwrap().unwrap()), explicit(&list));
}

#[tokio::test]
async fn what_is_no_response_to_the_request_is_refused() {
    let command =
        |set: Vec<u8>| move |context| vec![value(context, PDataValueType::Command, true, set.clone())];
    for (set, what) in [
        (response(0x8140, 2, 0x0101), "something else"),
        (response(0x8120, 1, 0x0101), "something else"),
        (response(0x0140, 1, 0x0101), "something else"),
        (vec![7; 40], "no response"),
    ] {
        let error = answered(command(set)).await.unwrap_err();
        assert!(matches!(&error, ScuError::Protocol(why) if why.contains(what)), "{error}");
    }
    let early = answered(|context| vec![value(context, PDataValueType::Data, true, vec![0; 8])]).await;
    assert!(matches!(early, Err(ScuError::Protocol("fragments out of order"))), "{early:?}");
    let aborted = answered(|_| vec![Pdu::AbortRQ { source: dicom_ul::pdu::AbortRQSource::ServiceUser }]);
    assert!(matches!(aborted.await, Err(ScuError::Connect(_))));
}

#[tokio::test]
async fn a_response_without_an_end_is_cut_short() {
    let endless = answered(|context| {
        let mut pdus = vec![value(context, PDataValueType::Command, true, response(0x8140, 1, 1))];
        let fragment = value(context, PDataValueType::Data, false, vec![0; 32 << 10]);
        pdus.extend(std::iter::repeat_n(fragment, 40));
        pdus
    });
    let error = endless.await.unwrap_err();
    assert!(matches!(error, ScuError::Protocol("its response is too long")), "{error}");
}

#[tokio::test]
async fn who_does_not_know_the_class_or_the_title_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = peer(&listener);
    let classes = [CLASS];
    let (refused, _) = tokio::join!(peer.associate(&classes), accept(&listener, uids::VERIFICATION));
    let error = refused.unwrap_err();
    assert!(matches!(error, ScuError::NotSupported(name) if name == CLASS.name), "{error}");

    let other = Peer::new(DimsePeer { ae_title: "OTHER".into(), ..peer.settings().clone() });
    let (refused, _) = tokio::join!(other.associate(&classes), accept(&listener, CLASS.uid));
    let error = refused.unwrap_err();
    assert!(matches!(error, ScuError::Rejected { lasting: true, .. }) && error.is_lasting(), "{error}");
    drop(listener);
    assert!(matches!(peer.associate(&classes).await, Err(ScuError::Connect(_))));
}

#[tokio::test]
async fn a_request_larger_than_a_pdu_goes_in_fragments() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = peer(&listener);
    let blob =
        DataElement::new(tags::ENCAPSULATED_DOCUMENT, VR::OB, PrimitiveValue::from(vec![7u8; 200_000]));
    let list = InMemDicomObject::from_element_iter([blob]);
    let ask = async {
        let mut association = peer.associate(&[CLASS]).await.unwrap();
        association.ask(CLASS, CREATE, Some(&list)).await.unwrap();
        association
    };
    let take = async {
        let mut association = accept(&listener, CLASS.uid).await.unwrap();
        let (mut taken, mut pdus) = (Vec::new(), 0);
        loop {
            let Pdu::PData { data } = association.receive().await.unwrap() else { panic!("no P-DATA-TF") };
            for value in data.into_iter().filter(|value| value.value_type == PDataValueType::Data) {
                taken.extend(value.data);
                pdus += 1;
                if value.is_last {
                    return (taken, pdus);
                }
            }
        }
    };
    let (_, (taken, pdus)) = tokio::join!(ask, take);
    assert!(pdus > 1 && decode(&taken, crate::instance::EXPLICIT_VR_LITTLE_ENDIAN).unwrap() == list);
}
