//! Which series a frame belongs to: when one begins and ends, and whose it is.
//!
//! | ends a series | and the next frame |
//! |---|---|
//! | another format of the pictures; the hub has ended it (it was quiet) | begins the next series of the study |
//! | an operator's stop, then start; policy `signal`: loss of signal; `activity`: stillness | the same |
//! | another step, or more is said of the same patient and study | the same |
//! | another patient or study; no frame for half an hour of a study that nobody ordered | begins another study |
//!
//! Whose it is, is said at the desk, by whoever the configuration believes; else by the configuration, and what
//! nobody says is generated for the encounter. What counts is what was true when the frame was captured, however
//! long it has waited since.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;

use super::log_events;
use crate::audit::{Audit, Occurrence, Patient};
use crate::config::settings::{CaptureSettings, SeriesPolicy};
use crate::context::desk::Desk;
use crate::context::order::{Change, Performed};
use crate::context::own_steps::OwnStep;
use crate::context::told::{Said, Told};
use crate::context::{Context, Equipment, Origin, encounter_number, new_uid};
use crate::frame::PixelDescription;
use crate::hub::{Hub, OpenError, PublishError, Published, Publisher};
use crate::instance::encode::EncodeError;
use crate::instance::{Dataset, Instance, Uid};

/// After so long without a frame a generated study is over: the next one in the room is somebody else.
const ENCOUNTER_ENDS: Duration = Duration::from_secs(30 * 60);

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
    /// What was said when a frame was last asked for.
    said: Vec<Said>,
    /// What that comes to.
    told: Option<Told>,
    /// The desk's number when the series began.
    number: u64,
    /// What is configured and generated for the study, with the last series of it.
    last: Option<Context>,
    /// The step that the gateway performs with this study, where it tells of steps.
    step: Option<Performed>,
    /// The moment of the frame that was last asked for.
    moment: Instant,
    last_frame: Option<Instant>,
    open: Option<Arc<OpenSeries>>,
    last_movement: Option<Instant>,
    changes: u64,
    audit: Audit,
}

impl Encounter {
    /// Records in `audit` who is imaged.
    #[must_use]
    pub fn audited(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self
    }

