//! The console: the box's own page, for the engineer who stands in front of it, on a listener of its own. docs/console.md
//! has its requests.
//!
//! ```text
//!  browser ══ TLS ══► net::http ──► Console ──► page and assets                     (nobody needs to be known)
//!                                     ├──► login: code, or certificate ──► session  (cookie, token)
//!                                     └──► in a session: status, events, journal, pictures,
//!                                          who is imaged (unlocked), operating
//! ```
//!
//! What it shows is collected elsewhere (`status`), and what it changes are wishes left where others leave theirs:
//! at the desk, in the registry. So nothing depends on it, and closing it costs nothing.
//!
//! Its walls: the page's policy allows nothing that is not ours; what changes something has to come from our own
//! origin and show the session's token; names and identifiers of patients are left out until somebody who may see
//! them asks for it, and pictures are too small to be read. Everything is bounded, and is the less for it: sessions,
//! streams of events, pictures, trials.

mod answer;
mod assets;
mod attempts;
mod code;
mod configuration;
pub(crate) mod events;
mod feed;
mod journal;
mod login;
mod operate;
mod origin;
mod people;
mod picture;
mod random;
mod routes;
mod session;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use http::{Method, Request, Response, request};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::answer::{Answer, another_method, empty, foreign, no_session, secure, told};
use self::assets::Assets;
use self::attempts::Attempts;
use self::code::Codes;
pub use self::code::VALID as CODE_VALID;
pub use self::configuration::Configuring;
use self::feed::Feed;
use self::login::Caller;
use self::people::{Shown, Tickets};
pub use self::random::NoRandom;
use self::routes::Route;
use self::session::Sessions;
use crate::audit::{Audit, Party, Transfers};
use crate::config::settings::{ConsoleSettings, Right};
use crate::context::desk::Desk;
use crate::dicomweb::access::Access;
use crate::dicomweb::content;
use crate::dicomweb::problem::Problem;
use crate::dicomweb::{Destinations, DicomwebCounters, View};
use crate::event::recent;
use crate::hub::{Hub, LiveSeries};
use crate::net::http::{Body, Handler, PeerInfo, Refusal};
use crate::net::until::until;
use crate::sink::workers::Workers;
use crate::status::Status;
use crate::subscription::described;
use crate::subscription::registry::Registry;

/// Most content of a request (bytes); a choice has a few dozen.
const MAX_CONTENT: usize = 4 << 10;
/// Streams of events at once.
const LISTENERS: usize = 32;
/// Live pictures at once.
const PICTURES: usize = 24;
/// Trials of destinations, and support bundles, at once.
const TRIALS: usize = 2;
/// A client that comes while we stop, or are busy, may try again after this.
const BACK_SOON: Duration = Duration::from_secs(5);

/// Collects how everything is, without waiting for anybody.
pub type Collect = Arc<dyn Fn() -> Status + Send + Sync>;
/// Makes a support bundle, a `.tar.gz`; the error is for the log. Called where blocking is allowed.
pub type Bundle = Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// What the console is made of.
pub struct Parts {
    /// Policy; a reload replaces it.
    pub settings: Arc<ArcSwap<ConsoleSettings>>,
    /// How everything is.
    pub status: Collect,
    /// For support.
    pub bundle: Bundle,
    /// What is live.
    pub hub: Hub,
    /// What is wanted of captures, and what is scheduled.
    pub desk: Desk,
    /// The standing searches.
    pub registry: Registry,
    /// Peers that can be tried; a reload replaces them.
    pub destinations: Destinations,
    /// Who is known by which certificate, and may do what.
    pub access: Access,
    /// The audit trail.
    pub audit: Audit,
    /// Where the configuration is changed; `None` where there is no file, or no runtime directory.
    pub configuring: Option<Configuring>,
    /// Becomes true when the service stops.
    pub stopping: watch::Receiver<bool>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The console. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    assets: Assets,
    codes: Codes,
    attempts: Attempts,
    sessions: Sessions,
    tickets: Tickets,
    feed: Arc<Feed>,
    /// Of its own: pictures for an engineer do not hold up the searches of applications.
    workers: Workers,
    /// Of its own: what is looked at here is no client of the origin server's.
    counters: DicomwebCounters,
    listeners: Arc<Semaphore>,
    pictures: Arc<Semaphore>,
    trials: Semaphore,
}

