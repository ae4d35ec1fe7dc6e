//! Registration of standing searches (section 4 of the live profile): a search resource has a resource
//! below it for each subscriber, whose subscriptions are registered, looked at, changed and deleted
//! there.
//!
//! [`asked`] reads what a request asks for, [`shown`] writes what it gets. Somebody else's subscriptions
//! are not there for a caller, unless the caller may operate this server.

mod asked;
mod shown;

use std::sync::Arc;

use http::header::{CONTENT_LOCATION, HeaderValue, LOCATION};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;

use self::asked::{Posted, Registration};
use self::shown::Shown;
use super::access::Caller;
use super::problem::Problem;
use super::retrieve::respond_full;
use super::routes::Urls;
use super::{Answer, Destinations, Origin, content, events};
use crate::config::settings::Right;
use crate::subscription::query::Query;
use crate::subscription::registry::{
    self, Delivery, Options, Registered, Registry, Subscriber, Subscription,
};
use crate::subscription::scope::Scope;

/// Content that a POST may bring although none is needed (bytes).
const MAX_CONTENT: usize = 4096;

/// `GET`, `POST` or `DELETE` of the subscriptions of a subscriber to a search resource.
pub(super) async fn subscription(
    origin: &Origin,
    request: Request<Incoming>,
    caller: &Caller,
    scope: Scope,
    subscriber: &Subscriber,
) -> Answer {
    let who = Who::of(caller)?;
    let urls = origin.urls(&request);
    let (head, body) = request.into_parts();
    let raw = head.uri.query().unwrap_or_default();
    let desk = Desk::new(origin, &who, &scope, subscriber);
    match head.method {
        Method::POST => {
            // So that the connection can go on.
            content::collect(body, MAX_CONTENT, content::DEADLINE).await?;
            let answer = desk.post(raw, &urls)?;
            // A search that has not happened yet is one.
            caller.visitor().asks(head.uri.path(), raw);
            Ok(answer)
        }
        Method::DELETE => desk.delete(raw),
        _ => desk.get(raw),
    }
}

/// Suspends or resumes them.
pub(super) fn suspend(
    origin: &Origin,
    request: &Request<Incoming>,
    caller: &Caller,
    scope: &Scope,
    subscriber: &Subscriber,
    suspended: bool,
) -> Answer {
    let who = Who::of(caller)?;
    let raw = request.uri().query().unwrap_or_default();
    Desk::new(origin, &who, scope, subscriber).suspend(raw, suspended)
}

/// Says of a destination's name whether it is for the caller.
type PushesTo<'a> = dyn Fn(&str) -> Result<bool, Problem> + Send + Sync + 'a;

/// What of the caller counts here.
struct Who<'a> {
    /// The principal; `None` is anonymous.
    name: Option<Arc<str>>,
    /// The standing filter on what they see.
    filter: Option<Arc<Query>>,
    /// Whether somebody else's subscriptions are theirs to look at and change.
    operates: bool,
    /// Whether they may register.
    registers: Result<(), Problem>,
    /// Whether they may push to a destination; a problem where they may not push at all.
    pushes_to: Box<PushesTo<'a>>,
}

impl<'a> Who<'a> {
    fn of(caller: &'a Caller) -> Result<Self, Problem> {
        let (registers, operates) = (caller.may(Right::Subscribe), caller.may(Right::Operate).is_ok());
        if !operates {
            registers.clone()?;
        }
        Ok(Self {
            name: caller.name(),
            filter: caller.filter(),
            operates,
            registers,
            pushes_to: Box::new(|destination| {
                caller.may(Right::PushTo)?;
                Ok(caller.may_push_to(destination))
            }),
        })
    }
}

/// Where the requests of one caller about one subscriber at one search resource are answered.
struct Desk<'a> {
    registry: &'a Registry,
    destinations: &'a Destinations,
    who: &'a Who<'a>,
    scope: &'a Scope,
    subscriber: &'a Subscriber,
}

