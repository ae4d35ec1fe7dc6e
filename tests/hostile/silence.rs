//! Peers that say half of something, or one byte now and then: a deadline ends every one of them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::dicom::{CommandSet, EXPLICIT, INSTANCE, Object, SERIES, STUDY, XA};
use crate::dimse::{Answer, Peer, Request, associate, context_of, echo_on, p_data, pdu, store};
use crate::service::{PATIENCE, Service};
use crate::tls::{self, client_hello, read_to_close, tcp};

/// The service gives its reason no name that fits (PS3.8 §9.3.8).
const TIMED_OUT: Answer = Answer::Aborted(2, 0);

fn impatient() -> Service {
    Service::start(&[
        ("dimse.limits", "handshake_seconds", "1"),
        ("dimse.limits", "stall_seconds", "1"),
        ("dimse.limits", "idle_seconds", "2"),
        ("dicomweb.limits", "header_timeout_seconds", "1"),
        ("dicomweb.limits", "idle_seconds", "2"),
        ("dicomweb.limits", "send_timeout_ms", "300"),
    ])
}

#[test]
fn modalities_that_fall_silent() {
    let mut service = impatient();
    let request = Request::new().bytes();
    for (name, first) in [
        ("nothing", &[][..]),
        ("one byte", &request[..1]),
        ("a header", &request[..6]),
        ("half a request", &request[..request.len() / 2]),
        ("a request but its last byte", &request[..request.len() - 1]),
    ] {
        let mut peer = Peer::connect(service.dimse);
        peer.send(first);
        assert_eq!(peer.answer(), TIMED_OUT, "{name}");
        service.answers(name);
    }
    let object = Object::new().bytes();
    let begun = p_data(3, 3, &CommandSet::store(XA, INSTANCE).bytes());
    let data = p_data(3, 2, &object);
    for (name, later) in [
        ("nothing at all", vec![]),
        ("one byte", vec![4]),
        ("a PDU header", begun[..6].to_vec()),
        ("a PDV header", begun[..12].to_vec()),
        ("half a command", begun[..30].to_vec()),
        ("a command without its data", begun.clone()),
        ("half the data", [begun.clone(), data[..data.len() / 2].to_vec()].concat()),
        ("data without its end", [begun.clone(), p_data(3, 0, &object)].concat()),
        ("half a release", pdu(5, &[0; 4])[..7].to_vec()),
    ] {
        let mut peer = associate(service.dimse);
        peer.send(&later);
        assert_eq!(peer.answer(), TIMED_OUT, "{name}");
        service.answers(name);
    }
    service.end();
}

#[test]
fn modalities_that_vanish() {
    let mut service = Service::start(&[]);
    let message = store(context_of(EXPLICIT), &CommandSet::store(XA, INSTANCE), &Object::new().bytes());
    for sent in [0, 1, 6, 12, 100, message.len() / 2, message.len() - 1, message.len()] {
        let mut peer = associate(service.dimse);
        peer.send(&message[..sent]);
        peer.reset();
        let mut peer = Peer::connect(service.dimse);
        peer.send(&Request::new().bytes()[..sent.min(200)]);
        peer.reset();
        service.answers("a connection that was reset");
    }
    service.end();
}

/// Sends `bytes` one at a time, slower than `deadline` allows, until the service hangs up; says how
/// many it took.
fn drip(stream: &mut TcpStream, bytes: &[u8], mut hung_up: impl FnMut(&mut TcpStream) -> bool) -> usize {
    let start = Instant::now();
    for (sent, byte) in bytes.iter().enumerate() {
        // The wait is the attack: it is what makes the peer slow.
        if stream.write_all(&[*byte]).is_err() || hung_up(stream) {
            return sent;
        }
        assert!(start.elapsed() < PATIENCE, "a slow peer is still served after {sent} bytes");
    }
    panic!("a slow peer was served to its last byte");
}

