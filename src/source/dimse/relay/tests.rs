//! A modality and an upstream of the test's own, with a listener of ours between them.

use std::future::Future;

use arc_swap::ArcSwap;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem, write_pdu,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::counters::Why;
use super::*;
use crate::config::settings::{DimseSettings, HubSettings};
use crate::context::desk::Desk;
use crate::dimse::command::{C_STORE, RESPONSE};
use crate::dimse::pdu::command_pdu;
use crate::hub::{End, Hub};
use crate::source::dimse::{DimseCounters, DimseSource};

/// A relay to `address`.
pub(super) fn relay(name: &str, address: &str) -> Relay {
    Relay {
        name: name.to_owned(),
        settings: RelaySettings { address: address.to_owned(), ..RelaySettings::default() },
        tls: None,
        counters: RelayCounters::default(),
        known: Arc::default(),
        spool: None,
    }
}

const SYNTAX: &str = "1.2.840.10008.1.2.1";
const SUCCESS: &[u8] = b"the answer of the upstream, which nobody needs to understand";

struct Between {
    address: std::net::SocketAddr,
    upstream: TcpListener,
    hub: Hub,
    counters: RelayCounters,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<()>,
}

/// Our listener, with one relay to an upstream that the test plays.
async fn between(settings: RelaySettings) -> Between {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = RelaySettings {
        called_ae_title: "PACS".to_owned(),
        address: upstream.local_addr().unwrap().to_string(),
        ..settings
    };
    let hub = Hub::new(HubSettings { linger: Duration::ZERO, ..HubSettings::default() });
    let counters = RelayCounters::default();
    let relays = Relays::new(
        &BTreeMap::from([("pacs".to_owned(), settings)]),
        &counters,
        &BTreeMap::new(),
        &Relays::default(),
    );
    let (stop, stopping) = watch::channel(false);
    let source = DimseSource::new(
        hub.clone(),
        Desk::default(),
        Arc::new(ArcSwap::from_pointee(DimseSettings::default())),
        Arc::new(ArcSwap::from_pointee(relays)),
        DimseCounters::default(),
        stopping,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(source.serve(listener, None, None));
    Between { address, upstream, hub, counters, stop, served }
}

fn bytes_of(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    bytes
}

fn request(calling: &str) -> Vec<u8> {
    bytes_of(&Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.into(),
        called_ae_title: "PACS".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE.into(),
            transfer_syntaxes: vec![SYNTAX.into()],
        }],
        user_variables: vec![UserVariableItem::MaxLength(0)],
    }))
}

fn acceptance(calling: &str) -> Vec<u8> {
    bytes_of(&Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        calling_ae_title: calling.into(),
        called_ae_title: "PACS".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts: vec![PresentationContextResult {
            id: 1,
            transfer_syntax: SYNTAX.into(),
            reason: PresentationContextResultReason::Acceptance,
        }],
        user_variables: vec![UserVariableItem::MaxLength(0)],
    }))
}

/// Both ends of an association that is passed on.
async fn associated(between: &Between, calling: &str) -> (TcpStream, TcpStream) {
    let mut modality = TcpStream::connect(between.address).await.unwrap();
    let request = request(calling);
    modality.write_all(&request).await.unwrap();
    let (mut upstream, _) = between.upstream.accept().await.unwrap();
    assert_eq!(take(&mut upstream, request.len()).await, request);
    let acceptance = acceptance(calling);
    upstream.write_all(&acceptance).await.unwrap();
    assert_eq!(take(&mut modality, acceptance.len()).await, acceptance);
    (modality, upstream)
}

async fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// A whole C-STORE of an image of `rows` × 256, in PDUs of at most `pdu` bytes.
fn store(instance: &str, rows: u16, pdu: usize) -> Vec<u8> {
    let text = |tag: Tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, value));
    let command = InMemDicomObject::command_from_element_iter([
        text(tags::AFFECTED_SOP_CLASS_UID, VR::UI, uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE),
        text(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, instance),
        number(tags::COMMAND_FIELD, C_STORE),
        number(tags::MESSAGE_ID, 1),
        number(tags::PRIORITY, 0),
        number(tags::COMMAND_DATA_SET_TYPE, 0),
    ]);
    let mut bytes = Vec::new();
    command.write_dataset_with_ts(&mut bytes, &entries::IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    let mut message = command_pdu(1, &bytes);
    let pixels: Vec<u8> = (0..u32::from(rows) * 256).map(|at| (at * 7 % 251) as u8).collect();
    let object = InMemDicomObject::from_element_iter([
        text(tags::SOP_CLASS_UID, VR::UI, uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE),
        text(tags::SOP_INSTANCE_UID, VR::UI, instance),
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
        text(tags::SERIES_INSTANCE_UID, VR::UI, "1.3"),
        number(tags::SAMPLES_PER_PIXEL, 1),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        number(tags::ROWS, rows),
        number(tags::COLUMNS, 256),
        number(tags::BITS_ALLOCATED, 8),
        number(tags::BITS_STORED, 8),
        number(tags::HIGH_BIT, 7),
        number(tags::PIXEL_REPRESENTATION, 0),
        DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(pixels.into())),
    ]);
    let mut bytes = Vec::new();
    object.write_dataset_with_ts(&mut bytes, &entries::EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    message.extend(data_set(&bytes, pdu));
    message
}

