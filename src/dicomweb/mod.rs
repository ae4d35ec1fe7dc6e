//! The DICOMweb origin server (PS3.18): requests in, what the hub holds out.
//!
//! [`routes`] has every URL, `reached` the host in those that we hand out, [`media`] what a client accepts,
//! [`problem`] every error. `retrieve`, `metadata` and `search` answer; `live` is the body that goes on
//! while a series grows, and `representation` the form that each instance takes in it. `operations` is not
//! DICOMweb's: captures are started, stopped and told of their patient there.

pub mod access;
pub mod capabilities;
mod channel;
pub mod content;
mod cors;
mod counters;
pub(crate) mod events;
mod guarded;
mod live;
pub mod media;
mod metadata;
pub mod operations;
mod parameters;
pub mod problem;
mod reached;
mod render_parameters;
mod representation;
mod retrieve;
pub mod routes;
pub mod search;
mod steering;
mod store;
mod subscribe;
mod view;
mod visitor;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{HeaderValue, WARNING};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use tokio::sync::watch;

use self::access::{Access, Caller};
use self::capabilities::Capabilities;
pub use self::channel::retrieve_url;
pub use self::counters::{Answered, DicomwebCounters};
use self::media::Accept;
use self::metadata::Entry;
use self::parameters::Parameters;
use self::problem::Problem;
use self::retrieve::respond_full;
use self::routes::{Match, Resource, Route, Transaction, Urls};
pub use self::view::View;
use crate::config::settings::{DestinationSettings, DicomwebSettings, Right};
use crate::context::desk::Desk;
use crate::hub::Hub;
use crate::instance::Instance;
use crate::net::http::{Body, Handler, PeerInfo, Refusal};
use crate::sink::notify::Notifier;
use crate::sink::workers::Workers;
use crate::source::send::SendSource;
use crate::subscription::query::Query;
use crate::subscription::registry::Registry;
use crate::subscription::scope::{Level, Scope};

type Answer = Result<Response<Body>, Problem>;

/// A client that comes while we stop may try again after this.
const BACK_SOON: Duration = Duration::from_secs(5);

/// The configured destinations, by name.
pub type Destinations = Arc<ArcSwap<BTreeMap<String, DestinationSettings>>>;

/// The origin server, and what it is made of.
#[derive(Debug)]
pub struct Origin {
    /// What is live.
    pub hub: Hub,
    /// Policy; a reload replaces it.
    pub settings: Arc<ArcSwap<DicomwebSettings>>,
    /// What is counted.
    pub counters: DicomwebCounters,
    /// Where it listens, for URLs where a client names no host.
    pub address: SocketAddr,
    /// Becomes true when the service stops.
    pub stopping: watch::Receiver<bool>,
    /// Who may do what.
    pub access: Access,
    /// The standing searches.
    pub registry: Registry,
    /// What tells of their results.
    pub notifier: Notifier,
    /// What takes instances that are posted.
    pub send: SendSource,
    /// Peers that subscriptions may push to; a reload replaces them.
    pub destinations: Destinations,
    /// Where what takes the processor for long is done.
    pub workers: Workers,
    /// What is wanted of captures, and what they say of themselves.
    pub desk: Desk,
}

impl Origin {
    async fn answer(&self, request: Request<Incoming>, peer: &PeerInfo) -> (&'static str, Answer) {
        let Match { template, route } = match routes::parse(request.uri().path()) {
            Ok(found) => found,
            Err(error) => return ("unknown", Err(error.into())),
        };
        let transaction = word(template.transaction, request.method());
        if !template.methods.contains(request.method()) {
            return (transaction, Err(Problem::method_not_allowed(template)));
        }
        if *self.stopping.borrow() {
            return (transaction, Err(Problem::draining(BACK_SOON)));
        }
        if request.method() == Method::OPTIONS {
            return ("capabilities", self.capabilities(&request));
        }
        // The secret in a channel's URL stands for credentials.
        match &route {
            Route::Notifications(subscriber) => {
                return (transaction, channel::open(self, request, peer, Some(subscriber)));
            }
            Route::Capabilities if channel::is_asked_for(&request) => {
                return ("notifications", channel::open(self, request, peer, None));
            }
            _ => {}
        }
        let caller = match self.access.caller(&self.hub, &self.counters, peer, request.headers()) {
            Ok(caller) => caller,
            Err(problem) => return (transaction, Err(problem)),
        };
        let transaction = if caller.is_us() { "self_test" } else { transaction };
        (transaction, self.dispatch(request, route, &caller).await)
    }

