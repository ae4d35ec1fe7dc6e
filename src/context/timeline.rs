//! What was true when: the words of each provider on one capture, by the moment at which they hold.
//!
//! A frame may wait in its driver while the patient is changed, and words come by several ways that do not
//! keep their order. So the desk does not hold what is true but what has become true, and answers for any
//! moment of the last while. What is older than the bounds here is forgotten, and a moment before all that
//! is remembered is one at which nobody had said anything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::order::{Order, Performed};

/// Most changes of one kind that are remembered for a capture: at 100 objects a second, longer than any
/// frame that is taken has waited.
const MOST_CHANGES: usize = 64;
/// Most performed steps that are remembered for a capture.
const MOST_STEPS: usize = 16;

/// Values by the moment from which they hold.
#[derive(Debug)]
pub(super) struct History<T> {
    /// In order of their moments; of those of one moment the last holds.
    changes: VecDeque<(Instant, T)>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { changes: VecDeque::new() }
    }
}

impl<T> History<T> {
    /// From `at` on it is this, until the next change after that.
    pub(super) fn insert(&mut self, at: Instant, value: T) {
        let place = self.changes.partition_point(|(moment, _)| *moment <= at);
        self.changes.insert(place, (at, value));
        if self.changes.len() > MOST_CHANGES {
            self.changes.pop_front();
        }
    }

    /// It is this from `at` on, or from the latest change if that is later: for who comes last.
    pub(super) fn push(&mut self, at: Instant, value: T) {
        let at = self.changes.back().map_or(at, |(latest, _)| at.max(*latest));
        self.insert(at, value);
    }

    /// What holds at `moment`, and since when.
    pub(super) fn at(&self, moment: Instant) -> Option<(Instant, &T)> {
        let place = self.changes.partition_point(|(at, _)| *at <= moment);
        let (at, value) = self.changes.get(place.checked_sub(1)?)?;
        Some((*at, value))
    }

    /// Since when something has held that holds at `moment`, across changes of other things.
    pub(super) fn since(&self, moment: Instant, is_so: impl Fn(&T) -> bool) -> Option<Instant> {
        let before = self.changes.iter().rev().skip_while(|(at, _)| *at > moment);
        before.take_while(|(_, value)| is_so(value)).last().map(|(at, _)| *at)
    }

    /// The latest.
    pub(super) fn latest(&self) -> Option<&T> {
        self.changes.back().map(|(_, value)| value)
    }
}

/// One performed procedure step of the modality.
#[derive(Debug)]
struct Step {
    instance_uid: String,
    /// What was said of it, in order of the moments: each word, and what all up to it come to.
    words: Vec<(Instant, Arc<Order>, Arc<Order>)>,
    ended: Option<Instant>,
}

impl Step {
    fn began(&self) -> Option<Instant> {
        self.words.first().map(|(at, ..)| *at)
    }

    fn has_begun(&self, moment: Instant) -> bool {
        self.began().is_some_and(|began| began <= moment)
    }

    fn has_ended(&self, moment: Instant) -> bool {
        self.ended.is_some_and(|ended| ended <= moment)
    }

    /// What was known of it, and when it was last spoken of.
    fn known(&self, moment: Instant) -> Option<(Instant, &Arc<Order>)> {
        let place = self.words.partition_point(|(at, ..)| *at <= moment);
        self.words.get(place.checked_sub(1)?).map(|(at, _, known)| (*at, known))
    }

    fn say(&mut self, at: Instant, order: Arc<Order>) {
        let place = self.words.partition_point(|(moment, ..)| *moment <= at);
        self.words.insert(place, (at, order.clone(), order));
        let mut before: Option<Arc<Order>> = None;
        for (_, word, known) in &mut self.words {
            *known = before.map_or_else(|| word.clone(), |before| Arc::new(before.with(word)));
            before = Some(known.clone());
        }
        if self.words.len() > MOST_CHANGES {
            // The second: the first says when it began.
            self.words.remove(1);
        }
    }
}

/// The performed steps of the modality.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// In the order in which they were first heard of.
    steps: VecDeque<Step>,
}

impl Steps {
    fn step(&mut self, instance_uid: &str) -> Option<&mut Step> {
        let found = self.steps.iter().position(|step| step.instance_uid == instance_uid);
        let place = found.unwrap_or_else(|| {
            if self.steps.len() >= MOST_STEPS {
                self.steps.pop_front();
            }
            let (words, ended) = (Vec::new(), None);
            self.steps.push_back(Step { instance_uid: instance_uid.to_owned(), words, ended });
            self.steps.len() - 1
        });
        self.steps.get_mut(place)
    }

