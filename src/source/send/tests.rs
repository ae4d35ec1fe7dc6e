//! Bodies of requests, right and wrong, in pieces of every size, and what is in the hub afterwards.

mod described;

use bytes::{Bytes, BytesMut};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::report::{Reference, Report, Taken};
use super::*;
use crate::config::settings::HubSettings;
use crate::hub;
use crate::instance::encode::{PixelValue, file_meta, head};
use crate::instance::json::to_json;
use crate::instance::metadata::BulkData;
use crate::instance::{Dataset, EXPLICIT_VR_LITTLE_ENDIAN, Instance, Uid};
use crate::source::refused::Cause;
use crate::source::send::report::End;

const XA: &str = "1.2.840.10008.5.1.4.1.1.12.1";
const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const STUDY: &str = "1.2.3";
const SERIES: &str = "1.2.3.1";

struct Trial {
    hub: Hub,
    source: SendSource,
    counters: SendCounters,
}

impl Trial {
    fn new(settings: SendSettings) -> Self {
        let hub = Hub::new(HubSettings {
            budget_bytes: 1 << 20,
            linger: std::time::Duration::ZERO,
            max_series: 2,
            ..HubSettings::default()
        });
        let counters = SendCounters::default();
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Self { source: SendSource::new(hub.clone(), settings, counters.clone()), hub, counters }
    }

    fn begin(&self, root: &str, study: Option<&str>) -> Intake {
        let content = format!("multipart/related; boundary=b; type=\"{root}\"");
        let of = Of { study: study.map(Uid::from), ..Of::default() };
        self.source.begin(&ContentType::parse(&content).unwrap(), of).unwrap()
    }

    async fn send(&self, root: &str, body: &[u8]) -> Report {
        let mut intake = self.begin(root, None);
        let end = match intake.feed(Bytes::copy_from_slice(body)).await {
            Ok(()) => End::Body,
            Err(_) => End::Malformed,
        };
        intake.finish(end)
    }

    async fn files(&self, files: &[Vec<u8>]) -> Report {
        let parts: Vec<_> = files.iter().map(|file| ("application/dicom", "", &file[..])).collect();
        self.send("application/dicom", &body(&parts)).await
    }

    /// Everything in the rings.
    fn instances(&self) -> Vec<Arc<Instance>> {
        self.hub.series().iter().flat_map(|live| live.instances()).collect()
    }
}

fn settings() -> SendSettings {
    SendSettings {
        requests: 2,
        head_bytes: 8192,
        frame_bytes: 4096,
        frames: 10,
        elements: 100,
        nesting: 4,
        listed: 5,
        ..SendSettings::default()
    }
}

fn trial() -> Trial {
    Trial::new(settings())
}

/// A body of parts: media type, Content-Location (or nothing), octets. Without Content-Length.
fn body(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, location, octets) in parts {
        body.extend(format!("\r\n--b\r\nContent-Type: {kind}\r\n").bytes());
        if !location.is_empty() {
            body.extend(format!("Content-Location: {location}\r\n").bytes());
        }
        body.extend(b"\r\n");
        body.extend(*octets);
    }
    body.extend(b"\r\n--b--");
    body
}

/// The same with Content-Length.
fn counted(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, location, octets) in parts {
        body.extend(
            format!("\r\n--b\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", octets.len()).bytes(),
        );
        body.extend(format!("Content-Location: {location}\r\n\r\n").bytes());
        body.extend(*octets);
    }
    body.extend(b"\r\n--b--");
    body
}

/// An image of 4 × 6 pixels of 8 bits, without them.
fn image(instance: &str, frames: u32) -> Dataset {
    let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let number = |tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, [value]));
    let mut set = Dataset::from_element_iter([
        text(tags::SOP_CLASS_UID, VR::UI, XA),
        text(tags::SOP_INSTANCE_UID, VR::UI, instance),
        text(tags::STUDY_INSTANCE_UID, VR::UI, STUDY),
        text(tags::SERIES_INSTANCE_UID, VR::UI, SERIES),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        number(tags::ROWS, 4),
        number(tags::COLUMNS, 6),
        number(tags::SAMPLES_PER_PIXEL, 1),
        number(tags::BITS_ALLOCATED, 8),
        number(tags::BITS_STORED, 8),
        number(tags::HIGH_BIT, 7),
        number(tags::PIXEL_REPRESENTATION, 0),
    ]);
    if frames > 1 {
        set.put(text(tags::NUMBER_OF_FRAMES, VR::IS, &frames.to_string()));
    }
    set
}

