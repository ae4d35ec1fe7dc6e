//! The client against peers of the tests over loopback. Waiting is for events, with [`PATIENCE`] only so
//! that a failure ends; the client's own deadlines are short where a test is about them.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::net::http::BodyError;
use crate::net::tls::load;
use crate::net::tls::testing::Authority;

const PATIENCE: Duration = Duration::from_secs(30);

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it took too long")
}

fn trust() -> Trust {
    Trust { ca: PathBuf::from("/nonexistent"), identity: None }
}

/// A plain peer on this machine.
async fn listen(http: HttpVersion, send_timeout: Duration) -> (TcpListener, Arc<Peer>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap());
    let peer = Peer::new(&url, trust(), http).unwrap().deadlines(PATIENCE, send_timeout);
    (listener, Arc::new(peer))
}

/// A request whose body never ends and always has more, and what completes when the body is let go of.
fn endless(peer: &Peer) -> (Request<Body>, oneshot::Receiver<()>) {
    let (held, gone) = oneshot::channel::<()>();
    let chunks = stream::unfold(held, |held| async move {
        Some((Ok::<_, BodyError>(Frame::data(Bytes::from(vec![7; 64 << 10]))), held))
    });
    let body = StreamBody::new(chunks).boxed_unsync();
    (Request::post(peer.target("/instances").unwrap()).body(body).unwrap(), gone)
}

fn get(peer: &Peer) -> Request<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(peer.target("/x?y=z").unwrap()).body(body).unwrap()
}

#[test]
fn a_peer_is_named_by_scheme_host_port_and_path() {
    let target = |url: &str| {
        Peer::new(url, trust(), HttpVersion::Auto).map(|peer| peer.target("/studies").unwrap().to_string())
    };
    assert_eq!(target("https://pacs/dicom-web/").unwrap(), "https://pacs/dicom-web/studies");
    assert_eq!(target("http://[::1]:8042").unwrap(), "http://[::1]:8042/studies");
    for (url, error) in [
        ("", BadUrl::Unreadable),
        ("/dicom-web", BadUrl::Unreadable),
        ("pacs:8042", BadUrl::Unreadable),
        ("ftp://pacs/", BadUrl::Scheme),
        ("https://pacs/?a=b", BadUrl::More),
        ("https://me:secret@pacs/", BadUrl::More),
    ] {
        assert_eq!(target(url).unwrap_err(), error, "{url}");
    }
}

#[tokio::test]
async fn plain_http_stays_on_this_machine_unless_allowed() {
    // An address for documents (RFC 5737), which is never connected to.
    let peer = Peer::new("http://192.0.2.1/", trust(), HttpVersion::Auto).unwrap();
    let refused = Connection::open(&Arc::new(peer)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Plain { .. }), "{refused}");
    let (listener, _) = listen(HttpVersion::Auto, PATIENCE).await;
    let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    Connection::open(&Arc::new(Peer::new(&url, trust(), HttpVersion::Auto).unwrap())).await.unwrap();
}

#[tokio::test]
async fn the_request_is_written_as_its_version_has_it() {
    let (listener, peer) = listen(HttpVersion::Auto, PATIENCE).await;
    let mut connection = Connection::open(&peer).await.unwrap();
    let _answer = connection.send(get(&peer));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(patiently(stream.read_u8()).await.unwrap());
    }
    let expected = format!("GET /base/x?y=z HTTP/1.1\r\nhost: {}\r\n\r\n", peer.authority());
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[tokio::test]
async fn the_version_is_agreed_on_by_alpn_and_the_names_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.write_identity(folder.path(), "peer", &["127.0.0.1"]);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &authority.certificate_pem).unwrap();
    let h1: &[&[u8]] = &[b"http/1.1"];
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (offered, host, wanted, got) in [
        (both, "127.0.0.1", HttpVersion::Auto, Ok(Version::HTTP_2)),
        (both, "127.0.0.1", HttpVersion::Http1, Ok(Version::HTTP_11)),
        (h1, "127.0.0.1", HttpVersion::Auto, Ok(Version::HTTP_11)),
        (&[], "127.0.0.1", HttpVersion::Auto, Ok(Version::HTTP_11)),
        (&[], "127.0.0.1", HttpVersion::Http2, Err("HTTP/2")),
        (both, "localhost", HttpVersion::Auto, Err("not valid for name")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(load(&identity, offered).unwrap().config);
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // Kept open for the client to look at.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        let trust = Trust { ca: ca.clone(), identity: None };
        let peer = Peer::new(&format!("https://{host}:{port}"), trust, wanted).unwrap();
        let opened = patiently(Connection::open(&Arc::new(peer))).await;
        match (opened, got) {
            (Ok(connection), Ok(version)) => assert_eq!(connection.version(), version),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (opened, _) => panic!("{host} {wanted:?}: {opened:?}"),
        }
        served.abort();
    }
}

