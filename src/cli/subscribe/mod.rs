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
mod follow;
mod object;
mod options;
mod pull;
mod registration;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use self::client::{Client, Credentials};
use self::event::Event;
use self::follow::Follow;
use self::object::Taken;
pub(super) use self::options::Options;
use self::registration::{Registration, Wish};
use super::report::{CLOCKS, Report};
use super::save::Saver;
use super::stop::Stop;
use crate::config::settings::DestinationSettings;
use crate::net::tls::{Trust, client_config};

/// News that may wait for this task; pulls wait when it is behind.
const QUEUE: usize = 16;
/// For the subscription to be deleted at the end.
const GOOD_BYE: Duration = Duration::from_secs(5);

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
    super::run_quietly(run(options))
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
    let mut follow = Follow::new(client, options, id, report, saver, news);
    let (outcome, gone) = tokio::select! {
        outcome = follow.until(&mut incoming, &mut stop) => (outcome, false),
        ended = &mut follower => (ended.unwrap_or_else(|error| Err(error.into())), true),
    };
    follow.end_pulls().await;
    // Those that wait to be heard are not waited for.
    drop(incoming);
    stopping.send_replace(true);
    if !gone && let Ok(ended) = tokio::time::timeout(GOOD_BYE, follower).await {
        let ended = ended.unwrap_or_else(|error| Err(error.into()));
        if let Err(error) = ended {
            follow.remark(&format!("{error:#}"))?;
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
