//! The connection to the receiver: made before there is anything to send, made again when it breaks, over TLS with our
//! certificate where the receiver asks for one. Transport and trust are those of RFC 5425.
//!
//! ```text
//!            ┌──── a growing pause, or other settings ────┐
//!            ▼                                            │
//!        connecting ──► sending, one message after another ── closed by the receiver, broken, stuck
//! ```
//!
//! A receiver says nothing, so what it does say is not looked at; that it closes is noticed at once.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::occurrence::{Alert, Occurrence, Outcome};
use super::{Shared, events, journal};
use crate::config::settings::{AuditReceiver, AuditSettings};
use crate::net::backoff::BackOff;
use crate::net::tls::{ClientTls, TlsError, host};

const CONNECT: Duration = Duration::from_secs(10);
/// For one message to be taken by the kernel.
const SEND: Duration = Duration::from_secs(10);
/// What went out so long before the receiver closed may not have been read.
const DOUBT: Duration = Duration::from_secs(1);
/// What went out so long before a connection broke may not have arrived: the kernel gives up after [`SEND`].
const LOST: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that has lasted so long was one that the receiver wanted.
const PROVEN: Duration = Duration::from_secs(5);
/// When we end the connection, for the receiver to end its side: then it has read everything.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no connection within {CONNECT:?}")]
    Late,
    #[error("audit.receiver does not begin with a name or an address that a certificate could have")]
    Name,
    #[error(transparent)]
    Files(#[from] TlsError),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("the receiver has closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the receiver has taken nothing for {SEND:?}")]
    Stuck,
}

impl SendError {
    fn mend(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Late | Self::Stuck => {
                "is it running, and does the network let us through?"
            }
            Self::Tls(_) | Self::Closed => {
                "does it trust audit.certificate, does audit.ca have its issuer, and is it named as in audit.receiver?"
            }
            Self::Name | Self::Files(_) | Self::Broken(_) => "look at [audit]",
        }
    }
}

/// Why sending has ended, where nothing is wrong.
enum Ended {
    /// The settings have changed.
    Changed,
    /// Everything is out, and nothing more comes.
    Done,
}

/// Sends until nothing more is recorded.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut settings = shared.settings.subscribe();
    let mut closing = shared.closing.subscribe();
    let mut backoff = BackOff::new(PAUSE, LONGEST_PAUSE);
    loop {
        let AuditSettings { receiver, .. } = settings.borrow_and_update().clone();
        let is_closing = *closing.borrow();
        if is_closing && shared.spool().len() == 0 {
            return;
        }
        let Some(receiver) = receiver else {
            tokio::select! {
                _ = settings.changed() => continue,
                _ = closing.wait_for(|&closing| closing) => return,
            }
        };
        let sent = match connect(&receiver).await {
            Ok(stream) => {
                let since = Instant::now();
                shared.connected(true);
                let sent = deliver(stream, &shared, &mut settings, &mut closing).await;
                shared.connected(false);
                // One that does not like our certificate says so after the handshake (RFC 8446 §4.4.2.4).
                if since.elapsed() > PROVEN {
                    backoff.reset();
                }
                sent
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(Ended::Done) => return,
            Ok(Ended::Changed) => {}
            Err(error) => {
                shared.complain(&receiver, &error);
                // Whoever waits for the last messages does not wait for long.
                let pause = if is_closing { PAUSE } else { backoff.pause() };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = settings.changed() => {}
                    _ = closing.wait_for(|&closing| closing), if !is_closing => {}
                }
            }
        }
    }
}

async fn connect(receiver: &AuditReceiver) -> Result<TlsStream<TcpStream>, SendError> {
    let tls = ClientTls::of(&receiver.tls, &[]);
    // Reads files.
    let config = tokio::task::spawn_blocking(move || tls.current()).await;
    let config = config.map_err(|error| SendError::Connect(io::Error::other(error)))??;
    let name = ServerName::try_from(host(&receiver.address).to_owned()).map_err(|_| SendError::Name)?;
    let connecting = async {
        let stream = TcpStream::connect(&receiver.address).await.map_err(SendError::Connect)?;
        stream.set_nodelay(true).map_err(SendError::Connect)?;
        SockRef::from(&stream).set_tcp_user_timeout(Some(SEND)).map_err(SendError::Connect)?;
        TlsConnector::from(config).connect(name, stream).await.map_err(SendError::Tls)
    };
    timeout(CONNECT, connecting).await.map_err(|_| SendError::Late)?
}

