//! Feed, queues and sessions together: a hub, a registry, and clients over connections in memory.

mod connections;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::config::settings::{HubSettings, SubscriptionSettings};
use crate::hub::Publisher;
use crate::instance::{Dataset, Instance};
use crate::subscription::query::Query;
use crate::subscription::registry::{Delivery, Form, Options, Request, Subscriber, Verdict};
use crate::subscription::scope::{Level, Scope};

/// Far longer than anything takes; only a hung test gets there.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection's buffer in memory, for clients that keep up.
const WIDE: usize = 1 << 20;

fn url(base: &str, study: &str, series: Option<&str>, instance: Option<&str>, rendered: bool) -> String {
    format!(
        "{base}/{study}/{}/{}{}",
        series.unwrap_or("-"),
        instance.unwrap_or("-"),
        if rendered { "/rendered" } else { "" }
    )
}

struct House {
    hub: Hub,
    registry: Registry,
    notifier: Notifier,
    feed: JoinHandle<()>,
}

fn house(settings: SubscriptionSettings) -> House {
    house_of(HubSettings::default(), settings)
}

fn house_of(hub: HubSettings, settings: SubscriptionSettings) -> House {
    let hub = Hub::new(HubSettings { linger: Duration::ZERO, ..hub });
    let registry = Registry::new(settings);
    let notifier = Notifier::new(hub.clone(), registry.clone(), url);
    let feed = tokio::spawn(notifier.clone().run());
    House { hub, registry, notifier, feed }
}

fn dataset(series: &str, number: Option<i32>) -> Dataset {
    let text = |tag, vr, text: &str| DataElement::new(tag, vr, PrimitiveValue::from(text));
    let mut dataset = Dataset::from_element_iter([
        text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.7"),
        text(tags::SOP_INSTANCE_UID, VR::UI, &format!("{series}.{}", number.unwrap_or(0))),
        text(tags::MODALITY, VR::CS, "XA"),
        text(tags::PATIENT_NAME, VR::PN, "Demo^Anna"),
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1"),
        text(tags::SERIES_INSTANCE_UID, VR::UI, series),
    ]);
    if let Some(number) = number {
        dataset.put(text(tags::INSTANCE_NUMBER, VR::IS, &number.to_string()));
    }
    dataset
}

impl House {
    fn open(&self, series: &str) -> Publisher {
        let context = || Ok::<_, Infallible>(dataset(series, None));
        self.hub.open(&"1".into(), &series.into(), context).unwrap()
    }

    fn publish(&self, publisher: &Publisher, numbers: impl IntoIterator<Item = i32>) {
        for number in numbers {
            let dataset = dataset(publisher.series().series(), Some(number));
            publisher.publish(Instance::native(&dataset, Bytes::from_static(b"px")).unwrap()).unwrap();
        }
    }

    fn register(&self, level: Level, query: &str, change: impl FnOnce(&mut Request)) -> Arc<Subscription> {
        let mut request = Request {
            subscriber: Subscriber::parse("VIEWER").unwrap(),
            owner: None,
            scope: Scope { level, study: None, series: None },
            query: Query::parse(query, &[]).unwrap(),
            keys: format!("{level:?} {query}").into(),
            restriction: None,
            delivery: Delivery::Notification,
            from: crate::hub::From::Oldest,
            form: Form::AsTheyAre,
            options: Options { rate: None, paused: false },
            lease: None,
            base: "https://box/dicomweb".into(),
        };
        change(&mut request);
        self.registry.subscribe(request).unwrap().0
    }

    fn subscribe(&self, level: Level) -> Arc<Subscription> {
        self.register(level, "", |_| {})
    }

    fn client(&self, subscription: &Subscription, after: Option<u64>) -> Client {
        let after = after.map(|number| After { subscription: None, number });
        self.client_with(subscription, after.into_iter().collect(), WIDE)
    }

    fn client_with(&self, subscription: &Subscription, after: Vec<After>, buffer: usize) -> Client {
        let whom = Whom::Channel(subscription.channel().clone());
        let connection = self.notifier.connect(whom, after).unwrap();
        let (ours, theirs) = tokio::io::duplex(buffer);
        let served = tokio::spawn(connection.serve(theirs));
        Client { stream: Some(ours), socket: None, served }
    }
}

/// What a client sees of an event.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: u64,
    number: u64,
    /// Affected SOP Instance UID.
    of: String,
    missed: Option<u64>,
}

fn seen(kind: u64, number: u64, of: &str) -> Seen {
    Seen { kind, number, of: of.to_owned(), missed: None }
}

