//! Why a peer was not told or asked. No error holds anything of what a peer sent, since the library's would
//! print whole PDUs.

use dicom_ul::association::Error as UpperLayerError;
use dicom_ul::pdu::{AssociationRJ, AssociationRJResult};

use crate::net::tls::TlsError;

/// Why a peer was not reached, or did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum ScuError {
    /// A deadline has passed.
    #[error("it does not answer in time")]
    Timeout,
    /// TCP or TLS failed, or the connection broke.
    #[error("no connection: {0}")]
    Connect(String),
    /// Files for TLS are not usable.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// A-ASSOCIATE-RJ.
    #[error("it rejects the association: {reason}")]
    Rejected {
        /// The standard's words for its source and reason (PS3.8 §9.3.4).
        reason: String,
        /// Result: rejected permanent.
        lasting: bool,
    },
    /// No presentation context for what is asked was accepted.
    #[error("it does not support the {0} SOP Class")]
    NotSupported(&'static str),
    /// What came has no place here.
    #[error("it breaks the protocol: {0}")]
    Protocol(&'static str),
    /// A response that says no.
    #[error("it answers the {operation} with status {status:04X}H")]
    Status {
        /// What was asked.
        operation: &'static str,
        /// Status (0000,0900).
        status: u16,
    },
    /// A data set of ours that the library cannot write.
    #[error("the request cannot be encoded")]
    Encode,
}

impl ScuError {
    /// Whether trying again is of no use, unless somebody changes something.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Rejected { lasting, .. } => *lasting,
            Self::NotSupported(_) | Self::Encode => true,
            // Processing failure and resource limitation pass (PS3.7 Annex C).
            Self::Status { status, .. } => !matches!(status, 0x0110 | 0x0213),
            Self::Timeout | Self::Connect(_) | Self::Files(_) | Self::Protocol(_) => false,
        }
    }
}

impl From<UpperLayerError> for ScuError {
    /// Says less than the library, which prints PDUs.
    fn from(error: UpperLayerError) -> Self {
        use UpperLayerError as E;
        match error {
            E::ToAddress { source, .. }
            | E::Connect { source, .. }
            | E::TlsHandshake { source, .. }
            | E::WireSend { source, .. }
            | E::WireRead { source, .. } => Self::Connect(source.to_string()),
            E::InvalidServerName { .. } => Self::Connect("its address is no name for TLS".to_owned()),
            E::TlsNotSupported => Self::Connect("it wants TLS".to_owned()),
            E::ConnectionClosed { .. } | E::Aborted { .. } => Self::Connect("it hung up".to_owned()),
            E::Rejected { association_rj, .. } => association_rj.into(),
            E::NoAcceptedPresentationContexts { .. } => Self::NotSupported("proposed"),
            E::Timeout { .. } => Self::Timeout,
            E::ReceivePdu { .. } => Self::Protocol("no valid PDU"),
            _ => Self::Protocol("a PDU out of order"),
        }
    }
}

impl From<AssociationRJ> for ScuError {
    fn from(rejected: AssociationRJ) -> Self {
        Self::Rejected {
            reason: rejected.source.to_string(),
            lasting: rejected.result == AssociationRJResult::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let answered = |status| ScuError::Status { operation: "N-CREATE", status };
        assert!(!ScuError::Timeout.is_lasting());
        assert!(!answered(0x0213).is_lasting());
        assert!(answered(0x0124).is_lasting());
        assert!(ScuError::NotSupported("Verification").is_lasting());
    }
}
