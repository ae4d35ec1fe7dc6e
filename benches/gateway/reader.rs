//! Applications: each opens a growing series (WADO-RS over TLS 1.3, AES-128-GCM) and notes when the
//! last byte of each part is there.
//!
//! All readers run on one thread of this process, so that their times and the sender's come from one
//! clock. An HTTP/1.1 reader either deciphers everything, as an application does, or only its first
//! parts and then counts the bytes in the headers of the TLS records: it stands for an application
//! on another machine, whose work must not compete with the gateway for this machine's cores. The
//! records' content it takes from the socket without a copy (MSG_TRUNC, tcp(7)).

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::SockRef;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::object::Object;
use crate::parts::{Parts, Response};
use crate::tls::{client_config, server_name};

/// What is read from a socket at once.
pub(crate) const READ: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(60);
const ACCEPTED: &str = r#"multipart/related; type="application/dicom""#;
/// Parts that a counting reader deciphers, to learn how long a part is with all that surrounds it.
pub(crate) const LEARNED: usize = 4;
/// What TLS 1.3 with AES-128-GCM adds to a record's content: its true type and the tag.
const RECORD_EXTRA: usize = 17;
const RECORD_HEADER: usize = 5;
/// The type that every enciphered record shows (RFC 8446 §5.2).
const ENCIPHERED: u8 = 23;
/// recv(2) on Linux: on a TCP socket, drops the bytes instead of copying them.
const MSG_TRUNC: i32 = 0x20;
/// What one reader takes before it is another's turn.
const TURN: usize = 512 << 10;

thread_local! {
    /// Nothing is ever written here: it says how many bytes are to be dropped.
    static DROPPED: RefCell<Vec<MaybeUninit<u8>>> = RefCell::new(vec![MaybeUninit::uninit(); READ]);
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// HTTP/1.1, deciphering.
    Http1,
    /// HTTP/1.1, counting.
    Http1Counting,
    /// HTTP/2, deciphering.
    Http2,
}

/// Readers at work.
#[derive(Debug)]
pub(crate) struct Readers {
    thread: JoinHandle<anyhow::Result<Vec<Vec<Instant>>>>,
    first: mpsc::Receiver<()>,
    count: usize,
}

impl Readers {
    /// Starts one reader for each form; each reads `parts` parts of the object's series.
    pub(crate) fn start(origin: SocketAddr, object: Object, parts: usize, forms: Vec<Form>) -> Self {
        let (tell, first) = mpsc::channel();
        let count = forms.len();
        let path = format!("/dicomweb/studies/{}/series/{}", object.study_uid(), object.series_uid());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let readers = forms.into_iter().map(|form| {
                    let job = Job { origin, path: path.clone(), parts, tell: tell.clone() };
                    tokio::spawn(async move {
                        let read = async {
                            match form {
                                Form::Http1 => job.http1(usize::MAX).await,
                                Form::Http1Counting => job.http1(LEARNED).await,
                                Form::Http2 => job.http2().await,
                            }
                        };
                        tokio::time::timeout(PATIENCE, read).await.context("a reader waited too long")?
                    })
                });
                let readers: Vec<_> = readers.collect();
                let mut all = Vec::with_capacity(readers.len());
                for reader in readers {
                    all.push(reader.await??);
                }
                Ok(all)
            })
        });
        Self { thread, first, count }
    }

    /// Waits until each has its first part.
    pub(crate) fn ready(&self) -> anyhow::Result<()> {
        for _ in 0..self.count {
            self.first.recv_timeout(PATIENCE).context("a reader got no part")?;
        }
        Ok(())
    }

    /// For each reader, when the last byte of each part was there.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<Vec<Instant>>> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the readers panicked"))?
    }
}

/// What one reader does.
struct Job {
    origin: SocketAddr,
    path: String,
    parts: usize,
    tell: mpsc::Sender<()>,
}

impl Job {
    /// Notes that `whole` parts are there.
    fn note(&self, times: &mut Vec<Instant>, whole: usize) {
        if whole == times.len() {
            return;
        }
        if times.is_empty() {
            // Nobody may be waiting for it.
            let _ = self.tell.send(());
        }
        times.resize(whole.min(self.parts), Instant::now());
    }

    async fn http1(self, deciphered: usize) -> anyhow::Result<Vec<Instant>> {
        let mut stream = TcpStream::connect(self.origin).await?;
        stream.set_nodelay(true)?;
        let mut session = Session::new(client_config(b"http/1.1")?, &self.path, self.origin)?;
        let mut times = Vec::with_capacity(self.parts);
        while times.len() < self.parts {
            let out = session.out()?;
            if !out.is_empty() {
                stream.write_all(&out).await?;
            }
            stream.readable().await?;
            if session.counting.is_some() {
                if let Err(error) = session.skip(&stream)
                    && error.kind() != io::ErrorKind::WouldBlock
                {
                    return Err(error.into());
                }
                self.note(&mut times, session.whole()?);
                continue;
            }
            let taken = BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
                Ok(0) => bail!("the gateway closed the connection after {} parts", times.len()),
                Ok(read) => session.take(buffer.get(..read).unwrap_or_default(), deciphered),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error.into()),
            });
            taken?;
            self.note(&mut times, session.whole()?);
        }
        Ok(times)
    }

    async fn http2(self) -> anyhow::Result<Vec<Instant>> {
        let stream = TcpStream::connect(self.origin).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(client_config(b"h2")?);
        let stream = connector.connect(server_name()?, stream).await?;
        let (mut sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(format!("https://{}{}", self.origin, self.path))
            .header(ACCEPT, ACCEPTED)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        ensure!(response.status().is_success(), "{}", response.status());
        let content_type = response.headers().get(CONTENT_TYPE).context("no Content-Type")?.to_str()?;
        let mut parts = Parts::new(content_type)?;
        let mut body = response.into_body();
        let mut times = Vec::with_capacity(self.parts);
        while times.len() < self.parts {
            let frame = body.frame().await.context("the live response ended")??;
            if let Ok(data) = frame.into_data() {
                parts.feed(data)?;
            }
            self.note(&mut times, parts.whole);
        }
        Ok(times)
    }
}

