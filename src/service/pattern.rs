//! The pattern source's thread: renders the synthetic angiogram at its frame rate and publishes
//! each frame as a Secondary Capture instance. The rate is kept by absolute deadlines; a frame that
//! cannot be rendered in time is left out, and shows as a gap in Instance Number.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;

use super::events;
use crate::config::settings::PatternSettings;
use crate::context::{Context, Equipment};
use crate::hub::{Hub, Publisher};
use crate::instance::encode::EncodeError;
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Instance, Source, secondary_capture, uid};
use crate::source::pattern::Angiogram;

/// The running source.
#[derive(Debug)]
pub(super) struct PatternSource {
    study: String,
    series: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl PatternSource {
    /// Opens the series and starts the thread.
    pub(super) fn start(hub: Hub, settings: &PatternSettings, now: SystemTime) -> Result<Self, String> {
        let angiogram = Angiogram::new(settings.rows, settings.columns, settings.bits, settings.color, 1)
            .map_err(|error| error.to_string())?;
        let context = Context::pattern(now, 1, Equipment::framegate("demo", "FRAMEGATE"));
        let (study, series) = (context.study.instance_uid.clone(), context.series.instance_uid.clone());
        let description = angiogram.description();
        let mut head = secondary_capture::dataset(&context, &description, 1, now, &uid::random());
        let syntax = PrimitiveValue::from(EXPLICIT_VR_LITTLE_ENDIAN);
        head.put(DataElement::new(tags::AVAILABLE_TRANSFER_SYNTAX_UID, VR::UI, syntax));
        let publisher = hub
            .open(&study.as_str().into(), &series.as_str().into(), || Ok::<_, EncodeError>(head))
            .map_err(|error| error.to_string())?
            .by("pattern");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let period = Duration::from_secs_f64(1.0 / settings.fps);
        let thread = thread::Builder::new()
            .name("pattern".to_owned())
            .spawn(move || frames(&angiogram, &context, publisher, period, &stopped))
            .map_err(|error| error.to_string())?;
        Ok(Self { study, series, stop, thread })
    }

    pub(super) fn study(&self) -> &str {
        &self.study
    }

    pub(super) fn series(&self) -> &str {
        &self.series
    }

    /// Ends the series as completed.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            events::PatternPanicked {}.tell();
        }
    }
}

fn frames(
    angiogram: &Angiogram,
    context: &Context,
    publisher: Publisher,
    period: Duration,
    stop: &AtomicBool,
) {
    let start = Instant::now();
    let mut index = 0u32;
    while !stop.load(Ordering::Relaxed) && index < i32::MAX as u32 {
        let due = start + period * index;
        let now = Instant::now();
        if let Some(wait) = due.checked_duration_since(now) {
            thread::sleep(wait);
        } else if now - due > period {
            // Late by a frame and more: go on with the present.
            index = (now.duration_since(start).as_secs_f64() / period.as_secs_f64()) as u32;
        }
        if let Err(error) = frame(angiogram, context, &publisher, index) {
            events::PatternStops { error: &error }.tell();
            return;
        }
        index += 1;
    }
    publisher.complete();
}

fn frame(angiogram: &Angiogram, context: &Context, publisher: &Publisher, index: u32) -> Result<(), String> {
    let (begun, captured) = (Instant::now(), SystemTime::now());
    let description = angiogram.description();
    let mut pixels = Vec::with_capacity(description.frame_bytes());
    angiogram.render(index.into(), captured, &mut pixels);
    let number = i32::try_from(index).unwrap_or(i32::MAX - 1) + 1;
    let sop_instance = uid::random();
    let dataset = secondary_capture::dataset(context, &description, number, captured, &sop_instance);
    let instance = Instance::native(&dataset, Bytes::from(pixels)).map_err(|error| error.to_string())?;
    publisher.publish(instance.coming_from(Source::Pattern, begun)).map_err(|error| error.to_string())?;
    Ok(())
}
