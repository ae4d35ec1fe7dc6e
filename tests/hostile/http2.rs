//! HTTP/2 (RFC 9113) as frames of one's own making: what breaks the protocol, and what keeps to it
//! only to wear the service out.

use std::io::{self, Read, Write};

use crate::dicom::{CommandSet, EXPLICIT, INSTANCE, Object, SERIES, STUDY, XA};
use crate::dimse::{Answer, associate, context_of, echo_on, store};
use crate::service::Service;
use crate::tls::{self, Stream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WHOLE: u8 = END_STREAM | END_HEADERS;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Preface and empty SETTINGS, then these frames.
fn opened(frames: &[Vec<u8>]) -> Vec<u8> {
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[]), frames.concat()].concat()
}

/// A field without indexing and without Huffman code (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(&mut bytes, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A length with a prefix of 7 bits (RFC 7541 §5.1).
fn integer(bytes: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        return bytes.push(value as u8);
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push((value % 128) as u8 | 128);
        value /= 128;
    }
    bytes.push(value as u8);
}

fn fields(all: &[(&str, &str)]) -> Vec<u8> {
    all.iter().flat_map(|(name, value)| field(name, value)).collect()
}

fn get(path: &str) -> Vec<u8> {
    fields(&[(":method", "GET"), (":scheme", "https"), (":authority", "gateway"), (":path", path)])
}

fn search() -> Vec<u8> {
    get("/dicomweb/studies")
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// How the service must take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// GOAWAY with this code, or PROTOCOL_ERROR: our library is not always so precise.
    Connection(u32),
    /// RST_STREAM with this code, or GOAWAY with it: an endpoint may make either of the other
    /// (RFC 9113 §5.4.2 allows it for streams).
    Stream(u32),
    /// The request on stream 1 gets a response.
    Response,
    /// The connection ends, or the last PING is answered.
    Whatever,
}

/// What came back.
#[derive(Debug, Default)]
struct Seen {
    goaway: Option<u32>,
    resets: Vec<(u32, u32)>,
    responses: Vec<u32>,
    data: usize,
    pong: bool,
    closed: bool,
}

const LAST_PING: &[u8; 8] = b"the last";

/// Reads frames until `enough`.
fn watch(stream: &mut Stream, mut enough: impl FnMut(&Seen) -> bool) -> Seen {
    let mut seen = Seen::default();
    while !enough(&seen) {
        let mut header = [0; 9];
        let read = stream.read_exact(&mut header).and_then(|()| {
            let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
            stream.read_exact(&mut payload).map(|()| payload)
        });
        let payload = match read {
            Ok(payload) => payload,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("silence after {seen:?}")
            }
            Err(_) => {
                seen.closed = true;
                return seen;
            }
        };
        let id = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) & 0x7FFF_FFFF;
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match header[3] {
            GOAWAY => seen.goaway = Some(code(4)),
            RST_STREAM => seen.resets.push((id, code(0))),
            HEADERS => seen.responses.push(id),
            DATA => seen.data += payload.len(),
            PING if header[4] & ACK != 0 => seen.pong |= payload == LAST_PING,
            _ => {}
        }
    }
    seen
}

/// Sends it all and reads until the verdict is plain.
fn judge(service: &Service, bytes: &[u8], verdict: Verdict) -> Result<(), String> {
    let mut stream = tls::connect(service.https, &["h2"]).unwrap();
    // The service may hang up in the middle; what it said before is still to be read.
    let _ = stream.write_all(bytes);
    let _ = stream.write_all(&frame(PING, 0, 0, LAST_PING));
    let _ = stream.flush();
    let seen = watch(&mut stream, |seen| match verdict {
        Verdict::Connection(_) => seen.goaway.is_some(),
        Verdict::Stream(_) => seen.goaway.is_some() || !seen.resets.is_empty(),
        Verdict::Response => seen.responses.contains(&1) || seen.goaway.is_some(),
        Verdict::Whatever => seen.pong || seen.goaway.is_some(),
    });
    let fine = match verdict {
        Verdict::Connection(code) => [Some(code), Some(PROTOCOL_ERROR)].contains(&seen.goaway),
        Verdict::Stream(code) => {
            [Some(code), Some(PROTOCOL_ERROR)].contains(&seen.goaway)
                || seen.resets.iter().any(|(_, reason)| *reason == code)
        }
        Verdict::Response => seen.responses.contains(&1),
        Verdict::Whatever => true,
    };
    if fine { Ok(()) } else { Err(format!("{verdict:?}, but {seen:?}")) }
}

