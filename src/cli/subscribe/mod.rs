//! `framegate subscribe URL`: registers a standing search at a gateway, listens to its notifications, and
//! pulls the series that become available, until it is told to stop. It shows what comes as `receive`
//! does, and deletes its subscription at the end.
//!
//! ```text
//!   channel  (registration, lease, WebSocket) ──┐
//!                                               ├── News ──► this task: statistics, report, files
//!   pull     (one for each series or study)   ──┘
//! ```

mod channel;
mod client;
mod event;
mod object;
mod pull;
mod registration;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::client::{Client, Credentials, ServiceUrl};
use self::event::{Event, Kind};
use self::object::Taken;
use self::pull::Target;
use self::registration::{Registration, Wish};
use super::report::{CLOCKS, Report};
use super::save::Saver;
use super::statistics::{End, Statistics};
use super::stop::Stop;
use crate::config::settings::DestinationSettings;
use crate::instance::Uid;
use crate::net::tls::{Trust, client_config};
use crate::subscription::registry::Subscriber;

/// News that may wait for this task; pulls wait when it is behind.
const QUEUE: usize = 16;
/// Series or studies that are pulled at once.
const PULLS: usize = 64;
/// Ends of series that are remembered until their pull is at its end.
const ENDS: usize = 1024;
/// For the subscription to be deleted at the end.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// What to subscribe to, and what to do with it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Root of the DICOMweb service, such as https://HOST:8443/dicomweb
    url: ServiceUrl,
    /// Match key of the search, such as Modality=XA (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// What to be told of; series are pulled whole in any case, but for `studies`, which pulls studies
    #[arg(long, value_enum, default_value_t = Level::Series)]
    level: Level,
    /// Name of the subscriber [default: made of the process number]
    #[arg(long, value_name = "NAME", value_parser = subscriber)]
    subscriber: Option<String>,
    /// Write each instance as DIR/STUDY/SERIES/INSTANCE.dcm (.jpg with --rendered)
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// At most so many instances a second of each series
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Where to begin in a series: oldest, latest, or an Instance Number
    #[arg(long, default_value = "oldest", value_parser = from)]
    from: String,
    /// Pictures (JPEG) instead of DICOM
    #[arg(long)]
    rendered: bool,
    /// Roots that the service's certificate must chain to (PEM) [default: those of the system]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Take any certificate: for trials
    #[arg(long)]
    insecure: bool,
    /// Our certificate chain, for a service that asks for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Private key of our certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// File with a bearer token
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// One JSON object a line instead of text
    #[arg(long)]
    json: bool,
    /// Tell of each instance
    #[arg(long)]
    each: bool,
    /// Show patients' names
    #[arg(long)]
    show_phi: bool,
    /// Only tell of events
    #[arg(long, conflicts_with_all = ["save", "each"])]
    no_pull: bool,
    /// Stop after so many instances (with --no-pull: events)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// The search resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Studies,
    Series,
    Instances,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Studies => "studies",
            Self::Series => "series",
            Self::Instances => "instances",
        }
    }
}

fn filter(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE")?;
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        return Err("the key is an attribute's keyword, or eight hex digits".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn subscriber(text: &str) -> Result<String, String> {
    Subscriber::parse(text).map(|name| name.as_str().to_owned()).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("a number above 0".to_owned()),
    }
}

fn from(text: &str) -> Result<String, String> {
    if matches!(text, "oldest" | "latest") || text.parse::<i32>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("oldest, latest, or an Instance Number".to_owned())
    }
}

/// What happens elsewhere.
#[derive(Debug)]
enum News {
    /// The notification connection is open.
    Connected,
    /// It is not, and why.
    Disconnected(String),
    /// An event came over it.
    Event(Box<Event>),
    /// An instance came, of the pull with this path.
    Arrived(Arc<str>, Box<Taken>),
    /// Something came that cannot be read, and why.
    Unreadable(String),
}

/// Subscribes until it is told to stop, or has what was wanted.
pub(super) fn subscribe(options: Options) -> anyhow::Result<()> {
    let _log = super::start_quiet_log()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(run(options)));
    runtime.shutdown_background();
    outcome
}

