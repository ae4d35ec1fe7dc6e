//! One direction of an association that is passed on: bytes are read, written to the other side, and only then
//! looked at (but for the answers to performed procedure steps, of which captures must know first). What is published is read straight into its place and written from there.

use std::future::Future as _;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::passing::{Passed, Passing};
use crate::dimse::command::Heading;
use crate::dimse::pdu::arm_quick_ack;

/// Pieces of a data set at least this long are read straight into their place (bytes).
const DIRECT: usize = 32 << 10;
/// Read at a time: behind a long piece, where little more than headers comes next; otherwise; within a long piece
/// that is not published (bytes).
const SMALL: usize = 4 << 10;
const LARGE: usize = 128 << 10;
const HUGE: usize = 256 << 10;
/// How long a side that is told of the end may take to hear it.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A-ABORT by the service provider, reason not specified (PS3.8 §9.3.8).
const A_ABORT: [u8; 10] = [7, 0, 0, 0, 0, 4, 0, 0, 2, 0];

/// Who is told what passes in one direction, after it has.
pub(super) trait Watch {
    /// Whether what comes next must be seen before the other side gets it.
    fn first(&self) -> bool {
        false
    }
    /// Where the next bytes of a data set belong, and how many at most; `None` where nobody wants them.
    fn room(&mut self) -> Option<(&mut BytesMut, usize)>;
    /// So many bytes have been put there.
    fn filled(&mut self, bytes: usize);
    /// A command set in this presentation context.
    fn command(&mut self, context: u8, heading: &Heading);
    /// The next bytes of a data set that were not put into its room.
    fn data(&mut self, bytes: &[u8]);
    /// A fragment of a data set is over, and with the `last` one the data set.
    fn fragment(&mut self, last: bool);
    /// Nothing that follows is understood.
    fn lost(&mut self);
}

const OPEN: u8 = 0;
const RELEASED: u8 = 1;
const ABORTED: u8 = 2;

