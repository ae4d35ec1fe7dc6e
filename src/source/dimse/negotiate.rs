//! Answers an A-ASSOCIATE-RQ (PS3.8 §7.1, Annex D): who is let in, and what may be sent how.
//!
//! Pure: a request and the settings in, an answer out. Every transfer syntax that the library
//! knows is taken as it is. Where a presentation context offers several, one that DICOMweb can
//! carry unchanged is preferred over Implicit VR LE, Explicit VR BE and Deflated, which would have
//! to be re-encoded.

use std::collections::HashMap;

use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceProviderPresentationReason as PresentationReason,
    AssociationRJServiceUserReason as UserReason, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason as Outcome,
    UserVariableItem,
};

use crate::config::settings::DimseSettings;
use crate::dimse::command::VERIFICATION;
use crate::instance::encode::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use crate::instance::{IMPLICIT_VR_LITTLE_ENDIAN, Uid};
use crate::source::sop_class;

/// The DICOM Application Context Name (PS3.7 §A.2.1).
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// An accepted presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Abstract syntax: the SOP Class UID.
    pub abstract_syntax: Uid,
    /// The transfer syntax of data sets in this context.
    pub transfer_syntax: Uid,
}

/// An association that is let in.
#[derive(Debug)]
pub struct Accepted {
    /// The PDU to answer with.
    pub answer: AssociationAC,
    /// Accepted contexts by presentation context ID.
    pub contexts: HashMap<u8, Context>,
    /// Calling AE title, trimmed.
    pub calling: String,
}

/// Why an association is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The peer's address is in no network of `dimse.allow`.
    #[error("its address is in no network of dimse.allow")]
    Address,
    /// As many associations as allowed are open.
    #[error("dimse.limits.associations (or associations_per_peer) is reached")]
    Limit,
    /// We are shutting down.
    #[error("the service is shutting down")]
    Draining,
    /// The upstream that it was meant for cannot be reached.
    #[error("the upstream that it was meant for cannot be reached")]
    Unreachable,
    /// Not protocol version 1.
    #[error("it speaks another version of the upper layer protocol")]
    ProtocolVersion,
    /// Not the DICOM application context.
    #[error("it asks for another application context than DICOM's")]
    ApplicationContext,
    /// It calls another AE title.
    #[error("it calls another AE title than dimse.ae_title")]
    CalledAeTitle,
    /// Its own AE title is not on the list.
    #[error("its AE title is not in dimse.calling_ae_titles")]
    CallingAeTitle,
}

impl Refusal {
    /// Whether it is about who the peer is.
    pub fn is_of_security(self) -> bool {
        matches!(self, Self::Address | Self::CalledAeTitle | Self::CallingAeTitle)
    }

    /// The A-ASSOCIATE-RJ to answer with (PS3.8 §9.3.4).
    pub fn answer(self) -> AssociationRJ {
        use AssociationRJSource::{ServiceProviderASCE, ServiceProviderPresentation, ServiceUser};
        let (result, source) = match self {
            Self::Address => (AssociationRJResult::Permanent, ServiceUser(UserReason::NoReasonGiven)),
            Self::Limit => (
                AssociationRJResult::Transient,
                ServiceProviderPresentation(PresentationReason::LocalLimitExceeded),
            ),
            Self::Draining | Self::Unreachable => (
                AssociationRJResult::Transient,
                ServiceProviderPresentation(PresentationReason::TemporaryCongestion),
            ),
            Self::ProtocolVersion => {
                (AssociationRJResult::Permanent, ServiceProviderASCE(AcseReason::ProtocolVersionNotSupported))
            }
            Self::ApplicationContext => {
                (AssociationRJResult::Permanent, ServiceUser(UserReason::ApplicationContextNameNotSupported))
            }
            Self::CalledAeTitle => {
                (AssociationRJResult::Permanent, ServiceUser(UserReason::CalledAETitleNotRecognized))
            }
            Self::CallingAeTitle => {
                (AssociationRJResult::Permanent, ServiceUser(UserReason::CallingAETitleNotRecognized))
            }
        };
        AssociationRJ { result, source }
    }

    /// A word for the counter's label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Limit => "limit",
            Self::Draining => "draining",
            Self::Unreachable => "unreachable",
            Self::ProtocolVersion => "protocol_version",
            Self::ApplicationContext => "application_context",
            Self::CalledAeTitle => "called_ae_title",
            Self::CallingAeTitle => "calling_ae_title",
        }
    }
}

/// Answers a request under the given policy.
///
/// # Errors
/// Why the peer is not let in.
pub fn negotiate(request: AssociationRQ, policy: &DimseSettings) -> Result<Accepted, Refusal> {
    negotiate_for(request, policy, |_| None)
}

/// The same on behalf of somebody who takes certain transfer syntaxes for an abstract syntax, as far as is known.
///
/// # Errors
/// Why the peer is not let in.
pub(super) fn negotiate_for(
    request: AssociationRQ,
    policy: &DimseSettings,
    known: impl Fn(&str) -> Option<Vec<Uid>>,
) -> Result<Accepted, Refusal> {
    if request.protocol_version & 1 == 0 {
        return Err(Refusal::ProtocolVersion);
    }
    if request.application_context_name.trim_end_matches(['\0', ' ']) != APPLICATION_CONTEXT {
        return Err(Refusal::ApplicationContext);
    }
    let (called, calling) = (request.called_ae_title.trim(), request.calling_ae_title.trim());
    if !policy.accept_any_called_ae_title && called != policy.ae_title {
        return Err(Refusal::CalledAeTitle);
    }
    if !policy.calling_ae_titles.is_empty() && !policy.calling_ae_titles.iter().any(|title| title == calling)
    {
        return Err(Refusal::CallingAeTitle);
    }
    let mut contexts = HashMap::new();
    let results = request
        .presentation_contexts
        .iter()
        .map(|proposed| {
            let result = choose(proposed, policy, &known);
            if let Ok(context) = &result {
                contexts.insert(proposed.id, context.clone());
            }
            PresentationContextResult {
                id: proposed.id,
                transfer_syntax: result
                    .as_ref()
                    .map_or(IMPLICIT_VR_LITTLE_ENDIAN, |context| &*context.transfer_syntax)
                    .to_owned(),
                reason: result.map_or_else(|outcome| outcome, |_| Outcome::Acceptance),
            }
        })
        .collect();
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables: vec![
            UserVariableItem::MaxLength(policy.limits.pdu_bytes),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    };
    Ok(Accepted { answer, contexts, calling: calling.to_owned() })
}