/// Sends what waits, and what comes.
async fn deliver<S: AsyncRead + AsyncWrite>(
    stream: S,
    shared: &Arc<Shared>,
    settings: &mut watch::Receiver<AuditSettings>,
    closing: &mut watch::Receiver<bool>,
) -> Result<Ended, SendError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut ignored = [0; 512];
    loop {
        let ended = tokio::select! {
            biased;
            read = reader.read(&mut ignored) => match read {
                Ok(1..) => continue,
                Ok(0) => Err(SendError::Closed),
                Err(error) => Err(SendError::Broken(error)),
            },
            _ = settings.changed() => Ok(Ended::Changed),
            message = shared.next(closing) => match message {
                None => Ok(Ended::Done),
                Some(message) => {
                    let out = async {
                        writer.write_all(&message).await?;
                        writer.flush().await
                    };
                    match timeout(SEND, out).await {
                        Ok(Ok(())) => {
                            shared.went_out(&message);
                            continue;
                        }
                        Ok(Err(error)) => Err(SendError::Broken(error)),
                        Err(_) => Err(SendError::Stuck),
                    }
                }
            },
        };
        match &ended {
            Ok(_) => {
                // It may be gone already; what it has not read then is lost with it.
                let _ = writer.shutdown().await;
                let _ =
                    timeout(GOODBYE, async { while let Ok(1..) = reader.read(&mut ignored).await {} }).await;
            }
            Err(SendError::Closed) => shared.go_back(DOUBT),
            Err(_) => shared.go_back(LOST),
        }
        return ended;
    }
}

impl Shared {
    /// Waits for the next message; `None` once nothing more comes. Safe to drop while it waits.
    async fn next(&self, closing: &mut watch::Receiver<bool>) -> Option<Arc<[u8]>> {
        loop {
            if let Some(message) = self.front() {
                return Some(message);
            }
            if *closing.borrow_and_update() {
                return None;
            }
            tokio::select! {
                () = self.filled.notified() => {}
                // An error means that whoever would say so is gone: nothing more comes either.
                _ = closing.changed() => {}
            }
        }
    }

    /// The next message; after the last of them how many were lost.
    fn front(&self) -> Option<Arc<[u8]>> {
        let mut spool = self.spool();
        if let Some(message) = spool.front() {
            return Some(message);
        }
        let lost = spool.take_lost();
        drop(spool);
        if lost == 0 {
            return None;
        }
        let alert = Occurrence::SecurityAlert {
            alert: Alert::AuditRecordingStopped,
            outcome: Outcome::SeriousFailure,
            peer: None,
            user: None,
            said: format!(
                "{lost} audit messages were lost, since the receiver was away and audit.queue was full"
            ),
        };
        journal::tell(&alert, &self.source.program);
        self.put(&alert, SystemTime::now());
        self.spool().front()
    }

    fn went_out(&self, message: &Arc<[u8]>) {
        let mut spool = self.spool();
        spool.went_out(message, Instant::now());
        self.counters.waiting.set(i64::try_from(spool.len()).unwrap_or(i64::MAX));
        self.counters.sent.inc();
    }

    fn go_back(&self, doubt: Duration) {
        let mut spool = self.spool();
        let now = Instant::now();
        spool.go_back(now.checked_sub(doubt).unwrap_or(now));
        self.counters.waiting.set(i64::try_from(spool.len()).unwrap_or(i64::MAX));
    }

