//! How connections are let in, watched and closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::*;

/// A socket that has been given up by its send deadline, as the one below TLS says it.
struct GivenUp(DuplexStream);

impl AsyncRead for GivenUp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for GivenUp {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_last_and_closes() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let _publisher = house.open("1.2");
    let mut client = house.client(&subscription, None);
    client.event().await;
    house.hub.shutdown();
    house.notifier.stop();
    assert_eq!(client.event().await, seen(5, 3, "1.2"));
    let json = client.json().await;
    assert_eq!(json["00741242"]["Value"][0], "GOING DOWN");
    assert!(json.get("00081190").is_none() && json.get("00080056").is_none());
    assert_eq!(client.close_code().await, 1001);
    timeout(PATIENCE, house.feed).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_a_client_that_takes_nothing() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let _publishers: Vec<_> = (0..20).map(|n| house.open(&format!("1.{n}"))).collect();
    let mut client = house.client_with(&subscription, Vec::new(), 64);
    house.hub.shutdown();
    house.notifier.stop();
    client.ended().await;
}

#[tokio::test]
async fn messages_of_a_client_are_ignored_up_to_a_length() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let mut client = house.client(&subscription, None);
    for size in [0, 4096] {
        client.socket().await.send(Message::text("x".repeat(size))).await.unwrap();
    }
    let _publisher = house.open("1.2");
    assert_eq!(client.event().await.kind, 2);
    client.socket().await.send(Message::text("x".repeat(4097))).await.unwrap();
    assert_eq!(client.close_code().await, 1009);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed() {
    let ping = Duration::from_millis(50);
    let house = house(SubscriptionSettings { ping, ..SubscriptionSettings::default() });
    let subscription = house.subscribe(Level::Series);
    let mut deaf = house.client(&subscription, None);
    let mut lively = house.client(&subscription, None);
    let publisher = house.open("1.2");
    assert_eq!(lively.event().await.kind, 2);
    let closed = async {
        // It is not read from, so it answers nothing, and is let go without an answer to our close.
        deaf.ended().await;
        let mut bytes = Vec::new();
        deaf.stream.take().unwrap().read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let reading = async {
        // The library answers pings while it is read from.
        loop {
            lively.json().await;
        }
    };
    tokio::select! {
        bytes = closed => {
            // A final frame, opcode 8, then the length and the code (RFC 6455 §5.5.1).
            let close = bytes.windows(4).find(|frame| frame[0] == 0x88).expect("no close frame");
            assert_eq!(u16::from_be_bytes([close[2], close[3]]), 1011);
        }
        () = reading => unreachable!(),
    }
    drop(publisher);
    assert_eq!(lively.event().await.kind, 5, "who answers stays");
    assert_eq!(house.notifier.counters().dropped.get(), 1);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped_and_its_place_is_free() {
    let house = house(SubscriptionSettings { channels: 1, ..SubscriptionSettings::default() });
    let subscription = house.subscribe(Level::Series);
    let _publisher = house.open("1.2");
    let whom = || Whom::Channel(subscription.channel().clone());
    let connection = house.notifier.connect(whom(), Vec::new()).unwrap();
    let (_client, theirs) = tokio::io::duplex(WIDE);
    timeout(PATIENCE, connection.serve(GivenUp(theirs))).await.unwrap();
    assert_eq!(house.notifier.counters().dropped.get(), 1);
    assert_eq!(house.notifier.counters().connections.get(), 0);
    assert!(house.notifier.connect(whom(), Vec::new()).is_ok());
}

#[tokio::test]
async fn a_principal_without_the_right_is_sent_away() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.register(Level::Series, "", |request| request.owner = Some("anna".into()));
    let mut client = house.client(&subscription, None);
    house.notifier.dismiss(|owner| owner == Some("otto"));
    let _publisher = house.open("1.2");
    assert_eq!(client.event().await.kind, 2, "it was not about her");
    house.notifier.dismiss(|owner| owner == Some("anna"));
    assert_eq!(client.close_code().await, 1008);
}

#[tokio::test]
async fn connections_are_bounded_and_make_room_again() {
    let house = house(SubscriptionSettings { channels: 2, ..SubscriptionSettings::default() });
    let subscription = house.subscribe(Level::Series);
    let whom = || Whom::Channel(subscription.channel().clone());
    let first = house.notifier.connect(whom(), Vec::new()).unwrap();
    let _second = house.notifier.connect(whom(), Vec::new()).unwrap();
    assert_eq!(house.notifier.connect(whom(), Vec::new()).unwrap_err(), Refused::Full(2));
    assert_eq!(house.notifier.counters().refused.get(), 1);
    assert!(house.notifier.connect(Whom::Principal(None), Vec::new()).is_ok(), "counted on its own");
    drop(first);
    assert!(house.notifier.connect(whom(), Vec::new()).is_ok());
    let nobody = Whom::Principal(Some("nobody".into()));
    assert_eq!(house.notifier.connect(nobody, Vec::new()).unwrap_err(), Refused::Nobody);
    house.subscribe(Level::Studies);
    let after = vec![After { subscription: None, number: 1 }];
    assert_eq!(house.notifier.connect(Whom::Principal(None), after).unwrap_err(), Refused::Ambiguous);
}

#[tokio::test]
async fn a_principal_hears_of_all_subscriptions_and_of_nobody_elses() {
    let house = house(SubscriptionSettings::default());
    let own = |name: &str, owner: &'static str| {
        house.register(Level::Series, "", |request| {
            request.subscriber = Subscriber::parse(name).unwrap();
            request.owner = Some(owner.into());
        })
    };
    let (one, two, _other) = (own("A", "anna"), own("B", "anna"), own("C", "otto"));
    let whom = Whom::Principal(Some("anna".into()));
    let connection = house.notifier.connect(whom, Vec::new()).unwrap();
    let (ours, theirs) = tokio::io::duplex(WIDE);
    let mut client =
        Client { stream: Some(ours), socket: None, served: tokio::spawn(connection.serve(theirs)) };
    let _publisher = house.open("1.2");
    let mut ids = [client.json().await, client.json().await]
        .iter()
        .map(|json| json["00211001"]["Value"][0].as_str().unwrap().to_owned())
        .collect::<Vec<_>>();
    ids.sort();
    let mut expected = vec![one.id().to_string(), two.id().to_string()];
    expected.sort();
    assert_eq!(ids, expected);
}
