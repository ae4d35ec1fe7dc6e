//! Whom we talk to: subscribers, destinations, upstreams, the RIS.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::rates::Of;
use super::readback::counts;
use super::sources::sum;
use super::{Collector, Running};
use crate::config::settings::{
    DestinationSettings, MppsSettings, RelaySettings, Settings, WhenUnreachable, WorklistPeer,
    WorklistSettings,
};
use crate::procedure::Kind;
use crate::sink::push::counters::Of as OfDestination;
use crate::source::dimse::relay::counters::Of as OfRelay;
use crate::status::{
    DestinationStatus, MppsStatus, RelayStatus, SpoolStatus, SubscriptionStatus, WorklistStatus,
};
use crate::subscription::registry::{Delivery, PushState, Subscription};
use crate::subscription::scope::Level;

impl Collector {
    pub(super) fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        let now = Instant::now();
        let one = |subscription: &Arc<Subscription>| {
            let (request, progress) = (subscription.request(), subscription.progress());
            let options = subscription.options();
            let destination = match &request.delivery {
                Delivery::Notification => None,
                Delivery::Push(name) => Some(name.to_string()),
            };
            let paused = subscription.is_suspended() || options.paused;
            let sent = if destination.is_some() { &progress.sent } else { &progress.sequence };
            SubscriptionStatus {
                id: subscription.id().to_string(),
                subscriber: request.subscriber.as_str().to_owned(),
                principal: request.owner.as_ref().map(ToString::to_string),
                level: match request.scope.level {
                    Level::Studies => "studies",
                    Level::Series => "series",
                    Level::Instances => "instances",
                }
                .to_owned(),
                state: match (&destination, self.parts.notifier.is_listened_to(subscription)) {
                    (Some(_), _) => push_state(subscription),
                    (None, true) => "connected",
                    (None, false) => "away",
                }
                .to_owned(),
                destination,
                standing: subscription.is_standing(),
                paused,
                rate: options.rate,
                sent: sent.load(Ordering::Relaxed),
                failed: progress.failed.load(Ordering::Relaxed),
                missed: progress.missed.load(Ordering::Relaxed),
                lease_seconds: subscription.lease_left(now).map(|left| left.as_secs()),
            }
        };
        self.parts.registry.all().iter().filter(|known| !known.has_ended()).map(one).collect()
    }

    pub(super) fn destinations(&self, running: &Running<'_>) -> Vec<DestinationStatus> {
        let all = self.parts.registry.all();
        let counters = &self.parts.counters.push;
        let one = |(name, settings): (&String, &DestinationSettings)| {
            let is_theirs = |known: &&Arc<Subscription>| {
                !known.has_ended()
                    && matches!(&known.request().delivery, Delivery::Push(to) if **to == **name)
            };
            let theirs: Vec<_> = all.iter().filter(is_theirs).collect();
            let of = OfDestination { destination: name.clone() };
            let count =
                |family: &Family<OfDestination, Counter>| family.get(&of).map_or(0, |count| count.get());
            let states: Vec<_> = theirs.iter().map(|one| destination_state(one)).collect();
            let worst = ["retrying", "sending", "idle"].into_iter().find(|state| states.contains(state));
            let complaint = theirs.iter().find_map(|one| one.progress().complaint());
            let (tls, address) = web_address(&settings.url);
            DestinationStatus {
                name: name.clone(),
                address,
                tls,
                state: worst.unwrap_or(if theirs.is_empty() { "idle" } else { "paused" }).to_owned(),
                subscriptions: theirs.len() as u64,
                sent: count(&counters.sent),
                bytes: count(&counters.bytes),
                instances_per_second: running.rates.of(&Of::Destination(name.clone())),
                failed: sum(&counts(counters.failed.clone(), Some(("destination", name)), "reason")),
                missed: count(&counters.missed),
                advice: complaint.as_ref().map(|_| advice(name)),
                last_error: complaint.map(|what| (*what).clone()),
            }
        };
        running.settings.destinations.iter().map(one).collect()
    }

    pub(super) fn relays(&self, running: &Running<'_>) -> Vec<RelayStatus> {
        let counters = &self.parts.counters.relay;
        let one = |(name, settings): (&String, &RelaySettings)| {
            let of = Some(("relay", name.as_str()));
            let spool = self.parts.counters.spools.get(name).map(|spool| {
                let stats = spool.stats();
                SpoolStatus {
                    objects: stats.objects as u64,
                    bytes: stats.bytes,
                    budget_bytes: running.settings.spool.max_bytes,
                    oldest_seconds: stats.oldest.unwrap_or_default().as_secs(),
                    set_aside: (stats.set_aside + stats.locked) as u64,
                    lost: stats.lost.expired + stats.lost.damaged + stats.lost.without_key,
                }
            });
            RelayStatus {
                name: name.clone(),
                address: settings.address.clone(),
                when_unreachable: match settings.when_unreachable {
                    WhenUnreachable::Reject => "reject",
                    WhenUnreachable::Stream => "stream",
                    WhenUnreachable::Spool => "spool",
                }
                .to_owned(),
                open: counters
                    .open
                    .get(&OfRelay { relay: name.clone() })
                    .map_or(0, |open| u64::try_from(open.get()).unwrap_or(0)),
                associations: counts(counters.associations.clone(), of, "outcome"),
                bytes: counts(counters.bytes.clone(), of, "direction"),
                stored: counts(counters.stored.clone(), of, "outcome"),
                unstreamed: counts(counters.unstreamed.clone(), of, "reason"),
                spool,
                last_error: counters.away(name),
            }
        };
        running.settings.relays.iter().map(one).collect()
    }

    pub(super) fn worklists(&self, running: &Running<'_>) -> Vec<WorklistStatus> {
        let counters = &self.parts.counters.procedure;
        let one = |(name, settings): (&String, &WorklistSettings)| {
            let answer = counters.last_answer(name);
            let age = |at: SystemTime| SystemTime::now().duration_since(at).unwrap_or_default().as_secs();
            WorklistStatus {
                name: name.clone(),
                address: match &settings.peer {
                    WorklistPeer::Dimse(peer) => peer.address.clone(),
                    WorklistPeer::Web(peer) => peer.url.clone(),
                },
                entries: answer.map_or(0, |(entries, _)| entries),
                age_seconds: answer.map(|(_, at)| age(at)),
                last_error: counters.complaint(Kind::Worklist, name),
            }
        };
        running.settings.worklists.iter().map(one).collect()
    }

    pub(super) fn mpps(&self, running: &Running<'_>) -> Vec<MppsStatus> {
        let counters = &self.parts.counters.procedure;
        let one = |(name, settings): (&String, &MppsSettings)| {
            let (told, failed) = counters.told_in_all(name);
            MppsStatus {
                name: name.clone(),
                address: settings.peer.address.clone(),
                told,
                failed,
                last_error: counters.complaint(Kind::Mpps, name),
            }
        };
        running.settings.mpps.iter().map(one).collect()
    }

    /// What is counted of sinks, for rates.
    pub(super) fn counted_sinks(&self, running: &Settings) -> Vec<(Of, u64)> {
        let sent = &self.parts.counters.push.sent;
        let one = |name: &String| {
            let count = sent.get(&OfDestination { destination: name.clone() }).map_or(0, |count| count.get());
            (Of::Destination(name.clone()), count)
        };
        running.destinations.keys().map(one).collect()
    }
}

