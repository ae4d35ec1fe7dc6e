//! Which pushes run: one for each push subscription, in the order of registration, as long as its
//! destination is configured and takes one more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::Shared;
use super::destination::Destination;
use super::events;
use super::feed::Parts;
use super::pusher::{Pusher, PusherParts};
use crate::audit::Party;
use crate::net::client::BadUrl;
use crate::subscription::registry::{Delivery, PushState, Subscription};

type SubscriptionId = Arc<str>;

/// A destination, or why its settings make none.
type Known = Result<Arc<Destination>, BadUrl>;

struct Supervisor {
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    destinations: HashMap<String, Known>,
    /// What steers the pushes that run.
    running: HashMap<SubscriptionId, watch::Sender<Option<Arc<Destination>>>>,
    tasks: JoinSet<()>,
    of_task: HashMap<Id, SubscriptionId>,
    /// Not started again: it would panic again.
    panicked: HashSet<SubscriptionId>,
    /// Why the others do not, so that it is logged once.
    refused: HashMap<SubscriptionId, String>,
}

pub(super) async fn run(shared: Arc<Shared>, stopping: watch::Receiver<bool>) {
    let (mut subscriptions, mut settings) = (shared.registry.changed(), shared.destinations.subscribe());
    let mut stops = stopping.clone();
    let mut supervisor = Supervisor {
        shared,
        stopping,
        destinations: HashMap::new(),
        running: HashMap::new(),
        tasks: JoinSet::new(),
        of_task: HashMap::new(),
        panicked: HashSet::new(),
        refused: HashMap::new(),
    };
    supervisor.take_settings();
    loop {
        supervisor.plan();
        // The senders of both live as long as what this holds.
        tokio::select! {
            _ = stops.wait_for(|&stops| stops) => break,
            _ = subscriptions.changed() => {}
            _ = settings.changed() => supervisor.take_settings(),
            Some(ended) = supervisor.tasks.join_next_with_id(), if !supervisor.tasks.is_empty() => {
                supervisor.ended(ended);
            }
        }
    }
    while let Some(ended) = supervisor.tasks.join_next_with_id().await {
        supervisor.ended(ended);
    }
}

impl Supervisor {
    /// A destination whose settings are the same stays as it is.
    fn take_settings(&mut self) {
        let settings = self.shared.destinations.borrow().clone();
        let mut before = std::mem::take(&mut self.destinations);
        for (name, settings) in settings {
            let known = match before.remove(&name) {
                Some(Ok(known)) if known.settings == settings => Ok(known),
                _ => Destination::new(&name, settings).map(Arc::new),
            };
            self.destinations.insert(name, known);
        }
    }

    /// Starts, steers and ends.
    fn plan(&mut self) {
        let all = self.shared.registry.all();
        let mut wanted: HashMap<SubscriptionId, Arc<Destination>> = HashMap::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for subscription in all.iter().filter(|subscription| !subscription.has_ended()) {
            let Delivery::Push(name) = &subscription.request().delivery else { continue };
            let place = if self.panicked.contains(subscription.id()) {
                Err("it ended in a panic; register it again".to_owned())
            } else {
                self.place(name, &mut places)
            };
            match place {
                Ok(destination) => {
                    self.refused.remove(subscription.id());
                    wanted.insert(subscription.id().clone(), destination.clone());
                    match self.running.get(subscription.id()) {
                        Some(control) => steer(control, Some(destination)),
                        None => self.start(subscription.clone(), destination),
                    }
                }
                Err(why) => self.refuse(subscription, name, why),
            }
        }
        for (id, control) in &self.running {
            if !wanted.contains_key(id) {
                steer(control, None);
            }
        }
        let is_there = |id: &SubscriptionId| all.iter().any(|subscription| subscription.id() == id);
        self.refused.retain(|id, _| is_there(id));
        self.panicked.retain(is_there);
    }

    /// The destination for one more subscription.
    fn place(&self, name: &str, places: &mut HashMap<String, usize>) -> Result<Arc<Destination>, String> {
        let known = self.destinations.get(name).ok_or_else(|| {
            format!("there is no such destination; add [destination.{name}] or end the subscription")
        })?;
        let destination = known.as_ref().map_err(|error| format!("destination.{name}.url: {error}"))?;
        let (taken, most) = (places.entry(name.to_owned()).or_default(), destination.settings.connections);
        if *taken >= most {
            return Err(format!(
                "{most} subscriptions push there already; raise destination.{name}.connections"
            ));
        }
        *taken += 1;
        Ok(destination.clone())
    }

    fn start(&mut self, subscription: Arc<Subscription>, destination: Arc<Destination>) {
        let (control, steered) = watch::channel(Some(destination.clone()));
        let shared = &self.shared;
        let id = subscription.id().clone();
        let to = Party::configured(&destination.name, destination.peer.authority());
        let pusher = Pusher::new(PusherParts {
            subscription,
            destination,
            feed: Parts {
                hub: shared.hub.clone(),
                notifier: shared.notifier.clone(),
                workers: shared.workers.clone(),
                audit: shared.audit.clone(),
                to,
            },
            counters: shared.counters.clone(),
            control: steered,
            stopping: self.stopping.clone(),
            drain: shared.drain,
            times: shared.times,
        });
        // On the heap: requests and their answers are large.
        let task = self.tasks.spawn(Box::pin(pusher.run()));
        self.of_task.insert(task.id(), id.clone());
        self.running.insert(id, control);
    }

    fn refuse(&mut self, subscription: &Subscription, destination: &str, why: String) {
        if self.running.contains_key(subscription.id()) {
            // It is ending, and says how it stands when it has.
            return;
        }
        subscription.progress().set_state(PushState::Refused);
        subscription.progress().set_complaint(Some(&why));
        if self.refused.get(subscription.id()) != Some(&why) {
            let subscriber = subscription.request().subscriber.as_str();
            events::NotPushed { subscriber, destination, why: &why }.tell();
            self.refused.insert(subscription.id().clone(), why);
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(id) = self.of_task.remove(&id) else { return };
        self.running.remove(&id);
        if let Err(error) = ended
            && error.is_panic()
        {
            events::Panicked {}.tell();
            self.panicked.insert(id);
        }
    }
}

/// Tells only what is new.
fn steer(control: &watch::Sender<Option<Arc<Destination>>>, destination: Option<Arc<Destination>>) {
    control.send_if_modified(|known| {
        let same = match (&*known, &destination) {
            (Some(known), Some(new)) => Arc::ptr_eq(known, new),
            (None, None) => true,
            _ => false,
        };
        *known = destination;
        !same
    });
}
