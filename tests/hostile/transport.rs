//! Below HTTP: what is no TLS, or not the TLS that this port speaks (RFC 8446).

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::service::Service;
use crate::tls::{self, client_hello, read_to_close, tcp};

/// A record header: type, version, length.
fn record(kind: u8, length: u16) -> Vec<u8> {
    [&[kind, 3, 3][..], &length.to_be_bytes()].concat()
}

fn record_of(kind: u8, payload: &[u8]) -> Vec<u8> {
    [record(kind, payload.len() as u16), payload.to_vec()].concat()
}

/// A ClientHello of an old version without extensions.
fn old_hello(version: [u8; 2], suites: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16).to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    let length = (body.len() as u32).to_be_bytes();
    record_of(22, &[&[1], &length[1..], &body].concat())
}

/// Every one of these ends the connection; TLS says why in an alert, whose description stands here.
#[test]
fn no_handshake() {
    const UNEXPECTED_MESSAGE: u8 = 10;
    const DECODE_ERROR: u8 = 50;
    let mut service = Service::start(&[]);
    let hello = client_hello(&["http/1.1"]);
    let mut lying = hello.clone();
    lying[6..9].copy_from_slice(&[0xFF, 0xFF, 0xFF]);
    let mut cipher = hello.clone();
    cipher[43] = 255;
    let suites = [0xC0, 0x2F, 0x00, 0x9C];
    let cases: Vec<(&str, Vec<u8>, Option<u8>)> = vec![
        ("nothing", vec![], None),
        ("one byte", vec![22], None),
        ("half a record header", record(22, 100)[..3].to_vec(), None),
        ("a record that does not come", record(22, 100), None),
        ("SSLv2 hello", [&[0x80, 0x2E, 1, 0, 2, 0, 3, 0, 0, 0, 0x10][..], &[7; 60]].concat(), None),
        ("zeros", vec![0; 100], None),
        ("0xFF", vec![0xFF; 100], None),
        ("lower case text", b"helo modality\r\n".to_vec(), None),
        ("DICOM", crate::dimse::Request::new().bytes(), None),
        ("an oversized record", [record(22, 0xFFFF), vec![1; 0xFFFF]].concat(), Some(DECODE_ERROR)),
        ("a record just too long", [record(22, 0x4900), vec![1; 0x4900]].concat(), Some(DECODE_ERROR)),
        ("application data first", record_of(23, b"GET / HTTP/1.1"), Some(UNEXPECTED_MESSAGE)),
        ("an alert first", record_of(21, &[2, 40]), None),
        ("half an alert", record_of(21, &[2]), None),
        ("ChangeCipherSpec first", record_of(20, &[1]), None),
        ("a heartbeat", record_of(24, &[1, 0x40, 0]), None),
        ("an empty handshake record", record(22, 0), None),
        ("a thousand empty records", record(22, 0).repeat(1000), None),
        ("a ServerHello", record_of(22, &[2, 0, 0, 2, 3, 3]), None),
        ("a hello of 16 MiB", lying, None),
        (
            "a hello of garbage",
            record_of(22, &[&[1, 0, 0, 40][..], &[0xA5; 40]].concat()),
            Some(DECODE_ERROR),
        ),
        ("a hello whose lists lie", cipher, Some(DECODE_ERROR)),
        ("SSL 3.0", old_hello([3, 0], &suites), None),
        ("TLS 1.0", old_hello([3, 1], &suites), None),
        ("TLS 1.1", old_hello([3, 2], &suites), None),
        ("TLS 1.2 without extensions", old_hello([3, 3], &suites), None),
        ("no cipher suites", old_hello([3, 3], &[]), None),
        ("half a hello", hello[..hello.len() / 2].to_vec(), None),
        ("a hello, then garbage", [hello.clone(), vec![0xA5; 300]].concat(), None),
        ("a hello, then another", hello.repeat(2), None),
        ("a hello, then plain HTTP", [hello.clone(), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat(), None),
        ("a hello, then application data", [hello, record_of(23, &[0; 40])].concat(), None),
        ("a hello for another protocol", client_hello(&["acr-nema"]), None),
    ];
    for (name, bytes, alert) in cases {
        let mut stream = tcp(service.https);
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let answer = read_to_close(&mut stream);
        if let Some(alert) = alert {
            assert!(answer.len() >= 7, "{name}: {answer:?}");
            assert_eq!((answer[0], answer[6]), (21, alert), "{name}: {answer:?}");
        }
        service.answers(name);
    }
    service.end();
}

#[test]
fn plain_http_is_told_to_use_tls() {
    let mut service = Service::start(&[]);
    for request in [
        "GET /dicomweb/studies HTTP/1.1\r\nHost: gateway\r\n\r\n".to_owned(),
        "POST / HTTP/1.0\r\n\r\n".to_owned(),
        "G".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(60_000)),
    ] {
        let mut stream = tcp(service.https);
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let response = tls::Response::parse(&read_to_close(&mut stream)).unwrap();
        assert_eq!(response.status, 400);
        assert!(String::from_utf8_lossy(&response.body).contains("https://"));
        service.answers(&request[..1]);
    }
    service.wait("the counter", |service| {
        service.metric("framegate_http_connections_dropped_total{listener=\"dicomweb\",reason=\"plain\"}")
            == 5.0
    });
    service.end();
}

#[test]
fn a_session_that_turns_bad() {
    let mut service = Service::start(&[]);
    let request = b"GET /dicomweb/studies HTTP/1.1\r\nHost: gateway\r\n\r\n";
    for (name, bytes) in [
        ("garbage", vec![0xA5; 100]),
        ("plain HTTP", request.to_vec()),
        ("a record that cannot be decrypted", record_of(23, &[7; 100])),
        ("an oversized record", [record(23, 0xFFFF), vec![7; 0xFFFF]].concat()),
        ("a new hello", client_hello(&["http/1.1"])),
        ("half a record", record(23, 500)),
        ("nothing", vec![]),
    ] {
        for begun in [&b""[..], request, &request[..20]] {
            let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
            stream.write_all(begun).unwrap();
            stream.flush().unwrap();
            if begun == request {
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).unwrap();
                assert!(answer.starts_with(b"HTTP/1.1 20"), "{name}");
            }
            let _ = stream.sock.write_all(&bytes);
            let _ = stream.sock.shutdown(Shutdown::Write);
            read_to_close(&mut stream.sock);
            service.answers(name);
        }
    }
    // Without ALPN a client is taken to speak HTTP/1.1.
    let mut stream = tls::connect(service.https, &[]).unwrap();
    stream.write_all(b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(tls::Response::parse(&read_to_close(&mut stream)).unwrap().status, 204);
    service.end();
}

#[test]
fn a_flood_of_connections_meets_its_bound() {
    let mut service = Service::start(&[
        ("dicomweb.limits", "connections", "8"),
        ("dicomweb.limits", "connections_per_peer", "8"),
    ]);
    let kept: Vec<_> = (0..8).map(|_| tls::connect(service.https, &["h2"]).unwrap()).collect();
    for _ in 0..50 {
        assert!(tls::connect(service.https, &["http/1.1"]).is_err());
    }
    kept.iter().for_each(tls::vanish);
    drop(kept);
    service.wait("their places to be free", |service| tls::get(service.https, "/dicomweb/studies").is_some());
    service.answers("a flood of connections");
    service.end();
}