/// The TLS session of an HTTP/1.1 reader, and how far its response has come.
pub(crate) struct Session {
    tls: ClientConnection,
    pub(crate) response: Response,
    records: Records,
    /// Deciphered bytes of the response.
    plain: u64,
    /// Where in the response each part ended, as long as it is deciphered.
    ends: Vec<u64>,
    counting: Option<Counting>,
}

/// What a reader goes by that does not decipher any more.
struct Counting {
    /// What the records' content has ahead of the response: the end of the handshake.
    ahead: u64,
    /// Parts that were whole, where the last of them ended, and how long each further one is.
    whole: usize,
    end: u64,
    part: u64,
}

impl Session {
    pub(crate) fn new(config: Arc<ClientConfig>, path: &str, host: SocketAddr) -> anyhow::Result<Self> {
        let name: ServerName<'static> = server_name()?;
        let mut tls = ClientConnection::new(config, name)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {ACCEPTED}\r\n\r\n");
        io::Write::write_all(&mut tls.writer(), request.as_bytes())?;
        Ok(Self {
            tls,
            response: Response::new(),
            records: Records::default(),
            plain: 0,
            ends: Vec::new(),
            counting: None,
        })
    }

    /// What is to be sent.
    pub(crate) fn out(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out)?;
        }
        Ok(out)
    }

    /// Parts that are whole.
    fn whole(&self) -> anyhow::Result<usize> {
        let Some(counting) = &self.counting else { return Ok(self.response.whole()) };
        let beyond = (self.records.content - counting.ahead).saturating_sub(counting.end);
        Ok(counting.whole + usize::try_from(beyond / counting.part)?)
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self, mut wire: &[u8], deciphered: usize) -> anyhow::Result<()> {
        self.records.walk(wire);
        while !wire.is_empty() {
            self.tls.read_tls(&mut wire)?;
            let ready = self.tls.process_new_packets()?.plaintext_bytes_to_read();
            if ready == 0 {
                continue;
            }
            io::Read::read_exact(&mut self.tls.reader(), self.response.room(ready))?;
            self.plain += ready as u64;
            let before = self.response.whole();
            self.response.advance(ready)?;
            let whole = self.response.whole();
            ensure!(whole <= before + 1 || deciphered == usize::MAX, "parts came too fast to be learned");
            if whole > before {
                self.ends.push(self.plain - self.response.since_whole as u64);
            }
        }
        if self.response.whole() >= deciphered {
            self.count()?;
        }
        Ok(())
    }

    /// Takes some of what has come and only counts it.
    fn skip(&mut self, stream: &TcpStream) -> io::Result<()> {
        let mut taken = 0;
        while taken < TURN {
            let more = match self.records.missing {
                0 => stream.try_read(self.records.rest_of_header())?,
                missing => DROPPED.with_borrow_mut(|dropped| {
                    let most = missing.min(dropped.len());
                    let dropped = dropped.get_mut(..most).unwrap_or_default();
                    let receive = || SockRef::from(stream).recv_with_flags(dropped, MSG_TRUNC);
                    stream.try_io(Interest::READABLE, receive)
                })?,
            };
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.records.passed(more);
            taken += more;
        }
        Ok(())
    }

    /// Stops deciphering.
    fn count(&mut self) -> anyhow::Result<()> {
        let lengths: Vec<_> =
            self.ends.iter().zip(self.ends.iter().skip(1)).map(|(begin, end)| end - begin).collect();
        let (Some(&part), Some(&end)) = (lengths.last(), self.ends.last()) else { bail!("nothing learned") };
        ensure!(lengths.iter().all(|&length| length == part), "parts differ in length: {lengths:?}");
        let ahead = self.records.content - self.plain;
        self.counting = Some(Counting { ahead, whole: self.response.whole(), end, part });
        Ok(())
    }
}

/// Counts what is in TLS records without deciphering them.
#[derive(Debug, Default)]
struct Records {
    header: [u8; RECORD_HEADER],
    filled: usize,
    /// Bytes of the current record that are missing behind its header.
    missing: usize,
    /// Bytes of content in all whole enciphered records.
    content: u64,
}

impl Records {
    fn walk(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() {
            let room = if self.missing == 0 { self.rest_of_header().len() } else { self.missing };
            let (taken, rest) = wire.split_at(room.min(wire.len()));
            if self.missing == 0 {
                let header = self.rest_of_header().iter_mut();
                header.zip(taken).for_each(|(place, &byte)| *place = byte);
            }
            self.passed(taken.len());
            wire = rest;
        }
    }

    /// Where the next bytes go that belong to a header, when no content is missing.
    fn rest_of_header(&mut self) -> &mut [u8] {
        self.header.get_mut(self.filled..).unwrap_or_default()
    }

    /// So many bytes, of one header or of one record's content, have been taken.
    fn passed(&mut self, bytes: usize) {
        let [kind, _, _, high, low] = self.header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.missing == 0 {
            self.filled += bytes;
            if self.filled < RECORD_HEADER {
                return;
            }
            self.missing = length;
        } else {
            self.missing -= bytes;
        }
        if self.missing == 0 {
            self.filled = 0;
            if kind == ENCIPHERED {
                self.content += length.saturating_sub(RECORD_EXTRA) as u64;
            }
        }
    }
}
