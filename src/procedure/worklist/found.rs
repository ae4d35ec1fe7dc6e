//! What a worklist has answered so far: entries up to a bound, each step once, and how many were left out.

use std::collections::HashSet;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::instance::Dataset;

/// See the module. `Debug` shows no entry.
#[derive(Default)]
pub(super) struct Found {
    /// The entries.
    pub(super) entries: Vec<Dataset>,
    /// Entries that could not be read.
    pub(super) unreadable: usize,
    /// Whether the worklist has more than were taken.
    pub(super) more: bool,
    known: HashSet<[String; 4]>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("entries", &self.entries.len())
            .field("unreadable", &self.unreadable)
            .field("more", &self.more)
            .finish_non_exhaustive()
    }
}

impl Found {
    /// How many were looked at.
    pub(super) fn looked_at(&self) -> usize {
        self.entries.len() + self.unreadable
    }

    /// Takes one more. A step that is scheduled for two stations comes with either.
    pub(super) fn take<E>(&mut self, entry: Result<Dataset, E>) {
        let Ok(entry) = entry else {
            self.unreadable += 1;
            return;
        };
        if self.known.insert(key(&entry)) {
            self.entries.push(entry);
        }
    }
}

/// What tells one scheduled step from another: the step, its procedure, its order and its study.
fn key(entry: &Dataset) -> [String; 4] {
    let text = |dataset: Option<&Dataset>, tag: Tag| {
        let value = dataset.and_then(|dataset| dataset.get(tag)).and_then(|element| element.to_str().ok());
        value.map(|text| text.trim_matches(['\0', ' ']).to_owned()).unwrap_or_default()
    };
    let steps = entry.get(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).and_then(|element| element.items());
    let step = steps.and_then(|items| items.first());
    [
        text(step, tags::SCHEDULED_PROCEDURE_STEP_ID),
        text(Some(entry), tags::REQUESTED_PROCEDURE_ID),
        text(Some(entry), tags::ACCESSION_NUMBER),
        text(Some(entry), tags::STUDY_INSTANCE_UID),
    ]
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;
    use dicom_object::InMemDicomObject;

    use super::*;
    use crate::dimse::element::{sequence, text};

    fn entry(study: &str, step: &str) -> Result<Dataset, ()> {
        let item =
            InMemDicomObject::from_element_iter([text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, step)]);
        Ok(InMemDicomObject::from_element_iter([
            text(tags::STUDY_INSTANCE_UID, VR::UI, study),
            sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![item]),
        ]))
    }

    #[test]
    fn a_step_of_two_stations_stands_once() {
        let mut found = Found::default();
        for one in [entry("1.2", "A"), entry("1.2", "B"), entry("1.2", "A"), entry("1.3", "A"), Err(())] {
            found.take(one);
        }
        assert_eq!((found.entries.len(), found.unreadable, found.looked_at()), (3, 1, 4));
    }
}
