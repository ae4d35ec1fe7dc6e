//! Makes one order of what several providers say, without ever mixing two patients.
//!
//! The first provider that speaks, in the order of precedence, decides who is imaged. Those after it may
//! only fill what it left empty, and only where they speak for certain of the same patient (Patient ID and
//! its issuer are equal) and, for what belongs to a study, of the same study.

use std::sync::Arc;
use std::time::Instant;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::Provider;
use super::order::{IDENTITY, Order, PATIENT, STUDY};

/// What one provider says at some moment. `Debug` shows no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Who says it.
    pub provider: Provider,
    /// What.
    pub order: Arc<Order>,
    /// When it was last said.
    pub at: Instant,
}

/// What all of them come to. `Debug` shows no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Who decided.
    pub provider: Provider,
    /// Who is imaged, and for which study.
    pub order: Order,
    /// Which attributes are told, and by whom.
    pub from: Vec<(Tag, Provider)>,
}

impl Told {
    /// What those who speak come to, the first to be believed first; `None` where nobody does.
    pub fn of(said: &[Said]) -> Option<Self> {
        let (first, rest) = said.split_first()?;
        let mut told = Self { provider: first.provider, order: Order::clone(&first.order), from: Vec::new() };
        told.note(first.provider, &Order::default());
        for other in rest {
            told.fill(other);
        }
        Some(told)
    }

    fn fill(&mut self, other: &Said) {
        let Said { provider, order: theirs, .. } = other;
        let is_certain = !self.order.doubtful && !theirs.doubtful;
        if !is_certain || !self.order.patient.is(&theirs.patient) {
            return;
        }
        let before = self.order.clone();
        let of_study = before.may_be_of_study(theirs);
        for text in PATIENT.iter().chain(STUDY.iter().filter(|_| of_study)) {
            if (text.get)(&before).is_empty() {
                (text.place)(&mut self.order).clone_from((text.get)(theirs));
            }
        }
        if of_study {
            let ours = &mut self.order;
            if ours.study_instance_uid.is_none() {
                ours.study_instance_uid.clone_from(&theirs.study_instance_uid);
            }
            if ours.requests.is_empty() {
                ours.requests.clone_from(&theirs.requests);
            }
            if ours.performed.is_none() {
                ours.performed.clone_from(&theirs.performed);
            }
        }
        self.note(*provider, &before);
    }

    /// Remembers that `provider` has told what `before` had not.
    fn note(&mut self, provider: Provider, before: &Order) {
        let order = &self.order;
        let texts = PATIENT.iter().chain(&IDENTITY).chain(&STUDY);
        let mut told: Vec<Tag> = texts
            .filter(|text| (text.get)(before).is_empty() && !(text.get)(order).is_empty())
            .map(|text| text.tag)
            .collect();
        let has = |order: &Order| {
            [order.study_instance_uid.is_some(), !order.requests.is_empty(), order.performed.is_some()]
        };
        let tags = [
            tags::STUDY_INSTANCE_UID,
            tags::REQUEST_ATTRIBUTES_SEQUENCE,
            tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
        ];
        let fresh = tags.into_iter().zip(has(before)).zip(has(order));
        told.extend(fresh.filter(|((_, was), is)| !was && *is).map(|((tag, _), _)| tag));
        self.from.extend(told.into_iter().map(|tag| (tag, provider)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Patient;
    use super::super::order::Performed;
    use super::*;

    fn order(id: &str, issuer: &str, name: &str, study: Option<&str>, accession: &str) -> Order {
        let text = str::to_owned;
        let patient = Patient { id: text(id), issuer: text(issuer), name: text(name), ..Patient::default() };
        let study_instance_uid = study.map(text);
        Order { patient, study_instance_uid, accession_number: text(accession), ..Order::default() }
    }

    fn told(said: impl IntoIterator<Item = (Provider, Order)>) -> Told {
        let at = Instant::now();
        let said: Vec<_> =
            said.into_iter().map(|(provider, order)| Said { provider, order: Arc::new(order), at }).collect();
        Told::of(&said).unwrap()
    }

    #[test]
    fn the_first_decides_and_another_patient_fills_nothing() {
        let first = order("1", "", "", None, "");
        for other in [
            order("2", "", "Two", Some("1.2"), "A"),
            order("1", "X", "Two", Some("1.2"), "A"),
            order("", "", "Two", Some("1.2"), "A"),
            Order { doubtful: true, ..order("1", "", "Two", Some("1.2"), "A") },
        ] {
            let told = told([(Provider::Operator, first.clone()), (Provider::Mpps, other)]);
            assert!(told.order == first);
            assert_eq!(told.from, [(tags::PATIENT_ID, Provider::Operator)]);
        }
        let doubtful = Order { doubtful: true, ..first.clone() };
        let other = order("1", "", "Two", None, "");
        assert!(told([(Provider::Operator, doubtful.clone()), (Provider::Mpps, other)]).order == doubtful);
        assert!(Told::of(&[]).is_none());
    }

    #[test]
    fn the_same_patient_fills_what_is_empty_and_the_study_only_where_it_is_the_same() {
        let first = order("1", "", "", None, "A");
        let same = order("1", "", "One", Some("1.2"), "A");
        let same = Order { performed: Some(Performed::default()), ..same };
        let filled = told([(Provider::Operator, first.clone()), (Provider::Mpps, same.clone())]);
        assert_eq!(filled.order.study_instance_uid.as_deref(), Some("1.2"));
        let mut from = filled.from;
        from.sort();
        let (operator, mpps) = (Provider::Operator, Provider::Mpps);
        let expected = [
            (tags::ACCESSION_NUMBER, operator),
            (tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, mpps),
            (tags::PATIENT_NAME, mpps),
            (tags::PATIENT_ID, operator),
            (tags::STUDY_INSTANCE_UID, mpps),
        ];
        assert_eq!(from, expected);
        let other = Order { accession_number: "B".to_owned(), ..same };
        let told = told([(operator, first), (mpps, other)]);
        assert_eq!((told.order.patient.name.as_str(), told.order.study_instance_uid), ("One", None));
        assert!(told.order.performed.is_none());
    }

    #[test]
    fn who_comes_third_fills_what_the_first_two_come_to() {
        let told = told([
            (Provider::Operator, order("1", "", "", None, "")),
            (Provider::Mpps, order("1", "", "", Some("1.2"), "")),
            (Provider::Worklist, order("1", "", "One", Some("1.3"), "B")),
        ]);
        assert_eq!(told.order.study_instance_uid.as_deref(), Some("1.2"));
        assert_eq!((told.order.patient.name.as_str(), told.order.accession_number.as_str()), ("One", ""));
    }
}