fn missed(number: u64, of: &str, count: u64) -> Seen {
    Seen { kind: 6, number, of: of.to_owned(), missed: Some(count) }
}

struct Client {
    stream: Option<DuplexStream>,
    socket: Option<WebSocketStream<DuplexStream>>,
    served: JoinHandle<()>,
}

impl Client {
    async fn socket(&mut self) -> &mut WebSocketStream<DuplexStream> {
        if let Some(stream) = self.stream.take() {
            self.socket = Some(WebSocketStream::from_raw_socket(stream, Role::Client, None).await);
        }
        self.socket.as_mut().unwrap()
    }

    async fn json(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.socket().await.next()).await.expect("no event came");
            match message.expect("the connection ended").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn event(&mut self) -> Seen {
        let json = self.json().await;
        let number = |key: &str| json[key]["Value"][0].as_u64();
        Seen {
            kind: number("00001002").unwrap(),
            number: number("00211002").unwrap(),
            of: json["00001000"]["Value"][0].as_str().unwrap().to_owned(),
            missed: number("00211003"),
        }
    }

    async fn events(&mut self, count: usize) -> Vec<Seen> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }

    /// Reads on to the end: the close code, and the session is over.
    async fn close_code(&mut self) -> u16 {
        let mut code = None;
        while let Some(Ok(message)) = timeout(PATIENCE, self.socket().await.next()).await.unwrap() {
            if let Message::Close(frame) = message {
                code = Some(u16::from(frame.unwrap().code));
            }
        }
        self.ended().await;
        code.expect("no close frame")
    }

    async fn ended(&mut self) {
        timeout(PATIENCE, &mut self.served).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_current_state_comes_first_and_then_events_in_order() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let first = house.open("1.2");
    let mut client = house.client(&subscription, None);
    assert_eq!(client.event().await, seen(2, 2, "1.2"), "the opening itself was number 1");
    let second = house.open("1.3");
    house.publish(&second, 1..=3);
    first.complete();
    drop(second);
    assert_eq!(client.events(3).await, [seen(2, 3, "1.3"), seen(4, 4, "1.2"), seen(5, 5, "1.3")]);
    assert_eq!(subscription.progress().sequence.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn a_doubtful_context_is_told_to_those_whom_the_series_concerns() {
    let house = house(SubscriptionSettings::default());
    let concerned = house.subscribe(Level::Series);
    let other = house.register(Level::Series, "SeriesInstanceUID=1.3", |request| {
        request.subscriber = Subscriber::parse("OTHER").unwrap();
    });
    let _open = (house.open("1.2"), house.open("1.3"));
    let (mut first, mut second) = (house.client(&concerned, Some(0)), house.client(&other, Some(0)));
    assert_eq!(first.events(2).await, [seen(2, 1, "1.2"), seen(2, 2, "1.3")]);
    assert_eq!(second.event().await, seen(2, 1, "1.3"));
    assert!(house.notifier.doubtful("1", "1.2", vec!["stale operator".to_owned()]));
    assert!(house.notifier.doubtful("1", "1.9", Vec::new()), "of a series that is gone");
    assert!(house.notifier.doubtful("1", "1.3", Vec::new()));
    assert_eq!(first.json().await["00211005"]["Value"][0], "stale operator");
    assert_eq!(first.event().await, seen(8, 4, "1.3"));
    assert_eq!(second.event().await, seen(8, 2, "1.3"));
}

#[tokio::test]
async fn each_level_has_its_events() {
    let house = house(SubscriptionSettings::default());
    let make = |level, name: &str| {
        house.register(level, "", |request| request.subscriber = Subscriber::parse(name).unwrap())
    };
    let (studies, series, instances) =
        (make(Level::Studies, "A"), make(Level::Series, "B"), make(Level::Instances, "C"));
    let mut clients = [&studies, &series, &instances].map(|one| house.client(one, Some(0)));
    let (first, second) = (house.open("1.2"), house.open("1.3"));
    house.publish(&first, [1]);
    first.complete();
    second.complete();
    let again = house.open("1.2");
    let [studies, series, instances] = &mut clients;
    assert_eq!(
        studies.events(4).await,
        [seen(1, 1, "1"), seen(4, 2, "1.2"), seen(4, 3, "1.3"), seen(1, 4, "1")],
        "once for each opening of the study"
    );
    assert_eq!(
        series.events(5).await,
        [seen(2, 1, "1.2"), seen(2, 2, "1.3"), seen(4, 3, "1.2"), seen(4, 4, "1.3"), seen(2, 5, "1.2")]
    );
    assert_eq!(
        instances.events(3).await,
        [seen(2, 1, "1.2"), seen(2, 2, "1.3"), seen(3, 3, "1.2.1")],
        "instances too"
    );
    drop(again);
}

#[tokio::test]
async fn only_what_matches_is_told() {
    let house = house(SubscriptionSettings::default());
    let modality = house.register(Level::Series, "Modality=XA&SeriesInstanceUID=1.3", |_| {});
    let even = house.register(Level::Instances, "InstanceNumber=2", |request| {
        request.subscriber = Subscriber::parse("EVEN").unwrap();
    });
    let restricted = house.register(Level::Instances, "", |request| {
        request.subscriber = Subscriber::parse("OTHER").unwrap();
        request.restriction = Some(Arc::new(Query::parse("PatientName=Nobody*", &[]).unwrap()));
    });
    let mut clients = [&modality, &even, &restricted].map(|one| house.client(one, Some(0)));
    // Connections are let in one after the other: with this one, the three are in.
    let _sign = house.open("1.1");
    let witness = house.subscribe_other();
    house.client(&witness, None).event().await;
    let (first, second) = (house.open("1.2"), house.open("1.3"));
    house.publish(&first, 1..=3);
    first.complete();
    second.complete();
    house.hub.shutdown();
    house.notifier.stop();
    let [modality, even, restricted] = &mut clients;
    let going_down = |number| seen(7, number, SOP_CLASS_UID);
    assert_eq!(modality.events(3).await, [seen(2, 1, "1.3"), seen(4, 2, "1.3"), going_down(3)]);
    let told = even.events(8).await;
    assert_eq!(told[3], seen(3, 4, "1.2.2"));
    assert_eq!(told.iter().filter(|seen| seen.kind == 3).count(), 1);
    assert_eq!(restricted.event().await, going_down(1), "what a principal may not see is not there");
}

#[tokio::test]
async fn a_client_that_was_cut_off_goes_on_without_a_gap() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Instances);
    let publisher = house.open("1.2");
    let mut client = house.client(&subscription, Some(0));
    house.publish(&publisher, 1..=3);
    assert_eq!(client.events(3).await.last(), Some(&seen(3, 3, "1.2.2")));
    drop(client);
    house.publish(&publisher, 4..=6);
    let mut client = house.client(&subscription, Some(3));
    let told: Vec<_> = (3..=6).map(|n| seen(3, n as u64 + 1, &format!("1.2.{n}"))).collect();
    assert_eq!(client.events(4).await, told);
}

