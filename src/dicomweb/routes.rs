//! Every URL of the DICOMweb origin server, in one table.
//!
//! [`TEMPLATES`] lists the target resources below [`BASE`] as PS3.18 §10 writes them. A request
//! path is recognised by walking that table ([`parse`]), the URLs that we hand out are expanded
//! from the same strings ([`Urls`]), and the Capabilities Description is generated from it, so
//! the three cannot disagree. What a recognised path means is a [`Route`]: identifiers that have
//! passed validation, and nothing of the text they came from.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use http::Method;

use crate::instance::Uid;
use crate::subscription::registry::Subscriber;
use crate::subscription::scope::{Level, Scope};

/// Path of the service root; everything in [`TEMPLATES`] stands below it.
pub const BASE: &str = "/dicomweb";

/// Most frame numbers in one frame list.
pub const MAX_FRAMES: usize = 1024;

/// Longest request path that is looked at (bytes); a full frame list of five-digit numbers fits.
pub const MAX_PATH_BYTES: usize = 8 << 10;

/// Deepest nesting of sequence items in a bulkdata path.
const MAX_BULKDATA_DEPTH: usize = 32;

/// Path segments of the longest URL of ours: instance, `bulkdata`, and the deepest path.
const MAX_SEGMENTS: usize = 8 + 2 * MAX_BULKDATA_DEPTH;

/// Longest UID (characters, PS3.5 §9.1).
const MAX_UID: usize = 64;

/// The transaction that a target resource belongs to (PS3.18 §8.9, §10.4, §10.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// Retrieve Capabilities.
    Capabilities,
    /// Search, QIDO-RS.
    Search(Level),
    /// Retrieve of whole instances.
    Retrieve,
    /// Retrieve of metadata.
    Metadata,
    /// Retrieve of rendered images.
    Rendered,
    /// Retrieve of frames' pixels.
    Frames,
    /// Retrieve of rendered frames.
    RenderedFrames,
    /// Retrieve of one element's bulk data.
    Bulkdata,
    /// Registration of a standing search at this level: look at, create, change, delete.
    Subscription(Level),
    /// Suspending one.
    Suspend(Level),
    /// Resuming one.
    Resume(Level),
    /// A subscriber's notification connection (PS3.18 §8.10).
    Notifications,
    /// How captures are: all of them, or one.
    Captures,
    /// Starting one.
    Start,
    /// Stopping one.
    Stop,
    /// Who is imaged by one.
    Patient,
    /// Which scheduled step it is.
    Step,
    /// That it is an emergency.
    Emergency,
    /// What is scheduled.
    Worklist,
}

/// One row of the table: a target resource and what can be done with it.
#[derive(Debug)]
pub struct Template {
    /// URI template (RFC 6570) below [`BASE`]; `/` is the service itself.
    pub path: &'static str,
    /// The standard's name of the transaction at this level.
    pub name: &'static str,
    /// What it does.
    pub transaction: Transaction,
    /// Methods that it answers, for 405 and `Allow`.
    pub methods: &'static [Method],
}

impl Template {
    /// The value of the `Allow` header field (RFC 9110 §10.2.1).
    pub fn allow(&self) -> String {
        self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
    }
}

const READ: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];
const READ_OR_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
const REGISTER: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS];
const POST: &[Method] = &[Method::POST, Method::OPTIONS];
const PUT: &[Method] = &[Method::PUT, Method::OPTIONS];
const PUT_OR_DELETE: &[Method] = &[Method::PUT, Method::DELETE, Method::OPTIONS];

const STUDY: &str = "/studies/{study}";
const SERIES: &str = "/studies/{study}/series/{series}";
const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";
const RENDERED: &str = "/studies/{study}/series/{series}/instances/{instance}/rendered";
const FRAMES: &str = "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}";
const SUBSCRIBER: &str = "/subscribers/{subscriber}";
const BULKDATA: &str = "/studies/{study}/series/{series}/instances/{instance}/bulkdata/{+bulkdata}";