fn data_set(bytes: &[u8], pdu: usize) -> Vec<u8> {
    let mut message = Vec::new();
    let mut fragments = bytes.chunks(pdu).peekable();
    while let Some(fragment) = fragments.next() {
        message.extend([4, 0]);
        message.extend((fragment.len() as u32 + 6).to_be_bytes());
        message.extend((fragment.len() as u32 + 2).to_be_bytes());
        message.extend([1, if fragments.peek().is_some() { 0 } else { 2 }]);
        message.extend(fragment);
    }
    message
}

const RELEASE_RQ: [u8; 10] = [5, 0, 0, 0, 0, 4, 0, 0, 0, 0];
const RELEASE_RP: [u8; 10] = [6, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// Passes `message` to the upstream and an answer back, both unchanged.
async fn passes(modality: &mut TcpStream, upstream: &mut TcpStream, message: &[u8]) {
    let (sent, got) = tokio::join!(modality.write_all(message), take(upstream, message.len()));
    sent.unwrap();
    assert!(got == message, "what upstream got is not what was sent");
    let answer = command_pdu(1, SUCCESS);
    upstream.write_all(&answer).await.unwrap();
    assert_eq!(take(modality, answer.len()).await, answer);
}

async fn release(mut modality: TcpStream, mut upstream: TcpStream) {
    modality.write_all(&RELEASE_RQ).await.unwrap();
    assert_eq!(take(&mut upstream, 10).await, RELEASE_RQ);
    upstream.write_all(&RELEASE_RP).await.unwrap();
    assert_eq!(take(&mut modality, 10).await, RELEASE_RP);
    drop(modality);
    assert!(rest(&mut upstream).await.is_empty());
}

fn streamed(hub: &Hub) -> usize {
    hub.find("1.2", "1.3").map_or(0, |live| live.instances().len())
}

fn unstreamed(counters: &RelayCounters, reason: &'static str) -> u64 {
    counters.unstreamed.get_or_create(&Why { relay: "pacs".to_owned(), reason }).get()
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("within a minute")
}

#[tokio::test]
async fn objects_pass_unchanged_and_are_streamed() {
    in_time(async {
        let between = between(RelaySettings::default()).await;
        let (mut modality, mut upstream) = associated(&between, "XA1").await;
        for (at, (rows, pdu)) in
            [(64, 1000), (64, 16_378), (900, 40_000), (900, 1 << 20), (1, 7)].iter().enumerate()
        {
            passes(&mut modality, &mut upstream, &store(&format!("1.4.{at}"), *rows, *pdu)).await;
        }
        assert_eq!(streamed(&between.hub), 5);
        let live = between.hub.find("1.2", "1.3").unwrap();
        let big =
            live.instances().iter().find(|one| &*one.identity().sop_instance == "1.4.3").cloned().unwrap();
        assert!(big.pixels().iter().enumerate().all(|(at, byte)| *byte == (at as u32 * 7 % 251) as u8));
        release(modality, upstream).await;
        let mut changed = between.hub.changed();
        while live.end().is_none() {
            changed.changed().await.unwrap();
        }
        assert_eq!(live.end(), Some(End::Completed));
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_the_tap_changes_nothing_for_the_relay() {
    in_time(async {
        let between = between(RelaySettings::default()).await;
        let (mut modality, mut upstream) = associated(&between, "EXPLODES").await;
        for at in 0..3 {
            passes(&mut modality, &mut upstream, &store(&format!("1.4.{at}"), 600, 50_000)).await;
        }
        assert_eq!((streamed(&between.hub), unstreamed(&between.counters, "panic")), (0, 1));
        release(modality, upstream).await;
    })
    .await;
}

#[tokio::test]
async fn an_object_that_cannot_be_streamed_passes_and_the_next_one_is_streamed() {
    in_time(async {
        let between = between(RelaySettings::default()).await;
        let (mut modality, mut upstream) = associated(&between, "XA1").await;
        let mut broken = store("1.4.1", 4, 1000);
        // Only its command set is kept, and nonsense for a data set.
        let length = u32::from_be_bytes(broken[2..6].try_into().unwrap()) as usize + 6;
        broken.truncate(length);
        broken.extend(data_set(&[0xFF; 5000], 900));
        passes(&mut modality, &mut upstream, &broken).await;
        assert_eq!(unstreamed(&between.counters, "cannot_understand"), 1);
        passes(&mut modality, &mut upstream, &store("1.4.2", 4, 1000)).await;
        assert_eq!(streamed(&between.hub), 1);
        // What is no DICOM at all is the upstream's to judge.
        modality.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(take(&mut upstream, 18).await, b"GET / HTTP/1.1\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_left_is_told() {
    in_time(async {
        let between = between(RelaySettings::default()).await;
        // The upstream leaves in the middle of an object.
        let (mut modality, mut upstream) = associated(&between, "XA1").await;
        let message = store("1.4.1", 100, 1000);
        modality.write_all(&message[..20_000]).await.unwrap();
        take(&mut upstream, 20_000).await;
        drop(upstream);
        assert_eq!(rest(&mut modality).await, [7, 0, 0, 0, 0, 4, 0, 0, 2, 0]);
        // The modality leaves between two PDUs, and in the middle of one: there nothing can be put in.
        for (length, words) in [(0, &[7, 0, 0, 0, 0, 4, 0, 0, 2, 0][..]), (message.len() - 1, &[])] {
            let (mut modality, mut upstream) = associated(&between, "XA1").await;
            modality.write_all(&message[..length]).await.unwrap();
            take(&mut upstream, length).await;
            drop(modality);
            assert_eq!(rest(&mut upstream).await, words);
        }
        // An A-ABORT passes as it is, and nothing is added to it.
        let (mut modality, mut upstream) = associated(&between, "XA1").await;
        modality.write_all(&[7, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await.unwrap();
        drop(modality);
        assert_eq!(rest(&mut upstream).await, [7, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_waits_for_the_answer_that_is_due() {
    in_time(async {
        let between = between(RelaySettings::default()).await;
        let (mut modality, mut upstream) = associated(&between, "XA1").await;
        let message = store("1.4.1", 4, 1000);
        modality.write_all(&message).await.unwrap();
        take(&mut upstream, message.len()).await;
        between.stop.send(true).unwrap();
        let response = InMemDicomObject::command_from_element_iter([
            DataElement::new(tags::COMMAND_FIELD, VR::US, dicom_value!(U16, C_STORE | RESPONSE)),
            DataElement::new(tags::MESSAGE_ID_BEING_RESPONDED_TO, VR::US, dicom_value!(U16, 1)),
            DataElement::new(tags::COMMAND_DATA_SET_TYPE, VR::US, dicom_value!(U16, 0x0101)),
            DataElement::new(tags::STATUS, VR::US, dicom_value!(U16, 0)),
        ]);
        let mut bytes = Vec::new();
        response.write_dataset_with_ts(&mut bytes, &entries::IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
        let answer = command_pdu(1, &bytes);
        upstream.write_all(&answer).await.unwrap();
        let mut got = rest(&mut modality).await;
        assert_eq!(got.split_off(answer.len()), [7, 0, 0, 0, 0, 4, 0, 0, 2, 0]);
        assert_eq!(got, answer);
        drop(modality);
        assert_eq!(rest(&mut upstream).await, [7, 0, 0, 0, 0, 4, 0, 0, 2, 0]);
        between.served.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_names_the_caller_goes_first() {
    let to = |called: &str, calling: &[&str]| RelaySettings {
        called_ae_title: called.to_owned(),
        calling_ae_titles: calling.iter().map(|&title| title.to_owned()).collect(),
        ..RelaySettings::default()
    };
    let settings = BTreeMap::from([
        ("any".to_owned(), to("PACS", &[])),
        ("one".to_owned(), to("PACS", &["XA1"])),
        ("other".to_owned(), to("OTHER", &["XA1"])),
    ]);
    let relays = Relays::new(&settings, &RelayCounters::default(), &BTreeMap::new(), &Relays::default());
    let name = |called, calling| relays.find(called, calling).map(|relay| relay.name.clone());
    assert_eq!(name("PACS", "XA1").as_deref(), Some("one"));
    assert_eq!(name("PACS", "XA2").as_deref(), Some("any"));
    assert_eq!(name("OTHER", "XA2"), None);
    assert_eq!(name("FRAMEGATE", "XA1"), None);
}
