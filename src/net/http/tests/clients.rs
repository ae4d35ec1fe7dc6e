//! Clients that are known by a certificate, and what becomes of them when it is revoked.

use std::fs;
use std::path::Path;

use rustls::HandshakeKind;
use tempfile::TempDir;

use super::*;
use crate::net::tls::testing::client_of;

/// A server that asks for client certificates; the second authority is the one it trusts.
async fn mutual(folder: &Path) -> (Server, Authority) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut identity = ours.write_identity(folder, "server", &["localhost"]);
    let roots = folder.join("clients.pem");
    fs::write(&roots, &theirs.certificate_pem).unwrap();
    identity.client_ca = Some(roots);
    let tls = Reloading::from_files(&identity, HTTP_ALPN).unwrap();
    (Server::with(unhurried(), tls, ours.certificate_pem, PATIENCE).await, theirs)
}

fn leaf(authority: &Authority) -> (String, String) {
    let now = SystemTime::now();
    authority.issue(&["client"], day(now, -1), day(now, 1))
}

#[tokio::test]
async fn a_client_certificate_is_required_when_roots_are_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (server, theirs) = mutual(folder.path()).await;
    let stranger = Authority::new();
    for identity in [None, Some(leaf(&stranger))] {
        // With TLS 1.3 the client learns of it when it reads.
        if let Ok(mut stream) = secure(server.tcp().await, client(&server.root, H1, identity)).await {
            let _ = stream.write_all(b"GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            gone(&mut stream).await;
        }
    }
    patiently(server.connections.closed()).await;
    assert_eq!(server.counters.tls_failed.get(), 2);
    let (stream, _known) = server.own.connect(server.address).await.unwrap();
    let own = secure(stream, client(&server.root, H1, None)).await.unwrap();
    let answer = patiently(h1_over(own).await.send_request(get("/who"))).await.unwrap();
    assert_eq!(text(answer).await, "false", "we ourselves show none");

    let config = client(&server.root, H1, Some(leaf(&theirs)));
    let known = secure(server.tcp().await, config).await.unwrap();
    let answer = patiently(h1_over(known).await.send_request(get("/who"))).await.unwrap();
    assert_eq!(text(answer).await, "true");
}

#[tokio::test]
async fn a_client_that_a_reload_no_longer_trusts_cannot_resume_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let (server, theirs) = mutual(folder.path()).await;
    let config = client(&server.root, H1, Some(leaf(&theirs)));
    for resumed in [false, true] {
        let stream = secure(server.tcp().await, Arc::clone(&config)).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind == Some(HandshakeKind::Resumed), resumed, "{kind:?}");
        let answer = patiently(h1_over(stream).await.send_request(get("/who"))).await.unwrap();
        assert_eq!(text(answer).await, "true");
    }
    fs::write(folder.path().join("clients.pem"), Authority::new().certificate_pem).unwrap();
    server.tls.reload().unwrap();
    if let Ok(mut stream) = secure(server.tcp().await, config).await {
        let _ = stream.write_all(b"GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        gone(&mut stream).await;
    }
    patiently(server.connections.closed()).await;
    assert_eq!(server.counters.tls_failed.get(), 1);
}

/// A server whose clients' authority revokes.
struct Revoking {
    folder: TempDir,
    server: Server,
    theirs: Authority,
}

impl Revoking {
    async fn start(optional: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (Authority::named("ours"), Authority::named("theirs"));
        let mut identity = ours.write_identity(folder.path(), "server", &["localhost"]);
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            Some(folder.path().join(name))
        };
        identity.client_ca = file("clients.pem", &theirs.certificate_pem);
        identity.client_crl = file("clients.crl", &theirs.revoke(&[], day(SystemTime::now(), 1)));
        identity.client_certificate_optional = optional;
        let tls = Reloading::from_files(&identity, HTTP_ALPN).unwrap();
        let server = Server::with(unhurried(), tls, ours.certificate_pem, PATIENCE).await;
        Self { folder, server, theirs }
    }

    /// A client with the certificate of that number; `None` has none.
    fn client(&self, serial: Option<u64>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let identity = serial.map(|serial| self.theirs.client("client", vec![], serial));
        client(&self.server.root, alpn, identity)
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
        secure(self.server.tcp().await, Arc::clone(config)).await.unwrap()
    }

    fn revoke(&self, serials: &[u64]) {
        let list = self.theirs.revoke(serials, day(SystemTime::now(), 1));
        fs::write(self.folder.path().join("clients.crl"), list).unwrap();
        assert!(self.server.tls.changed_on_disk());
        self.server.tls.reload().unwrap();
    }

    /// Whether a new connection gets an answer; the server may let a TLS 1.3 client think so at first.
    async fn is_admitted(&self, config: &Arc<ClientConfig>) -> bool {
        let Ok(mut stream) = secure(self.server.tcp().await, Arc::clone(config)).await else { return false };
        let request = b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = Vec::new();
        let _ = stream.write_all(request).await;
        let _ = patiently(stream.read_to_end(&mut answer)).await;
        answer.starts_with(b"HTTP/1.1 200")
    }
}

