//! The association to the upstream: a connection, the modality's own A-ASSOCIATE-RQ, and its answer.
//!
//! The request goes on as it came, byte for byte, but for AE titles where the configuration maps them. So all that
//! can be negotiated (contexts, roles, extended negotiation, user identity, maximum length, asynchronous window) is
//! negotiated between the modality and the upstream themselves, and every PDU afterwards fits both.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::Relay;
use crate::net::tls::{TlsError, host};

/// A connection to an upstream.
pub(super) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Where the AE titles stand in an A-ASSOCIATE-RQ or -AC (PS3.8 §9.3.2, §9.3.3), header included.
pub(in crate::source::dimse) const CALLED: Range<usize> = 10..26;
pub(in crate::source::dimse) const CALLING: Range<usize> = 26..42;
/// The longest answer (bytes).
const ANSWER_LIMIT: usize = 512 << 10;
/// What a modality may say before it has its answer (bytes).
const EARLY: usize = 64 << 10;
/// The header of a PDU (bytes).
const HEADER: usize = 6;

/// Why there is no answer of the upstream.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error("no connection within relay.NAME.connect_seconds ({0:?})")]
    ConnectTimeout(Duration),
    #[error("its address is no name for TLS")]
    Name,
    #[error(transparent)]
    Files(#[from] TlsError),
    #[error("it does not answer the A-ASSOCIATE-RQ within {0:?}")]
    Silent(Duration),
    #[error("the modality has left before it was answered")]
    Left,
    #[error("it answers the A-ASSOCIATE-RQ with something else than an answer")]
    NoAnswer,
}

/// What the upstream says to the A-ASSOCIATE-RQ: the whole PDU, as the modality is to get it.
#[derive(Debug)]
pub(in crate::source::dimse) enum Answer {
    /// A-ASSOCIATE-AC.
    Accepted(Bytes),
    /// A-ASSOCIATE-RJ, or A-ABORT.
    Refused(Bytes),
}

/// Who waits for the answer.
pub(in crate::source::dimse) trait Modality {
    /// What it says all the same, at least one byte; none where it has left.
    fn says(&mut self) -> impl Future<Output = BytesMut> + Send;
}

/// An association with the upstream, or its refusal.
#[derive(Debug)]
pub(super) struct Associated {
    pub(super) stream: Connection,
    pub(super) socket: socket2::Socket,
    pub(super) answer: Answer,
    /// What the modality has said before it had the answer, and the upstream has got.
    pub(super) early: BytesMut,
}

/// Connects, asks, and waits for the answer. `patience` is for the answer alone.
///
/// # Errors
/// When there is none.
pub(super) async fn associate(
    relay: &Relay,
    request: &[u8],
    patience: Duration,
    modality: &mut impl Modality,
) -> Result<Associated, Unreachable> {
    let within = relay.settings.connect;
    let connecting = timeout(within, Box::pin(connect(relay))).await;
    let (mut stream, socket) = connecting.map_err(|_| Unreachable::ConnectTimeout(within))??;
    let asking = timeout(patience, ask(relay, &mut stream, request, modality)).await;
    let (answer, early) = asking.map_err(|_| Unreachable::Silent(patience))??;
    Ok(Associated { stream, socket, answer, early })
}

