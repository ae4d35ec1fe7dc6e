//! Operation of captures (section 9 of the live profile): an operator, or a script beside the modality,
//! sees how captures are, starts and stops them, and says who is imaged: in words, by a choice from the
//! worklist, with a barcode, or as an emergency.
//!
//! What is wanted is left at the [`Desk`], where the capture finds it with its next frame; nothing here
//! waits for that. Who is imaged is written, never read back, and in no line of the log: a change is
//! logged with who made it, where and which, as every change that matters for security.

mod said;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use http::header::{EXPECT, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use hyper::body::Incoming;
use serde::Serialize;

use super::access::Caller;
use super::parameters::Parameters;
use super::problem::Problem;
use super::retrieve::respond_full;
use super::routes::Route;
use super::visitor::Visitor;
use super::{Answer, Origin, content, empty, events};
use crate::audit::{Occurrence, Patient};
use crate::config::settings::{Provider, Right};
use crate::context::Order;
use crate::context::desk::{Desk, DeskError, Report, Wanted};
use crate::context::worklist::{Choice, Entry};
use crate::instance::Dataset;
use crate::instance::json::to_json;
use crate::instance::metadata::BulkData;

/// Most content of a request (bytes). An order of the longest values is a tenth of that.
const MAX_CONTENT: usize = 64 << 10;

/// Answers a request about captures.
pub(super) async fn operate(
    origin: &Origin,
    request: Request<Incoming>,
    caller: &Caller,
    route: Route,
) -> Answer {
    let (head, mut body) = request.into_parts();
    let brought = match caller.may(Right::Operate) {
        Ok(()) => content::collect(&mut body, MAX_CONTENT, content::DEADLINE).await,
        Err(problem) => Err(problem),
    };
    let brought = match brought {
        Ok(brought) => brought,
        Err(problem) => {
            // A client that waits to be told to go on must not be, as a look at the body would.
            if !head.headers.contains_key(EXPECT) {
                content::linger(&mut body).await;
            }
            return Err(problem);
        }
    };
    let sees = |study: &str, series: &str| {
        caller.filter().is_none() || origin.hub.find(study, series).is_some_and(|live| caller.sees(&live))
    };
    let filter = caller.filter();
    let sees_entry = |entry: &Dataset| filter.as_ref().is_none_or(|filter| filter.matches(entry));
    let (principal, visitor) = (caller.name(), caller.visitor());
    Console { desk: &origin.desk, principal, visitor, sees: &sees, sees_entry: &sees_entry }
        .answer(&head, &brought, &route)
}

/// Where the requests of one caller are answered.
struct Console<'a> {
    desk: &'a Desk,
    /// The principal; `None` is anonymous.
    principal: Option<Arc<str>>,
    /// The audit trail of what they do.
    visitor: &'a Visitor,
    /// Whether the caller sees a series, by the UIDs of its study and itself.
    sees: &'a (dyn Fn(&str, &str) -> bool + Sync),
    /// Whether the caller sees what would be imaged by an entry of the worklist.
    sees_entry: &'a (dyn Fn(&Dataset) -> bool + Sync),
}

/// A capture as an operator sees it. Holds no PHI.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    state: &'static str,
    advice: String,
    device: String,
    profile: String,
    format: String,
    study: String,
    series: String,
    /// What an operator has said; `None` where nobody has, and the configuration decides.
    running: Option<bool>,
    /// Attributes of the open series, or of the next one as far as it is told, and who says each.
    context: BTreeMap<&'static str, &'static str>,
    /// What is doubtful in that.
    warnings: Vec<String>,
}

