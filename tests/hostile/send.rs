//! Bodies of Send and Store that break a rule or a bound. Each gets a status and a report that say so,
//! and nothing of it stays.

use std::io::Write;
use std::time::Instant;

use crate::dicom::{EXPLICIT, INSTANCE, JPEG, Object, STUDY, XA, explicit, numbered, text};
use crate::service::{PATIENCE, Service};
use crate::tls::{self, Response, exchange, read_to_close};

const FILES: &str = "multipart/related; type=\"application/dicom\"; boundary=b";
const DESCRIBED: &str = "multipart/related; type=\"application/dicom+json\"; boundary=b";
const CLOSE: &[u8] = b"\r\n--b--\r\n";

const SMALL: [(&str, &str, &str); 5] = [
    ("send.limits", "head_bytes", "262144"),
    ("send.limits", "frame_bytes", "1048576"),
    ("send.limits", "frames", "64"),
    ("send.limits", "elements", "2000"),
    ("send.limits", "nesting", "8"),
];

/// Preamble, File Meta Information, and a data set that need not agree with it.
fn file_of(syntax: &str, data_set: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    for (element, uid) in [(2, XA), (3, INSTANCE), (0x10, syntax)] {
        meta.extend(explicit((2, element), "UI", &text(uid, 0)));
    }
    let length = explicit((2, 0), "UL", &(meta.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length, &meta, data_set].concat()
}

fn file() -> Vec<u8> {
    file_of(EXPLICIT, &Object::new().bytes())
}

fn part(kind: &str, fields: &str, octets: &[u8]) -> Vec<u8> {
    [format!("\r\n--b\r\nContent-Type: {kind}\r\n{fields}\r\n").as_bytes(), octets].concat()
}

fn dicom(octets: &[u8]) -> Vec<u8> {
    part("application/dicom", "", octets)
}

fn request(target: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST {target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n");
    for field in fields {
        head += field;
        head += "\r\n";
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

fn post(content_type: &str, body: &[u8]) -> Vec<u8> {
    let (kind, length) = (format!("Content-Type: {content_type}"), format!("Content-Length: {}", body.len()));
    request("/dicomweb/instances", &[&kind, &length], body)
}

/// How many items each sequence of a report has: taken, failed, others.
fn counts(response: &Response) -> [usize; 3] {
    let report: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    ["00081199", "00081198", "0008119A"].map(|tag| report[tag]["Value"].as_array().map_or(0, Vec::len))
}

/// Status, and what the report lists: taken, failed, others.
type Expected = (u16, [usize; 3]);

/// Name, body of files.
fn files() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let fine = dicom(&file());
    let with = |more: &[u8]| [&fine[..], more, CLOSE].concat();
    let alone = |octets: &[u8]| [&dicom(octets), CLOSE].concat();
    let lying = |length: &str| {
        let field = format!("Content-Length: {length}\r\n");
        [&part("application/dicom", &field, &file())[..], CLOSE].concat()
    };
    let data_set = |object: &Object| alone(&file_of(EXPLICIT, &object.bytes()));
    let mut endless_meta = file()[..144].to_vec();
    endless_meta.extend(b"\x02\x00\x02\x01OB\0\0\xF0\xFF\xFF\xFF");
    endless_meta.resize(endless_meta.len() + 300_000, 7);
    let mut private_meta = file()[..144].to_vec();
    for _ in 0..20_000 {
        private_meta.extend(explicit((2, 0x102), "OB", b"xx"));
    }
    let mut long_head = Object::new();
    long_head.set((0x0029, 0x1001), "OB", &vec![7; 300_000]);
    let mut many = Object::new();
    many.raw((0x0029, 0x1001), explicit((0x0029, 0x1001), "SH", b"").repeat(3000));
    let mut large = Object::new();
    large.native(2 << 20);
    let mut lie = Object::new();
    lie.pixels[8..12].copy_from_slice(&0x7FFF_FFFEu32.to_le_bytes());
    let mut fragment = Object::new();
    fragment.items(&[&[], &[0xFF, 0xD8]]);
    let end = fragment.pixels.len() - 8 - 6;
    fragment.pixels[end..end + 4].copy_from_slice(&0x7FFF_FFFEu32.to_le_bytes());
    let nested =
        part("multipart/related; boundary=c", "", &[b"--c\r\n\r\n", &file()[..], b"\r\n--c--"].concat());
    vec![
        ("nothing", vec![], (400, [0, 0, 1])),
        ("no part", CLOSE.to_vec(), (200, [0, 0, 0])),
        ("no end", fine.clone(), (400, [0, 1, 1])),
        ("half a delimiter", [&fine[..], b"\r\n--"].concat(), (400, [0, 1, 1])),
        ("a delimiter of garbage", [&fine[..], b"\r\n--bxx"].concat(), (400, [1, 0, 1])),
        ("garbage", vec![0xA5; 100_000], (400, [0, 0, 1])),
        ("an endless preamble", [vec![b'p'; 1 << 20], alone(&file())].concat(), (400, [0, 0, 1])),
        ("an endless epilogue", [alone(&file()), vec![b'e'; 1 << 20]].concat(), (400, [1, 0, 1])),
        ("an endless part head", with(&part(&"x".repeat(1 << 20), "", b"")), (400, [1, 0, 1])),
        ("100 fields in a part head", with(&part("a/b", &"X: y\r\n".repeat(100), b"")), (400, [1, 0, 1])),
        ("a part without Content-Type", with(b"\r\n--b\r\nX: y\r\n\r\nz"), (400, [1, 0, 1])),
        (
            "a part in base64",
            with(&part("a/b", "Content-Transfer-Encoding: base64\r\n", b"")),
            (400, [1, 0, 1]),
        ),
        ("a length that is too large", lying("100000"), (400, [0, 1, 1])),
        ("a length that is too small", lying("300"), (400, [0, 1, 1])),
        ("a length of 2^64 - 1", lying("18446744073709551615"), (400, [0, 1, 1])),
        ("a length below zero", lying("-1"), (400, [0, 0, 1])),
        ("a part of no octets", with(&dicom(b"")), (202, [1, 0, 1])),
        ("multipart in multipart", with(&nested), (202, [1, 0, 1])),
        ("another media type", with(&part("text/html", "", b"<script>")), (202, [1, 0, 1])),
        ("no preamble", with(&dicom(&file()[128..])), (202, [1, 0, 1])),
        ("a preamble alone", with(&dicom(&[0; 128])), (202, [1, 0, 1])),
        ("meta that never ends", alone(&endless_meta), (413, [0, 0, 1])),
        ("meta of many elements", alone(&private_meta), (413, [0, 0, 1])),
        ("a long head", data_set(&long_head), (413, [0, 1, 0])),
        ("many elements", data_set(&many), (413, [0, 1, 0])),
        ("a large frame", data_set(&large), (413, [0, 1, 0])),
        ("pixels of 2 GiB that do not come", data_set(&lie), (413, [0, 1, 0])),
        (
            "a fragment of 2 GiB that does not come",
            alone(&file_of(JPEG, &fragment.bytes())),
            (409, [0, 1, 0]),
        ),
        ("65 frames", data_set(Object::frames("65").native(65 * 64)), (413, [0, 1, 0])),
        ("65 frames that are not there", data_set(Object::frames("64").native(64)), (409, [0, 1, 0])),
        (
            "a deflated stream of garbage",
            alone(&file_of("1.2.840.10008.1.2.1.99", &[0xFF; 999])),
            (409, [0, 1, 0]),
        ),
        ("zeros behind the meta", alone(&file_of(EXPLICIT, &[0; 5000])), (409, [0, 1, 0])),
    ]
}

fn described() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let alone = |text: &str| [&part("application/dicom+json", "", text.as_bytes())[..], CLOSE].concat();
    let uid = |value: &str| format!(r#"{{"vr":"UI","Value":["{value}"]}}"#);
    let named = format!(r#""00080016":{},"00080018":{}"#, uid(XA), uid(INSTANCE));
    let whole = format!(r#"{named},"0020000D":{},"0020000E":{}"#, uid(STUDY), uid("1.2.3"));
    let with = |more: &str| alone(&format!("[{{{whole},{more}}}]"));
    let sequence = |inner: &str| format!(r#""0040A730":{{"vr":"SQ","Value":[{inner}]}}"#);
    let deep = (0..200).fold("{}".to_owned(), |inner, _| format!("{{{}}}", sequence(&inner)));
    let bulk = r#""7FE00010":{"vr":"OB","BulkDataURI":"x"}"#;
    let mut large = with(bulk);
    large.truncate(large.len() - CLOSE.len());
    large.extend(part("application/octet-stream", "Content-Location: x\r\n", &vec![7; 2 << 20]));
    large.extend(CLOSE);
    vec![
        ("no metadata", [&part("application/octet-stream", "", b"x"), CLOSE].concat(), (409, [0, 0, 1])),
        ("no JSON", alone("<xml/>"), (409, [0, 0, 1])),
        ("brackets", alone(&"[".repeat(200_000)), (409, [0, 0, 1])),
        ("braces", alone(&r#"{"0":"#.repeat(50_000)), (409, [0, 0, 1])),
        ("an array of numbers", alone("[1,2,3]"), (409, [0, 0, 3])),
        ("20,000 data sets", alone(&format!("[{}{{}}]", "{},".repeat(20_000))), (413, [0, 0, 1])),
        ("a text that is too long", alone(&format!("[{}]", " ".repeat(300_000))), (413, [0, 0, 1])),
        ("sequences in sequences", with(&sequence(&deep)), (413, [0, 0, 1])),
        ("many items", with(&sequence(&format!("{}{{}}", "{},".repeat(5000)))), (413, [0, 0, 1])),
        (
            "many values",
            with(&format!(r#""00281201":{{"vr":"US","Value":[{}0]}}"#, "0,".repeat(100_000))),
            (409, [0, 0, 1]),
        ),
        (
            "a UID of garbage",
            alone(r#"[{"00080018":{"vr":"UI","Value":["Hostile^Peer"]}}]"#),
            (409, [0, 0, 1]),
        ),
        ("bulk data that does not come", with(bulk), (409, [0, 1, 0])),
        ("bulk data that is too large", large, (413, [0, 1, 0])),
        ("pixels of garbage", with(r#""7FE00010":{"vr":"OB","InlineBinary":"!!!"}"#), (409, [0, 0, 1])),
        (
            "a fraction of a pixel",
            with(r#""00280008":{"vr":"IS","Value":["3"]},"7FE00010":{"vr":"OB","InlineBinary":"AAAA"}"#),
            (409, [0, 1, 0]),
        ),
    ]
}

#[test]
fn bodies() {
    let mut service = Service::start(&SMALL);
    let mut failures = String::new();
    let all = files()
        .into_iter()
        .map(|case| (FILES, case))
        .chain(described().into_iter().map(|case| (DESCRIBED, case)));
    for (number, (kind, (name, body, (status, listed)))) in all.enumerate() {
        let body = numbered(&body, number);
        let response = exchange(service.https, &post(kind, &body));
        let seen = response.as_ref().map(|response| (response.status, counts(response)));
        if seen != Some((status, listed)) {
            failures += &format!("{name}: {seen:?} instead of {:?}\n", (status, listed));
        }
        let text = response.map(|response| String::from_utf8_lossy(&response.body).into_owned());
        assert!(!text.unwrap_or_default().contains("Hostile"), "{name}");
        service.answers(name);
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(!service.log().contains("Hostile"), "{}", service.log());
    assert_eq!(service.metric("framegate_send_requests_open"), 0.0);
    service.end();
}

#[test]
fn requests_that_are_refused_by_their_head() {
    let mut service = Service::start(&SMALL);
    let body = [&dicom(&file()), CLOSE].concat();
    let length = format!("Content-Length: {}", body.len());
    let files = format!("Content-Type: {FILES}");
    let long = format!("Content-Type: multipart/related; boundary={}", "b".repeat(200));
    for (name, fields, status) in [
        ("no Content-Type", vec![], 415),
        ("a single file", vec!["Content-Type: application/dicom"], 415),
        ("XML", vec!["Content-Type: multipart/related; type=\"application/dicom+xml\"; boundary=b"], 415),
        ("a form", vec!["Content-Type: multipart/form-data; boundary=b"], 415),
        ("no boundary", vec!["Content-Type: multipart/related; type=\"application/dicom\""], 400),
        ("a boundary of 200", vec![&long], 400),
        ("two boundaries", vec!["Content-Type: multipart/related; boundary=b; boundary=c"], 400),
        ("gzip", vec![&files, "Content-Encoding: gzip"], 415),
        ("a stack of codings", vec![&files, "Content-Encoding: identity", "Content-Encoding: br"], 415),
        ("an answer that we have not", vec![&files, "Accept: image/png"], 406),
        ("an expectation", vec!["Content-Type: text/plain", "Expect: 100-continue"], 415),
    ] {
        let fields = [&fields[..], &[&length]].concat();
        let response = exchange(service.https, &request("/dicomweb/instances", &fields, &body)).unwrap();
        assert_eq!(response.status, status, "{name}: {}", response.head);
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{name}");
        service.answers(name);
    }
    // A body that is not wanted is read for a while, not for ever.
    let endless =
        request("/dicomweb/instances", &["Content-Type: text/plain", "Content-Length: 99999999999"], &[]);
    let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
    stream.write_all(&endless).unwrap();
    assert_eq!(Response::parse(&read_to_close(&mut stream)).unwrap().status, 415);
    assert_eq!(service.metric("framegate_send_requests_total"), 0.0);
    service.end();
}

#[test]
fn a_million_tiny_parts() {
    let mut service = Service::start(&SMALL);
    let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
    let tiny = dicom(b"x").repeat(10_000);
    let length = format!("Content-Length: {}", 100 * tiny.len() + CLOSE.len());
    let head = request("/dicomweb/instances", &[&format!("Content-Type: {FILES}"), &length], &[]);
    stream.write_all(&head).unwrap();
    for _ in 0..100 {
        stream.write_all(&tiny).unwrap();
    }
    service.answers("most of a million parts");
    stream.write_all(CLOSE).unwrap();
    let response = Response::parse(&read_to_close(&mut stream)).unwrap();
    assert_eq!((response.status, counts(&response)), (409, [0, 0, 1000]));
    assert_eq!(service.metric("framegate_send_objects_refused_total{reason=\"cannot_understand\"}"), 1e6);
    assert!(service.log().lines().count() < 100);
    service.end();
}

#[test]
fn senders_that_fall_silent_or_vanish() {
    let mut service = Service::start(
        &[&SMALL[..], &[("send.limits", "stall_seconds", "1"), ("send", "idle_seconds", "2")]].concat(),
    );
    let chunk = |octets: &[u8]| [format!("{:x}\r\n", octets.len()).as_bytes(), octets, b"\r\n"].concat();
    let (kind, coding) = (format!("Content-Type: {FILES}"), "Transfer-Encoding: chunked");
    let head = request("/dicomweb/instances", &[&kind, coding], &[]);
    let whole = dicom(&file());
    let next = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n";
    for (number, (name, body, seconds, taken)) in [
        ("a preamble", b"pre".to_vec(), 2, 0),
        ("half a delimiter", b"--".to_vec(), 2, 0),
        ("half a part head", whole[..20].to_vec(), 2, 0),
        ("half a preamble of a file", whole[..100].to_vec(), 1, 0),
        ("half a file", whole[..whole.len() - 30].to_vec(), 1, 0),
        ("a file without its end", whole.clone(), 1, 0),
        ("a file and half of another", [&whole[..], next, b"x"].concat(), 1, 1),
        ("a file, and no more", [&whole[..], b"\r\n--b\r\n"].concat(), 2, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let body = numbered(&body, number);
        let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
        let start = Instant::now();
        stream.write_all(&[head.clone(), chunk(&body)].concat()).unwrap();
        let response = Response::parse(&read_to_close(&mut stream)).unwrap();
        assert_eq!((response.status, counts(&response)[0]), (408, taken), "{name}");
        assert!(start.elapsed().as_secs() >= seconds, "{name}");
        service.answers(name);
    }
    // Nothing at all behind the head, an unfinished chunk, and clients that are gone.
    for body in [vec![], b"ff".to_vec(), chunk(&whole), chunk(&whole[..300])] {
        let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
        stream.write_all(&[&head[..], &body].concat()).unwrap();
        service
            .wait("the request to be open", |service| service.metric("framegate_send_requests_open") == 1.0);
        tls::vanish(&stream);
        service.wait("the request to end", |service| service.metric("framegate_send_requests_open") == 0.0);
        service.answers("a client that is gone");
    }
    service.end();
}

#[test]
fn requests_at_once_meet_their_bound() {
    let mut service = Service::start(&[("send", "requests", "4")]);
    let (kind, coding) = (format!("Content-Type: {FILES}"), "Transfer-Encoding: chunked");
    let head = request("/dicomweb/instances", &[&kind, coding], &[]);
    let open: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
            stream.write_all(&head).unwrap();
            stream
        })
        .collect();
    service.wait("them to be open", |service| service.metric("framegate_send_requests_open") == 4.0);
    for _ in 0..20 {
        let response = exchange(service.https, &post(FILES, CLOSE)).unwrap();
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    }
    service.answers("a flood of requests");
    open.iter().for_each(tls::vanish);
    drop(open);
    let start = Instant::now();
    while exchange(service.https, &post(FILES, CLOSE)).unwrap().status != 200 {
        assert!(start.elapsed() < PATIENCE, "their places are not free");
    }
    service.end();
}
