//! A subscription that steers a Retrieve while it runs (parameter `subscription` of the live profile):
//! its rate and pause hold for the stream, and what the stream misses is told as its event 6.
//!
//! A suspended subscription pauses the stream too. One that has ended, or a server that is going down,
//! lets it run on, so that it comes to its end.

use std::sync::Arc;

use tokio::sync::watch;

use super::Origin;
use super::access::Caller;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::hub::LiveSeries;
use crate::instance::Instance;
use crate::sink::notify::Notifier;
use crate::sink::pace::Pace;
use crate::subscription::registry::Subscription;

/// What a stream goes by.
#[derive(Debug)]
pub(super) struct Steering {
    /// Instances a second that the request asked for.
    asked: Option<f64>,
    /// Those in force, and their decimation.
    rate: Option<f64>,
    pace: Option<Pace>,
    by: Option<By>,
}

#[derive(Debug)]
struct By {
    subscription: Arc<Subscription>,
    changed: watch::Receiver<()>,
    down: watch::Receiver<bool>,
    notifier: Notifier,
}

/// The subscription of the caller's that a Retrieve names, and whom to tell what the stream misses.
///
/// # Errors
/// When there is none of that id, or it is somebody else's.
pub(super) fn named(
    origin: &Origin,
    parameters: &Parameters,
    caller: &Caller,
) -> Result<Option<(Arc<Subscription>, Notifier)>, Problem> {
    let Some(id) = parameters.values("subscription").next() else { return Ok(None) };
    let found = origin.registry.find(id).filter(|found| found.request().owner == caller.name());
    let found = found.ok_or_else(|| {
        Problem::bad_parameter("subscription", "the id of a subscription of yours that is in force")
    })?;
    Ok(Some((found, origin.notifier.clone())))
}

impl Steering {
    /// By the request's own rate (instances a second), and by a subscription if it names one. The
    /// subscription's rate takes the place of the request's where it has one.
    pub(super) fn new(asked: Option<f64>, by: Option<(Arc<Subscription>, Notifier)>) -> Self {
        let by = by.map(|(subscription, notifier)| By {
            changed: subscription.changed(),
            down: notifier.down(),
            subscription,
            notifier,
        });
        let mut steering = Self { asked, rate: None, pace: None, by };
        steering.adjust();
        steering
    }

    /// Takes on what has changed.
    fn adjust(&mut self) {
        let rate = self.by.as_ref().and_then(|by| by.subscription.options().rate).or(self.asked);
        if rate != self.rate {
            self.rate = rate;
            self.pace = rate.map(Pace::new);
        }
    }

    fn is_paused(&self) -> bool {
        self.by.as_ref().is_some_and(|By { subscription, down, .. }| {
            let held = subscription.options().paused || subscription.is_suspended();
            held && !subscription.has_ended() && !*down.borrow()
        })
    }

    /// Waits while the stream is paused.
    pub(super) async fn go(&mut self) {
        while self.is_paused() {
            self.changed().await;
        }
    }

    /// Waits until something has changed; forever where nothing can. Safe to drop while it waits.
    pub(super) async fn changed(&mut self) {
        let Some(By { changed, down, .. }) = &mut self.by else { return std::future::pending().await };
        // Both senders live in what is held here.
        tokio::select! {
            _ = changed.changed() => {}
            _ = down.changed() => {}
        }
        self.adjust();
    }

    /// Whether an instance goes out, at the rate in force.
    pub(super) fn admits(&mut self, instance: &Instance) -> bool {
        self.pace.as_mut().is_none_or(|pace| pace.admits(instance.arrived()))
    }

    /// Tells what the stream missed.
    pub(super) fn missed(&self, live: Option<&Arc<LiveSeries>>, count: u64) {
        if let Some(By { subscription, notifier, .. }) = &self.by {
            notifier.missed(subscription, live, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::config::settings::{HubSettings, SubscriptionSettings};
    use crate::dicomweb::retrieve_url;
    use crate::hub::Hub;
    use crate::instance::{Identity, Pieces, PixelForm};
    use crate::subscription::registry::testing::request;
    use crate::subscription::registry::{Options, Registry};

    fn steered(asked: Option<f64>) -> (Registry, Notifier, Arc<Subscription>, Steering) {
        let registry = Registry::new(SubscriptionSettings::default());
        let notifier = Notifier::new(Hub::new(HubSettings::default()), registry.clone(), retrieve_url);
        let subscription = registry.subscribe(request("VIEWER", "")).unwrap().0;
        let steering = Steering::new(asked, Some((subscription.clone(), notifier.clone())));
        (registry, notifier, subscription, steering)
    }

    fn instance() -> Instance {
        let identity = Identity {
            study: "1".into(),
            series: "2".into(),
            sop_class: "3".into(),
            sop_instance: "4".into(),
        };
        Instance::new(Pieces {
            identity,
            number: Some(1),
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
            head: Bytes::new(),
            dataset_start: 0,
            dataset_end: 0,
            form: PixelForm::Absent,
            pixels: Bytes::new(),
            tail: Bytes::new(),
        })
    }

    fn options(rate: Option<f64>, paused: bool) -> Options {
        Options { rate, paused }
    }

    /// How many of ten instances that come at once go out.
    fn admitted(steering: &mut Steering) -> usize {
        (0..10).filter(|_| steering.admits(&instance())).count()
    }

    #[tokio::test]
    async fn a_pause_holds_the_stream_until_it_is_lifted() {
        let (registry, _, subscription, mut steering) = steered(None);
        assert!(steering.go().now_or_never().is_some());
        registry.update(&subscription, options(None, true));
        assert!(steering.go().now_or_never().is_none());
        registry.update(&subscription, options(Some(2.0), true));
        assert!(steering.go().now_or_never().is_none(), "something else has changed");
        registry.update(&subscription, options(None, false));
        assert!(steering.go().now_or_never().is_some());
        registry.suspend(&subscription, true);
        assert!(steering.go().now_or_never().is_none(), "suspension holds it too");
        registry.cancel(&subscription);
        assert!(steering.go().now_or_never().is_some(), "nobody is there to lift it");
    }

    #[tokio::test]
    async fn a_paused_stream_does_not_hold_up_a_server_that_stops() {
        let (registry, notifier, subscription, mut steering) = steered(None);
        registry.update(&subscription, options(None, true));
        assert!(steering.go().now_or_never().is_none());
        let feed = tokio::spawn(notifier.clone().run());
        notifier.stop();
        steering.go().await;
        feed.await.unwrap();
    }

    #[tokio::test]
    async fn the_rate_follows_the_subscription_and_the_request_where_it_has_none() {
        let (registry, _, subscription, mut steering) = steered(Some(0.01));
        assert_eq!(admitted(&mut steering), 1);
        registry.update(&subscription, options(Some(0.02), false));
        steering.changed().await;
        assert_eq!(admitted(&mut steering), 1, "another rate begins anew");
        registry.update(&subscription, options(None, false));
        steering.changed().await;
        assert_eq!(admitted(&mut steering), 1, "the request's");
        let mut unsteered = Steering::new(None, None);
        assert_eq!(admitted(&mut unsteered), 10);
        assert!(unsteered.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_is_missed_is_told_to_the_subscription() {
        let (_, _, subscription, steering) = steered(None);
        steering.missed(None, 3);
        assert_eq!(subscription.progress().missed.load(Ordering::Relaxed), 3);
        assert_eq!(subscription.progress().sequence.load(Ordering::Relaxed), 1);
    }
}