fn report_object(instance: &str) -> Dataset {
    let mut set = image(instance, 1);
    for tag in [tags::ROWS, tags::COLUMNS, tags::BITS_ALLOCATED] {
        set.remove_element(tag);
    }
    set.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, PrimitiveValue::from(SR)));
    set
}

fn uid(set: &Dataset, tag: Tag) -> String {
    set.element(tag).unwrap().to_str().unwrap().trim_matches(['\0', ' ']).to_owned()
}

fn file(set: &Dataset, syntax: &str, pixels: PixelValue, value: &[u8]) -> Vec<u8> {
    let meta = file_meta(syntax, &uid(set, tags::SOP_CLASS_UID), &uid(set, tags::SOP_INSTANCE_UID), None);
    let head = head(meta.unwrap(), set, pixels).unwrap();
    [&head.bytes[..], value].concat()
}

fn native(set: &Dataset, pixels: &[u8]) -> Vec<u8> {
    let value = PixelValue::Native(tags::PIXEL_DATA, VR::OB, pixels.len() as u32);
    file(set, EXPLICIT_VR_LITTLE_ENDIAN, value, pixels)
}

fn single(instance: &str) -> Vec<u8> {
    native(&image(instance, 1), &[7; 24])
}

/// Fragments of a JPEG, one a frame.
fn encapsulated(set: &Dataset, frames: &[&[u8]]) -> Vec<u8> {
    let item =
        |value: &[u8]| [&[0xFE, 0xFF, 0, 0xE0][..], &(value.len() as u32).to_le_bytes(), value].concat();
    let mut value = item(&[]);
    frames.iter().for_each(|frame| value.extend(item(frame)));
    value.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    file(set, JPEG, PixelValue::Encapsulated, &value)
}

fn reference(class: &str, instance: &str) -> Reference {
    Reference { sop_class: class.into(), sop_instance: instance.into() }
}

fn taken(report: &Report) -> Vec<(&str, bool)> {
    report.taken.iter().map(|Taken { of, split }| (&*of.sop_instance, *split)).collect()
}

fn text_of(set: &Dataset) -> Value {
    to_json(set, &BulkData::inline()).unwrap()
}

#[tokio::test]
async fn files_become_instances_byte_for_byte() {
    let trial = trial();
    let files =
        [single("1.1"), file(&report_object("1.2"), EXPLICIT_VR_LITTLE_ENDIAN, PixelValue::None, &[])];
    let report = trial.files(&files).await;
    assert_eq!((report.end, taken(&report)), (End::Body, vec![("1.1", false), ("1.2", false)]));
    assert_eq!((report.taken_count, report.failed_count, report.split_count), (2, 0, 0));
    let held: Vec<_> = trial.instances().iter().map(|instance| instance.part10().concat()).collect();
    assert_eq!(held, files);
    assert_eq!(trial.hub.series()[0].end(), Some(hub::End::Completed));
    // Again: it is there already, which is what was wanted.
    assert_eq!(trial.files(&files[..1]).await.taken_count, 1);
    assert_eq!((trial.counters.published.get(), trial.counters.duplicates.get()), (2, 1));
}