async fn run(options: Options) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let client = Client::new(&options.url, credentials(&options)?)?;
    let saver = options.save.as_deref().map(Saver::start).transpose()?;
    let wish = Wish {
        level: options.level.word(),
        subscriber: options.subscriber.clone().unwrap_or_else(|| format!("FRAMEGATE-{}", std::process::id())),
        filters: options.filter.clone(),
        rate: options.rate,
        rendered: options.rendered,
    };
    let mut report = Report::standard(options.json);
    let registration = Registration::make(&client, &wish).await?;
    let fields = json!({
        "subscriber": wish.subscriber,
        "resource": format!("/{}", wish.level),
        "id": registration.id,
        "lease_seconds": registration.lease_seconds,
    });
    let line = format!("subscribed as {} to /{}", wish.subscriber, wish.level);
    report.event("subscribed", fields, &line)?;
    if !options.no_pull {
        report.remark(CLOCKS)?;
    }

    let (news, mut incoming) = mpsc::channel(QUEUE);
    let (stopping, stopped) = watch::channel(false);
    let (ids, id) = watch::channel(registration.id.clone());
    let mut follower = tokio::spawn(channel::follow(
        client.clone(),
        wish,
        options.show_phi,
        registration,
        channel::Ends { news: news.clone(), ids, stop: stopped },
    ));
    let mut follow = Follow {
        client,
        options,
        subscription: id,
        report,
        saver,
        statistics: Statistics::default(),
        pulls: JoinSet::new(),
        pulled: HashMap::new(),
        ends: HashMap::new(),
        unsaid: Vec::new(),
        news,
        counted: 0,
    };
    let (outcome, gone) = tokio::select! {
        outcome = follow.until(&mut incoming, &mut stop) => (outcome, false),
        ended = &mut follower => (ended.unwrap_or_else(|error| Err(error.into())), true),
    };
    follow.pulls.shutdown().await;
    // Those that wait to be heard are not waited for.
    drop(incoming);
    stopping.send_replace(true);
    if !gone && let Ok(ended) = tokio::time::timeout(GOOD_BYE, follower).await {
        let ended = ended.unwrap_or_else(|error| Err(error.into()));
        if let Err(error) = ended {
            follow.report.remark(&format!("{error:#}"))?;
        }
    }
    follow.finish().await?;
    outcome
}

/// Files that cannot be used are told before anything is asked.
fn credentials(options: &Options) -> anyhow::Result<Credentials> {
    let trust = Trust {
        ca: options.ca.clone().unwrap_or_else(|| DestinationSettings::default().ca),
        identity: options.certificate.clone().zip(options.key.clone()),
    };
    if !options.insecure && options.url.is_tls() {
        client_config(&trust, &[]).context(super::Misconfigured)?;
    }
    if let Some(token) = &options.token {
        let read = std::fs::read_to_string(token);
        read.with_context(|| token.display().to_string()).context(super::Misconfigured)?;
    }
    Ok(Credentials { trust, insecure: options.insecure, token: options.token.clone() })
}

/// The state of the command.
struct Follow<W> {
    client: Client,
    options: Options,
    /// Id of our subscription.
    subscription: watch::Receiver<String>,
    report: Report<W>,
    saver: Option<Saver>,
    statistics: Statistics,
    /// Each gives the path that it pulled.
    pulls: JoinSet<(Arc<str>, anyhow::Result<()>)>,
    /// Paths that are being pulled, with the series that came of each.
    pulled: HashMap<Arc<str>, Vec<(Uid, Uid)>>,
    /// How series ended that are still being pulled.
    ends: HashMap<Uid, End>,
    /// Series whose pull is at its end, with how that looked, until the event says how they ended; and
    /// whether a second has passed over them.
    unsaid: Vec<(Uid, Uid, End, bool)>,
    news: mpsc::Sender<News>,
    /// Towards `--count`.
    counted: u64,
}

