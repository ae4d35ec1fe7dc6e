//! Performed procedure steps (MPPS, PS3.4 Annex F) that pass: what a modality says of who is imaged, for which
//! order, from when to when. What it says counts once the upstream has accepted it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use dicom_dictionary_std::uids;

use crate::dimse::command::{Heading, N_CREATE, N_SET};
use crate::instance::Uid;

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

/// The steps of one association that wait for their answer. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    waiting: Arc<Mutex<VecDeque<Step>>>,
}

impl Steps {
    /// A step has passed to the upstream.
    pub(super) fn asked(&self, step: Step) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == WAITING {
            waiting.pop_front();
        }
        waiting.push_back(step);
    }

    /// A response has passed to the modality; gives the step that it accepts.
    pub(super) fn answered(&self, heading: &Heading) -> Option<Step> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting
            .iter()
            .position(|step| step.message == heading.message && heading.field == step.field | 0x8000)?;
        let mut step = waiting.remove(at)?;
        // Where the request names none, the answer does (PS3.7 §10.1.5.1.4).
        step.uid = step.uid.or_else(|| heading.sop_instance.clone());
        // Success, and its warnings: attribute list error, value out of range (PS3.7 §10.1.5.1.6).
        matches!(heading.status, Some(0x0000 | 0x0001 | 0x0107 | 0x0116)).then_some(step)
    }
}
