//! Reads PDUs and their PDVs from a stream (PS3.8 §9.3), straight into the buffer where the bytes
//! belong.
//!
//! Two things make a C-STORE fast here. Payload is read from the socket into the caller's buffer,
//! without a copy in between, as soon as a PDV is large enough to be worth a system call of its
//! own. And `TCP_QUICKACK` is armed again before each read (the kernel forgets it): senders that
//! leave Nagle's algorithm on would otherwise wait for our delayed acknowledgement, some 44 ms, at
//! the end of every message.

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, Pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// PDUs at least this long are read directly; smaller ones many at a time through the read-ahead.
const DIRECT: usize = 32 << 10;
const READ_AHEAD_SMALL: usize = 4 << 10;
const READ_AHEAD_LARGE: usize = 64 << 10;

/// A stream that ended or cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum PduError {
    /// The peer closed the connection between two PDUs.
    #[error("the peer closed the connection without releasing the association")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// No byte came for too long.
    #[error("the peer was silent for {0:?}")]
    Stalled(Duration),
    /// The peer aborted.
    #[error("the peer aborted the association (source {from}, reason {reason})")]
    Aborted {
        /// 0 service user, 2 service provider (PS3.8 §9.3.8).
        from: u8,
        /// Reason / diagnostic field.
        reason: u8,
    },
    /// A PDU that has no place here.
    #[error("a PDU of type {0:02X}H is not expected here")]
    Unexpected(u8),
    /// Not a PDU: another protocol, most likely.
    #[error("{0:02X}H is no PDU type: the peer does not speak DICOM")]
    Unrecognized(u8),
    /// A PDU longer than we said we take.
    #[error("a PDU of {length} bytes is longer than the {limit} that were negotiated")]
    TooLong {
        /// Its length field.
        length: u32,
        /// Our Maximum Length Received.
        limit: u32,
    },
    /// A field that cannot be right.
    #[error("malformed PDU: {0}")]
    Malformed(&'static str),
}

impl PduError {
    /// The A-ABORT to answer with; `None` where nobody listens any more.
    pub fn abort(&self) -> Option<Pdu> {
        use AbortRQServiceProviderReason as Reason;
        let reason = match self {
            Self::Closed | Self::Io(_) | Self::Aborted { .. } => return None,
            Self::Stalled(_) => Reason::ReasonNotSpecified,
            Self::Unexpected(_) => Reason::UnexpectedPdu,
            Self::Unrecognized(_) => Reason::UnrecognizedPdu,
            Self::TooLong { .. } | Self::Malformed(_) => Reason::InvalidPduParameter,
        };
        Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) })
    }

    /// A word for the counter's label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Io(_) => "io",
            Self::Stalled(_) => "stalled",
            Self::Aborted { .. } => "aborted",
            Self::Unexpected(_) => "unexpected_pdu",
            Self::Unrecognized(_) => "unrecognized_pdu",
            Self::TooLong { .. } => "pdu_too_long",
            Self::Malformed(_) => "malformed_pdu",
        }
    }
}

/// What comes next on an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A presentation data value; its payload is to be read next.
    Pdv(Pdv),
    /// A-RELEASE-RQ.
    Release,
}

/// The header of a PDV (PS3.8 §9.3.5.1, Annex E.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pdv {
    /// Presentation context ID.
    pub context: u8,
    /// Part of a command set rather than of a data set.
    pub command: bool,
    /// The last fragment of its set.
    pub last: bool,
}

/// The first PDU of a connection, whole, header included.
#[derive(Debug)]
pub struct AssociateRequest(pub BytesMut);