#[tokio::test]
async fn connecting_has_a_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, Authority::new().certificate_pem).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let peer = Peer::new(&url, Trust { ca, identity: None }, HttpVersion::Auto).unwrap();
    // Accepted by the kernel; nobody shakes hands.
    let opened = Connection::open(&Arc::new(peer.deadlines(Duration::from_millis(200), PATIENCE))).await;
    assert!(matches!(opened, Err(ConnectError::Late { .. })));
}

#[tokio::test]
async fn an_answer_is_seen_while_the_request_is_being_sent_and_dropping_all_stops_it() {
    let (listener, peer) = listen(HttpVersion::Auto, PATIENCE).await;
    let mut connection = Connection::open(&peer).await.unwrap();
    let (request, gone) = endless(&peer);
    let answer = connection.send(request);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(patiently(answer).await.unwrap().status(), 405);
    drop(connection);
    assert!(patiently(gone).await.is_err(), "the body is let go of");
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_given_up() {
    let short = Duration::from_millis(300);
    let (_listener, peer) = listen(HttpVersion::Auto, short).await;
    let mut connection = Connection::open(&peer).await.unwrap();
    let (request, gone) = endless(&peer);
    assert_eq!(patiently(connection.send(request)).await.unwrap_err(), SendError::Stalled);
    assert!(patiently(gone).await.is_err());
    assert!(!patiently(connection.ready()).await);
}

#[tokio::test]
async fn a_peer_that_grants_no_window_is_given_up() {
    let short = Duration::from_millis(300);
    let (listener, peer) = listen(HttpVersion::Http2, short).await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let _held = connection.accept().await;
        // The connection itself goes on: only the window is never opened again.
        while connection.accept().await.is_some() {}
    });
    let mut connection = Connection::open(&peer).await.unwrap();
    let (request, gone) = endless(&peer);
    assert_eq!(patiently(connection.send(request)).await.unwrap_err(), SendError::Stalled);
    assert!(patiently(gone).await.is_err());
}

#[tokio::test]
async fn a_request_that_the_peer_did_not_look_at_is_known_as_such() {
    for goes_away in [false, true] {
        let (listener, peer) = listen(HttpVersion::Http2, PATIENCE).await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
            if goes_away {
                // As a server does that goes down: this stream is not its business any more.
                connection.abrupt_shutdown(h2::Reason::NO_ERROR);
            } else {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            while connection.accept().await.is_some() {}
        });
        let mut connection = Connection::open(&peer).await.unwrap();
        let (request, gone) = endless(&peer);
        let error = patiently(connection.send(request)).await.unwrap_err();
        if goes_away {
            // Its GOAWAY names the stream as one that was looked at.
            assert!(matches!(error, SendError::Broken(_) | SendError::Unprocessed), "{error}");
        } else {
            assert_eq!(error, SendError::Unprocessed);
        }
        drop(connection);
        assert!(patiently(gone).await.is_err());
    }
}

#[tokio::test]
async fn a_goodbye_is_noticed_while_a_request_is_under_way() {
    let (listener, peer) = listen(HttpVersion::Http2, PATIENCE).await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let _held = connection.accept().await;
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    });
    let mut connection = Connection::open(&peer).await.unwrap();
    let pending = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BodyError>>()).boxed_unsync();
    let request = Request::post(peer.target("/instances").unwrap()).body(pending).unwrap();
    let answer = connection.send(request);
    patiently(connection.closing()).await;
    assert!(!connection.is_open());
    assert!(tokio::time::timeout(Duration::ZERO, answer).await.is_err(), "the request itself goes on");
}

#[tokio::test]
async fn a_peer_that_closes_an_idle_connection_is_noticed() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let (listener, peer) = listen(http, PATIENCE).await;
        let mut connection = Connection::open(&peer).await.unwrap();
        assert!(connection.is_open());
        drop(listener.accept().await.unwrap());
        patiently(connection.closing()).await;
        assert!(!patiently(connection.ready()).await);
        let error = patiently(connection.send(get(&peer))).await.unwrap_err();
        assert_eq!(error, SendError::Unprocessed);
    }
}
