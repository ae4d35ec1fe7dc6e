//! The send source: instances that are posted over DICOMweb, by Store (PS3.18 §10.5) or by Send, its
//! transient sibling (`docs/live-profile.md`, section 7).
//!
//! `intake` takes a request's body apart while it arrives. Its parts are Part 10 files (`file`), or
//! metadata and bulk data (`metadata_form`, `described`); both become an `object`, out of which
//! [`crate::instance::assemble`] makes instances. `report` is what came of it, for the response.
//! HTTP is not known here: [`crate::dicomweb`] feeds the bytes.

pub mod counters;
mod described;
pub(crate) mod events;
mod failure;
mod file;
mod intake;
mod media;
mod metadata_form;
mod object;
pub mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

pub use self::counters::SendCounters;
use self::intake::Kind;
pub use self::intake::{Intake, Of};
use crate::config::settings::SendSettings;
use crate::hub::Hub;
use crate::net::multipart::ContentType;

/// Why a request is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another media type than those that are taken.
    #[error(
        "this takes multipart/related with type=\"application/dicom\" or type=\"application/dicom+json\""
    )]
    MediaType,
    /// The bound on requests is reached.
    #[error("{0} requests send instances already (send.requests)")]
    Full(usize),
}

/// Takes instances that are posted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SendSource {
    hub: Hub,
    settings: Arc<ArcSwap<SendSettings>>,
    counters: SendCounters,
    open: Arc<AtomicUsize>,
}

impl SendSource {
    /// A source that publishes into `hub`.
    pub fn new(hub: Hub, settings: Arc<ArcSwap<SendSettings>>, counters: SendCounters) -> Self {
        Self { hub, settings, counters, open: Arc::default() }
    }

    /// Begins a request with a body of this media type.
    ///
    /// # Errors
    /// When it is another than we take, or too many requests are open.
    pub fn begin(&self, content: &ContentType, request: Of) -> Result<Intake, Refusal> {
        if content.media_type != "multipart/related" {
            return Err(Refusal::MediaType);
        }
        let kind = Kind::of(content.root.as_deref()).ok_or(Refusal::MediaType)?;
        let most = self.settings.load().requests;
        let place = Place(self.open.clone());
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            self.counters.turned_away.inc();
            return Err(Refusal::Full(most));
        }
        Ok(Intake::new(self, place, &content.boundary, kind, request))
    }
}

/// A request's place among those that are open. The count includes it when it is made.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
