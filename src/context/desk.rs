//! The desk: what is said of who is imaged by each capture, what is wanted of it, and what it says of itself.
//!
//! ```text
//!  operator ──wish──► ┌──────┐
//!  relay ─performing─►│ desk │ ◄─at (moment of a frame)── capture
//!  relay ───imaging──►│      │ ◄──── report, own steps ── capture
//!  worklist ─replace─►└──────┘ ◄─own_steps── who speaks MPPS
//! ```
//!
//! Everybody leaves words here and goes on; nobody waits, and nobody knows the others. The names are those of
//! the `[capture.NAME]` sections; a name that is not there is refused, so the table is bounded by the
//! configuration. Words hold from their moment on ([`super::timeline`]), and a capture asks for the moment at
//! which its frame was captured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::order::Order;
use super::own_steps::{OwnStep, OwnSteps};
use super::timeline::{History, Objects, Steps};
use super::told::{Said, Told};
use super::warning::{self, Warning};
use super::worklist::{Station, Worklist};
use super::{Origin, Provider, Series, events};
use crate::config::settings::CaptureSettings;

/// What is wanted of one capture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// An operator's start (true) or stop (false); `None` when nobody has said either.
    pub running: Option<bool>,
    /// Who is imaged, if an operator has said so.
    pub order: Option<Arc<Order>>,
    /// Rises with every change of `order` and with every start: the next frame opens a new series.
    pub encounter: u64,
}

/// What a capture says of itself. Holds no PHI.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// One of the states of the capture source, such as `streaming` or `no-signal`.
    pub state: &'static str,
    /// What it means and how to mend it, in a sentence; empty when all is well.
    pub advice: String,
    /// Device path, card and driver; empty when there is none.
    pub device: String,
    /// Hardware profile that is in use.
    pub profile: String,
    /// Such as `1920x1080p60 YUYV`; empty without a signal.
    pub format: String,
    /// Study Instance UID of the open series; empty when none is open.
    pub study: String,
    /// Series Instance UID of the open series; empty when none is open.
    pub series: String,
    /// Attributes of the open series by keyword, and who says each.
    pub context: BTreeMap<&'static str, Origin>,
}

/// Whose words count for a capture, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Who is believed, the first before the next; who is not listed is not heard.
    pub precedence: Vec<Provider>,
    /// AE titles of the modality whose picture it is.
    pub ae_titles: Vec<String>,
    /// Station Name (0008,1010) of the modality; empty for unknown.
    pub station_name: String,
    /// A word that is older shows as a warning; `None` for never.
    pub stale: Option<Duration>,
    /// Patient's Name (0010,0010) of an emergency. `Debug` of the settings withholds it; this one is by rule.
    pub emergency_name: String,
    /// Whom to tell of performed steps; empty for nobody.
    pub mpps: String,
}

impl Rules {
    /// Those that a capture is configured with.
    pub fn of(settings: &CaptureSettings) -> Self {
        Self {
            precedence: settings.precedence.clone(),
            ae_titles: settings.modality_ae_titles.clone(),
            station_name: settings.station_name.clone(),
            stale: settings.stale,
            emergency_name: settings.emergency_name.clone(),
            mpps: settings.mpps.clone(),
        }
    }

    /// Whether an operator's word on who is imaged counts.
    pub fn hears_operators(&self) -> bool {
        self.precedence.contains(&Provider::Operator)
    }

    fn hears(&self, provider: Provider, ae_title: &str) -> bool {
        self.precedence.contains(&provider) && self.ae_titles.iter().any(|title| title == ae_title.trim())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(&CaptureSettings::default())
    }
}

/// What holds for a capture at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// As [`Wanted::running`].
    pub running: Option<bool>,
    /// As [`Wanted::encounter`].
    pub encounter: u64,
    /// What is said of who is imaged, the first to be believed first.
    pub said: Vec<Said>,
}

