//! The moving picture of one series, for a page of ours rather than for a client of the origin server: what
//! `/rendered` answers as `multipart/x-mixed-replace`, from the newest instance on.

use std::sync::Arc;

use http::Response;

use super::counters::DicomwebCounters;
use super::live::{Live, Reader};
use super::media::ImageFormat;
use super::problem::Problem;
use super::representation::Representation;
use super::retrieve::{boundary, respond};
use super::routes::{BASE, Urls};
use super::steering::Steering;
use crate::audit::Transfers;
use crate::frame::render::{RenderParameters, Viewport};
use crate::hub::{Cursor, From, LiveSeries, Stages};
use crate::net::http::Body;
use crate::net::multipart::Writer;
use crate::sink::workers::Workers;

/// JPEG pictures of a series as it grows, until it ends.
#[derive(Debug)]
pub struct View {
    /// Of what.
    pub series: Arc<LiveSeries>,
    /// Most pictures a second (above 0).
    pub rate: f64,
    /// The longer side of each (pixels).
    pub side: u32,
    /// Where they are rendered.
    pub workers: Workers,
    /// What is counted: a stream, and what it sends.
    pub counters: DicomwebCounters,
    /// What the audit trail is told of it.
    pub transfers: Transfers,
}

impl View {
    /// The response that shows it.
    ///
    /// # Errors
    /// When its header cannot be written, which is a fault of ours.
    pub fn respond(self) -> Result<Response<Body>, Problem> {
        let boundary = boundary();
        let kind = boundary.mixed_replace().map_err(|_| Problem::internal())?;
        let viewport = Viewport { width: self.side, height: self.side, region: None };
        let parameters = RenderParameters { quality: 75, viewport: Some(viewport), window: None };
        let live = Live {
            reader: Reader::Series(Cursor::new(self.series, From::Latest)),
            representation: Representation::Rendered(ImageFormat::Jpeg, parameters),
            writer: Some(Writer::new(boundary)),
            steering: Steering::new(Some(self.rate), None),
            newest_only: true,
            urls: Urls::new(BASE),
            workers: self.workers,
            counters: self.counters,
            transfers: self.transfers,
            // Somebody who looks is none of the readers whose frames are measured.
            stages: Stages::default(),
        };
        Ok(respond(kind, live.into_body()))
    }
}