impl Console {
    /// A console that nobody is logged in at.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(parts: Parts) -> Result<Self, NoRandom> {
        let shared = Shared {
            feed: Arc::new(Feed::new(parts.status.clone())),
            parts,
            assets: Assets::built_in(),
            codes: Codes::default(),
            attempts: Attempts::default(),
            sessions: Sessions::default(),
            tickets: Tickets::new()?,
            workers: Workers::new(),
            counters: DicomwebCounters::default(),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            pictures: Arc::new(Semaphore::new(PICTURES)),
            trials: Semaphore::new(TRIALS),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes a one-time code; the one before is void. Only for whoever is at the box, or may open its control socket.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn make_code(&self) -> Result<String, NoRandom> {
        let code = self.shared.codes.make(Instant::now())?;
        events::CodeMade {}.tell();
        Ok(code)
    }

    async fn answer(&self, request: Request<Incoming>, peer: &PeerInfo) -> Answer {
        let (head, mut body) = request.into_parts();
        let answer = self.answer_to(&head, &mut body, peer).await;
        // What was refused, or needs no content, may still bring some.
        content::linger(&mut body).await;
        answer
    }

    async fn answer_to(&self, head: &request::Parts, body: &mut Incoming, peer: &PeerInfo) -> Answer {
        let route = Route::of(head.uri.path()).ok_or_else(Problem::unknown_path)?;
        let (asked, takes) = (&head.method, route.method());
        if *asked != takes && !(*asked == Method::HEAD && takes == Method::GET) {
            return Err(another_method(&takes));
        }
        if *self.shared.parts.stopping.borrow() {
            return Err(Problem::draining(BACK_SOON));
        }
        let changes = takes != Method::GET;
        if changes && !origin::is_ours(head) {
            return Err(foreign());
        }
        let missing = Problem::unknown_path;
        match route {
            Route::Page => return self.shared.assets.page(&head.headers).ok_or_else(missing),
            Route::Asset(name) => return self.shared.assets.named(name, &head.headers).ok_or_else(missing),
            Route::Session => return self.session(&head.headers, peer),
            Route::Login => {
                let brought = content::collect(body, MAX_CONTENT, content::DEADLINE).await?;
                return self.log_in(&brought, peer);
            }
            _ => {}
        }
        let caller = self.caller(&head.headers, peer, route.is_use()).ok_or_else(no_session)?;
        let token = head.headers.get("x-csrf-token").map(HeaderValue::as_bytes).unwrap_or_default();
        if changes && !caller.session.is_shown_by(token) {
            return Err(foreign());
        }
        match route {
            Route::Logout => Ok(self.log_out(&caller, peer)),
            Route::Unlock => self.unlock(&caller, peer, true),
            Route::Lock => self.unlock(&caller, peer, false),
            _ if changes => {
                let most = if route == Route::Configure { 2 * configuration::MOST } else { MAX_CONTENT };
                let brought = content::collect(body, most, content::DEADLINE).await?;
                self.operate(&caller, peer, route, &brought).await
            }
            _ => self.look(head, route, caller, peer).await,
        }
    }

    /// What changes nothing.
    async fn look(&self, head: &request::Parts, route: Route<'_>, caller: Caller, peer: &PeerInfo) -> Answer {
        match route {
            Route::Status => answer::json(&*self.shared.feed.now()),
            Route::Events => {
                let slot = slot(&self.shared.listeners)?;
                let after = head.headers.get("last-event-id");
                let after = after.and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
                let over = self.over(&caller, false);
                Ok(feed::respond(self.shared.feed.clone(), after, async move {
                    let _slot = slot;
                    over.await;
                }))
            }
            Route::Journal => {
                let asked = journal::Asked::read(head.uri.query().unwrap_or_default())?;
                answer::json(&asked.find(recent()))
            }
            Route::CaptureContext(name) => answer::json(&self.of_capture(name, &caller)?),
            Route::SeriesContext(study, series) => {
                let live = self.series(study, series, &caller)?;
                answer::json(&if caller.sees_people() { Shown::of_series(&live) } else { Shown::masked() })
            }
            Route::Worklist => {
                let (tickets, worklist) =
                    (self.shared.tickets.clone(), self.shared.parts.desk.worklist().clone());
                let (filter, masked) = (caller.may.filter.clone(), !caller.sees_people());
                let list = move || tickets.list(&worklist, filter.as_deref(), masked);
                answer::json(&self.shared.workers.run(list).await.ok_or_else(Problem::internal)?)
            }
            Route::Live(study, series) => {
                let live = self.series(study, series, &caller)?;
                let slot = slot(&self.shared.pictures)?;
                let transfers =
                    Transfers::fetched(&self.shared.parts.audit, Party::here(), caller.party(peer));
                let view = View {
                    side: picture::side(&live, caller.sees_people()),
                    series: live,
                    peer: peer.address.to_string().into(),
                    rate: picture::RATE,
                    workers: self.shared.workers.clone(),
                    counters: self.shared.counters.clone(),
                    transfers,
                };
                // Cut short, so that the page asks for it again: what may be seen of it may have changed.
                let over = self.over(&caller, true);
                Ok(view.respond()?.map(|body| {
                    until(body, async move {
                        let _slot = slot;
                        over.await.into()
                    })
                }))
            }
            Route::SupportBundle => self.support_bundle().await,
            Route::Configuration => {
                let configuring = self.configuring(&caller)?;
                self.shared.workers.run(move || configuring.show()).await.ok_or_else(Problem::internal)?
            }
            _ => Err(Problem::internal()),
        }
    }

    /// Where a caller who may changes the configuration.
    fn configuring(&self, caller: &Caller) -> Result<Configuring, Problem> {
        if !caller.may.configure {
            return Err(answer::may_not(Right::Configure));
        }
        self.shared.parts.configuring.clone().ok_or_else(configuration::impossible)
    }

    /// A series that the caller sees.
    fn series(&self, study: &str, series: &str, caller: &Caller) -> Result<Arc<LiveSeries>, Problem> {
        let hub = &self.shared.parts.hub;
        let found = hub.find(study, series).filter(|live| {
            let filter = caller.may.filter.as_ref();
            filter.is_none_or(|filter| filter.matches(&described::series(live, &hub.study(study))))
        });
        found.ok_or_else(Problem::not_live)
    }

    /// Who is imaged by a capture: as its open series says, or as the next one would.
    fn of_capture(&self, name: &str, caller: &Caller) -> Result<Shown, Problem> {
        let desk = &self.shared.parts.desk;
        let report = desk.reports().into_iter().find(|(known, ..)| known == name);
        let (_, _, report) = report.ok_or_else(Problem::no_capture)?;
        if !caller.sees_people() {
            return Ok(Shown::masked());
        }
        if self.shared.parts.hub.find(&report.study, &report.series).is_some() {
            // One that their filter hides is not there for them.
            let seen = self.series(&report.study, &report.series, caller);
            return Ok(seen.map_or_else(|_| Shown::masked(), |live| Shown::of_series(&live)));
        }
        // Nobody can tell whether a filter would let through what is not imaged yet.
        let hides = caller.may.filter.is_some();
        Ok(if hides { Shown::masked() } else { Shown::of_capture(desk, name) })
    }

    async fn support_bundle(&self) -> Answer {
        let _slot = self.shared.trials.try_acquire().map_err(|_| Problem::busy(BACK_SOON))?;
        let bundle = self.shared.parts.bundle.clone();
        let made = tokio::task::spawn_blocking(move || bundle()).await;
        let bytes = made.map_err(|error| error.to_string()).and_then(|made| made).map_err(|error| {
            events::NoBundle { error: &error }.tell();
            Problem::internal()
        })?;
        let mut response = answer::content("application/gzip", bytes);
        let name = HeaderValue::from_static("attachment; filename=\"framegate-support.tar.gz\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
        Ok(response)
    }

    /// Completes, and says why, when what goes on in a session has to end: with the session, with the service, and
    /// if it shows `people` when what may be seen of them changes.
    fn over(&self, caller: &Caller, people: bool) -> impl Future<Output = &'static str> + Send + 'static {
        let (console, id, saw) = (self.clone(), caller.session.id, caller.sees_people());
        async move {
            let mut changed = console.shared.sessions.changed();
            let mut stopping = console.shared.parts.stopping.clone();
            loop {
                let idle = console.shared.parts.settings.load().session;
                let session = console.shared.sessions.look(id, Instant::now(), idle, false);
                let now = session.and_then(|session| Some((session.unlocked, console.may(&session.who)?)));
                match now {
                    None => return "the session is over",
                    Some((unlocked, may)) if people && (unlocked && may.phi) != saw => {
                        return "what may be seen has changed";
                    }
                    Some(_) => {}
                }
                tokio::select! {
                    _ = changed.changed() => {}
                    // It may be over by the clock, or by a reload.
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    _ = stopping.wait_for(|&down| down) => return "the service stops",
                }
            }
        }
    }
}

fn slot(slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    slots.clone().try_acquire_owned().map_err(|_| Problem::busy(BACK_SOON))
}

impl Handler for Console {
    async fn handle(&self, request: Request<Incoming>, peer: PeerInfo) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        // On the heap: what a trial of a destination keeps is large.
        let answer = Box::pin(self.answer(request, &peer)).await;
        let mut response = answer.unwrap_or_else(|problem| {
            events::Refused { peer: peer.address, status: problem.status, why: &problem.detail }.tell();
            told(problem)
        });
        secure(response.headers_mut());
        if is_head {
            *response.body_mut() = empty();
        }
        response
    }

    fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let Refusal::TooManyRequests { retry_after } = refusal;
        let mut response = told(Problem::too_many_requests(retry_after));
        secure(response.headers_mut());
        response
    }
}