/// Why a wish is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// No `[capture.NAME]` of this name.
    #[error("there is no capture of this name")]
    Unknown,
}

/// All that concerns one capture.
#[derive(Debug, Default)]
struct Place {
    rules: Rules,
    report: Report,
    wishes: History<Wanted>,
    steps: Steps,
    objects: Objects,
}

impl Place {
    fn wanted(&self) -> Wanted {
        self.wishes.latest().cloned().unwrap_or_default()
    }

    fn said(&self, worklist: &Worklist, moment: Instant, date: SystemTime) -> Vec<Said> {
        let say = |provider, (at, order): (Instant, &Arc<Order>)| Said { provider, order: order.clone(), at };
        let said = |provider: &Provider| match *provider {
            Provider::Operator => {
                let order = self.wishes.at(moment)?.1.order.as_ref()?;
                let since = self.wishes.since(moment, |wanted| wanted.order.as_ref() == Some(order))?;
                Some(say(Provider::Operator, (since, order)))
            }
            Provider::Mpps => Some(say(Provider::Mpps, self.steps.at(moment)?)),
            Provider::Association => Some(say(Provider::Association, self.objects.at(moment, &self.steps)?)),
            Provider::Worklist => {
                let Rules { ae_titles, station_name, .. } = &self.rules;
                let (at, order) = worklist.due(&Station { ae_titles, name: station_name }, date)?;
                let age = date.duration_since(at).unwrap_or_default();
                let at = moment.checked_sub(age).unwrap_or(moment);
                Some(say(Provider::Worklist, (at, &order)))
            }
        };
        self.rules.precedence.iter().filter_map(said).collect()
    }
}

/// The table. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    places: Arc<Mutex<BTreeMap<String, Place>>>,
    worklist: Worklist,
    own: Arc<Mutex<OwnSteps>>,
}

