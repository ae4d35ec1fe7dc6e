//! The notification connection: a WebSocket (RFC 6455) that is opened again whenever it breaks, and goes
//! on after the last event that came. The task here also keeps the subscription alive.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::News;
use super::client::{Answer, Client};
use super::event::Event;
use super::registration::{Registration, Wish};
use crate::net::client::Connection;

/// Bytes of one message; an event has at most a quarter of it.
const MESSAGE_BYTES: usize = 1 << 20;
/// After so long without a message we ask whether the service is there; after as long again it is not.
const SILENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// For deleting the subscription, and for saying good-bye.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why a connection is over.
enum Over {
    /// We were told to stop.
    Stopped,
    /// It can be opened again.
    Broken(String),
    /// The service knows the subscription no more.
    Forgotten,
    /// The service does not want us.
    Forbidden(String),
}

/// What joins the task to the rest of the command.
pub(super) struct Ends {
    /// Where news goes.
    pub(super) news: mpsc::Sender<News>,
    /// The id of the subscription, should it have to be made again.
    pub(super) ids: watch::Sender<String>,
    /// Becomes true when the command is over.
    pub(super) stop: watch::Receiver<bool>,
}

/// Keeps the subscription and its connection until `stop`, telling `news` what comes; then deletes it. An
/// error says that there is no use in trying on.
pub(super) async fn follow(
    client: Client,
    wish: Wish,
    show_phi: bool,
    mut registration: Registration,
    ends: Ends,
) -> anyhow::Result<()> {
    let Ends { news, ids, mut stop } = ends;
    let mut after = None;
    let mut pause = PAUSE;
    loop {
        let mut listening =
            Listening { client: &client, wish: &wish, show_phi, news: &news, after, connected: false };
        let over = tokio::select! {
            _ = stop.wait_for(|&stop| stop) => Over::Stopped,
            over = Box::pin(listening.listen(&mut registration)) => over,
        };
        after = listening.after;
        if listening.connected {
            pause = PAUSE;
        }
        let why = match over {
            Over::Stopped => {
                let ended = timeout(LAST_WORDS, registration.end(&client, &wish)).await;
                return ended.unwrap_or_else(|_| {
                    bail!("the subscription was not deleted in time; its lease will end")
                });
            }
            Over::Forbidden(why) => bail!("the service ended the notification connection: {why}"),
            Over::Forgotten => {
                after = None;
                match Registration::make(&client, &wish).await {
                    Ok(again) => {
                        registration = again;
                        "the service had forgotten the subscription; it is made again".to_owned()
                    }
                    Err(error) => format!("{error:#}"),
                }
            }
            Over::Broken(why) => why,
        };
        ids.send_if_modified(|id| {
            let is_new = *id != registration.id;
            id.clone_from(&registration.id);
            is_new
        });
        if news.send(News::Disconnected(why)).await.is_err() {
            return Ok(());
        }
        tokio::select! {
            _ = stop.wait_for(|&stop| stop) => {}
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// One connection.
struct Listening<'a> {
    client: &'a Client,
    wish: &'a Wish,
    show_phi: bool,
    news: &'a mpsc::Sender<News>,
    /// Sequence Number of the last event.
    after: Option<u64>,
    connected: bool,
}

impl Listening<'_> {
    async fn listen(&mut self, registration: &mut Registration) -> Over {
        match self.open(registration).await {
            Ok((_connection, socket)) => {
                self.connected = true;
                if self.news.send(News::Connected).await.is_err() {
                    return Over::Stopped;
                }
                self.read(socket, registration).await
            }
            Err(over) => over,
        }
    }

    async fn open(&self, registration: &Registration) -> Result<(Connection, Socket), Over> {
        let broken = |error: anyhow::Error| Over::Broken(format!("{error:#}"));
        let mut path = registration.channel.clone();
        if let Some(after) = self.after {
            let separator = if path.contains('?') { '&' } else { '?' };
            path.push_str(&format!("{separator}after={}:{after}", registration.id));
        }
        let key = generate_key();
        let mut request = self.client.request(Method::GET, &path).map_err(broken)?;
        let fields = request.headers_mut();
        fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        fields.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let value = HeaderValue::try_from(&key).context("no key for the handshake").map_err(broken)?;
        fields.insert(SEC_WEBSOCKET_KEY, value);
        let (connection, response) = self.client.open(request).await.map_err(broken)?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Over::Forgotten),
            status => {
                let answer = Answer::read(response).await.map_err(broken)?;
                let why = answer.refused::<()>("no notification connection").err();
                let why = why.map_or_else(String::new, |error| error.to_string());
                let lasting = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                return Err(if lasting { Over::Forbidden(why) } else { Over::Broken(why) });
            }
        }
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(Over::Broken(
                "the service's answer to the WebSocket handshake is not one".to_owned(),
            ));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| broken(anyhow!(error)))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
        Ok((connection, socket))
    }

    async fn read(&mut self, mut socket: Socket, registration: &mut Registration) -> Over {
        let mut renew = Instant::now() + registration.renew_in;
        let mut heard = Instant::now();
        let mut asked = false;
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                () = sleep_until(renew) => {
                    match Registration::make(self.client, self.wish).await {
                        Ok(again) if again.id == registration.id => {
                            *registration = again;
                            renew = Instant::now() + registration.renew_in;
                        }
                        Ok(again) => {
                            *registration = again;
                            self.after = None;
                            return Over::Broken("the subscription had ended and is made again".to_owned());
                        }
                        // Half of the lease is left to try again in.
                        Err(_) => renew = Instant::now() + registration.renew_in / 5,
                    }
                    continue;
                }
                () = sleep_until(heard + SILENCE) => {
                    if asked || timeout(SILENCE, socket.send(Message::Ping(Bytes::new()))).await.is_err() {
                        return Over::Broken("the service has fallen silent".to_owned());
                    }
                    (asked, heard) = (true, Instant::now());
                    continue;
                }
            };
            (asked, heard) = (false, Instant::now());
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    return match frame.map(|frame| (frame.code, frame.reason.to_string())) {
                        Some((CloseCode::Normal, _)) => Over::Forgotten,
                        Some((CloseCode::Policy, why)) => Over::Forbidden(why),
                        Some((code, why)) => Over::Broken(format!("closed by the service ({code}) {why}")),
                        None => Over::Broken("closed by the service".to_owned()),
                    };
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Over::Broken(error.to_string()),
                None => return Over::Broken("the connection was cut".to_owned()),
            };
            let news = match Event::parse(text.as_str(), self.show_phi) {
                Ok(event) => {
                    self.after = event.sequence.or(self.after);
                    News::Event(Box::new(event))
                }
                Err(bad) => News::Unreadable(bad.to_string()),
            };
            if self.news.send(news).await.is_err() {
                return Over::Stopped;
            }
        }
    }
}
