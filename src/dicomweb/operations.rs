//! Operation of captures (section 9 of the live profile): an operator, or a script beside the modality,
//! sees how captures are, starts and stops them, and says who is imaged.
//!
//! What is wanted is left at the [`Desk`], where the capture finds it with its next frame; nothing here
//! waits for that. Who is imaged is written, never read back, and in no line of the log: a change is
//! logged with who made it, where and which, as every change that matters for security.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, request};
use hyper::body::Incoming;
use serde::Serialize;

use super::access::Caller;
use super::parameters::Parameters;
use super::problem::Problem;
use super::retrieve::respond_full;
use super::routes::Route;
use super::{Answer, Origin, content, empty};
use crate::config::settings::Right;
use crate::context::Order;
use crate::context::desk::{Desk, DeskError, Report, Wanted};
use crate::instance::json::read::{self, JsonError, ReadLimits};

/// Most content of a request (bytes). An order of the longest values is a tenth of that.
const MAX_CONTENT: usize = 64 << 10;
/// What a patient comes as (PS3.18 Annex F).
const DICOM_JSON: &str = "application/dicom+json";
/// Beyond any order; what exceeds them would be refused for its attributes.
const LIMITS: ReadLimits = ReadLimits { elements: 256, nesting: 4 };

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
    Console { desk: &origin.desk, principal: caller.name(), sees: &sees }.answer(&head, &brought, &route)
}

/// Where the requests of one caller are answered.
struct Console<'a> {
    desk: &'a Desk,
    /// The principal; `None` is anonymous.
    principal: Option<Arc<str>>,
    /// Whether the caller sees a series, by the UIDs of its study and itself.
    sees: &'a (dyn Fn(&str, &str) -> bool + Sync),
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
                self.wish(name, "start", start)?;
                json(&self.one(name)?)
            }
            Route::Stop(name) => {
                self.wish(name, "stop", stop)?;
                json(&self.one(name)?)
            }
            Route::Patient(name) if head.method == Method::DELETE => {
                self.wish(name, "withdraw patient", |wanted| identify(wanted, None))?;
                Ok(done())
            }
            Route::Patient(name) => {
                self.one(name)?;
                let order = order(&head.headers, content)?;
                self.wish(name, "set patient", |wanted| identify(wanted, Some(order)))?;
                Ok(done())
            }
            _ => Err(Problem::internal()),
        }
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

    /// A series that the caller does not see is not there; the capture is.
    fn shown(&self, name: String, wanted: &Wanted, report: Report) -> Shown {
        let Report { state, advice, device, profile, format, study, series, context } = report;
        let (study, series) = if (self.sees)(&study, &series) { (study, series) } else { Default::default() };
        Shown { name, state, advice, device, profile, format, study, series, running: wanted.running }
    }

    /// Changes what is wanted of a capture; `change` says whether it did.
    fn wish(
        &self,
        name: &str,
        action: &'static str,
        change: impl FnOnce(&mut Wanted) -> bool,
    ) -> Result<(), Problem> {
        let mut changed = false;
        let wished = self.desk.wish(name, |wanted| changed = change(wanted));
        wished.map_err(|DeskError::Unknown| Problem::no_capture())?;
        if changed {
            let principal = self.principal.as_deref().unwrap_or("anonymous");
            tracing::info!(principal, capture = name, action, "a capture is operated");
        }
        Ok(())
    }
}

/// What begins again after a stop is another series; what runs, or would by itself, goes on.
fn start(wanted: &mut Wanted) -> bool {
    if wanted.running == Some(false) {
        wanted.encounter += 1;
    }
    wanted.running.replace(true) != Some(true)
}

fn stop(wanted: &mut Wanted) -> bool {
    wanted.running.replace(false) != Some(false)
}

/// The next frame is of somebody else, or of another study.
fn identify(wanted: &mut Wanted, order: Option<Order>) -> bool {
    if wanted.order.as_deref() == order.as_ref() {
        return false;
    }
    wanted.order = order.map(Arc::new);
    wanted.encounter += 1;
    true
}

/// Reads who is imaged.
fn order(headers: &HeaderMap, content: &Bytes) -> Result<Order, Problem> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_media_type("The content must not be compressed.")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(DICOM_JSON) {
        return Err(Problem::unsupported_media_type(format!("A patient comes as {DICOM_JSON}.")));
    }
    let mut elsewhere = None;
    let read = read::data_set(content, LIMITS, &mut |bulk| {
        elsewhere = Some(bulk.tag);
        None
    });
    let dataset = read.map_err(|error| {
        Problem::bad_body(match error {
            JsonError::Attribute(tag) => format!(
                "The attribute {tag} is malformed; a text is written {{\"vr\": \"LO\", \"Value\": [\"text\"]}} with the \
                 VR of the attribute, a name {{\"vr\": \"PN\", \"Value\": [{{\"Alphabetic\": \"Family^Given\"}}]}}."
            ),
            _ => "The content is not one DICOM JSON object of a few attributes (PS3.18 Annex F).".to_owned(),
        })
    })?;
    if let Some(tag) = elsewhere {
        return Err(Problem::bad_body(format!("The attribute {tag} takes a Value, not bulk data.")));
    }
    Ok(Order::from_dataset(&dataset)?)
}

fn json(content: &impl Serialize) -> Answer {
    let written = serde_json::to_vec(content).map_err(|error| {
        tracing::error!("a capture cannot be written as JSON: {error}");
        Problem::internal()
    })?;
    Ok(respond_full(HeaderValue::from_static("application/json"), written))
}

fn done() -> Response<super::Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests;