    async fn dispatch(&self, request: Request<Incoming>, route: Route, caller: &Caller) -> Answer {
        match (request.method().clone(), route) {
            (Method::POST, Route::Search(scope)) => store::store(self, request, caller, scope.study).await,
            (Method::POST, Route::Retrieve(resource)) => {
                store::store(self, request, caller, Some(resource.study)).await
            }
            (_, Route::Subscription(scope, subscriber)) => {
                subscribe::subscription(self, request, caller, scope, &subscriber).await
            }
            (_, Route::Suspend(scope, subscriber)) => {
                subscribe::suspend(self, &request, caller, &scope, &subscriber, true)
            }
            (_, Route::Resume(scope, subscriber)) => {
                subscribe::suspend(self, &request, caller, &scope, &subscriber, false)
            }
            (
                _,
                route @ (Route::Captures
                | Route::Capture(_)
                | Route::Start(_)
                | Route::Stop(_)
                | Route::Patient(_)
                | Route::Step(_)
                | Route::Emergency(_)
                | Route::Worklist),
            ) => operations::operate(self, request, caller, route).await,
            (_, route) => self.get(&request, route, caller).await,
        }
    }

    async fn get(&self, request: &Request<Incoming>, route: Route, caller: &Caller) -> Answer {
        match &route {
            Route::Capabilities => return self.capabilities(request),
            Route::Search(_) => caller.may(Right::Search)?,
            _ => caller.may(Right::Retrieve)?,
        }
        let urls = self.urls(request);
        let raw_query = request.uri().query().unwrap_or_default();
        let route = match route {
            Route::Search(scope) => return self.search(request, urls, scope, raw_query, caller).await,
            other => other,
        };
        let parameters = Parameters::parse(raw_query)?;
        let retrieval = retrieve::Request {
            hub: &self.hub,
            caller,
            urls: &urls,
            workers: &self.workers,
            counters: caller.counters(&self.counters),
            headers: request.headers(),
            parameters: &parameters,
            steered_by: steering::named(self, &parameters, caller)?,
        };
        match &route {
            Route::Retrieve(resource) => retrieval.retrieve(resource).await,
            Route::Rendered(resource) => retrieval.rendered(resource).await,
            Route::Frames(resource, frames) => retrieval.frames(resource, frames).await,
            Route::RenderedFrames(resource, frames) => retrieval.rendered_frames(resource, frames).await,
            Route::Bulkdata(resource, path) => retrieval.bulkdata(resource, path).await,
            Route::Metadata(resource) => {
                caller.reads(resource);
                let accept = Accept::parse(request.headers(), parameters.values("accept"))?;
                let media = media::datasets(&accept)?.first().copied().ok_or_else(Problem::internal)?;
                let instances = self.instances(resource, caller)?;
                let urls = urls.clone();
                let written = self.workers.run(move || {
                    let entries: Vec<_> = instances.into_iter().filter_map(Entry::metadata).collect();
                    metadata::respond(&entries, media, &urls)
                });
                written.await.ok_or_else(Problem::internal)?
            }
            _ => Err(Problem::internal()),
        }
    }

    /// Everything that a resource has at this moment, and that the caller sees.
    fn instances(&self, resource: &Resource, caller: &Caller) -> Result<Vec<Arc<Instance>>, Problem> {
        let series = retrieve::series(&self.hub, caller, resource)?;
        let Some(instance) = &resource.instance else {
            return Ok(series.iter().flat_map(|live| live.instances()).collect());
        };
        let found: Vec<_> = series.iter().filter_map(|live| live.instance(instance)).collect();
        if found.is_empty() { Err(Problem::not_live()) } else { Ok(found) }
    }