    /// The encounters of the capture of this name.
    pub fn new(name: &str, settings: &CaptureSettings, equipment: Equipment, hub: Hub, desk: Desk) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            equipment,
            hub,
            desk,
            said: Vec::new(),
            told: None,
            number: 0,
            last: None,
            step: None,
            moment: Instant::now(),
            last_frame: None,
            open: None,
            last_movement: None,
            changes: 0,
            audit: Audit::none(),
        }
    }

    /// Whether a frame is wanted by whom it may concern, that was captured at `moment`, of the date `date`; asked
    /// for every one, before [`Encounter::series`]. Ends the series where somebody says so, or says who else it is
    /// of.
    pub fn wanted(&mut self, moment: Instant, date: SystemTime) -> bool {
        self.moment = moment;
        let truth = self.desk.at(&self.name, moment, date);
        if truth.encounter != self.number {
            self.end();
            self.number = truth.encounter;
        }
        let is_known =
            |(one, other): (&Said, &Said)| one.provider == other.provider && one.order == other.order;
        if self.said.len() != truth.said.len() || !self.said.iter().zip(&truth.said).all(is_known) {
            self.said = truth.said;
            let told = Told::of(&self.said);
            if told != self.told {
                self.change(told, date);
            }
        }
        let quiet =
            self.last_frame.is_some_and(|last| moment.saturating_duration_since(last) > ENCOUNTER_ENDS);
        if self.told.is_none() && quiet {
            self.leave(date, false);
        }
        let runs = match (truth.running, self.settings.series) {
            (Some(running), _) => running,
            (None, policy) => policy != SeriesPolicy::Operator,
        };
        if !runs {
            self.end();
        }
        runs
    }

    /// Something else is told of who is imaged.
    fn change(&mut self, told: Option<Told>, date: SystemTime) {
        self.end();
        let change = match (&self.told, &told) {
            (Some(before), Some(after)) => before.order.change(&after.order),
            _ => Change::Patient,
        };
        let provider = told.as_ref().map_or(Origin::Generated.word(), |told| told.provider.word());
        let order = told.as_ref().map(|told| &told.order);
        self.audit.record(Occurrence::ContextChanges {
            capture: self.name.clone(),
            change: change.word(),
            provider,
            by: None,
            patient: order.map(|order| Patient::new(order.patient.id.clone(), order.patient.name.clone())),
            study: order.and_then(|order| order.study_instance_uid.as_deref().map(Uid::from)),
        });
        if change.is_of_study() {
            self.leave(date, false);
        }
        self.told = told;
    }

    /// The study is over; `discontinued` because the gateway stops.
    fn leave(&mut self, date: SystemTime, discontinued: bool) {
        self.end();
        self.last = None;
        if let Some(step) = self.step.take() {
            self.desk.own_step_ends(&step.instance_uid, date, discontinued);
        }
    }

    /// Nothing more comes: ends the series, and the study with it.
    pub fn close(&mut self) {
        self.leave(SystemTime::now(), true);
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
        self.last_frame = Some(self.moment);
        let goes_on = |open: &&Arc<OpenSeries>| {
            let live = open.publisher.as_ref().is_some_and(|publisher| publisher.series().end().is_none());
            live && open.pixels == pixels && open.transfer_syntax == transfer_syntax
        };
        if let Some(open) = self.open.as_ref().filter(goes_on) {
            return Ok((open.clone(), false));
        }
        self.end();
        let plain = match &self.last {
            Some(last) => last.next_series(captured),
            None => self.begin(captured),
        };
        let mut context = self.told.as_ref().map_or_else(|| plain.clone(), |told| plain.told(told));
        let step = self.step.clone().or_else(|| self.own_step(captured));
        if let Some(step) = &step {
            context.performs(step.clone());
        }
        let (study, series) = (&context.study.instance_uid, &context.series.instance_uid);
        let publisher = self.hub.open(&study.as_str().into(), &series.as_str().into(), || {
            let mut head = head(&context);
            let syntax = PrimitiveValue::from(transfer_syntax);
            head.put(DataElement::new(tags::AVAILABLE_TRANSFER_SYNTAX_UID, VR::UI, syntax));
            Ok(head)
        })?;
        let publisher = publisher.by("capture");
        log_events::SeriesBegins { capture: &self.name, number: context.series.number }.tell();
        if let Some(step) = step {
            self.tell_step(&step, &context, captured);
            self.step = Some(step);
        }
        self.last = Some(plain);
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

    /// What the open series has from whom.
    pub fn provenance(&self) -> BTreeMap<&'static str, Origin> {
        self.open.as_ref().map(|open| open.context.provenance()).unwrap_or_default()
    }

    /// A step of our own, where somebody is to be told of it.
    fn own_step(&self, captured: SystemTime) -> Option<Performed> {
        let id = || format!("FG{:08}", encounter_number(captured));
        let is_told = !self.settings.mpps.is_empty();
        is_told.then(|| Performed { instance_uid: new_uid(), id: id(), started: Some(captured) })
    }

    /// Leaves word of our step, with its first series or one more.
    fn tell_step(&self, step: &Performed, context: &Context, captured: SystemTime) {
        if self.step.is_none() {
            self.desk.own_step_begins(OwnStep {
                capture: self.name.clone(),
                mpps: self.settings.mpps.clone(),
                uid: step.instance_uid.clone(),
                id: step.id.clone(),
                order: self.told.as_ref().map(|told| Arc::new(told.order.clone())),
                patient: context.patient.clone(),
                study: context.study.instance_uid.clone(),
                modality: context.series.modality.clone(),
                began: captured,
                ended: None,
                discontinued: false,
                series: Vec::new(),
            });
        }
        self.desk.own_step_series(&step.instance_uid, context.series.clone());
    }

    /// What is configured and generated for the first series of a study.
    fn begin(&self, now: SystemTime) -> Context {
        let settings = &self.settings;
        let mut context = Context::encounter(
            &settings.patient_name,
            &settings.modality,
            now,
            encounter_number(now),
            self.equipment.clone(),
        );
        context.study.description.clone_from(&settings.study_description);
        context.series.description.clone_from(&settings.series_description);
        context.series.unpaired_body_part.clone_from(&settings.body_part);
        for (tag, value) in [
            (tags::STUDY_DESCRIPTION, &settings.study_description),
            (tags::SERIES_DESCRIPTION, &settings.series_description),
            (tags::BODY_PART_EXAMINED, &settings.body_part),
        ] {
            if !value.is_empty() {
                context.origins.insert(tag, Origin::Configuration);
            }
        }
        context
    }
}

