//! Which series a frame belongs to: when one begins and ends, and whose it is.
//!
//! | ends a series | and the next frame |
//! |---|---|
//! | another format of the pictures; the hub has ended it (it was quiet) | begins the next series of the study |
//! | an operator's stop, then start; policy `signal`: loss of signal; `activity`: stillness | the same |
//! | an operator names another patient; no frame for half an hour of a study that nobody ordered | begins another study |
//!
//! Whose it is, is said by the operator, else by the configuration, and what neither says is generated for
//! the encounter.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dicom_core::chrono::Timelike;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;

use crate::config::settings::{CaptureSettings, SeriesPolicy};
use crate::context::desk::{Desk, Order};
use crate::context::{Context, Equipment, utc};
use crate::frame::PixelDescription;
use crate::hub::{Hub, OpenError, PublishError, Published, Publisher};
use crate::instance::encode::EncodeError;
use crate::instance::{Dataset, Instance};

/// After so long without a frame a generated study is over: the next one in the room is somebody else.
const ENCOUNTER_ENDS: Duration = Duration::from_secs(30 * 60);

/// Tells the generated encounters of one second apart, of all captures of this process.
static ENCOUNTERS: AtomicU32 = AtomicU32::new(0);

/// What all frames of one series share. The series is complete once nobody holds it any more.
#[derive(Debug)]
pub struct OpenSeries {
    /// Whose it is.
    pub context: Context,
    pixels: PixelDescription,
    transfer_syntax: &'static str,
    /// Instance Number (0020,0013) of the last one that was published; 0 before the first.
    last_number: AtomicI32,
    publisher: Option<Publisher>,
}

impl OpenSeries {
    /// Hands an instance to the hub, in the order of Instance Number. A gap in it is what was lost, by the
    /// driver or by us, and readers are told so.
    ///
    /// # Errors
    /// When it alone is larger than the budget: one more that is lost.
    pub fn publish(&self, instance: Instance) -> Result<Published, PublishError> {
        let last = self.last_number.load(Ordering::Relaxed);
        let number = instance.number().unwrap_or(last);
        let lost = u32::try_from(i64::from(number) - i64::from(last) - 1).unwrap_or_default();
        // There is one until it is dropped.
        let Some(publisher) = &self.publisher else { return Ok(Published::Duplicate) };
        let published = publisher.publish_after(lost, instance)?;
        self.last_number.store(number, Ordering::Relaxed);
        Ok(published)
    }
}

impl Drop for OpenSeries {
    fn drop(&mut self) {
        // A thread that panics leaves a series behind that is not complete, and the hub says so.
        if let Some(publisher) = self.publisher.take().filter(|_| !std::thread::panicking()) {
            publisher.complete();
        }
    }
}

/// Who is imaged by one capture, and its open series.
#[derive(Debug)]
pub struct Encounter {
    name: String,
    settings: CaptureSettings,
    equipment: Equipment,
    hub: Hub,
    desk: Desk,
    /// What the operator said when the study began.
    order: Option<Arc<Order>>,
    /// The desk's number when the series began.
    number: u64,
    /// The last series of the study.
    last: Option<Context>,
    last_frame: Option<Instant>,
    open: Option<Arc<OpenSeries>>,
    last_movement: Option<Instant>,
    changes: u64,
}