#[tokio::test]
async fn what_is_gone_is_counted_and_the_current_state_follows() {
    let house = house(SubscriptionSettings { events: 4, ..SubscriptionSettings::default() });
    let subscription = house.subscribe(Level::Instances);
    let publisher = house.open("1.2");
    house.publish(&publisher, 1..=9);
    let mut watcher = house.client(&subscription, None);
    watcher.event().await;
    drop(watcher);
    // Ten events, the state for the watcher, and now the state again: 12 in all, of which 4 are kept.
    let mut client = house.client(&subscription, Some(2));
    assert_eq!(client.event().await, missed(8, SOP_CLASS_UID, 6));
    let rest = client.events(4).await;
    assert_eq!(
        rest.iter().map(|seen| (seen.number, seen.kind)).collect::<Vec<_>>(),
        [(9, 3), (10, 3), (11, 2), (12, 2)]
    );
    assert_eq!(subscription.progress().missed.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn a_number_that_was_never_given_out_says_that_the_server_was_restarted() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let _publisher = house.open("1.2");
    let mut client = house.client(&subscription, Some(99));
    assert_eq!(client.events(2).await, [seen(7, 1, SOP_CLASS_UID), seen(2, 2, "1.2")]);
    let forgotten = After { subscription: Some("of another life".to_owned()), number: 1 };
    let mut client = house.client_with(&subscription, vec![forgotten], WIDE);
    assert_eq!(client.events(2).await, [seen(7, 2, SOP_CLASS_UID), seen(2, 3, "1.2")]);
}

#[tokio::test]
async fn a_slow_client_holds_up_nobody_and_learns_exactly_what_it_missed() {
    let house = house(SubscriptionSettings { events: 8, ..SubscriptionSettings::default() });
    let subscription = house.subscribe(Level::Instances);
    let publisher = house.open("1.2");
    // Room for one event or two.
    let mut slow = house.client_with(&subscription, vec![After { subscription: None, number: 0 }], 2048);
    let mut quick = house.client(&subscription, Some(0));
    let mut last = quick.event().await;
    for number in 1..=100 {
        house.publish(&publisher, [number]);
        last = quick.event().await;
    }
    assert_eq!(last, seen(3, 101, "1.2.100"));
    let (mut told, mut lost, mut at) = (0, 0, 0);
    while at < 101 {
        let event = slow.event().await;
        let step = event.missed.unwrap_or(1);
        assert_eq!(event.number, at + step, "numbers go on, and a hole is explained");
        (told, lost, at) =
            (told + u64::from(event.missed.is_none()), lost + event.missed.unwrap_or(0), event.number);
    }
    assert_eq!(told + lost, 101);
    assert!(lost > 50, "{lost}");
    assert_eq!(subscription.progress().missed.load(Ordering::Relaxed), lost);
    assert_eq!(house.notifier.counters().missed.get(), lost);
}

#[tokio::test]
async fn a_pause_holds_instances_back_and_tells_how_many() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Instances);
    let publisher = house.open("1.2");
    let mut client = house.client(&subscription, Some(0));
    client.event().await;
    house.registry.update(&subscription, Options { rate: None, paused: true });
    house.publish(&publisher, 1..=5);
    // What comes for another series shows that the feed has seen the five.
    let other = house.open("1.3");
    assert_eq!(client.event().await, seen(2, 2, "1.3"), "a pause concerns instances only");
    house.registry.update(&subscription, Options { rate: None, paused: false });
    assert_eq!(client.event().await, missed(3, "1.2", 5));
    house.publish(&other, [1]);
    assert_eq!(client.event().await, seen(3, 4, "1.3.1"));
}

