//! `framegate receive`: a small origin server that takes Send and Store, for integrators and tests. It
//! holds what comes in memory for a minute, as the gateway does, and shows how it comes: rate, latency,
//! gaps, duplicates. With `--save` it writes files.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use clap::Args;
use ipnet::IpNet;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::certificate::Certificate;
use super::report::{CLOCKS, Report};
use super::save::{self, Saved, Saver};
use super::statistics::{Arrival, Statistics};
use super::stop::Stop;
use crate::config::settings::{
    AccessSettings, DicomwebSettings, HttpLimits, HttpTls, HubSettings, Right, Rights, SendSettings,
    SubscriptionSettings, TlsIdentity, loopback_networks,
};
use crate::context::desk::Desk;
use crate::dicomweb::access::Access;
use crate::dicomweb::routes::BASE;
use crate::dicomweb::{self, Destinations, DicomwebCounters, Origin};
use crate::hub::{Cursors, From, Hub, Item, LiveSeries};
use crate::instance::Instance;
use crate::net::counters::NetCounters;
use crate::net::http::{self, ServerParts};
use crate::net::limits::{Connections, Limits};
use crate::net::own::OwnConnections;
use crate::net::tls::{self, HTTP_ALPN, Reloading};
use crate::sink::notify::Notifier;
use crate::sink::workers::Workers;
use crate::source::send::{SendCounters, SendSource};
use crate::subscription::registry::Registry;

const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// For connections to end once we have been told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// Requests a second of one address: a Store client makes one for each instance.
const REQUESTS: u32 = 10_000;

/// What to listen on, and what to do with what comes.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8444)))]
    listen: SocketAddr,
    /// Write each instance as DIR/STUDY/SERIES/INSTANCE.dcm
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// One JSON object a line instead of text
    #[arg(long)]
    json: bool,
    /// Tell of each instance
    #[arg(long)]
    each: bool,
    /// Certificate chain (PEM); without it a self-signed one is made
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Network to let in, such as 192.0.2.0/24 (repeatable); this machine only if there is none
    #[arg(long, value_name = "NET")]
    allow: Vec<IpNet>,
}

/// Receives until it is told to stop.
pub(super) fn receive(options: Options) -> anyhow::Result<()> {
    super::run_quietly(run(options))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let (tls, pem) = server_tls(&options)?;
    let saver = options.save.as_deref().map(Saver::start).transpose()?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is another process there?", options.listen))?;
    let address = listener.local_addr()?;
    let certificate = pem.as_deref().map(|pem| Certificate::write("receive", pem)).transpose();
    let certificate = certificate.context("the certificate cannot be written for clients to read")?;

    let hub = Hub::new(HubSettings::default());
    let counters = SendCounters::default();
    let server = Server::start(listener, tls, &options, &hub, counters.clone(), address)?;
    let mut report = Report::standard(options.json);
    let url = format!("https://{address}{BASE}");
    let file = certificate.as_ref().map(|file| file.path().display().to_string());
    let mut line = format!("Send and Store to {url}");
    if let Some(file) = &file {
        line.push_str(&format!(", trusting {file}"));
    }
    report.event("listening", json!({"url": url, "certificate": file}), &line)?;
    report.remark(CLOCKS)?;

    let mut watch = Watch {
        report,
        saver,
        statistics: Statistics::default(),
        open: Vec::new(),
        each: options.each,
        counters,
        duplicates: 0,
    };
    let outcome = watch.until(&hub, &mut stop).await;
    server.stop(&hub).await;
    outcome?;
    watch.finish().await
}