impl Encounter {
    /// The encounters of the capture of this name.
    pub fn new(name: &str, settings: &CaptureSettings, equipment: Equipment, hub: Hub, desk: Desk) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            equipment,
            hub,
            desk,
            order: None,
            number: 0,
            last: None,
            last_frame: None,
            open: None,
            last_movement: None,
            changes: 0,
        }
    }

    /// Whether a frame is wanted by whom it may concern; asked for every one. Ends the series where the
    /// operator says so.
    pub fn wanted(&mut self, now: Instant) -> bool {
        let wanted = self.desk.wanted(&self.name);
        if wanted.encounter != self.number {
            self.end();
            self.number = wanted.encounter;
        }
        if wanted.order != self.order {
            self.end();
            self.last = None;
            self.order = wanted.order;
        }
        let quiet = self.last_frame.is_some_and(|last| now.saturating_duration_since(last) > ENCOUNTER_ENDS);
        if self.order.is_none() && quiet {
            self.end();
            self.last = None;
        }
        let runs = match (wanted.running, self.settings.series) {
            (Some(running), _) => running,
            (None, policy) => policy != SeriesPolicy::Operator,
        };
        if !runs {
            self.end();
        }
        runs
    }

    /// Whether pictures move, by the part (0 to 1) of this one that has changed; asked for every frame under
    /// [`SeriesPolicy::Activity`]. Ends the series when they stand still.
    pub fn active(&mut self, changed: f64, now: Instant) -> bool {
        if self.settings.series != SeriesPolicy::Activity {
            return true;
        }
        if changed >= self.settings.activity_threshold {
            self.last_movement = Some(now);
        }
        let quiet = self.settings.activity_quiet;
        let active = self.last_movement.is_some_and(|last| now.saturating_duration_since(last) <= quiet);
        if !active {
            self.end();
        }
        active
    }

    /// The signal is gone.
    pub fn signal_lost(&mut self) {
        if self.settings.series == SeriesPolicy::Signal {
            self.end();
        }
    }

    /// Ends the series; it is complete once the last frame of it is through.
    pub fn end(&mut self) {
        if self.open.take().is_some() {
            self.changes += 1;
        }
    }

    /// Rises when a series begins or ends.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The series for a frame of such pixels, captured at `captured`, and whether it begins with it. `head`
    /// makes the data set of its first frame.
    ///
    /// # Errors
    /// When the hub takes no more series.
    pub fn series(
        &mut self,
        pixels: PixelDescription,
        transfer_syntax: &'static str,
        captured: SystemTime,
        head: impl FnOnce(&Context) -> Dataset,
    ) -> Result<(Arc<OpenSeries>, bool), OpenError<EncodeError>> {
        self.last_frame = Some(Instant::now());
        let goes_on = |open: &&Arc<OpenSeries>| {
            let live = open.publisher.as_ref().is_some_and(|publisher| publisher.series().end().is_none());
            live && open.pixels == pixels && open.transfer_syntax == transfer_syntax
        };
        if let Some(open) = self.open.as_ref().filter(goes_on) {
            return Ok((open.clone(), false));
        }
        self.end();
        let context = match &self.last {
            Some(last) => last.next_series(captured),
            None => self.begin(captured),
        };
        let (study, series) = (&context.study.instance_uid, &context.series.instance_uid);
        let publisher = self.hub.open(&study.as_str().into(), &series.as_str().into(), || {
            let mut head = head(&context);
            let syntax = PrimitiveValue::from(transfer_syntax);
            head.put(DataElement::new(tags::AVAILABLE_TRANSFER_SYNTAX_UID, VR::UI, syntax));
            Ok(head)
        })?;
        tracing::info!(capture = self.name, number = context.series.number, "a series begins");
        self.last = Some(context.clone());
        let open = Arc::new(OpenSeries {
            context,
            pixels,
            transfer_syntax,
            last_number: AtomicI32::new(0),
            publisher: Some(publisher),
        });
        self.open = Some(open.clone());
        self.changes += 1;
        Ok((open, true))
    }

    /// UIDs of study and series, if one is open.
    pub fn uids(&self) -> Option<(&str, &str)> {
        let context = &self.open.as_ref()?.context;
        Some((&context.study.instance_uid, &context.series.instance_uid))
    }

    /// The first series of a study.
    fn begin(&self, now: SystemTime) -> Context {
        let settings = &self.settings;
        let time = utc(now);
        let clock = time.hour() * 10_000 + time.minute() * 100 + time.second();
        let number = clock * 100 + ENCOUNTERS.fetch_add(1, Ordering::Relaxed) % 100;
        let mut context = Context::encounter(
            &settings.patient_name,
            &settings.modality,
            now,
            number,
            self.equipment.clone(),
        );
        context.study.description.clone_from(&settings.study_description);
        context.series.description.clone_from(&settings.series_description);
        context.series.unpaired_body_part.clone_from(&settings.body_part);
        if let Some(order) = &self.order {
            let generated = std::mem::replace(&mut context.patient, order.patient.clone());
            if context.patient.id.is_empty() {
                context.patient.id = generated.id;
            }
            let study = &mut context.study;
            for (told, ours) in [
                (&order.study_id, &mut study.id),
                (&order.accession_number, &mut study.accession_number),
                (&order.referring_physician, &mut study.referring_physician),
                (&order.study_description, &mut study.description),
            ] {
                if !told.is_empty() {
                    ours.clone_from(told);
                }
            }
            if let Some(uid) = &order.study_instance_uid {
                study.instance_uid.clone_from(uid);
            }
        }
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::HubSettings;
    use crate::context::Patient;
    use crate::frame::Photometric;
    use crate::hub::{Cursor, End, From, Item};

    fn pixels(columns: u16) -> PixelDescription {
        PixelDescription {
            rows: 16,
            columns,
            samples: 1,
            bits_allocated: 8,
            bits_stored: 8,
            photometric: Photometric::Monochrome2,
        }
    }

    fn encounter(series: SeriesPolicy) -> (Encounter, Hub, Desk) {
        let settings = CaptureSettings { series, ..CaptureSettings::default() };
        let hub = Hub::new(HubSettings::default());
        let desk = Desk::new(["room".to_owned()]);
        let equipment = Equipment::framegate("", "");
        (Encounter::new("room", &settings, equipment, hub.clone(), desk.clone()), hub, desk)
    }

    fn next(encounter: &mut Encounter, columns: u16) -> (Arc<OpenSeries>, bool) {
        let now = SystemTime::now();
        encounter.series(pixels(columns), "1.2.840.10008.1.2.1", now, Context::dataset).unwrap()
    }

    fn uids(encounter: &mut Encounter, columns: u16) -> (String, String) {
        next(encounter, columns);
        let (study, series) = encounter.uids().unwrap();
        (study.to_owned(), series.to_owned())
    }

    #[test]
    fn another_format_is_another_series_of_the_study() {
        let (mut encounter, hub, _) = encounter(SeriesPolicy::Continuous);
        assert!(encounter.wanted(Instant::now()));
        let first = uids(&mut encounter, 32);
        assert_eq!(uids(&mut encounter, 32), first);
        let second = uids(&mut encounter, 48);
        assert_eq!(second.0, first.0);
        assert_ne!(second.1, first.1);
        let ends: Vec<_> = hub.series().iter().map(|series| series.end()).collect();
        assert_eq!(ends.len(), 2);
        assert!(!next(&mut encounter, 48).1);
    }

    #[test]
    fn a_series_that_the_hub_has_ended_is_followed_by_the_next() {
        let (mut encounter, hub, _) = encounter(SeriesPolicy::Continuous);
        let first = uids(&mut encounter, 32);
        hub.reload(HubSettings { quiet: Duration::ZERO, ..HubSettings::default() });
        hub.tick();
        let second = uids(&mut encounter, 32);
        assert_eq!(second.0, first.0);
        assert_ne!(second.1, first.1);
    }

    #[test]
    fn an_operator_starts_stops_and_names_the_patient() {
        let (mut encounter, _, desk) = encounter(SeriesPolicy::Operator);
        let now = Instant::now();
        assert!(!encounter.wanted(now));
        desk.wish("room", |wanted| {
            wanted.running = Some(true);
            wanted.encounter += 1;
        })
        .unwrap();
        assert!(encounter.wanted(now));
        let first = uids(&mut encounter, 32);
        let patient = Patient { name: "Doe^Jane".to_owned(), id: "4711".to_owned(), ..Patient::default() };
        desk.wish("room", |wanted| {
            wanted.order = Some(Arc::new(Order { patient, ..Order::default() }));
            wanted.encounter += 1;
        })
        .unwrap();
        assert!(encounter.wanted(now));
        let (open, fresh) = next(&mut encounter, 32);
        assert!(fresh);
        assert_eq!((open.context.patient.id.as_str(), open.context.series.number), ("4711", 1));
        assert_ne!(open.context.study.instance_uid, first.0);
        // Stop and start: the next series of the same study.
        desk.wish("room", |wanted| wanted.running = Some(false)).unwrap();
        assert!(!encounter.wanted(now));
        assert_eq!(encounter.uids(), None);
        desk.wish("room", |wanted| {
            wanted.running = Some(true);
            wanted.encounter += 1;
        })
        .unwrap();
        assert!(encounter.wanted(now));
        let again = next(&mut encounter, 32).0;
        assert_eq!(again.context.study.instance_uid, open.context.study.instance_uid);
        assert_eq!(again.context.series.number, 2);
    }

    #[test]
    fn an_operator_can_stop_what_runs_by_itself() {
        let (mut encounter, _, desk) = encounter(SeriesPolicy::Continuous);
        desk.wish("room", |wanted| wanted.running = Some(false)).unwrap();
        assert!(!encounter.wanted(Instant::now()));
    }

    #[test]
    fn a_loss_of_signal_ends_a_series_only_where_the_policy_says_so() {
        for (policy, ends) in [(SeriesPolicy::Continuous, false), (SeriesPolicy::Signal, true)] {
            let (mut encounter, ..) = encounter(policy);
            next(&mut encounter, 32);
            encounter.signal_lost();
            assert_eq!(encounter.uids().is_none(), ends, "{policy:?}");
        }
    }

    #[test]
    fn a_series_of_activity_ends_when_the_picture_stands_still() {
        let (mut encounter, ..) = encounter(SeriesPolicy::Activity);
        let start = Instant::now();
        assert!(!encounter.active(0.0, start));
        assert!(encounter.active(0.5, start));
        next(&mut encounter, 32);
        assert!(encounter.active(0.0, start + Duration::from_secs(9)));
        assert!(!encounter.active(0.0, start + Duration::from_secs(11)));
        assert_eq!(encounter.uids(), None);
    }

    #[test]
    fn a_study_that_nobody_ordered_is_over_after_half_an_hour() {
        let (mut encounter, ..) = encounter(SeriesPolicy::Continuous);
        let first = uids(&mut encounter, 32);
        assert!(encounter.wanted(Instant::now() + Duration::from_secs(29 * 60)));
        assert_eq!(uids(&mut encounter, 32), first);
        assert!(encounter.wanted(Instant::now() + Duration::from_secs(31 * 60)));
        assert_ne!(uids(&mut encounter, 32).0, first.0);
    }

    #[test]
    fn a_gap_in_the_numbers_is_told_to_those_who_read() {
        let (mut encounter, hub, _) = encounter(SeriesPolicy::Continuous);
        let (open, _) = next(&mut encounter, 32);
        let frame = |number: i32, bytes| {
            let mut dataset = open.context.dataset();
            let text = |tag, vr, text: &str| DataElement::new(tag, vr, PrimitiveValue::from(text));
            dataset.put(text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.7"));
            dataset.put(text(tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.{number}")));
            dataset.put(text(tags::INSTANCE_NUMBER, VR::IS, &number.to_string()));
            Instance::native(&dataset, bytes::Bytes::from(vec![0; bytes])).unwrap()
        };
        let mut reader = Cursor::new(hub.series().remove(0), From::Oldest);
        hub.reload(HubSettings { budget_bytes: 100_000, ..HubSettings::default() });
        open.publish(frame(1, 16)).unwrap();
        open.publish(frame(4, 16)).unwrap();
        open.publish(frame(5, 200_000)).unwrap_err();
        open.publish(frame(6, 16)).unwrap();
        let told = std::iter::from_fn(|| reader.try_next()).map(|item| match item {
            Item::Instance(instance) => instance.number().unwrap().to_string(),
            Item::Missed(missed) => missed.to_string(),
            Item::End(_) => unreachable!(),
        });
        let lost = |count| format!("{count} instances were lost at their source");
        assert_eq!(told.collect::<Vec<_>>(), ["1", &lost(2), "4", &lost(1), "6"]);
    }

    #[test]
    fn a_series_is_complete_once_its_last_frame_is_through() {
        let (mut encounter, hub, _) = encounter(SeriesPolicy::Continuous);
        hub.reload(HubSettings { linger: Duration::ZERO, ..HubSettings::default() });
        let (in_flight, _) = next(&mut encounter, 32);
        let live = hub.series().remove(0);
        encounter.end();
        assert_eq!(live.end(), None);
        drop(in_flight);
        assert_eq!(live.end(), Some(End::Completed));
    }
}