const fn read(path: &'static str, name: &'static str, transaction: Transaction) -> Template {
    Template { path, name, transaction, methods: READ }
}

/// A search or study resource that instances can be posted to as well.
const fn fed(path: &'static str, name: &'static str, transaction: Transaction) -> Template {
    Template { path, name, transaction, methods: READ_OR_POST }
}

const fn subscription(path: &'static str, name: &'static str, level: Level) -> Template {
    Template { path, name, transaction: Transaction::Subscription(level), methods: REGISTER }
}

const fn post(path: &'static str, name: &'static str, transaction: Transaction) -> Template {
    Template { path, name, transaction, methods: POST }
}

/// All target resources. The first row that has the shape of a path is its row.
pub const TEMPLATES: &[Template] = &[
    read("/", "Retrieve Capabilities", Transaction::Capabilities),
    fed("/studies", "Search for Studies", Transaction::Search(Level::Studies)),
    read("/series", "Search for Series", Transaction::Search(Level::Series)),
    fed("/instances", "Search for Instances", Transaction::Search(Level::Instances)),
    // Before those with an identifier in the same place: no UID is "subscribers", but a subscriber may
    // well be called "metadata".
    subscription("/studies/subscribers/{subscriber}", "Subscription to Studies", Level::Studies),
    post(
        "/studies/subscribers/{subscriber}/suspend",
        "Suspend Subscription to Studies",
        Transaction::Suspend(Level::Studies),
    ),
    post(
        "/studies/subscribers/{subscriber}/resume",
        "Resume Subscription to Studies",
        Transaction::Resume(Level::Studies),
    ),
    subscription("/series/subscribers/{subscriber}", "Subscription to Series", Level::Series),
    post(
        "/series/subscribers/{subscriber}/suspend",
        "Suspend Subscription to Series",
        Transaction::Suspend(Level::Series),
    ),
    post(
        "/series/subscribers/{subscriber}/resume",
        "Resume Subscription to Series",
        Transaction::Resume(Level::Series),
    ),
    subscription("/instances/subscribers/{subscriber}", "Subscription to Instances", Level::Instances),
    post(
        "/instances/subscribers/{subscriber}/suspend",
        "Suspend Subscription to Instances",
        Transaction::Suspend(Level::Instances),
    ),
    post(
        "/instances/subscribers/{subscriber}/resume",
        "Resume Subscription to Instances",
        Transaction::Resume(Level::Instances),
    ),
    subscription(
        "/studies/{study}/series/subscribers/{subscriber}",
        "Subscription to Study Series",
        Level::Series,
    ),
    post(
        "/studies/{study}/series/subscribers/{subscriber}/suspend",
        "Suspend Subscription to Study Series",
        Transaction::Suspend(Level::Series),
    ),
    post(
        "/studies/{study}/series/subscribers/{subscriber}/resume",
        "Resume Subscription to Study Series",
        Transaction::Resume(Level::Series),
    ),
    subscription(
        "/studies/{study}/instances/subscribers/{subscriber}",
        "Subscription to Study Instances",
        Level::Instances,
    ),
    post(
        "/studies/{study}/instances/subscribers/{subscriber}/suspend",
        "Suspend Subscription to Study Instances",
        Transaction::Suspend(Level::Instances),
    ),
    post(
        "/studies/{study}/instances/subscribers/{subscriber}/resume",
        "Resume Subscription to Study Instances",
        Transaction::Resume(Level::Instances),
    ),
    subscription(
        "/studies/{study}/series/{series}/instances/subscribers/{subscriber}",
        "Subscription to Study Series Instances",
        Level::Instances,
    ),
    post(
        "/studies/{study}/series/{series}/instances/subscribers/{subscriber}/suspend",
        "Suspend Subscription to Study Series Instances",
        Transaction::Suspend(Level::Instances),
    ),
    post(
        "/studies/{study}/series/{series}/instances/subscribers/{subscriber}/resume",
        "Resume Subscription to Study Series Instances",
        Transaction::Resume(Level::Instances),
    ),
    read(SUBSCRIBER, "Open Notification Connection", Transaction::Notifications),
    read("/ws/subscribers/{subscriber}", "Open Notification Connection", Transaction::Notifications),
    read("/operations/captures", "List Captures", Transaction::Captures),
    read("/operations/captures/{capture}", "Look at Capture", Transaction::Captures),
    post("/operations/captures/{capture}/start", "Start Capture", Transaction::Start),
    post("/operations/captures/{capture}/stop", "Stop Capture", Transaction::Stop),
    Template {
        path: "/operations/captures/{capture}/patient",
        name: "Patient of Capture",
        transaction: Transaction::Patient,
        methods: PUT_OR_DELETE,
    },
    Template {
        path: "/operations/captures/{capture}/step",
        name: "Step of Capture",
        transaction: Transaction::Step,
        methods: PUT,
    },
    post("/operations/captures/{capture}/emergency", "Emergency at Capture", Transaction::Emergency),
    read("/operations/worklist", "List Worklist", Transaction::Worklist),
    fed(STUDY, "Retrieve Study", Transaction::Retrieve),
    read("/studies/{study}/metadata", "Retrieve Study Metadata", Transaction::Metadata),
    read("/studies/{study}/rendered", "Retrieve Rendered Study", Transaction::Rendered),
    read("/studies/{study}/series", "Search for Study Series", Transaction::Search(Level::Series)),
    read("/studies/{study}/instances", "Search for Study Instances", Transaction::Search(Level::Instances)),
    read(SERIES, "Retrieve Series", Transaction::Retrieve),
    read("/studies/{study}/series/{series}/metadata", "Retrieve Series Metadata", Transaction::Metadata),
    read("/studies/{study}/series/{series}/rendered", "Retrieve Rendered Series", Transaction::Rendered),
    read(
        "/studies/{study}/series/{series}/instances",
        "Search for Study Series Instances",
        Transaction::Search(Level::Instances),
    ),
    read(INSTANCE, "Retrieve Instance", Transaction::Retrieve),
    read(
        "/studies/{study}/series/{series}/instances/{instance}/metadata",
        "Retrieve Instance Metadata",
        Transaction::Metadata,
    ),
    read(RENDERED, "Retrieve Rendered Instance", Transaction::Rendered),
    read(FRAMES, "Retrieve Frames", Transaction::Frames),
    read(
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered",
        "Retrieve Rendered Frames",
        Transaction::RenderedFrames,
    ),
    read(BULKDATA, "Retrieve Bulkdata", Transaction::Bulkdata),
];

