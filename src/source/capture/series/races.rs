//! Races: operators, steps, objects and worklists that change the patient within a millisecond of each other and
//! of the frames, heard in any order. Every instance has what a plain model says was true, as far as it was
//! known, when its frame was captured.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::pixels;
use super::*;
use crate::config::settings::HubSettings;
use crate::context::desk::Rules;
use crate::context::worklist::{Choice, Entry, Keys};
use crate::context::{Order, Patient, Provider};
use crate::hub::{Cursor, From, Item};
use crate::instance::Dataset;

const PATIENTS: [&str; 3] = ["A", "B", "C"];

/// What an event says, in the terms of the model.
#[derive(Debug, Clone, Default, PartialEq)]
struct Words {
    id: String,
    name: String,
    study: Option<String>,
    accession: String,
    description: String,
    step: Option<String>,
}

impl Words {
    fn of(patient: usize, study: usize) -> Self {
        let id = PATIENTS[patient].to_owned();
        Self {
            name: format!("Name^{id}"),
            study: Some(format!("1.2.{patient}.{study}")),
            accession: format!("{id}{study}"),
            id,
            ..Self::default()
        }
    }

    fn order(&self) -> Order {
        let patient = Patient { name: self.name.clone(), id: self.id.clone(), ..Patient::default() };
        let step = |uid: &String| Performed { instance_uid: uid.clone(), ..Performed::default() };
        Order {
            patient,
            study_instance_uid: self.study.clone(),
            accession_number: self.accession.clone(),
            study_description: self.description.clone(),
            performed: self.step.as_ref().map(step),
            ..Order::default()
        }
    }
}

#[derive(Debug, Clone)]
enum What {
    /// Who is imaged, or nobody any more.
    Operator(Option<Words>),
    Choose(usize),
    Emergency,
    Running(bool),
    /// Of patient `step % 3`; with more, the N-SET that has nothing of the patient.
    Start {
        step: usize,
        more: bool,
    },
    End {
        step: usize,
    },
    Object {
        words: Words,
    },
    Worklist(Vec<usize>),
    Frame,
}

#[derive(Debug, Clone)]
struct Event {
    /// When it is true (µs).
    at: u64,
    /// How long until it is heard, or the frame is handled (µs).
    lag: u64,
    what: What,
}

/// What has been heard, in the order in which it was.
#[derive(Debug, Default)]
struct Model {
    operator: Vec<(u64, Option<Words>)>,
    running: Vec<(u64, bool)>,
    starts: Vec<(usize, u64, Words)>,
    ends: Vec<(usize, u64)>,
    /// Steps in the order in which they were first heard of.
    heard: Vec<usize>,
    objects: Vec<(u64, Words)>,
    worklists: Vec<(u64, Vec<usize>)>,
}

/// The last of the latest at a moment.
fn last<T>(heard: &[(u64, T)], moment: u64) -> Option<&(u64, T)> {
    // Of equals `max_by_key` takes the last.
    heard.iter().filter(|(at, _)| *at <= moment).max_by_key(|(at, _)| *at)
}

fn uid(step: usize) -> String {
    format!("1.9.{step}")
}

impl Model {
    fn scheduled(patient: usize) -> Words {
        Words::of(patient, 0)
    }

    fn began(&self, step: usize) -> Option<u64> {
        self.starts.iter().filter(|start| start.0 == step).map(|start| start.1).min()
    }

    fn ended(&self, step: usize, moment: u64) -> Option<u64> {
        self.ends.iter().filter(|end| end.0 == step).map(|end| end.1).min().filter(|end| *end <= moment)
    }

    fn known(&self, step: usize, moment: u64) -> Option<Words> {
        let said = self.starts.iter().filter(|(of, at, _)| *of == step && *at <= moment);
        let mut known: Option<Words> = None;
        for (_, _, words) in said {
            let known = known.get_or_insert_default();
            if !words.id.is_empty() {
                *known = Words { description: known.description.clone(), ..words.clone() };
            }
            if !words.description.is_empty() {
                known.description = words.description.clone();
            }
            known.step = Some(uid(step));
        }
        known
    }

