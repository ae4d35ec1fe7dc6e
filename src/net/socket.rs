//! A TCP socket with what belongs to it for as long as it is open: its place among the
//! [`super::limits::Connections`] if it was accepted, a deadline for the peer to take bytes, and the end
//! that comes when its client is no longer admitted. As they sit in the socket, they also hold for a
//! connection that was upgraded and left HTTP behind.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::Permit;
use super::progress::Activity;

/// A peer that answers no keep-alive probe is gone: noticed within a minute, even on a stream that
/// has nothing to send.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new();
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// Sets up a connected socket: small messages go out at once, and the kernel gives up on a peer
/// that acknowledges nothing (TCP_USER_TIMEOUT, RFC 5482). Its time is twice ours, so that it is
/// our own deadline that ends a connection whose peer is merely not reading.
pub(super) fn tune(stream: &TcpStream, send_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(send_timeout.saturating_mul(2)))?;
    socket.set_tcp_keepalive(
        &KEEPALIVE.with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_PROBES),
    )
}

/// The socket below TLS.
pub(super) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    send_timeout: Duration,
    /// Told once, when the deadline has passed.
    stalled: Box<dyn Fn() + Send + Sync>,
    /// Runs while the kernel takes nothing. Kept when it does not, as making one costs.
    deadline: Pin<Box<Sleep>>,
    sending: Sending,
    /// Completes when the client is no longer admitted; `None` for one without a certificate.
    withdrawn: Option<Withdrawn>,
    is_cut: bool,
    _permit: Option<Permit>,
}

/// Completes when a client is no longer admitted, and has told whom it concerns.
type Withdrawn = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// The kernel took the last bytes.
    Free,
    /// It did not, and the deadline runs.
    Blocked,
    /// The deadline has passed: nothing is sent any more.
    GivenUp,
}

impl Socket {
    /// `stalled` is told, once, when the peer has taken no bytes for `send_timeout`.
    pub(super) fn new(
        stream: TcpStream,
        send_timeout: Duration,
        permit: Option<Permit>,
        activity: Arc<Activity>,
        stalled: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            stream,
            activity,
            send_timeout,
            stalled: Box::new(stalled),
            deadline: Box::pin(sleep_until(Instant::now())),
            sending: Sending::Free,
            withdrawn: None,
            is_cut: false,
            _permit: permit,
        }
    }

    /// Cuts the connection when `withdrawn` completes: whoever reads or writes gets an error, and nothing
    /// is read or sent any more.
    pub(super) fn cut_when(&mut self, withdrawn: impl Future<Output = ()> + Send + 'static) {
        self.withdrawn = Some(Box::pin(withdrawn));
    }

    /// Asked on every read and write: a reader of HTTP always waits for bytes, so it is woken; and what
    /// does not read (a pipelined request keeps hyper from it) can at least not write.
    fn still_admitted(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(withdrawn) = &mut self.withdrawn
            && withdrawn.as_mut().poll(context).is_ready()
        {
            self.withdrawn = None;
            self.is_cut = true;
            // What the kernel still holds is not for this client.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        if self.is_cut {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client is no longer admitted"));
        }
        Ok(())
    }

    /// Turns "not now" into an error when it has been said for too long.
    fn bounded(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stalled = || io::Error::new(io::ErrorKind::TimedOut, "the peer takes no bytes");
        if self.sending == Sending::GivenUp {
            return Poll::Ready(Err(stalled()));
        }
        if written.is_ready() {
            if self.sending == Sending::Blocked {
                self.sending = Sending::Free;
                self.activity.set_blocked(false);
            }
            return written;
        }
        if self.sending == Sending::Free {
            self.sending = Sending::Blocked;
            self.activity.set_blocked(true);
            self.deadline.as_mut().reset(Instant::now() + self.send_timeout);
        }
        ready!(self.deadline.as_mut().poll(context));
        self.sending = Sending::GivenUp;
        (self.stalled)();
        // What the kernel still holds is of no use to anyone: let it go at once instead of keeping it
        // until the peer closes.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        Poll::Ready(Err(stalled()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.still_admitted(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.still_admitted(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.still_admitted(context)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bounded(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
