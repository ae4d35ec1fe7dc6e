//! One notification connection: the WebSocket (RFC 6455) from the upgrade to its end.
//!
//! It reads the queues of all subscriptions that it is for in turns and sends what is new. A client
//! that reads slowly holds up this task only: what leaves a queue meanwhile is told as event 6, with
//! the number of the last event that it stands for, so that numbers go on without a hole that is not
//! explained. One that takes nothing is ended by the send deadline of the socket (`net`).

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::Shared;
use super::counters::Told;
use super::event::{News, Status};
use super::events;
use super::listener::{After, Listener, Opening, Place};
use super::queue::Read;
use crate::net::counters::Open;

/// The longest message of a client (bytes); none needs to be sent.
const MOST_MESSAGE: usize = 4 << 10;
/// Events that go out before the client is listened to again.
const BURST: usize = 64;
/// How long a client has to take the last words and to close its side.
const GOODBYE: Duration = Duration::from_secs(1);
/// Bytes of a client that are read and thrown away while it is told good-bye.
const LEFT_OVER: u64 = 1 << 20;

/// A place for a connection, and then the connection. Its place is free again when it is dropped.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    after: Vec<After>,
    places: Vec<Place>,
    /// Whose turn it is.
    turn: usize,
}

/// Why we close, in the words of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The subscriber has no subscription any more.
    NothingLeft,
    /// The server is going down.
    GoingDown,
    /// The principal has lost its right.
    Dismissed,
    /// A message of the client was too large.
    TooLarge,
    /// The client broke RFC 6455.
    Protocol,
    /// The client did not answer pings.
    Silent,
}

impl Why {
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::NothingLeft => (CloseCode::Normal, "the subscriber has no subscription"),
            Self::GoingDown => (CloseCode::Away, "the server is going down"),
            Self::Dismissed => (CloseCode::Policy, "the right to subscribe is gone"),
            Self::TooLarge => (CloseCode::Size, "messages may have 4096 bytes"),
            Self::Protocol => (CloseCode::Protocol, "not the protocol of RFC 6455"),
            Self::Silent => (CloseCode::Error, "pings were not answered"),
        };
        CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
    }
}

