//! What an upstream accepts, as far as its answers have told: asked while it is away, so that nothing is accepted
//! for it that it would refuse later.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dicom_ul::pdu::{AssociationAC, AssociationRQ, PresentationContextResultReason as Outcome};

use super::super::negotiate::trim;
use crate::instance::Uid;

/// Abstract syntaxes that are remembered; there are a few hundred.
const MOST: usize = 2048;

/// What it has accepted last: transfer syntaxes by abstract syntax. None for one that it refuses altogether.
#[derive(Debug, Default)]
pub(super) struct Known {
    accepted: Mutex<HashMap<Uid, Vec<Uid>>>,
}

impl Known {
    /// Takes note of an answer.
    pub(super) fn learn(&self, request: &AssociationRQ, answer: &AssociationAC) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        for result in &answer.presentation_contexts {
            let proposed = request.presentation_contexts.iter().find(|proposed| proposed.id == result.id);
            let Some(proposed) = proposed else { continue };
            let trim = |uid: &str| Uid::from(trim(uid));
            let abstract_syntax = trim(&proposed.abstract_syntax);
            if accepted.len() >= MOST && !accepted.contains_key(&abstract_syntax) {
                continue;
            }
            let syntaxes = accepted.entry(abstract_syntax).or_default();
            match result.reason {
                Outcome::Acceptance => {
                    let syntax = trim(&result.transfer_syntax);
                    if !syntaxes.contains(&syntax) {
                        syntaxes.push(syntax);
                    }
                }
                Outcome::AbstractSyntaxNotSupported => syntaxes.clear(),
                Outcome::TransferSyntaxesNotSupported => {
                    let refused: Vec<_> = proposed.transfer_syntaxes.iter().map(|uid| trim(uid)).collect();
                    syntaxes.retain(|syntax| !refused.contains(syntax));
                }
                // A passing mood says nothing of what it can do.
                Outcome::UserRejection | Outcome::NoReason => {}
            }
        }
    }

    /// The transfer syntaxes that it takes for an abstract syntax; `None` where nobody has asked it yet.
    pub(super) fn syntaxes(&self, abstract_syntax: &str) -> Option<Vec<Uid>> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.get(abstract_syntax).cloned()
    }
}

#[cfg(test)]
mod tests {
    use dicom_ul::pdu::{PresentationContextProposed, PresentationContextResult};

    use super::*;

    fn told(known: &Known, offered: &[&str], reason: Outcome, chosen: &str) {
        let request = AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "XA1".into(),
            called_ae_title: "PACS".into(),
            application_context_name: "1.2.840.10008.3.1.1.1".into(),
            presentation_contexts: vec![PresentationContextProposed {
                id: 1,
                abstract_syntax: "1.2\0".into(),
                transfer_syntaxes: offered.iter().map(|&uid| uid.into()).collect(),
            }],
            user_variables: vec![],
        };
        let answer = AssociationAC {
            protocol_version: 1,
            calling_ae_title: "XA1".into(),
            called_ae_title: "PACS".into(),
            application_context_name: "1.2.840.10008.3.1.1.1".into(),
            presentation_contexts: vec![PresentationContextResult {
                id: 1,
                reason,
                transfer_syntax: chosen.into(),
            }],
            user_variables: vec![],
        };
        known.learn(&request, &answer);
    }

    #[test]
    fn what_was_accepted_is_known_until_it_is_refused() {
        let known = Known::default();
        assert_eq!(known.syntaxes("1.2"), None);
        told(&known, &["1.3", "1.4"], Outcome::Acceptance, "1.4");
        told(&known, &["1.3"], Outcome::TransferSyntaxesNotSupported, "");
        assert_eq!(known.syntaxes("1.2"), Some(vec!["1.4".into()]));
        told(&known, &["1.4"], Outcome::UserRejection, "");
        assert_eq!(known.syntaxes("1.2"), Some(vec!["1.4".into()]));
        told(&known, &["1.4"], Outcome::AbstractSyntaxNotSupported, "");
        assert_eq!(known.syntaxes("1.2"), Some(vec![]));
    }
}
