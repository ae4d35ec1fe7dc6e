//! What one stream carries, told once for each study: that it begins, with its first instance, and that it has ended, with
//! how many there were. A stream may be an association, a request, an open-ended response or a push; it ends when it
//! says so, or when it is dropped.

use std::mem;
use std::sync::Arc;

use super::Audit;
use super::occurrence::{Occurrence, Outcome, Party, Study, Transfer};
use crate::instance::{Dataset, Identity};

/// Studies that one stream may carry at once. When there is one more, the oldest counts as ended.
const MOST_STUDIES: usize = 64;

/// The account of one stream. The default keeps none.
#[derive(Debug, Default)]
pub struct Transfers {
    parties: Option<Parties>,
    /// Oldest first.
    studies: Vec<Study>,
}

#[derive(Debug)]
struct Parties {
    audit: Audit,
    from: Party,
    to: Party,
    through: Option<Party>,
    pushed: bool,
    kept: bool,
    /// What it means to end without a word.
    dropped: Outcome,
}

impl Transfers {
    /// Of a peer that gives us instances. One that leaves without saying that it is done has failed.
    pub fn taken(audit: &Audit, from: Party, to: Party) -> Self {
        Self::new(audit, from, to, |parties| {
            parties.kept = true;
            parties.dropped = Outcome::MinorFailure;
        })
    }

    /// Of a peer to which we pass on what another one gives us.
    pub fn passed_on(audit: &Audit, from: Party, through: Party, to: Party) -> Self {
        Self::new(audit, from, to, |parties| {
            parties.through = Some(through);
            parties.dropped = Outcome::MinorFailure;
        })
    }

    /// Of a peer that gets what it has asked us for, until it has enough.
    pub fn fetched(audit: &Audit, from: Party, to: Party) -> Self {
        Self::new(audit, from, to, |parties| parties.pushed = false)
    }

    /// Of a peer that we send instances to.
    pub fn pushed(audit: &Audit, from: Party, to: Party) -> Self {
        Self::new(audit, from, to, |_| {})
    }

    fn new(audit: &Audit, from: Party, to: Party, set: impl FnOnce(&mut Parties)) -> Self {
        if !audit.is_kept() {
            return Self::default();
        }
        let audit = audit.clone();
        let mut parties =
            Parties { audit, from, to, through: None, pushed: true, kept: false, dropped: Outcome::Success };
        set(&mut parties);
        Self { parties: Some(parties), studies: Vec::new() }
    }

    /// One more instance is on its way. `context` is asked, once for each study, for a data set that says whose it is.
    pub fn note(&mut self, identity: &Identity, context: impl FnOnce() -> Option<Arc<Dataset>>) {
        let Some(parties) = &self.parties else { return };
        if let Some(known) = self.studies.iter_mut().find(|study| *study.uid == *identity.study) {
            match known.classes.iter_mut().find(|(class, _)| *class == identity.sop_class) {
                Some((_, instances)) => *instances += 1,
                None => known.classes.push((identity.sop_class.clone(), 1)),
            }
            return;
        }
        let mut study = Study::of(&identity.study, context().as_deref());
        study.classes.push((identity.sop_class.clone(), 1));
        parties.record(study.clone(), Outcome::Success, Occurrence::TransferBegins);
        if self.studies.len() == MOST_STUDIES {
            let oldest = self.studies.remove(0);
            parties.record(oldest, Outcome::Success, Occurrence::Transferred);
        }
        self.studies.push(study);
    }

    /// Nothing more comes of what has begun.
    pub fn finish(&mut self, outcome: Outcome) {
        let Some(parties) = &self.parties else { return };
        for study in mem::take(&mut self.studies) {
            parties.record(study, outcome, Occurrence::Transferred);
        }
    }
}

impl Parties {
    fn record(&self, study: Study, outcome: Outcome, kind: fn(Transfer) -> Occurrence) {
        self.audit.record(kind(Transfer {
            from: self.from.clone(),
            to: self.to.clone(),
            through: self.through.clone(),
            pushed: self.pushed,
            kept: self.kept,
            study,
            outcome,
        }));
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        if let Some(outcome) = self.parties.as_ref().map(|parties| parties.dropped) {
            self.finish(outcome);
        }
    }
}