/// RFC 8446 §2.2: a resumed session asks for no certificate, so the server must not know the session.
#[tokio::test]
async fn a_revoked_client_is_refused_though_it_holds_a_session_ticket() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let it = Revoking::start(false).await;
        let identity = |serial| Some(it.theirs.client("client", vec![], serial));
        let config = client_of(&[version], &it.server.root, H1, identity(7));
        for resumed in [false, true] {
            let stream = it.connect(&config).await;
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind == Some(HandshakeKind::Resumed), resumed, "{version:?} {kind:?}");
            let answer = patiently(h1_over(stream).await.send_request(get("/who"))).await.unwrap();
            assert_eq!(text(answer).await, "true");
        }
        it.revoke(&[7]);
        assert!(!it.is_admitted(&config).await, "{version:?}: with its ticket");
        assert!(!it.is_admitted(&config).await, "{version:?}: and without");
        assert!(it.is_admitted(&client_of(&[version], &it.server.root, H1, identity(8))).await);
        patiently(it.server.connections.closed()).await;
        assert_eq!(it.server.counters.tls_failed.get(), 2);
    }
}

#[tokio::test]
async fn what_a_revoked_client_is_reading_ends_and_others_go_on() {
    let mut it = Revoking::start(false).await;
    let live = async |it: &mut Revoking, serial, alpn| {
        let stream = it.connect(&it.client(Some(serial), alpn)).await;
        let mut sender = if alpn == H1 {
            Sender::H1(h1_over(stream).await)
        } else {
            let io = TokioIo::new(stream);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Sender::H2(sender)
        };
        let response = sender.get("/live").await;
        (sender, response, it.server.live().await)
    };
    let (_a, mut on_h1, to_h1) = live(&mut it, 7, H1).await;
    let (_b, mut on_h2, to_h2) = live(&mut it, 7, H2).await;
    let (_c, mut on_good, to_good) = live(&mut it, 8, H2).await;
    let mut upgraded = {
        let mut sender = h1_over(it.connect(&it.client(Some(7), H1)).await).await;
        let mut request = get("/upgrade");
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
        let response = patiently(sender.send_request(request)).await.unwrap();
        TokioIo::new(patiently(hyper::upgrade::on(response)).await.unwrap())
    };
    assert_eq!(it.server.connections.len(), 4);

    it.revoke(&[7]);
    patiently(to_h1.closed()).await;
    patiently(to_h2.closed()).await;
    assert!(patiently(on_h1.body_mut().frame()).await.unwrap().is_err());
    assert!(patiently(on_h2.body_mut().frame()).await.unwrap().is_err());
    assert!(!matches!(patiently(upgraded.read(&mut [0])).await, Ok(1..)));
    patiently(it.server.connections.at_most(1)).await;
    assert_eq!(it.server.counters.revoked.get(), 3);

    to_good.send(Bytes::from_static(b"frame")).await.unwrap();
    let frame = patiently(on_good.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "frame");
}

/// A request that waits behind a response keeps hyper from reading, and so from noticing.
#[tokio::test]
async fn a_revoked_client_that_pipelines_is_sent_nothing_more() {
    let mut it = Revoking::start(false).await;
    let mut stream = it.connect(&it.client(Some(7), H1)).await;
    let twice = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
    stream.write_all(&twice).await.unwrap();
    let live = it.server.live().await;
    live.send(Bytes::from_static(b"before")).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"before\r\n") {
        assert!(patiently(stream.read_buf(&mut seen)).await.unwrap() > 0);
    }
    it.revoke(&[7]);
    let _ = live.send(Bytes::from_static(b"after")).await;
    seen.clear();
    let _ = patiently(stream.read_to_end(&mut seen)).await;
    assert_eq!(seen, b"", "nothing is sent after the revocation");
    patiently(it.server.connections.closed()).await;
    assert_eq!(it.server.counters.revoked.get(), 1);
}

#[tokio::test]
async fn a_certificate_that_is_optional_is_still_judged() {
    let it = Revoking::start(true).await;
    it.revoke(&[7]);
    let who = async |serial| {
        let stream = it.connect(&it.client(serial, H1)).await;
        text(patiently(h1_over(stream).await.send_request(get("/who"))).await.unwrap()).await
    };
    assert_eq!(who(None).await, "false");
    assert_eq!(who(Some(8)).await, "true");
    assert!(!it.is_admitted(&it.client(Some(7), H1)).await);
    let stranger = Authority::named("stranger").client("client", vec![], 8);
    assert!(!it.is_admitted(&client(&it.server.root, H1, Some(stranger))).await);
}

#[tokio::test]
async fn a_bad_list_changes_nothing() {
    let mut it = Revoking::start(false).await;
    let config = it.client(Some(7), H1);
    let mut sender = h1_over(it.connect(&config).await).await;
    let mut response = patiently(sender.send_request(get("/live"))).await.unwrap();
    let live = it.server.live().await;
    fs::write(it.folder.path().join("clients.crl"), "cut short").unwrap();
    it.server.tls.reload().unwrap_err();
    live.send(Bytes::from_static(b"frame")).await.unwrap();
    assert!(patiently(response.body_mut().frame()).await.unwrap().is_ok());
    assert!(it.is_admitted(&config).await);
}