    fn mpps(&self, moment: u64) -> Option<Words> {
        let mut begun: Vec<_> = self.heard.clone();
        begun.retain(|step| self.began(*step).is_some_and(|began| began <= moment));
        begun.sort_by_key(|step| self.began(*step));
        let latest = self.known(*begun.last()?, moment)?;
        if latest.id.is_empty() {
            return None;
        }
        for step in begun.into_iter().rev() {
            let known = self.known(step, moment)?;
            if known.id != latest.id {
                return None;
            }
            if self.ended(step, moment).is_none() {
                return Some(known);
            }
        }
        None
    }

    fn object(&self, moment: u64) -> Option<Words> {
        let (at, object) = last(&self.objects, moment)?;
        let is_over = self.heard.iter().any(|step| {
            self.ended(*step, moment).is_some_and(|ended| {
                let alike = self.known(*step, moment);
                let alike = alike.is_some_and(|known| known.id == object.id && known.study == object.study);
                *at <= ended || object.step.as_ref() == Some(&uid(*step)) || alike
            })
        });
        (!is_over).then(|| object.clone())
    }

    fn due(&self, moment: u64) -> Option<Words> {
        match last(&self.worklists, moment)?.1[..] {
            [only] => Some(Self::scheduled(only)),
            _ => None,
        }
    }

    fn said(&self, provider: Provider, moment: u64) -> Option<Words> {
        match provider {
            Provider::Operator => last(&self.operator, moment)?.1.clone(),
            Provider::Mpps => self.mpps(moment),
            Provider::Association => self.object(moment),
            Provider::Worklist => self.due(moment),
        }
    }

    /// What all of them come to, and who decides.
    fn told(&self, precedence: &[Provider], moment: u64) -> Option<(Provider, Words)> {
        let mut said = precedence.iter().filter_map(|who| Some((*who, self.said(*who, moment)?)));
        let (decides, mut told) = said.next()?;
        for (_, other) in said {
            if told.id.is_empty() || told.id != other.id {
                continue;
            }
            let fill = |ours: &mut String, theirs: &String| {
                if ours.is_empty() {
                    ours.clone_from(theirs);
                }
            };
            let nothing = told.accession.is_empty() && told.description.is_empty() && told.step.is_none();
            let same = match (&told.study, &other.study) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ if !told.accession.is_empty() && !other.accession.is_empty() => {
                    told.accession == other.accession
                }
                (None, _) => nothing,
                (Some(_), None) => false,
            };
            fill(&mut told.name, &other.name);
            if same {
                fill(&mut told.accession, &other.accession);
                fill(&mut told.description, &other.description);
                told.study = told.study.or(other.study);
                told.step = told.step.or(other.step);
            }
        }
        Some((decides, told))
    }
}

fn event() -> impl Strategy<Value = Event> {
    let words = (0..3_usize, 0..2_usize, 0..4_u8).prop_map(|(patient, study, kind)| {
        let all = Words::of(patient, study);
        match kind {
            0 => Words { id: all.id, ..Words::default() },
            1 => Words { study: None, name: String::new(), ..all },
            2 => Words { accession: all.accession, ..Words::default() },
            _ => all,
        }
    });
    let object =
        (0..3_usize, 0..2_usize, proptest::option::of(0..6_usize)).prop_map(|(patient, study, step)| {
            let step = step.filter(|step| step % 3 == patient).map(uid);
            What::Object { words: Words { step, ..Words::of(patient, study) } }
        });
    let what = prop_oneof![
        2 => words.prop_map(|words| What::Operator(Some(words))),
        2 => Just(What::Operator(None)),
        1 => (0..3_usize).prop_map(What::Choose),
        1 => Just(What::Emergency),
        1 => any::<bool>().prop_map(What::Running),
        4 => (0..6_usize, any::<bool>()).prop_map(|(step, more)| What::Start { step, more }),
        4 => (0..6_usize).prop_map(|step| What::End { step }),
        3 => object,
        2 => proptest::collection::btree_set(0..3_usize, 0..3)
            .prop_map(|scheduled| What::Worklist(scheduled.into_iter().collect())),
        12 => Just(What::Frame),
    ];
    (0..1000_u64, 0..400_u64, what).prop_map(|(at, lag, what)| Event { at, lag, what })
}