/// A study, one series of it, or one instance of that. An instance is never without its series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Option<Uid>,
    /// SOP Instance UID.
    pub instance: Option<Uid>,
}

/// What a request path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The Capabilities Description.
    Capabilities,
    /// A search, in everything or in what the path names.
    Search(Scope),
    /// Whole instances.
    Retrieve(Resource),
    /// Metadata of all instances below.
    Metadata(Resource),
    /// Rendered images of all instances below.
    Rendered(Resource),
    /// Pixels of these frames (numbers from 1, none twice, in the order asked) of an instance.
    Frames(Resource, Vec<u32>),
    /// Rendered images of these frames of an instance.
    RenderedFrames(Resource, Vec<u32>),
    /// The value of one element of an instance: a tag as eight upper-case hex digits, inside
    /// sequences after tag and item number (from 0) pairs, such as `52009229/0/00280010`.
    Bulkdata(Resource, String),
    /// The subscriptions of a subscriber to a search resource.
    Subscription(Scope, Subscriber),
    /// Suspends them.
    Suspend(Scope, Subscriber),
    /// Resumes them.
    Resume(Scope, Subscriber),
    /// A subscriber's notification connection.
    Notifications(Subscriber),
    /// How all captures are.
    Captures,
    /// How the capture of this name is. The name is as it came: only the table of captures knows which
    /// there are.
    Capture(String),
    /// Starts one.
    Start(String),
    /// Stops one.
    Stop(String),
    /// Says who is imaged by one, or takes it back.
    Patient(String),
    /// Says which scheduled step it is.
    Step(String),
    /// Says that it is an emergency.
    Emergency(String),
    /// What is scheduled.
    Worklist,
}