    /// A step is in progress from `at` on, or more is said of it.
    pub(super) fn performing(&mut self, instance_uid: &str, order: &Arc<Order>, at: Instant) {
        let mut order = Order::clone(order);
        let performed = order.performed.get_or_insert_default();
        *performed = Performed { instance_uid: instance_uid.to_owned(), ..performed.clone() };
        if let Some(step) = self.step(instance_uid) {
            step.say(at, Arc::new(order));
        }
    }

    /// A step is over at `at`, be it completed or discontinued. It never begins again.
    pub(super) fn performed(&mut self, instance_uid: &str, at: Instant) {
        if let Some(step) = self.step(instance_uid) {
            step.ended = Some(step.ended.map_or(at, |ended| ended.min(at)));
        }
    }

    /// The step that is in progress at `moment`, and when it was last spoken of.
    ///
    /// Modalities forget to end steps, so that the one that began last decides. When that is over, an
    /// earlier one that is still in progress counts if it is of the same patient; of another it is
    /// forgotten, for the room has seen somebody else since.
    pub(super) fn at(&self, moment: Instant) -> Option<(Instant, &Arc<Order>)> {
        let mut begun: Vec<_> = self.steps.iter().filter(|step| step.has_begun(moment)).collect();
        // Stable: of those of one moment, the one that was heard of last is the latest.
        begun.sort_by_key(|step| step.began());
        let (_, latest) = begun.last()?.known(moment)?;
        let same = begun.iter().rev().map_while(|step| {
            let known = step.known(moment)?;
            let is_same = Arc::ptr_eq(known.1, latest) || known.1.patient.is(&latest.patient);
            is_same.then_some((step, known))
        });
        let mut open = same.filter(|(step, (_, known))| !step.has_ended(moment) && known.speaks());
        open.next().map(|(_, known)| known)
    }

    /// Whether what an object said at `said` is over at `moment`, by the end of a step: the room has been
    /// left since, or the object is of a step that is over and was only sent late.
    fn is_over(&self, said: Instant, order: &Order, moment: Instant) -> bool {
        let over = self.steps.iter().filter(|step| step.has_ended(moment));
        over.into_iter().any(|step| step.ended.is_some_and(|ended| said <= ended) || step.made(order, moment))
    }
}

impl Step {
    /// Whether an object is one of this step.
    fn made(&self, object: &Order, moment: Instant) -> bool {
        let is_of = |step: &Performed| step.instance_uid == self.instance_uid;
        let is_named = object.performed.as_ref().is_some_and(is_of);
        let is_alike = |known: &Order| {
            known.patient.is(&object.patient)
                && known.study_instance_uid.is_some()
                && known.study_instance_uid == object.study_instance_uid
        };
        is_named || self.known(moment).is_some_and(|(_, known)| is_alike(known))
    }
}

/// The objects that the modality sends.
#[derive(Debug, Default)]
pub(super) struct Objects {
    heads: History<Arc<Order>>,
}

impl Objects {
    /// An object says whose it is.
    pub(super) fn imaging(&mut self, order: Arc<Order>, at: Instant) {
        // The next object of a series says the same, and need not be kept again.
        let known = self.heads.latest().filter(|latest| ***latest == *order).cloned();
        self.heads.insert(at, known.unwrap_or(order));
    }

    /// Who is imaged by what objects say, and when one last did.
    pub(super) fn at(&self, moment: Instant, steps: &Steps) -> Option<(Instant, &Arc<Order>)> {
        let (said, order) = self.heads.at(moment)?;
        (order.speaks() && !steps.is_over(said, order, moment)).then_some((said, order))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Patient;
    use super::*;

    fn of(id: &str) -> Arc<Order> {
        let patient = Patient { id: id.to_owned(), ..Patient::default() };
        let study_instance_uid = Some(format!("1.2.{id}"));
        Arc::new(Order { patient, study_instance_uid, ..Order::default() })
    }

    /// Moments in microseconds.
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |micros| start + Duration::from_micros(micros)
    }

    fn who(found: Option<(Instant, &Arc<Order>)>) -> &str {
        found.map_or("", |(_, order)| order.patient.id.as_str())
    }

