//! A subscription as its owner sees it: JSON that names what is searched for, and never by which values,
//! since these may identify a patient.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::dicomweb::routes;
use crate::hub::From;
use crate::instance::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::subscription::registry::{Delivery, Form, PushState, Subscription};

/// One subscription at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    id: &'a str,
    subscriber: &'a str,
    /// Path of the search resource.
    resource: String,
    /// Attributes that are matched, by keyword where they have one.
    keys: Vec<String>,
    delivery: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    representation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_syntax: Option<&'static str>,
    /// Instances a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    suspended: bool,
    paused: bool,
    /// What is left of the lease; one of the configuration has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<u64>,
    sequence: u64,
    missed: u64,
    #[serde(flatten)]
    push: Option<Push>,
}

/// What only a push has.
#[derive(Debug, Serialize)]
struct Push {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u128>,
    sent: u64,
    failed: u64,
}

impl<'a> Shown<'a> {
    /// What is to be seen of a subscription at `now`, by the registry's clock.
    pub(super) fn new(subscription: &'a Subscription, now: Instant) -> Self {
        let request = subscription.request();
        let progress = subscription.progress();
        let options = subscription.options();
        let destination = match &request.delivery {
            Delivery::Notification => None,
            Delivery::Push(name) => Some(&**name),
        };
        let push = destination.map(|_| {
            let (state, retry) = match progress.state() {
                PushState::Idle => ("idle", None),
                PushState::Connecting => ("connecting", None),
                PushState::Sending => ("sending", None),
                PushState::Waiting(until) => {
                    ("waiting", Some(until.saturating_duration_since(now).as_millis()))
                }
                PushState::Refused => ("refused", None),
            };
            let (sent, failed) = (&progress.sent, &progress.failed);
            let [sent, failed] = [sent, failed].map(|count| count.load(Ordering::Relaxed));
            Push { state, retry_in_ms: retry, sent, failed }
        });
        Self {
            id: subscription.id(),
            subscriber: request.subscriber.as_str(),
            resource: routes::search_path(&request.scope),
            keys: request.query.keys().iter().map(|key| key.path().to_string()).collect(),
            delivery: if destination.is_some() { "push" } else { "notification" },
            destination,
            representation: if request.form == Form::Rendered { "rendered" } else { "instance" },
            transfer_syntax: (request.form == Form::Native).then_some(EXPLICIT_VR_LITTLE_ENDIAN),
            rate: options.rate,
            from: match request.from {
                From::Oldest => None,
                From::Latest => Some(Value::from("latest")),
                From::Number(number) => Some(Value::from(number)),
            },
            suspended: subscription.is_suspended(),
            paused: options.paused,
            lease_seconds: subscription.lease_left(now).map(seconds),
            sequence: progress.sequence.load(Ordering::Relaxed),
            missed: progress.missed.load(Ordering::Relaxed),
            push,
        }
    }
}

/// Rounded up, so that a lease that was granted a moment ago shows as what was granted.
fn seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}
