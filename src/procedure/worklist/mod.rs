//! Worklists, asked at intervals: what is scheduled for which station, today or around it. By C-FIND
//! ([`dimse`], PS3.4 Annex K) or over the web ([`web`], PS3.18 §14); both ask the same [`query`] and give
//! what they [`found`].
//!
//! ```text
//!   one task a worklist:   ask ──► found ──► replaces its entries in the context
//!                           ▲                       │
//!                           └── refresh, or back-off after a failure: the last entries stay, and age
//! ```
//!
//! A worklist that is away, refuses or answers nonsense is said once, with how to mend it, and again when
//! that changes.

mod dimse;
pub(crate) mod events;
mod found;
mod query;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use dicom_core::Tag;
use dicom_core::chrono::Local;
use tokio::sync::watch;

use self::found::Found;
use self::query::Query;
use self::web::{Web, WebError};
use super::counters::{Kind, ProcedureCounters};
use crate::config::settings::{WorklistPeer, WorklistSettings};
use crate::context::worklist::{Entry, Worklist};
use crate::dimse::scu::{Peer, ScuError};
use crate::net::backoff::BackOff;
use crate::net::client::BadUrl;
use crate::net::tasks::Tasks;

/// The pause after the first failure; it doubles up to the refresh time.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps `worklist` fresh from `peers`, by their sections of the configuration, until `stopping` turns true.
pub async fn serve(
    mut peers: watch::Receiver<BTreeMap<String, WorklistSettings>>,
    worklist: Worklist,
    counters: ProcedureCounters,
    mut stopping: watch::Receiver<bool>,
) {
    let start = |name: &str, settings: &WorklistSettings| {
        let asker = Asker::new(name.to_owned(), settings.clone(), worklist.clone(), counters.clone());
        // The configuration has been held against the same rules.
        let failed = |error: &BadUrl| events::CannotBeAsked { worklist: name, error }.tell();
        Some(asker.inspect_err(failed).ok()?.serve())
    };
    let mut tasks = Tasks::default();
    loop {
        let gone = tasks.follow(&peers.borrow_and_update().clone(), start);
        for name in gone {
            worklist.replace(&name, Vec::new(), SystemTime::now());
            counters.forget(&name);
        }
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            changed = peers.changed() => if changed.is_err() { return },
        }
    }
}

/// Why a worklist gave no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Dimse(#[from] ScuError),
    #[error(transparent)]
    Web(#[from] WebError),
}

impl AskError {
    /// Whether trying again soon is of no use.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Dimse(error) => error.is_lasting(),
            Self::Web(WebError::Status(status)) => status.is_client_error(),
            Self::Web(_) => false,
        }
    }
}

/// Asks a worklist once, for whoever wants to know whether it answers, and gives how many entries it has; they are kept
/// nowhere.
///
/// # Errors
/// Why there is no answer.
pub async fn ask_once(name: &str, settings: WorklistSettings) -> Result<usize, String> {
    let (worklist, counters) = (Worklist::default(), ProcedureCounters::default());
    let asker =
        Asker::new(name.to_owned(), settings, worklist, counters).map_err(|error| error.to_string())?;
    let found = asker.ask().await.map_err(|error| error.to_string())?;
    Ok(found.looked_at())
}

/// How a worklist is reached.
#[derive(Debug)]
enum Way {
    Dimse(Peer),
    Web(Web),
}

/// What has been said of a worklist, so that it is not said again.
#[derive(Debug, PartialEq)]
enum Said {
    Nothing,
    Answers {
        more: bool,
        unreadable: bool,
        /// Attributes of which values were dropped.
        dropped: BTreeSet<Tag>,
    },
    Fails(String),
}

/// Asks one worklist.
#[derive(Debug)]
struct Asker {
    name: String,
    settings: WorklistSettings,
    way: Way,
    worklist: Worklist,
    counters: ProcedureCounters,
    said: Said,
    answered: Option<SystemTime>,
}

impl Asker {
    fn new(
        name: String,
        settings: WorklistSettings,
        worklist: Worklist,
        counters: ProcedureCounters,
    ) -> Result<Self, BadUrl> {
        let way = match &settings.peer {
            WorklistPeer::Dimse(peer) => Way::Dimse(Peer::new(peer.clone())),
            WorklistPeer::Web(peer) => Way::Web(Web::new(peer.clone())?),
        };
        Ok(Self { name, settings, way, worklist, counters, said: Said::Nothing, answered: None })
    }

    async fn serve(mut self) {
        let mut backoff = BackOff::new(PAUSE, self.settings.refresh.max(PAUSE));
        loop {
            let pause = match self.ask().await {
                Ok(found) => {
                    self.take(found, SystemTime::now());
                    backoff.reset();
                    self.settings.refresh
                }
                Err(error) => {
                    self.fail(&error);
                    if error.is_lasting() { backoff.longest() } else { backoff.pause() }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self) -> Result<Found, AskError> {
        // The day of the place: what is scheduled is written in local time.
        let query = Query::of(&self.settings, Local::now().date_naive());
        Ok(match &self.way {
            Way::Dimse(peer) => dimse::find(peer, &query, self.settings.entries).await?,
            Way::Web(web) => web.find(&query, self.settings.entries).await?,
        })
    }

    fn take(&mut self, found: Found, now: SystemTime) {
        let mut dropped = BTreeSet::new();
        let entries: Vec<Entry> = found
            .entries
            .iter()
            .map(|dataset| {
                let (entry, without) = Entry::read(dataset);
                dropped.extend(without);
                entry
            })
            .collect();
        let count = entries.len();
        self.counters.answered(&self.name, count, found.unreadable + usize::from(found.more), now);
        self.worklist.replace(&self.name, entries, now);
        self.answered = Some(now);
        self.counters.complains(Kind::Worklist, &self.name, None);
        let said = Said::Answers { more: found.more, unreadable: found.unreadable > 0, dropped };
        if said != self.said {
            self.say(&said, count);
            self.said = said;
        }
    }

    fn say(&self, said: &Said, entries: usize) {
        let Said::Answers { more, unreadable, dropped } = said else { return };
        let worklist = &self.name;
        events::Answers { worklist, entries }.tell();
        if *more {
            events::More { worklist, entries }.tell();
        }
        if *unreadable {
            events::Unreadable { worklist }.tell();
        }
        if !dropped.is_empty() {
            let attributes: Vec<_> = dropped.iter().map(ToString::to_string).collect();
            events::ValuesDropped { worklist, attributes: &attributes.join(" ") }.tell();
        }
    }

    fn fail(&mut self, error: &AskError) {
        self.counters.asked(&self.name, "failed");
        self.counters.complains(Kind::Worklist, &self.name, Some(error.to_string()));
        let said = Said::Fails(error.to_string());
        if said == self.said {
            return;
        }
        let age = self.answered.and_then(|at| at.elapsed().ok());
        let kept = match age {
            Some(age) => format!("its entries of {} seconds ago stay", age.as_secs()),
            None => "it has not given any entries yet".to_owned(),
        };
        let (worklist, kept) = (&self.name, &kept);
        match &self.settings.peer {
            WorklistPeer::Dimse(peer) => {
                let (address, title) = (&peer.address, &peer.calling_ae_title);
                events::NoAnswer { worklist, address, error, kept, title }.tell();
            }
            WorklistPeer::Web(peer) => {
                events::NoAnswerOverWeb { worklist, url: &peer.url, error, kept }.tell();
            }
        }
        self.said = said;
    }
}

#[cfg(test)]
mod tests;