/// A recognised path: its row in the table and what it asks for.
#[derive(Debug)]
pub struct Match {
    /// The row; its `path` is the label for logs and metrics, since it holds no identifier.
    pub template: &'static Template,
    /// The identifiers, validated.
    pub route: Route,
}

/// Why a path is not a [`Route`]. Names the part, never its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No row has this shape: 404.
    #[error("no resource has this path")]
    NotFound,
    /// A part of a known shape cannot be read: 400.
    #[error("the {0} in the path is malformed")]
    Malformed(&'static str),
    /// Longer than [`MAX_PATH_BYTES`]: 414.
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
}

/// Recognises the path of a request URI (percent-encoded, without query). One trailing slash is
/// tolerated.
///
/// # Errors
/// [`RouteError::NotFound`] for a shape that no row has, [`RouteError::Malformed`] for a bad UID,
/// frame list, bulkdata path or percent-encoding in a known one.
pub fn parse(path: &str) -> Result<Match, RouteError> {
    if path.len() > MAX_PATH_BYTES {
        return Err(RouteError::TooLong);
    }
    let below = path.strip_prefix(BASE).ok_or(RouteError::NotFound)?;
    if below.is_empty() || below == "/" {
        return matched(&[]);
    }
    let below = below.strip_prefix('/').ok_or(RouteError::NotFound)?;
    let below = below.strip_suffix('/').unwrap_or(below);
    // A decoded slash stays inside its segment, where no identifier accepts it.
    let segments =
        below.split('/').take(MAX_SEGMENTS + 1).map(percent_decode).collect::<Result<Vec<_>, _>>()?;
    if segments.len() > MAX_SEGMENTS {
        return Err(RouteError::NotFound);
    }
    matched(&segments)
}

fn matched(segments: &[Cow<'_, str>]) -> Result<Match, RouteError> {
    let template = TEMPLATES.iter().find(|row| has_shape(row.path, segments)).ok_or(RouteError::NotFound)?;
    let mut values = Values::default();
    for (index, (pattern, segment)) in pattern_segments(template.path).zip(segments).enumerate() {
        match pattern {
            "{study}" => values.study = Some(uid(segment, "Study Instance UID")?),
            "{series}" => values.series = Some(uid(segment, "Series Instance UID")?),
            "{instance}" => values.instance = Some(uid(segment, "SOP Instance UID")?),
            "{frames}" => values.frames = frame_list(segment)?,
            "{subscriber}" => {
                let name = Subscriber::parse(segment).map_err(|_| RouteError::Malformed("subscriber"))?;
                values.subscriber = Some(name);
            }
            "{capture}" => values.capture = Some(segment.to_string()),
            "{+bulkdata}" => values.bulkdata = bulkdata_path(segments.get(index..).unwrap_or_default())?,
            _ => {}
        }
    }
    let route = values.into_route(template.transaction).ok_or(RouteError::NotFound)?;
    Ok(Match { template, route })
}

/// The segments of a template; none for the service root.
pub(crate) fn pattern_segments(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('/').filter(|segment| !segment.is_empty())
}

fn has_shape(template: &'static str, segments: &[Cow<'_, str>]) -> bool {
    let mut segments = segments.iter();
    for pattern in pattern_segments(template) {
        match (pattern, segments.next()) {
            (_, None) => return false,
            (pattern, Some(_)) if pattern.starts_with("{+") => return true,
            (pattern, Some(_)) if pattern.starts_with('{') => {}
            (pattern, Some(segment)) if pattern != segment => return false,
            _ => {}
        }
    }
    segments.next().is_none()
}