#[tokio::test]
async fn where_a_body_is_cut_does_not_matter() {
    let frames: [&[u8]; 3] = [&[1, 2, 0xFF, 0xD9], &[3, 4, 0xFF, 0xD9], &[5, 6, 0xFF, 0xD9]];
    let parts: [&[u8]; 3] = [&single("1.1"), &encapsulated(&image("1.2", 3), &frames), b"no file"];
    let parts = parts.map(|octets| ("application/dicom", "/x", octets));
    for body in [body(&parts), counted(&parts)] {
        for at in 0..body.len() {
            let trial = trial();
            let mut intake = trial.begin("application/dicom", None);
            let (one, two) = body.split_at(at);
            intake.feed(Bytes::copy_from_slice(one)).await.unwrap();
            intake.feed(Bytes::copy_from_slice(two)).await.unwrap();
            let report = intake.finish(End::Body);
            assert_eq!(report.end, End::Body, "{at}");
            assert_eq!(taken(&report), [("1.1", false), ("1.2", true)], "{at}");
            assert_eq!(report.unidentified, [Cause::CannotUnderstand], "{at}");
            assert_eq!(trial.instances().len(), 4, "{at}");
        }
    }
}

#[tokio::test]
async fn frames_are_live_while_their_part_arrives() {
    let trial = trial();
    let file = native(&image("1.1", 3), &[7; 72]);
    let body = body(&[("application/dicom", "", &file)]);
    let start = body.windows(4).position(|four| four == b"DICM").unwrap() - 128;
    let mut intake = trial.begin("application/dicom", None);
    assert!(!intake.is_in_part());
    let mut sent = 0;
    for (frames, up_to) in [(0, 71), (0, 48 + 1), (1, 48), (1, 25), (2, 24), (3, 0)] {
        let until = start + file.len() - up_to;
        intake.feed(Bytes::copy_from_slice(&body[sent..until])).await.unwrap();
        sent = until;
        assert_eq!(trial.instances().len(), frames, "{up_to} bytes are missing");
        assert!(intake.is_in_part());
    }
    assert_eq!(taken(&intake.finish(End::Stopping)), []);
}

#[tokio::test]
async fn a_part_with_a_length_is_live_with_its_last_byte() {
    let trial = trial();
    let body = counted(&[("application/dicom", "/x", &single("1.1"))]);
    let mut intake = trial.begin("application/dicom", None);
    let end = body.len() - b"\r\n--b--".len();
    intake.feed(Bytes::copy_from_slice(&body[..end - 1])).await.unwrap();
    assert_eq!((trial.instances().len(), intake.is_in_part()), (0, true));
    intake.feed(Bytes::copy_from_slice(&body[end - 1..end])).await.unwrap();
    // The next part may be a long time coming.
    assert_eq!((trial.instances().len(), intake.is_in_part()), (1, false));
    assert_eq!(trial.counters.open.get(), 1);
}

