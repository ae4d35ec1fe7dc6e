//! A TLS client that trusts anybody, and the least of HTTP/1.1 that reads one response.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::service::PATIENCE;

/// A connection in its session. Unlike rustls's own it can be read after a write has failed: what the
/// service said before it hung up is what the tests are about.
pub struct Stream {
    pub session: ClientConnection,
    pub sock: TcpStream,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.session.read_tls(&mut self.sock)? == 0 {
                return Ok(0);
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.session.writer().write(buffer)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.sock)?;
        }
        Ok(())
    }
}

/// The service makes itself a certificate at each start; whose it is, is not the question here.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn session(alpn: &[&str]) -> ClientConnection {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let mut config = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// A ClientHello, as the record that it is sent in.
pub fn client_hello(alpn: &[&str]) -> Vec<u8> {
    let mut hello = Vec::new();
    session(alpn).write_tls(&mut hello).unwrap();
    hello
}

pub fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A connection on which the handshake is done.
pub fn connect_over(mut tcp: TcpStream, alpn: &[&str]) -> io::Result<Stream> {
    let mut session = session(alpn);
    while session.is_handshaking() {
        session.complete_io(&mut tcp)?;
    }
    Ok(Stream { session, sock: tcp })
}

pub fn connect(address: SocketAddr, alpn: &[&str]) -> io::Result<Stream> {
    connect_over(tcp(address), alpn)
}

/// Reads until the peer closes, in whatever way; fails only when it stays silent.
pub fn read_to_close(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(read) => all.extend(&buffer[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("silence for {PATIENCE:?} after {:?}", String::from_utf8_lossy(&all))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return all,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Status line and header fields.
    pub head: String,
    /// As sent: chunked, if that is what it was.
    pub body: Vec<u8>,
}

impl Response {
    /// The first response in `bytes`; `None` where there is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head, body: bytes[end..].to_vec() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &&str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let line = self.head.lines().find(line)?;
        line[name.len()..].strip_prefix(':').map(str::trim)
    }
}

/// Sends `request` on a connection of its own and reads until the service closes.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Option<Response> {
    let mut stream = connect(address, &["http/1.1"]).ok()?;
    // It may have had enough of a long request before the end.
    let _ = stream.write_all(request);
    let _ = stream.flush();
    Response::parse(&read_to_close(&mut stream))
}

/// GET with `Connection: close`.
pub fn get(address: SocketAddr, target: &str) -> Option<Response> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes())
}

/// Ends the TCP connection below TLS without a word.
pub fn vanish(stream: &Stream) {
    let _ = stream.sock.shutdown(Shutdown::Both);
}
