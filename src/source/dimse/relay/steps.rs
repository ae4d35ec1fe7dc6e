//! Performed procedure steps (MPPS, PS3.4 Annex F) that pass: what a modality says of who is imaged, for which
//! order, from when to when. What it says counts once the upstream has accepted it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use dicom_dictionary_std::{tags, uids};

use super::super::association::printable;
use super::events;
use crate::context::desk::Desk;
use crate::context::order::Order;
use crate::dimse::command::{Heading, N_CREATE, N_SET, RESPONSE};
use crate::instance::{Uid, decode};

/// Bytes of the data set of a step; real ones have a few thousand.
pub(super) const STEP_LIMIT: usize = 1 << 20;
/// Steps of one association that wait for their answer.
const WAITING: usize = 16;

/// What a modality says of a step.
#[derive(Debug)]
pub(super) struct Step {
    field: u16,
    message: u16,
    uid: Option<Uid>,
    transfer_syntax: Uid,
    bytes: BytesMut,
}

impl Step {
    /// Where a command set is that of a step: an N-CREATE-RQ or an N-SET-RQ, of which the data set follows in
    /// `transfer_syntax`.
    pub(super) fn of(heading: &Heading, transfer_syntax: &Uid) -> Option<Self> {
        let is_step = heading.sop_class.as_deref() == Some(uids::MODALITY_PERFORMED_PROCEDURE_STEP);
        (is_step && heading.data_set && matches!(heading.field, N_CREATE | N_SET)).then(|| Self {
            field: heading.field,
            message: heading.message,
            uid: heading.sop_instance.clone(),
            transfer_syntax: transfer_syntax.clone(),
            bytes: BytesMut::new(),
        })
    }

    /// Takes a piece of the data set; says whether it was not too much.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let fits = self.bytes.len() + bytes.len() <= STEP_LIMIT;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }
}

/// The steps of one association that wait for their answer, and the desk where they are told. Cheap to clone; all
/// clones are one.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    waiting: Arc<Mutex<VecDeque<Step>>>,
    desk: Desk,
    calling: Arc<str>,
}

impl Steps {
    /// Those of the modality of this AE title.
    pub(super) fn new(desk: Desk, calling: &str) -> Self {
        Self { waiting: Arc::default(), desk, calling: calling.into() }
    }

    /// A step has passed to the upstream.
    pub(super) fn asked(&self, step: Step) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == WAITING {
            waiting.pop_front();
        }
        waiting.push_back(step);
    }

    /// Whether a step waits for its answer.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A response is about to pass to the modality. Where it accepts a step, that is told at the desk, so that it
    /// holds for every frame that is captured after the modality knows.
    pub(super) fn answered(&self, heading: &Heading) {
        if let Some(step) = self.accepted(heading) {
            self.tell(&step, Instant::now());
        }
    }

    fn accepted(&self, heading: &Heading) -> Option<Step> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_answered =
            |step: &Step| step.message == heading.message && heading.field == step.field | RESPONSE;
        let at = waiting.iter().position(is_answered)?;
        let mut step = waiting.remove(at)?;
        // Where the request names none, the answer does (PS3.7 §10.1.5.1.4).
        step.uid = step.uid.or_else(|| heading.sop_instance.clone());
        // Success, and its warnings: attribute list error, value out of range (PS3.7 §10.1.5.1.6).
        matches!(heading.status, Some(0x0000 | 0x0001 | 0x0107 | 0x0116)).then_some(step)
    }

    fn tell(&self, step: &Step, at: Instant) {
        let Some(uid) = &step.uid else { return };
        let dataset = match decode(&step.bytes, &step.transfer_syntax) {
            Ok(dataset) => dataset,
            Err(error) => {
                events::StepUnreadable { calling: &printable(&self.calling), error: &error }.tell();
                return;
            }
        };
        let status = dataset.get(tags::PERFORMED_PROCEDURE_STEP_STATUS);
        let status = status.and_then(|status| status.to_str().ok()).unwrap_or_default();
        match (step.field, status.trim()) {
            (_, "COMPLETED" | "DISCONTINUED") => self.desk.performed(&self.calling, uid, at),
            (N_CREATE, _) => {
                let heard = Order::from_performed(&dataset);
                if !heard.dropped.is_empty() {
                    let calling = &printable(&self.calling);
                    events::StepValuesDropped { calling, attributes: &heard.dropped }.tell();
                }
                self.desk.performing(&self.calling, uid, Arc::new(heard.order), at);
            }
            // More of a step in progress: nothing in it can change whose it is (PS3.4 Table F.7.2-1).
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
    use dicom_object::InMemDicomObject;
    use dicom_transfer_syntax_registry::entries;

    use super::*;
    use crate::config::settings::CaptureSettings;
    use crate::context::desk::Rules;

    const STEP: &str = "1.2.3";

    fn data_set(values: &[(Tag, VR, &str)]) -> Vec<u8> {
        let elements =
            values.iter().map(|(tag, vr, value)| DataElement::new(*tag, *vr, PrimitiveValue::from(*value)));
        let mut bytes = Vec::new();
        let dataset = InMemDicomObject::from_element_iter(elements);
        dataset.write_dataset_with_ts(&mut bytes, &entries::EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
        bytes
    }

    fn heading(field: u16, status: Option<u16>) -> Heading {
        Heading {
            field,
            message: 7,
            data_set: status.is_none(),
            status,
            sop_class: Some(uids::MODALITY_PERFORMED_PROCEDURE_STEP.into()),
            sop_instance: Some(STEP.into()),
        }
    }

    fn passes(steps: &Steps, field: u16, values: &[(Tag, VR, &str)], status: u16) {
        let mut step = Step::of(&heading(field, None), &"1.2.840.10008.1.2.1".into()).unwrap();
        for piece in data_set(values).chunks(5) {
            assert!(step.take(piece));
        }
        steps.asked(step);
        steps.answered(&heading(field | RESPONSE, Some(status)));
    }

    /// Patient ID that the capture `room`, which follows XA1, has for a frame of now.
    fn imaged(desk: &Desk) -> Option<String> {
        let truth = desk.at("room", Instant::now(), std::time::SystemTime::now());
        truth.said.first().map(|said| said.order.patient.id.clone())
    }

    #[test]
    fn a_step_counts_once_it_is_accepted_and_until_it_is_over() {
        let settings =
            CaptureSettings { modality_ae_titles: vec!["XA1".into()], ..CaptureSettings::default() };
        let desk = Desk::by([("room".to_owned(), Rules::of(&settings))]);
        let steps = Steps::new(desk.clone(), "XA1");
        let begin = [
            (tags::PATIENT_ID, VR::LO, "4711"),
            (tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "IN PROGRESS"),
        ];
        passes(&steps, N_CREATE, &begin, 0x0110);
        assert_eq!(imaged(&desk), None, "refused");
        passes(&steps, N_CREATE, &begin, 0x0000);
        assert_eq!(imaged(&desk).as_deref(), Some("4711"));
        passes(&steps, N_SET, &[(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "COMPLETED")], 0x0000);
        assert_eq!(imaged(&desk), None, "over");
        let other = Steps::new(desk.clone(), "XA2");
        passes(&other, N_CREATE, &begin, 0x0000);
        assert_eq!(imaged(&desk), None, "of another room");
    }

    #[test]
    fn a_step_that_is_too_long_is_not_kept() {
        let mut step = Step::of(&heading(N_CREATE, None), &"1.2.840.10008.1.2.1".into()).unwrap();
        assert!(step.take(&vec![0; STEP_LIMIT]));
        assert!(!step.take(&[0]));
    }
}