#[tokio::test]
async fn how_a_request_ends_is_how_its_series_do() {
    for (end, expected) in [
        (Some(End::Body), hub::End::Completed),
        (Some(End::Stalled), hub::End::Aborted),
        (Some(End::Stopping), hub::End::Aborted),
        (Some(End::Malformed), hub::End::Aborted),
        (None, hub::End::Aborted),
    ] {
        let trial = trial();
        let whole = body(&[("application/dicom", "", &single("1.1"))]);
        let mut intake = trial.begin("application/dicom", None);
        intake.feed(whole.into()).await.unwrap();
        assert_eq!(trial.hub.series()[0].end(), None);
        match end {
            Some(end) => assert_eq!(intake.finish(end).taken_count, 1),
            None => drop(intake),
        }
        assert_eq!(trial.hub.series()[0].end(), Some(expected), "{end:?}");
        assert_eq!(trial.counters.open.get(), 0);
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_malformed_and_what_was_whole_stays() {
    let two = body(&[("application/dicom", "", &single("1.1")), ("application/dicom", "", &single("1.2"))]);
    for cut in [1, 10, 30] {
        let trial = trial();
        let report = trial.send("application/dicom", &two[..two.len() - cut]).await;
        assert_eq!(report.end, End::Malformed, "{cut}");
        assert_eq!(report.taken_count, if cut == 1 { 2 } else { 1 }, "{cut}");
        assert_eq!(report.unidentified.last(), Some(&Cause::CannotUnderstand));
        if cut > 1 {
            assert_eq!(report.failed, [(reference(XA, "1.2"), Cause::CannotUnderstand)], "{cut}");
        }
    }
    let report = trial().send("application/dicom", b"").await;
    assert_eq!((report.end, report.taken_count), (End::Malformed, 0));
}

#[tokio::test]
async fn each_part_fails_for_its_own_reason_and_the_rest_goes_on() {
    let of = |class: &str| {
        let mut set = image("1.9", 1);
        set.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, PrimitiveValue::from(class)));
        native(&set, &[7; 24])
    };
    let with_meta = |class: &str, instance: &str, syntax: &str| {
        let meta = file_meta(syntax, class, instance, None).unwrap();
        let whole = single("1.9");
        let data_set = whole.windows(6).position(|six| six == b"\x08\x00\x16\x00UI").unwrap();
        [&meta[..], &whole[data_set..]].concat()
    };
    let without = |tag: &[u8]| {
        let mut file = single("1.9");
        let at = file.windows(4).position(|four| four == tag).unwrap();
        file[at + 2] = 0xF0;
        file
    };
    let damaged = {
        let mut file = single("1.9");
        let at = file.len() - 24 - 12;
        file[at + 4] = 0;
        file
    };
    let named = Some(reference(XA, "1.9"));
    for (name, file, whose, cause) in [
        ("no preamble", single("1.9")[128..].to_vec(), None, Cause::CannotUnderstand),
        ("nothing", vec![], None, Cause::CannotUnderstand),
        ("only the beginning", single("1.9")[..200].to_vec(), None, Cause::CannotUnderstand),
        ("no Transfer Syntax UID", without(&[2, 0, 0x10, 0]), named.clone(), Cause::CannotUnderstand),
        ("no SOP class", without(&[2, 0, 2, 0]), None, Cause::CannotUnderstand),
        ("no SOP instance", without(&[2, 0, 3, 0]), None, Cause::CannotUnderstand),
        (
            "not an image",
            of("1.2.840.10008.1.1"),
            Some(reference("1.2.840.10008.1.1", "1.9")),
            Cause::SopClassNotSupported,
        ),
        (
            "an unknown syntax",
            with_meta(XA, "1.9", "1.2.3"),
            named.clone(),
            Cause::TransferSyntaxNotSupported,
        ),
        (
            "another instance",
            with_meta(XA, "1.8", EXPLICIT_VR_LITTLE_ENDIAN),
            Some(reference(XA, "1.8")),
            Cause::DataSetMismatch,
        ),
        (
            "another class",
            with_meta(SR, "1.9", EXPLICIT_VR_LITTLE_ENDIAN),
            Some(reference(SR, "1.9")),
            Cause::DataSetMismatch,
        ),
        (
            "cut short",
            single("1.9")[..single("1.9").len() - 1].to_vec(),
            named.clone(),
            Cause::CannotUnderstand,
        ),
        ("damaged", damaged, named.clone(), Cause::CannotUnderstand),
        ("too large", native(&image("1.9", 1), &[0; 4098]), named.clone(), Cause::OutOfResources),
        ("too many frames", native(&image("1.9", 11), &[0; 264]), named.clone(), Cause::OutOfResources),
        ("too few pixels", native(&image("1.9", 3), &[0; 50]), named.clone(), Cause::DataSetMismatch),
    ] {
        let trial = trial();
        let report = trial.files(&[file, single("1.1")]).await;
        assert_eq!((report.end, taken(&report)), (End::Body, vec![("1.1", false)]), "{name}");
        match whose {
            Some(whose) => assert_eq!(report.failed, [(whose, cause)], "{name}"),
            None => assert_eq!((report.failed.len(), &report.unidentified[..]), (0, &[cause][..]), "{name}"),
        }
        assert_eq!(report.too_large, cause == Cause::OutOfResources, "{name}");
        assert!(!report.no_room, "{name}");
        assert_eq!(trial.instances().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn parts_of_other_media_types_fail() {
    let parts =
        [("image/jpeg", "", &[1][..]), ("application/dicom; transfer-syntax=1.2", "", &single("1.1"))];
    for root in ["application/dicom", ""] {
        let trial = trial();
        let content = if root.is_empty() { "" } else { "; type=\"application/dicom\"" };
        let content = ContentType::parse(&format!("multipart/related; boundary=b{content}")).unwrap();
        let mut intake = trial.source.begin(&content, Of::default()).unwrap();
        intake.feed(body(&parts).into()).await.unwrap();
        let report = intake.finish(End::Body);
        // What the file says of itself beats what its part says.
        assert_eq!(
            (taken(&report), &report.unidentified[..]),
            (vec![("1.1", false)], &[Cause::CannotUnderstand][..])
        );
    }
}

#[tokio::test]
async fn an_instance_of_another_study_is_not_taken() {
    let mut other = image("1.2", 1);
    other.put(DataElement::new(tags::STUDY_INSTANCE_UID, VR::UI, PrimitiveValue::from("1.2.4")));
    let parts = [native(&other, &[7; 24]), single("1.1")];
    let parts = [0, 1].map(|index: usize| ("application/dicom", "", &parts[index][..]));
    let trial = trial();
    let mut intake = trial.begin("application/dicom", Some(STUDY));
    intake.feed(body(&parts).into()).await.unwrap();
    let report = intake.finish(End::Body);
    assert_eq!(report.failed, [(reference(XA, "1.2"), Cause::DataSetMismatch)]);
    assert_eq!(taken(&report), [("1.1", false)]);
    assert!(trial.hub.study("1.2.4").is_empty());
}

#[tokio::test]
async fn no_room_is_told_from_too_large() {
    let trial = trial();
    let of_series = |number: usize| {
        let mut set = image(&format!("1.{number}"), 1);
        let series = PrimitiveValue::from(format!("1.2.3.{number}"));
        set.put(DataElement::new(tags::SERIES_INSTANCE_UID, VR::UI, series));
        native(&set, &[7; 24])
    };
    let report = trial.files(&[of_series(1), of_series(2), of_series(3)]).await;
    assert_eq!(report.failed, [(reference(XA, "1.3"), Cause::OutOfResources)]);
    assert!(report.no_room && !report.too_large);
}

#[tokio::test]
async fn lists_are_bounded_and_counts_are_not() {
    let trial = trial();
    let report = trial.files(&vec![Vec::new(); 9]).await;
    assert_eq!((report.unidentified.len(), report.failed_count), (5, 9));
    let files: Vec<_> = (0..9).map(|number| single(&format!("1.{number}"))).collect();
    let report = trial.files(&files).await;
    assert_eq!((report.taken.len(), report.taken_count), (5, 9));
}

#[tokio::test]
async fn requests_at_once_are_bounded_and_other_media_types_refused() {
    let trial = trial();
    let content = |text: &str| ContentType::parse(text).unwrap();
    let files = content("multipart/related; boundary=b; type=application/dicom");
    let begin = |content: &ContentType| trial.source.begin(content, Of::default());
    let open = [begin(&files).unwrap(), begin(&files).unwrap()];
    assert_eq!(begin(&files).unwrap_err(), Refusal::Full(2));
    assert_eq!(trial.counters.turned_away.get(), 1);
    drop(open);
    assert!(begin(&files).is_ok());
    for other in [
        "multipart/related; boundary=b; type=\"application/dicom+xml\"",
        "multipart/related; boundary=b; type=\"image/jpeg\"",
        "multipart/form-data; boundary=b",
    ] {
        assert_eq!(begin(&content(other)).unwrap_err(), Refusal::MediaType, "{other}");
    }
}

fn metadata(sets: &[Value]) -> Vec<u8> {
    Value::from(sets.to_vec()).to_string().into_bytes()
}

fn with_bulk(instance: &str, frames: u32, more: Value) -> Value {
    let mut text = text_of(&image(instance, frames));
    text["7FE00010"] = json!({"vr": "OW", "BulkDataURI": format!("/pixels/{instance}")});
    for (name, attribute) in more.as_object().unwrap() {
        text[name] = attribute.clone();
    }
    text
}

const JSON: &str = "application/dicom+json";
const OCTETS: &str = "application/octet-stream";

#[test]
fn an_object_in_every_transfer_syntax_that_dimse_takes_is_begun() {
    // Not decoded here: it is enough that nobody is refused for it.
    for syntax in TransferSyntaxRegistry.iter() {
        let of = reference(XA, "1.1");
        assert!(
            object::Object::begin(&of, syntax.uid().into(), None, None, &settings()).is_ok(),
            "{}",
            syntax.uid()
        );
    }
}

#[tokio::test]
async fn private_classes_come_by_configuration_in_either_form() {
    let private = "1.3.12.2.1107.5.9.1";
    let of_class = |instance: &str| {
        let mut set = image(instance, 1);
        set.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, PrimitiveValue::from(private)));
        set
    };
    let file = native(&of_class("1.1"), &[7; 24]);
    let mut text = text_of(&of_class("1.2"));
    text["7FE00010"] = json!({"vr": "OW", "BulkDataURI": "/pixels"});
    let described = body(&[(JSON, "", &metadata(&[text])), (OCTETS, "/pixels", &[7; 24])]);
    for known in [false, true] {
        let mut settings = settings();
        settings.private_sop_classes.extend(known.then(|| private.to_owned()));
        let trial = Trial::new(settings);
        for report in [trial.files(std::slice::from_ref(&file)).await, trial.send(JSON, &described).await] {
            let causes: Vec<_> = report.failed.iter().map(|(_, cause)| *cause).collect();
            let expected = if known { vec![] } else { vec![Cause::SopClassNotSupported] };
            assert_eq!((report.taken_count, causes), (u64::from(known), expected));
        }
    }
}

/// Runs a body in these chunks; what is in the hub afterwards, and what the response would say.
fn run(root: &str, body: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let trial = trial();
        let mut intake = trial.begin(root, None);
        let mut rest = BytesMut::from(body).freeze();
        let mut cuts = cuts.iter().copied().cycle();
        let mut end = End::Body;
        while !rest.is_empty() && end == End::Body {
            let chunk = rest.split_to(cuts.next().unwrap().min(rest.len()));
            if intake.feed(chunk).await.is_err() {
                end = End::Malformed;
            }
        }
        let report = intake.finish(end);
        let said = [
            format!("{:?}", report.end),
            format!("{:?}", report.taken),
            format!("{:?}", report.failed),
            format!("{:?}", report.unidentified),
        ];
        (trial.instances().iter().map(|instance| instance.part10().concat()).collect(), said.to_vec())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunking_of_any_body_gives_the_same(
        which in proptest::collection::vec(0usize..7, 1..6),
        is_counted: bool,
        cuts in proptest::collection::vec(1usize..400, 1..20),
        damage in proptest::option::of((0usize..3000, any::<u8>())),
    ) {
        let frames: [&[u8]; 3] = [&[1, 2, 0xFF, 0xD9], &[3, 4, 0xFF, 0xD9], &[5, 6, 0xFF, 0xD9]];
        let sequence = DataElement::new(tags::CONTENT_SEQUENCE, VR::SQ, DataSetSequence::from(vec![image("1.0", 1)]));
        let mut nested = report_object("1.4");
        nested.put(sequence);
        let text = metadata(&[with_bulk("1.5", 3, json!({})), text_of(&nested)]);
        let files = [
            single("1.1"),
            native(&image("1.2", 3), &[7; 72]),
            encapsulated(&image("1.3", 3), &frames),
            file(&nested, EXPLICIT_VR_LITTLE_ENDIAN, PixelValue::None, &[]),
            b"no file".to_vec(),
            vec![7; 72],
            vec![],
        ];
        let described = which.first() == Some(&5);
        let mut parts: Vec<(&str, &str, &[u8])> = Vec::new();
        if described {
            parts.push((JSON, "/x", &text));
        }
        for &index in &which {
            parts.push(if described { (OCTETS, "/pixels/1.5", &files[index]) } else { ("application/dicom", "/x", &files[index]) });
        }
        let mut body = if is_counted { counted(&parts) } else { body(&parts) };
        if let Some((at, value)) = damage && let Some(byte) = body.get_mut(at) {
            *byte = value;
        }
        let root = if described { JSON } else { "application/dicom" };
        prop_assert_eq!(run(root, &body, &[usize::MAX]), run(root, &body, &cuts));
    }
}
