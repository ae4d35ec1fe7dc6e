//! Pushing to real peers over loopback, well-behaved and not. Waiting is for events, with [`PATIENCE`] only
//! so that a failure ends; the pauses of the destinations are short.

mod origin;
mod send;
mod store;
mod supervision;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::origin::{Act, Origin, Told};
use super::counters::{Failed, Of};
use super::*;
use crate::audit::{Audit, Party};
use crate::config::settings::{
    DestinationSettings, HttpVersion, HubSettings, PushMode, SubscriptionSettings,
};
use crate::hub::{From, Publisher};
use crate::instance::{Dataset, Identity, Instance, Pieces, PixelForm};
use crate::subscription::query::Query;
use crate::subscription::registry::{Delivery, Form, Options, PushState, Request, Subscriber, Subscription};
use crate::subscription::scope::{Level, Scope};

const PATIENCE: Duration = Duration::from_secs(30);

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it took too long")
}

/// The service, as far as pushing goes.
pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) registry: Registry,
    push: Push,
    pub(super) counters: PushCounters,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

/// For an origin of the tests.
fn settings(origin: &Origin, mode: PushMode) -> DestinationSettings {
    DestinationSettings {
        url: format!("http://{}/web", origin.address),
        mode,
        retry: Duration::from_millis(5),
        retry_max: Duration::from_millis(40),
        // Reached only where a test makes it shorter.
        send_timeout: PATIENCE * 2,
        response: PATIENCE * 2,
        ..DestinationSettings::default()
    }
}

impl World {
    pub(super) fn new(destinations: &[(&str, DestinationSettings)]) -> Self {
        Self::with_hub(HubSettings { linger: Duration::ZERO, ..HubSettings::default() }, destinations)
    }

    fn with_hub(hub: HubSettings, destinations: &[(&str, DestinationSettings)]) -> Self {
        // So long that no test depends on them.
        Self::with_times(hub, Times { trial: PATIENCE * 2, doubt: PATIENCE }, destinations)
    }

    fn with_times(hub: HubSettings, times: Times, destinations: &[(&str, DestinationSettings)]) -> Self {
        let hub = Hub::new(hub);
        let registry = Registry::new(SubscriptionSettings::default());
        let counters = PushCounters::default();
        let parts = Parts {
            hub: hub.clone(),
            registry: registry.clone(),
            notifier: Notifier::new(hub.clone(), registry.clone(), |_, _, _, _, _| String::new()),
            workers: Workers::new(),
            counters: counters.clone(),
            destinations: named(destinations),
            drain: PATIENCE,
            audit: Audit::none(),
        };
        let push = Push::with_times(parts, times);
        let stop = watch::Sender::new(false);
        let running = tokio::spawn(push.clone().run(stop.subscribe()));
        Self { hub, registry, push, counters, stop, running }
    }

    pub(super) fn subscribe(
        &self,
        destination: &str,
        change: impl FnOnce(&mut Request),
    ) -> Arc<Subscription> {
        let mut request = Request {
            subscriber: Subscriber::parse(&format!("S{}", self.registry.all().len())).unwrap(),
            owner: None,
            scope: Scope { level: Level::Series, study: None, series: None },
            query: Query::parse("", &[]).unwrap(),
            keys: "".into(),
            restriction: None,
            delivery: Delivery::Push(destination.into()),
            from: From::Oldest,
            form: Form::AsTheyAre,
            options: Options { rate: None, paused: false },
            lease: None,
            base: "https://box/dicomweb".into(),
        };
        change(&mut request);
        self.registry.subscribe(request).unwrap().0
    }

    pub(super) fn open(&self, series: &str) -> Publisher {
        self.hub.open(&"1".into(), &series.into(), || Ok::<_, Infallible>(context(series))).unwrap()
    }

    pub(super) fn parts(&self) -> super::feed::Parts {
        let (hub, notifier) = (self.hub.clone(), self.notifier());
        super::feed::Parts { hub, notifier, workers: Workers::new(), audit: Audit::none(), to: Party::here() }
    }

    pub(super) fn notifier(&self) -> Notifier {
        Notifier::new(self.hub.clone(), self.registry.clone(), |_, _, _, _, _| String::new())
    }

    fn failed(&self, destination: &str, reason: &'static str) -> u64 {
        let failed = Failed { destination: destination.to_owned(), reason };
        self.counters.failed.get_or_create(&failed).get()
    }

    pub(super) fn missed(&self, destination: &str) -> u64 {
        self.counters.missed.get_or_create(&Of { destination: destination.to_owned() }).get()
    }

    /// Stops as the service does, and waits until all is over.
    async fn stop(self) {
        let _ = self.stop.send(true);
        self.hub.shutdown();
        patiently(self.running).await.unwrap();
    }
}

fn named(destinations: &[(&str, DestinationSettings)]) -> BTreeMap<String, DestinationSettings> {
    destinations.iter().map(|(name, settings)| ((*name).to_owned(), settings.clone())).collect()
}

fn context(series: &str) -> Dataset {
    let mut context = Dataset::new_empty();
    context.put(DataElement::new(tags::MODALITY, VR::CS, if series == "2" { "XA" } else { "US" }));
    context
}

/// An instance whose octets begin with `series/number;`.
pub(super) fn instance(series: &str, number: i32, bytes: usize) -> Instance {
    Instance::new(Pieces {
        identity: Identity {
            study: "1".into(),
            series: series.into(),
            sop_class: "1.2".into(),
            sop_instance: format!("{series}.{number}").into(),
        },
        number: Some(number),
        transfer_syntax: "1.2.840.10008.1.2.1".into(),
        head: Bytes::from(format!("{series}/{number};")),
        dataset_start: 0,
        dataset_end: 0,
        form: PixelForm::Absent,
        pixels: Bytes::from(vec![7; bytes]),
        tail: Bytes::from_static(b"end"),
    })
}

pub(super) fn publish(publisher: &Publisher, numbers: impl IntoIterator<Item = i32>) {
    for number in numbers {
        publisher.publish(instance(publisher.series().series(), number, 2000)).unwrap();
    }
}

pub(super) fn labels(series: &str, numbers: impl IntoIterator<Item = i32>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{series}/{number}")).collect()
}

/// Waits until the push of `subscription` stands so.
async fn stands(subscription: &Subscription, is: impl Fn(PushState) -> bool) -> PushState {
    patiently(async {
        loop {
            let state = subscription.progress().state();
            if is(state) {
                return state;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn sent(subscription: &Subscription) -> u64 {
    subscription.progress().sent.load(Ordering::Relaxed)
}

/// Takes parts until `last` is there; without repetition, in the order of first arrival, and how many
/// were repeated.
async fn distinct_until(origin: &mut Origin, last: &str) -> (Vec<String>, usize) {
    let (mut seen, mut repeated) = (Vec::new(), 0);
    while seen.last().is_none_or(|label| label != last) {
        let [part] = origin.parts(1).await.try_into().unwrap();
        if seen.contains(&part) {
            repeated += 1;
        } else {
            seen.push(part);
        }
    }
    (seen, repeated)
}