/// The real thing beside the model.
struct Room {
    encounter: Encounter,
    hub: Hub,
    desk: Desk,
    model: Model,
    precedence: Vec<Provider>,
    start: Instant,
    date: SystemTime,
    /// Frames that wait in a compressor: their series, SOP Instance UID and what is expected of them.
    waiting: Vec<(Arc<OpenSeries>, i32, Expected)>,
    expected: BTreeMap<(String, i32), Expected>,
    numbers: BTreeMap<String, i32>,
}

type Expected = Option<(Provider, Words)>;

impl Room {
    fn new(precedence: Vec<Provider>) -> Self {
        let settings = CaptureSettings {
            precedence: precedence.clone(),
            modality_ae_titles: vec!["XA".to_owned()],
            ..CaptureSettings::default()
        };
        let hub = Hub::new(HubSettings::default());
        let desk = Desk::by([("room".to_owned(), Rules::of(&settings))]);
        let equipment = Equipment::framegate("", "");
        let encounter = Encounter::new("room", &settings, equipment, hub.clone(), desk.clone());
        Self {
            encounter,
            hub,
            desk,
            model: Model::default(),
            precedence,
            start: Instant::now(),
            date: SystemTime::now(),
            waiting: Vec::new(),
            expected: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn moment(&self, at: u64) -> Instant {
        self.start + Duration::from_micros(at)
    }

    fn date(&self, at: u64) -> SystemTime {
        self.date + Duration::from_micros(at)
    }

    /// What the operations resource does with a patient.
    fn operator(&mut self, at: u64, words: Option<(Words, Order)>) {
        let at = self.model.operator.iter().map(|word| word.0).max().unwrap_or_default().max(at);
        let at = self.model.running.iter().map(|word| word.0).max().unwrap_or_default().max(at);
        let (words, order) = words.unzip();
        let change = |wanted: &mut crate::context::desk::Wanted| {
            wanted.order = order.map(Arc::new);
            wanted.encounter += 1;
        };
        self.desk.wish_at("room", self.moment(at), change).unwrap();
        self.model.operator.push((at, words));
    }

    fn happen(&mut self, Event { at, lag, what }: Event) {
        let moment = self.moment(at);
        match what {
            What::Operator(words) => {
                let words = words.map(|words| (words.clone(), words.order()));
                self.operator(at + lag, words);
            }
            What::Choose(patient) => {
                let id = DataElement::new(tags::PATIENT_ID, VR::LO, PrimitiveValue::from(PATIENTS[patient]));
                let keys = Keys::from_dataset(&Dataset::from_element_iter([id])).unwrap();
                let latest = last(&self.model.worklists, u64::MAX);
                let is_there = latest.is_some_and(|(_, scheduled)| scheduled.contains(&patient));
                match self.desk.worklist().choose(&keys, |_| true) {
                    Choice::One(entry) => {
                        assert!(is_there);
                        let order = Order::clone(&entry.order);
                        self.operator(at + lag, Some((Model::scheduled(patient), order)));
                    }
                    choice => assert!(!is_there && choice == Choice::None),
                }
            }
            What::Emergency => {
                let order = Order::emergency("Emergency^", self.date(at));
                let words = Words {
                    id: order.patient.id.clone(),
                    name: order.patient.name.clone(),
                    study: order.study_instance_uid.clone(),
                    ..Words::default()
                };
                self.operator(at + lag, Some((words, order)));
            }
            What::Running(running) => {
                let words = self.model.operator.iter().map(|word| word.0);
                let at = self.model.running.iter().map(|word| word.0).chain(words).fold(at + lag, u64::max);
                self.desk
                    .wish_at("room", self.moment(at), |wanted| {
                        wanted.running = Some(running);
                        wanted.encounter += u64::from(running);
                    })
                    .unwrap();
                self.model.running.push((at, running));
            }
            What::Start { step, more } => {
                let words = if more {
                    Words { description: "more".to_owned(), ..Words::default() }
                } else {
                    Words::of(step % 3, step / 3)
                };
                self.desk.performing("XA", &uid(step), Arc::new(words.order()), moment);
                self.desk.performing("OTHER", &uid(step), Arc::new(Words::of(0, 0).order()), moment);
                if self.hears(step) {
                    self.model.starts.push((step, at, words));
                }
            }
            What::End { step } => {
                self.desk.performed("XA", &uid(step), moment);
                if self.hears(step) {
                    self.model.ends.push((step, at));
                }
            }
            What::Object { words } => {
                self.desk.imaging("XA", Arc::new(words.order()), moment);
                self.model.objects.push((at, words));
            }
            What::Worklist(scheduled) => {
                let entry = |patient: &usize| Entry {
                    order: Arc::new(Model::scheduled(*patient).order()),
                    ae_titles: vec!["XA".to_owned()],
                    station_names: Vec::new(),
                    modality: "XA".to_owned(),
                    start: Default::default(),
                    due: Some(self.date),
                };
                let entries = scheduled.iter().map(entry).collect();
                self.desk.worklist().replace("ris", entries, self.date(at));
                self.model.worklists.push((at, scheduled));
            }
            What::Frame => self.frame(at),
        }
    }

    /// Whether steps count; this one is heard of.
    fn hears(&mut self, step: usize) -> bool {
        let hears = self.precedence.contains(&Provider::Mpps);
        if hears && !self.model.heard.contains(&step) {
            self.model.heard.push(step);
        }
        hears
    }

    fn frame(&mut self, at: u64) {
        let (moment, date) = (self.moment(at), self.date(at));
        let runs = last(&self.model.running, at).is_none_or(|(_, running)| *running);
        assert_eq!(self.encounter.wanted(moment, date), runs);
        if !runs {
            return;
        }
        let (open, _) =
            self.encounter.series(pixels(32), "1.2.840.10008.1.2.1", date, Context::dataset).unwrap();
        let number = self.numbers.entry(open.context.series.instance_uid.clone()).or_default();
        *number += 1;
        let expected = self.model.told(&self.precedence, at);
        self.waiting.push((open, *number, expected));
    }

    /// Frames come out of the compressor.
    fn publish(&mut self) {
        for (open, number, expected) in self.waiting.drain(..) {
            let mut dataset = open.context.dataset();
            let text = |tag, vr, text: &str| DataElement::new(tag, vr, PrimitiveValue::from(text));
            dataset.put(text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.7"));
            dataset.put(text(tags::SOP_INSTANCE_UID, VR::UI, &new_uid()));
            dataset.put(text(tags::INSTANCE_NUMBER, VR::IS, &number.to_string()));
            let origin = open.context.origins.get(&tags::PATIENT_ID).copied();
            let decides = expected.as_ref().filter(|(_, words)| !words.id.is_empty());
            let decides = decides.map_or(Origin::Generated, |(provider, _)| Origin::Told(*provider));
            assert_eq!(origin, Some(decides));
            open.publish(Instance::native(&dataset, bytes::Bytes::from(vec![0; 8])).unwrap()).unwrap();
            self.expected.insert((open.context.series.instance_uid.clone(), number), expected);
        }
    }

    /// Looks at all that was published.
    fn check(mut self) {
        self.publish();
        self.encounter.close();
        let mut whose: BTreeMap<String, String> = BTreeMap::new();
        let mut published = 0;
        for live in self.hub.series() {
            let mut cursor = Cursor::new(live, From::Oldest);
            while let Some(Item::Instance(instance)) = cursor.try_next() {
                published += 1;
                let dataset = instance.dataset().unwrap();
                let text = |tag| match dataset.element_opt(tag).unwrap() {
                    Some(element) => element.to_str().unwrap().trim_end_matches(['\0', ' ']).to_owned(),
                    None => String::new(),
                };
                let place = (text(tags::SERIES_INSTANCE_UID), instance.number().unwrap());
                let expected = &self.expected[&place];
                let step = dataset.element_opt(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE).unwrap();
                let step = step.map(|step| {
                    let item = &step.items().unwrap()[0];
                    item.element(tags::REFERENCED_SOP_INSTANCE_UID).unwrap().to_str().unwrap().into_owned()
                });
                let found = Words {
                    id: text(tags::PATIENT_ID),
                    name: text(tags::PATIENT_NAME),
                    study: Some(text(tags::STUDY_INSTANCE_UID)),
                    accession: text(tags::ACCESSION_NUMBER),
                    description: text(tags::STUDY_DESCRIPTION),
                    step: step.map(|uid| uid.trim_end_matches('\0').to_owned()),
                };
                let of = whose.entry(text(tags::STUDY_INSTANCE_UID)).or_insert_with(|| found.id.clone());
                assert_eq!(*of, found.id, "a study is of one patient");
                let mut right = match expected {
                    Some((_, words)) => words.clone(),
                    None => Words { name: "Unidentified^".to_owned(), ..Words::default() },
                };
                if right.id.is_empty() {
                    assert!(found.id.starts_with("FG-") && !found.id.starts_with("FG-E"));
                    right.id.clone_from(&found.id);
                }
                if right.study.is_none() {
                    assert!(found.study.as_deref().is_some_and(|uid| uid.starts_with("2.25.")));
                    right.study.clone_from(&found.study);
                }
                assert_eq!(found, right);
            }
        }
        assert_eq!(published, self.expected.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn every_instance_has_what_was_true_when_it_was_captured(
        mut events in proptest::collection::vec((event(), any::<bool>()), 1..60),
        precedence in Just(Provider::ALL.to_vec()).prop_shuffle(),
        listed in 1..=4_usize,
    ) {
        // In the order in which they are heard.
        events.sort_by_key(|(event, _)| event.at + event.lag);
        let precedence: Vec<_> = precedence.into_iter().take(listed).collect();
        let mut room = Room::new(precedence);
        for (event, publish) in events {
            if matches!(event.what, What::Worklist(_)) && room.model.worklists.len() == 8 {
                continue;
            }
            room.happen(event);
            if publish {
                room.publish();
            }
        }
        room.check();
    }
}

/// The end of one patient's step and the start of the next within a millisecond: a frame between is of neither.
#[test]
fn between_two_patients_a_frame_is_of_neither() {
    for late in [false, true] {
        let mut room = Room::new(vec![Provider::Mpps, Provider::Association]);
        let event = |at, what| Event { at, lag: 0, what };
        room.happen(event(0, What::Object { words: Words::of(0, 0) }));
        room.happen(event(10, What::Start { step: 0, more: false }));
        room.happen(event(100, What::Frame));
        if late {
            // The frames were captured before, and waited in the driver.
            room.happen(event(500, What::End { step: 0 }));
            room.happen(event(900, What::Start { step: 1, more: false }));
        }
        for at in [499, 500, 899, 900] {
            match at {
                500 if !late => room.happen(event(500, What::End { step: 0 })),
                900 if !late => room.happen(event(900, What::Start { step: 1, more: false })),
                _ => {}
            }
            room.happen(event(at, What::Frame));
        }
        let ids: Vec<_> = room.waiting.iter().map(|(open, ..)| open.context.patient.id.clone()).collect();
        assert_eq!((&ids[..2], &ids[4][..]), (&["A".to_owned(), "A".to_owned()][..], "B"));
        assert!(ids[2].starts_with("FG-") && ids[2] == ids[3]);
        room.check();
    }
}
