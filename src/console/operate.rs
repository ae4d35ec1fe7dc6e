//! What an operator does at the console: captures are started, stopped and told of their patient, subscriptions
//! suspended and resumed, destinations tried.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::answer::{self, Answer, done};
use super::login::Caller;
use super::routes::Route;
use super::{Console, events};
use crate::audit::{Alert, Occurrence, Outcome, Party, Patient};
use crate::context::desk::Wanted;
use crate::context::{Order, Provider};
use crate::dicomweb::operations::{identify, start, stop, wish};
use crate::dicomweb::problem::Problem;
use crate::net::client::reach;
use crate::net::http::PeerInfo;

/// Which entry of the worklist is chosen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    id: String,
}

impl Console {
    /// Does it.
    pub(super) async fn operate(
        &self,
        caller: &Caller,
        peer: &PeerInfo,
        route: Route<'_>,
        content: &[u8],
    ) -> Answer {
        if matches!(route, Route::Configure | Route::Confirm) {
            return self.configure(caller, peer, route, content).await;
        }
        caller.operates()?;
        let by = Party::at(peer.address.ip()).known_as(Some(caller.session.who.name().into()));
        match route {
            Route::Start(name) => self.wish(by, name, "start", None, start),
            Route::Stop(name) => self.wish(by, name, "stop", None, stop),
            Route::Patient(name) => {
                self.wish(by, name, "withdraw patient", None, |wanted| identify(wanted, None))
            }
            Route::Emergency(name) => {
                self.heard(name)?;
                let rules = self.shared.parts.desk.rules(name);
                let order = Order::emergency(&rules.emergency_name, SystemTime::now());
                self.identify(by, name, "emergency", order)
            }
            Route::Step(name) => {
                self.heard(name)?;
                let chosen: Chosen = serde_json::from_slice(content)
                    .map_err(|_| Problem::bad_body("A choice is {\"id\":\"…\"}, an id of the worklist."))?;
                let (tickets, filter) = (self.shared.tickets.clone(), caller.may.filter.clone());
                let worklist = self.shared.parts.desk.worklist().clone();
                let found = self
                    .shared
                    .workers
                    .run(move || tickets.find(&worklist, &chosen.id, filter.as_deref()))
                    .await;
                let order = found.flatten().ok_or_else(Problem::no_entry)?;
                self.identify(by, name, "choose step", Order::clone(&order))
            }
            Route::Suspend(id) => self.suspend(caller, id, true),
            Route::Resume(id) => self.suspend(caller, id, false),
            Route::Test(name) => self.test(name).await,
            _ => Err(Problem::internal()),
        }
    }

    /// What is wanted of the configuration, and that its author has come back. Audited, as a change of security.
    async fn configure(&self, caller: &Caller, peer: &PeerInfo, route: Route<'_>, content: &[u8]) -> Answer {
        let configuring = self.configuring(caller)?;
        let (user, content) = (caller.session.who.name().to_owned(), content.to_vec());
        let wants = route == Route::Configure;
        let work = move || if wants { configuring.want(&content, &user) } else { configuring.confirm(&user) };
        let answer = self.shared.workers.run(work).await.ok_or_else(Problem::internal)??;
        let said = if wants { "another configuration is wanted" } else { "the configuration is confirmed" };
        self.shared.parts.audit.record(Occurrence::SecurityAlert {
            alert: Alert::SecurityConfiguration,
            outcome: Outcome::Success,
            peer: Some(peer.address.ip()),
            user: Some(caller.session.who.name().to_owned()),
            said: said.to_owned(),
        });
        Ok(answer)
    }

    fn identify(&self, by: Party, name: &str, action: &'static str, order: Order) -> Answer {
        let patient = Patient::new(order.patient.id.clone(), order.patient.name.clone());
        self.wish(by, name, action, Some(patient), |wanted| identify(wanted, Some(order)))
    }

    /// Changes what is wanted of a capture, which is audited if it does.
    fn wish(
        &self,
        by: Party,
        name: &str,
        action: &'static str,
        patient: Option<Patient>,
        change: impl FnOnce(&mut Wanted) -> bool,
    ) -> Answer {
        if wish(&self.shared.parts.desk, by.name(), name, action, change)? {
            self.shared.parts.audit.record(Occurrence::ContextChanges {
                capture: name.to_owned(),
                change: action,
                provider: Provider::Operator.word(),
                by: Some(by),
                patient,
                study: None,
            });
        }
        Ok(done())
    }

    /// Whether what an operator says of the patient would count at a capture.
    fn heard(&self, name: &str) -> Result<(), Problem> {
        let desk = &self.shared.parts.desk;
        if !desk.reports().iter().any(|(known, ..)| known == name) {
            return Err(Problem::no_capture());
        }
        if desk.rules(name).hears_operators() { Ok(()) } else { Err(Problem::operator_not_heard()) }
    }

    fn suspend(&self, caller: &Caller, id: &str, suspended: bool) -> Answer {
        let registry = &self.shared.parts.registry;
        let subscription = registry.find(id).ok_or_else(Problem::no_subscription)?;
        if subscription.is_suspended() != suspended {
            registry.suspend(&subscription, suspended);
            let user = caller.session.who.name();
            events::Suspended { user, subscription: id, suspended }.tell();
        }
        Ok(done())
    }

    async fn test(&self, name: &str) -> Answer {
        let settings = self.shared.parts.destinations.load().get(name).cloned();
        let settings = settings.ok_or_else(Problem::no_destination)?;
        let busy = |_| Problem::busy(Duration::from_secs(5));
        let _slot = self.shared.trials.try_acquire().map_err(busy)?;
        answer::json(&reach::destination(&settings).await)
    }
}