impl Console<'_> {
    fn answer(&self, head: &request::Parts, content: &Bytes, route: &Route) -> Answer {
        let parameters = Parameters::parse(head.uri.query().unwrap_or_default())?;
        // What is accepted can be said of every resource; all else might be meant to change something.
        if let Some((name, _)) = parameters.iter().find(|(name, _)| *name != "accept") {
            return Err(Problem::unexpected_parameter(name));
        }
        match route {
            Route::Captures => json(&self.all()),
            Route::Capture(name) => json(&self.one(name)?),
            Route::Start(name) => {
                self.wish(name, "start", None, start)?;
                json(&self.one(name)?)
            }
            Route::Stop(name) => {
                self.wish(name, "stop", None, stop)?;
                json(&self.one(name)?)
            }
            Route::Patient(name) if head.method == Method::DELETE => {
                self.wish(name, "withdraw patient", None, |wanted| identify(wanted, None))?;
                Ok(done())
            }
            Route::Patient(name) => {
                self.heard(name)?;
                let order = said::order(&head.headers, content)?;
                self.images(name, "set patient", order)?;
                Ok(done())
            }
            Route::Emergency(name) => {
                self.heard(name)?;
                let order = Order::emergency(&self.desk.rules(name).emergency_name, SystemTime::now());
                self.images(name, "emergency", order)?;
                json(&self.one(name)?)
            }
            Route::Step(name) => {
                self.heard(name)?;
                let keys = said::keys(&head.headers, content)?;
                match self.desk.worklist().choose(&keys, |entry| (self.sees_entry)(&as_imaged(entry))) {
                    Choice::One(entry) => {
                        self.images(name, "choose step", Order::clone(&entry.order))?;
                        Ok(done())
                    }
                    Choice::None => Err(Problem::no_entry()),
                    Choice::Several(count) => Err(Problem::several_entries(count)),
                }
            }
            Route::Worklist => self.scheduled(),
            _ => Err(Problem::internal()),
        }
    }

    /// What is scheduled, as far as the caller sees it.
    fn scheduled(&self) -> Answer {
        let mut shown = Vec::new();
        for entry in self.desk.worklist().entries() {
            if !(self.sees_entry)(&as_imaged(&entry)) {
                continue;
            }
            let written = to_json(&entry.dataset(), &BulkData::inline()).map_err(|error| {
                events::EntryUnwritable { error: &error }.tell();
                Problem::internal()
            })?;
            shown.push(written);
        }
        write(said::DICOM_JSON, &shown)
    }

    fn all(&self) -> Vec<Shown> {
        self.desk
            .reports()
            .into_iter()
            .map(|(name, wanted, report)| self.shown(name, &wanted, report))
            .collect()
    }

    fn one(&self, name: &str) -> Result<Shown, Problem> {
        self.all().into_iter().find(|shown| shown.name == name).ok_or_else(Problem::no_capture)
    }

    /// Whether what an operator says of the patient would count at a capture.
    fn heard(&self, name: &str) -> Result<(), Problem> {
        self.one(name)?;
        if self.desk.rules(name).hears_operators() { Ok(()) } else { Err(Problem::operator_not_heard()) }
    }

    /// A series that the caller does not see is not there; the capture is.
    fn shown(&self, name: String, wanted: &Wanted, report: Report) -> Shown {
        let Report { state, advice, device, profile, format, study, series, context } = report;
        let (moment, date) = (Instant::now(), SystemTime::now());
        let context = if series.is_empty() { self.desk.told(&name, moment, date) } else { context };
        let warnings = self.desk.warnings(&name, moment, date);
        let (study, series, context) =
            if (self.sees)(&study, &series) { (study, series, context) } else { Default::default() };
        Shown {
            state,
            advice,
            device,
            profile,
            format,
            study,
            series,
            running: wanted.running,
            context: context.into_iter().map(|(keyword, origin)| (keyword, origin.word())).collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            name,
        }
    }

    /// Somebody is to be imaged.
    fn images(&self, name: &str, action: &'static str, order: Order) -> Result<(), Problem> {
        let patient = Patient::new(order.patient.id.clone(), order.patient.name.clone());
        self.wish(name, action, Some(patient), |wanted| identify(wanted, Some(order)))
    }

    /// Changes what is wanted of a capture; `change` says whether it did. `patient` is who is to be imaged.
    fn wish(
        &self,
        name: &str,
        action: &'static str,
        patient: Option<Patient>,
        change: impl FnOnce(&mut Wanted) -> bool,
    ) -> Result<(), Problem> {
        let principal = self.principal.as_deref().unwrap_or("anonymous");
        if wish(self.desk, principal, name, action, change)? {
            self.visitor.audit().record(Occurrence::ContextChanges {
                capture: name.to_owned(),
                change: action,
                provider: Provider::Operator.word(),
                by: self.visitor.party(),
                patient,
                study: None,
            });
        }
        Ok(())
    }
}

/// Changes what `principal` wants of a capture; `change` says whether it did, and then it is logged. Returns whether it
/// did.
///
/// # Errors
/// When there is no capture of this name.
pub fn wish(
    desk: &Desk,
    principal: &str,
    name: &str,
    action: &'static str,
    change: impl FnOnce(&mut Wanted) -> bool,
) -> Result<bool, Problem> {
    let mut changed = false;
    let wished = desk.wish(name, |wanted| changed = change(wanted));
    wished.map_err(|DeskError::Unknown| Problem::no_capture())?;
    if changed {
        events::Operated { principal, capture: name, action }.tell();
    }
    Ok(changed)
}

/// What begins again after a stop is another series; what runs, or would by itself, goes on.
pub fn start(wanted: &mut Wanted) -> bool {
    if wanted.running == Some(false) {
        wanted.encounter += 1;
    }
    wanted.running.replace(true) != Some(true)
}

/// The capture stops with its next frame.
pub fn stop(wanted: &mut Wanted) -> bool {
    wanted.running.replace(false) != Some(false)
}

/// The next frame is of somebody else, or of another study.
pub fn identify(wanted: &mut Wanted, order: Option<Order>) -> bool {
    if wanted.order.as_deref() == order.as_ref() {
        return false;
    }
    wanted.order = order.map(Arc::new);
    wanted.encounter += 1;
    true
}

/// An entry as a series of it would be: what filters are matched against.
pub fn as_imaged(entry: &Entry) -> Dataset {
    let mut dataset = entry.dataset();
    let modality = PrimitiveValue::from(entry.modality.as_str());
    dataset.put(DataElement::new(tags::MODALITY, VR::CS, modality));
    dataset
}

fn json(content: &impl Serialize) -> Answer {
    write("application/json", content)
}

fn write(media: &'static str, content: &impl Serialize) -> Answer {
    let written = serde_json::to_vec(content).map_err(|error| {
        events::AnswerUnwritable { error: &error }.tell();
        Problem::internal()
    })?;
    Ok(respond_full(HeaderValue::from_static(media), written))
}

fn done() -> Response<super::Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests;
