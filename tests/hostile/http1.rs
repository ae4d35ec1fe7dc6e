//! HTTP/1.1: request heads that break the grammar or a bound, and requests that are well formed but
//! ask for nonsense. Whatever reaches the DICOMweb layer and fails is told in Problem Details.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::dicom::{EXPLICIT, INSTANCE, JPEG, Object, SERIES, STUDY};
use crate::dimse::{associate, context_of, echo_on, store};
use crate::service::Service;
use crate::tls::{self, Response, exchange};

/// Reads everything there is of a series that a hostile object went into.
pub fn read_back(address: SocketAddr, series: &str, name: &str) {
    let base = format!("/dicomweb/studies/{STUDY}/series/{series}");
    let get = |target: &str| {
        let response = tls::get(address, target);
        let response = response.unwrap_or_else(|| panic!("{name}: {target} is not answered"));
        let told = matches!(response.status, 200 | 206 | 404 | 406);
        assert!(told, "{name}: {target}: {} {}", response.head, String::from_utf8_lossy(&response.body));
        response
    };
    let metadata = get(&format!("{base}/metadata"));
    let body: serde_json::Value = serde_json::from_slice(&body_of(&metadata)).unwrap_or_default();
    for entry in body.as_array().into_iter().flatten().take(2) {
        let Some(uid) = entry["00080018"]["Value"][0].as_str() else { continue };
        let instance = format!("{base}/instances/{uid}");
        for target in [
            "",
            "/metadata",
            "/rendered",
            "/frames/1",
            "/frames/2",
            "/frames/1/rendered",
            "/bulkdata/7FE00010",
        ] {
            get(&format!("{instance}{target}"));
        }
        get(&format!("{instance}/rendered?viewport=16,16&window=40,0.5,linear-exact&accept=image/png"));
        get(&format!("{instance}?accept=application/dicom"));
    }
}

/// The body without its chunks.
fn body_of(response: &Response) -> Vec<u8> {
    if response.header("transfer-encoding").is_none() {
        return response.body.clone();
    }
    let mut body = Vec::new();
    let mut rest = &response.body[..];
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + length) else { break };
        body.extend(chunk);
        rest = rest.get(end + 4 + length..).unwrap_or_default();
        if length == 0 {
            break;
        }
    }
    body
}

/// Problem Details (RFC 9457) that repeat nothing of the request.
fn is_problem(response: &Response) -> bool {
    let body = body_of(response);
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    response.header("content-type") == Some("application/problem+json")
        && problem["status"] == response.status
        && ["type", "title", "detail"].iter().all(|member| problem[member].is_string())
        && !String::from_utf8_lossy(&body).contains("Hostile")
}

/// A request line and header fields, with the ones that every request needs.
fn request(line: &str, fields: &[&str]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n");
    for field in fields {
        text += field;
        text += "\r\n";
    }
    (text + "\r\n").into_bytes()
}

/// A service that holds one series of two instances: one native, one JPEG.
fn with_series(changes: &[(&str, &str, &str)]) -> Service {
    let service = Service::start(changes);
    let mut peer = associate(service.dimse);
    let jpeg = format!("{INSTANCE}.1");
    let mut encapsulated = Object::new();
    encapsulated.ui((8, 0x18), &jpeg).items(&[&[], &[0xFF, 0xD8, 0xFF, 0xD9]]);
    let class = crate::dicom::XA;
    for (syntax, instance, bytes) in
        [(EXPLICIT, INSTANCE, Object::new().bytes()), (JPEG, &*jpeg, encapsulated.bytes())]
    {
        peer.send(&store(context_of(syntax), &crate::dicom::CommandSet::store(class, instance), &bytes));
        assert_eq!(peer.answer(), crate::dimse::Answer::Response(0x8001, 0));
    }
    assert_eq!(echo_on(&mut peer), Ok(()));
    service
}