#[cfg(test)]
mod races;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::HubSettings;
    use crate::context::{Order, Patient};
    use crate::frame::Photometric;
    use crate::hub::{Cursor, End, From, Item};

    pub(super) fn pixels(columns: u16) -> PixelDescription {
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

    fn wanted(encounter: &mut Encounter) -> bool {
        encounter.wanted(Instant::now(), SystemTime::now())
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
        assert!(wanted(&mut encounter));
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
        assert!(!wanted(&mut encounter));
        desk.wish("room", |wanted| {
            wanted.running = Some(true);
            wanted.encounter += 1;
        })
        .unwrap();
        assert!(wanted(&mut encounter));
        let first = uids(&mut encounter, 32);
        let patient = Patient { name: "Doe^Jane".to_owned(), id: "4711".to_owned(), ..Patient::default() };
        desk.wish("room", |wanted| {
            wanted.order = Some(Arc::new(Order { patient, ..Order::default() }));
            wanted.encounter += 1;
        })
        .unwrap();
        assert!(wanted(&mut encounter));
        let (open, fresh) = next(&mut encounter, 32);
        assert!(fresh);
        assert_eq!((open.context.patient.id.as_str(), open.context.series.number), ("4711", 1));
        assert_ne!(open.context.study.instance_uid, first.0);
        // Stop and start: the next series of the same study.
        desk.wish("room", |wanted| wanted.running = Some(false)).unwrap();
        assert!(!wanted(&mut encounter));
        assert_eq!(encounter.uids(), None);
        desk.wish("room", |wanted| {
            wanted.running = Some(true);
            wanted.encounter += 1;
        })
        .unwrap();
        assert!(wanted(&mut encounter));
        let again = next(&mut encounter, 32).0;
        assert_eq!(again.context.study.instance_uid, open.context.study.instance_uid);
        assert_eq!(again.context.series.number, 2);
    }

    #[test]
    fn more_of_the_same_study_is_its_next_series_and_another_step_too() {
        let (mut encounter, _, desk) = encounter(SeriesPolicy::Continuous);
        let say =
            |order: &Order| desk.wish("room", |wanted| wanted.order = Some(Arc::new(order.clone()))).unwrap();
        let patient = Patient { id: "4711".to_owned(), ..Patient::default() };
        let mut order = Order { patient, study_instance_uid: Some("1.2".to_owned()), ..Order::default() };
        let mut seen = Vec::new();
        for change in 0..4 {
            match change {
                1 => order.study_description = "more".to_owned(),
                2 => {
                    order.performed =
                        Some(Performed { instance_uid: "1.9".to_owned(), ..Performed::default() })
                }
                3 => order.study_instance_uid = Some("1.3".to_owned()),
                _ => {}
            }
            say(&order);
            assert!(wanted(&mut encounter));
            let (open, fresh) = next(&mut encounter, 32);
            assert!(fresh);
            let study = &open.context.study;
            let step = study.performed.is_some();
            seen.push((
                study.instance_uid.clone(),
                open.context.series.number,
                study.description.clone(),
                step,
            ));
        }
        let seen: Vec<_> =
            seen.iter().map(|(study, number, text, step)| (&**study, *number, &**text, *step)).collect();
        let expected = [
            ("1.2", 1, "", false),
            ("1.2", 2, "more", false),
            ("1.2", 3, "more", true),
            ("1.3", 1, "more", true),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_study_is_a_step_of_our_own_where_somebody_is_to_be_told() {
        let settings = CaptureSettings { mpps: "ris".to_owned(), ..CaptureSettings::default() };
        let (hub, desk) = (Hub::new(HubSettings::default()), Desk::new(["room".to_owned()]));
        let mut encounter =
            Encounter::new("room", &settings, Equipment::framegate("", ""), hub, desk.clone());
        assert!(wanted(&mut encounter) && desk.own_steps().is_empty());
        let first = next(&mut encounter, 32).0.context.clone();
        let second = next(&mut encounter, 48).0.context.clone();
        let [step] = &desk.own_steps()[..] else { panic!() };
        for context in [&first, &second] {
            let performed = context.study.performed.as_ref().unwrap();
            assert_eq!((&performed.instance_uid, &performed.id), (&step.uid, &step.id));
        }
        assert_eq!((step.series.as_slice(), step.ended), (&[first.series, second.series][..], None));
        assert_eq!((&*step.capture, &*step.mpps, &step.study), ("room", "ris", &first.study.instance_uid));
        assert!(step.order.is_none() && step.patient.id == first.patient.id && step.id.len() <= 16);
        let patient = Patient { id: "4711".to_owned(), ..Patient::default() };
        let order = Some(Arc::new(Order { patient, ..Order::default() }));
        desk.wish("room", |wanted| wanted.order = order.clone()).unwrap();
        assert!(wanted(&mut encounter));
        next(&mut encounter, 32);
        encounter.close();
        let [one, other] = &desk.own_steps()[..] else { panic!() };
        assert!(one.ended.is_some() && !one.discontinued && one.uid == step.uid);
        assert!(other.ended.is_some() && other.discontinued && other.uid != step.uid);
        assert_eq!(other.order, order);
        desk.own_step_told(&one.uid);
        assert_eq!(desk.own_steps().len(), 1);
    }

    #[test]
    fn an_operator_can_stop_what_runs_by_itself() {
        let (mut encounter, _, desk) = encounter(SeriesPolicy::Continuous);
        desk.wish("room", |wanted| wanted.running = Some(false)).unwrap();
        assert!(!wanted(&mut encounter));
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
        let start = Instant::now();
        let minutes = |minutes: u64| (start + Duration::from_secs(60 * minutes), SystemTime::now());
        assert!(encounter.wanted(minutes(29).0, minutes(29).1));
        assert_eq!(uids(&mut encounter, 32), first);
        assert!(encounter.wanted(minutes(61).0, minutes(61).1));
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
