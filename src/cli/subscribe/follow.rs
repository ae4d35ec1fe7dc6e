//! What is done about the news: series are pulled, counted, shown and saved.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::News;
use super::client::Client;
use super::event::{Event, Kind};
use super::object::Taken;
use super::options::Options;
use super::pull::{self, Target};
use crate::cli::report::{self, Report};
use crate::cli::save::{self, Saver};
use crate::cli::statistics::{End, Statistics};
use crate::cli::stop::Stop;
use crate::instance::Uid;

/// Series or studies that are pulled at once.
const PULLS: usize = 64;
/// Ends of series that are remembered until their pull is at its end.
const ENDS: usize = 1024;

/// The state of the command.
pub(super) struct Follow<W> {
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
    /// Nothing is pulled yet. What is pulled tells `news`.
    pub(super) fn new(
        client: Client,
        options: Options,
        subscription: watch::Receiver<String>,
        report: Report<W>,
        saver: Option<Saver>,
        news: mpsc::Sender<News>,
    ) -> Self {
        Self {
            client,
            options,
            subscription,
            report,
            saver,
            statistics: Statistics::default(),
            pulls: JoinSet::new(),
            pulled: HashMap::new(),
            ends: HashMap::new(),
            unsaid: Vec::new(),
            news,
            counted: 0,
        }
    }

    /// Acts upon news until it is told to stop or has counted enough.
    pub(super) async fn until(
        &mut self,
        incoming: &mut mpsc::Receiver<News>,
        stop: &mut Stop,
    ) -> anyhow::Result<()> {
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

    /// Ends what is being pulled.
    pub(super) async fn end_pulls(&mut self) {
        self.pulls.shutdown().await;
    }

    /// A line for people.
    pub(super) fn remark(&mut self, line: &str) -> std::io::Result<()> {
        self.report.remark(line)
    }

    /// Waits for the files, and shows what there was in all.
    pub(super) async fn finish(mut self) -> anyhow::Result<()> {
        self.tell_unsaid(true)?;
        let saved = save::finish(self.saver, &mut self.report).await?;
        Ok(self.report.stopped(&self.statistics, saved)?)
    }
}

/// An event for people.
fn shown(event: &Event) -> String {
    let mut line = event.kind.name().to_owned();
    let facts = report::facts_text(&event.facts);
    match event.kind {
        Kind::ServerStatusChange => {
            line.push_str(&format!(": {}", event.status.as_deref().unwrap_or("unknown")))
        }
        Kind::ContextDoubtful if event.doubts.is_empty() => line.push_str(": no longer"),
        Kind::ContextDoubtful => line.push_str(&format!(": {}", event.doubts.join(", "))),
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
    let mut fields = report::facts_json(&event.facts);
    fields.extend([
        ("type".to_owned(), json!(event.kind.number())),
        ("name".to_owned(), json!(event.kind.name())),
        ("sequence".to_owned(), json!(event.sequence)),
        ("study".to_owned(), json!(event.study.as_deref())),
        ("series".to_owned(), json!(event.series.as_deref())),
        ("instance".to_owned(), json!(event.instance.as_deref())),
        ("missed".to_owned(), json!(event.missed)),
        ("status".to_owned(), json!(event.status)),
        ("doubts".to_owned(), json!(event.doubts)),
        ("retrieve_url".to_owned(), json!(event.retrieve_url)),
    ]);
    Value::Object(fields)
}