fn cases() -> Vec<(&'static str, Vec<u8>, Verdict)> {
    use Verdict::{Connection, Response, Stream, Whatever};
    let headers = |block: Vec<u8>| frame(HEADERS, WHOLE, 1, &block);
    let open = |frames: &[Vec<u8>]| opened(frames);
    let request = || headers(search());
    let with = |extra: &[(&str, &str)]| headers([search(), fields(extra)].concat());
    let update = |increment: u32| frame(WINDOW_UPDATE, 0, 0, &increment.to_be_bytes());
    let settings = |payload: &[u8]| frame(SETTINGS, 0, 0, payload);
    // One entry of 4 KB in the dynamic table, then thousands of references to it: 64 B each become 4 KB.
    let mut bomb = vec![0x40];
    integer(&mut bomb, 1);
    bomb.push(b'x');
    integer(&mut bomb, 4000);
    bomb.extend([b'y'; 4000]);
    let bomb = [search(), bomb, vec![0xBE; 12_000]].concat();
    vec![
        ("nothing is wrong", open(&[request()]), Response),
        ("no preface", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Whatever),
        ("garbage", vec![0xA5; 200], Whatever),
        ("preface, then garbage", [PREFACE, &[0xFF; 300]].concat(), Whatever),
        ("preface, then no SETTINGS", [PREFACE.to_vec(), request()].concat(), Whatever),
        (
            "a frame of 16 MiB",
            open(&[vec![0xFF, 0xFF, 0xFF, DATA, 0, 0, 0, 0, 1]]),
            Connection(FRAME_SIZE_ERROR),
        ),
        ("a frame of 16,385 bytes", open(&[frame(DATA, 0, 1, &[0; 16_385])]), Connection(FRAME_SIZE_ERROR)),
        ("DATA on stream 0", open(&[frame(DATA, 0, 0, b"x")]), Connection(PROTOCOL_ERROR)),
        ("DATA on an idle stream", open(&[frame(DATA, 0, 7, b"x")]), Connection(PROTOCOL_ERROR)),
        ("DATA after the end", open(&[request(), frame(DATA, 0, 1, b"x")]), Stream(STREAM_CLOSED)),
        (
            "DATA of nothing but padding",
            open(&[frame(HEADERS, END_HEADERS, 1, &search()), frame(DATA, PADDED, 1, &[9, 0])]),
            Connection(PROTOCOL_ERROR),
        ),
        ("HEADERS on stream 0", open(&[frame(HEADERS, WHOLE, 0, &search())]), Connection(PROTOCOL_ERROR)),
        (
            "HEADERS on an even stream",
            open(&[frame(HEADERS, WHOLE, 2, &search())]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "HEADERS on an older stream",
            open(&[frame(HEADERS, WHOLE, 5, &search()), frame(HEADERS, WHOLE, 3, &search())]),
            Whatever,
        ),
        (
            "HEADERS that depend on themselves",
            open(&[frame(HEADERS, WHOLE | 0x20, 1, &[&[0, 0, 0, 1, 9][..], &search()].concat())]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "HEADERS of nothing but padding",
            open(&[frame(HEADERS, WHOLE | PADDED, 1, &[200, 0])]),
            Connection(PROTOCOL_ERROR),
        ),
        ("HEADERS too short for their priority", open(&[frame(HEADERS, WHOLE | 0x20, 1, &[0])]), Whatever),
        ("HEADERS of nothing", open(&[headers(vec![])]), Stream(PROTOCOL_ERROR)),
        ("HPACK garbage", open(&[headers(vec![0xFF; 50])]), Connection(COMPRESSION_ERROR)),
        ("HPACK index 0", open(&[headers(vec![0x80])]), Connection(COMPRESSION_ERROR)),
        (
            "HPACK index beyond the table",
            open(&[headers(vec![0xFF, 0x80, 0x80, 0x01])]),
            Connection(COMPRESSION_ERROR),
        ),
        (
            "HPACK text beyond the block",
            open(&[headers(vec![0, 0x7F, 0xFF, 0xFF, 0x7F])]),
            Connection(COMPRESSION_ERROR),
        ),
        (
            "HPACK integer without end",
            open(&[headers([&[0x7F][..], &[0xFF; 60]].concat())]),
            Connection(COMPRESSION_ERROR),
        ),
        (
            "HPACK Huffman code of nothing",
            open(&[headers(vec![0, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0])]),
            Connection(COMPRESSION_ERROR),
        ),
        (
            "HPACK table of 4 GB",
            open(&[headers([&[0x3F, 0xE1, 0xFF, 0xFF, 0xFF, 0x0F][..], &search()].concat())]),
            Connection(COMPRESSION_ERROR),
        ),
        ("HPACK bomb", open(&[headers(bomb)]), Whatever),
        ("no pseudo-fields", open(&[headers(fields(&[("a", "b")]))]), Stream(PROTOCOL_ERROR)),
        ("no path", open(&[headers(fields(&[(":method", "GET"), (":scheme", "https")]))]), Whatever),
        ("an empty path", open(&[headers(get(""))]), Stream(PROTOCOL_ERROR)),
        ("a path without slash", open(&[headers(get("dicomweb"))]), Whatever),
        ("a path with a line break", open(&[headers(get("/a\r\nX: y"))]), Stream(PROTOCOL_ERROR)),
        ("two paths", open(&[with(&[(":path", "/x")])]), Stream(PROTOCOL_ERROR)),
        (
            "a pseudo-field after a field",
            open(&[headers([fields(&[("a", "b")]), search()].concat())]),
            Stream(PROTOCOL_ERROR),
        ),
        ("an unknown pseudo-field", open(&[with(&[(":patient", "x")])]), Stream(PROTOCOL_ERROR)),
        ("a response's pseudo-field", open(&[with(&[(":status", "200")])]), Stream(PROTOCOL_ERROR)),
        ("upper case", open(&[with(&[("X-Upper", "y")])]), Stream(PROTOCOL_ERROR)),
        ("a field of no name", open(&[with(&[("", "y")])]), Whatever),
        ("NUL in a field", open(&[with(&[("x", "a\0b")])]), Stream(PROTOCOL_ERROR)),
        ("a line break in a field", open(&[with(&[("x", "a\r\nb: c")])]), Stream(PROTOCOL_ERROR)),
        ("Connection", open(&[with(&[("connection", "close")])]), Stream(PROTOCOL_ERROR)),
        ("Transfer-Encoding", open(&[with(&[("transfer-encoding", "chunked")])]), Stream(PROTOCOL_ERROR)),
        ("TE: gzip", open(&[with(&[("te", "gzip")])]), Stream(PROTOCOL_ERROR)),
        ("Content-Length without a body", open(&[with(&[("content-length", "50")])]), Stream(PROTOCOL_ERROR)),
        ("Content-Length of letters", open(&[with(&[("content-length", "many")])]), Stream(PROTOCOL_ERROR)),
        ("fields of 20 KiB", open(&[with(&[("x", &"y".repeat(15_000))])]), Response),
        ("CONNECT", open(&[headers(fields(&[(":method", "CONNECT"), (":authority", "x:1")]))]), Whatever),
        (
            "extended CONNECT",
            open(&[headers(
                [
                    fields(&[(":method", "CONNECT"), (":protocol", "websocket")]),
                    search()[search().len() - 20..].to_vec(),
                ]
                .concat(),
            )]),
            Whatever,
        ),
        ("PRIORITY of 4 bytes", open(&[frame(PRIORITY, 0, 1, &[0; 4])]), Stream(FRAME_SIZE_ERROR)),
        ("PRIORITY on stream 0", open(&[frame(PRIORITY, 0, 0, &[0; 5])]), Connection(PROTOCOL_ERROR)),
        (
            "10,000 PRIORITY frames",
            open(&[frame(PRIORITY, 0, 99, &[0, 0, 0, 3, 1]).repeat(10_000), request()]),
            Response,
        ),
        (
            "RST_STREAM of an idle stream",
            open(&[frame(RST_STREAM, 0, 9, &[0; 4])]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "RST_STREAM of 3 bytes",
            open(&[request(), frame(RST_STREAM, 0, 1, &[0; 3])]),
            Connection(FRAME_SIZE_ERROR),
        ),
        ("RST_STREAM on stream 0", open(&[frame(RST_STREAM, 0, 0, &[0; 4])]), Connection(PROTOCOL_ERROR)),
        ("SETTINGS of 5 bytes", open(&[settings(&[0; 5])]), Connection(FRAME_SIZE_ERROR)),
        ("SETTINGS on a stream", open(&[frame(SETTINGS, 0, 1, &[])]), Connection(PROTOCOL_ERROR)),
        (
            "SETTINGS that acknowledge and set",
            open(&[frame(SETTINGS, ACK, 0, &setting(4, 1))]),
            Connection(FRAME_SIZE_ERROR),
        ),
        (
            "SETTINGS with a window of 2³¹",
            open(&[settings(&setting(4, 1 << 31))]),
            Connection(FLOW_CONTROL_ERROR),
        ),
        ("SETTINGS with frames of 1 byte", open(&[settings(&setting(5, 1))]), Connection(PROTOCOL_ERROR)),
        (
            "SETTINGS with frames of 4 GB",
            open(&[settings(&setting(5, u32::MAX))]),
            Connection(PROTOCOL_ERROR),
        ),
        ("SETTINGS with push 2", open(&[settings(&setting(2, 2))]), Connection(PROTOCOL_ERROR)),
        ("SETTINGS of nobody", open(&[settings(&setting(0xFFFF, 7)), request()]), Response),
        ("SETTINGS with a table of 4 GB", open(&[settings(&setting(1, u32::MAX)), request()]), Response),
        (
            "SETTINGS with no streams and no lists",
            open(&[settings(&[setting(3, 0), setting(6, 0)].concat()), request()]),
            Whatever,
        ),
        (
            "SETTINGS that acknowledge nothing",
            open(&[frame(SETTINGS, ACK, 0, &[]).repeat(5), request()]),
            Whatever,
        ),
        ("10,000 SETTINGS", open(&[settings(&setting(4, 100)).repeat(10_000)]), Whatever),
        (
            "PUSH_PROMISE",
            open(&[request(), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &search()].concat())]),
            Connection(PROTOCOL_ERROR),
        ),
        ("PING of 7 bytes", open(&[frame(PING, 0, 0, &[0; 7])]), Connection(FRAME_SIZE_ERROR)),
        ("PING on a stream", open(&[frame(PING, 0, 1, &[0; 8])]), Connection(PROTOCOL_ERROR)),
        ("10,000 PINGs", open(&[frame(PING, 0, 0, &[0; 8]).repeat(10_000)]), Whatever),
        (
            "PING answers that nobody asked for",
            open(&[frame(PING, ACK, 0, &[7; 8]).repeat(100), request()]),
            Response,
        ),
        ("GOAWAY of 7 bytes", open(&[frame(GOAWAY, 0, 0, &[0; 7])]), Connection(FRAME_SIZE_ERROR)),
        ("GOAWAY on a stream", open(&[frame(GOAWAY, 0, 1, &[0; 8])]), Connection(PROTOCOL_ERROR)),
        ("GOAWAY, then a request", open(&[frame(GOAWAY, 0, 0, &[0; 8]), request()]), Whatever),
        ("WINDOW_UPDATE by nothing", open(&[update(0)]), Connection(PROTOCOL_ERROR)),
        (
            "WINDOW_UPDATE of 3 bytes",
            open(&[frame(WINDOW_UPDATE, 0, 0, &[0; 3])]),
            Connection(FRAME_SIZE_ERROR),
        ),
        ("WINDOW_UPDATE beyond 2³¹", open(&[update(0x7FFF_FFFF)]), Connection(FLOW_CONTROL_ERROR)),
        (
            "WINDOW_UPDATE of an idle stream",
            open(&[frame(WINDOW_UPDATE, 0, 9, &[0, 0, 0, 1])]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "WINDOW_UPDATE of a stream by nothing",
            open(&[frame(HEADERS, END_HEADERS, 1, &search()), frame(WINDOW_UPDATE, 0, 1, &[0; 4])]),
            Stream(PROTOCOL_ERROR),
        ),
        ("10,000 WINDOW_UPDATEs by one", open(&[update(1).repeat(10_000), request()]), Response),
        (
            "a window that goes below nothing",
            open(&[
                request(),
                settings(&setting(4, 0)),
                settings(&setting(4, 0x7FFF_FFFF)),
                settings(&setting(4, 0)),
            ]),
            Whatever,
        ),
        (
            "CONTINUATION of nothing",
            open(&[frame(CONTINUATION, END_HEADERS, 1, &search())]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "CONTINUATION of another stream",
            open(&[frame(HEADERS, END_STREAM, 1, &search()), frame(CONTINUATION, END_HEADERS, 3, &[])]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "PING inside a header block",
            open(&[frame(HEADERS, END_STREAM, 1, &search()), frame(PING, 0, 0, &[0; 8])]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "an unknown frame inside a header block",
            open(&[frame(HEADERS, END_STREAM, 1, &search()), frame(0x77, 0, 0, &[])]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "10,000 empty CONTINUATIONs",
            open(&[frame(HEADERS, END_STREAM, 1, &search()), frame(CONTINUATION, 0, 1, &[]).repeat(10_000)]),
            Connection(ENHANCE_YOUR_CALM),
        ),
        (
            "3 MB in CONTINUATIONs",
            open(&[
                frame(HEADERS, END_STREAM, 1, &search()),
                frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(16_000))).repeat(200),
            ]),
            Whatever,
        ),
        (
            "unknown frames",
            open(&[frame(0x77, 0xFF, 0x7FFF_FFFF, &[7; 1000]).repeat(100), request()]),
            Response,
        ),
        (
            "1,000 empty DATA frames",
            open(&[frame(HEADERS, END_HEADERS, 1, &search()), frame(DATA, 0, 1, &[]).repeat(1000)]),
            Whatever,
        ),
        (
            "more DATA than the window",
            open(&[
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &fields(&[
                        (":method", "POST"),
                        (":scheme", "https"),
                        (":authority", "x"),
                        (":path", "/dicomweb/studies"),
                    ]),
                ),
                frame(DATA, 0, 1, &[0; 16_384]).repeat(200),
            ]),
            Whatever,
        ),
        (
            "trailers that do not end the stream",
            open(&[
                frame(HEADERS, END_HEADERS, 1, &search()),
                frame(HEADERS, END_HEADERS, 1, &fields(&[("a", "b")])),
            ]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "trailers with a pseudo-field",
            open(&[frame(HEADERS, END_HEADERS, 1, &search()), frame(HEADERS, WHOLE, 1, &search())]),
            Whatever,
        ),
    ]
}

#[test]
fn frames() {
    let mut service = Service::start(&[]);
    let mut failures = String::new();
    for (name, bytes, verdict) in cases() {
        if let Err(why) = judge(&service, &bytes, verdict) {
            failures += &format!("{name}: {why}\n");
        }
        service.answers(name);
    }
    assert!(failures.is_empty(), "{failures}");
    service.end();
}

#[test]
fn streams_by_the_hundred() {
    let mut service = Service::start(&[]);
    let ids = || (0..500).map(|n| 2 * n + 1);
    // CVE-2023-44487: open and reset at once; the service ends it before it has wasted much.
    let rapid: Vec<u8> = ids()
        .flat_map(|id| {
            [frame(HEADERS, WHOLE, id, &search()), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
        })
        .collect();
    assert_eq!(judge(&service, &opened(&[rapid]), Verdict::Connection(ENHANCE_YOUR_CALM)), Ok(()));
    service.answers("rapid reset");
    // 500 streams of which none ends its request: 64 are let in.
    let open: Vec<u8> = ids().flat_map(|id| frame(HEADERS, END_HEADERS, id, &search())).collect();
    assert_eq!(judge(&service, &opened(&[open]), Verdict::Stream(REFUSED_STREAM)), Ok(()));
    service.answers("streams beyond the bound");
    // CVE-2025-8671: broken frames that make the service reset streams for the client.
    let broken: Vec<u8> = ids()
        .flat_map(|id| {
            [frame(HEADERS, END_HEADERS, id, &search()), frame(WINDOW_UPDATE, 0, id, &[0; 4])].concat()
        })
        .collect();
    assert_eq!(judge(&service, &opened(&[broken]), Verdict::Whatever), Ok(()));
    service.answers("resets by the service");
    // All at once, each complete: all are answered or refused.
    let requests: Vec<u8> = ids().flat_map(|id| frame(HEADERS, WHOLE, id, &search())).collect();
    let mut stream = tls::connect(service.https, &["h2"]).unwrap();
    let _ = stream.write_all(&opened(&[requests]));
    let _ = stream.flush();
    let seen =
        watch(&mut stream, |seen| seen.responses.len() + seen.resets.len() >= 500 || seen.goaway.is_some());
    assert!(seen.responses.len() >= 64, "{seen:?}");
    drop(stream);
    service.answers("500 requests at once");
    service.end();
}

/// A service that holds one instance of 900 KiB.
fn with_large_instance() -> Service {
    let service = Service::start(&[("dicomweb.limits", "send_timeout_ms", "300")]);
    let mut peer = associate(service.dimse);
    let mut object = Object::new();
    object.us((0x28, 0x10), 900).us((0x28, 0x11), 1024).native(900 << 10);
    peer.send(&store(context_of(EXPLICIT), &CommandSet::store(XA, INSTANCE), &object.bytes()));
    assert_eq!(peer.answer(), Answer::Response(0x8001, 0));
    assert_eq!(echo_on(&mut peer), Ok(()));
    service
}

#[test]
fn windows_that_stay_shut() {
    let mut service = with_large_instance();
    let path = format!("/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}");
    let request = frame(HEADERS, WHOLE, 1, &get(&path));
    for (name, frames) in [
        ("no window at all", vec![frame(SETTINGS, 0, 0, &setting(4, 0)), request.clone()]),
        ("a window of one byte", vec![frame(SETTINGS, 0, 0, &setting(4, 1)), request.clone()]),
        ("the first window only", vec![request.clone()]),
        (
            "50 streams on one window",
            (0..50).map(|n| frame(HEADERS, WHOLE, 2 * n + 1, &get(&path))).collect(),
        ),
    ] {
        let dropped = service
            .metric("framegate_http_connections_dropped_total{listener=\"dicomweb\",reason=\"stalled\"}");
        let mut stream = tls::connect(service.https, &["h2"]).unwrap();
        stream.write_all(&opened(&frames)).unwrap();
        stream.flush().unwrap();
        // It reads, but opens no window: the service hangs up.
        let seen = watch(&mut stream, |seen| seen.closed);
        assert!(seen.data <= 65_535, "{name}: {seen:?}");
        let counted = |service: &Service| {
            service
                .metric("framegate_http_connections_dropped_total{listener=\"dicomweb\",reason=\"stalled\"}")
                > dropped
        };
        service.wait("the counter of stalled readers", counted);
        service.answers(name);
    }
    // Byte by byte is slow, but it is progress: nobody is dropped.
    let mut stream = tls::connect(service.https, &["h2"]).unwrap();
    let one = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    stream.write_all(&opened(&[frame(SETTINGS, 0, 0, &setting(4, 1)), request])).unwrap();
    stream.flush().unwrap();
    for taken in 1..100 {
        let seen = watch(&mut stream, |seen| seen.data >= 1 || seen.closed);
        assert!(!seen.closed && seen.data == 1, "after {taken} bytes: {seen:?}");
        stream.write_all(&one).unwrap();
        stream.flush().unwrap();
    }
    drop(stream);
    service.end();
}