async fn connect(relay: &Relay) -> Result<(Connection, socket2::Socket), Unreachable> {
    let stream = TcpStream::connect(&relay.settings.address).await?;
    let socket = super::super::listener::prepare(&stream)?;
    let Some(tls) = relay.tls.clone() else { return Ok((Either::Left(stream), socket)) };
    let name =
        ServerName::try_from(host(&relay.settings.address).to_owned()).map_err(|_| Unreachable::Name)?;
    // Reads files, where they have changed.
    let config = tokio::task::spawn_blocking(move || tls.current()).await;
    let config = config.map_err(|error| Unreachable::Connect(io::Error::other(error)))??;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok((Either::Right(Box::new(stream)), socket))
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    relay: &Relay,
    stream: &mut S,
    request: &[u8],
    modality: &mut impl Modality,
) -> Result<(Answer, BytesMut), Unreachable> {
    let mut asked = BytesMut::from(request);
    let settings = &relay.settings;
    let mapped =
        [(CALLED, &settings.upstream_called_ae_title), (CALLING, &settings.upstream_calling_ae_title)];
    for (field, title) in mapped.clone() {
        if let (Some(field), Some(title)) = (asked.get_mut(field), title) {
            let title = title.bytes().chain(std::iter::repeat(b' '));
            field.iter_mut().zip(title).for_each(|(to, from)| *to = from);
        }
    }
    stream.write_all(&asked).await?;
    stream.flush().await?;
    let mut early = BytesMut::new();
    let mut answer = BytesMut::with_capacity(4 * HEADER);
    while answer.len() < HEADER {
        // No more than that: what follows the answer is not ours to read.
        let wanted = HEADER - answer.len();
        let mut header = (&mut answer).limit(wanted);
        tokio::select! {
            read = stream.read_buf(&mut header) => {
                if read? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
            said = modality.says() => {
                if said.is_empty() || early.len() + said.len() > EARLY {
                    // It may be gone already.
                    let _ = stream.shutdown().await;
                    return Err(Unreachable::Left);
                }
                stream.write_all(&said).await?;
                stream.flush().await?;
                early.unsplit(said);
            }
        }
    }
    let Some(&[kind, _, l0, l1, l2, l3]) = answer.first_chunk::<HEADER>() else {
        return Err(Unreachable::NoAnswer);
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if !matches!(kind, 0x02 | 0x03 | 0x07) || length > ANSWER_LIMIT {
        return Err(Unreachable::NoAnswer);
    }
    answer.resize(HEADER + length, 0);
    stream.read_exact(answer.get_mut(HEADER..).unwrap_or_default()).await?;
    if kind != 0x02 {
        return Ok((Answer::Refused(answer.freeze()), early));
    }
    // Where they were mapped, the modality sees the titles that it knows.
    for (field, title) in mapped {
        if let (Some(to), Some(from), Some(_)) = (answer.get_mut(field.clone()), request.get(field), title) {
            to.copy_from_slice(from);
        }
    }
    Ok((Answer::Accepted(answer.freeze()), early))
}

#[cfg(test)]
mod tests {
    use super::super::tests::relay;
    use super::*;

    /// It waits.
    struct Patient;

    impl Modality for Patient {
        async fn says(&mut self) -> BytesMut {
            std::future::pending().await
        }
    }

    /// It says this, and leaves.
    struct Leaves(Option<&'static [u8]>);

    impl Modality for Leaves {
        async fn says(&mut self) -> BytesMut {
            self.0.take().unwrap_or_default().into()
        }
    }

    #[tokio::test]
    async fn what_the_modality_says_before_it_leaves_is_passed_on() {
        let relay = relay("pacs", "127.0.0.1:1");
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        let asked = ask(&relay, &mut ours, &[0; 80], &mut Leaves(Some(b"abort"))).await;
        assert!(matches!(asked, Err(Unreachable::Left)));
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.unwrap();
        assert_eq!(got[80..], *b"abort");
    }

    #[tokio::test]
    async fn ae_titles_are_mapped_there_and_back_and_nothing_else() {
        let mut relay = relay("pacs", "127.0.0.1:1");
        relay.settings.upstream_called_ae_title = Some("ARCHIVE".to_owned());
        let mut request: Vec<u8> = (0..200).collect();
        request[CALLED].copy_from_slice(b"PACS            ");
        request[CALLING].copy_from_slice(b"XA1             ");
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        let upstream = async {
            let mut got = vec![0; 200];
            theirs.read_exact(&mut got).await.unwrap();
            let mut answer = vec![2, 0, 0, 0, 0, 94];
            answer.resize(100, 7);
            theirs.write_all(&answer).await.unwrap();
            got
        };
        let mut modality = Patient;
        let (answer, got) = tokio::join!(ask(&relay, &mut ours, &request, &mut modality), upstream);
        assert_eq!(&got[CALLED], b"ARCHIVE         ");
        let mut same = got.clone();
        same[CALLED].copy_from_slice(&request[CALLED]);
        assert_eq!(same, request);
        let (Answer::Accepted(answer), _) = answer.unwrap() else { panic!("refused") };
        assert_eq!(answer[CALLED], request[CALLED]);
        assert!(answer[CALLING.start..].iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_none() {
        let relay = relay("pacs", "127.0.0.1:1");
        for bytes in
            [&b"HTTP/1.1 400 Bad"[..], &[4, 0, 0, 0, 0, 0], &[2, 0, 0xFF, 0, 0, 0], &[3, 0, 0, 0, 0, 4]]
        {
            let (mut ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(bytes).await.unwrap();
            drop(theirs);
            assert!(ask(&relay, &mut ours, &[0; 80], &mut Patient).await.is_err(), "{bytes:?}");
        }
    }
}
