//! A frame on its way to be an instance: its place in the series is taken, its pixels are there, and what is
//! left to do (compressing, writing the head, publishing) may happen on another thread.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use smallvec::SmallVec;

use super::counters::Counters;
use super::log_events;
use super::series::OpenSeries;
use crate::frame::PixelDescription;
use crate::instance::video::{self, ClockState, Lossy, VideoFrame, VideoSource};
use crate::instance::{Instance, Source, uid};

/// The pixels of a frame.
#[derive(Debug)]
pub(super) enum Pixels {
    /// As Pixel Data holds them.
    Native(Bytes),
    /// Of another transfer syntax.
    Encapsulated {
        /// Transfer Syntax UID (0002,0010).
        transfer_syntax: &'static str,
        /// Photometric Interpretation (0028,0004).
        photometric: &'static str,
        codestream: Bytes,
    },
}

/// A frame that is not an instance yet. It holds its series open.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) series: Arc<OpenSeries>,
    pub(super) source: Arc<VideoSource>,
    pub(super) clock: Arc<ClockState>,
    /// Instance Number (0020,0013).
    pub(super) number: i32,
    pub(super) captured: SystemTime,
    pub(super) description: PixelDescription,
    pub(super) pixels: Pixels,
    /// Every lossy compression so far: the card's, ours.
    pub(super) lossy: SmallVec<[Lossy; 2]>,
    pub(super) dequeued: Instant,
}

impl Draft {
    /// Makes it an instance and hands that to the hub; what becomes of it is counted.
    pub(super) fn publish(self, capture: &str, counters: &Counters) {
        let sop_instance_uid = uid::random();
        let photometric = match &self.pixels {
            Pixels::Native(_) => None,
            Pixels::Encapsulated { photometric, .. } => Some(*photometric),
        };
        let frame = VideoFrame {
            number: self.number,
            captured: self.captured,
            sop_instance_uid: &sop_instance_uid,
            pixels: self.description,
            photometric,
            lossy: &self.lossy,
        };
        let dataset = video::dataset(&self.series.context, &self.source, &self.clock, &frame);
        let instance = match self.pixels {
            Pixels::Native(pixels) => Instance::native(&dataset, pixels),
            Pixels::Encapsulated { transfer_syntax, codestream, .. } => {
                Instance::encapsulated(&dataset, transfer_syntax, codestream)
            }
        };
        let published = instance
            .map_err(|error| error.to_string())
            .map(|instance| instance.coming_from(Source::Capture, self.dequeued))
            .and_then(|instance| self.series.publish(instance).map_err(|error| error.to_string()));
        match published {
            Ok(_) => {
                counters.published.inc();
                counters.latency.observe(self.dequeued.elapsed().as_secs_f64());
            }
            Err(error) => {
                counters.dropped("unpublished");
                log_events::NotPublished { capture, error: &error }.tell();
            }
        }
    }
}