impl<W: Write> Follow<W> {
    async fn until(&mut self, incoming: &mut mpsc::Receiver<News>, stop: &mut Stop) -> anyhow::Result<()> {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut since = Instant::now();
        while self.options.count.is_none_or(|count| self.counted < count) {
            tokio::select! {
                // An end is told after what came before it.
                biased;
                () = stop.told() => break,
                _ = second.tick() => {
                    let over = since.elapsed();
                    since = Instant::now();
                    self.second(over)?;
                }
                Some(news) = incoming.recv() => self.take(news).await?,
                Some(ended) = self.pulls.join_next() => {
                    let (path, outcome) = ended?;
                    self.pull_ended(&path, outcome)?;
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, news: News) -> anyhow::Result<()> {
        match news {
            News::Connected => {
                self.report.event("connected", json!({}), "the notification connection is open")?
            }
            News::Disconnected(why) => {
                let line = format!("no notification connection: {why}");
                self.report.event("disconnected", json!({"why": why}), &line)?;
            }
            News::Unreadable(why) => {
                let line = format!("something came that cannot be read: {why}");
                self.report.event("unreadable", json!({"why": why}), &line)?;
            }
            News::Event(event) => self.event(&event)?,
            News::Arrived(path, taken) => self.arrived(&path, *taken).await?,
        }
        Ok(())
    }

    async fn arrived(&mut self, path: &str, taken: Taken) -> anyhow::Result<()> {
        let Taken { arrival, saved } = taken;
        self.counted += 1;
        if self.statistics.arrived(&arrival)
            && let Some(series) = self.statistics.find(&arrival.study, &arrival.series)
        {
            self.report.opened(series)?;
        }
        let named = (arrival.study.clone(), arrival.series.clone());
        if let Some(series) = self.pulled.get_mut(path)
            && !series.contains(&named)
        {
            series.push(named);
        }
        if self.options.each {
            self.report.instance(&arrival)?;
        }
        if let Some(saver) = &self.saver {
            saver.save(saved).await;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        self.report.event("notified", shown_json(event), &shown(event))?;
        if self.options.no_pull {
            self.counted += 1;
            return Ok(());
        }
        let named = event.study.clone().zip(event.series.clone());
        match (event.kind, named) {
            (Kind::StudyBecomingAvailable | Kind::SeriesBecomingAvailable, _) => self.pull(event)?,
            (Kind::SeriesCompleted, Some((study, series))) => self.ended(&study, &series, End::Completed)?,
            (Kind::SeriesAborted, Some((study, series))) => self.ended(&study, &series, End::Aborted)?,
            (Kind::InstancesMissed, Some((study, series))) => {
                if let Some(series) = self.statistics.find(&study, &series) {
                    series.missed += event.missed;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn pull(&mut self, event: &Event) -> anyhow::Result<()> {
        let given = event.retrieve_url.as_deref().and_then(|url| self.client.path_of(url));
        let rendered = if self.options.rendered { "/rendered" } else { "" };
        let own = || event.resource().map(|resource| self.client.path(&format!("{resource}{rendered}")));
        let Some(path) = given.or_else(own).map(Arc::<str>::from) else { return Ok(()) };
        if let Some(series) = &event.series {
            self.ends.remove(series);
            self.unsaid.retain(|(_, unsaid, ..)| unsaid != series);
        }
        if self.pulled.contains_key(&path) {
            return Ok(());
        }
        if self.pulls.len() >= PULLS {
            self.report.remark(&format!("not pulled: {PULLS} are being pulled already"))?;
            return Ok(());
        }
        let target = Target {
            path: path.clone(),
            from: self.options.from.clone(),
            subscription: self.subscription.clone(),
            rendered: self.options.rendered,
            show_phi: self.options.show_phi,
            is_series: event.kind == Kind::SeriesBecomingAvailable,
        };
        self.pulled.insert(path.clone(), Vec::new());
        let (client, news) = (self.client.clone(), self.news.clone());
        self.pulls.spawn(async move { (path, Box::pin(pull::pull(client, target, news)).await) });
        Ok(())
    }

    /// A series has ended at the service. While there are pulls, one of them may still bring some of it:
    /// the end is told when that pull is at its own.
    fn ended(&mut self, study: &str, series: &str, how: End) -> anyhow::Result<()> {
        if let Some(index) = self.unsaid.iter().position(|(_, unsaid, ..)| **unsaid == *series) {
            self.unsaid.swap_remove(index);
            return self.tell_end(study, series, how);
        }
        if self.pulled.is_empty() {
            return self.tell_end(study, series, how);
        }
        if self.ends.len() < ENDS {
            self.ends.insert(series.into(), how);
        }
        Ok(())
    }

    fn pull_ended(&mut self, path: &str, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
        if let Err(error) = &outcome {
            let why = format!("{error:#}");
            let line = format!("a series is not pulled any further: {why}");
            self.report.event("not_pulled", json!({"why": why}), &line)?;
        }
        for (study, series) in self.pulled.remove(path).unwrap_or_default() {
            let looked = if outcome.is_ok() { End::Completed } else { End::Aborted };
            match self.ends.remove(&series) {
                Some(how) => self.tell_end(&study, &series, how)?,
                None => self.unsaid.push((study, series, looked, false)),
            }
        }
        if self.pulled.is_empty() {
            self.ends.clear();
        }
        Ok(())
    }

    fn tell_end(&mut self, study: &str, series: &str, how: End) -> anyhow::Result<()> {
        if self.statistics.ended(study, series, how)
            && let Some(series) = self.statistics.find(study, series)
        {
            self.report.ended(series, how)?;
        }
        Ok(())
    }

    /// Tells the ends that no event has told within a second, or all of them.
    fn tell_unsaid(&mut self, all: bool) -> anyhow::Result<()> {
        for (study, series, how, waited) in std::mem::take(&mut self.unsaid) {
            if all || waited {
                self.tell_end(&study, &series, how)?;
            } else {
                self.unsaid.push((study, series, how, true));
            }
        }
        Ok(())
    }

    fn second(&mut self, over: Duration) -> anyhow::Result<()> {
        if self.options.no_pull {
            return Ok(());
        }
        self.tell_unsaid(false)?;
        self.report.second(&self.statistics, over)?;
        self.statistics.second_over();
        if let Some(failure) = self.saver.as_mut().and_then(Saver::new_failure) {
            self.report.not_saving(&failure)?;
        }
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        self.tell_unsaid(true)?;
        let saved = match self.saver {
            Some(saver) => {
                let (saved, failure) = saver.finish().await;
                if let Some(failure) = failure {
                    self.report.not_saving(&failure)?;
                }
                Some(saved)
            }
            None => None,
        };
        Ok(self.report.stopped(&self.statistics, saved)?)
    }
}

/// An event for people.
fn shown(event: &Event) -> String {
    let mut line = event.kind.name().to_owned();
    let facts = super::report::facts_text(&event.facts);
    match event.kind {
        Kind::ServerStatusChange => {
            line.push_str(&format!(": {}", event.status.as_deref().unwrap_or("unknown")))
        }
        Kind::InstancesMissed => line.push_str(&format!(": {}", event.missed)),
        _ if facts.is_empty() => {}
        _ => line.push_str(&format!(": {facts}")),
    }
    let uids = [("study", &event.study), ("series", &event.series), ("instance", &event.instance)];
    for (name, uid) in uids {
        if let Some(uid) = uid {
            line.push_str(&format!(", {name} {uid}"));
        }
    }
    line
}

fn shown_json(event: &Event) -> Value {
    let mut fields = super::report::facts_json(&event.facts);
    fields.extend([
        ("type".to_owned(), json!(event.kind.number())),
        ("name".to_owned(), json!(event.kind.name())),
        ("sequence".to_owned(), json!(event.sequence)),
        ("study".to_owned(), json!(event.study.as_deref())),
        ("series".to_owned(), json!(event.series.as_deref())),
        ("instance".to_owned(), json!(event.instance.as_deref())),
        ("missed".to_owned(), json!(event.missed)),
        ("status".to_owned(), json!(event.status)),
        ("retrieve_url".to_owned(), json!(event.retrieve_url)),
    ]);
    Value::Object(fields)
}