#[tokio::test]
async fn a_rate_decimates_and_nothing_is_missed_by_it() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.register(Level::Instances, "", |request| {
        request.options = Options { rate: Some(0.01), paused: false };
    });
    let publisher = house.open("1.2");
    house.publish(&publisher, 1..=20);
    publisher.complete();
    let mut client = house.client(&subscription, Some(0));
    assert_eq!(client.events(3).await, [seen(2, 1, "1.2"), seen(3, 2, "1.2.1"), seen(4, 3, "1.2")]);
}

#[tokio::test]
async fn suspension_is_silent_and_resumption_begins_afresh() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Instances);
    let publisher = house.open("1.2");
    let mut client = house.client(&subscription, Some(0));
    client.event().await;
    house.registry.suspend(&subscription, true);
    house.publish(&publisher, 1..=5);
    let other = house.subscribe_other();
    house.client(&other, None).event().await;
    house.registry.suspend(&subscription, false);
    assert_eq!(client.event().await, seen(2, 2, "1.2"));
    house.publish(&publisher, [6]);
    assert_eq!(client.event().await, seen(3, 3, "1.2.6"));
}

impl House {
    /// A subscription of another subscriber, by whose events a test knows how far the feed is.
    fn subscribe_other(&self) -> Arc<Subscription> {
        self.register(Level::Series, "", |request| {
            request.subscriber = Subscriber::parse("WITNESS").unwrap();
        })
    }
}

#[tokio::test]
async fn subscriptions_that_come_later_are_served_on_the_same_connection() {
    let house = house(SubscriptionSettings::default());
    let first = house.subscribe(Level::Series);
    let _publisher = house.open("1.2");
    let mut client = house.client(&first, None);
    client.event().await;
    let second = house.subscribe(Level::Studies);
    let json = client.json().await;
    assert_eq!(json["00001002"]["Value"][0], 1);
    assert_eq!(json["00211001"]["Value"][0], **second.id());
    house.registry.cancel(&first);
    let _other = house.open("1.3");
    drop(_publisher);
    assert_eq!(client.event().await, seen(5, 2, "1.2"), "the study goes on, the other is gone");
    house.registry.cancel(&second);
    assert_eq!(client.close_code().await, 1000);
}

#[tokio::test]
async fn a_push_is_told_what_it_missed_and_nothing_else() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.register(Level::Instances, "", |request| {
        request.delivery = Delivery::Push("pacs".into());
    });
    let publisher = house.open("1.2");
    house.publish(&publisher, 1..=3);
    house.notifier.missed(&subscription, Some(publisher.series()), 7);
    house.notifier.missed(&subscription, None, 0);
    let mut client = house.client(&subscription, Some(0));
    assert_eq!(client.event().await, missed(1, "1.2", 7));
    house.hub.shutdown();
    house.notifier.stop();
    assert_eq!(client.event().await, seen(7, 2, SOP_CLASS_UID));
    assert_eq!(subscription.progress().missed.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn who_may_see_less_is_told_less_from_then_on() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let (first, second) = (house.open("1.2"), house.open("1.3"));
    let mut client = house.client(&subscription, Some(0));
    assert_eq!(client.events(2).await, [seen(2, 1, "1.2"), seen(2, 2, "1.3")]);
    let filter = Arc::new(Query::parse("SeriesInstanceUID=1.3", &[]).unwrap());
    house.registry.review(|_| Verdict::GoesOn(Some(filter.clone())));
    assert_eq!(client.event().await, seen(2, 3, "1.3"), "what is left of the current state");
    let again = Arc::new(Query::parse("SeriesInstanceUID=1.3", &[]).unwrap());
    house.registry.review(|_| Verdict::GoesOn(Some(again.clone())));
    first.complete();
    second.complete();
    assert_eq!(client.event().await, seen(4, 4, "1.3"));
    // What was kept from before may be of what is not theirs to see any more.
    assert_eq!(house.client(&subscription, Some(0)).event().await, missed(2, SOP_CLASS_UID, 2));
    house.registry.review(|_| Verdict::Ends);
    assert_eq!(client.close_code().await, 1000);
}