fn push_state(subscription: &Subscription) -> &'static str {
    match subscription.progress().state() {
        _ if subscription.is_suspended() => "suspended",
        PushState::Idle => "idle",
        PushState::Connecting => "connecting",
        PushState::Sending => "sending",
        PushState::Waiting(_) => "retrying",
        PushState::Refused => "refused",
    }
}

/// One subscription, as the state of its destination has it.
fn destination_state(subscription: &Subscription) -> &'static str {
    if subscription.is_suspended() || subscription.options().paused {
        return "paused";
    }
    match subscription.progress().state() {
        PushState::Waiting(_) | PushState::Refused => "retrying",
        // A try that follows a failure.
        PushState::Connecting if subscription.progress().complaint().is_some() => "retrying",
        PushState::Idle | PushState::Connecting => "idle",
        PushState::Sending => "sending",
    }
}

fn advice(destination: &str) -> String {
    format!(
        "look at the peer, the network to it, and [destination.{destination}]; framegate doctor tries each step"
    )
}

/// Whether it is reached over TLS, and host and port, of a URL.
pub(super) fn web_address(url: &str) -> (bool, String) {
    let uri: http::Uri = url.parse().unwrap_or_default();
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let host = uri.host().unwrap_or_default();
    (tls, if host.is_empty() { String::new() } else { format!("{host}:{port}") })
}
