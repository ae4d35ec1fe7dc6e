//! The performed procedure steps that the gateway performs itself: one for each study of a capture whose
//! site wants to be told of it by MPPS.
//!
//! The capture begins and ends them and adds its series; whoever speaks MPPS looks at them, tells the site,
//! and drops those that have ended and were told. So a capture waits for no peer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::Series;
use super::order::Order;

/// Most steps that wait to be told.
const MOST_STEPS: usize = 256;
/// Most series of a step; of more the step does not tell.
const MOST_SERIES: usize = 1024;

/// A step of a capture. `Debug` shows no value of the order.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnStep {
    /// `[capture.NAME]`.
    pub capture: String,
    /// Whom to tell: `capture.NAME.mpps`.
    pub mpps: String,
    /// SOP Instance UID of the Modality Performed Procedure Step.
    pub uid: String,
    /// Performed Procedure Step ID (0040,0253), SH.
    pub id: String,
    /// What is told of the patient and the study; `None` where the encounter is a generated one.
    pub order: Option<Arc<Order>>,
    /// Patient's Name (0010,0010) and Patient ID (0010,0020) of its instances, generated or told.
    pub patient: super::Patient,
    /// Study Instance UID (0020,000D) of its series.
    pub study: String,
    /// Modality (0008,0060).
    pub modality: String,
    /// When it began.
    pub began: SystemTime,
    /// When it ended; `None` while it is in progress.
    pub ended: Option<SystemTime>,
    /// Whether it ended because the gateway stopped.
    pub discontinued: bool,
    /// Its series, in their order.
    pub series: Vec<Series>,
}

/// The steps that have not been told to their end.
#[derive(Debug, Default)]
pub(super) struct OwnSteps {
    steps: VecDeque<OwnStep>,
}

impl OwnSteps {
    /// One begins. Where too many wait, the one that has waited longest is dropped, of those that have ended if
    /// there is one; says whether that was so.
    pub(super) fn begin(&mut self, step: OwnStep) -> bool {
        let is_full = self.steps.len() >= MOST_STEPS;
        if is_full {
            let ended = self.steps.iter().position(|step| step.ended.is_some());
            self.steps.remove(ended.unwrap_or_default());
        }
        self.steps.push_back(step);
        is_full
    }

    fn find(&mut self, uid: &str) -> Option<&mut OwnStep> {
        self.steps.iter_mut().find(|step| step.uid == uid)
    }

    pub(super) fn series(&mut self, uid: &str, series: Series) {
        if let Some(step) = self.find(uid).filter(|step| step.series.len() < MOST_SERIES) {
            step.series.push(series);
        }
    }

    pub(super) fn end(&mut self, uid: &str, at: SystemTime, discontinued: bool) {
        if let Some(step) = self.find(uid).filter(|step| step.ended.is_none()) {
            step.ended = Some(at);
            step.discontinued = discontinued;
        }
    }

    pub(super) fn all(&self) -> Vec<OwnStep> {
        self.steps.iter().cloned().collect()
    }

    pub(super) fn told(&mut self, uid: &str) {
        self.steps.retain(|step| step.uid != uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize) -> OwnStep {
        OwnStep {
            capture: "room".to_owned(),
            mpps: "ris".to_owned(),
            uid: number.to_string(),
            id: String::new(),
            order: None,
            patient: super::super::Patient::default(),
            study: String::new(),
            modality: "OT".to_owned(),
            began: SystemTime::UNIX_EPOCH,
            ended: None,
            discontinued: false,
            series: Vec::new(),
        }
    }

    #[test]
    fn a_step_is_there_until_it_was_told() {
        let mut steps = OwnSteps::default();
        assert!(!steps.begin(step(1)));
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        steps.end("1", later, false);
        steps.end("1", SystemTime::UNIX_EPOCH, true);
        let [told] = &steps.all()[..] else { panic!() };
        assert_eq!((told.ended, told.discontinued), (Some(later), false), "it ends once");
        steps.told("1");
        assert!(steps.all().is_empty());
    }

    #[test]
    fn those_that_nobody_tells_are_bounded_and_the_oldest_that_ended_goes_first() {
        let mut steps = OwnSteps::default();
        (0..MOST_STEPS).for_each(|number| assert!(!steps.begin(step(number))));
        steps.end("7", SystemTime::UNIX_EPOCH, false);
        assert!(steps.begin(step(900)) && steps.find("7").is_none() && steps.find("0").is_some());
        assert!(steps.begin(step(901)) && steps.find("0").is_none());
        assert_eq!(steps.all().len(), MOST_STEPS);
    }
}