impl Desk {
    /// A desk for the captures of these names, by the rules that hold where nothing is configured.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self::by(names.into_iter().map(|name| (name, Rules::default())))
    }

    /// A desk for captures by their names, each with its rules.
    pub fn by(captures: impl IntoIterator<Item = (String, Rules)>) -> Self {
        let place = |(name, rules)| (name, Place { rules, ..Place::default() });
        let places = captures.into_iter().map(place).collect();
        Self { places: Arc::new(Mutex::new(places)), ..Self::default() }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        // Nothing that runs under this lock can panic half way through a change.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, OwnSteps> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is scheduled.
    pub fn worklist(&self) -> &Worklist {
        &self.worklist
    }

    /// What is wanted of this capture by the latest word; nothing, for a name that is not there.
    pub fn wanted(&self, name: &str) -> Wanted {
        self.places().get(name).map(Place::wanted).unwrap_or_default()
    }

    /// By which rules this capture is told of; the default, for a name that is not there.
    pub fn rules(&self, name: &str) -> Rules {
        self.places().get(name).map(|place| place.rules.clone()).unwrap_or_default()
    }

    /// What holds for this capture at `moment`, which was at the date `date`; nothing, for a name that is not
    /// there.
    pub fn at(&self, name: &str, moment: Instant, date: SystemTime) -> Truth {
        let places = self.places();
        let Some(place) = places.get(name) else { return Truth::default() };
        let (running, encounter) =
            place.wishes.at(moment).map(|(_, wanted)| (wanted.running, wanted.encounter)).unwrap_or_default();
        Truth { running, encounter, said: place.said(&self.worklist, moment, date) }
    }

    /// What all captures say of themselves, by name.
    pub fn reports(&self) -> Vec<(String, Wanted, Report)> {
        let places = self.places();
        places.iter().map(|(name, place)| (name.clone(), place.wanted(), place.report.clone())).collect()
    }

    /// Replaces what this capture says of itself.
    pub fn report(&self, name: &str, report: Report) {
        if let Some(place) = self.places().get_mut(name) {
            place.report = report;
        }
    }

    /// Changes what this capture says of itself, for whoever knows better than it does.
    pub fn amend(&self, name: &str, change: impl FnOnce(&mut Report)) {
        if let Some(place) = self.places().get_mut(name) {
            change(&mut place.report);
        }
    }

    /// Changes what is wanted of a capture, from now on.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn wish(&self, name: &str, change: impl FnOnce(&mut Wanted)) -> Result<(), DeskError> {
        self.wish_at(name, Instant::now(), change)
    }

    /// Changes what is wanted of a capture, from `at` on. Operators' words hold in the order in which they come:
    /// none is earlier than the one before.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn wish_at(
        &self,
        name: &str,
        at: Instant,
        change: impl FnOnce(&mut Wanted),
    ) -> Result<(), DeskError> {
        let mut places = self.places();
        let place = places.get_mut(name).ok_or(DeskError::Unknown)?;
        let mut wanted = place.wanted();
        change(&mut wanted);
        if wanted != place.wanted() {
            place.wishes.push(at, wanted);
        }
        Ok(())
    }

    /// The modality of this AE title performs a step from `at` on (N-CREATE, IN PROGRESS), or says more of it
    /// (N-SET). `step` is the SOP Instance UID, `order` what [`Order::from_performed`] reads of the data set.
    pub fn performing(&self, ae_title: &str, step: &str, order: Arc<Order>, at: Instant) {
        for place in self.places().values_mut().filter(|place| place.rules.hears(Provider::Mpps, ae_title)) {
            place.steps.performing(step, &order, at);
        }
    }

    /// The modality of this AE title has ended a step at `at` (COMPLETED or DISCONTINUED), whether or not its
    /// beginning was heard yet.
    pub fn performed(&self, ae_title: &str, step: &str, at: Instant) {
        for place in self.places().values_mut().filter(|place| place.rules.hears(Provider::Mpps, ae_title)) {
            place.steps.performed(step, at);
        }
    }

    /// Whether any capture wants to hear of the objects that the modality of this AE title makes.
    pub fn wants_objects_of(&self, ae_title: &str) -> bool {
        self.places().values().any(|place| place.rules.hears(Provider::Association, ae_title))
    }

    /// An object of the modality of this AE title arrives at `at`; `order` is what [`Order::from_instance`] reads
    /// of its head.
    pub fn imaging(&self, ae_title: &str, order: Arc<Order>, at: Instant) {
        let mut places = self.places();
        for place in places.values_mut().filter(|place| place.rules.hears(Provider::Association, ae_title)) {
            place.objects.imaging(order.clone(), at);
        }
    }

    /// What is doubtful in what is said for a capture at `moment`.
    pub fn warnings(&self, name: &str, moment: Instant, date: SystemTime) -> Vec<Warning> {
        let stale = self.rules(name).stale;
        warning::of(&self.at(name, moment, date).said, stale, moment)
    }

    /// Which attributes the next series of a capture would have from whom, by what is said at `moment`.
    pub fn told(&self, name: &str, moment: Instant, date: SystemTime) -> BTreeMap<&'static str, Origin> {
        let told = Told::of(&self.at(name, moment, date).said);
        let from = told.into_iter().flat_map(|told| told.from);
        from.map(|(tag, provider)| (super::keyword(tag), Origin::Told(provider))).collect()
    }

    /// A capture begins a performed step of its own.
    pub fn own_step_begins(&self, step: OwnStep) {
        if self.own().begin(step) {
            events::StepGivenUp {}.tell();
        }
    }

    /// A series belongs to the step `uid`.
    pub fn own_step_series(&self, uid: &str, series: Series) {
        self.own().series(uid, series);
    }

    /// The step `uid` has ended at `at`; `discontinued` because the gateway stops.
    pub fn own_step_ends(&self, uid: &str, at: SystemTime, discontinued: bool) {
        self.own().end(uid, at, discontinued);
    }

    /// The performed steps of our captures that are in progress, or have ended and not been told: for whoever
    /// speaks MPPS, who drops them with [`Desk::own_step_told`].
    pub fn own_steps(&self) -> Vec<OwnStep> {
        self.own().all()
    }

    /// The end of the step `uid` was told, or will never be.
    pub fn own_step_told(&self, uid: &str) {
        self.own().told(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Patient;
    use super::*;

    fn of(id: &str) -> Arc<Order> {
        let patient = Patient { id: id.to_owned(), ..Patient::default() };
        Arc::new(Order { patient, ..Order::default() })
    }

    fn desk(precedence: &[Provider]) -> Desk {
        let rules = |titles: &[&str]| Rules {
            precedence: precedence.to_vec(),
            ae_titles: titles.iter().copied().map(str::to_owned).collect(),
            ..Rules::default()
        };
        Desk::by([("room".to_owned(), rules(&["XA1", "XA2"])), ("other".to_owned(), rules(&[]))])
    }

    fn said(desk: &Desk, name: &str) -> Vec<(Provider, String)> {
        let said = desk.at(name, Instant::now(), SystemTime::now()).said;
        said.into_iter().map(|said| (said.provider, said.order.patient.id.clone())).collect()
    }

    #[test]
    fn who_is_listed_and_is_the_modality_is_heard_and_nobody_else() {
        use Provider::{Association, Mpps, Operator};
        let desk = desk(&[Association, Operator]);
        desk.performing("XA1", "1.2", of("step"), Instant::now());
        desk.imaging(" XA2 ", of("object"), Instant::now());
        desk.imaging("XA3", of("stranger"), Instant::now());
        for name in ["room", "other"] {
            desk.wish(name, |wanted| wanted.order = Some(of("word"))).unwrap();
        }
        let word = (Operator, "word".to_owned());
        assert_eq!(said(&desk, "room"), [(Association, "object".to_owned()), word.clone()]);
        assert_eq!(said(&desk, "other"), [word]);
        assert_eq!(desk.wish("theatre", |_| ()), Err(DeskError::Unknown));
        assert_eq!(desk.at("theatre", Instant::now(), SystemTime::now()), Truth::default());
        let desk = self::desk(&[Mpps]);
        desk.performing("XA1", "1.2", of("step"), Instant::now());
        assert_eq!(said(&desk, "room"), [(Mpps, "step".to_owned())]);
        desk.performed("XA1", "1.2", Instant::now());
        assert_eq!(said(&desk, "room"), []);
    }

    #[test]
    fn a_start_does_not_make_a_patient_younger() {
        let desk = desk(&[Provider::Operator]);
        let start = Instant::now();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        desk.wish_at("room", minutes(0), |wanted| wanted.order = Some(of("1"))).unwrap();
        desk.wish_at("room", minutes(200), |wanted| wanted.running = Some(true)).unwrap();
        let warnings = |at| desk.warnings("room", minutes(at), SystemTime::now());
        assert_eq!((warnings(240), warnings(241)), (vec![], vec![Warning::Stale(Provider::Operator)]));
        let truth = desk.at("room", minutes(199), SystemTime::now());
        assert_eq!((truth.running, truth.said[0].at), (None, minutes(0)));
    }

    #[test]
    fn nothing_that_is_said_is_shown_to_a_log() {
        let desk = desk(&Provider::ALL);
        desk.wish("room", |wanted| wanted.order = Some(of("SECRET"))).unwrap();
        desk.performing("XA1", "1.2", of("SECRET"), Instant::now());
        desk.imaging("XA1", of("SECRET"), Instant::now());
        let truth = desk.at("room", Instant::now(), SystemTime::now());
        assert_eq!(truth.said.len(), 3);
        assert!(!format!("{desk:?} {truth:?} {:?}", Told::of(&truth.said)).contains("SECRET"));
    }
}