#[tokio::test]
async fn a_feed_that_was_overtaken_says_so_and_tells_the_state_again() {
    let house = house(SubscriptionSettings { events: 4096, ..SubscriptionSettings::default() });
    let subscription = house.subscribe(Level::Series);
    let mut client = house.client(&subscription, Some(0));
    let publisher = house.open("1.2");
    assert_eq!(client.event().await, seen(2, 1, "1.2"));
    // On one thread, the feed has no turn before all of these are out.
    house.publish(&publisher, 1..=2000);
    assert_eq!(client.events(2).await, [missed(2, SOP_CLASS_UID, 2000), seen(2, 3, "1.2")]);
    publisher.complete();
    assert_eq!(client.event().await, seen(4, 4, "1.2"));
}

#[tokio::test]
async fn an_instance_that_left_before_it_was_told_is_missed() {
    let one = Instance::native(&dataset("1.2", Some(1)), Bytes::from_static(b"px")).unwrap();
    let hub = HubSettings { budget_bytes: 2 * one.len() as u64, ..HubSettings::default() };
    let house = house_of(hub, SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Instances);
    let publisher = house.open("1.2");
    // Two of them fit, and on one thread the feed has no turn before all three are out.
    house.publish(&publisher, 1..=3);
    assert_eq!(publisher.series().len(), 2);
    let mut client = house.client(&subscription, Some(0));
    assert_eq!(
        client.events(4).await,
        [seen(2, 1, "1.2"), missed(2, "1.2", 1), seen(3, 3, "1.2.2"), seen(3, 4, "1.2.3")]
    );
}

#[tokio::test]
async fn what_the_source_lost_is_told_before_the_instance_that_came_after_it() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Instances);
    let other = |request: &mut Request| request.subscriber = Subscriber::parse("OTHER").unwrap();
    let of_series = house.register(Level::Series, "", other);
    let publisher = house.open("1.2");
    let next = Instance::native(&dataset("1.2", Some(4)), Bytes::from_static(b"px")).unwrap();
    publisher.publish_after(3, next).unwrap();
    let mut client = house.client(&subscription, Some(0));
    assert_eq!(client.events(2).await, [seen(2, 1, "1.2"), missed(2, "1.2", 3)]);
    assert_eq!(client.event().await, seen(3, 3, "1.2.4"));
    assert_eq!(of_series.progress().missed.load(Ordering::Relaxed), 0, "it is not told of instances");
}

#[tokio::test]
async fn an_event_is_out_before_the_first_instance_is_whole() {
    let house = house(SubscriptionSettings::default());
    let subscription = house.subscribe(Level::Series);
    let mut client = house.client(&subscription, None);
    let publisher = house.open("1.2");
    assert_eq!(client.event().await.kind, 2);
    assert!(publisher.series().is_empty());
}

#[tokio::test]
async fn one_of_a_thousand_subscriptions_is_told_and_the_others_are_not() {
    let house = house(SubscriptionSettings { per_subscriber: 2000, ..SubscriptionSettings::default() });
    let silent: Vec<_> = (0..1000)
        .map(|n| house.register(Level::Series, &format!("Modality=XA&PatientName=*{n}"), |_| {}))
        .collect();
    let told = house.register(Level::Series, "PatientName=Demo*", |_| {});
    let after = vec![After { subscription: Some(told.id().to_string()), number: 0 }];
    let mut client = house.client_with(&told, after, WIDE);
    let _publishers = [house.open("1.2"), house.open("1.3")];
    assert_eq!(client.events(2).await, [seen(2, 1, "1.2"), seen(2, 2, "1.3")]);
    let sequences = silent.iter().map(|one| one.progress().sequence.load(Ordering::Relaxed));
    assert_eq!(sequences.sum::<u64>(), 0);
}