/// What both directions of one association know together.
#[derive(Debug)]
pub(super) struct Traffic {
    began: Instant,
    /// When something last passed (ms since it began).
    last: AtomicU64,
    /// Requests without their last response.
    outstanding: AtomicI64,
    state: AtomicU8,
    /// Whether a direction is inside a PDU: the modality's, the upstream's.
    inside: [AtomicBool; 2],
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            outstanding: AtomicI64::new(0),
            state: AtomicU8::new(OPEN),
            inside: [AtomicBool::new(false), AtomicBool::new(false)],
        }
    }

    fn moved(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// How long nothing has passed.
    pub(super) fn still(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// Whether nobody waits for anything.
    pub(super) fn between_messages(&self) -> bool {
        self.outstanding.load(Ordering::Relaxed) <= 0
            && !self.inside.iter().any(|inside| inside.load(Ordering::Relaxed))
    }

    /// Whether the association was released.
    pub(super) fn released(&self) -> bool {
        self.state.load(Ordering::Relaxed) == RELEASED
    }

    /// Whether both sides know that the association is over.
    pub(super) fn over(&self) -> bool {
        self.state.load(Ordering::Relaxed) != OPEN
    }
}

/// Why a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Whoever is read from has closed, or is gone.
    Closed,
    /// Whoever is written to is gone.
    NotTaken,
    /// It was told to stop.
    Stopped,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the modality to the upstream.
    There = 0,
    /// From the upstream to the modality.
    Back = 1,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Direction<'t, R, W> {
    pub(super) from: R,
    pub(super) to: W,
    /// That of `from`.
    pub(super) socket: Option<socket2::Socket>,
    pub(super) way: Way,
    pub(super) traffic: &'t Traffic,
    pub(super) bytes: Counter,
    pub(super) passing: Passing,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Direction<'_, R, W> {
    /// Passes on what comes, after `ahead`, which has been read already, until there is no more or `stop` turns true.
    pub(super) async fn pump(
        mut self,
        watch: &mut impl Watch,
        ahead: BytesMut,
        mut stop: watch::Receiver<bool>,
    ) -> (Self, Ended) {
        let ended = tokio::select! {
            biased;
            ended = self.pass_on(watch, ahead) => ended,
            _ = stop.wait_for(|&stop| stop) => Ended::Stopped,
        };
        (self, ended)
    }

    async fn pass_on(&mut self, watch: &mut impl Watch, mut buffer: BytesMut) -> Ended {
        if !buffer.is_empty() {
            if write(&mut self.to, &buffer).await.is_err() {
                return Ended::NotTaken;
            }
            self.look(&buffer, watch);
        }
        // What has been read and looked at of a long piece, and goes out with the next bytes of it: one write, and
        // one wake-up of the other side, instead of two.
        let mut held = BytesMut::new();
        loop {
            let left = self.passing.data_left();
            let room = if left >= DIRECT { watch.room() } else { None };
            if let Some((target, room)) = room {
                let most = room.min(left);
                target.reserve(most);
                let read = match read(&mut self.from, self.socket.as_ref(), target, most).await {
                    Ok(0) | Err(_) => return self.last(&held).await,
                    Ok(read) => read,
                };
                let fresh = target.get(target.len().saturating_sub(read)..).unwrap_or_default();
                let written = write_both(&mut self.to, &held, fresh).await;
                held.clear();
                if written.is_err() {
                    return Ended::NotTaken;
                }
                watch.filled(read);
                self.passing.passed(read);
                self.bytes.inc_by(read as u64);
                self.look(&[], watch);
                continue;
            }
            if !held.is_empty() {
                let written = write(&mut self.to, &held).await;
                held.clear();
                if written.is_err() {
                    return Ended::NotTaken;
                }
            }
            let size = match (left, self.passing.last_length()) {
                (DIRECT.., _) => HUGE,
                (_, DIRECT..) => SMALL,
                _ => LARGE,
            };
            buffer.clear();
            buffer.reserve(size);
            match read(&mut self.from, self.socket.as_ref(), &mut buffer, size).await {
                Ok(0) | Err(_) => return Ended::Closed,
                Ok(_) => {}
            }
            let long = self.passing.between_pdus() && begins_long(&buffer);
            let first = long || watch.first();
            if first {
                self.look(&buffer, watch);
            }
            if long && watch.room().is_some() {
                std::mem::swap(&mut held, &mut buffer);
                continue;
            }
            if write(&mut self.to, &buffer).await.is_err() {
                return Ended::NotTaken;
            }
            if !first {
                self.look(&buffer, watch);
            }
        }
    }

    /// There is no more to read; what is held goes out.
    async fn last(&mut self, held: &[u8]) -> Ended {
        if held.is_empty() || write(&mut self.to, held).await.is_ok() {
            Ended::Closed
        } else {
            Ended::NotTaken
        }
    }

    /// Looks at what has passed.
    pub(super) fn look(&mut self, mut bytes: &[u8], watch: &mut impl Watch) {
        self.bytes.inc_by(bytes.len() as u64);
        self.traffic.moved();
        while let Some(passed) = self.passing.next(&mut bytes) {
            match passed {
                Passed::Command { context, bytes } => match Heading::read(&bytes) {
                    Ok(heading) => {
                        let change = i64::from(heading.is_request()) - i64::from(heading.is_final_response());
                        self.traffic.outstanding.fetch_add(change, Ordering::Relaxed);
                        watch.command(context, &heading);
                    }
                    // Whoever gets it will say so.
                    Err(_) => watch.lost(),
                },
                Passed::Data(data) => watch.data(data),
                Passed::Fragment { last } => watch.fragment(last),
                Passed::Pdu(0x06) => self.traffic.state.store(RELEASED, Ordering::Relaxed),
                Passed::Pdu(0x07) => self.traffic.state.store(ABORTED, Ordering::Relaxed),
                Passed::Pdu(_) => {}
                Passed::Lost => watch.lost(),
            }
        }
        if let Some(inside) = self.traffic.inside.get(self.way as usize) {
            inside.store(!self.passing.between_pdus(), Ordering::Relaxed);
        }
    }

    /// Tells whoever is written to that it is over, where that is news and can be said, and closes.
    pub(super) async fn close(&mut self) {
        let last_words = async {
            if !self.traffic.over() && self.passing.between_pdus() {
                write(&mut self.to, &A_ABORT).await?;
            }
            self.to.shutdown().await
        };
        // It may be gone already, which is what we want.
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }

    /// Reads what still comes for nobody, since to close on unread bytes would take back our last words.
    pub(super) async fn linger(&mut self) {
        let mut sink = BytesMut::with_capacity(LARGE);
        let rest = async {
            while self.from.read_buf(&mut sink).await.is_ok_and(|read| read > 0) {
                sink.clear();
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    }
}

async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    socket: Option<&socket2::Socket>,
    into: &mut BytesMut,
    most: usize,
) -> io::Result<usize> {
    let mut into = into.limit(most);
    let mut read = std::pin::pin!(from.read_buf(&mut into));
    // Acknowledged at once is only what the sender may be waiting for: when there is nothing left to read.
    std::future::poll_fn(|context| {
        let polled = read.as_mut().poll(context);
        if polled.is_pending() {
            arm_quick_ack(socket);
        }
        polled
    })
    .await
}

/// Whether these bytes are the beginning of a PDU with one long piece of a data set, and all but a little of it is
/// still to come.
fn begins_long(bytes: &[u8]) -> bool {
    let Some(&[kind, _, _, _, _, _, l0, l1, l2, l3, _, control]) = bytes.first_chunk::<12>() else {
        return false;
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    kind == 0x04 && control & 1 == 0 && bytes.len() <= SMALL && length >= bytes.len() + DIRECT
}

/// Writes `first`, then `second`, in one call where the system does that.
async fn write_both<W: AsyncWrite + Unpin>(to: &mut W, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut both = Buf::chain(first, second);
    while both.has_remaining() {
        if to.write_buf(&mut both).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    to.flush().await
}

async fn write<W: AsyncWrite + Unpin>(to: &mut W, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}