/// Whether the service closed; waits for that for as long as a slow peer takes for a byte.
fn closed(stream: &mut TcpStream) -> bool {
    use std::io::{ErrorKind, Read};
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut rest = [0; 1024];
    match stream.read(&mut rest) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn slow_loris() {
    let mut service = impatient();
    let mut peer = Peer::connect(service.dimse);
    let sent = drip(&mut peer.0, &Request::new().bytes(), closed);
    assert!(sent < 100, "{sent} bytes of an A-ASSOCIATE-RQ");
    service.answers("a slow association request");
    let mut stream = tcp(service.https);
    let sent = drip(&mut stream, &client_hello(&["http/1.1"]), closed);
    assert!(sent < 100, "{sent} bytes of a ClientHello");
    service.answers("a slow TLS handshake");
    let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
    let head = format!("GET /dicomweb/studies HTTP/1.1\r\nX-Slow: {}", "y".repeat(1000));
    let mut sent = 0;
    for byte in head.bytes() {
        sent += 1;
        let written = stream.write_all(&[byte]).and_then(|()| stream.flush());
        if written.is_err() || closed(&mut stream.sock) {
            break;
        }
    }
    assert!(sent < 100, "{sent} bytes of a request head");
    let counted = |service: &Service| {
        service.metric("framegate_http_connections_dropped_total{listener=\"dicomweb\",reason=\"slow_head\"}")
            >= 1.0
    };
    service.wait("the counter of slow heads", counted);
    service.answers("a slow request head");
    service.end();
}

#[test]
fn clients_that_fall_silent() {
    let mut service = impatient();
    let hello = client_hello(&["http/1.1"]);
    for (name, first) in [
        ("nothing", &[][..]),
        ("one byte", &hello[..1]),
        ("half a hello", &hello[..100]),
        ("a hello", &hello[..]),
    ] {
        let mut stream = tcp(service.https);
        stream.write_all(first).unwrap();
        read_to_close(&mut stream);
        service.answers(name);
    }
    for (name, alpn, first) in [
        ("no request", "http/1.1", &b""[..]),
        ("half a request line", "http/1.1", b"GET /dicom"),
        ("a head without its end", "http/1.1", b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n"),
        ("one answer, then nothing", "http/1.1", b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n\r\n"),
        (
            "one answer, then half a request",
            "http/1.1",
            b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n\r\nGET /",
        ),
        ("no preface", "h2", b""),
        ("half a preface", "h2", b"PRI * HT"),
        ("a preface", "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("no request on h2", "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("half a frame", "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x50\x01"),
        (
            "a body that does not come",
            "http/1.1",
            b"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
        ),
    ] {
        let mut stream = tls::connect(service.https, &[alpn]).unwrap();
        stream.write_all(first).unwrap();
        stream.flush().unwrap();
        read_to_close(&mut stream);
        service.answers(name);
    }
    service.end();
}

/// Much less than a response, so that the service has to wait for the reader.
fn small_buffer(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_reader_that_stalls_is_dropped_and_counted() {
    let mut service = Service::start(&[
        ("hub", "budget_bytes", "33554432"),
        ("dimse.limits", "frame_bytes", "33554432"),
        ("dicomweb.limits", "send_timeout_ms", "300"),
    ]);
    let mut object = Object::new();
    object.native(24 << 20);
    let mut peer = associate(service.dimse);
    peer.send(&store(context_of(EXPLICIT), &CommandSet::store(XA, INSTANCE), &object.bytes()));
    assert_eq!(peer.answer(), Answer::Response(0x8001, 0));
    assert_eq!(echo_on(&mut peer), Ok(()));
    let target = format!("/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}");
    for round in 1..=3 {
        let mut stream = tls::connect_over(small_buffer(service.https), &["http/1.1"]).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.flush().unwrap();
        let counted = |service: &Service| {
            service
                .metric("framegate_http_connections_dropped_total{listener=\"dicomweb\",reason=\"stalled\"}")
                >= f64::from(round)
        };
        service.wait("the counter of stalled readers", counted);
        assert!(read_to_close(&mut stream).len() < 24 << 20, "it was not cut short");
        service.answers("a stalled reader");
    }
    // What the ring holds is no leak: let it be.
    drop(service);
}