/// How a session ends.
enum End {
    /// We close.
    Ours(Why),
    /// The client closed.
    Theirs,
    /// The connection broke.
    Broken(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Theirs,
            Error::Capacity(_) => Self::Ours(Why::TooLarge),
            Error::Protocol(_) | Error::Utf8(_) | Error::AttackAttempt => Self::Ours(Why::Protocol),
            other => Self::Broken(other),
        }
    }
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, listener: Arc<Listener>, after: Vec<After>) -> Self {
        Self { shared, listener, after, places: Vec::new(), turn: 0 }
    }

    /// Serves a connection that has been upgraded, until it ends.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut self, stream: S) {
        let _open = Open::new(&self.shared.counters.connections);
        let config = WebSocketConfig::default()
            .read_buffer_size(MOST_MESSAGE)
            .max_message_size(Some(MOST_MESSAGE))
            .max_frame_size(Some(MOST_MESSAGE));
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let mut down = self.shared.down.subscribe();
        let late = async {
            // The sender lives in what we hold.
            let _ = down.wait_for(|&down| down).await;
            sleep(GOODBYE).await;
        };
        let ended = tokio::select! {
            ended = self.talk(&mut socket) => ended,
            () = late => End::Ours(Why::GoingDown),
        };
        match ended {
            End::Ours(why) => {
                if why == Why::Silent {
                    self.shared.counters.dropped.inc();
                }
                // A client that does not take its good-bye goes without.
                let _ = timeout(GOODBYE, farewell(&mut socket, why)).await;
            }
            End::Theirs => {
                let _ = timeout(GOODBYE, socket.get_mut().shutdown()).await;
            }
            End::Broken(error) => {
                if matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut) {
                    self.shared.counters.dropped.inc();
                }
                events::Broke { error: &error }.tell();
            }
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut WebSocketStream<S>) -> End {
        let (done, opened) = oneshot::channel();
        let opening =
            Opening { listener: Arc::clone(&self.listener), after: std::mem::take(&mut self.after), done };
        if self.shared.openings.send(opening).await.is_err() || opened.await.is_err() {
            return End::Ours(Why::GoingDown);
        }
        let ping = self.shared.registry.settings().ping;
        let mut heard = Instant::now();
        let mut asked = false;
        loop {
            if self.listener.is_dismissed() {
                return End::Ours(Why::Dismissed);
            }
            // Asked before the queues are looked at: what is there then is all that there will be.
            let is_down = *self.shared.down.borrow();
            let more = match self.send_some(socket).await {
                Ok(more) => more,
                Err(error) => return error.into(),
            };
            if !more && is_down {
                return End::Ours(Why::GoingDown);
            }
            if !more && self.places.is_empty() {
                return End::Ours(Why::NothingLeft);
            }
            let due = heard + if asked { ping * 2 } else { ping };
            tokio::select! {
                biased;
                message = socket.next() => match message {
                    None => return End::Theirs,
                    // The library answers both; what comes behind a Close is its end.
                    Some(Ok(_)) => (heard, asked) = (Instant::now(), false),
                    Some(Err(error)) => return error.into(),
                },
                () = std::future::ready(()), if more => {}
                () = self.listener.bell.notified() => {}
                () = sleep_until(due) => {
                    if asked {
                        return End::Ours(Why::Silent);
                    }
                    asked = true;
                    if let Err(error) = socket.send(Message::Ping(Bytes::new())).await {
                        return error.into();
                    }
                }
            }
        }
    }

    /// Sends what is there, up to a burst. Whether there may be more.
    async fn send_some<S>(&mut self, socket: &mut WebSocketStream<S>) -> Result<bool, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        for _ in 0..BURST {
            let Some(text) = self.next() else {
                socket.flush().await?;
                return Ok(false);
            };
            socket.feed(Message::Text(text.into())).await?;
        }
        socket.flush().await?;
        Ok(true)
    }

    /// The next event, of whichever subscription's turn it is.
    fn next(&mut self) -> Option<String> {
        self.places.append(&mut self.listener.take());
        let mut looked = 0;
        while looked < self.places.len() {
            let index = self.turn % self.places.len();
            let place = self.places.get_mut(index)?;
            let subscription = place.queue.subscription();
            let now = SystemTime::now();
            let (number, news) = if std::mem::take(&mut place.restarted) {
                (place.position, Arc::new(News::status(Status::Restarted, now)))
            } else {
                match place.queue.read(place.position) {
                    Read::Next(number, news) => (number, news),
                    Read::Gone { last, count } => {
                        self.shared.count_missed(subscription, count);
                        (last, Arc::new(News::missed(None, count, now)))
                    }
                    Read::Nothing => {
                        looked += 1;
                        self.turn = index + 1;
                        continue;
                    }
                    Read::Ended => {
                        place.queue.detach(&self.listener.bell);
                        self.places.remove(index);
                        continue;
                    }
                }
            };
            let text = news.text(subscription, number, self.shared.url);
            place.position = number;
            self.turn = index + 1;
            self.shared.counters.events.get_or_create(&Told { event: news.kind().word() }).inc();
            return Some(text);
        }
        None
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.listener.close();
        for place in &self.places {
            place.queue.detach(&self.listener.bell);
        }
        self.shared.listeners().retain(|other| !Arc::ptr_eq(other, &self.listener));
    }
}

/// Says why, and waits for the client to close its side: a socket that is closed with bytes unread is
/// reset, and the reason lost.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    why: Why,
) -> Result<(), Error> {
    socket.close(Some(why.frame())).await?;
    while let Some(Ok(_)) = socket.next().await {}
    let stream = socket.get_mut();
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LEFT_OVER), &mut tokio::io::sink()).await?;
    Ok(())
}
