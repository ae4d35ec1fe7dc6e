//! The whole way, from a series that ends to a peer that was told.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use bytes::Bytes;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex as _;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use dicom_ul::association::Association as _;
use dicom_ul::association::server::ServerAssociationOptions;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use tokio::net::TcpListener;

use super::*;
use crate::config::settings::{DimsePeer, HubSettings};
use crate::instance::{Dataset, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Instance, decode};

fn hub() -> Hub {
    Hub::new(HubSettings { linger: Duration::ZERO, ..HubSettings::default() })
}

/// A series of `count` instances, complete.
fn series(hub: &Hub, name: &str, count: u32) {
    let text = |tag: Tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let head = |number: u32| {
        InMemDicomObject::from_element_iter([
            text(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
            text(tags::SOP_INSTANCE_UID, VR::UI, &format!("{name}.{number}")),
            text(tags::PATIENT_NAME, VR::PN, "Demo^Patient"),
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
            text(tags::SERIES_INSTANCE_UID, VR::UI, name),
            DataElement::new(tags::BITS_ALLOCATED, VR::US, dicom_value!(U16, 8)),
        ])
    };
    let open = || Ok::<_, std::convert::Infallible>(head(1));
    let publisher = hub.open(&"1.2".into(), &name.into(), open).unwrap();
    for number in 1..=count {
        publisher.publish(Instance::native(&head(number), Bytes::from_static(&[0; 4])).unwrap()).unwrap();
    }
    publisher.complete();
}

/// Takes one association with one N-CREATE, answers it with `status`, and gives its data set.
async fn take_one(listener: &TcpListener, status: u16) -> Dataset {
    let (stream, _) = listener.accept().await.unwrap();
    let options = ServerAssociationOptions::new()
        .accept_called_ae_title()
        .ae_title("RIS")
        .with_abstract_syntax(uids::INSTANCE_AVAILABILITY_NOTIFICATION);
    let mut association = options.establish_async(stream).await.unwrap();
    assert_eq!(association.peer_ae_title(), "FRAMEGATE");
    let context = association.presentation_contexts()[0].id;
    let (mut dataset, mut whole) = (Vec::new(), false);
    while !whole {
        let Pdu::PData { data } = association.receive().await.unwrap() else { panic!("no P-DATA-TF") };
        for value in data.into_iter().filter(|value| value.value_type == PDataValueType::Data) {
            dataset.extend(value.data);
            whole = value.is_last;
        }
    }
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, value));
    let response = InMemDicomObject::command_from_element_iter([
        number(tags::COMMAND_FIELD, 0x8140),
        number(tags::MESSAGE_ID_BEING_RESPONDED_TO, 1),
        number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
        number(tags::STATUS, status),
    ]);
    let value = PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: true,
        data: {
            let mut bytes = Vec::new();
            let syntax = TransferSyntaxRegistry.get(IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
            response.write_dataset_with_ts(&mut bytes, syntax).unwrap();
            bytes
        },
    };
    association.send(&Pdu::PData { data: vec![value] }).await.unwrap();
    assert_eq!(association.receive().await.unwrap(), Pdu::ReleaseRQ);
    association.send(&Pdu::ReleaseRP).await.unwrap();
    decode(&dataset, EXPLICIT_VR_LITTLE_ENDIAN).unwrap()
}

/// Whether a future has run as far as it can.
fn waits(future: Pin<&mut impl Future<Output = ()>>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn peer(address: String) -> AvailabilitySettings {
    AvailabilitySettings {
        peer: DimsePeer { address, ae_title: "RIS".into(), calling_ae_title: "FRAMEGATE".into(), tls: None },
        retrieve_url: String::new(),
    }
}

#[tokio::test]
async fn a_peer_is_told_of_each_series_once_it_has_ended() {
    let hub = hub();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let counters = AvailabilityCounters::default();
    let (stop, stopping) = watch::channel(false);
    let at = |listener: &TcpListener| {
        BTreeMap::from([("ris".to_owned(), peer(listener.local_addr().unwrap().to_string()))])
    };
    let (reload, peers) = watch::channel(at(&listener));
    let task = tokio::spawn(serve(peers, hub.clone(), counters.clone(), stopping));

    series(&hub, "1.3", 3);
    let told = take_one(&listener, 0).await;
    let of_series = &told.element(tags::REFERENCED_SERIES_SEQUENCE).unwrap().items().unwrap()[0];
    assert_eq!(of_series.element(tags::SERIES_INSTANCE_UID).unwrap().to_str().unwrap(), "1.3");
    let items = of_series.element(tags::REFERENCED_SOP_SEQUENCE).unwrap().items().unwrap();
    let uids: Vec<_> = items
        .iter()
        .map(|item| item.element(tags::REFERENCED_SOP_INSTANCE_UID).unwrap().to_str().unwrap().into_owned())
        .collect();
    assert_eq!(uids, ["1.3.1", "1.3.2", "1.3.3"]);
    assert!(told.element(tags::PATIENT_NAME).is_err());

    // A refusal for good is not repeated, and what comes after it is told.
    series(&hub, "1.4", 1);
    take_one(&listener, 0x0124).await;
    series(&hub, "1.5", 1);
    let told = take_one(&listener, 0).await;
    let of_series = &told.element(tags::REFERENCED_SERIES_SEQUENCE).unwrap().items().unwrap()[0];
    assert_eq!(of_series.element(tags::SERIES_INSTANCE_UID).unwrap().to_str().unwrap(), "1.5");

    // It moves, by a reload, and is told of what ends from then on.
    let moved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    reload.send(at(&moved)).unwrap();
    tokio::task::yield_now().await;
    series(&hub, "1.6", 1);
    let told = take_one(&moved, 0).await;
    let of_series = &told.element(tags::REFERENCED_SERIES_SEQUENCE).unwrap().items().unwrap()[0];
    assert_eq!(of_series.element(tags::SERIES_INSTANCE_UID).unwrap().to_str().unwrap(), "1.6");

    stop.send(true).unwrap();
    task.await.unwrap();
    let count =
        |outcome| counters.notifications.get_or_create(&Outcome { peer: "ris".to_owned(), outcome }).get();
    assert_eq!(count("failed"), 1);
    assert!(count("sent") >= 1, "the third may be under way when the task ends");
}

#[tokio::test]
async fn a_queue_that_is_full_loses_the_oldest_and_counts_them() {
    let hub = hub();
    let (queue, receiver) = broadcast::channel(QUEUE);
    for n in 0..QUEUE + 5 {
        series(&hub, &format!("1.3.{n}"), 1);
    }
    let watcher = watch_series(&hub, &queue);
    // The first look queues all; then it waits for changes, which do not come.
    assert!(waits(pin!(watcher)));
    let counters = AvailabilityCounters::default();
    let peer = Peer::new("ris".into(), peer("127.0.0.1:1".into()), counters.clone());
    assert!(waits(pin!(peer.serve(receiver))));
    let dropped = Outcome { peer: "ris".to_owned(), outcome: "dropped" };
    assert_eq!(counters.notifications.get_or_create(&dropped).get(), 5);
}
