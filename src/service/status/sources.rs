//! What comes in, and what is held of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use dicom_dictionary_std::tags;

use super::rates::Of;
use super::readback::{buckets, counts};
use super::{Collector, Running};
use crate::context::desk::{Report, Wanted};
use crate::hub::{End, LiveSeries, Progress};
use crate::instance::Dataset;
use crate::status::{CaptureStatus, DimseStatus, HubStatus, ReaderStatus, SeriesStatus};

impl Collector {
    pub(super) fn captures(&self, running: &Running<'_>) -> Vec<CaptureStatus> {
        let desk = &self.parts.desk;
        let (moment, date) = (Instant::now(), SystemTime::now());
        let capture = |(name, wanted, report): (String, Wanted, Report)| {
            let counters = self.parts.counters.capture.of(&name);
            let dropped = self.parts.counters.capture.dropped().clone();
            let warnings = desk.warnings(&name, moment, date);
            CaptureStatus {
                state: report.state.to_owned(),
                advice: report.advice,
                device: report.device,
                profile: report.profile,
                format: report.format,
                study: report.study,
                series: report.series,
                running: wanted.running,
                hears_operators: desk.rules(&name).hears_operators(),
                context: report
                    .context
                    .iter()
                    .map(|(keyword, who)| ((*keyword).to_owned(), who.word().to_owned()))
                    .collect(),
                warnings: warnings.iter().map(ToString::to_string).collect(),
                frames: counters.frames.get(),
                published: counters.published.get(),
                lost: counters.lost.get(),
                dropped: counts(dropped, Some(("capture", &name)), "reason"),
                frames_per_second: running.rates.of(&Of::Capture(name.clone())),
                latency: buckets(counters.latency),
                name,
            }
        };
        desk.reports().into_iter().map(capture).collect()
    }

    pub(super) fn dimse(&self, running: &Running<'_>) -> Option<DimseStatus> {
        let settings = &running.settings.dimse;
        settings.listen.or(settings.tls.as_ref().map(|tls| tls.listen))?;
        let counters = &self.parts.counters.dimse;
        Some(DimseStatus {
            ae_title: settings.ae_title.clone(),
            associations: u64::try_from(counters.open.get()).unwrap_or(0),
            stored: counts(counters.stores.clone(), None, "status"),
            refused: counts(counters.refused.clone(), None, "reason"),
        })
    }

    pub(super) fn hub(&self) -> HubStatus {
        let hub = &self.parts.hub;
        let occupancy = hub.occupancy();
        HubStatus {
            bytes: occupancy.bytes,
            budget_bytes: hub.budget_bytes(),
            instances: occupancy.instances as u64,
            series: occupancy.series as u64,
        }
    }

    /// The newest first.
    pub(super) fn series(&self, running: &Running<'_>) -> Vec<SeriesStatus> {
        let one = |live: &Arc<LiveSeries>| {
            let standing = self.parts.hub.standing(live);
            let context = live.context();
            let reader = |progress: Progress| ReaderStatus {
                kind: progress.reader.kind.to_owned(),
                peer: progress.reader.peer.to_string(),
                behind: progress.behind,
                missed: progress.missed,
            };
            SeriesStatus {
                study: live.study().to_string(),
                series: live.series().to_string(),
                modality: modality(context),
                source: live.source().to_owned(),
                state: match live.end() {
                    None => "live",
                    Some(End::Completed) => "completed",
                    Some(End::Aborted) => "aborted",
                }
                .to_owned(),
                instances: standing.instances as u64,
                bytes: standing.bytes,
                evicted: standing.evicted,
                instances_per_second: running.rates.of(&Of::Series(live.series().to_string())),
                idle_ms: u64::try_from(standing.idle.as_millis()).unwrap_or(u64::MAX),
                size: size(context),
                readers: standing.readers.into_iter().map(reader).collect(),
            }
        };
        self.parts.hub.series().iter().rev().map(one).collect()
    }

    /// What is counted of sources, for rates.
    pub(super) fn counted_sources(&self) -> Vec<(Of, u64)> {
        let names = self.parts.desk.reports().into_iter().map(|(name, ..)| name);
        let captures = names.map(|name| {
            let frames = self.parts.counters.capture.of(&name).frames.get();
            (Of::Capture(name), frames)
        });
        let series = self.parts.hub.series().into_iter().map(|live| {
            let published = self.parts.hub.standing(&live).published;
            (Of::Series(live.series().to_string()), published)
        });
        captures.chain(series).collect()
    }
}

/// Modality (0008,0060), a defined term of 16 characters: what is longer is none, and is not shown.
fn modality(context: &Dataset) -> String {
    let text = context.get(tags::MODALITY).and_then(|element| element.to_str().ok()).unwrap_or_default();
    let text = text.trim();
    let is_code =
        text.len() <= 16 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if is_code { text.to_owned() } else { String::new() }
}

fn size(context: &Dataset) -> Option<(u16, u16)> {
    let number = |tag| context.get(tag)?.to_int::<u16>().ok();
    Some((number(tags::ROWS)?, number(tags::COLUMNS)?))
}

/// Sums up; for what is counted under several labels.
pub(super) fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}