/// A UID without its padding.
pub(super) fn trim(uid: &str) -> &str {
    uid.trim_matches(['\0', ' '])
}

/// Which transfer syntax a proposed context gets.
fn choose(
    proposed: &PresentationContextProposed,
    policy: &DimseSettings,
    known: impl Fn(&str) -> Option<Vec<Uid>>,
) -> Result<Context, Outcome> {
    let abstract_syntax = trim(&proposed.abstract_syntax);
    let is_taken = sop_class::is_taken(abstract_syntax, &policy.private_sop_classes);
    if abstract_syntax != VERIFICATION && !is_taken {
        return Err(Outcome::AbstractSyntaxNotSupported);
    }
    let known = known(abstract_syntax);
    if known.as_ref().is_some_and(Vec::is_empty) {
        return Err(Outcome::AbstractSyntaxNotSupported);
    }
    let can_be_taken = |uid: &&str| match &known {
        Some(known) => known.iter().any(|known| **known == **uid),
        None => TransferSyntaxRegistry.get(uid).is_some(),
    };
    let offered = || proposed.transfer_syntaxes.iter().map(|uid| trim(uid)).filter(can_be_taken);
    offered()
        .find(|uid| !must_be_rewritten(uid))
        .or_else(|| offered().next())
        .map(|uid| Context { abstract_syntax: abstract_syntax.into(), transfer_syntax: uid.into() })
        .ok_or(Outcome::TransferSyntaxesNotSupported)
}

fn must_be_rewritten(transfer_syntax: &str) -> bool {
    matches!(transfer_syntax, IMPLICIT_VR_LITTLE_ENDIAN | "1.2.840.10008.1.2.2" | "1.2.840.10008.1.2.1.99")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(contexts: &[(u8, &str, &[&str])]) -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "XA1 ".into(),
            called_ae_title: "FRAMEGATE".into(),
            application_context_name: APPLICATION_CONTEXT.into(),
            presentation_contexts: contexts
                .iter()
                .map(|(id, class, syntaxes)| PresentationContextProposed {
                    id: *id,
                    abstract_syntax: (*class).into(),
                    transfer_syntaxes: syntaxes.iter().map(|&uid| uid.into()).collect(),
                })
                .collect(),
            user_variables: vec![],
        }
    }

    #[test]
    fn a_syntax_that_needs_no_rewriting_is_preferred() {
        let xa = "1.2.840.10008.5.1.4.1.1.12.1";
        let contexts: &[(u8, &str, &[&str])] = &[
            (1, xa, &["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1"]),
            (3, xa, &["1.2.840.10008.1.2"]),
            (5, xa, &["1.2.840.10008.1.2.4.70\0", "1.2.840.10008.1.2.1"]),
            (7, xa, &["1.2.3.4"]),
            (9, "1.2.3", &["1.2.840.10008.1.2"]),
        ];
        let accepted = negotiate(request(contexts), &DimseSettings::default()).unwrap();
        let chosen: Vec<_> = accepted
            .answer
            .presentation_contexts
            .iter()
            .map(|result| (result.id, result.reason.clone(), &*result.transfer_syntax))
            .collect();
        assert_eq!(
            chosen,
            [
                (1, Outcome::Acceptance, "1.2.840.10008.1.2.1"),
                (3, Outcome::Acceptance, "1.2.840.10008.1.2"),
                (5, Outcome::Acceptance, "1.2.840.10008.1.2.4.70"),
                (7, Outcome::TransferSyntaxesNotSupported, "1.2.840.10008.1.2"),
                (9, Outcome::AbstractSyntaxNotSupported, "1.2.840.10008.1.2"),
            ]
        );
        assert_eq!(accepted.contexts.len(), 3);
        assert_eq!(accepted.calling, "XA1");
    }

    #[test]
    fn ae_titles_are_held_to_the_policy() {
        let mut policy = DimseSettings { ae_title: "OTHER".into(), ..DimseSettings::default() };
        assert_eq!(negotiate(request(&[]), &policy).unwrap_err(), Refusal::CalledAeTitle);
        policy.accept_any_called_ae_title = true;
        policy.calling_ae_titles = vec!["XA2".into()];
        assert_eq!(negotiate(request(&[]), &policy).unwrap_err(), Refusal::CallingAeTitle);
        policy.calling_ae_titles.push("XA1".into());
        assert!(negotiate(request(&[]), &policy).is_ok());
    }

    #[test]
    fn private_classes_come_by_configuration() {
        let contexts: &[(u8, &str, &[&str])] = &[(1, "1.3.12.2.1107.5.9.1", &["1.2.840.10008.1.2.1"])];
        let mut policy = DimseSettings::default();
        assert!(negotiate(request(contexts), &policy).unwrap().contexts.is_empty());
        policy.private_sop_classes.push("1.3.12.2.1107.5.9.1".into());
        assert_eq!(negotiate(request(contexts), &policy).unwrap().contexts.len(), 1);
    }
}