    fn connected(&self, is_connected: bool) {
        self.counters.connected.set(i64::from(is_connected));
        if is_connected && self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            events::Back {}.tell();
        }
    }

    /// Logs what is wrong, once.
    fn complain(&self, receiver: &AuditReceiver, error: &SendError) {
        self.counters.failures.inc();
        let said = format!("{error}; {}", error.mend());
        let mut known = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(&said) {
            events::Away { receiver: &receiver.address, why: &said }.tell();
            *known = Some(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio::task::JoinHandle;

    use super::super::counters::AuditCounters;
    use super::super::{Audit, How, Party, Withheld};
    use super::*;
    use crate::config::settings::PeerTls;

    fn audit(queue: usize) -> Audit {
        let tls = PeerTls { ca: "/none".into(), identity: None };
        let receiver = Some(AuditReceiver { address: "audit.example:6514".into(), tls });
        let settings = AuditSettings { receiver, queue };
        Audit::new(settings, "box", "FRAMEGATE", "framegate 1", AuditCounters::default())
    }

    fn ask(audit: &Audit, what: &str) {
        audit.record(Occurrence::Query {
            by: Party::at("192.0.2.7".parse().unwrap()),
            to: Party::here(),
            of: what.to_owned(),
            question: Withheld::new("PatientName=Sesame"),
        });
    }

    /// A connection of `audit` to a receiver, which is at the other end.
    fn connected(audit: &Audit) -> (DuplexStream, JoinHandle<Result<Ended, SendError>>) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let shared = audit.shared.clone().unwrap();
        let sending = tokio::spawn(async move {
            let (mut settings, mut closing) = (shared.settings.subscribe(), shared.closing.subscribe());
            deliver(ours, &shared, &mut settings, &mut closing).await
        });
        (theirs, sending)
    }

    /// The next message, by the count of its octets.
    async fn next(stream: &mut DuplexStream) -> String {
        let mut length = String::new();
        loop {
            match stream.read_u8().await.unwrap() {
                b' ' => break,
                digit => length.push(char::from(digit)),
            }
        }
        let mut message = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut message).await.unwrap();
        String::from_utf8(message).unwrap()
    }

    #[tokio::test]
    async fn what_found_no_room_is_told_after_what_did() {
        let audit = audit(2);
        ["/a", "/b", "/c", "/d", "/e"].iter().for_each(|what| ask(&audit, what));
        assert_eq!((audit.state().waiting, audit.state().lost), (2, 3));
        let (mut receiver, sending) = connected(&audit);
        for what in ["/a", "/b"] {
            let message = next(&mut receiver).await;
            assert!(message.contains(&format!("ParticipantObjectID=\"{what}\"")), "{message}");
        }
        assert!(next(&mut receiver).await.contains("Audit Recording Stopped"));
        ask(&audit, "/f");
        assert!(next(&mut receiver).await.contains("\"/f\""));
        audit.close();
        let mut rest = Vec::new();
        receiver.read_to_end(&mut rest).await.unwrap();
        drop(receiver);
        assert!(rest.is_empty() && matches!(sending.await.unwrap(), Ok(Ended::Done)));
        assert_eq!(audit.state().waiting, 0);
    }

    #[tokio::test]
    async fn what_a_receiver_may_not_have_read_before_it_closed_goes_out_again() {
        let audit = audit(10);
        let (mut receiver, sending) = connected(&audit);
        ask(&audit, "/a");
        let first = next(&mut receiver).await;
        drop(receiver);
        assert!(sending.await.unwrap().is_err());
        ask(&audit, "/b");
        let (mut receiver, _sending) = connected(&audit);
        assert_eq!(next(&mut receiver).await, first);
        assert!(next(&mut receiver).await.contains("\"/b\""));
    }

    #[tokio::test]
    async fn without_a_receiver_nothing_waits() {
        let audit = audit(10);
        ask(&audit, "/a");
        assert_eq!(audit.state().waiting, 1);
        audit.reload(&AuditSettings::default());
        ask(&audit, "/b");
        assert_eq!((audit.state().waiting, audit.state().receiver), (0, None));
        let user = "viewer".to_owned();
        let (peer, outcome) = ("192.0.2.7".parse().unwrap(), Outcome::Success);
        audit.record(Occurrence::UserAuthenticated { user, peer, outcome, how: How::Code });
        audit.close();
        audit.send().await;
    }
}