/// What the HTTP layer itself refuses: the statuses that are right; an empty list means that the
/// connection may be closed without a word.
fn heads() -> Vec<(String, Vec<u8>, Vec<u16>)> {
    let mut cases: Vec<(String, Vec<u8>, Vec<u16>)> = Vec::new();
    let mut case = |name: &str, bytes: Vec<u8>, statuses: &[u16]| {
        cases.push((name.to_owned(), bytes, statuses.to_vec()));
    };
    let get = "GET /dicomweb/studies";
    case("garbage", [&[0xA5; 200][..], b"\r\n\r\n"].concat(), &[400]);
    case("zeros", vec![0; 4000], &[400]);
    case("no version", b"GET /dicomweb/studies\r\n\r\n".to_vec(), &[400]);
    case("HTTP/3.0", b"GET / HTTP/3.0\r\n\r\n".to_vec(), &[400, 505]);
    case("HTTP/1.9", b"GET /dicomweb/studies HTTP/1.9\r\n\r\n".to_vec(), &[400, 505]);
    case("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[]);
    case("no target", b"GET  HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &[400]);
    case("a target with a space", request("GET /dicom web", &[]), &[400]);
    case("a target with NUL", request("GET /dicomweb/\0", &[]), &[400]);
    case("a target of raw UTF-8", request("GET /dicomweb/stüdies", &[]), &[400, 404]);
    case("a method of 2 KiB", request(&format!("{} /", "M".repeat(2048)), &[]), &[400, 404, 405]);
    case("a method that is none", request("G{}T /dicomweb/studies", &[]), &[400]);
    case("a method of lower case", request("get /dicomweb/studies", &[]), &[405]);
    case("a request line of 100 KiB", request(&format!("GET /{}", "x".repeat(100_000)), &[]), &[414, 431]);
    case("a request line of 10 KiB", request(&format!("GET /{}", "x".repeat(10_000)), &[]), &[414]);
    case(
        "a query of 20 KiB",
        request(&format!("GET /dicomweb/studies?{}", "x".repeat(20_000)), &[]),
        &[200, 400, 414],
    );
    case("a field of 100 KiB", request(get, &[&format!("X-Long: {}", "y".repeat(100_000))]), &[431]);
    case("a field name of 100 KiB", request(get, &[&format!("{}: y", "X".repeat(100_000))]), &[431, 400]);
    case("101 fields", request(get, &["X-Many: y"; 101]), &[431]);
    case("5,000 fields", request(get, &["A: b"; 5000]), &[431]);
    case("a field without colon", request(get, &["Nonsense"]), &[400]);
    case("a field without name", request(get, &[": value"]), &[400]);
    case("a space before the colon", request(get, &["X-Space : value"]), &[400]);
    case("a folded field", request(get, &["X-Fold: a\r\n b"]), &[400]);
    case("NUL in a field", request(get, &["X-Nul: a\0b"]), &[400]);
    case("a bare CR in a field", request(get, &["X-Cr: a\rb"]), &[400]);
    case("no Host", b"GET /dicomweb/studies HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), &[200, 400]);
    case("two Hosts", request(get, &["Host: other"]), &[200, 400]);
    case(
        "a Host of garbage",
        b"GET /dicomweb/studies HTTP/1.1\r\nHost: <script>alert(1)</script>\r\nConnection: close\r\n\r\n"
            .to_vec(),
        &[200, 400],
    );
    case(
        "a Host of 5 KiB",
        format!("GET /dicomweb/studies HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", "h".repeat(5000))
            .into_bytes(),
        &[200, 400],
    );
    // Request smuggling: a message whose length can be read in two ways (RFC 9112 §6.3, §11.2).
    case(
        "Content-Length and Transfer-Encoding",
        [
            request("POST /dicomweb/studies", &["Content-Length: 4", "Transfer-Encoding: chunked"]),
            b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n".to_vec(),
        ]
        .concat(),
        &[400, 415],
    );
    case(
        "Transfer-Encoding and Content-Length",
        [
            request("POST /dicomweb/studies", &["Transfer-Encoding: chunked", "Content-Length: 60"]),
            b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n".to_vec(),
        ]
        .concat(),
        &[400, 415],
    );
    case(
        "two Content-Lengths",
        [
            request(get, &["Content-Length: 0", "Content-Length: 30"]),
            b"GET /smuggled HTTP/1.1\r\n\r\n".to_vec(),
        ]
        .concat(),
        &[400],
    );
    case(
        "a list of Content-Lengths",
        [request(get, &["Content-Length: 0, 30"]), vec![b'x'; 30]].concat(),
        &[400],
    );
    for length in ["-1", "+4", "0x4", "4 4", "99999999999999999999999", "", "1e3"] {
        case(
            &format!("Content-Length {length:?}"),
            request(get, &[&format!("Content-Length: {length}")]),
            &[400],
        );
    }
    for coding in
        ["xchunked", "chunked, identity", "identity, chunked", "chunked, chunked", "\x0bchunked", "gzip"]
    {
        case(
            &format!("Transfer-Encoding {coding:?}"),
            [request(get, &[&format!("Transfer-Encoding: {coding}")]), b"0\r\n\r\n".to_vec()].concat(),
            &[200, 400, 501],
        );
    }
    case(
        "Transfer-Encoding in HTTP/1.0",
        b"GET /dicomweb/studies HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        &[400],
    );
    // The body of a GET has no meaning: it may be read, or the connection closed after the answer.
    for (name, body) in [
        ("no hex", "zz\r\n"),
        ("a negative size", "-1\r\n"),
        ("a size beyond 64 bits", "FFFFFFFFFFFFFFFFFF\r\n"),
        ("a size of 64 bits", "FFFFFFFFFFFFFFFF\r\nx"),
        ("no line end", "4\r\nbodyX0\r\n\r\n"),
        ("a bare LF", "4\nbody\n0\n\n"),
        ("endless extensions", &format!("4;{}\r\nbody\r\n0\r\n\r\n", "x".repeat(60_000))),
        ("endless trailers", &format!("0\r\n{}\r\n", "A: b\r\n".repeat(5000))),
    ] {
        case(
            &format!("a chunked body of {name}"),
            [request(get, &["Transfer-Encoding: chunked"]), body.as_bytes().to_vec()].concat(),
            &[200, 400],
        );
    }
    case(
        "a body that is not wanted",
        [request("POST /dicomweb/studies", &["Content-Length: 3000000"]), vec![b'x'; 3_000_000]].concat(),
        &[415],
    );
    case(
        "a body that is not wanted, promised after 100",
        request("POST /dicomweb/studies", &["Content-Length: 5", "Expect: 100-continue"]),
        &[415],
    );
    case("an expectation of nobody", request(get, &["Expect: miracles"]), &[200, 417]);
    case(
        "two requests in one",
        [b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), request(get, &[])].concat(),
        &[200],
    );
    case(
        "200 requests in one",
        [b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200), request(get, &[])].concat(),
        &[200],
    );
    case("asterisk form", request("OPTIONS *", &[]), &[404]);
    case("asterisk form of GET", request("GET *", &[]), &[400, 404]);
    case("absolute form", request("GET https://other.example/dicomweb/studies", &[]), &[200]);
    case("absolute form of another scheme", request("GET ftp://x/dicomweb/studies", &[]), &[200, 400, 404]);
    case("authority form of GET", request("GET gateway:443", &[]), &[400, 404]);
    case("CONNECT", request("CONNECT other.example:443", &[]), &[400, 404, 405]);
    case("TRACE", request("TRACE /dicomweb/studies", &["X-Secret: 1"]), &[405]);
    case(
        "WebSocket upgrade",
        request(
            get,
            &[
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ],
        ),
        &[200, 400, 426],
    );
    case(
        "h2c upgrade",
        request(
            get,
            &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"],
        ),
        &[200],
    );
    case("half a head", b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\nX-Ha".to_vec(), &[]);
    cases
}

#[test]
fn request_heads() {
    // For the requests that keep the connection open, or never come to their end.
    let mut service = with_series(&[
        ("dicomweb.limits", "idle_seconds", "1"),
        ("dicomweb.limits", "header_timeout_seconds", "2"),
    ]);
    let mut failures = String::new();
    for (name, bytes, statuses) in heads() {
        let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.flush();
        if statuses.is_empty() {
            // Nothing more comes of what is not whole; that needs no answer.
            let _ = stream.sock.shutdown(std::net::Shutdown::Write);
        }
        let response = Response::parse(&tls::read_to_close(&mut stream));
        let status = response.as_ref().map(|response| response.status);
        let fine = match status {
            None => statuses.is_empty(),
            Some(status) => statuses.contains(&status),
        };
        if !fine {
            failures += &format!("{name}: {status:?} instead of {statuses:?}\n");
        }
        let text = response.map(|response| String::from_utf8_lossy(&response.body).into_owned());
        assert!(!text.unwrap_or_default().contains("HTTP/1.1 404"), "{name}: what was smuggled is answered");
        service.answers(&name);
    }
    assert!(failures.is_empty(), "{failures}");
    service.end();
}

/// Target, header fields, status.
fn targets() -> Vec<(String, Vec<String>, u16)> {
    let study = format!("/dicomweb/studies/{STUDY}");
    let series = format!("{study}/series/{SERIES}");
    let instance = format!("{series}/instances/{INSTANCE}");
    let long = "1".repeat(65);
    let mut cases: Vec<(String, Vec<String>, u16)> = Vec::new();
    let mut path = |path: &str, status| cases.push((path.to_owned(), vec![], status));
    for (target, status) in [
        ("/", 404),
        ("//", 404),
        ("/dicomweb/../dicomweb/studies", 404),
        ("/dicomweb/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/dicomweb/..%2f..%2fetc%2fpasswd", 404),
        ("/DICOMWEB/studies", 404),
        ("/dicomwebs/studies", 404),
        ("/dicomweb//studies", 404),
        ("/dicomweb/studies//series", 400),
        ("/dicomweb/patients", 404),
        ("/dicomweb/studies/1.2/3.4", 404),
        ("/dicomweb/%", 400),
        ("/dicomweb/%4", 400),
        ("/dicomweb/%zz", 400),
        ("/dicomweb/%ff", 400),
        ("/dicomweb/%c0%af", 400),
        ("/dicomweb/%00", 404),
        ("/dicomweb/studies/%00", 400),
        ("/dicomweb/studies/1.2%00.3", 400),
        ("/dicomweb/studies/1.2%0d%0aX-Injected:%201", 400),
        ("/dicomweb/studies/%F0%9F%92%A9", 400),
        ("/dicomweb/studies/1.2..3", 400),
        ("/dicomweb/studies/.1", 400),
        ("/dicomweb/studies/1.", 400),
        ("/dicomweb/studies/.", 400),
        ("/dicomweb/studies/-1", 400),
        ("/dicomweb/studies/1.2.3%20", 400),
        ("/dicomweb/studies/*", 400),
        ("/dicomweb/studies/1.2/series/x", 400),
        ("/dicomweb/studies/1.2", 404),
        ("/dicomweb/studies/1.2/metadata", 404),
        ("/dicomweb/studies/1.2/rendered", 404),
        ("/dicomweb/studies/1.2/series/1.3/instances/1.4/frames/1", 404),
    ] {
        path(target, status);
    }
    path(&format!("/dicomweb/studies/{long}"), 400);
    path(&format!("/dicomweb/studies/1.2/series/{long}"), 400);
    path(&format!("/dicomweb{}", "/x".repeat(3000)), 404);
    path(&format!("/dicomweb{}", "/%2e".repeat(1900)), 404);
    path(&format!("/dicomweb/{}", "y".repeat(8190)), 414);
    let all: Vec<String> = (1..=1025).map(|n| n.to_string()).collect();
    for list in [
        "0",
        "1,0",
        "-1",
        "+1",
        "1,",
        ",1",
        ",",
        "1,1",
        "x",
        "1.5",
        "4294967296",
        "1-3",
        "1;2",
        "%31,x",
        "1%00",
    ] {
        path(&format!("{instance}/frames/{list}"), 400);
    }
    path(&format!("{instance}/frames/{}", all.join(",")), 400);
    path(&format!("{instance}/frames/2"), 404);
    path(&format!("{instance}/frames/1,2"), 404);
    path(&format!("{instance}/frames/4294967295"), 404);
    path(&format!("{instance}/frames/0/rendered"), 400);
    for bulk in
        ["7FE0001", "7FE000100", "PixelData", "7FE00010/0", "7FE00010/x/7FE00010", "7FE00010/-1/00100010"]
    {
        path(&format!("{instance}/bulkdata/{bulk}"), 400);
    }
    path(&format!("{instance}/bulkdata/00100010{}", "/0/00100010".repeat(40)), 404);
    path(&format!("{instance}/bulkdata/00100010{}", "/0/00100010".repeat(31)), 404);
    path(&format!("{instance}/bulkdata/52009229/4294967295/00280010"), 404);
    let query = |base: &str, query: &str| format!("{base}?{query}");
    for (parameters, status) in [
        ("%", 200),
        ("=", 200),
        ("&&&&", 200),
        ("?", 200),
        ("x=%ff", 400),
        ("%ff=x", 400),
        ("limit=x", 400),
        ("limit=-1", 400),
        ("limit=1&limit=1", 400),
        ("limit=99999999999999999999", 400),
        ("limit=0", 204),
        ("offset=x", 400),
        ("offset=18446744073709551615", 204),
        ("offset=1&offset=2", 400),
        ("fuzzymatching=maybe", 400),
        ("fuzzymatching=true&fuzzymatching=true", 400),
        ("multiplevaluematching=2", 400),
        ("emptyvaluematching=x", 400),
        ("includefield=%00", 400),
        ("includefield=7FE00010", 200),
        ("StudyDate=yesterday", 400),
        ("StudyDate=20260101-20250101-", 400),
        ("StudyDate=99999999", 400),
        ("StudyTime=250000", 400),
        ("StudyInstanceUID=x", 400),
        ("StudyInstanceUID=1.2%5C", 204),
        ("PatientID=a&PatientID=b", 400),
        ("PatientID=a&00100020=b", 400),
        ("PatientName=%00", 400),
        ("PatientName=%2A%2A%2A%2A%2A%2A%2A%2Ax", 204),
        ("filter=x", 400),
        ("filter=PatientID", 400),
        ("NumberOfSeriesRelatedInstances=x", 400),
        ("00080000=1", 204),
        ("FFFEE000=1", 204),
        ("ReferencedSeriesSequence.SeriesInstanceUID.StudyDate=1", 400),
        ("accept=image/png", 406),
        ("accept=*/*", 400),
        ("accept=application/dicom%2Bjson%22", 400),
    ] {
        path(&query("/dicomweb/studies", parameters), status);
    }
    let repeat = |pair: &str, count: usize| pair.repeat(count);
    path(&query("/dicomweb/studies", &repeat("a=b&", 513)), 400);
    path(&query("/dicomweb/studies", &format!("PatientID={}", "x".repeat(1025))), 400);
    path(&query("/dicomweb/studies", &format!("PatientID={}x", "%2A".repeat(1000))), 204);
    path(&query("/dicomweb/studies", &format!("StudyInstanceUID={}", repeat("1.2,", 250))), 204);
    let keys: Vec<String> = (0..65).map(|n| format!("000900{:02X}=x", n + 16)).collect();
    path(&query("/dicomweb/studies", &keys.join("&")), 400);
    let fields: Vec<String> = (0..257).map(|n| format!("{:08X}", 0x0018_1000 + n * 2)).collect();
    path(&query("/dicomweb/studies", &format!("includefield={}", fields.join(","))), 400);
    for (parameters, status) in [
        ("from=now", 400),
        ("from=-1", 200),
        ("from=99999999999", 400),
        ("rate=0", 400),
        ("rate=NaN", 400),
        ("rate=inf", 400),
        ("rate=-5", 400),
        ("rate=1e400", 400),
        ("x=%ff", 400),
        ("accept=text/plain", 406),
        ("accept=*/*", 400),
        ("accept=multipart/related;%20type=%22application/dicom", 400),
    ] {
        path(&query(&series, parameters), status);
    }
    path(&query(&series, &repeat("a=b&", 65)), 400);
    for parameters in [
        "viewport=0,0",
        "viewport=-1,5",
        "viewport=x",
        "viewport=1",
        "viewport=99999,99999",
        "viewport=8,8,,,0,0",
        "viewport=8,8,NaN,1,1,1",
        "viewport=1,2,3,4,5,6,7",
        "window=1,0,linear",
        "window=x,y,linear",
        "window=1,2,cubic",
        "window=inf,1,linear",
        "window=1,NaN,linear-exact",
        "quality=0",
        "quality=101",
        "quality=x",
        "quality=1&quality=2",
        "viewport=8,8&viewport=9,9",
        "iccprofile=%ff",
    ] {
        let status = 400;
        path(&query(&format!("{instance}/rendered"), parameters), status);
    }
    let mut field =
        |target: &str, field: String, status| cases.push((target.to_owned(), vec![field], status));
    for (accept, status) in [
        ("image/png", 406),
        ("text/html", 406),
        ("application/dicom+json;q=0", 406),
        ("*/*;q=0", 406),
        ("\"", 400),
        ("application/dicom+json; x=\"", 400),
        ("application/dicom+json; x=\"\\", 400),
        ("application/dicom+json;q=2", 400),
        ("application/dicom+json;q=0.1234", 400),
        ("application/dicom+json;q=-1", 400),
        ("application/dicom+json;q", 400),
        ("application/dicom+json;q=1;q=1", 400),
        ("application", 400),
        ("/", 400),
        ("*/json", 400),
        ("a/b/c", 400),
        ("a b", 400),
        ("\u{e4}/b", 400),
        ("multipart/related; type=\"", 400),
        ("multipart/related; type=\"x\"", 400),
        ("application/dicom+json; transfer-syntax=x", 400),
    ] {
        field("/dicomweb/studies", format!("Accept: {accept}"), status);
    }
    field("/dicomweb/studies", format!("Accept: {}", ["a/b"; 65].join(",")), 400);
    field("/dicomweb/studies", format!("Accept: a/{}", "b".repeat(5000)), 400);
    field("/dicomweb/studies", format!("Accept: {}*/*", ",".repeat(4000)), 200);
    field(&series, "Accept: multipart/related; type=\"application/dicom\", image/png".to_owned(), 400);
    field(&instance, "Accept: application/dicom; transfer-syntax=1.2.3".to_owned(), 406);
    field(&instance, "Accept: application/dicom; transfer-syntax=1.2.840.10008.1.2".to_owned(), 406);
    field(&format!("{instance}.1/rendered"), "Accept: image/jpeg".to_owned(), 406);
    for (name, status) in [
        ("Range: bytes=0-", 200),
        ("Range: bytes=9999999999-", 200),
        ("Range: bytes=5-1", 200),
        ("Range: lines=1", 200),
        ("If-Match: \"x\"", 200),
        ("If-None-Match: *", 200),
        ("If-Modified-Since: never", 200),
        ("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("If-Range: x", 200),
        ("Accept-Encoding: gzip;q=NaN", 200),
        ("Accept-Charset: \"", 200),
        ("Authorization: Basic =====", 401),
        ("Cookie: a=b; c=", 200),
        ("Origin: null", 200),
        ("Content-Type: multipart/related", 200),
        ("X-Forwarded-For: 10.0.0.1", 200),
        ("X-HTTP-Method-Override: DELETE", 200),
    ] {
        field("/dicomweb/studies", name.to_owned(), status);
    }
    let ranges: Vec<String> = (0..200).map(|n| format!("{n}-{n}")).collect();
    field(&instance, format!("Range: bytes={}", ranges.join(",")), 200);
    cases
}

#[test]
fn targets_and_fields() {
    let mut service = with_series(&[]);
    let mut failures = String::new();
    for (target, fields, status) in targets() {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let shown = format!("{} {fields:?}", &target[..target.len().min(150)]);
        match exchange(service.https, &request(&format!("GET {target}"), &fields)) {
            Some(response) if response.status == status && (status < 400 || is_problem(&response)) => {}
            Some(Response { status: got, head, body }) => {
                failures += &format!(
                    "{shown}: {got} instead of {status}: {head}{}\n",
                    String::from_utf8_lossy(&body[..body.len().min(300)])
                );
            }
            None => failures += &format!("{shown}: no answer\n"),
        }
        service.answers(&shown);
    }
    assert!(failures.is_empty(), "{failures}\n{}", service.log());
    service.end();
}

#[test]
fn methods_on_everything() {
    let mut service = with_series(&[]);
    let instance = format!("/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}");
    for target in [
        "/dicomweb/",
        "/dicomweb/studies",
        "/dicomweb/series",
        "/dicomweb/instances",
        &instance,
        &format!("{instance}/metadata"),
        &format!("{instance}/rendered"),
        &format!("{instance}/frames/1"),
        &format!("{instance}/frames/1/rendered"),
        &format!("{instance}/bulkdata/7FE00010"),
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "SUBSCRIBE", "X"] {
            let name = format!("{method} {target}");
            let takes_posts = matches!(target, "/dicomweb/studies" | "/dicomweb/instances");
            let response = exchange(service.https, &request(&name, &["Content-Length: 0"])).unwrap();
            assert!(is_problem(&response), "{name}: {response:?}");
            if takes_posts && method == "POST" {
                assert_eq!(response.status, 415, "{name}");
                continue;
            }
            let allow = if takes_posts { "GET, HEAD, POST, OPTIONS" } else { "GET, HEAD, OPTIONS" };
            assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{name}");
        }
        let head = exchange(service.https, &request(&format!("HEAD {target}"), &[])).unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {target}");
        let options = exchange(service.https, &request(&format!("OPTIONS {target}"), &[])).unwrap();
        assert_eq!(options.status, 200, "OPTIONS {target}");
        service.answers(target);
    }
    service.end();
}

#[test]
fn readers_that_go_away() {
    let mut service = with_series(&[]);
    let instance = format!("/dicomweb/studies/{STUDY}/series/{SERIES}");
    for taken in [0, 1, 100, 1000] {
        for reset in [false, true] {
            let mut stream = tls::connect(service.https, &["http/1.1"]).unwrap();
            stream.write_all(&request(&format!("GET {instance}"), &[])).unwrap();
            stream.flush().unwrap();
            stream.read_exact(&mut vec![0; taken]).unwrap();
            if reset {
                socket2::SockRef::from(&stream.sock).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            }
            drop(stream);
            service.answers("a reader that went away");
        }
    }
    service.end();
}