    #[test]
    fn what_holds_is_asked_by_moment_and_what_is_old_is_forgotten() {
        let at = clock();
        let mut history = History::default();
        for number in [3, 1, 2] {
            history.insert(at(number), number);
        }
        assert_eq!(
            [0, 1, 2, 9].map(|m| history.at(at(m)).map(|(_, n)| *n)),
            [None, Some(1), Some(2), Some(3)]
        );
        history.push(at(2), 4);
        assert_eq!(history.at(at(3)), Some((at(3), &4)), "who comes last is last");
        assert_eq!(history.since(at(9), |n| *n > 2), Some(at(3)));
        (0..100).for_each(|number| history.insert(at(10 + number), number));
        assert_eq!(history.changes.len(), MOST_CHANGES);
        assert_eq!(history.at(at(9)), None);
    }

    #[test]
    fn a_step_holds_from_its_beginning_to_its_end_whichever_is_heard_first() {
        for end_first in [false, true] {
            let at = clock();
            let mut steps = Steps::default();
            if end_first {
                steps.performed("1", at(20));
                steps.performing("1", &of("A"), at(10));
            } else {
                steps.performing("1", &of("A"), at(10));
                steps.performed("1", at(20));
            }
            steps.performing("1", &of("A"), at(30));
            assert_eq!([9, 10, 19, 20, 40].map(|m| who(steps.at(at(m)))), ["", "A", "A", "", ""]);
        }
    }

    #[test]
    fn more_of_a_step_is_known_from_when_it_was_said() {
        let at = clock();
        let mut steps = Steps::default();
        let more = Arc::new(Order { study_description: "x".to_owned(), ..Order::default() });
        steps.performing("1", &more, at(20));
        steps.performing("1", &of("A"), at(10));
        let described = |m| steps.at(at(m)).map(|(_, order)| order.study_description.as_str());
        assert_eq!([5, 10, 20].map(described), [None, Some(""), Some("x")]);
        assert_eq!(who(steps.at(at(20))), "A");
        assert_eq!(steps.at(at(20)).unwrap().1.performed.as_ref().unwrap().instance_uid, "1");
    }

    #[test]
    fn of_steps_that_overlap_the_last_decides_and_another_patient_does_not_come_back() {
        let at = clock();
        let mut steps = Steps::default();
        steps.performing("1", &of("A"), at(10));
        steps.performing("2", &of("A"), at(20));
        steps.performed("2", at(30));
        assert_eq!([25, 35].map(|m| who(steps.at(at(m)))), ["A", "A"]);
        steps.performing("3", &of("B"), at(40));
        steps.performed("3", at(50));
        assert_eq!([45, 55].map(|m| who(steps.at(at(m)))), ["B", ""]);
    }

    #[test]
    fn a_step_that_says_nothing_of_anybody_is_none() {
        let at = clock();
        let mut steps = Steps::default();
        steps.performing("1", &Arc::new(Order::default()), at(10));
        assert!(steps.at(at(10)).is_none());
        steps.performing("1", &Arc::new(Order { doubtful: true, ..Order::default() }), at(20));
        assert!(steps.at(at(20)).is_some(), "somebody, and nobody knows who");
    }

    #[test]
    fn objects_say_who_is_imaged_until_the_step_is_over() {
        let at = clock();
        let (mut steps, mut objects) = (Steps::default(), Objects::default());
        objects.imaging(of("A"), at(10));
        steps.performing("1", &of("A"), at(5));
        assert_eq!([9, 10, 99].map(|m| who(objects.at(at(m), &steps))), ["", "A", "A"]);
        steps.performed("1", at(20));
        objects.imaging(of("A"), at(30));
        assert_eq!([19, 20, 30].map(|m| who(objects.at(at(m), &steps))), ["A", "", ""], "sent late");
        objects.imaging(of("B"), at(40));
        assert_eq!(who(objects.at(at(40), &steps)), "B");
    }

    #[test]
    fn steps_are_bounded() {
        let at = clock();
        let mut steps = Steps::default();
        for number in 0..100_u64 {
            for _ in 0..100 {
                steps.performing(&number.to_string(), &of("A"), at(number));
            }
        }
        assert_eq!(steps.steps.len(), MOST_STEPS);
        assert!(steps.steps.iter().all(|step| step.words.len() <= MOST_CHANGES));
    }
}