/// A stream of PDUs.
#[derive(Debug)]
pub struct PduStream<S> {
    stream: S,
    /// The same socket again, to arm TCP_QUICKACK beneath a TLS session.
    socket: Option<socket2::Socket>,
    ahead: BytesMut,
    limit: u32,
    stall: Duration,
    /// Payload bytes left in the current PDU and PDV.
    pdu_left: usize,
    pdv_left: usize,
    /// The PDV before was large, and so will be the next.
    large: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PduStream<S> {
    /// Reads PDUs of at most `limit` bytes; inside a message no read waits longer than `stall`.
    pub fn new(stream: S, socket: Option<socket2::Socket>, limit: u32, stall: Duration) -> Self {
        Self { stream, socket, ahead: BytesMut::new(), limit, stall, pdu_left: 0, pdv_left: 0, large: false }
    }

    /// Gives up reading PDUs: the stream, its socket, and what has been read ahead.
    pub fn into_parts(self) -> (S, Option<socket2::Socket>, BytesMut) {
        (self.stream, self.socket, self.ahead)
    }

    /// What the peer says out of turn, while it has to wait: at least one byte, unless it has closed. May be given up
    /// while it waits.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn out_of_turn(&mut self) -> io::Result<BytesMut> {
        if self.ahead.is_empty() {
            self.ahead.reserve(READ_AHEAD_SMALL);
            arm_quick_ack(self.socket.as_ref());
            self.stream.read_buf(&mut (&mut self.ahead).limit(READ_AHEAD_SMALL)).await?;
        }
        Ok(self.ahead.split())
    }