#[derive(Default)]
struct Values {
    study: Option<Uid>,
    series: Option<Uid>,
    instance: Option<Uid>,
    frames: Vec<u32>,
    bulkdata: String,
    subscriber: Option<Subscriber>,
    capture: Option<String>,
}

impl Values {
    /// `None` when a row of the table lacks a variable that its transaction needs.
    fn into_route(self, transaction: Transaction) -> Option<Route> {
        let Self { study, series, instance, frames, bulkdata, subscriber, capture } = self;
        let scope = |level| Scope { level, study: study.clone(), series: series.clone() };
        match transaction {
            Transaction::Capabilities => return Some(Route::Capabilities),
            Transaction::Search(level) => return Some(Route::Search(scope(level))),
            Transaction::Subscription(level) => return Some(Route::Subscription(scope(level), subscriber?)),
            Transaction::Suspend(level) => return Some(Route::Suspend(scope(level), subscriber?)),
            Transaction::Resume(level) => return Some(Route::Resume(scope(level), subscriber?)),
            Transaction::Notifications => return Some(Route::Notifications(subscriber?)),
            Transaction::Captures => return Some(capture.map_or(Route::Captures, Route::Capture)),
            Transaction::Start => return Some(Route::Start(capture?)),
            Transaction::Stop => return Some(Route::Stop(capture?)),
            Transaction::Patient => return Some(Route::Patient(capture?)),
            Transaction::Step => return Some(Route::Step(capture?)),
            Transaction::Emergency => return Some(Route::Emergency(capture?)),
            Transaction::Worklist => return Some(Route::Worklist),
            _ => {}
        }
        let resource = Resource { study: study?, series, instance };
        Some(match transaction {
            Transaction::Retrieve => Route::Retrieve(resource),
            Transaction::Metadata => Route::Metadata(resource),
            Transaction::Rendered => Route::Rendered(resource),
            Transaction::Frames => Route::Frames(resource, frames),
            Transaction::RenderedFrames => Route::RenderedFrames(resource, frames),
            Transaction::Bulkdata => Route::Bulkdata(resource, bulkdata),
            _ => return None,
        })
    }
}

fn percent_decode(segment: &str) -> Result<Cow<'_, str>, RouteError> {
    const MALFORMED: RouteError = RouteError::Malformed("percent-encoding");
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or(MALFORMED);
        let value = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(value).map_err(|_| MALFORMED)?);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| MALFORMED)
}

/// Components with leading zeros break PS3.5 §9.1, but real systems send them, so they pass.
fn uid(text: &str, what: &'static str) -> Result<Uid, RouteError> {
    let component = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if text.len() <= MAX_UID && text.split('.').all(component) {
        Ok(Arc::from(text))
    } else {
        Err(RouteError::Malformed(what))
    }
}

/// Frame numbers from 1 in any order, none twice (PS3.18 §10.4.1.1.4).
fn frame_list(text: &str) -> Result<Vec<u32>, RouteError> {
    const MALFORMED: RouteError = RouteError::Malformed("frame list");
    let mut frames = Vec::new();
    for item in text.split(',') {
        if frames.len() == MAX_FRAMES {
            return Err(MALFORMED);
        }
        frames.push(decimal(item).filter(|number| *number > 0).ok_or(MALFORMED)?);
    }
    let mut sorted = frames.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == frames.len() { Ok(frames) } else { Err(MALFORMED) }
}

fn bulkdata_path(segments: &[Cow<'_, str>]) -> Result<String, RouteError> {
    const MALFORMED: RouteError = RouteError::Malformed("bulkdata path");
    // A tag at the even places, an item number between two tags: an odd number of segments.
    if segments.len().is_multiple_of(2) || segments.len() > 2 * MAX_BULKDATA_DEPTH {
        return Err(MALFORMED);
    }
    let mut path = String::new();
    for (index, segment) in segments.iter().enumerate() {
        if index.is_multiple_of(2) {
            if segment.len() != 8 || !segment.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MALFORMED);
            }
            path.push_str(&segment.to_ascii_uppercase());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "/{}/", decimal(segment).ok_or(MALFORMED)?);
        }
    }
    Ok(path)
}