impl<'a> Desk<'a> {
    fn new(origin: &'a Origin, who: &'a Who<'a>, scope: &'a Scope, subscriber: &'a Subscriber) -> Self {
        Self { registry: &origin.registry, destinations: &origin.destinations, who, scope, subscriber }
    }

    fn get(&self, raw: &str) -> Answer {
        self.all(&self.find(asked::selected(raw)?.as_deref())?)
    }

    fn post(&self, raw: &str, urls: &Urls) -> Answer {
        match asked::posted(raw)? {
            Posted::Registration(registration) => self.register(*registration, urls),
            Posted::Update(id, changes) => {
                let found = self.find(id.as_deref())?;
                found.iter().for_each(|subscription| self.registry.change(subscription, &changes));
                self.all(&found)
            }
        }
    }

    fn suspend(&self, raw: &str, suspended: bool) -> Answer {
        let found = self.find(asked::selected(raw)?.as_deref())?;
        found.iter().for_each(|subscription| self.registry.suspend(subscription, suspended));
        self.all(&found)
    }

    /// Deletes all of them or, if one is the configuration's, none.
    fn delete(&self, raw: &str) -> Answer {
        let found = self.find(asked::selected(raw)?.as_deref())?;
        if found.iter().any(|subscription| subscription.is_standing()) {
            return Err(Problem::standing_subscription());
        }
        found.iter().for_each(|subscription| self.registry.cancel(subscription));
        self.all(&found)
    }

    fn register(&self, asked: Registration, urls: &Urls) -> Answer {
        self.who.registers.clone()?;
        let delivery = match asked.destination {
            None => Delivery::Notification,
            Some(name) => {
                let is_theirs = (self.who.pushes_to)(&name)?;
                if !is_theirs || !self.destinations.load().contains_key(&name) {
                    return Err(Problem::no_destination());
                }
                Delivery::Push(name.into())
            }
        };
        let (made, how) = self.registry.subscribe(registry::Request {
            subscriber: self.subscriber.clone(),
            owner: self.who.name.clone(),
            scope: self.scope.clone(),
            keys: asked.query.canonical().clone(),
            query: asked.query,
            restriction: self.who.filter.clone(),
            delivery,
            from: asked.from,
            form: asked.form,
            options: Options { rate: asked.rate, paused: asked.paused },
            lease: asked.lease,
            base: urls.base().into(),
        })?;
        let mut response = json(&Shown::new(&made, self.registry.now()))?;
        if how == Registered::Created {
            *response.status_mut() = StatusCode::CREATED;
        }
        let url = HeaderValue::try_from(urls.channel(self.subscriber, made.channel()));
        let mut url = url.map_err(|_| Problem::internal())?;
        // Whoever has it can listen.
        url.set_sensitive(true);
        response.headers_mut().insert(CONTENT_LOCATION, url.clone());
        response.headers_mut().insert(LOCATION, url);
        Ok(response)
    }

    /// The subscriptions that the caller may deal with here, or the one with this identifier.
    fn find(&self, id: Option<&str>) -> Result<Vec<Arc<Subscription>>, Problem> {
        let mut found = self.registry.of(self.subscriber, Some(self.scope));
        found.retain(|known| {
            let is_theirs = self.who.operates || known.request().owner == self.who.name;
            is_theirs && id.is_none_or(|id| **known.id() == *id)
        });
        if found.is_empty() { Err(Problem::no_subscription()) } else { Ok(found) }
    }

    fn all(&self, subscriptions: &[Arc<Subscription>]) -> Answer {
        let now = self.registry.now();
        json(&subscriptions.iter().map(|one| Shown::new(one, now)).collect::<Vec<_>>())
    }
}

fn json(content: &impl Serialize) -> Answer {
    let written = serde_json::to_vec(content).map_err(|error| {
        events::SubscriptionUnwritable { error: &error }.tell();
        Problem::internal()
    })?;
    Ok(respond_full(HeaderValue::from_static("application/json"), written))
}

#[cfg(test)]
mod tests;