fn server_tls(options: &Options) -> anyhow::Result<(Arc<Reloading>, Option<String>)> {
    if let (Some(certificate), Some(key)) = (&options.certificate, &options.key) {
        let identity = TlsIdentity::new(certificate.clone(), key.clone(), None);
        return Ok((
            Arc::new(Reloading::from_files(&identity, HTTP_ALPN).context(super::Misconfigured)?),
            None,
        ));
    }
    let ours = options.listen.ip();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !ours.is_unspecified() && !ours.is_loopback() {
        names.push(ours.to_string());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let made = tls::self_signed(&names, HTTP_ALPN, SystemTime::now())?;
    Ok((Arc::new(Reloading::fixed(made.loaded)), Some(made.certificate_pem)))
}

/// The origin server, as the gateway has it; whoever may connect may send, and look at what is there.
struct Server {
    stopping: watch::Sender<bool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Server {
    fn start(
        listener: TcpListener,
        tls: Arc<Reloading>,
        options: &Options,
        hub: &Hub,
        counters: SendCounters,
        address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let limits =
            HttpLimits { requests_per_second: REQUESTS, request_burst: REQUESTS, ..HttpLimits::default() };
        let allow = if options.allow.is_empty() { loopback_networks() } else { options.allow.clone() };
        let settings = DicomwebSettings {
            listen: address,
            tls: HttpTls::SelfSigned,
            allow: allow.clone(),
            limits: limits.clone(),
            ..DicomwebSettings::default()
        };
        let may = vec![Right::Send, Right::Search, Right::Retrieve];
        let anonymous = Rights { may, ..Rights::default() };
        let access = AccessSettings { anonymous, ..AccessSettings::default() };
        let registry = Registry::new(SubscriptionSettings::default());
        let send = Arc::new(ArcSwap::from_pointee(SendSettings::default()));
        let (stopping, stopped) = watch::channel(false);
        let origin = Origin {
            hub: hub.clone(),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            counters: DicomwebCounters::default(),
            address,
            stopping: stopped.clone(),
            access: Access::new(&access)?,
            notifier: Notifier::new(hub.clone(), registry.clone(), dicomweb::retrieve_url),
            registry,
            send: SendSource::new(hub.clone(), send, counters),
            destinations: Destinations::default(),
            workers: Workers::new(),
            // Nothing is captured here.
            desk: Desk::default(),
        };
        let parts = ServerParts {
            tls,
            limits: Arc::new(ArcSwap::from_pointee(Limits::new(allow, limits))),
            connections: Connections::new(),
            own: OwnConnections::default(),
            counters: Arc::new(NetCounters::default()),
            drain: DRAIN,
        };
        let mut down = stopped;
        let task = tokio::spawn(http::serve(listener, parts, origin, async move {
            let _ = down.wait_for(|&down| down).await;
        }));
        Ok(Self { stopping, task })
    }

    async fn stop(self, hub: &Hub) {
        self.stopping.send_replace(true);
        hub.shutdown();
        // What is still open after its drain time goes with the process.
        let _ = tokio::time::timeout(DRAIN * 2, self.task).await;
    }
}

/// Looks at what the hub gets.
struct Watch<W> {
    report: Report<W>,
    saver: Option<Saver>,
    statistics: Statistics,
    /// Series that were told as opened and not yet as ended.
    open: Vec<Arc<LiveSeries>>,
    each: bool,
    /// What the source counts: an instance that the ring holds already comes no further than there.
    counters: SendCounters,
    /// Duplicates of the source that the statistics have.
    duplicates: u64,
}

impl<W: Write> Watch<W> {
    async fn until(&mut self, hub: &Hub, stop: &mut Stop) -> anyhow::Result<()> {
        let mut cursors = Cursors::new(hub.clone(), From::Oldest, |_| true);
        let mut changed = hub.changed();
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut since = Instant::now();
        // All that there is has ended and was read.
        let mut idle = true;
        loop {
            let next = async {
                if idle {
                    cursors.opened().await;
                }
                cursors.next().await
            };
            tokio::select! {
                // What is there is read before an end is told.
                biased;
                () = stop.told() => return Ok(()),
                _ = second.tick() => {
                    let over = since.elapsed();
                    since = Instant::now();
                    self.second(over)?;
                }
                _ = housekeeping.tick() => hub.tick(),
                (live, item) = next => {
                    idle = matches!(item, Item::End(_));
                    self.take(live, item).await?;
                    if idle {
                        self.tell_ends()?;
                    }
                }
                _ = changed.changed() => self.tell_ends()?,
            }
        }
    }

    async fn take(&mut self, live: Option<Arc<LiveSeries>>, item: Item) -> anyhow::Result<()> {
        match (live, item) {
            (Some(live), Item::Instance(instance)) => self.instance(live, &instance).await,
            (Some(live), Item::Missed(missed)) => {
                let fields = json!({"series": **live.series(), "count": missed.total()});
                Ok(self.report.event("missed", fields, &missed.to_string())?)
            }
            _ => Ok(()),
        }
    }

    async fn instance(&mut self, live: Arc<LiveSeries>, instance: &Instance) -> anyhow::Result<()> {
        let arrival = Arrival::of(instance, instance.available(), false);
        if self.statistics.arrived(&arrival) {
            if let Some(series) = self.statistics.find(&arrival.study, &arrival.series) {
                self.report.opened(series)?;
            }
            self.open.push(live);
        }
        if self.each {
            self.report.instance(&arrival)?;
        }
        if let Some(saver) = &self.saver {
            saver.save(Saved::of(&arrival, "dcm", instance.part10().into())).await;
        }
        Ok(())
    }

    fn tell_ends(&mut self) -> anyhow::Result<()> {
        let mut ended = Vec::new();
        self.open.retain(|live| match live.end() {
            Some(how) => {
                ended.push((live.clone(), how));
                false
            }
            None => true,
        });
        for (live, how) in ended {
            if self.statistics.ended(live.study(), live.series(), how.into())
                && let Some(series) = self.statistics.find(live.study(), live.series())
            {
                self.report.ended(series, how.into())?;
            }
        }
        Ok(())
    }

    fn count_duplicates(&mut self) {
        let counted = self.counters.duplicates.get();
        self.statistics.duplicated(counted.saturating_sub(self.duplicates));
        self.duplicates = counted;
    }

    fn second(&mut self, over: Duration) -> anyhow::Result<()> {
        self.count_duplicates();
        self.report.second(&self.statistics, over)?;
        self.statistics.second_over();
        if let Some(failure) = self.saver.as_mut().and_then(Saver::new_failure) {
            self.report.not_saving(&failure)?;
        }
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        self.tell_ends()?;
        self.count_duplicates();
        let saved = save::finish(self.saver, &mut self.report).await?;
        Ok(self.report.stopped(&self.statistics, saved)?)
    }
}