/// Digits only: `u32::from_str` alone would take a sign.
fn decimal(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Path of a search resource below [`BASE`], such as `/studies/1.2/series`.
pub fn search_path(scope: &Scope) -> String {
    let is_it = |row: &&Template| {
        row.transaction == Transaction::Search(scope.level)
            && row.path.contains("{study}") == scope.study.is_some()
            && row.path.contains("{series}") == scope.series.is_some()
    };
    let path = TEMPLATES.iter().find(is_it).map_or("/", |row| row.path);
    let identifiers: Vec<&str> =
        [&scope.study, &scope.series].into_iter().flatten().map(|uid| &**uid).collect();
    Urls::new("").expand(path, &identifiers)
}

/// Makes the absolute URLs that we hand out (Retrieve URL, BulkDataURI, Content-Location).
#[derive(Debug, Clone)]
pub struct Urls {
    base: Arc<str>,
}

impl Urls {
    /// `base` is the service root as the client reaches it, such as `https://host:port/dicomweb`.
    pub fn new(base: &str) -> Self {
        Self { base: Arc::from(base.trim_end_matches('/')) }
    }

    /// The service root, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Retrieve URL of a study.
    pub fn study(&self, study: &str) -> String {
        self.expand(STUDY, &[study])
    }

    /// Retrieve URL of a series.
    pub fn series(&self, study: &str, series: &str) -> String {
        self.expand(SERIES, &[study, series])
    }

    /// Retrieve URL of an instance.
    pub fn instance(&self, study: &str, series: &str, instance: &str) -> String {
        self.expand(INSTANCE, &[study, series, instance])
    }

    /// Retrieve URL of whichever of the three a resource is.
    pub fn resource(&self, resource: &Resource) -> String {
        match (&resource.series, &resource.instance) {
            (Some(series), Some(instance)) => self.instance(&resource.study, series, instance),
            (Some(series), None) => self.series(&resource.study, series),
            (None, _) => self.study(&resource.study),
        }
    }

    /// URL of the rendered instance.
    pub fn rendered(&self, study: &str, series: &str, instance: &str) -> String {
        self.expand(RENDERED, &[study, series, instance])
    }

    /// URL of some frames (numbers from 1) of an instance.
    pub fn frames(&self, study: &str, series: &str, instance: &str, frames: &[u32]) -> String {
        let list = frames.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        self.expand(FRAMES, &[study, series, instance, &list])
    }

    /// BulkDataURI of an element of an instance; `path` as in [`Route::Bulkdata`].
    pub fn bulkdata(&self, study: &str, series: &str, instance: &str, path: &str) -> String {
        self.expand(BULKDATA, &[study, series, instance, path])
    }

    /// URL of a subscriber's notification connection; `channel` is what opens it.
    pub fn channel(&self, subscriber: &Subscriber, channel: &str) -> String {
        let url = self.expand(SUBSCRIBER, &[subscriber.as_str()]);
        let url = url.strip_prefix("http").map_or_else(|| url.clone(), |rest| format!("ws{rest}"));
        format!("{url}?channel={channel}")
    }

    /// Puts the values in the template's order in the places of its variables.
    fn expand(&self, template: &'static str, values: &[&str]) -> String {
        let mut values = values.iter();
        let mut url = String::with_capacity(self.base.len() + 256);
        url.push_str(&self.base);
        for pattern in pattern_segments(template) {
            url.push('/');
            if pattern.starts_with('{') {
                push_encoded(&mut url, values.next().copied().unwrap_or_default());
            } else {
                url.push_str(pattern);
            }
        }
        url
    }
}

/// UIDs come from modalities; one with a character that a URL cannot hold must not break ours.
fn push_encoded(url: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b',' | b'/' => {
                url.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(url, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests;