    /// Sends one PDU in one write.
    ///
    /// # Errors
    /// When the connection is broken or the peer takes nothing for the stall time.
    pub async fn send(&mut self, pdu: &[u8]) -> Result<(), PduError> {
        let write = async {
            self.stream.write_all(pdu).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(self.stall, write).await.map_err(|_| PduError::Stalled(self.stall))??;
        Ok(())
    }

    /// Says goodbye to the transport; what the peer has still sent is left unread.
    pub async fn close(&mut self) {
        // The peer may be gone already, which is what we want.
        let _ = tokio::time::timeout(self.stall, self.stream.shutdown()).await;
    }

    /// How long a read inside a message may wait.
    pub fn stall(&self) -> Duration {
        self.stall
    }

    /// Reads the A-ASSOCIATE-RQ, of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is none.
    pub async fn associate_request(&mut self, limit: u32) -> Result<AssociateRequest, PduError> {
        self.fill_ahead(6, self.stall).await?;
        let Some(&[kind, _, l0, l1, l2, l3]) = self.ahead.first_chunk::<6>() else {
            return Err(PduError::Closed);
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        match kind {
            0x01 => {}
            0x02..=0x07 => return Err(PduError::Unexpected(kind)),
            _ => return Err(PduError::Unrecognized(kind)),
        }
        if length > limit {
            return Err(PduError::TooLong { length, limit });
        }
        self.fill_ahead(6 + length as usize, self.stall).await?;
        Ok(AssociateRequest(self.ahead.split_to(6 + length as usize)))
    }

    /// The next PDV or the end. The payload of the one before must have been read. `patience`
    /// bounds the wait for the first byte.
    ///
    /// # Errors
    /// When the stream ends, stalls or breaks the protocol.
    pub async fn next(&mut self, patience: Duration) -> Result<Next, PduError> {
        debug_assert_eq!(self.pdv_left, 0, "the payload has been read");
        while self.pdu_left == 0 {
            if self.ahead.is_empty() && self.read_ahead(patience).await? == 0 {
                return Err(PduError::Closed);
            }
            self.fill_ahead(6, self.stall).await?;
            let kind = self.ahead.get_u8();
            self.ahead.advance(1);
            let length = self.ahead.get_u32();
            if length > self.limit {
                return Err(match kind {
                    0x01..=0x07 => PduError::TooLong { length, limit: self.limit },
                    _ => PduError::Unrecognized(kind),
                });
            }
            match kind {
                0x04 => self.pdu_left = length as usize,
                0x05 => {
                    self.fill_ahead(length as usize, self.stall).await?;
                    return Ok(Next::Release);
                }
                // Too short to say why, and no reason to wait for more.
                0x07 if length < 4 => return Err(PduError::Aborted { from: 0, reason: 0 }),
                0x07 => {
                    self.fill_ahead(4, self.stall).await?;
                    self.ahead.advance(2);
                    return Err(PduError::Aborted { from: self.ahead.get_u8(), reason: self.ahead.get_u8() });
                }
                0x01..=0x03 | 0x06 => return Err(PduError::Unexpected(kind)),
                _ => return Err(PduError::Unrecognized(kind)),
            }
        }
        if self.pdu_left < 6 {
            return Err(PduError::Malformed("a PDU ends inside a PDV header"));
        }
        self.fill_ahead(6, self.stall).await?;
        let length = self.ahead.get_u32() as usize;
        let (context, control) = (self.ahead.get_u8(), self.ahead.get_u8());
        if length < 2 || length - 2 > self.pdu_left - 6 {
            return Err(PduError::Malformed("a PDV reaches beyond its PDU"));
        }
        self.pdv_left = length - 2;
        self.large = self.pdv_left >= DIRECT;
        self.pdu_left -= 6 + self.pdv_left;
        Ok(Next::Pdv(Pdv { context, command: control & 1 == 1, last: control & 2 == 2 }))
    }

    /// Payload bytes of the current PDV that are still to be read.
    pub fn payload_left(&self) -> usize {
        self.pdv_left
    }

    /// Appends at most `most` payload bytes to `target`; at least one, unless none is left.
    ///
    /// # Errors
    /// When the stream ends or stalls.
    pub async fn payload(&mut self, target: &mut BytesMut, most: usize) -> Result<(), PduError> {
        let wanted = most.min(self.pdv_left);
        if wanted == 0 {
            return Ok(());
        }
        if self.ahead.is_empty() && wanted < DIRECT {
            self.fill_ahead(1, self.stall).await?;
        }
        let read = if self.ahead.is_empty() {
            target.reserve(wanted);
            arm_quick_ack(self.socket.as_ref());
            let mut target = target.limit(wanted);
            let read = self.stream.read_buf(&mut target);
            let read = tokio::time::timeout(self.stall, read).await;
            match read.map_err(|_| PduError::Stalled(self.stall))?? {
                0 => return Err(unexpected_end()),
                read => read,
            }
        } else {
            let ready = wanted.min(self.ahead.len());
            target.extend_from_slice(&self.ahead.split_to(ready));
            ready
        };
        self.pdv_left -= read;
        Ok(())
    }

    /// Makes sure that `needed` bytes are in the read-ahead.
    async fn fill_ahead(&mut self, needed: usize, patience: Duration) -> Result<(), PduError> {
        while self.ahead.len() < needed {
            if self.read_ahead(patience).await? == 0 {
                return Err(unexpected_end());
            }
        }
        Ok(())
    }

    async fn read_ahead(&mut self, patience: Duration) -> Result<usize, PduError> {
        // What is read together with the header of a large PDV has to be copied.
        let size = if self.large { READ_AHEAD_SMALL } else { READ_AHEAD_LARGE };
        self.ahead.reserve(size);
        arm_quick_ack(self.socket.as_ref());
        let mut target = (&mut self.ahead).limit(size);
        let read = tokio::time::timeout(patience, self.stream.read_buf(&mut target)).await;
        Ok(read.map_err(|_| PduError::Stalled(patience))??)
    }
}

/// Has the kernel acknowledge at once what comes next; to be repeated before each read.
pub(crate) fn arm_quick_ack(socket: Option<&socket2::Socket>) {
    if let Some(socket) = socket {
        // It is an optimisation; a socket that refuses it still works.
        let _ = socket.set_tcp_quickack(true);
    }
}

fn unexpected_end() -> PduError {
    PduError::Io(io::ErrorKind::UnexpectedEof.into())
}

/// What a PDV costs besides its fragment (bytes, PS3.8 §9.3.5.1).
pub const PDV_OVERHEAD: usize = 6;

/// A P-DATA-TF PDU that holds one whole command set (PS3.8 §9.3.5).
pub fn command_pdu(context: u8, command: &[u8]) -> Vec<u8> {
    pdata_pdu(context, 0b11, command)
}

/// A P-DATA-TF PDU that holds one fragment of a data set.
pub fn data_pdu(context: u8, last: bool, fragment: &[u8]) -> Vec<u8> {
    pdata_pdu(context, u8::from(last) << 1, fragment)
}

/// A P-DATA-TF PDU with one PDV (PS3.8 §9.3.5); `control` is its message control header (Annex E.2).
fn pdata_pdu(context: u8, control: u8, fragment: &[u8]) -> Vec<u8> {
    let length = fragment.len() as u32;
    let mut pdu = Vec::with_capacity(12 + fragment.len());
    pdu.put_slice(&[0x04, 0]);
    pdu.put_u32(length + PDV_OVERHEAD as u32);
    pdu.put_u32(length + 2);
    pdu.put_slice(&[context, control]);
    pdu.put_slice(fragment);
    pdu
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STALL: Duration = Duration::from_secs(5);

    fn pdata(pdvs: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (context, control, payload) in pdvs {
            body.put_u32(payload.len() as u32 + 2);
            body.put_slice(&[*context, *control]);
            body.put_slice(payload);
        }
        let mut pdu = vec![0x04, 0];
        pdu.put_u32(body.len() as u32);
        pdu.extend(body);
        pdu
    }

    /// Reads everything there is: the payload of each PDV, until the stream ends or errs.
    async fn read_all(bytes: Vec<u8>, chunk: usize) -> (Vec<(Pdv, Vec<u8>)>, PduError) {
        let (client, server) = tokio::io::duplex(chunk.max(1));
        let writer = async move {
            let mut client = client;
            let _ = client.write_all(&bytes).await;
        };
        let reader = async {
            let mut stream = PduStream::new(server, None, 1 << 17, STALL);
            let mut seen = Vec::new();
            loop {
                match stream.next(STALL).await {
                    Ok(Next::Pdv(pdv)) => {
                        let mut payload = BytesMut::new();
                        while stream.payload_left() > 0 {
                            if let Err(error) = stream.payload(&mut payload, 7000).await {
                                return (seen, error);
                            }
                        }
                        seen.push((pdv, payload.to_vec()));
                    }
                    Ok(Next::Release) => return (seen, PduError::Unexpected(5)),
                    Err(error) => return (seen, error),
                }
            }
        };
        tokio::join!(writer, reader).1
    }

    #[tokio::test]
    async fn pdvs_come_out_whatever_the_sizes() {
        let large = vec![7u8; 100_000];
        let mut bytes = pdata(&[(1, 3, b"command")]);
        bytes.extend(pdata(&[(1, 0, &large), (3, 2, b"")]));
        bytes.extend([0x05, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
        for chunk in [1, 13, 4096, 1 << 20] {
            let (seen, end) = read_all(bytes.clone(), chunk).await;
            assert!(matches!(end, PduError::Unexpected(5)), "{end:?}");
            let shape: Vec<_> =
                seen.iter().map(|(pdv, data)| (pdv.context, pdv.command, pdv.last, data.len())).collect();
            assert_eq!(shape, [(1, true, true, 7), (1, false, false, 100_000), (3, false, true, 0)]);
        }
    }

    #[tokio::test]
    async fn lies_are_refused() {
        let mut long = vec![0x04, 0];
        long.put_u32(u32::MAX);
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (long, "pdu_too_long"),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "unrecognized_pdu"),
            (vec![0x02, 0, 0, 0, 0, 0], "unexpected_pdu"),
            (vec![0x04, 0, 0, 0, 0, 3, 1, 2, 3], "malformed_pdu"),
            (vec![0x04, 0, 0, 0, 0, 6, 0, 0, 0, 9, 1, 0], "malformed_pdu"),
            (vec![0x04, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 0], "malformed_pdu"),
            (vec![0x07, 0, 0, 0, 0, 4, 0, 0, 2, 1], "aborted"),
            (vec![], "closed"),
            (vec![0x04, 0, 0], "io"),
        ];
        for (bytes, kind) in cases {
            let (_, end) = read_all(bytes.clone(), 64).await;
            assert_eq!(end.kind(), kind, "{bytes:02X?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..9) {
            let mut pdu = vec![kind, 0];
            pdu.extend(bytes);
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
                read_all(pdu, 50).await;
            });
        }
    }
}