    async fn search(
        &self,
        request: &Request<Incoming>,
        urls: Urls,
        scope: Scope,
        raw_query: &str,
        caller: &Caller,
    ) -> Answer {
        let query = Query::parse(raw_query, &["accept"]).map_err(|error| Problem::bad_search(&error))?;
        let accepted = query.extra.iter().map(|(_, value)| value.as_str());
        let accept = Accept::parse(request.headers(), accepted)?;
        let media = media::datasets(&accept)?.first().copied().ok_or_else(Problem::internal)?;
        caller.visitor().asks(request.uri().path(), raw_query);
        let most = self.settings.load().limits.search_results;
        let (hub, asked, base, caller) = (self.hub.clone(), query.clone(), urls.clone(), caller.clone());
        let found = self
            .workers
            .run(move || search::search(&hub, |live| caller.sees(live), &base, &scope, &asked, most));
        let results = found.await.ok_or_else(Problem::internal)?;
        let mut response = if results.datasets.is_empty() {
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        } else {
            let entries: Vec<_> = results.datasets.into_iter().map(Entry::result).collect();
            metadata::respond(&entries, media, &urls)?
        };
        if results.more > 0 {
            warn(
                &mut response,
                &format!("There are {} additional results that can be requested", results.more),
            );
        }
        if !query.unknown.is_empty() {
            let names = query.unknown.join(", ");
            warn(
                &mut response,
                &format!("The following parameters are not supported and were ignored: {names}"),
            );
        }
        Ok(response)
    }

    fn capabilities(&self, request: &Request<Incoming>) -> Answer {
        let parameters = Parameters::parse(request.uri().query().unwrap_or_default())?;
        let accept = Accept::parse(request.headers(), parameters.values("accept"))?;
        let media = media::capabilities(&accept)?.first().copied().ok_or_else(Problem::internal)?;
        let base = self.urls(request);
        let content = Capabilities::new(base.base()).document(media).map_err(|error| {
            events::CapabilitiesUnwritable { error: &error }.tell();
            Problem::internal()
        })?;
        let mut response = respond_full(HeaderValue::from_static(media.essence()), content);
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
        response.headers_mut().insert(http::header::ALLOW, allow);
        Ok(response)
    }

    /// URLs as this client reaches us.
    fn urls(&self, request: &Request<Incoming>) -> Urls {
        reached::urls(request.uri(), request.headers(), self.address)
    }
}

impl Handler for Origin {
    async fn handle(&self, request: Request<Incoming>, peer: PeerInfo) -> Response<Body> {
        let settings = self.settings.load();
        if let Some(preflight) = cors::preflight(&request, &settings.cors_origins) {
            return preflight;
        }
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let (transaction, answer) = self.answer(request, &peer).await;
        let mut response = answer.unwrap_or_else(|problem| {
            let (peer, status) = (peer.address, problem.status);
            events::Refused { peer, transaction, status, detail: &problem.detail }.tell();
            told(problem)
        });
        cors::allow(&mut response, &headers, &settings.cors_origins);
        if method == Method::HEAD {
            *response.body_mut() = empty();
        }
        let answered = Answered { transaction, status: response.status().as_u16() };
        self.counters.requests.get_or_create(&answered).inc();
        response
    }

    fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let Refusal::TooManyRequests { retry_after } = refusal;
        self.counters.requests.get_or_create(&Answered { transaction: "unknown", status: 429 }).inc();
        told(Problem::too_many_requests(retry_after))
    }
}

fn told(problem: Problem) -> Response<Body> {
    problem.into_response().map(|content| Full::from(content).map_err(|never| match never {}).boxed_unsync())
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Adds a Warning header (PS3.18 §8.3.4.2.1; 299 is a miscellaneous persistent warning).
fn warn(response: &mut Response<Body>, text: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("299 framegate \"{text}\"")) {
        response.headers_mut().append(WARNING, value);
    }
}

/// The word for a transaction in logs and metrics.
fn word(transaction: Transaction, method: &Method) -> &'static str {
    match transaction {
        Transaction::Search(Level::Instances) if *method == Method::POST => "send",
        Transaction::Search(_) | Transaction::Retrieve if *method == Method::POST => "store",
        Transaction::Capabilities => "capabilities",
        Transaction::Search(Level::Studies) => "search_studies",
        Transaction::Search(Level::Series) => "search_series",
        Transaction::Search(Level::Instances) => "search_instances",
        Transaction::Retrieve => "retrieve",
        Transaction::Metadata => "metadata",
        Transaction::Rendered | Transaction::RenderedFrames => "rendered",
        Transaction::Frames => "frames",
        Transaction::Bulkdata => "bulkdata",
        Transaction::Subscription(_) => "subscription",
        Transaction::Suspend(_) => "suspend",
        Transaction::Resume(_) => "resume",
        Transaction::Notifications => "notifications",
        Transaction::Captures => "captures",
        Transaction::Start => "start_capture",
        Transaction::Stop => "stop_capture",
        Transaction::Patient => "patient_of_capture",
        Transaction::Step => "step_of_capture",
        Transaction::Emergency => "emergency_at_capture",
        Transaction::Worklist => "worklist",
    }
}
